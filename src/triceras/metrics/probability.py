"""Metrics of probabilities and margins: the losses of the same names, averaged over all samples."""

from __future__ import annotations

from typing import Any

from triceras import losses
from triceras.core.registry import export
from triceras.metrics.base import MeanMetricWrapper


@export("metrics.BinaryCrossentropy")
class BinaryCrossentropy(MeanMetricWrapper):
    """Cross-entropy of yes-or-no answers.

    Args:
        name: the metric's name.
        dtype: dtype or dtype policy; floatx if not given.
        from_logits: whether predictions come before the sigmoid.
        label_smoothing: moves targets this far from 0 and 1 towards one half, as a fraction.

    >>> round(float(BinaryCrossentropy()([[0.0], [1.0]], [[0.5], [0.5]])), 4)
    0.6931
    """

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing}
        super().__init__(losses.binary_crossentropy, name=name, dtype=dtype, **options)


@export("metrics.CategoricalCrossentropy")
class CategoricalCrossentropy(MeanMetricWrapper):
    """Cross-entropy between probabilities of classes; targets are one-hot vectors.

    Args:
        name: the metric's name.
        dtype: dtype or dtype policy; floatx if not given.
        from_logits: whether predictions come before the softmax.
        label_smoothing: this fraction of the targets is spread evenly over all classes.
        axis: of the classes.

    >>> round(float(CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])), 4)
    0.6931
    """

    def __init__(
        self,
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(losses.categorical_crossentropy, name=name, dtype=dtype, **options)


@export("metrics.SparseCategoricalCrossentropy")
class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """Cross-entropy of class numbers.

    Args:
        name: the metric's name.
        dtype: dtype or dtype policy; floatx if not given.
        from_logits: whether predictions come before the softmax.
        ignore_class: a class number whose entries don't count.
        axis: of the classes.

    >>> round(float(SparseCategoricalCrossentropy()([1], [[0.5, 0.5]])), 4)
    0.6931
    """

    def __init__(
        self,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        options = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(losses.sparse_categorical_crossentropy, name=name, dtype=dtype, **options)


@export("metrics.KLDivergence")
class KLDivergence(MeanMetricWrapper):
    """Kullback-Leibler divergence of the predicted from the true distribution.

    >>> float(KLDivergence()([[0.5, 0.5]], [[0.5, 0.5]]))
    0.0
    """

    def __init__(self, name: str | None = "kl_divergence", dtype: Any = None) -> None:
        super().__init__(losses.kl_divergence, name=name, dtype=dtype)


@export("metrics.Poisson")
class Poisson(MeanMetricWrapper):
    """How unlikely counts are for predicted rates.

    >>> round(float(Poisson()([[1.0]], [[1.0]])), 4)
    1.0
    """

    def __init__(self, name: str | None = "poisson", dtype: Any = None) -> None:
        super().__init__(losses.poisson, name=name, dtype=dtype)


@export("metrics.Hinge")
class Hinge(MeanMetricWrapper):
    """How far predictions are from the right side of a margin.

    >>> float(Hinge()([[1.0]], [[0.5]]))
    0.5
    """

    def __init__(self, name: str | None = "hinge", dtype: Any = None) -> None:
        super().__init__(losses.hinge, name=name, dtype=dtype)


@export("metrics.SquaredHinge")
class SquaredHinge(MeanMetricWrapper):
    """The square of how far predictions are from the right side of a margin.

    >>> float(SquaredHinge()([[1.0]], [[0.5]]))
    0.25
    """

    def __init__(self, name: str | None = "squared_hinge", dtype: Any = None) -> None:
        super().__init__(losses.squared_hinge, name=name, dtype=dtype)


@export("metrics.CategoricalHinge")
class CategoricalHinge(MeanMetricWrapper):
    """How far the right class is from leading by a margin of 1.

    >>> float(CategoricalHinge()([[0.0, 1.0]], [[0.5, 1.0]]))
    0.5
    """

    def __init__(self, name: str | None = "categorical_hinge", dtype: Any = None) -> None:
        super().__init__(losses.categorical_hinge, name=name, dtype=dtype)
