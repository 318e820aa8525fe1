"""CIFAR-100: colour photographs in 100 classes (Krizhevsky 2009, "Learning Multiple Layers of Features")."""

from __future__ import annotations

import numpy as np

from triceras.core.errors import ArgumentError
from triceras.core.registry import export
from triceras.datasets.cifar import Cifar, Split
from triceras.datasets.source import Published

CIFAR100 = Cifar(
    short="cifar100",
    folder="cifar-100-python",
    file=Published(
        name="cifar-100-python.tar.gz",
        url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        sha256="85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
        also="cifar-100-python-target_archive",
    ),
    train={"train": 50000},
    test={"test": 10000},
)
CLASSES = {"fine": 100, "coarse": 20}


@export("datasets.cifar100.load_data")
def load_data(label_mode: str = "fine") -> tuple[Split, Split]:
    """50,000 training and 10,000 test photographs as `(x_train, y_train), (x_test, y_test)`.

    Images are uint8 `(n, 32, 32, 3)`, or `(n, 3, 32, 32)` if the image format is "channels_first"; labels
    int64 `(n, 1)`. Looked for in the folder named by `TRICERAS_DATA`, then in the caches, then downloaded
    (169 MB).

    Args:
        label_mode: "fine" for the 100 classes, "coarse" for the 20 groups of them.

    Raises:
        DataUnavailableError: if it is nowhere to be had; it says how to place it by hand.
        FileFormatError: if a file in `TRICERAS_DATA` is broken or another one.

    >>> (x_train, y_train), (x_test, y_test) = load_data("coarse")  # doctest: +SKIP
    """
    if label_mode not in CLASSES:
        raise ArgumentError(
            f'cifar100.load_data() takes label_mode="fine" or "coarse". Received: {label_mode!r}'
        )
    (x_train, y_train), (x_test, y_test) = CIFAR100.load(f"{label_mode}_labels", classes=CLASSES[label_mode])
    # The reference's labels are 64-bit here, though 8-bit in the other sets.
    return (x_train, y_train.astype(np.int64)), (x_test, y_test.astype(np.int64))
