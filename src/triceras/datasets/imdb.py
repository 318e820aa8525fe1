"""IMDB: film reviews as lists of word ranks, good or bad (Maas and others, 2011)."""

from __future__ import annotations

from typing import Any

import numpy as np

from triceras.core.errors import ArgumentTypeError
from triceras.core.registry import export
from triceras.datasets import sequences
from triceras.datasets.pickled import read_npz
from triceras.datasets.sequences import URL, Split
from triceras.datasets.source import Published, found

SHA256 = "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f"
WORDS_MD5 = "bfafd718b763782e994055a2d397834f"


@export("datasets.imdb.load_data")
def load_data(
    path: str = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int | None = 3,
    **kwargs: Any,
) -> tuple[Split, Split]:
    """25,000 reviews for training and 25,000 for testing as `(x_train, y_train), (x_test, y_test)`.

    Each is a list of numbers, one for each word: its rank by frequency plus `index_from`. Labels are 0 (bad)
    and 1 (good). Looked for in the folder named by `TRICERAS_DATA`, then in the caches, then downloaded (17 MB).

    Args:
        path: file name to look for and to keep the download under.
        num_words: keep words with a number below this.
        skip_top: leave out words with a number below this.
        maxlen: leave out reviews that aren't shorter than this.
        seed: of the order.
        start_char: the number at the start of each review; None for none.
        oov_char: the number in the place of words that are left out; None for none.
        index_from: what is added to ranks, to make room for such numbers.

    Raises:
        DataUnavailableError: if it is nowhere to be had; it says how to place it by hand.
        FileFormatError: if the file in `TRICERAS_DATA` is broken or another one.

    >>> (x_train, y_train), (x_test, y_test) = load_data(num_words=10000)  # doctest: +SKIP
    """
    num_words = kwargs.pop("nb_words", num_words)  # the former name
    if kwargs:
        raise ArgumentTypeError(f"imdb.load_data() got unknown arguments: {sorted(kwargs)}")
    file = found(Published(path, URL + "imdb.npz", SHA256), "imdb")
    stored = read_npz(file, ("x_train", "x_test"), ("y_train", "y_test"))
    random = np.random.RandomState(seed)
    train, train_labels = sequences.shuffled(stored["x_train"], stored["y_train"], random)
    test, test_labels = sequences.shuffled(stored["x_test"], stored["y_test"], random)
    labels = np.concatenate([train_labels, test_labels])
    return sequences.prepared(
        train + test, labels, len(train), num_words, skip_top, maxlen, start_char, oov_char, index_from
    )


@export("datasets.imdb.get_word_index")
def get_word_index(path: str = "imdb_word_index.json") -> dict[str, int]:
    """The rank of each word, from 1 on; `load_data` adds `index_from` to it.

    Args:
        path: file name to look for and to keep the download under.

    >>> ranks = get_word_index()  # doctest: +SKIP
    """
    return sequences.word_index(Published(path, URL + "imdb_word_index.json", WORDS_MD5), "imdb")
