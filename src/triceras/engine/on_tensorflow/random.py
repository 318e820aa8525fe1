"""Samplers: functions of a key of two 32-bit numbers, which is that of TensorFlow's counter-based Philox."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import tensorflow as tf
from tensorflow.python.ops import gen_array_ops, gen_math_ops, gen_stateless_random_ops
from tensorflow.python.ops import gen_stateless_random_ops_v2 as kernels

from triceras.engine.on_tensorflow.kernels import integers, sizes_of

Sizes = tuple[int, ...]


def _stream(seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, int]:
    """The key, the counter and the number of the algorithm, as the kernels want them."""
    key = gen_array_ops.bitcast(seed, tf.uint64)
    counter = _zeros() if tf.executing_eagerly() else tf.zeros((2,), tf.uint64)
    return gen_array_ops.expand_dims(key, 0), counter, 1


@cache
def _zeros() -> tf.Tensor:
    return tf.zeros((2,), tf.uint64)


def random_bits(seed: tf.Tensor, *, shape: Sizes) -> tf.Tensor:
    return kernels.stateless_random_uniform_full_int_v2(integers(shape), *_stream(seed), tf.uint32)


def random_uniform(seed: tf.Tensor, *, shape: Sizes, dtype: str) -> tf.Tensor:
    return kernels.stateless_random_uniform_v2(integers(shape), *_stream(seed), tf.as_dtype(dtype))


def random_normal(seed: tf.Tensor, *, shape: Sizes, dtype: str) -> tf.Tensor:
    return kernels.stateless_random_normal_v2(integers(shape), *_stream(seed), tf.as_dtype(dtype))


def random_integers(
    seed: tf.Tensor, minval: tf.Tensor, maxval: tf.Tensor, *, shape: Sizes, dtype: str
) -> tf.Tensor:
    low, high = (gen_math_ops.cast(end, tf.int64) for end in (minval, maxval))
    span = gen_math_ops.cast(gen_math_ops.maximum(high - low, 1), tf.uint64)
    bits = kernels.stateless_random_uniform_full_int_v2(integers(shape), *_stream(seed), tf.uint64)
    offset = gen_math_ops.cast(gen_math_ops.floor_mod(bits, span), tf.int64)
    return gen_math_ops.cast(low + offset, tf.as_dtype(dtype))


def random_gamma(seed: tf.Tensor, alpha: tf.Tensor, *, shape: Sizes, dtype: str) -> tf.Tensor:
    sizes = integers(shape)
    alpha = gen_array_ops.broadcast_to(gen_math_ops.cast(alpha, tf.as_dtype(dtype)), sizes)
    return kernels.stateless_random_gamma_v3(sizes, *_stream(seed), alpha)


def random_binomial(
    seed: tf.Tensor, counts: tf.Tensor, probabilities: tf.Tensor, *, shape: Sizes, dtype: str
) -> tf.Tensor:
    sizes, key = integers(shape), gen_array_ops.bitcast(seed, tf.int32)
    return gen_stateless_random_ops.stateless_random_binomial(
        sizes,
        key,
        *(gen_array_ops.broadcast_to(x, sizes) for x in (counts, probabilities)),
        tf.as_dtype(dtype),
    )


def dropped(inputs: tf.Tensor, seed: tf.Tensor, *, rate: float, shape: Sequence[int | None]) -> tf.Tensor:
    """Made of 16 random bits for each place: making them takes longer than all the rest."""
    sizes = [own if n is None else n for own, n in zip(sizes_of(inputs), shape, strict=True)]
    count = math.prod(sizes)
    words = kernels.stateless_random_uniform_full_int_v2(
        integers([(count + 1) // 2]), *_stream(seed), tf.uint32
    )
    bits = gen_array_ops.reshape(gen_array_ops.bitcast(words, tf.uint16), integers((-1,)))
    bits = gen_array_ops.reshape(
        gen_array_ops._slice(bits, integers((0,)), integers((count,))), integers(sizes)
    )
    keep = gen_math_ops.greater_equal(bits, tf.constant(min(round(rate * 2**16), 2**16 - 1), tf.uint16))
    factors = gen_math_ops.mul(gen_math_ops.cast(keep, inputs.dtype), 1 / (1 - rate))
    return gen_math_ops.mul(inputs, factors)


NATIVES: dict[str, Callable[..., Any]] = {
    **{
        f.__name__: f
        for f in (
            random_bits, random_uniform, random_normal, random_integers, random_gamma, random_binomial,
        )
    },
    "_dropped": dropped,
}  # fmt: skip
