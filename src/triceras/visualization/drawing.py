"""Boxes and masks drawn onto images."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from triceras import ops
from triceras.core.config import standardize_data_format
from triceras.core.errors import ArgumentError, ArgumentTypeError, ShapeError, require, shown
from triceras.core.registry import export
from triceras.utils.bounding_boxes import convert_format

Color = tuple[int, int, int]


@export("visualization.draw_bounding_boxes")
def draw_bounding_boxes(
    images: Any,
    bounding_boxes: dict[str, Any],
    bounding_box_format: str,
    class_mapping: Mapping[int, str] | None = None,
    color: Color = (128, 128, 128),
    line_thickness: int = 2,
    text_thickness: int = 1,
    font_scale: float = 1.0,
    data_format: str | None = None,
) -> np.ndarray:
    """Images with boxes around what is in them.

    Args:
        images: (n, height, width, channels) with 1, 3 or 4 channels; values from 0 to 255, or floats
            from 0 to 1.
        bounding_boxes: "boxes" (n, boxes, 4) and "labels" (n, boxes), -1 for no box; "confidences" if wanted.
        bounding_box_format: of the boxes, such as "xyxy"; see `utils.bounding_boxes.convert_format`.
        class_mapping: names of the labels; others have no text.
        color: of lines and texts, red, green and blue from 0 to 255.
        line_thickness: in pixels.
        text_thickness: in pixels.
        font_scale: 1 for letters of about 24 pixels.
        data_format: of the images; the configured one if not given.

    Returns:
        uint8, in the shape of `images`.

    >>> boxes = {"boxes": [[[1, 1, 6, 6]]], "labels": [[0]]}
    >>> drawn = draw_bounding_boxes(np.zeros((1, 8, 8, 3)), boxes, "xyxy", color=(9, 8, 7), line_thickness=1)
    >>> drawn[0, 1, 3].tolist(), drawn[0, 3, 3].tolist()
    ([9, 8, 7], [0, 0, 0])
    """
    require("PIL.Image", "vision", "Drawing boxes")
    from PIL import Image, ImageDraw, ImageFont

    first = standardize_data_format(data_format) == "channels_first"
    pixels = as_bytes(images, first)
    if not isinstance(bounding_boxes, dict):
        raise ArgumentTypeError(f"`bounding_boxes` must be a dict. Received: {shown(bounding_boxes)}")
    if not {"boxes", "labels"} <= set(bounding_boxes):
        raise ArgumentError(f'`bounding_boxes` needs "boxes" and "labels". It has: {sorted(bounding_boxes)}')
    height, width, channels = pixels.shape[1:]
    if channels not in (1, 3, 4):
        raise ShapeError(f"Boxes are drawn on images with 1, 3 or 4 channels. Received {channels}.")
    boxes = convert_format(
        np.asarray(ops.convert_to_numpy(bounding_boxes["boxes"]), "float32"),
        bounding_box_format,
        "xyxy",
        height,
        width,
    )
    boxes = ops.convert_to_numpy(boxes)
    labels = np.asarray(ops.convert_to_numpy(bounding_boxes["labels"])).astype(int)
    sure = bounding_boxes.get("confidences")
    sure = None if sure is None else np.asarray(ops.convert_to_numpy(sure), "float64")
    ink: Any = tuple(int(c) for c in color) if channels > 1 else round(sum(color) / 3)
    size = max(1.0, 24 * font_scale)
    drawn = []
    for i, image in enumerate(pixels):
        canvas = Image.fromarray(image[..., 0] if channels == 1 else image)
        pen = ImageDraw.Draw(canvas)
        for j in np.flatnonzero(labels[i] != -1):
            x0, y0, x1, y1 = (int(v) for v in boxes[i, j])
            pen.rectangle(
                (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)), outline=ink, width=line_thickness
            )
            name = (class_mapping or {}).get(int(labels[i, j]))
            if name is not None:
                text = name if sure is None else f"{name} | {sure[i, j]:.2f}"
                above = y0 - line_thickness - size * 1.25
                place = (x0, above) if above >= 0 else (x0 + line_thickness + 2, y0 + line_thickness)
                font = ImageFont.load_default(size)
                pen.text(place, text, ink, font, stroke_width=max((text_thickness or line_thickness) - 1, 0))
        drawn.append(np.asarray(canvas).reshape(height, width, channels))
    result = np.stack(drawn) if drawn else pixels
    return result.transpose(0, 3, 1, 2) if first else result


@export("visualization.draw_segmentation_masks")
def draw_segmentation_masks(
    images: Any,
    segmentation_masks: Any,
    num_classes: int | None = None,
    color_mapping: Mapping[int, Color] | Sequence[Color] | None = None,
    alpha: float = 0.8,
    blend: bool = True,
    ignore_index: int = -1,
    data_format: str | None = None,
) -> np.ndarray:
    """Images whose pixels have the colors of their classes.

    Args:
        images: (n, height, width, 3), values from 0 to 255.
        segmentation_masks: integers (n, height, width, 1), the class of each pixel.
        num_classes: classes from there on aren't colored; all are if not given.
        color_mapping: the classes' colors; different ones, black for class 0, if not given.
        alpha: how much of the color there is, from 0 to 1.
        blend: whether `alpha` is heeded; else pixels have the full color.
        ignore_index: the class of pixels that stay as they are.
        data_format: of images and masks; the configured one if not given.

    Returns:
        (n, height, width, 3) uint8.

    >>> masks, colors = np.array([[[[0], [1]]]]), [(9, 9, 9), (200, 0, 0)]
    >>> draw_segmentation_masks(np.zeros((1, 1, 2, 3)), masks, color_mapping=colors, alpha=0.5)
    array([[[[  4,   4,   4],
             [100,   0,   0]]]], dtype=uint8)
    """
    first = standardize_data_format(data_format) == "channels_first"
    pixels = as_bytes(images, first).astype("float32")
    masks = np.asarray(ops.convert_to_numpy(segmentation_masks))
    if masks.dtype.kind not in "iu":
        raise ArgumentTypeError(f"`segmentation_masks` must hold whole numbers. Received: {masks.dtype}")
    masks = masks.transpose(0, 2, 3, 1) if first and masks.ndim == 4 else masks
    if masks.shape != (*pixels.shape[:3], 1) or pixels.shape[3] != 3:
        raise ShapeError(
            f"`images` must be (n, height, width, 3) and `segmentation_masks` (n, height, width, 1). "
            f"Received: {pixels.shape} and {masks.shape}, channels last."
        )
    masks = masks[..., 0]
    colored = (masks != ignore_index) & (masks >= 0)
    if num_classes is None:
        num_classes = int(masks.max(initial=-1, where=colored)) + 1
    colored &= masks < num_classes
    colors = (
        colors_of(num_classes) if color_mapping is None else [color_mapping[i] for i in range(num_classes)]
    )
    target = np.asarray([*colors, (0, 0, 0)], "float32")[np.where(colored, masks, num_classes)]
    share = np.float32(alpha if blend else 1) * colored[..., None]
    return (pixels * (1 - share) + target * share).clip(0, 255).astype("uint8")


def colors_of(count: int) -> list[Color]:
    """Black, then colors that differ: each a golden angle further around the wheel."""
    hues = ((0.61803399 * i) % 1 for i in range(max(count - 1, 0)))
    wheel = [colorsys.hsv_to_rgb(hue, 0.85, 0.95) for hue in hues]
    return [(0, 0, 0), *((round(r * 255), round(g * 255), round(b * 255)) for r, g, b in wheel)][:count]


def as_bytes(images: Any, channels_first: bool) -> np.ndarray:
    """A batch of images as a new array, channels last, uint8."""
    pixels = np.asarray(ops.convert_to_numpy(images))
    if pixels.ndim != 4:
        raise ShapeError(
            f"`images` must be a batch, (n, height, width, channels). Received shape {pixels.shape}."
        )
    if channels_first:
        pixels = pixels.transpose(0, 2, 3, 1)
    if pixels.dtype.kind == "f" and pixels.max(initial=0) <= 1:
        pixels = pixels * 255
    return np.ascontiguousarray(np.clip(pixels, 0, 255).astype("uint8"))
