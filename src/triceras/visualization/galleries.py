"""Images side by side, with their labels, boxes or masks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from triceras import ops
from triceras.core.config import standardize_data_format
from triceras.core.errors import ArgumentError, ShapeError, require
from triceras.core.registry import export
from triceras.visualization.drawing import Color, draw_bounding_boxes, draw_segmentation_masks


@export("visualization.plot_image_gallery")
def plot_image_gallery(
    images: Any,
    y_true: Any = None,
    y_pred: Any = None,
    label_map: Mapping[int, str] | None = None,
    rows: int | None = None,
    cols: int | None = None,
    value_range: tuple[float, float] = (0, 255),
    scale: float = 2,
    path: str | Path | None = None,
    show: bool | None = None,
    transparent: bool = True,
    dpi: int = 60,
    legend_handles: Sequence[Any] | None = None,
    data_format: str | None = None,
) -> Any:
    """Images side by side, with their classes.

    Args:
        images: (n, height, width, channels), or one image.
        y_true: (n,) true classes.
        y_pred: (n,) predicted classes; wrong ones are red.
        label_map: names of the classes.
        rows: of the gallery; as many as `cols` needs, or about as many as columns, if not given.
        cols: of the gallery.
        value_range: values of black and of white.
        scale: inches of a side of an image.
        path: where the picture goes.
        show: open a window; done if there is no path, unless told otherwise.
        transparent: leave out the ground of the picture in the file.
        dpi: dots an inch in the file.
        legend_handles: patches of matplotlib that are explained below.
        data_format: of the images; the configured one if not given.

    Returns:
        matplotlib's figure.

    >>> figure = plot_image_gallery(np.zeros((6, 8, 8, 3)), cols=3, show=False)
    >>> len(figure.axes)
    6
    """
    require("matplotlib", "plot", "Plotting a gallery")
    if path is not None and show:
        raise ArgumentError("plot_image_gallery() either saves to `path` or shows. Give one of them.")
    if (y_true is not None or y_pred is not None) and label_map is None:
        raise ArgumentError(
            "plot_image_gallery() with `y_true` or `y_pred` needs `label_map`, names of classes."
        )
    pixels = np.asarray(ops.convert_to_numpy(images), "float32")
    pixels = pixels[None] if pixels.ndim == 3 else pixels
    if pixels.ndim != 4 or not len(pixels):
        raise ShapeError(f"`images` must be (n, height, width, channels). Received shape {pixels.shape}.")
    if standardize_data_format(data_format) == "channels_first":
        pixels = pixels.transpose(0, 2, 3, 1)
    low, high = value_range
    pixels = ((pixels - low) / (high - low)).clip(0, 1)
    count = len(pixels)
    rows = rows or math.ceil(count / (cols or math.ceil(math.sqrt(count))))
    cols = cols or math.ceil(count / rows)
    size = (cols * scale, rows * scale)
    if show if show is not None else path is None:
        from matplotlib import pyplot

        figure = pyplot.figure(figsize=size, layout="constrained")
    else:
        from matplotlib.figure import Figure

        figure = Figure(figsize=size, layout="constrained")
    true, predicted = (
        None if y is None else np.asarray(ops.convert_to_numpy(y)).ravel() for y in (y_true, y_pred)
    )
    for index in range(min(count, rows * cols)):
        axis = figure.add_subplot(rows, cols, index + 1)
        axis.axis("off")
        image = pixels[index]
        axis.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=1)
        names = [
            (word, label_map.get(int(labels[index]), str(labels[index])))
            for word, labels in (("true", true), ("predicted", predicted))
            if labels is not None and label_map is not None
        ]
        wrong = len(names) == 2 and true[index] != predicted[index]
        text = "\n".join(f"{word}: {name}" if len(names) == 2 else name for word, name in names)
        axis.set_title(text, fontsize=4 * scale, color="#b3261e" if wrong else "black")
    if legend_handles is not None:
        figure.legend(handles=list(legend_handles), loc="outside lower center")
    if path is not None:
        figure.savefig(path, transparent=transparent, dpi=dpi)
    elif show is None or show:
        pyplot.show()
    return figure


@export("visualization.plot_bounding_box_gallery")
def plot_bounding_box_gallery(
    images: Any,
    bounding_box_format: str,
    y_true: dict[str, Any] | None = None,
    y_pred: dict[str, Any] | None = None,
    value_range: tuple[float, float] = (0, 255),
    true_color: Color = (0, 188, 212),
    pred_color: Color = (255, 235, 59),
    line_thickness: int = 2,
    font_scale: float = 1.0,
    text_thickness: int | None = None,
    class_mapping: Mapping[int, str] | None = None,
    ground_truth_mapping: Mapping[int, str] | None = None,
    prediction_mapping: Mapping[int, str] | None = None,
    legend: bool = False,
    legend_handles: Sequence[Any] | None = None,
    rows: int | None = None,
    cols: int | None = None,
    data_format: str | None = None,
    **kwargs: Any,
) -> Any:
    """Images side by side, with the true and the predicted boxes.

    Args:
        images: (n, height, width, channels).
        bounding_box_format: of all boxes.
        y_true: true boxes, see `draw_bounding_boxes`.
        y_pred: predicted boxes.
        value_range: values of black and of white.
        true_color: of the true boxes.
        pred_color: of the predicted boxes.
        line_thickness: in pixels.
        font_scale: 1 for letters of about 24 pixels.
        text_thickness: in pixels; that of lines if not given.
        class_mapping: names of the labels.
        ground_truth_mapping: names of the true labels, where they are others.
        prediction_mapping: names of the predicted labels, where they are others.
        legend: say which color is which.
        legend_handles: patches of matplotlib that are explained instead.
        rows: of the gallery.
        cols: of the gallery.
        data_format: of the images; the configured one if not given.
        **kwargs: go to `plot_image_gallery`.

    Returns:
        matplotlib's figure.

    >>> boxes = {"boxes": [[[1, 1, 6, 6]]], "labels": [[0]]}
    >>> figure = plot_bounding_box_gallery(np.zeros((1, 8, 8, 3)), "xyxy", boxes, legend=True, show=False)
    >>> [text.get_text() for text in figure.legends[0].get_texts()]
    ['Ground truth', 'Prediction']
    """
    require("matplotlib", "plot", "Plotting a gallery")
    from matplotlib.patches import Patch

    if legend and legend_handles is not None:
        raise ArgumentError("plot_bounding_box_gallery() takes either `legend` or `legend_handles`.")
    pixels = _bytes(images, value_range, data_format)
    for boxes, color, mapping in (
        (y_true, true_color, ground_truth_mapping or class_mapping),
        (y_pred, pred_color, prediction_mapping or class_mapping),
    ):
        if boxes is not None:
            pixels = draw_bounding_boxes(
                pixels,
                boxes,
                bounding_box_format,
                mapping,
                color,
                line_thickness,
                text_thickness or line_thickness,
                font_scale,
                "channels_last",
            )
    if legend:
        words = (("Ground truth", true_color), ("Prediction", pred_color))
        legend_handles = [Patch(color=np.array(color) / 255, label=word) for word, color in words]
    return plot_image_gallery(
        pixels, rows=rows, cols=cols, legend_handles=legend_handles, data_format="channels_last", **kwargs
    )


@export("visualization.plot_segmentation_mask_gallery")
def plot_segmentation_mask_gallery(
    images: Any,
    num_classes: int,
    value_range: tuple[float, float] = (0, 255),
    y_true: Any = None,
    y_pred: Any = None,
    color_mapping: Mapping[int, Color] | Sequence[Color] | None = None,
    blend: bool = True,
    alpha: float = 0.8,
    ignore_index: int = -1,
    data_format: str | None = None,
    **kwargs: Any,
) -> Any:
    """A row an image: as it is, with its true mask, and with the predicted one.

    Args:
        images: (n, height, width, 3).
        num_classes: of the masks.
        value_range: values of black and of white.
        y_true: true masks, see `draw_segmentation_masks`.
        y_pred: predicted masks.
        color_mapping: the classes' colors.
        blend: whether `alpha` is heeded.
        alpha: how much of the color there is.
        ignore_index: the class of pixels that stay as they are.
        data_format: of images and masks; the configured one if not given.
        **kwargs: go to `plot_image_gallery`.

    Returns:
        matplotlib's figure.

    >>> masks = np.ones((2, 8, 8, 1), "int32")
    >>> len(plot_segmentation_mask_gallery(np.zeros((2, 8, 8, 3)), 2, y_true=masks, show=False).axes)
    4
    """
    pixels = _bytes(images, value_range, data_format)
    columns = [pixels]
    for masks in (y_true, y_pred):
        if masks is not None:
            whole = np.asarray(ops.convert_to_numpy(masks)).astype("int32")
            if standardize_data_format(data_format) == "channels_first":
                whole = whole.transpose(0, 2, 3, 1)
            columns.append(
                draw_segmentation_masks(
                    pixels, whole, num_classes, color_mapping, alpha, blend, ignore_index, "channels_last"
                )
            )
    ordered = np.stack(columns, axis=1).reshape(-1, *pixels.shape[1:])
    return plot_image_gallery(
        ordered, rows=len(pixels), cols=len(columns), data_format="channels_last", **kwargs
    )


def _bytes(images: Any, value_range: tuple[float, float], data_format: str | None) -> np.ndarray:
    """Images as uint8, channels last."""
    pixels = np.asarray(ops.convert_to_numpy(images), "float32")
    if pixels.ndim != 4 or not len(pixels):
        raise ShapeError(f"`images` must be (n, height, width, channels). Received shape {pixels.shape}.")
    if standardize_data_format(data_format) == "channels_first":
        pixels = pixels.transpose(0, 2, 3, 1)
    low, high = value_range
    return np.round((pixels - low) * (255 / (high - low))).clip(0, 255).astype("uint8")
