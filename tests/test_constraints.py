"""Constraints: values, names, configs, errors."""

from __future__ import annotations

import numpy as np
import pytest

from triceras import constraints, use_engine
from triceras.core.errors import NotFoundError

X = np.array([[-3.0, -2.0, -1.0], [0.0, 1.0, 2.0]], "float32")
NORMS = np.linalg.norm(X, axis=0, keepdims=True)
ROWS = [
    ("Constraint", {}, X),
    ("MaxNorm", {"max_value": 2}, X * np.clip(NORMS, 0, 2) / NORMS),
    ("MaxNorm", {"max_value": 2, "axis": [0, 1]}, X * 2 / np.linalg.norm(X)),
    (
        "MinMaxNorm",
        {"min_value": 2.5, "max_value": 2.8, "rate": 0.5},
        X * (0.5 * np.clip(NORMS, 2.5, 2.8) / NORMS + 0.5),
    ),
    ("NonNeg", {}, np.maximum(X, 0)),
    ("UnitNorm", {}, X / NORMS),
    ("UnitNorm", {"axis": -1}, X / np.linalg.norm(X, axis=1, keepdims=True)),
]


@pytest.mark.parametrize("engine", ["numpy", "jax"])
@pytest.mark.parametrize(("name", "arguments", "expected"), ROWS)
def test_values(engine, name, arguments, expected):
    made = getattr(constraints, name)(**arguments)
    with use_engine(engine):
        np.testing.assert_allclose(np.asarray(made(X)), expected, rtol=1e-5)
        half = made(X.astype("float16"))
        zeros = np.asarray(made(np.zeros((2, 2), "float32")))
    assert half.dtype == "float16"
    np.testing.assert_array_equal(zeros, 0)


@pytest.mark.parametrize(
    ("name", "cls"),
    [("max_norm", "MaxNorm"), ("MaxNorm", "MaxNorm"), ("min_max_norm", "MinMaxNorm"), ("non_neg", "NonNeg"),
     ("NonNeg", "NonNeg"), ("unit_norm", "UnitNorm")],
)  # fmt: skip
def test_names(name, cls):
    assert type(constraints.get(name)).__name__ == cls


def test_unknown_name():
    with pytest.raises(NotFoundError, match=r"constraint 'maxnor'.*'MaxNorm'"):
        constraints.get("maxnor")


@pytest.mark.parametrize(("name", "arguments", "_"), ROWS)
def test_configs(name, arguments, _):
    made = getattr(constraints, name)(**arguments)
    again = constraints.deserialize(constraints.serialize(made))
    assert type(again) is type(made) and again.get_config() == made.get_config()


@pytest.mark.parametrize("name", ["MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"])
def test_configs_load_in_the_reference_and_back(name):
    keras = pytest.importorskip("keras")
    theirs = keras.constraints.serialize(getattr(keras.constraints, name)())
    ours = constraints.serialize(getattr(constraints, name)())
    assert ours == theirs
    assert (
        type(constraints.deserialize(theirs)).__name__
        == type(keras.constraints.deserialize(ours)).__name__
        == name
    )
