"""One row for each use of a layer; every row inherits all the checks in test_layers.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Part:
    """A layer as an argument of another one, which each library makes for itself."""

    layer: str
    arguments: dict[str, Any]

    def __repr__(self) -> str:
        return f"{self.layer}({', '.join(f'{k}={v!r}' for k, v in self.arguments.items())})"


def part(layer: str, **arguments: Any) -> Part:
    """A layer inside another one."""
    return Part(layer, arguments)


def given(value: Any, library: Any) -> Any:
    """An argument with its parts made by a library."""
    if isinstance(value, Part):
        return getattr(library.layers, value.layer)(**given(value.arguments, library))
    if isinstance(value, dict):
        return {k: given(v, library) for k, v in value.items()}
    return [given(v, library) for v in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class Case:
    """One use of a layer.

    Args:
        layer: name in `triceras.layers`.
        arguments: constructor arguments.
        shape: shape of the input, the batch included, or a list of shapes.
        below: draw whole numbers from 0 to below this instead of normal numbers.
        dtype: dtype of the input.
        training: compare the output and the new state for `training=True` too.
        random: whether `training=True` gives random numbers.
        reference: whether the reference has the layer.
        unknown: which sizes may be unknown: "all", "batch", or "channels-known" for all but the channels.
        tol: relative and absolute tolerance.
        apart: whether the inputs are arguments of their own, not a list.
        call: further arguments of the call.
    """

    layer: str
    arguments: dict[str, Any] = field(default_factory=dict)
    shape: Any = (2, 4)
    below: int | None = None
    dtype: str = "float32"
    training: bool = False
    random: bool = False
    reference: bool = True
    unknown: str = "channels-known"
    tol: float = 2e-5
    apart: bool = False
    call: dict[str, Any] = field(default_factory=dict)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        return list(self.shape) if isinstance(self.shape, list) else [self.shape]

    def made(self, library: Any, **more: Any) -> Any:
        """The layer, by a library of the Keras API."""
        return getattr(library.layers, self.layer)(**given(self.arguments, library), **more)

    def __str__(self) -> str:
        shown = ", ".join(f"{k}={v!r}" for k, v in (self.arguments | self.call).items())
        return f"{self.layer}({shown}){self.shape}"


SEQUENCE, IMAGE, VOLUME = (2, 9, 4), (2, 7, 8, 4), (2, 5, 6, 7, 2)
IMAGE_FIRST, SEQUENCE_FIRST = (2, 4, 7, 8), (2, 4, 9)
FIRST = {"data_format": "channels_first"}
INDICES = {"_below": 9, "_dtype": "int32"}
BY_RANK = {1: SEQUENCE, 2: IMAGE, 3: VOLUME}


def row(layer: str, shape: Any = (2, 4), /, **arguments: Any) -> Case:
    """A row with the default checks."""
    options = {k: arguments.pop("_" + k) for k in list(Case.__dataclass_fields__) if "_" + k in arguments}
    return Case(layer, arguments, shape, **options)


CORE = [
    row("Dense", units=3),
    row("Dense", (2, 3, 5, 4), units=3, activation="tanh", use_bias=False, kernel_initializer="he_normal"),
    row("Dense", units=3, kernel_regularizer="l2", bias_constraint="non_neg", activity_regularizer="l2"),
    row("EinsumDense", (2, 5, 3), equation="abc,cde->abde", output_shape=(None, 2, 4), bias_axes="de"),
    row("EinsumDense", (2, 5, 3), equation="...x,xy->...y", output_shape=4, bias_axes="y", activation="relu"),
    row("EinsumDense", (2, 5, 3), equation="ab...,bc->ac...", output_shape=4, _unknown="batch"),
    row("EinsumDense", (2, 5, 3), equation="abc,cd->abd", output_shape=(5, 7), bias_axes="bd"),
    row("Embedding", (2, 6), input_dim=9, output_dim=3, _unknown="all", **INDICES),
    row(
        "Embedding",
        (2, 6),
        input_dim=9,
        output_dim=3,
        mask_zero=True,
        embeddings_constraint="unit_norm",
        **INDICES,
    ),
    row("Identity", (2, 3, 4), _unknown="all"),
    row("Masking", (2, 3, 4), mask_value=1.0, _below=3),
]
ACTIVATION = [
    row("Activation", activation="relu", _unknown="all"),
    row("Activation", activation="softmax"),
    row("ReLU", _unknown="all"),
    row("ReLU", max_value=1.0, negative_slope=0.1, threshold=0.2),
    row("LeakyReLU", negative_slope=0.2),
    row("PReLU", (2, 3, 4), alpha_initializer="ones", _unknown="batch"),
    row("PReLU", IMAGE, shared_axes=[1, 2]),
    row("ELU", alpha=0.7),
    row("Softmax"),
    row("Softmax", (2, 3, 4), axis=[1, 2]),
]
RESHAPING = [
    row("Flatten", IMAGE, _unknown="all"),
    row("Flatten", IMAGE_FIRST, **FIRST),
    row("Flatten", (3,), _unknown="batch"),
    row("Reshape", (2, 6, 4), target_shape=(3, -1), _unknown="batch"),
    row("Reshape", (2, 6, 4), target_shape=[4, 6], _unknown="batch"),
    row("Reshape", (2, 6, 4), target_shape=(-1, 4)),
    row("Permute", IMAGE, dims=(3, 1, 2), _unknown="all"),
    row("RepeatVector", n=3, _unknown="all"),
    row("ZeroPadding1D", SEQUENCE, padding=(1, 2)),
    row("ZeroPadding1D", SEQUENCE_FIRST, padding=2, **FIRST),
    row("ZeroPadding2D", IMAGE, padding=((1, 2), (0, 3))),
    row("ZeroPadding2D", IMAGE_FIRST, padding=(1, 2), **FIRST),
    row("ZeroPadding3D", VOLUME, padding=1),
    row("Cropping1D", SEQUENCE, cropping=(1, 2)),
    row("Cropping2D", IMAGE, cropping=((1, 2), (0, 3))),
    row("Cropping2D", IMAGE_FIRST, cropping=1, **FIRST),
    row("Cropping3D", VOLUME, cropping=(1, 2, 3)),
    row("UpSampling1D", SEQUENCE, size=3),
    row("UpSampling2D", IMAGE, size=(2, 1)),
    row("UpSampling2D", IMAGE, size=2, interpolation="bilinear", _unknown="batch"),
    row("UpSampling2D", IMAGE_FIRST, size=2, interpolation="bicubic", _unknown="batch", **FIRST),
    row("UpSampling3D", VOLUME, size=(1, 2, 1)),
]
PAIR, THREE = [(2, 3, 4), (2, 3, 4)], [(2, 3, 4), (2, 1, 4), (2, 4)]
MERGING = [
    row("Add", PAIR, _unknown="all"),
    row("Add", THREE),
    row("Subtract", PAIR),
    row("Multiply", THREE),
    row("Average", THREE),
    row("Maximum", PAIR),
    row("Minimum", PAIR),
    row("Concatenate", [(2, 3, 4), (2, 3, 1)]),
    row("Concatenate", [(2, 3, 4), (2, 5, 4)], axis=1),
    row("Dot", [(2, 3, 4), (2, 4, 5)], axes=(2, 1), _unknown="batch"),
    row("Dot", [(2, 4), (2, 4)], axes=1, normalize=True),
    row("Dot", [(2, 3, 4), (2, 4)], axes=-1),
    row("Dot", [(2, 3, 4, 5), (2, 5, 4)], axes=[3, 1], _unknown="batch"),
]
REGULARIZATION = [
    row("Dropout", rate=0.5, _random=True, _unknown="all"),
    row("Dropout", (2, 3, 4), rate=0.3, noise_shape=(None, 1, 4), seed=3, _random=True),
    row("Dropout", rate=0),
    row("SpatialDropout1D", SEQUENCE, rate=0.5, _random=True),
    row("SpatialDropout2D", IMAGE_FIRST, rate=0.5, _random=True, **FIRST),
    row("SpatialDropout3D", VOLUME, rate=0.5, _random=True),
    row("GaussianNoise", stddev=0.5, _random=True),
    row("GaussianDropout", rate=0.5, _random=True),
    row("AlphaDropout", (50, 4), rate=0.5, noise_shape=(None, 1), _random=True),
    row("ActivityRegularization", l1=0.1, l2=0.2),
]
NORMALIZATION = [
    row("BatchNormalization", IMAGE, _training=True),
    row("BatchNormalization", (6, 3), momentum=0.8, epsilon=0.01, scale=False, _training=True),
    row("BatchNormalization", IMAGE_FIRST, axis=1, center=False, _training=True),
    row(
        "BatchNormalization",
        (6, 3),
        renorm=True,
        renorm_clipping={"rmin": 0.5, "rmax": 2.0, "dmax": 0.5},
        _training=True,
    ),
    row("BatchNormalization", (6, 3), renorm=True, scale=False, center=False, _tol=1e-4, _training=True),
    row("LayerNormalization", (2, 3, 4)),
    row("LayerNormalization", (2, 3, 4), axis=(1, 2), center=False, _unknown="batch"),
    row("LayerNormalization", (2, 3, 4), axis=1, epsilon=0.1, scale=False, _unknown="batch"),
    row("GroupNormalization", IMAGE, groups=2),
    row("GroupNormalization", IMAGE_FIRST, groups=-1, axis=1, center=False, _unknown="batch"),
    row("RMSNormalization", (2, 3, 4), epsilon=0.01),
    row("RMSNormalization", (2, 3, 4), axis=[1, 2], _unknown="batch"),
    row("UnitNormalization", (2, 3, 4), axis=[1, 2]),
]
CONVOLUTION = [
    row("Conv1D", SEQUENCE, filters=3, kernel_size=3, padding="causal", dilation_rate=2),
    row("Conv1D", SEQUENCE_FIRST, filters=3, kernel_size=2, strides=2, padding="causal", **FIRST),
    row("Conv2D", IMAGE, filters=3, kernel_size=3, activation="relu"),
    row("Conv2D", IMAGE, filters=6, kernel_size=(2, 3), strides=(2, 1), padding="SAME", groups=2),
    row("Conv2D", IMAGE_FIRST, filters=3, kernel_size=3, dilation_rate=2, kernel_regularizer="l2", **FIRST),
    row("Conv3D", VOLUME, filters=3, kernel_size=(1, 2, 3), use_bias=False),
    row("Conv1DTranspose", SEQUENCE, filters=3, kernel_size=3, strides=2, padding="same"),
    row("Conv2DTranspose", IMAGE, filters=3, kernel_size=3, strides=2, output_padding=1),
    row("Conv2DTranspose", IMAGE_FIRST, filters=3, kernel_size=(3, 2), activation="relu", **FIRST),
    row("Conv3DTranspose", VOLUME, filters=2, kernel_size=2, strides=2),
    row("SeparableConv1D", SEQUENCE, filters=3, kernel_size=3, strides=2, depth_multiplier=2),
    row("SeparableConv2D", IMAGE, filters=3, kernel_size=3, padding="same", depthwise_regularizer="l2"),
    row("SeparableConv2D", IMAGE_FIRST, filters=3, kernel_size=3, dilation_rate=2, **FIRST),
    row("DepthwiseConv1D", SEQUENCE, kernel_size=3, strides=2, depth_multiplier=2),
    row("DepthwiseConv2D", IMAGE, kernel_size=3, padding="same", use_bias=False),
    row("DepthwiseConv2D", IMAGE_FIRST, kernel_size=2, activation="tanh", **FIRST),
]
POOLING = [
    *(row(f"MaxPooling{rank}D", shape) for rank, shape in BY_RANK.items()),
    *(row(f"MinPooling{rank}D", shape, _reference=False) for rank, shape in BY_RANK.items()),
    *(row(f"AveragePooling{rank}D", shape, pool_size=2) for rank, shape in BY_RANK.items()),
    row("MaxPooling2D", IMAGE, pool_size=3, strides=2, padding="same"),
    row("MaxPooling2D", IMAGE_FIRST, pool_size=(2, 3), **FIRST),
    row("MinPooling2D", IMAGE_FIRST, pool_size=3, strides=(2, 1), padding="same", _reference=False, **FIRST),
    row("AveragePooling2D", IMAGE, pool_size=(3, 2), strides=2, padding="same"),
    row("AveragePooling1D", SEQUENCE_FIRST, pool_size=2, **FIRST),
    *(
        row(f"Global{kind}Pooling{rank}D", shape)
        for kind in ("Max", "Average")
        for rank, shape in BY_RANK.items()
    ),
    *(row(f"GlobalMinPooling{rank}D", shape, _reference=False) for rank, shape in BY_RANK.items()),
    row("GlobalMaxPooling2D", IMAGE_FIRST, keepdims=True, **FIRST),
    row("GlobalAveragePooling1D", SEQUENCE_FIRST, keepdims=True, **FIRST),
    *(
        row(f"AdaptiveAveragePooling{rank}D", s, output_size=2, _unknown="batch")
        for rank, s in BY_RANK.items()
    ),
    *(row(f"AdaptiveMaxPooling{rank}D", s, output_size=3, _unknown="batch") for rank, s in BY_RANK.items()),
    row("AdaptiveAveragePooling2D", IMAGE_FIRST, output_size=(2, 5), _unknown="batch", **FIRST),
]
PREPROCESSING = [
    row("Rescaling", IMAGE, scale=1 / 255, _below=256, _dtype="int32"),
    row("Rescaling", scale=[1.0, 2.0, 3.0, 4.0], offset=[0.0, 0.0, 1.0, 1.0]),
    row("Normalization", (5, 3)),
    row("Normalization", (5, 3), mean=[1.0, 2.0, 3.0], variance=[1.0, 4.0, 9.0]),
    row("Normalization", (2, 3, 4), axis=(1,), invert=True, _unknown="batch"),
    row("Normalization", (2, 3, 4), axis=None, mean=2.0, variance=4.0),
]
CASES = [
    *CORE, *ACTIVATION, *RESHAPING, *MERGING, *REGULARIZATION, *NORMALIZATION, *CONVOLUTION, *POOLING,
    *PREPROCESSING,
]  # fmt: skip
