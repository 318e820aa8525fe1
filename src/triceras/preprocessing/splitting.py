"""Data sets from arrays: windows of series, and two parts of any data."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from triceras.core import tree
from triceras.core.errors import ArgumentError, ArgumentTypeError, ShapeError
from triceras.core.registry import export
from triceras.training.dataset import IndexedDataset, PyDataset


class Samples(IndexedDataset):
    """Samples in arrays, one by one until `batch(size)` makes batches of them."""

    def __init__(self, arrays: Any, batch_size: int | None = None, **options: Any) -> None:
        super().__init__(len(tree.flatten(arrays)[0]), batch_size, workers=0, **options)
        self.arrays = arrays

    def gather(self, rows: NDArray[Any], random: np.random.Generator) -> Any:
        return tree.map_structure(lambda a: a[rows], self.arrays)


class Batches(PyDataset):
    """Batches in a list."""

    def __init__(self, batches: list[Any]) -> None:
        super().__init__(workers=0)
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> Any:
        return self._batches[index]


@export("utils.split_dataset")
def split_dataset(
    dataset: Any,
    left_size: float | None = None,
    right_size: float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Any, Any]:
    """Split data into two data sets.

    Args:
        dataset: an array, or a tuple, list or dict of arrays with the samples first, which gives data sets of
            samples (`.batch(32)` makes batches of them, for training); or a `PyDataset`, a `DataLoader` or a
            `tf.data.Dataset`, whose elements are shared out as they are.
        left_size: number of samples, or fraction between 0 and 1.
        right_size: the same; what isn't given is the rest.
        shuffle: whether to shuffle before.
        seed: of the order.
        preferred_backend: accepted for compatibility: the data sets fit every engine.

    >>> left, right = split_dataset(np.arange(10), left_size=0.8)
    >>> len(left), [x.tolist() for x in right.batch(2)]
    (8, [[8, 9]])
    """
    in_memory = isinstance(dataset, (np.ndarray, tuple, list, Mapping)) or hasattr(dataset, "__array__")
    if in_memory:
        arrays = tree.map_structure(np.asarray, dataset) if _holds_arrays(dataset) else np.asarray(dataset)
        lengths = {len(a) if a.ndim else 0 for a in tree.flatten(arrays)}
        if len(lengths) != 1:
            raise ShapeError(f"All arrays must have as many samples. Received: {sorted(lengths)}.")
        total, elements = lengths.pop(), None
    elif isinstance(dataset, PyDataset) or (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
        elements = [dataset[i] for i in range(len(dataset))]
        total = len(elements)
    elif isinstance(dataset, Iterable) and not isinstance(dataset, str):
        elements = list(dataset)
        total = len(elements)
    else:
        raise ArgumentTypeError(
            "split_dataset() takes arrays, a PyDataset or any other iterable. Received: "
            f"{type(dataset).__name__}"
        )
    left, right = _sizes(total, left_size, right_size)
    rows = list(range(total))
    if shuffle:
        random.Random(seed if seed is not None else int(np.random.randint(2**31))).shuffle(rows)
    parts = rows[:left], rows[total - right :]
    if elements is None:
        found = [Samples(tree.map_structure(lambda a, part=part: a[part], arrays)) for part in parts]
    else:
        found = [Batches([elements[i] for i in part]) for part in parts]
    return found[0], found[1]


def _holds_arrays(dataset: Any) -> bool:
    if isinstance(dataset, (Mapping, tuple)):
        return True
    return isinstance(dataset, list) and bool(dataset) and len(getattr(dataset[0], "shape", ())) > 0


def _sizes(total: int, left: Any, right: Any) -> tuple[int, int]:
    if left is None and right is None:
        raise ArgumentError("split_dataset() needs `left_size` or `right_size`, at least one of them.")
    counts = []
    for name, size in (("left_size", left), ("right_size", right)):
        if size is None:
            counts.append(None)
            continue
        if isinstance(size, bool) or not isinstance(size, (int, float, np.number)):
            raise ArgumentTypeError(f"`{name}` must be an integer, a fraction or None. Received: {size!r}")
        fraction = isinstance(size, (float, np.floating))
        if not (0 < size < 1 if fraction else 0 < size < total):
            what = "a fraction between 0 and 1" if fraction else f"from 1 to {total - 1}, of {total} samples"
            raise ArgumentError(f"`{name}` must be {what}. Received: {size!r}")
        counts.append(round(size * total) if fraction else int(size))
    first = total - counts[1] if counts[0] is None else counts[0]
    second = total - first if counts[1] is None else counts[1]
    if first + second > total:
        raise ArgumentError(
            f"`left_size` and `right_size` ask for {first} + {second} samples, but there are only {total}."
        )
    if not first or not second:
        raise ArgumentError(
            f"Of {total} samples, left_size={left!r} and right_size={right!r} leave one part empty."
        )
    return first, second


class Windows(IndexedDataset):
    """Windows of a series, with the target of each."""

    def __init__(
        self, data: NDArray[Any], targets: NDArray[Any] | None, starts: NDArray[Any], steps: NDArray[Any],
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(len(starts), **options)
        self._data, self._values, self._starts, self._steps = data, targets, starts, steps

    def gather(self, rows: NDArray[Any], random: np.random.Generator) -> Any:
        starts = self._starts[rows]
        x = self._data[starts[:, None] + self._steps]
        return x if self._values is None else (x, self._values[starts])


@export("utils.timeseries_dataset_from_array", "preprocessing.timeseries_dataset_from_array")
def timeseries_dataset_from_array(
    data: ArrayLike,
    targets: ArrayLike | None,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> Windows:
    """Windows of a series of equally spaced measurements, as a data set.

    Args:
        data: the series, time first.
        targets: `targets[i]` belongs to the window that begins at `i`; None for none.
        sequence_length: steps in a window.
        sequence_stride: steps between the beginnings of two windows.
        sampling_rate: steps between two values in a window.
        batch_size: windows a batch; None gives single windows.
        shuffle: whether windows are shuffled, in each pass anew.
        seed: of the order.
        start_index: first step that is used.
        end_index: step after the last that is used.
        format: "tf" or "grain", accepted for compatibility.

    >>> windows = timeseries_dataset_from_array(np.arange(6), np.arange(6) * 10, sequence_length=3)
    >>> [(x.tolist(), y.tolist()) for x, y in windows]
    [([[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]], [0, 10, 20, 30])]
    """
    if format not in ("tf", "grain"):
        raise ArgumentError(f'`format` must be "tf" or "grain". Received: {format!r}')
    data = np.asarray(data)
    targets = None if targets is None else np.asarray(targets)
    for name, value in (
        ("sequence_length", sequence_length),
        ("sequence_stride", sequence_stride),
        ("sampling_rate", sampling_rate),
    ):
        if not isinstance(value, (int, np.integer)) or not 0 < value < len(data):
            raise ArgumentError(
                f"`{name}` must be an integer above 0 and below the length of the data, {len(data)}. "
                f"Received: {value!r}"
            )
    first, last = start_index or 0, len(data) if end_index is None else end_index
    if not 0 <= first < len(data) or not 0 < last <= len(data) or first >= last:
        raise ArgumentError(
            "`start_index` and `end_index` must be 0 <= start < end <= the length of the data, "
            f"{len(data)}. Received: {start_index!r} and {end_index!r}"
        )
    count = last - first - (sequence_length - 1) * sampling_rate
    if targets is not None:
        count = min(count, len(targets) - first)
    if count < 1:
        raise ArgumentError(
            f"{last - first} steps hold no window of {sequence_length} values, {sampling_rate} steps apart."
        )
    if shuffle and seed is None:
        seed = int(np.random.randint(2**31))
    starts = np.arange(first, first + count, sequence_stride)
    steps = np.arange(sequence_length) * sampling_rate
    return Windows(data, targets, starts, steps, batch_size=batch_size, shuffle=shuffle, seed=seed)
