"""MobileNet, third version: blocks found by search, with attention to channels (Howard et al. 2019,
arXiv:1905.02244)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from triceras import layers
from triceras.applications.building import (
    CLASSES,
    Activation,
    KerasTensor,
    Shape,
    assemble,
    batch_norm,
    channels,
    described,
    last_axis,
    pad_for_stride,
    rounded,
)
from triceras.applications.imagenet_utils import preprocessing
from triceras.applications.published import ROOT, Published
from triceras.core.errors import ArgumentError
from triceras.core.registry import export
from triceras.models import Model

preprocess_input, decode_predictions = preprocessing(None, "mobilenet_v3")

# Kernel, times as many channels inside, channels, whether channels are weighted, whether the activation is
# a hard sigmoid linear unit instead of a rectifier, stride
Blocks = tuple[tuple[int, float, int, bool, bool, int], ...]
LARGE: Blocks = (
    (3, 1, 16, False, False, 1),
    (3, 4, 24, False, False, 2),
    (3, 3, 24, False, False, 1),
    (5, 3, 40, True, False, 2),
    (5, 3, 40, True, False, 1),
    (5, 3, 40, True, False, 1),
    (3, 6, 80, False, True, 2),
    (3, 2.5, 80, False, True, 1),
    (3, 2.3, 80, False, True, 1),
    (3, 2.3, 80, False, True, 1),
    (3, 6, 112, True, True, 1),
    (3, 6, 112, True, True, 1),
    (5, 6, 160, True, True, 2),
    (5, 6, 160, True, True, 1),
    (5, 6, 160, True, True, 1),
)
SMALL: Blocks = (
    (3, 1, 16, True, False, 2),
    (3, 72 / 16, 24, False, False, 2),
    (3, 88 / 24, 24, False, False, 1),
    (5, 4, 40, True, True, 2),
    (5, 6, 40, True, True, 1),
    (5, 6, 40, True, True, 1),
    (5, 3, 48, True, True, 1),
    (5, 3, 48, True, True, 1),
    (5, 6, 96, True, True, 2),
    (5, 6, 96, True, True, 1),
    (5, 6, 96, True, True, 1),
)
Unit = Callable[[KerasTensor], KerasTensor]


def _relu(x: KerasTensor) -> KerasTensor:
    return layers.ReLU()(x)


def _hard_silu(x: KerasTensor) -> KerasTensor:
    return layers.Activation("hard_silu")(x)


def _hard_sigmoid(x: KerasTensor) -> KerasTensor:
    return layers.ReLU(6.0)(x + 3.0) * (1 / 6)


def _norm(x: KerasTensor, name: str) -> KerasTensor:
    return batch_norm(x, f"{name}_bn", axis=last_axis(), epsilon=1e-3, momentum=0.999)


def _conv(x: KerasTensor, filters: int, name: str, kernel: int = 1, strides: int = 1) -> KerasTensor:
    x = layers.Conv2D(filters, kernel, strides=strides, padding="same", use_bias=False, name=name)(x)
    return _norm(x, name)


def _weighted(x: KerasTensor, name: str) -> KerasTensor:
    """Each channel weighted by what the means of all channels say."""
    count = channels(x)
    scale = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}avg_pool")(x)
    scale = layers.Conv2D(rounded(count / 4), 1, padding="same", name=f"{name}conv")(scale)
    scale = layers.ReLU(name=f"{name}relu")(scale)
    scale = _hard_sigmoid(layers.Conv2D(count, 1, padding="same", name=f"{name}conv_1")(scale))
    return layers.Multiply(name=f"{name}mul")([x, scale])


def _block(
    x: KerasTensor, kernel: int, expansion: float, filters: int, weighted: bool, unit: Unit, stride: int,
    number: int,
) -> KerasTensor:  # fmt: skip
    inputs, name = x, f"expanded_conv_{number}_" if number else "expanded_conv_"
    if number:
        x = unit(_conv(x, rounded(channels(x) * expansion), f"{name}expand"))
    if stride == 2:
        x = pad_for_stride(x, kernel, f"{name}depthwise_pad")
    padding = "same" if stride == 1 else "valid"
    depthwise = layers.DepthwiseConv2D(
        kernel, strides=stride, padding=padding, use_bias=False, name=f"{name}depthwise"
    )
    x = unit(_norm(depthwise(x), f"{name}depthwise"))
    if weighted:
        x = _weighted(x, f"{name}squeeze_excite_")
    x = _conv(x, filters, f"{name}project")
    if stride == 1 and channels(inputs) == filters:
        x = layers.Add(name=f"{name}add")([inputs, x])
    return x


def _body(x: KerasTensor, blocks: Blocks, alpha: float, minimalistic: bool) -> KerasTensor:
    unit = _relu if minimalistic else _hard_silu
    x = unit(_conv(x, 16, "conv", kernel=3, strides=2))
    for number, (kernel, expansion, filters, weighted, hard, stride) in enumerate(blocks):
        x = _block(
            x, 3 if minimalistic else kernel, expansion, rounded(filters * alpha),
            weighted and not minimalistic, unit if hard else _relu, stride, number,
        )  # fmt: skip
    return unit(_conv(x, rounded(channels(x) * 6), "conv_1"))


def _pixels(x: KerasTensor, pretrained: bool) -> KerasTensor:
    return layers.Rescaling(scale=1 / 127.5, offset=-1.0)(x)


def _mobilenet(
    which: str, blocks: Blocks, last: int, hashes: dict[str, tuple[str, str]], example: str
) -> Callable[..., Model]:
    network = f"MobileNetV3{which}"

    def build(
        input_shape: Shape | None = None,
        alpha: float = 1.0,
        minimalistic: bool = False,
        include_top: bool = True,
        weights: str | Path | None = "imagenet",
        input_tensor: Any = None,
        classes: int = CLASSES,
        pooling: str | None = None,
        dropout_rate: float = 0.2,
        classifier_activation: Activation = "softmax",
        include_preprocessing: bool = True,
        name: str = network,
    ) -> Model:
        kind = f"{which.lower()}{'_minimalistic' * minimalistic}_224_{float(alpha)}_float"
        if weights == "imagenet" and kind not in hashes:
            raise ArgumentError(
                f'{network}(): weights="imagenet" exist for `alpha` 0.75 and 1.0, and for 1.0 with '
                f"minimalistic=True. Received: alpha={alpha!r}, minimalistic={minimalistic!r}"
            )

        def top(x: KerasTensor, classes: int, activation: Activation) -> KerasTensor:
            unit = _relu if minimalistic else _hard_silu
            x = layers.GlobalAveragePooling2D(keepdims=True)(x)
            x = layers.Conv2D(
                rounded(last * alpha) if alpha > 1 else last, 1, padding="same", use_bias=True, name="conv_2"
            )(x)
            x = unit(x)
            if dropout_rate > 0:
                x = layers.Dropout(dropout_rate)(x)
            x = layers.Conv2D(classes, 1, padding="same", name="logits")(x)
            return layers.Activation(activation, name="predictions")(layers.Flatten()(x))

        file = f"{ROOT}mobilenet_v3/weights_mobilenet_v3_{kind}"
        return assemble(
            network, lambda x: _body(x, blocks, alpha, minimalistic), include_top=include_top,
            weights=weights, input_tensor=input_tensor, input_shape=input_shape, pooling=pooling,
            classes=classes, classifier_activation=classifier_activation, name=name,
            pixels=_pixels if include_preprocessing else None, top=top, full_size=False,
            published=Published(f"{file}.h5", f"{file}_no_top_v2.h5", hashes.get(kind)),
        )  # fmt: skip

    build.__name__ = build.__qualname__ = network
    build.__doc__ = described(
        f"MobileNet, third version, {which.lower()}; it takes pixels of 0 to 255 as they are.",
        "; of any size if not given",
        "        alpha: how many channels there are, as a multiple of the paper's.\n"
        "        minimalistic: only what runs everywhere: 3x3 kernels, rectifiers, no weighted channels.\n"
        "        dropout_rate: rate before the classifier.\n"
        "        include_preprocessing: whether the network scales the pixels; else it takes -1 to 1.\n",
        example,
    )
    return export(f"applications.{network}")(build)


MobileNetV3Small = _mobilenet(
    "Small", SMALL, 1024,
    {
        "small_224_0.75_float": ("cb65d4e5be93758266aa0a7f2c6708b7", "ebdb5cc8e0b497cd13a7c275d475c819"),
        "small_224_1.0_float": ("8768d4c2e7dee89b9d02b2d03d65d862", "d3e8ec802a04aa4fc771ee12a9a9b836"),
        "small_minimalistic_224_1.0_float": (
            "99cd97fb2fcdad2bf028eb838de69e37", "cde8136e733e811080d9fcd8a252f7e4",
        ),
    },
    "MobileNetV3Small(weights=None, classes=10, input_shape=(32, 32, 3)).output_shape\n    (None, 10)",
)  # fmt: skip
MobileNetV3Large = _mobilenet(
    "Large", LARGE, 1280,
    {
        "large_224_0.75_float": ("765b44a33ad4005b3ac83185abf1d0eb", "40af19a13ebea4e2ee0c676887f69a2e"),
        "large_224_1.0_float": ("59e551e166be033d707958cf9e29a6a7", "07fb09a5933dd0c8eaafa16978110389"),
        "large_minimalistic_224_1.0_float": (
            "675e7b876c45c57e9e63e6d90a36599c", "ec5221f64a2f6d1ef965a614bdae7973",
        ),
    },
    "",
)  # fmt: skip
