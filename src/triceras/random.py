"""Random numbers."""

from __future__ import annotations

import hashlib
import random as python_random
import secrets
import threading
from collections import Counter
from typing import Any

import numpy as np

from triceras.core.errors import ArgumentError
from triceras.core.registry import export

_lock = threading.Lock()
_seed: int | None = None
_entropy = secrets.randbits(64)
_draws: Counter[str] = Counter()


def stream(*key: Any) -> np.random.Generator:
    """NumPy's counter-based Philox generator, at a place that is a function of the key alone."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def next_key(name: str) -> tuple[int, str, int]:
    """A new key for that name: it depends on the global seed and on how often the name was drawn since it was set."""
    with _lock:
        _draws[name] += 1
        return (_entropy if _seed is None else _seed, name, _draws[name])


@export("utils.set_random_seed")
def set_random_seed(seed: int) -> None:
    """Seed Python's and NumPy's generators and all of Triceras, so that a program's run can be repeated.

    Args:
        seed: an integer from 0 to 2**32 - 1.

    >>> set_random_seed(7)
    """
    global _seed
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise ArgumentError(f"`seed` must be an integer from 0 to 2**32 - 1. Received: {seed!r}")
    python_random.seed(int(seed))
    np.random.seed(int(seed))
    with _lock:
        _seed = int(seed)
        _draws.clear()
