"""JAX's elementwise functions and reductions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

_SAME_NAME = """
    abs add arccos arccosh arcsin arcsinh arctan arctan2 arctanh bitwise_and bitwise_invert
    bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor cbrt ceil conj cos cosh divide equal exp
    expm1 floor floor_divide fmod gcd greater greater_equal i0 imag isfinite isinf isnan less less_equal
    log log10 log1p log2 logaddexp logical_and logical_not logical_or maximum minimum mod multiply
    negative nextafter not_equal power real round sign signbit sin sinh sqrt square subtract tan tanh trunc
"""


_REDUCTIONS = "all any argmax argmin max mean min sum"


def _var(x: jax.Array, axis: Any, keepdims: bool) -> jax.Array:
    found = jnp.var(x, axis, keepdims=keepdims)
    return found.astype(x.dtype) if x.dtype.kind == "c" else found


def _over(function: Callable[..., Any]) -> Callable[..., Any]:
    """A reduction whose axes may also be a list."""
    return lambda x, axis=None, **options: function(
        x, tuple(axis) if isinstance(axis, list) else axis, **options
    )


_SEGMENT = {
    "sum": jax.ops.segment_sum,
    "prod": jax.ops.segment_prod,
    "max": jax.ops.segment_max,
    "min": jax.ops.segment_min,
}


def _segment(
    data: jax.Array, segment_ids: jax.Array, num_segments: int, sorted: bool, reduction: str
) -> jax.Array:
    return _SEGMENT[reduction](data, segment_ids, num_segments, indices_are_sorted=sorted)


NATIVES: dict[str, Callable[..., Any]] = {
    **{name: getattr(jnp, name) for name in _SAME_NAME.split()},
    **{name: _over(getattr(jnp, name)) for name in _REDUCTIONS.split()},
    "clip": jnp.clip,
    "_complex": jax.lax.complex,
    "_correlate": jnp.correlate,
    "_cumprod": jnp.cumprod,
    "_cumsum": jnp.cumsum,
    "_fft": jnp.fft.fft,
    "_fft2": jnp.fft.fft2,
    "_ifft2": jnp.fft.ifft2,
    "_irfft": jnp.fft.irfft,
    "_prod": _over(jnp.prod),
    "_rfft": jnp.fft.rfft,
    "_segment": _segment,
    "_top_k": lambda x, k: tuple(jax.lax.top_k(x, k)),
    "erf": jax.jit(jax.lax.erf),
    "erfc": jax.jit(jax.lax.erfc),
    "erfinv": jax.jit(jax.lax.erf_inv),
    "logsumexp": _over(jax.scipy.special.logsumexp),
    "rsqrt": jax.jit(jax.lax.rsqrt),
    "var": _over(_var),
}
