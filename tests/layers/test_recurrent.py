"""Recurrent layers beside the reference in all their options, and what they promise beyond that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import triceras
from tests.layers.cases import given, part
from triceras import Input, Layer, Sequential, layers, losses, ops, saving, use_engine
from triceras.layers.base import get_mask, set_mask

# the reference's own
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(3, 5, 4)).astype("float32")
IMAGES = RANDOM.normal(size=(3, 4, 5, 4, 2)).astype("float32")
MASK = np.array([[0, 1, 1, 0, 1], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]], bool)
STATE = RANDOM.normal(size=(3, 3)).astype("float32")
SEQUENCES = {"return_sequences": True}
ALL = {**SEQUENCES, "return_state": True}
BACK = {**ALL, "go_backwards": True}


@pytest.fixture(autouse=True)
def jax_engine() -> Any:
    pytest.importorskip("jax")
    with use_engine("jax") as active:
        yield active


@pytest.fixture(scope="module")
def keras() -> Any:
    keras = pytest.importorskip("keras")
    if keras.config.backend() != "jax":
        pytest.skip("the reference runs on another backend than JAX")
    return keras


def flat(results: Any) -> list[np.ndarray]:
    return [np.asarray(x) for x in triceras.tree.flatten(results)]


PLAIN = [(kind, {"units": 3, **more}) for kind in ("SimpleRNN", "LSTM", "GRU") for more in (
    {}, BACK, {"unroll": True, **SEQUENCES}, {"activation": "relu", "use_bias": False, **SEQUENCES},
    {"zero_output_for_mask": True}, {"zero_output_for_mask": True, **BACK},
)]  # fmt: skip
OTHERS = [
    ("LSTM", {"units": 3, "use_cudnn": False, **ALL}),
    ("GRU", {"units": 3, "reset_after": False, **ALL}),
    ("GRU", {"units": 3, "reset_after": False, "use_bias": False}),
    ("RNN", {"cell": [part("LSTMCell", units=3), part("GRUCell", units=2)], **ALL}),
    ("RNN", {"cell": part("GRUCell", units=3), "zero_output_for_mask": True, **ALL}),
    *(
        ("Bidirectional", {"layer": part(kind, units=3, **ALL), "merge_mode": mode})
        for kind, mode in {"LSTM": "concat", "GRU": "ave", "SimpleRNN": None}.items()
    ),
    ("Bidirectional", {"layer": part("LSTM", units=3), "merge_mode": "sum"}),
    ("Bidirectional", {"layer": part("GRU", units=3), "merge_mode": "mul"}),
    (
        "Bidirectional",
        {
            "layer": part("LSTM", units=3, **SEQUENCES),
            "backward_layer": part("GRU", units=2, go_backwards=True, **SEQUENCES),
        },
    ),
    ("TimeDistributed", {"layer": part("Dense", units=3)}),
]
WINDOW = {"filters": 3, "kernel_size": 2}
ON_IMAGES = [("ConvLSTM2D", WINDOW | BACK), ("ConvLSTM2D", WINDOW | ALL | {"stateful": True})]


def pair(keras: Any, kind: str, arguments: dict[str, Any], shape: tuple[int, ...]) -> tuple[Any, Any]:
    """A layer of ours and one of the reference with the same weights."""
    ours, theirs = (getattr(lib.layers, kind)(**given(arguments, lib)) for lib in (triceras, keras))
    ours.build(shape), theirs.build(shape)
    random = np.random.default_rng(1)
    theirs.set_weights([random.normal(0, 0.5, w.shape).astype("float32") for w in theirs.weights])
    ours.set_weights(theirs.get_weights())
    return ours, theirs


def same(ours: Any, theirs: Any) -> None:
    found, expected = flat(ours), flat(theirs)
    assert [x.shape for x in found] == [x.shape for x in expected]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mask", [None, MASK], ids=["", "masked"])
@pytest.mark.parametrize(("kind", "arguments"), PLAIN + OTHERS, ids=str)
def test_like_the_reference(keras: Any, kind: str, arguments: dict[str, Any], mask: Any) -> None:
    ours, theirs = pair(keras, kind, arguments, X.shape)
    same(ours(X, mask=mask), theirs(X, mask=mask))
    shapes = triceras.tree.flatten(ours.compute_output_shape((None, None, 4)))
    assert len(shapes) == len(triceras.tree.flatten(theirs.compute_output_shape((None, None, 4))))


@pytest.mark.parametrize("mask", [None, MASK], ids=["", "masked"])
@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU", "Bidirectional"])
def test_initial_state_and_stateful_layers(keras: Any, kind: str, mask: Any) -> None:
    def both(**arguments: Any) -> tuple[Any, Any]:
        arguments |= {"units": 3, **(SEQUENCES if kind == "Bidirectional" else ALL)}
        inside = {"layer": part("LSTM", **arguments)}
        return pair(keras, kind, inside if kind == "Bidirectional" else arguments, X.shape)

    count = {"LSTM": 2, "Bidirectional": 4}.get(kind, 1)
    ours, theirs = both()
    states = [STATE * (i + 1) for i in range(count)]
    same(ours(X, initial_state=states, mask=mask), theirs(X, initial_state=states, mask=mask))
    ours, theirs = both(stateful=True)
    first = flat(ours(X, mask=mask))
    theirs(X, mask=mask)
    same(ours(X, mask=mask), theirs(X, mask=mask))
    same(ours.states, theirs.states)
    assert len(ours.variables) == len(theirs.variables) and len(ours.weights) == len(theirs.weights)
    ours.reset_states()
    same(ours(X, mask=mask), first)


@pytest.mark.parametrize(("kind", "arguments"), ON_IMAGES, ids=str)
def test_images_like_the_reference(keras: Any, kind: str, arguments: dict[str, Any]) -> None:
    ours, theirs = pair(keras, kind, arguments, IMAGES.shape)
    theirs(IMAGES)
    ours(IMAGES)
    same(ours(IMAGES), theirs(IMAGES))


# -- cells ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["SimpleRNNCell", "LSTMCell", "GRUCell"])
def test_cells_like_the_reference(keras: Any, kind: str) -> None:
    ours, theirs = pair(keras, kind, {"units": 3}, (3, 4))
    assert ours.get_config() == theirs.get_config() | {"name": ours.name, "dtype": ours.get_config()["dtype"]}
    assert (ours.state_size, ours.output_size) == (theirs.state_size, theirs.output_size)
    states = [STATE] * len(ours.get_initial_state(3))
    same(ours(X[:, 0], states), theirs(X[:, 0], states))


class Counter(Layer):
    """A cell with a state of another size than its output, and weights made in the first call."""

    state_size = (2, 1)
    output_size = 4

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = layers.Dense(4, kernel_initializer="ones")

    def build(self, input_shape: Any) -> None:
        self.dense.build(input_shape)

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        kept, count = states
        return self.dense(inputs) + count, (kept, count + (10.0 if training else 1.0))


def test_own_cell() -> None:
    x = np.ones((2, 3, 5), "float32")
    layer = layers.RNN(Counter(), **ALL)
    output, kept, count = layer(x)
    assert np.asarray(output)[0, :, 0].tolist() == [5.0, 6.0, 7.0]
    assert (kept.shape, np.asarray(count).tolist()) == ((2, 2), [[3.0], [3.0]])
    assert np.asarray(layer(x, training=True)[0])[0, :, 0].tolist() == [5.0, 15.0, 25.0]
    masked = layer(x, mask=np.array([[0, 1, 0], [1, 0, 0]], bool))
    assert np.asarray(masked[0])[:, :, 0].tolist() == [[0.0, 5.0, 5.0], [5.0, 5.0, 5.0]]
    assert np.asarray(masked[2]).tolist() == [[1.0], [1.0]]
    both = layers.Bidirectional(layers.RNN(Counter(), **SEQUENCES))(x)
    assert np.asarray(both)[0, :, 4].tolist() == [7.0, 6.0, 5.0]
    assert layers.RNN([Counter(), layers.GRUCell(2)]).compute_output_shape((None, 3, 5)) == (None, 2)


# -- dropout -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU", "ConvLSTM2D", "stack"])
def test_dropout_has_one_pattern_for_all_steps(kind: str) -> None:
    """With an input that is the same at all steps, and a linear cell, a pattern shows in the differences."""
    if kind == "ConvLSTM2D":
        layer, x = layers.ConvLSTM2D(2, 1, dropout=0.5, recurrent_dropout=0.5, seed=1), IMAGES
    elif kind == "stack":
        layer, x = layers.RNN([layers.LSTMCell(3, dropout=0.5), layers.GRUCell(3, recurrent_dropout=0.5)]), X
    else:
        layer, x = getattr(layers, kind)(3, dropout=0.5, recurrent_dropout=0.4, seed=1), X
    quiet = np.asarray(layer(x))
    np.testing.assert_array_equal(np.asarray(layer(x)), quiet)
    first, second = (np.asarray(layer(x, training=True)) for _ in range(2))
    assert (first != quiet).any() and (first != second).any()
    if kind != "SimpleRNN":
        return
    ones = np.ones((50, 4, 8), "float32")
    layer = layers.SimpleRNN(
        1, "linear", False, "ones", recurrent_initializer="zeros", dropout=0.5, seed=1, return_sequences=True
    )
    outputs = np.asarray(layer(ones, training=True))[..., 0]
    np.testing.assert_allclose(outputs, outputs[:, :1].repeat(4, 1))  # the same at all steps
    assert len(np.unique(outputs[:, 0])) > 3  # different between samples
    assert abs(outputs.mean() - 8) < 1.5


# -- masks, errors, files, training --------------------------------------------------------------------------


def test_masks_reach_the_layer_and_go_on() -> None:
    ids = np.array([[1, 2, 0], [3, 0, 0]])
    embedding = layers.Embedding(5, 4, mask_zero=True)
    model = Sequential([Input((None,)), embedding, layers.LSTM(3, return_sequences=True), layers.GRU(2)])
    full = np.asarray(model(ids))
    np.testing.assert_allclose(full[1], np.asarray(model(np.array([[3]])))[0], rtol=1e-5)
    x = ops.convert_to_tensor(X)
    set_mask(x, ops.convert_to_tensor(MASK))
    y = layers.Bidirectional(layers.LSTM(3, return_sequences=True, return_state=True))(x)
    assert np.asarray(get_mask(y[0])).tolist() == MASK.tolist() and get_mask(y[1]) is None
    assert get_mask(layers.LSTM(3)(x)) is None
    assert get_mask(layers.TimeDistributed(layers.Dense(2))(x)) is not None


ERRORS = [
    (lambda: layers.LSTM(0), "positive integer"),
    (lambda: layers.LSTM(3, dropout=1.5), "from 0 to 1"),
    (lambda: layers.GRU(3, implementation=3), "must be 1 or 2"),
    (lambda: layers.LSTM(3, time_major=True), "unknown arguments"),
    (lambda: layers.LSTM(3, use_cudnn="yes"), "use_cudnn"),
    (lambda: layers.LSTM(3, activation="relu", use_cudnn=True), "tanh and sigmoid"),
    (lambda: layers.RNN(layers.Dense(3)), "state_size"),
    (lambda: layers.RNN([]), "list of cells"),
    (lambda: layers.LSTM(3)(X[0]), "3 dimensions, found 2"),
    (lambda: layers.LSTM(3)(X, initial_state=[STATE]), "starts with 2 state"),
    (lambda: layers.GRU(4)(X, initial_state=[STATE]), r"size\(s\) \[4\]"),
    (lambda: layers.LSTM(3, stateful=True)(Input((5, 4))), "batch size"),
    (lambda: list(map(layers.LSTM(3, stateful=True), (X, X[:1]))), "size of the first one"),
    (lambda: layers.Bidirectional(layers.Dense(3)), "recurrent layer"),
    (lambda: layers.Bidirectional(layers.LSTM(3), merge_mode="max"), "merge_mode"),
    (lambda: layers.Bidirectional(layers.LSTM(3), backward_layer=layers.LSTM(3)), "go_backwards=True"),
    (
        lambda: layers.Bidirectional(
            layers.LSTM(3), backward_layer=layers.LSTM(3, go_backwards=True, return_sequences=True)
        ),
        "same `return_sequences`",
    ),
    (lambda: layers.TimeDistributed(layers.Dense(3))(X[0]), r"of shape \(batch, time"),
    (lambda: layers.TimeDistributed(3), "must be a layer"),
    (lambda: layers.ConvLSTM2D(3, 2, padding="causal"), "padding"),
    (lambda: layers.ConvLSTM2D(3, 2, strides=2, dilation_rate=2), "dilation_rate"),
    (lambda: layers.ConvLSTM2D(3, 2)(Input((4, None, 5, 2))), "must know all sizes"),
]


@pytest.mark.parametrize(("action", "words"), ERRORS)
def test_errors(action: Any, words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        action()


def test_reset_of_a_layer_without_state() -> None:
    with pytest.raises(RuntimeError, match="isn't stateful"):
        layers.Bidirectional(layers.LSTM(3)).reset_state()
    layers.LSTM(3).reset_state()


def test_settings_are_attributes_of_the_layer() -> None:
    layer = layers.GRU(3, dropout=0.2, implementation=1)
    assert (layer.units, layer.dropout, layer.reset_after, layer.cell.name) == (3, 0.2, True, "gru_cell")
    assert "implementation" not in layer.get_config()
    with pytest.raises(AttributeError):
        _ = layer.anything
    weights = layers.Bidirectional(layers.SimpleRNN(3), weights=None)
    weights.build((None, None, 4))
    again = layers.Bidirectional(layers.SimpleRNN(3), weights=[w + 1 for w in weights.get_weights()])
    again.build((None, None, 4))
    np.testing.assert_allclose(again.get_weights()[0], weights.get_weights()[0] + 1)


def test_encoder_and_decoder_in_files(keras: Any, tmp_path: Path) -> None:
    """States as inputs of another layer, unknown lengths, shared stacks; both ways."""

    def build(k: Any) -> Any:
        source, target = k.Input((None, 4)), k.Input((None, 2))
        _, h, c = k.layers.LSTM(3, return_state=True)(source)
        x = k.layers.LSTM(3, return_sequences=True)(target, initial_state=[h, c])
        x = k.layers.RNN([k.layers.LSTMCell(3), k.layers.SimpleRNNCell(2)], return_sequences=True)(x)
        return k.Model([source, target], k.layers.Bidirectional(k.layers.GRU(2))(x))

    inputs = [X, X[..., :2]]
    theirs = build(keras)
    theirs.save(tmp_path / "theirs.keras")
    ours = saving.load_model(tmp_path / "theirs.keras")
    same(ours(inputs), theirs(inputs))
    ours.save(tmp_path / "ours.keras")
    same(keras.saving.load_model(tmp_path / "ours.keras")(inputs), theirs(inputs))
    mine = build(triceras)
    assert mine.output_shape == (None, 4)
    same(mine([X[:, :2], X[:, :3, :2]]), mine([X[:, :2], X[:, :3, :2]]))
    mine.save(tmp_path / "mine.keras")
    loaded = saving.load_model(tmp_path / "mine.keras")
    same(loaded(inputs), mine(inputs))
    assert [w.path for w in loaded.weights] == [w.path for w in mine.weights]


LEARNERS: dict[str, Any] = {
    "lstm": lambda: [layers.LSTM(8, return_sequences=True), layers.LSTM(8)],
    "gru": lambda: [layers.Masking(), layers.Bidirectional(layers.GRU(6))],
    "plain": lambda: [layers.SimpleRNN(8, dropout=0.1, recurrent_dropout=0.1)],
    "stateful": lambda: [layers.GRU(8, stateful=True)],
}


@pytest.mark.parametrize("engine", ["jax", "torch", "tensorflow"])
@pytest.mark.parametrize("kind", LEARNERS)
def test_training(kind: str, engine: str) -> None:
    """Which half of a sequence has the larger sum is learnt, by compiled steps."""
    pytest.importorskip(engine)
    with use_engine(engine):
        triceras.utils.set_random_seed(1)
        x = np.random.default_rng(0).normal(size=(64, 6, 2)).astype("float32")
        y = (x[:, :3].sum((1, 2)) > x[:, 3:].sum((1, 2))).astype("int32")
        model = Sequential([Input(batch_shape=(32, 6, 2)), *LEARNERS[kind](), layers.Dense(2)])
        model.compile("adam", losses.SparseCategoricalCrossentropy(from_logits=True))
        model.optimizer.learning_rate = 0.03
        history = model.fit(x, y, batch_size=32, epochs=12, shuffle=False, verbose=0).history["loss"]
        assert min(history) < 0.8 * history[0]
        if kind == "stateful":
            assert np.abs(model.layers[0].states[0].numpy()).max() > 0
        assert model.predict(x, batch_size=32, verbose=0).shape == (64, 2)
