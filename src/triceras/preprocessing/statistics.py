"""Mean and standard deviation of images, in one pass over data of any size."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triceras.core.config import standardize_data_format
from triceras.core.errors import ArgumentError, ShapeError
from triceras.core.registry import export
from triceras.preprocessing.listing import IMAGE_FORMATS, files_below
from triceras.utils.images import img_to_array, load_img
from triceras.utils.moments import Moments, inputs_of


@dataclass(frozen=True)
class ImageStatistics:
    """Of each channel and of all values: mean and standard deviation.

    Attributes:
        mean: of each channel, shape (channels,).
        std: the same.
        overall_mean: of all values.
        overall_std: the same.
        count: pixels that were seen.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    overall_mean: float
    overall_std: float
    count: int


@export("utils.image_statistics")
def image_statistics(data: Any, data_format: str | None = None, color_mode: str = "rgb") -> ImageStatistics:
    """Mean and standard deviation of each channel and of all values of images, in one pass.

    Args:
        data: images `(batch, height, width, channels)` or `(batch, height, width)`; a `PyDataset` or any
            other iterable of batches of which the first entry counts; or the name of a folder, of which all
            images are read, whatever their sizes.
        data_format: layout of the images; None is `config.image_data_format()`.
        color_mode: how the files of a folder are read: "grayscale", "rgb" or "rgba".

    Raises:
        ArgumentError: there are no images, or they hold NaN or infinite numbers.

    >>> found = image_statistics(np.array([[[[0, 4], [2, 4]]]], "uint8"))
    >>> found.mean.tolist(), found.std.tolist(), found.overall_mean
    ([1.0, 4.0], [1.0, 0.0], 2.5)
    """
    if isinstance(data, (str, os.PathLike)):
        batches, axis = _files(os.fspath(data), color_mode), 3
    else:
        batches = inputs_of(data, "image_statistics")
        axis = 3 if standardize_data_format(data_format) == "channels_last" else 1
    moments = Moments((axis,))
    for batch in batches:
        batch = np.expand_dims(batch, axis) if batch.ndim == 3 else batch
        if batch.ndim != 4:
            raise ShapeError(f"image_statistics() takes batches of images of rank 4. Received {batch.shape}.")
        if moments.count and batch.shape[axis] != len(moments.mean):
            raise ShapeError(
                f"image_statistics() takes images of as many channels each. Received {len(moments.mean)}, "
                f"then {batch.shape[axis]}."
            )
        moments.add(batch)
    if not moments.count:
        raise ArgumentError("image_statistics() got no images.")
    if not (np.isfinite(moments.mean).all() and np.isfinite(moments.variance).all()):
        raise ArgumentError("image_statistics() got NaN or infinite numbers. Clean the data first.")
    mean, variance = moments.overall
    std = np.sqrt(moments.variance)
    return ImageStatistics(np.asarray(moments.mean), std, mean, float(np.sqrt(variance)), moments.count)


def _files(folder: str, color_mode: str) -> Iterator[NDArray[Any]]:
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"There is no folder {folder!r}.")
    for path in files_below(folder, IMAGE_FORMATS, False):
        yield img_to_array(load_img(path, color_mode), "channels_last")[None]
