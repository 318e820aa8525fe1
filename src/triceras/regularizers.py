"""Penalties on weights and outputs, added to the loss."""

from __future__ import annotations

import math
from typing import Any

from triceras import ops
from triceras.core.capture import Configurable
from triceras.core.errors import ArgumentError, ShapeError
from triceras.core.registry import export, publish
from triceras.saving import objects


def _factor(cls: str, name: str, value: Any) -> float:
    """A penalty's factor, checked; None means 0."""
    if value is None:
        return 0.0
    try:
        number = math.nan if isinstance(value, str) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise ArgumentError(f"{cls}: `{name}` must be a finite number of at least 0. Received: {value!r}")
    return number


@export("Regularizer", "regularizers.Regularizer")
class Regularizer(Configurable):
    """Base of all regularizers. Subclass it and write `__call__(self, x)`, which returns a scalar.

    >>> class Sum(Regularizer):
    ...     def __call__(self, x):
    ...         return ops.sum(x)
    >>> float(Sum()([1.0, 2.0]))
    3.0
    """

    def __call__(self, x: Any) -> Any:
        """The penalty for a tensor."""
        return 0.0


@export("regularizers.L1L2", "regularizers.l1_l2")
class L1L2(Regularizer):
    """The penalty `l1 * sum(|x|) + l2 * sum(x²)`.

    Args:
        l1: factor of the sum of sizes.
        l2: factor of the sum of squares.

    >>> float(L1L2(l1=1.0, l2=2.0)([1.0, -2.0]))
    13.0
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1, self.l2 = _factor("L1L2", "l1", l1), _factor("L1L2", "l2", l2)

    def __call__(self, x: Any) -> Any:
        penalty = 0.0
        if self.l1:
            penalty = self.l1 * ops.sum(ops.absolute(x))
        if self.l2:
            penalty = penalty + self.l2 * ops.sum(ops.square(x))
        return ops.convert_to_tensor(penalty)


@export("regularizers.L1", "regularizers.l1")
class L1(Regularizer):
    """The penalty `l1 * sum(|x|)`.

    Args:
        l1: its factor.

    >>> float(L1(0.5)([1.0, -2.0]))
    1.5
    """

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = _factor("L1", "l1", l1)

    def __call__(self, x: Any) -> Any:
        return self.l1 * ops.sum(ops.absolute(x))


@export("regularizers.L2", "regularizers.l2")
class L2(Regularizer):
    """The penalty `l2 * sum(x²)`.

    Args:
        l2: its factor.

    >>> float(L2(0.5)([1.0, -2.0]))
    2.5
    """

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = _factor("L2", "l2", l2)

    def __call__(self, x: Any) -> Any:
        return self.l2 * ops.sum(ops.square(x))


@export("regularizers.OrthogonalRegularizer", "regularizers.orthogonal_regularizer")
class OrthogonalRegularizer(Regularizer):
    """The mean size of the cosines between rows (or columns) of a matrix, to make them orthogonal.

    Args:
        factor: factor of the penalty.
        mode: "rows" or "columns".

    >>> float(OrthogonalRegularizer(1.0)([[1.0, 0.0], [0.0, 1.0]]))
    0.0
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        if mode not in ("rows", "columns"):
            raise ArgumentError(
                f"OrthogonalRegularizer: `mode` must be 'rows' or 'columns'. Received: {mode!r}"
            )
        self.factor, self.mode = _factor("OrthogonalRegularizer", "factor", factor), mode

    def __call__(self, x: Any) -> Any:
        x = ops.convert_to_tensor(x)
        if len(x.shape) != 2:
            raise ShapeError(f"OrthogonalRegularizer needs a matrix. Received: shape={tuple(x.shape)}")
        if self.mode == "columns":
            x = ops.transpose(x)
        x = ops.normalize(x, axis=1)
        n = x.shape[0]
        others = ops.matmul(x, ops.transpose(x)) * (1 - ops.eye(n, dtype=x.dtype))
        return self.factor * ops.sum(ops.absolute(others)) / max(n * (n - 1), 1)


_family = objects.Family("regularizers", "regularizer", {"l1l2": "L1L2"})


@export("regularizers.get")
def get(identifier: Any) -> Any:
    """The regularizer for a name, config, class or callable; None stays None.

    >>> get("l2").l2
    0.01
    """
    return _family.get(identifier)


@export("regularizers.serialize")
def serialize(regularizer: Any) -> Any:
    """A regularizer as plain data.

    >>> serialize(L2(0.5))["config"]
    {'l2': 0.5}
    """
    return objects.serialize_keras_object(regularizer)


@export("regularizers.deserialize")
def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The regularizer for what `serialize` returned, or for a name.

    >>> deserialize(serialize(L2(0.5))).l2
    0.5
    """
    return _family.deserialize(config, custom_objects)


publish({"regularizers": ("triceras.regularizers",)})
