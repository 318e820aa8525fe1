"""`model.report()`: what each compiled step did, and why."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import triceras as keras
from triceras import layers
from triceras.engine import selection
from triceras.engine.journal import Journal, noting, slow_kernel

TRAINING = [n for n in selection.MODULES if selection.installed(n) and selection.get(n).differentiates]
X, Y = np.ones((20, 3), "float32"), np.zeros((20, 2), "float32")


def model_on(engine: str, **arguments) -> keras.Model:
    with keras.use_engine(engine):
        model = keras.Sequential([layers.Input(shape=(3,)), layers.Dense(2, name="dense")], name="reported")
        model.compile(**({"optimizer": "sgd", "loss": "mse"} | arguments))
    return model


@pytest.mark.parametrize("name", TRAINING)
def test_captures_and_their_causes(name) -> None:
    model = model_on(name)
    assert "no steps" in str(model.report())
    model.fit(X, Y, batch_size=8, verbose=0)
    captures = [e for e in model.report().of("capture") if e.step == "train loop"]
    assert [e.cause.partition(":")[0] for e in captures] == ["first call", "another signature"]
    assert captures[0].engine == name and captures[0].seconds > 0 and "8" in captures[0].cause
    model.fit(X, Y, batch_size=8, verbose=0)
    assert [e for e in model.report().of("capture") if e.step == "train loop"] == captures
    model.layers[0].trainable = False
    model.predict_on_batch(X)
    model.predict_on_batch(X[:3])
    report = model.report()
    assert [e.step for e in report.of("capture")] == ["train loop"] * 2 + ["predict step"] * 2
    assert "instead of" in report.of("capture")[-1].cause and "captured: 4" in str(report)


def test_renewals_are_noted() -> None:
    model = model_on(TRAINING[0])
    model.fit(X, Y, verbose=0)
    model.layers[0].bias.trainable = False
    model.fit(X, Y, verbose=0)
    assert [e.cause for e in model.report().of("renewal")] == ["another set of weights is trained"]


@pytest.mark.parametrize("arguments", [{"run_eagerly": True}, {"jit_compile": False}], ids=str)
def test_eager_runs_say_why(arguments) -> None:
    model = model_on(TRAINING[0], **arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it was asked for
        model.fit(X, Y, verbose=0)
    (event,) = model.report().of("eager")
    assert event.cause in str(arguments).replace("': ", "=") and event.step == "train"
    assert not model.report().of("capture")


def test_numpy_compiles_nothing() -> None:
    model = model_on("numpy")
    model.predict(X, verbose=0)
    assert [e.cause for e in model.report().of("eager")] == ["the numpy engine compiles nothing"]


def test_waits_of_the_host_are_counted() -> None:
    class Nosy(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            pass

    model = model_on(TRAINING[0])
    model.fit(X, Y, batch_size=5, verbose=0, callbacks=[Nosy()])
    waits = {e.cause: e.count for e in model.report().of("sync")}
    assert waits["callbacks get the numbers of every batch: Nosy"] == 4 and waits["the end of an epoch"] == 1


def test_unlisted_state_and_slow_kernels_are_noted() -> None:
    pytest.importorskip("jax")
    with keras.use_engine("jax") as engine:
        hidden = keras.Variable(2.0, name="hidden")
        step = engine.compile(lambda x: x * hidden.value, [])
        step(engine.make(1.0, "float32"))
    assert [e.cause for e in step.journal.events] == ["first call: float32()", "unlisted variables: hidden"]
    journal = Journal()
    with noting(journal):
        slow_kernel("too large")
    slow_kernel("nobody captures")
    assert [(e.kind, e.cause) for e in journal.events] == [("kernel", "too large")]


@pytest.mark.parametrize("name", [n for n in TRAINING if n != "jax"])
def test_a_fallback_warns_once_and_says_why(name) -> None:
    class Branching(layers.Layer):
        def call(self, x):
            return x if float(keras.ops.convert_to_numpy(keras.ops.sum(x))) > 0 else -x

        def compute_output_shape(self, shape):
            return shape

    with keras.use_engine(name):
        model = keras.Sequential([Branching(), layers.Dense(2)])
        model(X)
        with pytest.warns(UserWarning, match="plain Python") as caught:
            model.predict(X, verbose=0)
        model.predict(X, verbose=0)
    assert len(caught) == 1 and model.report().of("eager")[0].step == "predict step"
