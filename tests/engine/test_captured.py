"""Steps of which capturing takes long begin as plain Python, and are captured once that pays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import triceras as keras
from triceras import layers
from triceras.engine.captured import patience

torch = pytest.importorskip("torch")

from triceras.engine.on_torch.steps import CompiledStep  # noqa: E402

X = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")
Y = X.sum(1, keepdims=True)


@pytest.fixture(autouse=True)
def _engine() -> Iterator[None]:
    with keras.use_engine("torch"):
        yield


def make(kind: type = keras.Sequential) -> keras.Model:
    keras.utils.set_random_seed(1)
    model = kind(
        [
            keras.Input((4,)),
            layers.Dense(8, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.2),
            layers.Dense(1),
        ]
    )
    model.compile("adam", "mse", metrics=["mae"])
    return model


def kinds(model: keras.Model) -> set[str]:
    return {e.kind for e in model.report().events} & {"plain", "capture", "eager"}


def trained(model: keras.Model, **options: Any) -> tuple[dict[str, list[float]], list[np.ndarray]]:
    history = model.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0, **options)
    return history.history, model.get_weights()


def test_numbers_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    captured = make()
    expected, weights = trained(captured)
    assert kinds(captured) == {"capture"}
    for price, happened in ((1e6, {"plain"}), (1e-9, {"plain", "capture"})):
        monkeypatch.setattr(CompiledStep, "price", price)
        with patience(True):
            model = make()
            found, after = trained(model)
        assert kinds(model) == happened
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-4)
        for a, b in zip(after, weights, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("many", [True, False], ids=["in one dispatch", "one by one"])
def test_the_rest_of_a_dispatch_is_captured(monkeypatch: pytest.MonkeyPatch, many: bool) -> None:
    monkeypatch.setattr(CompiledStep, "price", 1e-9)
    with patience(True):
        model = make()
        for _ in range(3):
            if many:
                model.fit(X, Y, batch_size=4, verbose=0)
            else:
                model.train_on_batch(X[:4], Y[:4])
    (plain,) = model.report().of("plain")
    assert "compiling may take" in plain.cause
    assert sum(e.count for e in model.report().of("capture")) == 1


def test_predictions_have_no_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CompiledStep, "price", 1e6)
    graphs = []

    class Watched(keras.Sequential):
        def call(self, x: Any, training: bool | None = None, mask: Any = None) -> Any:
            y = super().call(x, training=training)
            graphs.append(bool(getattr(y, "requires_grad", False)))
            return y

    model = make(Watched)
    del graphs[:]
    with patience(True):
        model.predict(X, verbose=0)
        model.evaluate(X, Y, verbose=0)
    assert kinds(model) == {"plain"}
    assert graphs and not any(graphs)


def test_a_step_in_the_style_of_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CompiledStep, "price", 1e6)

    class Model(keras.Sequential):
        def train_step(self, data: Any) -> Any:
            x, y = data
            self.zero_grad()
            loss = self.compute_loss(y=y, y_pred=self(x, training=True))
            loss.backward()
            self.optimizer.apply([v.value.grad for v in self.trainable_weights], self.trainable_weights)
            return {"loss": loss}

    def losses(patient: bool) -> list[float]:
        with patience(patient):
            model = make(Model)
            history = trained(model)[0]
        assert kinds(model) == ({"plain"} if patient else {"capture"})
        return history["loss"]

    np.testing.assert_allclose(losses(True), losses(False), rtol=1e-4)


def test_what_cannot_be_captured_says_so_once_it_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    class Odd(keras.Sequential):
        def call(self, x: Any, training: bool | None = None, mask: Any = None) -> Any:
            y = super().call(x, training=training)
            return (
                y * 2 if hasattr(y, "sum") and type(x) is not keras.KerasTensor and bool(y.sum() > 0) else y
            )

    monkeypatch.setattr(CompiledStep, "price", 1e-9)
    with patience(True):
        model = make(Odd)
        model.train_on_batch(X, Y)
        with pytest.warns(UserWarning, match="runs as plain Python"):
            model.train_on_batch(X, Y)
        model.train_on_batch(X, Y)
    assert kinds(model) == {"plain", "eager"}
