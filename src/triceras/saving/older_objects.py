"""Objects as configs in the older form, which names a class and nothing else."""

from __future__ import annotations

import inspect
from typing import Any

from triceras.core.errors import ArgumentError, shown
from triceras.core.registry import export
from triceras.saving.objects import (
    CustomObjectScope,
    UnknownObjectError,
    get_registered_name,
    get_registered_object,
)

PLACES = ("legacy.saving", "utils.legacy")


@export(*(f"{place}.serialize_keras_object" for place in PLACES))
def serialize_keras_object(instance: Any) -> Any:
    """A class's instance as a dict of its class's name and its config, a function as its name, None as None.

    >>> from triceras import activations
    >>> serialize_keras_object(activations.relu)
    'relu'
    """
    if instance is None:
        return None
    if hasattr(instance, "get_config"):
        return {"class_name": get_registered_name(type(instance)), "config": instance.get_config()}
    if hasattr(instance, "__name__"):
        return get_registered_name(instance)
    raise ArgumentError(
        f"serialize_keras_object() takes functions, and objects with get_config(). Received: {shown(instance)}"
    )


@export(*(f"{place}.deserialize_keras_object" for place in PLACES))
def deserialize_keras_object(
    identifier: Any,
    module_objects: dict[str, Any] | None = None,
    custom_objects: dict[str, Any] | None = None,
    printable_module_name: str = "object",
) -> Any:
    """What `serialize_keras_object` made a config or a name of.

    Args:
        identifier: a config or a name; a function or None is returned as it is.
        module_objects: where names are looked up: classes and functions by name.
        custom_objects: the same, looked up first.
        printable_module_name: what is looked for, for messages.

    Returns:
        An instance for a config or the name of a class, or a function.

    Raises:
        ArgumentError: it is neither.
        UnknownObjectError: the name isn't known.
    """
    if identifier is None or inspect.isfunction(identifier):
        return identifier

    def find(name: str) -> Any:
        found = get_registered_object(name, custom_objects, module_objects)
        if found is None:
            raise UnknownObjectError(
                f"Unknown {printable_module_name}: {name!r}. Pass it in `custom_objects`, or register it with "
                "saving.register_keras_serializable()."
            )
        return found

    if isinstance(identifier, str):
        found = find(identifier)
        return found() if inspect.isclass(found) else found
    if not isinstance(identifier, dict):
        raise ArgumentError(
            f"A {printable_module_name} is given as a config or a name. Received: {shown(identifier)}"
        )
    if not {"class_name", "config"} <= identifier.keys():
        raise ArgumentError(
            f"The config of a {printable_module_name} has `class_name` and `config`. Received: {shown(identifier)}"
        )
    found, config = find(identifier["class_name"]), identifier["config"]
    with CustomObjectScope(custom_objects or {}):
        return found.from_config(config) if hasattr(found, "from_config") else found(**config)
