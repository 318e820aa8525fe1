"""ImageNet's pixels and classes: what networks expect of images, and what their outputs mean."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from triceras import ops
from triceras.applications.published import cached, obtain
from triceras.core.config import floatx, standardize_data_format
from triceras.core.dtypes import is_float_dtype, standardize_dtype
from triceras.core.errors import ArgumentError, FileFormatError, ShapeError
from triceras.core.registry import export

CLASSES = 1000
INDEX = "imagenet_class_index.json"
INDEX_URL = f"https://storage.googleapis.com/download.tensorflow.org/data/{INDEX}"
INDEX_HASH = "c2c37ea517e94d9795004a39431a14cb"

MODES = ("caffe", "tf", "torch")
MEAN_BGR = (103.939, 116.779, 123.68)  # of 0 to 255
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of RGB, 0 to 1


@export("applications.imagenet_utils.preprocess_input")
def preprocess_input(x: Any, data_format: str | None = None, mode: str = "caffe") -> Any:
    """Images as a network was trained on them. The images given stay as they are.

    Args:
        x: an image or a batch of RGB images with values 0 to 255: an array, a tensor or a symbolic tensor.
        data_format: whether channels come last or first; the configured layout if not given.
        mode: "caffe" (BGR, without the mean color), "tf" (-1 to 1) or "torch" (0 to 1, then normalized).

    >>> preprocess_input(np.full((1, 2, 2, 3), 255, "uint8"), mode="tf").max().item()
    1.0
    """
    if mode not in MODES:
        raise ArgumentError(f"preprocess_input(): `mode` must be one of {MODES}. Received: {mode!r}")
    first = standardize_data_format(data_format) == "channels_first"
    if not hasattr(x, "shape"):
        x = np.asarray(x)
    channels = x.shape[-3 if first else -1] if len(x.shape) in (3, 4) else 0
    if channels not in (3, None) and not (mode == "tf" and channels):
        raise ShapeError(
            "preprocess_input() takes an image or a batch of images with 3 channels "
            f"{'before rows and columns' if first else 'last'}. Received shape {tuple(x.shape)}."
        )
    is_array, dtype = isinstance(x, np.ndarray), standardize_dtype(x.dtype)
    if not is_float_dtype(dtype):
        dtype = floatx()
        x = x.astype(dtype) if is_array else ops.cast(x, dtype)
    if mode == "tf":
        return x / 127.5 - 1.0
    subtract, divide = (np.subtract, np.divide) if is_array else (ops.subtract, ops.divide)

    def by_channel(numbers: tuple[float, ...]) -> np.ndarray:
        return np.array(numbers, dtype).reshape((3, 1, 1) if first else 3)

    if mode == "caffe":
        return subtract((np.flip if is_array else ops.flip)(x, -3 if first else -1), by_channel(MEAN_BGR))
    return divide(subtract(divide(x, 255.0), by_channel(MEAN)), by_channel(DEVIATION))


@export("applications.imagenet_utils.decode_predictions")
def decode_predictions(preds: Any, top: int = 5) -> list[list[tuple[str, str, float]]]:
    """The likeliest ImageNet classes of each image.

    The names of the classes come from `imagenet_class_index.json`, which is downloaded once.

    Args:
        preds: probabilities of the 1,000 classes for a batch of images.
        top: how many classes an image.

    Returns:
        For each image `(WordNet id, name, probability)`, the likeliest class first.

    Raises:
        DataUnavailableError: the names aren't cached and can't be downloaded.
    """
    shape = tuple(getattr(preds, "shape", ()))
    if len(shape) != 2 or shape[1] != CLASSES:
        raise ShapeError(
            f"decode_predictions() takes a batch of predictions of {CLASSES} ImageNet classes, with shape "
            f"(samples, {CLASSES}). Received: {f'shape {shape}' if shape else type(preds).__name__}. "
            "Networks with classes of your own know no names for them."
        )
    known = class_index()
    rows = preds if isinstance(preds, np.ndarray) else ops.convert_to_numpy(preds)
    best = np.argsort(rows, axis=1)[:, ::-1][:, : max(top, 0)]
    return [[(*known[i], row[i]) for i in order] for row, order in zip(rows, best, strict=True)]


def class_index() -> list[tuple[str, str]]:
    """WordNet id and name of each ImageNet class: from a cache, else downloaded."""
    path = next((path for path in cached(INDEX) if path.is_file()), None)
    return list(_names(path or obtain(INDEX, INDEX_URL, INDEX_HASH, "name the classes yourself")))


@cache
def _names(path: Path) -> tuple[tuple[str, str], ...]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return tuple((str(key), str(name)) for key, name in (found[str(i)] for i in range(CLASSES)))
    except (ValueError, KeyError, TypeError) as error:
        raise FileFormatError(
            f"{path} isn't the index of ImageNet's classes: {error!r}. Delete it, and it is downloaded again."
        ) from error


def preprocessing(mode: str | None, *modules: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Make `preprocess_input` and `decode_predictions` of public modules, and return them.

    Args:
        mode: see `preprocess_input`; None where the network itself scales the pixels.
        *modules: names such as "vgg16".
    """

    def preprocess(x: Any, data_format: str | None = None) -> Any:
        if mode is not None:
            return preprocess_input(x, data_format, mode)
        standardize_data_format(data_format)
        return x

    preprocess.__name__ = preprocess.__qualname__ = "preprocess_input"
    what = {
        None: "Images as they are: the network itself scales pixels of 0 to 255.",
        "caffe": "RGB pixels of 0 to 255 as BGR without the mean color of ImageNet.",
        "tf": "Pixels of 0 to 255 as numbers from -1 to 1.",
        "torch": "Pixels of 0 to 255 as 0 to 1, then normalized by ImageNet's mean and deviation.",
    }[mode]
    preprocess.__doc__ = f"""{what}

    Args:
        x: an image or a batch of RGB images: an array, a tensor or a symbolic tensor.
        data_format: whether channels come last or first; the configured layout if not given.
    """
    export(*(f"applications.{module}.preprocess_input" for module in modules))(preprocess)
    export(*(f"applications.{module}.decode_predictions" for module in modules))(decode_predictions)
    return preprocess, decode_predictions
