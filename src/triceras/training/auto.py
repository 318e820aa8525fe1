"""`fit(engine="auto")`: time a few real steps on each installed engine, and go on with the fastest."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import repeat
from typing import Any

from triceras import random
from triceras.core import tree
from triceras.engine import selection
from triceras.engine.captured import patience
from triceras.engine.journal import Journal
from triceras.moving import Move
from triceras.training.callbacks import Callback, CallbackList
from triceras.training.feed import ArrayFeed, Batch, Feed, _samples
from triceras.training.progress import message
from triceras.utils.sampling import Order

MOST_STEPS = 20
MOST_SECONDS = 0.5


class _Listener(Callback):
    """Makes the loop run as it does for callbacks that hear of every batch."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        pass


class _Again(Feed):
    """The same batch some times, for sources of which only the first batch may be looked at."""

    def __init__(self, batch: Batch, steps: int) -> None:
        super().__init__(steps)
        self._batch = batch

    @property
    def steps(self) -> int:
        return self._limit

    def epoch(self, epoch: int = 0) -> Iterator[Batch]:
        return repeat(self._batch, self.steps)


def choose(model: Any, feed: Feed, epoch: int, listening: bool, verbose: bool) -> None:
    """Move a model to the engine on which its training steps take least time; its state stays what it was.

    Args:
        model: compiled and built.
        feed: the data of the run.
        epoch: the run's first.
        listening: whether callbacks hear of every batch.
        verbose: whether to print what was measured.

    Raises:
        Exception: what the first engine raised, if none could train it.
    """
    bound = next((layer for layer in model._flatten_layers() if layer.runs_on), None)
    if bound is not None:
        if verbose:
            message(f"Training on {model.engine}, the only engine on which layer {bound.path!r} can be.")
        return
    names = [n for n in selection.MODULES if selection.installed(n) and selection.get(n).differentiates]
    seconds: dict[str, float] = {}
    moves: dict[str, Move] = {}
    failed: dict[str, Exception] = {}
    first = feed.example(epoch)
    with random.undisturbed() as drew:
        for name in names:
            moves[name] = move = Move(selection.get(name), copy=True)
            try:
                move.visit(model)
                with patience(False):
                    seconds[name] = _seconds_a_step(model, feed, first, listening)
            except Exception as error:
                failed[name] = error
            move.swap()
    if not seconds:
        raise next(iter(failed.values()))
    best = min(seconds, key=seconds.__getitem__)
    values = [v.numpy() for v in moves[best].variables]
    moves[best].swap()
    for variable, value in zip(moves[best].variables, values, strict=True):
        variable.assign(value)
    if drew():  # the step drew from a default source that is forgotten
        model._loops.clear()
    found = ", ".join(
        [f"{n} {1000 * s:.3g} ms" for n, s in sorted(seconds.items(), key=lambda item: item[1])]
        + [f"{n} failed ({' '.join(str(error).split())[:100]})" for n, error in failed.items()]
    )
    journal = Journal()
    journal.note("choice", f"a step takes: {found}")
    model._journals.append(("fit", best, journal))
    if verbose:
        message(f"Training on {best}. A step takes: {found}.")


def _seconds_a_step(model: Any, feed: Feed, first: Batch, listening: bool) -> float:
    """Time of a step after the first one, which compiles."""

    def run(steps: int) -> float:
        batches = (
            _Again(first, steps)
            if arrays is None
            else ArrayFeed(arrays, Order(_samples(arrays), feed.batch_size, False, 0), steps)
        )
        began = time.perf_counter()
        loop.epoch(batches, 0, CallbackList([_Listener()] if listening else []), model)
        return (time.perf_counter() - began) / steps

    with model._home():
        loop = model._loop("train")
        most, arrays = MOST_STEPS, None
        in_memory = feed.arrays is not None and feed.prepare is None
        if in_memory and len(tree.flatten(feed.arrays)[0]) >= feed.batch_size:
            most = min(most, len(tree.flatten(feed.arrays)[0]) // feed.batch_size)
            rows = most * feed.batch_size
            arrays = tree.map_structure(lambda a: a if a is None else a[:rows], feed.arrays)
        run(1)
        once = run(1)
        steps = int(min(MOST_SECONDS / once, most))
        try:
            return min(once, run(steps)) if steps > 1 else once
        finally:
            loop.close()
