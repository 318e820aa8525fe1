"""The one loop behind fit, evaluate and predict: a compiled step over batches, many at once where allowed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np

from triceras.core import tree
from triceras.core.dtypes import BYTES, standardize_dtype
from triceras.engine import selection
from triceras.engine.contract import Engine
from triceras.engine.journal import Journal
from triceras.engine.memory import give_back_after
from triceras.training.callbacks import CallbackList
from triceras.training.feed import Feed

RESIDENT_BYTES = 4 << 30  # data up to this size is kept on the device
MOST_STEPS = 32  # steps in one dispatch
AHEAD = 4  # batches of a prediction that may be under way
MOST_BYTES = 64 << 20  # data of one dispatch
LONGEST_DISPATCH = 0.1  # seconds, so that displays stay alive


class Loop:
    """A step of one mode, run batch by batch or many in a dispatch; the state is live after every dispatch.

    Args:
        engine: the model's engine.
        fn: the step, a function of a batch.
        state: the variables it reads and assigns.
        mode: "train", "test" or "predict".
        eager: why the step runs as plain Python, or "" to compile it.
        check: looks at data on the host before it is used, and raises if it can't be right.
        renewed: why an earlier step of this mode doesn't do, if there was one.
    """

    def __init__(
        self,
        engine: Engine,
        fn: Callable[..., Any],
        state: Sequence[Any],
        mode: str,
        eager: str,
        check: Callable[[Any], None],
        renewed: str = "",
    ) -> None:
        self.engine, self.mode, self.eager, self.check, self.state = engine, mode, eager, check, state
        self._step = fn if eager else engine.compile(fn, state, donate=mode == "train")
        self._many = (
            None if eager or mode == "predict" else engine.compile_loop(fn, state, donate=mode == "train")
        )
        self._journal = Journal()
        if renewed:
            self._journal.note("renewal", renewed)
        if eager or not hasattr(self._step, "journal"):
            self._journal.note("eager", eager or f"the {engine} engine compiles nothing")
        self._resident: tuple[Any, Any] | None = None
        give_back_after(self)

    @property
    def journals(self) -> Iterator[tuple[str, str, Journal]]:
        """What happened: a name, the engine's name, and the journal of each part."""
        for what, part in (("step", self._step), ("loop", self._many)):
            journal = getattr(part, "journal", None)
            if journal is not None:
                yield f"{self.mode} {what}", self.engine.name, journal
        yield self.mode, self.engine.name, self._journal

    def step(self, batch: Any) -> Any:
        """One step on one batch of arrays."""
        self.check(batch)
        return self._step(*tree.map_structure(self._tensor, batch))

    def _tensor(self, x: Any) -> Any:
        x = self._data(x)
        compiled = isinstance(x, np.ndarray) and not self.eager  # compiled steps upload by themselves
        return x if x is None or compiled else self.engine.make(x)

    def _data(self, x: Any) -> Any:
        """Data of the user's; tensors of other engines become arrays."""
        owner = selection.engine_of(type(x))
        return x if owner is None or owner is self.engine else owner.to_numpy(x)

    def epoch(self, feed: Feed, epoch: int, callbacks: CallbackList, model: Any) -> dict[str, Any]:
        """All batches of an epoch; returns what the last one logged."""
        size = _size(feed.arrays)
        if feed.arrays is None or self._many is None or size > RESIDENT_BYTES:
            dispatches = self._stream(feed, epoch, callbacks)
        else:
            dispatches = self._supersteps(feed, epoch, callbacks, getattr(model, "steps_per_execution", 1))
        listening = callbacks.listens_to_batches(self.mode)
        listeners = ", ".join(type(c).__name__ for c in callbacks.batch_listeners(self.mode))
        before: Any = None
        logs: Any = {}
        with closing(dispatches):
            for done, logs in dispatches:
                if listening:
                    getattr(callbacks, f"on_{self.mode}_batch_end")(
                        done - 1, self._floats(logs, f"callbacks get the numbers of every batch: {listeners}")
                    )
                    if self.mode == "train" and model.stop_training:
                        break
                else:
                    self.engine.synchronize(before)  # the host stays one dispatch ahead, no more
                    before = logs
                    shown = partial(self._floats, logs, "the display showed numbers")
                    callbacks.on_dispatch(self.mode, done, feed.steps, shown)
        return self._floats(logs, "the end of an epoch")

    def _floats(self, logs: Any, why: str) -> dict[str, Any]:
        """Numbers, for which the host waits."""
        self._journal.note("sync", why)
        return {k: _number(self.engine.to_numpy(v)) for k, v in (logs or {}).items()}

    def _begin(self, callbacks: CallbackList, step: int) -> None:
        if callbacks.listens_to_batches(self.mode):
            getattr(callbacks, f"on_{self.mode}_batch_begin")(step)

    def _stream(self, feed: Feed, epoch: int, callbacks: CallbackList) -> Iterator[tuple[int, Any]]:
        for done, batch in enumerate(feed.batches(epoch)):
            self._begin(callbacks, done)
            yield done + 1, self.step(batch)

    def _supersteps(
        self, feed: Feed, epoch: int, callbacks: CallbackList, per_execution: int
    ) -> Iterator[tuple[int, Any]]:
        """Data in memory; steps a dispatch grow while a dispatch stays short."""
        data = self._load(feed.arrays)
        order = feed.order(epoch)
        whole, rest = divmod(len(order), feed.batch_size)
        rows = order[: whole * feed.batch_size].reshape(whole, feed.batch_size)
        listening = callbacks.listens_to_batches(self.mode)
        size = _size(tree.map_structure(lambda a: a if a is None else a[:1], feed.arrays)) * feed.batch_size
        most = per_execution if listening else max(1, min(MOST_STEPS, MOST_BYTES // max(size, 1)))
        done, k = 0, per_execution if listening else 1
        while done < whole:
            n = min(k, whole - done)
            index = np.zeros((most, feed.batch_size), np.int32)
            index[:n] = rows[done : done + n]
            self._begin(callbacks, done)
            began = time.perf_counter()
            logs = self._many(data, index, n)
            done += n
            yield done, logs
            took = time.perf_counter() - began
            if k < most and not listening and took < LONGEST_DISPATCH / 2:
                k = min(2 * k, most)
        if rest:
            self._begin(callbacks, done)
            yield done + 1, self._many(data, order[whole * feed.batch_size :][None].astype(np.int32), 1)

    def _load(self, arrays: Any) -> Any:
        """The data on the device; kept for the next epoch."""
        if self._resident is None or self._resident[0] is not arrays:
            self.check(arrays)
            self._resident = None
            self._resident = (arrays, self._many.load(tree.map_structure(self._data, arrays)))
        return self._resident[1]

    def close(self) -> None:
        """Forget the data."""
        self._resident = None

    def collect(self, feed: Feed, callbacks: CallbackList, model: Any) -> Any:
        """The step's outputs over all batches, joined, as NumPy arrays."""
        listening = callbacks.listens_to_batches(self.mode)
        parts: list[list[Any]] = []
        structure: Any = None
        for done, batch in enumerate(feed.batches()):
            self._begin(callbacks, done)
            structure = self.step(batch)
            parts.append(tree.flatten(structure))
            if listening:
                outputs = tree.map_structure(self.engine.to_numpy, structure)
                callbacks.on_predict_batch_end(done, {"outputs": outputs})
            else:
                if done >= AHEAD:
                    self.engine.synchronize(parts[-AHEAD])
                callbacks.on_dispatch(self.mode, done + 1, feed.steps, dict)
        columns = [
            np.concatenate([self.engine.to_numpy(x) for x in column]) for column in zip(*parts, strict=True)
        ]
        return tree.pack_sequence_as(structure, columns)


def _size(arrays: Any) -> int:
    """Bytes of arrays and tensors."""
    found = [a for a in tree.flatten(arrays) if a is not None]
    return sum(math.prod(a.shape) * BYTES.get(standardize_dtype(a.dtype), 8) for a in found)


def _number(value: np.ndarray) -> Any:
    return value.item() if np.ndim(value) == 0 else value
