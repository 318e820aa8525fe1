"""What all image layers share: what they take, how they draw random numbers, how they travel to other
processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from typing import Any

import numpy as np

from triceras import ops, random
from triceras.core.config import floatx, standardize_data_format
from triceras.core.dtypes import is_float_dtype
from triceras.core.errors import ArgumentError, ShapeError, shown
from triceras.core.spec import KerasTensor
from triceras.engine import selection
from triceras.layers import arguments
from triceras.layers.base import Layer
from triceras.utils.bounding_boxes import FORMATS, convert_format

Transformation = Any  # what `get_random_transformation` returned; None means that nothing changes


class ImageLayer(Layer):
    """Base of the layers that prepare images, or vary them at random.

    They take one image or a batch, or a dict of what belongs together: "images", "labels", "bounding_boxes"
    (a dict of "boxes" and "labels") and "segmentation_masks". Random parameters are drawn once for all of
    them, for each image of a batch. They work inside a model, and on NumPy arrays where data are prepared: a
    layer that is made under `use_engine("numpy")`, or sent to a worker process, computes with NumPy alone.

    A subclass defines `get_random_transformation`, and `transform_images` and whatever else changes.

    Args:
        data_format: whether channels come last or first; the configured layout if not given.
        bounding_box_format: of boxes in the dict, such as "xyxy".
    """

    omitted_if_none = ("bounding_box_format",)
    keeps_dtype = False  # whether images of integers become integers again

    def __init__(
        self, data_format: str | None = None, bounding_box_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format)
        if bounding_box_format is not None:
            arguments.choice(self, "bounding_box_format", bounding_box_format, FORMATS)
        self.bounding_box_format = bounding_box_format

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"data_format": self.data_format}

    # -- what a subclass defines -----------------------------------------------------------------------------

    def get_random_transformation(
        self, data: Any, training: bool = True, seed: random.Seed = None
    ) -> Transformation:
        """Random parameters for images, or for the dict that holds them; None where there are none.

        Args:
            data: what the layer was called with.
            training: whether to draw any.
            seed: instead of the layer's own source of random numbers.
        """
        return None

    def transform_images(
        self, images: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        """A batch of images after a transformation."""
        return images

    def transform_labels(
        self, labels: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        """The labels of a batch after a transformation."""
        return labels

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Transformation = None, training: bool = True
    ) -> dict[str, Any]:
        """The boxes of a batch after a transformation."""
        return bounding_boxes

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        """The masks of a batch after a transformation."""
        return segmentation_masks

    # -- one call for all kinds of data ----------------------------------------------------------------------

    def call(self, data: Any, training: bool = True) -> Any:
        images = data.get("images") if isinstance(data, dict) else data
        if not isinstance(images, KerasTensor) and None in getattr(images, "shape", ()):
            return self._called_back(self.engine, (data,), {"training": training})
        batch = self.unpacked(data)
        result = self.transformed(batch, self.get_random_transformation(batch, training), training)
        return self.packed(result, data)

    def transformed(
        self, batch: dict[str, Any], transformation: Transformation, training: bool
    ) -> dict[str, Any]:
        """All that belongs to a batch after one transformation."""
        result = dict(batch)
        for kind in ("images", "labels", "bounding_boxes", "segmentation_masks"):
            if batch.get(kind) is not None:
                value = batch[kind]
                if kind == "bounding_boxes":
                    value = self._checked_boxes(value)
                result[kind] = getattr(self, f"transform_{kind}")(value, transformation, training=training)
        return result

    def unpacked(self, data: Any) -> dict[str, Any]:
        """A dict of batches, from what the layer was called with."""
        batch = dict(data) if isinstance(data, dict) else {"images": data}
        if batch.get("images") is None:
            raise ArgumentError(
                f'Layer {self.path!r} takes images, or a dict with "images". Received the keys: '
                f"{sorted(batch)}"
            )
        rank = len(batch["images"].shape)
        if rank not in (3, 4):
            raise ShapeError(
                f"Layer {self.path!r} ({type(self).__name__}) takes one image (rank 3) or a batch (rank "
                f"4). Received: shape {tuple(batch['images'].shape)}"
            )
        if batch.get("bounding_boxes") is not None:
            batch["bounding_boxes"] = dense(batch["bounding_boxes"])
        if rank == 3:
            batch = {
                key: {k: v[None] for k, v in value.items()}
                if isinstance(value, dict)
                else ops.expand_dims(value, 0)
                for key, value in batch.items()
            }
        if not is_float_dtype(batch["images"].dtype):
            wide = self.compute_dtype if is_float_dtype(self.compute_dtype) else floatx()
            batch["images"] = ops.cast(batch["images"], wide)
        return batch

    def packed(self, batch: dict[str, Any], data: Any) -> Any:
        """A result in the form of what the layer was called with."""
        given = images_of(data)
        dtype = given.dtype if self.keeps_dtype and not is_float_dtype(given.dtype) else self.compute_dtype
        if not is_float_dtype(dtype):
            batch["images"] = ops.saturate_cast(ops.round(batch["images"]), dtype)
        if len(given.shape) == 3:
            batch = {
                key: {k: v[0] for k, v in value.items()} if isinstance(value, dict) else value[0]
                for key, value in batch.items()
            }
        return batch if isinstance(data, dict) else batch["images"]

    def _checked_boxes(self, boxes: dict[str, Any]) -> dict[str, Any]:
        if self.bounding_box_format is None and self.moves_boxes:
            raise ArgumentError(
                f"Layer {self.path!r} needs to know the format of the bounding boxes: make it with "
                f'{type(self).__name__}(..., bounding_box_format="xyxy") or another of {FORMATS}.'
            )
        return boxes

    @property
    def moves_boxes(self) -> bool:
        """Whether bounding boxes change."""
        return type(self).transform_bounding_boxes is not ImageLayer.transform_bounding_boxes

    def converted(self, boxes: dict[str, Any], size: Sequence[int], back: bool = False) -> dict[str, Any]:
        """Boxes of images of a size as corners in pixels, or back from there in the layer's format."""
        formats = (self.bounding_box_format, "xyxy")
        return convert_format(boxes, *(reversed(formats) if back else formats), *size)

    # -- sizes -----------------------------------------------------------------------------------------------

    @property
    def axes(self) -> tuple[int, int, int]:
        """The axes of height, width and channels, counted from the end."""
        return (-2, -1, -3) if self.data_format == "channels_first" else (-3, -2, -1)

    def count(self, data: Any) -> int:
        """How many images there are."""
        shape = images_of(data).shape
        return 1 if len(shape) == 3 else shape[0]

    def size(self, data: Any) -> tuple[int, int]:
        """Height and width of the images."""
        shape = images_of(data).shape
        return shape[self.axes[0]], shape[self.axes[1]]

    # -- to other processes ----------------------------------------------------------------------------------

    def __reduce__(self) -> Any:
        values = [v.numpy() for v in self.variables]
        return _remade, (type(self), self.get_config(), self.get_build_config(), self.engine.name, values)


def _remade(kind: type, config: Any, build_config: Any, engine: str, values: list[np.ndarray]) -> Any:
    """A copy of a layer: on its engine, but with NumPy in a child process that has not loaded that."""
    if not selection.is_loaded(engine):
        engine = "numpy" if multiprocessing.parent_process() is not None else selection.current().name
    with selection.running(selection.get(engine)):
        layer = kind.from_config(config)
        layer.build_from_config(build_config)
        for variable, value in zip(layer.variables, values, strict=True):
            variable.assign(value)
    return layer


class RandomImageLayer(ImageLayer):
    """Base of the image layers that draw random numbers.

    Args:
        seed: makes the layer's random numbers repeatable.
    """

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.generator = random.SeedGenerator(seed)

    def draw(
        self, shape: Sequence[int], limits: tuple[float, float], seed: random.Seed, dtype: Any = "float32"
    ) -> Any:
        """Uniform numbers between limits, from the layer's source unless another is given."""
        return random.uniform(shape, *limits, dtype=dtype, seed=self.generator if seed is None else seed)

    def chosen(self, data: Any, probability: tuple[float, float], seed: random.Seed) -> Any:
        """For each image whether something happens, with a probability that is itself drawn."""
        n = self.count(data)
        limits = self.draw((n,), probability, seed) if probability[0] != probability[1] else probability[0]
        return self.draw((n,), (0, 1), seed) < limits


def images_of(data: Any) -> Any:
    """The images themselves, or those in a dict."""
    return data["images"] if isinstance(data, dict) else data


def each(values: Any, rank: int = 4) -> Any:
    """A number for each image, in a shape that broadcasts with tensors of a rank."""
    return ops.reshape(values, (-1, *(1,) * (rank - 1)))


def span(
    owner: Any,
    name: str,
    value: Any,
    least: float,
    most: float,
    floor: float | None = None,
    strict: bool = False,
) -> tuple[float, float]:
    """Two limits for random numbers: two numbers, or from one, `x`, the limits -x (at least `floor`) and x.

    Args:
        least: that a number may be; also `floor`, if that isn't given.
        most: that a number may be.
        strict: whether both of two numbers must lie between these, or only some numbers between the two.
    """
    limits = None
    if isinstance(value, (tuple, list)):
        if len(value) == 2:
            low, high = sorted(value)
            fits = least <= low and high <= most if strict else low <= most and high >= least
            limits = (low, high) if fits else None
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most:
        limits = (max(-abs(value), least if floor is None else floor), abs(value))
    if limits is None:
        raise ArgumentError(
            f"{type(owner).__name__}(): `{name}` must be a number from {least:g} to {most:g}, or two such "
            f"limits. Received: {shown(value)}"
        )
    return limits


def value_range(owner: Any, value: Any) -> list[float]:
    """The least and the largest value of images."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ArgumentError(
            f"{type(owner).__name__}(): `value_range` must be two numbers, such as (0, 255). Received: "
            f"{shown(value)}"
        )
    return sorted(value)


def rescaled(x: Any, source: Sequence[float], target: Sequence[float]) -> Any:
    """Values from one range in another one."""
    if tuple(source) == tuple(target):
        return x
    (a, b), (c, d) = source, target
    return (x - a) / (b - a) * (d - c) + c


def dense(boxes: Any) -> dict[str, Any]:
    """Boxes and labels as tensors; lists of different lengths are filled up with zeros and the label -1."""
    if not isinstance(boxes, dict) or not {"boxes", "labels"} <= set(boxes):
        raise ArgumentError(
            f'"bounding_boxes" must be a dict with "boxes" and "labels". Received: {shown(boxes)}'
        )
    found, labels = boxes["boxes"], boxes["labels"]
    if isinstance(found, (list, tuple)) and found and all(np.ndim(b) in (1, 2) for b in found):
        if any(np.ndim(b) == 2 or not len(b) for b in found):
            most = max(map(len, found))
            filled, named = (
                np.zeros((len(found), most, 4), "float32"),
                np.full((len(found), most), -1, "int32"),
            )
            for i, (b, label) in enumerate(zip(found, labels, strict=True)):
                filled[i, : len(b)], named[i, : len(b)] = np.reshape(b, (-1, 4)), label
            found, labels = filled, named
        else:
            found = np.asarray(found, "float32")
    return {
        **boxes,
        "boxes": ops.cast(ops.convert_to_tensor(found), "float32"),
        "labels": ops.convert_to_tensor(labels),
    }
