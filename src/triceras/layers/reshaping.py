"""Layers that move, repeat, add or remove elements and compute nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from triceras import ops
from triceras.core.config import standardize_data_format
from triceras.core.errors import ArgumentError, ShapeError
from triceras.core.registry import export
from triceras.layers import arguments
from triceras.layers.base import Layer
from triceras.layers.input_spec import InputSpec
from triceras.layers.spatial import Sizes, Spatial


@export("layers.Flatten")
class Flatten(Layer):
    """Makes one axis of all but the batch: `(batch, ...)` becomes `(batch, size)`.

    Args:
        data_format: with "channels_first" the channel axis is moved to the end before flattening.

    >>> Flatten()(ops.ones((2, 3, 4))).shape
    (2, 12)
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(min_ndim=1)

    def call(self, inputs: Any) -> Any:
        if self.data_format == "channels_first" and len(inputs.shape) > 1:
            inputs = ops.moveaxis(inputs, 1, -1)
        rest = inputs.shape[1:]
        return ops.reshape(inputs, (ops.shape(inputs)[0], -1 if None in rest else math.prod(rest)))


@export("layers.Reshape")
class Reshape(Layer):
    """Puts the elements of each sample into another shape.

    Args:
        target_shape: sizes without the batch; one may be -1 and follows from the others.

    >>> Reshape((2, -1))(ops.ones((5, 8))).shape
    (5, 2, 4)
    """

    def __init__(self, target_shape: Sequence[int | None], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        try:
            sizes = tuple(-1 if size is None else size.__index__() for size in target_shape)
        except (TypeError, AttributeError):
            sizes = (-2,)
        if any(size < -1 for size in sizes) or sizes.count(-1) > 1:
            raise ArgumentError(
                "Reshape(): `target_shape` must be a tuple of sizes, one of which may be -1. Received: "
                f"{target_shape!r}"
            )
        self.target_shape = tuple(target_shape)

    def call(self, inputs: Any) -> Any:
        wanted = [-1 if size is None else size for size in self.target_shape]
        sizes = inputs.shape[1:]
        if None not in sizes:
            total, known = math.prod(sizes), math.prod(size for size in wanted if size != -1)
            if (total % known if known else total) if -1 in wanted else total != known:
                raise ShapeError(
                    f"Layer {self.path!r} (Reshape) can't put {total} elements a sample, of shape "
                    f"{tuple(sizes)}, into {self.target_shape}."
                )
            wanted = [(total // known if known else 0) if size == -1 else size for size in wanted]
        return ops.reshape(inputs, (ops.shape(inputs)[0], *wanted))


@export("layers.Permute")
class Permute(Layer):
    """Reorders the axes after the batch.

    Args:
        dims: for each new axis the number of the old one, counted from 1.

    >>> Permute((2, 1))(ops.ones((5, 3, 4))).shape
    (5, 4, 3)
    """

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(arguments.axes(self, "dims", dims))
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ArgumentError(
                f"Permute(): `dims` must hold each number from 1 to {len(self.dims)} once. Received: {dims}"
            )
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)

    def call(self, inputs: Any) -> Any:
        return ops.transpose(inputs, (0, *self.dims))


@export("layers.RepeatVector")
class RepeatVector(Layer):
    """Repeats a vector as steps: `(batch, features)` becomes `(batch, n, features)`.

    Args:
        n: number of steps.

    >>> RepeatVector(3)(ops.ones((2, 4))).shape
    (2, 3, 4)
    """

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = arguments.count(self, "n", n)
        self.input_spec = InputSpec(ndim=2)

    def call(self, inputs: Any) -> Any:
        return ops.repeat(ops.expand_dims(inputs, 1), self.n, axis=1)


# -- padding -------------------------------------------------------------------------------------------------


class ZeroPadding(Spatial):
    """Base of the layers that put zeros around each spatial axis."""

    def __init__(self, padding: Any, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format=data_format, **kwargs)
        if self.rank == 1:
            self.padding: Any = arguments.counts(self, "padding", padding, 2, least=0)
            self._widths = [self.padding]
        else:
            self.padding = arguments.pairs(self, "padding", padding, self.rank)
            self._widths = list(self.padding)

    def call(self, inputs: Any) -> Any:
        around = [(0, 0)] * len(inputs.shape)
        for axis, width in zip(self.spatial_axes, self._widths, strict=True):
            around[axis] = width
        return ops.pad(inputs, around)


@export("layers.ZeroPadding1D")
class ZeroPadding1D(ZeroPadding, rank=1):
    """Adds steps of zeros to `(batch, steps, channels)`.

    Args:
        padding: steps at each end, or a pair (start, end).
        data_format: layout of the input.

    >>> ZeroPadding1D(2)(ops.ones((1, 3, 1))).shape
    (1, 7, 1)
    """

    def __init__(self, padding: Sizes = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(padding, data_format, **kwargs)


@export("layers.ZeroPadding2D")
class ZeroPadding2D(ZeroPadding, rank=2):
    """Adds rows and columns of zeros to `(batch, rows, columns, channels)`.

    Args:
        padding: one number, (rows, columns), or ((top, bottom), (left, right)).
        data_format: layout of the input.

    >>> ZeroPadding2D(((1, 0), 2))(ops.ones((1, 3, 3, 1))).shape
    (1, 4, 7, 1)
    """

    def __init__(self, padding: Any = (1, 1), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(padding, data_format, **kwargs)


@export("layers.ZeroPadding3D")
class ZeroPadding3D(ZeroPadding, rank=3):
    """Adds zeros around the three spatial axes of `(batch, depth, rows, columns, channels)`.

    Args:
        padding: one number, one for each axis, or a pair for each axis.
        data_format: layout of the input.

    >>> ZeroPadding3D(1)(ops.ones((1, 2, 2, 2, 1))).shape
    (1, 4, 4, 4, 1)
    """

    def __init__(
        self, padding: Any = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(padding, data_format, **kwargs)


# -- cropping ------------------------------------------------------------------------------------------------


class Cropping(Spatial):
    """Base of the layers that cut off both ends of each spatial axis."""

    def __init__(self, cropping: Any, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format=data_format, **kwargs)
        if self.rank == 1:
            self.cropping: Any = arguments.counts(self, "cropping", cropping, 2, least=0)
            self._widths = [self.cropping]
        else:
            self.cropping = arguments.pairs(self, "cropping", cropping, self.rank)
            self._widths = list(self.cropping)

    def call(self, inputs: Any) -> Any:
        kept = [slice(None)] * len(inputs.shape)
        for axis, (start, end) in zip(self.spatial_axes, self._widths, strict=True):
            size = inputs.shape[axis]
            if size is not None and size <= start + end:
                raise ShapeError(
                    f"Layer {self.path!r} ({type(self).__name__}) cuts {start} + {end} off axis {axis}, "
                    f"which leaves nothing. Received shape {tuple(inputs.shape)}."
                )
            kept[axis] = slice(start, -end if end else None)
        return inputs[tuple(kept)]


@export("layers.Cropping1D")
class Cropping1D(Cropping, rank=1):
    """Cuts steps off `(batch, steps, channels)`.

    Args:
        cropping: steps at each end, or a pair (start, end).

    >>> Cropping1D(1)(ops.ones((1, 5, 1))).shape
    (1, 3, 1)
    """

    def __init__(self, cropping: Sizes = (1, 1), **kwargs: Any) -> None:
        super().__init__(cropping, "channels_last", **kwargs)


@export("layers.Cropping2D")
class Cropping2D(Cropping, rank=2):
    """Cuts rows and columns off `(batch, rows, columns, channels)`.

    Args:
        cropping: one number, (rows, columns), or ((top, bottom), (left, right)).
        data_format: layout of the input.

    >>> Cropping2D(((1, 0), 2))(ops.ones((1, 5, 5, 1))).shape
    (1, 4, 1, 1)
    """

    def __init__(
        self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(cropping, data_format, **kwargs)


@export("layers.Cropping3D")
class Cropping3D(Cropping, rank=3):
    """Cuts both ends off the three spatial axes of `(batch, depth, rows, columns, channels)`.

    Args:
        cropping: one number, one for each axis, or a pair for each axis.
        data_format: layout of the input.

    >>> Cropping3D(1)(ops.ones((1, 3, 4, 5, 1))).shape
    (1, 1, 2, 3, 1)
    """

    def __init__(
        self, cropping: Any = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(cropping, data_format, **kwargs)


# -- enlarging -----------------------------------------------------------------------------------------------

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")


class UpSampling(Spatial):
    """Base of the layers that repeat each element along each spatial axis."""

    size: Any

    def _repeated(self, inputs: Any, sizes: Sequence[int]) -> Any:
        for axis, size in zip(self.spatial_axes, sizes, strict=True):
            if size != 1:
                inputs = ops.repeat(inputs, size, axis=axis)
        return inputs


@export("layers.UpSampling1D")
class UpSampling1D(UpSampling, rank=1):
    """Repeats each step of `(batch, steps, channels)`.

    Args:
        size: how often.

    >>> UpSampling1D(2)(ops.ones((1, 3, 1))).shape
    (1, 6, 1)
    """

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__("channels_last", **kwargs)
        self.size = arguments.count(self, "size", size)

    def call(self, inputs: Any) -> Any:
        return self._repeated(inputs, (self.size,))


@export("layers.UpSampling2D")
class UpSampling2D(UpSampling, rank=2):
    """Enlarges `(batch, rows, columns, channels)` by whole factors.

    Args:
        size: one factor, or (rows, columns).
        data_format: layout of the input.
        interpolation: "nearest" repeats pixels; "bilinear", "bicubic", "lanczos3" and "lanczos5" resize.

    >>> UpSampling2D((2, 3))(ops.ones((1, 2, 2, 1))).shape
    (1, 4, 6, 1)
    """

    def __init__(
        self,
        size: Sizes = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.size = arguments.counts(self, "size", size, 2)
        self.interpolation = arguments.choice(self, "interpolation", interpolation, INTERPOLATIONS)

    def call(self, inputs: Any) -> Any:
        if self.interpolation == "nearest":
            return self._repeated(inputs, self.size)
        shape = ops.shape(inputs)
        sizes = tuple(shape[axis] * factor for axis, factor in zip(self.spatial_axes, self.size, strict=True))
        resized = ops.image.resize(
            inputs, sizes, interpolation=self.interpolation, data_format=self.data_format
        )
        return ops.cast(resized, inputs.dtype)


@export("layers.UpSampling3D")
class UpSampling3D(UpSampling, rank=3):
    """Repeats each element of `(batch, depth, rows, columns, channels)` along the three spatial axes.

    Args:
        size: one factor, or one for each axis.
        data_format: layout of the input.

    >>> UpSampling3D(2)(ops.ones((1, 2, 2, 2, 1))).shape
    (1, 4, 4, 4, 1)
    """

    def __init__(self, size: Sizes = (2, 2, 2), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.size = arguments.counts(self, "size", size, 3)

    def call(self, inputs: Any) -> Any:
        return self._repeated(inputs, self.size)
