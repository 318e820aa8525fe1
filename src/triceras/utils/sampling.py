"""The order of samples: a function of the seed and the pass alone, so that any batch can be found again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from triceras.core.errors import ArgumentError, ArgumentTypeError, shown
from triceras.core.registry import export


def generator(seed: int, *numbers: int) -> np.random.Generator:
    """Random numbers that depend on nothing but the seed and what is numbered."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed % 2**64, *numbers])))


@dataclass(frozen=True)
class Order:
    """The rows of each pass over the data.

    Args:
        samples: how many there are.
        batch_size: samples a batch.
        shuffle: False, True, or "batch" to shuffle inside of each batch only.
        seed: what the order depends on, with the number of the pass.
        classes: the class number of each sample, to draw all classes evenly.
    """

    samples: int
    batch_size: int
    shuffle: bool | str
    seed: int
    classes: NDArray[Any] | None = None

    @property
    def plain(self) -> bool:
        """Whether the rows stand as they are."""
        return not self.shuffle and self.classes is None

    def rows(self, number: int) -> NDArray[Any]:
        """Rows of the pass of that number."""
        integer = np.int32 if self.samples < 2**31 else np.int64
        if self.classes is not None:
            return balanced_indices(self.classes, number, self.seed).astype(integer)
        if not self.shuffle:
            return np.arange(self.samples, dtype=integer)
        if self.shuffle == "batch":
            return self._inside_batches(number).astype(integer)
        return generator(self.seed, number).permutation(self.samples).astype(integer)

    def _inside_batches(self, number: int) -> NDArray[Any]:
        random, order = generator(self.seed, number), np.arange(self.samples)
        full = self.samples // self.batch_size * self.batch_size
        by_batch = order[:full].reshape(-1, self.batch_size)
        random.permuted(by_batch, axis=1, out=by_batch)
        random.shuffle(order[full:])
        return order


@export("utils.balanced_indices")
def balanced_indices(labels: ArrayLike, epoch: int = 0, seed: int = 0) -> NDArray[np.int64]:
    """Indices of as many samples as there are, drawn so that all classes come equally often.

    Of every k draws in a row, each of the k classes gets one, in random order. A class's samples are drawn
    without replacement, one random order after the other and on through the epochs, so that all are seen
    equally often.

    Args:
        labels: the class of each sample: integers, one-hot rows, or 0 and 1.
        epoch: number of the epoch.
        seed: what the draws depend on, with the epoch.

    Returns:
        Integers of shape `(samples,)`.

    >>> labels = np.array([0, 0, 0, 0, 0, 1])
    >>> np.bincount(labels[balanced_indices(labels)]).tolist()
    [3, 3]
    """
    numbers = class_numbers(labels)
    _, numbers, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    rows_of = np.split(np.argsort(numbers, kind="stable"), np.cumsum(counts)[:-1])
    samples, kinds = len(numbers), len(rows_of)
    rounds, rest = divmod(samples, kinds)
    random = generator(seed, epoch)
    turns = random.permuted(np.tile(np.arange(kinds), (rounds, 1)), axis=1).ravel()
    last = (epoch * rest + np.arange(rest)) % kinds  # who gets one more; it goes round with the epochs
    turns = np.concatenate([turns, random.permutation(last)])
    drawn = np.empty(samples, np.int64)
    for kind, rows in enumerate(rows_of):
        places = np.flatnonzero(turns == kind)
        before = epoch * rounds + (epoch * rest - kind + kinds - 1) // kinds  # draws of the epochs before
        draws = np.arange(before, before + len(places))
        cycles = range(before // len(rows), (before + len(places)) // len(rows) + 1)
        orders = [rows[generator(seed, kind, cycle, 1).permutation(len(rows))] for cycle in cycles]
        drawn[places] = np.concatenate(orders)[draws - cycles.start * len(rows)]
    return drawn


def class_numbers(labels: Any, name: str = "labels") -> NDArray[np.int64]:
    """The class of each sample, from integers, one-hot rows, or 0 and 1.

    Raises:
        ArgumentError: the labels aren't classes.

    >>> class_numbers(np.eye(3)[[2, 0]]).tolist(), class_numbers([[1.0], [0.0]]).tolist()
    ([2, 0], [1, 0])
    """
    found = np.asarray(labels)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim == 2 and ((found == 0) | (found == 1)).all() and (found.sum(axis=1) == 1).all():
        return found.argmax(axis=1)
    if found.dtype.kind == "O" or found.dtype.kind not in "biuf":
        raise ArgumentTypeError(f"`{name}` must be numbers of classes. Received: {shown(labels)}")
    if found.ndim != 1 or not len(found):
        what = "no one-hot rows" if found.ndim == 2 else f"shape {found.shape}"
        raise ArgumentError(
            f"`{name}` must tell one class for each sample: integers, or one-hot rows. Received: {what}, "
            f"{shown(found[:1])}, ..."
        )
    if found.dtype.kind == "f" and not (found == np.rint(found)).all():
        wrong = found[found != np.rint(found)][0]
        raise ArgumentError(f"`{name}` must be integers, the numbers of classes. Received: {wrong}, ...")
    return found.astype(np.int64)
