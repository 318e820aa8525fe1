"""Losses of overlapping regions and of embeddings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from triceras import ops
from triceras.core import config
from triceras.core.dtypes import standardize_dtype
from triceras.core.masks import set_mask
from triceras.core.registry import export
from triceras.losses.base import LossFunctionWrapper, pair


def _overlap(y_true: Any, y_pred: Any, axis: Any) -> tuple[Any, Any, Any]:
    """How much of targets and predictions is common, only in the targets, only in the predictions."""
    axis = tuple(axis) if isinstance(axis, (list, tuple)) else axis
    common = ops.sum(y_true * y_pred, axis=axis)
    return common, ops.sum(y_true, axis=axis) - common, ops.sum(y_pred, axis=axis) - common


@export("losses.dice")
def dice(y_true: Any, y_pred: Any, axis: int | Sequence[int] | None = None) -> Any:
    """1 minus the Dice coefficient `2 |A and B| / (|A| + |B|)`, over all axes or those given.

    >>> round(float(dice([1.0, 1.0], [1.0, 0.0])), 4)
    0.3333
    """
    y_true, y_pred = pair("dice", y_true, y_pred)
    common, missed, extra = _overlap(y_true, y_pred, axis)
    return 1.0 - 2.0 * common / (2.0 * common + missed + extra + config.epsilon())


@export("losses.Dice")
class Dice(LossFunctionWrapper):
    """1 minus the Dice coefficient, for segmentation.

    Args:
        axis: over which the coefficient is taken; all axes if None.

    >>> round(float(Dice()([[1.0, 1.0]], [[1.0, 0.0]])), 4)
    0.3333
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "dice",
        axis: int | Sequence[int] | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(dice, name=name, reduction=reduction, dtype=dtype, axis=axis)


@export("losses.tversky")
def tversky(
    y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: int | Sequence[int] | None = None
) -> Any:
    """1 minus the Tversky index: a Dice coefficient that weights both kinds of mistakes (Salehi et al., 2017,
    arXiv:1706.05721).

    Args:
        y_true: targets.
        y_pred: predictions, of the same shape.
        alpha: weight of what the predictions miss.
        beta: weight of what they have too much.
        axis: over which the index is taken; all axes if None.

    >>> round(float(tversky([1.0, 1.0], [1.0, 0.0], alpha=1.0)), 4)
    0.5
    """
    y_true, y_pred = pair("tversky", y_true, y_pred)
    common, missed, extra = _overlap(y_true, y_pred, axis)
    return 1.0 - common / (common + alpha * missed + beta * extra + config.epsilon())


@export("losses.Tversky")
class Tversky(LossFunctionWrapper):
    """1 minus the Tversky index, for segmentation with few positives.

    Args:
        alpha: weight of what the predictions miss.
        beta: weight of what they have too much.
        axis: over which the index is taken; all axes if None.

    >>> round(float(Tversky(alpha=1.0)([[1.0, 1.0]], [[1.0, 0.0]])), 4)
    0.5
    """

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "tversky",
        axis: int | Sequence[int] | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            tversky, name=name, reduction=reduction, dtype=dtype, alpha=alpha, beta=beta, axis=axis
        )


@export("losses.circle")
def circle(
    y_true: Any,
    y_pred: Any,
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> Any:
    """Circle loss: embeddings of one class come together and those of different classes apart (Sun et al.,
    2020, arXiv:2002.10857).

    Args:
        y_true: class numbers, of shape `(batch,)` or `(batch, 1)`.
        y_pred: embeddings of length 1, of shape `(batch, features)`.
        ref_labels: class numbers to compare with; `y_true` if not given.
        ref_embeddings: their embeddings; `y_pred` if not given.
        remove_diagonal: don't compare entries of the same number, which are themselves.
        gamma: scale of the similarities.
        margin: how far from perfect similarities may be without loss.

    >>> float(circle([0, 1], [[1.0, 0.0], [0.0, 1.0]])[0])
    0.0
    """
    y_pred = ops.convert_to_tensor(y_pred)
    dtype = standardize_dtype(y_pred.dtype)
    y_true = ops.reshape(ops.cast(y_true, "int32"), (-1, 1))
    others = y_true if ref_labels is None else ops.reshape(ops.cast(ref_labels, "int32"), (-1, 1))
    embeddings = y_pred if ref_embeddings is None else ops.cast(ref_embeddings, dtype)
    similarity = ops.minimum(ops.matmul(y_pred, ops.transpose(embeddings)), 1.0)
    alike = y_true == ops.transpose(others)
    different = ops.logical_not(alike)
    if remove_diagonal:
        rows, columns = ops.shape(alike)
        itself = ops.arange(rows)[:, None] == ops.arange(columns)[None, :]
        alike, different = (ops.logical_and(pairs, ops.logical_not(itself)) for pairs in (alike, different))
    pull = ops.maximum(1.0 + margin - similarity, 0.0) * (1.0 - margin - similarity)
    push = ops.maximum(similarity + margin, 0.0) * (similarity - margin)
    parts = [
        ops.logsumexp(ops.where(pairs, gamma * force, -math.inf), axis=1)
        for pairs, force in ((alike, pull), (different, push))
    ]
    values = ops.softplus(parts[0] + parts[1])
    # where there is nothing to compare with, there is nothing to learn
    set_mask(values, ops.logical_and(ops.any(alike, axis=1), ops.any(different, axis=1)))
    return values


@export("losses.Circle")
class Circle(LossFunctionWrapper):
    """Circle loss on embeddings and class numbers.

    Args:
        gamma: scale of the similarities.
        margin: how far from perfect similarities may be without loss.
        remove_diagonal: don't compare embeddings with themselves.

    >>> float(Circle()([0, 1], [[1.0, 0.0], [0.0, 1.0]]))
    0.0
    """

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "circle",
        dtype: Any = None,
    ) -> None:
        options = {"gamma": gamma, "margin": margin, "remove_diagonal": remove_diagonal}
        super().__init__(circle, name=name, reduction=reduction, dtype=dtype, **options)
