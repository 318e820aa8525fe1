"""Image files as pixels of one size, kept in memory where they fit."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triceras.core.errors import ArgumentError, FileFormatError, require
from triceras.engine import selection
from triceras.preprocessing import opencv
from triceras.utils.images import COLOR_MODES

CACHE_BYTES = 2 << 30  # of decoded images that are kept by default
INTERPOLATIONS = (
    "bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic"
)  # fmt: skip


@dataclass(frozen=True)
class Reader:
    """Reads image files as uint8 pixels of shape (height, width, channels).

    A JPEG at least twice as large as needed is decoded at a half, a quarter or an eighth of its size, which
    takes less time and averages pixels instead of leaving some out.

    Args:
        size: height and width.
        color_mode: "grayscale", "rgb" or "rgba".
        interpolation: one of `INTERPOLATIONS`.
        crop: whether to cut images to the proportions of `size` first.
        pad: whether to extend images by black to the proportions of `size` first.
    """

    size: tuple[int, int]
    color_mode: str = "rgb"
    interpolation: str = "bilinear"
    crop: bool = False
    pad: bool = False

    def __post_init__(self) -> None:
        _pillow().preinit()  # where it is missing, say so before any file is read
        opencv.library()
        size = self.size
        if not isinstance(size, (tuple, list)) or len(size) != 2 or not all(int(n) == n > 0 for n in size):
            raise ArgumentError(f"`image_size` must be (height, width), two integers. Received: {size!r}")
        if self.color_mode not in COLOR_MODES:
            modes = tuple(COLOR_MODES)
            raise ArgumentError(f"`color_mode` must be one of {modes}. Received: {self.color_mode!r}")
        if self.interpolation not in INTERPOLATIONS:
            raise ArgumentError(
                f"`interpolation` must be one of {INTERPOLATIONS}. Received: {self.interpolation!r}"
            )
        if self.crop and self.pad:
            raise ArgumentError(
                "Images can be cropped or padded to the aspect ratio, not both. Pass one of "
                "`crop_to_aspect_ratio` and `pad_to_aspect_ratio`."
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of each image."""
        return int(self.size[0]), int(self.size[1]), len(COLOR_MODES[self.color_mode])

    def __call__(self, path: str) -> NDArray[np.uint8]:
        """The pixels of a file.

        Raises:
            FileFormatError: it holds no image, or a broken one.
        """
        with open(path, "rb") as file:
            contents = file.read()
        try:
            pixels = None if self._reduces(contents) else opencv.decode(contents, self.color_mode)
            if pixels is not None and pixels.shape[:2] == tuple(self.size):
                return pixels.reshape(self.shape)
            if pixels is not None:
                return self._pixels(_pillow().fromarray(pixels))
            return self._pixels(_pillow().open(BytesIO(contents)))
        except (ArgumentError, ImportError):
            raise
        except Exception as error:  # Pillow's decoders raise whatever a broken file leads to
            raise FileFormatError(f"{path!r} isn't an image that Pillow can read: {error}") from error

    def _reduces(self, contents: bytes) -> bool:
        """Whether the file is a JPEG that is decoded at a fraction of its size, as Pillow does it."""
        size = opencv.size_of_jpeg(contents) if contents[:2] == b"\xff\xd8" else None
        return size is not None and size[0] >= 2 * self.size[0] and size[1] >= 2 * self.size[1]

    def _pixels(self, image: Any) -> NDArray[np.uint8]:
        mode, (height, width, channels) = COLOR_MODES[self.color_mode], self.shape
        image.draft(mode, (width, height))  # which does nothing but for JPEGs
        image = _in_mode(image, mode)
        if self.crop or self.pad:
            image = self._proportional(image)
        if image.size != (width, height):
            resampling = _pillow().Resampling
            if self.interpolation == "nearest":
                scale = (image.width / width, 0, 0, 0, image.height / height, 0)
                affine = _pillow().Transform.AFFINE
                image = image.transform((width, height), affine, scale, resampling.NEAREST)
            elif self.interpolation == "bilinear" and image.width <= width and image.height <= height:
                # (what gets smaller would be averaged, unlike the reference's)
                image = image.resize((width, height), resampling.BILINEAR)
            else:
                return self._weighted(np.asarray(image)).reshape(self.shape)
        return np.asarray(image).reshape(height, width, channels)

    def _proportional(self, image: Any) -> Any:
        (width, height), (rows, columns) = image.size, self.size
        wide, high = int(height * columns / rows), int(width * rows / columns)
        if self.crop:
            wide, high = max(min(width, wide), 1), max(min(height, high), 1)
            left, top = (width - wide) // 2, (height - high) // 2
            return image if (wide, high) == image.size else image.crop((left, top, left + wide, top + high))
        left, top = (max(width, wide) - width) // 2, (max(height, high) - height) // 2
        return image.crop((-left, -top, width + left, height + top)) if left or top else image

    def _weighted(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Every pixel a weighted mean of rows, then of columns."""
        x: NDArray[Any] = pixels
        for axis, count in enumerate(self.size):
            if self.interpolation == "bilinear":
                low, high, part = _between(x.shape[axis], count)
                part = part.reshape(-1, *[1] * (x.ndim - 1 - axis))
                below = np.take(x, low, axis).astype("float32")
                x = below + (np.take(x, high, axis) - below) * part
            else:
                weights = _weights(x.shape[axis], count, self.interpolation)
                x = np.moveaxis(np.tensordot(weights, x.astype("float32"), axes=(1, axis)), 0, axis)
        return np.rint(x).clip(0, 255).astype("uint8")


@cache
def _pillow() -> Any:
    return require("PIL.Image", "vision", "Reading images")


def _in_mode(image: Any, mode: str) -> Any:
    """An image of 8 bits a channel in one of three modes."""
    if image.mode == mode:
        image.load()
        return image
    if image.mode.startswith("I"):  # 16 bits
        deep = np.asarray(image)
        image = _pillow().fromarray((deep >> 8 if deep.max() > 255 else deep).astype("uint8"))
    elif image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image if image.mode == mode else image.convert(mode)


def _mitchell(distance: NDArray[Any]) -> NDArray[Any]:
    """The cubic of Mitchell and Netravali, 1988, with B = C = 1/3."""
    near = (7 / 6 * distance - 2) * distance**2 + 8 / 9
    far = ((-7 / 18 * distance + 2) * distance - 10 / 3) * distance + 16 / 9
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))


def _gaussian(distance: NDArray[Any]) -> NDArray[Any]:
    return np.where(distance < 1.5, np.exp(-(distance**2) / (2 * 0.5**2)), 0)


@lru_cache(64)
def _between(size: int, count: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float32]]:
    """The two of `size` places that each of `count` lies between, and how far it is from the first."""
    places = np.clip((np.arange(count) + 0.5) * (size / count) - 0.5, 0, size - 1)
    low = np.floor(places).astype(np.intp)
    return low, np.minimum(low + 1, size - 1), (places - low).astype("float32")


@lru_cache(64)
def _weights(size: int, count: int, method: str) -> NDArray[np.float32]:
    """The weight of each of `size` places in each of `count`, of shape (count, size)."""
    edges = np.arange(count + 1) * (size / count)
    if method == "area":  # how much of each place lies in the new one
        cells = np.arange(size)
        shares = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
        return (np.maximum(shares, 0) * (count / size)).astype("float32")
    if method in ("gaussian", "mitchellcubic"):
        centres = (edges[1:] + edges[:-1]) / 2
        distance = np.abs(centres[:, None] - (np.arange(size) + 0.5))
        shares = (_gaussian if method == "gaussian" else _mitchell)(distance)
        return (shares / shares.sum(axis=1, keepdims=True)).astype("float32")
    from triceras.ops.image import scale_and_translate

    with selection.running(selection.get("numpy")):
        unit = np.eye(size, dtype="float32")
        return np.asarray(
            scale_and_translate(unit, (count, size), [count / size], [0.0], (0,), method, antialias=False)
        )


class Pixels:
    """Decoded images by number. All are kept where they fit into `limit` bytes, so that each is decoded once.

    Args:
        count: how many there are.
        shape: of each image.
        read: gives the uint8 pixels of a number.
        limit: bytes that may be kept.
    """

    def __init__(
        self, count: int, shape: tuple[int, ...], read: Callable[[int], NDArray[np.uint8]], limit: int
    ) -> None:
        self.shape, self._read, self._count = shape, read, count
        self._kept: NDArray[np.uint8] | None = None
        self._have = np.zeros(count, bool)
        self._fits = count * math.prod(shape) <= limit
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """For worker processes, which keep nothing."""
        state = {k: v for k, v in self.__dict__.items() if k != "_lock"}
        return state | {"_kept": None, "_have": np.zeros(self._count, bool), "_fits": False}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state | {"_lock": threading.Lock()}

    def _room(self) -> NDArray[np.uint8]:
        with self._lock:
            if self._kept is None:
                self._kept = np.empty((self._count, *self.shape), np.uint8)
            return self._kept

    def __getitem__(self, rows: NDArray[Any]) -> NDArray[np.uint8]:
        if not self._fits:
            found = np.empty((len(rows), *self.shape), np.uint8)
            for place, row in enumerate(rows.tolist()):
                found[place] = self._read(row)
            return found
        room = self._room()
        for row in rows[~self._have[rows]].tolist():
            room[row] = self._read(row)
            self._have[row] = True
        return room[rows]

    def store(self, rows: NDArray[Any], pixels: NDArray[np.uint8]) -> None:
        """Keep what was decoded elsewhere."""
        if self._fits:
            self._room()[rows] = pixels
            self._have[rows] = True

    @property
    def all(self) -> NDArray[np.uint8] | None:
        """Every image, once all are kept."""
        return self._kept if self._kept is not None and self._have.all() else None
