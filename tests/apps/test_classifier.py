"""Classifier files made ready for use: what their numbers mean, what they take, their classes' names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import triceras as keras
from triceras.apps.classifier import Classifier
from triceras.apps.strokes import digit_from_strokes
from triceras.core.errors import ArgumentError, FileFormatError

pytest.importorskip("PIL")
layers = keras.layers
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.random((4, 8, 8, 3), "float32")
FLAT = IMAGES.reshape(4, -1)


@pytest.fixture(autouse=True)
def numpy_engine() -> Iterator[None]:
    with keras.use_engine("numpy"):
        yield


def softmax(z: np.ndarray) -> np.ndarray:
    z = np.exp(z - z.max(axis=1, keepdims=True))
    return z / z.sum(axis=1, keepdims=True)


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def both(p: np.ndarray) -> np.ndarray:
    return np.concatenate([1 - p, p], axis=1)


class Subclassed(keras.Model):
    """Not a graph: what its numbers are can only be seen."""

    def __init__(self, units: int, activation: Any) -> None:
        super().__init__()
        self.flatten = layers.Flatten()
        self.dense = layers.Dense(
            units, activation, kernel_initializer=keras.initializers.RandomNormal(stddev=1.0)
        )

    def call(self, x: Any) -> Any:
        return self.dense(self.flatten(x))


def stack(*end: Any) -> Any:
    return keras.Sequential([layers.Input((8, 8, 3)), layers.Flatten(), *end])


def inside(*end: Any) -> Any:
    body = keras.Sequential([layers.Input((8, 8, 3)), layers.Flatten(), *end])
    return keras.Sequential([layers.Input((8, 8, 3)), body])


def functional(activation: Any) -> Any:
    x = keras.Input((8, 8, 3))
    return keras.Model(x, activation(layers.Dense(5)(layers.Flatten()(x))))


ENDS: dict[str, tuple[Any, Any]] = {
    "softmax": (lambda: stack(layers.Dense(5, "softmax")), softmax),
    "scores": (lambda: stack(layers.Dense(5)), softmax),
    "relu scores": (lambda: stack(layers.Dense(5, "relu")), lambda z: softmax(np.maximum(z, 0))),
    "softmax layer": (lambda: stack(layers.Dense(5), layers.Softmax(), layers.Dropout(0.5)), softmax),
    "activation": (
        lambda: stack(layers.Dense(5), layers.Activation("softmax"), layers.Reshape((5,))),
        softmax,
    ),
    "linear activation": (lambda: stack(layers.Dense(5, "softmax"), layers.Activation("linear")), softmax),
    "log softmax": (lambda: stack(layers.Dense(5, "log_softmax")), softmax),
    "op": (lambda: functional(keras.ops.softmax), softmax),
    "log of an op": (lambda: functional(keras.ops.log_softmax), softmax),
    "many labels": (lambda: stack(layers.Dense(5, "sigmoid")), sigmoid),
    "one score": (lambda: stack(layers.Dense(1)), lambda z: both(sigmoid(z))),
    "one sigmoid": (lambda: stack(layers.Dense(1, "sigmoid")), lambda z: both(sigmoid(z))),
    "model inside": (lambda: inside(layers.Dense(5, "softmax")), softmax),
    "one number inside": (lambda: inside(layers.Dense(1, "sigmoid")), lambda z: both(sigmoid(z))),
    "subclassed": (lambda: Subclassed(5, "softmax"), softmax),
    "subclassed scores": (lambda: Subclassed(5, None), softmax),
    "subclassed one": (lambda: Subclassed(1, "sigmoid"), lambda z: both(sigmoid(z))),
}


@pytest.mark.parametrize("end", ENDS)
def test_numbers_become_probabilities(end: str) -> None:
    build, expected = ENDS[end]
    model = build()
    model(IMAGES)
    dense = next(layer for layer in model._flatten_layers() if isinstance(layer, layers.Dense))
    kernel, bias = dense.get_weights()
    found = Classifier(model).probabilities(IMAGES)
    np.testing.assert_allclose(found, expected(FLAT @ kernel + bias), atol=1e-5)


def test_several_outputs() -> None:
    def model() -> Any:
        x = keras.Input((8, 8, 3))
        y = layers.Flatten()(x)
        outputs = {"kind": layers.Dense(7, "softmax")(y), "alive": layers.Dense(1, "sigmoid")(y)}
        return keras.Model(x, outputs)

    classifier = Classifier(model(), list("abcdefg"))
    assert classifier.outputs == {"kind": list("abcdefg"), "alive": ["0", "1"]} and classifier.main == "kind"
    assert classifier.all_outputs == ["alive", "kind"]
    everything = classifier.all_probabilities(IMAGES)
    assert {name: p.shape for name, p in everything.items()} == {"kind": (4, 7), "alive": (4, 2)}
    np.testing.assert_array_equal(classifier.probabilities(IMAGES), everything["kind"])
    assert Classifier(model()).main == "kind"  # the largest one
    named = Classifier(model(), {"alive": ["no", "yes"]})
    assert named.main == "alive" and named.classes == ["no", "yes"] and len(named.outputs["kind"]) == 7
    with pytest.raises(ArgumentError, match=r"tells 2 or 7 classes apart\. Received the names of 3"):
        Classifier(model(), list("abc"))
    x = keras.Input((8, 8, 3))
    y = layers.Flatten()(x)
    listed = Classifier(keras.Model(x, [layers.Dense(3, name="first")(y), layers.Dense(4, name="second")(y)]))
    assert list(listed.outputs) == ["second", "first"]


SHAPES: dict[tuple[int | None, ...], tuple[tuple[int, int], int]] = {
    (8, 6, 3): ((8, 6), 3),
    (8, 6, 1): ((8, 6), 1),
    (8, 6, 4): ((8, 6), 4),
    (3, 8, 6): ((8, 6), 3),
    (8, 6): ((8, 6), 1),
    (64,): ((8, 8), 1),
    (192,): ((8, 8), 3),
    (None, None, 3): ((224, 224), 3),
    (None, 6, 3): ((224, 6), 3),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(shape: tuple[int | None, ...]) -> None:
    x = keras.Input(shape)
    y = layers.Flatten()(x) if None not in shape else layers.GlobalAveragePooling2D()(x)
    classifier = Classifier(keras.Model(x, layers.Dense(2)(y)))
    assert (classifier.image_size, classifier.channels) == SHAPES[shape]
    picture = np.zeros((12, 9, 3), "uint8")
    picture[:, :, 0] = 255
    prepared = classifier.prepare(picture)
    assert prepared.shape == (*classifier.image_size, classifier.channels) and prepared.dtype == np.float32
    fed = classifier.inputs(prepared[None])
    assert all(want in (None, got) for want, got in zip(shape, fed.shape[1:], strict=True))
    if shape == (3, 8, 6):
        assert (fed[0, 0] == 1).all() and not fed[0, 1:].any()
    assert classifier.probabilities(prepared[None]).shape == (1, 2)
    if None in shape:
        other = Classifier(classifier.model, image_size=(10, 12))
        assert other.image_size == (10, shape[1] or 12)


@pytest.mark.parametrize(
    ("first", "scale"),
    [
        ([], "0..1"),
        ([layers.Rescaling(1 / 255)], "0..255"),
        ([layers.Normalization(mean=120.0, variance=900.0)], "0..255"),
        ([keras.Sequential([layers.Input((8, 8, 3)), layers.Rescaling(1 / 127.5, -1)])], "0..255"),
        ([layers.Conv2D(3, 1), layers.Rescaling(2.0)], "0..1"),
    ],
)
def test_range_of_pixels(first: list[Any], scale: str) -> None:
    model = keras.Sequential([layers.Input((8, 8, 3)), *first, layers.Flatten(), layers.Dense(2)])
    classifier = Classifier(model)
    assert classifier.scale == scale
    white = np.full((8, 8, 3), 255)
    assert (classifier.prepare(white) == (255 if scale == "0..255" else 1)).all()
    signed = Classifier(model, scale="-1..1")
    assert (signed.prepare(white) == 1).all() and (signed.prepare(np.zeros((8, 8))) == -1).all()
    assert (signed.shown(signed.prepare(white)) == 255).all()
    x = keras.Input((8, 8, 3))
    assert Classifier(keras.Model(x, layers.Dense(2)(layers.Flatten()(x / 255.0)))).scale == "0..255"


def test_digits_on_paper() -> None:
    model = keras.Sequential([layers.Input((28, 28, 1)), layers.Flatten(), layers.Dense(10)])
    classifier = Classifier(model, scale="0..255")
    assert classifier.reads_digits and not Classifier(model, classes=list("abcdefghij")).reads_digits
    digit = digit_from_strokes([[(0.2, 0.1), (0.5, 0.9)]])
    np.testing.assert_array_equal(classifier.prepare(digit)[..., 0], digit)
    paper = np.kron(255 - digit, np.ones((5, 5), "uint8"))
    for picture in (paper, 255 - paper, 255 - digit):
        assert np.corrcoef(classifier.prepare(picture).ravel(), digit.ravel())[0, 1] > 0.8


def write(folder: Path, settings: Any) -> Path:
    model = keras.Sequential([layers.Input((None, None, 3)), layers.GlobalMaxPooling2D(), layers.Dense(2)])
    model.save(folder / "model.keras")
    if settings is not None:
        text = settings if isinstance(settings, str) else json.dumps(settings)
        (folder / "settings.json").write_text(text)
    return folder / "model.keras"


def test_files(tmp_path: Path) -> None:
    settings = {"classes": ["cat", "dog"], "image_size": [20, 30]}
    path = write(tmp_path, settings)
    for place in (path, str(path), tmp_path):
        classifier = Classifier.open(place)
        assert classifier.classes == ["cat", "dog"] and classifier.image_size == (20, 30)
    given = Classifier.open(path, engine="numpy", classes=["a", "b"], image_size=(5, 6), scale="-1..1")
    assert given.classes == ["a", "b"] and given.image_size == (5, 6) and given.model.engine == "numpy"
    (tmp_path / "settings.json").unlink()
    assert Classifier.open(path).classes == ["0", "1"] and Classifier.open(path).image_size == (224, 224)
    path.unlink()
    with pytest.raises(ArgumentError, match=r"holds no best\.keras or model\.keras"):
        Classifier.open(tmp_path)


@pytest.mark.parametrize(
    "settings",
    [
        "{",
        "[]",
        {"classes": "ab"},
        {"classes": [["a"], {}]},
        {"image_size": 5},
        {"image_size": [0, 4]},
        "\ud800",
    ],
)
def test_broken_settings(tmp_path: Path, settings: Any) -> None:
    path = write(tmp_path, None if settings == "\ud800" else settings)
    if settings == "\ud800":
        (tmp_path / "settings.json").write_bytes(b"\xff\xfe")
    with pytest.raises(FileFormatError, match=r"settings\.json can't be used: .*Mend or remove it"):
        Classifier.open(path)


def two_inputs() -> Any:
    a, b = keras.Input((8, 8, 3)), keras.Input((2,))
    return keras.Model([a, b], layers.Dense(2)(layers.Concatenate()([layers.Flatten()(a), b])))


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        (two_inputs, {}, "has 2 inputs; an image classifier has one"),
        (
            lambda: keras.Sequential([layers.Input((7,)), layers.Dense(2)]),
            {},
            r"its input has the shape \(None, 7\)",
        ),
        (
            lambda: keras.Sequential([layers.Input((8, 8, 5)), layers.Flatten(), layers.Dense(2)]),
            {},
            "its input has",
        ),
        (
            lambda: keras.Sequential([layers.Input((8, 8, 3)), layers.Conv2D(2, 1)]),
            {},
            "an output has the shape",
        ),
        (
            lambda: stack(layers.Dense(3)),
            {"classes": ["a", "b"]},
            "tells 3 classes apart. Received the names of 2",
        ),
        (lambda: stack(layers.Dense(3)), {"scale": "0-1"}, r"`scale` must be one of 0\.\.255"),
    ],
)
def test_mistakes(build: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Classifier(build(), **options)
