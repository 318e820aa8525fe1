"""Making, arranging and indexing tensors, and linear algebra."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import tensorflow as tf
from tensorflow.python.ops import gen_array_ops as kernels
from tensorflow.python.ops import gen_linalg_ops, gen_manip_ops, gen_math_ops, gen_nn_ops

from triceras.core.dtypes import promote, standardize_dtype, weak_name
from triceras.core.errors import ArgumentError
from triceras.core.shapes import (
    TENSOR,
    broadcast_target,
    canonical_axes,
    canonical_axis,
    pad_widths,
    sizes,
    target_shape,
)
from triceras.engine.on_tensorflow.kernels import (
    CONVERTED,
    cast,
    filler,
    integers,
    lacking,
    last,
    select,
    sizes_of,
    tensor,
)
from triceras.engine.precision import HALF

_SMALL = ("bool", "int8", "uint8", "int16", "uint16", "uint32", "uint64")


def full(fill_value: Any, shape: Any, dtype: Any) -> tf.Tensor:
    fill_value = filler(fill_value, dtype)
    shape = integers(shape) if _holds_tensors(shape) else integers(sizes(shape))
    spread = kernels.broadcast_to(fill_value, shape) if fill_value.shape.rank else None
    return kernels.fill(shape, fill_value) if spread is None else spread


def _filled_like(value: int, kernel: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    return lambda x, dtype: kernel(x) if dtype is None else full_like(x, value, dtype)


def full_like(x: tf.Tensor, fill_value: Any, dtype: Any) -> tf.Tensor:
    """Beside the generic body for the sake of unknown sizes."""
    return full(fill_value, sizes_of(x), x.dtype if dtype is None else dtype)


def _holds_tensors(shape: Any) -> bool:
    return isinstance(shape, (list, tuple)) and any(isinstance(n, tf.Tensor) for n in shape)


def reshape(x: tf.Tensor, newshape: Any) -> tf.Tensor:
    if _holds_tensors(newshape):
        return kernels.reshape(x, integers(newshape))
    shape = tuple(x.shape)
    target = target_shape(shape, newshape)
    if None in target:  # at most one size follows from the others; what else is unknown stays in its place
        wanted = tuple(newshape)
        own = sizes_of(x) if wanted.count(None) + wanted.count(-1) > 1 else ()
        target = [
            (own[i] if own and w is None else -1) if t is None else t
            for i, (t, w) in enumerate(zip(target, wanted, strict=True))
        ]
    return kernels.reshape(x, integers(target))


def transpose(x: tf.Tensor, axes: Sequence[int] | None) -> tf.Tensor:
    rank = x.shape.rank
    return kernels.transpose(x, integers(range(rank)[::-1] if axes is None else canonical_axes(axes, rank)))


def expand_dims(x: tf.Tensor, axis: int | Sequence[int]) -> tf.Tensor:
    if isinstance(axis, int):
        return kernels.expand_dims(x, axis)
    for place in sorted(canonical_axes(axis, x.shape.rank + len(axis))):
        x = kernels.expand_dims(x, place)
    return x


def broadcast_to(x: tf.Tensor, shape: Any) -> tf.Tensor:
    if _holds_tensors(shape):
        return kernels.broadcast_to(x, integers(shape))
    if None in tuple(x.shape):  # what is unknown on both sides stays as it is
        own, wanted = sizes_of(x)[::-1], list(shape)[::-1]
        wanted = [own[i] if n is None and i < len(own) else n for i, n in enumerate(wanted)]
        return kernels.broadcast_to(x, integers(wanted[::-1]))
    return kernels.broadcast_to(x, integers(broadcast_target(x.shape.as_list(), shape)))


def flip(x: tf.Tensor, axis: int | Sequence[int] | None) -> tf.Tensor:
    rank = x.shape.rank
    return kernels.reverse_v2(x, integers(range(rank) if axis is None else canonical_axes(axis, rank)))


def roll(x: tf.Tensor, shift: int | Sequence[int], axis: int | Sequence[int] | None) -> tf.Tensor:
    if axis is None:
        return kernels.reshape(gen_manip_ops.roll(_flat(x), shift, 0), kernels.shape(x))
    axes = tuple(axis) if isinstance(axis, Sequence) else (axis,)
    shifts = tuple(shift) if isinstance(shift, Sequence) else (shift,) * len(axes)
    return gen_manip_ops.roll(x, integers(shifts), integers(axes if len(axes) > 1 else axes * len(shifts)))


def concatenate(xs: Sequence[tf.Tensor], axis: int | None) -> tf.Tensor:
    if axis is None:
        xs, axis = [_flat(x) for x in xs], 0
    return kernels.concat_v2(xs, axis) if len(xs) > 1 else xs[0]


def stack(x: Sequence[tf.Tensor], axis: int) -> tf.Tensor:
    return kernels.pack(x, axis)


def tile(x: tf.Tensor, repeats: int | Sequence[int]) -> tf.Tensor:
    repeats = sizes(repeats)
    rank = max(x.shape.rank, len(repeats))
    x = kernels.reshape(x, integers((1,) * (rank - x.shape.rank) + tuple(sizes_of(x))))
    return kernels.tile(x, integers((1,) * (rank - len(repeats)) + repeats))


_BEYOND = {  # where the cells outside of 0 ... n - 1 are copied from
    "edge": lambda i, n: tf.clip_by_value(i, 0, n - 1),
    "wrap": lambda i, n: i % n,
    "symmetric": lambda i, n: tf.minimum(i % (2 * n), 2 * n - 1 - i % (2 * n)),
    "reflect": lambda i, n: tf.minimum(i % _period(n), _period(n) - i % _period(n)),
}


def _period(n: Any) -> Any:
    return tf.maximum(2 * (n - 1), 1)


def pad(x: tf.Tensor, constant_values: Any, pad_width: Any, mode: str) -> tf.Tensor:
    widths = pad_widths(pad_width, x.shape.rank)
    if mode == "constant":
        table = kernels.reshape(integers(itertools.chain(*widths)), integers((-1, 2)))
        return (
            kernels.pad(x, table)
            if constant_values is None
            else kernels.pad_v2(x, table, filler(constant_values, x.dtype))
        )
    if constant_values is not None:
        raise ArgumentError(f'`constant_values` goes with mode="constant" only. Received: mode={mode!r}')
    if mode not in _BEYOND:
        raise ArgumentError(
            f"On TensorFlow `mode` must be one of {['constant', *_BEYOND]}. Received: {mode!r}"
        )
    for axis, ((before, after), size) in enumerate(zip(widths, sizes_of(x), strict=True)):
        if before or after:
            x = kernels.gather_v2(x, _BEYOND[mode](tf.range(-before, size + after), size), axis)
    return x


def view(x: tf.Tensor, dtype: Any) -> tf.Tensor:
    target = x.dtype if dtype is None else tf.as_dtype(standardize_dtype(dtype))
    last, ratio = sizes_of(x)[-1:], target.size / x.dtype.size
    if ratio > 1:
        shape = (*sizes_of(x)[:-1], last[0] // int(ratio), int(ratio))
        return kernels.bitcast(kernels.reshape(x, integers(shape)), target)
    x = kernels.bitcast(x, target)
    return x if ratio == 1 else kernels.reshape(x, integers((*sizes_of(x)[:-2], -1)))


def _flat(x: tf.Tensor) -> tf.Tensor:
    return kernels.reshape(x, integers((-1,)))


# -- indexing ------------------------------------------------------------------------------------------------


def get_item(x: tf.Tensor, key: tuple[Any, ...]) -> tf.Tensor:
    bounds: list[list[int]] = [[], [], []]
    masks = dict.fromkeys(("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask"), 0)
    for place, k in enumerate(key):
        begin, end, step = 0, 0, 1
        if k is None:
            masks["new_axis_mask"] |= 1 << place
        elif k is Ellipsis:
            masks["ellipsis_mask"] |= 1 << place
        elif isinstance(k, slice):
            begin, end, step = k.start or 0, k.stop or 0, 1 if k.step is None else k.step
            masks["begin_mask"] |= (k.start is None) << place
            masks["end_mask"] |= (k.stop is None) << place
        else:
            begin, end = k, k + 1
            masks["shrink_axis_mask"] |= 1 << place
        for values, value in zip(bounds, (begin, end, step), strict=True):
            values.append(value)
    return kernels.strided_slice(x, *map(integers, bounds), **masks)


def gather_items(x: tf.Tensor, indices: Sequence[tf.Tensor], key: tuple[Any, ...]) -> tf.Tensor:
    """As NumPy: what index tensors pick stands at their place if they are neighbours, else in front."""
    following, basic, picks = iter(indices), [], []
    advanced = [k == TENSOR or isinstance(k, int) for k in key]
    for k, picked in zip(key, advanced, strict=True):
        found = next(following) if k == TENSOR else k
        if picked and k == TENSOR and found.dtype == tf.bool:
            places = nonzero(found)
            picks += places
            basic += [(slice(None), True)] * len(places)
        else:
            picks += [found if k == TENSOR else tf.constant(k)] if picked else []
            basic.append((slice(None) if picked else k, picked))
    used = sum(k is not None and k is not Ellipsis for k, _ in basic)
    axes, axis = [], 0
    for k, picked in basic:
        if picked:
            axes.append(axis)
        axis += x.shape.rank - used if k is Ellipsis else 1
    x = get_item(x, tuple(k for k, _ in basic))
    if len(picks) == 1:
        return kernels.gather_v2(x, _from_front(picks[0], sizes_of(x)[axes[0]]), axes[0])
    together = axes == list(range(axes[0], axes[0] + len(axes)))
    rest = [a for a in range(x.shape.rank) if a not in axes]
    own = [sizes_of(x)[a] for a in axes]
    picks = _together([_from_front(i, n) for i, n in zip(picks, own, strict=True)])
    found = kernels.gather_nd(kernels.transpose(x, integers((*axes, *rest))), kernels.pack(picks, -1))
    rank, front = picks[0].shape.rank, axes[0]
    if not together or not front:
        return found
    order = [*range(rank, rank + front), *range(rank), *range(rank + front, found.shape.rank)]
    return kernels.transpose(found, integers(order))


def _together(tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Index tensors broadcast to one shape."""
    zero = sum(tf.zeros_like(x) for x in tensors)
    return [x + zero for x in tensors]


def _from_front(indices: tf.Tensor, size: Any) -> tf.Tensor:
    """Indices as 32 or 64-bit integers, negative ones counted from the end."""
    if indices.dtype not in (tf.int32, tf.int64):
        indices = gen_math_ops.cast(indices, tf.int32)
    if not isinstance(size, int):
        size = gen_math_ops.cast(size, indices.dtype)
    return gen_math_ops.select_v2(gen_math_ops.less(indices, 0), gen_math_ops.add_v2(indices, size), indices)


def where(condition: tf.Tensor, x1: Any, x2: Any) -> Any:
    if x1 is None or x2 is None:
        if x1 is not None or x2 is not None:
            raise ArgumentError("where() takes both `x1` and `x2`, or neither.")
        return nonzero(condition)
    if not hasattr(condition, "dtype"):
        condition = tf.constant(bool(condition))
    elif condition.dtype != tf.bool:
        condition = gen_math_ops.cast(condition, tf.bool)
    given = [x.dtype for x in (x1, x2) if hasattr(x, "dtype")]
    if not given or not {type(x1), type(x2)} <= CONVERTED:
        dtype = given[0] if given else tf.as_dtype(promote(tuple(weak_name(type(x)) for x in (x1, x2))))
        x1, x2 = tensor(x1, dtype), tensor(x2, dtype)
    return select(condition, x1, x2)


def nonzero(x: tf.Tensor) -> tuple[tf.Tensor, ...]:
    if not x.shape.rank:
        raise ArgumentError("nonzero() takes a tensor of rank 1 or more. Received a scalar.")
    return tuple(tf.unstack(gen_math_ops.cast(kernels.where(x), tf.int32), x.shape.rank, -1))


def take(x: tf.Tensor, indices: tf.Tensor, axis: int | None) -> tf.Tensor:
    if axis is None:
        x, axis = _flat(x), 0
    axis = canonical_axis(axis, x.shape.rank)
    return kernels.gather_v2(x, _from_front(indices, sizes_of(x)[axis]), axis)


def take_along_axis(x: tf.Tensor, indices: tf.Tensor, axis: int | None) -> tf.Tensor:
    if axis is None:
        x, indices, axis = _flat(x), _flat(indices), 0
    rank = x.shape.rank
    axis = canonical_axis(axis, rank)
    indices = _from_front(indices, sizes_of(x)[axis])
    x, indices = (last(t, axis) for t in (x, indices))
    if x.shape[:-1] != indices.shape[:-1]:
        loop = tf.broadcast_dynamic_shape(kernels.shape(x)[:-1], kernels.shape(indices)[:-1])
        x, indices = (
            kernels.broadcast_to(t, tf.concat([loop, kernels.shape(t)[-1:]], 0)) for t in (x, indices)
        )
    return last(kernels.gather_v2(x, indices, rank - 1, batch_dims=rank - 1), axis, back=True)


def slice_block(inputs: tf.Tensor, start_indices: tf.Tensor, shape: Any) -> tf.Tensor:
    shape = list(shape)
    room = [n if d == -1 else n - d for n, d in zip(sizes_of(inputs), shape, strict=True)]
    return kernels._slice(inputs, _corner(inputs, start_indices, room), integers(shape))


def slice_update(inputs: tf.Tensor, start_indices: tf.Tensor, updates: tf.Tensor) -> tf.Tensor:
    shape = sizes_of(updates)
    begin = _corner(inputs, start_indices, [n - d for n, d in zip(sizes_of(inputs), shape, strict=True)])
    ones = integers((1,) * len(shape))
    return kernels.tensor_strided_slice_update(
        inputs, begin, begin + integers(shape), ones, cast(updates, inputs.dtype)
    )


def _corner(x: tf.Tensor, start: tf.Tensor, room: Sequence[Any]) -> tf.Tensor:
    """Where a block begins, moved back where it would reach beyond the end."""
    start = _from_front(gen_math_ops.cast(start, tf.int32), integers(sizes_of(x)))
    return tf.clip_by_value(start, 0, integers(room))


def scatter_update(
    inputs: tf.Tensor, indices: tf.Tensor, updates: tf.Tensor, reduction: str | None
) -> tf.Tensor:
    if reduction not in _SCATTER:
        raise ArgumentError(f"`reduction` must be one of {list(_SCATTER)}. Received: {reduction!r}")
    own, depth = sizes_of(inputs), indices.shape[-1]
    indices = _from_front(indices, integers(own[:depth]))
    shape = (*sizes_of(indices)[:-1], *own[depth:])
    updates = kernels.broadcast_to(cast(updates, inputs.dtype), integers(shape))
    return _SCATTER[reduction](inputs, indices, updates)


def _scatter_product(inputs: tf.Tensor, indices: tf.Tensor, updates: tf.Tensor) -> tf.Tensor:
    """TensorFlow scatters no products, but it has those of segments: here every place is one."""
    depth = indices.shape[-1]
    own, rows = integers(sizes_of(inputs)[:depth]), integers((-1, *sizes_of(inputs)[depth:]))
    strides = gen_math_ops.cast(tf.math.cumprod(own, exclusive=True, reverse=True), indices.dtype)
    places = _flat(tf.reduce_sum(indices * strides, -1))
    factors = gen_math_ops.unsorted_segment_prod(kernels.reshape(updates, rows), places, tf.reduce_prod(own))
    return inputs * kernels.reshape(factors, kernels.shape(inputs))


_SCATTER = {
    None: kernels.tensor_scatter_update,
    "add": lacking(kernels.tensor_scatter_add, "bool"),
    "max": lacking(kernels.tensor_scatter_max, "bool"),
    "min": lacking(kernels.tensor_scatter_min, "bool"),
    "mul": lacking(_scatter_product, "bool"),
}


# -- order ---------------------------------------------------------------------------------------------------


def _ranked(x: tf.Tensor) -> tf.Tensor:
    """Integers in the order of the elements: both zeros are one, NaN is last."""
    if x.dtype == tf.bool:
        return gen_math_ops.cast(x, tf.int32)
    if not x.dtype.is_floating:
        return x
    whole = {2: tf.int16, 4: tf.int32, 8: tf.int64}[x.dtype.size]
    x = tf.where(tf.math.is_nan(x), tf.constant(float("nan"), x.dtype), x + tf.zeros((), x.dtype))
    bits = kernels.bitcast(x, whole)
    return tf.where(bits < 0, tf.bitwise.bitwise_xor(bits, tf.constant(whole.max, whole)), bits)


def _order(keys: tf.Tensor) -> tf.Tensor:
    """The stable order of integers along the last axis, the smallest first."""
    return tf.math.top_k(tf.bitwise.invert(keys), kernels.shape(keys)[-1]).indices


def argsort(x: tf.Tensor, axis: int | None) -> tf.Tensor:
    if axis is None or not x.shape.rank:
        x, axis = _flat(x), 0
    axis = canonical_axis(axis, x.shape.rank)
    return _static(last(_order(_ranked(last(x, axis))), axis, back=True), x.shape)


def sort(x: tf.Tensor, axis: int | None) -> tf.Tensor:
    if axis is None:
        x, axis = _flat(x), 0
    axis = canonical_axis(axis, x.shape.rank)
    lines = last(x, axis)
    rank = x.shape.rank - 1
    found = kernels.gather_v2(lines, _order(_ranked(lines)), rank, batch_dims=rank)
    return _static(last(found, axis, back=True), x.shape)


def _static(x: tf.Tensor, shape: Any) -> tf.Tensor:
    """A tensor whose shape TensorFlow can't follow, but is known."""
    x.set_shape(shape)
    return x


def searchsorted(sorted_sequence: tf.Tensor, values: tf.Tensor, side: str) -> tf.Tensor:
    search = kernels.lower_bound if side == "left" else kernels.upper_bound
    rows = (kernels.reshape(x, integers((1, -1))) for x in (sorted_sequence, values))
    if values.dtype == tf.bool:
        rows = (gen_math_ops.cast(x, tf.int32) for x in rows)
    return kernels.reshape(search(*rows), integers(sizes_of(values)))


def unique(
    x: tf.Tensor,
    sorted: bool,
    return_index: bool,
    return_inverse: bool,
    return_counts: bool,
    axis: int | None,
    size: int | None,
    fill_value: Any,
) -> Any:
    """Rows are sorted; a group of equal ones begins where a row differs from the one before."""
    shape = sizes_of(x)
    if axis is None:
        items, inverse_shape = _flat(x), shape
    else:
        axis = canonical_axis(axis, x.shape.rank)
        items = kernels.transpose(x, integers((axis, *(a for a in range(x.shape.rank) if a != axis))))
        inverse_shape = [shape[axis]]
    count = sizes_of(items)[0]
    keys = kernels.reshape(_ranked(items), integers((count, -1)))
    order = tf.range(count)
    for column in reversed(tf.unstack(keys, axis=1)):
        order = tf.gather(order, _order(tf.gather(column, order)))
    keys = tf.gather(keys, order)
    differs = tf.reduce_any(tf.not_equal(keys[1:], keys[:-1]), 1)
    begins = tf.concat([tf.ones_like(order[:1], tf.bool), differs], 0)
    starts = gen_math_ops.cast(tf.where(begins)[:, 0], tf.int32)
    index = tf.gather(order, starts)
    values = tf.gather(items, index)
    counts = tf.concat([starts[1:], [count]], 0) - starts
    groups = tf.cumsum(gen_math_ops.cast(begins, tf.int32)) - 1
    inverse = kernels.reshape(tf.scatter_nd(order[:, None], groups, [count]), integers(inverse_shape))
    if size is not None:
        first = values[:1] if fill_value is None else tf.constant(fill_value, x.dtype)
        values, index, counts = (
            _fitted(values, size, first), _fitted(index, size, index[:1]), _fitted(counts, size, 0)
        )  # fmt: skip
    if axis:
        values = last(kernels.transpose(values, integers((*range(1, x.shape.rank), 0))), axis, back=True)
    wanted = ((index, return_index), (inverse, return_inverse), (counts, return_counts))
    extra = [found for found, want in wanted if want]
    return (values, *extra) if extra else values


def _fitted(x: tf.Tensor, size: int, fill: Any) -> tf.Tensor:
    """A tensor cut or filled up to a size along the first axis."""
    more = tf.concat([[tf.maximum(size - kernels.shape(x)[0], 0)], kernels.shape(x)[1:]], 0)
    return _static(tf.concat([x, tf.broadcast_to(fill, more)], 0)[:size], [size, *x.shape[1:]])


# -- linear algebra ------------------------------------------------------------------------------------------


def matmul(x1: tf.Tensor, x2: tf.Tensor) -> tf.Tensor:
    rank1, rank2 = x1.shape.rank, x2.shape.rank
    if rank1 == rank2 == 2:
        return gen_math_ops.mat_mul(x1, x2)
    # one large product, where the batched one makes many small ones
    if rank1 is not None and rank1 > 2 == rank2 and x1.shape[-1] != 0:
        *rows, inner = sizes_of(x1)
        flat = gen_math_ops.mat_mul(tf.reshape(x1, (-1, inner)), x2)
        return tf.reshape(flat, (*rows, sizes_of(x2)[1]))
    x1 = kernels.expand_dims(x1, 0) if rank1 == 1 else x1
    x2 = kernels.expand_dims(x2, 1) if rank2 == 1 else x2
    found = gen_math_ops.batch_mat_mul_v2(x1, x2)
    ones = [place for place, rank in ((-2, rank1), (-1, rank2)) if rank == 1]
    return kernels.squeeze(found, ones) if ones else found


def affine(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    product = matmul(x, kernel)
    if bias.shape.rank == 1 and (x.shape.rank or 0) > 1:
        return gen_nn_ops.bias_add(product, bias)  # small ones in half of the time of an addition
    return gen_math_ops.add_v2(product, bias)


def tensordot(x1: tf.Tensor, x2: tf.Tensor, axes: Any) -> tf.Tensor:
    return tf.tensordot(x1, x2, axes)


def einsum(operands: Sequence[tf.Tensor], subscripts: str, kwargs: dict[str, Any]) -> tf.Tensor:
    return tf.einsum(subscripts, *operands, **kwargs)


def slogdet(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return tuple(gen_linalg_ops.log_matrix_determinant(x))


def pinv(x: tf.Tensor, rcond: float | None) -> tf.Tensor:
    return tf.linalg.pinv(x, rcond)


def cholesky(x: tf.Tensor, upper: bool) -> tf.Tensor:
    factor = gen_linalg_ops.cholesky(x)
    if tf.executing_eagerly() and tf.reduce_any(tf.math.is_nan(tf.math.real(factor))):
        raise ArgumentError(
            "cholesky() takes positive definite matrices; what was received isn't positive definite."
        )
    return tf.linalg.adjoint(factor) if upper else factor


def qr(x: tf.Tensor, mode: str) -> tuple[tf.Tensor, tf.Tensor]:
    return tuple(gen_linalg_ops.qr(x, mode == "complete"))


def svd(x: tf.Tensor, full_matrices: bool, compute_uv: bool) -> Any:
    s, u, v = gen_linalg_ops.svd(x, compute_uv, full_matrices)
    return (u, s, tf.linalg.adjoint(v)) if compute_uv else s


def eig(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return tuple(
        gen_linalg_ops.eig(
            x, tf.complex128 if x.dtype.size // (1 + x.dtype.is_complex) == 8 else tf.complex64
        )
    )


def eigh(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return tuple(gen_linalg_ops.self_adjoint_eig_v2(x))


def lu_factor(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Gaussian elimination, each step with the largest element of its column as pivot.

    TensorFlow's own has no gradient, and takes square matrices of full rank only.
    """
    rows, columns = x.shape[-2:]
    pivots, row = [], tf.range(rows)
    for k in range(min(rows, columns)):
        size = tf.where(row < k, tf.constant(-1, x.dtype.real_dtype), tf.abs(x[..., k]))
        pivots.append(tf.argmax(size, -1, tf.int32))
        pivot = pivots[-1][..., None]
        order = tf.where(row == k, pivot, tf.where(row == pivot, k, row))
        x = tf.gather(x, order, axis=-2, batch_dims=x.shape.rank - 2)
        top = x[..., k : k + 1, k : k + 1]
        factors = x[..., k + 1 :, k : k + 1] / tf.where(top == 0, tf.ones_like(top), top)
        below = x[..., k + 1 :, k + 1 :] - factors * x[..., k : k + 1, k + 1 :]
        lower = tf.concat([x[..., k + 1 :, :k], factors, below], -1)
        x = tf.concat([x[..., : k + 1, :], lower], -2)
    return x, tf.stack(pivots, -1)


def _paired(solver: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    """A solver whose batches of matrices and right sides broadcast."""

    def solve(a: tf.Tensor, b: tf.Tensor, **options: Any) -> tf.Tensor:
        if a.shape[:-2] != b.shape[:-2]:
            loop = tf.broadcast_dynamic_shape(kernels.shape(a)[:-2], kernels.shape(b)[:-2])
            a, b = (tf.broadcast_to(t, tf.concat([loop, kernels.shape(t)[-2:]], 0)) for t in (a, b))
        return solver(a, b, **options)

    return solve


NATIVES: dict[str, Callable[..., Any]] = {
    **{
        f.__name__: f
        for f in (
            cast, full, full_like, reshape, transpose, expand_dims, broadcast_to, flip, roll, concatenate,
            stack, tile, pad, view, get_item, where, nonzero, take, take_along_axis, slice_update,
            scatter_update, sort, argsort, unique,
        )
    },
    **{f.__name__: lacking(f, *HALF) for f in (slogdet, pinv, cholesky, svd, eig, eigh, lu_factor)},
    "affine": lacking(affine, *_SMALL),
    "copy": kernels.identity,
    "det": lacking(gen_linalg_ops.matrix_determinant, *HALF),
    "einsum": lacking(einsum, *_SMALL),
    "inv": lacking(gen_linalg_ops.matrix_inverse, *HALF),
    "matmul": lacking(matmul, *_SMALL),
    "ones": partial(full, 1),
    "ones_like": _filled_like(1, kernels.ones_like),
    "slice": slice_block,
    "stop_gradient": kernels.stop_gradient,
    "tensordot": lacking(tensordot, *_SMALL),
    "zeros": partial(full, 0),
    "zeros_like": _filled_like(0, kernels.zeros_like),
    "_gather_items": gather_items,
    "_qr": lacking(qr, *HALF),
    "_searchsorted": searchsorted,
    "_solve": lacking(_paired(gen_linalg_ops.matrix_solve), *HALF),
    "_solve_triangular": lacking(_paired(gen_linalg_ops.matrix_triangular_solve), *HALF),
}  # fmt: skip
