"""NumPy's elementwise functions and reductions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

_SAME_NAME = """
    abs add arccos arccosh arcsin arcsinh arctan arctan2 arctanh bitwise_and bitwise_invert bitwise_left_shift bitwise_or
    bitwise_right_shift bitwise_xor cbrt ceil conj cos cosh divide equal exp expm1 floor floor_divide fmod gcd greater
    greater_equal imag isfinite isinf isnan less less_equal log log10 log1p log2 logical_and logical_not logical_or
    maximum minimum mod multiply negative nextafter not_equal power real sign signbit sin sinh sqrt subtract tan tanh
    trunc
"""


def _each(function: Callable[[float], float]) -> Callable[[np.ndarray], np.ndarray]:
    """A function of one number, for arrays."""
    vectorized = np.vectorize(function, otypes=["float64"])
    return lambda x: vectorized(x).astype(x.dtype)


def _round(x: np.ndarray, decimals: int) -> np.ndarray:
    if x.dtype == "bfloat16":
        return np.round(x.astype("float32"), decimals).astype(x.dtype)
    return np.round(x, decimals)


def _erfinv(x: np.ndarray) -> np.ndarray:
    """Winitzki's approximation, then Newton's method in double precision."""
    y = x.astype("float64")
    a, log = 0.147, np.log1p(-y * y)
    b = 2 / (math.pi * a) + log / 2
    guess = np.sign(y) * np.sqrt(np.sqrt(b * b - log / a) - b)
    for _ in range(3):
        slope = 2 / math.sqrt(math.pi) * np.exp(-guess * guess)
        step = (_erf64(guess) - y) / slope
        guess = np.where(np.isfinite(step), guess - step, guess)
    return np.where(abs(y) > 1, math.nan, guess).astype(x.dtype)


_erf64 = np.vectorize(math.erf, otypes=["float64"])

NATIVES: dict[str, Callable[..., Any]] = {name: getattr(np, name) for name in _SAME_NAME.split()} | {
    "erf": _each(math.erf),
    "erfc": _each(math.erfc),
    "erfinv": _erfinv,
    "i0": lambda x: np.i0(x).astype(x.dtype),
    "round": _round,
}
