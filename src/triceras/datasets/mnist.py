"""MNIST: handwritten digits (LeCun, Cortes, Burges 1998; CC BY-SA 3.0)."""

from __future__ import annotations

from triceras.core.registry import export
from triceras.datasets.idx import NAMES, Split, idx_files, read_idx, read_npz
from triceras.datasets.source import Published, by_hand, obtain, places_of

URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
IDX_FOLDERS = ("mnist", "MNIST/raw", "mnist/MNIST/raw")


@export("datasets.mnist.load_data")
def load_data(path: str = "mnist.npz") -> tuple[Split, Split]:
    """60,000 training and 10,000 test digits as `(x_train, y_train), (x_test, y_test)`.

    Images are uint8 `(n, 28, 28)`, 0 (paper) to 255 (ink); labels uint8 `(n,)`, 0 to 9. Looked for in the
    folder named by `TRICERAS_DATA`, then in the caches, then downloaded (11 MB).

    Args:
        path: file name to look for and to keep the download under.

    Raises:
        DataUnavailableError: if it is nowhere to be had; it says how to place it by hand.
        FileFormatError: if the file in `TRICERAS_DATA` is broken or another one.

    >>> (x_train, y_train), (x_test, y_test) = load_data()  # doctest: +SKIP
    """
    places = places_of(path, "mnist")
    if found := by_hand(places):
        return read_npz(found)
    for place in IDX_FOLDERS:
        if (folder := by_hand([place])) and (files := idx_files(folder)):
            return read_idx(files)
    searched = (*places, *(f"{place}/{NAMES['x_train']}.gz" for place in IDX_FOLDERS))
    return read_npz(obtain([Published(path, URL, SHA256)], searched)[0])
