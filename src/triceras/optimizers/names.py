"""Optimizers by name and config: `get`, `serialize`, `deserialize`, and the names of old versions."""

from __future__ import annotations

import inspect
from typing import Any, NoReturn

from triceras.core import registry
from triceras.core.errors import ArgumentError, TricerasError, shown
from triceras.core.registry import export
from triceras.optimizers.base import Optimizer
from triceras.saving import objects

_family = objects.Family("optimizers", "optimizer")


def _as_written(name: Any) -> Any:
    """A public name in its own spelling, from one in any case; other names stay."""
    if not isinstance(name, str):
        return name
    return {n.lower(): n for n in registry.names("optimizers")}.get(name.lower(), name)


@export("optimizers.get")
def get(identifier: Any) -> Any:
    """The optimizer for a name (in any case), config, class or optimizer; None stays None.

    >>> get("rmsprop").name
    'rm_sprop'
    """
    if identifier is None or isinstance(identifier, Optimizer):
        return identifier
    if inspect.isclass(identifier) and issubclass(identifier, Optimizer):
        return identifier()
    if not isinstance(identifier, (str, dict)):
        raise ArgumentError(
            f"An optimizer is given by name, config or as an object. Received: {shown(identifier)}"
        )
    return deserialize(identifier)


@export("optimizers.serialize")
def serialize(optimizer: Optimizer) -> Any:
    """An optimizer as plain data, without its state.

    >>> serialize(get("sgd"))["class_name"]
    'SGD'
    """
    return objects.serialize_keras_object(optimizer)


@export("optimizers.deserialize")
def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The optimizer for what `serialize` returned, or for a name.

    >>> deserialize({"class_name": "adam", "config": {"learning_rate": 0.5}}).get_config()["learning_rate"]
    0.5
    """
    if isinstance(config, dict) and "class_name" in config:
        config = config | {"class_name": _as_written(config["class_name"])}
    return _family.deserialize(_as_written(config), custom_objects)


class LegacyOptimizerError(TricerasError, ImportError):
    """An optimizer of a version before 3 was asked for."""


class _Legacy:
    """Stands for all optimizers of versions before 3, none of which can be made."""

    def __init__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise LegacyOptimizerError(
            "`optimizers.legacy` existed before version 3 only. Use the same name in `optimizers`."
        )


export(*(f"optimizers.legacy.{name}" for name in ("Adagrad", "Adam", "Ftrl", "Optimizer", "RMSprop", "SGD")))(
    _Legacy
)
