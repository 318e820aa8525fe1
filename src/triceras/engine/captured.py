"""Compiled steps of engines that capture a graph for each signature; what can't be captured runs as plain Python."""

from __future__ import annotations

import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from triceras.core import tree
from triceras.core.errors import TricerasError
from triceras.engine.journal import Journal, described


class CapturedStep(ABC):
    """A function of tensors that reads and assigns variables.

    Args:
        fn: plain Python over ops.
        variables: its state.
        donate: whether old values of the state may be overwritten in place.
    """

    def __init__(self, fn: Callable[..., Any], variables: Sequence[Any], donate: bool) -> None:
        self.fn, self.variables, self.donate = fn, list(variables), donate
        self.journal = Journal()
        self._captures: dict[Any, Callable[[list[Any]], Any] | None] = {}

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
        run = self.found(leaves, structure)
        return self.plain(*tree.join(structure, leaves)) if run is None else run(leaves)

    def found(self, leaves: list[Any], structure: Any) -> Callable[[list[Any]], Any] | None:
        """The captured function for tensors of these forms, None if there can't be one."""
        signature = (structure, *((x.shape, x.dtype) if hasattr(x, "shape") else x for x in leaves))
        try:
            return self._captures[signature]
        except KeyError:
            run = self._captures[signature] = self._try(leaves, structure)
            return run

    def plain(self, *args: Any) -> Any:
        """What a call does where the function can't be captured."""
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
