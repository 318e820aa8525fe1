"""Initializers: statistics, keys of their streams, names and configs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from triceras import initializers, use_engine
from triceras.core.errors import ArgumentError, ArgumentTypeError, NotFoundError, ShapeError
from triceras.random import SeedGenerator, set_random_seed
from triceras.variable import Variable

SHAPE = (60, 100)  # fan in 60, fan out 100

# name, arguments, mean, standard deviation, bound of the absolute value
MOMENTS = [
    ("RandomNormal", {"mean": 1.0, "stddev": 2.0}, 1.0, 2.0, None),
    ("RandomUniform", {"minval": -1.0, "maxval": 3.0}, 1.0, 4 / math.sqrt(12), 3.0),
    ("TruncatedNormal", {"mean": 0.0, "stddev": 1.0}, 0.0, 0.87962566, 2.0),
    ("VarianceScaling", {}, 0.0, 1 / math.sqrt(60), 2 / math.sqrt(60) / 0.87962566),
    ("VarianceScaling", {"mode": "fan_out", "distribution": "untruncated_normal"}, 0.0, 0.1, None),
    (
        "VarianceScaling",
        {"mode": "fan_avg", "distribution": "uniform"},
        0.0,
        1 / math.sqrt(80),
        math.sqrt(3 / 80),
    ),
    ("VarianceScaling", {"input_axes": [1], "output_axes": [0]}, 0.0, 0.1, None),
    ("GlorotUniform", {}, 0.0, 1 / math.sqrt(80), math.sqrt(3 / 80)),
    ("GlorotNormal", {}, 0.0, 1 / math.sqrt(80), None),
    ("HeUniform", {}, 0.0, math.sqrt(2 / 60), math.sqrt(6 / 60)),
    ("HeNormal", {}, 0.0, math.sqrt(2 / 60), None),
    ("LecunUniform", {}, 0.0, math.sqrt(1 / 60), math.sqrt(3 / 60)),
    ("LecunNormal", {}, 0.0, math.sqrt(1 / 60), None),
    ("Orthogonal", {"gain": 2.0}, 0.0, 0.2, None),
]
EVERY = sorted({name for name, *_ in MOMENTS} | {"Zeros", "Ones", "Constant", "Identity", "STFT"})


@pytest.mark.parametrize(("name", "arguments", "mean", "stddev", "bound"), MOMENTS)
def test_moments(name, arguments, mean, stddev, bound):
    x = getattr(initializers, name)(seed=1, **arguments).values(SHAPE)
    assert x.dtype == "float32"
    assert abs(x.mean() - mean) < 5 * stddev / math.sqrt(x.size)
    assert abs(x.std() / stddev - 1) < 0.03
    assert bound is None or abs(x).max() <= bound


@pytest.mark.parametrize("name", sorted({name for name, *_ in MOMENTS}))
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_the_same_values_on_every_engine(name, dtype):
    found = []
    for engine in ("numpy", "jax"):
        pytest.importorskip(engine)
        with use_engine(engine):
            found.append(Variable(getattr(initializers, name)(seed=3), shape=(4, 6), dtype=dtype).numpy())
    assert found[0].dtype.name == dtype
    np.testing.assert_array_equal(found[0].astype(found[1].dtype), found[1])


def test_an_integer_seed_gives_a_function_of_seed_and_shape():
    make = initializers.RandomNormal(seed=4)
    first = make.values((3, 2), path="a/kernel")
    np.testing.assert_array_equal(first, make.values((3, 2), path="b/kernel"))
    np.testing.assert_array_equal(first, initializers.RandomNormal(seed=np.int64(4)).values((3, 2)))
    assert (make.values((2, 3)).ravel() != first.ravel()).all()
    assert (initializers.RandomNormal(seed=5).values((3, 2)) != first).all()


def test_a_seed_generator_gives_new_values_each_time():
    make, again = (initializers.RandomNormal(seed=SeedGenerator(4)) for _ in range(2))
    first, second = make.values((3,)), make.values((3,))
    assert (first != second).all()
    np.testing.assert_array_equal(first, again.values((3,)))


def test_without_a_seed_the_path_is_the_key():
    def build(*paths):
        set_random_seed(7)
        return {path: initializers.GlorotUniform().values((2, 2), path=path) for path in paths}

    model = build("conv/kernel", "dense/kernel", "dense_1/kernel")
    again = build("conv/kernel", "dense_4/kernel", "dense_5/kernel")  # names count on in a process
    for first, second in zip(model.values(), again.values(), strict=True):
        np.testing.assert_array_equal(first, second)
    wider = build("conv/kernel", "norm/kernel", "dense/kernel", "dense_1/kernel")
    for path, values in model.items():
        np.testing.assert_array_equal(values, wider[path])
    assert (model["dense/kernel"] != model["dense_1/kernel"]).all()
    set_random_seed(8)
    assert (initializers.GlorotUniform().values((2, 2), path="conv/kernel") != model["conv/kernel"]).all()


def test_fixed_values():
    np.testing.assert_array_equal(initializers.Zeros().values((2,), "int32"), np.zeros(2, "int32"))
    np.testing.assert_array_equal(initializers.Ones().values((2,), "bool"), [True, True])
    np.testing.assert_array_equal(initializers.Constant([1, 2]).values((2, 2)), [[1, 2], [1, 2]])
    np.testing.assert_array_equal(initializers.Identity(2).values((3, 2)), 2 * np.eye(3, 2))
    for shape in ((4, 6), (6, 4), (3, 2, 5)):
        x = initializers.Orthogonal(gain=2, seed=1).values(shape).reshape(-1, shape[-1])
        product = x.T @ x if x.shape[0] >= x.shape[1] else x @ x.T
        np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "fans"),
    [((), (1, 1)), ((5,), (5, 5)), ((3, 4), (3, 4)), ((3, 3, 4, 8), (36, 72)), ((2, 3, 4), (6, 8))],
)
def test_fans(shape, fans):
    assert initializers.compute_fans(shape) == fans


NAMES = {
    "zero": "Zeros", "zeros": "Zeros", "Zeros": "Zeros", "one": "Ones", "normal": "RandomNormal",
    "uniform": "RandomUniform", "he_normal": "HeNormal", "GlorotUniform": "GlorotUniform",
    "glorot_uniform": "GlorotUniform", "stft": "STFT", "STFTInitializer": "STFT", "orthogonal": "Orthogonal",
    "OrthogonalInitializer": "Orthogonal",
    "identity": "Identity", "IdentityInitializer": "Identity", "truncated_normal": "TruncatedNormal",
    "constant": "Constant", "variance_scaling": "VarianceScaling",
}  # fmt: skip


@pytest.mark.parametrize(("name", "expected"), NAMES.items())
def test_names(name, expected):
    assert type(initializers.get(name)).__name__ == expected
    assert type(initializers.deserialize(name)).__name__ == expected


def test_get():
    made = initializers.Zeros()
    assert initializers.get(None) is None
    assert initializers.get(made) is made
    assert isinstance(initializers.get(initializers.Ones), initializers.Ones)
    assert initializers.get({"class_name": "Constant", "config": {"value": 2}}).value == 2
    np.testing.assert_array_equal(initializers.get(np.array([1.0, 2.0])).values((2,)), [1, 2])
    assert initializers.get(len) is len


@pytest.mark.parametrize("name", EVERY)
def test_configs(name):
    made = getattr(initializers, name)()
    again = initializers.deserialize(initializers.serialize(made))
    assert type(again) is type(made)
    assert again.get_config() == made.get_config() == made.clone().get_config()


def test_seeds_and_arrays_in_configs():
    made = initializers.RandomNormal(seed=SeedGenerator(3, name="source"))
    assert made.get_config()["seed"]["config"] == {"seed": 3, "name": "source"}
    again = made.clone()
    assert again.seed is not made.seed and again.seed.seed == 3
    assert initializers.Constant(np.ones(2)).clone().value.tolist() == [1, 1]


def test_users_own():
    class Threes(initializers.Initializer):
        def __call__(self, shape, dtype=None):
            return initializers.Constant(3)(shape, dtype)

    class Shifted(initializers.Zeros):
        def __call__(self, shape, dtype=None):
            return super().__call__(shape, dtype) + 1

    assert Variable(Threes(), shape=(2,)).numpy().tolist() == [3, 3]
    assert Variable(Shifted(), shape=(2,)).numpy().tolist() == [1, 1]
    with pytest.raises(NotImplementedError):
        initializers.Initializer()((2,))


ERRORS = [
    (lambda: initializers.get("gloro_uniform"), NotFoundError, "Did you mean 'glorot_uniform'"),
    (lambda: initializers.get(3), ArgumentError, "by name, config"),
    (lambda: initializers.get({"a": 1}), ArgumentError, "class_name"),
    (lambda: initializers.Zeros()((None, 2)), ShapeError, "fully known"),
    (lambda: initializers.Zeros()((2,), "string"), ArgumentError, "string"),
    (lambda: initializers.Constant([1, 2])((3,)), ShapeError, "broadcast"),
    (lambda: initializers.Identity()((2,)), ShapeError, "rank 2"),
    (lambda: initializers.Orthogonal(seed=1)((2,)), ShapeError, "rank 2"),
    (lambda: initializers.RandomNormal(seed=1.5), ArgumentError, "seed"),
    (lambda: initializers.RandomNormal()((2,), "int32"), ArgumentError, "floating-point"),
    (lambda: initializers.VarianceScaling(scale=0), ArgumentError, "scale"),
    (lambda: initializers.VarianceScaling(mode="fan"), ArgumentError, "mode"),
    (lambda: initializers.VarianceScaling(distribution="cauchy"), ArgumentError, "distribution"),
    (lambda: initializers.VarianceScaling(input_axes="ab"), ArgumentTypeError, "input_axes"),
    (lambda: initializers.VarianceScaling(input_axes=[3], output_axes=[0])((2, 2)), ShapeError, "axes"),
    (lambda: initializers.STFT(side="left"), ArgumentError, "side"),
    (lambda: initializers.STFT(scaling="loud"), ArgumentError, "scaling"),
    (lambda: initializers.STFT(window="door"), ArgumentError, "window"),
    (lambda: initializers.STFT(window=np.ones(3))((4, 1, 3)), ShapeError, "window"),
    (lambda: initializers.STFT()((4, 3)), ShapeError, "frame length"),
    (lambda: initializers.Zeros(3), ArgumentTypeError, "Zeros"),
]


@pytest.mark.parametrize(("call", "error", "words"), ERRORS)
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("name", EVERY)
def test_configs_load_in_the_reference_and_back(name):
    keras = pytest.importorskip("keras")
    ours, theirs = getattr(initializers, name)(), getattr(keras.initializers, name)()
    here = initializers.deserialize(keras.initializers.serialize(theirs))
    there = keras.initializers.deserialize(initializers.serialize(ours))
    assert here.get_config() == ours.get_config() and there.get_config() == theirs.get_config()
    if name != "Identity":  # the reference forgets its gain
        assert initializers.serialize(ours) == keras.initializers.serialize(theirs)


@pytest.mark.parametrize("side", ["real", "imag"])
@pytest.mark.parametrize("scaling", ["density", "spectrum", None])
@pytest.mark.parametrize(("window", "periodic"), [("hann", False), ("hamming", True), (None, False)])
def test_stft_equals_the_reference(side, scaling, window, periodic):
    keras = pytest.importorskip("keras")
    ours = initializers.STFT(side, window, scaling, periodic).values((7, 1, 5))
    theirs = np.asarray(keras.initializers.STFT(side, window, scaling, periodic)((7, 1, 5)))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
