"""Text files as data sets, beside the reference's."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triceras import Sequential, layers, use_engine
from triceras.core.errors import ArgumentError
from triceras.core.registry import lookup
from triceras.utils import text_dataset_from_directory


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for kind, word in (("neg", "bad"), ("pos", "good")):
        (tmp_path / kind).mkdir()
        for i in range(4):
            (tmp_path / kind / f"{i}.txt").write_bytes(f"{word} füm {i}\n".encode())
    (tmp_path / "pos" / "notes.md").write_text("no text file of the data set")
    (tmp_path / "pos" / "3.txt").write_bytes(b"\xff good")
    return tmp_path


def batches(dataset: Any) -> list[Any]:
    def plain(x: Any) -> Any:
        values = np.asarray(x).tolist()
        return [_bytes(v) for v in values] if isinstance(values, list) else _bytes(values)

    return [[plain(x) for x in (batch if isinstance(batch, tuple) else (batch,))] for batch in dataset]


def _bytes(x: Any) -> Any:
    return x.encode("utf-8", "surrogateescape") if isinstance(x, str) else x


@pytest.mark.parametrize(
    "arguments",
    [
        {}, {"label_mode": "binary"}, {"label_mode": "categorical"}, {"label_mode": None}, {"max_length": 6},
        {"batch_size": None}, {"labels": None}, {"labels": [0, 1] * 4}, {"class_names": ["pos", "neg"]},
    ],
    ids=str,
)  # fmt: skip
def test_like_the_reference(folder: Path, arguments: dict[str, Any]) -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    pytest.importorskip("tensorflow")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras = pytest.importorskip("keras")
        theirs = batches(
            keras.utils.text_dataset_from_directory(folder, shuffle=False, verbose=False, **arguments)
        )
    ours = text_dataset_from_directory(folder, shuffle=False, verbose=False, **arguments)
    assert batches(ours) == theirs


def test_parts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, test = text_dataset_from_directory(
        folder, seed=1, validation_split=0.25, subset="both", batch_size=3
    )
    assert "Found 8 files belonging to 2 classes.\nUsing 6 files for training." in capsys.readouterr().out
    assert len(train.file_paths) == 6 and not {*train.file_paths} & {*test.file_paths}
    assert train.class_names == ["neg", "pos"]
    assert [len(x) for x, _ in train] == [3, 3] and [len(x) for x, _ in test] == [2]
    words = train.map(lambda x, y: x)
    assert all(isinstance(text, str) for batch in words for text in batch.tolist())
    assert len(list(train.take(1))) == 1 == len(list(train.skip(1)))
    assert lookup("preprocessing.text_dataset_from_directory") is text_dataset_from_directory


def test_errors(folder: Path) -> None:
    with pytest.raises(ArgumentError, match="`max_length` must be a positive integer"):
        text_dataset_from_directory(folder, max_length=0)
    with pytest.raises(ArgumentError, match='`format` must be "tf" or "grain"'):
        text_dataset_from_directory(folder, format="jax")
    (folder / "empty").mkdir()
    with pytest.raises(ArgumentError, match=r"No texts found in .*\n?.*formats txt"):
        text_dataset_from_directory(folder / "empty", labels=None)


def test_a_model_learns_from_it(folder: Path) -> None:
    """The way of the reference's guide, and with the layer inside of the model."""
    pytest.importorskip("jax")
    with use_engine("jax"):
        dataset = text_dataset_from_directory(folder, batch_size=4, seed=0, verbose=False)
        vectorize = layers.TextVectorization(output_mode="multi_hot")
        vectorize.adapt(dataset.map(lambda x, y: x))
        outside = Sequential([layers.Input(shape=(vectorize.vocabulary_size(),)), layers.Dense(1)])
        outside.compile("adam", "mse")
        numbers = dataset.map(lambda x, y: (vectorize(x), y)).cache().prefetch(2)
        assert np.isfinite(outside.fit(numbers, epochs=2, verbose=0).history["loss"]).all()
        inside = Sequential([layers.Input(shape=(1,), dtype="string"), vectorize, *outside.layers])
        inside.compile("adam", "mse")
        found = inside.evaluate(dataset, verbose=0)
        assert found == pytest.approx(outside.evaluate(numbers, verbose=0), rel=1e-5)
        assert np.isfinite(inside.fit(dataset, epochs=1, verbose=0).history["loss"]).all()
