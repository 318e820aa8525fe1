"""Tables of numbers in two parts, for training and for testing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from triceras.core.errors import ArgumentError, FileFormatError
from triceras.datasets.pickled import read_npz
from triceras.datasets.source import Published, found

Table = tuple[NDArray[Any], NDArray[Any]]


def cut(count: int, test_split: float) -> int:
    """How many of some samples are for training."""
    if not 0 <= test_split < 1:
        raise ArgumentError(f"`test_split` must be from 0 to below 1. Received: {test_split!r}")
    return int(count * (1 - test_split))


def load_table(
    file: Published, name: str, columns: int, test_split: float, seed: int, rows: int | None = None
) -> tuple[Table, Table]:
    """The rows of a published table in a random order, the one that the reference has for the same seed.

    Args:
        file: an `.npz` with `x` and `y`.
        name: of the data set.
        columns: of `x`.
        rows: how many to take, from the first on; all if not given.

    Raises:
        FileFormatError: if it holds something else.
    """
    cut(0, test_split)
    path = found(file, name)
    stored = read_npz(path, (), ("x", "y"))
    x, y = stored["x"], stored["y"]
    if x.ndim != 2 or x.shape[1] != columns or y.shape != x.shape[:1]:
        raise FileFormatError(
            f"{path} isn't what it should be. Expected x of shape (rows, {columns}) and y of shape (rows,); received "
            f"{x.shape} and {y.shape}."
        )
    x, y = x[:rows], y[:rows]
    order = np.arange(len(x))
    np.random.RandomState(seed).shuffle(order)
    first = cut(len(x), test_split)
    return (x[order[:first]], y[order[:first]]), (x[order[first:]], y[order[first:]])
