"""Digits: the 1,797 handwritten digits inside scikit-learn (Alpaydin, Kaynak 1998; CC BY 4.0), like MNIST's.

They need no network. Each is 8x8 pixels with 17 levels of ink; MNIST's makers scaled theirs to fit 20x20
pixels and put the centre of mass in the middle of 28x28, and so is done here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from triceras.core.errors import require
from triceras.core.registry import export

Split = tuple[NDArray[np.uint8], NDArray[np.uint8]]

INK = 16  # the darkest level
FIT, SIDE = 20, 28
# Enlarged strokes are broad and soft. This contrast gives them MNIST's mean (33 of 255) and inked area (19%).
MIDDLE, CONTRAST = 0.6, 2.0


@export("datasets.digits.load_data")
def load_data() -> tuple[Split, Split]:
    """1,501 training and 296 test digits in MNIST's format as `(x_train, y_train), (x_test, y_test)`.

    Images are uint8 `(n, 28, 28)`, 0 (paper) to 255 (ink); labels uint8 `(n,)`, 0 to 9. The test set is the
    last sixth of each class: neighbours in the file look alike, so that a scattered test set would be too
    easy.

    Raises:
        OptionalDependencyError: if scikit-learn isn't installed.

    >>> (x_train, y_train), (x_test, y_test) = load_data()
    >>> x_train.shape, x_test.shape
    ((1501, 28, 28), (296, 28, 28))
    """
    found = require("sklearn.datasets", "apps", "datasets.digits").load_digits()
    images = np.stack([_like_mnist(image / INK) for image in found.images])
    labels = found.target.astype(np.uint8)
    test = np.zeros(len(labels), bool)
    for digit in range(10):
        members = np.flatnonzero(labels == digit)
        test[members[-(len(members) // 6) :]] = True
    return (images[~test], labels[~test]), (images[test], labels[test])


def _like_mnist(image: NDArray[Any]) -> NDArray[np.uint8]:
    """One digit, 8x8 from 0 to 1, as 28x28 bytes."""
    from scipy import ndimage  # scikit-learn brings it

    rows, columns = np.nonzero(image)
    digit = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    size = [max(1, round(side * FIT / max(digit.shape))) for side in digit.shape]
    step = np.divide(digit.shape, size)
    large = ndimage.affine_transform(digit, step, (step - 1) / 2, tuple(size), order=3, mode="grid-constant")
    large = np.clip((large - MIDDLE) * CONTRAST + 0.5, 0, 1)
    top, left = (
        min(max(round(SIDE / 2 - centre), 0), SIDE - side)
        for centre, side in zip(ndimage.center_of_mass(large), size)
    )
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    canvas[top : top + size[0], left : left + size[1]] = np.rint(large * 255)
    return canvas
