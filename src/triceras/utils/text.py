"""Text on the host: NumPy arrays of `str`, in any form that it comes in, standardized and cut into tokens."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triceras.core.errors import ArgumentTypeError, shown
from triceras.engine import selection

Text = NDArray[Any]  # of `str`, in an array of objects

# ASCII alone, as the reference has it: letters with accents keep their case
_LOWER = {ord(letter): letter.lower() for letter in string.ascii_uppercase}
_NO_PUNCTUATION = dict.fromkeys(map(ord, string.punctuation))
_WORD = re.compile(r"[^ \t\n\r\x0b\x0c]+")


def is_text(value: Any) -> bool:
    """Whether a value is text: a string, an array or tensor of strings, or nested lists of strings.

    >>> is_text("a"), is_text([["a"], [b"b"]]), is_text(np.array([1]))
    (True, True, False)
    """
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        while isinstance(value, (list, tuple)) and value:
            value = value[0]
        return isinstance(value, (str, bytes))
    if isinstance(dtype, np.dtype):
        if dtype.kind == "O":
            return any(isinstance(x, (str, bytes)) for x in np.asarray(value, object).reshape(-1)[:1])
        return dtype.kind in "USTa"
    return getattr(dtype, "name", str(dtype)) in ("string", "str", "object")


def as_text(value: Any, encoding: str = "utf-8", name: str = "The layer") -> Text:
    """Text in any form as an array of `str`.

    Args:
        value: strings, bytes, nested lists of them, an array, a data frame's column, a tensor of TensorFlow.
        encoding: of bytes. Those that aren't valid in it are kept as they are.
        name: of what takes the text, for error messages.

    >>> as_text([["a"], [b"b"]]).tolist()
    [['a'], ['b']]
    """
    engine = selection.engine_of(type(value))
    array = np.asarray(value if engine is None else engine.to_numpy(value), object)

    def one(item: Any) -> str:
        if isinstance(item, bytes):
            return item.decode(encoding, "surrogateescape")
        if isinstance(item, str):
            return str(item)
        raise ArgumentTypeError(
            f"{name} takes text. Received {item!r} (of type {type(item).__name__}), in: {shown(value, 80)}"
        )

    found = np.empty(array.shape, object)
    found.reshape(-1)[:] = [one(item) for item in array.reshape(-1).tolist()]
    return found


def mapped(function: Callable[[str], str], text: Text) -> Text:
    """Each string after a function."""
    found = np.empty(text.shape, object)
    found.reshape(-1)[:] = [function(item) for item in text.reshape(-1).tolist()]
    return found


def lower(text: str) -> str:
    """With the letters A to Z as small ones.

    >>> lower("ÜBER Uns")
    'Über uns'
    """
    return text.lower() if text.isascii() else text.translate(_LOWER)


def strip_punctuation(text: str) -> str:
    """Without the punctuation of ASCII.

    >>> strip_punctuation("it's (on)")
    'its on'
    """
    return text.translate(_NO_PUNCTUATION)


def lower_and_strip_punctuation(text: str) -> str:
    """Both.

    >>> lower_and_strip_punctuation("Hello, World!")
    'hello world'
    """
    return strip_punctuation(lower(text))


STANDARDIZE = {
    "lower_and_strip_punctuation": lower_and_strip_punctuation,
    "lower": lower,
    "strip_punctuation": strip_punctuation,
}
SPLIT: dict[str, Callable[[str], Sequence[str]]] = {"whitespace": _WORD.findall, "character": list}


def tokens(text: Text, split: str | Callable[[Any], Any], encoding: str = "utf-8") -> list[list[str]]:
    """The tokens of each string.

    Args:
        text: one string an entry.
        split: "whitespace", "character", or a function of the array, which returns a list of strings for each
            entry: nested lists, an array, or a ragged tensor of TensorFlow.

    >>> tokens(as_text(["a b", "c"]), "whitespace")
    [['a', 'b'], ['c']]
    """
    flat = text.reshape(-1)
    if not callable(split):
        return [list(SPLIT[split](item)) for item in flat.tolist()]
    found = split(flat)
    rows = found.to_list() if hasattr(found, "to_list") else found
    return [as_text(list(row), encoding, "The result of `split`").reshape(-1).tolist() for row in _rows(rows)]


def _rows(rows: Any) -> Iterable[Any]:
    engine = selection.engine_of(type(rows))
    return rows if engine is None else engine.to_numpy(rows)


def ngrams(words: list[str], sizes: Sequence[int]) -> list[str]:
    """Neighbouring tokens joined by blanks, size after size.

    >>> ngrams(["a", "b", "c"], [1, 2])
    ['a', 'b', 'c', 'a b', 'b c']
    """
    return [" ".join(words[i : i + n]) for n in sizes for i in range(len(words) - n + 1)]


def padded(rows: Sequence[Sequence[int]], length: int | None, filler: int) -> NDArray[np.int64]:
    """Rows of integers as a matrix: cut to a length, or as long as the longest, and filled up.

    >>> padded([[1, 2], [3]], None, 0).tolist()
    [[1, 2], [3, 0]]
    """
    width = max(map(len, rows), default=0) if length is None else length
    found = np.full((len(rows), width), filler, np.int64)
    for i, row in enumerate(rows):
        found[i, : min(len(row), width)] = row[:width]
    return found
