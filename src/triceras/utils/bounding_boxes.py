"""Bounding boxes: their formats, what crops and turns make of them, how much two of them overlap.

A box is four numbers in the last axis of a tensor. The format says which: "xyxy" and "yxyx" are two corners,
"xywh" a corner and the size, "center_xywh" and "center_yxhw" the centre and the size, all in pixels; with
"rel_" before it they are shares of the image's width and height.
"""

from __future__ import annotations

import math
from typing import Any

from triceras import ops
from triceras.core.config import epsilon
from triceras.core.errors import ArgumentError, ShapeError, shown
from triceras.core.registry import export, publish

FORMATS = (
    "xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw", "rel_xyxy", "rel_yxyx", "rel_xywh",
    "rel_center_xywh",
)  # fmt: skip
ENCODINGS = ("center_xywh", "center_yxhw")
Tensor = Any


@export("utils.bounding_boxes.convert_format")
def convert_format(
    boxes: Any,
    source: str,
    target: str,
    height: Any = None,
    width: Any = None,
    dtype: Any = "float32",
) -> Any:
    """Boxes in another format.

    Args:
        boxes: a tensor of shape (..., 4), or a dict with such a tensor under "boxes".
        source: the format that they have.
        target: the format that they get.
        height: of the images; needed for relative formats.
        width: of the images; needed for relative formats.
        dtype: of the result.

    >>> convert_format([[10.0, 20.0, 30.0, 60.0]], "xyxy", "center_xywh").tolist()
    [[20.0, 40.0, 20.0, 40.0]]
    """
    if isinstance(boxes, dict):
        return {**boxes, "boxes": convert_format(boxes["boxes"], source, target, height, width, dtype)}
    source, target = _format("source", source), _format("target", target)
    boxes = ops.cast(ops.convert_to_tensor(boxes), dtype)
    if boxes.shape[-1] != 4:
        raise ShapeError(
            f"convert_format() takes `boxes` of shape (..., 4). Received: shape {tuple(boxes.shape)}"
        )
    relative = source.startswith("rel_"), target.startswith("rel_")
    if any(relative) and (height is None or width is None):
        raise ArgumentError(
            "convert_format() needs `height` and `width` of the images for relative formats. Received: "
            f"source={source!r}, target={target!r}, height={height}, width={width}"
        )
    if source == target:
        return boxes
    corners = _corners(_parts(boxes), source.removeprefix("rel_"))
    if relative[0] != relative[1]:
        sizes = [ops.cast(width, dtype), ops.cast(height, dtype)] * 2
        change = ops.multiply if relative[0] else ops.divide
        corners = [change(c, size) for c, size in zip(corners, sizes, strict=True)]
    return ops.concatenate(_from_corners(corners, target.removeprefix("rel_")), axis=-1)


def _format(argument: str, value: Any) -> str:
    found = value.lower() if isinstance(value, str) else value
    if found not in FORMATS:
        raise ArgumentError(
            f"A bounding box format must be one of {FORMATS}. Received: {argument}={shown(value)}"
        )
    return found


def _parts(boxes: Tensor) -> list[Tensor]:
    """The four numbers, each with a last axis of size 1."""
    return [boxes[..., i : i + 1] for i in range(4)]


def _corners(parts: list[Tensor], form: str) -> list[Tensor]:
    """x and y of the upper left corner and of the lower right one."""
    if form in ("yxyx", "center_yxhw"):
        parts = [parts[i] for i in (1, 0, 3, 2)]
    x, y, w, h = parts
    if form == "xywh":
        return [x, y, x + w, y + h]
    return [x - w / 2, y - h / 2, x + w / 2, y + h / 2] if form.startswith("center") else parts


def _from_corners(corners: list[Tensor], form: str) -> list[Tensor]:
    x1, y1, x2, y2 = corners
    w, h = x2 - x1, y2 - y1
    if form == "xywh":
        return [x1, y1, w, h]
    found = [x1 + w / 2, y1 + h / 2, w, h] if form.startswith("center") else corners
    return [found[i] for i in (1, 0, 3, 2)] if form in ("yxyx", "center_yxhw") else found


def _only(function: str, bounding_box_format: str, known: tuple[str, ...] = ("xyxy",)) -> None:
    if bounding_box_format not in known:
        raise ArgumentError(
            f"{function}() takes boxes in one of the formats {known}. Received: {bounding_box_format!r}. Use "
            "convert_format() first."
        )


@export("utils.bounding_boxes.clip_to_image_size")
def clip_to_image_size(
    bounding_boxes: dict[str, Any],
    height: Any = None,
    width: Any = None,
    bounding_box_format: str = "xyxy",
) -> dict[str, Any]:
    """Boxes cut at the image's edges; the label of a box of which nothing is left becomes -1.

    Args:
        bounding_boxes: a dict with "boxes" of shape (..., 4), and perhaps "labels" of shape (...).
        height: of the images; needed for "xyxy".
        width: of the images; needed for "xyxy".
        bounding_box_format: "xyxy" or "rel_xyxy".

    >>> clip_to_image_size({"boxes": [[-5.0, 2.0, 5.0, 90.0]], "labels": [3]}, 20, 10)["boxes"].tolist()
    [[0.0, 2.0, 5.0, 20.0]]
    """
    _only("clip_to_image_size", bounding_box_format, ("xyxy", "rel_xyxy"))
    limits = (1.0, 1.0) if bounding_box_format == "rel_xyxy" else (width, height)
    if None in limits:
        raise ArgumentError('clip_to_image_size() needs `height` and `width` for the format "xyxy".')
    boxes = ops.convert_to_tensor(bounding_boxes["boxes"])
    clipped = [
        ops.minimum(ops.maximum(part, 0), ops.cast(limit, boxes.dtype))
        for part, limit in zip(_parts(boxes), limits * 2, strict=True)
    ]
    result = {**bounding_boxes, "boxes": ops.concatenate(clipped, axis=-1)}
    if result.get("labels") is not None:
        result["labels"] = ops.where(_area(clipped) > 0, ops.convert_to_tensor(result["labels"]), -1)
    return result


def _area(corners: list[Tensor]) -> Tensor:
    x1, y1, x2, y2 = corners
    return ((x2 - x1) * (y2 - y1))[..., 0]


@export("utils.bounding_boxes.affine_transform")
def affine_transform(
    boxes: Any,
    angle: Any,
    translate_x: Any,
    translate_y: Any,
    scale: Any,
    shear_x: Any,
    shear_y: Any,
    height: int,
    width: int,
    center_x: float | None = None,
    center_y: float | None = None,
    bounding_box_format: str = "xyxy",
) -> Tensor:
    """The boxes around what becomes of boxes when their images are turned, moved, scaled and sheared.

    Args:
        boxes: corners, of shape (batch, boxes, 4).
        angle: in degrees, a number for each image, as all others.
        translate_x: as a share of the width.
        translate_y: as a share of the height.
        scale: factor.
        shear_x: in degrees.
        shear_y: in degrees.
        height: of the images.
        width: of the images.
        center_x: about which they are turned, as a share of the width; None is the middle.
        center_y: as a share of the height; None is the middle.
        bounding_box_format: must be "xyxy".

    >>> import numpy as np
    >>> zero, one = np.zeros(1, "float32"), np.ones(1, "float32")
    >>> affine_transform(np.array([[[0.0, 0, 4, 2]]]), zero, zero, zero, 2 * one, zero, zero, 11, 11).tolist()
    [[[-5.0, -5.0, 3.0, -1.0]]]
    """
    _only("affine_transform", bounding_box_format)
    degrees = math.pi / 180
    angle, translate_x, translate_y, scale, shear_x, shear_y = (
        ops.cast(ops.convert_to_tensor(v), "float32")
        for v in (angle, translate_x, translate_y, scale, shear_x, shear_y)
    )
    cos, sin = ops.cos(angle * degrees), -ops.sin(angle * degrees)
    tan_x, tan_y = -ops.tan(shear_x * degrees), -ops.tan(shear_y * degrees)
    along, across = cos + tan_y * sin, sin - tan_y * cos
    a = [scale * (cos + tan_x * across), -scale * (tan_x * along + sin)]
    b = [scale * across, scale * along]
    x = (0.5 if center_x is None else center_x) * (width - 1)
    y = (0.5 if center_y is None else center_y) * (height - 1)
    from_x, from_y = x - translate_x * (width - 1), y - translate_y * (height - 1)
    a.append(x - a[0] * from_x - a[1] * from_y)
    b.append(y - b[0] * from_x - b[1] * from_y)
    nothing = angle * 0
    matrix = ops.stack([ops.stack(row, axis=-1) for row in (a, b, [nothing, nothing, nothing + 1])], axis=1)
    return transformed(ops.cast(ops.convert_to_tensor(boxes), "float32"), matrix)


def transformed(boxes: Tensor, matrix: Tensor) -> Tensor:
    """The boxes around corner boxes (batch, boxes, 4) of which each point (x, y, 1) is multiplied by a
    matrix.

    Args:
        matrix: of shape (batch, 3, 3).
    """
    x1, y1, x2, y2 = _parts(boxes)
    points = ops.concatenate([x1, x2, x1, x2, y1, y1, y2, y2], axis=-1)
    points = ops.reshape(points, (*points.shape[:-1], 2, 4))
    points = ops.concatenate([points, points[..., :1, :] * 0 + 1], axis=-2)
    found = ops.matmul(matrix[:, None], points)
    places = found[..., :2, :] / found[..., 2:, :]
    return ops.concatenate([ops.min(places, axis=-1), ops.max(places, axis=-1)], axis=-1)


@export("utils.bounding_boxes.crop")
def crop(
    boxes: Any, top: Any, left: Any, height: Any, width: Any, bounding_box_format: str = "xyxy"
) -> Tensor:
    """Boxes in the part of an image that starts at (top, left) and has a size, cut at its edges.

    >>> crop([[5.0, 5.0, 9.0, 30.0]], top=4, left=6, height=10, width=10).tolist()
    [[0.0, 1.0, 3.0, 10.0]]
    """
    _only("crop", bounding_box_format)
    moved = _shifted(boxes, -left, -top)
    return clip_to_image_size({"boxes": moved}, height, width)["boxes"]


@export("utils.bounding_boxes.pad")
def pad(
    boxes: Any,
    top: Any,
    left: Any,
    height: Any = None,
    width: Any = None,
    bounding_box_format: str = "xyxy",
) -> Tensor:
    """Boxes in an image that got rows above and columns to the left.

    Args:
        boxes: corners, of shape (..., 4).
        top: rows.
        left: columns.
        height: of the new image; it changes nothing.
        width: of the new image; it changes nothing.
        bounding_box_format: must be "xyxy".

    >>> pad([[0.0, 1.0, 3.0, 6.0]], top=4, left=6).tolist()
    [[6.0, 5.0, 9.0, 10.0]]
    """
    _only("pad", bounding_box_format)
    return _shifted(boxes, left, top)


def _shifted(boxes: Any, x: Any, y: Any) -> Tensor:
    boxes = ops.convert_to_tensor(boxes)
    shifts = [ops.cast(v, boxes.dtype) for v in (x, y)] * 2
    return ops.concatenate([p + s for p, s in zip(_parts(boxes), shifts, strict=True)], axis=-1)


# -- comparing -----------------------------------------------------------------------------------------------


def _sizes(image_shape: Any) -> tuple[Any, Any]:
    return (None, None) if image_shape is None else (image_shape[0], image_shape[1])


@export("utils.bounding_boxes.compute_iou")
def compute_iou(
    boxes1: Any,
    boxes2: Any,
    bounding_box_format: str,
    use_masking: bool = False,
    mask_val: float = -1,
    image_shape: Any = None,
) -> Tensor:
    """How much every box of one set overlaps every box of another: shared area divided by joint area.

    Args:
        boxes1: of shape (n, 4) or (batch, n, 4).
        boxes2: of shape (m, 4) or (batch, m, 4).
        bounding_box_format: of both.
        use_masking: whether the result is `mask_val` for boxes that only fill up, whose numbers are all
            negative.
        mask_val: see there.
        image_shape: (height, width, channels); needed for relative formats.

    Returns:
        A tensor of shape (n, m) or (batch, n, m).

    >>> compute_iou([[0.0, 0.0, 2.0, 2.0]], [[0.0, 0.0, 2.0, 4.0], [3.0, 0.0, 4.0, 1.0]], "xyxy").tolist()
    [[0.5, 0.0]]
    """
    height, width = _sizes(image_shape)
    first, second = (convert_format(b, bounding_box_format, "xyxy", height, width) for b in (boxes1, boxes2))
    for name, boxes in (("boxes1", first), ("boxes2", second)):
        if boxes.ndim not in (2, 3):
            raise ShapeError(
                f"compute_iou() takes `{name}` of shape (n, 4) or (batch, n, 4). Received: "
                f"{tuple(boxes.shape)}"
            )
    rows, columns = _parts(first), [ops.swapaxes(part, -1, -2) for part in _parts(second)]
    shared = _intersection(rows, columns)
    joint = _area(rows)[..., :, None] + _area(_parts(second))[..., None, :] - shared
    found = ops.divide(shared, joint + epsilon())
    if not use_masking:
        return found
    fill_up = [ops.max(boxes, axis=-1) < 0 for boxes in (first, second)]
    return ops.where(ops.logical_or(fill_up[0][..., :, None], fill_up[1][..., None, :]), mask_val, found)


def _intersection(one: list[Tensor], other: list[Tensor]) -> Tensor:
    w, h = (ops.minimum(one[i + 2], other[i + 2]) - ops.maximum(one[i], other[i]) for i in (0, 1))
    return ops.maximum(w, 0) * ops.maximum(h, 0)


@export("utils.bounding_boxes.compute_ciou")
def compute_ciou(boxes1: Any, boxes2: Any, bounding_box_format: str, image_shape: Any = None) -> Tensor:
    """How well boxes fit the boxes at the same places: overlap, less a distance of centres and of
    proportions.

    Zheng et al., 2020, https://arxiv.org/abs/1911.08287

    Args:
        boxes1: of shape (..., 4).
        boxes2: of the same shape.
        bounding_box_format: of both.
        image_shape: (height, width, channels); needed for relative formats.

    >>> triceras.ops.round(compute_ciou([[0.0, 0.0, 2.0, 2.0]], [[0.0, 0.0, 2.0, 2.0]], "xyxy"), 3).tolist()
    [1.0]
    """
    height, width = _sizes(image_shape)
    one, other = (
        _parts(convert_format(b, bounding_box_format, "xyxy", height, width)) for b in (boxes1, boxes2)
    )
    (w1, h1), (w2, h2) = ((b[2] - b[0], b[3] - b[1] + epsilon()) for b in (one, other))
    shared = _intersection(one, other)
    overlap = shared / (w1 * h1 + w2 * h2 - shared + 2 * epsilon())
    around = [ops.maximum(one[i + 2], other[i + 2]) - ops.minimum(one[i], other[i]) for i in (0, 1)]
    apart = [(one[i] + one[i + 2] - other[i] - other[i + 2]) / 2 for i in (0, 1)]
    distance = (apart[0] ** 2 + apart[1] ** 2) / (around[0] ** 2 + around[1] ** 2 + epsilon())
    unlike = 4 / math.pi**2 * (ops.arctan(w2 / h2) - ops.arctan(w1 / h1)) ** 2
    return (overlap - distance - unlike**2 / (unlike - overlap + 1 + epsilon()))[..., 0]


# -- as targets of a network ---------------------------------------------------------------------------------


@export("utils.bounding_boxes.encode_box_to_deltas")
def encode_box_to_deltas(
    anchors: Any,
    boxes: Any,
    anchor_format: str,
    box_format: str,
    encoding_format: str = "center_yxhw",
    variance: Any = None,
    image_shape: Any = None,
) -> Tensor:
    """Boxes as seen from anchors: distance of the centres in sizes of the anchor, logarithms of relative
    sizes.

    Args:
        anchors: of shape (..., 4).
        boxes: of the same shape.
        anchor_format: format of the anchors.
        box_format: format of the boxes.
        encoding_format: "center_xywh" or "center_yxhw": order of the result.
        variance: four numbers by which the result is divided.
        image_shape: (height, width, channels); needed for relative formats.

    >>> encode_box_to_deltas([[0.0, 0.0, 2.0, 2.0]], [[1.0, 0.0, 3.0, 2.0]], "xyxy", "xyxy").tolist()
    [[0.0, 0.5, 0.0, 0.0]]
    """
    variance, (height, width) = _variance(encoding_format, "encoding_format", variance), _sizes(image_shape)
    anchors = convert_format(anchors, anchor_format, encoding_format, height, width)
    boxes = convert_format(boxes, box_format, encoding_format, height, width)
    sizes = ops.maximum(anchors[..., 2:], epsilon())
    larger = ops.log(ops.maximum(boxes[..., 2:], epsilon()) / sizes)
    deltas = ops.concatenate([(boxes[..., :2] - anchors[..., :2]) / sizes, larger], axis=-1)
    return deltas if variance is None else deltas / variance


@export("utils.bounding_boxes.decode_deltas_to_boxes")
def decode_deltas_to_boxes(
    anchors: Any,
    boxes_delta: Any,
    anchor_format: str,
    box_format: str,
    encoded_format: str = "center_yxhw",
    variance: Any = None,
    image_shape: Any = None,
) -> Any:
    """Boxes from what `encode_box_to_deltas` makes of them; of dicts, those under each key.

    Args:
        anchors: of shape (..., 4), or a dict of such.
        boxes_delta: of the same shape.
        anchor_format: format of the anchors.
        box_format: format of the result.
        encoded_format: "center_xywh" or "center_yxhw": order of the deltas.
        variance: four numbers by which the deltas were divided.
        image_shape: (height, width, channels); needed for relative formats.

    >>> decode_deltas_to_boxes([[0.0, 0.0, 2.0, 2.0]], [[0.0, 0.5, 0.0, 0.0]], "xyxy", "xyxy").tolist()
    [[1.0, 0.0, 3.0, 2.0]]
    """
    settings = (anchor_format, box_format, encoded_format, variance, image_shape)
    if isinstance(anchors, dict):
        return {key: decode_deltas_to_boxes(a, boxes_delta[key], *settings) for key, a in anchors.items()}
    variance, (height, width) = _variance(encoded_format, "encoded_format", variance), _sizes(image_shape)
    anchors = convert_format(anchors, anchor_format, encoded_format, height, width)
    deltas = ops.convert_to_tensor(boxes_delta)
    deltas = deltas if variance is None else deltas * variance
    sizes = anchors[..., 2:]
    centres = deltas[..., :2] * sizes + anchors[..., :2]
    boxes = ops.concatenate([centres, ops.exp(deltas[..., 2:]) * sizes], axis=-1)
    return convert_format(boxes, encoded_format, box_format, height, width)


def _variance(form: str, argument: str, variance: Any) -> Any:
    if form not in ENCODINGS:
        raise ArgumentError(f"`{argument}` must be one of {ENCODINGS}. Received: {shown(form)}")
    if variance is None:
        return None
    variance = ops.convert_to_tensor(variance, "float32")
    if variance.shape[-1] != 4:
        raise ShapeError(f"`variance` must hold four numbers. Received: shape {tuple(variance.shape)}")
    return variance


publish({"utils.bounding_boxes": ("triceras.utils.bounding_boxes",)})
