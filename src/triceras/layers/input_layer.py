"""`Input` and the layer behind it: where symbolic tensors come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from triceras.core.dtypes import standardize_dtype
from triceras.core.errors import ArgumentError
from triceras.core.registry import export
from triceras.core.spec import KerasTensor, Node, standardize_shape
from triceras.layers.base import Layer


@export("layers.InputLayer")
class InputLayer(Layer):
    """Holds the place of a model's input.

    Args:
        shape: sizes without the batch.
        batch_size: size of the batch, if fixed.
        dtype: dtype of the data; floatx if not given.
        sparse: whether the input is sparse.
        ragged: whether the input is ragged.
        batch_shape: sizes with the batch, instead of `shape` and `batch_size`.
        input_tensor: an existing symbolic tensor to stand for.
        optional: whether None may be passed.
        name: name of the input.

    >>> InputLayer(shape=(4,)).output.shape
    (None, 4)
    """

    def __init__(
        self,
        shape: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if "input_shape" in kwargs:
            shape = kwargs.pop("input_shape")
        if "batch_input_shape" in kwargs:
            batch_shape = kwargs.pop("batch_input_shape")
        super().__init__(name=name, **kwargs)
        if input_tensor is not None:
            if not isinstance(input_tensor, KerasTensor):
                raise ArgumentError(f"`input_tensor` must be a symbolic tensor. Received: {input_tensor!r}")
            batch_shape, dtype = input_tensor.shape, dtype or input_tensor.dtype
        elif shape is not None and batch_shape is not None:
            raise ArgumentError("Give either `shape` or `batch_shape`, not both.")
        elif shape is None and batch_shape is None:
            raise ArgumentError(
                "An input needs `shape`, the sizes without the batch: Input(shape=(28, 28, 1))."
            )
        elif batch_size is not None and batch_shape is not None:
            raise ArgumentError("Give either `batch_size` or `batch_shape`, not both.")
        if batch_shape is None:
            batch_shape = (batch_size, *standardize_shape(shape))
        self.batch_shape = standardize_shape(batch_shape, "batch_shape")
        self._dtype = standardize_dtype(dtype)
        self.sparse, self.ragged, self.optional = bool(sparse), bool(ragged), optional
        output = input_tensor
        if output is None:
            output = KerasTensor(self.batch_shape, self._dtype, self.sparse, self.ragged, name=self.name)
        self._inbound_nodes.append(Node(self, (), {}, output))
        self.built = self._called = True
        self._path = self.name

    @property
    def dtype(self) -> str:
        return self._dtype

    def call(self) -> None:
        return None

    def get_config(self) -> dict[str, Any]:
        return {
            "batch_shape": self.batch_shape,
            "dtype": self._dtype,
            "sparse": self.sparse,
            "ragged": self.ragged,
            "name": self.name,
            "optional": self.optional,
        }


@export("Input", "layers.Input")
def Input(  # noqa: N802 - the reference's name
    shape: Sequence[int | None] | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
    tensor: Any = None,
    optional: bool = False,
) -> KerasTensor:
    """A symbolic tensor that stands for a model's input.

    Args:
        shape: sizes without the batch; None where unknown.
        batch_size: size of the batch, if fixed.
        dtype: dtype of the data; floatx if not given.
        sparse: whether the input is sparse.
        ragged: whether the input is ragged.
        batch_shape: sizes with the batch, instead of `shape` and `batch_size`.
        name: name of the input, the key for dict data.
        tensor: an existing symbolic tensor to stand for.
        optional: whether None may be passed.

    >>> Input(shape=(28, 28, 1)).shape
    (None, 28, 28, 1)
    """
    layer = InputLayer(
        shape=shape,
        batch_size=batch_size,
        dtype=dtype,
        sparse=sparse,
        ragged=ragged,
        batch_shape=batch_shape,
        input_tensor=tensor,
        optional=optional,
        name=name,
    )
    return layer.output
