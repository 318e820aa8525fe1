"""Boston housing: prices of houses by 13 properties of their surroundings (Harrison, Rubinfeld, 1978)."""

from __future__ import annotations

from triceras.core.registry import export
from triceras.datasets.source import Published
from triceras.datasets.tables import Table, load_table

URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/boston_housing.npz"
SHA256 = "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5"


@export("datasets.boston_housing.load_data")
def load_data(
    path: str = "boston_housing.npz", test_split: float = 0.2, seed: int = 113
) -> tuple[Table, Table]:
    """506 districts in two parts, `(x_train, y_train), (x_test, y_test)`.

    `x` has 13 columns, `y` the median price in thousands of dollars. One column was made from the share of Black
    inhabitants, on a premise that is racist and wrong; prefer `california_housing`.

    Args:
        path: file name to look for and to keep the download under.
        test_split: the fraction that is for testing.
        seed: of the order.

    Raises:
        DataUnavailableError: if it is nowhere to be had; it says how to place it by hand.
        FileFormatError: if the file in `TRICERAS_DATA` is broken or another one.

    >>> (x_train, y_train), (x_test, y_test) = load_data()  # doctest: +SKIP
    """
    return load_table(Published(path, URL, SHA256), "boston_housing", 13, test_split, seed)
