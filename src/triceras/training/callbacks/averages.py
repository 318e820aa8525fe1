"""The moving average of the weights in place of the weights."""

from __future__ import annotations

from triceras.core.errors import StateError, shown
from triceras.core.registry import export
from triceras.training.callbacks.base import Callback, Logs


@export("callbacks.SwapEMAWeights")
class SwapEMAWeights(Callback):
    """Evaluates, predicts and saves with the moving average of the weights, and trains on with the weights.

    The optimizer must keep the average: `use_ema=True`.

    Args:
        swap_on_epoch: put the average in place at the end of every epoch, for callbacks that come later in the
            list, such as `ModelCheckpoint`, and the weights back at the start of the next one. Otherwise the
            average is in place while `evaluate`, validation and `predict` run.

    Raises:
        StateError: the optimizer keeps no average.

    >>> SwapEMAWeights(swap_on_epoch=True).swap_on_epoch
    True
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = swap_on_epoch

    def _show(self, average: bool) -> None:
        optimizer = self.model.optimizer
        if optimizer is None or not optimizer.keeps_average:
            raise StateError(
                "SwapEMAWeights needs an optimizer that keeps a moving average of the weights, such as "
                f"Adam(use_ema=True). Received: {shown(optimizer)}"
            )
        optimizer.show_average(average)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._show(False)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self.swap_on_epoch:
            self._show(False)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.swap_on_epoch:
            self._show(True)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._show(True)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._show(False)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._show(True)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._show(False)
