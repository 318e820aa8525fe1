"""Training steps of a user's own: one for all engines, and the forms that each engine's programs use."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import triceras as keras
from triceras import layers
from triceras.core.errors import ArgumentError
from triceras.engine import selection

rng = np.random.default_rng(0)
X = rng.normal(size=(96, 4)).astype("float32")
Y = X.sum(1, keepdims=True)


@contextmanager
def on(engine: str) -> Iterator[None]:
    if not selection.installed(engine):
        pytest.skip(f"{engine} isn't installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        selection.get(engine)
    with keras.use_engine(engine):
        yield


def make(kind: type[keras.Model], **compiled: Any) -> keras.Model:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((4,))
    x = layers.BatchNormalization()(layers.Dense(8, activation="relu")(inputs))
    model = kind(inputs, layers.Dense(1, kernel_regularizer="l2")(layers.Dropout(0.1)(x)))
    model.compile(keras.optimizers.Adam(1e-2), "mse", metrics=["mae"], **compiled)
    return model


def fit(model: keras.Model, **arguments: Any) -> dict[str, list[float]]:
    return model.fit(X, Y, batch_size=32, epochs=2, shuffle=False, verbose=0, **arguments).history


def follows(kind: type[keras.Model], **compiled: Any) -> keras.Model:
    """Train with a step of one's own, and see that it does what the usual one does."""
    expected, model = make(keras.Model), make(kind, **compiled)
    wanted, found = fit(expected), fit(model)
    for name, values in found.items():
        assert np.allclose(values, wanted[name], rtol=1e-4), (name, values, wanted[name])
    assert np.allclose(model.evaluate(X, Y, verbose=0), expected.evaluate(X, Y, verbose=0), rtol=1e-3)
    assert np.allclose(model.predict(X, verbose=0), expected.predict(X, verbose=0), atol=1e-4)
    assert int(model.optimizer.iterations) == 6
    return model


def notes(model: keras.Model) -> list[str]:
    return [event.cause for event in model.report().events if event.kind == "eager"]


class ForAll(keras.Model):
    def train_step(self, data: Any) -> Any:
        x, y = data

        def forward() -> Any:
            y_pred = self(x, training=True)
            return self.compute_loss(x, y, y_pred), y_pred

        (loss, y_pred), grads = keras.value_and_grad(forward, self.trainable_variables, has_aux=True)()
        self.optimizer.apply(grads, self.trainable_variables)
        for metric in self.metrics:
            metric.update_state(loss) if metric.name == "loss" else metric.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}


@pytest.mark.parametrize("engine", ["jax", "torch", "tensorflow"])
def test_one_step_for_all_engines(engine: str) -> None:
    with on(engine):
        assert notes(follows(ForAll)) == []


# -- PyTorch -------------------------------------------------------------------------------------------------


class Backward(keras.Model):
    def train_step(self, data: Any) -> Any:
        import torch

        x, y = data
        self.zero_grad()
        y_pred = self(x, training=True)
        loss = self.compute_loss(x, y, y_pred)
        loss.backward()
        grads = [v.value.grad for v in self.trainable_weights]
        with torch.no_grad():
            self.optimizer.apply(grads, self.trainable_weights)
        for metric in self.metrics:
            metric.update_state(loss) if metric.name == "loss" else metric.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}


class Twice(Backward):
    """Two losses after one another, with the gradients of both."""

    def train_step(self, data: Any) -> Any:
        x, y = data
        self.zero_grad()
        (0.5 * self.compute_loss(x, y, self(x, training=False))).backward()
        loss = 0.5 * self.compute_loss(x, y, self(x, training=False))
        loss.backward()
        self.optimizer.apply([v.value.grad for v in self.trainable_weights], self.trainable_weights)
        self._loss_tracker.update_state(2 * loss)
        return {"loss": self._loss_tracker.result()}


class Accumulating(Backward):
    def zero_grad(self) -> None:
        pass


class OwnOptimizer(keras.Model):
    def train_step(self, data: Any) -> Any:
        x, y = data
        self.adam.zero_grad()
        loss = self.compute_loss(x, y, self(x, training=True))
        loss.backward()
        self.adam.step()
        self._loss_tracker.update_state(loss)
        return {"loss": self._loss_tracker.result()}


@pytest.mark.parametrize("eager", [False, True])
def test_backward_is_compiled(eager: bool) -> None:
    with on("torch"):
        assert bool(notes(follows(Backward, run_eagerly=eager))) is eager


def test_backward_twice_adds_up() -> None:
    with on("torch"):
        models = [make(Twice), make(Twice, run_eagerly=True)]
        first, second = (fit(model)["loss"] for model in models)
        assert np.allclose(first, second, rtol=1e-5) and not notes(models[0])


@pytest.mark.parametrize("kind", [Accumulating, OwnOptimizer])
def test_gradients_that_outlive_a_step_run_as_python(kind: type[keras.Model]) -> None:
    with on("torch"):
        import torch

        losses = []
        for eager in (False, True):
            model = make(kind, run_eagerly=eager)
            model.adam = None
            model.__dict__["adam"] = torch.optim.Adam(model.parameters(), 1e-2)
            before = model.get_weights()
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                losses.append(fit(model)["loss"])
            assert eager or "comes from another step or stays for one" in str(said[0].message)
            assert all((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
        assert np.allclose(*losses, rtol=1e-5)


# -- TensorFlow ----------------------------------------------------------------------------------------------


class Tape(keras.Model):
    def train_step(self, data: Any) -> Any:
        import tensorflow as tf

        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred)
        grads = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(grads, self.trainable_variables, strict=True))
        for metric in self.metrics:
            metric.update_state(loss) if metric.name == "loss" else metric.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}


@pytest.mark.parametrize("eager", [False, True])
def test_tape(eager: bool) -> None:
    with on("tensorflow"):
        assert bool(notes(follows(Tape, run_eagerly=eager))) is eager


# -- JAX -----------------------------------------------------------------------------------------------------


class OnValues(keras.Model):
    def train_step(self, state: Any, data: Any) -> Any:
        import jax

        trained, other, slots, totals = state
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        compute = jax.value_and_grad(self.compute_loss_and_updates, has_aux=True)
        (_, (loss, y_pred, other, totals)), grads = compute(
            trained, other, totals, x, y, weight, training=True, optimizer_variables=slots
        )
        trained, slots = self.optimizer.stateless_apply(slots, grads, trained)
        logs, totals = self.measured(totals, loss, y, y_pred)
        return logs, (trained, other, slots, totals)

    def test_step(self, state: Any, data: Any) -> Any:
        trained, other, totals = state
        x, y = data
        _, (loss, y_pred, other, totals) = self.compute_loss_and_updates(trained, other, totals, x, y, None)
        logs, totals = self.measured(totals, loss, y, y_pred)
        return logs, (trained, other, totals)

    def predict_step(self, state: Any, data: Any) -> Any:
        return self.stateless_call(*state, data[0], training=False)

    def measured(self, totals: Any, loss: Any, y: Any, y_pred: Any) -> Any:
        new: list[Any] = []
        logs = {}
        for metric in self.metrics:
            own = totals[len(new) : len(new) + len(metric.variables)]
            given = (loss,) if metric.name == "loss" else (y, y_pred)
            own = metric.stateless_update_state(own, *given)
            logs[metric.name] = metric.stateless_result(own)
            new += own
        return logs, new


class OverOurs(keras.Model):
    def train_step(self, state: Any, data: Any) -> Any:
        logs, state = super().train_step(state, data)
        return logs, state

    def test_step(self, state: Any, data: Any) -> Any:
        return super().test_step(state, data)

    def predict_step(self, state: Any, data: Any) -> Any:
        return super().predict_step(state, data)


@pytest.mark.parametrize("eager", [False, True])
def test_steps_on_values(eager: bool) -> None:
    with on("jax"):
        follows(OnValues, run_eagerly=eager)


@pytest.mark.parametrize("engine", ["jax", "torch", "tensorflow"])
def test_our_steps_on_values(engine: str) -> None:
    with on(engine):
        assert notes(follows(OverOurs)) == []


def test_our_step_in_jit() -> None:
    with on("jax"):
        import jax

        model, twin = make(keras.Model), make(keras.Model)
        fit(model), fit(twin)
        groups = (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )
        before = model.get_weights()
        logs, state = jax.jit(model.train_step)(groups, (X[:32], Y[:32]))
        assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
        twin.train_on_batch(X[:32], Y[:32])
        assert set(logs) == {"loss", "mae"}
        for value, variable in zip(state[0], twin.trainable_variables, strict=True):
            assert np.allclose(value, variable, atol=1e-6)
        with pytest.raises(ArgumentError, match="must hold lists of values of trainable_variables"):
            model.train_step(groups[:2], (X, Y))


# -- models without `call` -----------------------------------------------------------------------------------


class Pair(keras.Model):
    """Two networks with an optimizer each, and a step for both."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = layers.Dense(4), layers.Dense(1)

    def compile(self, first: Any, second: Any) -> None:
        super().compile()
        self.optimizers = [first, second]
        self.tracker = keras.metrics.Mean(name="distance")

    @property
    def metrics(self) -> list[Any]:
        return [self.tracker]

    def train_step(self, data: Any) -> Any:
        x, y = data
        for layer, optimizer in zip((self.first, self.second), self.optimizers, strict=True):
            if not layer.built:
                self.second(self.first(x))
            loss, grads = keras.value_and_grad(
                lambda: keras.ops.mean((self.second(self.first(x)) - y) ** 2), layer.trainable_weights
            )()
            optimizer.apply(grads, layer.trainable_weights)
        self.tracker.update_state(loss)
        return {"distance": self.tracker.result()}


@pytest.mark.parametrize("engine", ["jax", "torch", "tensorflow"])
def test_a_model_without_call(engine: str) -> None:
    with on(engine):
        model = Pair()
        model.compile(keras.optimizers.SGD(0.05), keras.optimizers.Adam(0.01))
        found = fit(model)["distance"]
        assert found[1] < found[0]
        with pytest.raises(NotImplementedError, match="defines no call"):
            model.predict(X, verbose=0)
