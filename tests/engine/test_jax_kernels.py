"""The CPU formulations of pooling and convolution against XLA's own, and against the reference."""

from __future__ import annotations

import os

import numpy as np
import pytest

jax = pytest.importorskip("jax")
import jax.numpy as jnp  # noqa: E402
from jax import lax  # noqa: E402

from triceras.engine.on_jax import kernels  # noqa: E402

RNG = np.random.default_rng(7)


def normal(*shape, dtype="float32"):
    return jnp.asarray(RNG.normal(size=shape).astype(dtype))


def tied(*shape):
    """Small whole numbers, so that most windows hold their maximum several times."""
    return jnp.asarray(RNG.integers(0, 3, shape).astype("float32"))


def as_on_accelerator(function):
    """The same function with the branch for other devices, which is XLA's own formulation."""

    def run(*args):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kernels, "on_cpu", lambda: False)
            return function(*args)

    return run


def assert_same_function(function, *args, tolerance=2e-5):
    """Value and gradients of `function` are those of XLA's own operations."""
    weights = normal(*jax.eval_shape(function, *args).shape)

    def value_and_gradients(*args):
        value, pullback = jax.vjp(function, *args)
        return value, *pullback(weights)

    expected = jax.jit(as_on_accelerator(value_and_gradients))(*args)
    for actual, wanted in zip(jax.jit(value_and_gradients)(*args), expected):
        np.testing.assert_allclose(actual, wanted, rtol=tolerance, atol=tolerance * 20)


# shape of the input, pool size, strides
POOLS = {
    "apart": ((2, 8, 6, 3), (2, 2), (2, 2)),
    "odd sizes": ((2, 9, 7, 3), (2, 2), (2, 2)),
    "overlapping": ((2, 9, 8, 3), (3, 3), (2, 2)),
    "dense": ((2, 7, 7, 2), (3, 3), (1, 1)),
    "stride larger than pool": ((2, 11, 10, 2), (2, 2), (3, 4)),
    "one axis apart, one not": ((2, 9, 9, 2), (2, 3), (2, 1)),
    "much overlap": ((1, 12, 12, 1), (5, 4), (2, 3)),
    "whole image": ((2, 6, 5, 3), (6, 5), (6, 5)),
    "large apart": ((1, 24, 24, 2), (12, 12), (12, 12)),
    "beyond the slices": ((1, 70, 4, 1), (66, 2), (2, 2)),
    "1-D": ((2, 11, 3), (3,), (2,)),
    "3-D": ((1, 5, 6, 7, 2), (2, 3, 2), (2, 2, 2)),
}


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("case", POOLS)
@pytest.mark.parametrize(
    "pool, values",
    [
        (kernels.max_pool_general, normal),
        (kernels.max_pool_general, tied),
        (kernels.average_pool_general, normal),
    ],
)
def test_pooling_equals_xla(pool, values, case, padding):
    shape, size, strides = POOLS[case]
    assert_same_function(lambda x: pool(x, size, strides, padding), values(*shape))


def test_first_of_equal_maxima_gets_the_gradient():
    x = jnp.ones((1, 4, 4, 1))
    grad = jax.grad(lambda x: kernels.max_pool_general(x, (3, 3), (1, 1), "valid").sum())(x)[0, :, :, 0]
    np.testing.assert_array_equal(grad, np.pad(np.ones((2, 2)), ((0, 2), (0, 2))))


def test_max_pool_propagates_nan_and_pools_integers():
    x = np.zeros((1, 4, 4, 1), "float32")
    x[0, 1, 0, 0] = np.nan
    pooled = kernels.max_pool_general(jnp.asarray(x), (2, 2), (2, 2), "valid")
    np.testing.assert_array_equal(np.isnan(pooled[0, :, :, 0]), [[True, False], [False, False]])
    whole = kernels.max_pool_general(jnp.full((1, 3, 3, 1), -7, "int32"), (2, 2), (2, 2), "same")
    assert whole.dtype == "int32" and (whole == -7).all()


# shape of the input, shape of the kernel, strides, dilation, groups
CONVOLUTIONS = {
    "plain": ((2, 7, 8, 3), (3, 3, 3, 4), (1, 1), (1, 1), 1),
    "one channel": ((2, 7, 8, 1), (3, 2, 1, 4), (1, 1), (1, 1), 1),
    "pointwise": ((2, 5, 4, 3), (1, 1, 3, 5), (1, 1), (1, 1), 1),
    "strides": ((2, 9, 8, 3), (3, 4, 3, 2), (2, 3), (1, 1), 1),
    "stride larger than kernel": ((2, 9, 8, 3), (2, 1, 3, 2), (3, 2), (1, 1), 1),
    "dilation": ((2, 9, 10, 3), (3, 2, 3, 2), (1, 1), (2, 3), 1),
    "groups": ((2, 7, 6, 6), (3, 3, 2, 9), (2, 1), (1, 1), 3),
    "many groups": ((1, 4, 4, 80), (2, 2, 2, 40), (1, 1), (1, 1), 40),
    "depthwise": ((2, 8, 7, 5), (3, 3, 1, 5), (1, 1), (1, 1), 5),
    "depthwise strides": ((2, 9, 7, 4), (3, 2, 1, 4), (2, 3), (1, 1), 4),
    "depthwise dilation": ((2, 9, 9, 4), (3, 3, 1, 4), (1, 1), (2, 2), 4),
    "depthwise multiplier": ((2, 6, 7, 3), (3, 3, 1, 6), (1, 2), (1, 1), 3),
    "1-D": ((2, 11, 3), (4, 3, 5), (2,), (1,), 1),
    "1-D dilation": ((2, 11, 3), (3, 3, 2), (1,), (2,), 1),
    "1-D depthwise": ((2, 11, 3), (4, 1, 6), (2,), (1,), 3),
    "large batch in pieces": ((48, 5, 4, 2), (3, 2, 2, 3), (2, 1), (1, 1), 1),
    "large prime batch": ((37, 5, 4, 1), (3, 2, 1, 2), (1, 1), (1, 1), 1),
    "3-D": ((1, 5, 6, 4, 2), (2, 3, 2, 2, 3), (2, 1, 1), (1, 1, 1), 1),
    "3-D groups": ((1, 4, 5, 4, 4), (2, 2, 2, 2, 4), (1, 1, 1), (1, 1, 1), 2),
}


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolution_equals_xla(case, padding):
    shape, kernel, strides, dilation, groups = CONVOLUTIONS[case]
    assert_same_function(
        lambda x, k: kernels.conv_general(x, k, strides, padding, dilation, groups),
        normal(*shape),
        normal(*kernel),
    )


# shape of the input, shape of the kernel, strides, dilation
TRANSPOSED = {
    "plain": ((2, 5, 4, 3), (3, 3, 2, 3), (1, 1), (1, 1)),
    "strides": ((2, 5, 4, 3), (3, 4, 2, 3), (2, 3), (1, 1)),
    "stride larger than kernel": ((2, 3, 4, 2), (2, 1, 3, 2), (3, 4), (1, 1)),
    "dilation": ((1, 5, 4, 2), (3, 2, 1, 2), (1, 1), (2, 3)),
    "1-D": ((2, 6, 3), (5, 2, 3), (2,), (1,)),
    "3-D": ((1, 3, 2, 4, 2), (2, 3, 1, 2, 2), (1, 2, 2), (1, 1, 1)),
}


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("case", TRANSPOSED)
def test_transposed_convolution_equals_xla(case, padding):
    shape, kernel, strides, dilation = TRANSPOSED[case]
    assert_same_function(
        lambda x, k: kernels.conv_transpose_general(x, k, strides, padding, None, dilation),
        normal(*shape),
        normal(*kernel),
    )


@pytest.fixture(scope="module")
def reference():
    os.environ.setdefault("KERAS_BACKEND", "jax")
    return pytest.importorskip("keras").ops


@pytest.mark.parametrize("extra", [None, 0, 1])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("case", TRANSPOSED)
def test_transposed_convolution_equals_reference(reference, case, padding, extra):
    shape, kernel, strides, dilation = TRANSPOSED[case]
    if extra is not None and any(extra >= s for s in strides):
        pytest.skip("the reference wants output padding smaller than the stride")
    x, k = normal(*shape), normal(*kernel)
    expected = reference.conv_transpose(
        x, k, strides, padding, output_padding=extra, data_format="channels_last", dilation_rate=dilation
    )
    extra = None if extra is None else (extra,) * len(strides)
    actual = jax.jit(kernels.conv_transpose_general, static_argnums=(2, 3, 4, 5))(
        x, k, strides, padding, extra, dilation
    )
    np.testing.assert_allclose(actual, np.asarray(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("case", ["odd sizes", "overlapping", "1-D"])
def test_pooling_equals_reference(reference, case, padding):
    shape, size, strides = POOLS[case]
    x = tied(*shape)
    for ours, theirs in (
        (kernels.max_pool_general, reference.max_pool),
        (kernels.average_pool_general, reference.average_pool),
    ):
        expected = theirs(x, size, strides, padding, data_format="channels_last")
        actual = jax.jit(ours, static_argnums=(1, 2, 3))(x, size, strides, padding)
        np.testing.assert_allclose(actual, np.asarray(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("keepdims", [False, True])
def test_moments(keepdims):
    x = 300 + 0.1 * normal(5, 4, 3)  # a variance of squares minus squared mean would be nonsense
    mean, variance = jax.jit(kernels.moments, static_argnums=(1, 2))(x, (0, 1), keepdims)
    exact = np.asarray(x, "float64")
    np.testing.assert_allclose(mean, exact.mean((0, 1), keepdims=keepdims), rtol=1e-6)
    np.testing.assert_allclose(variance, exact.var((0, 1), keepdims=keepdims), rtol=1e-4)


def normalize(x, kernel):
    mean, variance = kernels.moments(x, (1, 2), True)
    return (x - mean) / jnp.sqrt(variance + 0.1) * kernel.sum()


def conv(x, kernel):
    return kernels.conv_general(x, kernel, (1, 2), "same", (1, 1), 1)


def depthwise(x, kernel):
    return kernels.conv_general(x, kernel[:, :, :1, :2], (1, 1), "same", (1, 1), 2)


def transposed(x, kernel):
    return kernels.conv_transpose_general(x, kernel, (2, 1), "same", None, (1, 1))


def max_pool(x, kernel):
    return kernels.max_pool_general(x, (3, 2), (2, 2), "same") * kernel.sum()


def average_pool(x, kernel):
    return kernels.average_pool_general(x, (3, 2), (2, 2), "same") * kernel.sum()


@pytest.mark.parametrize("function", [conv, depthwise, transposed, max_pool, average_pool, normalize])
class TestTransformations:
    """Everything that JAX does to a function works on these."""

    x, kernel = normal(2, 5, 4, 2), normal(3, 3, 2, 2)

    def loss(self, function):
        return lambda x, kernel: jnp.sum(jnp.sin(function(x, kernel)))

    def test_forward_equals_reverse_mode(self, function):
        directions = normal(*self.x.shape), normal(*self.kernel.shape)

        @jax.jit
        def both_modes(*args):
            _, forward = jax.jvp(self.loss(function), args, directions)
            grads = jax.grad(self.loss(function), (0, 1))(*args)
            return forward, sum(jnp.vdot(g, d) for g, d in zip(grads, directions))

        forward, reverse = both_modes(self.x, self.kernel)
        np.testing.assert_allclose(forward, reverse, rtol=1e-4, atol=1e-4)

    def test_second_derivatives_equal_xla(self, function):
        def second(x, kernel):
            grad = jax.grad(self.loss(function), 1)
            curvature = jax.jvp(lambda k: grad(x, k), (kernel,), (jnp.ones_like(kernel),))[1]
            return curvature, jax.grad(lambda k: jnp.sum(grad(x, k) ** 2))(kernel)

        expected = jax.jit(as_on_accelerator(second))(self.x, self.kernel)
        for actual, wanted in zip(jax.jit(second)(self.x, self.kernel), expected):
            np.testing.assert_allclose(actual, wanted, rtol=1e-3, atol=5e-3)

    def test_vmap_of_gradient(self, function):
        grad = jax.grad(self.loss(function), 1)
        each = jax.jit(jax.vmap(lambda x: grad(x[None], self.kernel)))(self.x)
        np.testing.assert_allclose(each.sum(0), jax.jit(grad)(self.x, self.kernel), rtol=1e-4, atol=1e-4)

    def test_gradient_inside_loops(self, function):
        grad = jax.grad(self.loss(function), 1)

        def step(kernel):
            return kernel - 0.01 * grad(self.x, kernel)

        expected = jax.jit(lambda k: step(step(step(k))))(self.kernel)
        looped = jax.jit(lambda k, n: lax.fori_loop(0, n, lambda _, k: step(k), k))(self.kernel, 3)
        scanned = jax.jit(lambda k: lax.scan(lambda k, _: (step(k), None), k, length=3)[0])(self.kernel)
        np.testing.assert_allclose(looped, expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(scanned, expected, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
    def test_keeps_small_float_types(self, function, dtype):
        x, kernel = self.x.astype(dtype), self.kernel.astype(dtype)
        grad = jax.jit(jax.grad(self.loss(function), (0, 1)))
        grads = grad(x, kernel)
        assert [jax.eval_shape(function, x, kernel).dtype, *(g.dtype for g in grads)] == [dtype] * 3
        wanted = grad(x.astype("float32"), kernel.astype("float32"))
        for small, exact in zip(grads, wanted):
            np.testing.assert_allclose(small.astype("float32"), exact, rtol=0.1, atol=0.5)
