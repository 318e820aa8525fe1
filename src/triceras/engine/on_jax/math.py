"""JAX's elementwise functions and reductions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

_SAME_NAME = """
    abs add arccos arccosh arcsin arcsinh arctan arctan2 arctanh bitwise_and bitwise_invert bitwise_left_shift bitwise_or
    bitwise_right_shift bitwise_xor cbrt ceil conj cos cosh divide equal exp expm1 floor floor_divide fmod gcd greater
    greater_equal i0 imag isfinite isinf isnan less less_equal log log10 log1p log2 logical_and logical_not logical_or
    maximum minimum mod multiply negative nextafter not_equal power real round sign signbit sin sinh sqrt subtract tan
    tanh trunc
"""

NATIVES: dict[str, Callable[..., Any]] = {name: getattr(jnp, name) for name in _SAME_NAME.split()} | {
    "erf": jax.jit(jax.lax.erf),
    "erfc": jax.jit(jax.lax.erfc),
    "erfinv": jax.jit(jax.lax.erf_inv),
    "rsqrt": jax.jit(jax.lax.rsqrt),
}
