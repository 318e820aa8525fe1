"""ResNet: blocks that add to their input (He et al. 2015, arXiv:1512.03385), and its second version, which
normalizes before it convolves (2016, arXiv:1603.05027)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from triceras import layers
from triceras.applications.building import KerasTensor, architecture, batch_norm, relu
from triceras.applications.imagenet_utils import preprocessing
from triceras.applications.published import kernels
from triceras.models import Model

preprocess_input, decode_predictions = preprocessing("caffe", "resnet", "resnet50")
preprocess_input_v2, _ = preprocessing("tf", "resnet_v2")

FILTERS = (64, 128, 256, 512)
EPSILON = 1.001e-5


def _norm(x: KerasTensor, name: str) -> KerasTensor:
    return batch_norm(x, name, epsilon=EPSILON)


def _stem(x: KerasTensor) -> KerasTensor:
    x = layers.ZeroPadding2D(3, name="conv1_pad")(x)
    return layers.Conv2D(64, 7, strides=2, name="conv1_conv")(x)


def _pool(x: KerasTensor) -> KerasTensor:
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
    return layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)


def _block(x: KerasTensor, filters: int, name: str, stride: int, projected: bool) -> KerasTensor:
    """Three convolutions, of which the first may stride, beside the input or its projection."""
    shortcut = x
    if projected:
        shortcut = layers.Conv2D(4 * filters, 1, strides=stride, name=f"{name}_0_conv")(x)
        shortcut = _norm(shortcut, f"{name}_0_bn")
    x = layers.Conv2D(filters, 1, strides=stride, name=f"{name}_1_conv")(x)
    x = relu(_norm(x, f"{name}_1_bn"), f"{name}_1_relu")
    x = layers.Conv2D(filters, 3, padding="same", name=f"{name}_2_conv")(x)
    x = relu(_norm(x, f"{name}_2_bn"), f"{name}_2_relu")
    x = _norm(layers.Conv2D(4 * filters, 1, name=f"{name}_3_conv")(x), f"{name}_3_bn")
    return relu(layers.Add(name=f"{name}_add")([shortcut, x]), f"{name}_out")


def _body(x: KerasTensor, repeats: tuple[int, ...]) -> KerasTensor:
    x = _pool(relu(_norm(_stem(x), "conv1_bn"), "conv1_relu"))
    for stage, (filters, repeat) in enumerate(zip(FILTERS, repeats, strict=True), 2):
        for i in range(1, repeat + 1):
            stride = 2 if i == 1 and stage > 2 else 1
            x = _block(x, filters, f"conv{stage}_block{i}", stride, projected=i == 1)
    return x


def _block_v2(x: KerasTensor, filters: int, name: str, stride: int, projected: bool) -> KerasTensor:
    """Normalization, then three convolutions, of which the second may stride, beside the input."""
    before = relu(_norm(x, f"{name}_preact_bn"), f"{name}_preact_relu")
    if projected:
        shortcut = layers.Conv2D(4 * filters, 1, strides=stride, name=f"{name}_0_conv")(before)
    else:
        shortcut = layers.MaxPooling2D(1, strides=stride)(x) if stride > 1 else x
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_1_conv")(before)
    x = relu(_norm(x, f"{name}_1_bn"), f"{name}_1_relu")
    x = layers.ZeroPadding2D(1, name=f"{name}_2_pad")(x)
    x = layers.Conv2D(filters, 3, strides=stride, use_bias=False, name=f"{name}_2_conv")(x)
    x = relu(_norm(x, f"{name}_2_bn"), f"{name}_2_relu")
    x = layers.Conv2D(4 * filters, 1, name=f"{name}_3_conv")(x)
    return layers.Add(name=f"{name}_out")([shortcut, x])


def _body_v2(x: KerasTensor, repeats: tuple[int, ...]) -> KerasTensor:
    x = _pool(_stem(x))
    for stage, (filters, repeat) in enumerate(zip(FILTERS, repeats, strict=True), 2):
        for i in range(1, repeat + 1):
            stride = 2 if i == repeat and stage < 5 else 1
            x = _block_v2(x, filters, f"conv{stage}_block{i}", stride, projected=i == 1)
    return relu(_norm(x, "post_bn"), "post_relu")


def _resnet(network: str, *repeats: int, hashes: tuple[str, str], **options: Any) -> Callable[..., Model]:
    second = network.endswith("V2")
    body, version = (_body_v2, " of the second version") if second else (_body, "")
    layers_with_weights = 3 * sum(repeats) + 2
    return architecture(
        network, "resnet_v2" if second else "resnet", lambda x: body(x, repeats),
        f"ResNet{version} with {layers_with_weights} layers that have weights.",
        published=kernels("resnet", network.lower(), hashes), **options,
    )  # fmt: skip


ResNet50 = _resnet(
    "ResNet50", 3, 4, 6, 3, also=("resnet50",),
    hashes=("2cb95161c43110f7111970584f804107", "4d473c1dd8becc155b73f8504c6f6626"),
    example="ResNet50(weights=None, classes=10, input_shape=(32, 32, 3)).output_shape\n    (None, 10)",
)  # fmt: skip
ResNet101 = _resnet(
    "ResNet101", 3, 4, 23, 3,
    hashes=("f1aeb4b969a6efcfb50fad2f0c20cfc5", "88cf7a10940856eca736dc7b7e228a21"),
)  # fmt: skip
ResNet152 = _resnet(
    "ResNet152", 3, 8, 36, 3,
    hashes=("100835be76be38e30d865e96f2aaae62", "ee4c566cf9a93f14d82f913c2dc6dd0c"),
)  # fmt: skip
ResNet50V2 = _resnet(
    "ResNet50V2", 3, 4, 6, 3,
    hashes=("3ef43a0b657b3be2300d5770ece849e0", "fac2f116257151a9d068a22e544a4917"),
)  # fmt: skip
ResNet101V2 = _resnet(
    "ResNet101V2", 3, 4, 23, 3,
    hashes=("6343647c601c52e1368623803854d971", "c0ed64b8031c3730f411d2eb4eea35b5"),
)  # fmt: skip
ResNet152V2 = _resnet(
    "ResNet152V2", 3, 8, 36, 3,
    hashes=("a49b44d1979771252814e80f8ec446f9", "ed17cf2e0169df9d443503ef94b23b33"),
)  # fmt: skip
