"""How often predictions are right."""

from __future__ import annotations

from typing import Any

from triceras import ops
from triceras.core import config
from triceras.core.dtypes import standardize_dtype
from triceras.core.errors import ShapeError
from triceras.core.registry import export
from triceras.losses.base import pair, same_rank
from triceras.metrics.base import MeanMetricWrapper


def _float(hits: Any) -> Any:
    return ops.cast(hits, config.floatx())


def _labels(what: str, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Class numbers without an axis of size 1 for the classes, and predictions for each class.

    Raises:
        ShapeError: they don't fit.
    """
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    true, predicted = tuple(y_true.shape), tuple(y_pred.shape)
    if true and len(true) == len(predicted) and true[-1] == 1:
        y_true = ops.squeeze(y_true, -1)
    elif len(true) != len(predicted) - 1:
        raise ShapeError(
            f"{what}: targets must be class numbers, of the predictions' shape without its last axis. "
            f"Received y_true of shape {true} and y_pred of shape {predicted}. For one-hot targets use "
            f"{what.removeprefix('sparse_')}."
        )
    return ops.cast(y_true, "int32"), y_pred


def _one_hot_pair(what: str, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Class numbers of one-hot targets, and predictions for each class.

    Raises:
        ShapeError: the shapes differ.
    """
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    true, predicted = tuple(y_true.shape), tuple(y_pred.shape)
    if len(true) != len(predicted) or any(
        a != b and None not in (a, b) for a, b in zip(true, predicted, strict=True)
    ):
        raise ShapeError(
            f"{what}: targets must be one-hot vectors of the shape of the predictions. Received y_true of "
            f"shape {true} and y_pred of shape {predicted}. For class numbers use sparse_{what}."
        )
    return ops.cast(ops.argmax(y_true, axis=-1), "int32"), y_pred


# -- one answer --------------------------------------------------------------------------------------------


def accuracy(y_true: Any, y_pred: Any) -> Any:
    """Where targets and predictions are equal, as 0 and 1; a last axis of size 1 may be missing in one."""
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    return _float(ops.equal(*same_rank(y_true, y_pred)))


@export("metrics.Accuracy")
class Accuracy(MeanMetricWrapper):
    """How often predictions equal targets.

    >>> float(Accuracy()([[1], [2]], [[1], [3]]))
    0.5
    """

    _direction = "up"

    def __init__(self, name: str | None = "accuracy", dtype: Any = None) -> None:
        super().__init__(accuracy, name=name, dtype=dtype)


@export("metrics.binary_accuracy")
def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
    """Where `y_pred > threshold` equals the target, as 0 and 1.

    >>> binary_accuracy([0.0, 1.0], [0.4, 0.3]).tolist()
    [1.0, 0.0]
    """
    y_true, y_pred = pair("binary_accuracy", y_true, y_pred)
    return _float(ops.equal(y_true, ops.cast(y_pred > threshold, standardize_dtype(y_true.dtype))))


@export("metrics.BinaryAccuracy")
class BinaryAccuracy(MeanMetricWrapper):
    """How often yes-or-no answers are right.

    Args:
        name: the metric's name.
        dtype: dtype or dtype policy; floatx if not given.
        threshold: above which a prediction means 1.

    >>> float(BinaryAccuracy()([[0.0], [1.0]], [[0.4], [0.3]]))
    0.5
    """

    _direction = "up"

    def __init__(
        self, name: str | None = "binary_accuracy", dtype: Any = None, threshold: float = 0.5
    ) -> None:
        super().__init__(binary_accuracy, name=name, dtype=dtype, threshold=threshold)
        self.threshold = threshold


@export("metrics.categorical_accuracy")
def categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """Where the largest prediction is that of the right class, as 0 and 1.

    Args:
        y_true: one-hot vectors.
        y_pred: predictions, of the same shape.

    >>> categorical_accuracy([[0, 1], [1, 0]], [[0.1, 0.9], [0.2, 0.8]]).tolist()
    [1.0, 0.0]
    """
    y_true, y_pred = _one_hot_pair("categorical_accuracy", y_true, y_pred)
    return _float(ops.equal(y_true, ops.cast(ops.argmax(y_pred, axis=-1), "int32")))


@export("metrics.CategoricalAccuracy")
class CategoricalAccuracy(MeanMetricWrapper):
    """How often the largest prediction is that of the right class; targets are one-hot vectors.

    >>> float(CategoricalAccuracy()([[0, 1], [1, 0]], [[0.1, 0.9], [0.2, 0.8]]))
    0.5
    """

    _direction = "up"

    def __init__(self, name: str | None = "categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(categorical_accuracy, name=name, dtype=dtype)


@export("metrics.sparse_categorical_accuracy")
def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """Where the largest prediction is that of the right class, as 0 and 1.

    Args:
        y_true: class numbers, of the shape of `y_pred` without its last axis or with size 1 there.
        y_pred: a prediction for each class.

    >>> sparse_categorical_accuracy([1, 0], [[0.1, 0.9], [0.2, 0.8]]).tolist()
    [1.0, 0.0]
    """
    y_true, y_pred = _labels("sparse_categorical_accuracy", y_true, y_pred)
    return _float(ops.equal(y_true, ops.cast(ops.argmax(y_pred, axis=-1), "int32")))


@export("metrics.SparseCategoricalAccuracy")
class SparseCategoricalAccuracy(MeanMetricWrapper):
    """How often the largest prediction is that of the right class; targets are class numbers.

    >>> float(SparseCategoricalAccuracy()([1, 0], [[0.1, 0.9], [0.2, 0.8]]))
    0.5
    """

    _direction = "up"

    def __init__(self, name: str | None = "sparse_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(sparse_categorical_accuracy, name=name, dtype=dtype)


# -- k answers ---------------------------------------------------------------------------------------------


def _within(y_true: Any, y_pred: Any, k: int) -> Any:
    """Where the right class is among the k largest predictions, as 0 and 1."""
    flat = ops.reshape(y_pred, (-1, ops.shape(y_pred)[-1]))
    hits = ops.in_top_k(ops.reshape(y_true, (-1,)), flat, min(k, ops.shape(y_pred)[-1]))
    return ops.reshape(_float(hits), ops.shape(y_true))


@export("metrics.top_k_categorical_accuracy")
def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    """Where the right class is among the `k` largest predictions, as 0 and 1.

    Args:
        y_true: one-hot vectors.
        y_pred: predictions, of the same shape.
        k: number of predictions that may be right.

    >>> top_k_categorical_accuracy([[0, 0, 1]], [[0.1, 0.5, 0.4]], k=2).tolist()
    [1.0]
    """
    y_true, y_pred = _one_hot_pair("top_k_categorical_accuracy", y_true, y_pred)
    return _within(y_true, y_pred, k)


@export("metrics.TopKCategoricalAccuracy")
class TopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the right class is among the k largest predictions; targets are one-hot vectors.

    Args:
        k: number of predictions that may be right.
        name: the metric's name.
        dtype: dtype or dtype policy; floatx if not given.

    >>> float(TopKCategoricalAccuracy(k=2)([[0, 0, 1]], [[0.1, 0.5, 0.4]]))
    1.0
    """

    _direction = "up"

    def __init__(
        self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: Any = None
    ) -> None:
        super().__init__(top_k_categorical_accuracy, name=name, dtype=dtype, k=k)
        self.k = k


@export("metrics.sparse_top_k_categorical_accuracy")
def sparse_top_k_categorical_accuracy(
    y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False
) -> Any:
    """Where the right class is among the `k` largest predictions, as 0 and 1.

    Args:
        y_true: class numbers, of the shape of `y_pred` without its last axis or with size 1 there.
        y_pred: a prediction for each class.
        k: number of predictions that may be right.
        from_sorted_ids: whether `y_pred` holds class numbers, the most likely first.

    >>> sparse_top_k_categorical_accuracy([2], [[0.1, 0.5, 0.4]], k=2).tolist()
    [1.0]
    """
    y_true, y_pred = _labels("sparse_top_k_categorical_accuracy", y_true, y_pred)
    if from_sorted_ids:
        best = ops.cast(y_pred[..., :k], "int32")
        return _float(ops.any(ops.equal(ops.expand_dims(y_true, -1), best), axis=-1))
    return _within(y_true, y_pred, k)


@export("metrics.SparseTopKCategoricalAccuracy")
class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the right class is among the k largest predictions; targets are class numbers.

    Args:
        k: number of predictions that may be right.
        name: the metric's name.
        dtype: dtype or dtype policy; floatx if not given.
        from_sorted_ids: whether predictions are class numbers, the most likely first.

    >>> float(SparseTopKCategoricalAccuracy(k=2)([2], [[0.1, 0.5, 0.4]]))
    1.0
    """

    _direction = "up"
    unsaved = ("from_sorted_ids",)

    def __init__(
        self,
        k: int = 5,
        name: str | None = "sparse_top_k_categorical_accuracy",
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ) -> None:
        super().__init__(
            sparse_top_k_categorical_accuracy, name=name, dtype=dtype, k=k, from_sorted_ids=from_sorted_ids
        )
        self.k, self.from_sorted_ids = k, from_sorted_ids
