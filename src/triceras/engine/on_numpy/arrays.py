"""Making, arranging and indexing arrays, and linear algebra."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from triceras.core import config
from triceras.core.dtypes import NARROW, standardize_dtype
from triceras.core.errors import ArgumentError
from triceras.core.shapes import TENSOR, broadcast_target, pad_widths, sizes, target_shape
from triceras.engine.precision import in_single


def canonical(dtype: Any) -> str:
    """The dtype for a name: 64-bit ones are 32-bit, as on the other engines, unless floatx is float64."""
    name = standardize_dtype(dtype)
    return name if config.floatx() == "float64" else NARROW.get(name, name)


def cast(x: np.ndarray, dtype: Any) -> np.ndarray:
    target = canonical(dtype)
    if np.iscomplexobj(x) and not target.startswith("complex"):
        x = x.real
    return x.astype(target, copy=False)


def full(fill_value: Any, shape: Any, dtype: Any) -> np.ndarray:
    return np.full(sizes(shape), np.asarray(fill_value).astype(canonical(dtype)))


def reshape(x: np.ndarray, newshape: Any) -> np.ndarray:
    return np.reshape(x, target_shape(x.shape, newshape))


def broadcast_to(x: np.ndarray, shape: Any) -> np.ndarray:
    return np.broadcast_to(x, broadcast_target(x.shape, shape))


def tile(x: np.ndarray, repeats: Any) -> np.ndarray:
    return np.tile(x, repeats)


def pad(x: np.ndarray, constant_values: Any, pad_width: Any, mode: str) -> np.ndarray:
    widths = pad_widths(pad_width, x.ndim)
    if constant_values is None:
        return np.pad(x, widths, mode=mode)
    if mode != "constant":
        raise ArgumentError(f'`constant_values` goes with mode="constant" only. Received: mode={mode!r}')
    return np.pad(x, widths, constant_values=constant_values)


def view(x: np.ndarray, dtype: Any) -> np.ndarray:
    return x if dtype is None else np.ascontiguousarray(x).view(canonical(dtype))


# -- indexing ------------------------------------------------------------------------------------------------


def get_item(x: np.ndarray, key: tuple[Any, ...]) -> np.ndarray:
    return x[key]


def gather_items(x: np.ndarray, indices: Sequence[Any], key: tuple[Any, ...]) -> np.ndarray:
    following = iter(indices)
    return x[tuple(next(following) if k == TENSOR else k for k in key)]


def where(condition: Any, x1: Any, x2: Any) -> Any:
    if x1 is None or x2 is None:
        if x1 is not None or x2 is not None:
            raise ArgumentError("where() takes both `x1` and `x2`, or neither.")
        return nonzero(condition)
    return np.where(np.asarray(condition, bool), x1, x2)


def nonzero(x: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(places.astype("int32") for places in np.nonzero(x))


def unique(
    x: np.ndarray,
    sorted: bool,
    return_index: bool,
    return_inverse: bool,
    return_counts: bool,
    axis: int | None,
    size: int | None,
    fill_value: Any,
) -> Any:
    values, index, inverse, counts = np.unique(x, True, True, True, axis=axis)
    if size is not None:
        first = np.take(values, [0], axis or 0) if fill_value is None else fill_value
        values = _fitted(values, size, axis or 0, first)
        index, counts = _fitted(index, size, 0, index[:1]), _fitted(counts, size, 0, 0)
    wanted = ((index, return_index), (inverse, return_inverse), (counts, return_counts))
    extra = [array.astype("int32") for array, want in wanted if want]
    return (values, *extra) if extra else values


def _fitted(x: np.ndarray, size: int, axis: int, fill: Any) -> np.ndarray:
    """An array cut or filled up to a size along an axis."""
    shape = list(x.shape)
    shape[axis] = max(size - shape[axis], 0)
    filled = np.concatenate([x, np.broadcast_to(np.asarray(fill, x.dtype), shape)], axis)
    return np.take(filled, np.arange(size), axis)


def take(x: np.ndarray, indices: np.ndarray, axis: int | None) -> np.ndarray:
    return np.take(x, indices, axis)


def slice_block(inputs: np.ndarray, start_indices: np.ndarray, shape: Any) -> np.ndarray:
    shape = sizes(
        [n - int(s) if d == -1 else d for d, n, s in zip(shape, inputs.shape, start_indices, strict=True)]
    )
    return inputs[_block(inputs.shape, start_indices, shape)]


def _block(shape: Sequence[int], start: np.ndarray, wanted: Sequence[int]) -> tuple[slice, ...]:
    """Slices of a block, moved back where it would reach beyond the end."""
    if any(w > n for w, n in zip(wanted, shape, strict=True)):
        raise ArgumentError(f"A block of shape {tuple(wanted)} doesn't fit into shape {tuple(shape)}.")
    corner = [
        min(max(int(s) + n if s < 0 else int(s), 0), n - w)
        for s, n, w in zip(start, shape, wanted, strict=True)
    ]
    return tuple(slice(c, c + w) for c, w in zip(corner, wanted, strict=True))


def slice_update(inputs: np.ndarray, start_indices: np.ndarray, updates: np.ndarray) -> np.ndarray:
    result = inputs.copy()
    result[_block(inputs.shape, start_indices, updates.shape)] = updates
    return result


def scatter_update(
    inputs: np.ndarray, indices: np.ndarray, updates: np.ndarray, reduction: str | None
) -> np.ndarray:
    functions = {"add": np.add, "max": np.maximum, "min": np.minimum, "mul": np.multiply}
    if reduction is not None and reduction not in functions:
        raise ArgumentError(f"`reduction` must be one of {[None, *functions]}. Received: {reduction!r}")
    result = inputs.copy()
    places = tuple(np.moveaxis(indices, -1, 0))
    if reduction is None:
        result[places] = updates
    else:
        functions[reduction].at(result, places, updates.astype(inputs.dtype))
    return result


def argsort(x: np.ndarray, axis: int | None) -> np.ndarray:
    return np.argsort(x, axis=axis if x.ndim else None, stable=True).astype("int32")


def searchsorted(sorted_sequence: np.ndarray, values: np.ndarray, side: str) -> np.ndarray:
    return np.searchsorted(sorted_sequence, values, side=side).astype("int32")


# -- linear algebra ------------------------------------------------------------------------------------------


def tensordot(x1: np.ndarray, x2: np.ndarray, axes: Any) -> np.ndarray:
    return np.tensordot(x1, x2, axes)


def einsum(operands: Sequence[np.ndarray], subscripts: str, kwargs: dict[str, Any]) -> np.ndarray:
    return np.einsum(subscripts, *operands, **kwargs)


def det(x: np.ndarray) -> np.ndarray:
    return np.linalg.det(x)


def slogdet(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    sign, logarithm = np.linalg.slogdet(x)
    return np.asarray(sign, x.dtype), np.asarray(logarithm, x.real.dtype)


def pinv(x: np.ndarray, rcond: float | None) -> np.ndarray:
    return np.linalg.pinv(x, 10 * max(x.shape[-2:]) * np.finfo(x.dtype).eps if rcond is None else rcond)


def cholesky(x: np.ndarray, upper: bool) -> np.ndarray:
    try:
        return np.linalg.cholesky(x, upper=upper)
    except np.linalg.LinAlgError:
        raise ArgumentError(
            "cholesky() takes positive definite matrices; what was received isn't positive definite."
        ) from None


def qr(x: np.ndarray, mode: str) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.linalg.qr(x, mode))


def svd(x: np.ndarray, full_matrices: bool, compute_uv: bool) -> Any:
    found = np.linalg.svd(x, full_matrices, compute_uv)
    return tuple(found) if compute_uv else found


def eig(x: np.ndarray) -> tuple[np.ndarray, ...]:
    kind = np.result_type(x.dtype, "complex64")
    return tuple(part.astype(kind) for part in np.linalg.eig(x))


def eigh(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.linalg.eigh(x))


def lu_factor(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian elimination, each step with the largest element of its column as pivot."""
    rows, columns = x.shape[-2:]
    batch = x.reshape(-1, rows, columns).copy()
    steps, each = min(rows, columns), np.arange(len(batch))
    pivots = np.zeros((len(batch), steps), "int32")
    for k in range(steps):
        pivots[:, k] = pivot = k + np.abs(batch[:, k:, k]).argmax(-1)
        exchanged = batch[:, k].copy()
        batch[:, k] = batch[each, pivot]
        batch[each, pivot] = exchanged
        top = batch[:, k, k, None]
        batch[:, k + 1 :, k] /= np.where(top == 0, 1, top)
        batch[:, k + 1 :, k + 1 :] -= batch[:, k + 1 :, k, None] * batch[:, k, None, k + 1 :]
    return batch.reshape(x.shape), pivots.reshape(*x.shape[:-2], steps)


NATIVES: dict[str, Callable[..., Any]] = {
    **{
        f.__name__: f
        for f in (
            np.concatenate, np.copy, np.expand_dims, np.flip, np.roll, np.sort,
            np.stack, np.take_along_axis, np.transpose,
        )
    },
    **{
        f.__name__: f
        for f in (
            cast, full, reshape, broadcast_to, tile, pad, view, get_item, where, nonzero, unique, take,
            slice_update, scatter_update, argsort,
        )
    },
    **{
        f.__name__: in_single(f)
        for f in (tensordot, einsum, det, slogdet, pinv, cholesky, svd, eig, eigh, lu_factor)
    },
    "_gather_items": gather_items,
    "slice": slice_block,
    "_searchsorted": searchsorted,
    "inv": in_single(np.linalg.inv),
    "matmul": in_single(np.matmul),
    "_qr": in_single(qr),
    "_solve": in_single(np.linalg.solve),
    "stop_gradient": lambda variable: variable,
}  # fmt: skip
