"""LSTM and GRU for TensorFlow: loops that XLA compiles, with gradients of their own.

The loop forward keeps what the loop backward needs of each step, so that this is a few products, and the
kernels' gradients are one matrix product each, after it. Inside, time comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

Tensor = tf.Tensor
compiled = tf.function(autograph=False, jit_compile=True)


def _swapped(x: Tensor) -> Tensor:
    """Time first instead of the batch, and back."""
    return tf.transpose(x, [1, 0, *range(2, len(x.shape))])


def _kept(mask: Tensor | None) -> Tensor | None:
    """A mask as one column for each step."""
    return None if mask is None else _swapped(tf.cast(mask, tf.bool))[..., None]


def _wide(x: Tensor) -> Tensor:
    """At least single precision, for what isn't a matrix product."""
    return x if x.dtype == tf.float64 else tf.cast(x, tf.float32)


def _rows(x: Tensor) -> Tensor:
    """Steps and samples on one axis."""
    return tf.reshape(x, [-1, x.shape[-1]])


def _product(x: Tensor, kernel: Tensor) -> Tensor:
    return tf.reshape(_rows(x) @ kernel, tf.concat([tf.shape(x)[:-1], tf.shape(kernel)[1:]], 0))


def _before(first: Tensor, all_: Tensor) -> Tensor:
    """What there was before each step."""
    return tf.concat([first[None], all_[:-1]], 0)


def _held(kept: Tensor | None, new: Tensor, old: Any) -> Tensor:
    """The new value, where the mask doesn't hold the old one."""
    return new if kept is None else tf.where(kept, new, tf.cast(old, new.dtype))


def _loop(
    step: Callable[..., Any], states: Sequence[Tensor], xs: Sequence[Tensor | None], widths: Sequence[int],
    reverse: bool = False,
) -> tuple[Any, list[Tensor]]:  # fmt: skip
    """The last states, and results of the given widths stacked.

    Args:
        step: `step(states, slices)` returns the next states and a list of results.
    """
    batch, size, dtype = states[0].shape[0], tf.shape(xs[0])[0], states[0].dtype
    slices = [
        x if x is None else tf.TensorArray(x.dtype, size, element_shape=x.shape[1:]).unstack(x) for x in xs
    ]
    stacks = [tf.TensorArray(dtype, size, element_shape=(batch, width)) for width in widths]

    def following(i: Tensor, states: Any, stacks: Any) -> Any:
        place = size - 1 - i if reverse else i
        states, results = step(states, [s if s is None else s.read(place) for s in slices])
        stacks = [s.write(place, tf.cast(x, dtype)) for s, x in zip(stacks, results, strict=True)]
        return i + 1, [tf.cast(s, dtype) for s in states], stacks

    _, states, stacks = tf.while_loop(
        lambda i, *_: i < size, following, (0, list(states), stacks), maximum_iterations=size
    )
    stacked = [s.stack() for s in stacks]
    for each in stacked:
        # a graph doesn't know by itself how many they are
        each.set_shape((xs[0].shape[0], *each.shape[1:]))
    return states, stacked


# -- LSTM ----------------------------------------------------------------------------------------------------


def _halves(units: int, dtype: tf.DType) -> tuple[Tensor, Tensor]:
    """The scale and shift with which each gate is `tanh(x * scale) * scale + shift`: a sigmoid is half a tanh.

    One formula for all four makes one kernel of many, each of which XLA would take long to compile.
    """
    is_tanh = np.repeat([False, False, True, False], units)  # input, forget, candidate, output
    return tf.constant(np.where(is_tanh, 1, 0.5), dtype), tf.constant(np.where(is_tanh, 0, 0.5), dtype)


@compiled
def _lstm_forward(
    x: Tensor,
    h: Tensor,
    c: Tensor,
    kernel: Tensor,
    recurrent_kernel: Tensor,
    bias: Tensor,
    mask: Tensor | None,
) -> tuple[Tensor, ...]:
    """Outputs, last output and memory; then what the gradient needs: outputs, memories and gates of all steps."""
    units = h.shape[-1]
    kernels = tf.concat([kernel, recurrent_kernel], 0)
    scale, shift = _halves(units, _wide(c).dtype)

    def step(states: Any, here: Any) -> Any:
        (h, c), (x, kept) = states, here
        gates = tf.tanh(_wide(tf.concat([x, h], -1) @ kernels + bias) * scale) * scale + shift
        i, f, candidate, o = tf.split(gates, 4, -1)
        memory = f * _wide(c) + i * candidate
        shown = o * tf.tanh(memory)
        h, c = _held(kept, tf.cast(shown, h.dtype), h), _held(kept, tf.cast(memory, c.dtype), c)
        return [h, c], [h, c, gates]

    (h, c), of_all = _loop(step, [h, c], [_swapped(x), _kept(mask)], [units, units, 4 * units])
    return _swapped(of_all[0]), h, c, *of_all


@compiled
def _lstm_backward(
    h: Tensor,
    c: Tensor,
    recurrent_kernel: Tensor,
    mask: Tensor | None,
    memories: Tensor,
    gates: Tensor,
    upstream: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the first states, and of what enters the gates of all steps."""
    (d_outputs, dh, dc), units = upstream, h.shape[-1]
    scale, shift = _halves(units, _wide(c).dtype)

    def step(gradients: Any, here: Any) -> Any:
        (dh, dc), (d_output, before, memory, gates, kept) = gradients, here
        before, gates, dh, through = _wide(before), _wide(gates), _wide(dh + d_output), _wide(dc)
        i, f, candidate, o = tf.split(gates, 4, -1)
        shown = tf.tanh(_wide(memory))
        dc = through + dh * o * (1 - shown * shown)
        factors = tf.concat([candidate, before, i, shown], -1) * (scale * scale - (gates - shift) ** 2)
        d_gates = _held(kept, tf.concat([dc, dc, dc, dh], -1) * factors, 0)
        d_gates = tf.cast(d_gates, recurrent_kernel.dtype)
        d_before = _wide(tf.matmul(d_gates, recurrent_kernel, transpose_b=True))
        return [_held(kept, d_before, dh), _held(kept, dc * f, through)], [d_gates]

    xs = [_swapped(d_outputs), _before(c, memories), memories, gates, _kept(mask)]
    (dh, dc), (d_gates,) = _loop(step, [dh, dc], xs, [4 * units], reverse=True)
    return dh, dc, d_gates


def _lstm_gradient(x: Tensor, h: Tensor, kernel: Tensor, outputs: Tensor, d_gates: Tensor) -> list[Tensor]:
    """Gradients of the input, of both kernels and of the bias; left to TensorFlow, as XLA would compile longer."""
    before, steps = _rows(_before(h, outputs)), _rows(d_gates)
    return [
        _swapped(_product(d_gates, tf.transpose(kernel))),
        tf.matmul(_rows(_swapped(x)), steps, transpose_a=True),
        tf.matmul(before, steps, transpose_a=True),
        tf.reduce_sum(steps, 0),
    ]


def lstm(
    x: Tensor, h: Tensor, c: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor | None,
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    if bias is None:
        bias = tf.zeros(kernel.shape[-1:], kernel.dtype)

    @tf.custom_gradient
    def run(*inputs: Tensor) -> Any:
        inputs = [tf.stop_gradient(i) for i in inputs]  # or a tape asks for the gradient of the loop itself
        *results, outputs, memories, gates = _lstm_forward(*inputs, mask)

        def gradient(*upstream: Tensor) -> Any:
            x, h, c, kernel, recurrent_kernel, _ = inputs
            *states, d_gates = _lstm_backward(h, c, recurrent_kernel, mask, memories, gates, upstream)
            dx, *weights = _lstm_gradient(x, h, kernel, outputs, d_gates)
            return dx, *states, *weights

        return tuple(results), gradient

    return run(x, h, c, kernel, recurrent_kernel, bias)


# -- GRU -----------------------------------------------------------------------------------------------------


@compiled
def _gru_forward(
    projected: Tensor, h: Tensor, recurrent_kernel: Tensor, bias: Tensor, mask: Tensor | None
) -> tuple[Tensor, ...]:
    """Outputs and the last one, from what the inputs of all steps add to the gates; then what the gradient needs."""
    units = h.shape[-1]

    def step(states: Any, here: Any) -> Any:
        (h,), (x, kept) = states, here
        before, x, product = _wide(h), _wide(x), _wide(h @ recurrent_kernel + bias)
        z, r = tf.split(tf.sigmoid(x[:, : 2 * units] + product[:, : 2 * units]), 2, -1)
        recurrent = product[:, 2 * units :]
        candidate = tf.tanh(x[:, 2 * units :] + r * recurrent)
        of_candidate = (1 - z) * (1 - candidate * candidate)
        of_z, of_r = (before - candidate) * z * (1 - z), of_candidate * recurrent * r * (1 - r)
        of_gates = tf.concat([of_z, of_r, of_candidate * r, of_candidate], -1)
        h = _held(kept, tf.cast(z * before + (1 - z) * candidate, h.dtype), h)
        return [h], [h, _held(kept, of_gates, 0), _held(kept, z, 1)]

    (h,), (outputs, *factors) = _loop(step, [h], [projected, _kept(mask)], [units, 4 * units, units])
    return _swapped(outputs), h, outputs, *factors


@compiled
def _gru_backward(
    h: Tensor, recurrent_kernel: Tensor, of_gates: Tensor, through: Tensor, upstream: Any
) -> tuple[Tensor, Tensor]:
    """Gradients of the first state, and of what enters the gates of all steps."""
    (d_outputs, dh), units = upstream, h.shape[-1]

    def step(gradients: Any, here: Any) -> Any:
        (dh,), (d_output, of_gates, through) = gradients, here
        dh = dh + d_output
        d_gates = tf.concat([dh] * 4, -1) * of_gates  # of z, r, the recurrent product, the candidate
        before = tf.matmul(d_gates[:, : 3 * units], recurrent_kernel, transpose_b=True)
        return [before + dh * through], [d_gates]

    xs = [_swapped(d_outputs), of_gates, through]
    (dh,), (d_gates,) = _loop(step, [dh], xs, [4 * units], reverse=True)
    return dh, d_gates


def _gru_gradient(x: Tensor, h: Tensor, kernel: Tensor, outputs: Tensor, d_gates: Tensor) -> list[Tensor]:
    """Gradients of the input, of both kernels and of the bias."""
    of_both, of_recurrent, of_candidate = tf.split(d_gates, [2 * h.shape[-1], h.shape[-1], h.shape[-1]], -1)
    of_input, of_product = (tf.concat([of_both, last], -1) for last in (of_candidate, of_recurrent))
    return [
        _swapped(_product(of_input, tf.transpose(kernel))),
        tf.matmul(_rows(_swapped(x)), _rows(of_input), transpose_a=True),
        tf.matmul(_rows(_before(h, outputs)), _rows(of_product), transpose_a=True),
        tf.stack([tf.reduce_sum(of_input, [0, 1]), tf.reduce_sum(of_product, [0, 1])]),
    ]


def gru(
    x: Tensor,
    h: Tensor,
    kernel: Tensor,
    recurrent_kernel: Tensor,
    bias: Tensor | None,
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    if bias is None:
        bias = tf.zeros([2, kernel.shape[-1]], kernel.dtype)

    @tf.custom_gradient
    def run(*inputs: Tensor) -> Any:
        inputs = [tf.stop_gradient(i) for i in inputs]
        x, h, kernel, recurrent_kernel, bias = inputs
        projected = _product(_swapped(x), kernel) + bias[0]
        *results, outputs, of_gates, through = _gru_forward(projected, h, recurrent_kernel, bias[1], mask)

        def gradient(*upstream: Tensor) -> Any:
            dh, d_gates = _gru_backward(h, recurrent_kernel, of_gates, through, upstream)
            dx, *weights = _gru_gradient(x, h, kernel, outputs, d_gates)
            return dx, dh, *weights

        return tuple(results), gradient

    return run(x, h, kernel, recurrent_kernel, bias)


NATIVES: dict[str, Callable[..., Any]] = {
    "_lstm": lstm,
    "_masked_lstm": lstm,
    "_gru": gru,
    "_masked_gru": gru,
}
