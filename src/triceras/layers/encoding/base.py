"""What layers share that turn text and categories into numbers: how text reaches them, and how they encode integers.

Text is no tensor. A layer takes it as it comes, finds integers for it on the host, and encodes these with ops; so it
stands before the first step that is compiled. Inside a graph of TensorFlow the host is called back. Integers are
hashed and looked up on the host, too, where all their 64 bits count; inside a compiled step it is done by ops, where
they have 32 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triceras import ops
from triceras.core import tree
from triceras.core.dtypes import standardize_dtype
from triceras.core.errors import ArgumentError, ShapeError
from triceras.core.spec import KerasTensor, Shape
from triceras.engine import selection
from triceras.layers.base import Layer
from triceras.utils.text import as_text, is_text


class EncodingLayer(Layer):
    """Base of the layers that encode text and categories.

    A subclass defines `call` for one value as `call` gets it: a tensor, or what `on_host` is true for.
    """

    encoding = "utf-8"
    exact = False  # whether all 64 bits of an integer count

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        inputs = tree.map_structure(self._as_data, self._apart(inputs))
        if self.output_dtype != "string" and any(map(self._has_unknown_sizes, tree.flatten(inputs))):
            return self._called_back(self.engine, (inputs, *args), kwargs)
        return super().__call__(inputs, *args, **kwargs)

    def _has_unknown_sizes(self, x: Any) -> bool:
        """Whether a tensor is one of the engine's own pipeline, where ops would have to know sizes."""
        return not isinstance(x, KerasTensor) and self.engine.owns(type(x)) and None in tuple(x.shape)

    def _apart(self, inputs: Any) -> Any:
        """One array or tensor: lists are data."""
        return _Given(inputs) if isinstance(inputs, (list, tuple)) else inputs

    def _as_data(self, x: Any) -> Any:
        """An array or a tensor: strings become arrays of `str`, lists and numbers become arrays."""
        x = x.value if isinstance(x, _Given) else x
        if isinstance(x, KerasTensor) or (hasattr(x, "dtype") and selection.engine_of(type(x))):
            return x
        if is_text(x):
            return as_text(x, self.encoding, f"Layer {self.path!r}")
        return x if hasattr(x, "dtype") and hasattr(x, "shape") else np.asarray(x)

    def _convert_one(self, x: Any) -> Any:
        symbolic_text = isinstance(x, KerasTensor) and x.dtype == "string"
        return x if symbolic_text or self.on_host(x) else super()._convert_one(x)

    def on_host(self, x: Any) -> bool:
        """Whether a value is handled on the host: text, and exact integers that can be read."""
        if isinstance(x, KerasTensor) or not hasattr(x, "dtype"):
            return False
        engine = selection.engine_of(type(x))
        readable = engine is None or not engine.traced(x)
        return (self.exact and readable) or standardize_dtype(x.dtype) == "string"

    def from_host(
        self, find: Callable[..., NDArray[Any]], values: Sequence[Any], shape: Shape, dtype: str = "int64"
    ) -> Any:
        """What a function makes of values on the host, as a tensor of the engine that is active.

        Args:
            find: takes an array for each value, of `str` where it is text.
            shape: of the result, as far as it is known.
        """

        def run(*arrays: Any) -> NDArray[Any]:
            found = find(*(as_text(a, self.encoding) if is_text(a) else np.asarray(a) for a in arrays))
            return np.asarray(found).astype(object if dtype == "string" else dtype)

        for value in values:
            engine = selection.engine_of(type(value))
            if engine is not None and engine.traced(value):
                return engine.deferred(run, values, KerasTensor(shape, dtype))
        result = run(*map(ops.convert_to_numpy, values))
        return result if dtype == "string" else selection.current().make(result)

    def dense_only(self, sparse: bool) -> bool:
        """Refuse `sparse=True`."""
        if sparse:
            raise ArgumentError(
                f"{type(self).__name__}(): `sparse=True` needs sparse tensors, which no engine has here. Leave it "
                "out: the output is the same, in a dense tensor."
            )
        return False

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        shapes = tree.map_structure(lambda x: tuple(x.shape), args[0])
        return KerasTensor(self.compute_output_shape(shapes), self.output_dtype)

    @property
    def output_dtype(self) -> str:
        """The dtype of what the layer returns."""
        return self.compute_dtype


class _Given:
    """A list in a call, kept whole."""

    def __init__(self, value: Any) -> None:
        self.value = value


def integers() -> str:
    """The dtype of indices on the engine that is active: with 64 bits where it has them."""
    return selection.current().canonical("int64")


# -- from integers to vectors --------------------------------------------------------------------------------


def encoded_shape(shape: Shape, mode: str, depth: int | None) -> Shape:
    """The shape that `encoded` gives to integers of a shape."""
    if mode == "int":
        return tuple(shape)
    if mode == "one_hot":
        shape = shape or (1,)
        return (*(shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape), depth)
    return (*shape[:-1], depth)


def encoded(indices: Any, mode: str, depth: int | None, dtype: str, weights: Any = None) -> Any:
    """Integers as an output mode says; those that are no index, such as -1, leave no trace in vectors.

    Args:
        indices: integers in a tensor.
        mode: "int" leaves them as they are; "one_hot" makes a vector of each, instead of a last axis of size 1;
            "multi_hot" makes one vector of all along the last axis, with a 1 for each that is there, and "count"
            one with their numbers.
        depth: length of the vectors.
        dtype: of the result.
        weights: what each integer counts, for "count".

    >>> encoded(ops.convert_to_tensor([[0, 2, 2]]), "count", 3, "float32").tolist()
    [[1.0, 0.0, 2.0]]
    """
    if mode == "int":
        return ops.cast(indices, dtype)
    rank = len(indices.shape)
    indices = ops.cast(indices, "int32")
    if mode == "one_hot":
        if rank == 0 or (rank > 1 and indices.shape[-1] == 1):
            indices = ops.reshape(indices, (1,)) if rank == 0 else ops.squeeze(indices, -1)
        return ops.one_hot(indices, depth, dtype=dtype)
    if rank == 0:
        indices = ops.reshape(indices, (1,))
        weights = None if weights is None else ops.reshape(weights, (1,))
    counts = _counted(indices, depth, dtype, weights)
    return ops.minimum(counts, 1) if mode == "multi_hot" else counts


def _counted(indices: Any, depth: int, dtype: str, weights: Any) -> Any:
    """How often each integer stands along the last axis."""
    rows = _as_rows(indices)
    number = ops.shape(rows)[0]
    there = ops.logical_and(ops.greater_equal(rows, 0), ops.less(rows, depth))
    first = ops.expand_dims(ops.arange(number, dtype="int32") * depth, 1)
    places = ops.where(there, rows + first, -1)
    weights = ops.ones_like(rows, dtype=dtype) if weights is None else ops.cast(_as_rows(weights), dtype)
    sums = ops.segment_sum(ops.ravel(weights), ops.ravel(places), number * depth)
    return ops.reshape(sums, (*ops.shape(indices)[:-1], depth))


def _as_rows(x: Any) -> Any:
    """As a matrix with the same last axis."""
    return x if len(x.shape) == 2 else ops.reshape(x, (-1, ops.shape(x)[-1]))


def one_axis(layer: Layer, shape: Shape) -> Shape:
    """The shape of text of which each entry is cut into tokens: without a last axis of size 1."""
    if len(shape) > 1 and shape[-1] != 1:
        raise ShapeError(
            f"Layer {layer.path!r} ({type(layer).__name__}) cuts texts into tokens, so it takes one text a sample, "
            f"in shape (batch,) or (batch, 1). Received shape {tuple(shape)}. With `split=None` any shape will do."
        )
    return tuple(shape[:-1]) if len(shape) > 1 else tuple(shape)
