"""The display of progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from triceras.core.registry import export
from triceras.training.callbacks.base import Callback, Logs
from triceras.training.progress import Progbar


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
