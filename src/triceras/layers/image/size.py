"""Images of one size: resized, or a part of them."""

from __future__ import annotations

from typing import Any

from triceras import ops
from triceras.core.registry import export
from triceras.layers import arguments
from triceras.layers.image.base import ImageLayer, RandomImageLayer, Transformation
from triceras.random import Seed
from triceras.utils import bounding_boxes as boxed


def centre(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int, int, int]:
    """Top, left, height and width of the largest part at the centre that has the target's proportions."""
    wanted = int(size[1] * target[0] / target[1]), int(size[0] * target[1] / target[0])
    height, width = (max(min(n, m), 1) for n, m in zip(size, wanted, strict=True))
    return int((size[0] - height) / 2), int((size[1] - width) / 2), height, width


class Sized(ImageLayer):
    """Base of the layers whose result has one size."""

    def __init__(self, height: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.height = arguments.count(self, "height", height)
        self.width = arguments.count(self, "width", width)

    def resize(self, images: Any, interpolation: str = "bilinear", **options: Any) -> Any:
        """Images in the layer's size."""
        size = (self.height, self.width)
        resized = ops.image.resize(images, size, interpolation, data_format=self.data_format, **options)
        return ops.cast(resized, images.dtype)

    def cut(self, images: Any, top: Any, left: Any, height: int, width: int) -> Any:
        """A part of images; its place may be a tensor."""
        start, shape = [0] * 4, list(images.shape)
        for axis, first, n in zip(self.axes, (top, left), (height, width), strict=False):
            start[axis], shape[axis] = first, n
        if all(isinstance(first, int) for first in (top, left)):
            return images[tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))]
        return ops.slice(images, ops.stack([ops.cast(a, "int32") for a in start]), shape)

    def boxes_of_part(
        self, boxes: dict[str, Any], size: tuple[int, int], part: tuple[Any, ...]
    ) -> dict[str, Any]:
        """Boxes of images in a part of them (top, left, height, width) brought to the layer's size."""
        top, left, height, width = part
        boxes = self.converted(boxes, size)
        inside = boxed.crop(boxes["boxes"], top, left, height, width)
        if (height, width) != (self.height, self.width):
            share = boxed.convert_format(inside, "xyxy", "rel_xyxy", height, width)
            inside = boxed.convert_format(share, "rel_xyxy", "xyxy", self.height, self.width)
        boxes = boxed.clip_to_image_size({**boxes, "boxes": inside}, self.height, self.width)
        return self.converted(boxes, (self.height, self.width), back=True)


@export("layers.Resizing")
class Resizing(Sized):
    """Images of another size; integers stay integers.

    Args:
        height: of the result.
        width: of the result.
        interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5".
        crop_to_aspect_ratio: whether to cut images to the result's proportions first, at the centre.
        pad_to_aspect_ratio: whether to extend images to the result's proportions first, on both sides.
        fill_mode: must be "constant".
        fill_value: value of pixels that extend an image.
        antialias: whether to average over what a pixel of a smaller result covers.
        data_format: layout of the images.

    >>> Resizing(2, 4)(ops.ones((8, 8, 3))).shape
    (2, 4, 3)
    """

    keeps_dtype = True

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(height, width, data_format=data_format, **kwargs)
        known = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
        self.interpolation = arguments.choice(self, "interpolation", interpolation, known)
        self.fill_mode = arguments.choice(self, "fill_mode", fill_mode, ("constant",))
        self.crop_to_aspect_ratio, self.pad_to_aspect_ratio = crop_to_aspect_ratio, pad_to_aspect_ratio
        self.fill_value, self.antialias = fill_value, antialias

    def _resized(self, images: Any, interpolation: str) -> Any:
        return self.resize(
            images,
            interpolation,
            antialias=self.antialias,
            crop_to_aspect_ratio=self.crop_to_aspect_ratio,
            pad_to_aspect_ratio=self.pad_to_aspect_ratio,
            fill_mode=self.fill_mode,
            fill_value=self.fill_value,
        )

    def get_random_transformation(self, data: Any, training: bool = True, seed: Seed = None) -> Any:
        return self.size(data)

    def transform_images(
        self, images: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        return self._resized(images, self.interpolation)

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        return self._resized(segmentation_masks, "nearest")

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Transformation, training: bool = True
    ) -> dict[str, Any]:
        height, width = transformation
        part = (0, 0, height, width)
        if self.crop_to_aspect_ratio:
            part = centre(transformation, (self.height, self.width))
        elif self.pad_to_aspect_ratio:
            larger = (
                max(height, int(width * self.height / self.width)),
                max(width, int(height * self.width / self.height)),
            )
            edges = [(m - n) // 2 for m, n in zip(larger, (height, width), strict=True)]
            part = (-edges[0], -edges[1], height + 2 * edges[0], width + 2 * edges[1])
        return self.boxes_of_part(bounding_boxes, (height, width), part)


@export("layers.CenterCrop")
class CenterCrop(Sized):
    """The middle of images; images that are smaller are cut to the same proportions and resized.

    Args:
        height: of the result.
        width: of the result.
        data_format: layout of the images.

    >>> CenterCrop(2, 1)(ops.reshape(ops.arange(16), (4, 4, 1)))[..., 0].tolist()
    [[5.0], [9.0]]
    """

    def __init__(self, height: int, width: int, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(height, width, data_format=data_format, **kwargs)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Seed = None) -> Any:
        return self.size(data)

    def _part(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        spare = size[0] - self.height, size[1] - self.width
        if min(spare) >= 0:
            return spare[0] // 2, spare[1] // 2, self.height, self.width
        return centre(size, (self.height, self.width))

    def transform_images(
        self, images: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        part = self.cut(images, *self._part(self.size(images)))
        return part if self.size(part) == (self.height, self.width) else self.resize(part)

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        part = self.cut(segmentation_masks, *self._part(self.size(segmentation_masks)))
        return part if self.size(part) == (self.height, self.width) else self.resize(part, "nearest")

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Transformation, training: bool = True
    ) -> dict[str, Any]:
        return self.boxes_of_part(bounding_boxes, transformation, self._part(transformation))


@export("layers.RandomCrop")
class RandomCrop(Sized, RandomImageLayer):
    """A part of images at a random place, the same for all of a batch; the middle of them when not training.

    Images that are smaller than the result, and all when not training, are cut to its proportions at the
    centre and resized.

    Args:
        height: of the result.
        width: of the result.
        seed: makes the layer's random numbers repeatable.
        data_format: layout of the images.

    >>> RandomCrop(2, 1, seed=1)(ops.ones((4, 4, 3))).shape
    (2, 1, 3)
    """

    def __init__(
        self,
        height: int,
        width: int,
        seed: int | None = None,
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(height, width, seed=seed, data_format=data_format, name=name, **kwargs)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Seed = None) -> Any:
        """Top and left of the part, its height and width, and the size of the images."""
        size = self.size(data)
        spare = size[0] - self.height, size[1] - self.width
        if not training or min(spare) < 0:
            return *centre(size, (self.height, self.width)), size
        places = self.draw((2,), (0, 1), seed)
        start = ops.cast(ops.floor(places * ops.convert_to_tensor([n + 1.0 for n in spare])), "int32")
        return start[0], start[1], self.height, self.width, size

    def transform_images(self, images: Any, transformation: Transformation, training: bool = True) -> Any:
        part = self.cut(images, *transformation[:4])
        return part if self.size(part) == (self.height, self.width) else self.resize(part)

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Transformation, training: bool = True
    ) -> Any:
        part = self.cut(segmentation_masks, *transformation[:4])
        return part if self.size(part) == (self.height, self.width) else self.resize(part, "nearest")

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Transformation, training: bool = True
    ) -> dict[str, Any]:
        *part, size = transformation
        return self.boxes_of_part(bounding_boxes, size, tuple(part))
