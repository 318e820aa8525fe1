"""The checks that every row of cases.py inherits."""

from __future__ import annotations

import inspect
import json
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.optimizers.cases import CASES, Case
from triceras import ops, optimizers
from triceras.core import registry
from triceras.engine import selection
from triceras.variable import Variable

API = Path(__file__).parents[2].parent / "shared" / "api" / "keras-3.15.1.json"
SHAPES = {"matrix": (3, 4), "vector": (4,), "tensor": (2, 3, 4)}
STEPS = 30
# The reference gives these names that are no names: "variable", or the trained variable's own one twice.
UNNAMED = {"product", *(f"{name}_{slot}" for name in SHAPES for slot in ("row", "column"))}

rows = pytest.mark.parametrize("case", CASES, ids=str)
configurable = pytest.mark.parametrize("case", [c for c in CASES if "function" not in c.name], ids=str)


@pytest.fixture(autouse=True)
def jax_engine() -> Any:
    pytest.importorskip("jax")
    with selection.running(selection.get("jax")) as active:
        yield active


@pytest.fixture(scope="session")
def keras() -> Any:
    """The reference, on JAX."""
    pytest.importorskip("jax")
    os.environ.setdefault("KERAS_BACKEND", "jax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras = pytest.importorskip("keras")
    if keras.config.backend() != "jax":
        pytest.skip("the reference runs on another backend than JAX")
    return keras


def initial() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype("float32") for shape in SHAPES.values()]


def gradients(case: Case, steps: int = STEPS) -> list[list[np.ndarray]]:
    rng = np.random.default_rng(1)
    found = [[rng.normal(size=shape).astype("float32") for shape in SHAPES.values()] for _ in range(steps)]
    for step in case.bad:
        if step < steps:
            found[step][1][2] = np.inf
    return found


def made(case: Case, library: Any, variable: Any) -> tuple[Any, list[Any]]:
    """A built optimizer and its variables."""
    variables = [variable(value, name=name) for name, value in zip(SHAPES, initial(), strict=True)]
    for v in variables if case.constraint else ():
        v.constraint = lambda w: library.ops.clip(w, -0.5, 0.5)
    optimizer = case.make(library.optimizers)
    optimizer.build(variables)
    return optimizer, variables


class Ours:
    ops, optimizers = ops, optimizers


def ours(case: Case) -> tuple[Any, list[Any]]:
    return made(case, Ours, Variable)


def values(variables: list[Any]) -> list[np.ndarray]:
    return [v.numpy() for v in variables]


def same(found: Any, expected: Any, tol: float, names: Any = None) -> None:
    for name, a, b in zip(names or range(len(found)), found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=tol, atol=tol, err_msg=str(name))


@rows
def test_values_and_variables_are_the_references(case: Case, keras: Any) -> None:
    optimizer, variables = ours(case)
    reference, theirs = made(case, keras, keras.Variable)
    mine = [(v.path.split("/")[1], tuple(v.shape), v.dtype) for v in optimizer.variables]
    for (name, *kind), v in zip(mine, reference.variables, strict=True):
        assert kind == [tuple(v.shape), v.dtype]
        assert name in UNNAMED or name == v.path.split("/")[1]
    trained, slots = [np.array(v.value) for v in theirs], [np.array(v.value) for v in reference.variables]
    their_step = reference.stateless_apply
    if "LossScale" in case.name or "accumulation" in case.name:  # these would be traced in each step
        their_step = pytest.importorskip("jax").jit(their_step)
    for grads in gradients(case):
        optimizer.apply(grads, variables)
        trained, slots = their_step(slots, grads, trained)
    same(values(variables), trained, case.tol, SHAPES)
    same(values(optimizer.variables), slots, case.tol, mine)


@rows
def test_compiled_is_eager_also_with_a_changed_learning_rate(case: Case, jax_engine: Any) -> None:
    eager, expected = ours(case)
    optimizer, variables = ours(case)
    step = jax_engine.compile(optimizer.apply, [*variables, *optimizer.variables], donate=True)
    for i, grads in enumerate(gradients(case, 6)):
        if i == 3 and fixed_rate(case) is None:
            optimizer.learning_rate = eager.learning_rate = 0.25
        eager.apply(grads, expected)
        step([jax_engine.make(g) for g in grads])
    assert step.journal.captures == 1
    same(values(variables), values(expected), case.tol, SHAPES)
    same(values(optimizer.variables), values(eager.variables), case.tol)


@rows
def test_stateless_apply(case: Case) -> None:
    grads = gradients(case, 1)[0]
    optimizer, variables = ours(case)
    before = values(variables), values(optimizer.variables)
    trained, slots = optimizer.stateless_apply(before[1], grads, before[0])
    same(values(variables), before[0], 0)
    same(values(optimizer.variables), before[1], 0)
    optimizer.apply(grads)
    same(values(variables), trained, 1e-6)
    same(values(optimizer.variables), slots, 1e-6)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of the reference
@configurable
def test_config_is_the_references(case: Case, keras: Any) -> None:
    keras.utils.clear_session(free_memory=False)
    mine = optimizers.serialize(case.make(optimizers))
    theirs = json.loads(json.dumps(keras.optimizers.serialize(case.make(keras.optimizers))))
    assert _nameless(mine) == _nameless(theirs)
    assert _nameless(optimizers.serialize(optimizers.deserialize(theirs))) == _nameless(mine)
    if not case.name.startswith("Lamb"):  # the reference can't read its own config of this one
        assert _nameless(keras.optimizers.serialize(keras.optimizers.deserialize(mine))) == _nameless(theirs)


def _nameless(config: Any) -> Any:
    """Without the numbers that make automatic names unique."""
    if isinstance(config, dict):
        return {k: v.rstrip("_0123456789") if k == "name" else _nameless(v) for k, v in config.items()}
    return config


@configurable
def test_config_makes_the_same_steps(case: Case) -> None:
    optimizer, variables = ours(case)
    again = type(optimizer).from_config(optimizer.get_config())
    again_variables = made(case, Ours, Variable)[1]
    for grads in gradients(case, 3):
        optimizer.apply(grads, variables)
        again.apply(grads, again_variables)
    assert [v.path for v in again.variables] == [v.path for v in optimizer.variables]
    same(values(again_variables), values(variables), 0)


def fixed_rate(case: Case) -> type[Exception] | None:
    """The error for setting the learning rate, where that can't be done."""
    return AttributeError if "Multi" in case.name else TypeError if "schedule" in case.name else None


@rows
def test_learning_rate_can_be_changed(case: Case) -> None:
    optimizer, variables = ours(case)
    if fixed_rate(case):
        with pytest.raises(fixed_rate(case), match="learning rate"):
            optimizer.learning_rate = 0.5
        return
    kept, unchanged = ours(case)
    optimizer.learning_rate = 0.25
    assert float(optimizer.learning_rate) == 0.25
    for grads in gradients(case, 4):
        optimizer.apply(grads, variables)
        kept.apply(grads, unchanged)
    assert all(np.abs(a - b).max() > 1e-4 for a, b in zip(values(variables), values(unchanged), strict=True))


@rows
def test_state_moves_to_another_engine(case: Case) -> None:
    steps = gradients(case, 5)
    optimizer, variables = ours(case)
    expected, stayed = ours(case)
    for i, grads in enumerate(steps):
        if i == 2:
            for v in [*variables, *optimizer.variables]:
                v.move(selection.get("numpy"))
        optimizer.apply(grads, variables)
        expected.apply(grads, stayed)
    assert {v.engine.name for v in optimizer.variables} == {"numpy"}
    same(values(variables), values(stayed), case.tol)
    same(values(optimizer.variables), values(expected.variables), case.tol)


@rows
def test_state_is_stored(case: Case) -> None:
    optimizer, variables = ours(case)
    for grads in gradients(case, 2):
        optimizer.apply(grads, variables)
    store: dict[str, Any] = {}
    optimizer.save_own_variables(store)
    other, _ = ours(case)
    other.load_own_variables(store)
    same(values(other.variables), values(optimizer.variables), 0)


RULES = [
    n
    for n in registry.names("optimizers")
    if n not in ("get", "serialize", "deserialize", "Optimizer", "OptimizerMap")
]


@pytest.mark.parametrize("name", RULES)
def test_every_optimizer_has_a_row(name: str) -> None:
    assert any(case.name.split(",")[0].split()[0] == name for case in CASES)


@pytest.mark.parametrize("name", [*RULES, "Optimizer", "OptimizerMap"])
def test_signature_is_the_references(name: str) -> None:
    if not API.is_file():
        pytest.skip("the list of the reference's names isn't here")
    api = json.loads(API.read_text(encoding="utf-8"))
    entry = api[f"optimizers.{name}"]
    entry = api[entry["alias_of"]] if "alias_of" in entry else entry
    mine = inspect.signature(getattr(optimizers, name)).parameters
    text = [str(p.replace(annotation=p.empty)) for p in mine.values() if p.kind is not p.VAR_KEYWORD]
    assert text == [part for part in entry["signature"].strip("()").split(", ") if part != "**kwargs"]
    for method in entry["methods"]:
        assert callable(getattr(getattr(optimizers, name), method))
