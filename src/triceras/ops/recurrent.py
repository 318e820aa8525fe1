"""Recurrence along time: the loop of all recurrent layers, and LSTM and GRU as ops that engines may speed up.

Sequences are (batch, time, ...), masks (batch, time). Gates stand side by side on the last axis: input,
forget, candidate, output (LSTM), update, reset, candidate (GRU).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from triceras.core import tree
from triceras.core.dtypes import promote_float
from triceras.ops.control import scan
from triceras.ops.creation import cast
from triceras.ops.elementwise import add, multiply, subtract, tanh
from triceras.ops.indexing import where
from triceras.ops.linalg import matmul
from triceras.ops.nn import sigmoid
from triceras.ops.op import Kept, Tensor, op
from triceras.ops.shape import reshape, split, swapaxes

Function = Callable[..., Any]


def recur(
    step: Callable[[Any, Any], tuple[Any, Any]],
    sequences: Any,
    states: Any,
    mask: Any = None,
    before: Any = None,
    unroll: bool = False,
) -> tuple[Any, Any]:
    """Apply a step to one place in time after another.

    Args:
        step: `step(x, states)` returns an output and the next states, nested as before.
        sequences: what `x` is cut from.
        states: (nested) first states.
        mask: at places where it is False, the states stay, and the output is the one before.
        before: what counts as the output before the first one; None makes masked outputs zero.
        unroll: whether engines that compile loops may write all steps out.

    Returns:
        All outputs, and the last states.
    """

    def at(carry: Any, here: Any) -> tuple[Any, Any]:
        (states, previous), (x, kept) = carry, here
        output, following = step(x, states)
        following = tree.pack_sequence_as(states, tree.flatten(following))
        if kept is not None:
            output = _where(kept, output, 0 if previous is None else previous)
            following = tree.map_structure(lambda new, old: _where(kept, new, old), following, states)
        return (following, None if previous is None else output), output

    mask = None if mask is None else swapaxes(cast(mask, "bool"), 0, 1)
    xs = (swapaxes(sequences, 0, 1), mask)
    (states, _), outputs = scan(at, (states, None if mask is None else before), xs, unroll=unroll)
    return swapaxes(outputs, 0, 1), states


def _where(kept: Any, x: Any, other: Any) -> Any:
    return where(reshape(kept, (-1, *(1,) * (len(x.shape) - 1))), x, cast(other, x.dtype))


def lstm_step(
    gates: Any, c: Any, activation: Function = tanh, recurrent_activation: Function = sigmoid, axis: int = -1
) -> tuple[Any, Any]:
    """Output and memory of an LSTM after one step, from the gates' arguments and the memory before.

    Hochreiter and Schmidhuber, 1997, https://doi.org/10.1162/neco.1997.9.8.1735
    """
    i, f, candidate, o = split(gates, 4, axis)
    kept = multiply(recurrent_activation(f), c)
    c = add(kept, multiply(recurrent_activation(i), activation(candidate)))
    return multiply(recurrent_activation(o), activation(c)), c


def gru_step(
    gates: Any,
    h: Any,
    seen: Any,
    kernel: Any,
    bias: Any = None,
    reset_after: bool = True,
    activation: Function = tanh,
    recurrent_activation: Function = sigmoid,
) -> Any:
    """Output of a GRU after one step.

    Args:
        gates: the gates' arguments, as far as they come from the input.
        h: the output before.
        seen: the output before as the recurrent kernel sees it, with dropout perhaps.
        kernel: the recurrent kernel.
        bias: of the recurrent product, if `reset_after`.
        reset_after: whether the reset gate applies to the recurrent product rather than to `seen`.

    Cho et al., 2014, https://arxiv.org/abs/1406.1078
    """
    both = 2 * h.shape[-1]
    product = project(seen, kernel if reset_after else kernel[:, :both], bias)
    z, r = split(recurrent_activation(add(gates[:, :both], product[:, :both])), 2, -1)
    recurrent = multiply(r, product[:, both:]) if reset_after else matmul(multiply(r, seen), kernel[:, both:])
    candidate = activation(add(gates[:, both:], recurrent))
    return add(multiply(z, h), multiply(subtract(1, z), candidate))


def project(x: Any, kernel: Any, bias: Any = None) -> Any:
    """`x @ kernel`, with a bias if there is one."""
    product = matmul(x, kernel)
    return product if bias is None else add(product, bias)


# -- whole layers with the usual activations -----------------------------------------------------------------
# Engines with a fast loop of their own have natives for these. Masked ones stand apart, because the
# libraries' own kernels take no mask.


@op(promote_float, at=())
def _lstm(
    x: Tensor, h: Tensor, c: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """All outputs, the last output and the last memory of an LSTM."""
    return _run_lstm(x, h, c, kernel, recurrent_kernel, bias, None)


@op(promote_float, at=())
def _masked_lstm(
    x: Tensor, h: Tensor, c: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor | None, mask: Kept
) -> tuple[Tensor, Tensor, Tensor]:
    """The same where nothing changes at masked places."""
    return _run_lstm(x, h, c, kernel, recurrent_kernel, bias, mask)


def _run_lstm(x: Any, h: Any, c: Any, kernel: Any, recurrent_kernel: Any, bias: Any, mask: Any) -> Any:
    def step(gates: Any, states: Any) -> Any:
        h, c = lstm_step(add(gates, matmul(states[0], recurrent_kernel)), states[1])
        return h, [h, c]

    outputs, (last, c) = recur(step, project(x, kernel, bias), [h, c], mask, before=h)
    return outputs, last, c


@op(promote_float, at=())
def _gru(
    x: Tensor, h: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor]:
    """All outputs and the last output of a GRU that resets after the product; two rows of biases."""
    return _run_gru(x, h, kernel, recurrent_kernel, bias, None)


@op(promote_float, at=())
def _masked_gru(
    x: Tensor, h: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor | None, mask: Kept
) -> tuple[Tensor, Tensor]:
    """The same where nothing changes at masked places."""
    return _run_gru(x, h, kernel, recurrent_kernel, bias, mask)


def _run_gru(x: Any, h: Any, kernel: Any, recurrent_kernel: Any, bias: Any, mask: Any) -> Any:
    biases = (None, None) if bias is None else (bias[0], bias[1])

    def step(gates: Any, states: Any) -> Any:
        h = gru_step(gates, states[0], states[0], recurrent_kernel, biases[1])
        return h, [h]

    outputs, (last,) = recur(step, project(x, kernel, biases[0]), [h], mask, before=h)
    return outputs, last
