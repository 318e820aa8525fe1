"""The base of callbacks: objects that the training loop tells what happens, and that may act on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from triceras.core.errors import ArgumentTypeError, shown
from triceras.core.registry import export

Logs = dict[str, Any]


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


def number(value: Any) -> Any:
    """A scalar as a float; anything else as it is."""
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
