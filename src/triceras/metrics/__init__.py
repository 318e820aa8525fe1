"""Metrics: quantities gathered over batches. base.py, then one file per family."""

from __future__ import annotations

import importlib
from typing import Any

from triceras.core.registry import export, names, publish
from triceras.core.scope import to_snake_case
from triceras.saving import objects

FAMILIES = ("accuracy", "base", "confusion", "correlation", "fscore", "iou", "probability", "regression")
for family in FAMILIES:
    importlib.import_module(f"triceras.metrics.{family}")
publish({"metrics": ("triceras.metrics",)})

_SHORT_NAMES = {
    "bce": "BinaryCrossentropy", "kld": "KLDivergence", "mae": "MeanAbsoluteError",
    "mape": "MeanAbsolutePercentageError",
    "mse": "MeanSquaredError", "msle": "MeanSquaredLogarithmicError", "rmse": "RootMeanSquaredError",
}  # fmt: skip
_family = objects.Family(
    "metrics",
    "metric",
    {to_snake_case(name): name for name in names("metrics") if name[0].isupper()}
    | _SHORT_NAMES
    | {k.upper(): v for k, v in _SHORT_NAMES.items()},
)


@export("metrics.get")
def get(identifier: Any) -> Any:
    """The metric for a name, config, class, function or metric; None stays None.

    >>> get("mse").name
    'mean_squared_error'
    """
    return _family.get(identifier)


@export("metrics.serialize")
def serialize(metric: Any) -> Any:
    """A metric as plain data.

    >>> serialize(get("mse"))["class_name"]
    'MeanSquaredError'
    """
    return objects.serialize_keras_object(metric)


@export("metrics.deserialize")
def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The metric for what `serialize` returned, or for a name.

    >>> deserialize(serialize(get("mse"))).name
    'mean_squared_error'
    """
    return _family.deserialize(config, custom_objects)
