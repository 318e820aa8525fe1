"""Images moved, turned and bent at random.

A layer says by a matrix for each image where a pixel of the result is found; images, masks and boxes follow
from that, and several layers in a row are one, whose matrix is the product.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any

from triceras import ops
from triceras.core.registry import export
from triceras.layers import arguments
from triceras.layers.image.base import ImageLayer, RandomImageLayer, Transformation, each, span
from triceras.ops.warping import FILL_MODES, INTERPOLATIONS, as_batch, displaced, homography
from triceras.random import Seed
from triceras.utils import bounding_boxes as boxed

MODES = ("reflect", "wrap", "constant", "nearest")


def rows(*numbers: Any) -> Any:
    """Transforms (batch, 8), as `ops.image.affine_transform` takes them, from six numbers of each image."""
    nothing = sum(n for n in numbers if hasattr(n, "dtype")) * 0
    return ops.stack([nothing + n for n in (*numbers, 0.0, 0.0)], axis=1)


def matrix(transform: Any) -> Any:
    """Transforms (batch, 8) as matrices (batch, 3, 3)."""
    return ops.reshape(ops.concatenate([transform, transform[:, :1] * 0 + 1], axis=1), (-1, 3, 3))


class Warp(ImageLayer):
    """Base of the layers whose transformation is a matrix.

    A subclass defines `places`.
    """

    interpolation, fill_mode, fill_value = "bilinear", "constant", 0.0

    def sampling(self, fill_mode: str, interpolation: str, fill_value: float) -> None:
        """Keep how pixels are found."""
        self.fill_mode = arguments.choice(self, "fill_mode", fill_mode, MODES)
        self.interpolation = arguments.choice(self, "interpolation", interpolation, INTERPOLATIONS)
        self.fill_value = fill_value

    @property
    def samples_as(self) -> tuple[Any, ...] | None:
        """What layers must have in common to be joined; None if it makes no difference."""
        return self.interpolation, self.fill_mode, self.fill_value, self.data_format, self.dtype_policy.name

    def places(self, transformation: Transformation, height: int, width: int) -> Any:
        """Transforms (batch, 8) that say where in images of a size a pixel of the result is found."""
        raise NotImplementedError

    def box_places(self, transformation: Transformation, height: int, width: int) -> Any:
        """The same for points on the edges of boxes."""
        return self.places(transformation, height, width)

    def transform_images(
        self, images: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        return self._warped(images, transformation, self.interpolation) if training else images

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        return self._warped(segmentation_masks, transformation, "nearest") if training else segmentation_masks

    def _warped(self, images: Any, transformation: Transformation, interpolation: str) -> Any:
        if transformation is None:
            return images
        return ops.image.affine_transform(
            images,
            self.places(transformation, *self.size(images)),
            interpolation,
            self.fill_mode,
            self.fill_value,
            self.data_format,
        )

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Transformation = None, training: bool = True
    ) -> dict[str, Any]:
        if not training or transformation is None:
            return bounding_boxes
        size = transformation["size"]
        boxes = self.converted(bounding_boxes, size)
        there = ops.linalg.inv(matrix(self.box_places(transformation, *size)))
        boxes = boxed.clip_to_image_size({**boxes, "boxes": boxed.transformed(boxes["boxes"], there)}, *size)
        return self.converted(boxes, size, back=True)


class Joined(Warp):
    """Several layers as one: their matrices are multiplied, so that pixels are interpolated once."""

    def __init__(self, layers: Sequence[Warp]) -> None:
        last = next((layer for layer in layers if layer.samples_as is not None), layers[0])
        super().__init__(last.data_format, layers[0].bounding_box_format, dtype=last.dtype_policy)
        self.layers = list(layers)
        self.interpolation, self.fill_mode, self.fill_value = (
            last.interpolation,
            last.fill_mode,
            last.fill_value,
        )

    def get_random_transformation(self, data: Any, training: bool = True, seed: Seed = None) -> Any:
        found = [layer.get_random_transformation(data, training, seed) for layer in self.layers]
        return {"each": found, "size": self.size(data)} if training else None

    def places(self, transformation: Transformation, height: int, width: int) -> Any:
        return self._product("places", transformation, height, width)

    def box_places(self, transformation: Transformation, height: int, width: int) -> Any:
        return self._product("box_places", transformation, height, width)

    def _product(self, kind: str, transformation: Transformation, *size: int) -> Any:
        each_one = zip(self.layers, transformation["each"], strict=True)
        found = reduce(ops.matmul, [matrix(getattr(layer, kind)(t, *size)) for layer, t in each_one])
        found = ops.reshape(found, (-1, 9))
        return found[:, :8] / found[:, 8:]


@export("layers.RandomFlip")
class RandomFlip(Warp, RandomImageLayer):
    """Mirrors images with probability one half while training.

    Args:
        mode: "horizontal" (left becomes right), "vertical" (top becomes bottom) or "horizontal_and_vertical"
            (both at once).
        seed: makes the layer's random numbers repeatable.
        data_format: layout of the images.

    >>> RandomFlip("horizontal", seed=1)(ops.ones((2, 4, 4, 3))).shape
    (2, 4, 4, 3)
    """

    samples_as = None

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        modes = ("horizontal", "vertical", "horizontal_and_vertical")
        self.mode = arguments.choice(self, "mode", mode, modes)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Seed = None) -> Any:
        if not training:
            return None
        flips = each(self.draw((self.count(data),), (0, 1), seed) <= 0.5)
        return {"flips": flips, "size": self.size(data)}

    def _axes(self) -> list[int]:
        return [
            axis
            for word, axis in zip(("vertical", "horizontal"), self.axes, strict=False)
            if word in self.mode
        ]

    def _warped(self, images: Any, transformation: Transformation, interpolation: str) -> Any:
        if transformation is None:
            return images
        return ops.where(transformation["flips"], ops.flip(images, axis=self._axes()), images)

    def places(self, transformation: Transformation, height: int, width: int) -> Any:
        flipped = ops.cast(ops.reshape(transformation["flips"], (-1,)), "float32")
        down, across = (flipped if axis in self._axes() else flipped * 0 for axis in self.axes[:2])
        return rows(1 - 2 * across, 0.0, across * (width - 1), 0.0, 1 - 2 * down, down * (height - 1))

    def box_places(self, transformation: Transformation, height: int, width: int) -> Any:
        return self.places(transformation, height + 1, width + 1)


@export("layers.RandomRotation")
class RandomRotation(Warp, RandomImageLayer):
    """Turns images about their centre by a random angle while training.

    Args:
        factor: limits of the angle, as a share of a full turn; 0.2 means from -0.2 to 0.2, and positive is
            counter-clockwise.
        fill_mode: what lies beyond the images: "reflect", "wrap", "constant" or "nearest"; see
            `ops.image.map_coordinates`.
        interpolation: "nearest" or "bilinear".
        seed: makes the layer's random numbers repeatable.
        fill_value: for "constant".
        data_format: layout of the images.

    >>> RandomRotation(0.1, seed=1)(ops.ones((2, 4, 4, 3))).shape
    (2, 4, 4, 3)
    """

    def __init__(
        self,
        factor: float | Sequence[float],
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor = span(self, "factor", factor, -1, 1)
        self.sampling(fill_mode, interpolation, fill_value)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Seed = None) -> Any:
        if not training:
            return None
        limits = (self.factor[0] * 360, self.factor[1] * 360)
        return {"angle": self.draw((self.count(data),), limits, seed), "size": self.size(data)}

    def places(self, transformation: Transformation, height: int, width: int) -> Any:
        angle = transformation["angle"] * (math.pi / 180)
        cos, sin = ops.cos(angle), ops.sin(angle)
        x, y = (width - 1) / 2, (height - 1) / 2
        return rows(cos, -sin, x - x * cos + y * sin, sin, cos, y - x * sin - y * cos)


@export("layers.RandomZoom")
class RandomZoom(Warp, RandomImageLayer):
    """Enlarges or shrinks images about their centre while training.

    Args:
        height_factor: limits of how much more of the images' height is seen: 0.2 means from -0.2 (a fifth
            less is seen, which enlarges) to 0.2 (which shrinks).
        width_factor: the same for the width; None keeps the proportions.
        fill_mode: what lies beyond the images, as in `RandomRotation`.
        interpolation: "nearest" or "bilinear".
        seed: makes the layer's random numbers repeatable.
        fill_value: for "constant".
        data_format: layout of the images.

    >>> RandomZoom(0.1, seed=1)(ops.ones((2, 4, 4, 3))).shape
    (2, 4, 4, 3)
    """

    def __init__(
        self,
        height_factor: float | Sequence[float],
        width_factor: float | Sequence[float] | None = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._limits = [
            tuple(1 + v for v in span(self, name, value, -1, 1, strict=True))
            for name, value in (("height_factor", height_factor), ("width_factor", width_factor))
            if value is not None
        ]
        self.sampling(fill_mode, interpolation, fill_value)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Seed = None) -> Any:
        if not training:
            return None
        found = [self.draw((self.count(data), 1), limits, seed) for limits in self._limits]
        return {"height_zoom": found[0], "width_zoom": found[-1], "size": self.size(data)}

    def places(self, transformation: Transformation, height: int, width: int) -> Any:
        down, across = transformation["height_zoom"][:, 0], transformation["width_zoom"][:, 0]
        return rows(across, 0.0, (width - 1) / 2 * (1 - across), 0.0, down, (height - 1) / 2 * (1 - down))


@export("layers.RandomTranslation")
class RandomTranslation(Warp, RandomImageLayer):
    """Moves images while training.

    Args:
        height_factor: limits of the way downward, as a share of the height; 0.2 means from -0.2 to 0.2.
        width_factor: limits of the way to the right, as a share of the width.
        fill_mode: what lies beyond the images, as in `RandomRotation`.
        interpolation: "nearest" or "bilinear".
        seed: makes the layer's random numbers repeatable.
        fill_value: for "constant".
        data_format: layout of the images.

    >>> RandomTranslation(0.1, 0.1, seed=1)(ops.ones((2, 4, 4, 3))).shape
    (2, 4, 4, 3)
    """

    def __init__(
        self,
        height_factor: float | Sequence[float],
        width_factor: float | Sequence[float],
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._limits = [
            span(self, name, value, -1, 1, strict=True)
            for name, value in (("height_factor", height_factor), ("width_factor", width_factor))
        ]
        self.sampling(fill_mode, interpolation, fill_value)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Seed = None) -> Any:
        if not training:
            return None
        size = self.size(data)
        down, across = (
            self.draw((self.count(data), 1), limits, seed) * n
            for limits, n in zip(self._limits, size, strict=True)
        )
        return {"translations": ops.concatenate([across, down], axis=1), "size": size}

    def places(self, transformation: Transformation, height: int, width: int) -> Any:
        way = transformation["translations"]
        return rows(1.0, 0.0, -way[:, 0], 0.0, 1.0, -way[:, 1])


@export("layers.RandomShear")
class RandomShear(Warp, RandomImageLayer):
    """Slants images while training.

    Args:
        x_factor: limits of how far a row is moved for each row above it; 0.2 means from -0.2 to 0.2.
        y_factor: the same for columns.
        interpolation: "nearest" or "bilinear".
        fill_mode: what lies beyond the images, as in `RandomRotation`.
        fill_value: for "constant".
        data_format: layout of the images.
        seed: makes the layer's random numbers repeatable.

    >>> RandomShear(0.1, seed=1)(ops.ones((2, 4, 4, 3))).shape
    (2, 4, 4, 3)
    """

    def __init__(
        self,
        x_factor: float | Sequence[float] = 0.0,
        y_factor: float | Sequence[float] = 0.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.x_factor = self._limits("x_factor", x_factor)
        self.y_factor = self._limits("y_factor", y_factor)
        self.sampling(fill_mode, interpolation, fill_value)

    def _limits(self, name: str, value: Any) -> tuple[float, float]:
        if isinstance(value, (tuple, list)) and len(value) == 2 and -max(value) == min(value):
            value = max(value)  # as `get_config` gives what one number became
        return span(self, name, value, 0, 1, floor=-1, strict=True)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        for name in ("x_factor", "y_factor"):  # the reference takes back only numbers from 0 on
            low, high = config[name]
            config[name] = high if -low == high else config[name]
        return config

    def get_random_transformation(self, data: Any, training: bool = True, seed: Seed = None) -> Any:
        if not training:
            return None
        n = self.count(data)
        sign = ops.where(self.draw((n, 1), (0, 1), seed) > 0.5, -1.0, 1.0)
        across, down = (self.draw((n, 1), limits, seed) for limits in (self.x_factor, self.y_factor))
        return {"shear_factor": ops.concatenate([across, down], axis=1) * sign, "size": self.size(data)}

    def places(self, transformation: Transformation, height: int, width: int) -> Any:
        shear = ops.cast(transformation["shear_factor"], "float32")
        return rows(1.0, shear[:, 0], 0.0, shear[:, 1], 1.0, 0.0)


@export("layers.RandomPerspective")
class RandomPerspective(Warp, RandomImageLayer):
    """Shows images as if seen from another point, while training.

    Args:
        factor: probability that an image changes, or limits between which it is drawn.
        scale: how far corners move, from 0 to 1: at most half of this times their distance from the upper
            left.
        interpolation: "nearest" or "bilinear".
        fill_value: what lies beyond the images.
        seed: makes the layer's random numbers repeatable.
        data_format: layout of the images.

    >>> RandomPerspective(seed=1)(ops.ones((2, 4, 4, 3))).shape
    (2, 4, 4, 3)
    """

    def __init__(
        self,
        factor: float | Sequence[float] = 1.0,
        scale: float = 1.0,
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor = span(self, "factor", factor, 0, 1)
        self.scale = arguments.number(self, "scale", scale, 0, 1)
        self.sampling("constant", interpolation, fill_value)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Seed = None) -> Any:
        if not training:
            return None
        height, width = self.size(data)
        n = self.count(data)
        applied = self.chosen(data, self.factor, seed)
        right, bottom = width - 1.0, height - 1.0
        corners = ops.convert_to_tensor([[[0.0, 0.0], [right, 0.0], [0.0, bottom], [right, bottom]]])
        moves = self.draw((n, 4, 2), (-0.5 * self.scale, 0.5 * self.scale), seed)
        return {
            "apply_perspective": applied,
            "start_points": corners + moves * 0,
            "end_points": corners * (1 + moves),
            "size": (height, width),
        }

    def places(self, transformation: Transformation, height: int, width: int) -> Any:
        start, applied = transformation["start_points"], transformation["apply_perspective"]
        end = ops.where(each(applied, 3), transformation["end_points"], start)
        found = homography(start, end)
        same = ops.convert_to_tensor([[1.0, 0, 0, 0, 1, 0, 0, 0]])
        return ops.where(each(applied, 2), found, same)


@export("layers.RandomElasticTransform")
class RandomElasticTransform(RandomImageLayer):
    """Bends images by a smooth random field while training. Simard et al., 2003,
    https://doi.org/10.1109/ICDAR.2003.1227801

    Args:
        factor: probability that an image changes, or limits between which it is drawn.
        scale: limits of the field's strength, from 0 to 1, which is drawn once for a batch.
        interpolation: "nearest" or "bilinear".
        fill_mode: what lies beyond the images: "constant", "nearest", "wrap", "mirror" or "reflect"; see
            `ops.image.map_coordinates`.
        fill_value: for "constant".
        value_range: least and largest value of the images.
        seed: makes the layer's random numbers repeatable.
        data_format: layout of the images.

    >>> RandomElasticTransform(seed=1)(ops.ones((2, 8, 8, 3))).shape
    (2, 8, 8, 3)
    """

    def __init__(
        self,
        factor: float | Sequence[float] = 1.0,
        scale: float | Sequence[float] = 1.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor, self.scale = span(self, "factor", factor, 0, 1), span(self, "scale", scale, 0, 1)
        self.interpolation = arguments.choice(self, "interpolation", interpolation, INTERPOLATIONS)
        self.fill_mode = arguments.choice(self, "fill_mode", fill_mode, FILL_MODES)
        self.fill_value, self.value_range = fill_value, tuple(value_range)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Seed = None) -> Any:
        if not training or self.scale[1] == 0 or self.factor[1] == 0:
            return None
        generator = self.generator if seed is None else seed
        return {
            "apply_transform": self.chosen(data, self.factor, seed),
            "distortion_factor": self.draw((), self.scale, seed),
            "seed": generator.next()
            if hasattr(generator, "next")
            else generator,  # one field for images and masks
        }

    def get_elastic_transform_params(self, height: int, width: int, factor: Any) -> tuple[Any, Any]:
        """Strength and smoothness, in pixels, of the field for images of a size."""
        return max(height, width) * 0.1 * factor, min(height, width) * 0.05 * factor

    def transform_images(
        self, images: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        if not training or transformation is None:
            return images
        return ops.clip(self._bent(images, transformation, self.interpolation), *self.value_range)

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        if not training or transformation is None:
            return segmentation_masks
        return self._bent(segmentation_masks, transformation, "nearest")

    def _bent(self, images: Any, transformation: Transformation, interpolation: str) -> Any:
        height, width = self.size(images)
        alpha, sigma = self.get_elastic_transform_params(height, width, transformation["distortion_factor"])
        widest = int(6 * self.get_elastic_transform_params(height, width, self.scale[1])[1]) | 1
        x, restore = as_batch("elastic_transform", images, self.data_format)
        how = (interpolation, self.fill_mode, self.fill_value)
        bent = restore(displaced(x, alpha, sigma + 1e-6, widest, transformation["seed"], *how))
        return ops.where(each(transformation["apply_transform"]), bent, images)
