"""Random numbers: seeds and their state, statistics of every sampler, symbolic and compiled use."""

from __future__ import annotations

import random as python_random

import numpy as np
import pytest

from triceras import ops, random, use_engine
from triceras.core.dtypes import standardize_dtype
from triceras.core.errors import ArgumentError, ShapeError
from triceras.core.scope import clear_session
from triceras.core.spec import KerasTensor
from triceras.engine import selection
from triceras.random import SeedGenerator, set_random_seed

N = 20_000
# sampler, arguments after the shape, mean, standard deviation, bounds
SAMPLERS = [
    ("normal", (2.0, 3.0), 2.0, 3.0, None),
    ("uniform", (-1.0, 3.0), 1.0, 4 / np.sqrt(12), (-1, 3)),
    ("truncated_normal", (1.0, 2.0), 1.0, 2 * 0.87962566, (-3, 5)),
    ("gamma", (2.0,), 2.0, np.sqrt(2), (0, np.inf)),
    ("gamma", (0.5,), 0.5, np.sqrt(0.5), (0, np.inf)),
    ("beta", (2.0, 3.0), 0.4, 0.2, (0, 1)),
    ("beta", (0.01, 0.01), 0.5, np.sqrt(0.25 / 1.02), (0, 1)),
    ("binomial", (5, 0.3), 1.5, np.sqrt(1.05), (0, 5)),
]


@pytest.fixture(params=[name for name in selection.MODULES if selection.installed(name)])
def engine(request):
    with use_engine(request.param) as found:
        yield found


@pytest.mark.parametrize(("name", "arguments", "mean", "stddev", "bounds"), SAMPLERS)
def test_statistics(engine, name, arguments, mean, stddev, bounds):
    x = np.asarray(getattr(random, name)((N,), *arguments, seed=1))
    assert x.dtype == "float32" and x.shape == (N,)
    assert abs(x.mean() - mean) < 5 * stddev / np.sqrt(N)
    assert abs(x.std() / stddev - 1) < 0.05
    assert bounds is None or (bounds[0] <= x.min() and x.max() <= bounds[1])


@pytest.mark.parametrize(
    ("name", "dtype"),  # the last three take JAX seconds to compile
    [
        (name, dtype)
        for name in ("normal", "uniform", "truncated_normal")
        for dtype in ("float16", "bfloat16", "float32")
    ]
    + [("gamma", "float16"), ("beta", "bfloat16"), ("binomial", "float16")],
)
def test_dtypes_and_seeds(engine, name, dtype):
    sample, arguments = getattr(random, name), next(row[1] for row in SAMPLERS if row[0] == name)
    drawn = (sample((3, 4), *arguments, dtype=dtype, seed=s) for s in (1, 1, 2))
    x, again, other = map(ops.convert_to_numpy, drawn)
    assert standardize_dtype(x.dtype) == dtype and x.shape == (3, 4)
    np.testing.assert_array_equal(x, again)
    assert (again != other).any()


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32"])
def test_randint(engine, dtype):
    x = np.asarray(random.randint((5000,), 3, 7, dtype=dtype, seed=1))
    assert x.dtype == engine.canonical(dtype)
    np.testing.assert_allclose(
        np.bincount(x, minlength=7) / 5000, [0, 0, 0, 0.25, 0.25, 0.25, 0.25], atol=0.04
    )
    assert np.asarray(random.randint((2,), 5, 3)).tolist() == [5, 5]


def test_uniform_never_reaches_its_bound(engine):
    for dtype in ("float16", "bfloat16"):
        assert ops.convert_to_numpy(random.uniform((N,), dtype=dtype, seed=1)).max() < 1


def test_parameters_broadcast(engine):
    x = np.asarray(random.normal((4, 2), mean=[0.0, 100.0], stddev=np.full((4, 1), 1e-3), seed=1))
    np.testing.assert_allclose(x, np.tile([0, 100], (4, 1)), atol=0.01)
    assert np.asarray(random.uniform((4, 2), np.array([0, 5]), [1, 6], seed=1))[:, 1].min() >= 5


def test_categorical(engine):
    logits = np.log([[0.5, 0.3, 0.2], [1e-9, 0.5, 0.5]])
    x = np.asarray(random.categorical(logits, 5000, seed=1))
    assert x.dtype == "int32" and x.shape == (2, 5000)
    for row, expected in zip(x, np.exp(logits), strict=True):
        np.testing.assert_allclose(np.bincount(row, minlength=3) / 5000, expected, atol=0.04)


def test_shuffle(engine):
    x = np.arange(12, dtype="int32").reshape(3, 4)
    rows, columns = (np.asarray(random.shuffle(x, axis=axis, seed=3)) for axis in (0, -1))
    assert sorted(map(tuple, rows)) == sorted(map(tuple, x)) and rows.dtype == "int32"
    assert sorted(map(tuple, columns.T)) == sorted(map(tuple, x.T))
    orders = {tuple(np.asarray(random.shuffle(np.arange(3), seed=s)).tolist()) for s in range(40)}
    assert len(orders) == 6


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_dropout(engine, rate):
    x = np.asarray(random.dropout(np.full((100, 200), 2.0), rate, seed=1))
    assert x.dtype == "float32"
    assert abs((x == 0).mean() - rate) < 0.01
    np.testing.assert_allclose(x[x != 0], 2 / (1 - rate) if rate < 1 else 0, rtol=1e-6)


def test_dropout_noise_shape(engine):
    x = np.asarray(random.dropout(np.ones((50, 20, 3)), 0.5, noise_shape=(None, 1, 3), seed=1))
    assert (x == x[:, :1]).all() and 0.3 < (x[:, 0] == 0).mean() < 0.7


def test_dropout_masks_are_independent(engine):
    source = SeedGenerator(1)
    masks = [np.asarray(random.dropout(np.ones(N), 0.5, seed=s)) for s in (source, source, 0, 1, 2)]
    correlations = np.corrcoef(masks)[np.triu_indices(5, 1)]
    assert abs(correlations[correlations < 0.999]).max() < 0.04
    assert (correlations > 0.999).sum() == 1  # the first key of SeedGenerator(1) is that of the integer 1


def test_seed_generator(engine):
    source = SeedGenerator(5, name="source")
    assert source.state.path == "source/seed_generator_state" and not source.state.trainable
    assert source.state.shape == (2,) and source.state.dtype == engine.canonical("uint32")
    keys = [np.asarray(source.next()).tolist() for _ in range(3)]
    assert keys == [[5, 0], [5, 1], [5, 2]] and source.state.numpy().tolist() == [5, 3]
    assert np.asarray(SeedGenerator.from_config(source.get_config()).next()).tolist() == [5, 0]
    assert SeedGenerator().get_config()["seed"] is None
    first, second = random.uniform((2,), seed=source), random.uniform((2,), seed=source)
    assert (np.asarray(first) != np.asarray(second)).all()
    np.testing.assert_array_equal(random.uniform((2,), seed=np.array([5, 3], "uint32")), first)


def test_global_seed(engine):
    def draw():
        x = [
            random.normal((2,)),
            random.normal((2,)),
            SeedGenerator().state.numpy(),
            np.random.rand(),
            python_random.random(),
        ]
        return [np.asarray(v).tolist() for v in x]

    set_random_seed(11)
    first = draw()
    assert first[0] != first[1] and draw() != first
    clear_session()
    set_random_seed(11)
    assert draw() == first
    set_random_seed(12)
    assert draw() != first


def test_symbolic(engine):
    source = SeedGenerator(1)
    x = KerasTensor((None, 3))
    assert random.dropout(x, 0.5, seed=source).shape == random.shuffle(x, seed=source).shape == (None, 3)
    assert random.categorical(x, 4, seed=source).shape == (None, 4)
    assert source.state.numpy().tolist() == [1, 0]  # inference draws nothing


def test_compiled_steps_carry_the_state(engine):
    eager, compiled = SeedGenerator(3), SeedGenerator(3)
    step = engine.compile(lambda x: random.dropout(x, 0.5, seed=compiled), [compiled.state])
    x = np.ones((4, 5), "float32")
    for _ in range(3):
        np.testing.assert_array_equal(step(x), random.dropout(x, 0.5, seed=eager))
    assert compiled.state.numpy().tolist() == [3, 3]


def test_inside_a_loop_of_the_engine():
    jax = pytest.importorskip("jax")
    with use_engine("jax"):

        def body(i, carry):
            key, total = carry
            drawn = random.normal((2,), seed=key) + random.gamma((2,), 2.0, seed=key)
            return key + np.array([0, 1], "uint32"), total + drawn

        start = np.array([1, 0], "uint32"), np.zeros(2, "float32")
        key, total = jax.jit(lambda c: jax.lax.fori_loop(0, 3, body, c))(start)
        assert key.tolist() == [1, 3] and np.isfinite(np.asarray(total)).all()


def test_the_inputs_engine_runs():
    jnp = pytest.importorskip("jax.numpy")
    with use_engine("jax"):
        source, x = SeedGenerator(1), jnp.ones((2, 3))
    with use_engine("numpy"):
        assert isinstance(random.dropout(x, 0.5, seed=source), type(x))
        assert isinstance(random.dropout(x, 0.5), type(x))
        assert isinstance(random.uniform((2,), seed=source), np.ndarray)


ERRORS = [
    (lambda: random.normal((None,)), ShapeError, "fully known"),
    (lambda: random.normal((2,), dtype="int32"), ArgumentError, "floating-point"),
    (lambda: random.randint((2,), 0, 3, dtype="float32"), ArgumentError, "integer"),
    (lambda: random.normal((2,), seed=1.5), ArgumentError, "seed"),
    (lambda: random.normal((2,), seed=-1), ArgumentError, "seed"),
    (lambda: random.normal((2,), seed=np.zeros(3)), ArgumentError, "seed"),
    (lambda: random.dropout(np.ones(2), 1.5), ArgumentError, "rate"),
    (lambda: random.dropout(np.ones(2), "a"), ArgumentError, "rate"),
    (lambda: random.dropout(np.ones((2, 3)), 0.5, noise_shape=(2,)), ShapeError, "noise_shape"),
    (lambda: random.categorical(np.ones(3), 2), ShapeError, "logits"),
    (lambda: SeedGenerator(2**32), ArgumentError, "seed"),
    (lambda: SeedGenerator("a"), ArgumentError, "seed"),
    (lambda: SeedGenerator(name="a/b"), ArgumentError, "name"),
    (lambda: set_random_seed(-1), ArgumentError, "seed"),
]


@pytest.mark.parametrize(("call", "error", "words"), ERRORS)
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call()
