"""IMDB, Reuters and the housing tables from small files, beside the reference's loaders."""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triceras.core.errors import ArgumentError, ArgumentTypeError, DataUnavailableError, FileFormatError
from triceras.datasets import boston_housing, california_housing, imdb, reuters, sequences
from triceras.datasets.pickled import ArrayReader

NOWHERE = "http://127.0.0.1:1/"


def lists(count: int, random: np.random.RandomState) -> np.ndarray:
    found = np.empty(count, object)
    found[:] = [random.randint(1, 30, random.randint(1, 9)).tolist() for _ in range(count)]
    return found


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with small sets."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("TRICERAS_DATA", str(folder))
    random = np.random.RandomState(3)
    np.savez(
        folder / "imdb.npz",
        x_train=lists(12, random), y_train=random.randint(0, 2, 12),
        x_test=lists(9, random), y_test=random.randint(0, 2, 9),
    )  # fmt: skip
    np.savez(folder / "reuters.npz", x=lists(20, random), y=random.randint(0, 46, 20))
    np.savez(folder / "boston_housing.npz", x=random.normal(size=(20, 13)), y=random.normal(size=20))
    np.savez(folder / "california_housing.npz", x=random.normal(size=(700, 8)), y=random.normal(size=700))
    return folder


LOADS = [
    *(
        (name, more)
        for name in ("imdb", "reuters")
        for more in (
            {}, {"num_words": 10}, {"num_words": 10, "oov_char": None}, {"skip_top": 4}, {"maxlen": 6},
            {"start_char": None}, {"start_char": None, "index_from": 0}, {"seed": 1, "index_from": 7},
        )
    ),
    ("reuters", {"test_split": 0.5, "maxlen": 7}),
    ("boston_housing", {}),
    ("boston_housing", {"test_split": 0.5, "seed": 7}),
    ("california_housing", {}),
    ("california_housing", {"version": "small", "test_split": 0.0}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments"), LOADS, ids=str)
def test_like_the_reference(
    data: Path, monkeypatch: pytest.MonkeyPatch, name: str, arguments: dict[str, Any]
) -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("keras")
    theirs = importlib.import_module(f"keras.src.datasets.{name}")
    monkeypatch.setattr(theirs, "get_file", lambda *_, **__: str(data / f"{name}.npz"))
    ours = importlib.import_module(f"triceras.datasets.{name}")
    for found, expected in zip(ours.load_data(**arguments), theirs.load_data(**arguments), strict=True):
        for a, b in zip(found, expected, strict=True):
            assert a.dtype == b.dtype and a.shape == b.shape and a.tolist() == b.tolist()


def test_names_and_ranks(data: Path) -> None:
    assert reuters.get_label_names()[3] == "earn" and len(set(reuters.get_label_names())) == 46
    for module, name in ((imdb, "imdb"), (reuters, "reuters")):
        (data / f"{name}_word_index.json").write_text(json.dumps({"the": 1, "film": 2}))
        assert module.get_word_index() == {"the": 1, "film": 2}
    for broken in ('{"the": "1"}', "[1]", "{"):
        (data / "imdb_word_index.json").write_text(broken)
        with pytest.raises(FileFormatError, match=r"imdb_word_index.json is broken"):
            imdb.get_word_index()


class Evil:
    def __reduce__(self) -> Any:
        return os.mkdir, ("never",)


@pytest.mark.parametrize(
    "content",
    [
        np.array([[1], Evil()], object),
        np.array([["a"], [1, 2]], object),
        np.array([[1, 2], (3,)], object),
        np.array([[1.5], [True, 1]], object),
        np.array([[[1], [2]], [[3], [4]]], object),
        np.zeros(3),
    ],
    ids=("code", "text", "tuples", "others", "matrix", "numbers"),
)
def test_refused(data: Path, content: np.ndarray) -> None:
    np.savez(data / "reuters.npz", x=content, y=np.zeros(len(content), int))
    with pytest.raises(FileFormatError, match=r"reuters.npz is broken or no data set"):
        reuters.load_data()
    assert not Path("never").exists()


@pytest.mark.parametrize("protocol", range(2, 6))
def test_pickles_of_all_ages(protocol: int) -> None:
    array = np.empty(2, object)
    array[:] = [[1, 2], [3]]
    assert ArrayReader(io.BytesIO(pickle.dumps(array, protocol))).load().as_lists() == [[1, 2], [3]]


def test_errors(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArgumentError, match=r"No text is shorter than `maxlen=1`"):
        imdb.load_data(maxlen=1)
    with pytest.raises(ArgumentTypeError, match=r"unknown arguments: \['words'\]"):
        imdb.load_data(words=3)
    assert imdb.load_data(nb_words=9)[0][0].tolist() == imdb.load_data(num_words=9)[0][0].tolist()
    for load in (reuters.load_data, boston_housing.load_data, california_housing.load_data):
        with pytest.raises(ArgumentError, match="from 0 to below 1"):
            load(test_split=1.5)
    with pytest.raises(ArgumentError, match=r"must be one of \('large', 'small'\)"):
        california_housing.load_data("tiny")
    with pytest.raises(ArgumentError, match="plain file name"):
        imdb.load_data("../imdb.npz")
    np.savez(data / "boston_housing.npz", x=np.zeros((3, 2)), y=np.zeros(3))
    with pytest.raises(FileFormatError, match=r"Expected x of shape \(rows, 13\)"):
        boston_housing.load_data()
    (data / "boston_housing.npz").write_bytes(b"no zip")
    with pytest.raises(FileFormatError, match="is broken"):
        boston_housing.load_data()
    monkeypatch.setenv("TRICERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setattr(imdb, "URL", NOWHERE)
    (data / "imdb.npz").unlink()
    for load in (imdb.load_data, imdb.get_word_index):
        with pytest.raises(DataUnavailableError, match="To place it by hand"):
            load()


def test_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRICERAS_DATA", raising=False)
    monkeypatch.setenv("TRICERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    (tmp_path / "imdb_word_index.json").write_text('{"a": 1}')
    digest = hashlib.md5((tmp_path / "imdb_word_index.json").read_bytes()).hexdigest()
    monkeypatch.setattr(imdb, "URL", f"{tmp_path.as_uri()}/")
    monkeypatch.setattr(imdb, "WORDS_MD5", digest)
    assert imdb.get_word_index() == {"a": 1}
    (tmp_path / "imdb_word_index.json").unlink()
    assert imdb.get_word_index() == {"a": 1}
    assert sequences.URL.startswith("https://")
