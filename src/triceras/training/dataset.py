"""Data sets that compute their batches, and the threads and processes that work ahead.

A `PyDataset` has numbered batches, an `IndexedDataset` numbered samples, of which training chooses batches.

A lane is one thread that pulls from one iterator. Work in parallel is several lanes taken in turn; with
processes, each lane asks a process of its own, which hands its arrays over in a block of shared memory.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import multiprocessing
import os
import pickle
import queue
import secrets
import signal
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np

from triceras.core import tree
from triceras.core.errors import ArgumentError, ArgumentTypeError, StateError
from triceras.core.registry import export
from triceras.utils.sampling import Order, generator

_PATIENCE = 1.0  # seconds that a stopping thread or process gets before it is left behind or killed


@export("utils.PyDataset", "utils.Sequence")
class PyDataset:
    """A data set that computes batch `i` on request: subclass it, with `__getitem__` and `__len__`.

    Define the property `num_batches` instead of `__len__` where the count isn't a length; None means endless.
    With several `workers`, `__getitem__` runs in threads, or in processes where `use_multiprocessing` is
    true. Processes work on a copy of the data set (it must pickle), renewed at each epoch's start if
    `on_epoch_begin` or `on_epoch_end` is overridden; they start afresh, so a script needs `if __name__ ==
    "__main__":` around its training.

    Args:
        workers: threads or processes that compute batches ahead; 0 computes them in the training thread.
        use_multiprocessing: processes instead of threads.
        max_queue_size: batches that may wait, finished or in the making, at least one per worker.

    >>> class Squares(PyDataset):
    ...     def __len__(self):
    ...         return 2
    ...     def __getitem__(self, index):
    ...         x = np.arange(4) + 4 * index
    ...         return x, x**2
    >>> [y.tolist() for x, y in Squares(workers=2)]
    [[0, 1, 4, 9], [16, 25, 36, 49]]
    """

    # Defaults on the class serve subclasses whose constructor doesn't call this one.
    workers: int = 1
    use_multiprocessing: bool = False
    max_queue_size: int = 10

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        for name, value, least in (("workers", workers, 0), ("max_queue_size", max_queue_size, 1)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
                raise ArgumentTypeError(f"`{name}` of a PyDataset must be an integer. Received: {value!r}")
            if value < least:
                raise ArgumentError(f"`{name}` of a PyDataset must be at least {least}. Received: {value!r}")
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def __getitem__(self, index: int) -> Any:
        """Batch number `index`: x, (x,), (x, y) or (x, y, sample_weight)."""
        raise NotImplementedError(
            f"{type(self).__name__} must define __getitem__(index), which returns a whole batch."
        )

    @property
    def num_batches(self) -> int | None:
        """Batches in one pass over the data, or None if there is no end."""
        if hasattr(self, "__len__"):
            return len(self)
        raise NotImplementedError(
            f"{type(self).__name__} must define __len__() or the property `num_batches`: the number of "
            "batches, or None if there is no end."
        )

    def on_epoch_begin(self) -> None:
        """Called before the first batch of every epoch."""

    def on_epoch_end(self) -> None:
        """Called after the last batch of every epoch."""

    def __iter__(self) -> Iterator[Any]:
        count = self.num_batches
        for index in itertools.count() if count is None else range(count):
            yield self[index]


@dataclass(frozen=True)
class Job:
    """A batch of chosen samples: number of the pass, of the batch in it, and the samples' rows."""

    number: int
    position: int
    rows: np.ndarray


def jobs(rows: np.ndarray, batch_size: int, number: int, first: int = 0) -> list[Job]:
    """The batches of the rows, the first of which is batch number `first` of its pass."""
    starts = range(0, len(rows), batch_size)
    return [Job(number, first + i, rows[low : low + batch_size]) for i, low in enumerate(starts)]


@export("utils.IndexedDataset")
class IndexedDataset(PyDataset):
    """A `PyDataset` of numbered samples, which computes a batch of any of them: define `gather`.

    Training chooses the samples of each batch: in a new order each epoch, a function of seed and epoch, or
    all classes evenly with `fit(balance=True)`. `evaluate` and `predict` take them as they stand; iterating
    gives the next shuffled pass each time if `shuffle` is true.

    Args:
        samples: how many there are.
        batch_size: samples a batch; None gives single samples when iterating, and batches of one in training.
        shuffle: whether passes are shuffled.
        seed: of the order and of what `gather` draws; None lets `fit` choose.
        labels: the class of each sample, where it is known.
        **options: `workers`, `use_multiprocessing`, `max_queue_size`, as for `PyDataset`.

    >>> class Squares(IndexedDataset):
    ...     def gather(self, rows, random):
    ...         return rows, rows**2
    >>> [y.tolist() for x, y in Squares(samples=5, batch_size=3)]
    [[0, 1, 4], [9, 16]]
    """

    prepare: Callable[[Any], Any] | None = None  # what a compiled step does with a gathered batch first
    arrays: Any = None  # all samples as `gather` would give them, once they lie in memory

    def __init__(
        self,
        samples: int,
        batch_size: int | None = 32,
        shuffle: bool = False,
        seed: int | None = None,
        labels: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.samples, self.shuffled, self.seed, self.labels = int(samples), bool(shuffle), seed, labels
        self._passes = 0
        self._cut(batch_size)

    def _cut(self, batch_size: int | None) -> None:
        if batch_size is not None and (not isinstance(batch_size, (int, np.integer)) or batch_size < 1):
            raise ArgumentError(
                f"`batch_size` must be a positive integer or None. Received: batch_size={batch_size!r}"
            )
        self._single, self.batch_size = batch_size is None, int(batch_size or 1)

    def _copy(self, **changes: Any) -> Any:
        """Another view of the same samples."""
        found = copy.copy(self)
        found.__dict__.update(changes)
        return found

    def batch(self, batch_size: int) -> Any:
        """The same samples in batches of another size."""
        found = self._copy()
        found._cut(batch_size)
        return found

    def gather(self, rows: np.ndarray, random: np.random.Generator) -> Any:
        """The batch of the given samples.

        Args:
            rows: numbers of samples.
            random: for whatever is random; it depends on seed, epoch and batch, and so not on workers.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define gather(rows, random), which returns a batch of those samples."
        )

    def __len__(self) -> int:
        return -(-self.samples // self.batch_size)

    def do(self, job: Job, seed: int | None = None) -> Any:
        """The batch of a job."""
        seed = self.seed if seed is None else seed
        return self.gather(job.rows, generator(seed or 0, job.number, job.position, 2))

    def _jobs(self) -> list[Job]:
        """All batches of the pass that is next."""
        order = Order(self.samples, self.batch_size, self.shuffled, self.seed or 0)
        return jobs(order.rows(self._passes), self.batch_size, self._passes)

    def _shown(self, job: Job) -> Any:
        batch = self._finished(self.do(job))
        return tree.map_structure(lambda a: a[0], batch, none_is_leaf=False) if self._single else batch

    def _finished(self, batch: Any) -> Any:
        """A gathered batch as users see it, with what `prepare` does."""
        return batch

    def __getitem__(self, index: int) -> Any:
        return self._shown(self._jobs()[index])

    def __iter__(self) -> Iterator[Any]:
        todo = self._jobs()
        self._passes += 1
        crew = Crew(self, self._shown)
        try:
            yield from crew.batches(todo)
        finally:
            crew.close()

    def _stored(self, job: Job, batch: Any) -> None:
        """Hears of every batch that a worker process has computed."""


class RowsOfBatches(IndexedDataset):
    """The samples of a data set that only knows whole batches: each batch with one of them is computed."""

    def __init__(self, dataset: PyDataset, labels: Any) -> None:
        batches, size = dataset.num_batches, getattr(dataset, "batch_size", None)
        first = None if size else tree.flatten(dataset[0])[0]
        size = int(size or len(first))
        if batches is None or -(-len(labels) // size) != batches:
            raise ArgumentError(
                f"{type(dataset).__name__} has {batches} batches of {size}, but {len(labels)} labels. "
                "There must be one for each sample, in the order of the batches."
            )
        super().__init__(
            len(labels),
            size,
            labels=labels,
            workers=dataset.workers,
            use_multiprocessing=dataset.use_multiprocessing,
            max_queue_size=dataset.max_queue_size,
        )
        self._dataset = dataset
        self.on_epoch_begin, self.on_epoch_end = dataset.on_epoch_begin, dataset.on_epoch_end

    def gather(self, rows: np.ndarray, random: np.random.Generator) -> Any:
        numbers, places = np.divmod(rows, self.batch_size)
        batches = {number: self._dataset[number] for number in np.unique(numbers).tolist()}
        parts = [
            tree.map_structure(lambda a, p=place: np.asarray(a[p]), batches[number], none_is_leaf=False)
            for number, place in zip(numbers.tolist(), places.tolist(), strict=True)
        ]
        return tree.map_structure(lambda *leaves: np.stack(leaves), *parts, none_is_leaf=False)


class Crew:
    """Computes the batches of a `PyDataset` ahead, with the workers that its attributes ask for.

    Args:
        compute: gives the batch of a number or job, a tree of arrays; it must pickle if processes call it.
    """

    def __init__(self, dataset: PyDataset, compute: Callable[[Any], Any]) -> None:
        self._dataset, self._compute = dataset, compute
        self._name = type(dataset).__name__
        self._processes: list[Process] = []

    def batches(self, indices: Sequence[Any]) -> Iterator[Any]:
        """The batches of the given numbers or jobs, in their order."""
        if self._dataset.workers == 0:
            yield from map(self._compute, indices)
            return
        count = min(self._dataset.workers, len(indices))
        shares = [indices[start::count] for start in range(count)]
        if self._dataset.use_multiprocessing:
            sources = self._in_processes(shares)
        else:
            sources = [map(self._compute, share) for share in shares]
        lanes = [Lane(source, -(-self._dataset.max_queue_size // count)) for source in sources]
        finished = False
        try:
            yield from _take_in_turn(lanes)
            finished = True
        finally:
            if not finished:  # processes may be in the middle of a batch that nobody wants
                self.close()
            for lane in lanes:
                lane.stop()
            for lane in lanes:
                lane.close(_PATIENCE / count)

    def _in_processes(self, shares: list[Sequence[Any]]) -> list[Iterator[Any]]:
        kind, pickled = type(self._dataset), None
        changes = (kind.on_epoch_begin, kind.on_epoch_end) != (
            PyDataset.on_epoch_begin,
            PyDataset.on_epoch_end,
        )
        if changes or len(self._processes) < len(shares):
            try:
                pickled = pickle.dumps(self._compute)
            except Exception as error:
                raise ArgumentError(
                    f"{self._name} can't be sent to worker processes, because it doesn't pickle: {error}. "
                    "Keep open files, locks and lambdas out of its attributes, or set "
                    "`use_multiprocessing=False`."
                ) from error
        while len(self._processes) < len(shares):
            self._processes.append(Process(self._name))
        return [process.run(pickled, share) for process, share in zip(self._processes, shares, strict=False)]

    def close(self) -> None:
        """End the processes; the next epoch starts new ones."""
        while self._processes:
            self._processes.pop().close()


class _Belt:
    """What a lane and its thread share; the thread knows no more, so that a forgotten lane is collected."""

    def __init__(self) -> None:
        self.permits = threading.Semaphore(0)
        self.results: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()
        self.stopped = False

    def run(self, source: Iterable[Any]) -> None:
        try:
            items = iter(source)
            while self.permits.acquire() and not self.stopped:
                self.results.put((True, next(items)))
        except StopIteration:
            self.results.put((False, None))
        except BaseException as error:  # whatever ends the thread must reach the one who waits
            self.results.put((False, error))

    def stop(self) -> None:
        self.stopped = True
        self.permits.release()


class Lane:
    """Pulls from an iterable in a thread, at most `depth` items ahead and never more than were asked for."""

    def __init__(self, source: Iterable[Any], depth: int) -> None:
        belt = self._belt = _Belt()
        self._depth, self._ahead, self.ended = depth, 0, False
        self._thread = threading.Thread(target=belt.run, args=(source,), name="triceras-data", daemon=True)
        self._thread.start()
        self.stop = weakref.finalize(self, belt.stop)

    def take(self, count: int | None = None) -> Iterator[Any]:
        """The next `count` items, or all; work on them begins now. An error of the source is raised here."""
        self._allow(count)
        return self._collect(count)

    def _allow(self, remaining: int | None) -> None:
        wanted = self._depth if remaining is None else min(self._depth, remaining)
        if wanted > self._ahead:
            self._belt.permits.release(wanted - self._ahead)
            self._ahead = wanted

    def _collect(self, count: int | None) -> Iterator[Any]:
        for taken in itertools.count() if count is None else range(count):
            if self.ended:
                return
            self._allow(None if count is None else count - taken)
            found, item = self._belt.results.get()
            self._ahead -= 1
            if found:
                yield item
                continue
            self.close()
            if item is not None:
                try:
                    raise item
                finally:
                    del item  # the traceback holds this frame

    def close(self, patience: float = _PATIENCE) -> None:
        """Stop pulling and drop what was not taken. A thread that stays busy is left behind after a while."""
        self.ended = True
        self.stop()
        self._thread.join(patience)


def _take_in_turn(lanes: Sequence[Lane]) -> Iterator[Any]:
    """Items of several lanes, one of each in turn, until one has no more."""
    for items in itertools.cycle([lane.take() for lane in lanes]):
        for item in items:
            yield item
            break
        else:
            return


@dataclass(frozen=True)
class _Place:
    """Where one array lies in a block."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype

    def view(self, block: SharedMemory) -> np.ndarray:
        return np.ndarray(self.shape, self.dtype, buffer=block.buf, offset=self.offset)


@dataclass(frozen=True)
class _Failure:
    """An exception of a worker process, where it pickles, and its traceback."""

    error: Exception | None
    text: str


class Process:
    """A fresh operating-system process that computes batches with a pickled function of the batch's index."""

    def __init__(self, name: str) -> None:
        context = multiprocessing.get_context(
            "spawn"
        )  # a forked copy of a process with an engine's threads can lock up
        self._name, self._block = name, None
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), name="triceras-data", daemon=True)
        self._process.start()
        theirs.close()

    def run(self, pickled: bytes | None, indices: Iterable[Any]) -> Iterator[Any]:
        """Batches of the given numbers or jobs, by the pickled function; None means the one that is there."""
        if pickled is not None:
            self._ask(pickled, "starting")
        for index in indices:
            name, layout = self._ask(index, f"computing batch {getattr(index, 'position', index)}")
            if self._block is None or self._block.name != name:
                self._release()
                self._block = SharedMemory(name)
            # The process writes the next batch into the same block, so this one is copied out.
            yield tree.map_structure(lambda place: place.view(self._block).copy(), layout, none_is_leaf=False)

    def _ask(self, message: Any, doing: str) -> Any:
        try:
            self._connection.send(message)
            reply = self._connection.recv()
        except (EOFError, OSError) as error:
            self._process.join(_PATIENCE)
            raise StateError(
                f"A worker process of {self._name} ended while {doing} (exit code {self._process.exitcode}). "
                'If this is a script, call training below `if __name__ == "__main__":`, since worker '
                "processes import the script; else look for a crash or lack of memory, or set "
                "`use_multiprocessing=False`."
            ) from error
        if isinstance(reply, _Failure):
            failure = StateError(f"A worker process of {self._name} failed while {doing}:\n{reply.text}")
            if reply.error is None:
                raise failure
            raise reply.error from failure
        return reply

    def _release(self) -> None:
        if self._block is not None:
            self._block.close()

    def close(self) -> None:
        """End the process, whatever it is doing, and free its memory."""
        self._process.terminate()
        if sys.is_finalizing():  # joining imports, which can't be done any more
            return
        self._process.join(_PATIENCE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._connection.close()
        self._release()
        if self._block is not None:
            with contextlib.suppress(FileNotFoundError):  # a process that could clean up has done so
                self._block.unlink()


def _serve(connection: Any) -> None:
    """The life of a worker process: take a function, then an index at a time, until the other side closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C belongs to the training process
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # so that the block below is freed
    compute: Callable[[int], Any] | None = None
    with contextlib.closing(_Block()) as block:
        while True:
            try:
                message = connection.recv()
            except (EOFError, OSError):
                return
            try:
                if isinstance(message, bytes):
                    compute, reply = pickle.loads(message), None
                else:
                    reply = block.fill(compute(message))
            except Exception as error:
                reply = _Failure(_if_it_pickles(error), traceback.format_exc())
            connection.send(reply)


class _Block:
    """A worker's shared memory, as large as its largest batch so far."""

    def __init__(self) -> None:
        self._memory: SharedMemory | None = None

    def fill(self, batch: Any) -> tuple[str, Any]:
        """Copy a tree of arrays into the block; returns the block's name and the tree of places."""
        size = 0

        def reserve(array: np.ndarray) -> _Place:
            nonlocal size
            place = _Place(size, array.shape, array.dtype)
            size += -(-array.nbytes // 64) * 64
            return place

        layout = tree.map_structure(reserve, batch, none_is_leaf=False)
        if self._memory is None or self._memory.size < size:
            self.close()
            name = f"triceras_{os.getppid()}_{secrets.token_hex(4)}"
            self._memory = SharedMemory(name, create=True, size=max(size, 1))
        for place, array in zip(tree.flatten(layout), tree.flatten(batch), strict=True):
            if array is not None:
                place.view(self._memory)[...] = array
        return self._memory.name, layout

    def close(self) -> None:
        if self._memory is not None:
            self._memory.close()
            self._memory.unlink()
            self._memory = None


def _if_it_pickles(error: Exception) -> Exception | None:
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:
        return None
