"""The slides' network: one hidden layer."""

from __future__ import annotations

from typing import Any

import triceras as keras
from triceras.apps.recipes.digits import SOURCES, varied
from triceras.apps.recipes.recipe import Recipe, Settings, answer
from triceras.apps.recipes.sources import arrays


def network(x: Any, settings: Settings, classes: int) -> Any:
    layers = keras.layers
    x = layers.Flatten()(x)
    x = layers.Dense(128, activation="relu")(x)
    return answer(x, classes)


RECIPE = Recipe(
    name="mnist-mlp",
    summary="Handwritten digits with one hidden layer.",
    about=f"""\
The picture is flattened into a row of numbers, and a hidden layer of 128 units looks at all of them at
once: 101,770 weights. A tenth of the training pictures is kept for validation.

{SOURCES}""",
    load=arrays("mnist", held_out=0.1),
    network=network,
    usual={"epochs": 5, "batch_size": 32, "optimizer": "adam", "lr": 0.001, "schedule": "constant"},
    augmentation=varied,
)
