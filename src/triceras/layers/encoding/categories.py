"""Integer categories as vectors."""

from __future__ import annotations

from typing import Any

from triceras import ops
from triceras.core.errors import ArgumentError
from triceras.core.registry import export
from triceras.core.spec import Shape
from triceras.layers import arguments
from triceras.layers.encoding.base import EncodingLayer, encoded, encoded_shape


@export("layers.CategoryEncoding")
class CategoryEncoding(EncodingLayer):
    """Encodes integers from 0 to `num_tokens - 1` as vectors of that length; others leave no trace in them.

    Args:
        num_tokens: how many categories there are.
        output_mode: "multi_hot" for a 1 at each category of a sample, "count" for how often each occurs, or
            "one_hot" for a vector of each integer.
        sparse: must be False: there are no sparse tensors here.

    >>> CategoryEncoding(3, output_mode="count")(np.array([[0, 2, 2], [1, 1, 1]])).tolist()
    [[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]]
    """

    def __init__(
        self,
        num_tokens: int | None = None,
        output_mode: str = "multi_hot",
        sparse: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if num_tokens is None:
            raise ArgumentError(
                "CategoryEncoding() needs `num_tokens`, the number of categories. Where that isn't known, use "
                "IntegerLookup, which learns them from data."
            )
        self.num_tokens = arguments.count(self, "num_tokens", num_tokens)
        self.output_mode = arguments.choice(
            self, "output_mode", output_mode, ("multi_hot", "count", "one_hot")
        )
        self.sparse = self.dense_only(sparse)

    def call(self, inputs: Any, count_weights: Any = None) -> Any:
        if count_weights is not None:
            if self.output_mode != "count":
                raise ArgumentError(
                    f'Layer {self.path!r}: `count_weights` are for `output_mode="count"`. The mode is '
                    f"{self.output_mode!r}."
                )
            count_weights = ops.convert_to_tensor(count_weights, self.compute_dtype)
        return encoded(inputs, self.output_mode, self.num_tokens, self.compute_dtype, count_weights)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The output's shape for an input of this shape."""
        return encoded_shape(tuple(input_shape), self.output_mode, self.num_tokens)

    def get_config(self) -> dict[str, Any]:
        return {k: v for k, v in super().get_config().items() if k != "sparse"}
