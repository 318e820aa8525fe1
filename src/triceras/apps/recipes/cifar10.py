"""Small colour photographs: a deeper network, and augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import triceras as keras
from triceras.apps.recipes.recipe import Recipe, Settings, answer
from triceras.apps.recipes.sources import arrays


def network(x: Any, settings: Settings, classes: int) -> Any:
    layers = keras.layers
    for filters, rate in ((32, 0.2), (64, 0.3), (128, 0.4)):
        for _ in range(2):
            x = layers.Conv2D(filters, (3, 3), padding="same", use_bias=False)(x)
            x = layers.BatchNormalization()(x)
            x = layers.Activation("relu")(x)
        x = layers.MaxPooling2D((2, 2))(x)
        x = layers.Dropout(rate)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(128, activation="relu")(x)
    x = layers.Dropout(0.5)(x)
    return answer(x, classes)


def varied() -> Sequence[Any]:
    """Mirrored, and moved by up to an eighth."""
    layers = keras.layers
    return layers.RandomFlip("horizontal"), layers.RandomTranslation(0.125, 0.125, fill_mode="reflect")


RECIPE = Recipe(
    name="cifar10",
    summary="Small colour photographs of ten things.",
    about="""\
Three stages of two convolutions with batch normalization, then pooling and dropout. The training pictures
are mirrored and moved at random.

--data is an .npz file with x_train, y_train, x_test and y_test. Without it CIFAR-10 is looked for in the
folder that TRICERAS_DATA names and in the caches, and else downloaded (170 MB).""",
    load=arrays("cifar10", held_out=0.1),
    network=network,
    usual={
        "image_size": "32",
        "epochs": 30,
        "batch_size": 64,
        "optimizer": "adam",
        "lr": 0.001,
        "augment": True,
    },
    augmentation=varied,
)
