"""NASNet: two cells found by search, stacked (Zoph et al. 2017, arXiv:1707.07012)."""

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
    channels_first,
    classifier,
    described,
    pad_for_stride,
    relu,
)
from triceras.applications.imagenet_utils import preprocessing
from triceras.applications.published import ROOT, Published
from triceras.core.errors import ArgumentError
from triceras.core.registry import export
from triceras.models import Model

preprocess_input, decode_predictions = preprocessing("tf", "nasnet")

URL = f"{ROOT}nasnet/"


def _norm(x: KerasTensor, name: str) -> KerasTensor:
    return batch_norm(x, name, axis=-1, momentum=0.9997, epsilon=1e-3)


def _conv(x: KerasTensor, filters: int, name: str) -> KerasTensor:
    return layers.Conv2D(
        filters, 1, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )(x)


def _separable(x: KerasTensor, filters: int, kernel: int, name: str, stride: int = 1) -> KerasTensor:
    """Twice a rectifier and a separable convolution."""
    x, padding = relu(x), "same"
    if stride == 2:
        x, padding = pad_for_stride(x, kernel, f"separable_conv_1_pad_{name}"), "valid"
    for i, (step, margin) in enumerate(((stride, padding), (1, "same")), 1):
        if i == 2:
            x = relu(x)
        x = layers.SeparableConv2D(
            filters, kernel, strides=step, padding=margin, use_bias=False, name=f"separable_conv_{i}_{name}"
        )(x)
        x = _norm(x, f"separable_conv_{i}_bn_{name}")
    return x


def _adjusted(x: KerasTensor, filters: int, name: str, halve: bool) -> KerasTensor:
    """The output of the cell before the last, with as many channels, rows and columns as the last one's."""
    if halve:  # the pixels of even and of odd places, each thinned out
        x = relu(x, f"adjust_relu_1_{name}")
        first = layers.AveragePooling2D(1, strides=2, name=f"adjust_avg_pool_1_{name}")(x)
        first = _conv(first, filters // 2, f"adjust_conv_1_{name}")
        second = layers.Cropping2D(((1, 0), (1, 0)))(layers.ZeroPadding2D(((0, 1), (0, 1)))(x))
        second = layers.AveragePooling2D(1, strides=2, name=f"adjust_avg_pool_2_{name}")(second)
        second = _conv(second, filters // 2, f"adjust_conv_2_{name}")
        return _norm(layers.Concatenate()([first, second]), f"adjust_bn_{name}")
    if channels(x) != filters:
        return _norm(_conv(relu(x), filters, f"adjust_conv_projection_{name}"), f"adjust_bn_{name}")
    return x


def _mean(x: KerasTensor, name: str) -> KerasTensor:
    return layers.AveragePooling2D(3, strides=1, padding="same", name=name)(x)


def _add(a: KerasTensor, b: KerasTensor, name: str | None = None) -> KerasTensor:
    return layers.Add(name=name)([a, b])


def _normal(x: KerasTensor, before: KerasTensor, filters: int, name: str, halve: bool = False) -> KerasTensor:
    """The cell that keeps the size. It sees the last cell's output and the one before."""
    before = _adjusted(before, filters, name, halve)
    x = _norm(_conv(relu(x), filters, f"normal_conv_1_{name}"), f"normal_bn_1_{name}")

    def separable(tensor: KerasTensor, kernel: int, side: str) -> KerasTensor:
        return _separable(tensor, filters, kernel, f"normal_{side}_{name}")

    sums = [
        _add(separable(x, 5, "left1"), separable(before, 3, "right1"), f"normal_add_1_{name}"),
        _add(separable(before, 5, "left2"), separable(before, 3, "right2"), f"normal_add_2_{name}"),
        _add(_mean(x, f"normal_left3_{name}"), before, f"normal_add_3_{name}"),
        _add(
            _mean(before, f"normal_left4_{name}"), _mean(before, f"normal_right4_{name}"),
            f"normal_add_4_{name}",
        ),
        _add(separable(x, 3, "left5"), x, f"normal_add_5_{name}"),
    ]  # fmt: skip
    return layers.Concatenate(name=f"normal_concat_{name}")([before, *sums])


def _reduction(
    x: KerasTensor, before: KerasTensor | None, filters: int, name: str, halve: bool = False
) -> KerasTensor:
    """The cell that halves rows and columns."""
    before = x if before is None else _adjusted(before, filters, name, halve)
    x = _norm(_conv(relu(x), filters, f"reduction_conv_1_{name}"), f"reduction_bn_1_{name}")
    padded = pad_for_stride(x, 3, f"reduction_pad_1_{name}")

    def separable(tensor: KerasTensor, kernel: int, side: str, stride: int = 2) -> KerasTensor:
        return _separable(tensor, filters, kernel, f"reduction_{side}_{name}", stride)

    def pooled(kind: type[layers.Layer], side: str) -> KerasTensor:
        return kind(3, strides=2, name=f"reduction_{side}_{name}")(padded)

    first = _add(separable(x, 5, "left1"), separable(before, 7, "right1"), f"reduction_add_1_{name}")
    largest = pooled(layers.MaxPooling2D, "left2")
    second = _add(largest, separable(before, 7, "right2"), f"reduction_add_2_{name}")
    mean = pooled(layers.AveragePooling2D, "left3")
    third = _add(mean, separable(before, 5, "right3"), f"reduction_add3_{name}")
    fourth = _add(second, _mean(first, f"reduction_left4_{name}"))
    fifth = _add(
        separable(first, 3, "left4", stride=1), pooled(layers.MaxPooling2D, "right5"),
        f"reduction_add4_{name}",
    )  # fmt: skip
    return layers.Concatenate(name=f"reduction_concat_{name}")([second, third, fourth, fifth])


def _body(x: KerasTensor, stem: int, filters: int, repeat: int, skip: bool) -> KerasTensor:
    x = layers.Conv2D(stem, 3, strides=2, use_bias=False, kernel_initializer="he_normal", name="stem_conv1")(
        x
    )
    first = _norm(x, "stem_bn1")
    before = _reduction(first, None, filters // 4, "stem_1")
    x = _reduction(before, first, filters // 2, "stem_2", halve=True)
    for stage in range(3):
        count = filters * 2**stage
        if stage:
            x, last = _reduction(x, before, count, f"reduce_{repeat * stage}"), x
            before = before if skip else last
        for i in range(repeat):
            name = str(repeat * stage + (stage > 0) + i)
            x, before = _normal(x, before, count, name, halve=i == 0), x
    return relu(x)


def _top(x: KerasTensor, classes: int, activation: Activation) -> KerasTensor:
    return classifier(x, classes, activation, pooling=None)


def _nasnet(
    which: str, size: int, stem: int, filters: int, repeat: int, skip: bool, *hashes: str, example: str = ""
) -> Callable[..., Model]:
    network, kind = f"NASNet{which}", which.lower()

    def build(
        input_shape: Shape | None = None,
        include_top: bool = True,
        weights: str | Path | None = "imagenet",
        input_tensor: Any = None,
        pooling: str | None = None,
        classes: int = CLASSES,
        classifier_activation: Activation = "softmax",
        name: str = f"nasnet_{kind}",
    ) -> Model:
        if channels_first():
            raise ArgumentError(f'{network}() needs images in the "channels_last" layout.')
        files = Published(
            f"{URL}NASNet-{kind}.h5", f"{URL}NASNet-{kind}-no-top.h5", hashes,
            (f"nasnet_{kind}.h5", f"nasnet_{kind}_no_top.h5"),
        )  # fmt: skip
        return assemble(
            network, lambda x: _body(x, stem, filters, repeat, skip), include_top=include_top,
            weights=weights, input_tensor=input_tensor, input_shape=input_shape, pooling=pooling,
            classes=classes, classifier_activation=classifier_activation, name=name, top=_top,
            poolings=(None, None), size=size, published=files,
        )  # fmt: skip

    build.__name__ = build.__qualname__ = network
    shape = f"; ({size}, {size}, 3) with the classifier if not given"
    build.__doc__ = described(f"NASNet, {kind}.", shape, example=example)
    return export(f"applications.nasnet.{network}", f"applications.{network}")(build)


NASNetMobile = _nasnet(
    "Mobile", 224, 32, 44, 4, False,
    "020fb642bf7360b370c678b08e0adf61", "1ed92395b5b598bdda52abe5c0dbfd63",
)  # fmt: skip
NASNetLarge = _nasnet(
    "Large", 331, 96, 168, 6, True,
    "11577c9a518f0070763c2b964a382f17", "d81d89dc07e6e56530c4e77faddd61b5",
)  # fmt: skip
