"""The Functional API: batch normalization between convolution and activation, and maybe a second answer."""

from __future__ import annotations

from typing import Any

import numpy as np

import triceras as keras
from triceras.apps.recipes.digits import SOURCES, varied
from triceras.apps.recipes.recipe import Recipe, Settings, answer
from triceras.apps.recipes.sources import arrays


def network(x: Any, settings: Settings, classes: int) -> Any:
    layers = keras.layers
    for filters in (32, 64):
        x = layers.Conv2D(filters, (3, 3), padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.Activation("relu")(x)
        x = layers.MaxPooling2D((2, 2))(x)
    x = layers.Flatten()(x)
    x = layers.Dense(128, activation="relu")(x)
    x = layers.Dropout(0.5)(x)
    if settings.multi_task:  # one body, two answers
        return {"digit": answer(x, classes, "digit"), "parity": answer(x, 2, "parity")}
    return answer(x, classes, "digit")


def tasks(labels: np.ndarray, settings: Settings) -> Any:
    """Even or odd, beside the digit."""
    return {"digit": labels, "parity": labels % 2} if settings.multi_task else labels


RECIPE = Recipe(
    name="mnist-functional",
    summary="Handwritten digits with batch normalization, and even or odd as a second task.",
    about=f"""\
Two stages of convolution, batch normalization, ReLU and pooling, then a dense layer with dropout. With
--multi-task the same body gives two answers: which digit it is, and whether it is even or odd.

{SOURCES}""",
    load=arrays("mnist"),
    network=network,
    usual={"epochs": 10, "batch_size": 128, "optimizer": "adam", "lr": 0.001},
    augmentation=varied,
    options=("multi_task",),
    tasks=tasks,
)
