"""Activations, convolution and pooling.

The kernels of TensorFlow have gaps on the CPU that depend on the dtype and on whether oneDNN is there:
dilation, groups, unequal strides of depthwise convolutions, 3-D pooling. Here each is brought to what all
kernels can do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.ops import gen_array_ops, gen_math_ops
from tensorflow.python.ops import gen_nn_ops as kernels

from triceras.core.dtypes import INTEGERS
from triceras.engine.on_tensorflow.kernels import cast, integers, lacking, last, select, sizes_of, tensor
from triceras.engine.precision import in_wider

Sizes = tuple[int, ...]


# -- activations ---------------------------------------------------------------------------------------------


def _over_axes(
    kernel: Callable[..., tf.Tensor], generic: Callable[..., tf.Tensor]
) -> Callable[..., tf.Tensor]:
    """A kernel that works along the last axis; along several axes, the same function written out."""

    def run(x: tf.Tensor, axis: int | Sequence[int] | None) -> tf.Tensor:
        if x.shape.rank and isinstance(axis, int):
            return last(kernel(last(x, axis)), axis, back=True)
        axis = list(range(x.shape.rank)) if axis is None else axis
        return generic(x - tf.reduce_max(x, axis, keepdims=True), axis)

    return run


def _softmax(shifted: tf.Tensor, axis: Any) -> tf.Tensor:
    powers = gen_math_ops.exp(shifted)
    return powers / tf.reduce_sum(powers, axis, keepdims=True)


def _log_softmax(shifted: tf.Tensor, axis: Any) -> tf.Tensor:
    return shifted - tf.math.log(tf.reduce_sum(gen_math_ops.exp(shifted), axis, keepdims=True))


def silu(x: tf.Tensor) -> tf.Tensor:
    return gen_math_ops.mul(x, gen_math_ops.sigmoid(x))


def elu(x: tf.Tensor, alpha: float) -> tf.Tensor:
    found = kernels.elu(x)
    return found if alpha == 1 else select(gen_math_ops.greater(x, 0), found, found * alpha)


def leaky_relu(x: tf.Tensor, negative_slope: float) -> tf.Tensor:
    return kernels.leaky_relu(x, negative_slope)


def gelu(x: tf.Tensor, approximate: bool) -> tf.Tensor:
    if not approximate:
        return 0.5 * x * gen_math_ops.erfc(x * -math.sqrt(0.5))
    scale = 2 * math.sqrt(2 / math.pi)  # 1 + tanh(z) is 2 * sigmoid(2 * z)
    return x * gen_math_ops.sigmoid(x * (gen_math_ops.square(x) * (0.044715 * scale) + scale))


# -- convolution ---------------------------------------------------------------------------------------------


def conv_general(
    inputs: tf.Tensor, kernel: tf.Tensor, strides: Sizes, padding: str, dilation: Sizes, groups: int
) -> tf.Tensor:
    rank = len(strides)
    if rank == 1:
        wide = conv_general(
            gen_array_ops.expand_dims(inputs, 1),
            gen_array_ops.expand_dims(kernel, 0),
            (1, *strides), padding, (1, *dilation), groups,
        )  # fmt: skip
        return gen_array_ops.squeeze(wide, [1])
    if max(dilation) > 1:
        return _dilated(inputs, kernel, strides, padding, dilation, groups)
    if rank == 2 and groups > 1 and kernel.shape[-2] == 1:
        return _depthwise(inputs, kernel, strides, padding)
    if groups > 1:
        parts = zip(tf.split(inputs, groups, -1), tf.split(kernel, groups, -1), strict=True)
        return tf.concat([_conv(x, k, strides, padding) for x, k in parts], -1)
    return _conv(inputs, kernel, strides, padding)


def _conv(x: tf.Tensor, kernel: tf.Tensor, strides: Sizes, padding: str) -> tf.Tensor:
    run = kernels.conv2d if len(strides) == 2 else kernels.conv3d
    return run(x, kernel, [1, *strides, 1], padding.upper())


def _depthwise(x: tf.Tensor, kernel: tf.Tensor, strides: Sizes, padding: str) -> tf.Tensor:
    height, width, _, filters = kernel.shape
    kernel = gen_array_ops.reshape(kernel, integers((height, width, x.shape[-1], filters // x.shape[-1])))
    if strides[0] == strides[1]:
        return kernels.depthwise_conv2d_native(x, kernel, [1, *strides, 1], padding.upper())
    x = _pad(x, (height, width), strides, padding)
    found = kernels.depthwise_conv2d_native(x, kernel, [1, 1, 1, 1], "VALID")
    return found[:, :: strides[0], :: strides[1]]


def _dilated(
    x: tf.Tensor, kernel: tf.Tensor, strides: Sizes, padding: str, dilation: Sizes, groups: int
) -> tf.Tensor:
    """Cells that a dilated kernel sees together become neighbours, in images of their own."""
    spans = [(k - 1) * d + 1 for k, d in zip(kernel.shape, dilation)]
    x = _pad(x, spans, strides, padding)
    blocks, fill = integers(dilation), [-n % d for n, d in zip(sizes_of(x)[1:-1], dilation, strict=True)]
    margins = gen_array_ops.reshape(integers([m for n in fill for m in (0, n)]), integers((-1, 2)))
    x = gen_array_ops.space_to_batch_nd(x, blocks, margins)
    x = conv_general(x, kernel, (1,) * len(strides), "valid", (1,) * len(strides), groups)
    x = gen_array_ops.batch_to_space_nd(x, blocks, margins)
    return x if max(strides) == 1 else x[(slice(None), *(slice(None, None, s) for s in strides))]


def _pad(x: tf.Tensor, spans: Sequence[int], strides: Sizes, padding: str) -> tf.Tensor:
    """An image with the zeros of "same" padding."""
    if padding == "valid":
        return x
    margins = []
    for n, span, stride in zip(sizes_of(x)[1:-1], spans, strides, strict=True):
        missing = (-(-n // stride) - 1) * stride + span - n
        missing = max(missing, 0) if isinstance(n, int) else tf.maximum(missing, 0)
        margins += [missing // 2, missing - missing // 2]
    return tf.pad(x, tf.reshape(integers([0, 0, *margins, 0, 0]), (-1, 2)))


def conv_transpose_general(
    inputs: tf.Tensor,
    kernel: tf.Tensor,
    strides: Sizes,
    padding: str,
    output_padding: Sizes | None,
    dilation: Sizes,
) -> tf.Tensor:
    """The gradient of a convolution without padding by its input, then cut, or filled up at the end."""
    if len(strides) == 1:
        wide = conv_transpose_general(
            gen_array_ops.expand_dims(inputs, 1),
            gen_array_ops.expand_dims(kernel, 0),
            (1, *strides), padding, output_padding and (0, *output_padding), (1, *dilation),
        )  # fmt: skip
        return gen_array_ops.squeeze(wide, [1])
    kernel = _spread(kernel, dilation)
    batch, *shape, _ = sizes_of(inputs)
    spans = kernel.shape[:-2]
    full = [(n - 1) * stride + span for n, stride, span in zip(shape, strides, spans, strict=True)]
    run = kernels.conv2d_backprop_input if len(strides) == 2 else kernels.conv3d_backprop_input_v2
    steps = [1, *strides, 1]
    if padding == "same" and output_padding is None:
        sizes = [n * stride for n, stride in zip(shape, strides, strict=True)]
        return run(integers([batch, *sizes, kernel.shape[-2]]), kernel, inputs, steps, "SAME")
    found = run(integers([batch, *full, kernel.shape[-2]]), kernel, inputs, steps, "VALID")
    begin, margins, sizes = [0], [0, 0], [batch]
    for i, (n, span, stride) in enumerate(zip(full, spans, strides, strict=True)):
        if padding == "same":
            cut = span - span % 2 - output_padding[i]
        else:
            cut = -max(stride - span, 0) if output_padding is None else -output_padding[i]
        begin.append(max(cut, 0) // 2)
        margins += [0, max(-cut, 0)]
        sizes.append(n - cut)
    if max(margins):
        found = tf.pad(found, tf.reshape(integers([*margins, 0, 0]), (-1, 2)))
    return gen_array_ops._slice(found, integers([*begin, 0]), integers([*sizes, kernel.shape[-2]]))


def _spread(kernel: tf.Tensor, dilation: Sizes) -> tf.Tensor:
    """A kernel with zeros between its cells."""
    for axis, step in enumerate(dilation):
        if step > 1:
            shape = kernel.shape.as_list()
            cells = tf.reshape(kernel, (*shape[: axis + 1], 1, *shape[axis + 1 :]))
            margins = [[0, step - 1] if place == axis + 1 else [0, 0] for place in range(len(shape) + 1)]
            wide = tf.reshape(tf.pad(cells, margins), (*shape[:axis], -1, *shape[axis + 1 :]))
            kernel = wide[(slice(None),) * axis + (slice(None, 1 - step),)]
    return kernel


# -- pooling -------------------------------------------------------------------------------------------------


def _pool(kernel: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    """Pooling of images; that of volumes goes over rows and columns first, then over layers."""

    def pool(inputs: tf.Tensor, pool_size: Sizes, strides: Sizes, padding: str) -> tf.Tensor:
        if len(strides) == 2:
            return kernel(inputs, [1, *pool_size, 1], [1, *strides, 1], padding.upper())
        if len(strides) == 1:
            rows = gen_array_ops.expand_dims(inputs, 1)
            return gen_array_ops.squeeze(pool(rows, (1, *pool_size), (1, *strides), padding), [1])
        batch, layers, *_ = sizes_of(inputs)
        flat = gen_array_ops.reshape(inputs, integers((-1, *sizes_of(inputs)[2:])))
        flat = pool(flat, pool_size[1:], strides[1:], padding)
        _, height, width, channels = sizes_of(flat)
        stack = gen_array_ops.reshape(flat, integers((batch, layers, height * width, channels)))
        stack = pool(stack, (pool_size[0], 1), (strides[0], 1), padding)
        return gen_array_ops.reshape(stack, integers((batch, -1, height, width, channels)))

    return pool


def one_hot(x: tf.Tensor, num_classes: int, axis: int, dtype: str) -> tf.Tensor:
    x = x if x.dtype in (tf.int32, tf.int64, tf.uint8) else cast(x, tf.int32)
    one, zero = (tensor(value, tf.as_dtype(dtype)) for value in (1, 0))
    return gen_array_ops.one_hot(x, tensor(num_classes, tf.int32), one, zero, axis)


NATIVES: dict[str, Callable[..., Any]] = {
    "_one_hot": one_hot,
    "relu": kernels.relu,
    "relu6": kernels.relu6,
    "sigmoid": gen_math_ops.sigmoid,
    **{f.__name__: f for f in (elu, gelu, leaky_relu, silu)},
    "softplus": kernels.softplus,
    "selu": kernels.selu,
    "softmax": _over_axes(kernels.softmax, _softmax),
    "log_softmax": _over_axes(kernels.log_softmax, _log_softmax),
    **{
        f.__name__: in_wider(f, dict.fromkeys(INTEGERS, "float64"), cast)
        for f in (conv_general, conv_transpose_general)
    },
    "max_pool_general": lacking(_pool(kernels.max_pool), "bool"),
    "average_pool_general": _pool(kernels.avg_pool),
}
