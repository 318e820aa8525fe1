"""LSTM and GRU for PyTorch: its own kernels where they are fast, else loops that a graph holds as one call.

PyTorch has a fused LSTM for the CPU, but no GRU and nothing that takes a mask. Steps as single calls would
make graphs of thousands; so the loops, forward and backward, are operators of ours, which a capture does not
look into. The kernels' gradients are one matrix product each, after the loop backward.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

Step = tuple[Tensor, Tensor, Tensor]


def _library(run: Callable[..., Any], x: Tensor, states: Any, weights: list[Tensor]) -> Any:
    """A layer of PyTorch's: one layer, one direction, no dropout, batch first."""
    return run(x, states, weights, len(weights) > 2, 1, 0.0, True, False, True)


def lstm(
    x: Tensor, h: Tensor, c: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor | None
) -> Step:
    if not x.is_cuda and (x.dtype != torch.float32 or not torch.backends.mkldnn.is_available()):
        return masked_lstm(x, h, c, kernel, recurrent_kernel, bias, None)
    if bias is None:
        bias = kernel.new_zeros(kernel.shape[-1])
    weights = [kernel.T, recurrent_kernel.T, bias, torch.zeros_like(bias)]  # two biases, for both products
    if x.is_cuda:
        outputs, h, c = _library(torch.lstm, x, (h[None], c[None]), weights)
        return outputs, h[0], c[0]
    outputs, h, c, _ = _lstm_kernel(x.transpose(0, 1).contiguous(), weights, h, c)
    return outputs.transpose(0, 1), h, c


def masked_lstm(
    x: Tensor, h: Tensor, c: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor | None,
    mask: Tensor | None,
) -> Step:  # fmt: skip
    outputs, memory, *_ = _lstm_forward(_projected(x, kernel, bias), h, c, recurrent_kernel, _columns(mask))
    return outputs.transpose(0, 1), outputs[-1], memory


def gru(
    x: Tensor, h: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor]:
    if x.is_cuda:
        weights = [kernel, recurrent_kernel, *([] if bias is None else bias)]
        outputs, h = _library(torch.gru, x, h[None], [_reset_first(w) for w in weights])
        return outputs, h[0]
    return masked_gru(x, h, kernel, recurrent_kernel, bias, None)


def masked_gru(
    x: Tensor, h: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor | None, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    biases = (None, h.new_zeros(kernel.shape[-1])) if bias is None else bias.unbind()
    projected = _projected(x, kernel, biases[0])
    outputs, *_ = _gru_forward(projected, h, recurrent_kernel, biases[1], _columns(mask))
    return outputs.transpose(0, 1), outputs[-1]


def _projected(x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """What comes of the inputs, time first."""
    return torch.nn.functional.linear(x.transpose(0, 1), kernel.T, bias)


def _columns(mask: Tensor | None) -> Tensor | None:
    """A mask time first, one column for each step."""
    return None if mask is None else mask.T.to(torch.bool).unsqueeze(-1)


def _reset_first(w: Tensor) -> Tensor:
    """From the order update, reset, candidate to reset, update, candidate, on the first axis."""
    update, reset, candidate = w.permute(*range(w.ndim)[::-1]).chunk(3)
    return torch.cat([reset, update, candidate])


def _before(first: Tensor, all_: Tensor) -> Tensor:
    """What there was before each step."""
    return torch.cat([first[None], all_[:-1]])


def _summed(first: Tensor, outputs: Tensor, gradients: Tensor) -> Tensor:
    """The gradient of the recurrent kernel, over all steps."""
    return _before(first, outputs).flatten(0, 1).T @ gradients.flatten(0, 1)


def _held(mask: Tensor | None, new: Tensor, old: Tensor) -> Tensor:
    """The new value, where the mask doesn't hold the old one."""
    return new if mask is None else torch.where(mask, new, old)


def _each(mask: Tensor | None, steps: int) -> Any:
    """The mask of each step."""
    return [None] * steps if mask is None else mask.unbind()


# -- LSTM ----------------------------------------------------------------------------------------------------

_LSTM = 2  # the number of its kind in PyTorch


@custom_op(
    "triceras::lstm_kernel",
    mutates_args=(),
    schema="(Tensor x, Tensor[] weights, Tensor h, Tensor c) -> (Tensor, Tensor, Tensor, Tensor)",
)
def _lstm_kernel(x: Tensor, weights: list[Tensor], h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
    """The fused kernel, which keeps what the gradient needs only where gradients are on."""
    settings = (False, [], _LSTM, h.shape[-1], 1, True, False, False, True)
    with torch.enable_grad():
        return torch.ops.aten.mkldnn_rnn_layer(x, *weights, h, c, *settings)


@_lstm_kernel.register_fake
def _(x: Tensor, weights: list[Tensor], h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
    outputs = x.new_empty(*x.shape[:2], h.shape[-1])
    return outputs, torch.empty_like(h), torch.empty_like(c), x.new_empty(0, dtype=torch.uint8)


def _kernel_kept(ctx: Any, inputs: Any, output: Any) -> None:
    x, weights, h, c = inputs
    ctx.save_for_backward(x, *weights, h, c, *output)


def _kernel_gradient(ctx: Any, d_outputs: Tensor, dh: Tensor, dc: Tensor, _: Any) -> tuple[Any, ...]:
    *inputs, outputs, h, c, workspace = ctx.saved_tensors
    settings = (False, _LSTM, h.shape[-1], 1, True, True, False, [], False, workspace)
    d_outputs = d_outputs.contiguous()
    found = torch.ops.aten.mkldnn_rnn_layer_backward(*inputs, outputs, h, c, d_outputs, dh, dc, *settings)
    dx, *d_weights, dh, dc = found
    return dx, d_weights, dh.view_as(h), dc.view_as(c)


_lstm_kernel.register_autograd(_kernel_gradient, setup_context=_kernel_kept)


@custom_op(
    "triceras::lstm_forward",
    mutates_args=(),
    schema="(Tensor x, Tensor h, Tensor c, Tensor kernel, Tensor? mask) -> (Tensor, Tensor, Tensor, Tensor)",
)
def _lstm_forward(x: Tensor, h: Tensor, c: Tensor, kernel: Tensor, mask: Tensor | None) -> tuple[Tensor, ...]:
    """Outputs and last memory; for the gradient, all memories and gates."""
    units = h.shape[-1]
    outputs = x.new_empty(*x.shape[:2], units)
    memories, gates = torch.empty_like(outputs), torch.empty_like(x)
    places = zip(x, _each(mask, len(x)), gates.unbind(), outputs.unbind(), memories.unbind(), strict=True)
    for projected, kept, here, output, memory in places:
        z = torch.addmm(projected, h, kernel)
        torch.sigmoid(z, out=here)
        i, f, candidate, o = here.chunk(4, -1)
        torch.tanh(z[:, 2 * units : 3 * units], out=candidate)
        new = torch.addcmul(f * c, i, candidate)
        h, c = _held(kept, o * new.tanh(), h), _held(kept, new, c)
        output.copy_(h), memory.copy_(c)
    return outputs, c.clone(), memories, gates


@_lstm_forward.register_fake
def _(x: Tensor, h: Tensor, c: Tensor, kernel: Tensor, mask: Tensor | None) -> tuple[Tensor, ...]:
    outputs = x.new_empty(*x.shape[:2], h.shape[-1])
    return outputs, torch.empty_like(c), torch.empty_like(outputs), torch.empty_like(x)


@custom_op(
    "triceras::lstm_backward",
    mutates_args=(),
    schema="(Tensor d_outputs, Tensor dc, Tensor c, Tensor memories, Tensor gates, Tensor kernel,"
    " Tensor? mask) -> (Tensor, Tensor, Tensor)",
)
def _lstm_backward(
    d_outputs: Tensor,
    dc: Tensor,
    c: Tensor,
    memories: Tensor,
    gates: Tensor,
    kernel: Tensor,
    mask: Tensor | None,
) -> Step:
    """Gradients of the gates' arguments, the first output and the first memory."""
    i, f, candidate, o = gates.chunk(4, -1)
    shown, slopes = memories.tanh(), gates * (1 - gates)
    slopes.chunk(4, -1)[2].copy_(1 - candidate * candidate)
    factors = torch.cat([candidate, _before(c, memories), i, shown], -1) * slopes
    of_memory = o * (1 - shown * shown)
    if mask is not None:
        factors, of_memory, f = factors * mask, of_memory * mask, torch.where(mask, f, 1)
    dh, d_gates = torch.zeros_like(dc), torch.empty_like(gates)
    steps = (d_outputs, factors, of_memory, f, d_gates)
    places = zip(*(part.unbind() for part in steps), _each(mask, len(gates)), strict=True)
    for d_output, factor, through, f_here, here, kept in reversed(list(places)):
        dh = dh + d_output
        dc = torch.addcmul(dc, dh, through)
        torch.mul(torch.cat([dc, dc, dc, dh], -1), factor, out=here)
        dh, dc = _held(kept, here @ kernel.T, dh), dc * f_here
    return d_gates, dh, dc


@_lstm_backward.register_fake
def _(
    d_outputs: Tensor,
    dc: Tensor,
    c: Tensor,
    memories: Tensor,
    gates: Tensor,
    kernel: Tensor,
    mask: Tensor | None,
) -> Step:
    return torch.empty_like(gates), torch.empty_like(dc), torch.empty_like(dc)


def _lstm_kept(ctx: Any, inputs: Any, output: Any) -> None:
    _, h, c, kernel, mask = inputs
    ctx.save_for_backward(h, c, kernel, mask, output[0], *output[2:])


def _lstm_gradient(ctx: Any, d_outputs: Tensor, dc: Tensor, *unused: Any) -> tuple[Tensor | None, ...]:
    h, c, kernel, mask, outputs, memories, gates = ctx.saved_tensors
    d_gates, dh, dc = _lstm_backward(d_outputs, dc, c, memories, gates, kernel, mask)
    return d_gates, dh, dc, _summed(h, outputs, d_gates), None


_lstm_forward.register_autograd(_lstm_gradient, setup_context=_lstm_kept)


# -- GRU -----------------------------------------------------------------------------------------------------


@custom_op(
    "triceras::gru_forward",
    mutates_args=(),
    schema="(Tensor x, Tensor h, Tensor kernel, Tensor bias, Tensor? mask) -> (Tensor, Tensor, Tensor)",
)
def _gru_forward(x: Tensor, h: Tensor, kernel: Tensor, bias: Tensor, mask: Tensor | None) -> Step:
    """Outputs; for the gradient, the gates and candidate, and the candidate's part of the product."""
    units = h.shape[-1]
    outputs, gates = x.new_empty(*x.shape[:2], units), torch.empty_like(x)
    products = torch.empty_like(outputs)
    places = zip(x, _each(mask, len(x)), gates.unbind(), products.unbind(), outputs.unbind(), strict=True)
    for projected, kept, here, recurrent, output in places:
        product = torch.addmm(bias, h, kernel)
        recurrent.copy_(product[:, 2 * units :])
        torch.sigmoid(projected + product, out=here)
        z, r, candidate = here.chunk(3, -1)
        torch.tanh(torch.addcmul(projected[:, 2 * units :], r, recurrent), out=candidate)
        h = _held(kept, torch.lerp(candidate, h, z), h)
        output.copy_(h)
    return outputs, gates, products


@_gru_forward.register_fake
def _(x: Tensor, h: Tensor, kernel: Tensor, bias: Tensor, mask: Tensor | None) -> Step:
    outputs = x.new_empty(*x.shape[:2], h.shape[-1])
    return outputs, torch.empty_like(x), torch.empty_like(outputs)


@custom_op(
    "triceras::gru_backward",
    mutates_args=(),
    schema="(Tensor d_outputs, Tensor h, Tensor outputs, Tensor gates, Tensor products, Tensor kernel,"
    " Tensor? mask) -> (Tensor, Tensor, Tensor)",
)
def _gru_backward(
    d_outputs: Tensor, h: Tensor, outputs: Tensor, gates: Tensor, products: Tensor, kernel: Tensor,
    mask: Tensor | None,
) -> Step:  # fmt: skip
    """Gradients of what the input and the recurrent product gave to the gates, and of the first output."""
    z, r, candidate = gates.chunk(3, -1)
    of_candidate = (1 - z) * (1 - candidate * candidate)
    of_z = (_before(h, outputs) - candidate) * z * (1 - z)
    factors = torch.cat([of_z, of_candidate * products * r * (1 - r), of_candidate * r, of_candidate], -1)
    if mask is not None:
        factors, z = factors * mask, torch.where(mask, z, 1)
    dh, d_gates, units = torch.zeros_like(h), torch.empty_like(factors), h.shape[-1]
    steps = (d_outputs, factors, z, d_gates)
    for d_output, factor, through, here in reversed(list(zip(*(x.unbind() for x in steps), strict=True))):
        dh = dh + d_output
        torch.mul(dh.repeat(1, 4), factor, out=here)
        dh = torch.addmm(dh * through, here[:, : 3 * units], kernel.T)
    of_input = torch.cat([d_gates[..., : 2 * units], d_gates[..., 3 * units :]], -1)
    return of_input, d_gates[..., : 3 * units].contiguous(), dh


@_gru_backward.register_fake
def _(
    d_outputs: Tensor, h: Tensor, outputs: Tensor, gates: Tensor, products: Tensor, kernel: Tensor,
    mask: Tensor | None,
) -> Step:  # fmt: skip
    return torch.empty_like(gates), torch.empty_like(gates), torch.empty_like(h)


def _gru_kept(ctx: Any, inputs: Any, output: Any) -> None:
    _, h, kernel, _, mask = inputs
    ctx.save_for_backward(h, kernel, mask, *output)


def _gru_gradient(ctx: Any, d_outputs: Tensor, *unused: Any) -> tuple[Tensor | None, ...]:
    h, kernel, mask, outputs, gates, products = ctx.saved_tensors
    of_input, of_product, dh = _gru_backward(d_outputs, h, outputs, gates, products, kernel, mask)
    return of_input, dh, _summed(h, outputs, of_product), of_product.sum((0, 1)), None


_gru_forward.register_autograd(_gru_gradient, setup_context=_gru_kept)

NATIVES: dict[str, Callable[..., Any]] = {
    "_lstm": lstm,
    "_masked_lstm": masked_lstm,
    "_gru": gru,
    "_masked_gru": masked_gru,
}
