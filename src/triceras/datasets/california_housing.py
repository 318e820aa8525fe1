"""California housing: prices of houses in the census of 1990 by 8 properties of their districts (Pace, Barry, 1997)."""

from __future__ import annotations

from triceras.core.errors import ArgumentError
from triceras.core.registry import export
from triceras.datasets.source import Published
from triceras.datasets.tables import Table, load_table

URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/california_housing.npz"
SHA256 = "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f"
ROWS = {"large": None, "small": 600}


@export("datasets.california_housing.load_data")
def load_data(
    version: str = "large", path: str = "california_housing.npz", test_split: float = 0.2, seed: int = 113
) -> tuple[Table, Table]:
    """Districts in two parts, `(x_train, y_train), (x_test, y_test)`.

    `x` has 8 columns: longitude, latitude, median age of houses, numbers of rooms, bedrooms, inhabitants and
    households, and median income; `y` is the median price in dollars.

    Args:
        version: "large" for 20,640 districts, "small" for the first 600.
        path: file name to look for and to keep the download under.
        test_split: the fraction that is for testing.
        seed: of the order.

    Raises:
        DataUnavailableError: if it is nowhere to be had; it says how to place it by hand.
        FileFormatError: if the file in `TRICERAS_DATA` is broken or another one.

    >>> (x_train, y_train), (x_test, y_test) = load_data("small")  # doctest: +SKIP
    """
    if version not in ROWS:
        raise ArgumentError(
            f"california_housing.load_data(): `version` must be one of {tuple(ROWS)}. Received: {version!r}"
        )
    return load_table(Published(path, URL, SHA256), "california_housing", 8, test_split, seed, ROWS[version])
