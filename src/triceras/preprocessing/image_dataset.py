"""Image files as a data set: `image_dataset_from_directory` and its like, on every engine and without any."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triceras import ops
from triceras.core.config import floatx, standardize_data_format
from triceras.core.errors import ArgumentError, ArgumentTypeError, FileFormatError, shown
from triceras.core.registry import export
from triceras.preprocessing.changing import Change, FileDataset
from triceras.preprocessing.listing import Listing, label, list_csv
from triceras.preprocessing.reading import CACHE_BYTES, Pixels, Reader
from triceras.preprocessing.shares import default_workers, list_folder, shares
from triceras.training.dataset import Job


def as_floats(batch: Any) -> Any:
    """A batch with its inputs in the default float type."""
    x = ops.cast(batch[0] if isinstance(batch, tuple) else batch, floatx())
    return (x, *batch[1:]) if isinstance(batch, tuple) else x


class ImageDataset(FileDataset):
    """Image files in batches; `x` holds floats from 0 to 255, `y` the labels.

    Files are decoded in threads ahead of training. Where all pixels fit into memory, each is decoded once;
    then training gathers its batches from pixels that lie on the device.

    Attributes:
        file_paths: the files, in the order of `labels` and of what `evaluate` and `predict` see.
        labels: class numbers, or None.
        class_names: names of the classes in the order of their numbers, or None.
    """

    def __init__(
        self,
        listing: Listing,
        targets: NDArray[Any] | None,
        reader: Reader,
        data_format: str,
        cache: bool | int,
        **options: Any,
    ) -> None:
        super().__init__(len(listing.paths), labels=listing.labels, **options)
        self.file_paths, self.class_names = listing.paths, listing.class_names
        self._targets, self._reader, self._data_format = targets, reader, data_format
        limit = CACHE_BYTES if cache is True else int(cache)
        height, width, channels = reader.shape
        first = data_format == "channels_first"
        shape = (channels, height, width) if first else (height, width, channels)
        self._pixels = Pixels(self.samples, shape, self._read, limit)

    def _read(self, row: int) -> NDArray[np.uint8]:
        pixels = self._reader(self.file_paths[row])
        return pixels.transpose(2, 0, 1) if self._data_format == "channels_first" else pixels

    @property
    def prepare(self) -> Callable[[Any], Any] | None:
        """Pixels become floats inside of the step, unless functions have changed them before."""
        return None if self._changes else as_floats

    @property
    def arrays(self) -> Any:
        """All pixels and targets, once they are in memory; None where functions change each batch."""
        pixels = None if self._changes else self._pixels.all
        if pixels is None or self._targets is None:
            return pixels
        return pixels, self._targets

    def gather(self, rows: NDArray[Any], random: np.random.Generator) -> Any:
        x = self._pixels[rows]
        batch = x if self._targets is None else (x, self._targets[rows])
        return self.changed(batch, random)

    def _stored(self, job: Job, batch: Any) -> None:
        if not self._changes:
            self._pixels.store(job.rows, batch[0])

    def _finished(self, batch: Any) -> Any:
        x, *rest = batch if isinstance(batch, tuple) else (batch,)
        x = x.astype(floatx()) if x.dtype == np.uint8 else x
        return (x, *rest) if rest else x

    # -- data sets made from this one ------------------------------------------------------------------------

    def augment(self, function: Callable[..., Any]) -> ImageDataset:
        """The batches with their images changed, anew each time.

        Args:
            function: of float pixels `(batch, height, width, channels)`, such as a layer. What it draws from
                an argument named `random`, a NumPy generator, depends on seed, epoch and batch alone.
        """
        return self._copy(_changes=(*self._changes, Change(function, whole=False)))


# ---- the public functions


def _datasets(
    listing: Listing,
    *,
    label_mode: str | None,
    color_mode: str,
    batch_size: int | None,
    image_size: Sequence[int],
    shuffle: bool,
    seed: int | None,
    validation_split: float | None,
    subset: str | None,
    interpolation: str,
    crop_to_aspect_ratio: bool,
    pad_to_aspect_ratio: bool,
    data_format: str | None,
    verbose: bool,
    augment: Callable[..., Any] | None,
    cache: bool | int,
    on_error: str,
    workers: int | None,
    use_multiprocessing: bool,
) -> Any:
    """What all ways to make an image data set have in common, from files and labels on."""
    if on_error not in ("raise", "skip"):
        raise ArgumentError(f'`on_error` must be "raise" or "skip". Received: {on_error!r}')
    size = tuple(image_size) if isinstance(image_size, (tuple, list)) else image_size
    reader = Reader(size, color_mode, interpolation, crop_to_aspect_ratio, pad_to_aspect_ratio)
    skips = {"usable": lambda listing: _readable(listing, reader)} if on_error == "skip" else {}
    parts = shares(
        listing, label_mode=label_mode, shuffle=shuffle, seed=seed, validation_split=validation_split,
        subset=subset, verbose=verbose, **skips,
    )  # fmt: skip
    found = []
    for part in parts:
        dataset = ImageDataset(
            part.listing,
            part.targets,
            reader,
            standardize_data_format(data_format),
            cache,
            batch_size=batch_size,
            workers=default_workers() if workers is None else workers,
            use_multiprocessing=use_multiprocessing,
            **part.options,
        )
        found.append(dataset if augment is None or part.validates else dataset.augment(augment))
    return found if subset == "both" else found[0]


def _readable(listing: Listing, reader: Reader) -> Listing:
    """The files that hold images; a warning names the others."""

    def works(path: str) -> str:
        try:
            reader(path)
        except (FileFormatError, OSError) as error:
            return f"{path}: {error}"
        return ""

    with ThreadPoolExecutor() as pool:
        wrong = list(pool.map(works, listing.paths))
    bad = [why for why in wrong if why]
    if not bad:
        return listing
    if len(bad) == len(wrong):
        raise FileFormatError(f"None of the {len(wrong)} files is an image that Pillow can read; {bad[0]}")
    more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
    names = "; ".join(bad[:5]) + more
    warnings.warn(f"Left out {len(bad)} files without a readable image: {names}", stacklevel=5)
    return listing.rows([i for i, why in enumerate(wrong) if not why])


@export("utils.image_dataset_from_directory", "preprocessing.image_dataset_from_directory")
def image_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: Sequence[int] = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str = "tf",
    verbose: bool = True,
    augment: Callable[..., Any] | None = None,
    cache: bool | int = True,
    on_error: str = "raise",
    workers: int | None = None,
    use_multiprocessing: bool = False,
) -> Any:
    """The images of a folder with a folder for each class, as a data set for `fit`, `evaluate` and `predict`.

    Args:
        directory: the folder; class folders may hold further folders.
        labels: "inferred" from the folders' names, a list with a label for each file in alphabetical order of
            their paths, or None for none.
        label_mode: "int" for class numbers, "categorical" for one-hot rows, "binary" for 0.0 and 1.0 in shape
            `(batch, 1)`, or None for no labels.
        class_names: the class folders in the order of their numbers; by default all, in alphabetical order.
        color_mode: "grayscale", "rgb" or "rgba".
        batch_size: samples a batch; None gives single samples.
        image_size: (height, width) to which images are resized.
        shuffle: whether files are shuffled, and again in every pass; else they stand in alphabetical order.
        seed: of the order and the split.
        validation_split: fraction of the files that is for validation.
        subset: "training", "validation" or, for a pair of data sets, "both".
        interpolation: "bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian" or
            "mitchellcubic".
        follow_links: whether to go into folders that are symbolic links.
        crop_to_aspect_ratio: cut images to the proportions of `image_size` instead of distorting them.
        pad_to_aspect_ratio: extend images by black instead.
        data_format: "channels_last" or "channels_first"; None is `config.image_data_format()`.
        format: "tf" or "grain", accepted for compatibility: the data set is the same and needs neither.
        verbose: whether to print how many files were found.
        augment: changes the images of each training batch; see `ImageDataset.augment`.
        cache: whether to keep decoded images where all fit into 2 GiB, or how many bytes they may take.
        on_error: "raise" names a file without a readable image when it is met; "skip" reads all files first
            and leaves such out, with a warning.
        workers: threads, or processes with `use_multiprocessing`, that decode ahead; by default one a core.
        use_multiprocessing: decode in processes; worth it where `augment` is slow Python.

    Returns:
        An `ImageDataset`, a `PyDataset` with `class_names`, `file_paths` and `labels`, or a pair of them.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> for name in ("cat", "dog"):
    ...     os.mkdir(f"{folder}/{name}")
    ...     triceras.utils.save_img(f"{folder}/{name}/1.png", np.zeros((8, 8, 3)))
    >>> dataset = image_dataset_from_directory(folder, image_size=(4, 4), verbose=False)
    >>> dataset.class_names, [(x.shape, y.shape) for x, y in dataset]
    (['cat', 'dog'], [((2, 4, 4, 3), (2,))])
    """
    if format not in ("tf", "grain"):
        raise ArgumentError(f'`format` must be "tf" or "grain". Received: {format!r}')
    listing = list_folder(directory, labels, label_mode, class_names, follow_links=follow_links)
    return _datasets(
        listing, label_mode=label_mode, color_mode=color_mode, batch_size=batch_size, image_size=image_size,
        shuffle=shuffle, seed=seed, validation_split=validation_split, subset=subset,
        interpolation=interpolation, crop_to_aspect_ratio=crop_to_aspect_ratio,
        pad_to_aspect_ratio=pad_to_aspect_ratio, data_format=data_format, verbose=verbose, augment=augment,
        cache=cache, on_error=on_error, workers=workers, use_multiprocessing=use_multiprocessing,
    )  # fmt: skip


@export("utils.image_dataset_from_files")
def image_dataset_from_files(
    paths: Any,
    labels: Any = None,
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: Sequence[int] = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    verbose: bool = True,
    augment: Callable[..., Any] | None = None,
    cache: bool | int = True,
    on_error: str = "raise",
    workers: int | None = None,
    use_multiprocessing: bool = False,
    directory: str | os.PathLike[str] | None = None,
) -> Any:
    """Image files with their labels as a data set.

    Args:
        paths: the files, or a table of them: the name of a text file (.csv, .tsv or .txt) with a file and its
            label in each line, with or without a header.
        labels: for each file the name of its class, the number of its class, or a value to predict; None if
            there are none.
        class_names: names of the classes in the order of their numbers; by default in alphabetical order.
        directory: where the files of a table are; by default beside the table.

    The other arguments are those of `image_dataset_from_directory`.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> triceras.utils.save_img(f"{folder}/1.png", np.zeros((8, 8, 3)))
    >>> dataset = image_dataset_from_files([f"{folder}/1.png"], ["cat"], image_size=(4, 4), verbose=False)
    >>> dataset.class_names, dataset.labels.tolist()
    (['cat'], [0])
    """
    if isinstance(paths, (str, os.PathLike)):
        if Path(paths).suffix.lower() not in (".csv", ".tsv", ".txt"):
            raise ArgumentTypeError(
                f"`paths` must be a list of files, or a table of them (.csv, .tsv, .txt). Received: {paths!r}"
            )
        if labels is not None:
            raise ArgumentError("A table of files has their labels in it: leave `labels` out.")
        listing = list_csv(paths, directory, class_names)
    else:
        paths = list(paths)
        if directory is not None:
            paths = [os.path.join(directory, path) for path in paths]
        if not paths:
            raise ArgumentError("`paths` is empty. At least one file is needed.")
        missing = [os.fspath(path) for path in paths if not os.path.isfile(path)]
        if missing:
            raise FileNotFoundError(f"{len(missing)} of {len(paths)} files don't exist: {shown(missing)}")
        listing = label(paths, labels, class_names)
    return _datasets(
        listing, label_mode=label_mode, color_mode=color_mode, batch_size=batch_size, image_size=image_size,
        shuffle=shuffle, seed=seed, validation_split=validation_split, subset=subset,
        interpolation=interpolation, crop_to_aspect_ratio=crop_to_aspect_ratio,
        pad_to_aspect_ratio=pad_to_aspect_ratio, data_format=data_format, verbose=verbose, augment=augment,
        cache=cache, on_error=on_error, workers=workers, use_multiprocessing=use_multiprocessing,
    )  # fmt: skip
