"""Making tensors: from values, from shapes, and as other dtypes."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from triceras.core import config, dtypes
from triceras.core.dtypes import promote, promote_float, standardize_dtype
from triceras.core.errors import ArgumentError, TricerasError, shown
from triceras.core.registry import export
from triceras.core.spec import KerasTensor, any_symbolic
from triceras.engine import selection
from triceras.ops import elementwise
from triceras.ops import shape as shapes
from triceras.ops.op import Filler, Kept, Op, Tensor, Tensors, _kind, _tensor, broadcast_shapes, op

AT = ("ops", "ops.numpy")
public = partial(op, at=AT)


# -- conversion ----------------------------------------------------------------------------------------------


def _cast_spec(made: Op, values: list[Any], statics: dict[str, Any]) -> KerasTensor:
    if not isinstance(values[0], KerasTensor):  # a list with symbolic tensors in it
        return made.evaluated(values, statics)
    return KerasTensor(values[0].shape, selection.current().canonical(standardize_dtype(statics["dtype"])))


@op(spec=_cast_spec)
def cast(x: Kept, dtype: Any) -> Tensor:
    """The same values in another dtype.

    >>> triceras.backend.standardize_dtype(cast([1.7, -1.7], "int32").dtype)
    'int32'
    """
    ...


@op()
def saturate_cast(x: Kept, dtype: Any) -> Tensor:
    """The same values in another dtype; what lies outside its range becomes its nearest end.

    >>> saturate_cast([-3, 300], "uint8").tolist()
    [0, 255]
    """
    target = standardize_dtype(dtype)
    low, high = dtypes.limits(target)
    lowest, highest = dtypes.limits(standardize_dtype(x.dtype))
    if lowest < low:
        x = elementwise.maximum(x, cast(low, x.dtype))
    if highest > high:
        x = elementwise.minimum(x, cast(high, x.dtype))
    return cast(x, target)


@export("ops.convert_to_tensor")
def convert_to_tensor(
    x: Any, dtype: Any = None, sparse: bool | None = None, ragged: bool | None = None
) -> Tensor:
    """A tensor of the active engine: from numbers, lists, arrays, variables, other engines' tensors.

    A symbolic tensor stays symbolic.

    Args:
        x: the values.
        dtype: None keeps an array's dtype; Python floats become floatx and integers int32.
        sparse: only dense tensors are supported, so anything but True.
        ragged: likewise.

    >>> triceras.backend.standardize_dtype(convert_to_tensor([1, 2.5]).dtype)
    'float32'
    """
    if sparse or ragged:
        raise ArgumentError("convert_to_tensor() makes dense tensors only. Leave out `sparse` and `ragged`.")
    dtype = None if dtype is None else standardize_dtype(dtype)
    if any_symbolic(x):
        if isinstance(x, (list, tuple)):
            x = shapes.stack([convert_to_tensor(v) for v in x])
        return x if dtype in (None, x.dtype) else cast(x, dtype)
    if hasattr(x, "__triceras_tensor__"):
        x = x.__triceras_tensor__()
    engine = selection.current()
    owner = selection.engine_of(type(x))
    if owner is not None and owner is not engine:
        x = owner.to_numpy(x)
    if x is None or isinstance(x, (str, bytes)):
        raise ArgumentError(
            f"convert_to_tensor() takes numbers, arrays and lists of them. Received: {shown(x)}"
        )
    try:
        return _tensor(engine, x, dtype)
    except TricerasError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ArgumentError(f"convert_to_tensor() can't make a tensor of {shown(x)}: {reason}") from error


@export("ops.convert_to_numpy")
def convert_to_numpy(x: Any) -> np.ndarray:
    """The values as a NumPy array.

    Raises:
        SymbolicValueError: a symbolic tensor has none.

    >>> convert_to_numpy(ones((2,))).tolist()
    [1.0, 1.0]
    """
    if hasattr(x, "__triceras_tensor__"):
        x = x.__triceras_tensor__()
    if isinstance(x, (list, tuple)) and not all(isinstance(v, (bool, int, float, complex)) for v in x):
        x = [convert_to_numpy(v) for v in x]
    owner = selection.engine_of(type(x))
    return np.asarray(owner.to_numpy(x) if owner else x)


@export("ops.is_tensor")
def is_tensor(x: Any) -> bool:
    """Whether a value is an engine's tensor; NumPy arrays are where the NumPy engine is active.

    >>> is_tensor(ones(2)), is_tensor([1.0])
    (True, False)
    """
    kind = type(x)
    if selection.engine_of(kind) is not None:
        return True
    return selection.current().name == "numpy" and issubclass(kind, np.ndarray)


@export("ops.shape")
def shape(x: Any) -> tuple[int | None, ...]:
    """The sizes; None where a symbolic tensor's are unknown.

    >>> shape([[1, 2, 3]])
    (1, 3)
    """
    return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)


@export("ops.dtype")
def dtype(x: Any) -> str:
    """The name of the dtype.

    >>> dtype(ones((2,), "int8"))
    'int8'
    """
    return standardize_dtype(type(x)) if isinstance(x, (bool, int, float, complex)) else _kind(x)


@export("ops.ndim", "ops.numpy.ndim")
def ndim(x: Any) -> int:
    """The number of axes.

    >>> ndim([[1, 2]])
    2
    """
    return len(shape(x))


@export("ops.size", "ops.numpy.size")
def size(x: Any) -> Any:
    """The number of elements: an integer, or a symbolic scalar where a symbolic tensor's sizes are unknown.

    >>> size([[1, 2]])
    2
    """
    found = shape(x)
    return _size_of(x) if None in found else math.prod(found)


@op(at=())
def _size_of(x: Kept) -> Tensor:
    """The number of elements as a tensor."""
    return cast(math.prod(x.shape), "int32")


@export("ops.array", "ops.numpy.array")
def array(x: Any, dtype: Any = None) -> Tensor:
    """A tensor of the active engine; as `convert_to_tensor`.

    >>> array([1, 2]).tolist()
    [1, 2]
    """
    return convert_to_tensor(x, dtype)


@public()
def copy(x: Kept) -> Tensor:
    """A tensor of the same values that shares no memory.

    >>> copy([1, 2]).tolist()
    [1, 2]
    """
    ...


# -- filled --------------------------------------------------------------------------------------------------


@public()
def full(shape: Any, fill_value: Filler, dtype: Any = None) -> Tensor:
    """A tensor of one value, or of a value broadcast to a shape; floatx unless `dtype` says else.

    >>> full((2,), 3).tolist()
    [3.0, 3.0]
    """
    ...


@public()
def zeros(shape: Any, dtype: Any = None) -> Tensor:
    """Zeros, floatx unless `dtype` says else.

    >>> zeros((2,)).tolist()
    [0.0, 0.0]
    """
    return full(shape, 0, dtype)


@public()
def ones(shape: Any, dtype: Any = None) -> Tensor:
    """Ones, floatx unless `dtype` says else.

    >>> ones((2,), "int8").tolist()
    [1, 1]
    """
    return full(shape, 1, dtype)


@public()
def empty(shape: Any, dtype: Any = None) -> Tensor:
    """A tensor whose values are of no interest (zeros).

    >>> empty((2, 3)).shape
    (2, 3)
    """
    return full(shape, 0, dtype)


@public()
def full_like(x: Kept, fill_value: Filler, dtype: Any = None) -> Tensor:
    """A tensor of one value with the shape and, unless given, the dtype of another.

    >>> full_like([1, 2], 7).tolist()
    [7, 7]
    """
    return full(x.shape, fill_value, x.dtype if dtype is None else dtype)


@public()
def zeros_like(x: Kept, dtype: Any = None) -> Tensor:
    """Zeros with the shape and, unless given, the dtype of another tensor.

    >>> zeros_like([1, 2]).tolist()
    [0, 0]
    """
    return full_like(x, 0, dtype)


@public()
def ones_like(x: Kept, dtype: Any = None) -> Tensor:
    """Ones with the shape and, unless given, the dtype of another tensor.

    >>> ones_like([1.5, 2]).tolist()
    [1.0, 1.0]
    """
    return full_like(x, 1, dtype)


@public()
def empty_like(x: Kept, dtype: Any = None) -> Tensor:
    """A tensor whose values are of no interest (zeros), with the shape and dtype of another.

    >>> empty_like([1.5, 2]).shape
    (2,)
    """
    return full_like(x, 0, dtype)


@public()
def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:  # noqa: N803 - public names
    """Ones on a diagonal, else zeros.

    Args:
        N: rows.
        M: columns; as many as rows by default.
        k: which diagonal, counted upwards from the main one.

    >>> eye(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return cast(elementwise.equal(_column(N) + int(k), arange(_size(N if M is None else M))), _dtype(dtype))


@public()
def identity(n: int, dtype: Any = None) -> Tensor:
    """The square identity matrix.

    >>> identity(2, "int32").tolist()
    [[1, 0], [0, 1]]
    """
    return eye(n, dtype=dtype)


@public()
def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:  # noqa: N803 - public names
    """Ones at and below a diagonal, else zeros.

    >>> tri(2, 3).tolist()
    [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]
    """
    below = elementwise.greater_equal(_column(N) + int(k), arange(_size(N if M is None else M)))
    return cast(below, _dtype(dtype))


def _column(rows: Any) -> Tensor:
    return shapes.reshape(arange(_size(rows)), (-1, 1))


def _size(value: Any) -> int:
    """A number of rows or samples as a Python integer."""
    try:
        size = (
            value.__index__()
            if not hasattr(value, "is_integer")
            else int(value)
            if value.is_integer()
            else None
        )
    except (AttributeError, TypeError):
        size = None
    if size is None or size < 0:
        raise ArgumentError(f"A size must be a non-negative integer. Received: {shown(value)}")
    return size


def _dtype(dtype: Any) -> str:
    """A dtype's name, floatx by default."""
    return config.floatx() if dtype is None else standardize_dtype(dtype)


# -- sequences -----------------------------------------------------------------------------------------------


@public()
def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Tensor:
    """Evenly spaced values of a half-open interval.

    Args:
        start: the first value, or the end where `stop` isn't given (then 0 is first).
        stop: the end, not included.
        step: the spacing.
        dtype: by default that of the arguments.

    >>> arange(3).tolist(), arange(1, 2, 0.5).tolist()
    ([0, 1, 2], [1.0, 1.5])
    """
    if dtype is None:
        dtype = promote(tuple(_kind(v) for v in (start, stop, step) if v is not None))
    if stop is None:
        start, stop = 0, start
    values = (_number(v) for v in (start, stop, 1 if step is None else step))
    return selection.current().make(np.arange(*values), standardize_dtype(dtype))


def _number(value: Any) -> Any:
    """A Python number of a number or of a tensor with one concrete value."""
    if isinstance(value, (bool, int, float)):
        return value
    return convert_to_numpy(value).item()


@public(promote_float)
def linspace(
    start: Tensor,
    stop: Tensor,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Tensor | tuple[Tensor, Tensor]:
    """Evenly spaced values of a closed interval.

    Args:
        start: the first value or values.
        stop: the last.
        num: how many.
        endpoint: whether `stop` is among them.
        retstep: also return the spacing.
        dtype: of the result; by default floating.
        axis: where in the result the samples lie.

    >>> linspace(0, 1, 5).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    num = _size(num)
    start, stop = _both(start, stop)
    fractions = _fractions(num, endpoint, start, axis)
    low, high = shapes.expand_dims(start, axis), shapes.expand_dims(stop, axis)
    values = low * (1 - fractions) + high * fractions
    if dtype is not None:
        dtype = standardize_dtype(dtype)
        values = cast(elementwise.floor(values) if dtype in dtypes.INTEGERS else values, dtype)
    intervals = num - 1 if endpoint else num
    return (
        (values, elementwise.divide(elementwise.subtract(stop, start), intervals or math.nan))
        if retstep
        else values
    )


def _both(start: Tensor, stop: Tensor) -> tuple[Tensor, Tensor]:
    """Both ends in one shape."""
    shape = broadcast_shapes(start.shape, stop.shape)
    return shapes.broadcast_to(start, shape), shapes.broadcast_to(stop, shape)


def _fractions(num: int, endpoint: bool, like: Tensor, axis: int) -> Tensor:
    """`num` fractions from 0 to 1, along an axis of a tensor of one more dimension than `like`."""
    shape = [1] * (len(like.shape) + 1)
    shape[axis] = num
    return cast(np.linspace(0, 1, num, endpoint=endpoint).reshape(shape), like.dtype)


@public(promote_float)
def logspace(
    start: Tensor,
    stop: Tensor,
    num: int = 50,
    endpoint: bool = True,
    base: Any = 10,
    dtype: Any = None,
    axis: int = 0,
) -> Tensor:
    """Values evenly spaced in their logarithm, from `base ** start` to `base ** stop`.

    >>> logspace(0, 2, 3).tolist()
    [1.0, 10.0, 100.0]
    """
    values = elementwise.power(base, linspace(start, stop, num, endpoint, axis=axis))
    return values if dtype is None else cast(values, dtype)


@public(promote_float)
def geomspace(
    start: Tensor, stop: Tensor, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Tensor:
    """Values in geometric progression from `start` to `stop`.

    >>> geomspace(1, 4, 3).tolist()
    [1.0, 2.0, 4.0]
    """
    start, stop = _both(start, stop)
    low, high = shapes.expand_dims(start, axis), shapes.expand_dims(stop, axis)
    values = low * elementwise.power(high / low, _fractions(_size(num), endpoint, start, axis))
    return values if dtype is None else cast(values, dtype)


@public()
def meshgrid(*x: Tensors, indexing: str = "xy") -> list[Tensor]:
    """Coordinate grids of coordinate vectors, one for each.

    Args:
        x: vectors or scalars.
        indexing: "xy" (the first vector runs along the second axis) or "ij".

    >>> [g.tolist() for g in meshgrid([1, 2], [3, 4])]
    [[[1, 2], [1, 2]], [[3, 3], [4, 4]]]
    """
    if indexing not in ("xy", "ij"):
        raise ArgumentError(f'`indexing` must be "xy" or "ij". Received: {indexing!r}')
    vectors = [shapes.reshape(v, (-1,)) for v in x[0]]
    order = [1, 0, *range(2, len(vectors))] if indexing == "xy" and len(vectors) > 1 else range(len(vectors))
    shape = [vectors[i].shape[0] for i in order]
    grids = []
    for vector, axis in zip(vectors, order, strict=True):
        line = [1] * len(vectors)
        line[axis] = -1
        grids.append(shapes.broadcast_to(shapes.reshape(vector, line), shape))
    return grids


@public()
def vander(x: Kept, N: int | None = None, increasing: bool = False) -> Tensor:  # noqa: N803 - public names
    """Powers of a vector's entries as columns, the highest first unless `increasing`.

    >>> vander([2, 3], 3).tolist()
    [[4, 2, 1], [9, 3, 1]]
    """
    if len(x.shape) != 1:
        raise ArgumentError(f"vander() takes a vector. Received shape {tuple(x.shape)}.")
    count = x.shape[0] if N is None else _size(N)
    powers = np.arange(count) if increasing else np.arange(count)[::-1].copy()
    return elementwise.power(shapes.expand_dims(x, -1), cast(powers, x.dtype))


# -- windows -------------------------------------------------------------------------------------------------


@public()
def bartlett(x: int) -> Tensor:
    """The triangular window of a length.

    >>> bartlett(3).tolist()
    [0.0, 1.0, 0.0]
    """
    return _window(np.bartlett, x)


@public()
def blackman(x: int) -> Tensor:
    """The Blackman window of a length.

    >>> blackman(3).shape
    (3,)
    """
    return _window(np.blackman, x)


@public()
def hamming(x: int) -> Tensor:
    """The Hamming window of a length.

    >>> hamming(3).shape
    (3,)
    """
    return _window(np.hamming, x)


@public()
def hanning(x: int) -> Tensor:
    """The Hann window of a length.

    >>> hanning(3).tolist()
    [0.0, 1.0, 0.0]
    """
    return _window(np.hanning, x)


@public()
def kaiser(x: int, beta: float) -> Tensor:
    """The Kaiser window of a length, with shape parameter `beta`.

    >>> kaiser(3, 0.0).tolist()
    [1.0, 1.0, 1.0]
    """
    return _window(np.kaiser, x, _number(beta))


def _window(function: Any, length: Any, *args: Any) -> Tensor:
    return cast(function(int(_number(length)), *args), config.floatx())
