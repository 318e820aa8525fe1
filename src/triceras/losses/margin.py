"""Losses of margins: predictions on the right side, and far enough from the border, cost nothing."""

from __future__ import annotations

from typing import Any

from triceras import ops
from triceras.core.registry import export
from triceras.losses.base import LossFunctionWrapper, pair


def _signed(y_true: Any) -> Any:
    """Labels 0 and 1 as -1 and 1; other labels as they are."""
    is_binary = ops.all(ops.logical_or(y_true == 0, y_true == 1))
    return ops.where(is_binary, 2.0 * y_true - 1.0, y_true)


@export("losses.hinge", "metrics.hinge")
def hinge(y_true: Any, y_pred: Any) -> Any:
    """Mean of `max(1 - y_true * y_pred, 0)` over the last axis.

    Args:
        y_true: -1 or 1; 0 and 1 are understood too.
        y_pred: predictions, of the same shape.

    >>> float(hinge([-1.0, 1.0], [-2.0, 0.5]))
    0.25
    """
    y_true, y_pred = pair("hinge", y_true, y_pred)
    return ops.mean(ops.maximum(1.0 - _signed(y_true) * y_pred, 0.0), axis=-1)


@export("losses.Hinge")
class Hinge(LossFunctionWrapper):
    """How far predictions are from the right side of a margin.

    >>> float(Hinge()([[1.0]], [[0.5]]))
    0.5
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = "hinge", dtype: Any = None
    ) -> None:
        super().__init__(hinge, name=name, reduction=reduction, dtype=dtype)


@export("losses.squared_hinge", "metrics.squared_hinge")
def squared_hinge(y_true: Any, y_pred: Any) -> Any:
    """Mean of `max(1 - y_true * y_pred, 0)**2` over the last axis.

    Args:
        y_true: -1 or 1; 0 and 1 are understood too.
        y_pred: predictions, of the same shape.

    >>> float(squared_hinge([-1.0, 1.0], [-2.0, 0.5]))
    0.125
    """
    y_true, y_pred = pair("squared_hinge", y_true, y_pred)
    return ops.mean(ops.square(ops.maximum(1.0 - _signed(y_true) * y_pred, 0.0)), axis=-1)


@export("losses.SquaredHinge")
class SquaredHinge(LossFunctionWrapper):
    """The square of how far predictions are from the right side of a margin.

    >>> float(SquaredHinge()([[1.0]], [[0.5]]))
    0.25
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "squared_hinge",
        dtype: Any = None,
    ) -> None:
        super().__init__(squared_hinge, name=name, reduction=reduction, dtype=dtype)


@export("losses.categorical_hinge", "metrics.categorical_hinge")
def categorical_hinge(y_true: Any, y_pred: Any) -> Any:
    """`max(wrong - right + 1, 0)`, of the prediction for the right class and the best one for a wrong class.

    Args:
        y_true: one-hot vectors.
        y_pred: predictions, of the same shape.

    >>> float(categorical_hinge([0.0, 1.0], [0.5, 1.0]))
    0.5
    """
    y_true, y_pred = pair("categorical_hinge", y_true, y_pred)
    right = ops.sum(y_true * y_pred, axis=-1)
    wrong = ops.max((1.0 - y_true) * y_pred, axis=-1)
    return ops.maximum(wrong - right + 1.0, 0.0)


@export("losses.CategoricalHinge")
class CategoricalHinge(LossFunctionWrapper):
    """How far the right class is from leading by a margin of 1.

    >>> float(CategoricalHinge()([[0.0, 1.0]], [[0.5, 1.0]]))
    0.5
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_hinge",
        dtype: Any = None,
    ) -> None:
        super().__init__(categorical_hinge, name=name, reduction=reduction, dtype=dtype)
