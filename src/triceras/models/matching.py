"""A call's inputs, matched to those of a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triceras import ops
from triceras.core import tree
from triceras.core.dtypes import standardize_dtype
from triceras.core.errors import ArgumentError, ShapeError
from triceras.core.spec import KerasTensor, Shape
from triceras.utils.text import as_text, is_text

if TYPE_CHECKING:
    from triceras.models.model import Model


def match_inputs(model: Model, inputs: Any) -> list[Any]:
    """A call's inputs in the order of the graph's, checked and cast: by name for dicts, else by position."""
    graph = model._graph
    wanted, expected = graph.inputs, graph._inputs_struct
    if len(wanted) == 1 and _fits(inputs, wanted[0]):
        return [inputs]  # as nearly always, at once
    if len(wanted) == 1 and wanted[0].dtype == "string" and is_text(inputs):
        inputs = as_text(inputs)
    names = [t.history[0].operation.name if t.history else t.name for t in wanted]
    if isinstance(inputs, dict) and isinstance(expected, dict):
        missing = [k for k in expected if k not in inputs]
        values = None if missing else tree.flatten({k: inputs[k] for k in expected})
    elif isinstance(inputs, dict):
        missing = [n for n in names if n not in inputs and not _optional(wanted[names.index(n)])]
        values = None if missing else [inputs.get(n) for n in names]
    else:
        missing = []
        values = tree.flatten(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    if missing:
        raise ArgumentError(f"Model {model.name!r} lacks the inputs {missing}. Received: {sorted(inputs)}")
    if len(values) != len(wanted):
        raise ArgumentError(
            f"Model {model.name!r} expects {len(wanted)} input(s) {names}. Received {len(values)}."
        )
    return [_fitted(model, x, t, n) for x, t, n in zip(values, wanted, names, strict=True)]


def _text(model: Model, x: Any, wanted: Shape, name: str) -> Any:
    """Text with the rank that it should have."""
    x = as_text(x)
    if x.ndim == len(wanted) + 1 and x.shape[-1] == 1:
        x = x[..., 0]
    elif x.ndim == len(wanted) - 1 and wanted[-1] == 1:
        x = x[..., None]
    if x.ndim != len(wanted) or any(w not in (None, s) for s, w in zip(x.shape[1:], wanted[1:], strict=True)):
        raise ShapeError(
            f"Model {model.name!r} expected the input {name!r} with shape {wanted}. Received shape {x.shape}."
        )
    return x


def _optional(t: KerasTensor) -> bool:
    return bool(t.history and getattr(t.history[0].operation, "optional", False))


def _fits(x: Any, t: KerasTensor) -> bool:
    """Whether an input has the rank, sizes and dtype that it should have."""
    shape, wanted = getattr(x, "shape", None), t.shape
    return (
        shape is not None
        and len(shape) == len(wanted)
        and shape[1:] == wanted[1:]
        and standardize_dtype(x.dtype) == t.dtype
    )


def _fitted(model: Model, x: Any, t: KerasTensor, name: str) -> Any:
    if _fits(x, t):
        return x
    if x is None:
        if _optional(t):
            return None
        raise ArgumentError(f"Model {model.name!r}: the input {name!r} is None.")
    if t.dtype == "string" and is_text(x):
        return _text(model, x, t.shape, name)
    if not hasattr(x, "shape"):
        x = ops.convert_to_tensor(x)
    shape, wanted = tuple(x.shape), t.shape
    if len(shape) == len(wanted) + 1 and shape[-1] == 1:
        x = ops.squeeze(x, axis=-1)
    elif len(shape) == len(wanted) - 1 and wanted[-1] == 1:
        x = ops.expand_dims(x, axis=-1)
    shape = tuple(x.shape)
    pairs = zip(shape[1:], wanted[1:], strict=False)  # any size of batch will do
    if len(shape) != len(wanted) or any(w is not None and s not in (w, None) for s, w in pairs):
        raise ShapeError(
            f"Model {model.name!r} expected the input {name!r} with shape {wanted}. Received shape {shape}."
        )
    return x if standardize_dtype(x.dtype) == t.dtype else ops.cast(x, t.dtype)
