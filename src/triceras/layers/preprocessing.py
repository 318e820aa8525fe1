"""Preparation of numeric data inside the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from triceras import ops
from triceras.core.config import epsilon
from triceras.core.errors import ArgumentError, ArgumentTypeError, ShapeError, StateError, shown
from triceras.core.registry import export
from triceras.core.spec import Shape
from triceras.layers import arguments
from triceras.layers.base import Layer
from triceras.utils.moments import Moments, inputs_of


@export("layers.Rescaling")
class Rescaling(Layer):
    """Computes `inputs * scale + offset` in the layer's dtype, for inputs of any dtype and shape.

    Args:
        scale: a number, or numbers that broadcast with the input.
        offset: the same.

    >>> Rescaling(1 / 255)(np.array([[0, 255]], "uint8")).tolist()
    [[0.0, 1.0]]
    """

    supports_masking = True

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale, self.offset = _numbers("scale", scale), _numbers("offset", offset)

    def call(self, inputs: Any) -> Any:
        scale, offset = (
            ops.convert_to_tensor(v, dtype=self.compute_dtype) for v in (self.scale, self.offset)
        )
        return ops.add(ops.multiply(ops.cast(inputs, self.compute_dtype), scale), offset)


def _numbers(name: str, value: Any) -> Any:
    try:
        if np.asarray(value).dtype.kind in "iuf":
            return value
    except ValueError:
        pass
    raise ArgumentTypeError(
        f"Rescaling(): `{name}` must be a number or an array of numbers. Received: {shown(value)}"
    )


@export("layers.Normalization")
class Normalization(Layer):
    """Brings features to mean 0 and variance 1: `(inputs - mean) / sqrt(variance)`.

    The mean and the variance are given, or `adapt(data)` computes them, or they are loaded with the weights.

    Args:
        axis: axis or axes of which each entry has a mean and a variance of its own; None means one for all.
        mean: the mean, a number or numbers for each entry.
        variance: the variance; both or none are given.
        invert: whether to map normalized data back instead.

    >>> layer = Normalization()
    >>> layer.adapt(np.array([[0.0], [2.0]], "float32"))
    >>> layer(np.array([[4.0]], "float32")).tolist()
    [[3.0]]
    """

    supports_masking = True

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = () if axis is None else tuple(arguments.axes(self, "axis", axis))
        if (mean is None) != (variance is None):
            raise ArgumentError(
                f"Normalization(): give both `mean` and `variance`, or none of them. Received: {mean!r} and "
                f"{variance!r}"
            )
        self.input_mean, self.input_variance = mean, variance
        if mean is not None and np.shape(mean) != np.shape(variance):
            raise ArgumentError(
                f"Normalization(): `mean` and `variance` must have one shape. Received: {np.shape(mean)} "
                f"and {np.shape(variance)}"
            )
        self.invert = bool(invert)

    def build(self, input_shape: Shape) -> None:
        rank = len(input_shape)
        if not all(-rank <= axis < rank for axis in self.axis):
            raise ShapeError(
                f"Layer {self.path!r} (Normalization) has axis={self.axis}. Received shape "
                f"{tuple(input_shape)}."
            )
        self._kept = sorted(axis % rank for axis in self.axis)
        self._reduced = [axis for axis in range(rank) if axis not in self._kept]
        self._weight_shape = tuple(input_shape[axis] for axis in self._kept)
        if None in self._weight_shape:
            raise ShapeError(
                f"Layer {self.path!r} (Normalization) must know the sizes of the axes {self.axis} of its "
                f"input. Received shape {tuple(input_shape)}."
            )
        self._broadcast_shape = tuple(
            size if axis in self._kept else 1 for axis, size in enumerate(input_shape)
        )
        if self.input_mean is None:
            shape = self._weight_shape
            self.adapt_mean = self.add_weight(name="mean", shape=shape, initializer="zeros", trainable=False)
            self.adapt_variance = self.add_weight(
                name="variance", shape=shape, initializer="ones", trainable=False
            )
            self.count = self.add_weight(
                name="count", shape=(), dtype="int", initializer="zeros", trainable=False
            )
        else:
            self._check_given()

    def _check_given(self) -> None:
        try:
            for value in (self.input_mean, self.input_variance):
                np.broadcast_to(np.asarray(value), self._broadcast_shape)
        except ValueError:
            raise ShapeError(
                f"Layer {self.path!r} (Normalization): `mean` and `variance` of shape "
                f"{np.shape(self.input_mean)} don't fit inputs normalized along {self.axis}, which need "
                f"{self._broadcast_shape}."
            ) from None

    def _statistic(self, given: Any, adapted: Any) -> Any:
        if given is None:
            value = adapted.value
        else:
            value = ops.convert_to_tensor(
                np.broadcast_to(np.asarray(given), self._broadcast_shape), self.compute_dtype
            )
        return ops.cast(ops.reshape(value, self._broadcast_shape), self.compute_dtype)

    @property
    def mean(self) -> Any:
        """The mean, in a shape that broadcasts with the input; None before the layer is built."""
        return self._statistic(self.input_mean, getattr(self, "adapt_mean", None)) if self.built else None

    @property
    def variance(self) -> Any:
        """The variance, in a shape that broadcasts with the input; None before the layer is built."""
        return (
            self._statistic(self.input_variance, getattr(self, "adapt_variance", None))
            if self.built
            else None
        )

    def adapt(self, data: Any) -> None:
        """Compute mean and variance from data, anew.

        Args:
            data: an array or tensor with the batch first, nested lists, or batches: a `PyDataset`, a
                `tf.data.Dataset`, a `DataLoader` or any other iterable of arrays. Of batches that are tuples
                the first entry counts.

        Raises:
            StateError: the layer was given its mean and variance.
            ArgumentError: there is no data, or it holds NaN or infinite numbers.
        """
        if self.input_mean is not None:
            raise StateError(
                f"Layer {self.path!r} (Normalization) was given its mean and variance, so adapt() would "
                "have no effect."
            )
        moments: Moments | None = None
        for batch in inputs_of(data, "Normalization.adapt"):
            if not self.built:
                self.build((None, *batch.shape[1:]) if 0 not in self.axis else batch.shape)
            self._check_batch(batch)
            moments = moments or Moments(self._kept)
            moments.add(batch)
        if moments is None or not moments.count:
            raise ArgumentError("Normalization.adapt() got no data.")
        if not (np.isfinite(moments.mean).all() and np.isfinite(moments.variance).all()):
            raise ArgumentError(
                "Normalization.adapt() got data with NaN or infinite numbers. Clean the data first."
            )
        self.adapt_mean.assign(moments.mean)
        self.adapt_variance.assign(moments.variance)

    def _check_batch(self, batch: np.ndarray) -> None:
        fits = len(self._broadcast_shape) == batch.ndim
        if not fits or tuple(batch.shape[axis] for axis in self._kept) != self._weight_shape:
            raise ShapeError(
                f"Layer {self.path!r} (Normalization) got batches of shapes that differ: {batch.shape} "
                f"doesn't fit {self._broadcast_shape}."
            )

    def finalize_state(self) -> None:
        """Nothing is left to do: mean and variance follow from the weights at any time."""

    def call(self, inputs: Any) -> Any:
        x = ops.cast(inputs, self.compute_dtype)
        mean, deviation = self.mean, ops.maximum(ops.sqrt(self.variance), epsilon())
        if self.invert:
            return ops.add(mean, ops.multiply(x, deviation))
        return ops.divide(ops.subtract(x, mean), deviation)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "mean": _plain(self.input_mean),
            "variance": _plain(self.input_variance),
        }


def _plain(value: Any) -> Any:
    """A statistic as numbers and lists."""
    return value if value is None or isinstance(value, (int, float)) else np.asarray(value).tolist()
