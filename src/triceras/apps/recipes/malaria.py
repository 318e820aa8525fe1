"""Blood cells: with or without the parasite of malaria."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import triceras as keras
from triceras.apps.recipes.recipe import Recipe, Settings, answer
from triceras.apps.recipes.sources import folders


def network(x: Any, settings: Settings, classes: int) -> Any:
    layers = keras.layers
    for filters in (32, 64, 128):
        x = layers.Conv2D(filters, (3, 3), padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.Activation("relu")(x)
        x = layers.MaxPooling2D((2, 2))(x)
    x = layers.GlobalMaxPooling2D()(x)  # a parasite counts wherever it is
    x = layers.Dropout(0.3)(x)
    return answer(x, classes)


def varied() -> Sequence[Any]:
    """A cell has no top and no left."""
    layers = keras.layers
    return layers.RandomFlip("horizontal_and_vertical"), layers.RandomRotation(0.25, fill_mode="constant")


RECIPE = Recipe(
    name="malaria",
    summary="Blood cells: parasitized or not.",
    about="""\
Three stages of convolution, batch normalization and pooling, then the strongest answer of each kernel, on
cells that are turned and mirrored at random.

--data is a folder with a folder of pictures for each class (Parasitized, Uninfected), or with such
folders inside of train, val and test; parts that are missing are cut off from the training. Without it
malaria or cell_images are looked for here and in the folder that TRICERAS_DATA names.""",
    load=folders(
        "malaria",
        channels=3,
        places=("malaria", "cell_images"),
        origin="https://lhncbc.nlm.nih.gov/LHC-research/LHC-projects/image-processing/malaria-datasheet.html",
    ),
    network=network,
    usual={
        "image_size": "64",
        "epochs": 30,
        "batch_size": 32,
        "optimizer": "adam",
        "lr": 0.001,
        "augment": True,
    },
    augmentation=varied,
)
