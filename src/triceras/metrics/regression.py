"""Metrics of numbers and vectors."""

from __future__ import annotations

from typing import Any

from triceras import losses, ops
from triceras.core.registry import export
from triceras.metrics.base import MeanMetricWrapper


@export("metrics.MeanSquaredError")
class MeanSquaredError(MeanMetricWrapper):
    """Mean of squared differences.

    >>> float(MeanSquaredError()([[0.0, 1.0]], [[1.0, 1.0]]))
    0.5
    """

    def __init__(self, name: str | None = "mean_squared_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_squared_error, name=name, dtype=dtype)


@export("metrics.RootMeanSquaredError")
class RootMeanSquaredError(MeanMetricWrapper):
    """Square root of the mean of squared differences.

    >>> float(RootMeanSquaredError()([[0.0, 0.0]], [[2.0, 2.0]]))
    2.0
    """

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_squared_error, name=name, dtype=dtype)

    def result(self) -> Any:
        """The root of the mean."""
        return ops.sqrt(super().result())


@export("metrics.MeanAbsoluteError")
class MeanAbsoluteError(MeanMetricWrapper):
    """Mean of absolute differences.

    >>> float(MeanAbsoluteError()([[0.0, 1.0]], [[1.0, 1.0]]))
    0.5
    """

    def __init__(self, name: str | None = "mean_absolute_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_absolute_error, name=name, dtype=dtype)


@export("metrics.MeanAbsolutePercentageError")
class MeanAbsolutePercentageError(MeanMetricWrapper):
    """Mean of absolute differences in percent of the targets.

    >>> float(MeanAbsolutePercentageError()([[2.0, 1.0]], [[1.0, 1.0]]))
    25.0
    """

    def __init__(self, name: str | None = "mean_absolute_percentage_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_absolute_percentage_error, name=name, dtype=dtype)


@export("metrics.MeanSquaredLogarithmicError")
class MeanSquaredLogarithmicError(MeanMetricWrapper):
    """Mean of squared differences of logarithms.

    >>> float(MeanSquaredLogarithmicError()([[3.0]], [[3.0]]))
    0.0
    """

    def __init__(self, name: str | None = "mean_squared_logarithmic_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_squared_logarithmic_error, name=name, dtype=dtype)


@export("metrics.LogCoshError")
class LogCoshError(MeanMetricWrapper):
    """Mean logarithm of the hyperbolic cosine of the differences.

    >>> float(LogCoshError()([[1.0]], [[1.0]]))
    0.0
    """

    def __init__(self, name: str | None = "logcosh", dtype: Any = None) -> None:
        super().__init__(losses.log_cosh, name=name, dtype=dtype)


def _cosine(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    return -losses.cosine_similarity(y_true, y_pred, axis=axis)


@export("metrics.CosineSimilarity")
class CosineSimilarity(MeanMetricWrapper):
    """Cosine of the angle between vectors: 1 for the same direction.

    Args:
        name: the metric's name.
        dtype: dtype or dtype policy; floatx if not given.
        axis: along which the vectors lie.

    >>> float(CosineSimilarity()([[0.0, 1.0]], [[0.0, 3.0]]))
    1.0
    """

    _direction = "up"
    unsaved = ("axis",)

    def __init__(self, name: str | None = "cosine_similarity", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(_cosine, name=name, dtype=dtype, axis=axis)
