"""Convolution, pooling and activations: errors, ties, and arguments in every form."""

from __future__ import annotations

import numpy as np
import pytest

from triceras import ops
from triceras.core import config
from triceras.core.errors import ArgumentError, ShapeError, TricerasError
from triceras.core.spec import KerasTensor
from triceras.engine import selection
from triceras.variable import Variable

IMAGE, KERNEL = np.ones((2, 5, 6, 4), "float32"), np.ones((3, 2, 4, 8), "float32")


@pytest.fixture(params=[name for name in selection.MODULES if selection.installed(name)], autouse=True)
def engine(request):
    with selection.running(selection.get(request.param)) as active:
        yield active


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: ops.conv(IMAGE, np.ones((3, 4, 8))), ShapeError, "`kernel` of shape (size, size, channels"),
        (lambda: ops.conv(IMAGE, np.ones((3, 2, 3, 8))), ShapeError, "4 channels; the kernel"),
        (lambda: ops.conv(IMAGE, np.ones((3, 2, 2, 7))), ShapeError, "make 2 groups"),
        (lambda: ops.conv(IMAGE, np.ones((6, 2, 4, 8))), ShapeError, 'Use padding="same"'),
        (lambda: ops.conv(IMAGE, KERNEL, dilation_rate=3), ShapeError, "kernel (dilated) of size (7, 4)"),
        (lambda: ops.conv(IMAGE[0, 0], KERNEL), ShapeError, "rank 3 to 5"),
        (lambda: ops.conv(IMAGE, KERNEL, padding="full"), ArgumentError, '"valid" or "same"'),
        (lambda: ops.conv(IMAGE, KERNEL, strides=0), ArgumentError, "each at least 1"),
        (lambda: ops.conv(IMAGE, KERNEL, strides=(1, 2, 3)), ArgumentError, "as 2 of them"),
        (lambda: ops.conv(IMAGE, KERNEL, data_format="nhwc"), ArgumentError, "`data_format`"),
        (lambda: ops.depthwise_conv(IMAGE, np.ones((3, 2, 3, 1))), ShapeError, "channels, multiplier"),
        (
            lambda: ops.separable_conv(IMAGE, np.ones((3, 2, 4, 2)), np.ones((1, 1, 4, 3))),
            ShapeError,
            "(1, 1, 8, filters)",
        ),
        (lambda: ops.conv_transpose(IMAGE, KERNEL), ShapeError, "filters, channels"),
        (lambda: ops.max_pool(IMAGE, 6), ShapeError, "window of size (6, 6) is larger"),
        (lambda: ops.min_pool(IMAGE, 2, padding=None), ArgumentError, "min_pool() takes `padding`"),
        (lambda: ops.average_pool(IMAGE, "2"), ArgumentError, "`pool_size`"),
        (lambda: ops.adaptive_max_pool(IMAGE, (None, 2)), ArgumentError, "`output_size`"),
        (lambda: ops.unfold(IMAGE, 7), ShapeError, "don't fit"),
        (lambda: ops.fold(np.ones((1, 5, 4)), 3, 2), ShapeError, "channels * 4, 4"),
        (lambda: ops.glu(IMAGE[:, :, :, :3]), ShapeError, "must be even"),
        (lambda: ops.one_hot([1], 3, sparse=True), ArgumentError, "dense"),
        (lambda: ops.categorical_crossentropy(np.ones((1, 2)), np.ones((3, 2))), ShapeError, "same shape"),
        (lambda: ops.sparse_categorical_crossentropy([1, 2], np.ones((3, 2))), ShapeError, "here (3,)"),
        (
            lambda: ops.batch_normalization(IMAGE, np.ones(3), np.ones(4), -1),
            ShapeError,
            "takes `mean` as a vector",
        ),
        (lambda: ops.normalize(IMAGE, order=0), ArgumentError, "`order`"),
        (
            lambda: ops.dot_product_attention(IMAGE, IMAGE[0], IMAGE),
            ShapeError,
            "(batch, length, heads, features)",
        ),
        (lambda: ops.image.resize(IMAGE, 3), ArgumentError, "a height and a width"),
        (lambda: ops.image.resize(IMAGE, (3, 3), interpolation="area"), ArgumentError, "`interpolation`"),
        (lambda: ops.image.crop_images(IMAGE, 1, 1), ArgumentError, "exactly two of"),
        (lambda: ops.image.crop_images(IMAGE, 4, 0, 4, 0), ArgumentError, "must all be at least 0"),
        (lambda: ops.image.rgb_to_grayscale(IMAGE), ShapeError, "three channels"),
        (lambda: ops.image.rgb_to_hsv(np.ones((2, 2, 3), "uint8")), ArgumentError, "Divide by 255"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)


def test_symbolic_errors_are_ours():
    with pytest.raises(TricerasError, match="max_pool"):
        ops.max_pool(KerasTensor((None, 5, 6, 4)), 7)


@pytest.mark.parametrize("padding", ["valid", "same", "SAME"])
def test_unknown_sizes(padding):
    result = ops.conv(KerasTensor((None, None, 6, 4)), KERNEL, padding=padding)
    assert result.shape == (None, None, 5 if padding == "valid" else 6, 8)
    assert ops.max_pool(KerasTensor((None, 6, None, 4)), 2, padding=padding).shape == (None, 3, None, 4)


def test_default_layout():
    config.set_image_data_format("channels_first")
    try:
        assert ops.conv(np.moveaxis(IMAGE, -1, 1), KERNEL).shape == (2, 8, 3, 5)
        assert ops.max_pool(KerasTensor((None, 4, 5, 6)), 2).shape == (None, 4, 2, 3)
    finally:
        config.set_image_data_format("channels_last")
    assert ops.max_pool(KerasTensor((None, 4, 5, 6)), 2).shape == (None, 2, 2, 6)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float16", "float32"])
def test_min_pool_is_exact(dtype, engine):
    info = np.finfo(dtype) if "float" in dtype else np.iinfo(dtype)
    x = np.array([info.min, info.max, 3, info.max, info.max, info.min], dtype).reshape(1, 6, 1)
    got = engine.to_numpy(ops.min_pool(x, 2))
    assert got.dtype == dtype
    assert got.ravel().tolist() == [info.min, 3, info.min]


@pytest.fixture
def gradient(engine):
    """The gradient of a function's sum."""
    if not engine.differentiates:
        pytest.skip("no gradients")

    def compute(function, x):
        x = Variable(np.asarray(x, "float32"))
        _, (found,) = engine.value_and_grad(lambda: ops.sum(function(x.value)), [x])()
        return ops.convert_to_numpy(found)

    return compute


def test_gradients_at_kinks(gradient):
    assert gradient(ops.relu, [-1.0, 0.0, 1.0]).tolist() == [0, 0, 1]
    assert gradient(ops.elu, [0.0]).tolist() == [1]
    assert gradient(
        lambda x: ops.binary_crossentropy(ops.ones_like(x), x, from_logits=True), [0.0]
    ).tolist() == [-0.5]
    np.testing.assert_allclose(gradient(ops.normalize, [[0.0, 0.0]]), [[1e7, 1e7]], rtol=1e-6)


def test_pooling_gradient_goes_to_the_first_of_equals(gradient):
    x = np.zeros((1, 2, 4, 1), "float32")
    assert gradient(lambda x: ops.max_pool(x, 2), x).ravel().tolist() == [1, 0, 1, 0, 0, 0, 0, 0]
    assert gradient(lambda x: ops.min_pool(x, 2), x).ravel().tolist() == [1, 0, 1, 0, 0, 0, 0, 0]


def test_extreme_logits_stay_finite(gradient):
    x = np.array([[1000.0, -1000.0]], "float32")
    target = np.array([[0.0, 1.0]], "float32")
    for loss in (ops.categorical_crossentropy, ops.binary_crossentropy):
        assert np.isfinite(gradient(lambda x, loss=loss: loss(target, x, from_logits=True), x)).all()
    for activation in (
        ops.softmax,
        ops.log_softmax,
        ops.sigmoid,
        ops.softplus,
        ops.silu,
        ops.elu,
        ops.selu,
        ops.gelu,
    ):
        assert np.isfinite(ops.convert_to_numpy(activation(x))).all()
        assert np.isfinite(gradient(activation, x)).all()


def test_half_precision_moments_do_not_overflow(engine):
    mean, variance = ops.moments(np.full((4, 3), 60000, "float16"), axes=0)
    assert engine.to_numpy(mean).tolist() == [60000] * 3
    assert engine.to_numpy(variance).tolist() == [0] * 3
