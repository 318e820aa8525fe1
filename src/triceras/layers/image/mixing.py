"""Images of a batch mixed with each other, and parts of images taken out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from triceras import ops, random
from triceras.core.errors import ArgumentError, shown
from triceras.core.registry import export
from triceras.layers import arguments
from triceras.layers.image.base import ImageLayer, RandomImageLayer, Transformation, each, images_of, span
from triceras.random import Seed


class Patched(RandomImageLayer):
    """Base of the layers that replace a random rectangle of each image."""

    def rectangles(self, data: Any, shares: tuple[Any, Any], seed: Seed) -> tuple[Any, Any]:
        """Where rectangles are of which shares of width and height are given, and their part of the area."""
        height, width = self.size(data)
        n, inside, area = self.count(data), True, 1.0
        rank = dict(zip(self.axes, (1, 2, 3) if self.axes[0] == -3 else (2, 3, 1), strict=True))
        for axis, size, share in ((self.axes[1], width, shares[0]), (self.axes[0], height, shares[1])):
            length = share * size
            start = each(self.draw((n,), (0, 1), seed) * (size - length))
            shape = [1] * 4
            shape[rank[axis]] = size
            place = ops.reshape(ops.arange(size, dtype="float32"), shape)
            there = ops.logical_and(place >= start, place < start + each(length))
            inside = there if inside is True else ops.logical_and(inside, there)
            area = area * length / size
        return inside, area


@export("layers.RandomErasing")
class RandomErasing(Patched):
    """Covers a random rectangle of images while training. Zhong et al., 2020,
    https://arxiv.org/abs/1708.04896

    Args:
        factor: probability that an image changes, or limits between which it is drawn.
        scale: limits of the rectangle's share of the area, from 0 to 1.
        fill_value: what it is filled with: a number, one for each of three channels, or None for noise.
        value_range: least and largest value of the images.
        seed: makes the layer's random numbers repeatable.
        data_format: layout of the images.

    >>> RandomErasing(seed=1)(ops.ones((2, 4, 4, 3))).shape
    (2, 4, 4, 3)
    """

    def __init__(
        self,
        factor: float | Sequence[float] = 1.0,
        scale: float | Sequence[float] = (0.02, 0.33),
        fill_value: float | Sequence[float] | None = None,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor, self.scale = span(self, "factor", factor, 0, 1), span(self, "scale", scale, 0, 1)
        several = isinstance(fill_value, (tuple, list))
        if not (
            fill_value is None or (len(fill_value) == 3 if several else isinstance(fill_value, (int, float)))
        ):
            raise ArgumentError(
                "RandomErasing(): `fill_value` must be a number, three numbers, or None. Received: "
                f"{shown(fill_value)}"
            )
        self.fill_value, self.value_range = fill_value, tuple(value_range)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Seed = None) -> Any:
        if not training:
            return None
        shares = ops.sqrt(self.draw((self.count(data), 2), self.scale, seed))
        masks, _ = self.rectangles(data, (shares[:, 0], shares[:, 1]), seed)
        shape = images_of(data).shape
        if self.fill_value is None:
            noise = random.normal(
                shape[-3:] if len(shape) == 3 else shape, seed=self.generator if seed is None else seed
            )
            fill = noise * self.value_range[1]
        else:
            fill = ops.convert_to_tensor(self.fill_value, "float32")
            if fill.ndim == 1 and self.data_format == "channels_first":
                fill = fill[:, None, None]
        return {
            "apply_erasing": self.chosen(data, self.factor, seed),
            "batch_masks": masks,
            "fill_value": ops.clip(fill, *self.value_range),
        }

    def transform_images(
        self, images: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        if not training or transformation is None:
            return images
        covered = ops.logical_and(transformation["batch_masks"], each(transformation["apply_erasing"]))
        return ops.where(covered, ops.cast(transformation["fill_value"], images.dtype), images)


@export("layers.CutMix")
class CutMix(Patched):
    """Replaces a random rectangle of each image by that of another one of the batch while training.

    Labels, which must be numbers such as one-hot rows, are mixed by area. Yun et al., 2019,
    https://arxiv.org/abs/1905.04899

    Args:
        factor: limits of the parameter of the beta distribution from which the area is drawn, from 0 to 1.
        seed: makes the layer's random numbers repeatable.
        data_format: layout of the images.

    >>> data = {"images": ops.ones((2, 4, 4, 3)), "labels": ops.eye(2)}
    >>> CutMix(seed=1)(data)["labels"].shape
    (2, 2)
    """

    def __init__(
        self,
        factor: float | Sequence[float] = 1.0,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor = span(self, "factor", factor, 0, 1)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Seed = None) -> Any:
        if not training:
            return None
        source, n = self.generator if seed is None else seed, self.count(data)
        alpha = self.draw((), self.factor, seed) + 1e-6
        share = ops.sqrt(1 - random.beta((n,), alpha, alpha, seed=source))
        masks, area = self.rectangles(data, (share, share), seed)
        order = random.shuffle(ops.arange(n, dtype="int32"), seed=source)
        return {"permutation_order": order, "batch_masks": masks, "mix_weight": 1 - area}

    def transform_images(
        self, images: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        if not training or transformation is None:
            return images
        others = ops.take(images, transformation["permutation_order"], axis=0)
        return ops.where(transformation["batch_masks"], others, images)

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        return self.transform_images(segmentation_masks, transformation, training)

    def transform_labels(
        self, labels: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        return _mixed(labels, transformation) if training and transformation is not None else labels

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Transformation = None, training: bool = True
    ) -> dict[str, Any]:
        if training:
            raise ArgumentError(
                f"Layer {self.path!r} (CutMix) cuts objects into pieces, so it can't say where bounding "
                "boxes are. Leave the boxes out of the data, or use MixUp."
            )
        return bounding_boxes


def _mixed(values: Any, transformation: Transformation) -> Any:
    """Each entry of a batch mixed with another one."""
    dtype = values.dtype if ops.is_tensor(values) and "float" in ops.dtype(values) else "float32"
    values = ops.cast(values, dtype)
    weight = each(ops.cast(transformation["mix_weight"], dtype), len(values.shape))
    return weight * values + (1 - weight) * ops.take(values, transformation["permutation_order"], axis=0)


@export("layers.MixUp")
class MixUp(RandomImageLayer):
    """Mixes each image with another one of the batch while training, and labels and masks in the same
    proportion.

    Boxes of both are kept. Zhang et al., 2018, https://arxiv.org/abs/1710.09412

    Args:
        alpha: parameter of the beta distribution from which the proportion is drawn; near 0 most images stay.
        data_format: layout of the images.
        seed: makes the layer's random numbers repeatable.

    >>> data = {"images": ops.ones((2, 4, 4, 3)), "labels": ops.eye(2)}
    >>> MixUp(seed=1)(data)["labels"].shape
    (2, 2)
    """

    def __init__(
        self, alpha: float = 0.2, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.alpha = arguments.number(self, "alpha", alpha, above=0)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Seed = None) -> Any:
        if not training:
            return None
        source, n = self.generator if seed is None else seed, self.count(data)
        order = random.shuffle(ops.arange(n, dtype="int32"), seed=source)
        return {
            "mix_weight": random.beta((n,), self.alpha, self.alpha, seed=source),
            "permutation_order": order,
        }

    def transform_images(
        self, images: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        return _mixed(images, transformation) if training and transformation is not None else images

    def transform_labels(
        self, labels: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        return self.transform_images(labels, transformation, training)

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        return self.transform_images(segmentation_masks, transformation, training)

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Transformation = None, training: bool = True
    ) -> dict[str, Any]:
        if not training or transformation is None:
            return bounding_boxes
        others = {
            k: ops.take(v, transformation["permutation_order"], axis=0) for k, v in bounding_boxes.items()
        }
        return {k: ops.concatenate([v, others[k]], axis=1) for k, v in bounding_boxes.items()}


@export("layers.MaxNumBoundingBoxes")
class MaxNumBoundingBoxes(ImageLayer):
    """Gives all images the same number of bounding boxes: some are left out, or empty ones are added at the
    end.

    Args:
        max_number: how many.
        fill_value: numbers and label of those that are added.

    >>> boxes = {"boxes": ops.ones((1, 1, 4)), "labels": ops.ones((1, 1))}
    >>> layer = MaxNumBoundingBoxes(2, bounding_box_format="xyxy")
    >>> data = {"images": ops.ones((1, 2, 2, 3)), "bounding_boxes": boxes}
    >>> layer(data)["bounding_boxes"]["labels"].tolist()
    [[1.0, -1.0]]
    """

    keeps_dtype = True

    def __init__(self, max_number: int, fill_value: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_number = arguments.count(self, "max_number", max_number)
        self.fill_value = int(fill_value)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return config if self.fill_value != -1 else {k: v for k, v in config.items() if k != "fill_value"}

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Transformation = None, training: bool = True
    ) -> dict[str, Any]:
        return {**bounding_boxes, **{k: self._counted(bounding_boxes[k]) for k in ("boxes", "labels")}}

    def _counted(self, values: Any) -> Any:
        values = values[:, : self.max_number]
        missing = self.max_number - values.shape[1]
        edges = [(0, 0), (0, missing), *[(0, 0)] * (len(values.shape) - 2)]
        return ops.pad(values, edges, constant_values=self.fill_value) if missing else values
