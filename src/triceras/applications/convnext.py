"""ConvNeXt: a convolutional network after the manner of transformers (Liu et al. 2022, arXiv:2201.03545)."""

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
    channels,
    channels_first,
    described,
)
from triceras.applications.imagenet_utils import DEVIATION, MEAN, preprocessing
from triceras.applications.published import ROOT, Published
from triceras.core.errors import ArgumentError
from triceras.core.registry import export
from triceras.initializers import Constant
from triceras.models import Model, Sequential

preprocess_input, decode_predictions = preprocessing(None, "convnext")

EPSILON = 1e-6


@export(saved="src.applications.convnext.LayerScale")
class LayerScale(layers.Layer):
    """Each feature times a weight of its own, small at first (Touvron et al. 2021, arXiv:2103.17239).

    Args:
        init_values: the initial weight.
        projection_dim: how many features there are.

    >>> LayerScale(0.5, 2)(np.ones((1, 2), "float32")).tolist()
    [[0.5, 0.5]]
    """

    def __init__(self, init_values: float, projection_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.init_values, self.projection_dim = init_values, projection_dim

    def build(self, input_shape: Any) -> None:
        # without a name, as in files of the reference
        self.gamma = self.add_weight(shape=(self.projection_dim,), initializer=Constant(self.init_values))

    def call(self, x: Any) -> Any:
        return x * self.gamma


def _norm(name: str | None = None) -> layers.Layer:
    return layers.LayerNormalization(epsilon=EPSILON, name=name)


def _block(x: KerasTensor, name: str) -> KerasTensor:
    """Filter each channel by itself, then widen and narrow at each place, beside the input."""
    inputs, count = x, channels(x)
    x = layers.Conv2D(count, 7, padding="same", groups=count, name=f"{name}_depthwise_conv")(x)
    x = _norm(f"{name}_layernorm")(x)
    x = layers.Dense(4 * count, name=f"{name}_pointwise_conv_1")(x)
    x = layers.Activation("gelu", name=f"{name}_gelu")(x)
    x = layers.Dense(count, name=f"{name}_pointwise_conv_2")(x)
    x = LayerScale(EPSILON, count, name=f"{name}_layer_scale")(x)
    return inputs + layers.Activation("linear", name=f"{name}_identity")(x)


def _body(x: KerasTensor, repeats: tuple[int, ...], filters: tuple[int, ...], name: str) -> KerasTensor:
    first = layers.Conv2D(filters[0], 4, strides=4, name=f"{name}_stem_conv")
    x = Sequential([first, _norm(f"{name}_stem_layernorm")], name=f"{name}_stem")(x)
    for stage, repeat in enumerate(repeats):
        if stage:
            i = stage - 1
            conv = layers.Conv2D(filters[stage], 2, strides=2, name=f"{name}_downsampling_conv_{i}")
            smaller = [_norm(f"{name}_downsampling_layernorm_{i}"), conv]
            x = Sequential(smaller, name=f"{name}_downsampling_block_{i}")(x)
        for block in range(repeat):
            x = _block(x, f"{name}_stage_{stage}_block_{block}")
    return x


def _convnext(
    which: str, repeats: tuple[int, ...], filters: tuple[int, ...], *hashes: str, example: str = ""
) -> Callable[..., Model]:
    network, default = f"ConvNeXt{which}", f"convnext_{which.lower()}"

    def build(
        include_top: bool = True,
        include_preprocessing: bool = True,
        weights: str | Path | None = "imagenet",
        input_tensor: Any = None,
        input_shape: Shape | None = None,
        pooling: str | None = None,
        classes: int = CLASSES,
        classifier_activation: Activation = "softmax",
        name: str = default,
    ) -> Model:
        if channels_first():
            raise ArgumentError(f'{network}() needs images in the "channels_last" layout.')

        def pixels(x: KerasTensor, pretrained: bool) -> KerasTensor:
            if not include_preprocessing or channels(x) != 3:
                return x
            mean, variance = [255 * m for m in MEAN], [(255 * d) ** 2 for d in DEVIATION]
            return layers.Normalization(mean=mean, variance=variance, name=f"{name}_prestem_normalization")(x)

        def top(x: KerasTensor, classes: int, activation: Activation) -> KerasTensor:
            x = layers.GlobalAveragePooling2D(name=f"{name}_head_gap")(x)
            x = _norm(f"{name}_head_layernorm")(x)
            return layers.Dense(classes, activation=activation, name=f"{name}_head_dense")(x)

        file = f"{ROOT}convnext/{default}"
        return assemble(
            network, lambda x: _body(x, repeats, filters, name), include_top=include_top, weights=weights,
            input_tensor=input_tensor, input_shape=input_shape, pooling=pooling, classes=classes,
            classifier_activation=classifier_activation, name=name, pixels=pixels, top=top,
            poolings=(None, None), ending=None if include_top else _norm(),
            published=Published(f"{file}.h5", f"{file}_notop.h5", hashes),
        )  # fmt: skip

    build.__name__ = build.__qualname__ = network
    build.__doc__ = described(
        f"ConvNeXt, {which.lower()}; it takes pixels of 0 to 255 as they are.",
        "; (224, 224, 3) with the classifier if not given",
        "        include_preprocessing: whether the network normalizes the pixels.\n",
        example,
    )
    return export(f"applications.convnext.{network}", f"applications.{network}")(build)


ConvNeXtTiny = _convnext(
    "Tiny", (3, 3, 9, 3), (96, 192, 384, 768),
    "8ae6e78ce2933352b1ef4008e6dd2f17bc40771563877d156bc6426c7cf503ff",
    "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
    example="ConvNeXtTiny(weights=None, include_top=False, input_shape=(32, 32, 3)).output_shape\n"
    "    (None, 1, 1, 768)",
)  # fmt: skip
ConvNeXtSmall = _convnext(
    "Small", (3, 3, 27, 3), (96, 192, 384, 768),
    "ce1277d8f1ee5a0ef0e171469089c18f5233860ceaf9b168049cb9263fd7483c",
    "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab",
)  # fmt: skip
ConvNeXtBase = _convnext(
    "Base", (3, 3, 27, 3), (128, 256, 512, 1024),
    "52cbb006d3dadd03f6e095a8ca1aca47aecdd75acb4bc74bce1f5c695d0086e6",
    "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45",
)  # fmt: skip
ConvNeXtLarge = _convnext(
    "Large", (3, 3, 27, 3), (192, 384, 768, 1536),
    "070c5ed9ed289581e477741d3b34beffa920db8cf590899d6d2c67fba2a198a6",
    "96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd",
)  # fmt: skip
ConvNeXtXLarge = _convnext(
    "XLarge", (3, 3, 27, 3), (256, 512, 1024, 2048),
    "c1f5ccab661354fc3a79a10fa99af82f0fbf10ec65cb894a3ae0815f17a889ee",
    "de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05",
)  # fmt: skip
