"""Layers around one other layer."""

from __future__ import annotations

from typing import Any

from triceras.core.errors import ArgumentError, shown
from triceras.core.registry import export
from triceras.layers.base import Layer


@export("layers.Wrapper")
class Wrapper(Layer):
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
