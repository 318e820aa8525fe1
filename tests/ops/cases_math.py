"""Rows for elementwise functions and reductions."""

from __future__ import annotations

import math

import numpy as np
from tests.ops.case import Case

A = np.array([[0.5, -1.25, 2.0], [1.5, 0.75, -0.4]], "float32")
B = np.array([[1.5, 0.3, -1.1], [0.6, 2.75, 0.9]], "float32")
POSITIVE = np.array([[0.5, 1.25, 2.0], [1.5, 3.75, 0.1]], "float32")
UNIT = np.array([[0.5, -0.25, 0.9], [0.1, 0.75, -0.6]], "float32")
INTS = np.array([[12, -5, 7], [0, 3, -4]], "int32")
INTS2 = np.array([[4, 3, -2], [6, 5, 9]], "int32")
SHIFTS = np.array([[0, 1, 2], [3, 1, 2]], "int32")
TRUTH = np.array([[True, False, True], [False, False, True]])
SPECIAL = np.array([[0.0, -0.0, math.inf], [-math.inf, math.nan, 1.5]], "float32")
SPECIAL2 = np.array([[2.0, math.nan, math.inf], [-math.inf, 1.0, 0.0]], "float32")
COMPLEX = np.array([1 + 2j, -0.5 - 1j, 3.0], "complex64")

_ELEMENTWISE = {
    "abs": [(A,), (INTS,), (COMPLEX,), (SPECIAL,)],
    "absolute": [(A,)],
    "add": [(A, B), (A, 1), (A, B[0]), (2.5, A), (INTS, 2.5), ([1, 2, 3], A)],
    "angle": [(A,), (COMPLEX,)],
    "arccos": [(UNIT,)],
    "arccosh": [(POSITIVE + 1,)],
    "arcsin": [(UNIT,)],
    "arcsinh": [(A,)],
    "arctan": [(A,)],
    "arctan2": [(A, B), (SPECIAL, SPECIAL2)],
    "arctanh": [(UNIT,)],
    "bitwise_and": [(INTS, INTS2)],
    "bitwise_invert": [(INTS,)],
    "bitwise_left_shift": [(INTS, SHIFTS)],
    "bitwise_not": [(INTS,)],
    "bitwise_or": [(INTS, INTS2)],
    "bitwise_right_shift": [(INTS, SHIFTS)],
    "bitwise_xor": [(INTS, INTS2)],
    "cbrt": [(A,)],
    "ceil": [(A,)],
    "clip": [(A, -0.5, 1), (A, A[0] - 0.1, A[0] + 0.1), (INTS, 0, 5), (A, 0, None), (A, None, 0)],
    "conj": [(A,), (COMPLEX,)],
    "conjugate": [(COMPLEX,)],
    "cos": [(A,)],
    "cosh": [(A,)],
    "deg2rad": [(A * 90,)],
    "divide": [(A, B), (INTS, INTS2), (INTS, 0), (A, 2)],
    "divide_no_nan": [(A, B), (A, [0, 1, 2])],
    "equal": [(INTS, INTS2), (A, 0.5), (SPECIAL, SPECIAL)],
    "erf": [(A,)],
    "erfc": [(A,), (POSITIVE * 2,)],
    "erfinv": [(UNIT,), (np.array([0, 1, -1, 2, 1e-6, 0.9999], "float32"),)],
    "exp": [(A,), (INTS,)],
    "exp2": [(A,)],
    "expm1": [(A,), (A * 1e-6,)],
    "fabs": [(A,), (INTS,)],
    "floor": [(A,)],
    "floor_divide": [(A, B), (INTS, INTS2)],
    "fmax": [(A, B), (SPECIAL, SPECIAL2)],
    "fmin": [(A, B), (SPECIAL, SPECIAL2)],
    "fmod": [(A, B), (INTS, INTS2)],
    "gcd": [(INTS, INTS2)],
    "greater": [(INTS, INTS2), (SPECIAL, SPECIAL2)],
    "greater_equal": [(INTS, INTS2), (SPECIAL, SPECIAL2)],
    "heaviside": [(A, B), (SPECIAL, SPECIAL2)],
    "hypot": [(A, B), (SPECIAL, SPECIAL2), (A * 1e30, B * 1e30)],
    "i0": [(A,)],
    "imag": [(A,), (COMPLEX,)],
    "isclose": [(A, A + 1e-7), (A, B), (SPECIAL, SPECIAL), (INTS, INTS2)],
    "isfinite": [(SPECIAL,)],
    "isinf": [(SPECIAL,)],
    "isnan": [(SPECIAL,)],
    "isneginf": [(SPECIAL,)],
    "isposinf": [(SPECIAL,)],
    "isreal": [(A,), (COMPLEX,)],
    "lcm": [(INTS, INTS2)],
    "ldexp": [(A, SHIFTS), (A, -SHIFTS)],
    "left_shift": [(INTS, SHIFTS)],
    "less": [(INTS, INTS2), (SPECIAL, SPECIAL2)],
    "less_equal": [(INTS, INTS2), (SPECIAL, SPECIAL2)],
    "log": [(POSITIVE,), (SPECIAL,)],
    "log10": [(POSITIVE,)],
    "log1p": [(POSITIVE,), (A * 1e-6,)],
    "log2": [(POSITIVE,)],
    "logaddexp": [(A, B), (SPECIAL, SPECIAL2)],
    "logaddexp2": [(A, B), (SPECIAL, SPECIAL2)],
    "logical_and": [(TRUTH, TRUTH[0]), (A, INTS)],
    "logical_not": [(TRUTH,), (INTS,)],
    "logical_or": [(TRUTH, TRUTH[0]), (A, INTS)],
    "logical_xor": [(TRUTH, TRUTH[0]), (A, INTS)],
    "maximum": [(A, B), (SPECIAL, SPECIAL2), (A, 0)],
    "minimum": [(A, B), (SPECIAL, SPECIAL2), (A, 0)],
    "mod": [(A, B), (INTS, INTS2)],
    "multiply": [(A, B), (A, 2), (COMPLEX, 2)],
    "nan_to_num": [(SPECIAL,), (INTS,)],
    "negative": [(A,), (INTS,)],
    "nextafter": [(A, B)],
    "not_equal": [(INTS, INTS2), (SPECIAL, SPECIAL)],
    "power": [(POSITIVE, B), (A, 2), (INTS, SHIFTS)],
    "rad2deg": [(A,)],
    "real": [(A,), (COMPLEX,)],
    "reciprocal": [(A,), (INTS2,)],
    "right_shift": [(INTS, SHIFTS)],
    "round": [(A * 3.3,), (np.array([0.5, 1.5, 2.5, -0.5], "float32"),)],
    "rsqrt": [(POSITIVE,)],
    "sign": [(A,), (INTS,), (SPECIAL,)],
    "signbit": [(A,), (INTS,), (SPECIAL,)],
    "sin": [(A,)],
    "sinc": [(A,), (A * 0,)],
    "sinh": [(A,)],
    "sqrt": [(POSITIVE,), (INTS2,)],
    "square": [(A,), (INTS,)],
    "subtract": [(A, B), (1, A)],
    "tan": [(A,)],
    "tanh": [(A,)],
    "true_divide": [(A, B)],
    "trunc": [(A,)],
}

# no derivative there, or none that a difference could show
_NOT_SMOOTH = ("nextafter",)

CASES = [
    Case(
        name,
        args,
        dtypes="any" if i == 0 else "",
        grad=name not in _NOT_SMOOTH and all(np.isfinite(a).all() for a in args if isinstance(a, np.ndarray)),
    )
    for name, uses in _ELEMENTWISE.items()
    for i, args in enumerate(uses)
] + [
    Case("allclose", (A, A + 1e-7)),
    Case("allclose", (A, B), {"rtol": 10.0}),
    Case("allclose", (SPECIAL, SPECIAL), {"equal_nan": True}),
    Case("isclose", (A, B), {"rtol": 0.1, "atol": 0.5}),
    Case("isclose", (SPECIAL, SPECIAL), {"equal_nan": True}),
    Case("nan_to_num", (SPECIAL,), {"nan": 7.0, "posinf": 1e3, "neginf": -2.0}),
    Case("round", (A * 3.3,), {"decimals": 1}),
    Case("round", (INTS,), {"decimals": -1}),
]
