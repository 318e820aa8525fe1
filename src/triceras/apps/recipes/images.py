"""Any pictures in folders, with a small network or a ready-made one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any

import triceras as keras
from triceras.apps.recipes.recipe import Recipe, Settings, answer
from triceras.apps.recipes.sources import folders
from triceras.core.errors import ArgumentError
from triceras.core.registry import lookup, names

BASE = "base"  # the name of the ready-made network in ours


@cache
def ready_made() -> dict[str, Callable[[Any], Any]]:
    """Names of the networks of `applications`, and each one's own preprocessing."""
    places = keras.applications
    networks = {name: getattr(places, name) for name in dir(places) if name[0].isupper()}
    found = {name: sys.modules[build.__module__].preprocess_input for name, build in networks.items()}
    # where one file holds two families, these tell them apart
    for module in filter(str.islower, dir(places)):
        if preprocess := lookup(f"applications.{module}.preprocess_input"):
            found |= {name: preprocess for name in names(f"applications.{module}") if name in networks}
    return found


def network(x: Any, settings: Settings, classes: int) -> Any:
    layers = keras.layers
    name = _plain(settings.model)
    known = {"small": "small"} | {_plain(name): name for name in ready_made()}
    if name not in known:
        near = ", ".join(known[n] for n in get_close_matches(name, known, 3, 0.5)) or "ResNet50, MobileNetV2"
        raise ArgumentError(
            f"--model must be small or a network of applications, such as {near}. Received: {settings.model!r}"
        )
    if name == "small" and (settings.weights or settings.freeze):
        raise ArgumentError(
            "--weights, --freeze and --fine-tune are for ready-made networks: name one with --model, such as "
            "--model MobileNetV2."
        )
    x = small(layers.Rescaling(1 / 255)(x)) if name == "small" else features(x, known[name], settings)
    x = layers.Dropout(0.3)(x)
    return answer(x, classes)


def small(x: Any) -> Any:
    """Four stages of convolution and pooling for pictures of any size, and the mean over the picture."""
    layers = keras.layers
    for filters in (32, 64, 128, 128):
        x = layers.Conv2D(filters, (3, 3), padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.Activation("relu")(x)
        x = layers.MaxPooling2D((2, 2), padding="same")(x)
    return layers.GlobalAveragePooling2D()(x)


def features(x: Any, name: str, settings: Settings) -> Any:
    """What a network of `applications` finds, with the weights of a file if one is named."""
    if settings.freeze and not settings.weights:
        raise ArgumentError(
            "--freeze would keep random numbers as they are: name a file with trained ones, --weights FILE."
        )
    base = getattr(keras.applications, name)(
        include_top=False, weights=settings.weights, input_shape=x.shape[1:], pooling="avg", name=BASE
    )
    base.trainable = not settings.freeze
    return base(ready_made()[name](x))


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def varied() -> Sequence[Any]:
    """What leaves most things what they are: mirrored, turned and scaled a little."""
    layers = keras.layers
    return layers.RandomFlip("horizontal"), layers.RandomRotation(0.05), layers.RandomZoom(0.15)


RECIPE = Recipe(
    name="images",
    summary="Any pictures in folders; also with ready-made networks.",
    about="""\
--data is a folder with a folder of pictures for each class, which may hold further folders; or with such
folders inside of train, val and test; or a CSV file with the columns file and label (and maybe split).
Parts that are missing are cut off from the training. Pictures that can't be read are named and left out.

--model is small, a network of four convolutions, or any one of triceras.applications: VGG16, ResNet50,
MobileNetV2, EfficientNetB0 and so on. For transfer learning give a file with trained weights (without the
top, as published for Keras), and train in two phases:
--weights FILE --freeze --epochs 15 --fine-tune 5 trains the new top for ten epochs and everything for
five.""",
    load=folders("images", channels=3),
    network=network,
    usual={
        "image_size": "128",
        "epochs": 15,
        "batch_size": 32,
        "optimizer": "adam",
        "lr": 0.001,
        "augment": True,
    },
    augmentation=varied,
    options=("model", "weights", "freeze", "fine_tune"),
    scale=False,
)
