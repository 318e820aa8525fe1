"""What the recipes for handwritten digits share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import triceras as keras

SOURCES = """\
--data is an .npz file with x_train, y_train, x_test and y_test, a folder with the four idx files, or the
word "digits" for the 1,797 smaller digits inside scikit-learn, which need no download. Without it MNIST
is looked for in the folder that TRICERAS_DATA names and in the caches, and else downloaded."""


def varied() -> Sequence[Any]:
    """Layers that turn, move and scale digits a little."""
    layers = keras.layers
    return (
        layers.RandomRotation(0.03, fill_mode="constant"),
        layers.RandomTranslation(0.08, 0.08, fill_mode="constant"),
        layers.RandomZoom(0.1, fill_mode="constant"),
    )
