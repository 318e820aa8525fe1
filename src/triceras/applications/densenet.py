"""DenseNet: every layer sees all before it (Huang et al. 2016, arXiv:1608.06993)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from triceras import layers
from triceras.applications.building import (
    KerasTensor,
    architecture,
    batch_norm,
    channel_axis,
    channels,
    relu,
)
from triceras.applications.imagenet_utils import preprocessing
from triceras.applications.published import kernels
from triceras.models import Model

preprocess_input, decode_predictions = preprocessing("torch", "densenet")

GROWTH = 32  # channels that each layer adds
EPSILON = 1.001e-5


def _conv(x: KerasTensor, filters: int, kernel: int, name: str, **options: Any) -> KerasTensor:
    return layers.Conv2D(filters, kernel, use_bias=False, name=name, **options)(x)


def _ready(x: KerasTensor, name: str) -> KerasTensor:
    return relu(batch_norm(x, f"{name}bn", epsilon=EPSILON), f"{name}relu")


def _layer(x: KerasTensor, name: str) -> KerasTensor:
    new = _conv(_ready(x, f"{name}_0_"), 4 * GROWTH, 1, f"{name}_1_conv")
    new = _conv(_ready(new, f"{name}_1_"), GROWTH, 3, f"{name}_2_conv", padding="same")
    return layers.Concatenate(axis=channel_axis(), name=f"{name}_concat")([x, new])


def _transition(x: KerasTensor, name: str) -> KerasTensor:
    """Half the channels, half the rows and columns."""
    x = _conv(_ready(x, f"{name}_"), channels(x) // 2, 1, f"{name}_conv")
    return layers.AveragePooling2D(2, strides=2, name=f"{name}_pool")(x)


def _body(x: KerasTensor, repeats: tuple[int, ...]) -> KerasTensor:
    x = _conv(layers.ZeroPadding2D(3)(x), 64, 7, "conv1_conv", strides=2)
    x = layers.ZeroPadding2D(1)(_ready(x, "conv1_"))
    x = layers.MaxPooling2D(3, strides=2, name="pool1")(x)
    for stage, repeat in enumerate(repeats, 2):
        if stage > 2:
            x = _transition(x, f"pool{stage - 1}")
        for i in range(1, repeat + 1):
            x = _layer(x, f"conv{stage}_block{i}")
    return _ready(x, "")


def _densenet(network: str, *repeats: int, hashes: tuple[str, str], **options: Any) -> Callable[..., Model]:
    return architecture(
        network, "densenet", lambda x: _body(x, repeats),
        f"DenseNet with {2 * sum(repeats) + 5} layers that have weights.",
        published=kernels("densenet", network.lower(), hashes), **options,
    )  # fmt: skip


DenseNet121 = _densenet(
    "DenseNet121", 6, 12, 24, 16,
    hashes=("9d60b8095a5708f2dcce2bca79d332c7", "30ee3e1110167f948a6b9946edeeb738"),
    example="DenseNet121(weights=None, classes=10, input_shape=(32, 32, 3)).output_shape\n    (None, 10)",
)  # fmt: skip
DenseNet169 = _densenet(
    "DenseNet169", 6, 12, 32, 32,
    hashes=("d699b8f76981ab1b30698df4c175e90b", "b8c4d4c20dd625c148057b9ff1c1176b"),
)  # fmt: skip
DenseNet201 = _densenet(
    "DenseNet201", 6, 12, 48, 32,
    hashes=("1ceb130c1ea1b78c3bf6114dbdfd8807", "c13680b51ded0fb44dff2d8f86ac8bb1"),
)  # fmt: skip
