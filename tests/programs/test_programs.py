"""The programs of three student projects, run as their authors wrote them but for their imports.

Each runs on a small part of the real data, or on `datasets.digits` where MNIST isn't there. The quick ones
are also run by the reference where it is installed, on less data: what the program leaves behind and prints
must have the same form.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import os
import re
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triceras import datasets

FOLDER = Path(__file__).parent
REAL = Path(os.environ.get("TRICERAS_DATA") or FOLDER.parents[2] / "shared" / "data")
DATASET = {"cifar10_cnn": "cifar10", "malaria_cnn": None, "report_token_embedding": None}
CHEAP = ("report_mnist_cnn", "report_sequential", "report_subclass", "report_token_embedding", "slides_mlp")

Results = dict[str, Any]


def images(name: str) -> Any:
    """Training and test images of a data set; digits stand in for MNIST."""
    path = REAL / {"mnist": "mnist.npz", "cifar10": "cifar10-subset.npz"}[name]
    if path.exists():
        with np.load(path) as arrays:
            return (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])
    if name == "mnist":
        return datasets.digits.load_data()
    pytest.skip(f"{path} isn't there")


def place_cells(folder: Path, train: int, test: int) -> None:
    """A part of the blood cells, laid out as the program expects them."""
    if not (REAL / "malaria").exists():
        pytest.skip(f"{REAL / 'malaria'} isn't there")
    for split, count in (("train", train), ("test", test)):
        for kind in ("Parasitized", "Uninfected"):
            target = folder / "cell_images" / split / kind
            target.mkdir(parents=True)
            for path in sorted((REAL / "malaria" / split / kind).iterdir())[: count // 2]:
                shutil.copy(path, target)


def run(
    name: str, library: str, folder: Path, monkeypatch: pytest.MonkeyPatch, train: int, test: int
) -> tuple[Results, str]:
    """Run a program with a library in a folder, on the first images: its variables and what it printed."""
    dataset = DATASET.get(name, "mnist")
    if dataset:
        (x, y), (x_test, y_test) = images(dataset)
        small = (x[:train], y[:train]), (x_test[:test], y_test[:test])
        module = importlib.import_module(f"{library}.datasets.{dataset}")
        monkeypatch.setattr(module, "load_data", lambda: small)
    if name == "malaria_cnn":
        place_cells(folder, train, test)
    monkeypatch.chdir(folder)
    code = re.sub(r"\btriceras\b", library, (FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    variables: Results = {"__name__": "program"}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, f"{name}.py", "exec"), variables)
    return variables, printed.getvalue()


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a program with Triceras on JAX."""
    pytest.importorskip("jax")
    pytest.importorskip("sklearn")
    import triceras

    def start(name: str, train: int = 1500, test: int = 400) -> tuple[Results, str]:
        (tmp_path / "ours").mkdir()
        triceras.utils.clear_session()
        with triceras.use_engine("jax"):
            triceras.utils.set_random_seed(1)
            return run(name, "triceras", tmp_path / "ours", monkeypatch, train, test)

    return start


@pytest.fixture
def reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a program with the reference."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras = pytest.importorskip("keras")

    def start(name: str, train: int, test: int) -> tuple[Results, str]:
        (tmp_path / "theirs").mkdir()
        keras.utils.clear_session()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return run(name, "keras", tmp_path / "theirs", monkeypatch, train, test)

    return start


# --- what each program reaches ------------------------------------------------------------------


def test_report_mnist_cnn(ours: Any) -> None:
    found, printed = ours("report_mnist_cnn")
    assert found["accuracy"] > 0.75
    assert set(found["history_dict"]) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert found["training_loss"][-1] < found["training_loss"][0] and len(found["test_accuracy"]) == 10
    assert all(text in printed for text in ("421,642", "\nNone\n", "Test accuracy --->", "Model saved."))
    assert found["prediction"].shape == (5, 10)


def test_report_sequential(ours: Any) -> None:
    found, _ = ours("report_sequential")
    assert found["score"][1] > 0.75 and found["model"].output_shape == (None, 128)


def test_report_functional(ours: Any) -> None:
    found, _ = ours("report_functional")
    assert found["accuracy"] > 0.8 and found["merge"].shape == (None, 28, 28, 64)
    assert found["probabilities"].sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_report_subclass(ours: Any) -> None:
    found, _ = ours("report_subclass")
    assert found["accuracy"] > 0.75 and found["difference"] == 0


def test_report_token_embedding(ours: Any) -> None:
    found, _ = ours("report_token_embedding")
    assert found["accuracy"] > 0.8 and found["length"] == pytest.approx(1, abs=1e-5)


def test_slides_mlp(ours: Any) -> None:
    found, printed = ours("slides_mlp")
    assert found["test_acc"] > 0.8 and "Accuracy on the test set:" in printed


def test_functional_mnist(ours: Any) -> None:
    found, _ = ours("functional_mnist")
    assert found["test_accuracy"] > 0.85 and found["features"].shape == (3, 3136)
    assert found["model"].count_params() == 422_026


def test_cifar10_cnn(ours: Any) -> None:
    found, _ = ours("cifar10_cnn")
    assert found["accuracy"] > 0.25  # ten classes, 1,500 images
    assert found["table"].sum() == 400


def test_malaria_cnn(ours: Any) -> None:
    found, printed = ours("malaria_cnn", 240, 80)
    assert found["accuracy"] > 0.65 and printed.splitlines()[-1] in ("parasitized", "uninfected")


# --- the same form as the reference's -----------------------------------------------------------


def form(value: Any) -> Any:
    """What kind of value this is, without its numbers."""
    if isinstance(value, np.ndarray | np.generic):
        return type(value).__name__, str(value.dtype), value.shape
    if isinstance(value, list | tuple):
        return type(value).__name__, [form(item) for item in value]
    if isinstance(value, dict):
        return {key: form(item) for key, item in value.items()}
    if type(value).__module__.startswith(("triceras", "keras")):
        return type(value).__name__, getattr(value, "shape", None)
    return type(value).__name__


def variables(found: Results) -> Results:
    """The program's own variables."""
    own = {k: v for k, v in found.items() if not k.startswith("__") and not inspect.ismodule(v)}
    models = {k: type(v).__name__ for k, v in own.items() if hasattr(v, "fit") and not inspect.isclass(v)}
    return {k: form(v) for k, v in own.items() if not callable(v)} | models


def lines(printed: str) -> list[str]:
    """What was printed but for progress and for numbers that training decides."""
    text = re.sub(r"\x1b\[[0-9;]*m|.*\x08+", "", printed)
    kept = [line for line in text.splitlines() if not re.match(r"\s*$|Epoch |.*/step|\[[\d ]+\]$", line)]
    without_numbers = [re.sub(r"\d+\.\d+(?! [KM]?B)", "#", line) for line in kept]
    # columns may differ in width, and the reference shows a subclassed model's batch
    return [re.sub(r"\(\d+, ", "(None, ", re.sub(r"[ ─━]+", " ", line)).strip() for line in without_numbers]


@pytest.mark.parametrize("name", CHEAP)
def test_form_is_the_references(name: str, ours: Any, reference: Any) -> None:
    (theirs, their_text), (mine, my_text) = reference(name, 96, 40), ours(name, 96, 40)
    assert variables(mine) == variables(theirs)
    assert lines(my_text) == lines(their_text)
