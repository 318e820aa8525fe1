"""Every row of the tables in tests/layers goes through files: from the reference here, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import triceras
from tests.layers.cases import Case
from tests.layers.tables import CASES
from triceras import saving, use_engine

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)  # the reference's own
OURS = sorted({case.layer for case in CASES if not case.reference})
SHARED = sorted({case.layer for case in CASES if case.reference})


@pytest.fixture(autouse=True)
def numpy_engine() -> Any:
    """Files are the same on every engine; this one starts fastest."""
    with use_engine("numpy"):
        yield


def branches(library: Any, cases: list[Case]) -> Any:
    """A model with one branch for each use of a layer."""
    inputs, outputs = [], []
    for case in cases:
        dtype = "int32" if case.below else "float32"
        tensors = [library.Input(shape[1:], batch_size=shape[0], dtype=dtype) for shape in case.shapes]
        inputs += tensors
        together = [tensors] if isinstance(case.shape, list) else tensors
        outputs.append(case.made(library)(*(tensors if case.apart else together), **case.call))
    return library.Model(inputs if len(inputs) > 1 else inputs[0], outputs)


def data(cases: list[Case]) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    shapes = [(case, shape) for case in cases for shape in case.shapes]
    return [
        random.integers(0, c.below, s).astype("int32") if c.below else random.normal(size=s).astype("float32")
        for c, s in shapes
    ]


def fill(model: Any) -> None:
    """Random positive weights, as variances are."""
    random = np.random.default_rng(1)
    for w in model.weights:
        if str(w.dtype).startswith("float"):
            w.assign(random.uniform(0.2, 1.5, tuple(w.shape)).astype("float32"))
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


def results(model: Any, x: list[np.ndarray]) -> list[np.ndarray]:
    found = model(x if len(x) > 1 else x[0], training=False)
    return [np.asarray(y) for y in (found if isinstance(found, (list, tuple)) else [found])]


def equal(found: list[np.ndarray], wanted: list[np.ndarray], cases: list[Case]) -> None:
    for y, expected, case in zip(found, wanted, cases, strict=True):
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4, err_msg=str(case))


@pytest.mark.parametrize("name", SHARED)
def test_reference_and_back(keras: Any, tmp_path: Path, name: str) -> None:
    cases = [case for case in CASES if case.layer == name and case.reference]
    theirs, x = branches(keras, cases), data(cases)
    fill(theirs)
    expected = results(theirs, x)
    theirs.save(tmp_path / "theirs.keras")
    ours = saving.load_model(tmp_path / "theirs.keras")
    equal(results(ours, x), expected, cases)
    ours.save(tmp_path / "ours.keras")
    equal(results(keras.saving.load_model(tmp_path / "ours.keras"), x), expected, cases)


@pytest.mark.parametrize("name", OURS)
def test_own_layers(tmp_path: Path, name: str) -> None:
    cases = [case for case in CASES if case.layer == name and not case.reference]
    model, x = branches(triceras, cases), data(cases)
    fill(model)
    model.save(tmp_path / "ours.keras")
    equal(results(saving.load_model(tmp_path / "ours.keras"), x), results(model, x), cases)
