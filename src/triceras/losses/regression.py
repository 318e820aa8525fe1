"""Losses of numbers and vectors."""

from __future__ import annotations

import math
from typing import Any

from triceras import ops
from triceras.core import config
from triceras.core.registry import export
from triceras.losses.base import LossFunctionWrapper, pair


@export("losses.mean_squared_error", "metrics.mean_squared_error")
def mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    """Mean of `(y_true - y_pred)**2` over the last axis.

    >>> float(mean_squared_error([1.0, 2.0], [1.0, 4.0]))
    2.0
    """
    y_true, y_pred = pair("mean_squared_error", y_true, y_pred)
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


@export("losses.MeanSquaredError")
class MeanSquaredError(LossFunctionWrapper):
    """Mean of squared differences.

    >>> float(MeanSquaredError()([[0.0, 1.0]], [[1.0, 1.0]]))
    0.5
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_squared_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_squared_error, name=name, reduction=reduction, dtype=dtype)


@export("losses.mean_absolute_error", "metrics.mean_absolute_error")
def mean_absolute_error(y_true: Any, y_pred: Any) -> Any:
    """Mean of `|y_true - y_pred|` over the last axis.

    >>> float(mean_absolute_error([1.0, 2.0], [1.0, 4.0]))
    1.0
    """
    y_true, y_pred = pair("mean_absolute_error", y_true, y_pred)
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


@export("losses.MeanAbsoluteError")
class MeanAbsoluteError(LossFunctionWrapper):
    """Mean of absolute differences.

    >>> float(MeanAbsoluteError()([[0.0, 1.0]], [[1.0, 1.0]]))
    0.5
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_absolute_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_absolute_error, name=name, reduction=reduction, dtype=dtype)


@export("losses.mean_absolute_percentage_error", "metrics.mean_absolute_percentage_error")
def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Any:
    """Mean of `100 * |y_true - y_pred| / |y_true|` over the last axis.

    >>> float(mean_absolute_percentage_error([1.0, 2.0], [1.0, 4.0]))
    50.0
    """
    y_true, y_pred = pair("mean_absolute_percentage_error", y_true, y_pred)
    return 100.0 * ops.mean(
        ops.abs(y_true - y_pred) / ops.maximum(ops.abs(y_true), config.epsilon()), axis=-1
    )


@export("losses.MeanAbsolutePercentageError")
class MeanAbsolutePercentageError(LossFunctionWrapper):
    """Mean of absolute differences in percent of the targets.

    >>> float(MeanAbsolutePercentageError()([[2.0, 1.0]], [[1.0, 1.0]]))
    25.0
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_absolute_percentage_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_absolute_percentage_error, name=name, reduction=reduction, dtype=dtype)


@export("losses.mean_squared_logarithmic_error", "metrics.mean_squared_logarithmic_error")
def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Any:
    """Mean of `(log(1 + y_true) - log(1 + y_pred))**2` over the last axis; negative numbers count as 0.

    >>> float(mean_squared_logarithmic_error([0.0, 0.0], [0.0, 0.0]))
    0.0
    """
    y_true, y_pred = pair("mean_squared_logarithmic_error", y_true, y_pred)
    first, second = (ops.log(ops.maximum(y, config.epsilon()) + 1.0) for y in (y_true, y_pred))
    return ops.mean(ops.square(first - second), axis=-1)


@export("losses.MeanSquaredLogarithmicError")
class MeanSquaredLogarithmicError(LossFunctionWrapper):
    """Mean of squared differences of logarithms.

    >>> float(MeanSquaredLogarithmicError()([[3.0]], [[3.0]]))
    0.0
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_squared_logarithmic_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_squared_logarithmic_error, name=name, reduction=reduction, dtype=dtype)


@export("losses.huber", "metrics.huber")
def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Any:
    """Mean over the last axis of `error**2 / 2` where `|error| <= delta`, and of its tangent
    `delta * |error| - delta**2 / 2` beyond.

    >>> float(huber([0.0, 0.0], [1.0, 3.0]))
    1.5
    """
    y_true, y_pred = pair("huber", y_true, y_pred)
    size = ops.abs(y_true - y_pred)
    near = ops.minimum(size, delta)
    return ops.mean(near * (size - 0.5 * near), axis=-1)


@export("losses.Huber")
class Huber(LossFunctionWrapper):
    """Squared for small differences, linear for large ones, so that outliers count less.

    Args:
        delta: where the two parts meet.

    >>> float(Huber(delta=2.0)([[0.0]], [[4.0]]))
    6.0
    """

    unsaved = ("dtype", "delta")

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "huber_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(huber, name=name, reduction=reduction, dtype=dtype, delta=delta)


@export("losses.log_cosh", "metrics.log_cosh")
def log_cosh(y_true: Any, y_pred: Any) -> Any:
    """Mean of `log(cosh(y_pred - y_true))` over the last axis, without overflow.

    >>> float(log_cosh([0.0, 2.0], [0.0, 2.0]))
    0.0
    """
    y_true, y_pred = pair("log_cosh", y_true, y_pred)
    size = ops.abs(y_pred - y_true)
    return ops.mean(size + ops.log1p(ops.exp(-2.0 * size)) - math.log(2.0), axis=-1)


@export("losses.LogCosh")
class LogCosh(LossFunctionWrapper):
    """Logarithm of the hyperbolic cosine of the differences: a smooth absolute error.

    >>> float(LogCosh()([[1.0]], [[1.0]]))
    0.0
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = "log_cosh", dtype: Any = None
    ) -> None:
        super().__init__(log_cosh, name=name, reduction=reduction, dtype=dtype)


def unit(x: Any, axis: int) -> Any:
    """Vectors of length 1; zeros stay zeros."""
    return x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis=axis, keepdims=True), 1e-12))


@export("losses.cosine_similarity")
def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """Minus the cosine of the angle between vectors: -1 for the same direction, 1 for opposite ones.

    >>> float(cosine_similarity([0.0, 1.0], [0.0, 3.0]))
    -1.0
    """
    y_true, y_pred = pair("cosine_similarity", y_true, y_pred)
    return -ops.sum(unit(y_true, axis) * unit(y_pred, axis), axis=axis)


@export("losses.CosineSimilarity")
class CosineSimilarity(LossFunctionWrapper):
    """Minus the cosine of the angle between vectors.

    Args:
        axis: along which the vectors lie.

    >>> float(CosineSimilarity()([[0.0, 1.0]], [[0.0, 2.0]]))
    -1.0
    """

    unsaved = ("dtype", "axis")

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "cosine_similarity",
        dtype: Any = None,
    ) -> None:
        super().__init__(cosine_similarity, name=name, reduction=reduction, dtype=dtype, axis=axis)
