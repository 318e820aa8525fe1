"""How well predictions follow targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from triceras import ops
from triceras.core import config
from triceras.core.errors import ArgumentError
from triceras.core.registry import export
from triceras.losses.base import aligned, pair, same_rank
from triceras.metrics.base import MeanMetricWrapper, Metric, table_width

AGGREGATIONS = (None, "uniform_average", "variance_weighted_average")


@export("metrics.R2Score")
class R2Score(Metric):
    """The share of the targets' variance that predictions explain: 1 is perfect, 0 no better than the mean.

    Args:
        class_aggregation: for several outputs: "uniform_average", "variance_weighted_average", or None for
            one score each.
        num_regressors: number of independent variables, for the adjusted score, which counts each target as a
            sample; 0 for the plain one.
        name: the metric's name.
        dtype: dtype or dtype policy; floatx if not given.

    >>> float(R2Score()([[1.0], [3.0]], [[1.0], [3.0]]))
    1.0
    """

    _direction = "up"

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = "r2_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if class_aggregation not in AGGREGATIONS:
            raise ArgumentError(
                f"R2Score: `class_aggregation` must be one of {AGGREGATIONS}. Received: {class_aggregation!r}"
            )
        if num_regressors < 0:
            raise ArgumentError(f"R2Score: `num_regressors` must be at least 0. Received: {num_regressors!r}")
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors
        self.num_samples = self.add_weight(name="num_samples")
        self._built = False

    def build_state(self, y_true_shape: Sequence[int | None], y_pred_shape: Sequence[int | None]) -> None:
        if self._built:
            return
        width = table_width("R2Score", y_true_shape, y_pred_shape)
        names = ("squared_sum", "sum", "residual", "count")
        self.squared_sum, self.sum, self.residual, self.count = (
            self.add_weight(shape=(width,), name=name) for name in names
        )
        self._built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch of targets, predictions and weights of the samples into account."""
        y_true, y_pred = same_rank(
            *(ops.cast(ops.convert_to_tensor(y), self.dtype) for y in (y_true, y_pred))
        )
        self.build_state(tuple(y_true.shape), tuple(y_pred.shape))
        weight = aligned(1.0 if sample_weight is None else sample_weight, y_true, self.name)
        for variable, values in (
            (self.squared_sum, y_true * y_true * weight),
            (self.sum, y_true * weight),
            (self.residual, ops.square(y_true - y_pred) * weight),
            (self.count, ops.broadcast_to(weight, ops.shape(y_true))),
        ):
            variable.assign_add(ops.sum(values, axis=0))
        self.num_samples.assign_add(ops.size(y_true))

    def result(self) -> Any:
        """The score, or one for each output."""
        if not self._built:
            return ops.zeros((), dtype=self.dtype)
        mean = ops.divide_no_nan(self.sum.value, self.count.value)
        variation = self.squared_sum.value - self.sum.value * mean
        score = 1.0 - ops.divide_no_nan(self.residual.value, variation)
        score = ops.where(ops.equal(variation, 0), 0.0, score)
        if self.class_aggregation == "uniform_average":
            score = ops.mean(score)
        elif self.class_aggregation == "variance_weighted_average":
            score = ops.divide_no_nan(ops.sum(score * variation), ops.sum(variation))
        if self.num_regressors:
            score = self._adjusted(score)
        return score

    def _adjusted(self, score: Any) -> Any:
        """The score with a price for each regressor; unchanged with too few samples."""
        freedom = self.num_samples.value - self.num_regressors - 1.0
        adjusted = 1.0 - ops.divide_no_nan((1.0 - score) * (self.num_samples.value - 1.0), freedom)
        return ops.where(freedom > 0, adjusted, score)


@export("metrics.pearson_correlation")
def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """Pearson's correlation along an axis, from -1 to 1.

    >>> round(float(pearson_correlation([0.0, 1.0, 2.0], [1.0, 3.0, 5.0])), 4)
    1.0
    """
    y_true, y_pred = pair("pearson_correlation", y_true, y_pred)
    first, second = (y - ops.mean(y, axis=axis, keepdims=True) for y in (y_true, y_pred))
    lengths = ops.sqrt(ops.sum(ops.square(first), axis=axis) * ops.sum(ops.square(second), axis=axis))
    return ops.sum(first * second, axis=axis) / lengths


@export("metrics.PearsonCorrelation")
class PearsonCorrelation(MeanMetricWrapper):
    """Mean of Pearson's correlation along an axis of each sample; NaN where one side is constant.

    Args:
        name: the metric's name.
        dtype: dtype or dtype policy; floatx if not given.
        axis: along which values are correlated.

    >>> round(float(PearsonCorrelation()([[0.0, 1.0, 2.0]], [[1.0, 3.0, 5.0]])), 4)
    1.0
    """

    _direction = "up"

    def __init__(self, name: str | None = "pearson_correlation", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(pearson_correlation, name=name, dtype=dtype, axis=axis)
        self.axis = axis


@export("metrics.concordance_correlation")
def concordance_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """Lin's concordance correlation along an axis: as Pearson's, less what mean and scale differ.

    >>> round(float(concordance_correlation([0.0, 1.0, 2.0], [0.0, 1.0, 2.0])), 4)
    1.0
    """
    y_true, y_pred = pair("concordance_correlation", y_true, y_pred)
    means = [ops.mean(y, axis=axis, keepdims=True) for y in (y_true, y_pred)]
    first, second = y_true - means[0], y_pred - means[1]
    common = 2.0 * ops.mean(first * second, axis=axis)
    spread = ops.mean(ops.square(first), axis=axis) + ops.mean(ops.square(second), axis=axis)
    return common / (spread + ops.squeeze(ops.square(means[0] - means[1]), axis) + config.epsilon())


@export("metrics.ConcordanceCorrelation")
class ConcordanceCorrelation(MeanMetricWrapper):
    """Mean of Lin's concordance correlation along an axis of each sample.

    Args:
        name: the metric's name.
        dtype: dtype or dtype policy; floatx if not given.
        axis: along which values are correlated.

    >>> round(float(ConcordanceCorrelation()([[0.0, 1.0, 2.0]], [[0.0, 1.0, 2.0]])), 4)
    1.0
    """

    _direction = "up"

    def __init__(
        self, name: str | None = "concordance_correlation", dtype: Any = None, axis: int = -1
    ) -> None:
        super().__init__(concordance_correlation, name=name, dtype=dtype, axis=axis)
        self.axis = axis
