"""Blocks in which variables change nothing outside."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import triceras
from triceras import StatelessScope, Variable, layers, ops
from triceras.core.errors import ArgumentError, ShapeError, StateError
from triceras.engine import selection

engines = pytest.mark.parametrize("engine", [name for name in selection.MODULES if selection.installed(name)])


class Penalized(layers.Dense):
    def call(self, inputs: Any) -> Any:
        self.add_loss(ops.sum(inputs))
        return super().call(inputs)


@engines
def test_values_of_a_block(engine: str) -> None:
    with triceras.use_engine(engine):
        layer, x = Penalized(2), np.ones((1, 3), "float32")
        layer(x)
        before = layer.get_weights()
        with StatelessScope(((w, ops.ones(w.shape)) for w in layer.weights), collect_losses=True) as scope:
            outputs = layer(x)
            layer.bias.assign_add([1.0, 2.0])
            with StatelessScope([(layer.bias, np.zeros(2))]) as inner:
                assert layer.bias.numpy().tolist() == [0.0, 0.0]
            scope.add_update((layer.kernel, np.zeros((3, 2))))
        assert ops.convert_to_numpy(outputs).tolist() == [[4.0, 4.0]]
        assert ops.convert_to_numpy(scope.get_current_value(layer.bias)).tolist() == [2.0, 3.0]
        assert not ops.convert_to_numpy(scope.get_current_value(layer.kernel)).any()
        assert inner.get_current_value(layer.kernel) is None
        assert list(map(float, scope.losses)) == [3.0]
        for a, b in zip(layer.get_weights(), before, strict=True):
            np.testing.assert_array_equal(a, b)


def test_in_a_transformation() -> None:
    jax = pytest.importorskip("jax")
    with triceras.use_engine("jax"):
        v = Variable(3.0)

        def cube(x: Any) -> Any:
            with StatelessScope([(v, x)]):
                v.assign(v.value**3)
                return v.value

        assert float(jax.jit(jax.grad(cube))(2.0)) == 12.0 and float(v) == 3.0


def test_errors() -> None:
    v = Variable([1.0, 2.0])
    with pytest.raises(ArgumentError, match="pairs"):
        StatelessScope([v])
    with pytest.raises(ShapeError, match=r"\(2,\). Received a value of shape \(3,\)"):
        StatelessScope([(v, np.ones(3))])
    with pytest.raises(StateError, match="block"):
        StatelessScope().get_current_value(v)


def test_the_signature_is_the_reference_s() -> None:
    names = ["state_mapping", "collect_losses", "initialize_variables"]
    assert list(inspect.signature(StatelessScope).parameters) == names
