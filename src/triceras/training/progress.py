"""What a run shows while it works: a live line on a terminal or in a notebook, else a plain line when done.

Nothing here owns a thread or a timer. A line is drawn when steps are reported and the last drawing is long
enough ago, so that drawing never takes more than `BUDGET` of the run.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from triceras.core import config
from triceras.core.errors import ArgumentError, shown
from triceras.core.registry import export

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

BUDGET = 0.02  # the largest share of the run's time that live drawing may take
LEAST_INTERVAL = 0.1  # seconds between two drawings of a live line
NARROWEST_BAR = 5  # columns; where there is less room, the line has no bar
NOTEBOOK_WIDTH = 160  # columns; a notebook wraps lines by itself


class _Screen:
    """The line at the bottom of standard output that is redrawn in place; all progress bars share it."""

    def __init__(self) -> None:
        self.stream: TextIO | None = None
        self.columns = 0
        self.quiet_until = 0.0

    def erase(self) -> None:
        # Spaces instead of an escape code: notebooks and NO_COLOR terminals take them too.
        if self.columns and self.stream is sys.stdout:
            _write("\r" + " " * self.columns + "\r")
        self.columns = 0

    def draw(self, line: Text) -> None:
        room = _console().width - 1  # a full last column would wrap
        line.truncate(room, overflow="ellipsis")
        columns = line.cell_len
        line.pad_right(max(0, min(self.columns, room) - columns))  # covers the line before
        _write("\r" + _rendered(line, end="", soft_wrap=True))
        self.stream, self.columns = sys.stdout, columns

    def keep(self, line: Text) -> None:
        """Replace the live line by one that stays, folded between words where it is too long."""
        self.erase()
        _write(_rendered(line))


_screen = _Screen()


def erase() -> None:
    """Remove the live line, if there is one, so that something else can be printed in its place."""
    _screen.erase()


def message(text: str) -> None:
    """Print a line above the live line, or log it where interactive logging is off."""
    erase()
    if config.is_interactive_logging_enabled():
        _write(text + "\n")
    else:
        logging.getLogger("triceras").info(text)


def _write(text: str) -> None:
    stream = sys.stdout
    if stream is None:  # a program without a console
        return
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "replace").decode(encoding))
    stream.flush()


def _is_notebook(stream: TextIO | None) -> bool:
    return type(stream).__module__.startswith("ipykernel")


def _is_live(stream: TextIO | None) -> bool:
    """Whether a line written to the stream can be drawn over."""
    if not config.is_interactive_logging_enabled():
        return False
    if _is_notebook(stream) or ("PYCHARM_HOSTED" in os.environ and stream is sys.__stdout__):
        return True
    isatty = getattr(stream, "isatty", lambda: False)
    return isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def _console() -> Console:
    return _console_on(sys.stdout, bool(os.environ.get("NO_COLOR")))


@lru_cache(maxsize=1)
def _console_on(stream: TextIO, no_color: bool) -> Console:
    from rich.console import Console

    return Console(
        file=stream,
        force_terminal=True,
        force_jupyter=False,
        color_system=None if no_color else "auto",
        width=NOTEBOOK_WIDTH if _is_notebook(stream) else None,
    )


def _rendered(line: Text, **options: Any) -> str:
    console = _console()
    with console.capture() as captured:
        console.print(line, highlight=False, **options)
    return captured.get()


def _per_unit(seconds: float, unit: str) -> str:
    if seconds >= 1 or seconds == 0:
        return f"{seconds:.0f}s/{unit}"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.0f}ms/{unit}"
    return f"{seconds * 1e6:.0f}us/{unit}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{rest:02d}"
    return f"{minutes}:{rest:02d}" if minutes else f"{rest}s"


@export("utils.Progbar")
class Progbar:
    """A progress bar for a loop: a live line on a terminal, one plain line at the end elsewhere.

    Args:
        target: steps expected, None if unknown.
        width: columns of the bar; it shrinks where the line is too long.
        verbose: 0 silent, 1 live where the output allows it, 2 always one plain line at the end.
        interval: least seconds between two drawings, never below 0.1 in effect, except for 0, which shows
            every update on any output.
        stateful_metrics: names shown as they are; the others are averaged over the steps.
        stateless_metrics: the other way round: names that are averaged; the others are shown as they are.
        unit_name: what a step is called.

    Raises:
        ArgumentError: both lists of names are given, or `verbose` is none of its values.

    >>> bar = Progbar(3, verbose=2)
    >>> bar.update(1, [("loss", 0.5)])
    >>> bar.add(2, [("loss", 0.2)])  # doctest: +ELLIPSIS
    3/3 - 0s - ...s/step - loss: 0.3000
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int | str = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ArgumentError(
                "Only one of `stateful_metrics` and `stateless_metrics` can be given: the first names what "
                "is not averaged, the second what is. "
                f"Received: {shown(stateful_metrics)} and {shown(stateless_metrics)}"
            )
        if verbose not in (0, 1, 2, "auto"):
            raise ArgumentError(f'`verbose` must be 0, 1, 2 or "auto". Received: {shown(verbose)}')
        self.target = target
        self.width = width
        self.verbose = verbose
        self.interval = interval
        self.unit_name = unit_name
        self.stateful_metrics = None if stateful_metrics is None else set(stateful_metrics)
        self.stateless_metrics = None if stateless_metrics is None else set(stateless_metrics)
        self.title = ""  # stands before a plain line
        self.note = ""  # stands after a live line
        self._live = verbose in (1, "auto") and _is_live(sys.stdout)
        if self._live:
            _console()  # loads rich here, so that the first drawing isn't taken for a slow one
        self._totals: dict[str, tuple[float, float]] = {}  # (sum, weight) by name
        self._seen = 0
        self._start = self._last = perf_counter()
        self._first: tuple[int, float] | None = None  # steps and time when the first ones were done
        self._settled = False

    def update(
        self, current: int, values: Iterable[tuple[str, Any]] | None = None, finalize: bool | None = None
    ) -> None:
        """Report that `current` steps are done.

        Args:
            values: pairs of a name and its value, a number or an array, over the steps since the last report.
            finalize: whether this is the last report; None means when `current` reaches the target.
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        steps = current - self._seen
        self._step(current)
        self._record(values or (), steps)
        if finalize:
            self._finish()
        elif self._due():
            self._draw()

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """Report `n` more steps."""
        self.update(self._seen + n, values)

    def advance(self, current: int, values: Callable[[], dict[str, float]] | None = None) -> None:
        """Report steps whose values are costly to read: `values()` is called only if a line is drawn now."""
        steps = current - self._seen
        if self._due():
            began = thread_time()
            if values is not None:
                self._record(values().items(), steps)  # waits for the device, so before the clock is read
            self._step(current)
            self._draw(thread_time() - began)
        else:
            self._step(current)

    def headline(self, text: str) -> None:
        """Name what is going on: on a line of its own above a live line, else before the plain one."""
        if self._live:
            message(text)
        else:
            self.title = text

    def finish(self, values: Iterable[tuple[str, Any]] = ()) -> None:
        """Write the line that stays, with the final values, after however many steps there were."""
        current = self._seen or self.target or 0
        self.target = self.target or current
        self.update(current, values, finalize=True)

    def settle(self) -> None:
        """Count no later time as time of the steps so far."""
        if not self._settled:
            self._last = perf_counter()
            self._settled = True

    def _due(self) -> bool:
        if self.interval == 0:
            return self.verbose in (1, "auto")
        return self._live and perf_counter() >= _screen.quiet_until

    def _step(self, current: int) -> None:
        if current > self._seen:
            self._seen, self._last, self._settled = current, perf_counter(), False
            self._first = self._first or (current, self._last)

    def _record(self, values: Iterable[tuple[str, Any]], steps: int) -> None:
        for name, value in values:
            value = float(np.mean(value))
            if self.stateless_metrics is not None:
                averaged = name in self.stateless_metrics
            else:
                averaged = name not in (self.stateful_metrics or ())
            if averaged and steps > 0:
                total, weight = self._totals.get(name, (0.0, 0.0))
                self._totals[name] = (total + value * steps, weight + steps)
            else:  # also a second report of the same step: the last word
                self._totals[name] = (value, 1.0)

    def _draw(self, spent: float = 0.0) -> None:
        """Draw the line; `spent` is the time that reading its values took, without waiting for the device."""
        began = perf_counter()
        if self._live:
            _screen.draw(self._line(final=False))
        else:
            message(self._plain())
        ended = perf_counter()
        cost = ended - began + spent
        _screen.quiet_until = ended + max(self.interval, LEAST_INTERVAL, cost / BUDGET)

    def _finish(self) -> None:
        self.settle()
        if self._live:
            _screen.keep(self._line(final=True))
            _screen.quiet_until = perf_counter() + LEAST_INTERVAL
        elif self.verbose:
            message(self._plain())

    def _seconds_per_unit(self) -> float:
        """Without the first report, which may hold a compilation, where there are others."""
        steps, since = self._first or (0, self._start)
        if self._seen == steps:
            steps, since = 0, self._start
        return (self._last - since) / max(1, self._seen - steps)

    def _count(self) -> str:
        if self.target is None:
            return f"{self._seen}/Unknown"
        return f"{self._seen:>{len(str(self.target))}}/{self.target}"

    def _metrics(self) -> str:
        def number(value: float) -> str:
            return f"{value:.4f}" if abs(value) > 1e-3 else f"{value:.4e}"

        return "".join(
            f" - {name}: {number(total / weight)}" for name, (total, weight) in self._totals.items()
        )

    def _plain(self) -> str:
        elapsed = perf_counter() - self._start
        title = f"{self.title} - " if self.title else ""
        rate = _per_unit(self._seconds_per_unit(), self.unit_name)
        return f"{title}{self._count()} - {elapsed:.0f}s - {rate}{self._metrics()}"

    def _line(self, final: bool) -> Text:
        """Count, bar, times, metrics. A live line with too little room drops the time left, then the bar."""
        from rich.text import Text

        console = _console()
        each = self._seconds_per_unit()
        count, metrics = self._count(), self._metrics()
        times = f" {perf_counter() - self._start:.0f}s"
        if self._seen:
            times += f" {_per_unit(each, self.unit_name)}"
        if self.note and not final:
            times += f" - {self.note}"
        room = console.width - len(count) - len(times) - 2
        if not final:  # the line that stays may be folded, so its metrics don't compete with the bar
            room -= len(metrics)
            left = each * (self.target - self._seen) if self.target and self._seen else 0.0
            eta = f" ({_clock(left)} left)"
            if left >= 1 and room - len(eta) >= NARROWEST_BAR:
                times += eta
                room -= len(eta)
        line = Text().append(count, "bold")
        columns = min(self.width, room)
        if self.target and columns >= NARROWEST_BAR:
            done, ahead = "=." if console.options.ascii_only else "━━"
            filled = int(columns * min(1.0, self._seen / self.target))
            line.append(" ").append(done * filled, "green").append(ahead * (columns - filled), "bright_black")
        return line.append(times + metrics)
