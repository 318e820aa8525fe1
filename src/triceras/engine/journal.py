"""What became of a compiled function: its captures and why there were so many, and what could not be compiled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from triceras.core import dtypes
from triceras.core.scope import Local


@dataclass(frozen=True)
class Event:
    """One thing that happened to a compiled function.

    Args:
        kind: "capture", "plain" (began as plain Python), "eager" (ran so for good), "kernel" (a slow one was
            chosen), "sync" (the host waited), "renewal" (a new function took the place of an older one) or
            "choice" (of an engine, by measuring).
        cause: why.
        seconds: what it took.
    """

    kind: str
    cause: str
    seconds: float = 0.0


class Journal:
    """The events of one compiled function, in order; equal ones are counted.

    >>> journal = Journal()
    >>> journal.captured(["float32(8, 2)"], 0.1)
    >>> journal.captured(["float32(5, 2)"], 0.1)
    >>> [event.cause for event in journal.events]
    ['first call: float32(8, 2)', 'another signature: float32(5, 2) instead of float32(8, 2)']
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.counts: dict[Event, int] = {}
        self._last: list[str] | None = None

    def note(self, kind: str, cause: str, seconds: float = 0.0) -> None:
        """Write down an event; one that happened before is only counted."""
        same = next((e for e in self.events if (e.kind, e.cause) == (kind, cause)), None)
        event = same or Event(kind, cause, seconds)
        if same is None:
            self.events.append(event)
        self.counts[event] = self.counts.get(event, 0) + 1

    def captured(self, signature: Sequence[str], seconds: float, cause: str = "") -> None:
        """Write down a capture, with its cause: what is new in the signature."""
        if not cause:
            if self._last is None:
                cause = f"first call: {', '.join(signature)}"
            else:
                pairs = [(new, old) for new, old in zip(signature, self._last, strict=False) if new != old]
                changed = ", ".join(f"{new} instead of {old}" for new, old in pairs[:3])
                cause = f"another signature: {changed or ', '.join(signature)}"
        self._last = list(signature)
        self.note("capture", cause, seconds)

    @property
    def captures(self) -> int:
        """How often the function was captured."""
        return sum(self.counts[e] for e in self.events if e.kind == "capture")


noting: Local[Journal | None] = Local("journal", None)  # that of the function being captured


def slow_kernel(cause: str) -> None:
    """Write down, in the journal of the function being captured, that a kernel known to be slow was chosen."""
    journal = noting.get()
    if journal is not None:
        journal.note("kernel", cause)


def described(leaf: Any) -> str:
    """An argument as signatures show it: dtype and shape, or the value of what is no tensor."""
    if hasattr(leaf, "shape") and hasattr(leaf, "dtype"):
        return f"{dtypes.standardize_dtype(leaf.dtype)}{tuple(leaf.shape)}"
    return repr(leaf)
