"""Functions that bring weights back into a permitted range after each update."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from triceras import ops
from triceras.core.capture import Configurable
from triceras.core.config import epsilon
from triceras.core.registry import export, publish
from triceras.saving import objects

Axes = int | Sequence[int] | None


def _norms(w: Any, axis: Axes) -> Any:
    return ops.sqrt(
        ops.sum(ops.square(w), axis=tuple(axis) if isinstance(axis, list) else axis, keepdims=True)
    )


@export("constraints.Constraint")
class Constraint(Configurable):
    """Base of all constraints. Subclass it and write `__call__(self, w)`, returning the permitted weights.

    >>> class Halve(Constraint):
    ...     def __call__(self, w):
    ...         return w / 2
    >>> Halve()(4.0)
    2.0
    """

    def __call__(self, w: Any) -> Any:
        """The permitted weights closest to the given ones."""
        return w


@export("constraints.MaxNorm", "constraints.max_norm")
class MaxNorm(Constraint):
    """Shrinks vectors that are longer than a maximum.

    Srivastava et al., 2014, https://jmlr.org/papers/v15/srivastava14a.html

    Args:
        max_value: the longest permitted norm.
        axis: axes along which norms are taken: 0 for each unit of a dense kernel, [0, 1, 2] for each filter.

    >>> float(ops.norm(MaxNorm(1.0)([[3.0], [4.0]]))) <= 1
    True
    """

    def __init__(self, max_value: float = 2, axis: Axes = 0) -> None:
        self.max_value, self.axis = max_value, axis

    def __call__(self, w: Any) -> Any:
        norms = _norms(w, self.axis)
        return ops.multiply(w, ops.clip(norms, 0, self.max_value) / (epsilon() + norms))


@export("constraints.MinMaxNorm", "constraints.min_max_norm")
class MinMaxNorm(Constraint):
    """Stretches or shrinks vectors to a range of norms.

    Args:
        min_value: the shortest permitted norm.
        max_value: the longest permitted norm.
        rate: how much of the way to the range each update goes, up to 1.
        axis: axes along which norms are taken.

    >>> round(float(ops.norm(MinMaxNorm(10.0, 20.0)([[3.0], [4.0]]))), 3)
    10.0
    """

    def __init__(
        self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Axes = 0
    ) -> None:
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    def __call__(self, w: Any) -> Any:
        norms = _norms(w, self.axis)
        wanted = self.rate * ops.clip(norms, self.min_value, self.max_value) + (1 - self.rate) * norms
        return ops.multiply(w, wanted / (epsilon() + norms))


@export("constraints.NonNeg", "constraints.non_neg")
class NonNeg(Constraint):
    """Sets negative weights to 0.

    >>> NonNeg()([-1.0, 2.0]).tolist()
    [0.0, 2.0]
    """

    def __call__(self, w: Any) -> Any:
        return ops.maximum(w, 0)


@export("constraints.UnitNorm", "constraints.unit_norm")
class UnitNorm(Constraint):
    """Scales vectors to length 1.

    Args:
        axis: axes along which norms are taken.

    >>> round(float(ops.norm(UnitNorm()([[3.0], [4.0]]))), 3)
    1.0
    """

    def __init__(self, axis: Axes = 0) -> None:
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        return ops.divide(w, epsilon() + _norms(w, self.axis))


_family = objects.Family("constraints", "constraint")


@export("constraints.get")
def get(identifier: Any) -> Any:
    """The constraint for a name, config, class or callable; None stays None.

    >>> get("max_norm").max_value
    2
    """
    return _family.get(identifier)


@export("constraints.serialize")
def serialize(constraint: Any) -> Any:
    """A constraint as plain data.

    >>> serialize(UnitNorm())["config"]
    {'axis': 0}
    """
    return objects.serialize_keras_object(constraint)


@export("constraints.deserialize")
def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The constraint for what `serialize` returned, or for a name.

    >>> deserialize(serialize(MaxNorm(3))).max_value
    3
    """
    return _family.deserialize(config, custom_objects)


publish({"constraints": ("triceras.constraints",)})
