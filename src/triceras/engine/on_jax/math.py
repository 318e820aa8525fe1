"""Native math ops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

NATIVES: dict[str, Callable[..., Any]] = {name: getattr(jnp, name) for name in "add subtract multiply divide matmul exp log sqrt abs maximum minimum".split()}
