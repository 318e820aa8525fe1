"""Several callbacks, told everything as if they were one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from triceras.core import tree
from triceras.core.errors import ArgumentTypeError, shown
from triceras.core.registry import export
from triceras.training.callbacks.base import Callback, History, Logs, number
from triceras.training.callbacks.display import ProgbarLogger
from triceras.training.progress import erase

BATCH_HOOKS = {
    "train": ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end"),
    "test": ("on_test_batch_begin", "on_test_batch_end"),
    "predict": ("on_predict_batch_begin", "on_predict_batch_end"),
}


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

    >>> [type(c).__name__ for c in CallbackList(ProgbarLogger(), add_history=True).callbacks]
    ['ProgbarLogger', 'History']
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
    return {name: number(value) for name, value in sorted((logs or {}).items())}
