"""PyTorch's elementwise functions and reductions."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from triceras.engine.on_torch.arrays import combine_rows

# Operators take a number on either side, which the functions of the same meaning do not in every version.
_OPERATORS = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "power": operator.pow,
    "equal": operator.eq,
    "not_equal": operator.ne,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
}

_SAME_NAME = """
    arccos arccosh arcsin arcsinh arctan arctan2 arctanh bitwise_and bitwise_left_shift bitwise_or
    bitwise_right_shift bitwise_xor ceil conj cos cosh erf erfc erfinv exp exp2 expm1 floor
    gcd i0 isfinite isinf isnan log log10 log1p log2 logaddexp logical_and logical_not logical_or
    maximum minimum nan_to_num negative nextafter real reciprocal rsqrt signbit sin sinh sqrt square tan tanh
"""

_HALVES = (torch.float16, torch.bfloat16)


def _by_bytes(run: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A function that torch lacks for truth values, computed on 0 and 1."""

    def any_dtype(x: Tensor, **options: Any) -> Tensor:
        if x.dtype is torch.bool:
            return run(x.to(torch.uint8), **options).to(torch.bool)
        return run(x, **options)

    return any_dtype


def divide(x1: Any, x2: Any) -> Tensor:
    """Exactly rounded also where a number comes first, unlike the operator."""
    return torch.true_divide(x1, x2) if isinstance(x1, Tensor) else torch.true_divide(x2.new_full((), x1), x2)


def _without_zeros(run: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A division whose result is 0 where an integer divisor is, for which torch raises an error."""

    def divided(x1: Any, x2: Any) -> Tensor:
        if not isinstance(x2, Tensor) or x2.is_floating_point():
            return run(x1, x2)
        zero = x2 == 0
        return torch.where(zero, 0, run(x1, torch.where(zero, 1, x2)))

    return divided


def round(x: Tensor, decimals: int) -> Tensor:
    if x.is_floating_point():
        return torch.round(x, decimals=decimals)
    return x if decimals >= 0 else torch.round(x.to(torch.float64), decimals=decimals).to(x.dtype)


def sign(x: Tensor) -> Tensor:
    found = torch.sign(x)
    return torch.where(torch.isnan(x), x, found) if x.is_floating_point() else found


def imag(x: Tensor) -> Tensor:
    return torch.imag(x) if x.is_complex() else torch.zeros_like(x)


def clip(x: Tensor, x_min: Any, x_max: Any) -> Tensor:
    if x_min is None and x_max is None:
        return x
    if isinstance(x_min, Tensor) or isinstance(x_max, Tensor):  # then torch takes no numbers
        x_min, x_max = (
            v if v is None or isinstance(v, Tensor) else x.new_full((), v) for v in (x_min, x_max)
        )
    return torch.clamp(x, x_min, x_max)


# -- reductions ----------------------------------------------------------------------------------------------


def _over(reduce: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A reduction over axes, for which an empty list means none of them, unlike for torch."""

    def run(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
        if axis is None or isinstance(axis, int) or len(axis):
            return reduce(x, axis, keepdims)
        return x

    return run


def _sum(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    return torch.sum(x, axis, keepdims, dtype=x.dtype)


def _mean(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    if x.dtype in _HALVES:
        return torch.mean(x, axis, keepdims, dtype=torch.float32).to(x.dtype)
    return torch.mean(x, axis, keepdims)


def _prod(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    for a in sorted(_axes(x, axis), reverse=True):
        x = torch.prod(x, a, keepdims, dtype=x.dtype)
    return x


def _axes(x: Tensor, axis: Any) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(x.ndim))
    return tuple(a % x.ndim for a in ((axis,) if isinstance(axis, int) else axis))


def _logsumexp(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    return torch.logsumexp(x, axis if isinstance(axis, int) else _axes(x, axis), keepdims)


def var(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    if axis is not None and not isinstance(axis, int) and not len(axis):
        return torch.zeros_like(x)
    return torch.var(x, axis, correction=0, keepdim=keepdims).to(x.dtype)


def _truth(reduce: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return _over(lambda x, axis, keepdims: reduce(x, _axes(x, axis), keepdims) if x.ndim else x)


def _extreme(reduce: Callable[..., Tensor], bound: Callable[..., Tensor]) -> Callable[..., Tensor]:
    reduce = _over(lambda x, axis, keepdims, run=reduce: run(x, () if axis is None else axis, keepdims))

    def run(x: Tensor, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Tensor:
        found = reduce(x, axis, keepdims)
        return (
            found
            if initial is None
            else bound(found, torch.as_tensor(initial, dtype=x.dtype, device=x.device))
        )

    return run


def _index(reduce: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
        x = x.to(torch.uint8) if x.dtype is torch.bool else x
        return reduce(x, axis, keepdims).to(torch.int32)

    return run


def _top_k(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """By a stable sort: of equal elements the first comes first, which `torch.topk` doesn't promise."""
    if not 0 <= k <= x.shape[-1]:
        raise ValueError(f"k={k} is out of range for {x.shape[-1]} elements")
    values, indices = torch.sort(x, dim=-1, descending=True, stable=True)
    return values[..., :k], indices[..., :k].to(torch.int32)


def _segment(data: Tensor, segment_ids: Tensor, num_segments: int, sorted: bool, reduction: str) -> Tensor:
    outside = (segment_ids < 0) | (segment_ids >= num_segments)
    rows = torch.where(outside, num_segments, segment_ids).to(torch.int64)  # these go to a last row, cut off
    start = {"sum": 0, "prod": 1, "max": _lowest(data.dtype), "min": _highest(data.dtype)}[reduction]
    result = data.new_full((num_segments + 1, *data.shape[1:]), start)
    if reduction == "sum":
        return result.index_add(0, rows, data)[:-1]
    return combine_rows(result, rows, data, reduction)[:-1]


def _lowest(dtype: torch.dtype) -> float:
    return -math.inf if dtype.is_floating_point else 0 if dtype is torch.bool else torch.iinfo(dtype).min


def _highest(dtype: torch.dtype) -> float:
    return math.inf if dtype.is_floating_point else 1 if dtype is torch.bool else torch.iinfo(dtype).max


def _correlate(x1: Tensor, x2: Tensor, mode: str) -> Tensor:
    if len(x2) > len(x1):
        return torch.conj(_correlate(x2, x1, mode)).flip(0)
    reach = len(x2) - 1
    before, after = {"valid": (0, 0), "same": (len(x2) // 2, reach - len(x2) // 2), "full": (reach, reach)}[
        mode
    ]
    padded = torch.nn.functional.pad(x1, (before, after))
    return torch.conv1d(padded[None, None], torch.conj(x2)[None, None])[0, 0]


NATIVES: dict[str, Callable[..., Any]] = {
    **_OPERATORS,
    **{name: getattr(torch, name) for name in _SAME_NAME.split()},
    "_complex": torch.complex,
    "_correlate": _correlate,
    "_cumprod": lambda x, axis: torch.cumprod(x, axis, dtype=x.dtype),
    "_cumsum": lambda x, axis: torch.cumsum(x, axis, dtype=x.dtype),
    "_fft": torch.fft.fft,
    "_fft2": torch.fft.fft2,
    "_ifft2": torch.fft.ifft2,
    "_irfft": torch.fft.irfft,
    "_prod": _over(_prod),
    "_rfft": torch.fft.rfft,
    "_segment": _segment,
    "_top_k": _top_k,
    "abs": _by_bytes(torch.abs),
    "all": _truth(torch.all),
    "any": _truth(torch.any),
    "argmax": _index(torch.argmax),
    "argmin": _index(torch.argmin),
    "bitwise_invert": torch.bitwise_not,
    "clip": clip,
    "divide": divide,
    "floor_divide": _without_zeros(functools.partial(torch.div, rounding_mode="floor")),
    "fmod": _without_zeros(torch.fmod),
    "imag": imag,
    "logsumexp": _over(_logsumexp),
    "max": _extreme(torch.amax, torch.maximum),
    "mean": _over(_mean),
    "min": _extreme(torch.amin, torch.minimum),
    "mod": _without_zeros(torch.remainder),
    "round": round,
    "sign": sign,
    "sum": _over(_sum),
    "trunc": _by_bytes(torch.trunc),
    "var": var,
}

TAKE_NUMBERS = frozenset({*_OPERATORS, "divide", "clip", "floor_divide", "mod", "where"})
