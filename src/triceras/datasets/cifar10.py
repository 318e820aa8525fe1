"""CIFAR-10: colour photographs in 10 classes (Krizhevsky 2009, "Learning Multiple Layers of Features")."""

from __future__ import annotations

from triceras.core.registry import export
from triceras.datasets.cifar import Cifar, Split
from triceras.datasets.source import Published

CIFAR10 = Cifar(
    short="cifar10",
    folder="cifar-10-batches-py",
    file=Published(
        name="cifar-10-python.tar.gz",
        url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        also="cifar-10-batches-py-target_archive",
    ),
    train={f"data_batch_{n}": 10000 for n in range(1, 6)},
    test={"test_batch": 10000},
)


@export("datasets.cifar10.load_data")
def load_data() -> tuple[Split, Split]:
    """50,000 training and 10,000 test photographs as `(x_train, y_train), (x_test, y_test)`.

    Images are uint8 `(n, 32, 32, 3)`, or `(n, 3, 32, 32)` if the image format is "channels_first"; labels
    uint8 `(n, 1)`, in this order: airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck.
    Looked for in the folder named by `TRICERAS_DATA`, then in the caches, then downloaded (170 MB).

    Raises:
        DataUnavailableError: if it is nowhere to be had; it says how to place it by hand.
        FileFormatError: if a file in `TRICERAS_DATA` is broken or another one.

    >>> (x_train, y_train), (x_test, y_test) = load_data()  # doctest: +SKIP
    """
    return CIFAR10.load("labels", classes=10)
