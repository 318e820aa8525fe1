"""Half precision where a library knows only single and double."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from triceras.core import tree

HALF = ("bfloat16", "float16")


def in_single(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A native that computes on half precision in single, and returns half."""

    @functools.wraps(fn)
    def run(*tensors: Any, **statics: Any) -> Any:
        first = tensors[0][0] if isinstance(tensors[0], (list, tuple)) else tensors[0]
        kind = first.dtype
        if kind not in HALF:
            return fn(*tensors, **statics)
        wide = tree.map_structure(lambda x: x.astype("float32"), tensors)
        return tree.map_structure(
            lambda x: x.astype(kind) if x.dtype == "float32" else x, fn(*wide, **statics)
        )

    return run
