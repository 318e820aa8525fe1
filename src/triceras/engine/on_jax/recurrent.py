"""LSTM and GRU for JAX with gradients of their own.

JAX's gradient of a loop keeps every intermediate value and sums the kernels' gradients up step by step. Here
the loop forward keeps, of each step, the factors by which gradients pass it; the loop backward then is a few
products, and the kernels' gradients are one matrix product each, after it. Sigmoids are computed as
hyperbolic tangents of half the argument, so that one pass makes all gates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Array = jax.Array


def _swapped(x: Array | None) -> Array | None:
    """Time first instead of the batch, and back."""
    return None if x is None else jnp.swapaxes(x, 0, 1)


def _kept(mask: Array | None) -> Array | None:
    """A mask as one column for each step."""
    return None if mask is None else jnp.swapaxes(mask.astype(bool), 0, 1)[..., None]


def _halved(x: Array, units: int, halves: int) -> Array:
    """The sigmoids' arguments divided by two."""
    scale = jnp.full(x.shape[-1], 0.5, x.dtype)
    return x * scale.at[halves * units : (halves + 1) * units].set(1)


def _rows(x: Array) -> Array:
    """Steps and samples on one axis."""
    return x.reshape(-1, x.shape[-1])


def _before(first: Array, all_: Array) -> Array:
    """What there was before each step."""
    return jnp.concatenate([first[None], all_[:-1]])


def _wide(x: Array) -> Array:
    """At least single precision, for what isn't a matrix product."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


# -- LSTM ----------------------------------------------------------------------------------------------------


def _lstm_loop(
    x: Array, h: Array, c: Array, kernel: Array, recurrent_kernel: Array, bias: Array, mask: Array | None,
    keep: bool,
) -> Any:  # fmt: skip
    units, dtype = h.shape[-1], h.dtype
    kernels = _halved(jnp.concatenate([kernel, recurrent_kernel]), units, 2)
    bias = _halved(bias, units, 2)

    def step(states: Any, here: Any) -> Any:
        (h, c), (x, kept) = states, here
        gates = jnp.tanh(_wide(jnp.concatenate([x, h], -1) @ kernels + bias))
        i, f, candidate, o = jnp.split(gates, 4, -1)
        i, f, o = (0.5 * gate + 0.5 for gate in (i, f, o))
        memory = f * c + i * candidate
        shown = jnp.tanh(memory)
        factors = None
        if keep:
            of_memory = o * (1 - shown * shown)
            of_gates = jnp.concatenate(
                [candidate * i * (1 - i), c * f * (1 - f), i * (1 - candidate * candidate),
                 shown * o * (1 - o)], -1,
            )  # fmt: skip
            if kept is not None:
                of_gates, of_memory, f = of_gates * kept, of_memory * kept, jnp.where(kept, f, 1)
            factors = (of_gates.astype(dtype), of_memory.astype(dtype), f.astype(dtype))
        following = ((o * shown).astype(dtype), memory.astype(dtype))
        if kept is not None:
            following = tuple(jnp.where(kept, new, old) for new, old in zip(following, (h, c)))
        return following, (following[0], factors)

    (h, c), (outputs, factors) = lax.scan(step, (h, c), (_swapped(x), _kept(mask)))
    return outputs, h, c, factors


@jax.custom_vjp
def _lstm(
    x: Array, h: Array, c: Array, kernel: Array, recurrent_kernel: Array, bias: Array, mask: Any
) -> Any:
    outputs, h, c, _ = _lstm_loop(x, h, c, kernel, recurrent_kernel, bias, mask, keep=False)
    return _swapped(outputs), h, c


def _lstm_forward(
    x: Array, h: Array, c: Array, kernel: Array, recurrent_kernel: Array, bias: Array, mask: Any
) -> Any:
    outputs, last, memory, factors = _lstm_loop(x, h, c, kernel, recurrent_kernel, bias, mask, keep=True)
    return (_swapped(outputs), last, memory), (x, h, kernel, recurrent_kernel, mask, outputs, factors)


def _lstm_backward(kept: Any, upstream: Any) -> Any:
    x, h, kernel, recurrent_kernel, mask, outputs, factors = kept
    d_outputs, dh, dc = upstream
    back = recurrent_kernel.T

    def step(gradients: Any, here: Any) -> Any:
        (dh, dc), (d_output, (of_gates, of_memory, f), kept) = gradients, here
        dh = dh + d_output
        dc = dc + dh * of_memory
        d_gates = jnp.concatenate([dc, dc, dc, dh], -1) * of_gates
        before = d_gates @ back
        if kept is not None:
            before = before + dh * ~kept
        return (before, dc * f), d_gates

    here = (_swapped(d_outputs), factors, _kept(mask))
    (dh, dc), d_gates = lax.scan(step, (dh, dc), here, reverse=True)
    rows = _rows(d_gates)
    d_kernels = _rows(jnp.concatenate([_swapped(x), _before(h, outputs)], -1)).T @ rows
    dx = _swapped((rows @ kernel.T).reshape(*d_gates.shape[:2], -1))
    return dx, dh, dc, *jnp.split(d_kernels, [len(kernel)]), rows.sum(0), None


_lstm.defvjp(_lstm_forward, _lstm_backward)


@jax.jit
def lstm(
    x: Array, h: Array, c: Array, kernel: Array, recurrent_kernel: Array, bias: Array | None,
    mask: Array | None = None,
) -> tuple[Array, Array, Array]:  # fmt: skip
    if bias is None:
        bias = jnp.zeros(kernel.shape[-1], kernel.dtype)
    return _lstm(x, h, c, kernel, recurrent_kernel, bias, mask)


# -- GRU -----------------------------------------------------------------------------------------------------


def _gru_loop(
    x: Array, h: Array, kernel: Array, recurrent_kernel: Array, bias: Array, mask: Array | None, keep: bool
) -> Any:
    units, dtype = h.shape[-1], h.dtype
    kernel, recurrent_kernel, bias = (_halved(w, units, 2) for w in (kernel, recurrent_kernel, bias))
    projected = _swapped(x) @ kernel + bias[0]

    def step(h: Array, here: Any) -> Any:
        x, kept = here
        x, product = _wide(x), _wide(h @ recurrent_kernel + bias[1])
        z, r = jnp.split(0.5 * jnp.tanh(x[:, : 2 * units] + product[:, : 2 * units]) + 0.5, 2, -1)
        recurrent = product[:, 2 * units :]
        candidate = jnp.tanh(x[:, 2 * units :] + r * recurrent)
        factors = None
        if keep:
            of_candidate = (1 - z) * (1 - candidate * candidate)
            of_z, of_r = (h - candidate) * z * (1 - z), of_candidate * recurrent * r * (1 - r)
            of_gates = jnp.concatenate([of_z, of_r, of_candidate * r, of_candidate], -1)
            through = z
            if kept is not None:
                of_gates, through = of_gates * kept, jnp.where(kept, z, 1)
            factors = (of_gates.astype(dtype), through.astype(dtype))
        following = (z * h + (1 - z) * candidate).astype(dtype)
        if kept is not None:
            following = jnp.where(kept, following, h)
        return following, (following, factors)

    h, (outputs, factors) = lax.scan(step, h, (projected, _kept(mask)))
    return outputs, h, factors


@jax.custom_vjp
def _gru(x: Array, h: Array, kernel: Array, recurrent_kernel: Array, bias: Array, mask: Any) -> Any:
    outputs, h, _ = _gru_loop(x, h, kernel, recurrent_kernel, bias, mask, keep=False)
    return _swapped(outputs), h


def _gru_forward(x: Array, h: Array, kernel: Array, recurrent_kernel: Array, bias: Array, mask: Any) -> Any:
    outputs, last, factors = _gru_loop(x, h, kernel, recurrent_kernel, bias, mask, keep=True)
    return (_swapped(outputs), last), (x, h, kernel, recurrent_kernel, outputs, factors)


def _gru_backward(kept: Any, upstream: Any) -> Any:
    x, h, kernel, recurrent_kernel, outputs, factors = kept
    d_outputs, dh = upstream
    units, back = h.shape[-1], recurrent_kernel.T

    def step(dh: Array, here: Any) -> Any:
        d_output, (of_gates, through) = here
        dh = dh + d_output
        d_gates = jnp.concatenate([dh] * 4, -1) * of_gates  # of z, r, the recurrent product, the candidate
        return d_gates[:, : 3 * units] @ back + dh * through, d_gates

    dh, d_gates = lax.scan(step, dh, (_swapped(d_outputs), factors), reverse=True)
    rows = _rows(d_gates)
    of_product = rows[:, : 3 * units]
    of_input = jnp.concatenate([rows[:, : 2 * units], rows[:, 3 * units :]], -1)
    dx = _swapped((of_input @ kernel.T).reshape(*d_gates.shape[:2], -1))
    d_kernel = _rows(_swapped(x)).T @ of_input
    d_recurrent = _rows(_before(h, outputs)).T @ of_product
    return dx, dh, d_kernel, d_recurrent, jnp.stack([of_input.sum(0), of_product.sum(0)]), None


_gru.defvjp(_gru_forward, _gru_backward)


@jax.jit
def gru(
    x: Array, h: Array, kernel: Array, recurrent_kernel: Array, bias: Array | None, mask: Array | None = None
) -> tuple[Array, Array]:
    if bias is None:
        bias = jnp.zeros((2, kernel.shape[-1]), kernel.dtype)
    return _gru(x, h, kernel, recurrent_kernel, bias, mask)


NATIVES: dict[str, Callable[..., Any]] = {
    "_lstm": lstm,
    "_masked_lstm": lstm,
    "_gru": gru,
    "_masked_gru": gru,
}
