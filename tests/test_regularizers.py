"""Regularizers: values, names, configs, errors."""

from __future__ import annotations

import numpy as np
import pytest

from triceras import regularizers, use_engine
from triceras.core.errors import ArgumentError, NotFoundError

X = np.array([[-3.0, -2.0, -1.0], [0.0, 1.0, 2.0]], "float32")
ROWS = [
    ("L1", {"l1": 0.1}, 0.9),
    ("L2", {"l2": 0.1}, 1.9),
    ("L1L2", {"l1": 0.1, "l2": 0.2}, 4.7),
    ("L1L2", {}, 0.0),
    ("L1", {"l1": None}, 0.0),
    ("OrthogonalRegularizer", {"factor": 0.1}, 0.04780914),
]


@pytest.mark.parametrize("engine", ["numpy", "jax"])
@pytest.mark.parametrize(("name", "arguments", "expected"), ROWS)
def test_values(engine, name, arguments, expected):
    with use_engine(engine):
        found = getattr(regularizers, name)(**arguments)(X)
    np.testing.assert_allclose(float(found), expected, rtol=1e-5)
    assert found.dtype == "float32"


def test_orthogonal_columns_are_rows_of_the_transpose():
    rows = regularizers.OrthogonalRegularizer(mode="rows")(X.T)
    np.testing.assert_allclose(
        float(regularizers.OrthogonalRegularizer(mode="columns")(X)), float(rows), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("name", "cls"),
    [("l1", "L1"), ("L1", "L1"), ("l2", "L2"), ("l1_l2", "L1L2"), ("l1l2", "L1L2"), ("L1L2", "L1L2"),
     ("orthogonal_regularizer", "OrthogonalRegularizer"), ("OrthogonalRegularizer", "OrthogonalRegularizer")],
)  # fmt: skip
def test_names(name, cls):
    assert type(regularizers.get(name)).__name__ == cls


@pytest.mark.parametrize(("name", "arguments", "_"), ROWS)
def test_configs(name, arguments, _):
    made = getattr(regularizers, name)(**arguments)
    again = regularizers.deserialize(regularizers.serialize(made))
    assert type(again) is type(made) and again.get_config() == made.get_config()


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), "0.1", [1]])
@pytest.mark.parametrize("make", [regularizers.L1, regularizers.L2, regularizers.OrthogonalRegularizer])
def test_bad_factors(make, value):
    with pytest.raises(ArgumentError, match="finite number"):
        make(value)


def test_errors():
    with pytest.raises(ArgumentError, match="mode"):
        regularizers.OrthogonalRegularizer(mode="diagonals")
    with pytest.raises(ArgumentError, match="matrix"):
        regularizers.OrthogonalRegularizer()(np.ones(3))
    with pytest.raises(NotFoundError, match="regularizer 'l3'"):
        regularizers.get("l3")


@pytest.mark.parametrize("name", ["L1", "L2", "L1L2", "OrthogonalRegularizer"])
def test_configs_load_in_the_reference_and_back(name):
    keras = pytest.importorskip("keras")
    theirs = keras.regularizers.serialize(getattr(keras.regularizers, name)())
    ours = regularizers.serialize(getattr(regularizers, name)())
    assert theirs["config"] == pytest.approx(ours["config"]) if name != "OrthogonalRegularizer" else True
    assert {**theirs, "config": None} == {**ours, "config": None}
    assert (
        type(regularizers.deserialize(theirs)).__name__
        == type(keras.regularizers.deserialize(ours)).__name__
        == name
    )
