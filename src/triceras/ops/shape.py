"""The same elements in another arrangement: reshaping, joining, splitting, repeating, padding."""

from __future__ import annotations

import itertools
import math
import operator
import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from triceras.core.dtypes import promote, standardize_dtype
from triceras.core.errors import ArgumentError, ShapeError
from triceras.core.registry import export
from triceras.core.shapes import canonical_axes, canonical_axis, target_shape
from triceras.core.spec import KerasTensor
from triceras.ops import creation, elementwise, indexing
from triceras.ops.op import Filler, Kept, Op, Tensor, Tensors, op

AT = ("ops", "ops.numpy")
public = partial(op, at=AT)


# -- one tensor, its axes ------------------------------------------------------------------------------------


def _reshape_spec(made: Op, values: list[Any], statics: dict[str, Any]) -> KerasTensor:
    (x,) = values
    return KerasTensor(target_shape(x.shape, statics["newshape"]), x.dtype)


@public(spec=_reshape_spec)
def reshape(x: Kept, newshape: Any) -> Tensor:
    """The same elements, in the same order, in another shape.

    Args:
        x: the tensor.
        newshape: sizes; one may be -1, which then follows from the others.

    >>> reshape([1, 2, 3, 4], (2, -1)).tolist()
    [[1, 2], [3, 4]]
    """
    ...


@public()
def ravel(x: Kept) -> Tensor:
    """All elements in one dimension.

    >>> ravel([[1, 2], [3, 4]]).tolist()
    [1, 2, 3, 4]
    """
    return reshape(x, (-1,))


@public()
def transpose(x: Kept, axes: Sequence[int] | None = None) -> Tensor:
    """Axes in another order, reversed by default.

    >>> transpose([[1, 2], [3, 4]]).tolist()
    [[1, 3], [2, 4]]
    """
    ...


@public()
def moveaxis(x: Kept, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Move axes to other places; the rest keep their order.

    >>> moveaxis(creation.ones((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    rank = len(x.shape)
    sources = canonical_axes(source, rank, "source")
    destinations = canonical_axes(destination, rank, "destination")
    if len(sources) != len(destinations):
        raise ArgumentError(f"`source` and `destination` differ in length: {source} and {destination}.")
    order = [axis for axis in range(rank) if axis not in sources]
    for to, axis in sorted(zip(destinations, sources, strict=True)):
        order.insert(to, axis)
    return transpose(x, order)


@public()
def swapaxes(x: Kept, axis1: int, axis2: int) -> Tensor:
    """Exchange two axes.

    >>> swapaxes(creation.ones((2, 3, 4)), 0, 2).shape
    (4, 3, 2)
    """
    order = list(range(len(x.shape)))
    first, second = canonical_axis(axis1, len(order), "axis1"), canonical_axis(axis2, len(order), "axis2")
    order[first], order[second] = second, first
    return transpose(x, order)


def _squeeze_spec(made: Op, values: list[Any], statics: dict[str, Any]) -> KerasTensor:
    (x,) = values
    return KerasTensor(_squeezed(x.shape, statics["axis"]), x.dtype)


def _squeezed(shape: Sequence[int | None], axis: Any) -> list[int | None]:
    if axis is None:
        return [d for d in shape if d != 1]
    axes = canonical_axes(axis, len(shape))
    for a in axes:
        if shape[a] not in (1, None):
            raise ShapeError(
                f"squeeze() drops axes of size 1. Axis {a} of shape {tuple(shape)} has size {shape[a]}."
            )
    return [d for a, d in enumerate(shape) if a not in axes]


@public(spec=_squeeze_spec)
def squeeze(x: Kept, axis: int | Sequence[int] | None = None) -> Tensor:
    """Without axes of size 1: those named, or all.

    >>> squeeze([[1, 2]]).tolist()
    [1, 2]
    """
    return reshape(x, _squeezed(x.shape, axis))


@public()
def expand_dims(x: Kept, axis: int | Sequence[int]) -> Tensor:
    """With new axes of size 1 at places of the result.

    >>> expand_dims([1, 2], 0).tolist()
    [[1, 2]]
    """
    ...


@public()
def broadcast_to(x: Kept, shape: Sequence[int]) -> Tensor:
    """Repeated along axes of size 1, or that are missing in front, to fill a shape.

    >>> broadcast_to([1, 2], (2, 2)).tolist()
    [[1, 2], [1, 2]]
    """
    ...


@public()
def flip(x: Kept, axis: int | Sequence[int] | None = None) -> Tensor:
    """Elements in reverse order along axes, all by default.

    >>> flip([1, 2, 3]).tolist()
    [3, 2, 1]
    """
    ...


@public()
def fliplr(x: Kept) -> Tensor:
    """Reversed along the second axis.

    >>> fliplr([[1, 2]]).tolist()
    [[2, 1]]
    """
    return flip(x, 1)


@public()
def flipud(x: Kept) -> Tensor:
    """Reversed along the first axis.

    >>> flipud([[1], [2]]).tolist()
    [[2], [1]]
    """
    return flip(x, 0)


@public()
def rot90(array: Kept, k: int = 1, axes: Sequence[int] = (0, 1)) -> Tensor:
    """Rotated by `k` quarter turns in the plane of two axes, from the first towards the second.

    >>> rot90([[1, 2], [3, 4]]).tolist()
    [[2, 4], [1, 3]]
    """
    rank = len(array.shape)
    if len(axes) != 2 or rank < 2:
        raise ArgumentError(
            f"rot90() takes two axes of a tensor of rank 2 or more. Received: axes={axes}, rank {rank}"
        )
    first, second = canonical_axes(axes, rank, "axes")
    turns = k % 4
    if turns % 2 == 0:
        return flip(array, (first, second)) if turns else array
    return swapaxes(flip(array, second if turns == 1 else first), first, second)


@public()
def roll(x: Kept, shift: int | Sequence[int], axis: int | Sequence[int] | None = None) -> Tensor:
    """Elements moved along axes; those that leave at one end come in at the other.

    Args:
        x: the tensor.
        shift: places to move, one or as many as axes.
        axis: None rolls the flattened tensor.

    >>> roll([1, 2, 3], 1).tolist()
    [3, 1, 2]
    """
    ...


# -- joining and splitting -----------------------------------------------------------------------------------


@public(promote)
def concatenate(xs: Tensors, axis: int | None = 0) -> Tensor:
    """Tensors joined along an existing axis; flattened ones if `axis` is None.

    >>> concatenate([[1, 2], [3]]).tolist()
    [1, 2, 3]
    """
    ...


@public(promote)
def stack(x: Tensors, axis: int = 0) -> Tensor:
    """Tensors of one shape joined along a new axis.

    >>> stack([[1, 2], [3, 4]], axis=1).tolist()
    [[1, 3], [2, 4]]
    """
    ...


def _at_least(x: Tensor, rank: int) -> Tensor:
    """A tensor with axes added where `hstack` and its kin want them."""
    missing = rank - len(x.shape)
    if missing <= 0:
        return x
    if rank == 3:  # in depth: a vector is a row, its axis the second
        return reshape(x, {3: (1, 1, 1), 2: (1, -1, 1), 1: (*x.shape, 1)}[missing])
    return reshape(x, (1,) * missing + tuple(x.shape))


@public(promote)
def hstack(xs: Tensors) -> Tensor:
    """Joined side by side: along the second axis, vectors along their only one.

    >>> hstack([[1, 2], [3]]).tolist()
    [1, 2, 3]
    """
    xs = [_at_least(x, 1) for x in xs]
    return concatenate(xs, axis=0 if len(xs[0].shape) == 1 else 1)


@public(promote)
def vstack(xs: Tensors) -> Tensor:
    """Joined below each other: along the first axis, vectors as rows.

    >>> vstack([[1, 2], [3, 4]]).tolist()
    [[1, 2], [3, 4]]
    """
    return concatenate([_at_least(x, 2) for x in xs], axis=0)


@public(promote)
def dstack(xs: Tensors) -> Tensor:
    """Joined in depth: along the third axis.

    >>> dstack([[1, 2], [3, 4]]).tolist()
    [[[1, 3], [2, 4]]]
    """
    return concatenate([_at_least(x, 3) for x in xs], axis=2)


@public(promote)
def append(x1: Tensor, x2: Tensor, axis: int | None = None) -> Tensor:
    """One tensor after another along an axis; both flattened if `axis` is None.

    >>> append([1, 2], [[3]]).tolist()
    [1, 2, 3]
    """
    return concatenate([x1, x2], axis=axis)


def _split_spec(made: Op, values: list[Any], statics: dict[str, Any]) -> list[KerasTensor]:
    (x,) = values
    axis = canonical_axis(statics.get("axis", 0), len(x.shape))
    size, sections = x.shape[axis], statics["indices_or_sections"]
    exact = made.name == "split"
    if size is not None:
        sizes = [b - a for a, b in _bounds(size, sections, exact)]
    elif _is_count(sections):
        sizes = [None] * sections
    else:
        edges = [0, *sections]
        sizes = [b - a if b >= a >= 0 else None for a, b in itertools.pairwise(edges)] + [None]
    return [KerasTensor((*x.shape[:axis], s, *x.shape[axis + 1 :]), x.dtype) for s in sizes]


def _is_count(sections: Any) -> bool:
    return hasattr(sections, "__index__") and not getattr(sections, "shape", ())


def _bounds(size: int, sections: Any, exact: bool) -> list[tuple[int, int]]:
    """Where parts of an axis begin and end."""
    if _is_count(sections):
        count = operator.index(sections)
        if count < 1 or (exact and size % count):
            raise ShapeError(f"An axis of size {size} doesn't split into {count} equal parts.")
        small, larger = divmod(size, count)
        edges = np.cumsum([0] + [small + 1] * larger + [small] * (count - larger)).tolist()
        return list(itertools.pairwise(edges))
    edges = [0, *(min(max(e + size if e < 0 else e, 0), size) for e in np.ravel(sections).tolist()), size]
    return [(a, max(a, b)) for a, b in itertools.pairwise(edges)]


@public(spec=_split_spec)
def split(x: Kept, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """A tensor cut along an axis, into so many equal parts or at the given indices.

    Raises:
        ShapeError: there is a rest.

    >>> [part.tolist() for part in split([1, 2, 3, 4], [1, 3])]
    [[1], [2, 3], [4]]
    """
    return _parts(x, indices_or_sections, axis, exact=True)


@public(spec=_split_spec)
def array_split(x: Kept, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """As `split`, but parts may differ by one in size.

    >>> [part.tolist() for part in array_split([1, 2, 3], 2)]
    [[1, 2], [3]]
    """
    return _parts(x, indices_or_sections, axis, exact=False)


def _parts(x: Tensor, sections: Any, axis: Any, exact: bool) -> list[Tensor]:
    axis = canonical_axis(axis, len(x.shape))
    bounds = _bounds(x.shape[axis], sections, exact)
    if all(a == b for (_, a), (b, _) in itertools.pairwise(bounds)):
        return _cut(x, [b - a for a, b in bounds], axis)
    before = (slice(None),) * axis
    return [indexing.get_item(x, (*before, slice(a, b))) for a, b in bounds]


@op(at=())
def _cut(x: Kept, sizes: Sequence[int], axis: int) -> list[Tensor]:
    """A tensor cut along an axis into parts of given sizes."""
    before, edges = (slice(None),) * axis, [0, *itertools.accumulate(sizes)]
    return [indexing.get_item(x, (*before, slice(a, b))) for a, b in itertools.pairwise(edges)]


@export("ops.hsplit", "ops.numpy.hsplit")
def hsplit(x: Any, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """Cut along the second axis, a vector along its only one; see `split`.

    >>> [part.tolist() for part in hsplit([[1, 2]], 2)]
    [[[1]], [[2]]]
    """
    return split(x, indices_or_sections, axis=0 if len(creation.shape(x)) == 1 else 1)


@export("ops.vsplit", "ops.numpy.vsplit")
def vsplit(x: Any, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """Cut along the first axis of a tensor of rank 2 or more; see `split`.

    >>> [part.tolist() for part in vsplit([[1], [2]], 2)]
    [[[1]], [[2]]]
    """
    return split(_of_rank(x, 2, "vsplit"), indices_or_sections, axis=0)


@export("ops.dsplit", "ops.numpy.dsplit")
def dsplit(x: Any, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """Cut along the third axis of a tensor of rank 3 or more; see `split`.

    >>> [part.tolist() for part in dsplit([[[1, 2]]], 2)]
    [[[[1]]], [[[2]]]]
    """
    return split(_of_rank(x, 3, "dsplit"), indices_or_sections, axis=2)


def _of_rank(x: Any, rank: int, what: str) -> Any:
    if len(creation.shape(x)) < rank:
        raise ShapeError(
            f"{what}() takes a tensor of rank {rank} or more. Received shape {creation.shape(x)}."
        )
    return x


def _unstack_spec(made: Op, values: list[Any], statics: dict[str, Any]) -> list[KerasTensor]:
    (x,) = values
    axis = canonical_axis(statics["axis"], len(x.shape))
    size, num = x.shape[axis], statics["num"]
    if size is None and num is None:
        raise ShapeError(f"unstack() needs `num` where the size is unknown: axis {axis} of shape {x.shape}.")
    return [
        KerasTensor(x.shape[:axis] + x.shape[axis + 1 :], x.dtype)
        for _ in range(num if size is None else size)
    ]


@op(spec=_unstack_spec)
def unstack(x: Kept, num: int | None = None, axis: int = 0) -> list[Tensor]:
    """The slices along an axis, without that axis.

    Args:
        x: the tensor.
        num: how many, where the axis's size is unknown.
        axis: the axis.

    >>> [part.tolist() for part in unstack([[1, 2], [3, 4]])]
    [[1, 2], [3, 4]]
    """
    axis = canonical_axis(axis, len(x.shape))
    before = (slice(None),) * axis
    size = num if x.shape[axis] is None else x.shape[axis]
    return [indexing.get_item(x, (*before, i)) for i in range(size)]


# -- repeating and padding -----------------------------------------------------------------------------------


@public()
def tile(x: Kept, repeats: int | Sequence[int]) -> Tensor:
    """The whole tensor repeated along its axes, the last ones if `repeats` is shorter.

    >>> tile([1, 2], 2).tolist()
    [1, 2, 1, 2]
    """
    ...


def _repeat_spec(made: Op, values: list[Any], statics: dict[str, Any]) -> KerasTensor:
    (x,), repeats, axis = values, statics["repeats"], statics["axis"]
    shape = x.shape
    if axis is None:
        shape, axis = (None if None in shape else math.prod(shape),), 0
    axis = canonical_axis(axis, len(shape))
    counts, size = np.ravel(repeats), shape[axis]
    if len(counts) > 1:
        size = int(counts.sum())
    elif size is not None:
        size *= int(counts[0])
    return KerasTensor((*shape[:axis], size, *shape[axis + 1 :]), x.dtype)


@public(spec=_repeat_spec)
def repeat(x: Kept, repeats: int | Sequence[int], axis: int | None = None) -> Tensor:
    """Each slice along an axis repeated, so many times or each its own number of times.

    Args:
        x: the tensor.
        repeats: one number or one for each slice.
        axis: None repeats the elements of the flattened tensor.

    >>> repeat([1, 2], [1, 2]).tolist()
    [1, 2, 2]
    """
    if axis is None:
        x, axis = ravel(x), 0
    counts = np.ravel(_counts(repeats))
    size = x.shape[canonical_axis(axis, len(x.shape))]
    if len(counts) not in (1, size):
        raise ArgumentError(
            f"`repeats` must be one number or {size}, one for each slice. Received {len(counts)} numbers."
        )
    if (counts < 0).any():
        raise ArgumentError(f"`repeats` can't be negative. Received: {repeats}")
    return indexing.take(x, np.repeat(np.arange(size, dtype="int32"), counts), axis=axis)


def _counts(repeats: Any) -> np.ndarray:
    """Numbers of repetitions on the host: they decide about the result's shape."""
    counts = creation.convert_to_numpy(repeats)
    if counts.dtype.kind not in "iub":
        raise ArgumentError(f"`repeats` must be integers. Received: {repeats}")
    return counts


@public()
def pad(x: Kept, pad_width: Any, mode: str = "constant", constant_values: Filler | None = None) -> Tensor:
    """A tensor with a margin.

    Args:
        x: the tensor.
        pad_width: cells before and after each axis: one number for all, one pair for all, or a pair for each
            axis.
        mode: "constant", "edge", "reflect", "symmetric", "wrap", or another that NumPy's `pad` knows.
        constant_values: fill value of the mode "constant"; 0 by default.

    >>> pad([1, 2], (1, 2)).tolist()
    [0, 1, 2, 0, 0]
    """
    ...


# -- patterns ------------------------------------------------------------------------------------------------


@export("ops.rearrange")
def rearrange(tensor: Any, pattern: str, **axes_lengths: int) -> Tensor:
    """Split, transpose and merge axes as a pattern of names says.

    Args:
        tensor: the tensor.
        pattern: names of the axes before and after `->`; names in parentheses make one axis together, and `1`
            is an axis of size 1.
        axes_lengths: sizes of named axes that can't be deduced.

    >>> rearrange(creation.ones((2, 6, 3)), "b (h w) c -> b c h w", h=2).shape
    (2, 3, 2, 3)
    """
    before, arrow, after = pattern.partition("->")
    if not arrow:
        raise ArgumentError(f"A pattern has the form 'a b -> b a'. Received: {pattern!r}")
    sources, targets = _groups(before, pattern), _groups(after, pattern)
    names = [name for group in sources for name in group]
    order = [name for group in targets for name in group]
    if sorted(names) != sorted(order) or len(set(names)) != len(names):
        raise ArgumentError(f"The same axes must stand on both sides, each once. Received: {pattern!r}")
    unknown = set(axes_lengths) - set(names)
    if unknown:
        raise ArgumentError(f"`axes_lengths` names axes that aren't in {pattern!r}: {sorted(unknown)}")
    shape = creation.shape(tensor)
    if len(shape) != len(sources):
        raise ShapeError(f"{pattern!r} takes a tensor of rank {len(sources)}. Received shape {shape}.")
    sizes: dict[str, int | None] = {}
    for size, group in zip(shape, sources, strict=True):
        sizes |= _axis_sizes(size, group, axes_lengths, pattern)
    split_up = reshape(tensor, _at_most_one_unknown([sizes[name] for name in names]))
    moved = transpose(split_up, [names.index(name) for name in order])
    merged = [None if any(sizes[n] is None for n in g) else math.prod(sizes[n] for n in g) for g in targets]
    return reshape(moved, _at_most_one_unknown(merged))


def _groups(side: str, pattern: str) -> list[list[str]]:
    """The axes of one side of a pattern, each as the names it is made of; `1` and `()` are made of none."""
    groups = []
    for token in re.findall(r"\([^()]*\)|\S+", side):
        names = token.strip("()").split()
        names = [n for n in names if n != "1"]
        if not all(n.isidentifier() for n in names):
            raise ArgumentError(
                f"A pattern holds names, `1` and parentheses. Received {token!r} in {pattern!r}"
            )
        groups.append(names)
    return groups


def _axis_sizes(
    size: int | None, group: list[str], given: dict[str, int], pattern: str
) -> dict[str, int | None]:
    """Sizes of the named parts of one axis."""
    free = [name for name in group if name not in given]
    known = math.prod(given[name] for name in group if name in given)
    if len(free) > 1:
        raise ArgumentError(
            f"The sizes of all but one of {group} must be given as keyword arguments for {pattern!r}."
        )
    if size is not None and (size % known if free else size != known):
        raise ShapeError(f"An axis of size {size} can't be made of {group} with {given} in {pattern!r}.")
    rest = None if size is None else size // known
    return {name: given.get(name, rest) for name in group}


def _at_most_one_unknown(sizes: list[int | None]) -> list[int]:
    if sizes.count(None) > 1:
        raise ShapeError(
            f"rearrange() can't tell more than one unknown size apart: {sizes}. Give sizes by keyword."
        )
    return [-1 if size is None else size for size in sizes]


# -- other readings of the same bytes ------------------------------------------------------------------------


@public()
def view(x: Kept, dtype: Any = None) -> Tensor:
    """The same bytes read as another dtype; the last axis shrinks or grows where the widths differ.

    >>> view(creation.array([1.0]), "int32").tolist()
    [1065353216]
    """
    ...


@op()
def view_as_complex(x: Kept) -> Tensor:
    """Complex numbers of the pairs (real, imaginary) along the last axis.

    >>> view_as_complex([[1.0, 2.0]]).tolist()
    [(1+2j)]
    """
    if tuple(x.shape)[-1:] != (2,):
        raise ShapeError(f"view_as_complex() takes a last axis of size 2. Received shape {tuple(x.shape)}.")
    x = creation.cast(x, "float64" if standardize_dtype(x.dtype) == "float64" else "float32")
    return elementwise._complex(*(indexing.get_item(x, (..., part)) for part in (0, 1)))


@op()
def view_as_real(x: Kept) -> Tensor:
    """Pairs (real, imaginary) of complex numbers, along a new last axis.

    >>> view_as_real(creation.array([1 + 2j])).tolist()
    [[1.0, 2.0]]
    """
    return stack([elementwise.real(x), elementwise.imag(x)], axis=-1)
