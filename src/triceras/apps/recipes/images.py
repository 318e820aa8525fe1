"""Any pictures in folders, with a small network or a ready-made one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import triceras as keras
from triceras.apps.recipes.recipe import Recipe, Settings, answer
from triceras.apps.recipes.sources import folders
from triceras.core.errors import ArgumentError

READY_MADE = {  # by the names of `applications`: its class, and the module of its preprocessing
    "vgg16": ("VGG16", "vgg16"),
    "resnet50": ("ResNet50", "resnet50"),
    "resnet50v2": ("ResNet50V2", "resnet_v2"),
    "inceptionv3": ("InceptionV3", "inception_v3"),
    "mobilenetv2": ("MobileNetV2", "mobilenet_v2"),
    "densenet121": ("DenseNet121", "densenet"),
    "efficientnetb0": ("EfficientNetB0", "efficientnet"),
}
BASE = "base"  # the name of the ready-made network in ours


def network(x: Any, settings: Settings, classes: int) -> Any:
    layers = keras.layers
    name = settings.model.lower().replace("_", "").replace("-", "")
    if name == "small":
        x = small(layers.Rescaling(1 / 255)(x))
    elif name in READY_MADE:
        x = ready_made(x, name, settings)
    else:
        raise ArgumentError(f"--model must be small, {', '.join(READY_MADE)}. Received: {settings.model!r}")
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


def ready_made(x: Any, name: str, settings: Settings) -> Any:
    """Features of a network from `applications`, with the weights of a file if one is named."""
    function, module = READY_MADE[name]
    if settings.freeze and not settings.weights:
        raise ArgumentError(
            "--freeze would keep random numbers as they are: name a file with trained ones, --weights FILE."
        )
    base = getattr(keras.applications, function)(
        include_top=False, weights=settings.weights, input_shape=x.shape[1:], pooling="avg", name=BASE
    )
    base.trainable = not settings.freeze
    preprocess = getattr(keras.applications, module).preprocess_input
    return base(preprocess(x))


def varied() -> Sequence[Any]:
    """What leaves most things what they are: mirrored, turned and scaled a little."""
    layers = keras.layers
    return layers.RandomFlip("horizontal"), layers.RandomRotation(0.05), layers.RandomZoom(0.15)


RECIPE = Recipe(
    name="images",
    summary="Any pictures in folders; also with ready-made networks.",
    about=f"""\
--data is a folder with a folder of pictures for each class, which may hold further folders; or with such
folders inside of train, val and test; or a CSV file with the columns file and label (and maybe split).
Parts that are missing are cut off from the training. Pictures that can't be read are named and left out.

--model is small, a network of four convolutions, or one of {", ".join(READY_MADE)}. For transfer learning
give a file with trained weights (without the top, as published for Keras), and train in two phases:
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
