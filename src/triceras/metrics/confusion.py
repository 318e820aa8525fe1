"""True and false positives and negatives at thresholds, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from triceras import ops
from triceras.core import config
from triceras.core.errors import ArgumentError, ShapeError
from triceras.core.registry import export
from triceras.losses.base import aligned, same_rank
from triceras.metrics.base import Metric

COUNTS = {name: name for name in ("true_positives", "false_positives", "true_negatives", "false_negatives")}


def even_thresholds(count: int) -> list[float]:
    """Thresholds at even distances strictly between 0 and 1, two fewer than `count`."""
    return [i / (count - 1) for i in range(1, count - 1)]


def checked_thresholds(what: str, thresholds: Any, default: float = 0.5) -> list[float]:
    """One or several thresholds as a list.

    Raises:
        ArgumentError: one isn't between 0 and 1.
    """
    if thresholds is None:
        return [default]
    found = list(thresholds) if isinstance(thresholds, (list, tuple)) else [thresholds]
    if not all(isinstance(t, (int, float)) and 0 <= t <= 1 for t in found):
        raise ArgumentError(f"{what}: `thresholds` must be between 0 and 1. Received: {thresholds!r}")
    return found


class Confusion:
    """How predictions fall on both sides of thresholds, counted in a metric's variables.

    Args:
        metric: whose variables they are.
        counts: which of the four counts are kept, by the names of their variables.
        thresholds: above which a prediction is positive.
        top_k: only so many largest predictions of the last axis can be positive.
        class_id: count this entry of the last axis only.
        labels: for separate counts, the number of entries of the last axis.
    """

    def __init__(
        self,
        metric: Metric,
        counts: dict[str, str],
        thresholds: Sequence[float],
        top_k: int | None = None,
        class_id: int | None = None,
        labels: int | None = None,
    ) -> None:
        self.what, self.dtype, self.counts = metric.name, metric.dtype, counts
        self.top_k, self.class_id, self.labels = top_k, class_id, labels
        # counted in ascending order, and brought back to the given one
        order = sorted(range(len(thresholds)), key=thresholds.__getitem__)
        self.ascending = [thresholds[i] for i in order]
        self.back = sorted(range(len(order)), key=order.__getitem__)
        shape = (len(thresholds),) if labels is None else (len(thresholds), labels)
        self.variables = {name: metric.add_weight(shape=shape, name=name) for name in counts}

    def update(self, y_true: Any, y_pred: Any, sample_weight: Any = None, label_weights: Any = None) -> None:
        """Count a batch."""
        y_pred = ops.cast(ops.convert_to_tensor(y_pred), self.dtype)
        y_true, y_pred = same_rank(ops.cast(ops.convert_to_tensor(y_true), self.dtype), y_pred)
        if len(y_true.shape) != len(y_pred.shape) or any(
            a != b and None not in (a, b) for a, b in zip(y_true.shape, y_pred.shape, strict=True)
        ):
            raise ShapeError(
                f"{self.what}: targets and predictions must have the same shape. Received y_true of shape "
                f"{tuple(y_true.shape)} and y_pred of shape {tuple(y_pred.shape)}."
            )
        weight = ops.ones_like(y_pred) if sample_weight is None else aligned(sample_weight, y_pred, self.what)
        if label_weights is not None:
            weight = weight * label_weights
        weight = ops.broadcast_to(weight, ops.shape(y_pred))
        if self.top_k is not None:
            y_pred = _only_top(y_pred, self.top_k)
        if self.class_id is not None:
            classes = y_pred.shape[-1]
            if not 0 <= self.class_id < classes:
                raise ArgumentError(
                    f"{self.what}: `class_id` must be from 0 to {classes - 1}, for {classes} classes. "
                    f"Received: {self.class_id}"
                )
            y_true, y_pred, weight = (x[..., self.class_id] for x in (y_true, y_pred, weight))
        true = ops.cast(ops.cast(y_true, "bool"), self.dtype)
        positives, negatives = (self._histogram(y_pred, weight * part) for part in (true, 1.0 - true))
        found = {
            "true_positives": lambda: _above(positives),
            "false_positives": lambda: _above(negatives),
            "true_negatives": lambda: _below(negatives),
            "false_negatives": lambda: _below(positives),
        }
        for name, variable in self.variables.items():
            variable.assign_add(ops.take(found[self.counts[name]](), self.back, axis=0))

    def _histogram(self, y_pred: Any, weight: Any) -> Any:
        """At i, the weight of the predictions above i thresholds; with a second axis for separate labels."""
        bins = len(self.ascending) + 1
        thresholds = ops.array(self.ascending, dtype=self.dtype)
        place = ops.cast(ops.searchsorted(thresholds, ops.ravel(y_pred)), "int32")
        if self.labels is None:
            return ops.segment_sum(ops.ravel(weight), place, num_segments=bins)
        label = ops.broadcast_to(ops.arange(self.labels, dtype="int32"), ops.shape(y_pred))
        place = place * self.labels + ops.ravel(label)
        found = ops.segment_sum(ops.ravel(weight), place, num_segments=bins * self.labels)
        return ops.reshape(found, (bins, self.labels))


def _above(histogram: Any) -> Any:
    return ops.flip(ops.cumsum(ops.flip(histogram, axis=0), axis=0), axis=0)[1:]


def _below(histogram: Any) -> Any:
    return ops.cumsum(histogram, axis=0)[:-1]


def _only_top(y_pred: Any, k: int) -> Any:
    """Predictions with all but the k largest of the last axis below every threshold."""
    size = ops.shape(y_pred)[-1]
    best = ops.top_k(y_pred, min(k, size), sorted=False)[1]
    return ops.where(ops.sum(ops.one_hot(best, size, dtype="int32"), axis=-2) > 0, y_pred, -1e10)


def _single(value: Any) -> Any:
    """A scalar where there is one threshold."""
    return value[0] if value.shape[0] == 1 else value


# -- plain counts ------------------------------------------------------------------------------------------


class ConfusionCount(Metric):
    """One of the four counts, at one or several thresholds."""

    _count: str

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.thresholds = checked_thresholds(type(self).__name__, thresholds)
        self._confusion = Confusion(self, {"accumulator": self._count}, self.thresholds)
        self.accumulator = self._confusion.variables["accumulator"]

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch of targets (0 and 1), predictions and weights."""
        self._confusion.update(y_true, y_pred, sample_weight)

    def result(self) -> Any:
        """The count, or one for each threshold."""
        return _single(self.accumulator.value)


@export("metrics.TruePositives")
class TruePositives(ConfusionCount):
    """How many predictions are rightly positive.

    Args:
        thresholds: above which a prediction is positive: numbers from 0 to 1, or one; 0.5 if not given.
        name: the metric's name.
        dtype: dtype or dtype policy; floatx if not given.

    >>> float(TruePositives()([0, 1, 1], [0.9, 0.2, 0.8]))
    1.0
    """

    _count = "true_positives"


@export("metrics.FalsePositives")
class FalsePositives(ConfusionCount):
    """How many predictions are wrongly positive.

    Args:
        thresholds: above which a prediction is positive: numbers from 0 to 1, or one; 0.5 if not given.
        name: the metric's name.
        dtype: dtype or dtype policy; floatx if not given.

    >>> float(FalsePositives()([0, 1, 1], [0.9, 0.2, 0.8]))
    1.0
    """

    _count = "false_positives"


@export("metrics.TrueNegatives")
class TrueNegatives(ConfusionCount):
    """How many predictions are rightly negative.

    Args:
        thresholds: above which a prediction is positive: numbers from 0 to 1, or one; 0.5 if not given.
        name: the metric's name.
        dtype: dtype or dtype policy; floatx if not given.

    >>> float(TrueNegatives()([0, 1, 1], [0.9, 0.2, 0.8]))
    0.0
    """

    _count = "true_negatives"


@export("metrics.FalseNegatives")
class FalseNegatives(ConfusionCount):
    """How many predictions are wrongly negative.

    Args:
        thresholds: above which a prediction is positive: numbers from 0 to 1, or one; 0.5 if not given.
        name: the metric's name.
        dtype: dtype or dtype policy; floatx if not given.

    >>> float(FalseNegatives()([0, 1, 1], [0.9, 0.2, 0.8]))
    1.0
    """

    _count = "false_negatives"


# -- shares ------------------------------------------------------------------------------------------------


class _Share(Metric):
    """True positives as a share of them and of another count."""

    _direction = "up"
    _other: str

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.thresholds = checked_thresholds(
            type(self).__name__, thresholds, 0.5 if top_k is None else -1e10 / 2
        )
        self.top_k, self.class_id = top_k, class_id
        counts = {name: name for name in ("true_positives", self._other)}
        self._confusion = Confusion(self, counts, self.thresholds, top_k, class_id)
        self.__dict__.update(self._confusion.variables)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch of targets (0 and 1), predictions and weights."""
        self._confusion.update(y_true, y_pred, sample_weight)

    def result(self) -> Any:
        """The share, or one for each threshold."""
        right, other = (v.value for v in self._confusion.variables.values())
        return _single(ops.divide_no_nan(right, right + other))


@export("metrics.Precision")
class Precision(_Share):
    """Which share of the positive predictions is right.

    Args:
        thresholds: above which a prediction is positive: numbers from 0 to 1, or one; 0.5 if not given.
        top_k: only so many largest predictions of each sample can be positive.
        class_id: count this class of the last axis only.
        name: the metric's name.
        dtype: dtype or dtype policy; floatx if not given.

    >>> float(Precision()([0, 1, 1], [0.9, 0.2, 0.8]))
    0.5
    """

    _other = "false_positives"


@export("metrics.Recall")
class Recall(_Share):
    """Which share of the positive targets is found.

    Args:
        thresholds: above which a prediction is positive: numbers from 0 to 1, or one; 0.5 if not given.
        top_k: only so many largest predictions of each sample can be positive.
        class_id: count this class of the last axis only.
        name: the metric's name.
        dtype: dtype or dtype policy; floatx if not given.

    >>> float(Recall()([0, 1, 1], [0.9, 0.2, 0.8]))
    0.5
    """

    _other = "false_negatives"


# -- the best of one where another is good enough ----------------------------------------------------------


class _Tradeoff(Metric):
    """The best value of one rate over all thresholds at which another is at least a given number."""

    _direction = "up"

    def __init__(
        self,
        bound: str,
        value: float,
        num_thresholds: int,
        class_id: int | None,
        name: str | None,
        dtype: Any,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        what = type(self).__name__
        if not 0 <= value <= 1:
            raise ArgumentError(f"{what}: `{bound}` must be from 0 to 1. Received: {value!r}")
        if not isinstance(num_thresholds, int) or num_thresholds < 1:
            raise ArgumentError(
                f"{what}: `num_thresholds` must be a positive integer. Received: {num_thresholds!r}"
            )
        self.value, self.num_thresholds, self.class_id = value, num_thresholds, class_id
        self.thresholds = [0.5] if num_thresholds == 1 else [0.0, *even_thresholds(num_thresholds), 1.0]
        self._confusion = Confusion(self, COUNTS, self.thresholds, class_id=class_id)
        self.__dict__.update(self._confusion.variables)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch of targets (0 and 1), predictions and weights."""
        self._confusion.update(y_true, y_pred, sample_weight)

    def _best(self, bounded: tuple[str, str], wanted: tuple[str, str]) -> Any:
        """Each rate is given by what is right and what it is right of."""
        counts = {name: v.value for name, v in self._confusion.variables.items()}
        bound, rate = (
            ops.divide_no_nan(counts[right], counts[right] + counts[other])
            for right, other in (bounded, wanted)
        )
        return ops.max(ops.where(bound >= self.value, rate, 0.0))


_SENSITIVITY = _RECALL = ("true_positives", "false_negatives")
_SPECIFICITY = ("true_negatives", "false_positives")
_PRECISION = ("true_positives", "false_positives")


@export("metrics.SensitivityAtSpecificity")
class SensitivityAtSpecificity(_Tradeoff):
    """The best sensitivity (share of positives found) where the specificity is at least a given one.

    Args:
        specificity: from 0 to 1.
        num_thresholds: how many thresholds are tried.
        class_id: count this class of the last axis only.
        name: the metric's name.
        dtype: dtype or dtype policy; floatx if not given.

    >>> float(SensitivityAtSpecificity(0.5)([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9]))
    1.0
    """

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__("specificity", specificity, num_thresholds, class_id, name, dtype)
        self.specificity = specificity

    def result(self) -> Any:
        """The best sensitivity."""
        return self._best(_SPECIFICITY, _SENSITIVITY)


@export("metrics.SpecificityAtSensitivity")
class SpecificityAtSensitivity(_Tradeoff):
    """The best specificity (share of negatives left out) where the sensitivity is at least a given one.

    Args:
        sensitivity: from 0 to 1.
        num_thresholds: how many thresholds are tried.
        class_id: count this class of the last axis only.
        name: the metric's name.
        dtype: dtype or dtype policy; floatx if not given.

    >>> float(SpecificityAtSensitivity(0.5)([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9]))
    1.0
    """

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__("sensitivity", sensitivity, num_thresholds, class_id, name, dtype)
        self.sensitivity = sensitivity

    def result(self) -> Any:
        """The best specificity."""
        return self._best(_SENSITIVITY, _SPECIFICITY)


@export("metrics.PrecisionAtRecall")
class PrecisionAtRecall(_Tradeoff):
    """The best precision at thresholds where the recall is at least a given one.

    Args:
        recall: from 0 to 1.
        num_thresholds: how many thresholds are tried.
        class_id: count this class of the last axis only.
        name: the metric's name.
        dtype: dtype or dtype policy; floatx if not given.

    >>> float(PrecisionAtRecall(0.5)([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9]))
    1.0
    """

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__("recall", recall, num_thresholds, class_id, name, dtype)
        self.recall = recall

    def result(self) -> Any:
        """The best precision."""
        return self._best(_RECALL, _PRECISION)


@export("metrics.RecallAtPrecision")
class RecallAtPrecision(_Tradeoff):
    """The best recall at thresholds where the precision is at least a given one.

    Args:
        precision: from 0 to 1.
        num_thresholds: how many thresholds are tried.
        class_id: count this class of the last axis only.
        name: the metric's name.
        dtype: dtype or dtype policy; floatx if not given.

    >>> float(RecallAtPrecision(0.9)([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9]))
    0.5
    """

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__("precision", precision, num_thresholds, class_id, name, dtype)
        self.precision = precision

    def result(self) -> Any:
        """The best recall."""
        return self._best(_PRECISION, _RECALL)


# -- areas under curves ------------------------------------------------------------------------------------

CURVES = ("ROC", "PR", "PRGAIN")
SUMMATIONS = ("interpolation", "minoring", "majoring")


@export("metrics.AUC")
class AUC(Metric):
    """Area under a curve over all thresholds, approximated by a number of them.

    Args:
        num_thresholds: how many thresholds there are.
        curve: "ROC" (recall over the share of false alarms), "PR" (precision over recall) or "PRGAIN".
        summation_method: height between two thresholds: "interpolation" (the mean; for "PR", an interpolation
            of the counts, after Davis and Goadrich, 2006), "minoring" (the smaller) or "majoring" (the
            larger).
        name: the metric's name.
        dtype: dtype or dtype policy; floatx if not given.
        thresholds: numbers from 0 to 1 instead of `num_thresholds`.
        multi_label: an area for each entry of the last axis, then their mean.
        num_labels: the size of the last axis, if it is to be known at once.
        label_weights: weights of the labels: of the areas with `multi_label`, of the predictions without.
        from_logits: whether predictions come before the sigmoid.

    >>> round(float(AUC(num_thresholds=3)([0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9])), 2)
    0.75
    """

    _direction = "up"

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if str(curve).upper() not in CURVES:
            raise ArgumentError(f"AUC: `curve` must be one of {CURVES}. Received: {curve!r}")
        if str(summation_method).lower() not in SUMMATIONS:
            raise ArgumentError(
                f"AUC: `summation_method` must be one of {SUMMATIONS}. Received: {summation_method!r}"
            )
        if thresholds is None and (not isinstance(num_thresholds, int) or num_thresholds < 2):
            raise ArgumentError(
                f"AUC: `num_thresholds` must be an integer above 1. Received: {num_thresholds!r}"
            )
        self.curve, self.summation_method = str(curve).upper(), str(summation_method).lower()
        self._given = None
        if thresholds is not None:
            self._given = sorted(map(float, checked_thresholds("AUC", list(thresholds))))
        inner = even_thresholds(num_thresholds) if self._given is None else self._given
        self.thresholds = [-config.epsilon(), *inner, 1.0 + config.epsilon()]
        self.num_thresholds = len(self.thresholds)
        self.multi_label, self.num_labels, self._from_logits = multi_label, num_labels, from_logits
        self.label_weights: list[float] | None = None
        if label_weights is not None:
            self.label_weights = [float(w) for w in ops.convert_to_numpy(label_weights)]
        self._confusion: Confusion | None = None
        if not multi_label:
            self._make()
        elif num_labels:
            self._make(num_labels)

    def _make(self, labels: int | None = None) -> None:
        self._confusion = Confusion(self, COUNTS, self.thresholds, labels=labels)
        self.__dict__.update(self._confusion.variables)

    def build_state(self, y_true_shape: Sequence[int | None], y_pred_shape: Sequence[int | None]) -> None:
        if self._confusion is None:
            if len(y_pred_shape) != 2:
                raise ShapeError(
                    "AUC with `multi_label` takes predictions of shape (batch, labels). Received shape "
                    f"{tuple(y_pred_shape)}"
                )
            self._make(y_pred_shape[1])

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch of targets (0 and 1), predictions and weights."""
        y_pred = ops.cast(ops.convert_to_tensor(y_pred), self.dtype)
        self.build_state(tuple(ops.convert_to_tensor(y_true).shape), tuple(y_pred.shape))
        labels = y_pred.shape[-1] if len(y_pred.shape) else 1
        expected = {"label_weights": len(self.label_weights or ()), "num_labels": self._confusion.labels}
        for what, size in expected.items():
            if size and size != labels:
                raise ShapeError(
                    f"AUC: `{what}` is for {size} labels. Received predictions of shape {tuple(y_pred.shape)}"
                )
        if self._from_logits:
            y_pred = ops.sigmoid(y_pred)
        self._confusion.update(
            y_true, y_pred, sample_weight, None if self.multi_label else self._label_weights()
        )

    def _label_weights(self) -> Any:
        return None if self.label_weights is None else ops.array(self.label_weights, dtype=self.dtype)

    def result(self) -> Any:
        """The area."""
        if self._confusion is None:
            return ops.zeros((), dtype=self.dtype)
        if self.curve == "PR" and self.summation_method == "interpolation":
            return self.interpolate_pr_auc()
        tp, fp, tn, fn = (self._confusion.variables[name].value for name in COUNTS)
        ratio = ops.divide_no_nan
        if self.curve == "ROC":
            x, y = ratio(fp, fp + tn), ratio(tp, tp + fn)
        elif self.curve == "PR":
            x, y = ratio(tp, tp + fn), ratio(tp, tp + fp)
        else:  # how much better than always saying yes (Flach and Kull, 2015)
            prior = ratio(tp + fn, fp + tn)
            x = ops.where(tp > 0, ops.maximum(1.0 - prior * ratio(fn, tp), 0.0), 0.0)
            y = 1.0 - prior * ratio(fp, tp)
        low, high = ops.minimum(y[:-1], y[1:]), ops.maximum(y[:-1], y[1:])
        heights = {"interpolation": (low + high) / 2.0, "minoring": low, "majoring": high}
        return self._average(ops.sum((x[:-1] - x[1:]) * heights[self.summation_method], axis=0))

    def _average(self, areas: Any) -> Any:
        if not self.multi_label:
            return areas
        weights = self._label_weights()
        if weights is None:
            return ops.mean(areas)
        return ops.divide_no_nan(ops.sum(areas * weights), ops.sum(weights))

    def interpolate_pr_auc(self) -> Any:
        """The area under precision over recall, with true positives linear in all positives in between.

        There `precision = slope + intercept / positives`, whose integral over the recall is exact.
        """
        tp, fp, _, fn = (self._confusion.variables[name].value for name in COUNTS)
        positives = tp + fp
        gained, more = tp[:-1] - tp[1:], ops.maximum(positives[:-1] - positives[1:], 0.0)
        slope = ops.divide_no_nan(gained, more)
        intercept = tp[1:] - slope * positives[1:]
        growth = ops.where(
            ops.logical_and(positives[:-1] > 0, positives[1:] > 0),
            ops.divide_no_nan(positives[:-1], positives[1:]),
            1.0,
        )
        parts = slope * (gained + intercept * ops.log(growth))
        return self._average(ops.sum(ops.divide_no_nan(parts, tp[1:] + fn[1:]), axis=0))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as `from_config` takes them."""
        found = super().get_config() | {
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "label_weights": self.label_weights,
            "thresholds": self._given,
        }
        if self._given is None:
            del found["thresholds"]
        return found
