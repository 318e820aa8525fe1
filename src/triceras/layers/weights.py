"""Kinds of weights: how a layer's kernel, bias, scale ... is made, limited and penalised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from triceras import constraints, initializers, regularizers
from triceras.layers.base import Layer
from triceras.variable import Variable


def configure(
    layer: Layer, kind: str, initializer: Any, regularizer: Any = None, constraint: Any = None
) -> None:
    """Keep settings as attributes `<kind>_initializer`, `<kind>_regularizer`, `<kind>_constraint`."""
    setattr(layer, f"{kind}_initializer", initializers.get(initializer))
    setattr(layer, f"{kind}_regularizer", regularizers.get(regularizer))
    setattr(layer, f"{kind}_constraint", constraints.get(constraint))


def add(
    layer: Layer, kind: str, shape: Sequence[int | None], name: str | None = None, autocast: bool = True
) -> Variable:
    """A weight with the settings of its kind, under the kind's name if no other is given."""
    return layer.add_weight(
        name=name or kind,
        shape=shape,
        initializer=getattr(layer, f"{kind}_initializer"),
        regularizer=getattr(layer, f"{kind}_regularizer"),
        constraint=getattr(layer, f"{kind}_constraint"),
        autocast=autocast,
    )
