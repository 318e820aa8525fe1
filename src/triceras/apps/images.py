"""Image files from anywhere, read safely: what a picture shows, as a person sees it."""

from __future__ import annotations

import os
import threading
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from triceras.core.errors import FileFormatError, require

MAX_PIXELS = 80_000_000  # of a picture; checked before any are decoded
MAX_BYTES = 200_000_000  # of a file
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "AVIF")  # none runs other programs
SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".avif")
_opening = threading.Lock()  # filters of warnings belong to the process


def is_picture(name: str) -> bool:
    """Whether a file is called like a picture, and isn't hidden."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def pictures_below(folder: Path) -> list[Path]:
    """Files in a folder, however deep, that are called like pictures; hidden files and folders are left out."""
    found = []
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(root, name) for name in sorted(files) if is_picture(name)]
    return found


class ImageError(FileFormatError):
    """A picture can't be read, or is none; names it and says why."""


def read_image(source: Any, name: str | None = None) -> Any:
    """A picture in the mode "L" or "RGB": upright, its first frame, on white where it is transparent.

    Args:
        source: a path, the bytes of a file, a Pillow image, or an array of values from 0 to 255 and of the
            shape (h, w), (h, w, 1), (h, w, 3) or (h, w, 4).
        name: what messages call it; the path if not given.

    Returns:
        A Pillow image.

    Raises:
        ImageError: it is missing, a folder, empty, broken, too large, or no picture.

    >>> read_image(np.zeros((2, 3))).size
    (3, 2)
    """
    require("PIL.Image", "vision", "Reading pictures")
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        name = name or str(path)
        source = _contents(path, name)
    name = name or "The picture"
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _decoded(bytes(source), name)
    if hasattr(source, "getbands"):
        return _plain(source, name)
    return _from_array(np.asarray(source), name)


def _contents(path: Path, name: str) -> bytes:
    try:
        if path.is_dir():
            raise ImageError(f"{name} is a folder, not a picture.")
        if not path.exists():
            raise ImageError(f"{name}: there is no such file.")
        if path.stat().st_size > MAX_BYTES:
            raise ImageError(f"{name} is too large: {path.stat().st_size:,} bytes, of at most {MAX_BYTES:,}.")
        with path.open("rb") as file:
            # the size of a pipe isn't known before
            return file.read(MAX_BYTES + 1)
    except ImageError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise ImageError(f"{name} can't be read: {error}.") from None


def _decoded(data: bytes, name: str) -> Any:
    from PIL import Image

    if not data:
        raise ImageError(f"{name} is empty.")
    if len(data) > MAX_BYTES:
        raise ImageError(f"{name} is too large: {len(data):,} bytes, of at most {MAX_BYTES:,}.")
    try:
        with _opening, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Image.init()
            known = [name for name in FORMATS if name in Image.OPEN]
            image = Image.open(BytesIO(data), formats=known)  # reads the head only
    except Image.DecompressionBombError:
        raise ImageError(f"{name} is too large: more than {MAX_PIXELS:,} pixels.") from None
    except Exception as error:  # decoders raise all kinds for broken heads
        raise ImageError(f"{name} is no picture that can be read ({_first_words(error)}).") from None
    return _plain(image, name)


def _plain(image: Any, name: str) -> Any:
    """Turned upright, on white, 8 bits, gray or RGB."""
    from PIL import Image, ImageOps

    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{name} is too large: {width:,} x {height:,} pixels, of at most {MAX_PIXELS:,} in all."
        )
    if not width * height:
        raise ImageError(f"{name} has no pixels.")
    try:
        image.load()
    except Exception as error:
        raise ImageError(f"{name} is broken or cut off ({_first_words(error)}).") from None
    try:
        image = ImageOps.exif_transpose(image)
    except Exception:  # what the camera noted is broken; the picture isn't
        pass
    if image.mode[0] in "IF":  # 16 or 32 bits, floats
        return Image.fromarray(_eight_bits(np.asarray(image)))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB")


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Gray of 16 or 32 bits or of floats, from the narrowest usual range that holds it."""
    values = np.nan_to_num(values, posinf=0, neginf=0)
    most = values.max()
    narrowest = {"u": 65535, "f": 1.0}.get(values.dtype.kind, 255)
    top = next((t for t in (narrowest, 255, 65535) if t >= max(most, narrowest)), most)
    return np.clip(np.round(values.astype("float64") * (255 / top)), 0, 255).astype("uint8")


def _from_array(array: np.ndarray, name: str) -> Any:
    from PIL import Image

    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    shape = array.shape
    if not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))) or array.dtype.kind not in "biuf":
        raise ImageError(
            f"{name} must have the shape (height, width), or 1, 3 or 4 channels after these, and hold "
            f"numbers. Received shape {shape} of {array.dtype}."
        )
    if array.size and not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 255):
        raise ImageError(f"{name} must hold values from 0 to 255. Received {array.min()} to {array.max()}.")
    array = array * np.uint8(255) if array.dtype == bool else np.round(array)
    if not array.size:
        raise ImageError(f"{name} has no pixels.")
    return _plain(Image.fromarray(array.astype("uint8")), name)


def _first_words(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return "of no known kind" if text.startswith("cannot identify") else text[:120].rstrip(".")
