"""What a layer accepts: rank, dtype and sizes of its inputs."""

from __future__ import annotations

from typing import Any

from triceras.core import tree
from triceras.core.capture import Configurable
from triceras.core.dtypes import standardize_dtype
from triceras.core.errors import ArgumentError, ShapeError
from triceras.core.registry import export
from triceras.core.spec import standardize_shape


@export("InputSpec", "layers.InputSpec")
class InputSpec(Configurable):
    """Rank, dtype and sizes that one input must have; None entries match anything.

    Args:
        dtype: expected dtype.
        shape: expected shape, with None for any size.
        ndim: expected rank.
        max_ndim: largest rank.
        min_ndim: smallest rank.
        axes: `{axis: size}` for single axes.
        allow_last_axis_squeeze: also accept a last axis of size 1 more or less.
        name: key of the input when inputs come as a dict.
        optional: also accept None.

    >>> InputSpec(min_ndim=2, axes={-1: 4})
    InputSpec(min_ndim=2, axes={-1: 4})
    """

    def __init__(
        self,
        dtype: Any = None,
        shape: Any = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: dict[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype = None if dtype is None else standardize_dtype(dtype)
        self.shape = None if shape is None else standardize_shape(shape)
        self.ndim = len(self.shape) if self.shape is not None else ndim
        self.max_ndim, self.min_ndim = max_ndim, min_ndim
        self.allow_last_axis_squeeze, self.name, self.optional = allow_last_axis_squeeze, name, optional
        try:
            self.axes = {int(k): v for k, v in (axes or {}).items()}
        except (TypeError, ValueError, AttributeError):
            raise ArgumentError(f"`axes` must map axis numbers to sizes. Received: {axes!r}") from None
        rank = self.ndim if self.ndim is not None else self.max_ndim
        if self.axes and rank is not None and max(self.axes) > rank - 1:
            raise ArgumentError(f"Axis {max(self.axes)} is beyond the rank {rank}.")

    def __repr__(self) -> str:
        given = {k: v for k, v in self._arguments.items() if v not in (None, False)}
        return f"InputSpec({', '.join(f'{k}={v!r}' for k, v in given.items())})"


def check_inputs(specs: Any, inputs: Any, layer: Any) -> None:
    """Raise `ShapeError` unless inputs are what the layer's `input_spec` asks for."""
    specs = tree.flatten(specs)
    if isinstance(inputs, dict) and all(s.name is not None for s in specs):
        missing = [s.name for s in specs if s.name not in inputs and not s.optional]
        if missing:
            raise ArgumentError(
                f"Layer {layer.name!r} lacks the inputs {missing}. Received: {sorted(inputs)}"
            )
        inputs = [inputs.get(s.name) for s in specs]
    inputs = tree.flatten(inputs)
    if len(inputs) != len(specs):
        raise ArgumentError(f"Layer {layer.name!r} expects {len(specs)} input(s). Received {len(inputs)}.")
    for index, (spec, x) in enumerate(zip(specs, inputs, strict=True)):
        if spec is None or (x is None and spec.optional):
            continue
        problem = _mismatch(spec, x)
        if problem:
            which = f"input {spec.name or index}" if len(specs) > 1 or spec.name else "its input"
            shape = tuple(x.shape) if hasattr(x, "shape") else x
            raise ShapeError(
                f"Layer {layer.path!r} ({type(layer).__name__}) expected {which} with {problem}. "
                f"Received shape {shape}.{_hint(layer, shape)}"
            )


def _hint(layer: Any, shape: Any) -> str:
    """What to do about a missing axis, where the layer has words for the axes."""
    names = layer.axis_names
    if not names or not isinstance(shape, tuple) or len(shape) == len(names):
        return ""
    axes = f" The axes are ({', '.join(names)})"
    if len(shape) != len(names) - 1:
        return axes + "."
    return (
        axes
        + f"; add a missing channel axis with {'x[:, None]' if names[1] == 'channels' else 'x[..., None]'}."
    )


def _mismatch(spec: InputSpec, x: Any) -> str | None:
    if x is None or not hasattr(x, "shape"):
        return f"a tensor, but got {type(x).__name__}"
    shape = tuple(x.shape)
    rank = len(shape)
    if spec.ndim is not None and rank != spec.ndim:
        if not (
            spec.allow_last_axis_squeeze
            and abs(rank - spec.ndim) == 1
            and 1 in (shape[-1:] + (spec.shape or (1,))[-1:])
        ):
            return f"{spec.ndim} dimension{'s' if spec.ndim != 1 else ''}, found {rank}"
        return None
    if spec.min_ndim is not None and rank < spec.min_ndim:
        return f"at least {spec.min_ndim} dimensions, found {rank}"
    if spec.max_ndim is not None and rank > spec.max_ndim:
        return f"at most {spec.max_ndim} dimensions, found {rank}"
    if spec.dtype is not None and standardize_dtype(x.dtype) != spec.dtype:
        return f"dtype {spec.dtype}, found {standardize_dtype(x.dtype)}"
    for axis, size in spec.axes.items():
        if size is not None and -rank <= axis < rank and shape[axis] not in (size, None):
            return f"size {size} on axis {axis}, found {shape[axis]}"
    for axis, size in enumerate(spec.shape or ()):
        if size is not None and shape[axis] not in (size, None):
            return f"shape {spec.shape}, found size {shape[axis]} on axis {axis}"
    return None
