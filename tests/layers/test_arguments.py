"""Bad arguments and inputs are refused where they are given, with words that say what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from triceras import Input, layers

CONSTRUCTORS = [
    ("Dense", {"units": 0}, "`units` must be a positive integer. Received: 0"),
    ("Dense", {"units": "a"}, "positive integer"),
    ("Dense", {"units": 2.5}, "positive integer"),
    ("Dense", {"units": 2, "activation": "rely"}, "Did you mean 'relu'"),
    ("Dense", {"units": 2, "lora_rank": 4}, "isn't available yet"),
    ("Dense", {"units": 2, "quantization_config": {}}, "isn't available yet"),
    ("Dense", {"units": 2, "unit": 3}, "unknown arguments"),
    ("EinsumDense", {"equation": "ab,bc", "output_shape": 3}, "`equation` must look like"),
    ("EinsumDense", {"equation": "ab,bc->ad", "output_shape": 3}, "'d'"),
    ("EinsumDense", {"equation": "ab,bc->ac", "output_shape": 3, "bias_axes": "z"}, "`bias_axes`"),
    ("Embedding", {"input_dim": 0, "output_dim": 2}, "`input_dim`"),
    ("Embedding", {"input_dim": 3, "output_dim": 2, "weights": np.ones((2, 2))}, "`weights` must have shape"),
    ("Lambda", {"function": 3}, "must be callable"),
    ("ReLU", {"max_value": -1}, "`max_value` must be a number from 0"),
    ("LeakyReLU", {"negative_slope": None}, "`negative_slope`"),
    ("Softmax", {"axis": "a"}, "axis number"),
    ("Reshape", {"target_shape": (-1, -1)}, "one of which may be -1"),
    ("Reshape", {"target_shape": 3}, "`target_shape`"),
    ("Permute", {"dims": (0, 1)}, "each number from 1 to 2 once"),
    ("RepeatVector", {"n": 0}, "`n` must be a positive integer"),
    ("ZeroPadding2D", {"padding": (1, 2, 3)}, "`padding`"),
    ("ZeroPadding1D", {"padding": -1}, "`padding`"),
    ("Cropping2D", {"cropping": "a"}, "`cropping`"),
    ("UpSampling2D", {"interpolation": "cubic"}, "`interpolation` must be one of"),
    ("Concatenate", {"axis": "a"}, "`axis`"),
    ("Dot", {"axes": (1, 2, 3)}, "`axes`"),
    ("Dot", {"axes": 0}, "batch"),
    ("Dropout", {"rate": -0.1}, "`rate` must be a number from 0 to 1. Received: -0.1"),
    ("Dropout", {"rate": "a"}, "`rate`"),
    ("SpatialDropout2D", {"rate": 2}, "`rate`"),
    ("GaussianNoise", {"stddev": -1}, "`stddev`"),
    ("ActivityRegularization", {"l1": -1}, "`l1`"),
    ("BatchNormalization", {"momentum": 2}, "`momentum`"),
    ("BatchNormalization", {"axis": [1]}, "one axis number"),
    ("BatchNormalization", {"renorm": True, "renorm_clipping": {"foo": 1}}, "rmin"),
    ("LayerNormalization", {"epsilon": -1}, "`epsilon`"),
    ("GroupNormalization", {"groups": 0}, "`groups`"),
    ("Conv2D", {"filters": 0, "kernel_size": 3}, "`filters`"),
    ("Conv2D", {"filters": 3, "kernel_size": (3, 3, 3)}, "`kernel_size` must be one integer or 2"),
    ("Conv2D", {"filters": 3, "kernel_size": 3, "groups": 2}, "`groups` must divide `filters`"),
    ("Conv2D", {"filters": 3, "kernel_size": 3, "padding": "causal"}, "`padding` must be one of"),
    ("Conv2D", {"filters": 3, "kernel_size": 3, "strides": 2, "dilation_rate": 2}, "can't both be above 1"),
    ("Conv2D", {"filters": 3, "kernel_size": 3, "data_format": "last"}, "`data_format` must be one of"),
    (
        "Conv2DTranspose",
        {"filters": 3, "kernel_size": 3, "output_padding": 1},
        "`output_padding` must be below",
    ),
    ("DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 0}, "`depth_multiplier`"),
    ("MaxPooling2D", {"pool_size": 0}, "`pool_size`"),
    ("MinPooling2D", {"padding": "full"}, "`padding` must be one of"),
    ("AdaptiveMaxPooling1D", {"output_size": 0}, "`output_size`"),
    ("Rescaling", {"scale": "a"}, "`scale`"),
    ("Normalization", {"mean": 1.0}, "both `mean` and `variance`"),
    ("Normalization", {"mean": [1.0], "variance": 1.0}, "one shape"),
]
CALLS = [
    ("Dense", {"units": 2}, (3,), "at least 2 dimensions, found 1"),
    ("Dense", {"units": 2}, (4, None), "must be known"),
    ("Conv2D", {"filters": 2, "kernel_size": 3}, (None, 28, 28), "(batch, rows, columns, channels); add"),
    ("Conv2D", {"filters": 2, "kernel_size": 3, "data_format": "channels_first"}, (2, 28, 28), "x[:, None]"),
    ("Conv2D", {"filters": 2, "kernel_size": 3, "groups": 2}, (2, 8, 8, 3), "must divide the number"),
    ("Conv2D", {"filters": 2, "kernel_size": 3}, (2, 8, 8, None), "must know the number of channels"),
    ("Conv2D", {"filters": 2, "kernel_size": 3}, (2, 2, 2, 1), "conv()"),
    ("MaxPooling1D", {}, (2, 8), "(batch, steps, channels); add"),
    ("MaxPooling2D", {"pool_size": 5}, (2, 3, 3, 1), "max_pool()"),
    ("Cropping1D", {"cropping": 3}, (2, 5, 1), "leaves nothing"),
    ("Reshape", {"target_shape": (3, 5)}, (2, 4, 5), "can't put 20 elements"),
    ("Permute", {"dims": (2, 1)}, (2, 3, 4, 5), "expected its input with 3 dimensions, found 4"),
    ("GroupNormalization", {"groups": 3}, (2, 4), "must divide the number of channels"),
    ("BatchNormalization", {"axis": 3}, (2, 4), "axis=3"),
    (
        "EinsumDense",
        {"equation": "abc,cd->abd", "output_shape": (3, 4)},
        (2, 5, 6),
        "size 5 in the input and 3",
    ),
    ("EinsumDense", {"equation": "abc,cd->abd", "output_shape": (3, 4)}, (2, 5), "'abc'"),
    ("Normalization", {"mean": [1.0, 2.0], "variance": [1.0, 1.0]}, (2, 3), "don't fit"),
    ("Normalization", {"axis": 2}, (2, 3), "axis=(2,)"),
    ("Add", {}, (2, 3), "takes a list of tensors"),
    ("Add", {}, [(2, 3), (2, 4)], "broadcast together. Received shapes (2, 3), (2, 4)"),
    ("Add", {}, [(2, 3), (4, 3)], "batches of one size"),
    ("Subtract", {}, [(2, 3)] * 3, "exactly 2 tensors. Received 3"),
    ("Concatenate", {"axis": 1}, [(2, 3, 4), (2, 3, 5)], "differ on axis 1 only"),
    ("Concatenate", {"axis": 5}, [(2, 3), (2, 3)], "axis 5"),
    ("Dot", {"axes": 1}, [(2, 3), (2, 4)], "found 3 and 4"),
]


@pytest.mark.parametrize(("name", "arguments", "words"), CONSTRUCTORS, ids=str)
def test_constructor(name: str, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        getattr(layers, name)(**arguments)
    assert words in str(caught.value)


@pytest.mark.parametrize(("name", "arguments", "shape", "words"), CALLS, ids=str)
def test_call(name: str, arguments: dict[str, Any], shape: Any, words: str) -> None:
    layer = getattr(layers, name)(name="it", **arguments)
    shapes = shape if isinstance(shape, list) else [shape]
    inputs = [Input(batch_shape=s) for s in shapes]
    with pytest.raises(ValueError) as caught:
        layer(inputs if isinstance(shape, list) else inputs[0])
    assert words in str(caught.value)
    assert "it" in str(caught.value) or "()" in words


def test_channels_must_stay() -> None:
    layer = layers.Conv2D(2, 3, name="it")
    layer(np.ones((1, 8, 8, 3), "float32"))
    with pytest.raises(ValueError, match=r"'it' .*expected its input with size 3 on axis -1, found 1"):
        layer(np.ones((1, 8, 8, 1), "float32"))
