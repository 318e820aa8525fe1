"""The loss of connectionist temporal classification by PyTorch's kernel, which graphs hold as one call: its loop over
time would be thousands, and takes five times as long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

IMPOSSIBLE = 1e30


@custom_op("triceras::ctc_loss", mutates_args=())
def _losses(
    scores: Tensor, target: Tensor, target_length: Tensor, output_length: Tensor, blank: int
) -> tuple[Tensor, Tensor]:
    """Losses and their gradients by the scores, time first."""
    given = (scores, target, output_length, target_length)
    losses, reached = torch.ops.aten._ctc_loss.Tensor(*given, blank, True)
    gradients = torch.ops.aten._ctc_loss_backward.Tensor(
        torch.ones_like(losses), *given, losses, reached, blank, True
    )
    return losses.masked_fill(losses.isinf(), IMPOSSIBLE), gradients


@_losses.register_fake
def _(scores: Tensor, target: Tensor, *others: Any) -> tuple[Tensor, Tensor]:
    return scores.new_empty(scores.shape[1]), torch.empty_like(scores)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(output[1])


def _backward(ctx: Any, upstream: Tensor, _: Any) -> tuple[Any, ...]:
    return upstream[:, None] * ctx.saved_tensors[0], None, None, None, None


_losses.register_autograd(_backward, setup_context=_keep)


def ctc_loss(
    scores: Tensor, target: Tensor, target_length: Tensor, output_length: Tensor, mask_index: int
) -> Tensor:
    return _losses(scores.transpose(0, 1).contiguous(), target, target_length, output_length, mask_index)[0]


NATIVES: dict[str, Callable[..., Any]] = {"_ctc_loss": ctc_loss}
