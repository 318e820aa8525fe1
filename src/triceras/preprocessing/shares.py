"""What all data sets of files have in common between the listing and the data: labels as targets, and the parts that
training and validation get."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triceras.core.errors import ArgumentError
from triceras.preprocessing.listing import Listing, list_directory, split

LABEL_MODES = ("int", "categorical", "binary", None)


@dataclass(frozen=True)
class Share:
    """The files of one data set.

    Args:
        listing: its files, in order.
        targets: what is to be predicted for each, or None.
        validates: whether it is for validation.
        options: `shuffle` and `seed` of the data set.
    """

    listing: Listing
    targets: NDArray[Any] | None
    validates: bool
    options: dict[str, Any]


def list_folder(
    directory: str | os.PathLike[str], labels: Any, label_mode: str | None, class_names: Any, **options: Any
) -> Listing:
    """The files of a folder, with the labels that its class folders or a list say, if labels are wanted."""
    if labels is not None and label_mode is not None:
        return list_directory(directory, labels, class_names, **options)
    if class_names is not None and labels is None:
        raise ArgumentError("`class_names` number the folders: leave them out with `labels=None`.")
    return list_directory(directory, None, **options)


def shares(
    listing: Listing,
    *,
    label_mode: str | None,
    shuffle: bool,
    seed: int | None,
    validation_split: float | None,
    subset: str | None,
    verbose: bool,
    usable: Callable[[Listing], Listing] = lambda listing: listing,
) -> list[Share]:
    """The files for each data set that was asked for.

    Args:
        listing: all files.
        label_mode: what targets are.
        shuffle: whether files are shuffled before they are split, and later in training.
        seed: of the order.
        validation_split: fraction of the files that is for validation.
        subset: "training", "validation", "both" or None.
        verbose: whether to say how many files there are.
        usable: leaves out files that hold no data.
    """
    names = listing.class_names
    if label_mode not in LABEL_MODES:
        raise ArgumentError(f"`label_mode` must be one of {LABEL_MODES}. Received: {label_mode!r}")
    if listing.labels is None or label_mode is None:
        listing = Listing(listing.paths)
    elif label_mode != "int" and names is None:
        raise ArgumentError(f'Labels that aren\'t classes need `label_mode="int"`. Received: {label_mode!r}')
    elif label_mode == "binary" and len(names) != 2:
        raise ArgumentError(f'`label_mode="binary"` needs 2 classes. Received {len(names)}: {names}')
    if verbose:
        of = f" belonging to {len(names)} classes" if names is not None and listing.labels is not None else ""
        print(f"Found {len(listing.paths)} files{of}.")
    listing = usable(listing)
    if shuffle:
        seed = int(np.random.randint(2**31)) if seed is None and validation_split is None else seed
        if seed is not None:
            listing = listing.shuffled(seed)
    found = []
    for name, part in split(listing, validation_split, subset, shuffle, seed):
        if verbose and name:
            print(f"Using {len(part.paths)} files for {name}.")
        validates = name == "validation"
        options = {"shuffle": shuffle and not validates, "seed": seed}
        found.append(Share(part, _targets(part, label_mode), validates, options))
    return found


def _targets(listing: Listing, label_mode: str | None) -> NDArray[Any] | None:
    if listing.labels is None:
        return None
    if label_mode == "categorical":
        return np.eye(len(listing.class_names), dtype="float32")[listing.labels]
    if label_mode == "binary":
        return listing.labels.astype("float32")[:, None]
    return listing.labels


def default_workers() -> int:
    """Threads that read ahead, where nobody says how many."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(8, count or 1)
