"""Making, arranging and indexing tensors, and linear algebra."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import ml_dtypes  # noqa: F401 - makes np.dtype("bfloat16") known
import numpy as np
import torch
from torch import Tensor

from triceras.core.dtypes import FLOAT8, promote, standardize_dtype, weak_name
from triceras.core.errors import ArgumentError
from triceras.core.scope import Local
from triceras.core.shapes import TENSOR, broadcast_target, canonical_axes, pad_widths, sizes, target_shape
from triceras.engine.precision import in_single

_STAND_INS = {"uint16": "int32", "uint32": "int64", "uint64": "int64"}  # torch hardly computes on these
_AS_BYTES = {"bfloat16": np.int16} | dict.fromkeys(FLOAT8, np.uint8)  # NumPy's, which torch can't read
_torch_dtypes: dict[str, torch.dtype] = {}
here: Local[torch.device] = Local(
    "torch_device", torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
)


def canonical(dtype: Any) -> str:
    """The dtype that torch uses for a name."""
    name = standardize_dtype(dtype)
    return _STAND_INS.get(name, name)


def torch_dtype(dtype: Any) -> torch.dtype:
    """Torch's dtype for a name."""
    name = canonical(dtype)
    found = _torch_dtypes.get(name)
    if found is None:
        found = _torch_dtypes[name] = getattr(torch, name, None)
        if found is None:
            raise ArgumentError(f"PyTorch has no dtype {name!r}.")
    return found


def placed(x: Tensor, data: bool = False) -> Tensor:
    """A tensor of the host on the device in use; for data, the host does other things during the transfer."""
    device = here.get()
    if device.type == "cpu":
        return x
    return x.pin_memory().to(device, non_blocking=True) if data else x.to(device)


def from_numpy(array: np.ndarray, dtype: Any, data: bool = False) -> Tensor:
    """A tensor on the device, where that is the host on the array's memory; cast if need be."""
    name = standardize_dtype(array.dtype)
    if name in _AS_BYTES:
        tensor = torch.from_numpy(np.ascontiguousarray(array).view(_AS_BYTES[name]).reshape(array.shape))
        tensor = placed(tensor.view(torch_dtype(name)), data)
    else:
        if name in _STAND_INS:
            array = array.astype(_STAND_INS[name])
        elif any(stride <= 0 for stride in array.strides):  # 0, of a new axis, misleads graph capture
            array = array.copy()
        tensor = placed(torch.from_numpy(array), data)
    return tensor if dtype is None else tensor.to(torch_dtype(dtype))


def from_number(value: bool | int | float | complex, dtype: Any) -> Tensor:
    """A scalar on the device."""
    target = torch_dtype(type(value) if dtype is None else dtype)
    try:
        return torch.full((), value, dtype=target, device=here.get())
    except RuntimeError:
        raise OverflowError(f"{value} is out of range for {standardize_dtype(target)}") from None


def to_numpy(x: Tensor) -> np.ndarray:
    """A tensor's values."""
    x = x.detach().cpu().resolve_conj().resolve_neg()
    name = standardize_dtype(x.dtype)
    if name in _AS_BYTES:
        return x.contiguous().view(torch_dtype(_AS_BYTES[name])).numpy().view(name)
    return x.numpy()


def cast(x: Tensor, dtype: Any) -> Tensor:
    target = torch_dtype(dtype)
    return (x.real if x.is_complex() and not target.is_complex else x).to(target)


def full(fill_value: Any, shape: Any, dtype: Any) -> Tensor:
    if not isinstance(fill_value, Tensor):
        try:
            return torch.full(sizes(shape), fill_value, dtype=torch_dtype(dtype), device=here.get())
        except RuntimeError:  # the dtype doesn't hold the number
            fill_value = from_number(fill_value, None)
    return torch.broadcast_to(cast(fill_value, dtype), sizes(shape)).clone(
        memory_format=torch.contiguous_format
    )


def _filled_like(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x, dtype: make(x, dtype=None if dtype is None else torch_dtype(dtype))


def reshape(x: Tensor, newshape: Any) -> Tensor:
    try:
        return x.reshape(newshape)
    except (TypeError, RuntimeError):  # None among the sizes, or they don't fit
        return x.reshape(target_shape(x.shape, newshape))


def transpose(x: Tensor, axes: Sequence[int] | None) -> Tensor:
    return x.permute(*range(x.ndim - 1, -1, -1)) if axes is None else x.permute(axes)


def expand_dims(x: Tensor, axis: int | Sequence[int]) -> Tensor:
    if isinstance(axis, int):
        return x.unsqueeze(axis)
    for place in sorted(canonical_axes(axis, x.ndim + len(axis))):
        x = x.unsqueeze(place)
    return x


def broadcast_to(x: Tensor, shape: Any) -> Tensor:
    return x.expand(broadcast_target(x.shape, shape))


def flip(x: Tensor, axis: int | Sequence[int] | None) -> Tensor:
    return torch.flip(x, tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else axis)


def roll(x: Tensor, shift: int | Sequence[int], axis: int | Sequence[int] | None) -> Tensor:
    if isinstance(shift, int) and isinstance(axis, Sequence):
        shift = (shift,) * len(axis)
    return torch.roll(x, shift, axis)


def concatenate(xs: Sequence[Tensor], axis: int | None) -> Tensor:
    return torch.cat([x.reshape(-1) for x in xs]) if axis is None else torch.cat(xs, axis)


def tile(x: Tensor, repeats: Any) -> Tensor:
    return torch.tile(x, (repeats,) if isinstance(repeats, int) else tuple(repeats))


def pad(x: Tensor, constant_values: Any, pad_width: Any, mode: str) -> Tensor:
    widths = pad_widths(pad_width, x.ndim)
    if mode != "constant":
        if constant_values is not None:
            raise ArgumentError(f'`constant_values` goes with mode="constant" only. Received: mode={mode!r}')
        return _pad_by_index(x, widths, mode)
    margins = [n for pair in reversed(widths) for n in pair]
    if not isinstance(constant_values, Tensor):
        value = constant_values or 0
        try:
            return torch.nn.functional.pad(x, margins, value=value if x.is_floating_point() else int(value))
        except (RuntimeError, TypeError):  # the dtype doesn't hold the number
            constant_values = from_number(value, None)
    inside = torch.nn.functional.pad(torch.ones_like(x, dtype=torch.bool), margins)
    return torch.where(inside, torch.nn.functional.pad(x, margins), cast(constant_values, x.dtype))


def _pad_by_index(x: Tensor, widths: Sequence[tuple[int, int]], mode: str) -> Tensor:
    """Margins that repeat elements: NumPy says which ones."""
    if mode not in ("edge", "reflect", "symmetric", "wrap"):
        known = "constant, edge, reflect, symmetric or wrap"
        raise ArgumentError(f"pad() knows the modes {known} on PyTorch. Received: mode={mode!r}")
    for axis, width in enumerate(widths):
        if any(width):
            x = x.index_select(axis, from_numpy(np.pad(np.arange(x.shape[axis]), width, mode), None))
    return x


def view(x: Tensor, dtype: Any) -> Tensor:
    if dtype is None:
        return x
    name = standardize_dtype(dtype)
    return x.contiguous().view(getattr(torch, name)).to(torch_dtype(name))


# -- indexing ------------------------------------------------------------------------------------------------


def get_item(x: Tensor, key: tuple[Any, ...]) -> Tensor:
    try:
        return x[key]
    except ValueError:  # a negative step
        return _turned(x, key)


def gather_items(x: Tensor, indices: Sequence[Tensor], key: tuple[Any, ...]) -> Tensor:
    following = iter(indices)
    key = tuple(_places(next(following)) if k == TENSOR else k for k in key)
    try:
        return x[key]
    except ValueError:
        return _turned(x, key)


def _turned(x: Tensor, key: tuple[Any, ...]) -> Tensor:
    """An indexing with negative steps, as one with positive steps of the reversed axes."""
    used = sum(k.ndim if _is_mask(k) else 1 for k in key if k is not None and k is not Ellipsis)
    axis, turned = 0, []
    for k in key:
        if isinstance(k, slice) and (k.step or 1) < 0:
            x, picked = x.flip(axis), range(x.shape[axis])[k]
            last = x.shape[axis] - 1  # where the first element is now
            k = slice(last - picked.start, last - picked.stop, -picked.step) if picked else slice(0, 0)
        turned.append(k)
        axis += x.ndim - used if k is Ellipsis else 0 if k is None else k.ndim if _is_mask(k) else 1
    return x[tuple(turned)]


def _is_mask(k: Any) -> bool:
    return isinstance(k, Tensor) and k.dtype is torch.bool


def _places(indices: Tensor) -> Tensor:
    """Indices of a dtype that torch takes; of bytes it would make a mask."""
    return indices if indices.dtype in (torch.bool, torch.int32, torch.int64) else indices.to(torch.int64)


def _from_front(indices: Tensor, size: int) -> Tensor:
    """Indices, also those that count from the end."""
    return torch.where(indices < 0, indices + size, indices)


def where(condition: Tensor, x1: Any, x2: Any) -> Any:
    if x1 is None or x2 is None:
        if x1 is not None or x2 is not None:
            raise ArgumentError("where() takes both `x1` and `x2`, or neither.")
        return nonzero(condition)
    if condition.dtype is not torch.bool:
        condition = condition.to(torch.bool)
    if not isinstance(x1, Tensor) and not isinstance(x2, Tensor):
        dtype = promote((weak_name(type(x1)), weak_name(type(x2))))
        x1 = torch.scalar_tensor(x1, dtype=torch_dtype(dtype), device=condition.device)
    return torch.where(condition, x1, x2)


def nonzero(x: Tensor) -> tuple[Tensor, ...]:
    return tuple(places.to(torch.int32) for places in torch.nonzero(x, as_tuple=True))


def unique(
    x: Tensor,
    sorted: bool,
    return_index: bool,
    return_inverse: bool,
    return_counts: bool,
    axis: int | None,
    size: int | None,
    fill_value: Any,
) -> Any:
    values, inverse, counts = torch.unique(x, return_inverse=True, return_counts=True, dim=axis)
    order = torch.argsort(inverse.reshape(-1), stable=True)
    index = order[torch.cumsum(counts, 0) - counts]
    if size is not None:
        at = axis or 0
        first = values.narrow(at, 0, 1) if fill_value is None else values.new_full((), fill_value)
        values = _fitted(values, size, at, first)
        index, counts = _fitted(index, size, 0, index[:1]), _fitted(counts, size, 0, counts.new_zeros(()))
    wanted = ((index, return_index), (inverse, return_inverse), (counts, return_counts))
    extra = [found.to(torch.int32) for found, want in wanted if want]
    return (values, *extra) if extra else values


def _fitted(x: Tensor, size: int, axis: int, fill: Tensor) -> Tensor:
    """A tensor cut or filled up to a size along an axis."""
    if size <= x.shape[axis]:
        return x.narrow(axis, 0, size)
    margin = (*x.shape[:axis], size - x.shape[axis], *x.shape[axis + 1 :])
    return torch.cat([x, fill.expand(margin)], axis)


def take(x: Tensor, indices: Tensor, axis: int | None) -> Tensor:
    if axis is None:
        x, axis = x.reshape(-1), 0
    axis %= x.ndim
    if indices.ndim and not x.requires_grad and indices.numel() * x.numel() < 1 << 14:
        return x[(slice(None),) * axis + (_places(indices),)]  # slower than what follows, but in one call
    rows = _from_front(_places(indices), x.shape[axis])
    found = torch.index_select(x, axis, rows.reshape(-1))  # with its gradient faster than embedding()
    return found if rows.ndim == 1 else found.reshape(*x.shape[:axis], *rows.shape, *x.shape[axis + 1 :])


def take_along_axis(x: Tensor, indices: Tensor, axis: int | None) -> Tensor:
    if axis is None:
        x, indices, axis = x.reshape(-1), indices.reshape(-1), 0
    return torch.take_along_dim(x, _from_front(indices.to(torch.int64), x.shape[axis]), axis)


def slice_block(inputs: Tensor, start_indices: Tensor, shape: Any) -> Tensor:
    wanted = sizes(
        [n - int(s) if d == -1 else d for d, n, s in zip(shape, inputs.shape, start_indices, strict=True)]
    )
    return inputs[_block(inputs.shape, start_indices, wanted)]


def slice_update(inputs: Tensor, start_indices: Tensor, updates: Tensor) -> Tensor:
    places = _block(inputs.shape, start_indices, updates.shape)
    return inputs.index_put(places, updates.to(inputs.dtype))


def _block(shape: Sequence[int], start: Tensor, wanted: Sequence[int]) -> tuple[Tensor, ...]:
    """Indices of a block, moved back where it would reach beyond the end."""
    if any(w > n for w, n in zip(wanted, shape, strict=True)):
        raise ArgumentError(f"A block of shape {tuple(wanted)} doesn't fit into shape {tuple(shape)}.")
    places = []
    for axis, (first, n, w) in enumerate(zip(start.unbind(), shape, wanted, strict=True)):
        corner = torch.clamp(_from_front(first, n), 0, n - w)
        line = [-1 if i == axis else 1 for i in range(len(shape))]
        places.append((corner + torch.arange(w, device=start.device)).reshape(line))
    return tuple(places)


def scatter_update(inputs: Tensor, indices: Tensor, updates: Tensor, reduction: str | None) -> Tensor:
    known = (None, "add", "max", "min", "mul")
    if reduction not in known:
        raise ArgumentError(f"`reduction` must be one of {known}. Received: {reduction!r}")
    updates, places = updates.to(inputs.dtype), _places(indices).unbind(-1)
    if reduction in (None, "add"):
        return inputs.index_put(places, updates, accumulate=reduction == "add")
    outer, inner = inputs.shape[: len(places)], inputs.shape[len(places) :]
    row = 0
    for place, size in zip(places, outer, strict=True):
        row = row * size + _from_front(place.to(torch.int64), size)
    rows, values = inputs.reshape(-1, *inner), updates.expand(*row.shape, *inner).reshape(-1, *inner)
    return combine_rows(rows, row.reshape(-1), values, reduction).reshape(inputs.shape)


def combine_rows(target: Tensor, rows: Tensor, values: Tensor, reduction: str) -> Tensor:
    """The target with rows of values combined into its rows of these numbers."""
    kind = {"max": "amax", "min": "amin"}.get(reduction, "prod")
    places = rows.reshape(-1, *(1 for _ in values.shape[1:])).expand_as(values)
    return target.scatter_reduce(0, places, values, kind)


def sort(x: Tensor, axis: int | None) -> Tensor:
    return torch.sort(x.reshape(-1) if axis is None else x, 0 if axis is None else axis)[0]


def argsort(x: Tensor, axis: int | None) -> Tensor:
    if axis is None:
        x, axis = x.reshape(-1), 0
    return torch.sort(x, dim=axis, stable=True)[1].to(torch.int32)


def searchsorted(sorted_sequence: Tensor, values: Tensor, side: str) -> Tensor:
    if values.dtype is torch.bool:
        sorted_sequence, values = sorted_sequence.to(torch.uint8), values.to(torch.uint8)
    return torch.searchsorted(sorted_sequence.contiguous(), values.contiguous(), side=side, out_int32=True)


# -- linear algebra ------------------------------------------------------------------------------------------


def _for_truth(product: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A product of matrices that counts, which torch lacks for truth values."""

    def run(x1: Tensor, x2: Tensor, **options: Any) -> Tensor:
        if x1.dtype is torch.bool:
            return product(x1.to(torch.int32), x2.to(torch.int32), **options).to(torch.bool)
        return product(x1, x2, **options)

    return run


def affine(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    if x.dtype is torch.bool:
        return _for_truth(torch.matmul)(x, kernel) + bias
    return torch.addmm(bias, x, kernel) if x.ndim == 2 else torch.nn.functional.linear(x, kernel.t(), bias)


def tensordot(x1: Tensor, x2: Tensor, axes: Any) -> Tensor:
    if not isinstance(axes, int):
        axes = tuple([a] if isinstance(a, int) else list(a) for a in axes)
    return torch.tensordot(x1, x2, axes)


def einsum(operands: Sequence[Tensor], subscripts: str, kwargs: dict[str, Any]) -> Tensor:
    if operands[0].dtype is torch.bool:
        return torch.einsum(subscripts, *(x.to(torch.int32) for x in operands)).to(torch.bool)
    return torch.einsum(subscripts, *operands)


def pinv(x: Tensor, rcond: float | None) -> Tensor:
    return torch.linalg.pinv(
        x, rtol=10 * max(x.shape[-2:]) * torch.finfo(x.dtype).eps if rcond is None else rcond
    )


def cholesky(x: Tensor, upper: bool) -> Tensor:
    try:
        return torch.linalg.cholesky(x, upper=upper)
    except torch.linalg.LinAlgError:
        raise ArgumentError(
            "cholesky() takes positive definite matrices; what was received isn't positive definite."
        ) from None


def svd(x: Tensor, full_matrices: bool, compute_uv: bool) -> Any:
    return tuple(torch.linalg.svd(x, full_matrices)) if compute_uv else torch.linalg.svdvals(x)


def lu_factor(x: Tensor) -> tuple[Tensor, Tensor]:
    factors, pivots, _ = torch.linalg.lu_factor_ex(x)  # which leaves it to others to mind singular matrices
    return factors, pivots - 1


def _pair(function: Callable[..., Any]) -> Callable[..., tuple[Tensor, ...]]:
    return lambda x, **options: tuple(function(x, **options))


def solve_triangular(a: Tensor, b: Tensor, lower: bool) -> Tensor:
    return torch.linalg.solve_triangular(a, b, upper=not lower)


NATIVES: dict[str, Callable[..., Any]] = {
    **{
        f.__name__: f
        for f in (
            cast, full, reshape, transpose, expand_dims, broadcast_to, flip, roll, concatenate,
            tile, pad, view, get_item, where, nonzero, unique, take, take_along_axis, slice_update,
            scatter_update, sort, argsort, einsum,
        )
    },
    **{f.__name__: in_single(f, cast) for f in (pinv, cholesky, svd, lu_factor)},
    "_gather_items": gather_items,
    "_qr": in_single(_pair(torch.linalg.qr), cast),
    "_searchsorted": searchsorted,
    "_solve": in_single(torch.linalg.solve, cast),
    "_solve_triangular": in_single(solve_triangular, cast),
    "copy": torch.clone,
    "det": in_single(torch.linalg.det, cast),
    "eig": in_single(_pair(torch.linalg.eig), cast),
    "eigh": in_single(_pair(torch.linalg.eigh), cast),
    "inv": in_single(torch.linalg.inv, cast),
    "affine": affine,
    "matmul": _for_truth(torch.matmul),
    "ones": partial(full, 1),
    "ones_like": _filled_like(torch.ones_like),
    "slice": slice_block,
    "slogdet": in_single(_pair(torch.linalg.slogdet), cast),
    "_cut": lambda x, sizes, axis: list(x.split(sizes, axis)),
    "stack": lambda x, axis: torch.stack(x, axis),
    "stop_gradient": torch.detach,
    "tensordot": _for_truth(tensordot),
    "unstack": lambda x, num, axis: list(x.unbind(axis)),
    "zeros": partial(full, 0),
    "zeros_like": _filled_like(torch.zeros_like),
}  # fmt: skip
