"""Pooling, convolution and moments for JAX, so written that XLA is fast on CPUs, gradients too.

XLA has two traps on the CPU. The gradient of max pooling becomes a scatter, and convolutions whose axes are
in an unusual order, as in JAX's gradients, become naive loops when they stand inside `scan` or `while`.
Nothing here replaces JAX's differentiation to avoid them: the tangents are written such that their
*transposes*, which JAX derives, are elementwise work and convolutions in the usual order. Forward mode,
higher derivatives and `vmap` therefore work, and the same code serves inside and outside of loops. On other
devices XLA's own operations run.

Tensors are channels-last with one to three spatial dimensions; sizes are tuples with an entry for each of
these; `padding` is "valid" or "same".
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
from jax import lax

from triceras.engine.journal import slow_kernel

Sizes = tuple[int, ...]
Pads = tuple[tuple[int, int], ...]

# Above these, code made of slices or of groups takes longer to compile than it gains.
_MOST_SLICES = 64
_MOST_GROUPS = 32


def on_cpu() -> bool:
    """Whether the code being traced is meant for the CPU."""
    device = jax.config.jax_default_device
    return (getattr(device, "platform", device) or jax.default_backend()) == "cpu"


# XLA's default for CPUs is a library whose convolutions stay on one core; these leave them to one that uses all
THREADED = {
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"
}


@functools.cache
def threaded() -> bool:
    """Whether this version of XLA knows the options THREADED."""
    try:
        jax.jit(lambda x: x, compiler_options=THREADED).lower(0).compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True


def _pads(shape: Sequence[int], window: Sizes, strides: Sizes, padding: str) -> Pads:
    """Cells to add before and after each spatial dimension of `shape`."""
    return tuple(lax.padtype_to_pads(shape, window, strides, padding.upper()))


def _spatial_pad(x: jax.Array, pads: Pads, value: float) -> jax.Array:
    if not any(map(any, pads)):
        return x
    return lax.pad(
        x, jnp.array(value, x.dtype), [(0, 0, 0), *((low, high, 0) for low, high in pads), (0, 0, 0)]
    )


def _span(size: Sizes, dilation: Sizes) -> Sizes:
    """Cells from the first to the last that a dilated window covers."""
    return tuple((length - 1) * d + 1 for length, d in zip(size, dilation))


def _windows(x: jax.Array, axes: Sizes, size: Sizes, strides: Sizes, dilation: Sizes) -> Iterator[jax.Array]:
    """For each cell of a window, in row-major order: that cell of all windows of `x`."""
    start, stop, step = [0] * x.ndim, list(x.shape), [1] * x.ndim
    for cell in itertools.product(*map(range, size)):
        for axis, i, span, stride, d in zip(axes, cell, _span(size, dilation), strides, dilation):
            start[axis], step[axis] = i * d, stride
            stop[axis] = i * d + (x.shape[axis] - span) // stride * stride + 1
        yield lax.slice(x, start, stop, step)


def _reduce_window(
    x: jax.Array, start: float, reduce: Callable, size: Sizes, strides: Sizes, pads: Pads
) -> jax.Array:
    start = x.dtype.type(start)  # no array: JAX knows the derivative only where it can see this value
    return lax.reduce_window(x, start, reduce, (1, *size, 1), (1, *strides, 1), ((0, 0), *pads, (0, 0)))


# ---------------------------------------------------------------- moments


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def moments(x: jax.Array, axes: Sizes, keepdims: bool = False) -> tuple[jax.Array, jax.Array]:
    """Mean and variance. In two passes: one would save little and cancel where the mean is large."""
    mean = x.mean(axes, keepdims=True)
    variance = jnp.square(x - mean).mean(axes, keepdims=keepdims)
    return (mean if keepdims else mean.squeeze(axes)), variance


@moments.defjvp
def _moments_jvp(axes: Sizes, keepdims: bool, primals: tuple, tangents: tuple) -> tuple:
    """The variance does not change with the mean, which JAX cannot know and sums up in vain."""
    (x,), (dx,) = primals, tangents
    deviation = x - moments(x, axes, True)[0]
    return moments(x, axes, keepdims), (
        dx.mean(axes, keepdims=keepdims),
        (2 * deviation * dx).mean(axes, keepdims=keepdims),
    )


# ---------------------------------------------------------------- pooling


def max_pool_general(inputs: jax.Array, pool_size: Sizes, strides: Sizes, padding: str) -> jax.Array:
    """Largest element of each window; the gradient goes to the first of equal ones, in row-major order."""
    pads = _pads(inputs.shape[1:-1], pool_size, strides, padding)
    lowest = -jnp.inf if jnp.issubdtype(inputs.dtype, jnp.inexact) else jnp.iinfo(inputs.dtype).min
    if not on_cpu() or max(pool_size) > _MOST_SLICES:
        if on_cpu():
            slow_kernel(f"max pooling over {pool_size} has a slow gradient on the CPU")
        return _reduce_window(inputs, lowest, lax.max, pool_size, strides, pads)
    return _pool(_max_pool, _spatial_pad(inputs, pads, lowest), pool_size, strides)


def average_pool_general(inputs: jax.Array, pool_size: Sizes, strides: Sizes, padding: str) -> jax.Array:
    """Mean of each window; cells that "same" padding adds do not count."""
    pads = _pads(inputs.shape[1:-1], pool_size, strides, padding)

    def total(x: jax.Array) -> jax.Array:
        if not on_cpu() or max(pool_size) > _MOST_SLICES:
            return _reduce_window(x, 0, lax.add, pool_size, strides, pads)
        return _pool(_sum_pool, _spatial_pad(x, pads, 0), pool_size, strides)

    if not any(map(any, pads)):
        return total(inputs) / math.prod(pool_size)
    return total(inputs) / total(jnp.ones((1, *inputs.shape[1:-1], 1), inputs.dtype))


def _pool(pool: Callable, x: jax.Array, size: Sizes, strides: Sizes) -> jax.Array:
    """Pool all axes at once where windows are small and apart, else one by one, which is then less work."""
    axes = tuple(range(1, x.ndim - 1))
    if math.prod(size) <= _MOST_SLICES and all(length <= stride for length, stride in zip(size, strides)):
        return pool(x, axes, size, strides)
    for axis, length, stride in reversed(
        list(zip(axes, size, strides))
    ):  # last axis first: ties go to the first row
        x = pool(x, (axis,), (length,), (stride,))
    return x


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2, 3))
def _max_pool(x: jax.Array, axes: Sizes, size: Sizes, strides: Sizes) -> jax.Array:
    return functools.reduce(lax.max, _windows(x, axes, size, strides, (1,) * len(axes)))


@_max_pool.defjvp
def _max_pool_jvp(axes: Sizes, size: Sizes, strides: Sizes, primals: tuple, tangents: tuple) -> tuple:
    cells = _windows(*primals, axes, size, strides, (1,) * len(axes))
    best = next(cells)
    winner = jnp.zeros(best.shape, jnp.uint8)
    for number, cell in enumerate(cells, 1):
        winner = jnp.where(cell > best, jnp.uint8(number), winner)
        best = lax.max(best, cell)
    return best, _pool_tangent(*tangents, axes, size, strides, best.shape, winner)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2, 3))
def _sum_pool(x: jax.Array, axes: Sizes, size: Sizes, strides: Sizes) -> jax.Array:
    return functools.reduce(lax.add, _windows(x, axes, size, strides, (1,) * len(axes)))


@_sum_pool.defjvp
def _sum_pool_jvp(axes: Sizes, size: Sizes, strides: Sizes, primals: tuple, tangents: tuple) -> tuple:
    total = _sum_pool(*primals, axes, size, strides)
    return total, _pool_tangent(*tangents, axes, size, strides, total.shape)


def _pool_tangent(
    x: jax.Array, axes: Sizes, size: Sizes, strides: Sizes, shape: Sizes, winner: jax.Array | None = None
) -> jax.Array:
    """Sum the cells of each window, or take only the one whose number in the window `winner` gives.

    `x` is cut into blocks of one stride. A window lies in the same few blocks, counted from its own, so that
    the transpose is a comparison, a broadcast and a few shifted sums.
    """
    blocks_of_window = [-(-length // stride) for length, stride in zip(size, strides)]
    room, blocked, inner = [(0, 0, 0)] * x.ndim, list(x.shape), []
    for i, (axis, stride) in enumerate(zip(axes, strides)):
        count = shape[axis] + blocks_of_window[i] - 1
        room[axis] = (0, count * stride - x.shape[axis], 0)
        blocked[axis + i : axis + i + 1] = [count, stride]
        inner.append(axis + i + 1)
    blocks = lax.pad(x, jnp.zeros((), x.dtype), room).reshape(blocked)
    total = 0
    for block in itertools.product(*map(range, blocks_of_window)):
        part, number, inside = blocks, 0, True
        for axis, b, length, stride in zip(inner, block, size, strides):
            part = lax.slice_in_dim(part, b, b + shape[axis - 1 - inner.index(axis)], axis=axis - 1)
            cell = (
                lax.broadcasted_iota(jnp.uint8, (stride,) + (1,) * (x.ndim + len(axes) - axis - 1), 0)
                + b * stride
            )
            number, inside = number * length + cell, inside & (cell < length)
        if winner is not None:
            inside &= jnp.expand_dims(winner, inner) == number
        total += jnp.where(inside, part, 0)
    return total.sum(inner)


# ---------------------------------------------------------------- convolution


def conv_general(
    inputs: jax.Array, kernel: jax.Array, strides: Sizes, padding: str, dilation: Sizes, groups: int
) -> jax.Array:
    """Convolution; `kernel` is spatial + (channels of `inputs` / groups, channels of the output)."""
    size = kernel.shape[:-2]
    pads = _pads(inputs.shape[1:-1], _span(size, dilation), strides, padding)
    depthwise = kernel.shape[-2] == 1 and math.prod(size) <= _MOST_SLICES
    if not on_cpu() or (groups > _MOST_GROUPS and not depthwise):
        if on_cpu():
            slow_kernel(f"a convolution in {groups} groups is slow on the CPU")
        layout = _layout(inputs.ndim, "NC", "IO", "NC")
        return lax.conv_general_dilated(
            inputs, kernel, strides, pads, (1,) * len(size), dilation, layout, feature_group_count=groups
        )
    if groups == 1:
        return _conv(inputs, kernel, strides, pads, dilation, (1,) * len(size))
    if depthwise:
        return _depthwise_conv(_spatial_pad(inputs, pads, 0), kernel, strides, dilation)
    parts = zip(jnp.split(inputs, groups, -1), jnp.split(kernel, groups, -1))
    return jnp.concatenate([_conv(x, k, strides, pads, dilation, (1,) * len(size)) for x, k in parts], -1)


def conv_transpose_general(
    inputs: jax.Array,
    kernel: jax.Array,
    strides: Sizes,
    padding: str,
    output_padding: Sizes | None,
    dilation: Sizes,
) -> jax.Array:
    """Transposed convolution; `kernel` is spatial + (channels of the output, channels of `inputs`).

    The size of the output is the input's times the stride ("same"), or (input - 1) * stride + the larger of
    stride and span of the kernel ("valid"). `output_padding` chooses another one: so many cells more than
    (input - 1) * stride + span % 2 ("same") or + span ("valid").
    """
    pads = []
    for i, (span, stride) in enumerate(zip(_span(kernel.shape[:-2], dilation), strides)):
        if padding == "same":
            extra = stride - span % 2 if output_padding is None else output_padding[i]
            surplus = span - span % 2 - extra
        else:
            surplus = -(max(stride - span, 0) if output_padding is None else output_padding[i])
        low = max(surplus, 0) // 2
        pads.append((span - 1 - low, span - 1 - (surplus - low)))
    flipped = jnp.flip(kernel, range(kernel.ndim - 2)).swapaxes(-1, -2)
    ones = (1,) * len(strides)
    if on_cpu():
        return _conv(inputs, flipped, ones, tuple(pads), dilation, strides)
    layout = _layout(inputs.ndim, "NC", "IO", "NC")
    return lax.conv_general_dilated(inputs, flipped, ones, pads, strides, dilation, layout)


def _layout(ndim: int, inputs: str, kernel: str, outputs: str) -> tuple[str, str, str]:
    """Names of the axes for `lax.conv_general_dilated`, given the ones that are not spatial."""
    space = "DHW"[5 - ndim :]
    return inputs[0] + space + inputs[1], space + kernel, outputs[0] + space + outputs[1]


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3, 4, 5))
def _conv(
    x: jax.Array, kernel: jax.Array, strides: Sizes, pads: Pads, dilation: Sizes, spread: Sizes
) -> jax.Array:
    """Convolution of `x`, after `spread` - 1 zeros between its cells."""
    layout = _layout(x.ndim, "NC", "IO", "NC")
    return lax.conv_general_dilated(x, kernel, strides, pads, spread, dilation, layout)


@_conv.defjvp
def _conv_jvp(
    strides: Sizes, pads: Pads, dilation: Sizes, spread: Sizes, primals: tuple, tangents: tuple
) -> tuple:
    """The axes are reordered here, under their names, so that they have the usual order in the transposes.

    There the output's tangent takes the place of the kernel or of the input, and batch and channels change
    roles. Of the kernel's gradient, which sums over the batch and is slow beyond the cache, the batch goes in
    pieces.
    """
    (x, kernel), (dx, dkernel) = primals, tangents
    run = functools.partial(
        lax.conv_general_dilated,
        window_strides=strides,
        padding=pads,
        lhs_dilation=spread,
        rhs_dilation=dilation,
    )
    turned = jnp.swapaxes(kernel, -1, -2)
    from_x = run(dx, turned, dimension_numbers=_layout(x.ndim, "NC", "OI", "NC"))
    space = "DHW"[5 - x.ndim :]
    layout = "C" + space + "N", "I" + space + "O", space + "NC"
    moved = jnp.moveaxis(dkernel, -2, 0)
    pieces = jnp.swapaxes(x.reshape(_pieces(x.shape[0]), -1, *x.shape[1:]), 1, -1)
    from_kernel = jnp.stack([run(piece, moved, dimension_numbers=layout) for piece in pieces])
    return (
        _conv(x, kernel, strides, pads, dilation, spread),
        from_x + jnp.moveaxis(from_kernel, -2, 1).reshape(from_x.shape),
    )


def _pieces(batch: int) -> int:
    """Into how many equal pieces to cut a large batch: about 16 samples each, but at most 16 pieces."""
    if batch <= 32:
        return 1
    return next((n for n in range(min(-(-batch // 16), 16), 1, -1) if batch % n == 0), 1)


def _depthwise_conv(x: jax.Array, kernel: jax.Array, strides: Sizes, dilation: Sizes) -> jax.Array:
    """Each channel of padded `x` with its own kernels, as a sum of scaled slices."""
    size, channels = kernel.shape[:-2], x.shape[-1]
    kernels = kernel.reshape(-1, channels, kernel.shape[-1] // channels)
    cells = list(_windows(x, tuple(range(1, x.ndim - 1)), size, strides, dilation))
    outputs = [
        functools.reduce(lax.add, [cell * k for cell, k in zip(cells, kernels[..., i])])
        for i in range(kernels.shape[-1])
    ]
    stacked = jnp.stack(outputs, -1)
    return stacked.reshape(*stacked.shape[:-2], -1)
