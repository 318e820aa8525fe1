"""Where a data set's files come from: the folder named by `TRICERAS_DATA`, the caches, the network.

What lies in `TRICERAS_DATA` was put there by hand, in any of the usual layouts: it is taken as it is, and its
content checked. The caches hold files as their authors published them, known by their hash.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triceras.core import config
from triceras.core.errors import ArgumentError, DataUnavailableError, FileFormatError
from triceras.utils.files import HASH_LENGTHS, fetch, has_hash

VARIABLE = "TRICERAS_DATA"


@dataclass(frozen=True)
class Published:
    """A file as its authors publish it."""

    name: str  # below a cache folder
    url: str
    sha256: str  # of some only the md5 hash is known
    also: str | None = None  # its name in a cache of the reference, where that differs

    @property
    def algorithm(self) -> str:
        """That of the hash, by its length."""
        return next(name for name, length in HASH_LENGTHS.items() if length == len(self.sha256))

    def is_at(self, path: Path) -> bool:
        """Whether a path is that of this file."""
        return path.is_file() and has_hash(path, self.sha256, self.algorithm)


def data_folder() -> Path | None:
    """The folder named by `TRICERAS_DATA`, or None.

    Raises:
        DataUnavailableError: if the variable names no folder.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise DataUnavailableError(
            f"{VARIABLE} is set to {named!r}, which is no folder. Correct it or unset it."
        )
    return folder


def by_hand(places: Sequence[str]) -> Path | None:
    """The first of these places that exists below the data folder."""
    folder = data_folder()
    return next((folder / place for place in places if (folder / place).exists()), None) if folder else None


def places_of(path: str, name: str) -> tuple[str, str]:
    """Where the file of a data set may lie below the data folder.

    Args:
        path: its name, which the user may choose.
        name: of the data set.

    Raises:
        ArgumentError: `path` is no plain file name.
    """
    if not isinstance(path, str) or path in ("", ".", "..") or os.path.basename(path) != path:
        raise ArgumentError(
            f"{name}: the loader takes a plain file name as `path`. Received: {path!r}. "
            f"To read a file of yours, name its folder in the environment variable {VARIABLE}."
        )
    return path, f"{name}/{path}"


def found(file: Published, name: str) -> Path:
    """The path of a data set's only file: from the data folder, a cache, or downloaded."""
    places = places_of(file.name, name)
    return by_hand(places) or obtain([file], places)[0]


def obtain(files: Sequence[Published], places: Sequence[str]) -> list[Path]:
    """The paths of published files: from a cache, else downloaded there.

    Args:
        files: what to look for.
        places: where the data folder was searched in vain, for the message.

    Raises:
        DataUnavailableError: if one isn't there and can't be downloaded or written.
    """
    found = {file: next(filter(file.is_at, _cached(file)), None) for file in files}
    try:
        for file in files:
            if found[file] is None:
                fetch(file.url, _target(file), file_hash=file.sha256, algorithm=file.algorithm)
                found[file] = _target(file)
    except (OSError, FileFormatError) as error:
        missing = [file for file in files if found[file] is None]
        raise DataUnavailableError(_unavailable(missing, places, error)) from error
    return [path for path in found.values() if path]


def _target(file: Published) -> Path:
    return config.home() / "datasets" / file.name


def _folders() -> list[Path]:
    return list(dict.fromkeys([config.home() / "datasets", Path.home() / ".keras" / "datasets"]))


def _names(file: Published) -> list[str]:
    return [file.name, file.also] if file.also else [file.name]


def _cached(file: Published) -> list[Path]:
    return [folder / name for folder in _folders() for name in _names(file)]


def _unavailable(missing: Sequence[Published], places: Sequence[str], error: Exception) -> str:
    folder = data_folder()
    names = ", ".join(name for file in missing for name in _names(file))
    damaged = [path for file in missing for path in _cached(file) if path.is_file()]
    lines = [
        f"{', '.join(file.name for file in missing)}: not found, and not to be had from the network. {error}",
        "Looked in:",
        f"  {folder}, for {', '.join(places)}" if folder else f"  the folder that {VARIABLE} names: not set",
        *(f"  {folder}, for {names}" for folder in _folders()),
        *(f"  {path} is damaged (another hash)" for path in damaged),
        f"To place it by hand, download it as said below, or set {VARIABLE} to a folder with {places[0]}:",
        *(f"  {file.url}\n    to {_target(file)}" for file in missing),
    ]
    return "\n".join(lines)


def checked(
    array: object, shape: tuple[int, ...], origin: str, classes: int | None = None
) -> NDArray[np.uint8]:
    """Bytes of exactly this shape, or with `classes` labels below that, else an error that names the file."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iu" or array.shape != shape:
        found = f"{array.dtype}{array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise FileFormatError(
            f"{origin} isn't what it should be. Expected integers of shape {shape}; received {found}."
        )
    low, high, top = int(array.min()), int(array.max()), (classes or 256) - 1
    if low < 0 or high > top:
        raise FileFormatError(
            f"{origin} isn't what it should be. Expected values from 0 to {top}; received {low} to {high}."
        )
    return array.astype(np.uint8, copy=False)
