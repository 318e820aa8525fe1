"""MobileNet: each channel filtered by itself, then mixed (Howard et al. 2017, arXiv:1704.04861)."""

from __future__ import annotations

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
    described,
    image_shape,
    last_axis,
)
from triceras.applications.imagenet_utils import preprocessing
from triceras.applications.mobilenet_v2 import published_size
from triceras.applications.published import ROOT, Published
from triceras.core.errors import ArgumentError
from triceras.core.registry import export
from triceras.models import Model

preprocess_input, decode_predictions = preprocessing("tf", "mobilenet")

ALPHAS = {0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"}  # for which weights are published
STAGES = (  # channels, stride
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1), (512, 1),
    (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip


def _ready(x: KerasTensor, name: str) -> KerasTensor:
    return layers.ReLU(6.0, name=f"{name}_relu")(batch_norm(x, f"{name}_bn", axis=last_axis()))


def _body(x: KerasTensor, alpha: float, depth_multiplier: int) -> KerasTensor:
    x = layers.Conv2D(int(32 * alpha), 3, strides=2, padding="same", use_bias=False, name="conv1")(x)
    x = _ready(x, "conv1")
    for i, (filters, stride) in enumerate(STAGES, 1):
        if stride == 2:
            x = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"conv_pad_{i}")(x)
        x = layers.DepthwiseConv2D(
            3, strides=stride, padding="same" if stride == 1 else "valid",
            depth_multiplier=depth_multiplier, use_bias=False, name=f"conv_dw_{i}",
        )(x)  # fmt: skip
        x = _ready(x, f"conv_dw_{i}")
        x = layers.Conv2D(int(filters * alpha), 1, padding="same", use_bias=False, name=f"conv_pw_{i}")(x)
        x = _ready(x, f"conv_pw_{i}")
    return x


@export("applications.mobilenet.MobileNet", "applications.MobileNet")
def MobileNet(  # noqa: N802 - the reference's name
    input_shape: Shape | None = None,
    alpha: float = 1.0,
    depth_multiplier: int = 1,
    dropout: float = 0.001,
    include_top: bool = True,
    weights: str | Path | None = "imagenet",
    input_tensor: Any = None,
    pooling: str | None = None,
    classes: int = CLASSES,
    classifier_activation: Activation = "softmax",
    name: str | None = None,
) -> Model:
    if weights == "imagenet" and depth_multiplier != 1:
        raise ArgumentError(
            f'MobileNet(): weights="imagenet" have `depth_multiplier` 1. Received: {depth_multiplier!r}'
        )
    size = published_size("MobileNet", input_shape, weights, alpha, tuple(ALPHAS), include_top)
    url = f"{ROOT}mobilenet/mobilenet_{ALPHAS.get(alpha)}_{size}_tf"
    if name is None:
        rows = image_shape("MobileNet", input_shape, weights, size, 32, include_top)[1]
        name = f"mobilenet_{alpha:.2f}_{rows}"

    def top(x: KerasTensor, classes: int, activation: Activation) -> KerasTensor:
        x = layers.GlobalAveragePooling2D(keepdims=True)(x)
        x = layers.Dropout(dropout, name="dropout")(x)
        x = layers.Conv2D(classes, 1, padding="same", name="conv_preds")(x)
        x = layers.Reshape((classes,), name="reshape_2")(x)
        return layers.Activation(activation, name="predictions")(x)

    return assemble(
        "MobileNet", lambda x: _body(x, alpha, depth_multiplier), include_top=include_top, weights=weights,
        input_tensor=input_tensor, input_shape=input_shape, pooling=pooling, classes=classes,
        classifier_activation=classifier_activation, name=name, top=top, poolings=(None, None), size=size,
        published=Published(f"{url}.h5", f"{url}_no_top.h5"),
    )  # fmt: skip


MobileNet.__doc__ = described(
    "MobileNet, first version.", "; (224, 224, 3) with the classifier if not given",
    "        alpha: how many channels there are, as a multiple of the paper's.\n"
    "        depth_multiplier: filters for each channel.\n"
    "        dropout: rate before the classifier.\n",
    "MobileNet(weights=None, alpha=0.25, classes=10, input_shape=(32, 32, 3)).output_shape\n    (None, 10)",
)  # fmt: skip
