"""Arithmetic of shapes and axes that ops and engines share."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from triceras.core.errors import ArgumentError, ShapeError

TENSOR = "tensor"  # in the key of an indexing: here stands the next index tensor


def canonical_axis(axis: Any, rank: int, what: str = "axis") -> int:
    """An axis counted from the front.

    Raises:
        ArgumentError: there is no such axis.

    >>> canonical_axis(-1, 3)
    2
    """
    try:
        index = operator.index(axis)
    except TypeError:
        raise ArgumentError(f"`{what}` must be an integer. Received: {axis!r}") from None
    if not -rank <= index < rank:
        raise ArgumentError(f"`{what}`={axis} is out of range for a tensor of rank {rank}.")
    return index % rank


def canonical_axes(axes: Any, rank: int, what: str = "axis") -> tuple[int, ...]:
    """Axes, given as one integer or several, counted from the front.

    Raises:
        ArgumentError: there is no such axis, or one stands twice.

    >>> canonical_axes((0, -1), 3)
    (0, 2)
    """
    found = tuple(canonical_axis(a, rank, what) for a in (axes if isinstance(axes, Sequence) else (axes,)))
    if len(set(found)) != len(found):
        raise ArgumentError(f"`{what}` names an axis twice. Received: {axes}")
    return found


def sizes(shape: Any) -> tuple[int, ...]:
    """A shape given as one integer or several, as a tuple of integers.

    >>> sizes(3), sizes([1, 2])
    ((3,), (1, 2))
    """
    try:
        result = tuple(
            map(operator.index, shape if isinstance(shape, (list, tuple)) else np.ravel(shape).tolist())
        )
    except TypeError:
        result = None
    if result is None or any(d < 0 for d in result):
        raise ArgumentError(f"`shape` must hold non-negative integers. Received: {shape!r}")
    return result


def target_shape(shape: Sequence[int | None], newshape: Any) -> tuple[int | None, ...]:
    """The sizes that reshaping gives, as far as they are known.

    Args:
        shape: sizes of the input, None where unknown.
        newshape: wanted sizes. -1 follows from the others; None stands for what the input has at that place
            (`ops.shape` says None of symbolic tensors), or, where it is the only unknown size, is as -1.

    Raises:
        ShapeError: the number of elements can't fit.

    >>> target_shape((2, 6), (-1, 3)), target_shape((None, 4, 6), (-1, 24))
    ((4, 3), (None, 24))
    """
    wanted = tuple(newshape) if isinstance(newshape, (list, tuple)) else tuple(np.ravel(newshape).tolist())
    if wanted.count(-1) + wanted.count(None) == 1:
        wanted = tuple(-1 if d is None else d for d in wanted)
    wanted = tuple(
        (shape[i] if i < len(shape) else None) if d is None else operator.index(d)
        for i, d in enumerate(wanted)
    )
    if wanted.count(-1) > 1 or any(d is not None and d < -1 for d in wanted):
        raise ShapeError(f"`newshape` can hold one -1, else sizes from 0 on. Received: {newshape}")
    if None in shape or None in wanted:
        return tuple(None if d == -1 else d for d in wanted)
    total, known = math.prod(shape), math.prod(d for d in wanted if d != -1)
    if (total % known if known else total) if -1 in wanted else total != known:
        raise ShapeError(f"Shape {tuple(shape)} ({total} elements) can't be reshaped to {tuple(wanted)}.")
    return tuple((total // known if known else 0) if d == -1 else d for d in wanted)


def pad_widths(pad_width: Any, rank: int) -> list[tuple[int, int]]:
    """Cells before and after each axis, from one number, one pair or a pair for each axis.

    >>> pad_widths(1, 2), pad_widths((1, 2), 2)
    ([(1, 1), (1, 1)], [(1, 2), (1, 2)])
    """
    if type(pad_width) is int:
        return [(pad_width, pad_width)] * rank
    array = np.asarray(pad_width)
    if array.dtype.kind not in "iu":
        raise ArgumentError(f"`pad_width` must hold integers. Received: {pad_width!r}")
    try:
        return [(int(a), int(b)) for a, b in np.broadcast_to(array, (rank, 2))]
    except ValueError:
        raise ArgumentError(
            f"`pad_width` must be one number, one pair, or {rank} pairs for a tensor of rank {rank}. "
            f"Received: {pad_width!r}"
        ) from None


def broadcast_target(shape: Sequence[int], wanted: Any) -> tuple[int, ...]:
    """The sizes to broadcast to; None, as in symbolic shapes, keeps the size that is there.

    >>> broadcast_target((5, 1), (None, 3))
    (5, 3)
    """
    wanted = list(wanted) if isinstance(wanted, (list, tuple)) else np.ravel(wanted).tolist()
    for axis in range(1, min(len(wanted), len(shape)) + 1):
        if wanted[-axis] is None:
            wanted[-axis] = shape[-axis]
    return sizes(wanted)


def same_padding(shape: Sequence[int], spans: Sequence[int], strides: Sequence[int]) -> list[tuple[int, int]]:
    """Cells before and after each dimension with which windows of a stride give its size / stride, rounded up.

    >>> same_padding((5, 6), (3, 3), (1, 2))
    [(1, 1), (0, 1)]
    """
    missing = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(shape, spans, strides, strict=True)]
    return [(m // 2, m - m // 2) for m in missing]
