"""Xception: Inception taken to its end, separable convolutions (Chollet 2016, arXiv:1610.02357)."""

from __future__ import annotations

from triceras import layers
from triceras.applications.building import KerasTensor, architecture, batch_norm, last_axis, relu
from triceras.applications.imagenet_utils import preprocessing
from triceras.applications.published import kernels

preprocess_input, decode_predictions = preprocessing("tf", "xception")


def _separable(x: KerasTensor, filters: int, name: str) -> KerasTensor:
    x = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
    return batch_norm(x, f"{name}_bn", axis=last_axis())


def _smaller(x: KerasTensor, filters: tuple[int, int], block: int) -> KerasTensor:
    """Two separable convolutions and a pool, beside a strided projection; half the rows and columns."""
    shortcut = layers.Conv2D(filters[1], 1, strides=2, padding="same", use_bias=False)(x)
    shortcut = batch_norm(shortcut, None, axis=last_axis())
    for i, count in enumerate(filters, 1):
        name = f"block{block}_sepconv{i}"
        if block > 2 or i > 1:  # what comes from the first block is rectified already
            x = relu(x, f"{name}_act")
        x = _separable(x, count, name)
    x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"block{block}_pool")(x)
    return layers.Add()([x, shortcut])


def _body(x: KerasTensor) -> KerasTensor:
    for i, (filters, stride) in enumerate(((32, 2), (64, 1)), 1):
        name = f"block1_conv{i}"
        x = layers.Conv2D(filters, 3, strides=stride, use_bias=False, name=name)(x)
        x = relu(batch_norm(x, f"{name}_bn", axis=last_axis()), f"{name}_act")
    for block, filters in enumerate((128, 256, 728), 2):
        x = _smaller(x, (filters, filters), block)
    for block in range(5, 13):
        inputs = x
        for i in range(1, 4):
            name = f"block{block}_sepconv{i}"
            x = _separable(relu(x, f"{name}_act"), 728, name)
        x = layers.Add()([x, inputs])
    x = _smaller(x, (728, 1024), 13)
    for i, filters in enumerate((1536, 2048), 1):
        name = f"block14_sepconv{i}"
        x = relu(_separable(x, filters, name), f"{name}_act")
    return x


Xception = architecture(
    "Xception", "xception", _body, "Xception.", size=299, smallest=71, poolings=(None, None),
    example="Xception(weights=None, classes=10, input_shape=(71, 71, 3)).output_shape\n    (None, 10)",
    published=kernels(
        "xception", "xception", ("0a58e3b7378bc2990ea3b43d5981f1f6", "b0042744bf5b25fce3cb969f33bebb97")
    ),
)  # fmt: skip
