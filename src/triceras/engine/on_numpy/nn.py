"""Activations, convolution and pooling in NumPy: loops run over the cells of a window, never over pixels."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from triceras.core.shapes import same_padding

Sizes = tuple[int, ...]


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))  # an infinite exponential gives the right limit


def conv_general(
    inputs: np.ndarray, kernel: np.ndarray, strides: Sizes, padding: str, dilation: Sizes, groups: int
) -> np.ndarray:
    """One matrix product for each group, of all windows as rows with the kernel."""
    spans = _spans(kernel, dilation)
    return _conv(_pad(inputs, spans, strides, padding, 0), kernel, strides, dilation, groups)


def conv_transpose_general(
    inputs: np.ndarray,
    kernel: np.ndarray,
    strides: Sizes,
    padding: str,
    output_padding: Sizes | None,
    dilation: Sizes,
) -> np.ndarray:
    """Convolution, with the flipped kernel, of the input with stride - 1 zeros between its cells."""
    shape, places = [len(inputs)], [slice(None)]
    for i, (n, span, stride) in enumerate(
        zip(inputs.shape[1:-1], _spans(kernel, dilation), strides, strict=True)
    ):
        if padding == "same":
            cut = span - span % 2 - (stride - span % 2 if output_padding is None else output_padding[i])
        else:
            cut = -(max(stride - span, 0) if output_padding is None else output_padding[i])
        start = span - 1 - max(cut, 0) // 2
        shape.append((n - 1) * stride + 1 + 2 * (span - 1) - cut)
        places.append(slice(start, start + (n - 1) * stride + 1, stride))
    spread = np.zeros((*shape, inputs.shape[-1]), inputs.dtype)
    spread[tuple(places)] = inputs
    flipped = np.flip(kernel, range(kernel.ndim - 2)).swapaxes(-1, -2)
    return _conv(spread, flipped, (1,) * len(strides), dilation, 1)


def _conv(x: np.ndarray, kernel: np.ndarray, strides: Sizes, dilation: Sizes, groups: int) -> np.ndarray:
    rank, dtype = len(strides), x.dtype
    if dtype.kind not in "biu" and dtype.itemsize < 4:  # half precision: sum in single precision
        x, kernel = x.astype("float32"), kernel.astype("float32")
    *size, part, filters = kernel.shape
    windows = sliding_window_view(x, _spans(kernel, dilation), tuple(range(1, rank + 1)))
    steps = (
        slice(None),
        *(slice(None, None, s) for s in strides),
        slice(None),
        *(slice(None, None, d) for d in dilation),
    )
    windows = windows[steps]  # (batch, *spatial, channels, *size)
    batch, rows = windows.shape[: rank + 1], math.prod(windows.shape[: rank + 1])
    windows = windows.reshape(rows, groups, part * math.prod(size)).swapaxes(0, 1)
    kernel = np.moveaxis(kernel, -2, 0).reshape(-1, groups, filters // groups).swapaxes(0, 1)
    result = np.matmul(windows, kernel).swapaxes(0, 1)
    return result.reshape(*batch, filters).astype(dtype, copy=False)


def max_pool_general(inputs: np.ndarray, pool_size: Sizes, strides: Sizes, padding: str) -> np.ndarray:
    lowest = np.iinfo(inputs.dtype).min if inputs.dtype.kind in "iu" else -np.inf
    return _pool(np.maximum, _pad(inputs, pool_size, strides, padding, lowest), pool_size, strides)


def average_pool_general(inputs: np.ndarray, pool_size: Sizes, strides: Sizes, padding: str) -> np.ndarray:
    total = _pool(np.add, _pad(inputs, pool_size, strides, padding, 0), pool_size, strides)
    inside = np.ones((1, *inputs.shape[1:-1], 1), inputs.dtype)
    return total / _pool(np.add, _pad(inside, pool_size, strides, padding, 0), pool_size, strides)


def _pool(combine: Callable[..., Any], x: np.ndarray, size: Sizes, strides: Sizes) -> np.ndarray:
    """The windows' cells combined, one dimension after the other."""
    for axis, (length, stride) in enumerate(zip(size, strides, strict=True), 1):
        count = (x.shape[axis] - length) // stride + 1
        lead = (slice(None),) * axis
        cells = [x[(*lead, slice(i, i + (count - 1) * stride + 1, stride))] for i in range(length)]
        x = functools.reduce(combine, cells)
    return x


def _spans(kernel: np.ndarray, dilation: Sizes) -> Sizes:
    """Cells of the input that a kernel reaches over."""
    return tuple((k - 1) * d + 1 for k, d in zip(kernel.shape, dilation))


def _pad(x: np.ndarray, spans: Sizes, strides: Sizes, padding: str, value: float) -> np.ndarray:
    if padding == "valid":
        return x
    return np.pad(x, [(0, 0), *same_padding(x.shape[1:-1], spans, strides), (0, 0)], constant_values=value)


def samples(images: np.ndarray, rows: np.ndarray, columns: np.ndarray, nearest: bool) -> np.ndarray:
    """One channel after the other: taking numbers is several times as fast as taking short rows of them."""
    n, height, width, channels = images.shape
    planes = np.ascontiguousarray(np.moveaxis(images, -1, 0)).reshape(channels, -1)
    start = np.arange(n, dtype="int32").reshape(-1, *(1,) * (rows.ndim - 1)) * (height * width)
    around = []
    for place, size in ((rows, height), (columns, width)):
        low = np.floor(place)
        share, first = place - low, low.astype("int32")
        nodes = ((first, None),) if nearest else ((first, 1 - share), (first + 1, share))
        around.append([(np.clip(i, 0, size - 1), (i >= 0) & (i < size), w) for i, w in nodes])
    found = np.zeros((channels, *rows.shape), images.dtype)
    for row, on_row, row_share in around[0]:
        for column, on_column, column_share in around[1]:
            values = planes.take(start + row * width + column, axis=1)
            inside = on_row & on_column
            if nearest:
                np.copyto(found, values, where=inside)
            else:
                values *= (row_share * column_share * inside).astype(images.dtype)
                found += values
    return np.moveaxis(found, 0, -1)


NATIVES: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        relu,
        sigmoid,
        conv_general,
        conv_transpose_general,
        max_pool_general,
        average_pool_general,
    )
} | {"_samples": samples}
