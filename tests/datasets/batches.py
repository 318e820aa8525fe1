"""CIFAR batches as their authors wrote them: protocol 2 of Python 2, where text is bytes."""

from __future__ import annotations

import io
import pickle
import struct

import numpy as np


class _Python2Pickler(pickle._Pickler):
    """The pure-Python pickler, with bytes written as Python 2 wrote its strings."""

    dispatch = dict(pickle._Pickler.dispatch)  # noqa: RUF012

    def save_string(self, text):
        self.write(pickle.BINSTRING + struct.pack("<i", len(text)) + text)
        self.memoize(text)

    dispatch[bytes] = save_string


def batch(pixels: np.ndarray, **labels: list[int]) -> bytes:
    """One batch file."""
    out = io.BytesIO()
    _Python2Pickler(out, protocol=2).dump(
        {b"data": pixels, **{key.encode(): value for key, value in labels.items()}}
    )
    return out.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
