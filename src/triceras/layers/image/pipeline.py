"""Layers one after the other, as one layer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from triceras.core import tree
from triceras.core.errors import ArgumentError, shown
from triceras.core.masks import get_mask
from triceras.core.registry import export
from triceras.layers.base import Layer
from triceras.layers.image.base import ImageLayer
from triceras.layers.image.geometry import Joined, Warp
from triceras.layers.wrapper import Enclosing


@export("layers.Pipeline")
class Pipeline(Enclosing):
    """Applies layers one after the other.

    Flips, rotations, zooms, translations and shears that follow each other, with the same interpolation and
    filling, are done at once: pixels are interpolated once, and nothing is lost at the edges in between.

    Args:
        layers: the layers.
        name: made automatically if not given.

    >>> from triceras import layers, ops
    >>> augment = Pipeline([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)])
    >>> augment(ops.ones((2, 8, 8, 3))).shape
    (2, 8, 8, 3)
    """

    def __init__(self, layers: Sequence[Layer], name: str | None = None) -> None:
        super().__init__(name=name)
        if not isinstance(layers, (list, tuple)) or not all(isinstance(layer, Layer) for layer in layers):
            raise ArgumentError(f"Pipeline(): `layers` must be a list of layers. Received: {shown(layers)}")
        self.layers = list(layers)
        self._joined = {id(group[0]): Joined(group) for group in _groups(self.layers) if len(group) > 1}

    def get_config(self) -> dict[str, Any]:
        return {k: v for k, v in super().get_config().items() if k in ("layers", "name")}

    def call(self, inputs: Any, training: bool = True, mask: Any = None) -> Any:
        skip = 0
        for layer in self.layers:
            if skip:
                skip -= 1
                continue
            joined = self._joined.get(id(layer)) if training else None
            if joined is not None:
                skip = len(joined.layers) - 1
                inputs = joined(inputs, training=True)
                continue
            options: dict[str, Any] = {}
            if layer.call_info.has_mask:
                options["mask"] = mask
            if layer.call_info.has_training:
                options["training"] = training
            inputs = layer(inputs, **options)
            mask = tree.map_structure(get_mask, inputs)
        return inputs

    def __reduce__(self) -> Any:
        return ImageLayer.__reduce__(self)


def _groups(layers: Sequence[Layer]) -> list[list[Warp]]:
    """Runs of layers that can be one."""
    found: list[list[Warp]] = []
    sampling: Any = None
    for is_warp, run in groupby(layers, lambda layer: isinstance(layer, Warp)):
        if not is_warp:
            continue
        group: list[Warp] = []
        for layer in run:
            wanted = layer.samples_as
            if group and wanted is not None and sampling is not None and wanted != sampling:
                found.append(group)
                group, sampling = [], None
            sampling = wanted if wanted is not None else sampling
            group.append(layer)
        found.append(group)
        sampling = None
    return [group for group in found if any(layer.samples_as is not None for layer in group)]
