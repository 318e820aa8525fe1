"""EfficientNet, second version: plain convolutions where they are faster (Tan, Le 2021, arXiv:2104.00298)."""

from __future__ import annotations

import math
import string
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
    channel_axis,
    channels,
    described,
)
from triceras.applications.efficientnet import (
    DROP,
    beside,
    conv,
    dense_top,
    kernel_initializer,
    silu,
    squeeze_and_excite,
)
from triceras.applications.imagenet_utils import DEVIATION, MEAN, preprocessing
from triceras.applications.published import ROOT, Published
from triceras.core.registry import export
from triceras.initializers import Constant
from triceras.models import Model

preprocess_input, decode_predictions = preprocessing(None, "efficientnet_v2")

Stages = tuple[tuple[int, int, int, int, bool], ...]  # blocks, channels, times inside, stride, plain
SMALL: Stages = (
    (2, 24, 1, 1, True),
    (4, 48, 4, 2, True),
    (4, 64, 4, 2, True),
    (6, 128, 4, 2, False),
    (9, 160, 6, 1, False),
    (15, 256, 6, 2, False),
)
MEDIUM: Stages = (
    (3, 24, 1, 1, True),
    (5, 48, 4, 2, True),
    (5, 80, 4, 2, True),
    (7, 160, 4, 2, False),
    (14, 176, 6, 1, False),
    (18, 304, 6, 2, False),
    (5, 512, 6, 1, False),
)
LARGE: Stages = (
    (4, 32, 1, 1, True),
    (7, 64, 4, 2, True),
    (7, 96, 4, 2, True),
    (10, 192, 4, 2, False),
    (19, 224, 6, 1, False),
    (25, 384, 6, 2, False),
    (7, 640, 6, 1, False),
)
BASE: Stages = (
    (1, 16, 1, 1, True),
    (2, 32, 4, 2, True),
    (2, 48, 4, 2, True),
    (3, 96, 4, 2, False),
    (5, 112, 6, 1, False),
    (8, 192, 6, 2, False),
)


def _rounded(filters: float) -> int:
    """The nearest multiple of 8."""
    return max(8, int(filters + 4) // 8 * 8)


def _norm(x: KerasTensor, name: str) -> KerasTensor:
    return batch_norm(x, f"{name}bn", momentum=0.9)


def _plain(x: KerasTensor, filters: int, expansion: int, stride: int, name: str) -> KerasTensor:
    """Widen by a 3x3 convolution and narrow; one convolution where nothing is widened."""
    if expansion == 1:
        x = _norm(conv(x, filters, 3, f"{name}project_conv", strides=stride), f"{name}project_")
        return silu(x, f"{name}project_")
    x = conv(x, expansion * channels(x), 3, f"{name}expand_conv", strides=stride)
    x = silu(_norm(x, f"{name}expand_"), f"{name}expand_")
    return _norm(conv(x, filters, 1, f"{name}project_conv"), f"{name}project_")


def _inverted(x: KerasTensor, filters: int, expansion: int, stride: int, name: str) -> KerasTensor:
    """Widen, filter each channel by itself, weight the channels, narrow."""
    count = channels(x)
    x = conv(x, expansion * count, 1, f"{name}expand_conv")
    x = silu(_norm(x, f"{name}expand_"), f"{name}expand_")
    x = layers.DepthwiseConv2D(
        3, strides=stride, padding="same", use_bias=False, depthwise_initializer=kernel_initializer(),
        name=f"{name}dwconv2",
    )(x)  # fmt: skip
    x = squeeze_and_excite(silu(_norm(x, name), name), max(1, count // 4), name)
    return _norm(conv(x, filters, 1, f"{name}project_conv"), f"{name}project_")


def _body(x: KerasTensor, stages: Stages, width: float, depth: float) -> KerasTensor:
    first = 32 if stages is BASE else stages[0][1]
    x = conv(x, _rounded(first * width), 3, "stem_conv", strides=2)
    x = silu(_norm(x, "stem_"), "stem_")
    repeats = [math.ceil(depth * repeat) for repeat, *_ in stages]
    number = 0
    for stage, (_, filters, expansion, first_stride, plain) in enumerate(stages):
        for i in range(repeats[stage]):
            name = f"block{stage + 1}{string.ascii_lowercase[i]}_"
            inputs, stride = x, 1 if i else first_stride
            block = _plain if plain else _inverted
            x = block(x, _rounded(filters * width), expansion, stride, name)
            x = beside(inputs, x, stride, DROP * number / sum(row[0] for row in stages), name)
            number += 1
    x = conv(x, _rounded(1280 * width), 1, "top_conv")
    return silu(_norm(x, "top_"), "top_")


def _normalized(x: KerasTensor, pretrained: bool) -> KerasTensor:
    if channels(x) != 3:
        return _centered(x, pretrained)
    x = layers.Rescaling(scale=1 / 255)(x)
    variance = [deviation**2 for deviation in DEVIATION]
    return layers.Normalization(mean=list(MEAN), variance=variance, axis=channel_axis())(x)


def _centered(x: KerasTensor, pretrained: bool) -> KerasTensor:
    return layers.Rescaling(scale=1 / 128, offset=-1)(x)


def _efficientnet(
    which: str, stages: Stages, size: int, *hashes: str, width: float = 1.0, depth: float = 1.0,
    example: str = "",
) -> Callable[..., Model]:  # fmt: skip
    network = f"EfficientNetV2{which}"
    default = f"efficientnetv2-{which.lower()}"
    scaled = _normalized if stages is BASE else _centered

    def build(
        include_top: bool = True,
        weights: str | Path | None = "imagenet",
        input_tensor: Any = None,
        input_shape: Shape | None = None,
        pooling: str | None = None,
        classes: int = CLASSES,
        classifier_activation: Activation = "softmax",
        include_preprocessing: bool = True,
        name: str = default,
    ) -> Model:
        file = f"{ROOT}efficientnet_v2/{default}"
        return assemble(
            network, lambda x: _body(x, stages, width, depth), include_top=include_top, weights=weights,
            input_tensor=input_tensor, input_shape=input_shape, pooling=pooling, classes=classes,
            classifier_activation=classifier_activation, name=name,
            pixels=scaled if include_preprocessing else None,
            top=dense_top(0.2, bias_initializer=Constant(0.0)), size=size,
            published=Published(f"{file}.h5", f"{file}_notop.h5", hashes),
        )  # fmt: skip

    build.__name__ = build.__qualname__ = network
    build.__doc__ = described(
        f"EfficientNet, second version, {which}; it takes pixels of 0 to 255 as they are.",
        f"; ({size}, {size}, 3) with the classifier if not given",
        "        include_preprocessing: whether the network scales the pixels.\n",
        example,
    )
    return export(f"applications.efficientnet_v2.{network}", f"applications.{network}")(build)


EfficientNetV2B0 = _efficientnet(
    "B0", BASE, 224, "21ecbf6da12460d5c40bb2f29ceb2188", "893217f2bb855e2983157299931e43ff",
    example="EfficientNetV2B0(weights=None, include_top=False, input_shape=(32, 32, 3)).output_shape\n"
    "    (None, 1, 1, 1280)",
)  # fmt: skip
EfficientNetV2B1 = _efficientnet(
    "B1", BASE, 240, "069f0534ff22adf035c89e2d9547a9dc", "0e80663031ca32d657f9caa404b6ec37", depth=1.1
)
EfficientNetV2B2 = _efficientnet(
    "B2", BASE, 260, "424e49f28180edbde1e94797771950a7", "1dfe2e7a5d45b6632553a8961ea609eb",
    width=1.1, depth=1.2,
)  # fmt: skip
EfficientNetV2B3 = _efficientnet(
    "B3", BASE, 300, "1f1fc43bd98a6e4fd8fdfd551e02c7a0", "f6abf7b5849ac99a89b50dd3fd532856",
    width=1.2, depth=1.4,
)  # fmt: skip
EfficientNetV2S = _efficientnet(
    "S", SMALL, 384, "e1d88a8495beba45748fedd0cecbe016", "af0682fb74e8c54910f2d4393339c070"
)
EfficientNetV2M = _efficientnet(
    "M", MEDIUM, 480, "a3bf6aa3276309f4fc6a34aa114c95cd", "1b8dc055df72dde80d614482840fe342"
)
EfficientNetV2L = _efficientnet(
    "L", LARGE, 480, "27e6d408b53c7ebc868fefa357689935", "b0b66b5c863aef5b46e8608fe1711615"
)
