"""Compiled steps of engines that capture a graph for each signature; what can't be captured runs as plain Python."""

from __future__ import annotations

import itertools
import math
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from triceras.core import tree
from triceras.core.errors import TricerasError
from triceras.core.scope import Local
from triceras.engine.journal import Journal, described

# whether steps of which capturing takes long begin as plain Python
patience: Local[bool] = Local("patience", True)


class Plain:
    """What runs for a signature that isn't captured.

    Args:
        step: whose function runs.
        structure: that of its arguments.
        enough: seconds of running before capturing is tried: about what that takes.
    """

    def __init__(self, step: CapturedStep, structure: Any, enough: float) -> None:
        self._step, self._structure, self._left = step, structure, enough

    @property
    def waits(self) -> bool:
        """Whether it goes on as it is."""
        return self._left > 0

    def __call__(self, leaves: list[Any]) -> Any:
        began = time.perf_counter()
        result = self._step.plain(*tree.join(self._structure, leaves))
        self._left -= time.perf_counter() - began
        return result

    def through(self, batches: Iterable[list[Any]]) -> Any:
        """What the last of some steps returns."""
        result, batches = None, iter(batches)
        for leaves in batches:
            if not self.waits:
                run = self._step.found(leaves, self._structure)
                return run.through(itertools.chain([leaves], batches))
            result = self(leaves)
        return result


class CapturedStep(ABC):
    """A function of tensors that reads and assigns variables.

    Args:
        fn: plain Python over ops.
        variables: its state.
        donate: whether old values of the state may be overwritten in place.
    """

    price = 0.0  # about how many seconds capturing takes for each variable, if it takes long

    def __init__(self, fn: Callable[..., Any], variables: Sequence[Any], donate: bool) -> None:
        self.fn, self.variables, self.donate = fn, list(variables), donate
        self.journal = Journal()
        self._runs: dict[Any, Callable[[list[Any]], Any]] = {}

    @staticmethod
    @abstractmethod
    def upload(array: np.ndarray) -> Any:
        """An array of data as a tensor."""

    @abstractmethod
    def capture(self, leaves: list[Any], structure: Any) -> tuple[Callable[[list[Any]], Any], str]:
        """The function for arguments of this form, as a function of their leaves; and why it was captured anew."""

    def __call__(self, *args: Any) -> Any:
        leaves, structure = tree.split(args)
        leaves = [self.upload(x) if isinstance(x, np.ndarray) else x for x in leaves]
        return self.found(leaves, structure)(leaves)

    def found(self, leaves: list[Any], structure: Any) -> Callable[[list[Any]], Any]:
        """What runs for tensors of these forms: the captured function, else a `Plain` one."""
        signature = (structure, *((x.shape, x.dtype) if hasattr(x, "shape") else x for x in leaves))
        run = self._runs.get(signature)
        if run is None and self.price and patience.get():
            cost = self.price * len(self.variables)
            run = self._runs[signature] = Plain(self, structure, cost)
            self.journal.note("plain", f"compiling may take {cost:.1f} s, and comes once steps took as long")
        if run is None or (isinstance(run, Plain) and not run.waits):
            run = self._runs[signature] = self._try(leaves, structure) or Plain(self, structure, math.inf)
        return run

    def plain(self, *args: Any) -> Any:
        """What a call does where the function isn't captured."""
        return self.fn(*args)

    def _try(self, leaves: list[Any], structure: Any) -> Callable[[list[Any]], Any] | None:
        began = time.perf_counter()
        try:
            run, cause = self.capture(leaves, structure)
        except TricerasError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            self.journal.note("eager", f"{type(error).__name__}: {reason}")
            warnings.warn(
                f"A step can't be compiled and runs as plain Python, which is slower: {reason}. Values of tensors "
                "can't decide what Python does in a compiled step: use ops.where() or ops.cond().",
                stacklevel=5,
            )
            return None
        self.journal.captured([described(x) for x in leaves], time.perf_counter() - began, cause)
        return run
