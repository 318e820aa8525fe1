"""Repeated calls, which skip what the first one found out, behave as the first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import triceras as keras
from triceras import layers, ops
from triceras.core.errors import EngineError, ShapeError

X = np.ones((2, 3), "float32")


class Told(keras.Layer):
    """Says what it was told about training, and keeps a loss."""

    told: Any = "nothing"

    def call(self, x: Any, training: bool | None = None) -> Any:
        self.told = training
        self.add_loss(ops.sum(x))
        return x


@pytest.fixture(params=["alone", "in a graph", "in a stack"])
def called(request: Any) -> tuple[Told, Any]:
    """A layer and what is called, three times already."""
    layer = Told()
    x = keras.Input((3,))
    outer = {
        "alone": lambda: layer,
        "in a graph": lambda: keras.Model(x, layer(x)),
        "in a stack": lambda: keras.Sequential([layers.Activation("relu"), layer]),
    }[request.param]()
    for _ in range(3):
        outer(ops.convert_to_tensor(X))
    return layer, outer


def test_losses_are_those_of_the_latest_call(called: tuple[Told, Any]) -> None:
    layer, outer = called
    outer(ops.convert_to_tensor(2 * X))
    assert [float(x) for x in outer.losses] == [12.0]
    assert [float(x) for x in layer.losses] == [12.0]


def test_every_call_is_told_about_training(called: tuple[Told, Any]) -> None:
    layer, outer = called
    x = ops.convert_to_tensor(X)
    for training in (True, None, False, None):
        outer(x, training=training)
        assert layer.told is training
        outer(x)
        assert layer.told is None


def test_a_layer_that_is_set_to_train_tells_so_in_later_calls(called: tuple[Told, Any]) -> None:
    layer, outer = called
    outer.training = True
    outer(ops.convert_to_tensor(X))
    assert layer.told is True
    outer.training = None
    outer(ops.convert_to_tensor(X))
    assert layer.told is None


def test_later_calls_are_checked() -> None:
    dense = layers.Dense(2)
    for _ in range(3):
        dense(ops.convert_to_tensor(X))
    assert dense(X.astype("float64")).dtype == dense(ops.convert_to_tensor(X)).dtype
    with pytest.raises(ShapeError, match="dense"):
        dense(ops.convert_to_tensor(np.ones((2, 4), "float32")))


def test_a_tensor_of_another_engine_is_noticed_in_later_calls() -> None:
    pytest.importorskip("jax")
    pytest.importorskip("torch")

    amounts: list[Any] = [1.0]

    class Adds(keras.Layer):
        def call(self, x: Any) -> Any:
            amount = amounts[0]
            return x + amount

    with keras.use_engine("torch"):
        layer, x = Adds(), ops.convert_to_tensor(X)
        assert float(ops.sum(layer(x) + layer(x))) == 24.0
    with keras.use_engine("jax"):
        amounts[0] = ops.ones((3,))
    with keras.use_engine("torch"), pytest.raises(EngineError, match="runs on torch and computes with"):
        layer(x)


def test_later_calls_run_where_the_layer_is() -> None:
    pytest.importorskip("jax")
    pytest.importorskip("torch")
    with keras.use_engine("torch"):
        dense = layers.Dense(2)
        first = dense(X)
    with keras.use_engine("jax"):
        for _ in range(3):
            again = dense(X)
            assert type(again) is type(first)
            assert np.allclose(ops.convert_to_numpy(again), ops.convert_to_numpy(first))


@pytest.mark.parametrize("engine", ["jax", "torch", "numpy"])
def test_pipelines_of_another_library_call_back(engine: str) -> None:
    tf = pytest.importorskip("tensorflow")
    with keras.use_engine(engine):
        inner = keras.Sequential([layers.Normalization(mean=1.0, variance=4.0), layers.Dense(2)])
        data = tf.data.Dataset.from_tensors(X).repeat(2).map(lambda x: {"x": inner(x), "same": x})
        assert data.element_spec["x"].shape.as_list() == [2, 2]
        found = list(data.as_numpy_iterator())
        np.testing.assert_allclose(found[0]["x"], ops.convert_to_numpy(inner(X)), rtol=1e-5)
        inner.layers[1].kernel.assign(inner.layers[1].kernel * 0)
        assert not np.any(next(data.as_numpy_iterator())["x"])


def test_layers_called_on_dicts_are_layers_of_the_model() -> None:
    class Summed(keras.Layer):
        def call(self, x: Any) -> Any:
            return {"sum": x["a"] + x["b"]}

    a, b = keras.Input((3,)), keras.Input((3,))
    model = keras.Model([a, b], Summed(name="both")({"a": a, "b": b}))
    assert isinstance(model.get_layer("both"), Summed)
    np.testing.assert_array_equal(model.predict([X, X], verbose=0)["sum"], X * 2)
