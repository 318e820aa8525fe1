"""Fashion-MNIST: clothes in the format of MNIST (Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747; MIT)."""

from __future__ import annotations

from triceras.core.registry import export
from triceras.datasets.idx import NAMES, Split, idx_files, read_idx
from triceras.datasets.source import Published, by_hand, obtain

URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
SHA256 = {
    "x_train": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "y_train": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "x_test": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "y_test": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}
FOLDERS = ("fashion-mnist", "fashion_mnist", "FashionMNIST/raw", "fashion")


@export("datasets.fashion_mnist.load_data")
def load_data() -> tuple[Split, Split]:
    """60,000 training and 10,000 test images of clothes as `(x_train, y_train), (x_test, y_test)`.

    Images are uint8 `(n, 28, 28)`, labels uint8 `(n,)`, in this order: T-shirt, trouser, pullover, dress,
    coat, sandal, shirt, sneaker, bag, boot. Looked for in the folder named by `TRICERAS_DATA`, then in the
    caches, then downloaded (31 MB).

    Raises:
        DataUnavailableError: if it is nowhere to be had; it says how to place it by hand.
        FileFormatError: if a file in `TRICERAS_DATA` is broken or another one.

    >>> (x_train, y_train), (x_test, y_test) = load_data()  # doctest: +SKIP
    """
    for place in FOLDERS:
        if (folder := by_hand([place])) and (files := idx_files(folder)):
            return read_idx(files)
    files = [
        Published(f"fashion-mnist/{name}.gz", f"{URL}{name}.gz", SHA256[key]) for key, name in NAMES.items()
    ]
    paths = obtain(files, [f"{place}/{NAMES['x_train']}.gz" for place in FOLDERS])
    return read_idx(dict(zip(NAMES, paths)))
