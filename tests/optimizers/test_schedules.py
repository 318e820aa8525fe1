"""Schedules against the reference and against hand-made numbers."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
import pytest

from triceras import ops
from triceras.core.errors import ArgumentError, NotFoundError
from triceras.engine import selection
from triceras.optimizers import schedules
from triceras.variable import Variable

CASES: list[tuple[str, dict[str, Any]]] = [
    ("ExponentialDecay", {"initial_learning_rate": 0.5, "decay_steps": 10, "decay_rate": 0.7}),
    (
        "ExponentialDecay",
        {"initial_learning_rate": 0.5, "decay_steps": 7, "decay_rate": 0.7, "staircase": True},
    ),
    ("InverseTimeDecay", {"initial_learning_rate": 0.5, "decay_steps": 10, "decay_rate": 0.7}),
    ("InverseTimeDecay", {"initial_learning_rate": 1, "decay_steps": 7, "decay_rate": 3, "staircase": True}),
    ("PiecewiseConstantDecay", {"boundaries": [5, 9], "values": [1.0, 0.5, 0.1]}),
    ("PiecewiseConstantDecay", {"boundaries": [3.5], "values": [0.3, 2], "name": "one"}),
    ("PolynomialDecay", {"initial_learning_rate": 0.5, "decay_steps": 9}),
    (
        "PolynomialDecay",
        {"initial_learning_rate": 0.5, "decay_steps": 9, "power": 0.5, "end_learning_rate": 0.1},
    ),
    ("PolynomialDecay", {"initial_learning_rate": 0.5, "decay_steps": 9, "power": 2.0, "cycle": True}),
    ("CosineDecay", {"initial_learning_rate": 0.5, "decay_steps": 20}),
    ("CosineDecay", {"initial_learning_rate": 0.5, "decay_steps": 20, "alpha": 0.1}),
    ("CosineDecay", {"initial_learning_rate": 0.5, "decay_steps": 20, "warmup_steps": 5}),
    ("CosineDecay", {"initial_learning_rate": 0.5, "decay_steps": 20, "warmup_target": 1.0}),
    (
        "CosineDecay",
        {
            "initial_learning_rate": 0.1,
            "decay_steps": 20,
            "alpha": 0.2,
            "warmup_target": 1.0,
            "warmup_steps": 8,
        },
    ),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.5, "first_decay_steps": 4}),
    (
        "CosineDecayRestarts",
        {"initial_learning_rate": 0.5, "first_decay_steps": 6, "t_mul": 1.0, "m_mul": 0.8},
    ),
    (
        "CosineDecayRestarts",
        {"initial_learning_rate": 0.5, "first_decay_steps": 5, "t_mul": 1.5, "m_mul": 0.8, "alpha": 0.1},
    ),
]
rows = pytest.mark.parametrize(("name", "arguments"), CASES, ids=[f"{n}{list(a.values())}" for n, a in CASES])


@pytest.fixture(autouse=True)
def jax_engine() -> Any:
    pytest.importorskip("jax")
    with selection.running(selection.get("jax")) as active:
        yield active


@rows
def test_values_and_config_are_the_references(name: str, arguments: dict[str, Any]) -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras = pytest.importorskip("keras")
    mine, theirs = (
        getattr(schedules, name)(**arguments),
        getattr(keras.optimizers.schedules, name)(**arguments),
    )
    for step in [*range(40), 100, 1000]:
        np.testing.assert_allclose(mine(step), theirs(step), rtol=2e-5, atol=1e-7, err_msg=f"step {step}")
    assert schedules.serialize(mine) == keras.optimizers.schedules.serialize(theirs)
    again = schedules.deserialize(keras.optimizers.schedules.serialize(theirs))
    assert again.get_config() == mine.get_config()


@rows
def test_steps_may_be_variables_and_traced(name: str, arguments: dict[str, Any], jax_engine: Any) -> None:
    schedule = getattr(schedules, name)(**arguments)
    step = Variable(7, dtype="int32")
    compiled = jax_engine.compile(lambda: schedule(step), [step])
    assert compiled().dtype == "float32"
    np.testing.assert_allclose([schedule(step), compiled()], 2 * [schedule(7)], rtol=1e-5)


def test_schedules_run_on_numpy() -> None:
    with selection.running(selection.get("numpy")):
        assert float(schedules.CosineDecay(1.0, 10)(10)) == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("ExponentialDecay", (0.1, 0, 0.5), "decay_steps"),
        ("InverseTimeDecay", (0.1, -1, 0.5), "decay_steps"),
        ("PolynomialDecay", (0.1, 0), "decay_steps"),
        ("CosineDecay", (0.1, 0), "decay_steps"),
        ("CosineDecayRestarts", (0.1, 0), "first_decay_steps"),
        ("PiecewiseConstantDecay", ([1, 2], [0.1]), "one entry more"),
    ],
)
def test_bad_arguments(name: str, arguments: tuple[Any, ...], says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        getattr(schedules, name)(*arguments)


def test_unknown_schedule() -> None:
    with pytest.raises(NotFoundError, match="Sawtooth"):
        schedules.deserialize({"class_name": "Sawtooth", "config": {}})


def test_own_schedule() -> None:
    class Doubling(schedules.LearningRateSchedule):
        def __init__(self, start: float) -> None:
            self.start = start

        def __call__(self, step: Any) -> Any:
            return self.start * 2 ** ops.cast(step, "float32")

    again = schedules.deserialize(schedules.serialize(Doubling(0.25)), {"Doubling": Doubling})
    assert float(again(3)) == 2.0
    with pytest.raises(NotImplementedError, match="__call__"):
        schedules.LearningRateSchedule()(1)
