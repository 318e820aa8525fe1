"""Chest X-rays of children: with or without pneumonia, three to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import triceras as keras
from triceras.apps.recipes.recipe import Recipe, Settings, answer
from triceras.apps.recipes.sources import folders


def network(x: Any, settings: Settings, classes: int) -> Any:
    layers = keras.layers
    # Each picture gets mean 0 and variance 1 of its own, for machines and exposures differ
    x = layers.LayerNormalization(axis=(1, 2, 3), center=False, scale=False)(x)
    x = layers.Conv2D(16, (3, 3), padding="same", activation="relu")(x)
    x = layers.MaxPooling2D((2, 2))(x)
    for filters in (32, 64, 128, 128):
        x = layers.Conv2D(filters, (3, 3), padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.98)(x)
        x = layers.Activation("relu")(x)
        x = layers.MaxPooling2D((2, 2))(x)
    x = layers.Dropout(0.3)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(128, activation="relu")(x)
    x = layers.Dropout(0.5)(x)
    return answer(x, classes)


def varied() -> Sequence[Any]:
    """As patients stand and machines differ: turned, moved, stretched, in other contrasts, exposures, sharpness.

    The classes of the training pictures differ in contrast and sharpness on average: nothing to rely on.
    """
    layers = keras.layers
    seen = {"value_range": (0, 1)}
    return (
        layers.RandomFlip("horizontal"),
        layers.RandomRotation(0.08, fill_mode="reflect"),
        layers.RandomTranslation(0.1, 0.1, fill_mode="reflect"),
        layers.RandomZoom(0.25, 0.25, fill_mode="reflect"),
        layers.RandomContrast(0.4, **seen),
        layers.RandomBrightness(0.25, **seen),
        layers.RandomSharpness(1.0, **seen),
        layers.RandomGaussianBlur(0.5, 5, (0.1, 1.5), **seen),
    )


RECIPE = Recipe(
    name="pneumonia",
    summary="Chest X-rays: pneumonia or not, three to one.",
    about="""\
Five convolutions, four batch normalizations, five poolings and two dropouts. There are three times as
many pictures of one class as of the other, so both are drawn equally often (--balance sampler).

--data is a folder with train, val and test, a folder for each class (NORMAL, PNEUMONIA) in each; parts
that are missing are cut off from the training. Without it chest_xray is looked for here and in the folder
that TRICERAS_DATA names.""",
    load=folders(
        "pneumonia",
        channels=1,
        places=("chest_xray",),
        origin="https://data.mendeley.com/datasets/rscbjbr9sj",
    ),
    network=network,
    usual={
        "image_size": "128",
        "epochs": 30,
        "batch_size": 32,
        "optimizer": "adam",
        "lr": 0.001,
        "augment": True,
        "balance": "sampler",
    },
    augmentation=varied,
    copies=4,
    average=0.09,
)
