"""Choosing, replacing and ordering elements."""

from __future__ import annotations

import builtins
import math
import operator
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from triceras.core.dtypes import promote
from triceras.core.errors import ArgumentError, ShapeError, shown
from triceras.core.registry import export
from triceras.core.shapes import TENSOR, canonical_axes, canonical_axis
from triceras.core.spec import KerasTensor
from triceras.engine import selection
from triceras.ops import creation, elementwise
from triceras.ops import shape as shapes
from triceras.ops.infer import infer
from triceras.ops.op import Kept, Op, OpError, Tensor, Tensors, _kind, _shape, broadcast_shapes, op

AT = ("ops", "ops.numpy")
public = partial(op, at=AT)


class ItemError(OpError, IndexError):
    """An index lies outside the tensor."""


# -- by position ---------------------------------------------------------------------------------------------


def _item_shape(shape: Sequence[int | None], key: tuple[Any, ...]) -> list[int | None]:
    """The shape that integers, slices, None and one Ellipsis leave of a shape."""
    used = sum(k is not None and k is not Ellipsis for k in key)
    if used > len(shape) or sum(k is Ellipsis for k in key) > 1:
        raise ItemError(f"A tensor of shape {tuple(shape)} can't be indexed with {key}: too many indices.")
    sizes, result = iter(shape), []
    for k in (*key, Ellipsis) if Ellipsis not in key else key:
        if k is None:
            result.append(1)
        elif k is Ellipsis:
            result += [next(sizes) for _ in range(len(shape) - used)]
        elif isinstance(k, builtins.slice):
            size = next(sizes)
            result.append(None if size is None else len(range(*k.indices(size))))
        else:
            size = next(sizes)
            if size is not None and not -size <= k < size:
                raise ItemError(
                    f"Index {k} is out of range for a size of {size}, in shape {tuple(shape)}[{key}]."
                )
    return result


def _item_spec(made: Op, values: list[Any], statics: dict[str, Any]) -> KerasTensor:
    (x,) = values
    return KerasTensor(_item_shape(x.shape, statics["key"]), x.dtype)


@op(spec=_item_spec, at=(), passed=("key",))
def get_item(x: Kept, key: tuple[Any, ...]) -> Tensor:
    """Elements by integers, slices, None and Ellipsis."""
    ...


_get_item = get_item


@op(at=())
def _gather_items(x: Kept, indices: Tensors, key: tuple[Any, ...]) -> Tensor:
    """Elements by integer or bool tensors; these stand where `key` says TENSOR."""
    ...


@export("ops.get_item", "ops.numpy.get_item")
def get_item(x: Any, key: Any) -> Tensor:
    """`x[key]` for integers, slices, None, Ellipsis, and arrays or tensors of integers or bools.

    Raises:
        ItemError: an `IndexError`; an integer lies outside.

    >>> get_item(creation.array([[1, 2], [3, 4]]), (..., 0)).tolist()
    [1, 3]
    """
    template, tensors = [], []
    for k in key if isinstance(key, tuple) else (key,):
        if k is None or k is Ellipsis:
            template.append(k)
        elif isinstance(k, builtins.slice):
            template.append(
                builtins.slice(*(None if b is None else _index(b) for b in (k.start, k.stop, k.step)))
            )
        elif _is_tensor(k):
            template.append(TENSOR)
            tensors.append(k)
        elif isinstance(k, (int, np.integer)) and not isinstance(k, bool):
            template.append(int(k))
        else:
            found = _index_arrays(k)
            template += [TENSOR] * len(found)
            tensors += found
    template = tuple(template)
    if tensors:
        return _gather_items(x, tensors, template)
    if not isinstance(x, KerasTensor):
        _item_shape(_shape(x), template)
    return _get_item(x, template)


get_item.op = _get_item.op  # type: ignore[attr-defined]


def _is_tensor(k: Any) -> bool:
    return (
        isinstance(k, KerasTensor)
        or hasattr(k, "__triceras_tensor__")
        or selection.engine_of(type(k)) is not None
    )


def _index(bound: Any) -> int:
    try:
        return operator.index(bound)
    except Exception as error:
        raise ArgumentError(
            f"The bounds of a slice must be known integers, since they decide about the shape. "
            f"Received: {shown(bound)}. "
            "Use ops.slice() for a start that is a tensor."
        ) from error


def _index_arrays(k: Any) -> list[Any]:
    """The index arrays that a list or an array stands for: one of integers, or the places of true bools."""
    if isinstance(k, (list, range)) and any(_is_tensor(v) for v in k):
        return [shapes.stack(k)]
    array = np.asarray(k)
    if array.dtype == bool and array.ndim:
        return [places.astype("int32") for places in array.nonzero()]
    if array.size and array.dtype.kind not in "iu":
        raise ArgumentError(
            f"A tensor is indexed with integers, slices, None, ... or bool masks. Received: {shown(k)}"
        )
    return [array.astype("int32")]


@public()
def take(x: Kept, indices: Kept, axis: int | None = None) -> Tensor:
    """Slices along an axis by index, negative ones from the end; of the flattened tensor if it is None.

    >>> take([10, 20, 30], [2, 0]).tolist()
    [30, 10]
    """
    ...


@public()
def take_along_axis(x: Kept, indices: Kept, axis: int | None = None) -> Tensor:
    """For each place in `indices`, the element of `x` there, with its own index along the axis.

    >>> take_along_axis([[3, 1], [2, 4]], [[1], [0]], axis=1).tolist()
    [[1], [2]]
    """
    ...


@op()
def slice(inputs: Kept, start_indices: Kept, shape: Sequence[int]) -> Tensor:
    """A block of a fixed shape, whose corner may be a tensor; moved back where it reaches beyond the end.

    Args:
        inputs: the tensor.
        start_indices: one index for each axis.
        shape: the block's sizes.

    >>> slice([1, 2, 3, 4], [1], (2,)).tolist()
    [2, 3]
    """
    ...


@op()
def slice_update(inputs: Kept, start_indices: Kept, updates: Kept) -> Tensor:
    """The tensor with a block replaced, whose corner may be a tensor.

    >>> slice_update([1, 2, 3, 4], [1], [7, 8]).tolist()
    [1, 7, 8, 4]
    """
    ...


@op()
def scatter(indices: Kept, values: Kept, shape: Sequence[int]) -> Tensor:
    """Zeros with values added at places.

    Args:
        indices: of shape `(..., k)`, each the first `k` coordinates of a place.
        values: what goes there; what goes to the same place is summed.
        shape: of the result.

    >>> scatter([[0], [2], [2]], [1, 2, 3], (4,)).tolist()
    [1, 0, 5, 0]
    """
    return scatter_update(creation.zeros(shape, values.dtype), indices, values, "add")


@op()
def scatter_update(inputs: Kept, indices: Kept, updates: Kept, reduction: str | None = None) -> Tensor:
    """The tensor with new values at places.

    Args:
        inputs: the tensor.
        indices: of shape `(..., k)`, each the first `k` coordinates of a place.
        updates: the values.
        reduction: None replaces; "add", "max", "min" and "mul" combine with what is there.

    >>> scatter_update([1, 2, 3], [[0], [2]], [7, 8]).tolist()
    [7, 2, 8]
    """
    ...


def smaller_size(made: Op, values: list[Any], statics: dict[str, Any]) -> Any:
    """Inference for ops whose result has the smaller of two sizes: an unknown one may be that, too."""
    return infer(made._apply, (values, statics), {}, also=(1,))


@public(spec=smaller_size)
def diagonal(x: Kept, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """A diagonal of the planes that two axes span, as the last axis of the result.

    >>> diagonal([[1, 2], [3, 4]]).tolist()
    [1, 4]
    """
    first, second = canonical_axes((axis1, axis2), len(x.shape), "axis")
    rows, columns = x.shape[first], x.shape[second]
    length = max(min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns), 0)
    places = np.arange(length)
    x = shapes.moveaxis(x, (first, second), (-2, -1))
    return get_item(x, (..., places + max(-offset, 0), places + max(offset, 0)))


@public(spec=smaller_size)
def diag(x: Kept, k: int = 0) -> Tensor:
    """The square matrix with a vector on a diagonal, or a matrix's diagonal.

    >>> diag([1, 2]).tolist()
    [[1, 0], [0, 2]]
    """
    if len(x.shape) == 2:
        return diagonal(x, k)
    if len(x.shape) != 1:
        raise ShapeError(f"diag() takes a vector or a matrix. Received shape {tuple(x.shape)}.")
    size = x.shape[0] + abs(k)
    line = shapes.reshape(shapes.pad(x, (0, abs(k))), (-1, 1) if k >= 0 else (1, -1))
    return where(creation.eye(size, k=k, dtype="bool"), line, creation.zeros((), x.dtype))


@public()
def diagflat(x: Kept, k: int = 0) -> Tensor:
    """The square matrix with all elements of a tensor on a diagonal.

    >>> diagflat([[1, 2]]).tolist()
    [[1, 0], [0, 2]]
    """
    return diag(shapes.ravel(x), k)


@public()
def tril(x: Kept, k: int = 0) -> Tensor:
    """The lower triangles of matrices, up to a diagonal; zeros above.

    >>> tril([[1, 2], [3, 4]]).tolist()
    [[1, 0], [3, 4]]
    """
    return where(_below(x, k, "tril"), x, creation.zeros((), x.dtype))


@public()
def triu(x: Kept, k: int = 0) -> Tensor:
    """The upper triangles of matrices, from a diagonal; zeros below.

    >>> triu([[1, 2], [3, 4]]).tolist()
    [[1, 2], [0, 4]]
    """
    return where(_below(x, k - 1, "triu"), creation.zeros((), x.dtype), x)


def _below(x: Tensor, k: int, what: str) -> Tensor:
    if len(x.shape) < 2:
        raise ShapeError(f"{what}() takes a tensor of rank 2 or more. Received shape {tuple(x.shape)}.")
    return creation.tri(x.shape[-2], x.shape[-1], k, "bool")


# -- by condition --------------------------------------------------------------------------------------------


def _where_spec(made: Op, values: list[Any], statics: dict[str, Any]) -> Any:
    condition, x1, x2 = values
    if x1 is None or x2 is None:
        return _places_spec(made, values, statics)
    shape = broadcast_shapes(_shape(condition), _shape(x1), _shape(x2))
    return KerasTensor(shape, promote((_kind(x1), _kind(x2))))


def _places_spec(made: Op, values: list[Any], statics: dict[str, Any]) -> tuple[KerasTensor, ...]:
    return tuple(KerasTensor((None,), "int32") for _ in values[0].shape)


@public(promote, spec=_where_spec)
def where(condition: Kept, x1: Tensor | None = None, x2: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
    """Elements of `x1` where a condition holds, else of `x2`; without these two, the places as in `nonzero`.

    >>> where([True, False], [1, 2], 0).tolist()
    [1, 0]
    """
    ...


@public(spec=_places_spec)
def nonzero(x: Kept) -> tuple[Tensor, ...]:
    """The places of elements other than zero: an index vector for each axis.

    Their number depends on the data, so that this can't run inside a compiled step on JAX.

    >>> nonzero([0, 5, 0, 7])[0].tolist()
    [1, 3]
    """
    ...


@public(promote)
def select(condlist: Tensors, choicelist: Tensors, default: Tensor = 0) -> Tensor:
    """From several tensors, each element from the first whose condition holds there, else the default.

    >>> select([[True, False], [True, True]], [[1, 2], [3, 4]]).tolist()
    [1, 4]
    """
    if len(condlist) != len(choicelist) or not len(condlist):
        raise ArgumentError(
            f"select() takes as many conditions as choices. Received: {len(condlist)} and {len(choicelist)}"
        )
    result = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = where(condition, choice, result)
    return result


@public(promote)
def isin(x1: Tensor, x2: Tensor, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether elements of `x1` are among those of `x2`, elementwise.

    Args:
        x1: the elements.
        x2: the set to look in, of any shape.
        assume_unique: accepted for compatibility; nothing is gained by it here.
        invert: tell whether they are not.

    >>> isin([1, 2, 3], [3, 1]).tolist()
    [True, False, True]
    """
    ordered = sort(shapes.ravel(x2))
    size = ordered.shape[0]
    if not size:
        return creation.full(x1.shape, bool(invert), "bool")
    places = elementwise.minimum(searchsorted(ordered, shapes.ravel(x1)), size - 1)
    found = shapes.reshape(take(ordered, places), x1.shape)
    return elementwise.not_equal(found, x1) if invert else elementwise.equal(found, x1)


# -- order ---------------------------------------------------------------------------------------------------


@public()
def sort(x: Kept, axis: int | None = -1) -> Tensor:
    """Elements in ascending order along an axis; of the flattened tensor if it is None. NaN comes last.

    >>> sort([3, 1, 2]).tolist()
    [1, 2, 3]
    """
    ...


@public()
def argsort(x: Kept, axis: int | None = -1) -> Tensor:
    """The indices that sort a tensor along an axis; equal elements keep their order.

    >>> argsort([3, 1, 2]).tolist()
    [1, 2, 0]
    """
    ...


@public()
def argpartition(x: Kept, kth: int, axis: int | None = -1) -> Tensor:
    """Indices that put the `kth` element in its sorted place, smaller ones before and larger ones after it.

    >>> argpartition([3, 1, 2], 0).tolist()[0]
    1
    """
    size = math.prod(x.shape) if axis is None else x.shape[canonical_axis(axis, len(x.shape))]
    if not -size <= kth < size:
        raise ArgumentError(f"`kth`={kth} is out of range for a size of {size}.")
    return argsort(x, axis)


@public(promote)
def searchsorted(sorted_sequence: Tensor, values: Tensor, side: str = "left") -> Tensor:
    """Where values would be inserted to keep a sequence sorted.

    Args:
        sorted_sequence: an ascending vector.
        values: of any shape.
        side: before ("left") or after ("right") equal elements.

    >>> searchsorted([1, 3, 5], [3, 4]).tolist()
    [1, 2]
    """
    if side not in ("left", "right"):
        raise ArgumentError(f'`side` must be "left" or "right". Received: {side!r}')
    if len(sorted_sequence.shape) != 1:
        raise ShapeError(f"searchsorted() looks in a vector. Received shape {tuple(sorted_sequence.shape)}.")
    return _searchsorted(sorted_sequence, values, side)


@op(at=())
def _searchsorted(sorted_sequence: Kept, values: Kept, side: str) -> Tensor:
    """The search itself."""
    ...


def _unique_spec(made: Op, values: list[Any], statics: dict[str, Any]) -> Any:
    (x,), axis, size = values, statics["axis"], statics["size"]
    if axis is None:
        shape, length = (size,), None if None in x.shape else math.prod(x.shape)
        inverse = x.shape
    else:
        axis = canonical_axis(axis, len(x.shape))
        shape, length = (*x.shape[:axis], size, *x.shape[axis + 1 :]), x.shape[axis]
        inverse = (length,)
    wanted = {"return_index": (size,), "return_inverse": inverse, "return_counts": (size,)}
    extra = [KerasTensor(s, "int32") for name, s in wanted.items() if statics[name]]
    return (KerasTensor(shape, x.dtype), *extra) if extra else KerasTensor(shape, x.dtype)


@public(spec=_unique_spec)
def unique(
    x: Kept,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: Any = None,
) -> Tensor | tuple[Tensor, ...]:
    """The different elements, or slices along an axis, in ascending order.

    Args:
        x: the tensor.
        sorted: accepted for compatibility; the result is sorted in any case.
        return_index: also the index of each one's first occurrence.
        return_inverse: also, for every element, the index of its equal in the result.
        return_counts: also how often each occurs.
        axis: None looks at the elements of the flattened tensor.
        size: exactly so many: cut, or filled up. Without it the result's size depends on the data, so that
            this can't run inside a compiled step on JAX.
        fill_value: fills up; the first element of the result by default.

    >>> unique([3, 1, 1]).tolist()
    [1, 3]
    """
    ...


@public()
def unravel_index(indices: Kept, shape: Sequence[int]) -> tuple[Tensor, ...]:
    """Coordinates, one tensor for each axis of a shape, of places in the flattened tensor.

    >>> [i.item() for i in unravel_index(5, (2, 3))]
    [1, 2]
    """
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    total = math.prod(sizes)
    rest = where(elementwise.less(indices, 0), indices + total, indices)
    rest = elementwise.maximum(elementwise.minimum(rest, total - 1), 0)
    result = []
    for size in reversed(sizes):
        result.append(elementwise.mod(rest, size))
        rest = elementwise.floor_divide(rest, size)
    return tuple(creation.cast(i, indices.dtype) for i in reversed(result))
