"""Intersection over union of predicted and true regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from triceras import ops
from triceras.core import config
from triceras.core.errors import ArgumentError, ShapeError
from triceras.core.registry import export
from triceras.losses.base import aligned
from triceras.metrics.base import Metric


@export("metrics.IoU")
class IoU(Metric):
    """Mean over some classes of the intersection over union,
    `true positives / (true positives + all mistakes)`.

    Args:
        num_classes: number of classes.
        target_class_ids: the classes whose mean is taken.
        name: the metric's name.
        dtype: dtype of the counts; "int32" if not given, which cuts weights to integers: give "float32" for
            others.
        ignore_class: a class number of the targets whose entries don't count.
        sparse_y_true: whether targets are class numbers rather than scores of the classes.
        sparse_y_pred: whether predictions are class numbers rather than scores of the classes.
        axis: of the classes, where there are scores.

    >>> round(float(IoU(num_classes=2, target_class_ids=[0])([0, 0, 1, 1], [0, 1, 0, 1])), 4)
    0.3333
    """

    _direction = "up"

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(name=name, dtype=dtype or "int32")
        if not all(0 <= i < num_classes for i in target_class_ids):
            raise ArgumentError(
                f"{type(self).__name__}: `target_class_ids` must be from 0 to {num_classes - 1}, for "
                f"{num_classes} classes. "
                f"Received: {target_class_ids!r}"
            )
        self.num_classes, self.target_class_ids, self.ignore_class = (
            num_classes,
            list(target_class_ids),
            ignore_class,
        )
        self.sparse_y_true, self.sparse_y_pred, self.axis = sparse_y_true, sparse_y_pred, axis
        self.total_confusion_matrix = self.add_weight(
            shape=(num_classes, num_classes), name="total_confusion_matrix"
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch of targets, predictions and weights."""
        true, predicted = (
            ops.cast(y if sparse else ops.argmax(y, axis=self.axis), "int32")
            for y, sparse in (
                (ops.convert_to_tensor(y_true), self.sparse_y_true),
                (ops.convert_to_tensor(y_pred), self.sparse_y_pred),
            )
        )
        weight = (
            1.0
            if sample_weight is None
            else aligned(sample_weight, ops.cast(true, config.floatx()), self.name)
        )
        weight = ops.ravel(ops.broadcast_to(ops.cast(weight, self.dtype), ops.shape(true)))
        true, predicted = ops.ravel(true), ops.ravel(predicted)
        if true.shape[0] != predicted.shape[0] and None not in (true.shape[0], predicted.shape[0]):
            raise ShapeError(
                f"{self.name}: targets and predictions must have the same number of entries. Received "
                "y_true of shape "
                f"{tuple(ops.shape(y_true))} and y_pred of shape {tuple(ops.shape(y_pred))}."
            )
        counts = self._valid(true) & self._valid(predicted)
        if self.ignore_class is not None:
            counts = counts & (true != self.ignore_class)
        cell = ops.where(counts, true * self.num_classes + predicted, 0)
        matrix = ops.segment_sum(
            ops.where(counts, weight, ops.zeros_like(weight)), cell, num_segments=self.num_classes**2
        )
        self.total_confusion_matrix.assign_add(ops.reshape(matrix, (self.num_classes, self.num_classes)))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as `from_config` takes them."""
        found = super().get_config()
        return found | {"target_class_ids": self.target_class_ids} if "target_class_ids" in found else found

    def _valid(self, classes: Any) -> Any:
        return ops.logical_and(classes >= 0, classes < self.num_classes)

    def result(self) -> Any:
        """The mean over the target classes that occur."""
        matrix = ops.cast(self.total_confusion_matrix.value, config.floatx())
        common = ops.diagonal(matrix)
        union = ops.sum(matrix, axis=0) + ops.sum(matrix, axis=1) - common
        common, union = (ops.take(x, self.target_class_ids, axis=0) for x in (common, union))
        occurring = ops.sum(ops.cast(union > 0, config.floatx()))
        return ops.divide_no_nan(ops.sum(ops.divide_no_nan(common, union)), occurring)


@export("metrics.BinaryIoU")
class BinaryIoU(IoU):
    """Intersection over union of the classes 0 and 1 that a threshold separates.

    Args:
        target_class_ids: the classes whose mean is taken: (0,), (1,) or (0, 1).
        threshold: at and above which a prediction means 1.
        name: the metric's name.
        dtype: dtype of the counts; "int32" if not given, which cuts weights to integers: give "float32" for
            others.

    >>> round(float(BinaryIoU()([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7])), 4)
    0.5833
    """

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_classes=2, target_class_ids=target_class_ids, name=name, dtype=dtype)
        self.threshold = threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch of targets, predictions and weights."""
        super().update_state(y_true, ops.convert_to_tensor(y_pred) >= self.threshold, sample_weight)


@export("metrics.MeanIoU")
class MeanIoU(IoU):
    """Mean over all classes of the intersection over union.

    Args:
        num_classes: number of classes.
        name: the metric's name.
        dtype: dtype of the counts; "int32" if not given, which cuts weights to integers: give "float32" for
            others.
        ignore_class: a class number of the targets whose entries don't count.
        sparse_y_true: whether targets are class numbers rather than scores of the classes.
        sparse_y_pred: whether predictions are class numbers rather than scores of the classes.
        axis: of the classes, where there are scores.

    >>> round(float(MeanIoU(num_classes=2)([0, 0, 1, 1], [0, 1, 0, 1])), 4)
    0.3333
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(
            num_classes, range(num_classes), name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis
        )


@export("metrics.OneHotIoU")
class OneHotIoU(IoU):
    """Mean over some classes of the intersection over union; targets are one-hot vectors.

    Args:
        num_classes: number of classes.
        target_class_ids: the classes whose mean is taken.
        name: the metric's name.
        dtype: dtype of the counts; "int32" if not given, which cuts weights to integers: give "float32" for
            others.
        ignore_class: a class number of the targets whose entries don't count.
        sparse_y_pred: whether predictions are class numbers rather than scores of the classes.
        axis: of the classes.

    >>> float(OneHotIoU(num_classes=2, target_class_ids=[0])([[1, 0], [0, 1]], [[0.9, 0.1], [0.6, 0.4]]))
    0.5
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)


@export("metrics.OneHotMeanIoU")
class OneHotMeanIoU(MeanIoU):
    """Mean over all classes of the intersection over union; targets are one-hot vectors.

    Args:
        num_classes: number of classes.
        name: the metric's name.
        dtype: dtype of the counts; "int32" if not given, which cuts weights to integers: give "float32" for
            others.
        ignore_class: a class number of the targets whose entries don't count.
        sparse_y_pred: whether predictions are class numbers rather than scores of the classes.
        axis: of the classes.

    >>> round(float(OneHotMeanIoU(num_classes=2)([[1, 0], [0, 1]], [[0.9, 0.1], [0.6, 0.4]])), 4)
    0.25
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)
