"""Text files as a data set: `text_dataset_from_directory`, on every engine and without any."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triceras.core.errors import ArgumentError
from triceras.core.registry import export
from triceras.preprocessing.changing import FileDataset
from triceras.preprocessing.shares import Share, list_folder, shares


class TextDataset(FileDataset):
    """Text files in batches; `x` holds strings of shape `(batch,)`, `y` the labels.

    `map(function)` turns them into numbers, and so does a layer such as `TextVectorization` that a model begins with.

    Attributes:
        file_paths: the files, in the order of `labels` and of what `evaluate` and `predict` see.
        labels: class numbers, or None.
        class_names: names of the classes in the order of their numbers, or None.
    """

    def __init__(self, share: Share, max_length: int | None, batch_size: int | None) -> None:
        listing = share.listing
        super().__init__(len(listing.paths), batch_size, labels=listing.labels, **share.options)
        self.file_paths, self.class_names, self._targets = listing.paths, listing.class_names, share.targets
        self._max_length = max_length

    def _read(self, path: str) -> str:
        content = Path(path).read_bytes()
        # bytes that are no UTF-8 are kept, so that they count as in the reference
        return content[: self._max_length].decode("utf-8", "surrogateescape")

    def gather(self, rows: NDArray[Any], random: np.random.Generator) -> Any:
        x = np.empty(len(rows), object)
        x[:] = [self._read(self.file_paths[row]) for row in rows.tolist()]
        return self.changed(x if self._targets is None else (x, self._targets[rows]), random)


@export("utils.text_dataset_from_directory", "preprocessing.text_dataset_from_directory")
def text_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    max_length: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    format: str = "tf",
    verbose: bool = True,
) -> Any:
    """The `.txt` files of a folder with a folder for each class, as a data set for `fit`, `evaluate` and `predict`.

    Args:
        directory: the folder; class folders may hold further folders.
        labels: "inferred" from the folders' names, a list with a label for each file in alphabetical order of
            their paths, or None for none.
        label_mode: "int" for class numbers, "categorical" for one-hot rows, "binary" for 0.0 and 1.0 in shape
            `(batch, 1)`, or None for no labels.
        class_names: the class folders in the order of their numbers; by default all, in alphabetical order.
        batch_size: texts a batch; None gives single texts.
        max_length: how many bytes of a text are read; all if not given.
        shuffle: whether files are shuffled, and again in every pass; else they stand in alphabetical order.
        seed: of the order and the split.
        validation_split: fraction of the files that is for validation.
        subset: "training", "validation" or, for a pair of data sets, "both".
        follow_links: whether to go into folders that are symbolic links.
        format: "tf" or "grain", accepted for compatibility: the data set is the same and needs neither.
        verbose: whether to print how many files were found.

    Returns:
        A `TextDataset`, a `PyDataset` with `class_names`, `file_paths` and `labels`, or a pair of them.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> for name in ("bad", "good"):
    ...     os.mkdir(f"{folder}/{name}")
    ...     _ = Path(folder, name, "1.txt").write_text(f"a {name} film")
    >>> dataset = text_dataset_from_directory(folder, shuffle=False, verbose=False)
    >>> [(x.tolist(), y.tolist()) for x, y in dataset]
    [(['a bad film', 'a good film'], [0, 1])]
    """
    if format not in ("tf", "grain"):
        raise ArgumentError(f'`format` must be "tf" or "grain". Received: {format!r}')
    if max_length is not None and (
        isinstance(max_length, bool) or not isinstance(max_length, int) or max_length < 1
    ):
        raise ArgumentError(f"`max_length` must be a positive integer or None. Received: {max_length!r}")
    listing = list_folder(
        directory, labels, label_mode, class_names, formats=(".txt",), follow_links=follow_links, what="texts"
    )
    parts = shares(
        listing, label_mode=label_mode, shuffle=shuffle, seed=seed, validation_split=validation_split,
        subset=subset, verbose=verbose,
    )  # fmt: skip
    found = [TextDataset(part, max_length, batch_size) for part in parts]
    return found if subset == "both" else found[0]
