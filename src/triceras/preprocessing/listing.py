"""Which files there are, and which class each is of: folders of classes, or a table of files and labels."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triceras.core.errors import ArgumentError, ArgumentTypeError, FileFormatError, shown

IMAGE_FORMATS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")


@dataclass(frozen=True)
class Listing:
    """Paths of files with the class number of each, where classes are known."""

    paths: list[str]
    labels: NDArray[Any] | None = None
    class_names: list[str] | None = None

    def rows(self, rows: Any) -> Listing:
        """Some of the files, in the order of the given rows."""
        labels = None if self.labels is None else self.labels[rows]
        return replace(self, paths=[self.paths[i] for i in rows], labels=labels)

    def shuffled(self, seed: int) -> Listing:
        """In the order that the reference has for that seed."""
        rows = list(range(len(self.paths)))
        np.random.RandomState(seed).shuffle(rows)
        return self.rows(rows)


def files_below(folder: str, formats: Sequence[str] | None, follow_links: bool) -> list[str]:
    """All files of the formats in a folder and the folders in it, folder by folder in alphabetical order."""
    found = []
    for root, _, names in sorted(os.walk(folder, followlinks=follow_links), key=lambda item: item[0]):
        found += [
            os.path.join(root, name)
            for name in sorted(names)
            if formats is None or name.lower().endswith(tuple(formats))
        ]
    return found


def class_folders(directory: str) -> list[str]:
    """Names of the folders in a directory, hidden ones left out."""
    with os.scandir(directory) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))


def list_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    class_names: Sequence[str] | None = None,
    formats: Sequence[str] = IMAGE_FORMATS,
    follow_links: bool = False,
) -> Listing:
    """Files below a directory, in the order of their folders' and their own names.

    Args:
        labels: "inferred" for a folder a class, a list with a label for each file, or None.
        class_names: the classes' folders in the order of their numbers; others are left out.
    """
    directory = os.fspath(directory)
    if not os.path.isdir(directory):
        kind = NotADirectoryError if os.path.exists(directory) else FileNotFoundError
        raise kind(f"There is no folder {directory!r}.")
    if labels is None or not isinstance(labels, str):
        paths = files_below(directory, formats, follow_links)
        if labels is None:
            return _checked(Listing(paths), directory, formats)
        if not isinstance(labels, (list, tuple, np.ndarray)):
            raise ArgumentTypeError(
                f'`labels` must be "inferred", None, or a list of a label for each file. Received: {labels!r}'
            )
        if len(labels) != len(paths):
            raise ArgumentError(
                f"`labels` must have one label for each file. Received {len(labels)} labels for {len(paths)} "
                f"files in {directory!r}."
            )
        return _checked(label(paths, labels, class_names), directory, formats)
    if labels != "inferred":
        raise ArgumentError(
            f'`labels` must be "inferred", None, or a list of a label for each file. Received: {labels!r}'
        )
    there = class_folders(directory)
    names = there if class_names is None else [str(name) for name in class_names]
    missing = [name for name in names if name not in there]
    if missing:
        raise ArgumentError(
            f"`class_names` names folders that aren't in {directory!r}: {missing}. There are: {shown(there)}"
        )
    paths, numbers = [], []
    for number, name in enumerate(names):
        found = files_below(os.path.join(directory, name), formats, follow_links)
        paths += found
        numbers += [number] * len(found)
    return _checked(Listing(paths, np.array(numbers, "int32"), names), directory, formats)


def _checked(listing: Listing, directory: str, formats: Sequence[str]) -> Listing:
    if listing.paths:
        return listing
    kinds = ", ".join(sorted({f.lstrip(".") for f in formats}))
    loose = len(files_below(directory, formats, False)) if os.path.isdir(directory) else 0
    if loose:
        raise ArgumentError(
            f"No images found in class folders of {directory!r}, but {loose} images beside them. Put the "
            "images of each class into a folder of its own, or pass `labels=None` or a list of labels."
        )
    raise ArgumentError(
        f"No images found in {directory!r}. Expected files of the formats {kinds}, in a folder a class."
    )


def label(paths: Sequence[Any], labels: Any, class_names: Sequence[str] | None = None) -> Listing:
    """Files with given labels: names of classes, or numbers of classes, which become their names.

    Raises:
        ArgumentError: a label that isn't among `class_names`, or isn't a class.
    """
    paths = [os.fspath(path) for path in paths]
    if labels is None:
        return Listing(paths)
    found = np.asarray(labels)
    if found.shape != (len(paths),):
        raise ArgumentError(f"`labels` must be one for each of {len(paths)} files. Received: {found.shape}.")
    if found.dtype.kind in "US":
        names = sorted(set(found.tolist())) if class_names is None else [str(name) for name in class_names]
        number = {name: i for i, name in enumerate(names)}
        unknown = sorted(set(found.tolist()) - set(names))
        if unknown:
            raise ArgumentError(f"`labels` holds {unknown}, but `class_names` are {names}.")
        return Listing(paths, np.array([number[name] for name in found.tolist()], "int32"), names)
    if found.dtype.kind == "f" and not (found == np.rint(found)).all():
        return Listing(paths, found.astype("float32"))  # a value to predict
    if found.dtype.kind not in "biuf" or (found < 0).any():
        raise ArgumentError(f"`labels` must be names or numbers of classes from 0. Received: {shown(labels)}")
    numbers = found.astype("int32")
    kinds = np.unique(numbers)
    names = [str(kind) for kind in kinds] if class_names is None else [str(name) for name in class_names]
    if class_names is not None and numbers.max(initial=0) >= len(names):
        raise ArgumentError(f"`labels` holds class number {numbers.max()}, but `class_names` are {names}.")
    return Listing(paths, numbers, names)


def list_csv(
    file: str | os.PathLike[str],
    directory: str | os.PathLike[str] | None = None,
    class_names: Sequence[str] | None = None,
) -> Listing:
    """Files and labels from a table with a file and its label in each line, with or without a header.

    Args:
        file: text with commas, semicolons, tabs or blanks between the two.
        directory: where the files are; by default beside the table.
    """
    folder = Path(file).parent if directory is None else Path(directory)
    with open(file, newline="", encoding="utf-8-sig") as lines:
        text = lines.read()
    head = text.strip().partition("\n")[0]
    delimiter = next((d for d in ",;\t" if d in head), " ")
    rows = [
        [cell.strip().strip('"') for cell in row]
        for row in csv.reader(text.splitlines(), delimiter=delimiter, skipinitialspace=True)
        if any(cell.strip() for cell in row)
    ]
    wrong = next((i for i, row in enumerate(rows) if len(row) < 2 or not row[0] or not row[1]), None)
    if not rows or wrong is not None:
        where = f"line {wrong + 1} is {rows[wrong]}" if wrong is not None else "it is empty"
        raise FileFormatError(f"{os.fspath(file)!r} must have a file and its label in each line; {where}.")
    if not (folder / rows[0][0]).is_file() and not rows[0][0].lower().endswith(IMAGE_FORMATS):
        rows = rows[1:]  # the header
    paths = [str(folder / row[0]) for row in rows]
    missing = [path for path in paths if not os.path.isfile(path)]
    if missing or not paths:
        what = f"names files that don't exist: {shown(missing)}" if missing else "names no file"
        raise FileFormatError(f"{os.fspath(file)!r} {what}. Files are looked for in {str(folder)!r}.")
    labels = [row[1] for row in rows]
    if class_names is None and all(text.isdecimal() for text in labels):
        return label(paths, [int(text) for text in labels])
    return label(paths, labels, class_names)


def split(
    listing: Listing, validation_split: float | None, subset: str | None, shuffle: bool, seed: int | None
) -> list[tuple[str, Listing]]:
    """The parts asked for, each with its name; the last fraction of the files is for validation."""
    if subset is None and validation_split is None:
        return [("", listing)]
    if subset is None or not validation_split:
        raise ArgumentError(
            "`validation_split` and `subset` need each other. Received: "
            f"validation_split={validation_split!r}, subset={subset!r}"
        )
    if not 0 < validation_split < 1:
        raise ArgumentError(f"`validation_split` must be between 0 and 1. Received: {validation_split!r}")
    if subset not in ("training", "validation", "both"):
        raise ArgumentError(f'`subset` must be "training", "validation" or "both". Received: {subset!r}')
    if shuffle and seed is None:
        raise ArgumentError(
            "With `validation_split` and shuffling, pass a `seed`, so that the two subsets share no file."
        )
    cut = len(listing.paths) - int(validation_split * len(listing.paths))
    parts = {"training": range(cut), "validation": range(cut, len(listing.paths))}
    wanted = parts if subset == "both" else (subset,)
    for name in wanted:
        if not parts[name]:
            raise ArgumentError(
                f"`validation_split={validation_split}` of {len(listing.paths)} files leaves none for {name}."
            )
    return [(name, listing.rows(list(parts[name]))) for name in wanted]
