"""`fit(engine=...)`: moving first, and choosing the fastest engine by measuring."""

from __future__ import annotations

import numpy as np
import pytest

import triceras as keras
from triceras import layers, random
from triceras.core.errors import NotFoundError
from triceras.engine import selection
from triceras.training import auto

TRAINING = [n for n in selection.MODULES if selection.installed(n) and selection.get(n).differentiates]
rng = np.random.default_rng(0)
X = rng.normal(size=(50, 6)).astype("float32")
Y = (X[:, 0] > 0).astype("int32")


def classifier() -> keras.Model:
    keras.utils.set_random_seed(5)
    model = keras.Sequential(
        [
            layers.Input(shape=(6,)),
            layers.Dense(8, activation="relu", name="a"),
            layers.BatchNormalization(name="n"),
            layers.Dropout(0.3, name="d"),
            layers.Dense(2, activation="softmax", name="b"),
        ],
        name="auto",
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fast(monkeypatch, best: str) -> list[str]:
    """Measure shortly, and let one engine win; returns the engines in the order of measuring."""
    measured: list[str] = []
    measure = auto._seconds_a_step

    def seconds(model, *args):
        measured.append(model.engine.name)
        return measure(model, *args) * (1e-6 if model.engine == best else 1)

    monkeypatch.setattr(auto, "_seconds_a_step", seconds)
    monkeypatch.setattr(auto, "MOST_STEPS", 2)
    return measured


@pytest.mark.parametrize("best", TRAINING)
def test_the_fastest_goes_on_from_the_same_state(best, monkeypatch, capsys) -> None:
    expected = classifier()
    expected.to(best)
    history = expected.fit(X, Y, batch_size=16, epochs=2, verbose=0).history
    model = classifier()
    measured = fast(monkeypatch, best)
    found = model.fit(X, Y, batch_size=16, epochs=2, verbose=0, engine="auto").history
    assert measured == TRAINING and model.engine == best and capsys.readouterr().out == ""
    for name in history:
        np.testing.assert_allclose(found[name], history[name], rtol=1e-5)
    for a, b in zip(model.variables, expected.variables, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-6)
    (choice,) = model.report().of("choice")
    assert choice.engine == best and all(f"{n} " in choice.cause for n in TRAINING)
    captures = [e for e in model.report().of("capture") if e.engine == best and e.step == "train loop"]
    assert len({e.cause for e in captures}) == len(captures)  # what was compiled to measure is used


def test_it_says_what_it_measured(monkeypatch, capsys) -> None:
    fast(monkeypatch, TRAINING[-1])
    classifier().fit(X, Y, verbose=2, engine="auto")
    assert f"Training on {TRAINING[-1]}. A step takes: {TRAINING[-1]} " in capsys.readouterr().out


def test_an_engine_that_fails_is_left_out(monkeypatch) -> None:
    if len(TRAINING) < 2:
        pytest.skip("one engine only")
    broken = TRAINING[0]

    class Picky(layers.Layer):
        def call(self, x):
            if self.engine == broken:
                raise ValueError("not here")
            return x

    fast(monkeypatch, broken)
    with keras.use_engine(TRAINING[1]):
        model = keras.Sequential([layers.Input(shape=(6,)), Picky(), layers.Dense(2)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(X, Y, verbose=0, engine="auto")
    assert model.engine != broken and f"{broken} failed (not here)" in model.report().of("choice")[0].cause


def test_streams_lose_no_batch(monkeypatch) -> None:
    fast(monkeypatch, TRAINING[0])
    model, taken = classifier(), []

    def batches():
        for i in range(3):
            taken.append(i)
            yield X[:10], Y[:10]

    model.fit(batches(), verbose=0, engine="auto")
    assert taken == [0, 1, 2] and int(model.optimizer.iterations) == 3


def test_default_random_sources_go_on_undisturbed() -> None:
    keras.utils.set_random_seed(1)
    expected = [np.array(random.uniform((3,))), np.array(random.uniform((3,)))]
    keras.utils.set_random_seed(1)
    first = np.array(random.uniform((3,)))
    with random.undisturbed() as made:
        random.uniform((3,))
        with keras.use_engine("numpy"):
            random.uniform((2,))
    assert made()
    np.testing.assert_array_equal([first, np.array(random.uniform((3,)))], expected)


@pytest.mark.parametrize("name", TRAINING)
def test_an_engine_may_be_named(name) -> None:
    model = classifier()
    model.fit(X, Y, verbose=0, engine=name)
    assert model.engine == name
    with pytest.raises(NotFoundError, match="abacus"):
        model.fit(X, Y, engine="abacus")
