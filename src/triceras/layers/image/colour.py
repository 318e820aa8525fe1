"""Images with other colours, brightness or contrast; nothing moves, so masks and boxes stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from triceras import ops, random
from triceras.core.config import epsilon
from triceras.core.errors import ArgumentError, shown
from triceras.core.registry import export
from triceras.layers import arguments
from triceras.layers.image.base import (
    ImageLayer,
    RandomImageLayer,
    Transformation,
    each,
    rescaled,
    span,
    value_range,
)
from triceras.random import Seed

Limits = float | Sequence[float]
BYTES = (0, 255)


class Colour(ImageLayer):
    """Base of the layers that change images only; `changed` says how.

    Args:
        value_range: least and largest value of the images.
    """

    only_training = True  # whether nothing changes otherwise

    def __init__(self, value_range: Sequence[float] = BYTES, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.value_range = _range_of(self, value_range)

    def transform_images(
        self, images: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        return self.changed(images, transformation) if training or not self.only_training else images

    def changed(self, images: Any, transformation: Transformation) -> Any:
        """Images after a transformation."""
        raise NotImplementedError

    def clipped(self, images: Any) -> Any:
        """Values within the range."""
        return ops.clip(images, *self.value_range)


_range_of = value_range


class RandomColour(Colour, RandomImageLayer):
    """Base of those that change images by a random factor.

    Args:
        factor: limits of the factor.
        value_range: least and largest value of the images.
        seed: makes the layer's random numbers repeatable.
    """

    factor_limits = (-1, 1)
    key = "factor"  # under which the factor stands

    def __init__(self, factor: Limits, value_range: Sequence[float], seed: int | None, **kwargs: Any) -> None:
        super().__init__(value_range=value_range, seed=seed, **kwargs)
        self.factor = span(self, "factor", factor, *self.factor_limits)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Seed = None) -> Any:
        if not training:
            return None
        return {self.key: self.drawn(self.count(data), seed)}

    def drawn(self, n: int, seed: Seed) -> Any:
        """The factors for n images."""
        return each(self.draw((n,), self.factor, seed))


@export("layers.RandomBrightness")
class RandomBrightness(RandomColour):
    """Adds a random number to all values of an image while training.

    Args:
        factor: limits of what is added, as a share of the range; 0.2 means from -0.2 to 0.2.
        value_range: least and largest value of the images.
        seed: makes the layer's random numbers repeatable.

    >>> RandomBrightness((0.5, 0.5))(ops.ones((1, 1, 1, 3))).tolist()
    [[[[128.5, 128.5, 128.5]]]]
    """

    keeps_dtype, key = True, "rgb_delta"

    def __init__(
        self, factor: Limits, value_range: Sequence[float] = BYTES, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(factor, value_range, seed, **kwargs)

    def drawn(self, n: int, seed: Seed) -> Any:
        return super().drawn(n, seed) * (self.value_range[1] - self.value_range[0])

    def changed(self, images: Any, transformation: Transformation) -> Any:
        return self.clipped(images + ops.cast(transformation[self.key], images.dtype))


@export("layers.RandomContrast")
class RandomContrast(RandomColour):
    """Multiplies the distance of an image's values from their mean by a random factor while training.

    Args:
        factor: how much smaller and how much larger than 1 the factor can be, from 0 to 1.
        value_range: least and largest value of the images.
        seed: makes the layer's random numbers repeatable.

    >>> RandomContrast(0.5, seed=1)(ops.ones((2, 4, 4, 3))).shape
    (2, 4, 4, 3)
    """

    factor_limits, key = (0, 1), "contrast_factor"

    def __init__(
        self, factor: Limits, value_range: Sequence[float] = BYTES, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(factor, value_range, seed, **kwargs)

    def drawn(self, n: int, seed: Seed) -> Any:
        return each(self.draw((n,), (1 - self.factor[0], 1 + self.factor[1]), seed))

    def changed(self, images: Any, transformation: Transformation) -> Any:
        mean = ops.mean(images, axis=self.axes[:2], keepdims=True)
        return self.clipped((images - mean) * ops.cast(transformation[self.key], images.dtype) + mean)


class WithLayout(RandomColour):
    """Those whose constructor takes the layout after the range."""

    def __init__(
        self,
        factor: Limits,
        value_range: Sequence[float] = BYTES,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(factor, value_range, seed, data_format=data_format, **kwargs)


@export("layers.RandomColorDegeneration")
class RandomColorDegeneration(WithLayout):
    """Mixes images with their grey versions while training.

    Args:
        factor: limits of the grey version's share; 0.2 means from -0.2, which strengthens colours, to 0.2.
        value_range: least and largest value of the images.
        data_format: layout of the images.
        seed: makes the layer's random numbers repeatable.

    >>> RandomColorDegeneration((0.5, 0.5))(ops.ones((2, 4, 4, 3))).shape
    (2, 4, 4, 3)
    """

    def changed(self, images: Any, transformation: Transformation) -> Any:
        grey = ops.image.rgb_to_grayscale(images, self.data_format)
        return self.clipped(images + ops.cast(transformation["factor"], images.dtype) * (grey - images))


class PerImage(WithLayout):
    """Those whose factors are a vector."""

    def drawn(self, n: int, seed: Seed) -> Any:
        return self.draw((n,), self.factor, seed)


@export("layers.RandomHue")
class RandomHue(PerImage):
    """Turns colours around the colour circle while training.

    Args:
        factor: limits of the angle, as a share of half a turn, in either direction; from 0 to 1.
        value_range: least and largest value of the images.
        data_format: layout of the images.
        seed: makes the layer's random numbers repeatable.

    >>> RandomHue(0.2, seed=1)(ops.ones((2, 4, 4, 3))).shape
    (2, 4, 4, 3)
    """

    factor_limits = (0, 1)

    def drawn(self, n: int, seed: Seed) -> Any:
        sign = ops.where(self.draw((n,), (0, 1), seed) > 0.5, -0.5, 0.5)
        return super().drawn(n, seed) * sign

    def changed(self, images: Any, transformation: Transformation) -> Any:
        hsv = ops.image.rgb_to_hsv(rescaled(images, self.value_range, (0, 1)), self.data_format)
        hue, saturation, value = ops.split(hsv, 3, axis=self.axes[2])
        hue = ops.mod(hue + each(ops.cast(transformation["factor"], images.dtype)), 1.0)
        hsv = ops.concatenate([hue, saturation, value], axis=self.axes[2])
        rgb = ops.clip(ops.image.hsv_to_rgb(hsv, self.data_format), 0.0, 1.0)
        return rescaled(rgb, (0, 1), self.value_range)


@export("layers.RandomSaturation")
class RandomSaturation(PerImage):
    """Multiplies the saturation of colours by a random number while training.

    Args:
        factor: limits of f, where f / (1 - f) is the number: 0 makes images grey, 0.5 leaves them, 1 gives
            colours that are as pure as they can be. One number means from -f to f.
        value_range: least and largest value of the images.
        data_format: layout of the images.
        seed: makes the layer's random numbers repeatable.

    >>> RandomSaturation((0.4, 0.6), seed=1)(ops.ones((2, 4, 4, 3))).shape
    (2, 4, 4, 3)
    """

    def drawn(self, n: int, seed: Seed) -> Any:
        factor = super().drawn(n, seed)
        return factor / (1 - factor + epsilon())

    def changed(self, images: Any, transformation: Transformation) -> Any:
        hsv = ops.image.rgb_to_hsv(images, self.data_format)
        hue, saturation, value = ops.split(hsv, 3, axis=self.axes[2])
        saturation = ops.clip(saturation * each(ops.cast(transformation["factor"], images.dtype)), 0.0, 1.0)
        return ops.image.hsv_to_rgb(
            ops.concatenate([hue, saturation, value], axis=self.axes[2]), self.data_format
        )


@export("layers.RandomSharpness")
class RandomSharpness(PerImage):
    """Blurs or sharpens images while training.

    Args:
        factor: limits of the sharpness, from 0 to 1: 0 is blurred, 0.5 leaves images as they are, 1 is
            sharper.
        value_range: least and largest value of the images.
        data_format: layout of the images.
        seed: makes the layer's random numbers repeatable.

    >>> RandomSharpness(0.9, seed=1)(ops.ones((2, 4, 4, 3))).shape
    (2, 4, 4, 3)
    """

    factor_limits = (0, 1)

    def changed(self, images: Any, transformation: Transformation) -> Any:
        around, middle = 1 / 13, 5 / 13
        kernel = ops.convert_to_tensor([[around] * 3, [around, middle, around], [around] * 3], images.dtype)
        kernel = ops.repeat(kernel[..., None, None], images.shape[self.axes[2]], axis=2)
        smooth = ops.depthwise_conv(images, kernel, padding="same", data_format=self.data_format)
        share = 1 - 2 * each(ops.cast(transformation["factor"], images.dtype))
        return self.clipped(images + share * (smooth - images))


@export("layers.RandomPosterization")
class RandomPosterization(PerImage):
    """Keeps only some of the eight bits of values while training.

    Args:
        factor: limits of the number of bits, from 1 to 8, the upper one excluded; 4 means 1 to 3. Two equal
            ones are the number itself.
        value_range: least and largest value of the images.
        data_format: layout of the images.
        seed: makes the layer's random numbers repeatable.

    >>> RandomPosterization((2, 2))(ops.full((1, 1, 1, 3), 100.0)).tolist()
    [[[[64.0, 64.0, 64.0]]]]
    """

    factor_limits, key = (1, 8), "shift_factor"

    def drawn(self, n: int, seed: Seed) -> Any:
        low, high = (int(v) for v in self.factor)
        if low == high:
            return ops.full((n,), 8 - low, "int32")
        return 8 - random.randint((n,), low, high, seed=self.generator if seed is None else seed)

    def changed(self, images: Any, transformation: Transformation) -> Any:
        step = 2.0 ** each(ops.cast(transformation["shift_factor"], "float32"))
        values = ops.floor(ops.clip(ops.cast(rescaled(images, self.value_range, BYTES), "float32"), 0, 255))
        return ops.cast(rescaled(ops.floor(values / step) * step, BYTES, self.value_range), images.dtype)


@export("layers.RandomInvert")
class RandomInvert(RandomColour):
    """Turns images into negatives while training.

    Args:
        factor: probability that an image changes, or limits between which it is drawn.
        value_range: least and largest value of the images.
        seed: makes the layer's random numbers repeatable.
        data_format: layout of the images.

    >>> RandomInvert((1.0, 1.0))(ops.ones((1, 1, 1, 3))).tolist()
    [[[[254.0, 254.0, 254.0]]]]
    """

    factor_limits, key = (0, 1), "apply_inversion"

    def __init__(
        self,
        factor: Limits = 1.0,
        value_range: Sequence[float] = BYTES,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(factor, value_range, seed, data_format=data_format, **kwargs)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Seed = None) -> Any:
        return {self.key: self.chosen(data, self.factor, seed)} if training else None

    def changed(self, images: Any, transformation: Transformation) -> Any:
        return ops.where(each(transformation[self.key]), self.value_range[1] - images, images)


@export("layers.RandomGrayscale")
class RandomGrayscale(RandomImageLayer):
    """Takes the colours away while training; there are still three channels.

    Args:
        factor: probability that an image changes.
        data_format: layout of the images.
        seed: makes the layer's random numbers repeatable.

    >>> RandomGrayscale(0.5, seed=1)(ops.ones((2, 4, 4, 3))).shape
    (2, 4, 4, 3)
    """

    keeps_dtype = True
    omitted_if_none = ("bounding_box_format", "seed")

    def __init__(
        self, factor: float = 0.5, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor = arguments.number(self, "factor", factor, 0, 1)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Seed = None) -> Any:
        return each(self.draw((self.count(data),), (0, 1), seed) < self.factor) if training else None

    def transform_images(
        self, images: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        if not training or transformation is None:
            return images
        return ops.where(transformation, ops.image.rgb_to_grayscale(images, self.data_format), images)


@export("layers.RandomGaussianBlur")
class RandomGaussianBlur(RandomColour):
    """Blurs images while training.

    Args:
        factor: probability that an image changes, or limits between which it is drawn.
        kernel_size: pixels that are averaged, odd: one number, or the width and the height.
        sigma: limits of the Gaussian's standard deviation in pixels, which is drawn once for a batch, for
            each direction; one number, from 0 to 1, is the upper limit.
        value_range: least and largest value of the images.
        data_format: layout of the images.
        seed: makes the layer's random numbers repeatable.

    >>> RandomGaussianBlur(seed=1)(ops.ones((2, 4, 4, 3))).shape
    (2, 4, 4, 3)
    """

    factor_limits = (0, 1)

    def __init__(
        self,
        factor: Limits = 1.0,
        kernel_size: int | Sequence[int] = 3,
        sigma: Limits = 1.0,
        value_range: Sequence[float] = BYTES,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(factor, value_range, seed, data_format=data_format, **kwargs)
        self.kernel_size = arguments.counts(self, "kernel_size", kernel_size, 2)
        if not all(n % 2 for n in self.kernel_size):
            raise ArgumentError(
                f"RandomGaussianBlur(): `kernel_size` must be odd. Received: {shown(kernel_size)}"
            )
        self.sigma = span(self, "sigma", sigma, 0, 1)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Seed = None) -> Any:
        if not training:
            return None
        applied = self.chosen(data, self.factor, seed)
        return {"should_apply_blur": applied, "blur_factor": self.draw((2,), self.sigma, seed) + 1e-6}

    def changed(self, images: Any, transformation: Transformation) -> Any:
        blurred = ops.image.gaussian_blur(
            images, self.kernel_size, transformation["blur_factor"], self.data_format
        )
        blurred = ops.cast(blurred, images.dtype)
        return self.clipped(ops.where(each(transformation["should_apply_blur"]), blurred, images))


@export("layers.Solarization")
class Solarization(RandomColour):
    """Adds a random number to values, and inverts those that are at least as large as another, while
    training.

    Args:
        addition_factor: limits of what is added, as a share of the range, from 0 to 1.
        threshold_factor: limits of the number from which on values are inverted, the same.
        value_range: least and largest value of the images.
        seed: makes the layer's random numbers repeatable.

    >>> Solarization(0.2, 0.4, seed=1)(ops.ones((2, 4, 4, 3))).shape
    (2, 4, 4, 3)
    """

    def __init__(
        self,
        addition_factor: Limits = 0.0,
        threshold_factor: Limits = 0.0,
        value_range: Sequence[float] = BYTES,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(0.0, value_range, seed, **kwargs)
        self.addition_factor = span(self, "addition_factor", addition_factor, 0, 1, strict=True)
        self.threshold_factor = span(self, "threshold_factor", threshold_factor, 0, 1, strict=True)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Seed = None) -> Any:
        if not training:
            return None
        limits = {"additions": self.addition_factor, "thresholds": self.threshold_factor}
        return {
            name: each(self.draw((self.count(data),), (low * 255, high * 255), seed))
            for name, (low, high) in limits.items()
        }

    def changed(self, images: Any, transformation: Transformation) -> Any:
        more, limit = (ops.cast(transformation[name], images.dtype) for name in ("additions", "thresholds"))
        values = ops.clip(rescaled(images, self.value_range, BYTES) + more, 0, 255)
        return rescaled(ops.where(values < limit, values, 255 - values), BYTES, self.value_range)


@export("layers.RandomColorJitter")
class RandomColorJitter(RandomImageLayer):
    """Changes brightness, contrast, saturation and hue while training, each as its own layer does.

    Args:
        value_range: least and largest value of the images.
        brightness_factor: for `RandomBrightness`; None leaves it out, as of the others.
        contrast_factor: for `RandomContrast`.
        saturation_factor: for `RandomSaturation`.
        hue_factor: for `RandomHue`.
        seed: makes the layer's random numbers repeatable.
        data_format: layout of the images.

    >>> RandomColorJitter(brightness_factor=0.2, hue_factor=0.1, seed=1)(ops.ones((2, 4, 4, 3))).shape
    (2, 4, 4, 3)
    """

    def __init__(
        self,
        value_range: Sequence[float] = BYTES,
        brightness_factor: Limits | None = None,
        contrast_factor: Limits | None = None,
        saturation_factor: Limits | None = None,
        hue_factor: Limits | None = None,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.value_range = tuple(value_range)
        self.brightness_factor, self.contrast_factor = brightness_factor, contrast_factor
        self.saturation_factor, self.hue_factor = saturation_factor, hue_factor
        kinds = {
            "random_brightness": (RandomBrightness, brightness_factor),
            "random_contrast": (RandomContrast, contrast_factor),
            "random_saturation": (RandomSaturation, saturation_factor),
            "random_hue": (RandomHue, hue_factor),
        }
        options = {
            "value_range": value_range,
            "seed": seed,
            "data_format": data_format,
            "dtype": self.dtype_policy,
        }
        for name, (kind, factor) in kinds.items():
            setattr(self, name, None if factor is None else kind(factor, **options))

    @property
    def _steps(self) -> list[Any]:
        found = (self.random_brightness, self.random_contrast, self.random_saturation, self.random_hue)
        return [layer for layer in found if layer is not None]

    def get_random_transformation(self, data: Any, training: bool = True, seed: Seed = None) -> Any:
        seed = self.generator if seed is None else seed
        return (
            [layer.get_random_transformation(data, training, seed) for layer in self._steps]
            if training
            else None
        )

    def transform_images(
        self, images: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        if training:
            for layer, drawn in zip(self._steps, transformation, strict=True):
                images = layer.transform_images(images, drawn)
        return images


@export("layers.AutoContrast")
class AutoContrast(Colour):
    """Stretches the values of each channel of an image over the whole range.

    Args:
        value_range: least and largest value of the images.

    >>> AutoContrast()(ops.convert_to_tensor([[[[10.0], [20.0]]]])).tolist()
    [[[[0.0], [255.0]]]]
    """

    only_training = False

    def __init__(self, value_range: Sequence[float] = BYTES, **kwargs: Any) -> None:
        super().__init__(value_range, **kwargs)

    def changed(self, images: Any, transformation: Transformation) -> Any:
        low, high = (f(images, axis=self.axes[:2], keepdims=True) for f in (ops.min, ops.max))
        least, most = self.value_range
        stretched = (images - low) * ((most - least) / ops.where(high > low, high - low, 1.0)) + least
        return ops.where(high > low, self.clipped(stretched), images)


def counted(numbers: Any, count: int) -> Any:
    """How often each number from 0 on stands in the last axis of a tensor of integers."""
    groups = ops.reshape(numbers, (-1, numbers.shape[-1]))
    first = ops.arange(groups.shape[0], dtype="int32")[:, None] * count
    flat = ops.reshape(groups + first, (-1,))
    total = ops.segment_sum(ops.ones_like(flat, "float32"), flat, num_segments=groups.shape[0] * count)
    return ops.reshape(total, (*numbers.shape[:-1], count))


@export("layers.Equalization")
class Equalization(Colour):
    """Makes all values about equally frequent while training, in each channel over all images of a batch.

    Args:
        value_range: least and largest value of the images.
        bins: how many values are told apart.
        data_format: layout of the images.

    >>> Equalization()(ops.convert_to_tensor([[[[10.0], [20.0], [21.0]]]])).tolist()
    [[[[0.0], [128.0], [255.0]]]]
    """

    def __init__(
        self,
        value_range: Sequence[float] = BYTES,
        bins: int = 256,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, data_format=data_format, **kwargs)
        self.bins = arguments.count(self, "bins", bins, 2)

    def changed(self, images: Any, transformation: Transformation) -> Any:
        values = ops.cast(rescaled(images, self.value_range, BYTES), "float32")
        values = ops.moveaxis(values, self.axes[2], 0)
        channels = ops.reshape(values, (values.shape[0], -1))
        places = ops.cast(ops.clip(channels * ((self.bins - 1) / 255), 0, self.bins - 1), "int32")
        found = counted(places, self.bins)
        below = ops.cumsum(found, axis=1)
        total = below[:, -1:]
        first = ops.min(ops.where(below > 0, below, total), axis=1, keepdims=True)
        table = ops.round((below - first) * 255 / ops.maximum(total - first, 1.0))
        equal = ops.reshape(ops.take_along_axis(table, places, axis=1), values.shape)
        varied = ops.sum(ops.cast(found > 0, "int32"), axis=1) > 1
        values = ops.where(ops.reshape(varied, (-1, 1, 1, 1)), equal, values)
        return ops.cast(
            rescaled(ops.moveaxis(values, 0, self.axes[2]), BYTES, self.value_range), images.dtype
        )


@export("layers.ContrastLimitedAdaptiveHistogramEqualization")
class ContrastLimitedAdaptiveHistogramEqualization(Colour):
    """Makes values about equally frequent in each part of an image, without amplifying noise too much.

    Zuiderveld, "Contrast Limited Adaptive Histogram Equalization", Graphics Gems IV, 1994.

    Args:
        value_range: least and largest value of the images.
        clip_limit: how many times more frequent than on average a value counts at most; 0 for no limit.
        tile_grid_size: rows and columns of parts.
        data_format: layout of the images.

    >>> ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(2, 2))(ops.ones((2, 8, 8, 3))).shape
    (2, 8, 8, 3)
    """

    keeps_dtype, only_training = True, False

    def __init__(
        self,
        value_range: Sequence[float] = BYTES,
        clip_limit: float = 4.0,
        tile_grid_size: Sequence[int] = (8, 8),
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, data_format=data_format, **kwargs)
        self.clip_limit = arguments.number(self, "clip_limit", clip_limit, 0)
        self.tile_grid_size = arguments.counts(self, "tile_grid_size", tile_grid_size, 2)

    def changed(self, images: Any, transformation: Transformation) -> Any:
        values = ops.cast(rescaled(images, self.value_range, BYTES), "float32")
        values = ops.moveaxis(values, self.axes[2], 1)
        n, channels, height, width = values.shape
        (down, across), (h, w) = self.tile_grid_size, self._tile(height, width)
        padded = ops.pad(
            values, ((0, 0), (0, 0), (0, down * h - height), (0, across * w - width)), "symmetric"
        )
        places = ops.cast(ops.clip(padded, 0, 255), "int32")
        tiles = ops.reshape(places, (n, channels, down, h, across, w))
        tiles = ops.reshape(ops.transpose(tiles, (0, 1, 2, 4, 3, 5)), (n, channels, down, across, h * w))
        table = self._table(tiles, h * w)
        # between the centres of four parts, the mean of what their tables give
        table = ops.reshape(table, (-1, 256))
        start = ops.reshape(ops.arange(n * channels, dtype="int32"), (n, channels, 1, 1)) * (down * across)
        result = 0.0
        for row, row_share in _neighbours(down, h):
            for column, column_share in _neighbours(across, w):
                tile = start + row[:, None] * across + column
                found = ops.take(ops.reshape(table, (-1,)), tile * 256 + places)
                result = result + found * row_share[:, None] * column_share
        result = ops.moveaxis(result[:, :, :height, :width], 1, self.axes[2])
        return ops.cast(rescaled(result, BYTES, self.value_range), images.dtype)

    def _tile(self, height: int, width: int) -> tuple[int, int]:
        rows, columns = self.tile_grid_size
        return -(-height // rows), -(-width // columns)

    def _table(self, tiles: Any, pixels: int) -> Any:
        """For each part of an image, what each of the 256 values becomes."""
        found = counted(tiles, 256)
        if self.clip_limit > 0:
            kept = ops.minimum(found, self.clip_limit * pixels / 256)
            found = kept + ops.sum(found - kept, axis=-1, keepdims=True) / 256
        below = ops.cumsum(found, axis=-1)
        first = below[..., :1]
        rest = pixels - first
        return ops.clip((below - first) * 255 / ops.where(rest == 0, 1.0, rest), 0, 255)


def _neighbours(parts: int, size: int) -> list[tuple[Any, Any]]:
    """For each pixel along an axis, the parts whose centres are before and after it, and the shares."""
    place = (ops.arange(parts * size, dtype="float32") - size / 2) / size
    before = ops.floor(place)
    share = place - before
    return [
        (ops.cast(ops.clip(part, 0, parts - 1), "int32"), weight)
        for part, weight in ((before, 1 - share), (before + 1, share))
    ]
