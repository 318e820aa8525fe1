"""JAX's own activations, one-hot vectors and fused attention; moments, convolution and pooling from `kernels`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from triceras.engine.on_jax import kernels
from triceras.engine.on_jax.arrays import canonical


def _over_axes(run: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """`run` with lists as axes too."""
    return lambda x, axis: run(x, axis=tuple(axis) if isinstance(axis, list) else axis)


def flash(
    query: jax.Array, key: jax.Array, value: jax.Array, bias: jax.Array | None, scale: float, is_causal: bool
) -> jax.Array:
    return jax.nn.dot_product_attention(
        query, key, value, bias, scale=scale, is_causal=is_causal, implementation="cudnn"
    )


@partial(jax.jit, static_argnames=("num_classes", "axis", "dtype"), inline=True)
def one_hot(x: jax.Array, num_classes: int, axis: int, dtype: str) -> jax.Array:
    small = x.dtype.itemsize < 4  # whose range may end below the number of classes
    numbers = x.astype("float32" if jnp.issubdtype(x.dtype, jnp.floating) else "int32") if small else x
    return jax.nn.one_hot(numbers, num_classes, dtype=canonical(dtype), axis=axis)


NATIVES: dict[str, Callable[..., Any]] = {
    "relu": jax.jit(
        jax.nn.relu, inline=True
    ),  # called outside of programs, its derivative rule takes longest
    "_one_hot": one_hot,
    "sigmoid": jax.nn.sigmoid,
    "softmax": _over_axes(jax.nn.softmax),
    "log_softmax": _over_axes(jax.nn.log_softmax),
    "plain_moments": kernels.moments,
    "flash": flash,
    "conv_general": kernels.conv_general,
    "conv_transpose_general": kernels.conv_transpose_general,
    "max_pool_general": kernels.max_pool_general,
    "average_pool_general": kernels.average_pool_general,
}
