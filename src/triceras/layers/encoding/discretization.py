"""Numbers as the bins they fall into."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np

from triceras import ops
from triceras.core.errors import ArgumentError, StateError, shown
from triceras.core.registry import export
from triceras.core.spec import Shape
from triceras.layers import arguments
from triceras.layers.encoding.base import EncodingLayer, encoded, encoded_shape
from triceras.utils.moments import inputs_of
from triceras.utils.quantiles import Quantiles

MODES = ("int", "one_hot", "multi_hot", "count")


@export("layers.Discretization")
class Discretization(EncodingLayer):
    """Replaces numbers by the index of the bin that they fall into; a boundary belongs to the bin above it.

    The boundaries are given, or `adapt(data)` finds them, so that all bins hold about as many of the data.

    Args:
        bin_boundaries: the boundaries between bins, in rising order; there is one bin more.
        num_bins: how many bins `adapt` makes.
        epsilon: how exact `adapt` is: the part of the data by which a bin may differ.
        output_mode: "int" for indices; "one_hot", "multi_hot" and "count" as in `CategoryEncoding`.
        sparse: must be False: there are no sparse tensors here.

    >>> Discretization([0.0, 1.0])(np.array([-0.5, 0.5, 1.0], "float32")).tolist()
    [0, 1, 2]
    """

    def __init__(
        self,
        bin_boundaries: Sequence[float] | None = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        sparse: bool = False,
        dtype: Any = None,
        name: str | None = None,
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        if (bin_boundaries is None) == (num_bins is None):
            raise ArgumentError(
                "Discretization() takes either `bin_boundaries` or `num_bins`, for adapt(). Received: "
                f"bin_boundaries={shown(bin_boundaries)}, num_bins={num_bins!r}"
            )
        self.num_bins = None if num_bins is None else arguments.count(self, "num_bins", num_bins, least=0)
        self.epsilon = arguments.number(self, "epsilon", epsilon, above=0, most=1)
        self.output_mode = arguments.choice(self, "output_mode", output_mode, MODES)
        self.sparse = self.dense_only(sparse)
        self.bin_boundaries = self._checked(bin_boundaries)
        self.reset_state()

    def _checked(self, boundaries: Any) -> list[float] | None:
        if boundaries is None:
            return None
        found = ops.convert_to_numpy(boundaries).astype("float64")
        if found.ndim != 1 or (np.diff(found) < 0).any():
            raise ArgumentError(
                f"Discretization(): `bin_boundaries` must be numbers in rising order. Received: {shown(boundaries)}"
            )
        return found.tolist()

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Find the boundaries from data, anew.

        Args:
            data: an array or tensor, nested lists, or batches: a `PyDataset`, a `tf.data.Dataset`, a
                `DataLoader` or any other iterable of arrays.
            steps: how many batches to take; all if not given.

        Raises:
            StateError: the layer was given its boundaries.
        """
        if self.num_bins is None:
            raise StateError(
                f"Layer {self.path!r} (Discretization) was given its `bin_boundaries`; adapt() is for one with "
                "`num_bins`."
            )
        self.reset_state()
        for batch in islice(inputs_of(data, "Discretization.adapt"), steps):
            self.update_state(batch)
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Take a batch into account, for `finalize_state`."""
        self._quantiles.add(ops.convert_to_numpy(data))

    def finalize_state(self) -> None:
        """Set the boundaries from all batches since `reset_state`."""
        if self.num_bins is not None:
            self.bin_boundaries = self._quantiles.cuts(self.num_bins)

    def reset_state(self) -> None:
        """Forget what `update_state` was given."""
        self._quantiles = Quantiles(self.epsilon)

    def call(self, inputs: Any) -> Any:
        if self.bin_boundaries is None:
            raise StateError(
                f"Layer {self.path!r} (Discretization) has no boundaries yet: call adapt(data) before."
            )
        x = ops.cast(inputs, self.compute_dtype)
        bins = ops.searchsorted(np.asarray(self.bin_boundaries, "float32"), x, side="right")
        bins = ops.where(ops.isnan(x), len(self.bin_boundaries), bins)
        return encoded(bins, self.output_mode, self._bins, self.output_dtype)

    @property
    def _bins(self) -> int:
        return self.num_bins if self.bin_boundaries is None else len(self.bin_boundaries) + 1

    @property
    def output_dtype(self) -> str:
        return "int32" if self.output_mode == "int" else self.compute_dtype

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The output's shape for an input of this shape."""
        return encoded_shape(tuple(input_shape), self.output_mode, self._bins)

    def load_own_variables(self, store: Any) -> None:
        """Take the boundaries from files of an older form; newer ones have them in the config."""
        if len(store) == 1:
            self.bin_boundaries = self._checked(store["0"])

    def get_config(self) -> dict[str, Any]:
        names = ("bin_boundaries", "num_bins", "epsilon", "output_mode", "sparse", "name")
        return {name: getattr(self, name) for name in names} | {"dtype": self.compute_dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """Make a layer from what `get_config` returned, with the boundaries that `adapt` found."""
        if config.get("num_bins") is None or config.get("bin_boundaries") is None:
            return super().from_config(config)
        layer = super().from_config(config | {"bin_boundaries": None})
        layer.bin_boundaries = layer._checked(config["bin_boundaries"])
        return layer
