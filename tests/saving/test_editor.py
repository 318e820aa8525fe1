"""Files whose weights are looked at and changed by hand."""

from __future__ import annotations

import numpy as np
import pytest

import triceras
from triceras import layers
from triceras.core.errors import ArgumentError, FileFormatError
from triceras.saving import KerasFileEditor
from triceras.saving.editor import UnknownObjectError


def network(units=(3, 2)):
    inner = triceras.Sequential([layers.Input((4,)), layers.Dense(4, name="within")], name="inner")
    return triceras.Sequential([layers.Input((4,)), inner, *map(layers.Dense, units)])


@pytest.fixture(params=["m.keras", "m.weights.h5"])
def saved(request, tmp_path):
    model = network()
    model.compile("adam", "mse")
    model.train_on_batch(np.ones((2, 4)), np.ones((2, 2)))
    path = tmp_path / request.param
    model.save(path) if path.suffix == ".keras" else model.save_weights(path)
    return model, path


def test_looking(saved, capsys):
    model, path = saved
    editor = KerasFileEditor(path)
    assert (editor.config is not None) == (path.suffix == ".keras")
    kernel = editor.weights_dict["layers"]["dense"]["0"]
    np.testing.assert_array_equal(kernel, model.layers[1].kernel.numpy())
    editor.summary()
    assert "1: shape=(3,), dtype=float32" in capsys.readouterr().out


def test_comparing(saved, capsys):
    model, path = saved
    editor = KerasFileEditor(path)
    assert editor.compare(model) == {"status": "success", "error_count": 0, "match_count": 6}
    result = editor.compare(network((3, 5, 1)))
    assert result == {"status": "error", "error_count": 4, "match_count": 4}
    out = capsys.readouterr().out
    assert "layers/dense_1/0: shape (3, 5) in the model, shape (3, 2) in the file" in out
    assert "layers/dense_2/1: shape (1,) in the model, nothing in the file" in out


def test_a_changed_file_fits_another_model(saved, tmp_path):
    model, path = saved
    editor = KerasFileEditor(path)
    editor.delete_object("dense_1")
    editor.rename_object("layers/dense", "dense_1")
    editor.add_object("layers/dense", {"0": np.full((4, 4), 2.0, "float32"), "1": np.zeros(4)})
    editor.delete_weight("layers/dense", "1")
    editor.add_weights("layers/dense", {"1": np.ones(4, "float32")})
    editor.rename_object("sequential", "functional")
    editor.rename_object("functional", "sequential")
    editor.delete_object("optimizer")
    editor.save(tmp_path / "new.weights.h5")
    other = network((4, 3))
    other.load_weights(tmp_path / "new.weights.h5")
    np.testing.assert_array_equal(other.layers[1].kernel.numpy(), np.full((4, 4), 2))
    np.testing.assert_array_equal(other.layers[2].kernel.numpy(), model.layers[1].kernel.numpy())
    again = KerasFileEditor(tmp_path / "new.weights.h5")
    assert (
        again.compare(other)["status"] == "success"
        and KerasFileEditor(path).compare(model)["error_count"] == 0
    )


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (lambda e: e.rename_object("nowhere", "x"), UnknownObjectError, "layers/dense"),
        (lambda e: e.rename_object("layers/dense", "a/b"), ArgumentError, "a name, not a path"),
        (lambda e: e.rename_object("layers/dense", "dense_1"), ArgumentError, "already"),
        (lambda e: e.delete_object("dense"), ArgumentError, "Several objects"),
        (lambda e: e.add_object("nowhere/x", {}), UnknownObjectError, "nowhere"),
        (lambda e: e.add_object("layers/dense", {}), ArgumentError, "already"),
        (lambda e: e.add_weights("layers/dense", {"0": "text"}), ArgumentError, "numbers"),
        (lambda e: e.add_weights("layers/dense", {"a/b": 1}), ArgumentError, "by name"),
        (lambda e: e.delete_weight("layers/dense", "7"), UnknownObjectError, "0, 1"),
        (lambda e: e.save("x.keras"), ArgumentError, "weights.h5"),
    ],
)
def test_mistakes(change, error, match, tmp_path):
    network().save(tmp_path / "m.keras")
    with pytest.raises(error, match=match):
        change(KerasFileEditor(tmp_path / "m.keras"))


def test_other_files(tmp_path):
    with pytest.raises(FileNotFoundError):
        KerasFileEditor(tmp_path / "m.keras")
    for name, error in (
        ("m.txt", ArgumentError),
        ("m.keras", FileFormatError),
        ("m.weights.h5", FileFormatError),
    ):
        (tmp_path / name).write_text("nothing")
        with pytest.raises(error):
            KerasFileEditor(tmp_path / name)
