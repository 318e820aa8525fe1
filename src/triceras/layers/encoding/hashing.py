"""Categories as numbers without a vocabulary: hashes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from triceras import ops
from triceras.core.dtypes import is_int_dtype, standardize_dtype
from triceras.core.errors import ArgumentError, ArgumentTypeError, ShapeError, shown
from triceras.core.registry import export
from triceras.core.spec import Shape
from triceras.engine import selection
from triceras.layers import arguments
from triceras.layers.encoding.base import EncodingLayer, encoded, encoded_shape
from triceras.utils.hashing import Halves, Key, hash_integers, hash_texts, hash_together

MOST_BINS = 1 << 30  # that a remainder by 32-bit integers can be of


def key_of(layer: Any, salt: Any) -> Key | None:
    """The two numbers that a salt stands for."""
    if salt is None:
        return None
    found = (salt, salt) if isinstance(salt, int) else tuple(salt) if isinstance(salt, (list, tuple)) else ()
    if len(found) != 2 or not all(isinstance(x, (int, np.integer)) for x in found):
        raise ArgumentError(
            f"{type(layer).__name__}(): `salt` must be an integer or two. Received: {shown(salt)}"
        )
    return int(found[0]), int(found[1])


class _BinningLayer(EncodingLayer):
    """What hashing layers share: bins, output modes, and a dtype that follows from these."""

    exact = True
    modes: tuple[str, ...]

    def __init__(
        self, num_bins: int, output_mode: str, sparse: bool, dtype: Any = None, **kwargs: Any
    ) -> None:
        mode = arguments.choice(self, "output_mode", output_mode, self.modes)
        if dtype is None and mode == "int":
            dtype = "int64"
        super().__init__(dtype=dtype, **kwargs)
        if mode == "int" and not is_int_dtype(self.compute_dtype):
            raise ArgumentError(
                f'{type(self).__name__}(): indices, of `output_mode="int"`, have an integer dtype, such as "int64". '
                f"Received: dtype={dtype!r}"
            )
        self.num_bins = arguments.count(self, "num_bins", num_bins)
        self.output_mode, self.sparse = mode, self.dense_only(sparse)

    def _numbers(self, x: Any) -> Any:
        """Integers of 32 bits, for ops."""
        if self.num_bins > MOST_BINS:
            raise ArgumentError(
                f"Layer {self.path!r}: inside compiled steps there can be at most {MOST_BINS:,} bins. Received "
                f"num_bins={self.num_bins:,}. Call the layer on the data before."
            )
        return ops.cast(x, "int32")

    @property
    def output_dtype(self) -> str:
        return selection.current().canonical(self.compute_dtype)


@export("layers.Hashing")
class Hashing(_BinningLayer):
    """Puts text or integers into bins by a hash of each: always the same one, without a vocabulary.

    Inside compiled steps integers count with 32 bits; elsewhere those of 64 bits count whole.

    Args:
        num_bins: how many bins there are.
        mask_value: a value that has the first bin for itself.
        salt: an integer, or two, on which the hash depends: SipHash with this key instead of FarmHash.
        output_mode: "int" for indices; "one_hot", "multi_hot" and "count" as in `CategoryEncoding`.
        sparse: must be False: there are no sparse tensors here.

    >>> Hashing(num_bins=3)(np.array([["A"], ["B"], ["C"]])).tolist()
    [[1], [0], [1]]
    """

    modes = ("int", "one_hot", "multi_hot", "count")

    def __init__(
        self,
        num_bins: int,
        mask_value: Any = None,
        salt: Any = None,
        output_mode: str = "int",
        sparse: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_bins, output_mode, sparse, **kwargs)
        self._key = key_of(self, salt)
        self.salt = self._key and list(self._key)
        if mask_value is not None and self.num_bins < 2:
            raise ArgumentError("Hashing(): with a `mask_value`, `num_bins` must be at least 2. Received: 1")
        self.mask_value = mask_value

    def call(self, inputs: Any) -> Any:
        if self.on_host(inputs):
            indices = self.from_host(self._hashed, [inputs], tuple(inputs.shape))
        else:
            x = self._numbers(inputs)
            indices = self._binned(hash_integers(x, self._key))
            if isinstance(self.mask_value, int):
                indices = ops.where(ops.equal(x, self.mask_value), 0, indices)
        return encoded(indices, self.output_mode, self.num_bins, self.output_dtype)

    def _binned(self, hashes: Any) -> Any:
        if self.mask_value is None:
            return hashes % self.num_bins
        return hashes % (self.num_bins - 1) + 1

    def _hashed(self, values: NDArray[Any]) -> NDArray[Any]:
        values = values.astype(np.int64) if values.dtype.kind == "f" else values
        indices = self._binned(hash_texts(values, self._key)).astype(np.int64)
        return indices if self.mask_value is None else np.where(values == self.mask_value, 0, indices)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The output's shape for an input of this shape."""
        return encoded_shape(tuple(input_shape), self.output_mode, self.num_bins)


@export("layers.HashedCrossing")
class HashedCrossing(_BinningLayer):
    """Crosses features: puts the combinations of their values into bins by a hash of each.

    It is called on a list of at least two features, text or integers, each of shape `(batch,)` or `(batch, 1)`.

    Args:
        num_bins: how many bins there are.
        output_mode: "int" for indices, or "one_hot".
        sparse: must be False: there are no sparse tensors here.

    >>> HashedCrossing(num_bins=5)((np.array(["A", "B"]), np.array([101, 101]))).tolist()
    [1, 4]
    """

    modes = ("int", "one_hot")

    def __init__(
        self,
        num_bins: int,
        output_mode: str = "int",
        sparse: bool = False,
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_bins, output_mode, sparse, dtype=dtype, name=name, **kwargs)

    def _apart(self, inputs: Any) -> Any:
        if not isinstance(inputs, (list, tuple)) or len(inputs) < 2:
            raise ArgumentTypeError(
                f"Layer {self.path!r} (HashedCrossing) takes a list of at least two features. Received: "
                f"{shown(inputs)}"
            )
        return [super(HashedCrossing, self)._apart(x) for x in inputs]

    def call(self, inputs: Any) -> Any:
        shape = self._common_shape([tuple(x.shape) for x in inputs])
        for x in inputs:
            if standardize_dtype(x.dtype) != "string" and not is_int_dtype(x.dtype):
                raise ArgumentTypeError(
                    f"Layer {self.path!r} (HashedCrossing) takes text and integers. Received dtype {x.dtype}."
                )
        if any(map(self.on_host, inputs)):
            indices = self.from_host(self._crossed, inputs, shape)
        else:
            indices = hash_together([Halves.of(self._numbers(x)) for x in inputs]) % self.num_bins
        return encoded(indices, self.output_mode, self.num_bins, self.output_dtype)

    def _crossed(self, *columns: NDArray[Any]) -> NDArray[Any]:
        words = [
            hash_texts(x) if x.dtype.kind == "O" else np.asarray(x, np.int64).astype(np.uint64)
            for x in columns
        ]
        found = hash_together([np.atleast_1d(word) for word in words]) % np.uint64(self.num_bins)
        return found.reshape(columns[0].shape)

    def _common_shape(self, shapes: list[Shape]) -> Shape:
        first = shapes[0]
        if (
            len(first) > 2
            or (len(first) == 2 and first[-1] != 1)
            or any(len(s) != len(first) for s in shapes)
        ):
            raise ShapeError(
                f"Layer {self.path!r} (HashedCrossing) takes features of one shape: (), (batch,) or (batch, 1). "
                f"Received: {shapes}"
            )
        return first

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """The output's shape for features of these shapes."""
        shape = self._common_shape([tuple(s) for s in input_shape])
        return encoded_shape(shape, self.output_mode, self.num_bins)

    def get_config(self) -> dict[str, Any]:
        return {
            "num_bins": self.num_bins,
            "output_mode": self.output_mode,
            "sparse": self.sparse,
            "name": self.name,
            "dtype": self.compute_dtype,
        }
