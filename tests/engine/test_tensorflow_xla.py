"""Long loops of small steps on TensorFlow, which XLA compiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import triceras as keras
from triceras.engine import selection

if not selection.installed("tensorflow"):
    pytest.skip("TensorFlow isn't installed", allow_module_level=True)

import tensorflow as tf

from triceras.engine.on_tensorflow import steps


def trained(loss: Any = "mse", epochs: int = 2) -> tuple[list[float], str]:
    """Losses of a small network's epochs of eight steps, and its report."""
    with keras.use_engine("tensorflow"):
        keras.utils.set_random_seed(1)
        rng = np.random.default_rng(0)
        x, y = rng.random((32, 3), dtype="float32"), rng.random((32, 2), dtype="float32")
        hidden = keras.layers.Dense(4, "tanh")
        dropout = keras.layers.Dropout(0.5)
        model = keras.Sequential([keras.Input((3,)), hidden, dropout, keras.layers.Dense(2)])
        model.compile("adam", loss)
        return model.fit(x, y, batch_size=4, epochs=epochs, verbose=0).history["loss"], str(model.report())


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each loop that was made is compiled by XLA."""
    made: list[bool] = []
    function = tf.function

    def noting(*args: Any, jit_compile: bool | None = None, **kwargs: Any) -> Any:
        if jit_compile is not None:
            made.append(jit_compile)
        return function(*args, jit_compile=jit_compile, **kwargs)

    monkeypatch.setattr(steps.tf, "function", noting)
    return made


def test_long_loops_of_small_steps_are_compiled_and_equal(monkeypatch, compiled) -> None:
    plain, _ = trained()
    monkeypatch.setattr(steps, "LONG", 8)
    found, _ = trained()
    assert compiled == [False, True]
    np.testing.assert_allclose(found, plain, rtol=1e-5)  # the same random numbers too


def test_large_steps_are_not_compiled(monkeypatch, compiled) -> None:
    monkeypatch.setattr(steps, "LONG", 8)
    monkeypatch.setattr(steps, "SMALL", 20)
    trained()
    assert compiled == [False]


def test_what_xla_lacks_runs_without_it_and_is_reported(monkeypatch, compiled) -> None:
    def loss(y_true: Any, y_pred: Any) -> Any:
        text = tf.strings.as_string(tf.reduce_sum(y_true))  # XLA knows no text
        return tf.reduce_mean((y_true - y_pred) ** 2, -1) + 0 * tf.strings.to_number(text)

    plain, _ = trained(loss)
    monkeypatch.setattr(steps, "LONG", 8)
    found, report = trained(loss)
    assert compiled == [False, True, False]
    assert found == plain
    assert "XLA can't compile" in report
