"""Sets like MNIST: 60,000 + 10,000 gray images of 28x28 pixels in 10 classes, in one `.npz` or four files."""

from __future__ import annotations

import gzip
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triceras.core.errors import DataUnavailableError, FileFormatError
from triceras.datasets.source import checked

Bytes = NDArray[np.uint8]
Split = tuple[Bytes, Bytes]

SHAPES = {"x_train": (60000, 28, 28), "y_train": (60000,), "x_test": (10000, 28, 28), "y_test": (10000,)}
NAMES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
BROKEN = (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, ValueError, KeyError, MemoryError)


def read_npz(path: Path) -> tuple[Split, Split]:
    """The set from an `.npz` with x_train, y_train, x_test and y_test.

    Raises:
        FileFormatError: if it is broken or holds something else.
    """
    if not zipfile.is_zipfile(path):
        raise FileFormatError(f"{path} is broken: it is no .npz file. Delete it, or replace it.")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return _splits(
                {key: checked(arrays[key], SHAPES[key], f"{key} in {path}", _classes(key)) for key in SHAPES}
            )
    except FileFormatError:
        raise
    except BROKEN as error:
        raise FileFormatError(
            f"{path} is broken or no data set: {error}. Delete it, or replace it."
        ) from error


def idx_files(folder: Path) -> dict[str, Path]:
    """Those of the four idx files, packed or not, that lie in a folder."""
    found = {
        key: [path for end in (".gz", "") if (path := folder / (name + end)).is_file()]
        for key, name in NAMES.items()
    }
    return {key: paths[0] for key, paths in found.items() if paths}


def read_idx(files: dict[str, Path]) -> tuple[Split, Split]:
    """The set from its four idx files.

    Raises:
        DataUnavailableError: if one of them is missing.
        FileFormatError: if one is broken or holds something else.
    """
    if missing := [NAMES[key] for key in NAMES if key not in files]:
        folder = next(iter(files.values())).parent
        raise DataUnavailableError(
            f"{folder} holds only a part of the data set. Missing there: {', '.join(missing)}(.gz)."
        )
    return _splits({key: _read_one(files[key], SHAPES[key], _classes(key)) for key in NAMES})


def _read_one(path: Path, shape: tuple[int, ...], classes: int | None) -> Bytes:
    expected = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)  # 8: the code of unsigned bytes
    size = int(np.prod(shape))
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            header, body = file.read(len(expected)), file.read(size + 1)
    except BROKEN as error:
        raise FileFormatError(f"{path} is broken: {error}. Delete it, or replace it.") from error
    if header != expected or len(body) != size:
        raise FileFormatError(f"{path} isn't what it should be: an idx file of bytes of shape {shape}.")
    return checked(np.frombuffer(bytearray(body), np.uint8).reshape(shape), shape, str(path), classes)


def _classes(key: str) -> int | None:
    return 10 if key.startswith("y") else None


def _splits(arrays: dict[str, Bytes]) -> tuple[Split, Split]:
    return (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])
