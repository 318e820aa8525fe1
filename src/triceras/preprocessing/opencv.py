"""Whole JPEG and PNG files decoded by OpenCV, where it is installed: Pillow's pixels in half of the time."""

from __future__ import annotations

import zlib
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_PIXELS = 64 << 20  # larger images are Pillow's, which has a limit against bombs


@cache
def library() -> Any:
    """OpenCV, or None."""
    try:
        import cv2
    except ImportError:
        return None
    return cv2 if hasattr(cv2, "IMREAD_COLOR_RGB") else None


def decode(contents: bytes, color_mode: str) -> NDArray[np.uint8] | None:
    """Pixels (height, width) or (height, width, 3); None where Pillow should have a look.

    Only files are decoded that are whole, of 8 bits a channel, and whose colours need no interpretation, for
    OpenCV would also return a part of a broken image.
    """
    cv2 = library()
    if cv2 is None or color_mode == "rgba":
        return None
    found = _jpeg(contents) if contents[:2] == b"\xff\xd8" else _png(contents, color_mode)
    if not found or not 0 < found[0] * found[1] <= MOST_PIXELS:
        return None
    how = cv2.IMREAD_COLOR_RGB if color_mode == "rgb" else cv2.IMREAD_GRAYSCALE
    pixels = cv2.imdecode(np.frombuffer(contents, np.uint8), how | cv2.IMREAD_IGNORE_ORIENTATION)
    return pixels if pixels is not None and pixels.dtype == np.uint8 else None


def size_of_jpeg(contents: bytes) -> tuple[int, int] | None:
    """Height and width of a JPEG with one or three colours, from its frame header."""
    place = 2
    while place + 9 < len(contents) and contents[place] == 0xFF:
        marker = contents[place + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height = int.from_bytes(contents[place + 5 : place + 7], "big")
            width = int.from_bytes(contents[place + 7 : place + 9], "big")
            return (height, width) if contents[place + 9] in (1, 3) else None
        place += 2 + int.from_bytes(contents[place + 2 : place + 4], "big")
    return None


def _jpeg(contents: bytes) -> tuple[int, int] | None:
    return size_of_jpeg(contents) if contents.endswith(b"\xff\xd9") else None


def _png(contents: bytes, color_mode: str) -> tuple[int, int] | None:
    """Height and width of a PNG of 8 bits, gray or RGB (or RGBA for "rgb"), all of whose chunks are sound."""
    colors = (0, 2, 6) if color_mode == "rgb" else (0,)
    plain = contents[:8] == b"\x89PNG\r\n\x1a\n" and contents[24:25] == b"\x08" and contents[25] in colors
    place = 8
    while plain and place + 12 <= len(contents):
        length = int.from_bytes(contents[place : place + 4], "big")
        end = place + 8 + length
        if contents[end : end + 4] != zlib.crc32(contents[place + 4 : end]).to_bytes(4, "big"):
            return None
        kind = contents[place + 4 : place + 8]
        if kind == b"IEND":
            return int.from_bytes(contents[20:24], "big"), int.from_bytes(contents[16:20], "big")
        if kind == b"tRNS":
            return None
        place = end + 4
    return None
