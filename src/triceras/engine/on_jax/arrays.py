"""Making, arranging and indexing arrays, and linear algebra."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from triceras.core import config
from triceras.core.dtypes import standardize_dtype
from triceras.core.errors import ArgumentError, EngineError
from triceras.core.shapes import TENSOR, broadcast_target, pad_widths, sizes, target_shape
from triceras.engine.precision import in_single


def canonical(dtype: Any) -> Any:
    """The dtype that JAX uses for a name: 64-bit ones are 32-bit unless JAX was told otherwise."""
    return jax.dtypes.canonicalize_dtype(config.floatx() if dtype is None else standardize_dtype(dtype))


def cast(x: jax.Array, dtype: Any) -> jax.Array:
    target = canonical(dtype)
    if x.dtype.kind == "c" and target.kind != "c":
        x = jnp.real(x)
    return x.astype(target)


def full(fill_value: Any, shape: Any, dtype: Any) -> jax.Array:
    if type(fill_value) is complex:
        fill_value = cast(jnp.asarray(fill_value), dtype)
    return jnp.full(sizes(shape), fill_value, canonical(dtype))


def _filled_like(make: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    return lambda x, dtype: make(x, dtype=None if dtype is None else canonical(dtype))


def reshape(x: jax.Array, newshape: Any) -> jax.Array:
    try:
        return x.reshape(newshape)
    except (TypeError, ValueError):  # None among the sizes, or they don't fit
        return x.reshape(target_shape(x.shape, newshape))


def transpose(x: jax.Array, axes: Sequence[int] | None) -> jax.Array:
    return jnp.transpose(x, axes)


def broadcast_to(x: jax.Array, shape: Any) -> jax.Array:
    return jnp.broadcast_to(x, broadcast_target(x.shape, shape))


def tile(x: jax.Array, repeats: Any) -> jax.Array:
    return jnp.tile(x, repeats)


def pad(x: jax.Array, constant_values: Any, pad_width: Any, mode: str) -> jax.Array:
    widths = pad_widths(pad_width, x.ndim)
    if constant_values is None:
        return jnp.pad(x, widths, mode=mode)
    if mode != "constant":
        raise ArgumentError(f'`constant_values` goes with mode="constant" only. Received: mode={mode!r}')
    return jnp.pad(x, widths, constant_values=jnp.asarray(constant_values).astype(x.dtype))


def view(x: jax.Array, dtype: Any) -> jax.Array:
    return x if dtype is None else x.view(canonical(dtype))


# -- indexing ------------------------------------------------------------------------------------------------


def get_item(x: jax.Array, key: tuple[Any, ...]) -> jax.Array:
    return x[key]


def gather_items(x: jax.Array, indices: Sequence[Any], key: tuple[Any, ...]) -> jax.Array:
    following = iter(indices)
    return x[tuple(next(following) if k == TENSOR else k for k in key)]


def where(condition: Any, x1: Any, x2: Any) -> Any:
    if x1 is None or x2 is None:
        if x1 is not None or x2 is not None:
            raise ArgumentError("where() takes both `x1` and `x2`, or neither.")
        return nonzero(condition)
    if condition.dtype != "bool":  # a conversion takes as long as the choice itself
        condition = condition.astype(bool)
    return jnp.where(condition, x1, x2)


def nonzero(x: jax.Array) -> tuple[jax.Array, ...]:
    _concrete(x, "nonzero")
    return jnp.nonzero(x)


def _concrete(x: Any, name: str) -> None:
    if isinstance(x, jax.core.Tracer):
        raise EngineError(
            f"{name}() has a result whose size depends on the data, which a compiled or differentiated "
            "function on JAX can't have. Compute it outside, or use a form of fixed size: where() with three "
            "arguments, unique(size=...)."
        )


def unique(
    x: jax.Array,
    sorted: bool,
    return_index: bool,
    return_inverse: bool,
    return_counts: bool,
    axis: int | None,
    size: int | None,
    fill_value: Any,
) -> Any:
    if size is None:
        _concrete(x, "unique")
    return jnp.unique(
        x, return_index, return_inverse, return_counts, axis=axis, size=size, fill_value=fill_value
    )


def slice_block(inputs: jax.Array, start_indices: jax.Array, shape: Any) -> jax.Array:
    if -1 in tuple(shape):  # up to the end
        shape = [
            size - int(start) if d == -1 else d
            for d, size, start in zip(shape, inputs.shape, start_indices, strict=True)
        ]
    return lax.dynamic_slice(inputs, list(start_indices), sizes(shape))


def slice_update(inputs: jax.Array, start_indices: jax.Array, updates: jax.Array) -> jax.Array:
    return lax.dynamic_update_slice(inputs, updates.astype(inputs.dtype), list(start_indices))


def scatter_update(
    inputs: jax.Array, indices: jax.Array, updates: jax.Array, reduction: str | None
) -> jax.Array:
    methods = {None: "set", "add": "add", "max": "max", "min": "min", "mul": "multiply"}
    if reduction not in methods:
        raise ArgumentError(f"`reduction` must be one of {list(methods)}. Received: {reduction!r}")
    places = inputs.at[tuple(jnp.moveaxis(indices, -1, 0))]
    return getattr(places, methods[reduction])(updates.astype(inputs.dtype))


def argsort(x: jax.Array, axis: int | None) -> jax.Array:
    return jnp.argsort(x, axis=axis if x.ndim else None)


def searchsorted(sorted_sequence: jax.Array, values: jax.Array, side: str) -> jax.Array:
    return jnp.searchsorted(sorted_sequence, values, side=side)


# -- linear algebra ------------------------------------------------------------------------------------------


def matmul(x1: jax.Array, x2: jax.Array) -> jax.Array:
    if x1.ndim > x2.ndim == 2:
        return tensordot(x1, x2, 1)
    return jnp.matmul(x1, x2)


@partial(jax.jit, inline=True)  # one call to XLA instead of two, outside of programs
def affine(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    return matmul(x, kernel) + bias


def tensordot(x1: jax.Array, x2: jax.Array, axes: Any) -> jax.Array:
    if not isinstance(axes, int) or axes < 1 or x1.shape[-axes:] != x2.shape[:axes]:
        return jnp.tensordot(x1, x2, axes)
    # as a product of two matrices, which XLA multiplies and differentiates up to twice as fast on CPUs
    rows, inner, columns = x1.shape[:-axes], x1.shape[-axes:], x2.shape[axes:]
    size = math.prod(inner)
    product = jnp.matmul(x1.reshape(math.prod(rows), size), x2.reshape(size, math.prod(columns)))
    return product.reshape(rows + columns)


def einsum(operands: Sequence[jax.Array], subscripts: str, kwargs: dict[str, Any]) -> jax.Array:
    return jnp.einsum(subscripts, *operands, **kwargs)


def det(x: jax.Array) -> jax.Array:
    return jnp.linalg.det(x)


def slogdet(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return tuple(jnp.linalg.slogdet(x))


def inv(x: jax.Array) -> jax.Array:
    return jnp.linalg.inv(x)


def pinv(x: jax.Array, rcond: float | None) -> jax.Array:
    return jnp.linalg.pinv(x, rtol=rcond)


def cholesky(x: jax.Array, upper: bool) -> jax.Array:
    factor = jnp.linalg.cholesky(x, upper=upper)
    if not isinstance(factor, jax.core.Tracer) and bool(jnp.isnan(factor).any()):
        raise ArgumentError(
            "cholesky() takes positive definite matrices; what was received isn't positive definite."
        )
    return factor


def qr(x: jax.Array, mode: str) -> tuple[jax.Array, jax.Array]:
    return tuple(jnp.linalg.qr(x, mode))


def svd(x: jax.Array, full_matrices: bool, compute_uv: bool) -> Any:
    found = jnp.linalg.svd(x, full_matrices, compute_uv)
    return tuple(found) if compute_uv else found


def eig(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return tuple(jnp.linalg.eig(x))


def eigh(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return tuple(jnp.linalg.eigh(x))


def lu_factor(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jax.scipy.linalg.lu_factor(x)


def solve(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.linalg.solve(a, b)


def solve_triangular(a: jax.Array, b: jax.Array, lower: bool) -> jax.Array:
    return jax.scipy.linalg.solve_triangular(a, b, lower=lower)


NATIVES: dict[str, Callable[..., Any]] = {
    **{
        f.__name__: f
        for f in (
            jnp.concatenate, jnp.copy, jnp.expand_dims, jnp.flip, jnp.roll,
            jnp.sort, jnp.stack, jnp.take, jnp.take_along_axis,
        )
    },
    **{
        f.__name__: f
        for f in (
            cast, full, reshape, transpose, broadcast_to, tile, pad, view, get_item, where, nonzero, unique,
            slice_update, scatter_update, argsort, matmul, affine, tensordot, einsum, det, slogdet,
        )
    },
    **{f.__name__: in_single(f) for f in (inv, pinv, cholesky, svd, eig, eigh, lu_factor)},
    "_gather_items": gather_items,
    "ones": partial(full, 1),
    "ones_like": _filled_like(jnp.ones_like),
    "slice": slice_block,
    "_searchsorted": searchsorted,
    "_qr": in_single(qr),
    "_solve": in_single(solve),
    "_solve_triangular": solve_triangular,
    "stop_gradient": lax.stop_gradient,
    "zeros": partial(full, 0),
    "zeros_like": _filled_like(jnp.zeros_like),
}  # fmt: skip
