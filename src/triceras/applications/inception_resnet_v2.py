"""Inception-ResNet, second version: Inception modules that add to their input (Szegedy et al. 2016,
arXiv:1602.07261)."""

from __future__ import annotations

from typing import Any

from triceras import layers
from triceras.applications.building import Block, KerasTensor, architecture, batch_norm, channels, relu
from triceras.applications.imagenet_utils import preprocessing
from triceras.applications.inception_v3 import chain, max_pool, mixed, pooled, stem, thinned
from triceras.applications.published import kernels
from triceras.core.registry import export

preprocess_input, decode_predictions = preprocessing("tf", "inception_resnet_v2")

MIXED_5B = (
    chain((96, 1, 1)),
    chain((48, 1, 1), (64, 5, 5)),
    chain((64, 1, 1), (96, 3, 3), (96, 3, 3)),
    pooled(64),
)
BLOCK35 = (chain((32, 1, 1)), chain((32, 1, 1), (32, 3, 3)), chain((32, 1, 1), (48, 3, 3), (64, 3, 3)))
MIXED_6A = (thinned(filters=384), thinned((256, 1, 1), (256, 3, 3), filters=384), max_pool)
BLOCK17 = (chain((192, 1, 1)), chain((128, 1, 1), (160, 1, 7), (192, 7, 1)))
MIXED_7A = (
    thinned((256, 1, 1), filters=384),
    thinned((256, 1, 1), filters=288),
    thinned((256, 1, 1), (288, 3, 3), filters=320),
    max_pool,
)
BLOCK8 = (chain((192, 1, 1)), chain((192, 1, 1), (224, 1, 3), (256, 3, 1)))


@export(saved="src.applications.inception_resnet_v2.CustomScaleLayer")
class CustomScaleLayer(layers.Layer):
    """Adds the second input, scaled, to the first.

    Args:
        scale: factor of the second input.

    >>> CustomScaleLayer(0.5)([np.ones(2, "float32"), np.ones(2, "float32")]).tolist()
    [1.5, 1.5]
    """

    def __init__(self, scale: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, inputs: list[Any]) -> Any:
        return inputs[0] + inputs[1] * self.scale


def _block(
    x: KerasTensor, branches: tuple[Block, ...], scale: float, name: str, rectified: bool = True
) -> KerasTensor:
    change = mixed(x, branches, f"{name}_mixed")
    change = layers.Conv2D(channels(x), 1, padding="same", name=f"{name}_conv")(change)
    x = CustomScaleLayer(scale)([x, change])
    return relu(x, f"{name}_ac") if rectified else x


def _body(x: KerasTensor) -> KerasTensor:
    x = mixed(stem(x), MIXED_5B, "mixed_5b")
    for i in range(1, 11):
        x = _block(x, BLOCK35, 0.17, f"block35_{i}")
    x = mixed(x, MIXED_6A, "mixed_6a")
    for i in range(1, 21):
        x = _block(x, BLOCK17, 0.1, f"block17_{i}")
    x = mixed(x, MIXED_7A, "mixed_7a")
    for i in range(1, 10):
        x = _block(x, BLOCK8, 0.2, f"block8_{i}")
    x = _block(x, BLOCK8, 1.0, "block8_10", rectified=False)
    x = layers.Conv2D(1536, 1, padding="same", use_bias=False, name="conv_7b")(x)
    return relu(batch_norm(x, "conv_7b_bn", scale=False), "conv_7b_ac")


InceptionResNetV2 = architecture(
    "InceptionResNetV2", "inception_resnet_v2", _body, "Inception-ResNet, second version.",
    name="inception_resnet_v2", size=299, smallest=75, poolings=(None, None),
    published=kernels(
        "inception_resnet_v2", "inception_resnet_v2",
        ("e693bd0210a403b3192acc6073ad2e96", "d19885ff4a710c122648d3b5c3b684e4"),
    ),
)  # fmt: skip
