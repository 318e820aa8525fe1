"""Layers that hold native code of an engine's library."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import triceras as keras
from triceras import layers
from triceras.core.errors import ArgumentError, ArgumentTypeError, EngineError, StateError
from triceras.engine import selection

X = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
Y = X.sum(1, keepdims=True)


def library(name: str) -> Any:
    """The library of an engine, loaded with its engine."""
    if not selection.installed(name):
        pytest.skip(f"{name} isn't installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        selection.get(name)
        return __import__(name)


def model_of(layer: Any) -> keras.Model:
    model = keras.Sequential([keras.Input((4,)), layer, layers.Dense(1)])
    model.compile(keras.optimizers.Adam(1e-2), "mse")
    return model


def check(model: keras.Model, custom_objects: dict[str, Any], folder: Path, refused: str) -> None:
    """What holds for all of them: training, copies, files, and that they stay where they are."""
    layer, engine = model.layers[0], model.engine
    before = layer.get_weights()
    losses = model.fit(X, Y, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    trained = zip(before, layer.weights, strict=True)
    assert all((a != v.numpy()).any() for a, v in trained if v.trainable and a.ndim > 1)
    assert not [e for e in model.report().events if e.kind == "eager"], model.report()
    expected = model.predict(X, verbose=0)
    assert np.allclose(copy.deepcopy(model).predict(X, verbose=0), expected, atol=1e-6)
    model.save(folder / "model.keras")
    with pytest.raises(ArgumentError, match=refused):
        keras.models.load_model(folder / "model.keras")
    loaded = keras.models.load_model(folder / "model.keras", custom_objects=custom_objects)
    assert np.allclose(loaded.predict(X, verbose=0), expected, atol=1e-6)
    with pytest.raises(EngineError, match=f"can be on the engine '{engine}' only"):
        model.to("numpy")
    assert model.engine == engine
    assert np.allclose(model.predict(X, verbose=0), expected, atol=1e-6)
    model.fit(X, Y, verbose=0, engine="auto")
    assert model.engine == engine
    layer.trainable = False
    assert not layer.trainable_variables


# -- PyTorch -------------------------------------------------------------------------------------------------


def test_torch_module(tmp_path: Path) -> None:
    torch = library("torch")
    torch.manual_seed(0)
    with keras.use_engine("torch"):
        make = lambda: torch.nn.Sequential(  # noqa: E731
            torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Dropout(0.1)
        )
        module = make()
        layer = layers.TorchModuleWrapper(module, name="inner")
        assert layer.built and layer.compute_output_shape((None, 4)) == (None, 8)
        parts = ["0.weight", "0.bias", "1.weight", "1.bias"]
        parts += ["1.running_mean", "1.running_var", "1.num_batches_tracked"]
        assert [v.name for v in layer.weights] == parts
        assert [p.shape for p in layer.parameters()] == [p.shape for p in module.parameters()]
        model = model_of(layer)
        assert module[1].num_batches_tracked == 0  # shapes were found without a real call
        assert "inner.module.0.weight" in dict(model.named_parameters())
        check(
            model,
            {"inner": make()},
            tmp_path,
            "Files hold no code, so the module of TorchModuleWrapper 'inner'",
        )
        assert module[1].num_batches_tracked == 10
        for name, tensor in module.state_dict().items():
            assert np.array_equal(tensor, layer._hosted[name].numpy())
        assert not any(p.requires_grad for p in module.parameters())


def test_mode_of_a_torch_module() -> None:
    torch = library("torch")
    with keras.use_engine("torch"):
        layer = layers.TorchModuleWrapper(torch.nn.Dropout(0.5))
        x = torch.ones(4, 4)
        assert (layer(x) == 0).any() and (layer(x, training=True) == 0).any()
        assert (layer(x, training=False) == x).all() and layer.module.training
        layer.eval()
        assert (layer(x) == x).all() and not layer.module.training


def test_torch_modules_as_attributes_and_in_other_modules() -> None:
    torch = library("torch")

    class Own(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(4, 2)

        def call(self, x: Any) -> Any:
            return self.linear(x)

    with keras.use_engine("torch"):
        own = Own()
        assert isinstance(own.linear, layers.TorchModuleWrapper) and len(own.trainable_weights) == 2
        net = torch.nn.Sequential(own, torch.nn.Linear(2, 1)).to(torch.bfloat16)
        assert net(torch.ones(1, 4, dtype=torch.bfloat16)).dtype == torch.bfloat16
        assert own.linear.weights[0].dtype == "bfloat16"
        fixed = layers.TorchModuleWrapper(torch.nn.Flatten(), output_shape=(None, 12))
        assert fixed(keras.Input((3, 4))).shape == (None, 12)


def test_what_is_no_torch_module() -> None:
    torch = library("torch")
    with keras.use_engine("torch"):
        for wrong in (3, torch.nn.Linear, layers.Dense(2)):
            with pytest.raises(ArgumentTypeError, match=r"must be a torch\.nn\.Module"):
                layers.TorchModuleWrapper(wrong)
        with pytest.raises(StateError, match="LazyLinear is lazy"):
            layers.TorchModuleWrapper(torch.nn.LazyLinear(3))
    with keras.use_engine("numpy"), pytest.raises(EngineError, match=r"use_engine\('torch'\)"):
        layers.TorchModuleWrapper(torch.nn.Linear(1, 1))


# -- JAX -----------------------------------------------------------------------------------------------------


def first_values(rng: Any, inputs: Any) -> Any:
    jax = library("jax")
    return {"w": jax.random.normal(rng, (inputs.shape[-1], 8)), "b": [jax.numpy.zeros(8)]}, {"calls": 0}


def dense(params: Any, state: Any, inputs: Any, training: bool) -> Any:
    return inputs @ params["w"] + params["b"][0], {"calls": state["calls"] + int(training)}


def test_jax_function(tmp_path: Path) -> None:
    library("jax")
    with keras.use_engine("jax"):
        layer = layers.JaxLayer(dense, first_values, seed=1, name="inner")
        model = model_of(layer)
        assert [v.name for v in layer.weights] == ["params_b_0", "params_w", "state_calls"]
        assert layer.weights[0].path.endswith("/inner/params_b_0")
        assert layer.params["w"].trainable and not layer.state["calls"].trainable
        again = layers.JaxLayer(dense, first_values, seed=1)
        again.build((None, 4))
        assert np.array_equal(again.params["w"], layer.params["w"])
        objects = {"dense": dense, "first_values": first_values}
        check(model, objects, tmp_path, "unknown function 'dense'")
        assert int(layer.state["calls"]) == 10
        given = layers.JaxLayer(lambda params, inputs: inputs * params, params=np.float32(3))
        assert given(X).shape == X.shape and given.built and len(given.weights) == 1


def test_random_numbers_in_a_jax_function() -> None:
    jax = library("jax")
    with keras.use_engine("jax"):
        noise = layers.JaxLayer(lambda rng, inputs: inputs + jax.random.normal(rng, inputs.shape), seed=3)
        assert not np.array_equal(noise(X), noise(X)) and len(noise.weights) == 0
        again = layers.JaxLayer(lambda rng, inputs: inputs + jax.random.normal(rng, inputs.shape), seed=3)
        assert np.array_equal(again(X), layers.JaxLayer(noise.call_fn, seed=3)(X))


WRONG = {
    "names": (lambda x: x, {}, "may take params, state, rng, inputs, training"),
    "variable arguments": (lambda *args: args, {}, "by these names"),
    "nothing to begin with": (lambda params, inputs: inputs, {}, "takes `params`: give its first value"),
    "unused state": (lambda params, inputs: inputs, {"params": {}, "state": {}}, "`call_fn` takes none"),
    "no state": (dense, {"params": {}}, "takes `state`"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_jax_functions(name: str) -> None:
    library("jax")
    function, arguments, message = WRONG[name]
    with keras.use_engine("jax"), pytest.raises(ArgumentError, match=message):
        layers.JaxLayer(function, **arguments)


def test_another_form_of_state() -> None:
    library("jax")
    with keras.use_engine("jax"):
        layer = layers.JaxLayer(lambda state, inputs: (inputs, {"b": 1.0}), state={"a": 1.0})
        with pytest.raises(ArgumentError, match="must return its state in the form"):
            layer(X)


def test_flax_module(tmp_path: Path) -> None:
    library("jax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        linen = pytest.importorskip("flax.linen")

    class Block(linen.Module):
        @linen.compact
        def __call__(self, x: Any, training: bool = False) -> Any:
            x = linen.BatchNorm(use_running_average=not training)(linen.Dense(8)(x))
            return linen.Dropout(0.1, deterministic=not training)(x)

        @linen.compact
        def double(self, x: Any) -> Any:
            return 2 * linen.Dense(3)(x)

    with keras.use_engine("jax"):
        layer = layers.FlaxLayer(Block(), name="inner")
        model = model_of(layer)
        assert sorted(layer.params) == ["BatchNorm_0", "Dense_0"] and list(layer.state) == ["batch_stats"]
        statistics = layer.state["batch_stats"]["BatchNorm_0"]["mean"]
        check(model, {"inner": Block()}, tmp_path, "Files hold no code, so the module of FlaxLayer 'inner'")
        assert (statistics.numpy() != 0).all()
        assert layers.FlaxLayer(Block(), method="double")(X).shape == (64, 3)
        assert layers.FlaxLayer(Block(), method=lambda module, x: module.double(x))(X).shape == (64, 3)
        first = Block().init(library("jax").random.key(0), X)
        given = layers.FlaxLayer(Block(), variables=first)
        assert given.built and np.allclose(given(X), Block().apply(first, X), atol=1e-6)


# -- TensorFlow ----------------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path: Path) -> str:
    tf = library("tensorflow")
    signature = [tf.TensorSpec((None, 4), tf.float32)]

    class Module(tf.Module):
        def __init__(self) -> None:
            self.w = tf.Variable(np.ones((4, 3), "float32"), name="w")

        @tf.function(input_signature=signature)
        def serve(self, x: Any) -> Any:
            return x @ self.w

        @tf.function(input_signature=signature)
        def train(self, x: Any) -> Any:
            return 2.0 * x @ self.w

    module, path = Module(), str(tmp_path / "saved")
    tf.saved_model.save(module, path, signatures={"by_name": module.serve})
    return path


def test_saved_model(saved: str, tmp_path: Path) -> None:
    with keras.use_engine("tensorflow"):
        layer = layers.TFSMLayer(saved, name="inner")
        assert [v.path for v in layer.trainable_weights] == ["inner/w"]
        assert layer.get_config()["filepath"] == saved
        check(
            model_of(layer),
            {"inner": saved},
            tmp_path,
            "Files hold no code, so the filepath of TFSMLayer 'inner'",
        )
        assert not layers.TFSMLayer(saved, trainable=False).trainable_weights


def test_endpoints(saved: str) -> None:
    with keras.use_engine("tensorflow"):
        both = layers.TFSMLayer(saved, call_training_endpoint="train")
        assert np.allclose(both(X, training=True), 2 * both(X).numpy())
        named = layers.TFSMLayer(saved, call_endpoint="by_name")
        assert np.allclose(next(iter(named({"x": X}).values())), both(X))
        with pytest.raises(ArgumentError, match=r"no endpoint 'nothing'.*'by_name', 'serve', 'train'"):
            layers.TFSMLayer(saved, call_endpoint="nothing")
        with pytest.raises(ArgumentError, match="There is no SavedModel at"):
            layers.TFSMLayer(saved + "/nowhere")
