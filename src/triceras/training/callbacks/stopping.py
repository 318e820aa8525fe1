"""Callbacks that end a training."""

from __future__ import annotations

from typing import Any

import numpy as np

from triceras.core.errors import TricerasError
from triceras.core.registry import export
from triceras.training.callbacks.base import Callback, Logs
from triceras.training.callbacks.monitor import MonitorCallback
from triceras.training.progress import message


class NonFiniteLossError(TricerasError, RuntimeError):
    """The loss became NaN or infinite."""


@export("callbacks.EarlyStopping")
class EarlyStopping(MonitorCallback):
    """Stops training when a logged value no longer improves.

    Args:
        monitor: name in the logs.
        min_delta: least change that counts as an improvement.
        patience: epochs without improvement before training stops.
        verbose: 1 says when it stops and what it restores.
        mode: "min", "max", or "auto" from the name and the model's metrics.
        baseline: a value to beat; epochs that don't count as without improvement.
        restore_best_weights: leave the model with the weights of its best epoch, whether or not that one
            beat the baseline.
        start_from_epoch: epochs at the start that don't count.

    Raises:
        ArgumentError: after the first epoch, when "auto" can't tell a direction.

    >>> stop = EarlyStopping(monitor="val_accuracy", patience=3, restore_best_weights=True)
    >>> stop.patience
    3
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._reset()

    def _reset(self) -> None:
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = self.best_weights = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin()
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.monitor_op is None:
            self._set_monitor_op()
        current = self.get_monitor_value(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        improved = self._is_improvement(current, self.best)
        if improved:
            self.best, self.best_epoch = current, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
        self.wait += 1
        if improved:
            if self.baseline is None or self._is_improvement(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch and self.verbose:
            message(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose:
                message(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)

    def get_monitor_value(self, logs: Logs | None) -> Any:
        """The monitored value in `logs`, or None and a warning."""
        return self._monitored(logs, "Early stopping conditioned on")


@export("callbacks.TerminateOnNaN")
class TerminateOnNaN(Callback):
    """Stops training at the first batch after which the loss is NaN or infinite.

    Args:
        raise_error: raise instead of ending `fit` in order, so that no callback's `on_train_end` runs.

    Raises:
        NonFiniteLossError: while training, with `raise_error`.

    >>> TerminateOnNaN(raise_error=True).raise_error
    True
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or np.isfinite(loss):
            return
        if self.raise_error:
            raise NonFiniteLossError(f"NaN or Inf loss encountered at batch {batch}. Loss value: {loss}.")
        message(f"Batch {batch}: Invalid loss, terminating training")
        self.model.stop_training = True
