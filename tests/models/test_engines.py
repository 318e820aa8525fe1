"""A model belongs to an engine: moving, placing, mixing, two at once."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

import triceras as keras
from triceras import layers, ops
from triceras.core.errors import EngineError, NotFoundError, StateError
from triceras.engine import selection

NAMES = [name for name in selection.MODULES if selection.installed(name)]
TRAINING = [name for name in NAMES if selection.get(name).differentiates]
rng = np.random.default_rng(0)
X = rng.normal(size=(64, 6)).astype("float32")
Y = (X[:, 0] + X[:, 1] > 0).astype("int32")


def classifier(engine: str = "jax", **compile_arguments) -> keras.Model:
    keras.utils.set_random_seed(3)
    with keras.use_engine(engine):
        model = keras.Sequential(
            [
                layers.Input(shape=(6,)),
                layers.Dense(8, activation="relu", name="a"),
                layers.Dense(2, activation="softmax", name="b"),
            ],
            name="classifier",
        )
        model.compile(
            **({"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
               | compile_arguments)
        )  # fmt: skip
    return model


def train(model: keras.Model, epoch: int = 0, **arguments) -> float:
    """The loss of one epoch in an order of the data that is the same for every model."""
    keras.utils.set_random_seed(11)
    return model.fit(
        X, Y, batch_size=32, verbose=0, initial_epoch=epoch, epochs=epoch + 1, **arguments
    ).history["loss"][0]


def state_of(model: keras.Model) -> list:
    return [*model.variables, *model.optimizer.variables, *(v for m in model.metrics for v in m.variables)]


def test_training_goes_on_as_if_nothing_had_happened() -> None:
    stays, moves = classifier(), classifier()
    for epoch, name in enumerate([*TRAINING, TRAINING[0]]):
        assert moves.to(name) is moves and moves.engine == name
        assert {v.engine for v in state_of(moves)} == {name}
        assert train(moves, epoch) == pytest.approx(train(stays, epoch), rel=1e-4)
    assert int(moves.optimizer.iterations) == 2 * (len(TRAINING) + 1)
    for a, b in zip(state_of(moves), state_of(stays), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", TRAINING)
def test_everything_comes_along(name) -> None:
    class Shifted(layers.Layer):
        """Keeps tensors where layers may keep them."""

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.shift = ops.ones((6,))
            self.more = {"list": [ops.ones((6,)), (ops.zeros((6,)), 1)]}

        def call(self, x):
            one, (zero, _) = self.more["list"]
            return x + self.shift * one + zero

    keras.utils.set_random_seed(1)
    inputs = layers.Input(shape=(6,))
    x = layers.Normalization(mean=np.zeros(6), variance=np.ones(6))(inputs)
    x = layers.BatchNormalization()(Shifted()(x) * ops.ones((6,)))
    x = layers.Dropout(0.5)(layers.GaussianNoise(0.1)(x))
    model = keras.Model(inputs, layers.Dense(2)(ops.add(ops.ones((6,)), x)))
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(rate, use_ema=True), 8.0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(1)])
    for engine in (None, name, "numpy"):  # unbuilt optimizers and metrics move too
        if engine is not None:
            model.to(engine)
        expected = model(X[:4], training=False)
        if engine != "numpy":
            train(model)
            assert np.isfinite(model.evaluate(X, Y, verbose=0)).all()
    assert expected.shape == (4, 2) and {v.engine for v in state_of(model)} == {"numpy"}


def test_unbuilt_and_shared_layers_move() -> None:
    shared = layers.Dense(3)
    model = keras.Sequential([shared, layers.Dense(2)]).to("numpy")
    assert isinstance(model(X), np.ndarray)
    other = keras.Sequential([layers.Input(shape=(6,)), shared])
    with pytest.raises(EngineError, match=r"numpy.*inside a computation on.*jax.*layer\.to\('jax'\)"):
        other(X)
    assert isinstance(other.to("numpy")(X), np.ndarray)


def test_state_is_never_shared_between_engines() -> None:
    for a in NAMES:
        for b in set(NAMES) - {a}:
            with keras.use_engine(a):
                v = keras.Variable(np.ones(1000, "float32"))
            before = v.value
            v.move(selection.get(b))
            v.assign_add(np.ones(1000, "float32"))
            assert ops.convert_to_numpy(before).sum() == 1000 and v.numpy().sum() == 2000
            with keras.use_engine(a):
                source = np.ones(64, "float32")
                w = keras.Variable(source)
            source[:] = 5
            assert w.numpy()[0] == 1


def test_dtypes_survive_a_trip() -> None:
    for dtype in ("float32", "float16", "bfloat16", "int32", "uint8", "uint32", "bool"):
        with keras.use_engine("jax" if "jax" in NAMES else "numpy"):
            v = keras.Variable(np.array([0, 1, 3]), dtype=dtype)
        before = v.numpy()
        for name in (*NAMES, NAMES[0]):
            v.move(selection.get(name))
            np.testing.assert_array_equal(v.numpy().astype("float32"), before.astype("float32"))
        assert v.dtype == dtype


def test_the_engine_is_shown_as_its_name() -> None:
    model = classifier()
    assert model.engine == "jax" and model.engine != "torch" and model.engine in ("jax", "numpy")
    assert str(model.engine) == f"{model.engine}" == "jax" and repr(model.engine) == "'jax'"
    assert {"jax": 1}[model.engine] == 1 and json.dumps(str(model.engine)) == '"jax"'
    assert copy.deepcopy(model.engine) is pickle.loads(pickle.dumps(model.engine)) is model.engine


@pytest.mark.parametrize("target", ["abacus", "gpu:7", None])
def test_where_there_is_nothing_to_move_to(target) -> None:
    with pytest.raises((NotFoundError, ValueError), match=r"abacus|Its devices are: .*cpu:0|Say where to"):
        classifier().to(target)


def test_moving_inside_a_step_is_refused() -> None:
    class Restless(keras.Sequential):
        def train_step(self, data):
            self.to("numpy")
            return super().train_step(data)

    model = Restless([layers.Input(shape=(6,)), layers.Dense(2)])
    model.compile("sgd", "mse")
    with pytest.raises(StateError, match="inside a step"):
        model.fit(X, np.zeros((64, 2)), verbose=0)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_uses_its_own_engine_whatever_is_active(name) -> None:
    model = classifier(name)
    for other in NAMES:
        with keras.use_engine(other):
            foreign = ops.convert_to_tensor(X[:3])
            out = model(foreign)  # at the boundary it is converted
            np.testing.assert_allclose(
                model.predict(foreign, verbose=0), ops.convert_to_numpy(out), rtol=1e-5
            )
            assert (selection.engine_of(type(out)) or "numpy") == name
            if name in TRAINING:
                model.fit(foreign, Y[:3], verbose=0)
                value, grads = keras.value_and_grad(
                    lambda: ops.sum(model(X[:3])), model.trainable_variables
                )()
                assert len(grads) == 4 and selection.engine_of(type(value)) == name


@pytest.mark.parametrize("name", [n for n in TRAINING if n != "jax"] if "jax" in NAMES else [])
def test_a_foreign_tensor_inside_call_is_explained(name) -> None:
    with keras.use_engine(name):
        foreign = ops.ones((6,))

    class Closed(layers.Layer):
        def call(self, x):
            return x * foreign

    with keras.use_engine("jax"):
        layer = Closed()
        with pytest.raises(EngineError, match=rf"(?s)(?=.*{name})(?=.*jax).*convert_to_tensor"):
            layer(X)
        with pytest.raises(EngineError, match=rf"{name}.*jax.*convert_to_tensor"):
            layers.Lambda(lambda x: ops.add(x, foreign))(X)
        lenient = layers.Lambda(lambda x: x * ops.convert_to_tensor(foreign))
        assert lenient(X).shape == X.shape


def test_metrics_and_optimizers_made_elsewhere_come_to_the_model() -> None:
    with keras.use_engine("numpy"):
        optimizer, metric = keras.optimizers.Adam(), keras.metrics.SparseCategoricalAccuracy()
    model = classifier("jax", optimizer=optimizer, metrics=[metric])
    train(model)
    assert {v.engine for v in state_of(model)} == {"jax"}


@pytest.mark.parametrize(
    "pair", [("jax", "torch"), ("torch", "tensorflow"), ("jax", "tensorflow")], ids="-".join
)
def test_two_models_on_two_engines(pair) -> None:
    if not set(pair) <= set(TRAINING):
        pytest.skip("an engine isn't installed")
    expected = [train(classifier(pair[0]), e) for e in (0,)]
    models = [classifier(name) for name in pair]
    in_turns = [train(m) for m in models]
    assert in_turns == pytest.approx(expected * 2, rel=1e-4)

    models = [classifier(name) for name in pair]
    losses: dict[str, float] = {}

    def fit(model) -> None:
        losses[model.engine.name] = model.fit(
            X, Y, batch_size=32, shuffle=False, verbose=0, epochs=3
        ).history["loss"][-1]

    threads = [threading.Thread(target=fit, args=(m,)) for m in models]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert set(losses) == set(pair)
    a, b = (losses[name] for name in pair)
    assert a == pytest.approx(b, rel=1e-4) and [m.engine for m in models] == list(pair)


# -- devices ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_devices(name) -> None:
    with keras.use_engine(name) as engine:
        assert "cpu:0" in engine.devices()
        with keras.device("cpu:0"):
            layer = layers.Dense(2)
            layer.build((None, 3))
            assert layer.device == layer.kernel.device == "cpu:0"
        with pytest.raises(NotFoundError, match=r"abacus:0.*cpu:0"):
            keras.device("abacus:0")
        model = classifier(name).to("cpu")
        assert model.device == "cpu:0" and model.predict(X, verbose=0).shape == (64, 2)


def test_a_second_device_of_jax() -> None:
    pytest.importorskip("jax")
    code = """
import numpy as np, triceras as keras
model = keras.Sequential([keras.layers.Input(shape=(3,)), keras.layers.Dense(2)])
model.compile("sgd", "mse")
x, y = np.ones((8, 3), "float32"), np.ones((8, 2), "float32")
model.to("cpu:1").fit(x, y, verbose=0)
print(model.layers[0].kernel.device, model.optimizer.iterations.device)
print(model.to(device="cpu:0").layers[0].kernel.device)
model.fit(x, y, verbose=0)
with keras.device("cpu:1"):
    print(keras.Variable(1.0).device, keras.layers.Dense(2).device)
"""
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "KERAS_BACKEND": "jax"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | flags,
        timeout=120,
        check=False,
    )
    assert done.stdout.split("\n")[:3] == ["cpu:1 cpu:1", "cpu:0", "cpu:1 cpu:1"], done.stderr
