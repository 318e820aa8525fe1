"""What IMDB and Reuters share: texts as lists of the ranks of their words, by frequency."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triceras.core.errors import ArgumentError, FileFormatError
from triceras.datasets.source import Published, found

URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"

Texts = list[list[int]]
Split = tuple[NDArray[Any], NDArray[Any]]


def shuffled(texts: Texts, labels: NDArray[Any], random: np.random.RandomState) -> tuple[Texts, NDArray[Any]]:
    """In a random order, the one that the reference has for the same seed."""
    order = np.arange(len(texts))
    random.shuffle(order)
    return [texts[i] for i in order], labels[order]


def prepared(
    texts: Texts,
    labels: NDArray[Any],
    first: int,
    num_words: int | None,
    skip_top: int,
    maxlen: int | None,
    start_char: int | None,
    oov_char: int | None,
    index_from: int | None,
) -> tuple[Split, Split]:
    """Texts for training and for testing, as the loaders' arguments say.

    Args:
        texts: those for training first.
        first: how many are for training.

    The others are the loaders' own.
    """
    start, shift = ([] if start_char is None else [start_char]), index_from or 0
    kept = [
        (start + [word + shift for word in text], y) for text, y in zip(texts, labels.tolist(), strict=True)
    ]
    if maxlen:
        part = [pair for pair in kept[:first] if len(pair[0]) < maxlen]
        kept, first = part + [pair for pair in kept[first:] if len(pair[0]) < maxlen], len(part)
        if not kept:
            raise ArgumentError(f"No text is shorter than `maxlen={maxlen}`. Give a larger one.")
    limit = num_words or max((max(text, default=0) for text, _ in kept), default=0)
    rows = np.empty(len(kept), object)
    for i, (text, _) in enumerate(kept):
        if oov_char is None:
            rows[i] = [word for word in text if skip_top <= word < limit]
        else:
            rows[i] = [word if skip_top <= word < limit else oov_char for word in text]
    targets = np.array([y for _, y in kept], labels.dtype)
    return (rows[:first], targets[:first]), (rows[first:], targets[first:])


def word_index(file: Published, name: str) -> dict[str, int]:
    """The rank of each word, from a JSON file."""
    path: Path = found(file, name)
    try:
        ranks = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(ranks, dict) and all(type(rank) is int for rank in ranks.values()):
            return ranks
        problem = "it must hold words with their ranks"
    except (ValueError, RecursionError) as error:
        problem = str(error)
    raise FileFormatError(f"{path} is broken: {problem}. Delete it, or replace it.")
