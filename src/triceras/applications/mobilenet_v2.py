"""MobileNet, second version: inverted residual blocks (Sandler et al. 2018, arXiv:1801.04381)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
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
    channels_first,
    classifier,
    described,
    image_shape,
    last_axis,
    pad_for_stride,
    rounded,
)
from triceras.applications.imagenet_utils import preprocessing
from triceras.applications.published import ROOT, Published
from triceras.core.errors import ArgumentError
from triceras.core.registry import export
from triceras.models import Model

preprocess_input, decode_predictions = preprocessing("tf", "mobilenet_v2")

ALPHAS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)  # for which weights are published
SIZES = (96, 128, 160, 192, 224)
STAGES = (  # times as many channels inside, channels, blocks, stride of the first
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def published_size(
    network: str, shape: Shape | None, weights: Any, alpha: float, alphas: Sequence[float], include_top: bool
) -> int:
    """The size of images that weights are published for: the one asked for, else 224."""
    start = int(channels_first())
    rows, columns = tuple(shape)[start : start + 2] if shape is not None and len(shape) == 3 else (224, 224)
    known = rows == columns and rows in SIZES
    if weights == "imagenet":
        if alpha not in alphas:
            raise ArgumentError(
                f'{network}(): weights="imagenet" exist for `alpha` {", ".join(map(str, alphas))}. '
                f"Received: {alpha!r}"
            )
        if not known and not include_top:
            warnings.warn(
                f'{network}(): weights="imagenet" exist for square images of {SIZES} rows; those for 224 are '
                f"taken. Received: `input_shape` {shape}",
                stacklevel=3,
            )
    return rows if known else 224


def _norm(x: KerasTensor, name: str) -> KerasTensor:
    return batch_norm(x, name, axis=last_axis(), epsilon=1e-3, momentum=0.999)


def _relu6(x: KerasTensor, name: str) -> KerasTensor:
    return layers.ReLU(6.0, name=name)(x)


def _conv(x: KerasTensor, filters: int, kernel: int, name: str, **options: Any) -> KerasTensor:
    return layers.Conv2D(filters, kernel, use_bias=False, name=name, **{"padding": "same", **options})(x)


def _block(x: KerasTensor, filters: int, expansion: int, stride: int, name: str) -> KerasTensor:
    """Widen, filter each channel by itself, narrow without a rectifier; beside the input if sizes agree."""
    inputs = x
    if expansion != 1:
        x = _conv(x, expansion * channels(x), 1, f"{name}expand")
        x = _relu6(_norm(x, f"{name}expand_BN"), f"{name}expand_relu")
    if stride == 2:
        x = pad_for_stride(x, 3, f"{name}pad")
    padding = "same" if stride == 1 else "valid"
    x = layers.DepthwiseConv2D(3, strides=stride, padding=padding, use_bias=False, name=f"{name}depthwise")(x)
    x = _relu6(_norm(x, f"{name}depthwise_BN"), f"{name}depthwise_relu")
    x = _norm(_conv(x, filters, 1, f"{name}project"), f"{name}project_BN")
    if stride == 1 and channels(inputs) == filters:
        x = layers.Add(name=f"{name}add")([inputs, x])
    return x


def _body(x: KerasTensor, alpha: float) -> KerasTensor:
    x = _conv(x, rounded(32 * alpha), 3, "Conv1", strides=2)
    x = _relu6(_norm(x, "bn_Conv1"), "Conv1_relu")
    number = 0
    for expansion, filters, repeat, stride in STAGES:
        for i in range(repeat):
            name = f"block_{number}_" if number else "expanded_conv_"
            x = _block(x, rounded(int(filters * alpha)), expansion, 1 if i else stride, name)
            number += 1
    x = _conv(x, rounded(1280 * alpha) if alpha > 1 else 1280, 1, "Conv_1", padding="valid")
    return _relu6(_norm(x, "Conv_1_bn"), "out_relu")


def _top(x: KerasTensor, classes: int, activation: Activation) -> KerasTensor:
    return classifier(x, classes, activation, pooling=None)


@export("applications.mobilenet_v2.MobileNetV2", "applications.MobileNetV2")
def MobileNetV2(  # noqa: N802 - the reference's name
    input_shape: Shape | None = None,
    alpha: float = 1.0,
    include_top: bool = True,
    weights: str | Path | None = "imagenet",
    input_tensor: Any = None,
    pooling: str | None = None,
    classes: int = CLASSES,
    classifier_activation: Activation = "softmax",
    name: str | None = None,
) -> Model:
    size = published_size("MobileNetV2", input_shape, weights, alpha, ALPHAS, include_top)
    url = f"{ROOT}mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{float(alpha)}_{size}"
    if name is None:
        rows = image_shape("MobileNetV2", input_shape, weights, size, 32, include_top)[1]
        name = f"mobilenetv2_{alpha:.2f}_{rows}"
    return assemble(
        "MobileNetV2", lambda x: _body(x, alpha), include_top=include_top, weights=weights,
        input_tensor=input_tensor, input_shape=input_shape, pooling=pooling, classes=classes,
        classifier_activation=classifier_activation, name=name, top=_top, poolings=(None, None), size=size,
        published=Published(f"{url}.h5", f"{url}_no_top.h5"),
    )  # fmt: skip


MobileNetV2.__doc__ = described(
    "MobileNet, second version.", "; (224, 224, 3) with the classifier if not given",
    "        alpha: how many channels there are, as a multiple of the paper's.\n",
    "MobileNetV2(weights=None, alpha=0.35, classes=10, input_shape=(32, 32, 3)).output_shape\n    (None, 10)",
)  # fmt: skip
