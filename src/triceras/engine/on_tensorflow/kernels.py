"""How TensorFlow's kernels are called: in a wider dtype where there is none, with constants made once.

The natives call the functions that TensorFlow generates for its kernels (`gen_*`): on small tensors its
public functions, which wrap these in more Python, take two to five times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.ops import gen_array_ops, gen_math_ops

from triceras.core.dtypes import standardize_dtype
from triceras.engine.precision import HALF, in_wider

UNSIGNED = ("uint8", "uint16", "uint32", "uint64")

_WIDER = {
    **dict.fromkeys(("bool", "int8", "uint8", "int16", "uint16"), "int32"),
    **dict.fromkeys(("uint32", "uint64"), "int64"),
    **dict.fromkeys(HALF, "float32"),
}
# beside an eager tensor, calls convert Python numbers themselves, and fast
CONVERTED = frozenset({tf.__internal__.EagerTensor, int, float, complex})


def cast(x: tf.Tensor, dtype: Any) -> tf.Tensor:
    target = tf.as_dtype(standardize_dtype(dtype))
    if x.dtype == target:
        return x
    if x.dtype.is_complex and not target.is_complex:
        x = gen_math_ops.real(x, x.dtype.real_dtype)
    return gen_math_ops.cast(x, target)


def lacking(fn: Callable[..., Any], *dtypes: str) -> Callable[..., Any]:
    """A native that computes on these dtypes, which its kernels lack, in wider ones."""
    return in_wider(fn, {name: _WIDER[name] for name in dtypes}, cast)


def beside_numbers(fn: Callable[..., Any], *dtypes: str) -> Callable[..., Any]:
    """A native of two tensors, one of which may be a Python number, whose kernel lacks some dtypes."""
    wide, lacks = lacking(fn, *dtypes), frozenset(map(tf.as_dtype, dtypes))

    def run(x1: Any, x2: Any) -> Any:
        dtype = (x1 if hasattr(x1, "dtype") else x2).dtype
        if type(x1) in CONVERTED and type(x2) in CONVERTED and dtype not in lacks:
            return fn(x1, x2)
        return wide(tensor(x1, dtype), tensor(x2, dtype))

    return run


def tensor(x: Any, dtype: tf.DType) -> tf.Tensor:
    """A Python number as a tensor; tensors as they are."""
    if hasattr(x, "dtype"):
        return x
    # as keys, 0.0 and -0.0 are the same
    kept = tf.executing_eagerly() and (x != 0 or (type(x) is not complex and str(x)[0] != "-"))
    return (_number if kept else _number.__wrapped__)(x, dtype)


def filler(x: Any, dtype: Any) -> tf.Tensor:
    """A fill value, a Python number or a tensor, in a dtype."""
    if isinstance(x, tf.Tensor):
        return cast(x, dtype)
    target = tf.as_dtype(standardize_dtype(dtype))
    x = x.real if type(x) is complex and not target.is_complex else x
    return tensor(np.asarray(x).astype(target.as_numpy_dtype).item(), target)


def select(condition: tf.Tensor, x1: Any, x2: Any) -> tf.Tensor:
    """Elements of either; in graphs by the kernel for equal shapes, twice as fast, where that will do."""
    if tf.executing_eagerly():
        return gen_math_ops.select_v2(condition, x1, x2)
    shape, dtype = condition.shape, (x1 if hasattr(x1, "dtype") else x2).dtype
    x1, x2 = tensor(x1, dtype), tensor(x2, dtype)
    if not shape.is_fully_defined():
        return gen_math_ops.select_v2(condition, x1, x2)
    x1, x2 = (gen_array_ops.fill(integers(shape), x) if x.shape.rank == 0 else x for x in (x1, x2))
    run = gen_math_ops.select if x1.shape == x2.shape == shape else gen_math_ops.select_v2
    return run(condition, x1, x2)


def integers(values: Sequence[Any]) -> tf.Tensor:
    """A vector of sizes, axes or indices, some of which may be tensors."""
    values = tuple(values)
    if any(isinstance(v, tf.Tensor) for v in values):
        return gen_array_ops.pack([gen_math_ops.cast(v, tf.int32) for v in values])
    return _kept(values) if tf.executing_eagerly() else tf.constant(values, tf.int32, (len(values),))


@lru_cache(4096)
def _kept(values: tuple[int, ...]) -> tf.Tensor:
    return tf.constant(values, tf.int32, (len(values),))


@lru_cache(4096, typed=True)
def _number(value: bool | int | float | complex, dtype: tf.DType) -> tf.Tensor:
    return tf.constant(np.asarray(value, dtype.as_numpy_dtype))


def sizes_of(x: tf.Tensor) -> list[Any]:
    """The sizes of a tensor, as integers where they are known and as tensors where not."""
    static = x.shape.as_list()
    if None not in static:
        return static
    found = tf.unstack(gen_array_ops.shape(x))
    return [tensor if size is None else size for tensor, size in zip(found, static, strict=True)]


def last(x: tf.Tensor, axis: int, back: bool = False) -> tf.Tensor:
    """A tensor with an axis moved to the end, or back from there."""
    order = list(range(x.shape.rank))
    if axis in (-1, order[-1]):
        return x
    order.insert(*((axis % len(order), order.pop()) if back else (len(order), order.pop(axis))))
    return gen_array_ops.transpose(x, integers(order))
