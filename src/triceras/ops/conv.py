"""Convolution and pooling: arguments are checked and brought to one form here, then a primitive computes.

The primitives (`*_general`) take channels-last tensors with one to three spatial dimensions, tuples with an
entry for each of these, and `padding` "valid" or "same". "same" gives sizes divided by the stride, rounded
up; of an odd number of padded cells the larger half is at the end.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from triceras.core import config
from triceras.core.dtypes import is_float_dtype, promote, promote_float, standardize_dtype
from triceras.core.errors import ArgumentError, ShapeError, shown
from triceras.core.spec import KerasTensor
from triceras.ops import reduction
from triceras.ops.elementwise import add, bitwise_invert, divide, negative
from triceras.ops.indexing import take, where
from triceras.ops.op import Op, Tensor, op
from triceras.ops.shape import moveaxis, pad, reshape, stack

AT = ("ops", "ops.nn")
Sizes = tuple[int, ...]


# -- primitives ----------------------------------------------------------------------------------------------


def _windows_spec(made: Op, values: list[Any], statics: dict[str, Any]) -> KerasTensor:
    """Shape and dtype of what windows over the spatial dimensions give; probing would take milliseconds."""
    x, *kernel = values
    sizes = kernel[0].shape[:-2] if kernel else statics["pool_size"]
    spans = [(k - 1) * d + 1 for k, d in zip(sizes, statics.get("dilation", (1,) * len(sizes)), strict=True)]
    found = []
    for n, span, stride in zip(x.shape[1:-1], spans, statics["strides"], strict=True):
        reach = n if n is None or statics["padding"] == "same" else n - span + 1
        found.append(None if reach is None else -(-reach // stride))
    dtype = made.promote(tuple(standardize_dtype(v.dtype) for v in values))
    return KerasTensor((x.shape[0], *found, (kernel[0] if kernel else x).shape[-1]), dtype)


@op(promote, spec=_windows_spec, at=())
def conv_general(
    inputs: Tensor, kernel: Tensor, strides: Sizes, padding: str, dilation: Sizes, groups: int
) -> Tensor:
    """Convolution with a kernel of shape (*spatial, input channels / groups, output channels)."""
    ...


@op(promote, at=())
def conv_transpose_general(
    inputs: Tensor,
    kernel: Tensor,
    strides: Sizes,
    padding: str,
    output_padding: Sizes | None,
    dilation: Sizes,
) -> Tensor:
    """Transposed convolution with a kernel of shape (*spatial, output channels, input channels).

    Let `full` be the size (input - 1) * stride + span of the kernel. "valid" gives full + output_padding,
    where None means what lifts a span below the stride to the stride; "same" gives full - span + span % 2 +
    output_padding, where None means what makes this input * stride. The cut is split evenly between both
    ends, the larger half at the end.
    """
    ...


@op(promote, spec=_windows_spec, at=())
def max_pool_general(inputs: Tensor, pool_size: Sizes, strides: Sizes, padding: str) -> Tensor:
    """Largest element of each window; the gradient goes to the first of equal ones."""
    ...


@op(promote_float, spec=_windows_spec, at=())
def average_pool_general(inputs: Tensor, pool_size: Sizes, strides: Sizes, padding: str) -> Tensor:
    """Mean of each window over the cells that lie inside the input."""
    ...


# -- convolution ---------------------------------------------------------------------------------------------


@op(promote, at=AT)
def conv(
    inputs: Tensor,
    kernel: Tensor,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Tensor:
    """Convolution (cross-correlation) over one to three spatial dimensions.

    Args:
        inputs: (batch, *spatial, channels), or (batch, channels, *spatial) with "channels_first".
        kernel: (*spatial, channels / groups, filters); fewer kernel channels than input channels make groups.
        strides: step between windows.
        padding: "valid" (none) or "same" (sizes divided by the stride, rounded up).
        data_format: "channels_last" or "channels_first"; None is `config.image_data_format()`.
        dilation_rate: distance between the cells of the kernel.

    Raises:
        ShapeError: ranks or channels don't fit, or the kernel is larger than the input under "valid".

    >>> import numpy as np
    >>> conv(np.ones((1, 5, 5, 3)), np.ones((2, 2, 3, 8))).shape
    (1, 4, 4, 8)
    """
    x = _channels_last("conv", inputs, data_format)
    _check_kernel("conv", x, kernel)
    return _convolve("conv", x, kernel, strides, padding, data_format, dilation_rate)


@op(promote, at=AT)
def depthwise_conv(
    inputs: Tensor,
    kernel: Tensor,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Tensor:
    """Convolution of each channel with its own kernels; the arguments are those of `conv`.

    Args:
        kernel: (*spatial, channels, multiplier); the result has channels * multiplier channels.

    >>> import numpy as np
    >>> depthwise_conv(np.ones((1, 5, 5, 3)), np.ones((2, 2, 3, 2))).shape
    (1, 4, 4, 6)
    """
    x = _channels_last("depthwise_conv", inputs, data_format)
    kernel = _by_channel("depthwise_conv", x, kernel)
    return _convolve("depthwise_conv", x, kernel, strides, padding, data_format, dilation_rate)


@op(promote, at=AT)
def separable_conv(
    inputs: Tensor,
    depthwise_kernel: Tensor,
    pointwise_kernel: Tensor,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Tensor:
    """`depthwise_conv`, then a convolution of window size 1 that mixes the channels.

    Args:
        depthwise_kernel: (*spatial, channels, multiplier).
        pointwise_kernel: (1, ..., 1, channels * multiplier, filters).

    >>> import numpy as np
    >>> separable_conv(np.ones((1, 5, 5, 3)), np.ones((2, 2, 3, 2)), np.ones((1, 1, 6, 4))).shape
    (1, 4, 4, 4)
    """
    x = _channels_last("separable_conv", inputs, data_format)
    kernel = _by_channel("separable_conv", x, depthwise_kernel)
    mixing, expected = tuple(pointwise_kernel.shape), (1,) * (x.ndim - 2) + (kernel.shape[-1],)
    if mixing[:-1] != expected:
        raise ShapeError(
            f"separable_conv() takes a `pointwise_kernel` of shape ({', '.join(map(str, expected))}, "
            f"filters) beside this `depthwise_kernel` of shape {tuple(depthwise_kernel.shape)}. Received: "
            f"shape {mixing}"
        )
    x = _convolve("separable_conv", x, kernel, strides, padding, "channels_last", dilation_rate)
    return _convolve("separable_conv", x, pointwise_kernel, 1, "valid", data_format, 1)


@op(promote, at=AT)
def conv_transpose(
    inputs: Tensor,
    kernel: Tensor,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    output_padding: int | Sequence[int] | None = None,
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Tensor:
    """Transposed convolution: the gradient of `conv` by its input, used to enlarge.

    Args:
        inputs: (batch, *spatial, channels), or (batch, channels, *spatial) with "channels_first".
        kernel: (*spatial, filters, channels).
        strides: factor by which sizes grow.
        padding: "valid" or "same" (sizes times the stride).
        output_padding: cells at the end beyond the smallest size that gives `inputs` its size; None chooses
            it.
        data_format: "channels_last" or "channels_first"; None is `config.image_data_format()`.
        dilation_rate: distance between the cells of the kernel.

    Raises:
        ShapeError: ranks or channels don't fit.

    >>> import numpy as np
    >>> conv_transpose(np.ones((1, 4, 4, 3)), np.ones((3, 3, 8, 3)), strides=2, padding="same").shape
    (1, 8, 8, 8)
    """
    name = "conv_transpose"
    x = _channels_last(name, inputs, data_format)
    rank = x.ndim - 2
    if kernel.ndim != x.ndim or kernel.shape[-1] != x.shape[-1]:
        raise ShapeError(
            f"{name}() takes a `kernel` of shape ({'size, ' * rank}filters, channels) with the channels of "
            f"`inputs`, here {x.shape[-1]}. Received: kernel of shape {tuple(kernel.shape)}, inputs of shape "
            f"{tuple(inputs.shape)}"
        )
    if output_padding is not None:
        output_padding = spatial_sizes(name, "output_padding", output_padding, rank, least=0)
    strides = spatial_sizes(name, "strides", strides, rank)
    dilation = spatial_sizes(name, "dilation_rate", dilation_rate, rank)
    y = conv_transpose_general(x, kernel, strides, checked_padding(name, padding), output_padding, dilation)
    return _restored(y, data_format)


def _convolve(
    name: str,
    x: Tensor,
    kernel: Tensor,
    strides: Any,
    padding: str,
    data_format: str | None,
    dilation_rate: Any,
) -> Tensor:
    """Convolution of a channels-last tensor, in as many groups as the channels ask for."""
    rank = x.ndim - 2
    strides = spatial_sizes(name, "strides", strides, rank)
    dilation = spatial_sizes(name, "dilation_rate", dilation_rate, rank)
    padding = checked_padding(name, padding)
    spans = [(k - 1) * d + 1 for k, d in zip(kernel.shape[:rank], dilation, strict=True)]
    _check_fits(name, "kernel (dilated)", spans, x, padding)
    groups = x.shape[-1] // kernel.shape[-2]
    return _restored(conv_general(x, kernel, strides, padding, dilation, groups), data_format)


def _check_kernel(name: str, x: Tensor, kernel: Tensor) -> None:
    rank = x.ndim - 2
    if kernel.ndim != x.ndim:
        raise ShapeError(
            f"{name}() takes a `kernel` of shape ({'size, ' * rank}channels / groups, filters) for `inputs` "
            f"with {rank} spatial dimensions. Received: kernel of shape {tuple(kernel.shape)}"
        )
    channels, part, filters = x.shape[-1], *kernel.shape[-2:]
    if part == 0 or channels % part:
        raise ShapeError(
            f"{name}() takes `inputs` whose channels are those of the kernel or a multiple of them. "
            f"Received: {channels} channels; the kernel of shape {tuple(kernel.shape)} has {part}"
        )
    if filters % (channels // part):
        raise ShapeError(
            f"{name}(): {channels} channels and a kernel for {part} make {channels // part} groups, and the "
            f"number of filters must be a multiple of this. Received: kernel of shape {tuple(kernel.shape)}"
        )


def _by_channel(name: str, x: Tensor, kernel: Tensor) -> Tensor:
    """A depthwise kernel in the shape of a grouped one."""
    rank, channels = x.ndim - 2, x.shape[-1]
    if kernel.ndim != x.ndim or kernel.shape[-2] != channels:
        raise ShapeError(
            f"{name}() takes a depthwise kernel of shape ({'size, ' * rank}channels, multiplier) with the "
            f"channels of `inputs`, here {channels}. Received: shape {tuple(kernel.shape)}"
        )
    return reshape(kernel, (*kernel.shape[:rank], 1, channels * kernel.shape[-1]))


# -- pooling -------------------------------------------------------------------------------------------------


@op(promote, at=AT)
def max_pool(
    inputs: Tensor,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """Largest element of each window, over one to three spatial dimensions.

    Args:
        inputs: (batch, *spatial, channels), or (batch, channels, *spatial) with "channels_first".
        pool_size: size of the window.
        strides: step between windows; None is `pool_size`.
        padding: "valid" (windows inside the input only) or "same" (sizes divided by the stride, rounded up).
        data_format: "channels_last" or "channels_first"; None is `config.image_data_format()`.

    Raises:
        ShapeError: the rank doesn't fit, or the window is larger than the input under "valid".

    >>> import numpy as np
    >>> max_pool(np.arange(6.0).reshape(1, 6, 1), 2).ravel().tolist()
    [1.0, 3.0, 5.0]
    """
    return _pool("max_pool", max_pool_general, inputs, pool_size, strides, padding, data_format)


@op(promote, at=AT)
def min_pool(
    inputs: Tensor,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """Smallest element of each window; the arguments are those of `max_pool`.

    >>> import numpy as np
    >>> min_pool(np.arange(6.0).reshape(1, 6, 1), 2).ravel().tolist()
    [0.0, 2.0, 4.0]
    """
    turn = (
        negative if is_float_dtype(inputs.dtype) else bitwise_invert
    )  # both reverse the order, the latter of integers
    return turn(_pool("min_pool", max_pool_general, turn(inputs), pool_size, strides, padding, data_format))


@op(promote_float, at=AT)
def average_pool(
    inputs: Tensor,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """Mean of each window over the cells inside the input; the arguments are those of `max_pool`.

    >>> import numpy as np
    >>> average_pool(np.arange(6.0).reshape(1, 6, 1), 2).ravel().tolist()
    [0.5, 2.5, 4.5]
    """
    return _pool("average_pool", average_pool_general, inputs, pool_size, strides, padding, data_format)


@op(promote, at=AT)
def adaptive_max_pool(
    inputs: Tensor, output_size: int | Sequence[int], data_format: str | None = None
) -> Tensor:
    """Largest element of each of `output_size` regions that cover every spatial dimension evenly.

    >>> import numpy as np
    >>> adaptive_max_pool(np.arange(6.0).reshape(1, 6, 1), 2).ravel().tolist()
    [2.0, 5.0]
    """

    def reduce(x: Tensor, axis: int, inside: np.ndarray) -> Tensor:
        return reduction.max(x, axis=axis)  # cells outside repeat the last one inside

    return _adaptive("adaptive_max_pool", max_pool_general, reduce, inputs, output_size, data_format)


@op(promote_float, at=AT)
def adaptive_average_pool(
    inputs: Tensor, output_size: int | Sequence[int], data_format: str | None = None
) -> Tensor:
    """Mean of each of `output_size` regions that cover every spatial dimension evenly.

    >>> import numpy as np
    >>> adaptive_average_pool(np.arange(6.0).reshape(1, 6, 1), 2).ravel().tolist()
    [1.0, 4.0]
    """

    def reduce(x: Tensor, axis: int, inside: np.ndarray) -> Tensor:
        count = inside.sum(1, keepdims=True).astype(standardize_dtype(x.dtype))
        return reduction.sum(where(inside, divide(x, count), 0), axis=axis)

    return _adaptive("adaptive_average_pool", average_pool_general, reduce, inputs, output_size, data_format)


def _pool(
    name: str,
    general: Callable[..., Tensor],
    inputs: Tensor,
    pool_size: Any,
    strides: Any,
    padding: str,
    data_format: str | None,
) -> Tensor:
    x = _channels_last(name, inputs, data_format)
    size = spatial_sizes(name, "pool_size", pool_size, x.ndim - 2)
    strides = size if strides is None else spatial_sizes(name, "strides", strides, x.ndim - 2)
    padding = checked_padding(name, padding)
    _check_fits(name, "window", size, x, padding)
    return _restored(general(x, size, strides, padding), data_format)


def _adaptive(
    name: str,
    general: Callable[..., Tensor],
    reduce: Callable[..., Tensor],
    inputs: Tensor,
    output_size: Any,
    data_format: str | None,
) -> Tensor:
    """Region i of n cells in `count` regions runs from floor(i * n / count) to ceil((i + 1) * n / count)."""
    x = _channels_last(name, inputs, data_format)
    counts = spatial_sizes(name, "output_size", output_size, x.ndim - 2)
    if all(n % count == 0 for n, count in zip(x.shape[1:-1], counts, strict=True)):
        size = tuple(n // count for n, count in zip(x.shape[1:-1], counts, strict=True))
        return _restored(general(x, size, size, "valid"), data_format)
    for axis, count in enumerate(counts, 1):
        n, regions = x.shape[axis], np.arange(count)[:, None]
        start, stop = regions * n // count, -(-(regions + 1) * n // count)
        cells = start + np.arange((stop - start).max())
        inside = (cells < stop).reshape(cells.shape + (1,) * (x.ndim - 1 - axis))
        x = reduce(take(x, np.minimum(cells, stop - 1), axis=axis), axis + 1, inside)
    return _restored(x, data_format)


# -- windows as columns --------------------------------------------------------------------------------------


@op(promote, at=AT)
def unfold(
    x: Tensor,
    kernel_size: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    stride: int | Sequence[int] = 1,
) -> Tensor:
    """Windows of images as columns.

    Args:
        x: (batch, channels, height, width).
        kernel_size: size of the windows.
        dilation: distance between the cells of a window.
        padding: cells of 0 added on all sides.
        stride: step between windows.

    Returns:
        (batch, channels * cells of a window, number of windows).

    >>> import numpy as np
    >>> unfold(np.arange(4).reshape(1, 1, 2, 2), (1, 2)).tolist()
    [[[0, 2], [1, 3]]]
    """
    if x.ndim != 4:
        raise ShapeError(
            f"unfold() takes `x` of shape (batch, channels, height, width). Received: {tuple(x.shape)}"
        )
    size, steps, apart, edges = _window("unfold", kernel_size, stride, dilation, padding)
    x = pad(x, [(0, 0), (0, 0), *((p, p) for p in edges)])
    rows, columns = _window_counts("unfold", x.shape[2:], size, apart, steps)
    return reshape(stack(window_cells(x, 2, size, steps, apart), axis=2), (x.shape[0], -1, rows * columns))


@op(promote, at=AT)
def fold(
    x: Tensor,
    output_size: int | Sequence[int],
    kernel_size: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    stride: int | Sequence[int] = 1,
) -> Tensor:
    """Images from columns that hold windows, summed where windows overlap: the transpose of `unfold`.

    Args:
        x: (batch, channels * cells of a window, number of windows).
        output_size: height and width of the images; the other arguments are those of `unfold`.

    Returns:
        (batch, channels, height, width).

    >>> import numpy as np
    >>> fold(np.ones((1, 2, 2)), (1, 3), (1, 2)).tolist()
    [[[[1.0, 2.0, 1.0]]]]
    """
    output = spatial_sizes("fold", "output_size", output_size, 2)
    size, steps, apart, edges = _window("fold", kernel_size, stride, dilation, padding)
    padded = [n + 2 * p for n, p in zip(output, edges, strict=True)]
    rows, columns = _window_counts("fold", padded, size, apart, steps)
    if x.ndim != 3 or x.shape[1] % math.prod(size) or x.shape[2] != rows * columns:
        raise ShapeError(
            f"fold() takes `x` of shape (batch, channels * {math.prod(size)}, {rows * columns}) for these "
            f"sizes. Received: shape {tuple(x.shape)}"
        )
    # zeros after each element bring a cell of all windows to the images' scale; then it stands at one offset
    cells = reshape(x, (x.shape[0], -1, *size, rows, 1, columns, 1))
    cells = pad(cells, [(0, 0)] * 5 + [(0, steps[0] - 1), (0, 0), (0, steps[1] - 1)])
    cells = reshape(cells, (x.shape[0], -1, *size, rows * steps[0], columns * steps[1]))
    shifted = []
    for i, j in np.ndindex(*size):
        top, left = i * apart[0], j * apart[1]
        cell = cells[:, :, i, j, : padded[0] - top, : padded[1] - left]
        below, right = padded[0] - top - cell.shape[2], padded[1] - left - cell.shape[3]
        shifted.append(pad(cell, [(0, 0), (0, 0), (top, below), (left, right)]))
    return functools.reduce(add, shifted)[
        :, :, edges[0] : edges[0] + output[0], edges[1] : edges[1] + output[1]
    ]


def window_cells(x: Tensor, axis: int, size: Sizes, strides: Sizes, dilation: Sizes) -> list[Tensor]:
    """Each cell of the windows over the axes from `axis` on, in row-major order: that cell of all windows."""
    counts = _window_counts("windows", x.shape[axis:], size, dilation, strides)
    cells = []
    for cell in np.ndindex(*size):
        starts = [i * d for i, d in zip(cell, dilation, strict=True)]
        cuts = [slice(b, b + (n - 1) * s + 1, s) for b, n, s in zip(starts, counts, strides, strict=True)]
        cells.append(x[(slice(None),) * axis + tuple(cuts)])
    return cells


def _window(name: str, size: Any, stride: Any, dilation: Any, padding: Any) -> list[Sizes]:
    given = {"kernel_size": size, "stride": stride, "dilation": dilation, "padding": padding}
    return [
        spatial_sizes(name, argument, value, 2, least=argument != "padding")
        for argument, value in given.items()
    ]


def _window_counts(
    name: str, shape: Sequence[int], size: Sizes, dilation: Sizes, strides: Sizes
) -> list[int]:
    counts = [(n - (k - 1) * d - 1) // s + 1 for n, k, d, s in zip(shape, size, dilation, strides)]
    if min(counts) < 1:
        raise ShapeError(
            f"{name}(): windows of size {size}, dilation {dilation}, don't fit into {tuple(shape)} cells."
        )
    return counts


# -- arguments -----------------------------------------------------------------------------------------------


def _channels_last(name: str, x: Tensor, data_format: str | None) -> Tensor:
    if not 3 <= x.ndim <= 5:
        raise ShapeError(
            f"{name}() takes `inputs` of rank 3 to 5: the batch, one to three spatial dimensions and the "
            f"channels. Received: inputs of shape {tuple(x.shape)}"
        )
    return x if config.standardize_data_format(data_format) == "channels_last" else moveaxis(x, 1, -1)


def _restored(x: Tensor, data_format: str | None) -> Tensor:
    return x if config.standardize_data_format(data_format) == "channels_last" else moveaxis(x, -1, 1)


def spatial_sizes(name: str, argument: str, value: Any, rank: int, least: int = 1) -> Sizes:
    """One number for each spatial dimension, from such or from one number for all."""
    key = tuple(value) if isinstance(value, list) else value
    try:
        return _spatial_sizes(name, argument, key, rank, least)
    except TypeError:  # nothing that could be a key
        return _spatial_sizes.__wrapped__(name, argument, key, rank, least)


@functools.lru_cache(1024)
def _spatial_sizes(name: str, argument: str, value: Any, rank: int, least: int) -> Sizes:
    found = (
        (value,) * rank
        if isinstance(value, Integral)
        else tuple(value)
        if isinstance(value, Sequence)
        else ()
    )
    if len(found) != rank or not all(isinstance(n, Integral) and n >= least for n in found):
        raise ArgumentError(
            f"{name}() takes `{argument}` as an integer or as {rank} of them, one for each spatial dimension "
            f"of `inputs`, each at least {least}. Received: {argument}={shown(value)}"
        )
    return tuple(map(int, found))


def checked_padding(name: str, padding: Any) -> str:
    found = str(padding).lower()
    if found not in ("valid", "same"):
        raise ArgumentError(f'{name}() takes `padding` "valid" or "same". Received: padding={shown(padding)}')
    return found


def _check_fits(name: str, what: str, size: Sequence[int], x: Tensor, padding: str) -> None:
    spatial = tuple(x.shape[1:-1])
    if padding == "valid" and any(n is not None and k > n for k, n in zip(size, spatial, strict=True)):
        raise ShapeError(
            f"{name}(): the {what} of size {tuple(size)} is larger than the input of size {spatial}: "
            'nothing is left with padding="valid". Use padding="same", a smaller window or larger inputs.'
        )
