"""Functions of each element."""

from __future__ import annotations

import math
from functools import partial

from triceras.core.dtypes import (
    INTEGERS,
    is_float_dtype,
    limits,
    promote,
    promote_float,
    promote_number,
    standardize_dtype,
)
from triceras.core.errors import ArgumentTypeError
from triceras.ops import creation, indexing, reduction
from triceras.ops.op import Kept, Tensor, elementwise, op

AT = ("ops", "ops.numpy")
same = partial(elementwise, promote, at=AT)
number = partial(elementwise, promote_number, at=AT)
floating = partial(elementwise, promote_float, at=AT)
predicate = partial(elementwise, promote, "bool", at=AT)
truth = partial(elementwise, lambda kinds: "bool", "bool", at=AT)


# -- arithmetic ----------------------------------------------------------------------------------------------


@same()
def add(x1: Tensor, x2: Tensor) -> Tensor:
    """Sum.

    >>> add(2, 3).item()
    5
    """
    ...


@same()
def subtract(x1: Tensor, x2: Tensor) -> Tensor:
    """Difference.

    >>> subtract(2, 3).item()
    -1
    """
    ...


@same()
def multiply(x1: Tensor, x2: Tensor) -> Tensor:
    """Product.

    >>> multiply(2, 3).item()
    6
    """
    ...


@floating(aliases=("true_divide",))
def divide(x1: Tensor, x2: Tensor) -> Tensor:
    """Quotient.

    >>> divide(3, 2).item()
    1.5
    """
    ...


@floating()
def divide_no_nan(x1: Tensor, x2: Tensor) -> Tensor:
    """Quotient, and 0 where the divisor is 0.

    >>> divide_no_nan(3, 0).item()
    0.0
    """
    zero = equal(x2, 0)
    return indexing.where(zero, 0, divide(x1, indexing.where(zero, 1, x2)))


@number()
def floor_divide(x1: Tensor, x2: Tensor) -> Tensor:
    """Quotient, rounded down.

    >>> floor_divide(-7, 2).item()
    -4
    """
    ...


@number()
def mod(x1: Tensor, x2: Tensor) -> Tensor:
    """Remainder with the sign of the divisor.

    >>> mod(-7, 3).item()
    2
    """
    ...


@number()
def fmod(x1: Tensor, x2: Tensor) -> Tensor:
    """Remainder with the sign of the dividend.

    >>> fmod(-7, 3).item()
    -1
    """
    ...


@number()
def power(x1: Tensor, x2: Tensor) -> Tensor:
    """`x1` raised to `x2`.

    >>> power(2, 3).item()
    8
    """
    ...


@same()
def negative(x: Tensor) -> Tensor:
    """`-x`.

    >>> negative(2).item()
    -2
    """
    ...


@op(promote, at=AT, aliases=("absolute",))
def abs(x: Tensor) -> Tensor:
    """Absolute value; of complex numbers the modulus.

    >>> abs(-2).item()
    2
    """
    ...


@floating()
def fabs(x: Tensor) -> Tensor:
    """Absolute value as a float.

    >>> fabs(-2).item()
    2.0
    """
    return abs(x)


@same()
def sign(x: Tensor) -> Tensor:
    """-1, 0 or 1.

    >>> sign(-2.5).item()
    -1.0
    """
    ...


@predicate()
def signbit(x: Tensor) -> Tensor:
    """Whether the sign is negative, also for `-0.0`.

    >>> signbit(-0.0).item()
    True
    """
    ...


@floating()
def reciprocal(x: Tensor) -> Tensor:
    """`1 / x`.

    >>> reciprocal(4).item()
    0.25
    """
    return divide(1, x)


@number()
def square(x: Tensor) -> Tensor:
    """`x * x`.

    >>> square(3).item()
    9
    """
    return multiply(x, x)


@floating()
def sqrt(x: Tensor) -> Tensor:
    """Square root.

    >>> sqrt(9).item()
    3.0
    """
    ...


@floating(at=("ops",))
def rsqrt(x: Tensor) -> Tensor:
    """`1 / sqrt(x)`.

    >>> rsqrt(4).item()
    0.5
    """
    return divide(1, sqrt(x))


@floating()
def cbrt(x: Tensor) -> Tensor:
    """Cube root.

    >>> cbrt(-8).item()
    -2.0
    """
    return multiply(sign(x), power(abs(x), 1 / 3))


@floating()
def hypot(x1: Tensor, x2: Tensor) -> Tensor:
    """`sqrt(x1**2 + x2**2)` without overflow.

    >>> hypot(3, 4).item()
    5.0
    """
    x1, x2 = abs(x1), abs(x2)
    large = maximum(x1, x2)
    degenerate = logical_or(equal(large, 0), isinf(large))
    ratio = divide(minimum(x1, x2), indexing.where(degenerate, 1, large))
    return indexing.where(degenerate, large, multiply(large, sqrt(add(1, square(ratio)))))


@same()
def gcd(x1: Tensor, x2: Tensor) -> Tensor:
    """Greatest common divisor of integers.

    >>> gcd(12, 18).item()
    6
    """
    ...


@same()
def lcm(x1: Tensor, x2: Tensor) -> Tensor:
    """Least common multiple of integers.

    >>> lcm(4, 6).item()
    12
    """
    divisor = gcd(x1, x2)
    return abs(multiply(floor_divide(x1, maximum(divisor, 1)), x2))


# -- exponentials and logarithms -----------------------------------------------------------------------------


@floating()
def exp(x: Tensor) -> Tensor:
    """Exponential.

    >>> exp(0).item()
    1.0
    """
    ...


@floating()
def exp2(x: Tensor) -> Tensor:
    """`2**x`.

    >>> exp2(3).item()
    8.0
    """
    return power(2, x)


@floating()
def expm1(x: Tensor) -> Tensor:
    """`exp(x) - 1`, accurate near 0.

    >>> expm1(0).item()
    0.0
    """
    ...


@floating()
def log(x: Tensor) -> Tensor:
    """Natural logarithm.

    >>> log(1).item()
    0.0
    """
    ...


@floating()
def log1p(x: Tensor) -> Tensor:
    """`log(1 + x)`, accurate near 0.

    >>> log1p(0).item()
    0.0
    """
    ...


@floating()
def log2(x: Tensor) -> Tensor:
    """Logarithm to base 2.

    >>> log2(8).item()
    3.0
    """
    return divide(log(x), math.log(2))


@floating()
def log10(x: Tensor) -> Tensor:
    """Logarithm to base 10.

    >>> log10(100).item()
    2.0
    """
    return divide(log(x), math.log(10))


@floating()
def logaddexp(x1: Tensor, x2: Tensor) -> Tensor:
    """`log(exp(x1) + exp(x2))` without overflow.

    >>> f"{logaddexp(0, 0).item():.4f}"
    '0.6931'
    """
    distance = subtract(x1, x2)
    same_infinity = isnan(distance)  # or an argument is NaN
    total = add(maximum(x1, x2), log1p(exp(negative(abs(indexing.where(same_infinity, 0, distance))))))
    return indexing.where(same_infinity, add(x1, x2), total)


@floating()
def logaddexp2(x1: Tensor, x2: Tensor) -> Tensor:
    """`log2(2**x1 + 2**x2)` without overflow.

    >>> logaddexp2(1, 1).item()
    2.0
    """
    log_2 = math.log(2)
    return divide(logaddexp(multiply(x1, log_2), multiply(x2, log_2)), log_2)


@floating()
def ldexp(x1: Tensor, x2: Kept) -> Tensor:
    """`x1 * 2**x2` for integers `x2`.

    >>> ldexp(3, 2).item()
    12.0
    """
    if standardize_dtype(x2.dtype) not in INTEGERS:
        raise ArgumentTypeError(
            f"ldexp() takes an integer exponent `x2`. Received dtype: {standardize_dtype(x2.dtype)}"
        )
    half = floor_divide(x2, 2)  # in two steps, since 2**x2 alone may overflow
    for exponent in (half, subtract(x2, half)):
        x1 = multiply(x1, exp2(creation.cast(exponent, x1.dtype)))
    return x1


# -- trigonometry --------------------------------------------------------------------------------------------


@floating()
def sin(x: Tensor) -> Tensor:
    """Sine of an angle in radians.

    >>> sin(0).item()
    0.0
    """
    ...


@floating()
def cos(x: Tensor) -> Tensor:
    """Cosine of an angle in radians.

    >>> cos(0).item()
    1.0
    """
    ...


@floating()
def tan(x: Tensor) -> Tensor:
    """Tangent of an angle in radians.

    >>> tan(0).item()
    0.0
    """
    ...


@floating()
def arcsin(x: Tensor) -> Tensor:
    """Inverse sine, in radians.

    >>> arcsin(0).item()
    0.0
    """
    ...


@floating()
def arccos(x: Tensor) -> Tensor:
    """Inverse cosine, in radians.

    >>> arccos(1).item()
    0.0
    """
    ...


@floating()
def arctan(x: Tensor) -> Tensor:
    """Inverse tangent, in radians.

    >>> arctan(0).item()
    0.0
    """
    ...


@floating()
def sinh(x: Tensor) -> Tensor:
    """Hyperbolic sine.

    >>> sinh(0).item()
    0.0
    """
    ...


@floating()
def cosh(x: Tensor) -> Tensor:
    """Hyperbolic cosine.

    >>> cosh(0).item()
    1.0
    """
    ...


@floating()
def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent.

    >>> tanh(0).item()
    0.0
    """
    ...


@floating()
def arcsinh(x: Tensor) -> Tensor:
    """Inverse hyperbolic sine.

    >>> arcsinh(0).item()
    0.0
    """
    ...


@floating()
def arccosh(x: Tensor) -> Tensor:
    """Inverse hyperbolic cosine.

    >>> arccosh(1).item()
    0.0
    """
    ...


@floating()
def arctanh(x: Tensor) -> Tensor:
    """Inverse hyperbolic tangent.

    >>> arctanh(0).item()
    0.0
    """
    ...


@floating()
def arctan2(x1: Tensor, x2: Tensor) -> Tensor:
    """The angle of the point (`x2`, `x1`), in radians from -pi to pi.

    >>> arctan2(0, 1).item()
    0.0
    """
    ...


@floating()
def sinc(x: Tensor) -> Tensor:
    """`sin(pi * x) / (pi * x)`, and 1 at 0.

    >>> sinc(0).item()
    1.0
    """
    zero = equal(x, 0)
    angle = multiply(indexing.where(zero, 1, x), math.pi)
    return indexing.where(zero, 1, divide(sin(angle), angle))


@floating()
def deg2rad(x: Tensor) -> Tensor:
    """Degrees as radians.

    >>> f"{deg2rad(180).item():.4f}"
    '3.1416'
    """
    return multiply(x, math.pi / 180)


@floating()
def rad2deg(x: Tensor) -> Tensor:
    """Radians as degrees.

    >>> rad2deg(0).item()
    0.0
    """
    return multiply(x, 180 / math.pi)


# -- rounding and bounds -------------------------------------------------------------------------------------


@floating()
def ceil(x: Tensor) -> Tensor:
    """Rounded up, as a float.

    >>> ceil(1.2).item()
    2.0
    """
    ...


@floating()
def floor(x: Tensor) -> Tensor:
    """Rounded down, as a float.

    >>> floor(1.8).item()
    1.0
    """
    ...


@same()
def round(x: Tensor, decimals: int = 0) -> Tensor:
    """Rounded to `decimals` places, halves to the even neighbour.

    >>> round(2.5).item()
    2.0
    """
    ...


@same()
def trunc(x: Tensor) -> Tensor:
    """Rounded towards 0.

    >>> trunc(-1.8).item()
    -1.0
    """
    ...


@same()
def maximum(x1: Tensor, x2: Tensor) -> Tensor:
    """The larger of two; NaN where either is.

    >>> maximum(2, 3).item()
    3
    """
    ...


@same()
def minimum(x1: Tensor, x2: Tensor) -> Tensor:
    """The smaller of two; NaN where either is.

    >>> minimum(2, 3).item()
    2
    """
    ...


@same()
def fmax(x1: Tensor, x2: Tensor) -> Tensor:
    """The larger of two, ignoring NaN.

    >>> fmax(2.0, math.nan).item()
    2.0
    """
    return indexing.where(logical_or(greater(x1, x2), isnan(x2)), x1, x2)


@same()
def fmin(x1: Tensor, x2: Tensor) -> Tensor:
    """The smaller of two, ignoring NaN.

    >>> fmin(2.0, math.nan).item()
    2.0
    """
    return indexing.where(logical_or(less(x1, x2), isnan(x2)), x1, x2)


@number(config=("x_min", "x_max"))
def clip(x: Tensor, x_min: Tensor | None, x_max: Tensor | None) -> Tensor:
    """Limited to the range from `x_min` to `x_max`; None is no limit.

    >>> clip(7, 0, 5).item()
    5
    """
    if x_min is not None:
        x = maximum(x, x_min)
    return x if x_max is None else minimum(x, x_max)


@floating()
def heaviside(x1: Tensor, x2: Tensor) -> Tensor:
    """0 for negative `x1`, 1 for positive ones, `x2` at 0.

    >>> heaviside(0, 0.5).item()
    0.5
    """
    return indexing.where(equal(x1, 0), x2, multiply(add(sign(x1), 1), 0.5))


@floating()
def nextafter(x1: Tensor, x2: Tensor) -> Tensor:
    """The next float after `x1` in the direction of `x2`.

    >>> nextafter(0, 1).item() > 0
    True
    """
    ...


@same()
def nan_to_num(
    x: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """NaN and infinities replaced by numbers; by default by 0 and the largest finite ones.

    >>> nan_to_num(math.nan).item()
    0.0
    """
    dtype = standardize_dtype(x.dtype)
    if not is_float_dtype(dtype):
        return x
    lowest, highest = limits(dtype)
    x = indexing.where(isnan(x), nan, x)
    x = indexing.where(isposinf(x), highest if posinf is None else posinf, x)
    return indexing.where(isneginf(x), lowest if neginf is None else neginf, x)


# -- comparison and logic ------------------------------------------------------------------------------------


@predicate()
def equal(x1: Tensor, x2: Tensor) -> Tensor:
    """`x1 == x2`.

    >>> equal(2, 2).item()
    True
    """
    ...


@predicate()
def not_equal(x1: Tensor, x2: Tensor) -> Tensor:
    """`x1 != x2`.

    >>> not_equal(2, 2).item()
    False
    """
    ...


@predicate()
def less(x1: Tensor, x2: Tensor) -> Tensor:
    """`x1 < x2`.

    >>> less(1, 2).item()
    True
    """
    ...


@predicate()
def less_equal(x1: Tensor, x2: Tensor) -> Tensor:
    """`x1 <= x2`.

    >>> less_equal(2, 2).item()
    True
    """
    ...


@predicate()
def greater(x1: Tensor, x2: Tensor) -> Tensor:
    """`x1 > x2`.

    >>> greater(1, 2).item()
    False
    """
    ...


@predicate()
def greater_equal(x1: Tensor, x2: Tensor) -> Tensor:
    """`x1 >= x2`.

    >>> greater_equal(1, 2).item()
    False
    """
    ...


@truth()
def logical_and(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether both are true.

    >>> logical_and(True, False).item()
    False
    """
    ...


@truth()
def logical_or(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether either is true.

    >>> logical_or(True, False).item()
    True
    """
    ...


@truth()
def logical_xor(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether exactly one is true.

    >>> logical_xor(True, True).item()
    False
    """
    return not_equal(x1, x2)


@truth()
def logical_not(x: Tensor) -> Tensor:
    """Whether it is false.

    >>> logical_not(True).item()
    False
    """
    ...


@predicate()
def isnan(x: Tensor) -> Tensor:
    """Whether it is NaN.

    >>> isnan(math.nan).item()
    True
    """
    ...


@predicate()
def isinf(x: Tensor) -> Tensor:
    """Whether it is an infinity.

    >>> isinf(math.inf).item()
    True
    """
    ...


@predicate()
def isfinite(x: Tensor) -> Tensor:
    """Whether it is neither NaN nor an infinity.

    >>> isfinite(1.0).item()
    True
    """
    ...


@predicate()
def isposinf(x: Tensor) -> Tensor:
    """Whether it is positive infinity.

    >>> isposinf(-math.inf).item()
    False
    """
    return logical_and(isinf(x), greater(x, 0))


@predicate()
def isneginf(x: Tensor) -> Tensor:
    """Whether it is negative infinity.

    >>> isneginf(-math.inf).item()
    True
    """
    return logical_and(isinf(x), less(x, 0))


@predicate()
def isreal(x: Tensor) -> Tensor:
    """Whether it has no imaginary part.

    >>> isreal(1.0).item()
    True
    """
    return equal(imag(x), 0)


@elementwise(promote_float, "bool", at=AT, passed=("rtol", "atol"))
def isclose(
    x1: Tensor, x2: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Whether two are equal up to `atol + rtol * abs(x2)`.

    >>> isclose(1.0, 1.0 + 1e-7).item()
    True
    """
    near = less_equal(abs(subtract(x1, x2)), add(atol, multiply(rtol, abs(x2))))
    result = logical_or(equal(x1, x2), logical_and(near, isfinite(x2)))
    return logical_or(result, logical_and(isnan(x1), isnan(x2))) if equal_nan else result


@op(promote_float, at=AT)
def allclose(
    x1: Tensor, x2: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Whether all elements are equal up to `atol + rtol * abs(x2)`.

    >>> allclose([1.0, 2.0], [1.0, 2.1]).item()
    False
    """
    return reduction.all(isclose(x1, x2, rtol, atol, equal_nan))


# -- bits ----------------------------------------------------------------------------------------------------


@same()
def bitwise_and(x: Tensor, y: Tensor) -> Tensor:
    """AND of each bit.

    >>> bitwise_and(6, 3).item()
    2
    """
    ...


@same()
def bitwise_or(x: Tensor, y: Tensor) -> Tensor:
    """OR of each bit.

    >>> bitwise_or(6, 3).item()
    7
    """
    ...


@same()
def bitwise_xor(x: Tensor, y: Tensor) -> Tensor:
    """Exclusive OR of each bit.

    >>> bitwise_xor(6, 3).item()
    5
    """
    ...


@same(aliases=("bitwise_not",))
def bitwise_invert(x: Tensor) -> Tensor:
    """Each bit inverted.

    >>> bitwise_invert(6).item()
    -7
    """
    ...


@number(aliases=("left_shift",))
def bitwise_left_shift(x: Tensor, y: Tensor) -> Tensor:
    """Bits moved up by `y` places.

    >>> bitwise_left_shift(3, 2).item()
    12
    """
    ...


@number(aliases=("right_shift",))
def bitwise_right_shift(x: Tensor, y: Tensor) -> Tensor:
    """Bits moved down by `y` places.

    >>> bitwise_right_shift(12, 2).item()
    3
    """
    ...


# -- special functions and complex numbers -------------------------------------------------------------------


@floating(at=("ops",))
def erf(x: Tensor) -> Tensor:
    """The error function.

    >>> erf(0).item()
    0.0
    """
    ...


@floating(at=("ops",))
def erfc(x: Tensor) -> Tensor:
    """`1 - erf(x)`, accurate for large `x`.

    >>> erfc(0).item()
    1.0
    """
    ...


@floating(at=("ops",))
def erfinv(x: Tensor) -> Tensor:
    """The inverse of the error function.

    >>> erfinv(0).item()
    0.0
    """
    ...


@floating()
def i0(x: Tensor) -> Tensor:
    """The modified Bessel function of the first kind, order 0.

    >>> f"{i0(1).item():.4f}"
    '1.2661'
    """
    ...


@op(promote, at=())
def _complex(real: Tensor, imaginary: Tensor) -> Tensor:
    """Complex numbers of their parts, which are in single or double precision."""
    ...


@op(promote, at=AT)
def real(x: Tensor) -> Tensor:
    """The real part.

    >>> real(1 + 2j).item()
    1.0
    """
    ...


@op(promote, at=AT)
def imag(x: Tensor) -> Tensor:
    """The imaginary part.

    >>> imag(1 + 2j).item()
    2.0
    """
    ...


@same(aliases=("conjugate",))
def conj(x: Tensor) -> Tensor:
    """The complex conjugate.

    >>> imag(conj(1 + 2j)).item()
    -2.0
    """
    ...


@op(promote_float, at=AT)
def angle(x: Tensor) -> Tensor:
    """The angle of complex numbers, in radians.

    >>> angle(1 + 0j).item()
    0.0
    """
    return arctan2(imag(x), real(x))
