"""The base of callbacks that follow one logged value."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

from triceras import ops
from triceras.core.errors import ArgumentError
from triceras.training.callbacks.base import Callback, Logs


class MonitorCallback(Callback):
    """Base of callbacks that follow one logged value and ask whether it improves.

    Args:
        monitor: name in the logs.
        mode: "min" or "max" is better; "auto" decides from the name and the model's metrics.
        baseline: what the first value has to beat; None: it is an improvement in any case.
        min_delta: least change that counts.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        mode: str = "auto",
        baseline: float | None = None,
        min_delta: float = 0,
    ) -> None:
        super().__init__()
        if mode not in ("auto", "min", "max"):
            warnings.warn(
                f"{type(self).__name__} mode {mode!r} is unknown, fallback to 'auto'. "
                "Expected 'min', 'max' or 'auto'.",
                stacklevel=3,
            )
            mode = "auto"
        self.monitor = monitor
        self.mode = mode
        self.best = baseline
        self.min_delta = abs(min_delta)
        self.monitor_op: Callable[[float, float], Any] | None = None
        self._warned = False

    def _set_monitor_op(self) -> None:
        """Decide which direction is better; once the metrics exist, so not in the constructor."""
        mode = self._direction() if self.mode == "auto" else self.mode
        self.monitor_op = ops.less if mode == "min" else ops.greater
        self.min_delta = -abs(self.min_delta) if mode == "min" else abs(self.min_delta)

    def _direction(self) -> str:
        name = self.monitor.removeprefix("val_")
        if name == "loss" or name.endswith("_loss"):
            return "min"
        for metric in _metrics_of(self.model):
            direction = getattr(metric, "_direction", None)
            if direction and (name == metric.name or name.endswith(f"_{metric.name}")):
                return "max" if direction == "up" else "min"
        raise ArgumentError(
            f"{type(self).__name__} can't tell whether {self.monitor!r} should become smaller or larger. "
            'Pass mode="min" or mode="max".'
        )

    def _is_improvement(self, value: float, reference: float | None) -> bool:
        if self.monitor_op is None:
            self._set_monitor_op()
        return reference is None or bool(self.monitor_op(value - self.min_delta, reference))

    def _monitored(self, logs: Logs | None, what: str) -> Any:
        """The value in the logs; if it isn't there, None and one warning that says what this stops."""
        value = (logs or {}).get(self.monitor)
        if value is None and not self._warned:
            self._warned = True
            available = ",".join(logs or {}) or "none"
            warnings.warn(
                f"{what} metric `{self.monitor}` which is not available. Available metrics are: {available}",
                stacklevel=3,
            )
        return value

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._warned = False


def _metrics_of(holder: Any) -> Iterator[Any]:
    """All metrics of a model, those inside containers of metrics too."""
    for metric in getattr(holder, "metrics", None) or ():
        yield metric
        yield from _metrics_of(metric)
