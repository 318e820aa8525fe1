"""The command line: the demo on a little data, and mistakes of use."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import triceras as keras
from triceras import datasets
from triceras.apps import cli, demo, pictures
from triceras.core.errors import DataUnavailableError


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> None:
    """A little data in place of both data sets."""
    random = np.random.default_rng(0)

    def load_data() -> Any:
        x, y = random.integers(0, 256, (96, 28, 28), "uint8"), np.arange(96, dtype="uint8") % 10
        return (x[:64], y[:64]), (x[64:], y[64:])

    monkeypatch.setattr(datasets.mnist, "load_data", load_data)
    monkeypatch.setattr(datasets.digits, "load_data", load_data)


@pytest.fixture
def triceras(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `triceras` with arguments; returns exit status, output and errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["triceras", *arguments])
        try:
            cli.main()
            status = 0
        except SystemExit as stop:
            status = int(stop.code or 0)
        return status, *capsys.readouterr()

    return run


def is_png(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5000


def test_demo_writes_everything(triceras: Any, images: None) -> None:
    pytest.importorskip("jax")
    pytest.importorskip("matplotlib")
    with keras.use_engine("jax"):
        status, output, _ = triceras("demo", "--epochs", "2", "--seed", "3")
    folder = Path("runs", "demo-1")
    assert status == 0 and sorted(p.name for p in folder.iterdir()) == [
        "curves.png", "history.csv", "model.keras", "predictions.png"
    ]  # fmt: skip
    assert is_png(folder / "curves.png") and is_png(folder / "predictions.png")
    with (folder / "history.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert set(rows[0]) == {"epoch", "loss", "accuracy", "val_loss", "val_accuracy"}
    for text in ("MNIST: 64 images", "2 epochs of SGD(0.01)", "Test accuracy", "What next", str(folder)):
        assert text in output

    status, output, _ = triceras("summary", str(folder / "model.keras"))
    assert status == 0 and "421,642" in output


def test_digits_where_mnist_is_missing(triceras: Any, images: None, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jax")

    def missing() -> None:
        raise DataUnavailableError("looked in [here]")

    monkeypatch.setattr(datasets.mnist, "load_data", missing)
    with keras.use_engine("jax"):
        status, output, _ = triceras("demo", "--epochs", "1", "--out", "mine", "--lr", "0.05")
        assert status == 0 and "1,797 smaller digits" in output and "looked in [here]" in output
        assert "1 epoch of SGD(0.05)" in output and Path("mine", "model.keras").exists()
        status, _, errors = triceras("demo", "--data", "mnist", "--out", "other")
    assert status == 1 and errors == "Error: looked in [here]\n" and not Path("other").exists()


def test_interrupted(triceras: Any, images: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "train_and_test", interrupt)
    status, _, errors = triceras("demo")
    assert status == 130 and "Stopped." in errors and not list(Path("runs").iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demo", "--data", "cats"], "Error: --data must be auto, mnist or digits. Received: 'cats'"),
        (["demo", "--out", "file"], "Error: --out: the folder 'file' can't be made: File exists."),
        (["demo", "--out", "file/x"], "Error: --out: the folder 'file/x' can't be made: Not a directory."),
        (["demo", "--engine", "abacus"], "Error: Unknown engine 'abacus'."),
        (["summary", "nothing.keras"], "Error: There is no file 'nothing.keras'."),
        (["summary", "file"], "Error: file is no .keras file"),
    ],
)
def test_mistakes_are_one_line(triceras: Any, arguments: list[str], message: str) -> None:
    Path("file").write_text("text")
    status, _, errors = triceras(*arguments)
    assert status == 1 and errors.startswith(message) and errors.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"), [(["demo", "--epochs", "0"], "--epochs"), (["fly"], "fly")]
)
def test_mistakes_of_usage(triceras: Any, arguments: list[str], message: str) -> None:
    status, _, errors = triceras(*arguments)
    assert status == 2 and message in errors


def test_pictures_without_matplotlib(triceras: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    status, _, errors = triceras("demo")
    assert status == 1 and 'pip install "triceras[plot]"' in errors and errors.count("\n") == 1
    assert not Path("runs").exists()


def test_help_and_version(triceras: Any) -> None:
    status, output, _ = triceras("--help")
    assert status == 0 and "demo" in output and "summary" in output
    for option in ("--epochs", "--batch-size", "--lr", "--data", "--engine", "--seed", "--out"):
        assert option in triceras("demo", "--help")[1]
    assert triceras("--version")[1] == f"triceras {keras.__version__}\n"


def test_pictures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pictures.learning_curves({"loss": [1.0]}, tmp_path / "one.png")
    few = np.zeros((3, 8, 8), "uint8")
    pictures.contact_sheet(few, np.arange(3), np.eye(3), ["a", "b", "c"], tmp_path / "sheet.png", 2, 3)
    assert is_png(tmp_path / "one.png") and is_png(tmp_path / "sheet.png")
