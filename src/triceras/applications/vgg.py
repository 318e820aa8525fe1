"""VGG: stacks of 3x3 convolutions (Simonyan, Zisserman 2014, arXiv:1409.1556)."""

from __future__ import annotations

from triceras import layers
from triceras.applications.building import Activation, KerasTensor, architecture
from triceras.applications.imagenet_utils import preprocessing
from triceras.applications.published import kernels

preprocess_input, decode_predictions = preprocessing("caffe", "vgg16", "vgg19")
FILTERS = (64, 128, 256, 512, 512)


def _body(x: KerasTensor, repeats: tuple[int, ...]) -> KerasTensor:
    for block, (filters, repeat) in enumerate(zip(FILTERS, repeats, strict=True), 1):
        for i in range(1, repeat + 1):
            name = f"block{block}_conv{i}"
            x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=name)(x)
        x = layers.MaxPooling2D(2, strides=2, name=f"block{block}_pool")(x)
    return x


def _top(x: KerasTensor, classes: int, activation: Activation) -> KerasTensor:
    x = layers.Flatten(name="flatten")(x)
    for name in ("fc1", "fc2"):
        x = layers.Dense(4096, activation="relu", name=name)(x)
    return layers.Dense(classes, activation=activation, name="predictions")(x)


VGG16 = architecture(
    "VGG16", "vgg16", lambda x: _body(x, (2, 2, 3, 3, 3)), "VGG with 16 layers that have weights.",
    example="VGG16(weights=None, include_top=False, input_shape=(32, 32, 3)).output_shape\n"
    "    (None, 1, 1, 512)",
    top=_top, poolings=(None, None),
    published=kernels(
        "vgg16", "vgg16", ("64373286793e3c8b2b4e3219cbf3544b", "6d6bbae143d832006294945121d1f1fc")
    ),
)  # fmt: skip
VGG19 = architecture(
    "VGG19", "vgg19", lambda x: _body(x, (2, 2, 4, 4, 4)), "VGG with 19 layers that have weights.",
    top=_top, poolings=(None, None),
    published=kernels(
        "vgg19", "vgg19", ("cbe5617147190e668d6c5d5026f83318", "253f8cb515780f3b799900260a226db6")
    ),
)  # fmt: skip
