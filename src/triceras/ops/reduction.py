"""Functions that combine elements: sums, extremes, statistics, running totals, segments, counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from triceras.core.dtypes import (
    INTEGERS,
    accumulate,
    promote,
    promote_float,
    promote_number,
    standardize_dtype,
)
from triceras.core.errors import ArgumentError, ShapeError
from triceras.core.shapes import canonical_axes, canonical_axis
from triceras.core.spec import KerasTensor
from triceras.engine import selection
from triceras.ops import creation, elementwise, indexing, linalg
from triceras.ops import shape as shapes
from triceras.ops.op import Kept, Op, Tensor, op

AT = ("ops", "ops.numpy")
Axis = int | Sequence[int] | None

same = partial(op, promote, at=AT)
floating = partial(op, promote_float, at=AT)
total = partial(op, accumulate, at=AT)
truth = partial(op, lambda kinds: "bool", at=AT)
kept = partial(op, at=AT)


# -- sums and products ---------------------------------------------------------------------------------------


@total()
def sum(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Sum over axes, of small integers in 32 bits.

    >>> sum([[1, 2], [3, 4]], axis=0).tolist()
    [4, 6]
    """
    ...


@kept()
def prod(x: Kept, axis: Axis = None, keepdims: bool = False, dtype: Any = None) -> Tensor:
    """Product over axes, computed in `dtype`; by default as `sum`.

    >>> prod([[1, 2], [3, 4]], axis=0).tolist()
    [3, 8]
    """
    return _prod(_as(x, dtype, accumulate), axis, keepdims)


@op(at=())
def _prod(x: Kept, axis: Axis, keepdims: bool) -> Tensor:
    """Product in the dtype of `x`."""
    ...


@floating()
def mean(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Arithmetic mean over axes.

    >>> mean([[1, 2], [3, 4]], axis=0).tolist()
    [2.0, 3.0]
    """
    wide = _wide(x)
    return creation.cast(elementwise.divide(sum(wide, axis, keepdims), _count(x, axis)), x.dtype)


@floating()
def var(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Variance over axes: the mean squared distance from the mean.

    >>> var([1.0, 2.0, 3.0, 4.0]).item()
    1.25
    """
    wide = _wide(x)
    centred = elementwise.subtract(wide, mean(wide, axis, keepdims=True))
    squares = elementwise.multiply(centred, elementwise.conj(centred))
    return creation.cast(mean(squares, axis, keepdims), x.dtype)


@floating()
def std(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Standard deviation over axes.

    >>> std([1.0, 3.0]).item()
    1.0
    """
    return elementwise.sqrt(elementwise.real(var(x, axis, keepdims)))


@floating()
def average(x: Tensor, axis: Axis = None, weights: Tensor | None = None) -> Tensor:
    """Mean over axes, weighted.

    Args:
        weights: of the shape of `x`, or a vector along the one `axis`.

    >>> average([1.0, 5.0], weights=[3.0, 1.0]).item()
    2.0
    """
    if weights is None:
        return mean(x, axis)
    if tuple(weights.shape) != tuple(x.shape):
        rank = len(x.shape)
        place = canonical_axes(axis, rank) if axis is not None else ()
        if len(place) != 1 or tuple(weights.shape) != (x.shape[place[0]],):
            raise ShapeError(
                "average() takes `weights` of the shape of `x` or, along one `axis`, a vector of that size. "
                f"Received shapes {tuple(weights.shape)} and {tuple(x.shape)}, axis={axis}."
            )
        weights = shapes.reshape(weights, [-1 if i == place[0] else 1 for i in range(rank)])
    weights = shapes.broadcast_to(weights, x.shape)
    return elementwise.divide(sum(elementwise.multiply(x, weights), axis), sum(weights, axis))


@op(promote_float)
def logsumexp(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """`log(sum(exp(x)))` over axes, without overflow.

    >>> round(logsumexp([0.0, 0.0]).item(), 4)
    0.6931
    """
    if math.prod(x.shape) == 0:
        return elementwise.log(sum(x, axis, keepdims))
    peak = max(x, axis, keepdims=True)
    peak = indexing.where(elementwise.isfinite(peak), peak, 0)
    found = elementwise.add(
        elementwise.log(sum(elementwise.exp(elementwise.subtract(x, peak)), axis, True)), peak
    )
    return found if keepdims else _squeezed(found, axis)


@floating()
def trapezoid(y: Tensor, x: Tensor | None = None, dx: float = 1.0, axis: int = -1) -> Tensor:
    """Integral along an axis by the trapezoidal rule.

    Args:
        x: places of the samples, a vector or of the shape of `y`; without it they are `dx` apart.

    >>> trapezoid([1.0, 2.0, 3.0]).item()
    4.0
    """
    y = shapes.moveaxis(y, axis, -1)
    heights = elementwise.add(y[..., 1:], y[..., :-1])
    if x is None:
        return elementwise.multiply(sum(heights, -1), dx / 2)
    x = shapes.moveaxis(x, axis, -1) if len(x.shape) > 1 else x
    widths = elementwise.subtract(x[..., 1:], x[..., :-1])
    return elementwise.multiply(sum(elementwise.multiply(heights, widths), -1), 0.5)


# -- extremes ------------------------------------------------------------------------------------------------


@same(aliases=("amax",))
def max(x: Tensor, axis: Axis = None, keepdims: bool = False, initial: Any = None) -> Tensor:
    """The largest element over axes, at least `initial`.

    >>> max([[1, 5], [3, 4]], axis=0).tolist()
    [3, 5]
    """
    ...


@same(aliases=("amin",))
def min(x: Tensor, axis: Axis = None, keepdims: bool = False, initial: Any = None) -> Tensor:
    """The smallest element over axes, at most `initial`.

    >>> min([[1, 5], [3, 4]], axis=0).tolist()
    [1, 4]
    """
    ...


@same()
def ptp(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest minus the smallest element over axes.

    >>> ptp([2, 7, 4]).item()
    5
    """
    return elementwise.subtract(max(x, axis, keepdims), min(x, axis, keepdims))


@same()
def argmax(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Index of the first largest element along an axis, or in the flattened tensor.

    >>> argmax([[1, 5], [7, 4]], axis=1).tolist()
    [1, 0]
    """
    ...


@same()
def argmin(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Index of the first smallest element along an axis, or in the flattened tensor.

    >>> argmin([[1, 5], [7, 4]], axis=1).tolist()
    [0, 1]
    """
    ...


@op()
def top_k(x: Kept, k: int, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """The `k` largest elements of the last axis, largest first, and their indices.

    Args:
        sorted: accepted for compatibility; the elements are always in order.

    >>> values, indices = top_k([1, 5, 3], k=2)
    >>> values.tolist(), indices.tolist()
    ([5, 3], [1, 2])
    """
    return _top_k(x, k)


@op(at=())
def _top_k(x: Kept, k: int) -> tuple[Tensor, Tensor]:
    """The search itself."""
    ...


@op()
def in_top_k(targets: Kept, predictions: Kept, k: int) -> Tensor:
    """Whether each target class is among the `k` highest of its row of predictions; ties count.

    >>> in_top_k([1, 0], [[0.1, 0.9], [0.2, 0.8]], k=1).tolist()
    [True, False]
    """
    chosen = indexing.take_along_axis(predictions, shapes.expand_dims(targets, -1), axis=-1)
    lowest = top_k(predictions, k)[0][..., -1:]
    return shapes.squeeze(elementwise.greater_equal(chosen, lowest), -1)


# -- truth ---------------------------------------------------------------------------------------------------


@truth()
def all(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether all elements over axes are true.

    >>> all([True, False]).item()
    False
    """
    ...


@truth()
def any(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether any element over axes is true.

    >>> any([True, False]).item()
    True
    """
    ...


@kept()
def count_nonzero(x: Kept, axis: Axis = None) -> Tensor:
    """How many elements over axes aren't 0.

    >>> count_nonzero([3, 0, 5]).item()
    2
    """
    return sum(creation.cast(elementwise.not_equal(x, 0), "int32"), axis)


# -- running totals ------------------------------------------------------------------------------------------


@kept()
def cumsum(x: Kept, axis: int | None = None, dtype: Any = None) -> Tensor:
    """Running sum along an axis, or of the flattened tensor.

    >>> cumsum([1, 2, 3]).tolist()
    [1, 3, 6]
    """
    return _cumsum(*_line(_as(x, dtype, promote_number), axis))


@kept()
def cumprod(x: Kept, axis: int | None = None, dtype: Any = None) -> Tensor:
    """Running product along an axis, or of the flattened tensor.

    >>> cumprod([1, 2, 3]).tolist()
    [1, 2, 6]
    """
    return _cumprod(*_line(_as(x, dtype, promote_number), axis))


@op(at=())
def _cumsum(x: Kept, axis: int) -> Tensor:
    """Running sum in the dtype of `x`."""
    ...


@op(at=())
def _cumprod(x: Kept, axis: int) -> Tensor:
    """Running product in the dtype of `x`."""
    ...


# -- quantiles -----------------------------------------------------------------------------------------------


@floating()
def quantile(x: Tensor, q: Kept, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """The value below which a share `q` of the elements lies, over axes.

    Args:
        q: one share from 0 to 1 or a vector of them, which becomes the first axis of the result.
        method: what to take between two elements: "linear", "lower", "higher", "midpoint" or "nearest".

    >>> quantile([1.0, 2.0, 3.0], 0.25).item()
    1.5
    """
    return _quantile(x, q, axis, method, keepdims, skip_nan=False)


@floating()
def percentile(
    x: Tensor, q: Kept, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """As `quantile`, with `q` from 0 to 100.

    >>> percentile([1.0, 2.0, 3.0], 25).item()
    1.5
    """
    return quantile(x, elementwise.divide(q, 100), axis, method, keepdims)


@floating()
def median(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The middle element over axes, or the mean of the two middle ones.

    >>> median([1.0, 7.0, 3.0]).item()
    3.0
    """
    return quantile(x, 0.5, axis, keepdims=keepdims)


def _quantile(x: Tensor, q: Tensor, axis: Axis, method: str, keepdims: bool, skip_nan: bool) -> Tensor:
    if method not in _BETWEEN:
        raise ArgumentError(f"`method` must be one of {', '.join(_BETWEEN)}. Received: {method!r}")
    if len(q.shape) > 1:
        raise ShapeError(f"`q` must be one number or a vector. Received shape: {tuple(q.shape)}")
    rank = len(x.shape)
    axes = tuple(range(rank)) if axis is None else canonical_axes(axis, rank)
    others = [i for i in range(rank) if i not in axes]
    size = math.prod(x.shape[i] for i in axes)
    if size == 0:
        raise ShapeError(
            f"There is no quantile of no elements. Received shape {tuple(x.shape)}, axis={axis}."
        )
    rows = shapes.reshape(shapes.transpose(x, (*others, *axes)), (*(x.shape[i] for i in others), size))
    rows = indexing.sort(rows, -1)  # NaN comes last
    present = sum(creation.cast(elementwise.logical_not(elementwise.isnan(rows)), "int32"), -1, keepdims=True)
    exact = _wide(x).dtype
    last = creation.cast(elementwise.maximum(elementwise.subtract(present, 1), 0), exact)
    shares = elementwise.clip(creation.cast(shapes.reshape(q, (-1,)), exact), 0, 1)
    place = elementwise.multiply(shares, last)

    def at(index: Tensor) -> Tensor:
        return indexing.take_along_axis(rows, creation.cast(index, "int32"), -1)

    found = _BETWEEN[method](at, place)
    usable = elementwise.greater(present, 0) if skip_nan else elementwise.equal(present, size)
    found = shapes.moveaxis(indexing.where(usable, found, math.nan), -1, 0)
    sizes = (
        [1 if i in axes else n for i, n in enumerate(x.shape)] if keepdims else [x.shape[i] for i in others]
    )
    return shapes.reshape(found, (*q.shape, *sizes))


def _linear(at: Callable[[Tensor], Tensor], place: Tensor) -> Tensor:
    below, above = at(elementwise.floor(place)), at(elementwise.ceil(place))
    weight = creation.cast(elementwise.subtract(place, elementwise.floor(place)), below.dtype)
    step = elementwise.multiply(elementwise.subtract(above, below), weight)
    return elementwise.add(
        below, indexing.where(elementwise.equal(weight, 0), 0, step)
    )  # infinities may meet


def _midpoint(at: Callable[[Tensor], Tensor], place: Tensor) -> Tensor:
    return elementwise.multiply(
        elementwise.add(at(elementwise.floor(place)), at(elementwise.ceil(place))), 0.5
    )


_BETWEEN = {
    "linear": _linear,
    "lower": lambda at, place: at(elementwise.floor(place)),
    "higher": lambda at, place: at(elementwise.ceil(place)),
    "midpoint": _midpoint,
    "nearest": lambda at, place: at(elementwise.round(place)),
}


# -- ignoring NaN --------------------------------------------------------------------------------------------


@total()
def nansum(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """`sum` of the elements that aren't NaN.

    >>> nansum([1.0, math.nan, 2.0]).item()
    3.0
    """
    return sum(_filled(x, 0), axis, keepdims)


@total()
def nanprod(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """`prod` of the elements that aren't NaN.

    >>> nanprod([3.0, math.nan, 2.0]).item()
    6.0
    """
    return prod(_filled(x, 1), axis, keepdims)


@floating()
def nanmean(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """`mean` of the elements that aren't NaN; NaN where all are.

    >>> nanmean([1.0, math.nan, 3.0]).item()
    2.0
    """
    wide = _wide(x)
    return creation.cast(
        elementwise.divide(nansum(wide, axis, keepdims), _present(wide, axis, keepdims)), x.dtype
    )


@floating()
def nanvar(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """`var` of the elements that aren't NaN; NaN where all are.

    >>> nanvar([1.0, math.nan, 3.0]).item()
    1.0
    """
    wide = _wide(x)
    distances = _filled(elementwise.subtract(wide, nanmean(wide, axis, keepdims=True)), 0)
    squares = sum(elementwise.square(elementwise.abs(distances)), axis, keepdims)
    return creation.cast(elementwise.divide(squares, _present(wide, axis, keepdims)), x.dtype)


@floating()
def nanstd(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """`std` of the elements that aren't NaN; NaN where all are.

    >>> nanstd([1.0, math.nan, 3.0]).item()
    1.0
    """
    return elementwise.sqrt(nanvar(x, axis, keepdims))


@same()
def nanmax(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """`max` of the elements that aren't NaN; NaN where all are.

    >>> nanmax([1.0, math.nan, 3.0]).item()
    3.0
    """
    return _unless_all_nan(max, x, -math.inf, axis, keepdims, math.nan)


@same()
def nanmin(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """`min` of the elements that aren't NaN; NaN where all are.

    >>> nanmin([1.0, math.nan, 3.0]).item()
    1.0
    """
    return _unless_all_nan(min, x, math.inf, axis, keepdims, math.nan)


@same()
def nanargmax(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """`argmax` of the elements that aren't NaN; -1 where all are.

    >>> nanargmax([1.0, math.nan, 3.0]).item()
    2
    """
    return _unless_all_nan(argmax, x, -math.inf, axis, keepdims, -1)


@same()
def nanargmin(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """`argmin` of the elements that aren't NaN; -1 where all are.

    >>> nanargmin([1.0, math.nan, 3.0]).item()
    0
    """
    return _unless_all_nan(argmin, x, math.inf, axis, keepdims, -1)


@kept()
def nancumsum(x: Kept, axis: int | None = None, dtype: Any = None) -> Tensor:
    """`cumsum` with NaN as 0.

    >>> nancumsum([1.0, math.nan, 3.0]).tolist()
    [1.0, 1.0, 4.0]
    """
    return cumsum(_filled(x, 0), axis, dtype)


@kept()
def nancumprod(x: Kept, axis: int | None = None, dtype: Any = None) -> Tensor:
    """`cumprod` with NaN as 1.

    >>> nancumprod([1.0, math.nan, 3.0]).tolist()
    [1.0, 1.0, 3.0]
    """
    return cumprod(_filled(x, 1), axis, dtype)


@floating()
def nanquantile(
    x: Tensor, q: Kept, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """`quantile` of the elements that aren't NaN; NaN where all are.

    >>> nanquantile([1.0, math.nan, 3.0], 0.5).item()
    2.0
    """
    return _quantile(x, q, axis, method, keepdims, skip_nan=True)


@floating()
def nanpercentile(
    x: Tensor, q: Kept, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """`percentile` of the elements that aren't NaN; NaN where all are.

    >>> nanpercentile([1.0, math.nan, 3.0], 50).item()
    2.0
    """
    return nanquantile(x, elementwise.divide(q, 100), axis, method, keepdims)


@floating()
def nanmedian(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """`median` of the elements that aren't NaN; NaN where all are.

    >>> nanmedian([1.0, math.nan, 3.0]).item()
    2.0
    """
    return nanquantile(x, 0.5, axis, keepdims=keepdims)


# -- counts and segments -------------------------------------------------------------------------------------


def _segment_spec(made: Op, values: list[Any], statics: dict[str, Any]) -> KerasTensor:
    data, _ids = values
    return KerasTensor((statics["num_segments"], *data.shape[1:]), data.dtype)


segmented = partial(op, spec=_segment_spec)


@segmented()
def segment_sum(
    data: Kept, segment_ids: Kept, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """Sums of the rows that have the same segment id; rows with an id out of range count nowhere.

    Args:
        segment_ids: an integer for each row.
        num_segments: size of the result; without it the largest id + 1, which a compiled function can't know.
        sorted: whether the ids never decrease, which lets an engine be faster.

    >>> segment_sum([1, 2, 4], [0, 0, 2], num_segments=3).tolist()
    [3, 0, 4]
    """
    return _segment(data, segment_ids, _bins(segment_ids, num_segments), sorted, "sum")


@segmented()
def segment_prod(
    data: Kept, segment_ids: Kept, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """Products of the rows that have the same segment id; see `segment_sum`. Those of no rows are 1.

    >>> segment_prod([2, 3, 4], [0, 0, 2], num_segments=3).tolist()
    [6, 1, 4]
    """
    return _segment(data, segment_ids, _bins(segment_ids, num_segments), sorted, "prod")


@segmented()
def segment_max(
    data: Kept, segment_ids: Kept, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """Largest of the rows that have the same segment id; see `segment_sum`. Of no rows: the lowest value.

    >>> segment_max([1, 2, 4], [0, 0, 1], num_segments=2).tolist()
    [2, 4]
    """
    return _segment(data, segment_ids, _bins(segment_ids, num_segments), sorted, "max")


@segmented()
def segment_min(
    data: Kept, segment_ids: Kept, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """Smallest of the rows that have the same segment id; see `segment_sum`. Of no rows: the highest value.

    >>> segment_min([1, 2, 4], [0, 0, 1], num_segments=2).tolist()
    [1, 4]
    """
    return _segment(data, segment_ids, _bins(segment_ids, num_segments), sorted, "min")


@op(at=())
def _segment(data: Kept, segment_ids: Kept, num_segments: int, sorted: bool, reduction: str) -> Tensor:
    """A reduction ("sum", "prod", "max" or "min") of the rows of each segment."""
    ...


def _bins(ids: Tensor, length: int | None) -> int:
    """How many bins there are: given, or one more than the largest number."""
    if length is not None:
        return length
    try:
        return int(max(ids)) + 1 if math.prod(ids.shape) else 0
    except selection.current().signals:
        raise
    except Exception as error:
        raise ArgumentError(
            "How long the result is depends on the data, which a compiled function doesn't know in advance: "
            "give `num_segments` where there is one, else call this outside of it."
        ) from error


def _bincount_spec(made: Op, values: list[Any], statics: dict[str, Any]) -> KerasTensor:
    x, weights = values
    return KerasTensor((*x.shape[:-1], None), "int32" if weights is None else weights.dtype)


@kept(spec=_bincount_spec)
def bincount(x: Kept, weights: Kept | None = None, minlength: int = 0, sparse: bool = False) -> Tensor:
    """How often each number from 0 on stands in a vector, or in each row of a matrix.

    Args:
        weights: what each element counts, of the shape of `x`.
        minlength: the least length of the result.

    >>> bincount([1, 2, 2]).tolist()
    [0, 1, 2]
    """
    if sparse:
        raise ArgumentError("bincount() makes no sparse tensors: leave `sparse` at False.")
    if standardize_dtype(x.dtype) not in INTEGERS or len(x.shape) not in (1, 2):
        raise ArgumentError(
            "bincount() counts integers in a vector or in each row of a matrix. "
            f"Received: {standardize_dtype(x.dtype)}{tuple(x.shape)}"
        )
    weights = creation.ones_like(x, dtype="int32") if weights is None else weights
    length = _bins(x, None)
    length = length if length > minlength else minlength
    if len(x.shape) == 1:
        return segment_sum(weights, x, length)
    rows = x.shape[0]
    first = shapes.expand_dims(creation.arange(0, rows * length, length), 1)
    counts = segment_sum(shapes.ravel(weights), shapes.ravel(elementwise.add(x, first)), rows * length)
    return shapes.reshape(counts, (rows, length))


@floating()
def histogram(x: Tensor, bins: int = 10, range: Sequence[float] | None = None) -> tuple[Tensor, Tensor]:
    """How many elements fall into each of equally wide bins, and the edges of the bins.

    Args:
        bins: how many.
        range: lower and upper end of all bins; by default the smallest and the largest element.

    >>> counts, edges = histogram([1.0, 2.0, 2.0, 5.0], bins=2)
    >>> counts.tolist(), edges.tolist()
    ([3.0, 1.0], [1.0, 3.0, 5.0])
    """
    if not isinstance(bins, int) or isinstance(bins, bool) or bins < 1:
        raise ArgumentError(f"`bins` must be a positive integer. Received: {bins!r}")
    if range is not None and (len(range) != 2 or range[0] > range[1]):
        raise ArgumentError(f"`range` must be a lower and an upper end. Received: {range!r}")
    x = shapes.ravel(x)
    low, high = (creation.cast(end, x.dtype) for end in (range or (min(x), max(x))))
    half = elementwise.multiply(creation.cast(elementwise.equal(low, high), x.dtype), 0.5)
    low, high = (
        elementwise.subtract(low, half),
        elementwise.add(high, half),
    )  # a single value gets a width of 1
    steps = creation.cast(creation.arange(bins + 1), x.dtype)
    width = elementwise.divide(elementwise.subtract(high, low), bins)
    edges = elementwise.add(low, elementwise.multiply(steps, width))
    edges = indexing.where(
        elementwise.equal(steps, bins), high, edges
    )  # exactly, or the largest element falls out
    places = elementwise.subtract(indexing.searchsorted(edges, x, side="right"), 1)
    places = indexing.where(
        elementwise.equal(x, edges[-1]), bins - 1, places
    )  # the last bin holds its upper edge
    return segment_sum(creation.ones_like(x), places, bins), edges


@kept()
def digitize(x: Kept, bins: Kept) -> Tensor:
    """The index of the bin that each element falls into; edges, rising or falling, belong to the bin above.

    >>> digitize([0.5, 2.0, 9.0], [1.0, 2.0, 3.0]).tolist()
    [0, 2, 3]
    """
    if len(bins.shape) != 1 or not bins.shape[0]:
        raise ShapeError(f"digitize() takes a vector of edges as `bins`. Received shape: {tuple(bins.shape)}")
    rising = indexing.searchsorted(bins, x, side="right")
    falling = elementwise.subtract(bins.shape[0], indexing.searchsorted(shapes.flip(bins), x, side="right"))
    return indexing.where(elementwise.greater_equal(bins[-1], bins[0]), rising, falling)


@kept()
def diff(a: Kept, n: int = 1, axis: int = -1) -> Tensor:
    """Differences of neighbours along an axis, taken `n` times.

    >>> diff([1, 4, 9]).tolist()
    [3, 5]
    """
    if n < 0:
        raise ArgumentError(f"`n` can't be negative. Received: {n}")
    axis = canonical_axis(axis, len(a.shape))
    before = (slice(None),) * axis
    subtract = elementwise.not_equal if standardize_dtype(a.dtype) == "bool" else elementwise.subtract
    for _ in range(n):
        if not a.shape[axis]:
            break
        a = subtract(
            indexing.get_item(a, (*before, slice(1, None))), indexing.get_item(a, (*before, slice(0, -1)))
        )
    return a


# -- correlation ---------------------------------------------------------------------------------------------


@floating()
def corrcoef(x: Tensor) -> Tensor:
    """Correlation coefficients between the rows of a matrix.

    >>> elementwise.round(corrcoef([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]), decimals=3).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    rows = _wide(x if len(x.shape) > 1 else shapes.reshape(x, (1, -1)))
    centred = elementwise.subtract(rows, mean(rows, -1, keepdims=True))
    scale = elementwise.sqrt(sum(elementwise.square(centred), -1, keepdims=True))
    scaled = elementwise.divide(centred, scale)
    found = creation.cast(elementwise.clip(linalg.matmul(scaled, shapes.transpose(scaled)), -1, 1), x.dtype)
    return found if len(x.shape) > 1 else shapes.reshape(found, ())


@floating()
def correlate(x1: Tensor, x2: Tensor, mode: str = "valid") -> Tensor:
    """Cross-correlation of two vectors.

    Args:
        mode: "valid" (where they overlap fully), "same" (as long as the longer one) or "full".

    >>> correlate([1.0, 2.0, 3.0], [0.0, 1.0]).tolist()
    [2.0, 3.0]
    """
    if mode not in ("valid", "same", "full"):
        raise ArgumentError(f'`mode` must be "valid", "same" or "full". Received: {mode!r}')
    return _correlate(x1, x2, mode)


@op(at=())
def _correlate(x1: Kept, x2: Kept, mode: str) -> Tensor:
    """The correlation itself."""
    ...


# -- helpers -------------------------------------------------------------------------------------------------


def _as(x: Tensor, dtype: Any, rule: Callable[[tuple[str, ...]], str]) -> Tensor:
    """A tensor in the dtype asked for, else in that of the rule."""
    return creation.cast(x, dtype or rule((standardize_dtype(x.dtype),)))


def _wide(x: Tensor) -> Tensor:
    """Half precision as float32, so that long sums stay accurate."""
    return creation.cast(x, "float32") if standardize_dtype(x.dtype) in ("float16", "bfloat16") else x


def _line(x: Tensor, axis: int | None) -> tuple[Tensor, int]:
    """A tensor and the axis to run along; without an axis, the flattened tensor."""
    return (shapes.ravel(x), 0) if axis is None else (x, canonical_axis(axis, len(x.shape)))


def _count(x: Tensor, axis: Axis) -> int:
    """How many elements a reduction over axes combines."""
    return math.prod(x.shape if axis is None else (x.shape[i] for i in canonical_axes(axis, len(x.shape))))


def _squeezed(x: Tensor, axis: Axis) -> Tensor:
    axes = range(len(x.shape)) if axis is None else canonical_axes(axis, len(x.shape))
    return shapes.reshape(x, [n for i, n in enumerate(x.shape) if i not in axes])


def _has_nan(x: Tensor) -> bool:
    dtype = standardize_dtype(x.dtype)
    return dtype not in INTEGERS and dtype != "bool"


def _filled(x: Tensor, value: float) -> Tensor:
    return indexing.where(elementwise.isnan(x), value, x) if _has_nan(x) else x


def _present(x: Tensor, axis: Axis, keepdims: bool) -> Tensor:
    """How many elements aren't NaN, in the dtype of `x`."""
    return sum(creation.cast(elementwise.logical_not(elementwise.isnan(x)), x.dtype), axis, keepdims)


def _unless_all_nan(
    reduction: Callable[..., Tensor], x: Tensor, fill: float, axis: Any, keepdims: bool, otherwise: float
) -> Tensor:
    if not _has_nan(x):
        return reduction(x, axis, keepdims)
    found = reduction(_filled(x, fill), axis, keepdims)
    return indexing.where(all(elementwise.isnan(x), axis, keepdims), otherwise, found)
