"""Names of dtypes and the one lattice by which they promote.

The lattice is the reference's (and JAX's): an edge leads from a type to the next larger ones, `int` and `float` are the
weak types of Python numbers, and the result of mixing types is their least upper bound. 64-bit results become 32-bit.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from triceras.core import config
from triceras.core.errors import ArgumentError
from triceras.core.registry import export

BOOL = ("bool",)
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
SIGNED = ("int8", "int16", "int32", "int64")
INTEGERS = UNSIGNED + SIGNED
FLOATS = ("bfloat16", "float16", "float32", "float64")
FLOAT8 = ("float8_e4m3fn", "float8_e5m2")
COMPLEX = ("complex64", "complex128")
ALL = frozenset(BOOL + INTEGERS + FLOATS + FLOAT8 + COMPLEX + ("string",))
NARROW = {"int64": "int32", "uint64": "uint32", "float64": "float32", "complex128": "complex64"}
BYTES = {"bool": 1, "bfloat16": 2, "float8_e4m3fn": 1, "float8_e5m2": 1, "int4": 0.5, "uint4": 0.5} | {
    name: int("".join(c for c in name if c.isdigit())) // 8 for name in INTEGERS + FLOATS[1:] + COMPLEX
}

_LARGER = {
    "bool": ("int",),
    "int": ("uint8", "int8"),
    "uint8": ("int16", "uint16"),
    "uint16": ("int32", "uint32"),
    "uint32": ("int64", "uint64"),
    "uint64": ("float",),
    "int8": ("int16",),
    "int16": ("int32",),
    "int32": ("int64",),
    "int64": ("float",),
    "float": ("bfloat16", "float16"),
    "bfloat16": ("float32",),
    "float16": ("float32",),
    "float32": ("float64", "complex64"),
    "float64": ("complex128",),
    "complex64": ("complex128",),
    "complex128": (),
}
_PYTHON = {bool: "bool", int: "int32", float: "float32", complex: "complex64", str: "string", "int": "int32"}
_WEAK = {bool: "bool", int: "int", float: "float", complex: "complex64"}


_known: dict[Any, str] = {}  # names of the libraries' dtype objects


@cache
def _from_text(text: str) -> str:
    for name in (text, text.rpartition(".")[2]):  # "torch.float32" and the like
        if name in ALL:
            return name
    raise ArgumentError(f"Unknown dtype {text!r}. Expected one of: {', '.join(sorted(ALL))}.")


@export("backend.standardize_dtype", "utils.standardize_dtype")
def standardize_dtype(dtype: Any) -> str:
    """The plain name of a dtype: of a name, a Python type, a NumPy, JAX, torch or TensorFlow dtype; None is floatx.

    >>> import numpy as np
    >>> standardize_dtype(np.dtype("int8")), standardize_dtype(None), standardize_dtype(int)
    ('int8', 'float32', 'int32')
    """
    if type(dtype) is str:
        return dtype if dtype in ALL else _PYTHON.get(dtype) or _from_text(dtype)
    try:
        return _known[dtype]
    except (KeyError, TypeError):
        pass
    if dtype is None:
        return config.floatx()
    try:
        found = _PYTHON.get(dtype)
    except TypeError:
        found = None
    if found is not None:
        return found if dtype is not float else config.floatx()
    name = getattr(dtype, "name", None) or getattr(dtype, "__name__", None) or str(dtype)
    if name not in ALL and isinstance(name, str) and name.startswith(("str", "bytes", "object")):
        return "string"
    found = _from_text(str(name))
    try:
        _known[dtype] = found
    except TypeError:  # not hashable
        pass
    return found


@export("backend.is_float_dtype")
def is_float_dtype(dtype: Any) -> bool:
    """Whether a dtype is a real floating-point type.

    >>> is_float_dtype("bfloat16"), is_float_dtype("int8")
    (True, False)
    """
    name = standardize_dtype(dtype)
    return name in FLOATS or name in FLOAT8


@export("backend.is_int_dtype")
def is_int_dtype(dtype: Any) -> bool:
    """Whether a dtype is an integer type.

    >>> is_int_dtype("uint8"), is_int_dtype("bool")
    (True, False)
    """
    return standardize_dtype(dtype) in INTEGERS


@cache
def _upper_bounds(node: str) -> frozenset[str]:
    return frozenset({node}).union(*(_upper_bounds(n) for n in _LARGER[node]))


@cache
def _join(nodes: frozenset[str]) -> str:
    if len(nodes) == 1:
        return next(iter(nodes))
    for node in nodes:
        if node not in _LARGER:
            raise ArgumentError(
                f"The dtype {node!r} doesn't mix with {sorted(nodes - {node})}: cast one side explicitly."
            )
    common = frozenset.intersection(*(_upper_bounds(n) for n in nodes))
    least = [c for c in common if common <= _upper_bounds(c)]
    return least[0]


@cache
def _promote(kinds: tuple[str, ...], floatx: str) -> str:
    found = _join(frozenset(kinds))
    if found == "int":
        found = "int" + {"float64": "64", "float32": "32"}.get(
            floatx, "32" if floatx == "bfloat16" else floatx[-2:]
        )
    elif found == "float":
        found = floatx
    return found if floatx == "float64" else NARROW.get(found, found)


@export("backend.result_type")
def result_type(*dtypes: Any) -> str:
    """The dtype of a computation over the given dtypes; the Python types `int` and `float` count as weak.

    >>> result_type("int32", "float16"), result_type("bfloat16", float), result_type("uint8", "int8")
    ('float16', 'bfloat16', 'int16')
    """
    if not dtypes:
        return config.floatx()
    return promote(tuple(weak_name(d) for d in dtypes))


def weak_name(dtype: Any) -> str:
    """A dtype's node in the lattice: Python's number types are weak, all else stands for itself."""
    if dtype is bool or dtype is int or dtype is float or dtype is complex:
        return _WEAK[dtype]
    return standardize_dtype(dtype)


def promote(kinds: tuple[str, ...]) -> str:
    """The rule of most ops: the least upper bound of all arguments."""
    return _promote(kinds, config.floatx())


def promote_float(kinds: tuple[str, ...]) -> str:
    """The rule of ops with real results (`exp`, `mean` ...): as `promote`, and integers become floatx."""
    found = _promote(kinds, config.floatx())
    return config.floatx() if found in INTEGERS or found == "bool" else found


def accumulate(kinds: tuple[str, ...]) -> str:
    """The rule of sums and products: as `promote`, and small integers become 32-bit."""
    found = _promote(kinds, config.floatx())
    if found in ("bool", "int8", "int16"):
        return "int32"
    return "uint32" if found in ("uint8", "uint16") else found


def promote_number(kinds: tuple[str, ...]) -> str:
    """The rule of arithmetic that has no meaning for truth values: as `promote`, and they become int32."""
    found = _promote(kinds, config.floatx())
    return "int32" if found == "bool" else found


def limits(dtype: str) -> tuple[int | float, int | float]:
    """The smallest and the largest finite value of a dtype."""
    if dtype == "bool":
        return 0, 1
    if dtype in INTEGERS:
        bits = 8 * BYTES[dtype]
        return (0, 2**bits - 1) if dtype in UNSIGNED else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    import ml_dtypes

    info = ml_dtypes.finfo(dtype)
    return float(info.min), float(info.max)
