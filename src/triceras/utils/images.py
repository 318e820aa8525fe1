"""Image files to arrays and back, through Pillow."""

from __future__ import annotations

import os
from io import BytesIO
from typing import TYPE_CHECKING, Any

import ml_dtypes  # noqa: F401  (makes "bfloat16" a NumPy type)
import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from triceras.core.config import floatx, standardize_data_format
from triceras.core.errors import ArgumentError, ArgumentTypeError, FileFormatError, ShapeError, require
from triceras.core.registry import export

if TYPE_CHECKING:
    from PIL.Image import Image

COLOR_MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
DEEP_GRAY = ("L", "I", "I;16")  # one channel of 8, 32 or 16 bits: `grayscale` keeps them as they are
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


def _pillow() -> Any:
    return require("PIL.Image", "vision", "Reading and writing images")


@export("preprocessing.image.array_to_img", "utils.array_to_img")
def array_to_img(
    x: ArrayLike, data_format: str | None = None, scale: bool = True, dtype: DTypeLike | None = None
) -> Image:
    """An array as a Pillow image.

    Args:
        x: one image of rank 3 with 1, 3 or 4 channels, laid out as `data_format` says.
        scale: stretch the values to 0...255; otherwise they must be in that range (one channel may go
            beyond).
        dtype: float type to compute in; by default the configured one.

    Raises:
        ShapeError: if the rank or the number of channels is another.
        ArgumentError: if unscaled values are out of range.

    >>> array_to_img(np.zeros((2, 3, 1))).size
    (3, 2)
    """
    data_format = standardize_data_format(data_format)
    array = np.array(x, dtype=dtype or floatx())
    if array.ndim != 3:
        raise ShapeError(f"array_to_img() takes one image of rank 3. Received shape {array.shape}.")
    if data_format == "channels_first":
        array = array.transpose(1, 2, 0)
    channels = array.shape[2]
    if channels not in (1, 3, 4):
        raise ShapeError(
            f"array_to_img() takes 1, 3 or 4 channels. Received shape {np.shape(x)}, {data_format}."
        )
    if not array.size:
        raise ShapeError(
            f"array_to_img() takes an image with at least one pixel. Received shape {array.shape}."
        )
    if scale:
        array = array - array.min()
        if peak := array.max():
            array = array / peak * 255
    deep = channels == 1 and array.max() > 255
    if not (array.min() >= 0 and (deep or array.max() <= 255)):
        raise ArgumentError(
            f"array_to_img() takes values from 0 to 255. Received {array.min()} to {array.max()}; "
            "pass scale=True to stretch them, or replace NaN."
        )
    if channels == 1:
        array = array[..., 0]
    return _pillow().fromarray(array.astype("int32" if deep else "uint8"))


@export("preprocessing.image.img_to_array", "utils.img_to_array")
def img_to_array(
    img: Image | ArrayLike, data_format: str | None = None, dtype: DTypeLike | None = None
) -> NDArray[Any]:
    """A Pillow image (or an array of rank 2 or 3) as an array of rank 3, float by default.

    >>> img_to_array(np.zeros((2, 3), "uint8")).shape
    (2, 3, 1)
    """
    data_format = standardize_data_format(data_format)
    array = np.array(img, dtype=dtype or floatx())
    if array.ndim == 2:
        return array[..., None] if data_format == "channels_last" else array[None]
    if array.ndim != 3:
        raise ShapeError(f"img_to_array() takes an image of rank 2 or 3. Received shape {array.shape}.")
    # An image object always has its channels last; an array is taken as it stands.
    return array.transpose(2, 0, 1) if data_format == "channels_first" and hasattr(img, "getbands") else array


@export("preprocessing.image.save_img", "utils.save_img")
def save_img(
    path: str | os.PathLike[str] | Any,
    x: ArrayLike,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: Any,
) -> None:
    """Write an array as an image file.

    Args:
        path: file name, or an open binary file (then `file_format` is needed).
        x: one image of rank 3; see `array_to_img`, also for `scale`.
        file_format: for example "png"; by default from the extension.
        **kwargs: options of Pillow's writer, such as `quality=90`.

    Raises:
        ArgumentError: if no format can be told, or it can't hold the image.

    >>> save_img(BytesIO(), np.zeros((2, 3, 1)), file_format="png")
    """
    image = array_to_img(x, data_format=data_format, scale=scale)
    extension = os.path.splitext(os.fspath(path))[1] if isinstance(path, (str, os.PathLike)) else ""
    name = (file_format or extension).lower().lstrip(".")
    name = "jpeg" if name == "jpg" else name
    if image.mode == "RGBA" and name == "jpeg":  # which has no transparency
        image = image.convert("RGB")
    try:
        image.save(path, format=name if file_format else None, **kwargs)
    except (ValueError, KeyError) as error:
        raise ArgumentError(
            f"save_img() can't write {path!r} as {name or 'a file without extension'!r}: {error}. "
            'Use an extension such as ".png", or pass file_format="png".'
        ) from error


@export("preprocessing.image.load_img", "utils.load_img")
def load_img(
    path: str | os.PathLike[str] | BytesIO,
    color_mode: str = "rgb",
    target_size: tuple[int, int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Image:
    """Read an image file as a Pillow image.

    Args:
        path: file name, or the file's bytes in a `BytesIO`.
        color_mode: "grayscale", "rgb" or "rgba".
        target_size: (height, width) to resize to.
        interpolation: "nearest", "bilinear", "bicubic", "hamming", "box" or "lanczos".
        keep_aspect_ratio: cut the middle part with the target's proportions out before resizing.

    Raises:
        FileNotFoundError: if there is no such file.
        FileFormatError: if it is no image, or a broken one.

    >>> file = BytesIO()
    >>> save_img(file, np.zeros((4, 6, 3)), file_format="png")
    >>> load_img(file, target_size=(2, 3)).size
    (3, 2)
    """
    if color_mode not in COLOR_MODES:
        raise ArgumentError(
            f"load_img() takes color_mode= one of {tuple(COLOR_MODES)}. Received: {color_mode!r}"
        )
    if interpolation not in INTERPOLATIONS:
        raise ArgumentError(
            f"load_img() takes interpolation= one of {INTERPOLATIONS}. Received: {interpolation!r}"
        )
    if not isinstance(path, (str, os.PathLike, BytesIO)):
        raise ArgumentTypeError(
            f"load_img() takes a file name or a BytesIO. Received a {type(path).__name__}."
        )
    pillow = _pillow()
    source = path if isinstance(path, BytesIO) else BytesIO(_contents(path))
    try:
        image = pillow.open(source)
        image.load()
    except (OSError, SyntaxError, ValueError, pillow.DecompressionBombError) as error:
        raise FileFormatError(
            f"load_img(): {path!r} isn't an image that Pillow can read: {error}."
        ) from error
    if image.mode != COLOR_MODES[color_mode] and not (color_mode == "grayscale" and image.mode in DEEP_GRAY):
        image = image.convert(COLOR_MODES[color_mode])
    if target_size is None:
        return image
    height, width = _checked_size(target_size)
    method = getattr(pillow.Resampling, interpolation.upper())
    box = _middle(image.size, (width, height)) if keep_aspect_ratio else None
    if image.size == (width, height) and box is None:
        return image
    return image.resize((width, height), method, box)


def _contents(path: str | os.PathLike[str]) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _checked_size(size: Any) -> tuple[int, int]:
    try:
        height, width = (int(n) for n in size[:2])  # programs also give the whole shape, with channels
    except (TypeError, ValueError):
        height = width = 0
    if height < 1 or width < 1:
        raise ArgumentError(f"load_img() takes target_size=(height, width) in pixels. Received: {size!r}")
    return height, width


def _middle(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int, int, int]:
    """The largest box in the middle of `size` with the proportions of `target`, both (width, height)."""
    width = max(1, min(size[0], size[1] * target[0] // target[1]))
    height = max(1, min(size[1], size[0] * target[1] // target[0]))
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return left, top, left + width, top + height


@export("preprocessing.image.smart_resize")
def smart_resize(
    x: Any,
    size: tuple[int, int],
    interpolation: str = "bilinear",
    data_format: str = "channels_last",
    **kwargs: Any,
) -> Any:
    """Images of another size without distortion: the middle part with the proportions of `size`, resized.

    Args:
        x: one image or a batch, as an array or tensor.
        size: (height, width).
        interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5".
        data_format: "channels_last" or "channels_first".
        **kwargs: `backend_module`, accepted for compatibility.

    Returns:
        Floats, a NumPy array where `x` was one.

    >>> smart_resize(np.ones((4, 8, 3), "float32"), (2, 2)).shape
    (2, 2, 3)
    """
    from triceras import ops

    unknown = set(kwargs) - {"backend_module"}
    if unknown:
        raise ArgumentTypeError(f"smart_resize() got unknown arguments: {sorted(unknown)}")
    if len(size) != 2:
        raise ArgumentError(f"smart_resize() takes size=(height, width). Received: {size!r}")
    if len(getattr(x, "shape", ())) not in (3, 4):
        raise ShapeError(
            f"smart_resize() takes images of rank 3 or 4. Received shape {getattr(x, 'shape', None)}."
        )
    images = ops.cast(ops.convert_to_tensor(x), floatx())
    found = ops.image.resize(
        images, size, interpolation=interpolation, crop_to_aspect_ratio=True, data_format=data_format
    )
    return ops.convert_to_numpy(found) if isinstance(x, np.ndarray) else found
