"""TensorFlow's elementwise functions and reductions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.python.ops import gen_array_ops, gen_bitwise_ops, gen_nn_ops, gen_special_math_ops
from tensorflow.python.ops import gen_math_ops as kernels

from triceras.engine.on_tensorflow.kernels import UNSIGNED, beside_numbers, integers, lacking, select, tensor
from triceras.engine.precision import HALF

_SAME_NAME = """
    ceil cos cosh erf erfc exp expm1 floor log log1p logical_and logical_not logical_or reciprocal rsqrt sin
    sinh sqrt square tan tanh
"""
_INTEGER_OF_SIZE = {2: tf.int16, 4: tf.int32, 8: tf.int64}


# -- elementwise ---------------------------------------------------------------------------------------------


def absolute(x: tf.Tensor) -> tf.Tensor:
    return kernels.complex_abs(x, x.dtype.real_dtype) if x.dtype.is_complex else kernels._abs(x)


_magnitude = lacking(absolute, "bool", *UNSIGNED)


def signbit(x: tf.Tensor) -> tf.Tensor:
    if x.dtype.is_floating:
        x = gen_array_ops.bitcast(x, _INTEGER_OF_SIZE[x.dtype.size])
    return tf.zeros_like(x, tf.bool) if x.dtype == tf.bool else kernels.less(x, 0)


def round_to(x: tf.Tensor, decimals: int) -> tf.Tensor:
    if not x.dtype.is_floating:
        return x if decimals >= 0 else tf.cast(round_to(tf.cast(x, tf.float64), decimals), x.dtype)
    if decimals == 0:
        return kernels.round(x)
    scale = 10.0 ** abs(decimals)
    return kernels.round(x * scale) / scale if decimals > 0 else kernels.round(x / scale) * scale


def trunc(x: tf.Tensor) -> tf.Tensor:
    if not x.dtype.is_floating:
        return x
    return kernels.select_v2(kernels.less(x, 0), kernels.ceil(x), kernels.floor(x))


def _unless_zero(kernel: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    """A division, by integers too that are 0: kernels fail there, here it gives 0."""

    def divide(x1: Any, x2: Any) -> tf.Tensor:
        if not hasattr(x2, "dtype") or x2.dtype.is_floating:
            return kernel(x1, x2)
        zero = kernels.equal(x2, 0)
        found = kernel(x1, kernels.select_v2(zero, tf.ones_like(x2), x2))
        return kernels.select_v2(zero, tf.zeros_like(found), found)

    return divide


_mod = _unless_zero(kernels.floor_mod)
_quotient = _unless_zero(kernels.floor_div)


def floor_divide(x1: tf.Tensor, x2: tf.Tensor) -> tf.Tensor:
    """For floats from the remainder: a rounded quotient may already be the next integer."""
    quotient = _quotient(x1, x2)
    if not x1.dtype.is_floating:
        return quotient
    exact = kernels.round((x1 - kernels.floor_mod(x1, x2)) / x2)
    return kernels.select_v2(kernels.is_finite(exact), exact, quotient)


def fmod(x1: tf.Tensor, x2: tf.Tensor) -> tf.Tensor:
    """By way of absolute values, where it is `mod`, which has a gradient."""
    return kernels.sign(x1) * _mod(kernels._abs(x1), kernels._abs(x2))


def gcd(x1: tf.Tensor, x2: tf.Tensor) -> tf.Tensor:
    """Euclid's algorithm, for all elements at once."""
    if not x1.dtype.is_integer:
        raise TypeError(f"only integers have a greatest common divisor, not {x1.dtype.name}")

    def following(a: tf.Tensor, b: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        done = tf.equal(b, 0)
        rest = kernels.floor_mod(a, tf.where(done, tf.ones_like(b), b))
        return tf.where(done, a, b), tf.where(done, b, rest)

    x1, x2 = _magnitude(x1 + tf.zeros_like(x2)), _magnitude(x2 + tf.zeros_like(x1))
    return tf.while_loop(lambda a, b: tf.reduce_any(tf.not_equal(b, 0)), following, (x1, x2))[0]


def nextafter(x1: tf.Tensor, x2: tf.Tensor) -> tf.Tensor:
    """Floats in order are integers in order, on either side of 0."""
    x1, x2 = x1 + tf.zeros_like(x2), x2 + tf.zeros_like(x1)
    whole = _INTEGER_OF_SIZE[x1.dtype.size]
    bits = gen_array_ops.bitcast(x1, whole)
    outwards = tf.equal(x2 > x1, x1 > 0)
    moved = gen_array_ops.bitcast(
        bits + tf.where(outwards, tf.ones((), whole), -tf.ones((), whole)), x1.dtype
    )
    least = gen_array_ops.bitcast(tf.ones_like(bits), x1.dtype)
    moved = tf.where(tf.equal(x1, 0), tf.where(x2 > 0, least, -least), moved)
    return tf.where(tf.equal(x1, x2), x2, tf.where(tf.math.is_nan(x1 + x2), x1 + x2, moved))


def _of_floats(kernel: Callable[..., Any], otherwise: bool) -> Callable[..., tf.Tensor]:
    """A question about floats; the answer for all other numbers is known, and complex ones have two parts."""

    def ask(x: tf.Tensor) -> tf.Tensor:
        if x.dtype.is_floating:
            return kernel(x)
        if x.dtype.is_complex:
            combine = kernels.logical_and if otherwise else kernels.logical_or
            return combine(kernel(tf.math.real(x)), kernel(tf.math.imag(x)))
        return tf.fill(gen_array_ops.shape(x), otherwise)

    return ask


def bitwise_invert(x: tf.Tensor) -> tf.Tensor:
    return kernels.logical_not(x) if x.dtype == tf.bool else gen_bitwise_ops.invert(x)


def real(x: tf.Tensor) -> tf.Tensor:
    return kernels.real(x, x.dtype.real_dtype) if x.dtype.is_complex else x


def imag(x: tf.Tensor) -> tf.Tensor:
    return kernels.imag(x, x.dtype.real_dtype) if x.dtype.is_complex else tf.zeros_like(x)


def conj(x: tf.Tensor) -> tf.Tensor:
    return kernels.conj(x) if x.dtype.is_complex else x


# -- reductions ----------------------------------------------------------------------------------------------


def _axes(x: tf.Tensor, axis: Any) -> Any:
    """Axes as reductions take them."""
    if axis is None:
        return tf.range(tf.rank(x)) if x.shape.rank is None else integers(range(x.shape.rank))
    return integers(axis if isinstance(axis, (list, tuple)) else (axis,))


def _over(kernel: Callable[..., Any]) -> Callable[..., tf.Tensor]:
    return lambda x, axis=None, keepdims=False: kernel(x, _axes(x, axis), keepdims)


def _extreme(kernel: Callable[..., Any], pick: Callable[..., Any]) -> Callable[..., tf.Tensor]:
    def reduce(x: tf.Tensor, axis: Any = None, keepdims: bool = False, initial: Any = None) -> tf.Tensor:
        found = kernel(x, _axes(x, axis), keepdims)
        return found if initial is None else pick(found, tf.cast(initial, found.dtype))

    return reduce


def _index(kernel: Callable[..., Any], extreme: float) -> Callable[..., tf.Tensor]:
    """The place of the first extreme element; NaN counts as one, though the kernels pass over it."""

    def find(x: tf.Tensor, axis: int | None = None, keepdims: bool = False) -> tf.Tensor:
        shape = x.shape
        if axis is None:
            x = gen_array_ops.reshape(x, integers((-1,)))
        if x.dtype.is_floating:
            x = select(kernels.is_nan(x), tensor(extreme, x.dtype), x)
        place = kernel(x, tensor(axis or 0, tf.int32), tf.int32)
        if not keepdims:
            return place
        if axis is None:
            return gen_array_ops.reshape(place, integers((1,) * shape.rank))
        return gen_array_ops.expand_dims(place, axis)

    return find


def logsumexp(x: tf.Tensor, axis: Any = None, keepdims: bool = False) -> tf.Tensor:
    return tf.reduce_logsumexp(x, axis, keepdims)


def top_k(x: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
    return tuple(gen_nn_ops.top_kv2(x, k))


def _segment(
    data: tf.Tensor, segment_ids: tf.Tensor, num_segments: int, sorted: bool, reduction: str
) -> tf.Tensor:
    outside = kernels.greater_equal(segment_ids, tf.constant(num_segments, segment_ids.dtype))
    ids = tf.where(outside, tf.constant(-1, segment_ids.dtype), segment_ids)  # negative ones are dropped
    found = _SEGMENT[reduction](data, ids, num_segments)
    if reduction not in ("max", "min") or not data.dtype.is_floating:
        return found
    rows = kernels.unsorted_segment_sum(tf.ones_like(ids), ids, num_segments)
    empty = tf.reshape(tf.equal(rows, 0), (-1,) + (1,) * (data.shape.rank - 1))
    return tf.where(empty, tf.constant(-math.inf if reduction == "max" else math.inf, data.dtype), found)


_SEGMENT = {
    "sum": kernels.unsorted_segment_sum,
    "prod": kernels.unsorted_segment_prod,
    "max": kernels.unsorted_segment_max,
    "min": kernels.unsorted_segment_min,
}


def correlate(x1: tf.Tensor, x2: tf.Tensor, mode: str) -> tf.Tensor:
    """A convolution of one row; complex numbers are two channels."""
    swapped = x2.shape[0] > x1.shape[0]
    if swapped:
        x1, x2 = x2, x1
    length, is_complex = x2.shape[0], x1.dtype.is_complex
    before, after = {"valid": (0, 0), "same": (length // 2, (length - 1) // 2), "full": (length - 1,) * 2}[
        mode
    ]
    if is_complex:
        row = tf.stack([tf.math.real(x1), tf.math.imag(x1)], -1)
        real, imag = tf.math.real(x2), tf.math.imag(x2)
        kernel = tf.stack([tf.stack([real, -imag], -1), tf.stack([imag, real], -1)], 1)
    else:
        row, kernel = x1[:, None], x2[:, None, None]
    row = tf.pad(row, [[before, after], [0, 0]])
    found = tf.nn.conv2d(row[None, None], kernel[None], 1, "VALID")[0, 0]
    found = tf.complex(found[:, 0], found[:, 1]) if is_complex else found[:, 0]
    return tf.reverse(conj(found), [0]) if swapped else found


def _fitted(x: tf.Tensor, size: int) -> tf.Tensor:
    """The last axis cut, or filled up with zeros: what the kernels of Fourier transforms do, too, but not their
    gradients."""
    x = x[..., :size]
    missing = size - (tf.shape(x)[-1] if x.shape[-1] is None else x.shape[-1])
    return (
        x
        if isinstance(missing, int) and not missing
        else tf.pad(x, [[0, 0]] * (x.shape.rank - 1) + [[0, missing]])
    )


_NUMBERS_TOO = {
    "add": (kernels.add_v2, "bool"),
    "subtract": (kernels.sub, "bool"),
    "multiply": (kernels.mul, "bool"),
    "divide": (kernels.real_div,),
    "mod": (_mod,),
    "power": (kernels._pow, *UNSIGNED),
    "maximum": (kernels.maximum, "bool"),
    "minimum": (kernels.minimum, "bool"),
    "equal": (kernels.equal,),
    "not_equal": (kernels.not_equal,),
    "less": (kernels.less, "bool"),
    "less_equal": (kernels.less_equal, "bool"),
    "greater": (kernels.greater, "bool"),
    "greater_equal": (kernels.greater_equal, "bool"),
}
TAKE_NUMBERS = frozenset({*_NUMBERS_TOO, "where", "clip"})

NATIVES: dict[str, Callable[..., Any]] = {
    **{name: beside_numbers(*kernel) for name, kernel in _NUMBERS_TOO.items()},
    **{name: getattr(kernels, name) for name in _SAME_NAME.split()},
    **{
        f"arc{name[1:]}": getattr(kernels, name)
        for name in ("acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh")
    },
    **{
        f.__name__: f
        for f in (bitwise_invert, conj, floor_divide, gcd, imag, nextafter, real, signbit, trunc)
    },
    **{
        f"bitwise_{name}": lacking(getattr(gen_bitwise_ops, f"bitwise_{name}"), "bool")
        for name in ("and", "or", "xor")
    },
    "abs": _magnitude,
    "all": _over(kernels._all),
    "any": _over(kernels._any),
    "argmax": _index(kernels.arg_max, math.inf),
    "argmin": _index(kernels.arg_min, -math.inf),
    "bitwise_left_shift": gen_bitwise_ops.left_shift,
    "bitwise_right_shift": gen_bitwise_ops.right_shift,
    "erfinv": lacking(kernels.erfinv, *HALF),
    "fmod": lacking(fmod, *UNSIGNED),
    "i0": lacking(gen_special_math_ops.bessel_i0, "bfloat16"),
    "isfinite": _of_floats(kernels.is_finite, True),
    "isinf": _of_floats(kernels.is_inf, False),
    "isnan": _of_floats(kernels.is_nan, False),
    "logsumexp": lacking(logsumexp, *HALF),
    "max": lacking(_extreme(kernels._max, kernels.maximum), "bool"),
    "mean": lacking(_over(kernels.mean), *HALF),
    "min": lacking(_extreme(kernels._min, kernels.minimum), "bool"),
    "negative": lacking(kernels.neg, "bool", *UNSIGNED),
    "round": lacking(round_to, *HALF),
    "sign": lacking(kernels.sign, "bool", *UNSIGNED),
    "sum": lacking(_over(kernels._sum), *HALF),
    "_complex": tf.complex,
    "_correlate": lacking(correlate, *HALF),
    "_cumprod": lacking(kernels.cumprod, *HALF),
    "_cumsum": lacking(kernels.cumsum, *HALF),
    "_fft": tf.signal.fft,
    "_fft2": tf.signal.fft2d,
    "_ifft2": tf.signal.ifft2d,
    "_irfft": lambda x, n: tf.signal.irfft(_fitted(x, n // 2 + 1), [n]),
    "_prod": lacking(_over(kernels.prod), *HALF),
    "_rfft": lambda x, n: tf.signal.rfft(_fitted(x, n), [n]),
    "_segment": lacking(_segment, "bool", *HALF),
    "_top_k": top_k,
}
