"""Pooling: the maximum, minimum or mean of windows or of whole images, written once for every rank."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from triceras import ops
from triceras.core.registry import export
from triceras.layers import arguments
from triceras.layers.spatial import Sizes, Spatial

# -- windows -------------------------------------------------------------------------------------------------


class Pooling(Spatial):
    """Base of the layers that pool windows.

    Args:
        pool_size: size of the windows, one number or one for each axis.
        strides: steps between windows; the size of the windows if not given.
        padding: "valid" or "same", in any case.
        data_format: layout of the input.
    """

    sized = ("pool_size",)
    pool: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        pool_size: Sizes,
        strides: Sizes | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, name=name, **kwargs)
        self.pool_size = arguments.counts(self, "pool_size", pool_size, self.rank)
        self.strides = arguments.counts(self, "strides", pool_size if strides is None else strides, self.rank)
        self.padding = arguments.choice(self, "padding", padding, ("valid", "same"))

    def call(self, inputs: Any) -> Any:
        return type(self).pool(
            inputs, self.pool_size, strides=self.strides, padding=self.padding, data_format=self.data_format
        )


class ExtremePooling(Pooling):
    """Base of maximum and minimum pooling, whose windows have size 2 if not given."""

    def __init__(
        self,
        pool_size: Sizes = 2,
        strides: Sizes | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)


class MaxPooling(ExtremePooling):
    """Base of maximum pooling."""

    pool = staticmethod(ops.max_pool)


class MinPooling(ExtremePooling):
    """Base of minimum pooling."""

    pool = staticmethod(ops.min_pool)


class AveragePooling(Pooling):
    """Base of average pooling. Cells that padding adds don't count."""

    pool = staticmethod(ops.average_pool)


@export("layers.MaxPooling1D", "layers.MaxPool1D")
class MaxPooling1D(MaxPooling, rank=1):
    """The maximum of windows of `(batch, steps, channels)`.

    >>> MaxPooling1D()(ops.ones((2, 8, 3))).shape
    (2, 4, 3)
    """


@export("layers.MaxPooling2D", "layers.MaxPool2D")
class MaxPooling2D(MaxPooling, rank=2):
    """The maximum of windows of `(batch, rows, columns, channels)`.

    >>> MaxPooling2D((2, 2))(ops.ones((2, 8, 8, 3))).shape
    (2, 4, 4, 3)
    """


@export("layers.MaxPooling3D", "layers.MaxPool3D")
class MaxPooling3D(MaxPooling, rank=3):
    """The maximum of windows of `(batch, depth, rows, columns, channels)`.

    >>> MaxPooling3D()(ops.ones((2, 4, 4, 4, 3))).shape
    (2, 2, 2, 2, 3)
    """


@export("layers.MinPooling1D", "layers.MinPool1D")
class MinPooling1D(MinPooling, rank=1):
    """The minimum of windows of `(batch, steps, channels)`.

    >>> MinPooling1D()(ops.ones((2, 8, 3))).shape
    (2, 4, 3)
    """


@export("layers.MinPooling2D", "layers.MinPool2D")
class MinPooling2D(MinPooling, rank=2):
    """The minimum of windows of `(batch, rows, columns, channels)`.

    >>> MinPooling2D((2, 2))(ops.ones((2, 8, 8, 3))).shape
    (2, 4, 4, 3)
    """


@export("layers.MinPooling3D", "layers.MinPool3D")
class MinPooling3D(MinPooling, rank=3):
    """The minimum of windows of `(batch, depth, rows, columns, channels)`.

    >>> MinPooling3D()(ops.ones((2, 4, 4, 4, 3))).shape
    (2, 2, 2, 2, 3)
    """


@export("layers.AveragePooling1D", "layers.AvgPool1D")
class AveragePooling1D(AveragePooling, rank=1):
    """The mean of windows of `(batch, steps, channels)`.

    >>> AveragePooling1D(2)(ops.ones((2, 8, 3))).shape
    (2, 4, 3)
    """


@export("layers.AveragePooling2D", "layers.AvgPool2D")
class AveragePooling2D(AveragePooling, rank=2):
    """The mean of windows of `(batch, rows, columns, channels)`.

    >>> AveragePooling2D(2)(ops.ones((2, 8, 8, 3))).shape
    (2, 4, 4, 3)
    """


@export("layers.AveragePooling3D", "layers.AvgPool3D")
class AveragePooling3D(AveragePooling, rank=3):
    """The mean of windows of `(batch, depth, rows, columns, channels)`.

    >>> AveragePooling3D(2)(ops.ones((2, 4, 4, 4, 3))).shape
    (2, 2, 2, 2, 3)
    """


# -- whole images --------------------------------------------------------------------------------------------


class GlobalPooling(Spatial):
    """Base of the layers that pool all of an image.

    Args:
        data_format: layout of the input.
        keepdims: whether the spatial axes stay, with size 1.
    """

    reduce: ClassVar[Callable[..., Any]]

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.keepdims = bool(keepdims)

    def call(self, inputs: Any) -> Any:
        return type(self).reduce(inputs, axis=self.spatial_axes, keepdims=self.keepdims)


class GlobalMaxPooling(GlobalPooling):
    """Base of global maximum pooling."""

    reduce = staticmethod(ops.max)


class GlobalMinPooling(GlobalPooling):
    """Base of global minimum pooling."""

    reduce = staticmethod(ops.min)


class GlobalAveragePooling(GlobalPooling):
    """Base of global average pooling."""

    reduce = staticmethod(ops.mean)


@export("layers.GlobalMaxPooling1D", "layers.GlobalMaxPool1D")
class GlobalMaxPooling1D(GlobalMaxPooling, rank=1):
    """The maximum over all steps: `(batch, steps, channels)` to `(batch, channels)`.

    >>> GlobalMaxPooling1D()(ops.ones((2, 8, 3))).shape
    (2, 3)
    """


@export("layers.GlobalMaxPooling2D", "layers.GlobalMaxPool2D")
class GlobalMaxPooling2D(GlobalMaxPooling, rank=2):
    """The maximum over the image: `(batch, rows, columns, channels)` to `(batch, channels)`.

    >>> GlobalMaxPooling2D()(ops.ones((2, 8, 8, 3))).shape
    (2, 3)
    """


@export("layers.GlobalMaxPooling3D", "layers.GlobalMaxPool3D")
class GlobalMaxPooling3D(GlobalMaxPooling, rank=3):
    """The maximum over the volume: `(batch, depth, rows, columns, channels)` to `(batch, channels)`.

    >>> GlobalMaxPooling3D()(ops.ones((2, 4, 4, 4, 3))).shape
    (2, 3)
    """


@export("layers.GlobalMinPooling1D", "layers.GlobalMinPool1D")
class GlobalMinPooling1D(GlobalMinPooling, rank=1):
    """The minimum over all steps: `(batch, steps, channels)` to `(batch, channels)`.

    >>> GlobalMinPooling1D()(ops.ones((2, 8, 3))).shape
    (2, 3)
    """


@export("layers.GlobalMinPooling2D", "layers.GlobalMinPool2D")
class GlobalMinPooling2D(GlobalMinPooling, rank=2):
    """The minimum over the image: `(batch, rows, columns, channels)` to `(batch, channels)`.

    >>> GlobalMinPooling2D()(ops.ones((2, 8, 8, 3))).shape
    (2, 3)
    """


@export("layers.GlobalMinPooling3D", "layers.GlobalMinPool3D")
class GlobalMinPooling3D(GlobalMinPooling, rank=3):
    """The minimum over the volume: `(batch, depth, rows, columns, channels)` to `(batch, channels)`.

    >>> GlobalMinPooling3D()(ops.ones((2, 4, 4, 4, 3))).shape
    (2, 3)
    """


@export("layers.GlobalAveragePooling1D", "layers.GlobalAvgPool1D")
class GlobalAveragePooling1D(GlobalAveragePooling, rank=1):
    """The mean over all steps that the mask keeps: `(batch, steps, channels)` to `(batch, channels)`.

    >>> GlobalAveragePooling1D()(ops.ones((2, 8, 3))).shape
    (2, 3)
    """

    supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None:
            return super().call(inputs)
        axis = self.spatial_axes[0]
        mask = ops.expand_dims(ops.cast(mask, inputs.dtype), 1 if self.channels_first else 2)
        total = ops.sum(ops.multiply(inputs, mask), axis=axis, keepdims=self.keepdims)
        return ops.divide(total, ops.sum(mask, axis=axis, keepdims=self.keepdims))

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None


@export("layers.GlobalAveragePooling2D", "layers.GlobalAvgPool2D")
class GlobalAveragePooling2D(GlobalAveragePooling, rank=2):
    """The mean over the image: `(batch, rows, columns, channels)` to `(batch, channels)`.

    >>> GlobalAveragePooling2D()(ops.ones((2, 8, 8, 3))).shape
    (2, 3)
    """


@export("layers.GlobalAveragePooling3D", "layers.GlobalAvgPool3D")
class GlobalAveragePooling3D(GlobalAveragePooling, rank=3):
    """The mean over the volume: `(batch, depth, rows, columns, channels)` to `(batch, channels)`.

    >>> GlobalAveragePooling3D()(ops.ones((2, 4, 4, 4, 3))).shape
    (2, 3)
    """


# -- to a given size -----------------------------------------------------------------------------------------


class AdaptivePooling(Spatial):
    """Base of the layers that pool to a given size, whatever the input's size is.

    Args:
        output_size: size of the output, one number or one for each axis.
        data_format: layout of the input.
    """

    pool: ClassVar[Callable[..., Any]]

    def __init__(
        self, output_size: int | Sequence[int], data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.output_size = arguments.counts(self, "output_size", output_size, self.rank)

    def call(self, inputs: Any) -> Any:
        return type(self).pool(inputs, self.output_size, data_format=self.data_format)


class AdaptiveAveragePooling(AdaptivePooling):
    """Base of adaptive average pooling."""

    pool = staticmethod(ops.adaptive_average_pool)


class AdaptiveMaxPooling(AdaptivePooling):
    """Base of adaptive maximum pooling."""

    pool = staticmethod(ops.adaptive_max_pool)


@export("layers.AdaptiveAveragePooling1D")
class AdaptiveAveragePooling1D(AdaptiveAveragePooling, rank=1):
    """The means of `output_size` windows of `(batch, steps, channels)`.

    >>> AdaptiveAveragePooling1D(2)(ops.ones((2, 5, 3))).shape
    (2, 2, 3)
    """


@export("layers.AdaptiveAveragePooling2D")
class AdaptiveAveragePooling2D(AdaptiveAveragePooling, rank=2):
    """The means of `output_size` windows of `(batch, rows, columns, channels)`.

    >>> AdaptiveAveragePooling2D((2, 3))(ops.ones((2, 5, 7, 3))).shape
    (2, 2, 3, 3)
    """


@export("layers.AdaptiveAveragePooling3D")
class AdaptiveAveragePooling3D(AdaptiveAveragePooling, rank=3):
    """The means of `output_size` windows of `(batch, depth, rows, columns, channels)`.

    >>> AdaptiveAveragePooling3D(2)(ops.ones((2, 4, 5, 6, 3))).shape
    (2, 2, 2, 2, 3)
    """


@export("layers.AdaptiveMaxPooling1D")
class AdaptiveMaxPooling1D(AdaptiveMaxPooling, rank=1):
    """The maxima of `output_size` windows of `(batch, steps, channels)`.

    >>> AdaptiveMaxPooling1D(2)(ops.ones((2, 5, 3))).shape
    (2, 2, 3)
    """


@export("layers.AdaptiveMaxPooling2D")
class AdaptiveMaxPooling2D(AdaptiveMaxPooling, rank=2):
    """The maxima of `output_size` windows of `(batch, rows, columns, channels)`.

    >>> AdaptiveMaxPooling2D((2, 3))(ops.ones((2, 5, 7, 3))).shape
    (2, 2, 3, 3)
    """


@export("layers.AdaptiveMaxPooling3D")
class AdaptiveMaxPooling3D(AdaptiveMaxPooling, rank=3):
    """The maxima of `output_size` windows of `(batch, depth, rows, columns, channels)`.

    >>> AdaptiveMaxPooling3D(2)(ops.ones((2, 4, 5, 6, 3))).shape
    (2, 2, 2, 2, 3)
    """
