"""Rows for elementwise functions and reductions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

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
    "ceil": [(A * 1.1,)],
    "clip": [(A, -0.5, 1), (A, A[0] - 0.1, A[0] + 0.1), (INTS, 0, 5), (A, 0, None), (A, None, 0)],
    "conj": [(A,), (COMPLEX,)],
    "conjugate": [(A,), (COMPLEX,)],
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
    "floor": [(A * 1.1,)],
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
    "power": [(POSITIVE, POSITIVE + 1), (POSITIVE, B), (A, 2), (INTS, SHIFTS)],
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
    "trunc": [(A * 1.1,)],
}

V = np.array([0.5, 2.0, -1.0, 3.5, 1.25], "float32")
CUBE = np.sin(np.arange(24, dtype="float32") * 1.7).reshape(2, 3, 4) + 0.05
GAPPY = np.where(CUBE > 0.95, np.nan, CUBE)
ALL_NAN = np.array([[1.0, math.nan, 3.0], [math.nan] * 3], "float32")
IDS = np.array([0, 2, 2, 5, 0], "int32")
COUNTS = np.array([1, 4, 2, 4, 0], "int32")
MATRIX_COUNTS = np.array([[1, 4, 2], [0, 1, 1]], "int32")

_REDUCTIONS = {
    "all": [({}, TRUTH), ({"axis": 0}, TRUTH), ({"axis": 1, "keepdims": True}, INTS)],
    "amax": [({"axis": 1}, CUBE)],
    "amin": [({"axis": 1}, CUBE)],
    "any": [({}, TRUTH), ({"axis": 0}, TRUTH), ({"axis": (0, 1), "keepdims": True}, INTS)],
    "argmax": [
        ({}, CUBE),
        ({"axis": 1}, CUBE),
        ({"axis": -1, "keepdims": True}, INTS),
        ({"axis": 1}, ALL_NAN),
    ],
    "argmin": [({}, CUBE), ({"axis": 1}, CUBE), ({"axis": -1, "keepdims": True}, INTS)],
    "average": [({"axis": 1}, CUBE), ({"axis": 1}, CUBE, V[:3]), ({}, CUBE, CUBE + 2), ({}, INTS)],
    "corrcoef": [({}, CUBE[0])],
    "correlate": [({}, V, V[:2]), ({"mode": "same"}, V, V[:2]), ({"mode": "full"}, V, V[:3]), ({}, V[:2], V)],
    "count_nonzero": [({}, INTS), ({"axis": 1}, CUBE)],
    "cumprod": [({"axis": 1}, CUBE), ({}, CUBE), ({"dtype": "float32"}, INTS)],
    "cumsum": [({"axis": -1}, CUBE), ({}, CUBE), ({"axis": 0, "dtype": "int8"}, INTS)],
    "logsumexp": [
        ({"axis": 1}, CUBE * 100),
        ({}, CUBE),
        ({"axis": (0, 2), "keepdims": True}, CUBE),
        ({"axis": 1}, SPECIAL2),
    ],
    "max": [
        ({"axis": 1}, CUBE),
        ({}, INTS),
        ({"axis": (0, -1), "keepdims": True}, CUBE),
        ({"axis": 1, "initial": 0.5}, CUBE),
    ],
    "mean": [({"axis": 1}, CUBE), ({}, CUBE), ({"axis": (0, 2), "keepdims": True}, CUBE), ({}, INTS)],
    "median": [
        ({"axis": 1}, CUBE),
        ({}, CUBE),
        ({"axis": (0, 2), "keepdims": True}, CUBE),
        ({"axis": 1}, ALL_NAN),
    ],
    "min": [
        ({"axis": 1}, CUBE),
        ({}, INTS),
        ({"axis": 1, "keepdims": True}, CUBE),
        ({"axis": 1, "initial": 0.5}, CUBE),
    ],
    "nanargmax": [({"axis": 1}, GAPPY), ({}, GAPPY), ({"axis": 1, "keepdims": True}, ALL_NAN)],
    "nanargmin": [({"axis": 1}, GAPPY), ({}, GAPPY), ({"axis": 1, "keepdims": True}, ALL_NAN)],
    "nancumprod": [({"axis": 1}, GAPPY), ({}, GAPPY)],
    "nancumsum": [({"axis": 1}, GAPPY), ({}, GAPPY)],
    "nanmax": [({"axis": 1}, GAPPY), ({"axis": 1, "keepdims": True}, ALL_NAN), ({}, INTS)],
    "nanmean": [({"axis": 1}, GAPPY), ({"axis": 1, "keepdims": True}, ALL_NAN), ({}, INTS)],
    "nanmedian": [({"axis": 1}, GAPPY), ({"axis": 1, "keepdims": True}, ALL_NAN), ({}, INTS)],
    "nanmin": [({"axis": 1}, GAPPY), ({"axis": 1, "keepdims": True}, ALL_NAN), ({}, INTS)],
    "nanprod": [({"axis": 1}, GAPPY), ({"axis": 1, "keepdims": True}, ALL_NAN), ({}, INTS)],
    "nanstd": [({"axis": 1}, GAPPY), ({"axis": 1, "keepdims": True}, ALL_NAN)],
    "nansum": [({"axis": 1}, GAPPY), ({"axis": 1, "keepdims": True}, ALL_NAN), ({}, INTS)],
    "nanvar": [({"axis": 1}, GAPPY), ({"axis": (0, 2), "keepdims": True}, GAPPY), ({}, ALL_NAN)],
    "prod": [
        ({"axis": 1}, CUBE),
        ({}, INTS),
        ({"axis": (0, 2), "keepdims": True}, CUBE),
        ({"dtype": "float32"}, INTS),
    ],
    "ptp": [({"axis": 1}, CUBE), ({}, INTS), ({"axis": (0, 2), "keepdims": True}, CUBE)],
    "std": [({"axis": 1}, CUBE), ({}, INTS), ({"axis": (0, 2), "keepdims": True}, CUBE)],
    "sum": [
        ({"axis": 1}, CUBE),
        ({}, INTS),
        ({"axis": (0, 2), "keepdims": True}, CUBE),
        ({"axis": ()}, CUBE),
    ],
    "top_k": [({"k": 2}, CUBE), ({"k": 2}, INTS)],
    "trapezoid": [
        ({}, CUBE),
        ({"axis": 1, "dx": 0.5}, CUBE),
        ({"axis": 1}, CUBE, V[:3]),
        ({}, CUBE, CUBE * 2),
    ],
    "var": [({"axis": 1}, CUBE), ({}, INTS), ({"axis": (0, 2), "keepdims": True}, CUBE)],
    **{
        f"segment_{kind}": [
            ({"num_segments": 3}, V, np.array([0, 1, 1, 2, 0])),
            ({"num_segments": 6}, V, IDS),
            ({"num_segments": 3}, np.stack([V, -V], 1), IDS),
            ({"num_segments": 4, "sorted": True}, V, np.array([0, 0, 1, 3, 3])),
        ]
        for kind in ("sum", "prod", "max", "min")
    },
}  # fmt: skip

_QUANTILES = [
    Case(
        name, (x, share), statics, grad="keepdims" in statics, dtypes="any" if statics == {"axis": 1} else ""
    )
    for name, x, scale in (
        ("quantile", CUBE, 1),
        ("nanquantile", GAPPY, 1),
        ("percentile", CUBE, 100),
        ("nanpercentile", GAPPY, 100),
    )
    for share, statics in (
        (0.3 * scale, {"axis": 1}),
        (np.array([0.13, 0.42, 0.88], "float32") * scale, {"axis": (0, 2), "keepdims": True}),
        (np.array([0.45], "float32") * scale, {}),
    )
]


def _measurable(args: Sequence[Any]) -> bool:
    """Whether differences can measure derivatives there."""
    return not any(np.isinf(a).any() for a in args if isinstance(a, np.ndarray))


_ROWS = [
    *((name, {}, args, i) for name, uses in _ELEMENTWISE.items() for i, args in enumerate(uses)),
    *(
        (name, statics, args, i)
        for name, uses in _REDUCTIONS.items()
        for i, (statics, *args) in enumerate(uses)
    ),
]

CASES = [
    Case(
        name,
        tuple(args),
        statics,
        # the first use of an op has its derivatives and result dtypes checked too
        grad=i == 0 and name != "nextafter" and _measurable(args),
        dtypes="any" if i == 0 else "",
    )
    for name, statics, args, i in _ROWS
] + [
    *_QUANTILES,
    *(
        Case("quantile", (CUBE, 0.4), {"axis": -1, "method": m}, dtypes="", grad=False)
        for m in ("lower", "higher", "midpoint", "nearest")
    ),
    Case("bincount", (COUNTS,), unknown=False, dtypes=""),
    Case("bincount", (COUNTS, V), {"minlength": 9}, unknown=False, dtypes="", grad=False),
    Case(
        "bincount",
        (MATRIX_COUNTS,),
        expect=lambda x: np.stack([np.bincount(r, minlength=5) for r in x]),
        dtypes="",
    ),
    Case("digitize", (CUBE, np.array([-0.5, 0.0, 0.05, 0.7], "float32"))),
    Case("digitize", (CUBE, np.array([0.7, 0.05, 0.0, -0.5], "float32"))),
    Case("digitize", (INTS, [0, 3, 7])),
    Case("histogram", (V,), {"bins": 4}, grad=False),
    Case("histogram", (CUBE.ravel(),), {"bins": 7}, grad=False),
    Case("histogram", (V,), {"range": (0.0, 2.0)}, grad=False),
    Case("histogram", (V * 0,), {"bins": 3}, grad=False),
    Case("in_top_k", (np.array([1, 2, 0]), CUBE[0]), {"k": 1}),
    Case("in_top_k", (np.array([1, 2, 0]), CUBE[0]), {"k": 2}, dtypes=""),
    Case("top_k", (np.array([1.0, 3.0, 3.0, 2.0], "float32"),), {"k": 3}, grad=False),
    Case("allclose", (A, A + 1e-7)),
    Case("allclose", (A, B), {"rtol": 10.0}),
    Case("allclose", (SPECIAL, SPECIAL), {"equal_nan": True}),
    Case("isclose", (A, B), {"rtol": 0.1, "atol": 0.5}),
    Case("isclose", (SPECIAL, SPECIAL), {"equal_nan": True}),
    Case("nan_to_num", (SPECIAL,), {"nan": 7.0, "posinf": 1e3, "neginf": -2.0}),
    Case("round", (A * 3.3,), {"decimals": 1}, grad=False, dtypes=""),
]
