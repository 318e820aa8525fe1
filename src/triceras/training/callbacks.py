"""Callbacks: objects that the training loop tells what happens, and that may act on it."""

from __future__ import annotations

import csv
import inspect
import json
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from numbers import Real
from typing import Any

import numpy as np

from triceras import ops
from triceras.core import tree
from triceras.core.errors import (
    ArgumentError,
    ArgumentTypeError,
    NotFoundError,
    TricerasError,
    require,
    shown,
)
from triceras.core.registry import export
from triceras.training.progress import Progbar, erase, message

Logs = dict[str, Any]

BATCH_HOOKS = {
    "train": ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end"),
    "test": ("on_test_batch_begin", "on_test_batch_end"),
    "predict": ("on_predict_batch_begin", "on_predict_batch_end"),
}


class NonFiniteLossError(TricerasError, RuntimeError):
    """The loss became NaN or infinite."""


class LogNameError(NotFoundError, KeyError):
    """A name isn't among the logged ones."""

    __str__ = Exception.__str__  # KeyError would show the message as a quoted repr


@export("callbacks.Callback")
class Callback:
    """Base of all callbacks: override the hooks you need.

    `logs` holds the numbers known at that moment: metrics so far for a batch, the epoch's metrics (with
    `val_` ones) for an epoch. A callback that overrides a hook of single batches gets every batch, at the
    price that the loop runs one step per dispatch.

    Attributes:
        params: what the run was started with: `verbose`, `epochs`, `steps`.
        model: the model that runs.

    >>> class Shout(Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         print(f"epoch {epoch}: {logs['loss']:.2f}!")
    >>> Shout().on_epoch_end(0, {"loss": 0.5})
    epoch 0: 0.50!
    """

    def __init__(self) -> None:
        self.params: dict[str, Any] | None = None
        self._model: Any = None

    @property
    def model(self) -> Any:
        return self._model

    def set_params(self, params: dict[str, Any]) -> None:
        """Take the parameters of the run."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Take the model that runs."""
        self._model = model

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Older name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Older name of `on_train_batch_end`."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before epoch number `epoch`, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch and its validation."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a training step; `batch` counts from 0 in each epoch."""
        self.on_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a training step."""
        self.on_batch_end(batch, logs=logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a step of `evaluate` or of validation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a step of `evaluate` or of validation."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a step of `predict`."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a step of `predict`; `logs["outputs"]` is what it returned."""

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch of `fit`."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch of `fit`; `logs` are that epoch's."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before `evaluate` or validation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After `evaluate` or validation, with its results."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before `predict`."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After `predict`."""

    def on_dispatch(self, mode: str, done: int, total: int | None, logs: Callable[[], Logs]) -> None:
        """After every dispatch, which may be many steps; for displays.

        Args:
            mode: "train", "test" or "predict".
            done: steps done in this epoch or run.
            total: steps expected, None if unknown.
            logs: returns the metrics so far; a call waits for the device.
        """

    def _hears(self, hook: str) -> bool:
        """Whether calling a hook would do something."""
        return getattr(getattr(self, hook), "__func__", None) is not getattr(Callback, hook)


@export("callbacks.CallbackList")
class CallbackList(Callback):
    """Several callbacks, told everything in order as if they were one.

    Args:
        callbacks: a callback or a nested structure of them.
        add_history: add a `History` if there is none.
        add_progbar: add a `ProgbarLogger` if there is none.
        model: the model that runs.
        **params: parameters of the run for every callback: `verbose`, `epochs`, `steps`.

    Raises:
        ArgumentTypeError: something in `callbacks` is no callback.

    >>> [type(c).__name__ for c in CallbackList(TerminateOnNaN(), add_history=True).callbacks]
    ['TerminateOnNaN', 'History']
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        super().__init__()
        self.callbacks: list[Callback] = [c for c in tree.flatten(callbacks) if c is not None]
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                hint = " Did you mean to call the class, as in `Name()`?" if inspect.isclass(callback) else ""
                raise ArgumentTypeError(
                    f"`callbacks` takes instances of `callbacks.Callback`. Received: {shown(callback)}.{hint}"
                )
        for wanted, kind in ((add_history, History), (add_progbar, ProgbarLogger)):
            if wanted and not any(isinstance(c, kind) for c in self.callbacks):
                self.callbacks.append(kind())
        self.set_model(model)
        self.set_params(params)

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        if params:
            for callback in self.callbacks:
                callback.set_params(params)

    def set_model(self, model: Any) -> None:
        if model is None:
            return
        super().set_model(model)
        for callback in self.callbacks:
            if isinstance(callback, History):
                model.history = callback
            callback.set_model(model)

    def listens_to_batches(self, mode: str) -> bool:
        """Whether a callback hears of single batches in "train", "test" or "predict"."""
        return any(self.batch_listeners(mode))

    def batch_listeners(self, mode: str) -> Iterator[Callback]:
        """The callbacks that hear of single batches in "train", "test" or "predict"."""
        return (c for c in self.callbacks if any(c._hears(hook) for hook in BATCH_HOOKS[mode]))

    def _hears(self, hook: str) -> bool:
        return any(callback._hears(hook) for callback in self.callbacks)

    def on_dispatch(self, mode: str, done: int, total: int | None, logs: Callable[[], Logs]) -> None:
        for callback in self.callbacks:
            callback.on_dispatch(mode, done, total, logs)

    def _tell(self, hook: str, *position: int, logs: Logs | None) -> None:
        logs = _plain(logs)
        for callback in self.callbacks:
            getattr(callback, hook)(*position, logs)

    def _tell_of_batch(self, hook: str, batch: int, logs: Logs | None) -> None:
        logs = _plain(logs)
        for callback in self.callbacks:
            getattr(callback, hook)(batch, logs=logs)

    def _tell_of_batch_end(self, mode: str, batch: int, logs: Logs | None) -> None:
        self._tell_of_batch(f"on_{mode}_batch_end", batch, logs)
        # A step reported by the batch hooks is a dispatch too: displays also follow hand-written loops.
        self.on_dispatch(mode, batch + 1, None, lambda: _plain(logs))

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._tell_of_batch("on_batch_begin", batch, logs)

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._tell_of_batch("on_batch_end", batch, logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._tell("on_epoch_begin", epoch, logs=logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        erase()  # what callbacks print comes before the epoch's line, which the display writes last
        self._tell("on_epoch_end", epoch, logs=logs)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._tell_of_batch("on_train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._tell_of_batch_end("train", batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._tell_of_batch("on_test_batch_begin", batch, logs)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._tell_of_batch_end("test", batch, logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._tell_of_batch("on_predict_batch_begin", batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._tell_of_batch_end("predict", batch, logs)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._tell("on_train_begin", logs=logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._tell("on_train_end", logs=logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._tell("on_test_begin", logs=logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._tell("on_test_end", logs=logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._tell("on_predict_begin", logs=logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._tell("on_predict_end", logs=logs)


def _plain(logs: Logs | None) -> Logs:
    """Logs by sorted name, scalars as floats; one dict for all callbacks, which may add to it."""
    return {name: _number(value) for name, value in sorted((logs or {}).items())}


def _number(value: Any) -> Any:
    scalar = isinstance(value, (int, float)) or getattr(value, "ndim", None) == 0
    return float(value) if scalar else value


@export("callbacks.History")
class History(Callback):
    """What `fit` returns: the logs of every epoch.

    Attributes:
        epoch: the numbers of the epochs of the last run.
        history: one list per metric, a value an epoch.

    >>> history = History()
    >>> history.history
    {}
    """

    def __init__(self) -> None:
        super().__init__()
        self.epoch: list[int] = []
        self.history: dict[str, list[Any]] = {}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        self.model.history = self


@export("callbacks.LambdaCallback")
class LambdaCallback(Callback):
    """A callback made of functions.

    Args:
        on_epoch_begin: called with `epoch, logs`, as `on_epoch_end`.
        on_train_begin: called with `logs`, as `on_train_end`.
        on_train_batch_begin: called with `batch, logs=logs`, as `on_train_batch_end`.
        **kwargs: functions for any other hook of `Callback`, by its name.

    Raises:
        ArgumentTypeError: a name is no hook, or a value no function.

    >>> LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs)).on_epoch_end(3, {"loss": 0.5})
    3 {'loss': 0.5}
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **kwargs: Callable[..., Any] | None,
    ) -> None:
        super().__init__()
        functions = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **kwargs,
        }
        for hook, function in functions.items():
            if not hook.startswith("on_") or not hasattr(Callback, hook):
                known = ", ".join(name for name in dir(Callback) if name.startswith("on_"))
                raise ArgumentTypeError(f"LambdaCallback has no hook `{hook}`. The hooks are: {known}")
            if function is None:
                continue
            if not callable(function):
                raise ArgumentTypeError(
                    f"LambdaCallback's `{hook}` must be a function. Received: {shown(function)}"
                )
            setattr(self, hook, function)


@export("callbacks.ProgbarLogger")
class ProgbarLogger(Callback):
    """Shows the progress of `fit`, `evaluate` and `predict` as `verbose` says; `fit` adds one by itself.

    >>> ProgbarLogger().verbose
    1
    """

    def __init__(self) -> None:
        super().__init__()
        self.verbose: int | str = 1
        self.epochs = 1
        self.target: int | None = None
        self._in_fit = False
        self._bar = Progbar(None, verbose=0)

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        self.verbose = params.get("verbose", 1)
        self.epochs = params.get("epochs", 1)
        self.target = params.get("steps")

    def _new_bar(self) -> Progbar:
        return Progbar(self.target, verbose=self.verbose, stateless_metrics=())

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._in_fit = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._in_fit = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._bar = self._new_bar()
        if self.epochs > 1:
            self._bar.headline(f"Epoch {epoch + 1}/{self.epochs}")
        self._bar.advance(0)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._finish(logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        if self._in_fit:
            self._bar.settle()
        else:
            self._bar = self._new_bar()
            self._bar.advance(0)

    def on_test_end(self, logs: Logs | None = None) -> None:
        if self._in_fit:
            self._bar.note = ""
        else:
            self._finish(logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._bar = self._new_bar()
        self._bar.advance(0)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._finish(None)

    def on_dispatch(self, mode: str, done: int, total: int | None, logs: Callable[[], Logs]) -> None:
        bar = self._bar
        if mode == "test" and self._in_fit:
            bar.note = f"validating {done}" if total is None else f"validating {done}/{total}"
            bar.advance(0)
            return
        if total is not None:
            bar.target = total
        bar.advance(done, None if mode == "predict" else logs)

    def _finish(self, logs: Logs | None) -> None:
        self._bar.finish((logs or {}).items())
        self.target = self._bar.target


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


@export("callbacks.ModelCheckpoint")
class ModelCheckpoint(MonitorCallback):
    """Saves the model, or its weights, while it trains.

    Args:
        filepath: a name that ends in ".keras" or ".h5", or in ".weights.h5" for weights. It may hold
            `{epoch}`, `{batch}` (both from 1) and logged names, as in "{epoch:02d}-{val_loss:.2f}.keras".
        monitor: name in the logs, for `save_best_only`.
        verbose: 1 says what is saved and why.
        save_best_only: save only when the monitored value improves.
        save_weights_only: save weights instead of the whole model.
        mode: "min", "max", or "auto" from the name and the model's metrics.
        save_freq: "epoch", or a number of training batches, counted through the epochs.
        initial_value_threshold: what the first value has to beat to be saved.

    Raises:
        ArgumentError: a wrong ending or `save_freq`.
        LogNameError: while training, when `filepath` holds a name that isn't logged.

    >>> ModelCheckpoint("best.keras", save_best_only=True).monitor
    'val_loss'
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold)
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self._current_epoch = 0
        self._last_batch = -1
        self._unsaved_batches = 0
        if save_freq != "epoch" and not (isinstance(save_freq, int) and save_freq > 0):
            raise ArgumentError(
                f"Unrecognized save_freq: {shown(save_freq)}. "
                "ModelCheckpoint expects 'epoch' or a number of batches."
            )
        endings = (".weights.h5",) if save_weights_only else (".keras", ".h5")
        if not self.filepath.endswith(endings):
            raise ArgumentError(
                f"ModelCheckpoint's `filepath` must end in {' or '.join(f'`{e}`' for e in endings)} with "
                f"save_weights_only={save_weights_only}. Received: filepath={self.filepath}"
            )

    def _hears(self, hook: str) -> bool:
        own = type(self).on_train_batch_end is ModelCheckpoint.on_train_batch_end
        if hook == "on_train_batch_end" and own and self.save_freq == "epoch":
            return False
        return super()._hears(hook)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._current_epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            return
        self._unsaved_batches += batch - self._last_batch if batch > self._last_batch else batch + 1
        self._last_batch = batch
        if self._unsaved_batches >= self.save_freq:
            self._unsaved_batches = 0
            self._save(self._current_epoch, {"batch": batch + 1, **(logs or {})})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_best_only and self.monitor_op is None:
            self._set_monitor_op()
        if self.save_freq == "epoch":
            self._save(epoch, logs or {})

    def _save(self, epoch: int, logs: Logs) -> None:
        path = self._path(epoch, logs)
        reason = self._reason_to_save(logs) if self.save_best_only else ""
        if reason is None:
            if self.verbose:
                message(f"Epoch {epoch + 1}: {self.monitor} did not improve from {_best(self.best)}")
            return
        if self.verbose:
            message(f"Epoch {epoch + 1}: {reason}saving model to {path}")
        if os.path.isdir(path):
            raise IsADirectoryError(f"ModelCheckpoint's `filepath` must name a file, but {path} is a folder.")
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        save = self.model.save_weights if self.save_weights_only else self.model.save
        save(path, overwrite=True)
        if self.verbose:
            message(f"Epoch {epoch + 1}: finished saving model to {path}")

    def _reason_to_save(self, logs: Logs) -> str | None:
        """Why to save under `save_best_only`, None if not; empty for what can't be compared."""
        current = self._monitored(logs, "Can save best model only with")
        if current is None:
            return ""
        if np.ndim(current) > 0:
            warnings.warn(
                f"ModelCheckpoint can save the best model only if {self.monitor!r} is a scalar, so it saves "
                f"every time. Received: {shown(current)}",
                stacklevel=4,
            )
            return ""
        if not self._is_improvement(current, self.best):
            return None
        before, self.best = self.best, current
        return f"{self.monitor} improved from {_best(before)} to {current:.5f}, "

    def _path(self, epoch: int, logs: Logs) -> str:
        try:
            return self.filepath.format(**{"epoch": epoch + 1, **logs})
        except (KeyError, IndexError) as error:
            raise LogNameError(
                f'Failed to format this callback filepath: "{self.filepath}" needs {error}. '
                f"Available are: epoch, {', '.join(logs)}"
            ) from error


def _best(value: float | None) -> str:
    return "None" if value is None else f"{value:.5f}"


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
        number = _number(value)
        if isinstance(value, bool) or not isinstance(number, Real):
            raise ArgumentError(
                "The output of the `schedule` function should be a float: the learning rate for the epoch. "
                f"Received: {shown(value)} for epoch {epoch}"
            )
        return number

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            _log_learning_rates(self.model, logs)


@export("callbacks.CSVLogger")
class CSVLogger(Callback):
    """Writes the logs of every epoch to a CSV file, a row each, at once.

    The columns are `epoch` and the names logged in the first epoch; what is missing later is `NA`. Without
    validation in the first epoch there are `val_` columns all the same, for a later one.

    Args:
        filename: the file; its folder is made if needed.
        separator: between two columns.
        append: add to what the file holds instead of starting anew.

    >>> CSVLogger("run/history.csv", append=True).sep
    ','
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.filename = os.fspath(filename)
        self.sep = separator
        self.append = append
        self.keys: list[str] | None = None
        self.writer: Any = None
        self.csv_file: Any = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.on_train_end()
        os.makedirs(os.path.dirname(self.filename) or ".", exist_ok=True)
        self.csv_file = open(self.filename, "a" if self.append else "w", newline="", encoding="utf-8")  # noqa: SIM115
        self.keys = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        if self.writer is None:
            self.keys = sorted(logs)
            if not any(key.startswith("val_") for key in self.keys):
                self.keys += [f"val_{key}" for key in self.keys]
            self.writer = csv.writer(self.csv_file, delimiter=self.sep, lineterminator="\n")
            if self.csv_file.tell() == 0:
                self.writer.writerow(["epoch", *self.keys])
        self.writer.writerow([epoch, *(_cell(logs.get(key, "NA")) for key in self.keys)])
        self.csv_file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.csv_file is not None:
            self.csv_file.close()
        self.csv_file = self.writer = None


def _cell(value: Any) -> Any:
    if isinstance(value, Iterable) and not isinstance(value, str) and np.ndim(value) > 0:
        return f'"[{", ".join(map(str, value))}]"'
    return value


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


@export("callbacks.RemoteMonitor")
class RemoteMonitor(Callback):
    """Sends the logs of every epoch to a server by HTTP POST; needs the library `requests`.

    Args:
        root: address of the server.
        path: path below `root`.
        field: form field that holds the JSON text, unless `send_as_json`.
        headers: HTTP headers.
        send_as_json: send the JSON as the body (`application/json`).

    Raises:
        OptionalDependencyError: `requests` isn't installed.

    >>> RemoteMonitor("http://localhost:8000").path
    '/publish/epoch/end/'
    """

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: dict[str, str] | None = None,
        send_as_json: bool = False,
    ) -> None:
        super().__init__()
        self.root = root
        self.path = path
        self.field = field
        self.headers = headers
        self.send_as_json = send_as_json

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        requests = require("requests", "all", "callbacks.RemoteMonitor")
        sent = {"epoch": epoch}
        for name, value in (logs or {}).items():
            sent[name] = value.item() if isinstance(value, (np.ndarray, np.generic)) else value
        body = {"json": sent} if self.send_as_json else {"data": {self.field: json.dumps(sent)}}
        try:
            requests.post(self.root + self.path, headers=self.headers, **body)
        except requests.exceptions.RequestException as error:
            warnings.warn(f"Could not reach RemoteMonitor root server at {self.root}: {error}", stacklevel=2)
