"""Reading pictures: every mode as a person sees it, and everything that is no picture."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triceras.apps.images import MAX_PIXELS, ImageError, read_image

Image = pytest.importorskip("PIL.Image")

RAMP = np.linspace(0, 255, 24).astype("uint8").reshape(4, 6)
COLORS = np.stack([RAMP, 255 - RAMP, np.full_like(RAMP, 99)], axis=-1)


def encoded(image: Any, kind: str = "PNG", **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def on_white(alpha: int) -> np.ndarray:
    return np.round(COLORS * (alpha / 255) + 255 * (1 - alpha / 255))


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    back = {3: 2, 6: 1, 8: 3}[orientation]
    return encoded(Image.fromarray(np.rot90(COLORS, back)), exif=exif)


def translucent(alpha: int) -> Any:
    return Image.fromarray(np.concatenate([COLORS, np.full((4, 6, 1), alpha, "uint8")], axis=-1))


DEEP = RAMP.astype("uint16") * 257
SEEN: dict[str, tuple[Any, np.ndarray]] = {
    "gray": (encoded(Image.fromarray(RAMP)), RAMP),
    "colors": (encoded(Image.fromarray(COLORS)), COLORS),
    "bmp": (encoded(Image.fromarray(COLORS), "BMP"), COLORS),
    "webp": (encoded(Image.fromarray(COLORS), "WEBP", lossless=True), COLORS),
    "tiff": (encoded(Image.fromarray(COLORS), "TIFF"), COLORS),
    "palette": (encoded(Image.fromarray(COLORS).quantize(24)), COLORS),
    "one bit": (encoded(Image.fromarray(RAMP > 99)), (RAMP > 99) * 255),
    "16 bits": (encoded(Image.fromarray(DEEP)), RAMP),
    "12 of 16 bits": (encoded(Image.fromarray(DEEP // 16)), RAMP // 16),
    "32 bits": (encoded(Image.fromarray(DEEP.astype("int32")), "TIFF"), RAMP),
    "floats": (encoded(Image.fromarray((RAMP / 255).astype("float32")), "TIFF"), RAMP),
    "half transparent": (encoded(translucent(128)), on_white(128)),
    "transparent": (encoded(translucent(0)), on_white(0)),
    "cmyk": (encoded(Image.fromarray(COLORS).convert("CMYK"), "TIFF"), COLORS),
    "upside down": (turned(3), COLORS),
    "on its side": (turned(6), COLORS),
    "on its other side": (turned(8), COLORS),
    "animation": (
        encoded(Image.fromarray(RAMP), "GIF", save_all=True, append_images=[Image.fromarray(255 - RAMP)]),
        RAMP,
    ),
    "array": (RAMP[..., None].astype("float64"), RAMP),
    "booleans": (RAMP > 99, (RAMP > 99) * 255),
    "pillow": (Image.fromarray(COLORS), COLORS),
}  # fmt: skip


@pytest.mark.parametrize("kind", SEEN)
def test_what_is_seen(kind: str) -> None:
    source, expected = SEEN[kind]
    found = np.asarray(read_image(source)).astype(int)
    if found.ndim == 3 and expected.ndim == 2:
        assert (np.ptp(found, axis=-1) == 0).all()
        found = found[..., 0]
    np.testing.assert_allclose(found, expected, atol=1)


def bomb(side: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(99)))


JPEG = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), "uint8")), "JPEG")
REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "text": (b"hello" * 99, "is no picture that can be read (of no known kind)"),
    "cut off": (JPEG[: len(JPEG) // 2], "is broken or cut off"),
    "head only": (JPEG[:24], "is no picture"),
    "bomb": (bomb(100_000), f"is too large: more than {MAX_PIXELS:,} pixels"),
    "too large": (bomb(10_000), f"is too large: 10,000 x 10,000 pixels, of at most {MAX_PIXELS:,} in all"),
    "nearly too large, and broken": (bomb(8_900), "is broken or cut off"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no picture"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused(kind: str, tmp_path: Path) -> None:
    data, message = REFUSED[kind]
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert str(caught.value).startswith(str(path)) and message in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
    with pytest.raises(ImageError, match=r"^Your picture"):
        read_image(data, "Your picture")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nothing.png", "nothing.png: there is no such file."),
        (".", "is a folder"),
        ("a\0b", "no such file|can't be read"),
        (np.zeros((3, 4, 5)), "must have the shape"),
        (np.zeros(3), "must have the shape"),
        (np.full((2, 2), np.nan), "must hold values from 0 to 255"),
        (np.full((2, 2), 256), "must hold values from 0 to 255"),
        (np.zeros((0, 4)), "has no pixels"),
        (np.array([["a"]]), "hold numbers"),
    ],
)
def test_mistakes(source: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        read_image(source)
