"""Layers as plain data, and back."""

from __future__ import annotations

from typing import Any

from triceras.core.errors import ArgumentError, shown
from triceras.core.registry import export
from triceras.layers.base import Layer
from triceras.saving import objects

_family = objects.Family("layers", "layer")


@export("layers.serialize")
def serialize(layer: Layer) -> dict[str, Any]:
    """A layer's class and config as plain data, without its weights.

    >>> serialize(Layer(name="it"))["config"]["name"]
    'it'
    """
    return objects.serialize_keras_object(layer)


@export("layers.deserialize")
def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Layer:
    """The layer for what `serialize` returned.

    Args:
        config: plain data.
        custom_objects: classes and functions of your own, by name.

    Raises:
        ArgumentError: the data don't describe a layer.

    >>> deserialize(serialize(Layer(name="it"))).name
    'it'
    """
    found = _family.deserialize(config, custom_objects)
    if not isinstance(found, Layer):
        raise ArgumentError(f"deserialize() takes the config of a layer. Received: {shown(config)}")
    return found
