"""What CIFAR-10 and CIFAR-100 share: 32x32 colour images in Python 2 pickles, read without running any."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triceras.core.config import image_data_format
from triceras.core.errors import DataUnavailableError, FileFormatError
from triceras.datasets.pickled import BatchReader
from triceras.datasets.source import Published, by_hand, checked, obtain
from triceras.utils.files import BROKEN_ARCHIVE, tar_members

PIXELS = 3 * 32 * 32
Split = tuple[NDArray[np.uint8], NDArray[Any]]


@dataclass(frozen=True)
class Cifar:
    """The layout of one of the two sets."""

    short: str  # cifar10 or cifar100
    folder: str  # in the archive
    file: Published
    train: Mapping[str, int]  # batch: number of images
    test: Mapping[str, int]

    def load(self, label_key: str, classes: int) -> tuple[Split, Split]:
        """Find the set and read it, with the labels that stand under `label_key`."""
        names = (self.folder, f"{self.folder}.tar.gz", self.file.name)
        places = [f"{below}{name}" for below in ("", self.short + "/") for name in dict.fromkeys(names)]
        path = by_hand(places) or obtain([self.file], places)[0]
        counts = {**self.train, **self.test}
        batches = {
            name: _read_batch(content, f"{name} in {path}", label_key, classes, counts[name])
            for name, content in _contents(path, self.folder, counts)
        }
        if missing := [name for name in counts if name not in batches]:
            raise DataUnavailableError(
                f"{path} holds only a part of the data set. Missing there: {', '.join(missing)}."
            )
        return _joined([batches[name] for name in self.train]), _joined([batches[name] for name in self.test])


def _contents(path: Path, folder: str, names: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
    """The batches that lie in a folder or an archive."""
    if path.is_dir():
        yield from ((name, (path / name).read_bytes()) for name in names if (path / name).is_file())
        return
    try:
        for member, opened in tar_members(path):
            parent, _, name = member.removeprefix("./").rpartition("/")
            if parent == folder and name in names and opened:
                yield name, opened().read()
    except BROKEN_ARCHIVE as error:
        raise FileFormatError(f"{path} is a broken archive: {error}. Delete it, or replace it.") from error


def _read_batch(content: bytes, origin: str, label_key: str, classes: int, count: int) -> Split:
    try:
        batch = BatchReader(io.BytesIO(content), encoding="bytes").load()
        pixels, labels = batch[b"data"].as_bytes(), np.asarray(batch[label_key.encode()])
    except Exception as error:  # broken pickles raise nearly anything
        raise FileFormatError(
            f"{origin} can't be read as a CIFAR batch: {error}. Delete it, or replace it."
        ) from error
    pixels = checked(pixels, (count, PIXELS), f"data of {origin}")
    return pixels, checked(labels, (count,), f"{label_key} of {origin}", classes)


def _joined(batches: list[Split]) -> Split:
    x = np.concatenate([pixels for pixels, _ in batches]).reshape(-1, 3, 32, 32)
    y = np.concatenate([labels for _, labels in batches]).reshape(-1, 1)
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if image_data_format() == "channels_last" else x, y
