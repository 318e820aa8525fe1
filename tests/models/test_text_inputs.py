"""Models that text goes into: training, prediction, files."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import triceras
from triceras import Input, Model, Sequential, layers, models, ops, use_engine
from triceras.core.errors import ArgumentError, ArgumentTypeError, FileFormatError, ShapeError
from triceras.engine import selection
from triceras.utils import PyDataset

ENGINES = [name for name in selection.PREFERENCE if selection.installed(name)]
TEXTS = np.array(["good film", "bad film", "so good", "very bad"] * 4)
LABELS = np.array([1.0, 0.0] * 8)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Any]:
    with use_engine(request.param) as active:
        yield active


@pytest.fixture
def jax_engine() -> Iterator[None]:
    pytest.importorskip("jax")
    with use_engine("jax"):
        yield


def vectorized(**options: Any) -> Any:
    layer = layers.TextVectorization(**options)
    layer.adapt(TEXTS)
    return layer


def classifier(compiled: bool = True) -> Sequential:
    vectorize = vectorized(output_mode="multi_hot")
    model = Sequential([Input(shape=(1,), dtype="string"), vectorize, layers.Dense(1, activation="sigmoid")])
    if compiled:
        model.compile("adam", "binary_crossentropy")
    return model


def test_trains_and_predicts(engine: Any) -> None:
    model = classifier()
    found = model.predict(TEXTS, verbose=0)
    assert found.shape == (16, 1)
    np.testing.assert_allclose(ops.convert_to_numpy(model(TEXTS)), found, rtol=1e-5)
    np.testing.assert_allclose(model.predict_on_batch(TEXTS[:, None]), found, rtol=1e-5)
    if engine.differentiates:
        losses = model.fit(TEXTS, LABELS, epochs=3, batch_size=6, validation_split=0.25, verbose=0).history
        assert losses["loss"][-1] < losses["loss"][0] and len(losses["val_loss"]) == 3
        assert model.train_on_batch(TEXTS[:4], LABELS[:4]) > 0


class Batches(PyDataset):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Any:
        rows = slice(4 * index, 4 * index + 4)
        return TEXTS[rows], LABELS[rows]


def test_all_sources(jax_engine: None) -> None:
    model = classifier()
    expected = model.evaluate(TEXTS, LABELS, verbose=0)
    parts = [Batches()[i] for i in range(4)]
    for source in (Batches(), parts_of(parts), iter(parts), (list(TEXTS), LABELS)):
        x, y = source if isinstance(source, tuple) else (source, None)
        assert model.evaluate(x, y, verbose=0) == pytest.approx(expected, rel=1e-5)
    torch = pytest.importorskip("torch")
    loader = torch.utils.data.DataLoader(list(zip(TEXTS.tolist(), LABELS.tolist())), batch_size=4)
    assert model.evaluate(loader, verbose=0) == pytest.approx(expected, rel=1e-5)
    assert np.isfinite(model.fit(Batches(), epochs=2, verbose=0).history["loss"]).all()


class parts_of:  # noqa: N801
    """An iterable of batches without a length."""

    def __init__(self, parts: Any) -> None:
        self._parts = parts

    def __iter__(self) -> Any:
        return iter(self._parts)


def test_text_beside_numbers(engine: Any) -> None:
    """Nodes with text, and all they depend on, are computed before the step; the others in it."""
    a, b, c = (
        Input((1,), dtype="string", name="a"),
        Input((1,), dtype="int32", name="b"),
        Input((3,), name="c"),
    )
    word = layers.StringLookup(vocabulary=["x", "y"], output_mode="one_hot")(a)
    crossed = layers.HashedCrossing(8, output_mode="one_hot")((a, b + 1))
    number = layers.IntegerLookup(vocabulary=[3, 7], output_mode="one_hot")(b)
    bins = layers.Flatten()(layers.Discretization([0.0, 1.0], output_mode="one_hot")(c))
    model = Model(
        {"a": a, "b": b, "c": c}, layers.Dense(2)(layers.Concatenate()([word, crossed, number, bins, c]))
    )
    x = {"a": np.array([["x"], ["q"]]), "b": np.array([[3], [4]], "int32"), "c": np.ones((2, 3), "float32")}
    np.testing.assert_allclose(model.predict(x, verbose=0), ops.convert_to_numpy(model(x)), rtol=1e-5)


def test_what_cannot_be(jax_engine: None) -> None:
    model = classifier()
    with pytest.raises(ShapeError, match=r"with shape \(None, 1\). Received shape \(8, 2\)"):
        model.predict(TEXTS.reshape(8, 2), verbose=0)
    with pytest.raises(ArgumentTypeError, match="takes numbers"):
        layers.Dense(2)(TEXTS)
    x = Input((1,), dtype="string")
    outer = Model(x, model(x))
    with pytest.raises(ArgumentError, match=r"has weights to train.*outermost model"):
        outer.predict(TEXTS, verbose=0)


def test_files(jax_engine: None, tmp_path: Path) -> None:
    model = classifier(compiled=False)
    path = tmp_path / "m.keras"
    model.save(path)
    model.save(tmp_path / "folder", zipped=False)
    names = zipfile.ZipFile(path).namelist()
    assert "assets/layers/text_vectorization/_lookup_layer/vocabulary.txt" in names
    for place in (path, tmp_path / "folder"):
        copy = models.load_model(place)
        np.testing.assert_array_equal(copy.predict(TEXTS, verbose=0), model.predict(TEXTS, verbose=0))
    with zipfile.ZipFile(tmp_path / "bad.keras", "w") as bad, zipfile.ZipFile(path) as good:
        for name in names:
            bad.writestr(name, b"no\nspecial\ntokens" if name.startswith("assets/") else good.read(name))
    with pytest.raises(FileFormatError, match=r"must begin with \['\[UNK\]'\]"):
        models.load_model(tmp_path / "bad.keras")
    lookup = layers.StringLookup()
    lookup.adapt(["a\nb"])
    with pytest.raises(ArgumentError, match="no token can hold a line break"):
        Sequential([Input((1,), dtype="string"), lookup]).save(path)


LAYERS = [
    ("TextVectorization", {}, TEXTS),
    ("TextVectorization", {"output_mode": "tf_idf"}, TEXTS),
    ("StringLookup", {"output_mode": "tf_idf", "max_tokens": 9, "pad_to_max_tokens": True}, TEXTS[:, None]),
    ("IntegerLookup", {"mask_token": 0}, np.array([[5], [6], [0]])),
    ("Discretization", {"num_bins": 3}, np.array([[5.0], [6.0], [0.0]])),
]


@pytest.mark.parametrize(("layer", "options", "x"), LAYERS, ids=str)
@pytest.mark.filterwarnings("ignore")
def test_files_of_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layer: str, options: dict[str, Any], x: Any
) -> None:
    """What one library writes, the other reads."""
    pytest.importorskip("tensorflow")
    keras = pytest.importorskip("keras")
    kind = {"i": "int32", "f": "float32"}.get(x.dtype.kind, "string")

    def made(library: Any) -> Any:
        found = getattr(library.layers, layer)(**options)
        found.adapt(x)
        return library.Sequential([library.Input(shape=(1,), dtype=kind), found])

    with use_engine("numpy"):
        ours, other = made(triceras), made(keras)
        ours.save(tmp_path / "ours.keras"), other.save(tmp_path / "theirs.keras")
        for library, name in ((triceras, "theirs"), (keras, "ours")):
            copy = library.models.load_model(tmp_path / f"{name}.keras")
            np.testing.assert_allclose(
                np.asarray(copy.layers[0](x)), np.asarray(ours.layers[0](x)), rtol=1e-6
            )
