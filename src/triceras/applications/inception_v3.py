"""Inception, third version: convolutions of several sizes side by side (Szegedy et al. 2015,
arXiv:1512.00567)."""

from __future__ import annotations

from triceras import layers
from triceras.applications.building import (
    Block,
    KerasTensor,
    architecture,
    batch_norm,
    channel_axis,
    relu,
)
from triceras.applications.imagenet_utils import preprocessing
from triceras.applications.published import kernels

preprocess_input, decode_predictions = preprocessing("tf", "inception_v3")


def conv(x: KerasTensor, filters: int, *kernel: int, strides: int = 1, padding: str = "same") -> KerasTensor:
    """A convolution, normalized without a scale, and a rectifier."""
    x = layers.Conv2D(filters, kernel, strides=strides, padding=padding, use_bias=False)(x)
    return relu(batch_norm(x, None, scale=False))


def chain(*steps: tuple[int, ...]) -> Block:
    """Convolutions one after the other: filters, rows and columns of each."""

    def apply(x: KerasTensor) -> KerasTensor:
        for step in steps:
            x = conv(x, *step)
        return x

    return apply


def pooled(filters: int) -> Block:
    """The mean of each neighbourhood, then a 1x1 convolution."""

    def apply(x: KerasTensor) -> KerasTensor:
        x = layers.AveragePooling2D(3, strides=1, padding="same")(x)
        return conv(x, filters, 1, 1)

    return apply


def thinned(*before: tuple[int, ...], filters: int) -> Block:
    """Convolutions, the last of which strides."""
    return lambda x: conv(chain(*before)(x), filters, 3, 3, strides=2, padding="valid")


def _fork(*before: tuple[int, ...], name: str | None = None) -> Block:
    """Convolutions, then a row and a column beside each other."""

    def apply(x: KerasTensor) -> KerasTensor:
        x = chain(*before)(x)
        return layers.Concatenate(axis=channel_axis(), name=name)([conv(x, 384, 1, 3), conv(x, 384, 3, 1)])

    return apply


def max_pool(x: KerasTensor) -> KerasTensor:
    """The largest of each 3x3 neighbourhood, half the rows and columns."""
    return layers.MaxPooling2D(3, strides=2)(x)


def _stage(filters: int) -> tuple[Block, ...]:
    return (
        chain((64, 1, 1)),
        chain((48, 1, 1), (64, 5, 5)),
        chain((64, 1, 1), (96, 3, 3), (96, 3, 3)),
        pooled(filters),
    )


def _factorized(n: int) -> tuple[Block, ...]:
    """7x7 convolutions as rows and columns."""
    return (
        chain((192, 1, 1)),
        chain((n, 1, 1), (n, 1, 7), (192, 7, 1)),
        chain((n, 1, 1), (n, 7, 1), (n, 1, 7), (n, 7, 1), (192, 1, 7)),
        pooled(192),
    )


def _wide(name: str) -> tuple[Block, ...]:
    return chain((320, 1, 1)), _fork((384, 1, 1), name=name), _fork((448, 1, 1), (384, 3, 3)), pooled(192)


MIXED: tuple[tuple[Block, ...], ...] = (  # the branches of each module
    _stage(32),
    _stage(64),
    _stage(64),
    (thinned(filters=384), thinned((64, 1, 1), (96, 3, 3), filters=96), max_pool),
    _factorized(128),
    _factorized(160),
    _factorized(160),
    _factorized(192),
    (
        thinned((192, 1, 1), filters=320),
        thinned((192, 1, 1), (192, 1, 7), (192, 7, 1), filters=192),
        max_pool,
    ),
    _wide("mixed9_0"),
    _wide("mixed9_1"),
)


def stem(x: KerasTensor) -> KerasTensor:
    """The plain convolutions before the modules."""
    x = conv(x, 32, 3, 3, strides=2, padding="valid")
    x = conv(x, 32, 3, 3, padding="valid")
    x = max_pool(conv(x, 64, 3, 3))
    x = conv(x, 80, 1, 1, padding="valid")
    return max_pool(conv(x, 192, 3, 3, padding="valid"))


def mixed(x: KerasTensor, branches: tuple[Block, ...], name: str) -> KerasTensor:
    """What all branches make of the input, side by side."""
    return layers.Concatenate(axis=channel_axis(), name=name)([branch(x) for branch in branches])


def _body(x: KerasTensor) -> KerasTensor:
    x = stem(x)
    for i, branches in enumerate(MIXED):
        x = mixed(x, branches, f"mixed{i}")
    return x


InceptionV3 = architecture(
    "InceptionV3", "inception_v3", _body, "Inception, third version.", name="inception_v3",
    example="InceptionV3(weights=None, classes=10, input_shape=(75, 75, 3)).output_shape\n    (None, 10)",
    size=299, smallest=75, poolings=(None, None),
    published=kernels(
        "inception_v3", "inception_v3",
        ("9a0d58056eeedaa3f26cb7ebd46da564", "bcbd6486424b2319ff4ef7d526e38f63"),
    ),
)  # fmt: skip
