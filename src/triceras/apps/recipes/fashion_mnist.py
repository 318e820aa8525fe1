"""Clothes in the format of MNIST: harder than digits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import triceras as keras
from triceras.apps.recipes.recipe import Recipe, Settings, answer
from triceras.apps.recipes.sources import arrays


def network(x: Any, settings: Settings, classes: int) -> Any:
    layers = keras.layers
    for filters in (32, 64):
        x = layers.Conv2D(filters, (3, 3), padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.Activation("relu")(x)
        x = layers.MaxPooling2D((2, 2))(x)
        x = layers.Dropout(0.25)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(128, activation="relu")(x)
    x = layers.Dropout(0.5)(x)
    return answer(x, classes)


def varied() -> Sequence[Any]:
    """Clothes can be mirrored; they don't stand on their heads."""
    layers = keras.layers
    return layers.RandomFlip("horizontal"), layers.RandomTranslation(0.05, 0.05, fill_mode="constant")


RECIPE = Recipe(
    name="fashion-mnist",
    summary="Ten kinds of clothes, a harder MNIST.",
    about="""\
Convolution, batch normalization, ReLU and pooling, twice, with dropout in between.

--data is an .npz file with x_train, y_train, x_test and y_test, or a folder with the four idx files.
Without it Fashion-MNIST is looked for in the folder that TRICERAS_DATA names and in the caches, and else
downloaded.""",
    load=arrays("fashion-mnist"),
    network=network,
    usual={"epochs": 10, "batch_size": 128, "optimizer": "adam", "lr": 0.001},
    augmentation=varied,
)
