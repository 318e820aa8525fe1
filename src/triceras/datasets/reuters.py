"""Reuters: newswires as lists of word ranks, of 46 topics (Lewis, 1987 and later)."""

from __future__ import annotations

import numpy as np

from triceras.core.registry import export
from triceras.datasets import sequences
from triceras.datasets.pickled import read_npz
from triceras.datasets.sequences import URL, Split
from triceras.datasets.source import Published, found
from triceras.datasets.tables import cut

SHA256 = "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916"
WORDS_MD5 = "4d44cc38712099c9e383dc6e5f11a921"
TOPICS = """
    cocoa grain veg-oil earn acq wheat copper housing money-supply coffee sugar trade reserves ship cotton carcass crude
    nat-gas cpi money-fx interest gnp meal-feed alum oilseed gold tin strategic-metal livestock retail ipi iron-steel
    rubber heat jobs lei bop zinc orange pet-chem dlr gas silver wpi hog lead
"""


@export("datasets.reuters.load_data")
def load_data(
    path: str = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int | None = 3,
) -> tuple[Split, Split]:
    """11,228 newswires in two parts, `(x_train, y_train), (x_test, y_test)`.

    Each is a list of numbers, one for each word: its rank by frequency plus `index_from`. Labels are numbers
    of topics, 0 to 45. Looked for in the folder named by `TRICERAS_DATA`, then in the caches, then downloaded
    (2 MB).

    Args:
        path: file name to look for and to keep the download under.
        num_words: keep words with a number below this.
        skip_top: leave out words with a number below this.
        maxlen: leave out newswires that aren't shorter than this.
        test_split: the fraction that is for testing.
        seed: of the order.
        start_char: the number at the start of each newswire; None for none.
        oov_char: the number in the place of words that are left out; None for none.
        index_from: what is added to ranks, to make room for such numbers.

    Raises:
        DataUnavailableError: if it is nowhere to be had; it says how to place it by hand.
        FileFormatError: if the file in `TRICERAS_DATA` is broken or another one.

    >>> (x_train, y_train), (x_test, y_test) = load_data(num_words=10000)  # doctest: +SKIP
    """
    cut(1, test_split)
    stored = read_npz(found(Published(path, URL + "reuters.npz", SHA256), "reuters"), ("x",), ("y",))
    texts, labels = sequences.shuffled(stored["x"], stored["y"], np.random.RandomState(seed))
    options = (num_words, skip_top, maxlen, start_char, oov_char, index_from)
    # in two parts only after some are left out
    (texts, labels), _ = sequences.prepared(texts, labels, len(texts), *options)
    first = cut(len(texts), test_split)
    return (texts[:first], labels[:first]), (texts[first:], labels[first:])


@export("datasets.reuters.get_word_index")
def get_word_index(path: str = "reuters_word_index.json") -> dict[str, int]:
    """The rank of each word, from 1 on; `load_data` adds `index_from` to it.

    Args:
        path: file name to look for and to keep the download under.

    >>> ranks = get_word_index()  # doctest: +SKIP
    """
    return sequences.word_index(Published(path, URL + "reuters_word_index.json", WORDS_MD5), "reuters")


@export("datasets.reuters.get_label_names")
def get_label_names() -> tuple[str, ...]:
    """The names of the topics, in the order of their numbers.

    >>> get_label_names()[:3], len(get_label_names())
    (('cocoa', 'grain', 'veg-oil'), 46)
    """
    return tuple(TOPICS.split())
