"""How TensorFlow's kernels are called: in a wider dtype where there is none, and with constants that are made once.

The natives call the functions that TensorFlow generates for its kernels (`gen_*`): on small tensors its public
functions, which wrap these in more Python, take two to five times as long.
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

EagerTensor = tf.__internal__.EagerTensor
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")

_WIDER = {
    **dict.fromkeys(("bool", "int8", "uint8", "int16", "uint16"), "int32"),
    **dict.fromkeys(("uint32", "uint64"), "int64"),
    **dict.fromkeys(HALF, "float32"),
}
_EAGER = frozenset({EagerTensor, int, float, complex})


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
    """A native of two tensors, one of which may be a Python number, whose kernel lacks some dtypes.

    An eager call converts a number fast; in graphs, and where it is a truth value, that is done here.
    """
    wide, lacks = lacking(fn, *dtypes), frozenset(map(tf.as_dtype, dtypes))

    def run(x1: Any, x2: Any) -> Any:
        dtype = (x1 if hasattr(x1, "dtype") else x2).dtype
        if type(x1) in _EAGER and type(x2) in _EAGER and dtype not in lacks:
            return fn(x1, x2)
        return wide(*(x if hasattr(x, "dtype") else number(x, dtype) for x in (x1, x2)))

    return run


def number(x: Any, dtype: tf.DType) -> tf.Tensor:
    """A Python number as a tensor."""
    return tf.constant(np.asarray(x, dtype.as_numpy_dtype))


def integers(values: Sequence[Any]) -> tf.Tensor:
    """A vector of sizes, axes or indices, some of which may be tensors."""
    values = tuple(values)
    if any(isinstance(v, tf.Tensor) for v in values):
        return gen_array_ops.pack([gen_math_ops.cast(v, tf.int32) for v in values])
    return _kept(values) if tf.executing_eagerly() else tf.constant(values, tf.int32, (len(values),))


@lru_cache(4096)
def _kept(values: tuple[int, ...]) -> tf.Tensor:
    return tf.constant(values, tf.int32, (len(values),))


def sizes_of(x: tf.Tensor) -> list[Any]:
    """The sizes of a tensor, as integers where they are known and as tensors where not."""
    static = x.shape.as_list()
    if None not in static:
        return static
    found = tf.unstack(gen_array_ops.shape(x))
    return [tensor if size is None else size for tensor, size in zip(found, static, strict=True)]
