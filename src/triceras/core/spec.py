"""Symbolic tensors: shape and dtype without a value. Ops applied to them grow a graph of nodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from triceras.core import tree
from triceras.core.dtypes import standardize_dtype
from triceras.core.errors import ArgumentError, SymbolicValueError
from triceras.core.registry import export
from triceras.core.scope import Local, unique_name

Shape = tuple[int | None, ...]

recording = Local("recording", True)
tape: Local[list[Node] | None] = Local("tape", None)  # where the nodes made in a block are listed


def standardize_shape(shape: Any, what: str = "shape") -> Shape:
    """A shape as a tuple of non-negative integers and None."""
    if isinstance(shape, int):
        raise ArgumentError(f"`{what}` must be a tuple such as ({shape},). Received the integer {shape}.")
    if shape is None or not isinstance(shape, Iterable):
        raise ArgumentError(f"`{what}` must be a tuple of integers or None entries. Received: {shape!r}")
    result = []
    for size in shape:
        if size is not None:
            try:
                size = size.__index__()
            except AttributeError:
                raise ArgumentError(
                    f"`{what}` must be a tuple of integers or None entries. Received: {shape!r}"
                ) from None
            if size < 0:
                raise ArgumentError(
                    f"`{what}` can't hold negative sizes; use None for unknown ones. Received: {shape!r}"
                )
        result.append(size)
    return tuple(result)


class Node:
    """One call of an operation on symbolic tensors: its arguments and what came out."""

    __slots__ = ("args", "inputs", "kwargs", "operation", "outputs")

    def __init__(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Any) -> None:
        self.operation, self.args, self.kwargs = operation, args, kwargs
        self.inputs = _symbolic_leaves((args, kwargs) if kwargs else args)
        self.outputs = _symbolic_leaves(outputs)
        for index, tensor in enumerate(self.outputs):
            tensor.history = (self, index)
        made = tape.get()
        if made is not None:
            made.append(self)


def _symbolic_leaves(structure: Any) -> list[KerasTensor]:
    leaves = (structure,) if isinstance(structure, KerasTensor) else tree.flatten(structure)
    return [x for x in leaves if isinstance(x, KerasTensor)]


@export("KerasTensor")
class KerasTensor:
    """A tensor with a shape and a dtype and no value: what `Input` gives and symbolic calls return.

    Args:
        shape: sizes; None where unknown.
        dtype: name of the dtype.
        sparse: whether it stands for a sparse tensor.
        ragged: whether it stands for a ragged tensor.
        record_history: whether ops applied to it are recorded.
        name: shown in summaries and errors.

    >>> x = KerasTensor((None, 3), dtype="float32")
    >>> x.shape, x.ndim
    ((None, 3), 2)
    """

    __slots__ = (
        "__weakref__",
        "_name",
        "dtype",
        "history",
        "ragged",
        "record_history",
        "shape",
        "sparse",
    )
    __array_priority__ = 1000

    def __init__(
        self,
        shape: Sequence[int | None],
        dtype: Any = "float32",
        sparse: bool = False,
        ragged: bool = False,
        record_history: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs:
            raise ArgumentError(f"KerasTensor got unknown arguments: {sorted(kwargs)}")
        self.shape: Shape = standardize_shape(shape)
        self.dtype: str = standardize_dtype(dtype)
        self.sparse, self.ragged = bool(sparse), bool(ragged)
        self.record_history = record_history
        self.history: tuple[Node, int] | None = None
        self._name = name

    @property
    def name(self) -> str:
        if self._name is None:  # most are never asked for theirs
            self._name = unique_name("keras_tensor")
        return self._name

    @name.setter
    def name(self, value: str) -> None:
        self._name = value

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def reshape(self, newshape: Sequence[int | None]) -> KerasTensor:
        """The same elements in another shape."""
        from triceras import ops

        return ops.reshape(self, newshape)

    def squeeze(self, axis: int | Sequence[int] | None = None) -> KerasTensor:
        """Without axes of size 1."""
        from triceras import ops

        return ops.squeeze(self, axis)

    def _no_value(self, wanted: str) -> SymbolicValueError:
        return SymbolicValueError(
            f"{self!r} is symbolic: it has a shape and a dtype but no value, so {wanted} isn't possible. "
            "Inside a model use triceras.ops (or a layer) instead of NumPy or engine functions and instead of `if` or "
            "`for` on its value; for values, call the model on real data."
        )

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise self._no_value("converting it to a NumPy array")

    def __jax_array__(self) -> Any:
        raise self._no_value("passing it to a JAX function")

    def __tf_tensor__(self, *args: Any, **kwargs: Any) -> Any:
        raise self._no_value("passing it to a TensorFlow function")

    def __float__(self) -> float:
        raise self._no_value("converting it to a float")

    def __int__(self) -> int:
        raise self._no_value("converting it to an integer")

    __index__ = __int__

    def __bool__(self) -> bool:
        raise self._no_value("deciding on its truth")

    def __len__(self) -> int:
        raise self._no_value("taking its length")

    def __iter__(self) -> Any:
        raise self._no_value("iterating over it")

    def __repr__(self) -> str:
        flags = "".join(f", {flag}=True" for flag in ("sparse", "ragged") if getattr(self, flag))
        label = f", name={self._name}" if self._name else ""
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}{flags}{label}>"


@export("utils.is_keras_tensor", "backend.is_keras_tensor")
def is_keras_tensor(x: Any) -> bool:
    """Whether a value is a symbolic tensor.

    >>> is_keras_tensor(KerasTensor((2,)))
    True
    """
    return isinstance(x, KerasTensor)


def any_symbolic(structure: Any) -> bool:
    """Whether a nested structure holds a symbolic tensor."""
    return any(isinstance(x, KerasTensor) for x in tree.flatten(structure))
