"""Samplers: functions of a key of two 32-bit numbers.

The key and counter of XLA's own generator are made from it; unlike JAX's default, that costs no compile time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Sizes = tuple[int, ...]


def _key(seed: jax.Array) -> jax.Array:
    return jax.random.wrap_key_data(jnp.concatenate([seed, seed]), impl="rbg")


def random_bits(seed: jax.Array, *, shape: Sizes) -> jax.Array:
    return jax.random.bits(_key(seed), shape, "uint16")


def random_uniform(seed: jax.Array, *, shape: Sizes, dtype: str) -> jax.Array:
    return jax.random.uniform(_key(seed), shape, _canonical(dtype))


def random_normal(seed: jax.Array, *, shape: Sizes, dtype: str) -> jax.Array:
    return jax.random.normal(_key(seed), shape, _canonical(dtype))


def random_integers(seed: jax.Array, minval: jax.Array, maxval: jax.Array, *, shape: Sizes, dtype: str) -> jax.Array:
    return jax.random.randint(_key(seed), shape, minval, maxval, _canonical(dtype))


def random_gamma(seed: jax.Array, alpha: jax.Array, *, shape: Sizes, dtype: str) -> jax.Array:
    return jax.random.gamma(_key(seed), alpha, shape, _canonical(dtype))


def random_binomial(
    seed: jax.Array, counts: jax.Array, probabilities: jax.Array, *, shape: Sizes, dtype: str
) -> jax.Array:
    return jax.random.binomial(_key(seed), counts, probabilities, shape, _canonical(dtype))


def _canonical(dtype: str) -> Any:
    return jax.dtypes.canonicalize_dtype(dtype)


NATIVES: dict[str, Callable[..., Any]] = {
    f.__name__: f
    for f in (random_bits, random_uniform, random_normal, random_integers, random_gamma, random_binomial)
}
