"""Losses of probabilities of classes, answers and counts."""

from __future__ import annotations

import warnings
from typing import Any

from triceras import ops
from triceras.core import config
from triceras.core.dtypes import standardize_dtype
from triceras.core.errors import ArgumentError, ArgumentTypeError, ShapeError
from triceras.core.masks import set_mask
from triceras.core.registry import export
from triceras.losses.base import LossFunctionWrapper, pair


@export("losses.binary_crossentropy", "metrics.binary_crossentropy")
def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Any:
    """Mean cross-entropy of independent yes-or-no answers over an axis.

    Args:
        y_true: targets from 0 to 1.
        y_pred: probabilities, or logits with `from_logits`, of the same shape.
        from_logits: whether predictions come before the sigmoid.
        label_smoothing: moves targets this far from 0 and 1 towards one half, as a fraction.
        axis: over which the mean is taken.

    >>> round(float(binary_crossentropy([0.0, 1.0], [0.5, 0.5])), 4)
    0.6931
    """
    y_true, y_pred = pair("binary_crossentropy", y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    return ops.mean(ops.binary_crossentropy(y_true, y_pred, from_logits=from_logits), axis=axis)


@export("losses.BinaryCrossentropy")
class BinaryCrossentropy(LossFunctionWrapper):
    """Cross-entropy of yes-or-no answers.

    Args:
        from_logits: whether predictions come before the sigmoid.
        label_smoothing: moves targets this far from 0 and 1 towards one half, as a fraction.
        axis: over which the mean is taken.

    >>> round(float(BinaryCrossentropy()([[0.0], [1.0]], [[0.5], [0.5]])), 4)
    0.6931
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
    ) -> None:
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(binary_crossentropy, name=name, reduction=reduction, dtype=dtype, **options)


@export("losses.binary_focal_crossentropy", "metrics.binary_focal_crossentropy")
def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """Binary cross-entropy in which answers that are already right count less (Lin et al., 2017,
    arXiv:1708.02002).

    Args:
        y_true: targets from 0 to 1.
        y_pred: probabilities, or logits with `from_logits`, of the same shape.
        apply_class_balancing: weight the classes by `alpha`.
        alpha: weight of class 1; class 0 has `1 - alpha`.
        gamma: how steeply certain answers lose weight.
        from_logits: whether predictions come before the sigmoid.
        label_smoothing: moves targets this far from 0 and 1 towards one half, as a fraction.
        axis: over which the mean is taken.

    >>> round(float(binary_focal_crossentropy([0.0, 1.0], [0.5, 0.5])), 4)
    0.1733
    """
    y_true, y_pred = pair("binary_focal_crossentropy", y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        y_pred = ops.sigmoid(y_pred)
    uncertain = 1.0 - (y_true * y_pred + (1.0 - y_true) * (1.0 - y_pred))
    values = ops.power(uncertain, gamma) * ops.binary_crossentropy(y_true, y_pred)
    if apply_class_balancing:
        values = values * (y_true * alpha + (1.0 - y_true) * (1.0 - alpha))
    return ops.mean(values, axis=axis)


@export("losses.BinaryFocalCrossentropy")
class BinaryFocalCrossentropy(LossFunctionWrapper):
    """Cross-entropy of yes-or-no answers in which answers that are already right count less.

    Args:
        apply_class_balancing: weight the classes by `alpha`.
        alpha: weight of class 1; class 0 has `1 - alpha`.
        gamma: how steeply certain answers lose weight.
        from_logits: whether predictions come before the sigmoid.
        label_smoothing: moves targets this far from 0 and 1 towards one half, as a fraction.
        axis: over which the mean is taken.

    >>> round(float(BinaryFocalCrossentropy(gamma=0.0)([[1.0]], [[0.5]])), 4)
    0.6931
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        options = {"apply_class_balancing": apply_class_balancing, "alpha": alpha, "gamma": gamma}
        options |= {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(binary_focal_crossentropy, name=name, reduction=reduction, dtype=dtype, **options)


def _class_pair(what: str, y_true: Any, y_pred: Any, label_smoothing: float, axis: int) -> tuple[Any, Any]:
    """Targets as a probability for each class, smoothed, and predictions, of the same shape."""
    if not isinstance(axis, int) or isinstance(axis, bool):
        raise ArgumentTypeError(f"{what}: `axis` must be an integer. Received: {axis!r}")
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    true, predicted = tuple(y_true.shape), tuple(y_pred.shape)
    if len(true) == len(predicted) - 1 or (len(true) == len(predicted) and true[-1] == 1 != predicted[-1]):
        raise ShapeError(
            f"{what}: targets need a probability for each class, as one-hot vectors have. Received y_true "
            f"of shape {true} and y_pred of shape {predicted}. If y_true holds class numbers, use "
            "sparse_categorical_crossentropy or utils.to_categorical(y_true)."
        )
    y_true, y_pred = pair(what, y_true, y_pred)
    if predicted and predicted[-1] == 1:
        warnings.warn(
            f"{what} over one class is always 0: y_pred has shape {predicted}. For two classes use "
            "binary_crossentropy, or give the model an output for each class.",
            SyntaxWarning,
            stacklevel=4,
        )
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + label_smoothing / ops.shape(y_pred)[axis]
    return y_true, y_pred


@export("losses.categorical_crossentropy", "metrics.categorical_crossentropy")
def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Any:
    """Cross-entropy between probabilities of classes.

    Args:
        y_true: a probability for each class, such as one-hot vectors.
        y_pred: probabilities, or logits with `from_logits`, of the same shape.
        from_logits: whether predictions come before the softmax.
        label_smoothing: this fraction of the targets is spread evenly over all classes.
        axis: of the classes.

    Raises:
        ShapeError: targets are class numbers; use `sparse_categorical_crossentropy` for these.

    >>> round(float(categorical_crossentropy([0.0, 1.0], [0.5, 0.5])), 4)
    0.6931
    """
    y_true, y_pred = _class_pair("categorical_crossentropy", y_true, y_pred, label_smoothing, axis)
    return ops.categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)


@export("losses.CategoricalCrossentropy")
class CategoricalCrossentropy(LossFunctionWrapper):
    """Cross-entropy between probabilities of classes; targets are one-hot vectors.

    Args:
        from_logits: whether predictions come before the softmax.
        label_smoothing: this fraction of the targets is spread evenly over all classes.
        axis: of the classes.

    >>> round(float(CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])), 4)
    0.6931
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(categorical_crossentropy, name=name, reduction=reduction, dtype=dtype, **options)


@export("losses.sparse_categorical_crossentropy", "metrics.sparse_categorical_crossentropy")
def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Any:
    """Cross-entropy of class numbers.

    Args:
        y_true: class numbers, of the shape of `y_pred` without the axis of classes, or with size 1 there.
        y_pred: probabilities, or logits with `from_logits`.
        from_logits: whether predictions come before the softmax.
        ignore_class: a class number whose entries don't count.
        axis: of the classes.

    Raises:
        ShapeError: targets are one-hot vectors; use `categorical_crossentropy` for these.

    >>> round(float(sparse_categorical_crossentropy([1], [[0.5, 0.5]])[0]), 4)
    0.6931
    """
    if not isinstance(axis, int) or isinstance(axis, bool):
        raise ArgumentTypeError(
            f"sparse_categorical_crossentropy: `axis` must be an integer. Received: {axis!r}"
        )
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    true, predicted = tuple(y_true.shape), tuple(y_pred.shape)
    if true and len(true) == len(predicted) and true[axis] == 1:
        y_true, true = ops.squeeze(y_true, axis), (*true[:axis], *true[axis:][1:])
    expected = tuple(size for i, size in enumerate(predicted) if i != axis % len(predicted))
    if len(true) != len(expected) or any(
        a != b and None not in (a, b) for a, b in zip(true, expected, strict=True)
    ):
        one_hot = len(true) == len(predicted)
        raise ShapeError(
            f"sparse_categorical_crossentropy: targets must be class numbers of shape {expected}. Received "
            f"y_true of shape {true} and y_pred of shape {predicted}."
            + (" For one-hot targets use categorical_crossentropy." if one_hot else "")
        )
    y_true = ops.cast(y_true, "int32")
    valid = None
    if ignore_class is not None:
        valid = y_true != ignore_class
        y_true = ops.where(valid, y_true, 0)
    values = ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)
    if valid is not None:
        values = ops.where(valid, values, 0.0)
        set_mask(values, valid)
    return values


sparse_categorical_crossentropy.keeps_labels = True  # type: ignore[attr-defined]


@export("losses.SparseCategoricalCrossentropy")
class SparseCategoricalCrossentropy(LossFunctionWrapper):
    """Cross-entropy of class numbers.

    Args:
        from_logits: whether predictions come before the softmax.
        ignore_class: a class number whose entries don't count.
        axis: of the classes.

    >>> round(float(SparseCategoricalCrossentropy()([1], [[0.5, 0.5]])), 4)
    0.6931
    """

    unsaved = ("dtype", "axis")

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        options = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(
            sparse_categorical_crossentropy, name=name, reduction=reduction, dtype=dtype, **options
        )


@export("losses.categorical_focal_crossentropy", "metrics.categorical_focal_crossentropy")
def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: Any = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """Cross-entropy of classes in which answers that are already right count less (Lin et al., 2017,
    arXiv:1708.02002).

    Args:
        y_true: a probability for each class, such as one-hot vectors.
        y_pred: probabilities, or logits with `from_logits`, of the same shape.
        alpha: weight of all classes, or one for each.
        gamma: how steeply certain answers lose weight.
        from_logits: whether predictions come before the softmax.
        label_smoothing: this fraction of the targets is spread evenly over all classes.
        axis: of the classes.

    >>> round(float(categorical_focal_crossentropy([0.0, 1.0], [0.5, 0.5])), 4)
    0.0433
    """
    y_true, y_pred = _class_pair("categorical_focal_crossentropy", y_true, y_pred, label_smoothing, axis)
    if from_logits:
        y_pred = ops.softmax(y_pred, axis=axis)
    y_pred = y_pred / ops.sum(y_pred, axis=axis, keepdims=True)
    y_pred = ops.clip(y_pred, config.epsilon(), 1.0 - config.epsilon())
    values = -y_true * ops.log(y_pred) * ops.power(1.0 - y_pred, gamma)
    return ops.sum(ops.multiply(values, alpha), axis=axis)


@export("losses.CategoricalFocalCrossentropy")
class CategoricalFocalCrossentropy(LossFunctionWrapper):
    """Cross-entropy of one-hot targets in which answers that are already right count less.

    Args:
        alpha: weight of all classes, or one for each.
        gamma: how steeply certain answers lose weight.
        from_logits: whether predictions come before the softmax.
        label_smoothing: this fraction of the targets is spread evenly over all classes.
        axis: of the classes.

    >>> round(float(CategoricalFocalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])), 4)
    0.0433
    """

    def __init__(
        self,
        alpha: Any = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        options = {"alpha": alpha, "gamma": gamma, "from_logits": from_logits}
        options |= {"label_smoothing": label_smoothing, "axis": axis}
        super().__init__(
            categorical_focal_crossentropy, name=name, reduction=reduction, dtype=dtype, **options
        )


@export("losses.categorical_generalized_cross_entropy")
def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float) -> Any:
    """`(1 - p**q) / q` of the probability p of the right class: between cross-entropy (small q) and absolute
    error (q = 1), so that wrong labels do less harm (Zhang and Sabuncu, 2018, arXiv:1805.07836).

    Args:
        y_true: class numbers.
        y_pred: probabilities of the classes in the last axis.
        q: above 0 and at most 1.

    >>> float(categorical_generalized_cross_entropy([1], [[0.75, 0.25]], q=0.5)[0])
    1.0
    """
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    if len(y_true.shape) == len(y_pred.shape) and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, -1)
    if len(y_true.shape) != len(y_pred.shape) - 1:
        raise ShapeError(
            "categorical_generalized_cross_entropy: targets must be class numbers. Received y_true of shape "
            f"{tuple(y_true.shape)} and y_pred of shape {tuple(y_pred.shape)}."
        )
    right = ops.one_hot(
        ops.cast(y_true, "int32"), ops.shape(y_pred)[-1], dtype=standardize_dtype(y_pred.dtype)
    )
    return (1.0 - ops.power(ops.sum(right * y_pred, axis=-1), q)) / q


@export("losses.CategoricalGeneralizedCrossEntropy")
class CategoricalGeneralizedCrossEntropy(LossFunctionWrapper):
    """A cross-entropy of class numbers that wrong labels harm less.

    Args:
        q: from near 0 (cross-entropy) to near 1 (absolute error).

    >>> float(CategoricalGeneralizedCrossEntropy()([1], [[0.75, 0.25]]))
    1.0
    """

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_generalized_cross_entropy",
        dtype: Any = None,
    ) -> None:
        if not 0 < q < 1:
            raise ArgumentError(
                f"CategoricalGeneralizedCrossEntropy: `q` must be between 0 and 1. Received: {q!r}"
            )
        super().__init__(
            categorical_generalized_cross_entropy, name=name, reduction=reduction, dtype=dtype, q=q
        )


@export("losses.kl_divergence", "metrics.kl_divergence")
def kl_divergence(y_true: Any, y_pred: Any) -> Any:
    """Kullback-Leibler divergence, the sum of `y_true * log(y_true / y_pred)` over the last axis.

    >>> float(kl_divergence([0.5, 0.5], [0.5, 0.5]))
    0.0
    """
    y_true, y_pred = (ops.clip(y, config.epsilon(), 1.0) for y in pair("kl_divergence", y_true, y_pred))
    return ops.sum(y_true * ops.log(y_true / y_pred), axis=-1)


@export("losses.KLDivergence")
class KLDivergence(LossFunctionWrapper):
    """Kullback-Leibler divergence of the predicted from the true distribution.

    >>> float(KLDivergence()([[0.5, 0.5]], [[0.5, 0.5]]))
    0.0
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "kl_divergence",
        dtype: Any = None,
    ) -> None:
        super().__init__(kl_divergence, name=name, reduction=reduction, dtype=dtype)


@export("losses.poisson", "metrics.poisson")
def poisson(y_true: Any, y_pred: Any) -> Any:
    """Mean of `y_pred - y_true * log(y_pred)` over the last axis: how unlikely counts are for rates.

    >>> round(float(poisson([1.0, 0.0], [1.0, 1.0])), 4)
    1.0
    """
    y_true, y_pred = pair("poisson", y_true, y_pred)
    return ops.mean(y_pred - y_true * ops.log(y_pred + config.epsilon()), axis=-1)


@export("losses.Poisson")
class Poisson(LossFunctionWrapper):
    """How unlikely counts are for predicted rates.

    >>> round(float(Poisson()([[1.0]], [[1.0]])), 4)
    1.0
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = "poisson", dtype: Any = None
    ) -> None:
        super().__init__(poisson, name=name, reduction=reduction, dtype=dtype)
