"""What became of a model's compiled steps: `model.report()`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from triceras.engine.journal import Journal
from triceras.models.tables import rendered

WORDS = {
    "capture": "captured",
    "renewal": "made anew",
    "plain": "began as plain Python",
    "eager": "ran as plain Python",
    "kernel": "slow kernel",
    "sync": "host waited",
    "choice": "engine chosen",
}


@dataclass(frozen=True)
class ReportEvent:
    """One thing that happened to a step.

    Args:
        step: which one: "train", "test" or "predict", a step alone or many in one dispatch.
        engine: where it ran.
        kind: "capture" (compiled, first or again), "plain" (began as plain Python, for compiling takes long),
            "eager" (ran so, for it can't be compiled), "kernel" (a slow one was chosen), "sync" (the host waited
            for a value), "renewal" (something else is trained now) or "choice" (`fit(engine="auto")` measured
            the engines).
        cause: why.
        count: how often.
        seconds: what it took the first time.
    """

    step: str
    engine: str
    kind: str
    cause: str
    count: int = 1
    seconds: float = 0.0


class Report:
    """The events of all steps of a model, in order; it prints as a table.

    Args:
        name: the model's.
        journals: step, engine and journal of each compiled function.
    """

    def __init__(self, name: str, journals: Iterable[tuple[str, str, Journal]]) -> None:
        self.name = name
        self.events = [
            ReportEvent(step, engine, e.kind, e.cause, journal.counts[e], e.seconds)
            for step, engine, journal in journals
            for e in journal.events
        ]

    def of(self, kind: str) -> list[ReportEvent]:
        """The events of one kind."""
        return [e for e in self.events if e.kind == kind]

    def __str__(self) -> str:
        if not self.events:
            return f"Model {self.name!r} has run no steps yet."
        rows = [
            [
                e.step,
                e.engine,
                WORDS.get(e.kind, e.kind),
                str(e.count),
                f"{e.seconds:.2f}" if e.seconds else "",
                e.cause,
            ]
            for e in self.events
        ]
        counts = [(sum(e.count for e in self.of(kind)), word) for kind, word in WORDS.items()]
        columns = ["step", "engine", "what", "times >", "seconds >", "why"]
        footer = ", ".join(f"{word}: {count}" for count, word in counts if count)
        return rendered(f"Steps of model {self.name!r}", columns, rows, footer)

    __repr__ = __str__
