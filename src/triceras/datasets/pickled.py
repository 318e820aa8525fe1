"""Pickles in published data sets, read without running any: lists, dicts, strings, numbers, and arrays of these."""

from __future__ import annotations

import io
import pickle
import zipfile
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triceras.core.errors import FileFormatError
from triceras.datasets.idx import BROKEN

LARGEST = 1 << 30  # bytes that an array of lists may unpack to
ARRAY_PARTS = {
    (f"numpy{core}", name)
    for core in (".core.multiarray", "._core.multiarray", "")
    for name in ("_reconstruct", "ndarray", "dtype")
}


class BatchReader(pickle.Unpickler):
    """An unpickler that makes lists, dicts, strings, numbers and `Pickled` arrays, and refuses all else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in ARRAY_PARTS:
            return Pickled
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a data set")


class ArrayReader(BatchReader):
    """The same for what NumPy has pickled in whatever protocol."""

    def find_class(self, module: str, name: str) -> Any:
        # bytes in an old protocol
        return _encoded if (module, name) == ("_codecs", "encode") else super().find_class(module, name)


def _encoded(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"text in {encoding!r} has no place in a data set")
    return text.encode("latin-1")


class Pickled:
    """Stands for an array, or its dtype, while a pickle is read: keeps what the file says and runs nothing."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def as_bytes(self) -> NDArray[np.uint8]:
        """The array, which must be one of unsigned bytes."""
        _, shape, dtype, fortran, content = self.state
        if dtype.arguments[0] not in (b"u1", "u1"):
            raise pickle.UnpicklingError(f"its array holds {dtype.arguments[0]!r} instead of unsigned bytes")
        return np.frombuffer(content, np.uint8).reshape(shape, order="F" if fortran else "C")

    def as_lists(self) -> list[list[int]]:
        """The array, which must be a vector of lists of integers."""
        _, shape, _, _, content = self.state
        if not isinstance(content, list) or tuple(shape) != (len(content),):
            raise pickle.UnpicklingError("it isn't a vector of lists")
        if not all(type(row) is list for row in content) or {*map(type, chain.from_iterable(content))} - {
            int
        }:
            raise pickle.UnpicklingError("it holds something else than lists of integers")
        return content


def read_npz(path: Path, lists: tuple[str, ...], arrays: tuple[str, ...]) -> dict[str, Any]:
    """What an `.npz` holds: vectors of lists of integers, and arrays of numbers, by their names.

    Raises:
        FileFormatError: if it is broken or holds something else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found: dict[str, Any] = {name: _lists(archive, f"{name}.npy") for name in lists}
        with np.load(path, allow_pickle=False) as stored:
            found |= {name: stored[name] for name in arrays}
    except (*BROKEN, pickle.UnpicklingError, TypeError, AttributeError, IndexError) as error:
        raise FileFormatError(
            f"{path} is broken or no data set: {error}. Delete it, or replace it."
        ) from error
    wrong = {name: found[name].dtype.name for name in arrays if found[name].dtype.kind not in "iuf"}
    if wrong:
        raise FileFormatError(f"{path} isn't what it should be. Expected numbers; received {wrong}.")
    return found


def _lists(archive: zipfile.ZipFile, name: str) -> list[list[int]]:
    if archive.getinfo(name).file_size > LARGEST:
        raise ValueError(f"{name} would unpack to {archive.getinfo(name).file_size:,} bytes")
    content = io.BytesIO(archive.read(name))
    version = np.lib.format.read_magic(content)
    header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if not header[version](content)[2].hasobject:
        raise ValueError(f"{name} holds no lists")
    array = ArrayReader(content).load()
    if not isinstance(array, Pickled):
        raise ValueError(f"{name} holds no array")
    return array.as_lists()
