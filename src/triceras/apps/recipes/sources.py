"""Where a recipe's pictures come from: a data set by name, a file of arrays, folders, or a list of files."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from triceras.apps.images import SUFFIXES, ImageError, is_picture, pictures_below, read_image
from triceras.apps.recipes.recipe import Data, Settings
from triceras.core.errors import ArgumentError, DataUnavailableError, FileFormatError, require, shown
from triceras.datasets import cifar10, digits, fashion_mnist, mnist
from triceras.datasets.idx import idx_files, read_idx

IN_MEMORY = 2 << 30  # bytes of decoded pictures; more of them lie in a file that is mapped
SPLIT_SEED = 2024  # of the parts that are cut off, the same whatever the run's seed
PARTS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
HELD_OUT = 0.15  # of each class, for a part that isn't there
NAMED = {  # loader and names of the classes
    "mnist": (mnist, list("0123456789")),
    "digits": (digits, list("0123456789")),
    "fashion-mnist": (
        fashion_mnist,
        [
            "T-shirt",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ],
    ),
    "cifar10": (
        cifar10,
        ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
    ),
}

Split = tuple[np.ndarray, np.ndarray]


@contextmanager
def argument(name: str) -> Iterator[None]:
    """Lets errors say which argument of a command they are about."""
    try:
        yield
    except (ArgumentError, DataUnavailableError) as error:
        raise type(error)(f"{name}: {error}") from error


# ---- arrays


def arrays(name: str, held_out: float = 1 / 12) -> Callable[[Settings], Data]:
    """A loader of a data set by its name, or of a file or folder in its format.

    Args:
        name: one of `NAMED`.
        held_out: the fraction of the training pictures that is for validation.
    """

    def load(settings: Settings) -> Data:
        named = settings.data in NAMED
        source = settings.data if named else name
        module, classes = NAMED[source]
        if settings.data is None or named:
            train, test = module.load_data()
        else:
            with argument("--data"):
                train, test = read_arrays(Path(settings.data).expanduser())
        (x, y), (x_test, y_test) = _checked(train, classes), _checked(test, classes)
        x, x_test = resized(x, settings.size), resized(x_test, settings.size)
        kept, held = stratified(y, held_out)
        return Data(classes, (x[kept], y[kept]), (x[held], y[held]), (x_test, y_test))

    return load


def read_arrays(path: Path) -> tuple[Split, Split]:
    """Training and test pictures from an `.npz` with x_train, y_train, x_test, y_test, or from idx files.

    Raises:
        DataUnavailableError: there is no such thing.
        FileFormatError: it holds something else.
    """
    if path.is_dir():
        if files := idx_files(path):
            return read_idx(files)
        raise DataUnavailableError(
            f"the folder '{path}' holds no idx files (train-images-idx3-ubyte.gz and its like). "
            "Name such a folder, or an .npz file with x_train, y_train, x_test and y_test."
        )
    if not path.is_file():
        raise DataUnavailableError(f"there is no file or folder '{path}'.")
    try:
        with np.load(path, allow_pickle=False) as found:
            parts = [found[key] for key in ("x_train", "y_train", "x_test", "y_test")]
    except Exception as error:  # whatever a broken file makes of NumPy
        raise FileFormatError(
            f"'{path}' is no .npz file with x_train, y_train, x_test and y_test: {error}"
        ) from error
    return (parts[0], parts[1]), (parts[2], parts[3])


def _checked(split: Split, classes: Sequence[str]) -> Split:
    """Bytes (n, h, w, c) and class numbers (n,)."""
    x, y = split
    x = x[..., None] if x.ndim == 3 else x
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if x.ndim != 4 or x.dtype != np.uint8 or x.shape[3] not in (1, 3) or y.shape != (len(x),) or not len(x):
        raise FileFormatError(
            "--data must hold pictures as bytes (n, height, width) or (n, height, width, 1 or 3), and as "
            f"many labels. Received: {x.dtype}{x.shape} and {y.dtype}{y.shape}"
        )
    if y.dtype.kind not in "iu" or y.min() < 0 or y.max() >= len(classes):
        raise FileFormatError(
            f"--data must hold labels from 0 to {len(classes) - 1}. "
            f"Received {y.dtype} from {y.min()} to {y.max()}."
        )
    return x, y.astype("int32")


def resized(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bytes (n, h, w, c) in another size."""
    if images.shape[1:3] == size:
        return images
    from PIL import Image

    channels = images.shape[3]
    result = np.empty((len(images), *size, channels), np.uint8)
    for image, place in zip(images, result):
        picture = Image.fromarray(image[..., 0] if channels == 1 else image)
        place[...] = np.asarray(picture.resize(size[::-1], Image.Resampling.BILINEAR)).reshape(place.shape)
    return result


def stratified(labels: np.ndarray, fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows that are kept, and that are held out: this fraction of each class, at least one, always the same.

    >>> kept, held = stratified(np.array([0] * 8 + [1] * 4), 0.25)
    >>> len(kept), len(held)
    (9, 3)
    """
    random = np.random.default_rng(SPLIT_SEED)
    held = [
        random.permutation(rows)[: max(1, round(fraction * len(rows)))]
        for rows in (np.flatnonzero(labels == label) for label in np.unique(labels))
        if len(rows) > 1
    ]
    chosen = np.zeros(len(labels), bool)
    chosen[np.concatenate(held) if held else []] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


# ---- files


@dataclass(frozen=True)
class Files:
    """Picture files with the names of their classes; names of class folders in which there are none."""

    paths: list[Path]
    labels: list[str]
    empty: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.paths)


def folders(
    name: str, channels: int, places: Sequence[str] = (), origin: str = ""
) -> Callable[[Settings], Data]:
    """A loader of folders of class folders, or of a CSV file.

    Args:
        name: of the recipe, for messages.
        channels: 1 for gray, 3 for colour.
        places: where to look below the folder that TRICERAS_DATA names, and below this one, if none is given.
        origin: where the data can be had.
    """

    def load(settings: Settings) -> Data:
        path = _found(settings.data, name, places, origin)
        with argument("--data"):
            return from_files(path, settings.size, channels)

    return load


def _found(given: str | None, name: str, places: Sequence[str], origin: str) -> Path:
    if given is not None:
        return Path(given).expanduser()
    below = [Path(os.environ["TRICERAS_DATA"])] if os.environ.get("TRICERAS_DATA") else []
    for root in (*below, Path()):
        for place in places:
            if (root / place).is_dir():
                return root / place
    raise DataUnavailableError(
        f"{name} needs pictures: give their folder with --data, one folder a class in it (also inside of "
        f"train, val and test), or a CSV file of file,label.{origin and f' They can be had from {origin}.'}"
    )


def from_files(path: Path, size: tuple[int, int], channels: int) -> Data:
    """The pictures below a folder, or of a CSV file, in three parts; missing ones are cut off from "train".

    Raises:
        DataUnavailableError: there are none.
        ArgumentError: they are all of one class.
    """
    parts = find_parts(path)
    if "train" not in parts:
        raise DataUnavailableError(f"'{path}' has no pictures for training, only for {' and '.join(parts)}.")
    train = parts["train"]
    # folders stand in the order of their names, as everywhere
    numbered = path.is_file() and all(map(str.isdecimal, train.labels))
    classes = sorted(set(train.labels), key=(lambda name: (int(name), name)) if numbered else None)
    if len(classes) < 2:
        raise ArgumentError(
            f"all pictures in '{path}' are of one class, {shown(classes[0])}. A classifier needs at least two: "
            "put each class into a folder of its own."
        )
    for part in ("validation", "test"):
        if strange := sorted(set(parts[part].labels) - set(classes)) if part in parts else []:
            raise ArgumentError(
                f"'{path}' has classes for {part} that aren't in the training part: {shown(strange)}"
            )
    notes = [f"The folder '{name}' holds no pictures, so it is no class." for name in train.empty]
    read: dict[str, Split] = {}
    skipped: list[str] = []
    for part, files in parts.items():
        images, rows, problems = read_all(files.paths, size, channels)
        labels = np.array([classes.index(files.labels[i]) for i in rows], "int32")
        read[part] = images, labels
        skipped += problems
    if skipped:
        notes.append(told_of(skipped))
    missing = [part for part in ("test", "validation") if part not in read]
    for part in missing:
        x, y = read["train"]
        kept, held = stratified(y, HELD_OUT)
        read["train"], read[part] = (x[kept], y[kept]), (x[held], y[held])
    if missing:
        notes.append(
            f"There is no folder for {' or '.join(missing)}: {HELD_OUT:.0%} of the training pictures were "
            f"set apart for {'each' if len(missing) > 1 else 'it'}, always the same ones."
        )
    for part, (_, y) in read.items():
        if absent := [c for i, c in enumerate(classes) if not (y == i).any()]:
            if part == "train":
                why = skipped[0] if skipped else "Each class needs at least one picture for training."
                raise ArgumentError(f"no picture of {shown(absent)} in '{path}' could be used. {why}")
            if not len(y):
                raise ArgumentError(
                    f"there are no pictures left for {part} in '{path}': at least one class needs three that "
                    "can be read, or folders train, val and test."
                )
            notes.append(f"The {part} part has no pictures of {', '.join(absent)}.")
    return Data(classes, read["train"], read["validation"], read["test"], notes)


def find_parts(path: Path) -> dict[str, Files]:
    """The files of each part below a folder or in a CSV file; "train" alone where there are no parts.

    Raises:
        DataUnavailableError: there are none.
    """
    if path.is_file():
        return _listed(path)
    if not path.is_dir():
        raise DataUnavailableError(f"there is no folder or file '{path}'.")
    inside = {p.name.lower(): p for p in _folders(path)}
    named = {
        part: inside[name] for part, names in PARTS.items() for name in reversed(names) if name in inside
    }
    # beside others, a folder without folders may well be a class called "train"
    if len(named) < len(inside) and not any(map(_folders, named.values())):
        named = {}
    if not named and len(inside) == 1:  # archives often hold one folder around it all
        (only,) = inside.values()
        if _folders(only):
            return find_parts(only)
    named = named or {"train": path}
    parts = {part: _below(folder) for part, folder in named.items()}
    parts = {part: files for part, files in parts.items() if len(files)}
    if not parts or ("train" in named and "train" not in parts):
        folder = named.get("train", path)
        loose = sum(is_picture(p.name) for p in folder.iterdir())
        what = f"holds {loose} pictures, but none in a folder of its class" if loose else "holds no pictures"
        raise DataUnavailableError(
            f"the folder '{folder}' {what}. Expected: one folder a class, with pictures "
            f"({', '.join(s[1:] for s in SUFFIXES[:5])}, ...) in it."
        )
    return parts


def _folders(path: Path) -> list[Path]:
    """Those in a folder, without hidden ones and what macOS puts into archives."""
    return sorted(
        p for p in path.iterdir() if p.is_dir() and not p.name.startswith(".") and p.name != "__MACOSX"
    )


def _below(folder: Path) -> Files:
    """All pictures below the class folders of a folder, however deep."""
    found = {kind.name: pictures_below(kind) for kind in _folders(folder)}
    return Files(
        [path for paths in found.values() for path in paths],
        [name for name, paths in found.items() for _ in paths],
        [name for name, paths in found.items() if not paths],
    )


def _listed(path: Path) -> dict[str, Files]:
    """The files of a table of file,label and maybe split; names are relative to its folder."""
    from triceras.preprocessing.listing import read_table

    known = {name: part for part, names in PARTS.items() for name in names} | {"": "train"}
    parts: dict[str, Files] = {}
    for line in read_table(path, path.parent):
        if line.part.lower() not in known:
            raise FileFormatError(f"'{path}' has an unknown split {line.part!r}: use train, val or test.")
        part = parts.setdefault(known[line.part.lower()], Files([], []))
        part.paths.append(path.parent / line.file)
        part.labels.append(line.label)
    if not parts:
        raise FileFormatError(f"'{path}' names no pictures.")
    return parts


def read_all(
    paths: Sequence[Path], size: tuple[int, int], channels: int
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Pictures (n, h, w, c) as bytes, the rows of those that could be read, what is wrong with the others."""
    require("PIL.Image", "vision", "Reading pictures")
    images = _room((len(paths), *size, channels))
    problems: list[str] = []
    good = []
    with ThreadPoolExecutor(min(8, (os.cpu_count() or 1) + 1)) as pool:
        for row, result in enumerate(pool.map(lambda p: _read(p, size, channels), paths)):
            if isinstance(result, np.ndarray):
                images[len(good)] = result
                good.append(row)
            else:
                problems.append(result)
    return images[: len(good)], np.array(good, int), problems


def _read(path: Path, size: tuple[int, int], channels: int) -> np.ndarray | str:
    from PIL import Image

    try:
        picture = read_image(path).convert("L" if channels == 1 else "RGB")
    except ImageError as error:
        return str(error)
    if picture.size != size[::-1]:
        picture = picture.resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(picture).reshape(*size, channels)


def _room(shape: tuple[int, ...]) -> np.ndarray:
    """Space for pictures: memory, or for many a nameless file that goes when nobody needs it any more."""
    if np.prod(shape, dtype="int64") <= IN_MEMORY:
        return np.empty(shape, np.uint8)
    file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the array
    return np.memmap(file, np.uint8, "w+", shape=shape)


def told_of(problems: Sequence[str], most: int = 5) -> str:
    """What is wrong with files that were left out, the first ones by name."""
    several = len(problems) > 1
    count = (
        f"{len(problems):,} file{'s'[:several]} couldn't be used and {'were' if several else 'was'} left out:"
    )
    more = [f"... and {len(problems) - most:,} more"] if len(problems) > most else []
    return "\n  ".join([count, *problems[:most], *more])


def counts(data: Data) -> Iterator[tuple[str, Counter[str]]]:
    """For each part, how many pictures there are of each class."""
    for part in ("train", "validation", "test"):
        labels = getattr(data, part)[1]
        yield part, Counter({name: int((labels == i).sum()) for i, name in enumerate(data.classes)})
