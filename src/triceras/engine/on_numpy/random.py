"""Samplers: functions of a key of two 32-bit numbers, which is the key of a Philox generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

Sizes = tuple[int, ...]


def _generator(seed: np.ndarray) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=seed.astype("uint64")))


def random_bits(seed: np.ndarray, *, shape: Sizes) -> np.ndarray:
    return np.asarray(_generator(seed).integers(2**32, size=shape, dtype="uint32"))


def random_uniform(seed: np.ndarray, *, shape: Sizes, dtype: str) -> np.ndarray:
    x = np.asarray(_generator(seed).random(shape, dtype="float64" if dtype == "float64" else "float32"))
    if dtype in ("float16", "bfloat16"):  # down to a number of the smaller type, for rounding could give 1
        steps = np.float32(2.0 ** (ml_dtypes.finfo(dtype).nmant + 1))
        x = np.floor(x * steps) / steps
    return x.astype(dtype)


def random_normal(seed: np.ndarray, *, shape: Sizes, dtype: str) -> np.ndarray:
    x = _generator(seed).standard_normal(shape, dtype="float64" if dtype == "float64" else "float32")
    return np.asarray(x).astype(dtype)


def random_integers(
    seed: np.ndarray, minval: np.ndarray, maxval: np.ndarray, *, shape: Sizes, dtype: str
) -> np.ndarray:
    low = minval.astype("int64")
    return np.asarray(
        _generator(seed).integers(low, np.maximum(maxval.astype("int64"), low + 1), shape)
    ).astype(dtype)


def random_gamma(seed: np.ndarray, alpha: np.ndarray, *, shape: Sizes, dtype: str) -> np.ndarray:
    return np.asarray(_generator(seed).standard_gamma(alpha.astype("float64"), shape)).astype(dtype)


def random_binomial(
    seed: np.ndarray, counts: np.ndarray, probabilities: np.ndarray, *, shape: Sizes, dtype: str
) -> np.ndarray:
    return np.asarray(_generator(seed).binomial(counts.astype("int64"), probabilities, shape)).astype(dtype)


NATIVES: dict[str, Callable[..., Any]] = {
    f.__name__: f
    for f in (random_bits, random_uniform, random_normal, random_integers, random_gamma, random_binomial)
}
