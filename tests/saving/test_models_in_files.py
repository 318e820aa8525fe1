"""Whole models through files: every way of making one, training that goes on, weights alone."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import triceras
from triceras import saving
from triceras.core import registry
from triceras.core.errors import ArgumentError
from triceras.ops.op import OPS, OpCall
from triceras.saving.operations import config_of, module_and_class
from triceras.saving.weights import WeightsMismatchError

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)  # the reference's own
GOLDEN = Path(__file__).parent / "golden"
rng = np.random.default_rng(0)
X = rng.normal(size=(8, 4)).astype("float32")
Y = rng.normal(size=(8, 2)).astype("float32")


def sequential(lib: Any) -> Any:
    layers = lib.layers
    return lib.Sequential(
        [lib.Input((4,)), layers.Dense(3, "relu"), layers.BatchNormalization(), layers.Dense(2)]
    )


def deferred(lib: Any) -> Any:
    model = lib.Sequential([lib.layers.Dense(3, name="first"), lib.layers.Dense(2)], name="later")
    model(X)
    return model


def shared(lib: Any) -> Any:
    """Two inputs in a dict, a layer used twice, a model inside, and two outputs in a dict."""
    layers, a, b = lib.layers, lib.Input((4,), name="a"), lib.Input((4,), name="b")
    dense = layers.Dense(4, name="both")
    inner = lib.Sequential([lib.Input((4,)), layers.Dense(3), layers.Dropout(0.5)], name="inner")
    graph = lib.Model(a, layers.Dense(2, name="tail")(a), name="graph")
    x = layers.Add()([dense(a), dense(b)])
    return lib.Model({"a": a, "b": b}, {"one": inner(x), "two": graph(x), "three": graph(a)})


def transferred(lib: Any) -> Any:
    """Models inside, called several times, whose outputs other layers get: transfer learning and its kin."""
    layers, x = lib.layers, lib.Input((4,), name="x")
    deep = lib.Model(x, layers.Dense(4, name="deep")(x), name="deepest")
    base = lib.Model(x, deep(layers.Dense(4, "relu")(x)), name="base")
    base(lib.Input((4,), name="elsewhere"))
    twice = base(base(x))
    return lib.Model(x, [layers.Dense(2, name="head")(twice), base(x), layers.Add()([base(x), twice])])


def operations(lib: Any) -> Any:
    """Ops and operators as nodes, with slices and constants as arguments."""
    ops, x = lib.ops, lib.Input((4,))
    z = ops.clip(x[:, 1:], -0.5, 0.5) + np.ones((1, 3), "float32")
    z = ops.concatenate([z, ops.reshape(x, (-1, 4))[:, ::2], -x[..., None][:, 0]], axis=-1)
    z = ops.where(z > 0.2, z * 2.0, 1 - z) / 3
    parts = ops.split(z, 2, axis=1)
    outputs = [
        ops.sum(z, axis=1, keepdims=True) ** 2,
        ops.matmul(z, ops.transpose(z)),
        ops.max(z, axis=0),
        *parts,
    ]
    outputs += [
        ops.einsum("ij,kj->ik", z, x[:, :1] + z),
        ops.isclose(x, x + 0.1, rtol=0.2),
        ops.cumsum(z, axis=1),
    ]
    outputs += [
        ops.diff(z),
        ops.stack([z, z], axis=1),
        ops.logsumexp(z, axis=-1),
        ops.one_hot(ops.argmax(z, 1), 3),
    ]
    outputs += [
        ops.mean(z),
        ops.expand_dims(z, 1),
        ops.cast(z, "int32") // 2,
        ops.relu(z),
        ops.maximum(z, 0.3),
    ]
    return lib.Model(x, outputs)


def custom(lib: Any) -> Any:
    @lib.saving.register_keras_serializable("tests")
    class Scale(lib.layers.Layer):
        def __init__(self, power: int = 1, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.power = power

        def build(self, input_shape: Any) -> None:
            self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")
            self.offset = self.add_weight(shape=(1,), trainable=False, name="offset")

        def call(self, x: Any) -> Any:
            return x * self.scale**self.power + self.offset

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "power": self.power}

    @lib.saving.register_keras_serializable("tests")
    class Mixed(lib.Model):
        """Layers in attributes, lists and dicts, public and private, before and after "layers" by name."""

        def __init__(self, units: int = 3, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.units = units
            self.zed = lib.layers.Dense(units)
            self.blocks = [lib.layers.Dense(3), lib.layers.Dense(3), [lib.layers.Dense(4)]]
            self.encoders = {"k": Scale(2), "j": lib.layers.Dropout(0.1)}
            self._last = lib.layers.Dense(2)
            self.seen = lib.metrics.Mean(name="seen")

        def call(self, x: Any, training: bool = False) -> Any:
            x = self.encoders["k"](self.blocks[0](self.zed(x)))
            return self._last(self.blocks[2][0](self.blocks[1](self.encoders["j"](x, training=training))))

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "units": self.units}

    model = Mixed(5)
    model(X)
    return model


MODELS = [sequential, deferred, shared, transferred, operations, custom]


def outputs(model: Any, lib: Any) -> list[np.ndarray]:
    x = {"a": X, "b": X[::-1].copy()} if any(layer.name == "both" for layer in model.layers) else X
    return [np.asarray(y) for y in lib.tree.flatten(model(x, training=False))]


def equal(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert len(found) == len(expected)
    for y, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", MODELS, ids=lambda f: f.__name__)
def test_reference_and_back(keras: Any, tmp_path: Path, make: Any) -> None:
    theirs = make(keras)
    theirs.save(tmp_path / "theirs.keras")
    expected = outputs(theirs, keras)
    make(triceras)  # registers its classes here
    ours = saving.load_model(tmp_path / "theirs.keras")
    equal(outputs(ours, triceras), expected)
    ours.save(tmp_path / "ours.keras")
    equal(outputs(saving.load_model(tmp_path / "ours.keras"), triceras), expected)
    equal(outputs(keras.saving.load_model(tmp_path / "ours.keras"), keras), expected)


@pytest.mark.parametrize("make", MODELS, ids=lambda f: f.__name__)
def test_own_models_load_in_the_reference(keras: Any, tmp_path: Path, make: Any) -> None:
    ours = make(triceras)
    ours.save(tmp_path / "ours.keras")
    make(keras)
    equal(outputs(keras.saving.load_model(tmp_path / "ours.keras"), keras), outputs(ours, triceras))


@pytest.mark.parametrize("ending", [".weights.h5", ".weights.json"])
@pytest.mark.parametrize("make", [shared, custom], ids=lambda f: f.__name__)
def test_weights_alone(keras: Any, tmp_path: Path, make: Any, ending: str) -> None:
    path, size = tmp_path / f"m{ending}", {"max_shard_size": 1e-7} if "json" in ending else {}
    theirs, ours = make(keras), make(triceras)
    theirs.save_weights(path, **size)
    ours.load_weights(path)
    expected = outputs(theirs, keras)
    equal(outputs(ours, triceras), expected)
    os.remove(path)
    ours.save_weights(path, **size)
    for fresh, lib in ((make(keras), keras), (make(triceras), triceras)):
        fresh.load_weights(path)
        equal(outputs(fresh, lib), expected)


def schedule(lib: Any) -> Any:
    return lib.optimizers.SGD(lib.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5), momentum=0.9)


SETUPS = {
    "names": lambda lib: {"optimizer": "adam", "loss": "mse", "metrics": ["mae"]},
    "objects": lambda lib: {
        "optimizer": lib.optimizers.RMSprop(0.01, centered=True), "loss": lib.losses.Huber(),
        "metrics": [lib.metrics.MeanSquaredError(name="error")],
    },
    "scaled": lambda lib: {
        "optimizer": lib.optimizers.LossScaleOptimizer(lib.optimizers.Adam()), "loss": "mse"
    },
    "schedule": lambda lib: {"optimizer": schedule(lib), "loss": "mae"},
    "adamw": lambda lib: {
        "optimizer": lib.optimizers.AdamW(0.02, clipnorm=1.0, use_ema=True, amsgrad=True), "loss": ["mse"],
        "loss_weights": [2.0],
    },
}  # fmt: skip


@pytest.mark.parametrize("setup", SETUPS)
def test_training_goes_on(keras: Any, tmp_path: Path, setup: str) -> None:
    keras.utils.set_random_seed(1)
    theirs = sequential(keras)
    theirs.compile(**SETUPS[setup](keras))
    for _ in range(3):
        theirs.train_on_batch(X, Y)
    theirs.save(tmp_path / "theirs.keras")
    ours = saving.load_model(tmp_path / "theirs.keras")
    ours.save(tmp_path / "ours.keras")
    again = keras.saving.load_model(tmp_path / "ours.keras")
    own = saving.load_model(tmp_path / "ours.keras")
    assert int(ours.optimizer.iterations.numpy()) == 3
    for _ in range(3):
        losses = []
        for model in (theirs, ours, again, own):
            model.reset_metrics()
            losses.append(float(model.train_on_batch(X, Y, return_dict=True)["loss"]))
        assert losses == pytest.approx(losses[:1] * 4, rel=1e-4)
    for model in (ours, again, own):
        for found, wanted in zip(model.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_losses_by_output(keras: Any, tmp_path: Path) -> None:
    theirs = shared(keras)
    theirs.compile(
        "sgd",
        {"one": "mse", "two": "mae", "three": None},
        metrics={"one": ["mae"], "two": None, "three": None},
    )
    theirs.save(tmp_path / "m.keras")
    ours = saving.load_model(tmp_path / "m.keras")
    targets = {"one": np.ones((8, 3), "float32"), "two": Y, "three": Y}
    x = {"a": X, "b": X}
    found, wanted = (m.evaluate(x, targets, verbose=0, return_dict=True) for m in (ours, theirs))
    assert found["loss"] == pytest.approx(wanted["loss"], rel=1e-4) and set(found) == set(wanted)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "mixed_bfloat16"])
def test_dtypes(keras: Any, tmp_path: Path, dtype: str) -> None:
    theirs = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, dtype=dtype)])
    theirs.save(tmp_path / "m.keras")
    ours = saving.load_model(tmp_path / "m.keras")
    ours.save(tmp_path / "o.keras")
    back = keras.saving.load_model(tmp_path / "o.keras")
    for a, b, c in zip(theirs.weights, ours.weights, back.weights, strict=True):
        assert str(a.dtype) == b.dtype == str(c.dtype)
        np.testing.assert_array_equal(np.asarray(a, "float32"), b.numpy().astype("float32"))


def test_identities(tmp_path: Path) -> None:
    operations(triceras).save(tmp_path / "m.keras")
    config = json.loads(zipfile.ZipFile(tmp_path / "m.keras").read("config.json"))
    assert config | {"config": 0, "build_config": 0} == {
        "module": "keras.src.models.functional", "class_name": "Functional", "registered_name": "Functional",
        "config": 0, "build_config": 0,
    }  # fmt: skip
    nodes = {layer["class_name"]: layer for layer in config["config"]["layers"]}
    clip, item = nodes["Clip"], nodes["GetItem"]
    assert clip["module"] == "keras.src.ops.numpy" and clip["registered_name"] == "Clip"
    assert clip["config"] == {"name": clip["name"], "x_min": -0.5, "x_max": 0.5}
    assert set(item["config"]) == {"name"} and len(item["inbound_nodes"][0]["args"]) == 2
    assert not hasattr(triceras.models, "Functional") and "src" not in dir(triceras)


def test_every_op_is_a_class_of_the_reference(keras: Any) -> None:
    """The class, its module and the arguments of its constructor, for all ops that the reference has too."""
    wrong = []
    for name, op in OPS.items():
        paths = [path for path in (f"ops.{name}", f"ops.image.{name}") if registry.lookup(path)]
        if (
            not paths
            or not op.tensors
            or not hasattr(keras.ops.image if "image" in paths[0] else keras.ops, name)
        ):
            continue  # internal, never a node, or only here
        call = OpCall(op, dict.fromkeys((*op.statics, *op.config)))
        module, kind = module_and_class(call)
        parameters = inspect.signature(
            getattr(getattr(importlib.import_module(module), kind, None), "__init__", None) or len
        )
        if not set(config_of(call)) <= set(parameters.parameters) and "kwargs" not in parameters.parameters:
            wrong.append((name, module, kind))
    assert wrong == []


# -- files of the reference that stand here ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sequential", "functional"])
@pytest.mark.parametrize("engine", ["jax", "numpy"])
def test_golden_files(name: str, engine: str) -> None:
    with triceras.use_engine(engine):
        expected = np.load(GOLDEN / f"{name}.npz")
        model = saving.load_model(GOLDEN / f"{name}.keras")
        x = {k[2:]: v for k, v in expected.items() if k.startswith("x_")}
        found = triceras.tree.flatten(model(x.get("", x), training=False))
        equal([np.asarray(y) for y in found], [expected[f"y_{i}"] for i in range(len(found))])
        assert int(model.optimizer.iterations.numpy()) == 2


# -- strictness ----------------------------------------------------------------------------------------------


def small(units: int = 3, more: bool = False) -> Any:
    layers = triceras.layers
    extra = [layers.Dense(2, name="extra")] if more else []
    return triceras.Sequential(
        [triceras.Input((4,)), layers.Dense(units, name="first"), layers.Dense(2, name="last"), *extra]
    )


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: small(5), r"first.*\(4, 5\).*\(4, 3\)"),
        (lambda: small(more=True), "extra"),
    ],
    ids=["shapes", "missing"],
)
def test_strict(tmp_path: Path, other: Any, message: str) -> None:
    path = tmp_path / "m.weights.h5"
    small().save_weights(path)
    model = other()
    before = model.get_weights()
    with pytest.raises(WeightsMismatchError, match=message):
        model.load_weights(path)
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    with pytest.warns(UserWarning, match="Left as it was"):
        model.load_weights(path, skip_mismatch=True)


def test_unexpected_weights(tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    larger = small(more=True)
    larger.save_weights(path)
    model = small()
    with pytest.raises(WeightsMismatchError, match="no place for"):
        model.load_weights(path)
    with pytest.warns(UserWarning, match="no place for"):
        model.load_weights(path, skip_mismatch=True)
    np.testing.assert_array_equal(model.get_weights()[0], larger.get_weights()[0])


def test_skipped_objects(tmp_path: Path) -> None:
    path, source, model = tmp_path / "m.weights.h5", small(), small()
    source.save_weights(path)
    before = model.get_weights()
    saving.load_weights(model, path, objects_to_skip=[model.layers[1]])
    np.testing.assert_array_equal(model.get_weights()[0], source.get_weights()[0])
    np.testing.assert_array_equal(model.get_weights()[2], before[2])


def test_other_optimizer_is_no_error(tmp_path: Path) -> None:
    model, other = small(), small()
    for m, optimizer in ((model, "sgd"), (other, "adam")):
        m.compile(optimizer, "mse")
        m.train_on_batch(X, Y)
    model.save_weights(tmp_path / "m.weights.h5")
    with pytest.warns(UserWarning, match="optimizer"):
        other.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_array_equal(model.get_weights()[0], other.get_weights()[0])


def test_without_optimizer(tmp_path: Path) -> None:
    model = small()
    model.compile("adam", "mse")
    model.train_on_batch(X, Y)
    model.save(tmp_path / "m.keras", include_optimizer=False)
    assert saving.load_model(tmp_path / "m.keras").optimizer is None
    model.save(tmp_path / "m.keras")
    assert saving.load_model(tmp_path / "m.keras", compile=False).optimizer is None
    folder = tmp_path / "folder"
    model.save(folder, zipped=False)
    assert int(saving.load_model(folder).optimizer.iterations.numpy()) == 1


def test_what_cannot_be_saved_of_compile(tmp_path: Path) -> None:
    model = small()
    model.compile("sgd", lambda y, p: (y - p) ** 2)
    with pytest.warns(UserWarning, match="compile it again"):
        model.save(tmp_path / "m.keras")
    assert not saving.load_model(tmp_path / "m.keras")._compiled


def test_unbuilt(tmp_path: Path) -> None:
    model = triceras.Sequential([triceras.layers.Dense(2)])
    for action in (model.save_weights, model.load_weights):
        (tmp_path / "x.weights.h5").touch()
        with pytest.raises(ArgumentError, match="no weights yet"):
            action(tmp_path / "x.weights.h5")
    model.save(tmp_path / "m.keras")
    assert not saving.load_model(tmp_path / "m.keras").built


@pytest.mark.parametrize("setup", SETUPS)
def test_compiled_models_that_were_never_trained(keras: Any, tmp_path: Path, setup: str) -> None:
    for lib in (keras, triceras):
        made = sequential(lib)
        made.compile(**SETUPS[setup](lib))
        made.save(tmp_path / "m.keras")
        loaded = saving.load_model(tmp_path / "m.keras")  # warns of nothing
        assert int(loaded.optimizer.iterations.numpy()) == 0
        loaded.train_on_batch(X, Y)


def test_older_numbers_of_calls() -> None:
    """Triceras 0.3 counted the calls of a graph inside from 1, wherever they were named."""
    layers, x = triceras.layers, triceras.Input((4,), name="x")
    base = triceras.Model(x, layers.Dense(4)(x), name="base")
    model = triceras.Model(x, layers.Dense(2, name="head")(base(x)))
    config = model.get_config()
    head = next(layer for layer in config["layers"] if layer["name"] == "head")
    history = head["inbound_nodes"][0]["args"][0]["config"]["keras_history"]
    assert history == ["base", 0, 0]
    history[1] = 1
    older = triceras.Model.from_config(config)
    older.set_weights(model.get_weights())
    equal(outputs(older, triceras), outputs(model, triceras))
