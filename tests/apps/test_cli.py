"""The command line: the demo on a little data, and mistakes of use."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import triceras as keras
from triceras import datasets
from triceras.apps import cli, demo
from triceras.apps.runs import FILES
from triceras.core.errors import DataUnavailableError


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> None:
    """A little noise in place of both data sets."""
    random = np.random.default_rng(0)

    def load_data() -> Any:
        x, y = random.integers(0, 256, (110, 28, 28), "uint8"), np.arange(110, dtype="uint8") % 10
        return (x[:80], y[:80]), (x[80:], y[80:])

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


def test_demo_writes_everything(triceras: Any, images: None) -> None:
    pytest.importorskip("jax")
    pytest.importorskip("matplotlib")
    with keras.use_engine("jax"):
        status, output, _ = triceras("demo", "--epochs", "2", "--seed", "3")
    folder = Path("runs", "demo-1")
    assert status == 0 and {p.name for p in folder.iterdir()} == set(FILES)
    for text in ("70 pictures", "2 epochs: sgd, rate 0.01", "accuracy", "What next", str(folder)):
        assert text in output

    status, output, _ = triceras("summary", str(folder / "best.keras"))
    assert status == 0 and "421,642" in output


def test_digits_where_mnist_is_missing(triceras: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise DataUnavailableError("looked in [here]")

    told: list[Any] = []
    monkeypatch.setattr(datasets.mnist, "load_data", missing)
    monkeypatch.setattr(demo.training, "run", lambda recipe, given, out, label: told.append(given))
    status, output, _ = triceras("demo", "--epochs", "1", "--lr", "0.05")
    assert status == 0 and "1,797 smaller digits" in output and "looked in [here]" in output
    assert told == [{"data": "digits", "epochs": 1, "lr": 0.05, "batch_size": 32, "seed": 0}]
    monkeypatch.undo()
    monkeypatch.setattr(datasets.mnist, "load_data", missing)
    status, _, errors = triceras("demo", "--data", "mnist", "--out", "other")
    assert status == 1 and errors == "Error: looked in [here]\n" and not Path("other").exists()


def test_interrupted(triceras: Any, images: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo.training, "run", interrupt)
    status, _, errors = triceras("demo")
    assert status == 130 and "Stopped." in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demo", "--data", "cats"], "Error: --data must be auto, mnist or digits. Received: 'cats'"),
        (["demo", "--out", "file"], "Error: --out: the folder 'file' can't be made: 'file' is a file."),
        (["demo", "--out", "file/x"], "Error: --out: the folder 'file/x' can't be made: '"),
        (["demo", "--engine", "abacus"], "Error: Unknown engine 'abacus'."),
        (["summary", "nothing.keras"], "Error: There is no file 'nothing.keras'."),
        (["summary", "file"], "Error: file is no .keras file"),
    ],
)
def test_mistakes_are_one_line(triceras: Any, arguments: list[str], message: str) -> None:
    Path("file").write_text("text")
    status, _, errors = triceras(*arguments)
    assert status == 1 and errors.startswith(message) and errors.count("\n") == 1


def test_where_nothing_can_be_written(triceras: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    for arguments in (["demo"], ["demo", "--out", "a/b"]):
        status, _, errors = triceras(*arguments)
        assert status == 1 and errors.startswith("Error: --out: nothing can be written to '")


def test_colors(triceras: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(cli.typer, "secho", lambda text, fg, err: told.append(fg))
    triceras("summary", "nothing.keras")
    monkeypatch.setenv("NO_COLOR", "1")
    triceras("summary", "nothing.keras")
    assert told == ["red", None]


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


def test_warnings_are_one_line(
    triceras: Any, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setattr(demo, "run", lambda *_: warnings.warn("the loss is nan", stacklevel=1))
    warnings.simplefilter("always")
    status, _, errors = triceras("demo")
    assert (status, errors) == (0, "Warning: the loss is nan\n")


def test_help_and_version(triceras: Any) -> None:
    status, output, _ = triceras("--help")
    assert status == 0 and output.index("demo") < output.index("train  ") < output.index("summary")
    assert "..." not in output.partition("Commands")[2]
    for option in ("--epochs", "--batch-size", "--lr", "--data", "--engine", "--seed", "--out"):
        assert option in triceras("demo", "--help")[1]
    assert triceras("--version")[1] == f"triceras {keras.__version__}\n"
