"""Quantiles of data of any size, from weighted values that stand for their neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Quantiles:
    """Values that cut the data that were added into equal parts, about.

    Args:
        epsilon: how large an error may be, as a part of the data; the less, the more values are kept.

    >>> quantiles = Quantiles(0.01)
    >>> quantiles.add([1, 5, 2, 7])
    >>> quantiles.add([6, 3, 8, 4])
    >>> quantiles.cuts(4)
    [2.0, 4.0, 6.0]
    """

    def __init__(self, epsilon: float = 0.01) -> None:
        self._epsilon = epsilon
        self._values: NDArray[np.floating] = np.zeros(0, "float32")
        self._weights: NDArray[np.floating] = np.zeros(0, "float32")

    def add(self, data: ArrayLike) -> None:
        """Take numbers into account."""
        ordered = np.sort(np.asarray(data, "float32").reshape(-1))
        gap = max(len(ordered) / (1.0 / self._epsilon), 1.0)
        values = ordered[int(gap) - 1 :: int(gap)]
        merged = np.concatenate([self._values, values])
        weights = np.concatenate([self._weights, np.full(len(values), gap, "float32")])
        order = np.argsort(merged, kind="stable")
        self._values, self._weights = self._thinned(merged[order], weights[order], self._epsilon)

    @staticmethod
    def _thinned(
        values: NDArray[np.floating], weights: NDArray[np.floating], part: float
    ) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """So few values that each stands for a part of the data."""
        if part * len(values) < 1:
            return values, weights
        wanted, total = part + np.arange(0.0, 1.0, part), np.cumsum(weights)
        share = total / total[-1]
        reached = np.diff(np.interp(wanted, share, total), prepend=0.0)
        return np.interp(wanted, share, values).astype("float32"), reached.astype("float32")

    def cuts(self, parts: int) -> list[float]:
        """The boundaries between so many parts."""
        return self._thinned(self._values, self._weights, 1.0 / parts)[0][:-1].tolist()
