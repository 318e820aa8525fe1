"""The checks that every row of the tables `cases*.py` inherits."""

from __future__ import annotations

import inspect
import json
import os
import sys
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import triceras
from tests.layers.cases import Case
from tests.layers.tables import CASES
from triceras import layers, ops, value_and_grad
from triceras.core import registry
from triceras.core.dtypes import standardize_dtype
from triceras.core.spec import KerasTensor
from triceras.engine import selection
from triceras.variable import Variable

API = Path(__file__).parents[2].parent / "shared" / "api" / "keras-3.15.1.json"
COMPARED = [case for case in CASES if case.reference]
MERGES = {case.layer for case in CASES if isinstance(case.shape, list) and not case.apart}


@pytest.fixture(autouse=True)
def jax_engine() -> Any:
    pytest.importorskip("jax")
    with selection.running(selection.get("jax")) as active:
        yield active


@pytest.fixture(autouse=True)
def fresh_names() -> None:
    """Automatic names of inner layers count from the start in both libraries; random numbers repeat."""
    triceras.utils.clear_session(free_memory=False)
    triceras.utils.set_random_seed(1)
    if "keras" in sys.modules:
        sys.modules["keras"].utils.clear_session(free_memory=False)


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


def rows(kept: list[Case] = CASES) -> Any:
    return pytest.mark.parametrize("case", kept, ids=map(str, kept))


def make(case: Case, **more: Any) -> Any:
    return case.made(triceras, **more)


def theirs(keras: Any, case: Case, **more: Any) -> Any:
    return case.made(keras, **more)


def listed(x: Any) -> list[Any]:
    return x if isinstance(x, list) else [x]


def like(case: Case, items: list[Any]) -> Any:
    """A list for layers that take one, else its only item."""
    return items if isinstance(case.shape, list) else items[0]


def args(case: Case, items: list[Any]) -> list[Any]:
    """What stands for the inputs in a call."""
    return items if case.apart else [like(case, items)]


def data(case: Case) -> Any:
    """Input arrays."""
    random = np.random.default_rng(0)
    if case.below:
        found = [random.integers(0, case.below, s) for s in case.shapes]
    else:
        found = [random.normal(0.3, 1.5, s) for s in case.shapes]
    return like(case, [x.astype(case.dtype) for x in found])


def values(layer: Any) -> list[np.ndarray]:
    """Random values for the weights: positive, as variances are."""
    random = np.random.default_rng(1)
    return [
        np.asarray(random.uniform(0.2, 1.5, tuple(w.shape)) * (1 if w.dtype != "int32" else 0), w.dtype)
        for w in layer.weights
    ]


def built(case: Case, **more: Any) -> Any:
    layer = make(case, **more)
    layer.build(*args(case, case.shapes))
    layer.set_weights(values(layer))
    return layer


def flags(layer: Any, case: Case, training: bool) -> dict[str, Any]:
    """Arguments of the call, and `training` for layers that take it."""
    takes = "training" in inspect.signature(layer.call).parameters
    return case.call | ({"training": training} if takes else {})


def eager(case: Case, training: bool = False) -> tuple[np.ndarray, str, list[np.ndarray]]:
    return _eager(CASES.index(case), training)


@cache
def _eager(index: int, training: bool) -> tuple[np.ndarray, str, list[np.ndarray]]:
    """The output of an eager call on JAX, its dtype, and the weights after it."""
    case = CASES[index]
    layer = built(case)
    y = layer(*args(case, listed(data(case))), **flags(layer, case, training))
    return array(y), standardize_dtype(y.dtype), layer.get_weights()


def weight(y: Any) -> np.ndarray:
    """Factors that make a scalar of an output, so that no gradient is trivial."""
    return np.cos(np.arange(np.prod(y.shape))).reshape(y.shape).astype("float32")


def array(x: Any) -> np.ndarray:
    return np.asarray(x).astype("float64") if standardize_dtype(x.dtype) != "bool" else np.asarray(x)


def plain(config: Any) -> Any:
    return json.loads(json.dumps(config))


# -- against the reference -----------------------------------------------------------------------------------


@rows(COMPARED)
def test_output_gradients_and_state(case: Case, keras: Any) -> None:
    """Compiled steps of both, with the same weights."""
    import jax

    ours, other, x = built(case), theirs(keras, case), data(case)
    other.build(*args(case, case.shapes))
    other.set_weights(values(other))
    if hasattr(other, "finalize_state"):
        other.finalize_state()
    inputs = [Variable(a, name="input") for a in listed(x)]
    wanted = [*ours.trainable_variables, *(inputs if case.dtype == "float32" else [])]
    for training in (False, True) if case.training else (False,):

        def reference(trainable: Any, x: Any, training: bool = training) -> Any:
            fixed = [v.value for v in other.non_trainable_variables]
            inputs = args(case, listed(x))
            y, state = other.stateless_call(trainable, fixed, *inputs, **flags(other, case, training))
            return (y * weight(y)).sum(), (y, state)

        def forward(training: bool = training) -> Any:
            y = ours(*args(case, [v.value for v in inputs]), **flags(ours, case, training))
            return ops.sum(y * weight(y)), y

        places = (0, 1) if case.dtype == "float32" else (0,)
        differentiate = jax.value_and_grad(reference, argnums=places, has_aux=True)
        differentiate = jax.jit(differentiate, compiler_options={"xla_backend_optimization_level": 0})
        (_, (expected, state)), gradients = differentiate([v.value for v in other.trainable_variables], x)
        engine = selection.current()
        step = engine.compile(
            lambda f=forward: value_and_grad(f, wanted, has_aux=True)(), [*ours.variables, *inputs]
        )
        (_, outputs), found = step()
        assert standardize_dtype(outputs.dtype) == standardize_dtype(expected.dtype)
        np.testing.assert_allclose(array(outputs), array(expected), rtol=case.tol, atol=case.tol)
        for a, b in zip(found, jax.tree.leaves(gradients), strict=True):
            np.testing.assert_allclose(array(a), array(b), rtol=10 * case.tol, atol=10 * case.tol)
        if training:
            for a, b in zip(ours.non_trainable_variables, state, strict=True):
                np.testing.assert_allclose(a.numpy(), array(b), rtol=case.tol, atol=case.tol)


@rows([case for case in COMPARED if case.layer == "ActivityRegularization" or "regularizer" in str(case)])
def test_losses(case: Case, keras: Any) -> None:
    ours, other = built(case), theirs(keras, case)
    other.build(*args(case, case.shapes))
    other.set_weights(values(other))
    ours(*args(case, listed(data(case)))), other(*args(case, listed(data(case))))
    assert len(ours.losses) == len(other.losses) > 0
    np.testing.assert_allclose(list(map(float, ours.losses)), list(map(float, other.losses)), rtol=1e-5)


@rows(COMPARED)
def test_weights(case: Case, keras: Any) -> None:
    ours, other = make(case, name="it"), theirs(keras, case, name="it")
    ours.build(*args(case, case.shapes)), other.build(*args(case, case.shapes))
    for attribute in ("weights", "trainable_weights", "non_trainable_weights"):
        found = [
            (w.path, tuple(w.shape), standardize_dtype(w.dtype), w.trainable)
            for w in getattr(ours, attribute)
        ]
        assert found == [(w.path, tuple(w.shape), w.dtype, w.trainable) for w in getattr(other, attribute)]
    assert len(ours.variables) == len(other.variables)
    assert plain(ours.get_build_config()) == plain(other.get_build_config())
    assert ours.count_params() == other.count_params()


@rows(COMPARED)
def test_config(case: Case, keras: Any) -> None:
    ours, other = make(case, name="it"), theirs(keras, case, name="it")
    assert plain(ours.get_config()) == plain(other.get_config())
    assert plain(type(other).from_config(plain(ours.get_config())).get_config()) == plain(ours.get_config())
    assert plain(type(ours).from_config(plain(other.get_config())).get_config()) == plain(ours.get_config())
    ours.build(*args(case, case.shapes)), other.build(*args(case, case.shapes))
    assert plain(ours.get_config()) == plain(other.get_config())


@rows(
    [
        case
        for case in COMPARED
        if not case.apart and (case.layer in MERGES | {"Embedding"} or len(case.shapes[0]) > 2)
    ]
)
def test_masks(case: Case, keras: Any) -> None:
    ours, other = built(case), theirs(keras, case)
    other.build(*args(case, case.shapes))
    assert ours.supports_masking == other.supports_masking
    if not other.supports_masking:
        return
    x = data(case)
    tensors = like(case, list(map(ops.convert_to_tensor, listed(x))))
    random = np.random.default_rng(2)
    masks = [random.integers(0, 2, s[:2]).astype(bool) for s in case.shapes]
    given: Any = masks if isinstance(x, list) else masks[0]
    if isinstance(x, list) and len({m.shape for m in masks}) > 1 and case.layer != "Concatenate":
        return
    for mask in (given, [masks[0], *[None] * (len(masks) - 1)] if isinstance(x, list) else None):
        got, expected = ours.compute_mask(tensors, mask), other.compute_mask(tensors, mask)
        assert (got is None) == (expected is None)
        if got is not None:
            np.testing.assert_array_equal(np.asarray(got), np.asarray(expected))


# the reference's symbolic call doesn't know in which dtype a reversed embedding computes
@rows([case for case in COMPARED if "reverse" not in case.call])
def test_precision(case: Case, keras: Any) -> None:
    ours, other = make(case, dtype="mixed_bfloat16"), theirs(keras, case, dtype="mixed_bfloat16")
    result = ours(*args(case, [KerasTensor(s, case.dtype) for s in case.shapes]), **case.call)
    theirs_too = other(*args(case, [keras.KerasTensor(s, case.dtype) for s in case.shapes]), **case.call)
    assert result.dtype == theirs_too.dtype
    assert [standardize_dtype(w.dtype) for w in ours.weights] == [w.dtype for w in other.weights]


@pytest.mark.skipif(not API.exists(), reason="needs the table of the reference's names")
@pytest.mark.parametrize("name", sorted({case.layer for case in CASES} | {"Lambda", "Masking"}))
def test_signature(name: str) -> None:
    table = json.loads(API.read_text())
    entry = table.get(f"layers.{name.replace('Min', 'Max')}", {})
    if "alias_of" in entry:
        entry = table[entry["alias_of"]]
    parameters = list(inspect.signature(getattr(layers, name)).parameters.values())
    bare = [p.replace(annotation=p.empty) for p in parameters]
    assert str(inspect.Signature(bare)) == entry["signature"]


@pytest.mark.skipif(not API.exists(), reason="needs the table of the reference's names")
def test_aliases() -> None:
    table = json.loads(API.read_text())
    for name, entry in table.items():
        if name.startswith("layers.") and "alias_of" in entry:
            ours = registry.lookup(entry["alias_of"])
            assert ours is None or registry.lookup(name) is ours, name


# -- against itself ------------------------------------------------------------------------------------------


def unknown_shapes(case: Case) -> list[Any]:
    """Shapes with unknown sizes: the batch alone, and as many as the row allows."""
    channel = (
        1 if case.arguments.get("data_format") == "channels_first" or case.arguments.get("axis") == 1 else -1
    )

    def most(shape: tuple[int, ...]) -> tuple[int | None, ...]:
        keep = {channel % len(shape)} if case.unknown == "channels-known" else set()
        return tuple(size if axis in keep else None for axis, size in enumerate(shape))

    found = [[(None, *s[1:]) for s in case.shapes]]
    if case.unknown != "batch":
        found.append([most(s) for s in case.shapes])
    return found


@rows()
def test_symbolic(case: Case) -> None:
    layer, (y, dtype, _) = make(case), eager(case)
    result = layer(*args(case, [KerasTensor(s, case.dtype) for s in case.shapes]), **case.call)
    assert result.shape == y.shape
    assert result.dtype == dtype
    named = inspect.signature(layer.compute_output_shape).parameters
    told = {k: v for k, v in case.call.items() if k in named}
    assert layer.compute_output_shape(*args(case, case.shapes), **told) == y.shape
    for shapes in unknown_shapes(case):
        unknown = layer(*args(case, [KerasTensor(s, case.dtype) for s in shapes]), **case.call)
        assert len(unknown.shape) == y.ndim
        assert all(a in (None, b) for a, b in zip(unknown.shape, y.shape, strict=True))
        assert unknown.shape[0] is None


@rows()
def test_compiled(case: Case) -> None:
    for training in (False, True) if case.training else (False,):
        layer, (y, _, weights) = built(case), eager(case, training)
        step = selection.current().compile(
            lambda *items, layer=layer, training=training: layer(
                *args(case, list(items)), **flags(layer, case, training)
            ),
            layer.variables,
        )
        outputs = step(*map(ops.convert_to_tensor, listed(data(case))))
        np.testing.assert_allclose(array(outputs), y, rtol=1e-4, atol=1e-5)
        for a, b in zip(layer.get_weights(), weights, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@rows()
def test_numpy_engine(case: Case) -> None:
    y, dtype, _ = eager(case)
    with selection.running(selection.get("numpy")):
        outputs = built(case)(*args(case, listed(data(case))), **case.call)
    assert isinstance(outputs, np.ndarray)
    assert standardize_dtype(outputs.dtype) == dtype
    np.testing.assert_allclose(array(outputs), y, rtol=1e-4, atol=1e-5)


@rows()
def test_round_trip(case: Case) -> None:
    layer = built(case)
    copy = type(layer).from_config(plain(layer.get_config()))
    copy.build_from_config(plain(layer.get_build_config()))
    assert plain(copy.get_config()) == plain(layer.get_config())
    copy.set_weights(layer.get_weights())
    assert [w.path for w in copy.weights] == [w.path for w in layer.weights]


@rows([case for case in CASES if case.random])
def test_noise(case: Case) -> None:
    layer, x = make(case), data(case)
    assert layer.weights == [] and layer.trainable_weights == []
    np.testing.assert_array_equal(np.asarray(layer(x)), x)
    first, second = (np.asarray(layer(x, training=True)) for _ in range(2))
    assert first.shape == x.shape
    assert (first != x).any() and (first != second).any()


@rows([case for case in CASES if "MinPooling" in case.layer])
def test_minimum_is_the_maximum_of_the_negated(case: Case) -> None:
    x = data(case)
    other = getattr(layers, case.layer.replace("Min", "Max"))(**case.arguments)
    np.testing.assert_array_equal(np.asarray(make(case)(x)), -np.asarray(other(-x)))
    assert {*make(case).get_config()} == {*other.get_config()}
