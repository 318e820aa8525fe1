"""Sequential, Functional and subclassed models: structure, calls, weights, configs, clones."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

import triceras as keras
from triceras import layers, ops
from triceras.core.errors import ArgumentError, ArgumentTypeError, NotFoundError, ShapeError, StateError


def image_classifier() -> keras.Model:
    return keras.Sequential(
        [
            layers.Input(shape=(8, 8, 1)),
            layers.Conv2D(2, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


def two_towers() -> keras.Model:
    left, right = keras.Input(shape=(4,), name="left"), keras.Input(shape=(6,), name="right")
    shared = layers.Dense(5, name="shared")
    a = shared(layers.Dense(3, name="a")(left))
    b = shared(layers.Dense(3, name="b")(right))
    joined = layers.concatenate([a, b])
    return keras.Model(
        {"left": left, "right": right}, {"sum": a + b * 2.0, "joined": layers.Dense(2, name="head")(joined)}
    )


class Subclassed(keras.Model):
    def __init__(self, units: int = 3, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.first = layers.Dense(units)
        self.blocks = [layers.Dense(4), layers.Dropout(0.5)]
        self.heads = {"x": layers.Dense(2), "y": layers.Dense(1)}

    def call(self, inputs, training=False):
        x = self.first(inputs)
        for block in self.blocks:
            x = block(x, training=training) if isinstance(block, layers.Dropout) else block(x)
        return {name: head(x) for name, head in self.heads.items()}


def test_sequential_shapes_and_paths() -> None:
    model = image_classifier()
    assert model.input_shape == (None, 8, 8, 1)
    assert model.output_shape == (None, 3)
    assert [w.path.partition("/")[2] for w in model.weights] == [
        "conv2d/kernel",
        "conv2d/bias",
        "dense/kernel",
        "dense/bias",
    ] or all(w.path.startswith(model.name) for w in model.weights)
    assert model.count_params() == 2 * 9 + 2 + 18 * 3 + 3
    assert model(np.zeros((5, 8, 8, 1))).shape == (5, 3)


def test_input_shape_on_the_first_layer() -> None:
    model = keras.Sequential()
    model.add(layers.Flatten(input_shape=(28, 28)))
    model.add(layers.Dense(10))
    assert model.built and model.output_shape == (None, 10)
    assert keras.Sequential([layers.Dense(2, input_dim=7)]).input_shape == (None, 7)


def test_deferred_build_by_data_and_by_shape() -> None:
    model = keras.Sequential([layers.Dense(4), layers.Dense(2)])
    assert not model.built and model.weights == []
    with pytest.raises(StateError, match="isn't defined"):
        _ = model.output_shape
    assert model(np.ones((3, 5))).shape == (3, 2)
    assert model.output_shape == (None, 2)
    other = keras.Sequential([layers.Dense(4), layers.Dense(2)])
    other.build((None, 5))
    assert [w.shape for w in other.weights] == [w.shape for w in model.weights]


def test_a_stack_built_by_data_takes_other_sizes_where_its_layers_do() -> None:
    model = keras.Sequential([layers.Conv2D(2, 3), layers.GlobalMaxPooling2D()])
    assert model(np.ones((2, 8, 8, 3))).shape == model(np.ones((2, 5, 6, 3))).shape == (2, 2)
    assert model.predict(np.ones((3, 5, 6, 3)), verbose=0).shape == (3, 2)
    with pytest.raises(ShapeError, match="conv2d"):
        model(np.ones((2, 8, 8, 4)))


def test_add_and_pop() -> None:
    model = keras.Sequential([keras.Input(shape=(3,)), layers.Dense(4)])
    model.add(layers.Dense(5))
    assert model.output_shape == (None, 5)
    model.pop()
    assert model.output_shape == (None, 4)
    model.add(layers.Dense(6))
    assert model.output_shape == (None, 6) and [layer.units for layer in model.layers] == [4, 6]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: keras.Sequential([layers.Dense]), ArgumentTypeError, "forget to call"),
        (lambda: keras.Sequential([lambda x: x]), ArgumentTypeError, "Lambda"),
        (
            lambda: keras.Sequential([layers.Dense(2, name="a"), layers.Dense(2, name="a")]),
            ArgumentError,
            "different names",
        ),
        (lambda: keras.Sequential([layers.Dense(2), keras.Input(shape=(2,))]), ArgumentError, "first"),
        (lambda: keras.Sequential()(np.ones((2, 2))), ArgumentError, "no layers"),
        (lambda: keras.Sequential().pop(), ArgumentError, "no layer"),
        (lambda: image_classifier()(np.ones((2, 9, 9, 1))), ShapeError, r"\(None, 8, 8, 1\)"),
        (lambda: image_classifier().get_layer("nothing"), NotFoundError, "conv2d"),
        (lambda: image_classifier().get_layer(index=99), NotFoundError, "99"),
        (
            lambda: keras.Model(keras.Input(shape=(2,)), keras.Input(shape=(2,)) + 1.0),
            ArgumentError,
            "not among",
        ),
        (lambda: keras.Model(np.ones(3), keras.Input(shape=(2,))), ArgumentError, "symbolic"),
        (lambda: two_towers()({"left": np.ones((2, 4))}), ArgumentError, "right"),
        (lambda: layers.Dense(3)(keras.Input(shape=(None,))), ShapeError, "known|size"),
        (lambda: keras.Input(), ArgumentError, "shape"),
        (lambda: Subclassed().summary() or keras.Model()(np.ones((1, 2))), NotImplementedError, "call"),
    ],
)
def test_mistakes_are_explained(make, error, text) -> None:
    with pytest.raises(error, match=text):
        make()


def test_functional_inputs_outputs_and_sharing() -> None:
    model = two_towers()
    x = {"left": np.ones((2, 4), "float32"), "right": np.ones((2, 6), "float32")}
    y = model(x)
    assert sorted(y) == ["joined", "sum"] and y["joined"].shape == (2, 2)
    assert sum(layer.name == "shared" for layer in model.layers) == 1
    a, b = (model.get_layer("shared")(model.get_layer(n)(x[k])) for n, k in (("a", "left"), ("b", "right")))
    np.testing.assert_allclose(y["sum"], a + 2 * b, rtol=1e-6)
    assert model.input_names == ["left", "right"]


def test_a_model_is_cut_out_of_a_model() -> None:
    model = image_classifier()
    features = keras.Model(model.inputs, model.layers[1].output)
    assert features.output_shape == (None, 3, 3, 2)
    tail = keras.Model(model.layers[2].output, model.output)
    x = np.random.default_rng(0).random((2, 8, 8, 1)).astype("float32")
    middle = keras.Model(model.inputs, model.layers[2].output)(x)
    np.testing.assert_allclose(tail(middle), model(x), rtol=1e-5)


def test_nested_models_and_ops() -> None:
    inner = keras.Sequential([layers.Input(shape=(4,)), layers.Dense(3, activation="tanh")], name="inner")
    x = keras.Input(shape=(4,))
    y = inner(x)
    outer = keras.Model(
        x, ops.mean(ops.concatenate([y, inner(x * 2.0)], axis=-1), axis=-1, keepdims=True)[:, 0]
    )
    assert outer.output_shape == (None,)
    assert outer(np.ones((3, 4))).shape == (3,)
    assert len(outer.weights) == 2


def test_rank_of_inputs_is_adapted() -> None:
    model = image_classifier()
    assert model(np.ones((2, 8, 8))).shape == (2, 3)
    assert keras.Sequential([layers.Input(shape=(4,)), layers.Dense(1)])(np.ones((2, 4, 1))).shape == (2, 1)


def test_integers_are_cast_to_the_inputs_dtype() -> None:
    assert str(image_classifier()(np.ones((1, 8, 8, 1), "uint8")).dtype) == "float32"


def test_subclassed_model() -> None:
    model = Subclassed()
    out = model(np.ones((2, 5)))
    assert {k: v.shape for k, v in out.items()} == {"x": (2, 2), "y": (2, 1)}
    assert len(model.weights) == 8 and len({w.path for w in model.weights}) == 8
    assert all(w.path.startswith(f"{model.name}/") for w in model.weights)
    assert model.get_config()["units"] == 3
    assert model.seed_count if hasattr(model, "seed_count") else len(model.variables) == 9


def test_functional_subclass() -> None:
    class Scaled(keras.Model):
        def __init__(self, units):
            x = keras.Input(shape=(3,))
            super().__init__(inputs=x, outputs=layers.Dense(units)(x) * 3.0)
            self.extra = units

    model = Scaled(4)
    assert model.output_shape == (None, 4) and model(np.ones((2, 3))).shape == (2, 4)


def test_weights_get_and_set() -> None:
    model, other = image_classifier(), image_classifier()
    other.set_weights(model.get_weights())
    x = np.random.default_rng(0).random((2, 8, 8, 1)).astype("float32")
    np.testing.assert_array_equal(model(x), other(x))
    with pytest.raises(ArgumentError, match="4 weights"):
        model.set_weights([np.ones(3)])
    before = model.get_weights()
    with pytest.raises(ShapeError):
        model.set_weights([*before[:-1], np.ones(99)])
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_freezing() -> None:
    model = image_classifier()
    model.layers[0].trainable = False
    assert len(model.trainable_weights) == 2 and len(model.non_trainable_weights) == 2
    model.trainable = False
    assert model.trainable_weights == []
    model.trainable = True
    assert len(model.trainable_weights) == 4


@pytest.mark.parametrize("make", [image_classifier, two_towers], ids=["sequential", "functional"])
def test_config_and_json_round_trip(make) -> None:
    model = make()
    again = type(model).from_config(json.loads(json.dumps(model.get_config())))
    revived = keras.models.model_from_json(model.to_json())
    for other in (again, revived):
        assert [layer.name for layer in other.layers] == [layer.name for layer in model.layers]
        other.set_weights(model.get_weights())
    if make is image_classifier:
        x = np.random.default_rng(0).random((2, 8, 8, 1)).astype("float32")
    else:
        x = {"left": np.ones((2, 4), "float32"), "right": np.ones((2, 6), "float32")}
    for name, value in _named(model(x)).items():
        np.testing.assert_allclose(_named(revived(x))[name], value, rtol=1e-6)


def _named(y):
    return y if isinstance(y, dict) else {"y": y}


def test_clone_model() -> None:
    model = two_towers()
    copied = keras.models.clone_model(model)
    assert [w.shape for w in copied.weights] == [w.shape for w in model.weights]
    assert not any(a is b for a, b in zip(model.weights, copied.weights, strict=True))
    wide = keras.models.clone_model(
        image_classifier(),
        clone_function=lambda layer: (
            layers.Dense(7)
            if isinstance(layer, layers.Dense)
            else layer.__class__.from_config(layer.get_config())
        ),
    )
    assert wide.output_shape == (None, 7)


def test_copy_of_a_layer() -> None:
    layer = layers.Dense(3)
    assert copy.deepcopy(layer).units == 3


def test_same_seed_same_weights() -> None:
    keras.utils.set_random_seed(7)
    first = image_classifier().get_weights()
    layers.Dense(3)(np.ones((1, 2)))  # something else in between
    keras.utils.set_random_seed(7)
    for a, b in zip(first, image_classifier().get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_summary_shows_layers_shapes_and_sizes() -> None:
    lines: list[str] = []
    image_classifier().summary(print_fn=lines.append)
    text = "\n".join(lines)
    assert "(None, 6, 6, 2)" in text and "Total params: 77" in text and "308.00 B" in text
    two_towers().summary(print_fn=lines.append, show_trainable=True)
    assert "Connected to" in lines[-1] and "shared" in lines[-1]
    subclassed = Subclassed()
    subclassed(np.ones((1, 5)))
    subclassed.summary(print_fn=lines.append)
    assert "(None, 3)" in lines[-1]


@pytest.mark.parametrize("expand", [False, True])
def test_model_to_dot(expand) -> None:
    pydot = pytest.importorskip("pydot")
    inner = keras.Sequential([layers.Input((4,)), layers.Dense(4, name="a"), layers.Dense(4, name='b "q"')])
    outer = keras.Sequential([layers.Input((4,)), inner, layers.Dense(2)])
    graph = keras.utils.model_to_dot(outer, expand_nested=expand, show_shapes=True, rankdir="LR")
    nodes = [n for n in graph.get_nodes() if n.get_name() != "node"]
    assert len(nodes) == (3 if expand else 2) and len(graph.get_edges()) == len(nodes) - 1
    assert graph.get_rankdir() == "LR" and "digraph" in graph.to_string()
    assert isinstance(keras.utils.model_to_dot(outer, subgraph=True), pydot.Cluster)
    with pytest.raises(ArgumentError, match="rankdir"):
        keras.utils.model_to_dot(outer, rankdir="UP")


def test_plot_model(tmp_path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("a.png", "b.svg"):
        keras.utils.plot_model(
            two_towers(), to_file=tmp_path / name, show_shapes=True, show_layer_names=True, dpi=60
        )
        assert (tmp_path / name).stat().st_size > 2000
    assert b"shared" in (tmp_path / "b.svg").read_bytes() or (tmp_path / "b.svg").read_bytes().startswith(
        b"<?xml"
    )
    with pytest.raises(ArgumentError, match="png"):
        keras.utils.plot_model(two_towers(), to_file="x.docx")


def test_stateless_call_changes_nothing() -> None:
    model = keras.Sequential([layers.Input(shape=(3,)), layers.BatchNormalization(), layers.Dense(2)])
    before = model.get_weights()
    trained = [v.numpy() * 0 for v in model.trainable_variables]
    other = [v.numpy() for v in model.non_trainable_variables]
    out, updated = model.stateless_call(trained, other, np.ones((4, 3), "float32") * 5, training=True)
    np.testing.assert_array_equal(out, np.zeros((4, 2)))
    assert len(updated) == len(other) and not np.array_equal(updated[0], other[0])
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_losses_from_layers_and_regularizers() -> None:
    class Penalty(layers.Layer):
        def call(self, x):
            self.add_loss(ops.sum(x) * 0.5)
            return x

    model = keras.Sequential(
        [
            layers.Input(shape=(2,)),
            Penalty(),
            layers.Dense(1, kernel_regularizer="l2", activity_regularizer="l1"),
        ]
    )
    model(np.ones((3, 2)))
    model(np.ones((3, 2)))
    assert len(model.losses) == 3
    assert float(model.losses[0]) == pytest.approx(3.0)


def test_layer_with_native_code_in_call() -> None:
    jnp = pytest.importorskip("jax.numpy")

    class Native(layers.Layer):
        def call(self, x):
            return jnp.tile(jnp.sin(x), (1, 2))

    with keras.use_engine("jax"):
        x = keras.Input(shape=(3,))
        model = keras.Model(x, Native()(x))
        assert model.output_shape == (None, 6)
        assert model.predict(np.zeros((4, 3)), verbose=0).shape == (4, 6)


def test_symbolic_values_are_refused_with_advice() -> None:
    x = keras.Input(shape=(3,))
    for use in (lambda: np.sin(x), lambda: bool(x), lambda: float(x), lambda: list(x)):
        with pytest.raises(TypeError, match="symbolic"):
            use()
