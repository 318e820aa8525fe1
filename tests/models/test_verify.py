"""`model.verify()`: engines agree, differences are found, and the model stays as it is."""

from __future__ import annotations

import numpy as np
import pytest

import triceras as keras
from triceras import layers, ops
from triceras.core.errors import ArgumentError
from triceras.engine import selection

NAMES = [name for name in selection.MODULES if selection.installed(name)]


def small(**compile_arguments) -> keras.Model:
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            layers.Input(shape=(8, 8, 3)),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, name="head"),
        ],
        name="small",
    )
    if compile_arguments:
        model.compile(**compile_arguments)
    return model


def test_engines_agree_and_the_model_stays_as_it_is() -> None:
    model = small(optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = np.random.default_rng(0).normal(size=(5, 8, 8, 3)), np.array([0, 1, 2, 0, 1])
    model.fit(x, y, verbose=0)
    held, loops = [(v.held, v.numpy()) for v in model.variables], dict(model._loops)
    found = model.verify(x, y)
    assert found.ok and found.training and found.engines[0] == model.engine == NAMES[0]
    assert {r.engine for r in found.rows} == set(NAMES[1:])
    paths = {(r.kind, r.path) for r in found.rows}
    assert ("output", "small/conv") in paths
    if len([n for n in NAMES if selection.get(n).differentiates]) > 1:
        assert ("gradient", "small/conv/kernel") in paths
    assert all(
        a is v.held and (b == v.numpy()).all() for (a, b), v in zip(held, model.variables, strict=True)
    )
    assert model._loops == loops and not any("call" in layer.__dict__ for layer in model.layers)
    text = str(found)
    text = " ".join(text.split())  # lines are as wide as the terminal
    assert "small/head" in text and "All agree." in text and f"difference from {NAMES[0]}" in text


def test_a_difference_is_found_and_named() -> None:
    class Wrong(layers.Layer):
        def call(self, x):
            return x + (self.engine == "numpy")

    inputs = layers.Input(shape=(3,))
    model = keras.Model(
        inputs, layers.Dense(2, name="after")(Wrong(name="wrong")(layers.ReLU(name="before")(inputs)))
    )
    found = model.verify(engines=[NAMES[0], "numpy"])
    bad = {row.path for row in found.rows if not row.ok}
    assert not found.ok and any("wrong" in p for p in bad) and not any("before" in p for p in bad)
    assert next(row for row in found.rows if "wrong" in row.path).absolute == pytest.approx(1)
    assert "values differ" in repr(found)
    assert model.verify(engines=[NAMES[0], "numpy"], atol=100).ok


def test_inputs_are_made_up_also_for_indices_and_subclasses() -> None:
    model = keras.Sequential(
        [layers.Input(shape=(None,), dtype="int32"), layers.Embedding(7, 4), layers.Dropout(0.5)]
    )
    found = model.verify(engines=[NAMES[0], "numpy"])
    assert found.ok and not found.training and "as in inference" in " ".join(str(found).split())

    class Mine(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, x):
            return {"twice": self.dense(self.dense(x)), "once": ops.abs(x)}

    model = Mine()
    with pytest.raises(ArgumentError, match="Give verify"):
        model.verify()
    model(np.ones((1, 2)))
    assert model.verify(engines=[NAMES[0], "numpy"]).ok and any(
        "#2" in r.path for r in model.verify(engines=NAMES[:2]).rows
    )


def test_two_engines_are_needed() -> None:
    with pytest.raises(ArgumentError, match="needs two"):
        small().verify(engines=[NAMES[0]])
