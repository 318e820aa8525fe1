"""F-scores: precision and recall in one number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from triceras import ops
from triceras.core import config
from triceras.core.errors import ArgumentError
from triceras.core.registry import export
from triceras.losses.base import aligned, same_rank
from triceras.metrics.base import Metric, table_width

AVERAGES = (None, "micro", "macro", "weighted")


@export("metrics.FBetaScore")
class FBetaScore(Metric):
    """Weighted harmonic mean of precision and recall, for each class: `(1 + b²) p r / (b² p + r)`.

    Args:
        average: None for a score of each class, "micro" (one score of all counts), "macro" (their mean) or
            "weighted" (their mean by the number of targets).
        beta: how much more recall weighs than precision.
        threshold: above which a prediction is positive; the largest one of each sample if not given.
        name: the metric's name.
        dtype: dtype or dtype policy; floatx if not given.

    >>> score = FBetaScore(beta=2.0)([[1, 0], [0, 1]], [[0.9, 0.1], [0.8, 0.2]])
    >>> [round(float(s), 2) for s in score]
    [0.83, 0.0]
    """

    _direction = "up"

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        what = type(self).__name__
        if average not in AVERAGES:
            raise ArgumentError(f"{what}: `average` must be one of {AVERAGES}. Received: {average!r}")
        if isinstance(beta, bool) or not isinstance(beta, (int, float)) or beta <= 0:
            raise ArgumentError(f"{what}: `beta` must be a number above 0. Received: {beta!r}")
        if threshold is not None and (not isinstance(threshold, float) or not 0 < threshold <= 1):
            raise ArgumentError(
                f"{what}: `threshold` must be a float above 0 and at most 1, or None. Received: {threshold!r}"
            )
        self.average, self.beta, self.threshold = average, beta, threshold
        self._built = False

    def build_state(self, y_true_shape: Sequence[int | None], y_pred_shape: Sequence[int | None]) -> None:
        if self._built:
            return
        width = table_width(type(self).__name__, y_true_shape, y_pred_shape)
        names = ("true_positives", "false_positives", "false_negatives", "intermediate_weights")
        shape = () if self.average == "micro" else (width,)
        self.true_positives, self.false_positives, self.false_negatives, self.intermediate_weights = (
            self.add_weight(shape=shape, name=name) for name in names
        )
        self._built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch of one-hot targets, predictions and weights of the samples."""
        y_true, y_pred = same_rank(
            *(ops.cast(ops.convert_to_tensor(y), self.dtype) for y in (y_true, y_pred))
        )
        self.build_state(tuple(y_true.shape), tuple(y_pred.shape))
        if self.threshold is None:
            largest = y_pred >= ops.max(y_pred, axis=-1, keepdims=True)
            # nothing is predicted where all are 0
            positive = ops.logical_and(largest, ops.abs(y_pred) > 1e-9)
        else:
            positive = y_pred > self.threshold
        positive = ops.cast(positive, self.dtype)
        weight = 1.0 if sample_weight is None else aligned(sample_weight, y_pred, self.name)
        axis = None if self.average == "micro" else 0
        for variable, counted in (
            (self.true_positives, positive * y_true),
            (self.false_positives, positive * (1.0 - y_true)),
            (self.false_negatives, (1.0 - positive) * y_true),
            (self.intermediate_weights, y_true),
        ):
            variable.assign_add(ops.sum(counted * weight, axis=axis))

    def result(self) -> Any:
        """The score, or one for each class."""
        if not self._built:
            return ops.zeros((), dtype=self.dtype)
        right = self.true_positives.value
        precision = right / (right + self.false_positives.value + config.epsilon())
        recall = right / (right + self.false_negatives.value + config.epsilon())
        square = self.beta**2
        score = (1.0 + square) * precision * recall / (square * precision + recall + config.epsilon())
        if self.average == "weighted":
            share = self.intermediate_weights.value
            return ops.sum(score * share / (ops.sum(share) + config.epsilon()))
        return ops.mean(score) if self.average else score


@export("metrics.F1Score")
class F1Score(FBetaScore):
    """Harmonic mean of precision and recall, for each class.

    Args:
        average: None for a score of each class, "micro" (one score of all counts), "macro" (their mean) or
            "weighted" (their mean by the number of targets).
        threshold: above which a prediction is positive; the largest one of each sample if not given.
        name: the metric's name.
        dtype: dtype or dtype policy; floatx if not given.

    >>> round(float(F1Score(average="micro")([[1, 0], [0, 1]], [[0.9, 0.1], [0.8, 0.2]])), 2)
    0.5
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(average=average, beta=1.0, threshold=threshold, name=name, dtype=dtype)
