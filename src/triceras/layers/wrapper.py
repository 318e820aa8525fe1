"""Layers around other layers."""

from __future__ import annotations

from typing import Any

from triceras.core.errors import ArgumentError, shown
from triceras.core.registry import export
from triceras.layers.base import Layer
from triceras.saving.objects import CustomObjectScope, deserialize_keras_object


class Enclosing(Layer):
    """Base of the layers that get layers as arguments and build them."""

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """Make the layer, and those inside, from what `get_config` returned."""
        with CustomObjectScope(custom_objects or {}):
            return super().from_config(deserialize_keras_object(_unbuilt(config)))


def _unbuilt(config: Any) -> Any:
    """A config whose layers wait to be built by the one around them, as the paths of their weights say."""
    if isinstance(config, dict):
        return {k: _unbuilt(v) for k, v in config.items() if k != "build_config"}
    return [_unbuilt(v) for v in config] if isinstance(config, list) else config


@export("layers.Wrapper")
class Wrapper(Enclosing):
    """Base of the layers that hold another one and change how it is used.

    Subclasses define `call`; weights, losses and states of the wrapped layer count as the wrapper's.

    Args:
        layer: the wrapped layer, found as `self.layer`.

    >>> class Doubled(Wrapper):
    ...     def call(self, inputs):
    ...         return 2 * self.layer(inputs)
    >>> Doubled(Layer()).layer.built
    False
    """

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(layer, Layer):
            raise ArgumentError(f"{type(self).__name__}(): `layer` must be a layer. Received: {shown(layer)}")
        self.layer = layer

    def build(self, input_shape: Any = None) -> None:
        if not self.layer.built:
            self.layer.build(input_shape)
