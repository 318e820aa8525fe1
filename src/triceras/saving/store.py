"""Weights files (HDF5), written plainly and read with distrust."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import h5py
import ml_dtypes
import numpy as np

from triceras.core.errors import FileFormatError

MOST_OBJECTS, DEEPEST = 200_000, 64
SMALL = 64 << 20  # bytes that a file may always declare; more only in proportion to its own size
MOST_RATIO, MOST_PACKING = 100, 2000
FILTERS = {1, 2, 3}  # deflate, shuffle, checksum; others would be looked for on the reader's disk


class Group(Mapping[str, np.ndarray]):
    """The numbered arrays of one layer, as `save_own_variables` and `load_own_variables` see them."""

    def __init__(self, group: h5py.Group | None) -> None:
        self._group = group

    def __setitem__(self, key: str, value: Any) -> None:
        array = np.asarray(value)
        if array.dtype == ml_dtypes.bfloat16:  # HDF5 has no such type: the bytes, and a note
            dataset = self._group.create_dataset(key, data=array.view("V2"))
            dataset.attrs["dtype"] = "bfloat16"
        else:
            self._group.create_dataset(key, data=array)

    def __getitem__(self, key: str) -> np.ndarray:
        if self._group is None or key not in self._group:
            raise KeyError(key)
        try:
            array = np.asarray(self._group[key])
        except (OSError, RuntimeError, ValueError) as error:
            raise FileFormatError(
                f"The array {self._group.name}/{key} can't be read, the file is damaged: {error}"
            ) from error
        return array.view(ml_dtypes.bfloat16) if array.dtype.kind == "V" else array

    def __len__(self) -> int:
        return 0 if self._group is None else len(self._group)

    def __iter__(self) -> Iterator[str]:
        return iter(self._group or ())


class Writer:
    """A new weights file."""

    def __init__(self, file: str | Path | IO[bytes]) -> None:
        self._file = h5py.File(file, "w")

    def make(self, path: str, name: str | None = None) -> Group:
        """The place for the arrays of the layer at a path."""
        group = self._file.require_group(f"{path}/vars" if path else "vars")
        if name is not None:
            group.attrs["name"] = name
        return Group(group)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        try:
            self._file.close()
        except RuntimeError as error:  # how HDF5 reports a full disk
            if kind is None:
                raise OSError(str(error)) from error


class Reader:
    """An existing weights file, checked as a whole before anything of it is used.

    Only plain groups and numeric arrays stored in the file itself pass: no links, no external or virtual
    storage, no array that declares more than is stored.

    Raises:
        FileFormatError: naming what is wrong.
    """

    def __init__(self, file: IO[bytes], what: str) -> None:
        self.what = what
        file.seek(0, 2)
        size = file.tell()
        file.seek(0)
        try:
            self._file = h5py.File(file, "r")
            try:
                self.arrays = self._check(size)
            except BaseException:
                self._file.close()
                raise
        except FileFormatError:
            raise
        except Exception as error:  # h5py reports damage by many kinds of error
            raise FileFormatError(
                f"{what} can't be read: it is truncated, damaged or no HDF5 file. ({error})"
            ) from error

    def _check(self, size: int) -> dict[str, tuple[int, ...]]:
        """Shapes of all arrays by path."""
        found: dict[str, tuple[int, ...]] = {}
        waiting = [("", self._file, 0)]
        seen: set[Any] = set()
        declared = 0
        while waiting:
            path, group, depth = waiting.pop()
            address = h5py.h5o.get_info(group.id).addr
            if address in seen or depth > DEEPEST or len(seen) > MOST_OBJECTS:
                raise FileFormatError(
                    f"{self.what} is refused: its groups are nested in a circle, too deeply or too many."
                )
            seen.add(address)
            for name in group:
                inner = f"{path}/{name}" if path else name
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise FileFormatError(
                        f"{self.what} is refused: {inner!r} is a link to another place or file."
                    )
                item = group[name]
                if isinstance(item, h5py.Group):
                    waiting.append((inner, item, depth + 1))
                elif isinstance(item, h5py.Dataset):
                    declared += self._check_array(inner, item)
                    found[inner] = tuple(item.shape or ())
                else:
                    raise FileFormatError(
                        f"{self.what} is refused: {inner!r} is neither a group nor an array."
                    )
        if declared > max(SMALL, MOST_RATIO * size):
            raise FileFormatError(
                f"{self.what} is refused: it declares {declared:,} bytes of arrays in {size:,} bytes of file."
            )
        return found

    def _check_array(self, path: str, item: h5py.Dataset) -> int:
        if item.external or item.is_virtual:
            raise FileFormatError(f"{self.what} is refused: the array {path!r} lies in another file.")
        if item.dtype.kind not in "fiub" and not (item.dtype.kind == "V" and item.dtype.itemsize == 2):
            raise FileFormatError(
                f"{self.what} is refused: the array {path!r} holds {item.dtype}, not numbers."
            )
        filters = item.id.get_create_plist()
        if any(filters.get_filter(i)[0] not in FILTERS for i in range(filters.get_nfilters())):
            raise FileFormatError(
                f"{self.what} is refused: the array {path!r} is compressed in a way that isn't read."
            )
        declared, stored = math.prod(item.shape or ()) * item.dtype.itemsize, item.id.get_storage_size()
        if stored < declared and (item.chunks is None or stored * MOST_PACKING < declared):
            raise FileFormatError(
                f"{self.what} is refused: the array {path!r} declares {declared:,} bytes "
                f"and stores {stored:,}."
            )
        return declared

    @property
    def numbers(self) -> int:
        """How many numbers all arrays hold."""
        return sum(map(math.prod, self.arrays.values()))

    def get(self, path: str) -> Group:
        """The arrays of the layer at a path; empty if there are none."""
        full = f"{path}/vars" if path else "vars"
        return Group(self._file.get(full))

    def array(self, path: str) -> np.ndarray:
        """The array at a path."""
        group, _, name = path.rpartition("/")
        return Group(self._file[group or "/"])[name]

    def text(self, group: str, name: str) -> str | None:
        """A text beside a group; None if there is none."""
        found = self._attribute(group, name)
        return None if found is None or len(found) != 1 else found[0]

    def texts(self, group: str, name: str) -> list[str] | None:
        """A list of texts beside a group; None if there is none. Long ones are cut into numbered parts."""
        whole = self._attribute(group, name)
        if whole is not None:
            return whole
        found: list[str] = []
        for number in range(MOST_OBJECTS):
            part = self._attribute(group, f"{name}{number}")
            if part is None:
                return found if number else None
            found += part
        raise FileFormatError(f"{self.what} is refused: the list {name!r} has too many parts.")

    def _attribute(self, group: str, name: str) -> list[str] | None:
        owner = self._file.get(group or "/")
        if not isinstance(owner, h5py.Group) or name not in owner.attrs:
            return None
        attribute = owner.attrs.get_id(name)
        count = math.prod(attribute.shape or ())
        if count == 0:
            return []
        if (
            h5py.check_string_dtype(attribute.dtype) is None
            or count > MOST_OBJECTS
            or attribute.get_storage_size() > SMALL
        ):
            raise FileFormatError(f"{self.what} is refused: the attribute {name!r} isn't text, or too large.")
        try:
            values = np.asarray(owner.attrs[name], dtype=object).reshape(-1)
            return [v.decode("utf-8") if isinstance(v, bytes) else str(v) for v in values]
        except (OSError, RuntimeError, ValueError) as error:
            raise FileFormatError(
                f"The attribute {name!r} of {self.what} can't be read, the file is damaged: {error}"
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
