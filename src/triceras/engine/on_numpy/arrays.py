"""Native arrays ops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

NATIVES: dict[str, Callable[..., Any]] = {name: getattr(np, name) for name in "".split()}
