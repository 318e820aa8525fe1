"""On TensorFlow a model works in functions, tapes, data pipelines, modules, checkpoints and SavedModels."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import triceras as keras
from triceras import layers
from triceras.engine import selection

if not selection.installed("tensorflow"):
    pytest.skip("tensorflow isn't installed", allow_module_level=True)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    selection.get("tensorflow")
    import tensorflow as tf


@pytest.fixture(autouse=True)
def _engine() -> Iterator[None]:
    with keras.use_engine("tensorflow"):
        keras.utils.set_random_seed(1)
        yield


def make() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(8),
            layers.BatchNormalization(),
            layers.Dropout(0.1),
            layers.Dense(1),
        ]
    )


X = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
Y = X.sum(1, keepdims=True)
KERNEL = np.arange(6, dtype="float32").reshape(2, 3)

TAKEN: dict[str, Callable[[Any], Any]] = {
    "convert": tf.convert_to_tensor,
    "function": tf.square,
    "operator": lambda v: tf.ones((4, 2)) @ v,
    "other operator": lambda v: v * tf.ones(3),
    "list": lambda v: tf.concat([v, v], 0),
    "reduction": tf.reduce_sum,
    "tf.function": lambda v: tf.function(lambda: 2.0 * v)(),
}


@pytest.mark.parametrize("name", TAKEN)
def test_functions_take_variables(name: str) -> None:
    found = TAKEN[name](keras.Variable(KERNEL))
    assert tf.is_tensor(found) and np.array_equal(found, TAKEN[name](tf.constant(KERNEL)))


def test_what_isinstance_says() -> None:
    model = make()
    variable = model.layers[0].kernel
    assert isinstance(model, tf.Module) and isinstance(model, keras.Sequential)
    assert isinstance(variable, tf.Variable) and isinstance(variable, keras.Variable)
    assert type(copy.deepcopy(variable)) is keras.Variable
    model.to("numpy")
    assert not isinstance(model, tf.Module) and not isinstance(variable, tf.Variable)


def test_tapes() -> None:
    model = make()
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(X, training=True) - Y) ** 2)
    grads = tape.gradient(loss, model.trainable_variables)
    assert [g.shape for g in grads] == [v.shape for v in model.trainable_variables]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(model.trainable_variables[:1])
        loss = tf.reduce_sum(model(X))
    first, *others = tape.gradient(loss, model.trainable_variables)
    assert first.shape == (4, 8) and others == [None] * 5
    model.layers[0].trainable = False
    with tf.GradientTape() as tape:
        model(X)
    assert len(tape.watched_variables()) == 4


def test_a_loop_in_a_function() -> None:
    model, optimizer, mean = make(), keras.optimizers.Adam(1e-2), keras.metrics.Mean()

    @tf.function
    def step(x: Any, y: Any) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x, training=True) - y) ** 2)
        grads = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
        mean.update_state(loss)

    results = []
    for _ in range(40):
        step(X, Y)
        results.append(float(mean.result()))
        mean.reset_state()
    assert results[-1] < 0.5 * results[0]
    assert int(optimizer.iterations) == 40 and step.experimental_get_tracing_count() <= 2
    assert (model.layers[1].moving_mean.numpy() != 0).all()


def test_gradients_of_embeddings() -> None:
    model = keras.Sequential([keras.Input((3,), dtype="int32"), layers.Embedding(10, 4), layers.Flatten()])
    table, indices = model.layers[0].embeddings, np.array([[1, 2, 2]])
    before = table.numpy()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(indices))
    keras.optimizers.SGD(1.0).apply(tape.gradient(loss, [table]), [table])
    expected = np.zeros((10, 1), "float32")
    expected[[1, 2]] = [[1], [2]]
    assert np.allclose(before - table.numpy(), np.repeat(expected, 4, 1), atol=1e-6)


def test_calls_in_graphs() -> None:
    model = make()
    expected = model(X).numpy()
    assert np.allclose(tf.function(model)(X), expected, atol=1e-6)
    assert np.allclose(tf.function(lambda x: model(x))(X[:3]), expected[:3], atol=1e-6)
    batches = tf.data.Dataset.from_tensor_slices(X).batch(8).map(model)
    assert np.allclose(next(iter(batches)), expected[:8], atol=1e-6)

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, x: Any) -> Any:
            return self.dense(x)

    own = Own()
    made_in_graph = tf.function(own)(X)
    assert np.allclose(made_in_graph, own(X), atol=1e-6)


class Net(tf.Module):
    def __init__(self) -> None:
        self.body, self.scale = make(), tf.Variable(2.0)

    @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32)])
    def __call__(self, x: Any) -> Any:
        return self.body(x) * self.scale


def test_modules_and_files(tmp_path: Path) -> None:
    net = Net()
    expected = net(X)
    assert len(net.trainable_variables) == 7 and len(net.variables) == 9 and net.body in net.submodules
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(net(X))
    assert all(g is not None for g in tape.gradient(loss, net.trainable_variables))
    tf.saved_model.save(net, tmp_path / "net")
    assert np.array_equal(tf.saved_model.load(tmp_path / "net")(X), expected)
    path = tf.train.Checkpoint(net=net).save(str(tmp_path / "checkpoint"))
    assert "net/body/dense_1/kernel/.ATTRIBUTES/VARIABLE_VALUE" in dict(tf.train.list_variables(path))
    other = Net()
    tf.train.Checkpoint(net=other).restore(path).assert_consumed()
    assert np.array_equal(other(X), expected)
    signature = tf.function(net.body).get_concrete_function(tf.TensorSpec((None, 4), tf.float32))
    tf.saved_model.save(net.body, tmp_path / "body", signatures=signature)
    found = tf.saved_model.load(tmp_path / "body").signatures["serving_default"](tf.constant(X))
    assert np.array_equal(next(iter(found.values())), net.body(X))
