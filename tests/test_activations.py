"""Activations: values against the reference, names, configs, errors."""

from __future__ import annotations

import numpy as np
import pytest

from triceras import activations, use_engine
from triceras.core.errors import ArgumentError, NotFoundError
from triceras.core.spec import KerasTensor

ROW = np.array([-4.0, -2.5, -1.0, -0.3, 0.0, 0.3, 1.0, 2.5, 4.0, 7.0], "float32")
X = np.stack([ROW, ROW[::-1] / 2])
CASES = [(name, {}) for name in activations.SHARED.split() if name != "threshold"] + [
    ("threshold", {"threshold": 1.0, "default_value": 0.5}),
    ("relu", {}),
    ("relu", {"negative_slope": 0.1}),
    ("relu", {"max_value": 3.0}),
    ("relu", {"threshold": 1.0}),
    ("relu", {"negative_slope": 0.1, "max_value": 3.0, "threshold": 1.0}),
    ("gelu", {}),
    ("gelu", {"approximate": True}),
    ("mish", {}),
    ("exponential", {}),
    ("linear", {}),
    ("elu", {"alpha": 0.5}),
    ("leaky_relu", {"negative_slope": 0.5}),
    ("softmax", {"axis": 0}),
    ("squareplus", {"b": 2}),
]


@pytest.mark.parametrize("engine", ["numpy", "jax"])
@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_values_equal_the_references(engine, name, arguments):
    keras = pytest.importorskip("keras")
    with use_engine(engine):
        found = getattr(activations, name)(X, **arguments)
    np.testing.assert_allclose(found, getattr(keras.activations, name)(X, **arguments), rtol=2e-5, atol=2e-6)
    assert found.dtype == "float32"


def test_symbolic():
    x = KerasTensor((None, 4))
    assert activations.relu(x, 0.1, 3.0, 1.0).shape == (None, 4)
    assert activations.glu(x).shape == (None, 2)


@pytest.mark.parametrize(
    "name", [*activations.SHARED.split(), "relu", "gelu", "mish", "exponential", "linear"]
)
def test_names_and_configs(name):
    found = activations.get(name)
    assert found is getattr(activations, name)
    assert activations.serialize(found) == {"swish": "silu", "hard_swish": "hard_silu"}.get(name, name)
    assert activations.deserialize(activations.serialize(found)) is found


def test_get():
    def mine(x):
        return x

    assert activations.get(None) is activations.linear
    assert activations.get(mine) is mine
    config = activations.serialize(mine)
    assert config == {
        "module": "builtins",
        "class_name": "function",
        "config": "mine",
        "registered_name": "function",
    }
    assert activations.deserialize(config, custom_objects={"mine": mine}) is mine
    assert activations.deserialize("mine", custom_objects={"mine": mine}) is mine
    assert activations.get({**config, "config": "relu"}) is activations.relu


@pytest.mark.parametrize("name", ["rely", "get", "deserialize", "SHARED", "objects", "np"])
def test_unknown_names(name):
    with pytest.raises(NotFoundError, match=f"activation '{name}'"):
        activations.get(name)


def test_errors():
    with pytest.raises(ArgumentError, match="Received: 3"):
        activations.get(3)
    with pytest.raises(ArgumentError, match="lambda"):
        activations.serialize(lambda x: x)
