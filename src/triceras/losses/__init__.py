"""Losses: how far predictions are from targets. Each is a function with a value for every sample, and a class
around it.

A new loss is a function of `(y_true, y_pred, ...)` that reduces the last axis, and a class that names its
arguments. `base.Loss` does the rest: dtypes, masks, sample weights and the reduction to one number.
"""

from __future__ import annotations

import importlib
from typing import Any

from triceras.core.registry import export, publish
from triceras.saving import objects

FAMILIES = ("base", "margin", "overlap", "probability", "regression", "sequence")
for family in FAMILIES:
    importlib.import_module(f"triceras.losses.{family}")

_LONG_NAMES = {
    "bce": "binary_crossentropy", "kld": "kl_divergence", "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error", "mse": "mean_squared_error",
    "msle": "mean_squared_logarithmic_error",
}  # fmt: skip
_family = objects.Family("losses", "loss", _LONG_NAMES | {k.upper(): v for k, v in _LONG_NAMES.items()})


@export("losses.get")
def get(identifier: Any) -> Any:
    """The loss for a name, config, class, function or loss; None stays None.

    >>> get("mse").__name__
    'mean_squared_error'
    """
    return _family.get(identifier)


@export("losses.serialize")
def serialize(loss: Any) -> Any:
    """A loss as plain data.

    >>> serialize(get("Hinge"))["class_name"]
    'Hinge'
    """
    return objects.serialize_keras_object(loss)


@export("losses.deserialize")
def deserialize(name: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The loss for what `serialize` returned, or for a name.

    >>> deserialize(serialize(get("Tversky"))).name
    'tversky'
    """
    return _family.deserialize(name, custom_objects)


publish({"losses": ("triceras.losses",)})
