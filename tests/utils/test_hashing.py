"""Hashes of text and integers beside TensorFlow's, on the host and by ops on every engine."""

from __future__ import annotations

import random

import numpy as np
import pytest

from triceras import use_engine
from triceras.engine import selection
from triceras.utils.hashing import Halves, hash_integers, hash_texts, hash_together

BINS = 2**40 + 7
KEYS = [None, (133, 137), (5, -5)]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_texts(key: tuple[int, int] | None) -> None:
    tf = pytest.importorskip("tensorflow")
    draw = random.Random(0)
    lengths = [*range(140), 191, 192, 193, 256, 257, 1000]
    texts = np.array(["".join(chr(draw.randint(32, 126)) for _ in range(n)) for n in lengths], object)
    expected = (
        tf.strings.to_hash_bucket_fast(texts, BINS)
        if key is None
        else tf.strings.to_hash_bucket_strong(texts, BINS, key)
    )
    np.testing.assert_array_equal(hash_texts(texts, key) % BINS, expected.numpy())


def test_known_numbers() -> None:
    """Without TensorFlow, too; and integers are hashed by their digits."""
    assert (
        hash_texts(np.array(["a", "é", -12], object)).tolist()
        == hash_texts(np.array([b"a", "é".encode(), "-12"], object)).tolist()
    )
    assert (hash_texts(np.array(["A", "B", "C", "D", "E"], object)) % 3).tolist() == [1, 0, 1, 1, 2]
    assert hash_texts(np.zeros((0, 2), object)).shape == (0, 2)


@pytest.mark.parametrize("name", [name for name in selection.PREFERENCE if selection.installed(name)])
def test_integers_by_ops(name: str) -> None:
    draw = random.Random(1)
    edges = [0, 1, -1, 9, 10, 99, -100, 12345, -123456, 2**31 - 1, -(2**31), 7654321, 12345678, -1234567]
    values = np.array([*edges, *(draw.randint(-(2**31), 2**31 - 1) for _ in range(50))], "int32")
    with use_engine(name) as engine:
        x = engine.make(values)
        for key, bins in ((None, 2**29 + 1), (None, 10), ((133, 137), 1000)):
            found = engine.to_numpy(hash_integers(x, key) % bins)
            np.testing.assert_array_equal(found, hash_texts(values, key) % bins)
        wide = values.astype("int64").astype("uint64")
        crossed = engine.to_numpy(hash_together([Halves.of(x), Halves.of(x)]) % 997)
        np.testing.assert_array_equal(crossed, hash_together([wide, wide]) % np.uint64(997))
