"""EfficientNet: one network scaled in depth, width and resolution (Tan, Le 2019, arXiv:1905.11946)."""

from __future__ import annotations

import math
import string
from collections.abc import Callable
from typing import Any

from triceras import layers
from triceras.applications.building import (
    Activation,
    KerasTensor,
    architecture,
    batch_norm,
    channel_axis,
    channels,
    channels_first,
    pad_for_stride,
    rounded,
)
from triceras.applications.imagenet_utils import DEVIATION, preprocessing
from triceras.applications.published import Published
from triceras.initializers import VarianceScaling
from triceras.models import Model

preprocess_input, decode_predictions = preprocessing(None, "efficientnet")

URL = "https://storage.googleapis.com/keras-applications/"
STAGES = (  # kernel, blocks, channels, times as many channels inside, stride of the first
    (3, 1, 16, 1, 1),
    (3, 2, 24, 6, 2),
    (5, 2, 40, 6, 2),
    (3, 3, 80, 6, 2),
    (5, 3, 112, 6, 1),
    (5, 4, 192, 6, 2),
    (3, 1, 320, 6, 1),
)
FANS_OUT = {"scale": 2.0, "mode": "fan_out", "distribution": "truncated_normal"}
DROP = 0.2  # rate after the last block; it grows from 0


def kernel_initializer() -> Any:
    """Of the convolutions."""
    return VarianceScaling(**FANS_OUT)


def conv(x: KerasTensor, filters: int, kernel: int, name: str, **options: Any) -> KerasTensor:
    """A convolution without bias."""
    options = {"padding": "same", "use_bias": False, **options}
    return layers.Conv2D(filters, kernel, kernel_initializer=kernel_initializer(), name=name, **options)(x)


def squeeze_and_excite(x: KerasTensor, inside: int, name: str) -> KerasTensor:
    """Each channel weighted by what the means of all channels say (Hu et al. 2017, arXiv:1709.01507)."""
    count = channels(x)
    scale = layers.GlobalAveragePooling2D(name=f"{name}se_squeeze")(x)
    shape = (count, 1, 1) if channels_first() else (1, 1, count)
    scale = layers.Reshape(shape, name=f"{name}se_reshape")(scale)
    scale = conv(scale, inside, 1, f"{name}se_reduce", activation="silu", use_bias=True)
    scale = conv(scale, count, 1, f"{name}se_expand", activation="sigmoid", use_bias=True)
    return layers.Multiply(name=f"{name}se_excite")([x, scale])


def dense_top(dropout: float, **options: Any) -> Callable[[KerasTensor, int, Activation], KerasTensor]:
    """The end of a network: mean, dropout and a dense layer."""

    def top(x: KerasTensor, classes: int, activation: Activation) -> KerasTensor:
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
        x = layers.Dropout(dropout, name="top_dropout")(x)
        initializer = VarianceScaling(scale=1 / 3, mode="fan_out", distribution="uniform")
        return layers.Dense(
            classes, activation=activation, kernel_initializer=initializer, name="predictions", **options
        )(x)

    return top


def silu(x: KerasTensor, name: str) -> KerasTensor:
    """A sigmoid linear unit as a layer of its own."""
    return layers.Activation("silu", name=f"{name}activation")(x)


def _norm(x: KerasTensor, name: str) -> KerasTensor:
    return batch_norm(x, f"{name}bn")


def _block(
    x: KerasTensor, filters: int, kernel: int, expansion: int, stride: int, drop: float, name: str
) -> KerasTensor:
    """Widen, filter each channel by itself, weight the channels, narrow; beside the input if sizes agree."""
    inputs = x
    if expansion != 1:
        x = conv(x, expansion * channels(x), 1, f"{name}expand_conv")
        x = silu(_norm(x, f"{name}expand_"), f"{name}expand_")
    if stride == 2:
        x = pad_for_stride(x, kernel, f"{name}dwconv_pad")
    x = layers.DepthwiseConv2D(
        kernel, strides=stride, padding="same" if stride == 1 else "valid", use_bias=False,
        depthwise_initializer=kernel_initializer(), name=f"{name}dwconv",
    )(x)  # fmt: skip
    x = silu(_norm(x, name), name)
    x = squeeze_and_excite(x, max(1, channels(inputs) // 4), name)
    x = _norm(conv(x, filters, 1, f"{name}project_conv"), f"{name}project_")
    return beside(inputs, x, stride, drop, name)


def beside(inputs: KerasTensor, x: KerasTensor, stride: int, drop: float, name: str) -> KerasTensor:
    """A block's output, dropped for some images, beside its input where sizes agree."""
    if stride > 1 or channels(inputs) != channels(x):
        return x
    if drop > 0:
        x = layers.Dropout(drop, noise_shape=(None, 1, 1, 1), name=f"{name}drop")(x)
    return layers.Add(name=f"{name}add")([x, inputs])


def _pixels(x: KerasTensor, pretrained: bool) -> KerasTensor:
    x = layers.Rescaling(1 / 255)(x)
    x = layers.Normalization(axis=channel_axis())(x)
    if pretrained:  # the published weights hold variances where deviations were meant
        x = layers.Rescaling([1 / math.sqrt(deviation) for deviation in DEVIATION])(x)
    return x


def _body(x: KerasTensor, width: float, depth: float) -> KerasTensor:
    x = pad_for_stride(x, 3, "stem_conv_pad")
    x = conv(x, rounded(32 * width), 3, "stem_conv", strides=2, padding="valid")
    x = silu(_norm(x, "stem_"), "stem_")
    repeats = [math.ceil(depth * repeat) for _, repeat, *_ in STAGES]
    number = 0
    for stage, (kernel, _, filters, expansion, stride) in enumerate(STAGES):
        for i in range(repeats[stage]):
            name = f"block{stage + 1}{string.ascii_lowercase[i]}_"
            drop = DROP * number / sum(repeats)
            x = _block(x, rounded(filters * width), kernel, expansion, 1 if i else stride, drop, name)
            number += 1
    x = conv(x, rounded(1280 * width), 1, "top_conv")
    return silu(_norm(x, "top_"), "top_")


def _efficientnet(
    which: str, width: float, depth: float, size: int, dropout: float, *hashes: str, example: str = ""
) -> Callable[..., Model]:
    file = f"{URL}efficientnet{which.lower()}"
    return architecture(
        f"EfficientNet{which}", "efficientnet", lambda x: _body(x, width, depth),
        f"EfficientNet {which}; it takes pixels of 0 to 255 as they are.", example=example, size=size,
        pixels=_pixels, top=dense_top(dropout),
        published=Published(f"{file}.h5", f"{file}_notop.h5", hashes),
    )  # fmt: skip


EfficientNetB0 = _efficientnet(
    "B0", 1.0, 1.0, 224, 0.2, "902e53a9f72be733fc0bcb005b3ebbac", "50bc09e76180e00e4465e1a485ddc09d",
    example="EfficientNetB0(weights=None, classes=10, input_shape=(32, 32, 3)).output_shape\n    (None, 10)",
)  # fmt: skip
EfficientNetB1 = _efficientnet(
    "B1", 1.0, 1.1, 240, 0.2, "1d254153d4ab51201f1646940f018540", "74c4e6b3e1f6a1eea24c589628592432"
)
EfficientNetB2 = _efficientnet(
    "B2", 1.1, 1.2, 260, 0.3, "b15cce36ff4dcbd00b6dd88e7857a6ad", "111f8e2ac8aa800a7a99e3239f7bfb39"
)
EfficientNetB3 = _efficientnet(
    "B3", 1.2, 1.4, 300, 0.3, "ffd1fdc53d0ce67064dc6a9c7960ede0", "af6d107764bb5b1abb91932881670226"
)
EfficientNetB4 = _efficientnet(
    "B4", 1.4, 1.8, 380, 0.4, "18c95ad55216b8f92d7e70b3a046e2fc", "ebc24e6d6c33eaebbd558eafbeedf1ba"
)
EfficientNetB5 = _efficientnet(
    "B5", 1.6, 2.2, 456, 0.4, "ace28f2a6363774853a83a0b21b9421a", "38879255a25d3c92d5e44e04ae6cec6f"
)
EfficientNetB6 = _efficientnet(
    "B6", 1.8, 2.6, 528, 0.5, "165f6e37dce68623721b423839de8be5", "9ecce42647a20130c1f39a5d4cb75743"
)
EfficientNetB7 = _efficientnet(
    "B7", 2.0, 3.1, 600, 0.5, "8c03f828fec3ef71311cd463b6759d99", "cbcfe4450ddf6f3ad90b1b398090fe4a"
)
