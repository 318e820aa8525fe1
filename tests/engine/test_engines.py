"""The contract: state in compiled functions, gradients, abstract evaluation, choosing an engine."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest

import triceras as keras
from triceras import ops
from triceras.core.errors import EngineError, NotFoundError
from triceras.core.spec import KerasTensor
from triceras.engine import selection
from triceras.variable import assign_where

NAMES = [name for name in selection.MODULES if selection.installed(name)]
TRAINING = [name for name in NAMES if selection.get(name).differentiates]


@pytest.fixture(params=NAMES)
def engine(request):
    with keras.use_engine(request.param) as engine:
        yield engine


@pytest.mark.parametrize("donate", [False, True])
def test_compiled_function_reads_and_assigns_state(engine, donate) -> None:
    total = keras.Variable(
        np.zeros(2, "float32"), trainable=False
    )  # trainable ones are live parameters on torch
    count = keras.Variable(0, dtype="int32")

    def add(x):
        total.assign_add(x)
        count.assign_add(1)
        return total.value * 2.0

    step = engine.compile(add, [total, count], donate=donate)
    held = total.value
    for _ in range(3):
        result = step(engine.make(np.array([1, 2], "float32")))
    np.testing.assert_array_equal(total.numpy(), [3, 6])
    np.testing.assert_array_equal(engine.to_numpy(result), [6, 12])
    np.testing.assert_array_equal(engine.to_numpy(held), [0, 0])
    assert int(count) == 3


def test_state_that_was_not_listed_is_noticed(engine) -> None:
    read, written = keras.Variable(2.0), keras.Variable(0.0)

    def fn(x):
        written.assign(x * read.value)
        return x

    step = engine.compile(fn, [])
    step(engine.make(3.0, "float32"))
    assert float(written) == 6
    read.assign(5.0)
    step(engine.make(3.0, "float32"))
    assert float(written) == 15


def test_loop_equals_steps(engine) -> None:
    data = np.arange(24, dtype="float32").reshape(12, 2), np.arange(12)
    seen = keras.Variable(np.zeros(2, "float32"))

    def fn(x, y):
        seen.assign(seen.value * 0.5 + ops.sum(x, axis=0))
        return {"last": ops.sum(y), "sum": ops.sum(seen.value)}

    loop = engine.compile_loop(fn, [seen])
    index = np.array([[3, 1], [0, 2], [11, 5], [0, 0]], "int32")
    loaded = loop.load(data)
    result = loop(loaded, index, 3)
    expected = np.zeros(2)
    for rows in index[:3]:
        expected = expected * 0.5 + data[0][rows].sum(axis=0)
    np.testing.assert_allclose(seen.numpy(), expected)
    assert int(engine.to_numpy(result["last"])) == 16
    np.testing.assert_allclose(engine.to_numpy(result["sum"]), expected.sum())
    loop(loaded, index, 1)
    np.testing.assert_allclose(seen.numpy(), expected * 0.5 + data[0][[3, 1]].sum(axis=0))


@pytest.mark.parametrize("name", TRAINING)
def test_gradients_and_assignments_inside(name) -> None:
    with keras.use_engine(name):
        w, calls = keras.Variable(3.0), keras.Variable(0)

        def fn():
            calls.assign_add(1)
            return w.value**2, "aux"

        (value, aux), grads = keras.value_and_grad(fn, [w], has_aux=True)()
        assert (float(value), aux, float(grads[0]), int(calls)) == (9.0, "aux", 6.0, 1)


def test_numpy_engine_has_no_gradients() -> None:
    with keras.use_engine("numpy"), pytest.raises(EngineError, match="install"):
        keras.value_and_grad(lambda: 0.0, [])


def test_abstract_evaluation_gives_shapes_and_dtypes(engine) -> None:
    out = engine.abstract(lambda x: (ops.sum(x, axis=0), x > 0), [KerasTensor((4, 3), "float32")])
    assert [(o.shape, o.dtype) for o in out] == [((3,), "float32"), ((4, 3), "bool")]


@pytest.mark.parametrize("holds", [True, False])
def test_assignments_under_a_condition(engine, holds) -> None:
    v = keras.Variable(1.0)
    assign_where(ops.convert_to_tensor(holds), lambda: v.assign(7.0))
    assert float(v) == (7.0 if holds else 1.0)


def test_choosing_an_engine_for_a_block_a_thread_and_for_good() -> None:
    before = keras.backend.backend()
    with keras.use_engine("numpy"):
        assert keras.config.backend() == "numpy"
        found = []
        thread = threading.Thread(target=lambda: found.append(keras.backend.backend()))
        thread.start()
        thread.join()
        assert found == ["numpy"]
    assert keras.backend.backend() == before
    with pytest.raises(NotFoundError, match="abacus"):
        keras.use_engine("abacus")


def test_a_model_keeps_its_engine() -> None:
    with keras.use_engine("numpy"):
        model = keras.Sequential([keras.layers.Input(shape=(3,)), keras.layers.Dense(2)])
    out = model(np.ones((1, 3), "float32"))
    assert isinstance(out, np.ndarray) and model.engine.name == "numpy"
    assert isinstance(model.predict(np.ones((1, 3)), verbose=0), np.ndarray)


@pytest.mark.parametrize(
    "make",
    [lambda: ops.add(np.ones(2), np.ones(3)), lambda: ops.matmul(np.ones((2, 3)), np.ones((2, 3)))],
    ids=["add", "matmul"],
)
def test_errors_of_engines_are_explained(engine, make) -> None:
    with pytest.raises(ValueError, match="Received: x1=float64") as caught:
        make()
    assert caught.value.__cause__ is not None


ALONE = """
import importlib, sys
import numpy as np

importlib.import_module(sys.argv[1])
before = set(sys.modules)  # TensorFlow itself imports Keras, if it is installed, and that its backend
import triceras as keras
from triceras import layers

keras.use_engine(sys.argv[1])
model = keras.Sequential([layers.Input((4,)), layers.Dense(3, "softmax")])
model.compile("sgd", "sparse_categorical_crossentropy")
x, y = np.ones((8, 4), "float32"), np.zeros(8, int)
if sys.argv[1] != "numpy":
    model.fit(x, y, verbose=0)
model.predict(x, verbose=0)
print({"jax", "torch", "tensorflow"} & (set(sys.modules) - before))
"""


@pytest.mark.parametrize("name", NAMES)
def test_only_the_engine_in_use_is_loaded(name: str) -> None:
    done = subprocess.run([sys.executable, "-c", ALONE, name], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
