"""Mean and variance in one pass over data of any size, after Chan, Golub and LeVeque, 1979."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triceras.core.errors import ArgumentTypeError, shown
from triceras.engine import selection

_PART_BYTES = 32 << 20  # of a large array at a time, in double precision


class Moments:
    """Count, mean and variance of all batches that were added, along all axes but the kept ones.

    Args:
        kept: the axes of which each entry has a mean and a variance of its own.

    >>> moments = Moments(kept=(1,))
    >>> moments.add(np.array([[0, 5], [2, 5]], "uint8"))
    >>> moments.add(np.array([[4, 5]], "uint8"))
    >>> moments.count, moments.mean.tolist(), moments.variance.round(3).tolist()
    (3, [2.0, 5.0], [2.667, 0.0])
    """

    def __init__(self, kept: Sequence[int] = ()) -> None:
        self.kept = tuple(kept)
        self.count = 0
        self.mean: NDArray[Any] | float = 0.0
        self.variance: NDArray[Any] | float = 0.0

    def add(self, batch: NDArray[Any]) -> None:
        """Take a batch into account; large ones in parts, so that little is copied."""
        size = math.prod(batch.shape[1:]) * 8
        rows = max(1, _PART_BYTES // max(size, 1))
        cut = rows < len(batch) and 0 not in self.kept
        for part in (batch[low : low + rows] for low in range(0, len(batch), rows)) if cut else (batch,):
            self._merge(np.asarray(part, "float64"))

    def _merge(self, batch: NDArray[Any]) -> None:
        axes = tuple(axis for axis in range(batch.ndim) if axis not in self.kept)
        new = math.prod(batch.shape[axis] for axis in axes)
        if not new:
            return
        part = new / (self.count + new)
        step = batch.mean(axis=axes) - self.mean
        self.variance = self.variance * (1 - part) + batch.var(axis=axes) * part + step**2 * part * (1 - part)
        self.mean = self.mean + step * part
        self.count += new

    @property
    def overall(self) -> tuple[float, float]:
        """Mean and variance of all values, whichever entry they belong to."""
        mean = float(np.mean(self.mean))
        return mean, float(np.mean(self.variance) + np.var(self.mean))


def inputs_of(
    data: Any, name: str, convert: Callable[[Any, str], NDArray[Any]] | None = None
) -> Iterator[NDArray[Any]]:
    """The inputs in an array, or in each batch of an iterable, as arrays.

    Args:
        data: an array or tensor with the batch first, nested lists, or batches: a `PyDataset`, a
            `tf.data.Dataset`, a `DataLoader` or any other iterable of arrays. Of batches that are tuples the
            first entry counts.
        name: of the function, for error messages.
        convert: makes an array of a batch, given that name; by default one of numbers.
    """
    convert = convert or _array
    if hasattr(data, "shape") or (isinstance(data, (list, tuple)) and data and not _holds_arrays(data)):
        yield convert(data, name)
    elif isinstance(data, Iterable) and not isinstance(data, (str, dict)) and not _is_endless(data):
        for batch in data:
            yield convert(_inputs(batch), name)
    elif hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, (str, dict)):
        for index in range(len(data)):
            yield convert(_inputs(data[index]), name)
    else:
        raise ArgumentTypeError(
            f"{name}() takes an array or an iterable of arrays. Received: {type(data).__name__}"
        )


def _is_endless(data: Any) -> bool:
    """Whether iterating never ends, though the number of batches is known."""
    return hasattr(data, "__next__") and hasattr(data, "__getitem__") and hasattr(data, "__len__")


def _holds_arrays(items: Sequence[Any]) -> bool:
    return any(hasattr(item, "shape") and len(item.shape) for item in items)


def _inputs(batch: Any) -> Any:
    return batch[0] if isinstance(batch, tuple) else batch


def _array(value: Any, name: str) -> NDArray[Any]:
    engine = selection.engine_of(type(value))
    if engine is not None:
        value = engine.to_numpy(value)
    try:
        found = np.asarray(value)
    except (TypeError, ValueError):
        found = None
    if found is None or found.dtype.kind not in "biuf" + "V" or found.ndim == 0:
        raise ArgumentTypeError(f"{name}() takes numbers, the batch first. Received: {shown(value)}")
    return found
