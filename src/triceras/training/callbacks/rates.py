"""Callbacks that set the learning rate."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from numbers import Real
from typing import Any

import numpy as np

from triceras.core.errors import ArgumentError, ArgumentTypeError, shown
from triceras.core.registry import export
from triceras.training.callbacks.base import Callback, Logs, number
from triceras.training.callbacks.monitor import MonitorCallback
from triceras.training.progress import message


def _optimizers(model: Any) -> Iterator[tuple[str, Any]]:
    """Pairs of a name and an optimizer; the name is empty where there is only one."""
    several = getattr(model.optimizer, "optimizers", None)
    if several is None:
        yield "", model.optimizer
    else:
        for optimizer in several:
            yield optimizer.name, optimizer


def _log_learning_rates(model: Any, logs: Logs) -> None:
    for name, optimizer in _optimizers(model):
        logs[f"learning_rate_{name}" if name else "learning_rate"] = float(optimizer.learning_rate)


@export("callbacks.ReduceLROnPlateau")
class ReduceLROnPlateau(MonitorCallback):
    """Lowers the learning rate when a logged value no longer improves; logs it as `learning_rate`.

    Args:
        monitor: name in the logs.
        factor: what the learning rate is multiplied by, below 1.
        patience: epochs without improvement before that.
        verbose: 1 says so.
        mode: "min", "max", or "auto" from the name and the model's metrics.
        min_delta: least change that counts as an improvement.
        cooldown: epochs after a reduction that don't count.
        min_lr: least learning rate.

    Raises:
        ArgumentError: `factor` is 1 or more.
        ArgumentTypeError: an unknown argument.

    >>> ReduceLROnPlateau(factor=0.5, patience=3).cooldown
    0
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        **kwargs: Any,
    ) -> None:
        if kwargs:
            hint = " `epsilon` is called `min_delta` now." if "epsilon" in kwargs else ""
            raise ArgumentTypeError(
                f"ReduceLROnPlateau has no argument {', '.join(map(repr, kwargs))}.{hint}"
            )
        super().__init__(monitor, mode, min_delta=min_delta)
        if factor >= 1.0:
            raise ArgumentError(
                f"ReduceLROnPlateau does not support a factor >= 1.0. Received: factor={factor}"
            )
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.wait = self.cooldown_counter = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin()
        self.best = None
        self.wait = self.cooldown_counter = 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.monitor_op is None:
            self._set_monitor_op()
        logs = {} if logs is None else logs
        _log_learning_rates(self.model, logs)
        current = self._monitored(logs, "Learning rate reduction is conditioned on")
        if current is None:
            return
        self.cooldown_counter = max(0, self.cooldown_counter - 1)
        if self._is_improvement(current, self.best):
            self.best, self.wait = current, 0
            return
        if self.in_cooldown():
            return
        self.wait += 1
        if self.wait >= self.patience and self._reduce(epoch):
            self.cooldown_counter, self.wait = self.cooldown, 0

    def in_cooldown(self) -> bool:
        """Whether the last reduction was less than `cooldown` epochs ago."""
        return self.cooldown_counter > 0

    def _reduce(self, epoch: int) -> bool:
        reduced = False
        for name, optimizer in _optimizers(self.model):
            old = float(optimizer.learning_rate)
            if old <= np.float32(self.min_lr):  # rounded as the optimizer rounds it
                continue
            new = max(old * self.factor, self.min_lr)
            optimizer.learning_rate = new
            reduced = True
            if self.verbose:
                label = f"{name} learning rate" if name else "learning rate"
                message(f"Epoch {epoch + 1}: ReduceLROnPlateau reducing {label} to {new}.")
        return reduced


@export("callbacks.LearningRateScheduler")
class LearningRateScheduler(Callback):
    """Sets the learning rate at the start of every epoch; logs it as `learning_rate`.

    Args:
        schedule: a function of the epoch (from 0), or of the epoch and the present learning rate, that
            returns the new one.
        verbose: 1 says what is set.

    Raises:
        ArgumentError: while training, when `schedule` returns no number.

    >>> LearningRateScheduler(lambda epoch, lr: lr * 0.9 if epoch else lr).verbose
    0
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        for name, optimizer in _optimizers(self.model):
            if not hasattr(optimizer, "learning_rate"):
                raise ArgumentError(
                    f"LearningRateScheduler needs an optimizer with a `learning_rate`: {optimizer!r}"
                )
            rate = self._scheduled(epoch, float(optimizer.learning_rate))
            optimizer.learning_rate = rate
            if self.verbose:
                label = f"{name} learning rate" if name else "learning rate"
                message(f"Epoch {epoch + 1}: LearningRateScheduler setting {label} to {rate}.")

    def _scheduled(self, epoch: int, rate: float) -> float:
        arguments: tuple[Any, ...] = (epoch, rate)
        try:
            inspect.signature(self.schedule).bind(*arguments)
        except TypeError:
            arguments = (epoch,)
        except ValueError:  # a built-in function doesn't tell its signature
            pass
        value = self.schedule(*arguments)
        found = number(value)
        if isinstance(value, bool) or not isinstance(found, Real):
            raise ArgumentError(
                "The output of the `schedule` function should be a float: the learning rate for the epoch. "
                f"Received: {shown(value)} for epoch {epoch}"
            )
        return found

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            _log_learning_rates(self.model, logs)
