"""The promotion lattice, against the reference's, and the names of dtypes."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from triceras.core import config, dtypes
from triceras.core.errors import ArgumentError

KINDS = (*dtypes.BOOL, *dtypes.INTEGERS, *dtypes.FLOATS, *dtypes.COMPLEX, bool, int, float)


@pytest.fixture
def floatx() -> Iterator[Any]:
    before = config.floatx()
    yield config.set_floatx
    config.set_floatx(before)


def _reference() -> Any:
    pytest.importorskip("jax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras = pytest.importorskip("keras")
    return keras.backend.result_type


@pytest.mark.parametrize("count", [1, 2])
def test_every_combination_promotes_as_in_the_reference(count: int) -> None:
    reference = _reference()
    for kinds in itertools.product(KINDS, repeat=count):
        try:
            expected = reference(*kinds)
        except ValueError:  # the reference knows no complex numbers here
            continue
        # on JAX the reference's 64-bit results become 32-bit when the tensor is made
        assert dtypes.result_type(*kinds) == dtypes.NARROW.get(expected, expected), kinds


def test_promotion_is_commutative_and_idempotent() -> None:
    for a, b in itertools.combinations(KINDS, 2):
        found = dtypes.result_type(a, b)
        assert found == dtypes.result_type(b, a)
        assert found == dtypes.result_type(a, b, a, found)


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (("int8", int), "int8"),
        (("int8", float), "float32"),
        (("bfloat16", float), "bfloat16"),
        (("bool", int), "int32"),
        (("uint32", "int8"), "int32"),
        (("bfloat16", "float16"), "float32"),
        (("float16", "complex64"), "complex64"),
        ((), "float32"),
    ],
)
def test_result_type(kinds: tuple[Any, ...], expected: str) -> None:
    assert dtypes.result_type(*kinds) == expected


def test_the_default_float_type_gives_weak_numbers_theirs(floatx: Any) -> None:
    floatx("bfloat16")
    assert dtypes.result_type("int32", float) == "bfloat16"
    assert dtypes.promote_float(("int8",)) == "bfloat16"
    floatx("float64")
    assert dtypes.result_type("float64", "float32") == "float64"


@pytest.mark.parametrize(
    ("rule", "kinds", "expected"),
    [
        (dtypes.promote_float, ("int32",), "float32"),
        (dtypes.promote_float, ("float16", "int"), "float16"),
        (dtypes.accumulate, ("int8",), "int32"),
        (dtypes.accumulate, ("uint16",), "uint32"),
        (dtypes.accumulate, ("bfloat16",), "bfloat16"),
        (dtypes.promote_number, ("bool", "bool"), "int32"),
        (dtypes.promote_number, ("bool", "int8"), "int8"),
    ],
)
def test_rules(rule: Any, kinds: tuple[str, ...], expected: str) -> None:
    assert rule(kinds) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("float32", "float32"), (np.dtype("int8"), "int8"), (np.float16, "float16"), (int, "int32"),
        (bool, "bool"),
        (float, "float32"), (None, "float32"), ("int", "int32"), (str, "string"), (np.dtype("<U3"), "string"),
        ("torch.float16", "float16"),
    ],
)  # fmt: skip
def test_names(given: Any, expected: str) -> None:
    assert dtypes.standardize_dtype(given) == expected


@pytest.mark.parametrize("given", ["float31", "f", object(), []])
def test_unknown_dtypes_are_named(given: Any) -> None:
    with pytest.raises(ArgumentError, match="Unknown dtype"):
        dtypes.standardize_dtype(given)


@pytest.mark.parametrize("name", [*dtypes.INTEGERS, *dtypes.FLOATS[1:]])
def test_limits_are_those_of_numpy(name: str) -> None:
    info = np.iinfo(name) if "int" in name else np.finfo(name)
    assert dtypes.limits(name) == (info.min, info.max)
