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
# usual names of a table's columns, small letters and digits only
COLUMNS = {
    "file": ["file", "filename", "filepath", "path", "image", "imagepath", "imagename", "imageid"],
    "label": ["label", "labels", "class", "classname", "category", "target"],
    "part": ["split", "part", "subset", "set"],
}


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
    what: str = "images",
) -> Listing:
    """Files below a directory, in the order of their folders' and their own names.

    Args:
        labels: "inferred" for a folder a class, a list with a label for each file, or None.
        class_names: the classes' folders in the order of their numbers; others are left out.
        formats: endings of the files' names.
        follow_links: whether to go into folders that are symbolic links.
        what: the files hold, for messages.
    """
    directory = os.fspath(directory)
    if not os.path.isdir(directory):
        kind = NotADirectoryError if os.path.exists(directory) else FileNotFoundError
        raise kind(f"There is no folder {directory!r}.")
    if labels is None or not isinstance(labels, str):
        paths = files_below(directory, formats, follow_links)
        if labels is None:
            return _checked(Listing(paths), directory, formats, what)
        if not isinstance(labels, (list, tuple, np.ndarray)):
            raise ArgumentTypeError(
                f'`labels` must be "inferred", None, or a list of a label for each file. Received: {labels!r}'
            )
        if len(labels) != len(paths):
            raise ArgumentError(
                f"`labels` must have one label for each file. Received {len(labels)} labels for {len(paths)} "
                f"files in {directory!r}."
            )
        return _checked(label(paths, labels, class_names), directory, formats, what)
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
    return _checked(Listing(paths, np.array(numbers, "int32"), names), directory, formats, what)


def _checked(listing: Listing, directory: str, formats: Sequence[str], what: str) -> Listing:
    if listing.paths:
        return listing
    kinds = ", ".join(sorted({f.lstrip(".") for f in formats}))
    loose = len(files_below(directory, formats, False)) if os.path.isdir(directory) else 0
    if loose:
        raise ArgumentError(
            f"No {what} found in class folders of {directory!r}, but {loose} {what} beside them. Put the "
            f"{what} of each class into a folder of its own, or pass `labels=None` or a list of labels."
        )
    raise ArgumentError(
        f"No {what} found in {directory!r}. Expected files of the formats {kinds}, in a folder a class."
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


@dataclass(frozen=True)
class Line:
    """A line of a table: a file, its label, and the part of the data that it is for, or ""."""

    file: str
    label: str
    part: str = ""


def read_table(file: str | os.PathLike[str], folder: Path) -> list[Line]:
    """The lines of a table of files and labels, with or without a header.

    A header's names say which columns are which, in whatever order; without one, labels follow files.

    Args:
        file: text with commas, semicolons, tabs or blanks between the columns.
        folder: where the files are.

    Raises:
        FileFormatError: it is no such table.
    """
    name = os.fspath(file)
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
        head = text.strip().partition("\n")[0]
        delimiter = next((d for d in ",;\t" if d in head), " ")
        reader = csv.reader(text.splitlines(), delimiter=delimiter, skipinitialspace=True)
        rows = [(reader.line_num, [cell.strip().strip('"') for cell in row]) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise FileFormatError(
            f"{name!r} can't be read as a table, which is text in UTF-8 with a file and its label in each "
            f"line: {error}."
        ) from error
    rows = [(number, row) for number, row in rows if any(row)]
    if not rows:
        raise FileFormatError(f"{name!r} must have a file and its label in each line; it is empty.")
    first = rows[0][1]
    files = [i for i, cell in enumerate(first) if _is_file(cell, folder)]
    if files:
        at = files[0]
        columns = {"file": at, "label": at + 1 if at + 1 < len(first) or not at else at - 1}
    else:
        columns = _named_columns(first, name)
    lines = []
    for number, row in rows if files else rows[1:]:
        cells = {what: row[i] for what, i in columns.items() if i < len(row)}
        if not (cells.get("file") and cells.get("label")):
            raise FileFormatError(
                f"{name!r} must have a file and its label in each line; line {number} is {shown(row)}."
            )
        lines.append(Line(cells["file"], cells["label"], cells.get("part", "")))
    return lines


def _is_file(cell: str, folder: Path) -> bool:
    return os.path.isfile(folder / cell) or cell.lower().endswith(IMAGE_FORMATS)


def _named_columns(header: Sequence[str], name: str) -> dict[str, int]:
    """Which column of a table is which, by their names; what is left over is found by exclusion."""
    plain = ["".join(filter(str.isalnum, cell.lower())) for cell in header]
    columns = {what: plain.index(n) for what, known in COLUMNS.items() for n in known[::-1] if n in plain}
    for what in ("file", "label"):
        left = [i for i, cell in enumerate(plain) if cell and i not in columns.values()]
        if what not in columns:
            if not left or (what == "label" and len(left) > 1):
                raise FileFormatError(
                    f"{name!r} must have a file and its label in each line: call the columns file and label "
                    f"(and split, if there is one). Received: {shown(', '.join(header))}"
                )
            columns[what] = left[0]
    return columns


def list_csv(
    file: str | os.PathLike[str],
    directory: str | os.PathLike[str] | None = None,
    class_names: Sequence[str] | None = None,
) -> Listing:
    """Files and labels from a table; see `read_table`.

    Args:
        file: the table.
        directory: where the files are; by default beside the table.
        class_names: names of the classes in the order of their numbers.
    """
    folder = Path(file).parent if directory is None else Path(directory)
    lines = read_table(file, folder)
    paths = [str(folder / line.file) for line in lines]
    missing = [path for path in paths if not os.path.isfile(path)]
    if missing or not paths:
        what = f"names files that don't exist: {shown(missing)}" if missing else "names no file"
        raise FileFormatError(f"{os.fspath(file)!r} {what}. Files are looked for in {str(folder)!r}.")
    labels = [line.label for line in lines]
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
