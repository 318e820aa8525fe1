"""PyTorch's own activations, and convolution and pooling on channels-last tensors.

Torch names the channels second but computes where they lie: a channels-last tensor whose axes are put in
torch's order is in what torch calls the channels-last memory format. So only names of axes change here,
nothing is copied. Tensors with one spatial dimension count as images of one row.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor

from triceras.core.shapes import canonical_axes, same_padding
from triceras.engine.on_torch.arrays import torch_dtype

Sizes = tuple[int, ...]


# -- convolution and pooling ---------------------------------------------------------------------------------


def _spatial(run: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A function of tensors in torch's order with 2 or 3 spatial dimensions, for channels-last ones with 1 to 3."""

    @functools.wraps(run)
    def general(*tensors: Tensor, **options: Any) -> Tensor:
        x, *kernels = tensors
        rank, dtype = x.ndim - 2, x.dtype
        if rank == 1:
            x, kernels = x.unsqueeze(1), [kernel.unsqueeze(0) for kernel in kernels]
            options = {name: _with_row(name, value) for name, value in options.items()}
        if not (dtype.is_floating_point or dtype.is_complex):  # torch has it for floats; doubles are exact
            x, kernels = x.to(torch.float64), [kernel.to(torch.float64) for kernel in kernels]
        second, last, kernel_order = _ORDERS[x.ndim]
        kernels = [kernel.permute(kernel_order) for kernel in kernels]
        found = run(x.permute(second), *kernels, **options).permute(last)
        found = found if found.dtype is dtype else found.to(dtype)
        return found.squeeze(1) if rank == 1 else found

    return general


# by rank: the axes of channels-last tensors in torch's order, back, and those of a kernel
_ORDERS = {
    4: ((0, 3, 1, 2), (0, 2, 3, 1), (3, 2, 0, 1)),
    5: ((0, 4, 1, 2, 3), (0, 2, 3, 4, 1), (4, 3, 0, 1, 2)),
}


def _with_row(name: str, value: Any) -> Any:
    """A number for each of two dimensions, of which the first has size 1."""
    return (0 if name == "output_padding" else 1, *value) if isinstance(value, tuple) else value


def _spans(kernel: Tensor, dilation: Sizes) -> list[int]:
    """Cells from the first to the last that a dilated kernel covers."""
    return [(k - 1) * d + 1 for k, d in zip(kernel.shape[2:], dilation, strict=True)]


@_spatial
def conv_general(
    x: Tensor, kernel: Tensor, strides: Sizes, padding: str, dilation: Sizes, groups: int
) -> Tensor:
    edges = [0] * len(strides)
    if padding == "same":
        pads = same_padding(x.shape[2:], _spans(kernel, dilation), strides)
        edges = [low for low, _ in pads]
        if any(low != high for low, high in pads):
            x = F.pad(x, [n for pair in reversed(pads) for n in pair])
            edges = [0] * len(strides)
    return torch.convolution(x, kernel, None, strides, edges, dilation, False, [0] * len(strides), groups)


@_spatial
def conv_transpose_general(
    x: Tensor, kernel: Tensor, strides: Sizes, padding: str, output_padding: Sizes | None, dilation: Sizes
) -> Tensor:
    edges, extra, wanted = [], [], []
    for i, (n, span, stride) in enumerate(zip(x.shape[2:], _spans(kernel, dilation), strides, strict=True)):
        if padding == "same":
            cut = span - span % 2 - (stride - span % 2 if output_padding is None else output_padding[i])
        else:
            cut = -(max(stride - span, 0) if output_padding is None else output_padding[i])
        edges.append(max(cut, 0) // 2)
        extra.append(min(max(-cut, 0), max(stride, dilation[i]) - 1))  # torch takes no more
        wanted.append((n - 1) * stride + span - cut)
    found = torch.convolution(x, kernel, None, strides, edges, dilation, True, extra, 1)
    found = found[(..., *map(slice, wanted))]
    missing = [w - n for w, n in zip(wanted, found.shape[2:], strict=True)]
    return F.pad(found, [n for m in reversed(missing) for n in (0, m)]) if any(missing) else found


def _pool(pool: Callable[..., Tensor], x: Tensor, size: Sizes, strides: Sizes, padding: str) -> Tensor:
    """Pooling, whose padding torch wants even.

    Where a cell is missing at the end only, windows of a stride may reach over the end (torch's ceil mode), and
    with stride 1 a cell more at the start makes one window more there, which is dropped.
    """
    if padding == "valid":
        return pool(x, size, strides)
    pads = same_padding(x.shape[2:], size, strides)
    surplus = [high - low if s == 1 else 0 for (low, high), s in zip(pads, strides, strict=True)]
    edges = [low + more for (low, _), more in zip(pads, surplus, strict=True)]
    found = pool(x, size, strides, edges, ceil_mode=True)
    return found[(..., *(slice(more, None) for more in surplus))] if any(surplus) else found


@_spatial
def max_pool_general(x: Tensor, pool_size: Sizes, strides: Sizes, padding: str) -> Tensor:
    return _pool(torch.max_pool2d if x.ndim == 4 else torch.max_pool3d, x, pool_size, strides, padding)


@_spatial
def average_pool_general(x: Tensor, pool_size: Sizes, strides: Sizes, padding: str) -> Tensor:
    pool = F.avg_pool2d if x.ndim == 4 else F.avg_pool3d
    return _pool(functools.partial(pool, count_include_pad=False), x, pool_size, strides, padding)


# -- normalization and attention -----------------------------------------------------------------------------


def batch_norm(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, axis: int, epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    # torch is fast with one or with three dimensions
    planes = x.unsqueeze(1) if x.ndim == 3 and axis == 2 else x
    place = axis + planes.ndim - x.ndim
    y, mean, deviation = torch.native_batch_norm(
        planes.movedim(place, 1), gamma, beta, None, None, True, 0.0, epsilon
    )
    variance = torch.clamp(deviation.detach() ** -2 - epsilon, min=0)
    return y.movedim(1, place).reshape(x.shape), mean.detach(), variance


def layer_norm(x: Tensor, gamma: Tensor | None, beta: Tensor | None, rank: int, epsilon: float) -> Tensor:
    return torch.layer_norm(x, x.shape[x.ndim - rank :], gamma, beta, epsilon)


def attention(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, scale: float, is_causal: bool
) -> Tensor:
    options = {"scale": scale, "is_causal": is_causal, "enable_gqa": query.shape[2] > key.shape[2]}
    if bias is not None:
        options["attn_mask"] = bias.to(query.dtype).clamp(min=torch.finfo(query.dtype).min)
    query, key, value = (x.transpose(1, 2) for x in (query, key, value))  # heads first
    return F.scaled_dot_product_attention(query, key, value, **options).transpose(1, 2)


# -- others --------------------------------------------------------------------------------------------------


def chosen(x: Tensor, numbers: Tensor, axis: int) -> Tensor:
    """Torch's kernel of the negative log-likelihood, which leaves out what has a certain number."""
    count, places = x.shape[axis], numbers.to(torch.int64)
    places = torch.where(places.clamp(0, count - 1) == places, places, -1)
    rows = x.movedim(axis, -1).reshape(-1, count)
    return -F.nll_loss(rows, places.reshape(-1), ignore_index=-1, reduction="none").view(numbers.shape)


def samples(images: Tensor, rows: Tensor, columns: Tensor, nearest: bool) -> Tensor:
    """By torch's own kernel, which takes places as shares of the image, from -1 to 1."""
    n, height, width, _ = images.shape
    exact = images.dtype in (torch.float32, torch.float64)
    x = images if exact else images.to(torch.float32 if images.is_floating_point() else torch.float64)
    places = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], dim=-1)
    grid = places.reshape(n, -1, rows.shape[-1], 2).to(x.dtype)
    mode = "nearest" if nearest else "bilinear"
    found = F.grid_sample(x.permute(0, 3, 1, 2), grid, mode, padding_mode="zeros", align_corners=False)
    return found.permute(0, 2, 3, 1).reshape(*rows.shape, -1).to(images.dtype)


def one_hot(x: Tensor, num_classes: int, axis: int, dtype: str) -> Tensor:
    classes = torch.arange(num_classes, device=x.device).view(-1, *(1,) * (x.ndim - axis))
    return (x.unsqueeze(axis) == classes).to(torch_dtype(dtype))


# -- activations ---------------------------------------------------------------------------------------------


def _over_axes(run: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A function along one axis, also for several axes or (None) all, which are joined to one."""

    def over(x: Tensor, axis: int | Sequence[int] | None) -> Tensor:
        if isinstance(axis, int):
            return run(x, axis)
        axes = tuple(range(x.ndim)) if axis is None else canonical_axes(axis, x.ndim)
        last = tuple(range(x.ndim - len(axes), x.ndim))
        moved = x.movedim(axes, last)
        return run(moved.flatten(last[0]), -1).reshape(moved.shape).movedim(last, axes)

    return over


NATIVES: dict[str, Callable[..., Any]] = {
    **{
        f.__name__: f
        for f in (
            conv_general, conv_transpose_general, max_pool_general, average_pool_general, batch_norm, layer_norm,
            attention,
        )
    },
    "_chosen": chosen,
    "_one_hot": one_hot,
    "_samples": samples,
    "celu": F.celu,
    "elu": F.elu,
    "gelu": lambda x, approximate: F.gelu(x, approximate="tanh" if approximate else "none"),
    "hard_sigmoid": F.hardsigmoid,
    "hard_silu": F.hardswish,
    "leaky_relu": F.leaky_relu,
    "log_sigmoid": F.logsigmoid,
    "log_softmax": _over_axes(torch.log_softmax),
    "relu": torch.relu,
    "relu6": F.relu6,
    "selu": F.selu,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "softmax": _over_axes(torch.softmax),
    "softplus": F.softplus,
}  # fmt: skip
