"""One row for each use of a metric; every row inherits all the checks in test_metrics.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

RNG = np.random.default_rng(11)


def uniform(*shape: int) -> np.ndarray:
    return RNG.random(shape).astype("float32")


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


def bits(*shape: int) -> np.ndarray:
    return RNG.integers(0, 2, shape).astype("float32")


def labels(*shape: int, classes: int = 4) -> np.ndarray:
    return RNG.integers(0, classes, shape)


def one_hot(*shape: int) -> np.ndarray:
    return np.eye(shape[-1], dtype="float32")[labels(*shape[:-1], classes=shape[-1])]


def simplex(*shape: int) -> np.ndarray:
    raw = uniform(*shape) + 0.1
    return raw / raw.sum(-1, keepdims=True)


def ranking(*shape: int) -> np.ndarray:
    return np.argsort(uniform(*shape), axis=-1)


# Two batches each, the last one smaller, as in a run over data.
NUMBERS = [(normal(n, 4), normal(n, 4)) for n in (8, 3)]
COLUMN = [(normal(n), normal(n, 1)) for n in (8, 3)]
ANSWERS = [(bits(n, 4), uniform(n, 4)) for n in (8, 3)]
LOGITS = [(bits(n, 4), 3 * normal(n, 4)) for n in (8, 3)]
CLASSES = [(one_hot(n, 4), simplex(n, 4)) for n in (8, 3)]
INDICES = [(labels(n), simplex(n, 4)) for n in (8, 3)]
SEQUENCE = [(labels(n, 5), simplex(n, 5, 4)) for n in (8, 3)]
SEQUENCES = [(bits(n, 5, 2), uniform(n, 5, 2)) for n in (8, 3)]
REGIONS = [(labels(n, 6), labels(n, 6)) for n in (8, 3)]
VALUES = [(uniform(8, 3),), (uniform(3, 3),)]


@dataclass(frozen=True, eq=False)
class Case:
    """One use of a metric.

    Args:
        name: of the class in `metrics`.
        batches: arguments of `update_state`, without weights.
        options: constructor arguments.
        masked: whether predictions may have a mask over their first two axes.
        weights: whether sample weights are compared.
        unweighted: whether values without sample weights are compared.
        tol: relative and absolute tolerance of values.
    """

    name: str
    batches: list[tuple[np.ndarray, ...]]
    options: dict[str, Any] = field(default_factory=dict)
    masked: bool = False
    weights: bool = True
    unweighted: bool = True
    tol: float = 2e-5

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{k}={v!r}' for k, v in self.options.items())})"

    def make(self, module: Any, **more: Any) -> Any:
        return getattr(module, self.name)(**self.options, **more)


CASES = [
    Case("Sum", VALUES),
    Case("Mean", VALUES),
    Case("Mean", [(np.float32(3.0),), (np.float32(5.0),)], weights=False),
    Case("MeanSquaredError", NUMBERS),
    Case("MeanSquaredError", COLUMN),
    Case("MeanSquaredError", SEQUENCES, masked=True),
    Case("RootMeanSquaredError", NUMBERS),
    Case("MeanAbsoluteError", NUMBERS),
    Case("MeanAbsolutePercentageError", NUMBERS, tol=1e-4),
    Case("MeanSquaredLogarithmicError", NUMBERS),
    Case("LogCoshError", NUMBERS),
    Case("CosineSimilarity", NUMBERS),
    Case("CosineSimilarity", [(normal(8, 5, 2), normal(8, 5, 2))], {"axis": 1}, weights=False),
    Case("BinaryCrossentropy", ANSWERS),
    Case("BinaryCrossentropy", LOGITS, {"from_logits": True, "label_smoothing": 0.2}),
    Case("CategoricalCrossentropy", CLASSES),
    Case(
        "CategoricalCrossentropy",
        [(y, 3 * p) for y, p in CLASSES],
        {"from_logits": True, "label_smoothing": 0.2},
    ),
    Case("SparseCategoricalCrossentropy", INDICES),
    Case("SparseCategoricalCrossentropy", SEQUENCE, masked=True),
    Case("SparseCategoricalCrossentropy", INDICES, {"ignore_class": 1}, unweighted=False),
    Case("KLDivergence", [(simplex(8, 4), simplex(8, 4))]),
    Case("Poisson", [(uniform(8, 4), uniform(8, 4))]),
    Case("Hinge", ANSWERS),
    Case("SquaredHinge", NUMBERS),
    Case("CategoricalHinge", CLASSES),
    Case("Accuracy", REGIONS),
    Case("Accuracy", [(labels(8), labels(8, 1))]),
    Case("BinaryAccuracy", ANSWERS),
    Case("BinaryAccuracy", ANSWERS, {"threshold": 0.3}),
    Case("BinaryAccuracy", [(bits(8), uniform(8, 1))]),
    Case("CategoricalAccuracy", CLASSES),
    Case("SparseCategoricalAccuracy", INDICES),
    Case("SparseCategoricalAccuracy", [(y[:, None], p) for y, p in INDICES]),
    Case("SparseCategoricalAccuracy", SEQUENCE, masked=True),
    Case("TopKCategoricalAccuracy", CLASSES, {"k": 2}),
    Case("TopKCategoricalAccuracy", CLASSES),
    Case("SparseTopKCategoricalAccuracy", INDICES, {"k": 3}),
    Case("SparseTopKCategoricalAccuracy", SEQUENCE, {"k": 2}, weights=False),
    Case("SparseTopKCategoricalAccuracy", [(labels(8), ranking(8, 4))], {"k": 2, "from_sorted_ids": True}),
    Case("TruePositives", ANSWERS),
    Case("FalsePositives", ANSWERS, {"thresholds": 0.7}),
    Case("TrueNegatives", ANSWERS, {"thresholds": [0.8, 0.2, 0.5]}),
    Case("FalseNegatives", ANSWERS, {"thresholds": [0.0, 0.5, 1.0]}),
    Case("Precision", ANSWERS),
    Case("Precision", ANSWERS, {"thresholds": [0.8, 0.2]}),
    Case("Precision", ANSWERS, {"top_k": 2}),
    Case("Precision", ANSWERS, {"top_k": 2, "class_id": 1, "thresholds": 0.6}),
    Case("Recall", ANSWERS),
    Case("Recall", ANSWERS, {"class_id": 3}),
    Case("Recall", ANSWERS, {"top_k": 1}),
    Case("Recall", [(bits(8), uniform(8, 1))]),
    Case("SensitivityAtSpecificity", ANSWERS, {"specificity": 0.4}),
    Case("SpecificityAtSensitivity", ANSWERS, {"sensitivity": 0.4, "num_thresholds": 1}),
    Case("PrecisionAtRecall", ANSWERS, {"recall": 0.7, "num_thresholds": 17}),
    Case("RecallAtPrecision", ANSWERS, {"precision": 0.6, "class_id": 2}),
    Case("RecallAtPrecision", ANSWERS, {"precision": 1.0}),
    Case("AUC", ANSWERS),
    *(
        Case("AUC", ANSWERS, {"curve": curve, "summation_method": method, "num_thresholds": 9})
        for curve in ("ROC", "PR", "PRGAIN")
        for method in ("interpolation", "minoring", "majoring")
    ),
    Case("AUC", LOGITS, {"from_logits": True, "thresholds": [0.7, 0.1, 0.4]}),
    Case("AUC", ANSWERS, {"label_weights": [0.1, 0.4, 0.3, 0.2]}),
    Case("AUC", ANSWERS, {"multi_label": True, "curve": "PR"}),
    Case("AUC", ANSWERS, {"multi_label": True, "num_labels": 4, "label_weights": [0.1, 0.4, 0.3, 0.2]}),
    Case("FBetaScore", CLASSES, {"beta": 2.0}),
    Case("FBetaScore", ANSWERS, {"average": "micro", "threshold": 0.4}),
    Case("FBetaScore", ANSWERS, {"average": "macro", "beta": 0.5, "threshold": 0.4}),
    Case("F1Score", CLASSES),
    Case("F1Score", ANSWERS, {"average": "weighted", "threshold": 0.6}),
    Case("F1Score", [(one_hot(4, 3), np.zeros((4, 3), "float32"))]),
    Case("IoU", REGIONS, {"num_classes": 4, "target_class_ids": [0, 2]}),
    Case(
        "IoU", REGIONS, {"num_classes": 4, "target_class_ids": [1, 2], "ignore_class": 0, "dtype": "float32"}
    ),
    Case("MeanIoU", REGIONS, {"num_classes": 5}),
    Case(
        "MeanIoU",
        [(labels(8), simplex(8, 4))],
        {"num_classes": 4, "sparse_y_pred": False, "dtype": "float32"},
    ),
    Case("BinaryIoU", ANSWERS, {"threshold": 0.3}),
    Case("BinaryIoU", ANSWERS, {"target_class_ids": [1], "dtype": "float32"}),
    Case("OneHotIoU", CLASSES, {"num_classes": 4, "target_class_ids": [0, 3]}, weights=False),
    Case(
        "OneHotMeanIoU",
        [(y, p.argmax(-1)) for y, p in CLASSES],
        {"num_classes": 4, "sparse_y_pred": True},
        weights=False,
    ),
    Case("R2Score", NUMBERS),
    Case("R2Score", COLUMN),
    Case("R2Score", NUMBERS, {"class_aggregation": None}),
    Case("R2Score", NUMBERS, {"class_aggregation": "variance_weighted_average"}),
    Case("R2Score", NUMBERS, {"num_regressors": 3}),
    Case("R2Score", NUMBERS, {"class_aggregation": None, "num_regressors": 3}),
    Case("R2Score", [(np.ones((4, 2), "float32"), normal(4, 2))]),
    Case("PearsonCorrelation", NUMBERS, tol=1e-4),
    Case("PearsonCorrelation", [(normal(8, 5, 2), normal(8, 5, 2))], {"axis": 1}, weights=False, tol=1e-4),
    Case("ConcordanceCorrelation", NUMBERS, tol=1e-4),
]
