"""On JAX a model's state is a tree of arrays for functions that JAX transforms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import triceras as keras
from triceras import layers
from triceras.core.errors import EngineError, StateError

jax = pytest.importorskip("jax")
jnp = jax.numpy

from triceras.engine.on_jax.kernels import THREADED, on_cpu, threaded  # noqa: E402


@pytest.fixture(autouse=True)
def _engine() -> Iterator[None]:
    with keras.use_engine("jax"):
        keras.utils.set_random_seed(1)
        yield


def make() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(8),
            layers.BatchNormalization(),
            layers.Dropout(0.1),
            layers.Dense(1),
        ]
    )


X = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
Y = X.sum(1, keepdims=True)
KERNEL = np.arange(6, dtype="float32").reshape(2, 3)

TAKEN: dict[str, Callable[[Any], Any]] = {
    "jnp": jnp.sin,
    "operator": lambda v: jnp.ones((4, 2)) @ v,
    "list": lambda v: jnp.stack([v, v]),
    "indexed update": lambda v: v.at[0].set(0.0),
    "method": lambda v: v.T.astype("float16"),
    "jit": lambda v: jax.jit(lambda x: 2 * x)(v),
    "vmap": lambda v: jax.vmap(jnp.sum)(v),
    "grad": lambda v: jax.grad(lambda x: (x**2).sum())(v),
    "tree": lambda v: jax.tree.map(jnp.zeros_like, [v])[0],
}


@pytest.mark.parametrize("name", TAKEN)
def test_functions_take_variables(name: str) -> None:
    found = TAKEN[name](keras.Variable(KERNEL))
    expected = TAKEN[name](jnp.asarray(KERNEL))
    assert isinstance(found, jax.Array) and np.array_equal(found, expected)


def test_variables_of_other_engines_are_refused() -> None:
    with keras.use_engine("numpy"):
        foreign = keras.Variable([1.0])
    with pytest.raises(EngineError, match="belongs to the engine"):
        jnp.asarray(foreign)


def test_stateless_training_in_jit() -> None:
    model, optimizer, mean = make(), keras.optimizers.Adam(1e-2), keras.metrics.Mean()
    optimizer.build(model.trainable_variables)

    def loss_fn(trained: Any, other: Any, x: Any, y: Any) -> Any:
        out, other = model.stateless_call(trained, other, x, training=True)
        return jnp.mean((out - y) ** 2), other

    @jax.jit
    def step(state: Any, x: Any, y: Any) -> Any:
        trained, other, slots, totals = state
        (loss, other), grads = jax.value_and_grad(loss_fn, has_aux=True)(trained, other, x, y)
        trained, slots = optimizer.stateless_apply(slots, grads, trained)
        return trained, other, slots, mean.stateless_update_state(totals, loss)

    before = model.get_weights()
    state = (model.trainable_variables, model.non_trainable_variables, optimizer.variables, mean.variables)
    results = []
    for _ in range(40):
        state = (*step((*state[:3], mean.stateless_reset_state()), X, Y),)
        results.append(float(mean.stateless_result(state[3])))
    assert results[-1] < 0.5 * results[0]
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert not np.array_equal(state[1][0], model.non_trainable_variables[0])


def test_optax_trains_a_list_of_variables() -> None:
    optax = pytest.importorskip("optax")
    model = make()
    params, other, rule = model.trainable_variables, model.non_trainable_variables, optax.adam(1e-2)
    slots, losses = rule.init(params), []

    @jax.jit
    def step(params: Any, slots: Any) -> Any:
        def loss_fn(params: Any) -> Any:
            return jnp.mean((model.stateless_call(params, other, X)[0] - Y) ** 2)

        loss, grads = jax.value_and_grad(loss_fn)(params)
        updates, slots = rule.update(grads, slots, params)
        return optax.apply_updates(params, updates), slots, loss

    for _ in range(40):
        params, slots, loss = step(params, slots)
        losses.append(float(loss))
    assert losses[-1] < 0.5 * losses[0]


def test_transformations_of_a_call() -> None:
    model = make()
    weights, other = model.trainable_variables, model.non_trainable_variables
    expected = model(X)
    assert np.allclose(jax.jit(model)(X), expected, atol=1e-6)
    assert np.allclose(jax.vmap(lambda x: model(x[None])[0])(X), expected, atol=1e-5)
    assert jax.eval_shape(model, jax.ShapeDtypeStruct((3, 4), "float32")).shape == (3, 1)
    each = jax.vmap(
        jax.grad(lambda w, x, y: jnp.mean((model.stateless_call(w, other, x[None])[0] - y) ** 2)),
        (None, 0, 0),
    )(weights, X, Y)
    assert [g.shape for g in each] == [(16, *w.shape) for w in weights]


def test_an_assignment_in_a_transformed_function_is_refused() -> None:
    model, mean = make(), keras.metrics.Mean()
    for function in (lambda x: model(x, training=True), lambda x: mean.update_state(x)):
        with pytest.raises(StateError, match="stateless_call"):
            jax.jit(function)(X)
    assert np.isfinite(model(X, training=True)).all()  # nothing of the trace stayed behind


@pytest.mark.parametrize(
    ("layer", "chosen"),
    [(layers.Conv2D(2, 3), True), (layers.SeparableConv2D(2, 3), True), (layers.Dense(2), False)],
    ids=["convolution", "inner", "none"],
)
def test_steps_with_convolutions_are_compiled_for_all_cores(monkeypatch, layer: Any, chosen: bool) -> None:
    options = []
    compile_with = jax.jit

    def jit(*args: Any, compiler_options: Any = None, **kwargs: Any) -> Any:
        options.append(compiler_options)
        return compile_with(*args, compiler_options=compiler_options, **kwargs)

    monkeypatch.setattr(jax, "jit", jit)
    model = keras.Sequential([keras.Input((8, 8, 1)), layer, layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 8, 8, 1)), np.ones((4, 1)), batch_size=2, verbose=0)
    assert (THREADED in options) is (chosen and on_cpu() and threaded())


def test_natives_that_are_programs_outside_leave_none_in_compiled_functions() -> None:
    dense, x = layers.Dense(3, activation="relu"), jnp.asarray(X)
    dense.build(X.shape)
    kernel, bias = dense.kernel.numpy(), dense.bias.numpy()
    assert np.allclose(dense(x), np.maximum(X @ kernel + bias, 0), atol=1e-6)
    inside = {e.primitive.name for e in jax.make_jaxpr(dense)(x).eqns}
    assert {"dot_general", "add", "custom_jvp_call"} <= inside and not {"jit", "pjit"} & inside
