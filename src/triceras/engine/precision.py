"""Dtypes that a library has no kernels for: another one does the work."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from triceras.core.dtypes import standardize_dtype

HALF = ("bfloat16", "float16")


def _astype(x: Any, dtype: str) -> Any:
    return x.astype(dtype)


def in_wider(
    fn: Callable[..., Any], wider: Mapping[str, str], cast: Callable[[Any, str], Any] = _astype
) -> Callable[..., Any]:
    """A native that computes on some dtypes in another one, and returns the dtype that it got.

    Args:
        fn: the native; the first of its tensors decides.
        wider: the dtype to compute in, for each that the library lacks.
        cast: the library's way to change a dtype.
    """

    @functools.wraps(fn)
    def run(*tensors: Any, **statics: Any) -> Any:
        first = tensors[0][0] if isinstance(tensors[0], (list, tuple)) else tensors[0]
        kind = standardize_dtype(first.dtype)
        if kind not in wider:
            return fn(*tensors, **statics)
        target = wider[kind]
        return _recast(fn(*_recast(tensors, kind, target, cast), **statics), target, kind, cast)

    return run


def _recast(x: Any, source: str, target: str, cast: Callable[[Any, str], Any]) -> Any:
    """Tensors in the target dtype if they have the source's; everything else as it is."""
    if isinstance(x, (list, tuple)):
        return tuple(_recast(part, source, target, cast) for part in x)
    dtype = getattr(x, "dtype", None)
    return cast(x, target) if dtype is not None and standardize_dtype(dtype) == source else x


def in_single(fn: Callable[..., Any], cast: Callable[[Any, str], Any] = _astype) -> Callable[..., Any]:
    """A native that computes on half precision in single, and returns half."""
    return in_wider(fn, dict.fromkeys(HALF, "float32"), cast)
