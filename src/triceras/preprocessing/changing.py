"""Data sets of files that can be changed, cut and shuffled, as `tf.data.Dataset`s can."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np

from triceras import ops
from triceras.core import tree
from triceras.core.errors import ArgumentError
from triceras.training.dataset import IndexedDataset, PyDataset


class Values(np.ndarray):
    """An array that also has the `numpy()` of a tensor, as programs written for `tf.data` call it."""

    def numpy(self) -> Any:
        """The plain array, or the number if there is only one."""
        return self.view(np.ndarray)[()]

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return np.asarray(found).view(Values) if isinstance(found, np.generic) else found

    def __hash__(self) -> int:
        """Of a single number; raises TypeError for others, as for any array."""
        return hash(self.item()) if self.ndim == 0 else hash(self.view(np.ndarray))


def _values(batch: Any) -> Any:
    def view(x: Any) -> Any:
        return np.asarray(x).view(Values) if isinstance(x, (np.ndarray, np.generic)) else x

    return tree.map_structure(view, batch, none_is_leaf=False)


class FileDataset(IndexedDataset):
    """Samples in files, in batches, and the functions that change these.

    Attributes:
        file_paths: the files, in the order of `labels` and of what `evaluate` and `predict` see.
        labels: class numbers, or None.
        class_names: names of the classes in the order of their numbers, or None.
    """

    file_paths: list[str]
    class_names: list[str] | None
    _changes: tuple[Change, ...] = ()

    def changed(self, batch: Any, random: np.random.Generator) -> Any:
        """A gathered batch after all functions."""
        for change in self._changes:
            batch = change(self._finished(batch), random)
        return batch

    def __getitem__(self, index: int) -> Any:
        return _values(super().__getitem__(index))

    def __iter__(self) -> Iterator[Any]:
        yield from map(_values, super().__iter__())

    def as_numpy_iterator(self) -> Iterator[Any]:
        """The batches of a pass, as arrays, which they always are."""
        return iter(self)

    def cardinality(self) -> Any:
        """The number of batches."""
        return _values(np.asarray(len(self)))

    def unbatch(self) -> Self:
        """The same samples, one by one."""
        found = self._copy()
        found._cut(None)
        return found

    def map(self, function: Callable[..., Any], num_parallel_calls: Any = None) -> Self:
        """The batches that a function makes of batches.

        Args:
            function: of `x` and `y`, or of `x` alone where there are no labels, as arrays.
            num_parallel_calls: accepted for compatibility; `workers` decides.
        """
        return self._copy(_changes=(*self._changes, Change(function, whole=True)))

    def shuffle(self, buffer_size: Any = None, seed: int | None = None) -> Self:
        """The same samples in a new order each pass.

        Args:
            buffer_size: accepted for compatibility; all samples are shuffled.
            seed: of the order; None keeps the one that there is.
        """
        return self._copy(shuffled=True, seed=self.seed if seed is None else seed)

    def take(self, count: int) -> PyDataset:
        """The first batches of each pass."""
        return _Part(self, 0, count)

    def skip(self, count: int) -> PyDataset:
        """All batches but the first ones of each pass."""
        return _Part(self, count, None)

    def cache(self, filename: str = "") -> Self:
        """The data set itself: what is kept of it is kept in memory, and never in files."""
        if filename:
            raise ArgumentError(f"cache() keeps data in memory alone. Received: filename={filename!r}")
        return self

    def prefetch(self, buffer_size: Any = None) -> Self:
        """The data set itself: batches are always computed ahead."""
        return self


class Change:
    """A user's function, applied to batches or to their images alone."""

    def __init__(self, function: Callable[..., Any], whole: bool) -> None:
        self._function, self._whole = function, whole
        try:
            self._draws = "random" in inspect.signature(function).parameters
        except (TypeError, ValueError):
            self._draws = False
        self._lock = threading.Lock()

    def __call__(self, batch: Any, random: np.random.Generator) -> Any:
        options = {"random": random} if self._draws else {}
        if self._whole:
            return _arrays(self._function(*(batch if isinstance(batch, tuple) else (batch,)), **options))
        x, *rest = batch if isinstance(batch, tuple) else (batch,)
        variables = getattr(self._function, "variables", ())
        sources = [v for v in variables if v.path.endswith("seed_generator_state")]
        if sources:  # a layer draws from its own state, which is set here
            with self._lock:
                for source in sources:
                    source.assign(np.array([random.integers(2**32), 0], "uint32"))
                x = _arrays(self._function(x))
        else:
            x = _arrays(self._function(x, **options))
        return (x, *rest) if isinstance(batch, tuple) else x

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state | {"_lock": threading.Lock()}


def _arrays(batch: Any) -> Any:
    return tree.map_structure(ops.convert_to_numpy, batch, none_is_leaf=False)


class _Part(PyDataset):
    """Some of the batches of each pass over a data set."""

    def __init__(self, dataset: FileDataset, start: int, count: int | None) -> None:
        super().__init__(dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size)
        self._dataset = dataset
        self._range = range(len(dataset))[start:][:count]

    def __len__(self) -> int:
        return len(self._range)

    def __getitem__(self, index: int) -> Any:
        return self._dataset[self._range[index]]

    def on_epoch_end(self) -> None:
        self._dataset._passes += 1

    def __iter__(self) -> Any:
        yield from super().__iter__()
        self._dataset._passes += 1
