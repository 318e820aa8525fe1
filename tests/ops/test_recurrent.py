"""The recurrent layers' ops: each engine's own version, compiled too, beside the generic loop of JAX."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import triceras
from triceras import Variable, ops, use_engine, value_and_grad
from triceras.engine import selection
from triceras.ops import recurrent

pytest.importorskip("jax")
BATCH, STEPS, FEATURES, UNITS = 3, 5, 4, 6
GATES = {"lstm": 4, "gru": 3}
CASES = [(kind, bias, mask) for kind in GATES for bias in (True, False) for mask in (True, False)]


@pytest.fixture(params=["jax", "torch", "tensorflow"])
def engine(request: pytest.FixtureRequest) -> Any:
    if not selection.installed(request.param):
        pytest.skip(f"needs {request.param}")
    with use_engine(request.param) as active:
        yield active


def arguments(kind: str, bias: bool, mask: bool) -> tuple[list[Any], list[np.ndarray], list[np.ndarray]]:
    """Float arguments (None for no bias), masks, and factors that make a scalar of the results."""
    random, width = np.random.default_rng(0), GATES[kind] * UNITS
    state = (BATCH, UNITS)
    states = [state, state] if kind == "lstm" else [state]
    shapes = [(BATCH, STEPS, FEATURES), *states, (FEATURES, width), (UNITS, width)]
    biases = (width,) if kind == "lstm" else (2, width)
    floats = [random.normal(0, 0.7, s).astype("float32") for s in (*shapes, biases)]
    factors = [random.normal(size=s).astype("float32") for s in ((BATCH, STEPS, UNITS), *states)]
    masks = [random.integers(0, 2, (BATCH, STEPS)).astype(bool)] if mask else []
    return [*floats[:-1], floats[-1] if bias else None], masks, factors


def results(run: Any, kind: str, bias: bool, mask: bool, compile: bool = False) -> list[np.ndarray]:
    """What an op returns, and its gradients by all float arguments."""
    floats, masks, factors = arguments(kind, bias, mask)
    variables = [Variable(x, name="x") for x in floats if x is not None]

    def loss() -> Any:
        values = [v.value for v in variables] + [None] * (not bias)
        found = run(*values, *map(ops.convert_to_tensor, masks))
        return sum(ops.sum(ops.multiply(x, f)) for x, f in zip(found, factors, strict=True)), list(found)

    def both() -> Any:
        return value_and_grad(loss, variables, has_aux=True)()

    current = selection.current()
    (_, found), gradients = (current.compile(both, variables) if compile else both)()
    return [current.to_numpy(x) for x in (*found, *gradients)]


@cache
def expected(kind: str, bias: bool, mask: bool) -> list[np.ndarray]:
    with use_engine("jax"):
        return results(getattr(recurrent, name(kind, mask)).op.body, kind, bias, mask)


def name(kind: str, mask: bool) -> str:
    return f"_masked_{kind}" if mask else f"_{kind}"


@pytest.mark.parametrize("compile", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize(("kind", "bias", "mask"), CASES)
def test_values_and_gradients(engine: Any, kind: str, bias: bool, mask: bool, compile: bool) -> None:
    found = results(getattr(recurrent, name(kind, mask)), kind, bias, mask, compile)
    for a, b in zip(found, expected(kind, bias, mask), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=5e-6)


@pytest.mark.parametrize(("kind", "bias", "mask"), CASES)
def test_numpy(kind: str, bias: bool, mask: bool) -> None:
    floats, masks, factors = arguments(kind, bias, mask)
    with use_engine("numpy"):
        found = getattr(recurrent, name(kind, mask))(*floats, *masks)
    for a, b in zip(found, expected(kind, bias, mask)[: len(factors)], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=5e-6)


@pytest.mark.parametrize("mask", [True, False])
@pytest.mark.parametrize("kind", GATES)
def test_half_precision(engine: Any, kind: str, mask: bool) -> None:
    floats, masks, factors = arguments(kind, True, mask)
    given = [ops.cast(x, "bfloat16") for x in floats]
    found = getattr(recurrent, name(kind, mask))(*given, *map(ops.convert_to_tensor, masks))
    for a, b in zip(found, expected(kind, True, mask)[: len(factors)], strict=True):
        assert ops.is_tensor(a) and "bfloat16" in str(a.dtype)
        np.testing.assert_allclose(ops.convert_to_numpy(ops.cast(a, "float32")), b, atol=0.03)


def test_second_derivatives_and_vmap_on_jax() -> None:
    import jax
    import jax.numpy as jnp

    (x, h, kernel, *rest), _, _ = arguments("gru", True, False)
    with use_engine("jax"):
        natively = lambda k: recurrent._gru(jnp.asarray(x), jnp.asarray(h), k, *map(jnp.asarray, rest))  # noqa: E731
        generic = lambda k: recurrent._gru.op.body(x, h, k, *rest)  # noqa: E731

        def twice(run: Any) -> Any:
            first = jax.grad(lambda k: run(k)[0].sum())
            return jax.grad(lambda k: (first(k) ** 2).sum())(jnp.asarray(kernel))

        np.testing.assert_allclose(twice(natively), twice(generic), rtol=1e-4, atol=1e-4)
        many = jax.vmap(lambda k: natively(k)[0])(jnp.stack([jnp.asarray(kernel)] * 2))
        np.testing.assert_allclose(many[1], natively(jnp.asarray(kernel))[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_graphs_of_tensorflow_know_the_number_of_steps(kind: str) -> None:
    tf = pytest.importorskip("tensorflow")
    with triceras.use_engine("tensorflow"):
        layer, shapes = getattr(triceras.layers, kind)(2, return_sequences=True), []
        layer.build((4, 5, 3))
        tf.function(lambda x: shapes.append(layer(x).shape), autograph=False)(tf.ones((4, 5, 3)))
    assert shapes == [(4, 5, 2)]
