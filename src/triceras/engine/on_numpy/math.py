"""NumPy's elementwise functions and reductions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import ml_dtypes  # noqa: F401 - makes np.dtype("bfloat16") known
import numpy as np

from triceras.core.dtypes import limits, standardize_dtype

_SAME_NAME = """
    abs add arccos arccosh arcsin arcsinh arctan arctan2 arctanh bitwise_and bitwise_invert
    bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor cbrt ceil cos cosh divide equal exp
    expm1 floor floor_divide fmod gcd greater greater_equal imag isfinite isinf isnan less less_equal log
    log10 log1p log2 logical_and logical_not logical_or maximum minimum mod multiply negative nextafter
    not_equal power real sign signbit sin sinh sqrt subtract tan tanh trunc
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


def _axes(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, list) else axis


def _total(function: Callable[..., Any]) -> Callable[..., np.ndarray]:
    """A sum or product in the dtype of its argument, half precision by way of float32."""

    def reduce(x: np.ndarray, axis: Any = None, **options: Any) -> np.ndarray:
        inside = "float32" if x.dtype in _HALVES else x.dtype
        return function(x, axis=_axes(axis), dtype=inside, **options).astype(x.dtype)

    return reduce


def _extreme(function: Callable[..., Any]) -> Callable[..., np.ndarray]:
    def reduce(x: np.ndarray, axis: Any = None, keepdims: bool = False, initial: Any = None) -> np.ndarray:
        options = {} if initial is None else {"initial": initial}
        return function(x, axis=_axes(axis), keepdims=keepdims, **options)

    return reduce


def _index(function: Callable[..., Any]) -> Callable[..., np.ndarray]:
    return lambda x, axis=None, keepdims=False: function(x, axis=axis, keepdims=keepdims).astype("int32")


def _top_k(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    if not 0 <= k <= x.shape[-1]:
        raise ValueError(f"k={k} is out of range for {x.shape[-1]} elements")
    backwards = np.argsort(x[..., ::-1], axis=-1, kind="stable")[..., ::-1][
        ..., :k
    ]  # the first of equal ones first
    indices = x.shape[-1] - 1 - backwards
    return np.take_along_axis(x, indices, -1), indices.astype("int32")


def _segment(
    data: np.ndarray, segment_ids: np.ndarray, num_segments: int, sorted: bool, reduction: str
) -> np.ndarray:
    function, start = {
        "sum": (np.add, lambda: 0),
        "prod": (np.multiply, lambda: 1),
        "max": (np.maximum, lambda: _ends(data.dtype)[0]),
        "min": (np.minimum, lambda: _ends(data.dtype)[1]),
    }[reduction]
    result = np.full((num_segments, *data.shape[1:]), start(), data.dtype)
    inside = (segment_ids >= 0) & (segment_ids < num_segments)
    function.at(result, segment_ids[inside], data[inside])
    return result


def _ends(dtype: np.dtype) -> tuple[float, float]:
    """The smallest and the largest value, infinities included."""
    lowest, highest = limits(standardize_dtype(dtype))
    return (lowest, highest) if dtype.kind in "biu" else (-math.inf, math.inf)


def _correlate(x1: np.ndarray, x2: np.ndarray, mode: str) -> np.ndarray:
    inside = "float32" if x1.dtype in _HALVES else x1.dtype
    return np.correlate(x1.astype(inside), x2.astype(inside), mode).astype(x1.dtype)


def complex_of(real: np.ndarray, imaginary: np.ndarray) -> np.ndarray:
    found = np.empty(np.broadcast_shapes(real.shape, imaginary.shape), np.result_type(real, "complex64"))
    found.real, found.imag = real, imaginary
    return found


_HALVES = (np.dtype("float16"), np.dtype("bfloat16"))

NATIVES: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in _SAME_NAME.split()},
    "_complex": complex_of,
    "_correlate": _correlate,
    "_cumprod": _total(np.cumprod),
    "_cumsum": _total(np.cumsum),
    "_fft": np.fft.fft,
    "_fft2": np.fft.fft2,
    "_ifft2": np.fft.ifft2,
    "_irfft": np.fft.irfft,
    "_prod": _total(np.prod),
    "_rfft": np.fft.rfft,
    "_segment": _segment,
    "_top_k": _top_k,
    "all": _extreme(np.all),
    "any": _extreme(np.any),
    "argmax": _index(np.argmax),
    "argmin": _index(np.argmin),
    "conj": lambda x: np.conj(x) if x.dtype.kind == "c" else x,
    "erf": _each(math.erf),
    "erfc": _each(math.erfc),
    "erfinv": _erfinv,
    "i0": lambda x: np.i0(x).astype(x.dtype),
    "max": _extreme(np.max),
    "min": _extreme(np.min),
    "round": _round,
    "sum": _total(np.sum),
}
