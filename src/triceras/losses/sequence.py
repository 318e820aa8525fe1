"""Losses of sequences of labels."""

from __future__ import annotations

from typing import Any

from triceras import ops
from triceras.core.errors import ShapeError
from triceras.core.registry import export
from triceras.losses.base import LossFunctionWrapper


@export("losses.ctc")
def ctc(y_true: Any, y_pred: Any) -> Any:
    """Connectionist temporal classification: minus the logarithm of the probability of all alignments of a target
    (Graves et al., 2006, doi:10.1145/1143844.1143891).

    Args:
        y_true: labels from 1 on, of shape `(batch, labels)`, filled up with 0.
        y_pred: logits, of shape `(batch, time, classes)`; class 0 is the blank. All moments count.

    >>> round(float(ctc([[1, 0]], [[[0.0, 0.0], [0.0, 0.0]]])[0]), 4)
    0.2877
    """
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    if len(y_true.shape) != 2 or len(y_pred.shape) != 3:
        raise ShapeError(
            "ctc: targets must have shape (batch, labels) and predictions (batch, time, classes). Received y_true of "
            f"shape {tuple(y_true.shape)} and y_pred of shape {tuple(y_pred.shape)}."
        )
    labels = ops.sum(ops.cast(ops.not_equal(y_true, 0), "int32"), axis=-1)
    moments = ops.sum(ops.ones_like(y_pred[..., 0], "int32"), axis=-1)
    return ops.ctc_loss(y_true, y_pred, labels, moments)


ctc.keeps_labels = True  # type: ignore[attr-defined]


@export("losses.CTC")
class CTC(LossFunctionWrapper):
    """Connectionist temporal classification, for targets of labels from 1 on, filled up with 0, and logits of shape
    `(batch, time, classes)`.

    >>> round(float(CTC()([[1, 0]], [[[0.0, 0.0], [0.0, 0.0]]])), 4)
    0.2877
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = "ctc", dtype: Any = None
    ) -> None:
        super().__init__(ctc, name=name, reduction=reduction, dtype=dtype)
