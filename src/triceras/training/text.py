"""Text in the data for a model: layers make numbers of it on the host, batch by batch, before a step gets it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from triceras.core import config, tree
from triceras.training.dataset import IndexedDataset, PyDataset
from triceras.training.feed import Intake, is_stream, pack_x_y_sample_weight, unpack_x_y_sample_weight

Change = Callable[[Any], Any]


class FromText(NamedTuple):
    """The inputs of a model after the layers that take its text."""

    tensors: tuple[Any, ...]


def without_text(
    before: Change, x: Any, y: Any, sample_weight: Any, options: dict[str, Any]
) -> tuple[Any, Any, Any, dict[str, Any]]:
    """Data whose batches hold numbers instead of text.

    Args:
        before: makes numbers of the inputs of a batch.
        x: the inputs, or a source of batches.
        y: targets.
        sample_weight: weights.
        options: of `make_feed`, which are returned as they are to be.
    """
    if isinstance(x, IndexedDataset):
        return _Samples(x, before), y, sample_weight, options
    if isinstance(x, PyDataset):
        return _Batches(x, before), y, sample_weight, options
    if is_stream(x):
        source = map(_changed(before), x) if hasattr(x, "__next__") else _Stream(x, before)
        return source, y, sample_weight, options
    arrays = Intake(None, config.floatx(), text=True)(x, y, sample_weight)
    samples = _Samples(_InMemory(arrays, options.get("batch_size") or 32), before)
    return samples, None, None, options | {"batch_size": None}


def _changed(before: Change) -> Change:
    def change(batch: Any) -> Any:
        x, y, sample_weight = unpack_x_y_sample_weight(batch)
        if sample_weight is not None:
            return before(x), y, sample_weight
        return pack_x_y_sample_weight(before(x), y)

    return change


class _InMemory(IndexedDataset):
    """Samples in arrays."""

    def __init__(self, arrays: tuple[Any, ...], batch_size: int) -> None:
        labels = arrays[1] if len(arrays) > 1 and not tree.is_nested(arrays[1]) else None
        super().__init__(len(tree.flatten(arrays)[0]), batch_size, shuffle=True, labels=labels)
        self._data = arrays

    def gather(self, rows: NDArray[Any], random: np.random.Generator) -> Any:
        return tree.map_structure(lambda a: a if a is None else a[rows], self._data)


class _Samples(IndexedDataset):
    """The samples of a data set, after a change of each batch."""

    def __init__(self, source: IndexedDataset, before: Change) -> None:
        options = {name: getattr(source, name) for name in ("seed", "labels", "max_queue_size")}
        super().__init__(source.samples, source.batch_size, source.shuffled, workers=1, **options)
        self._source, self._change = source, _changed(before)
        self.on_epoch_begin, self.on_epoch_end = source.on_epoch_begin, source.on_epoch_end  # type: ignore[method-assign]

    def gather(self, rows: NDArray[Any], random: np.random.Generator) -> Any:
        return self._change(self._source._finished(self._source.gather(rows, random)))


class _Batches(PyDataset):
    """The batches of a data set, after a change of each."""

    def __init__(self, source: PyDataset, before: Change) -> None:
        super().__init__(min(source.workers, 1), max_queue_size=source.max_queue_size)
        self._source, self._change = source, _changed(before)
        self.on_epoch_begin, self.on_epoch_end = source.on_epoch_begin, source.on_epoch_end  # type: ignore[method-assign]

    @property
    def num_batches(self) -> int | None:
        return self._source.num_batches

    def __getitem__(self, index: int) -> Any:
        return self._change(self._source[index])


class _Stream:
    """Batches from an iterable, after a change of each."""

    def __init__(self, source: Iterable[Any], before: Change) -> None:
        self._source, self._change = source, _changed(before)

    def __iter__(self) -> Iterator[Any]:
        return map(self._change, self._source)

    def __len__(self) -> int:
        return len(self._source)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)
