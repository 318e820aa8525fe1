"""Trainings by recipes: the run folder, stopping and going on, mistakes of use; reports and evaluation."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import triceras as keras
from triceras.apps import cli, pictures, training
from triceras.apps.recipes import RECIPES
from triceras.apps.recipes.images import ready_made
from triceras.apps.recipes.recipe import Data
from triceras.apps.recipes.sources import find_parts, from_files, stratified
from triceras.apps.reports import Report
from triceras.apps.runs import FILES, Run, write_json
from triceras.core.errors import ArgumentError, DataUnavailableError, FileFormatError

pytest.importorskip("torch")
pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")
Image = pytest.importorskip("PIL.Image")


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty folder with a few pictures of noise that tells its class, and PyTorch."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRICERAS_DATA", raising=False)
    with keras.use_engine("torch"):
        yield


def digits(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise with a bright row, whose number is the class."""
    random = np.random.default_rng(seed)
    y = np.arange(n, dtype="uint8") % 10
    x = random.integers(0, 60, (n, 28, 28), "uint8")
    x[np.arange(n), 4 + 2 * y] = 255
    return x, y


@pytest.fixture
def npz() -> str:
    (x, y), (x_test, y_test) = digits(120, 0), digits(30, 1)
    np.savez("digits.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    return "digits.npz"


def cells(folder: Path, n: int, kinds: tuple[str, ...] = ("dark", "light"), seed: int = 0) -> None:
    """Pictures in class folders: the second class is brighter."""
    random = np.random.default_rng(seed)
    for i, kind in enumerate(kinds):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for k in range(n):
            array = random.integers(60 * (i % 3), 60 * (i % 3) + 80, (20 + k % 3, 24, 3), "uint8")
            Image.fromarray(array).save(folder / kind / f"{seed}_{k}.png")


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


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


# ---- recipes


@pytest.mark.parametrize(
    ("name", "weights", "layers"),
    [
        ("mnist-mlp", 101_770, {"Dense": 2, "Flatten": 1}),
        ("mnist-cnn", 421_642, {"Conv2D": 2, "MaxPooling2D": 2, "Dropout": 2, "Dense": 2}),
        ("mnist-functional", None, {"Conv2D": 2, "BatchNormalization": 2, "MaxPooling2D": 2, "Dense": 2}),
        ("fashion-mnist", None, {"Conv2D": 2}),
        ("cifar10", None, {"Conv2D": 6}),
        ("malaria", None, {"Conv2D": 3}),
        ("pneumonia", None, {"Conv2D": 5, "BatchNormalization": 4, "MaxPooling2D": 5, "Dropout": 2}),
        ("images", None, {"Conv2D": 4, "GlobalAveragePooling2D": 1}),
    ],
)
def test_networks(name: str, weights: int | None, layers: dict[str, int]) -> None:
    recipe = RECIPES[name]
    with keras.use_engine("numpy"):
        settings = recipe.told({"augment": False})
        model = recipe.build(settings, 10, 1)
        found = Counter(type(layer).__name__ for layer in model.layers)
        assert {kind: found[kind] for kind in layers} == layers
        assert found["Rescaling"] == 1  # takes pixels as they are
        assert weights in (None, model.count_params())
        probabilities = model.predict(np.full((1, *settings.size, 1), 255.0), verbose=0)
    assert probabilities.shape == (1, 10) and probabilities.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", RECIPES)
def test_varied_pictures(name: str) -> None:
    recipe = RECIPES[name]
    if not hasattr(keras.layers, "RandomFlip"):
        pytest.skip("the layers for it aren't here")
    with keras.use_engine("numpy"):
        model = recipe.build(recipe.told({"augment": True, "image_size": "32"}), 10, 3)
        image = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("float32")
        varied, plain = model(image, training=True), model(image, training=False)
    assert np.isfinite(varied).all() and not np.allclose(varied, plain)


def test_another_optimizer_has_its_own_rate() -> None:
    recipe = RECIPES["mnist-cnn"]
    assert (recipe.told({}).lr, recipe.told({}).schedule) == (0.01, "constant")
    adam = recipe.told({"optimizer": "adam"})
    assert (adam.lr, adam.schedule) == (0.001, "cosine")
    assert recipe.told({"optimizer": "adam", "lr": 0.5}).lr == 0.5


# ---- the run folder


def test_everything_is_written(triceras: Any, npz: str) -> None:
    status, output, _ = triceras("train", "mnist-cnn", "--data", npz, "--epochs", "2", "--optimizer", "adam")
    folder = Path("runs", "mnist-cnn-1")
    assert status == 0 and {p.name for p in folder.iterdir()} == set(FILES)
    assert [row["epoch"] for row in rows(folder)] == ["1", "2"]
    assert set(rows(folder)[0]) == {"epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"}
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["recipe"] == "mnist-cnn" and settings["classes"] == list("0123456789")
    assert (settings["image_size"], settings["channels"], settings["lr"]) == ([28, 28], 1, 0.001)
    progress = json.loads((folder / "status.json").read_text())
    assert (progress["state"], progress["epoch"], progress["pid"]) == ("finished", 2, os.getpid())
    report = json.loads((folder / "report.json").read_text())
    assert report["model"] == "best.keras" and set(report["3"]) == {
        "precision",
        "recall",
        "f1-score",
        "support",
    }
    assert report["3"]["support"] == 3 and 0 <= report["accuracy"] <= 1
    for text in ("110 pictures", "2 epochs", "macro avg", "epoch", str(folder), "--resume"):
        assert text in output
    for name in (n for n in FILES if n.endswith(".png")):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")

    status, output, _ = triceras("evaluate", str(folder), npz, "--json")
    assert status == 0 and json.loads(output)["accuracy"] == report["accuracy"]


@pytest.mark.parametrize("cut_off", [False, True])
def test_going_on_as_if_never_stopped(npz: str, cut_off: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop in the second epoch, or the power fails before the second network is written."""
    recipe, given = (
        RECIPES["mnist-cnn"],
        {"data": npz, "optimizer": "adam", "epochs": 3, "precision": "float32"},
    )
    whole = Run(training.run(recipe, given, Path("whole"))).history
    part = Path("part")
    calls = Counter[str]()
    write = training.Training.on_epoch_end

    def on_epoch_end(self: Any, epoch: int, logs: Any = None) -> None:
        write(self, epoch, logs)
        calls["epochs"] += 1
        if epoch == 0:
            (part / "first.keras").write_bytes((part / "model.keras").read_bytes())
        if calls["epochs"] == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(training.Training, "on_epoch_end", on_epoch_end)
    with pytest.raises(training.Stopped):
        training.run(recipe, given, part)
    assert json.loads((part / "status.json").read_text())["state"] == "stopped"
    assert len(rows(part)) == 2 and (part / "curves.png").exists()
    if cut_off:
        os.replace(part / "first.keras", part / "model.keras")
    training.run(recipe, {}, part, resume=True)
    assert Run(part).history == whole
    assert json.loads((part / "status.json").read_text())["state"] == "finished"
    same = (json.loads((f / "report.json").read_text()) for f in (part, Path("whole")))
    assert next(same) == next(same)


def test_a_run_can_be_made_longer(npz: str) -> None:
    recipe = RECIPES["mnist-mlp"]
    folder = training.run(recipe, {"data": npz, "epochs": 1})
    assert training.run(recipe, {"epochs": 2}, resume=True) == folder  # the latest one
    assert len(rows(folder)) == 2
    with pytest.raises(ArgumentError, match=r"--lr was 0.001 and is 0.5; --seed was 0 and is 1"):
        training.run(recipe, {"lr": 0.5, "seed": 1}, folder, resume=True)
    settings = Run(folder).settings
    Run(folder).settings = settings | {"classes": settings["classes"][::-1]}
    with pytest.raises(ArgumentError, match="aren't those of the run"):
        training.run(recipe, {"epochs": 3}, folder, resume=True)
    Run(folder).settings = settings
    (x, y), _ = digits(100, 0), None
    np.savez("digits.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    with pytest.raises(ArgumentError, match="aren't those of the run"):
        training.run(recipe, {"epochs": 3}, folder, resume=True)


def test_failures_are_noted(npz: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("no light")

    monkeypatch.setattr(training.Training, "on_epoch_begin", fail)
    with pytest.raises(RuntimeError):
        training.run(RECIPES["mnist-mlp"], {"data": npz, "epochs": 1}, Path("out"))
    status = json.loads(Path("out/status.json").read_text())
    assert (status["state"], status["error"]) == ("failed", "no light")


def test_two_tasks(npz: str) -> None:
    folder = training.run(RECIPES["mnist-functional"], {"data": npz, "epochs": 1, "multi_task": True})
    report = json.loads((folder / "report.json").read_text())
    assert 0 <= report["parity accuracy"] <= 1 and "9" in report and "val_digit_accuracy" in rows(folder)[0]


@pytest.mark.parametrize("balance", ["sampler", "weights"])
def test_folders_with_balance(triceras: Any, balance: str) -> None:
    cells(Path("cells"), 16)
    cells(Path("cells"), 8, ("light",), seed=1)
    Path("cells/dark/broken.png").write_bytes(b"no picture")
    status, output, errors = triceras(
        "train", "images", "--data", "cells", "--epochs", "2", "--image-size", "16", "--batch-size", "8",
        "--balance", balance, "--out", "out", "--no-augment",
    )  # fmt: skip
    assert status == 0, errors
    assert "broken.png" in output and "1 file couldn't be used" in output and "set apart" in output
    report = json.loads(Path("out/report.json").read_text())
    assert {"dark", "light", "accuracy", "macro avg", "weighted avg"} <= set(report)
    status, output, _ = triceras("evaluate", "out/best.keras", "cells", "--out", "seen")
    assert status == 0 and "dark" in output and Path("seen/confusion.png").exists()


def test_what_the_best_epoch_is_chosen_by() -> None:
    """Both classes equally often, as they are and in varied copies, the same ones whenever asked."""
    recipe, x = RECIPES["pneumonia"], np.random.default_rng(0).integers(0, 256, (4, 16, 16, 1), "uint8")
    part = x, np.array([0, 1, 1, 1])

    def chosen(**given: Any) -> tuple[np.ndarray, np.ndarray]:
        data = Data(["NORMAL", "PNEUMONIA"], part, part, part)
        return training.Training(recipe, recipe.told(given), data, None, training.Stops())._validation()

    images, classes = chosen()
    assert np.bincount(classes).tolist() == [15, 15] and len(images) == 30
    assert np.array_equal(images[:6], x[[0, 0, 0, 1, 2, 3]])
    assert np.isfinite(images).all() and all(
        np.abs(a - b).max() > 1 for a, b in zip(images[6:12], images[:6])
    )
    assert np.array_equal(chosen()[0], images)
    assert np.array_equal(chosen(augment=False, balance="none")[0], x)


def test_the_best_network_has_averaged_weights(npz: str) -> None:
    """The average is what was validated; the run goes on with the weights themselves, as if never interrupted."""
    recipe = dataclasses.replace(RECIPES["mnist-mlp"], average=0.1)
    given = {"data": npz, "seed": 4}
    training.run(recipe, given | {"epochs": 1}, Path("out"))
    last, best = (keras.models.load_model(Path("out", f"{name}.keras")) for name in ("model", "best"))
    averages = [v.numpy() for v in last.optimizer.variables if v.name.endswith("_average")]
    weights = [v.numpy() for v in last.trainable_variables]
    assert len(averages) == len(weights)
    for average, weight, kept in zip(averages, weights, best.trainable_variables, strict=True):
        assert np.array_equal(average, kept.numpy()) and not np.array_equal(weight, kept.numpy())


def test_every_ready_made_network_has_its_own_preprocessing() -> None:
    found = ready_made()
    assert set(found) == {name for name in dir(keras.applications) if name[0].isupper()} and len(found) == 40
    pixels = np.full((1, 2, 2, 3), 255, "uint8")
    assert found["ResNet50V2"](pixels).max() == 1 and found["ResNet50"](pixels).max() > 100


def test_two_phases_of_transfer_learning() -> None:
    """The ready-made network stays as it is, then learns; a run that stopped in between goes on with that."""
    cells(Path("cells"), 12)
    base = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(32, 32, 3))
    base.save_weights("base.weights.h5")
    given = {"data": "cells", "model": "MobileNet", "weights": "base.weights.h5", "image_size": "32"}
    given |= {"epochs": 2, "freeze": True, "fine_tune": 1, "batch_size": 8}
    training.run(RECIPES["images"], given, Path("out"))

    def distance(name: str) -> float:
        found = keras.models.load_model(Path("out", name)).get_layer("base").get_weights()
        return sum(float(np.abs(a - b).sum()) for a, b in zip(found, base.get_weights(), strict=True))

    assert len(rows(Path("out"))) == 2 and distance("model.keras") > 0
    assert [float(row["learning_rate"]) for row in rows(Path("out"))] == pytest.approx([1e-3, 5e-5])


def test_numbers_that_json_has_no_word_for() -> None:
    write_json(Path("a.json"), {"loss": float("nan"), "logs": {"accuracy": 0.5, "loss": float("inf")}})
    assert json.loads(Path("a.json").read_text()) == {"loss": None, "logs": {"accuracy": 0.5, "loss": None}}


def test_mixed_precision_is_left_as_it_was(npz: str) -> None:
    folder = training.run(RECIPES["mnist-mlp"], {"data": npz, "epochs": 1, "precision": "mixed_bfloat16"})
    assert keras.config.dtype_policy().name == "float32"
    assert keras.models.load_model(folder / "best.keras").layers[-2].compute_dtype == "bfloat16"


# ---- mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["malaria"], "Error: malaria needs pictures: give their folder with --data"),
        (["malaria", "--data", "nowhere"], "Error: --data: there is no folder or file 'nowhere'."),
        (["images", "--data", "empty"], "Error: --data: the folder 'empty' holds no pictures."),
        (
            ["images", "--data", "loose"],
            "Error: --data: the folder 'loose' holds 1 pictures, but none in a folder",
        ),
        (["images", "--data", "one"], "Error: --data: all pictures in 'one' are of one class, 'dark'."),
        (
            ["images", "--data", "list.csv"],
            "Error: --data: 'list.csv' must have a file and its label in each line",
        ),
        (["mnist-mlp", "--data", "nowhere"], "Error: --data: there is no file or folder 'nowhere'."),
        (["mnist-mlp", "--data", "list.csv"], "Error: --data: 'list.csv' is no .npz file"),
        (["mnist-mlp", "--data", "empty"], "Error: --data: the folder 'empty' holds no idx files"),
        (["mnist-mlp", "--image-size", "big"], "Error: --image-size takes 64 or 64x48"),
        (["mnist-mlp", "--image-size", "100000"], "Error: --image-size takes 64 or 64x48"),
        (["mnist-mlp", "--lr", "nan"], "Error: --lr must be a number above 0. Received: nan"),
        (["mnist-mlp", "--lr", "inf"], "Error: --lr must be a number above 0. Received: inf"),
        (["mnist-mlp", "--epochs", "0"], "Error: --epochs must be 1 or more. Received: 0"),
        (["mnist-mlp", "--optimizer", "hope"], "Error: --optimizer must be sgd, adam"),
        (["mnist-mlp", "--optimizer", "LossScaleOptimizer"], "Error: --optimizer must be sgd, adam"),
        (
            ["images", "--data", "two", "--engine", "numpy"],
            "Error: --engine: The NumPy engine computes no gradients",
        ),
        (["mnist-mlp", "--engine", "abacus"], "Error: Unknown engine 'abacus'."),
        (["mnist-mlp", "--out", "full"], "Error: --out: the folder 'full' isn't empty."),
        (["mnist-mlp", "--out", "list.csv"], "Error: --out: the folder 'list.csv' can't be made"),
        (["mnist-mlp", "--resume"], "Error: --resume: there is no run of mnist-mlp in 'runs'."),
        (["mnist-mlp", "--resume", "--out", "full"], "Error: --resume: the folder 'full' holds no run"),
        (
            ["images", "--data", "two", "--model", "big"],
            "Error: --model must be small or a network of applications, such as ",
        ),
        (
            ["images", "--data", "two", "--freeze"],
            "Error: --weights, --freeze and --fine-tune are for ready-made networks",
        ),
        (
            ["images", "--data", "two", "--fine-tune", "3"],
            "Error: --fine-tune is for networks that were frozen",
        ),
        (
            ["images", "--data", "two", "--model", "vgg16", "--freeze"],
            "Error: --freeze would keep random numbers",
        ),
    ],
)
def test_mistakes_are_one_line(triceras: Any, arguments: list[str], message: str) -> None:
    for folder in ("empty", "loose", "full"):
        Path(folder).mkdir()
    cells(Path("one"), 2, ("dark",))
    cells(Path("two"), 8)
    Path("list.csv").write_text("just one column\n")
    Path("full/file").touch()
    os.replace("one/dark/0_0.png", "loose/a.png")
    status, _, errors = triceras("train", *arguments)
    assert status == 1 and errors.startswith(message) and errors.count("\n") == 1
    assert not Path("runs").exists()


def test_mistakes_of_usage(triceras: Any) -> None:
    status, _, errors = triceras("train", "cats")
    assert status == 2 and "There is no recipe 'cats'. The recipes are: mnist-mlp, mnist-cnn" in errors
    assert triceras("train", "mnist-mlp", "--multi-task")[0] == 2
    assert "'none', 'sampler', 'weights'" in triceras("train", "malaria", "--balance", "x")[2]


def test_help(triceras: Any) -> None:
    _, output, _ = triceras("train", "--help")
    assert all(name in output for name in RECIPES) and "--resume" in output and "[default" not in output
    _, output, _ = triceras("train", "pneumonia", "--help")
    for text in ("Data:", "Training:", "Results:", "[default: sampler]", "[default: 128]"):
        assert text in output
    assert (
        "--multi-task" not in output and "--multi-task" in triceras("train", "mnist-functional", "--help")[1]
    )


# ---- pictures from files


def names(path: str) -> dict[str, list[str]]:
    return {part: [p.name for p in files.paths] for part, files in find_parts(Path(path)).items()}


def test_parts_of_folders() -> None:
    cells(Path("a/train"), 2)
    cells(Path("a/Test"), 1)
    cells(Path("b/inside/dark/deep"), 1, ("er",))
    cells(Path("b/inside"), 1, ("light",))
    Path("b/inside/light/.hidden.png").touch()
    Path("b/inside/light/notes.txt").touch()
    assert {part: len(found) for part, found in names("a").items()} == {"train": 4, "test": 2}
    found = find_parts(Path("b"))["train"]
    assert found.labels == ["dark", "light"] and found.paths[0] == Path("b/inside/dark/deep/er/0_0.png")


def test_lists() -> None:
    cells(Path("a"), 2)
    for text in ("a/dark/0_0.png,x\na/light/0_0.png,y\n", "file,label\na/dark/0_0.png,x\na/light/0_0.png,y\n",
                 "class,filename,split\nx,a/dark/0_0.png,train\ny,a/light/0_0.png,val\n"):  # fmt: skip
        Path("list.csv").write_text(text)
        parts = find_parts(Path("list.csv"))
        assert [label for files in parts.values() for label in files.labels] == ["x", "y"]
    assert set(parts) == {"train", "validation"}
    Path("list.csv").write_text("file,label,split\na/dark/0_0.png,x,test\n")
    assert set(find_parts(Path("list.csv"))) == {"test"}
    Path("list.csv").write_text("file,label,split\na,b,c\n")
    with pytest.raises(FileFormatError, match="unknown split 'c'"):
        find_parts(Path("list.csv"))


def test_lists_of_numbers_and_of_odd_names(triceras: Any) -> None:
    """Classes in the order of numbers; names that aren't markup, in letters that the font lacks."""
    cells(Path("a"), 6)
    text = "".join(
        f"{name};a/{kind}/0_{i}.png\n" for name, kind in (("10", "dark"), ("9", "light")) for i in range(6)
    )
    Path("list.csv").write_text(f"category;image name\n{text}")
    assert from_files(Path("list.csv"), (8, 8), 1).classes == ["9", "10"]
    Path("list.csv").write_text(text.replace("10;", "[/b]\u72ac;"), encoding="utf-8")
    arguments = ["--epochs", "1", "--image-size", "8", "--out", "a [b] c"]
    status, output, errors = triceras("train", "images", "--data", "list.csv", *arguments)
    assert (status, errors) == (0, "")
    assert "([/b]\u72ac 4, 9 4)" in " ".join(output.split()) or "(9 4, [/b]\u72ac 4)" in " ".join(
        output.split()
    )
    assert "Written to a [b] c/" in output and "predict 'a [b] c/best.keras' PICTURE" in output


def test_folders_that_are_no_classes() -> None:
    cells(Path("a/things"), 4, ("car", "train"))
    cells(Path("a/__MACOSX"), 1, ("things",))
    Path("a/things/plane").mkdir()
    data = from_files(Path("a"), (8, 8), 1)
    assert data.classes == ["car", "train"] and "'plane' holds no pictures" in data.notes[0]
    cells(Path("b/test"), 2)
    assert set(find_parts(Path("b"))) == {"test"}
    with pytest.raises(DataUnavailableError, match="has no pictures for training, only for test"):
        from_files(Path("b"), (8, 8), 1)


def test_too_few_pictures() -> None:
    cells(Path("a"), 1)
    with pytest.raises(ArgumentError, match="there are no pictures left for"):
        from_files(Path("a"), (8, 8), 1)
    Path("list.csv").write_text("file,label\nnowhere.png,a\na/dark/0_0.png,b\n")
    with pytest.raises(
        ArgumentError, match=r"no picture of \['a'\] in 'list.csv' .* nowhere.png: there is no such"
    ):
        from_files(Path("list.csv"), (8, 8), 1)


def test_missing_parts_are_always_the_same() -> None:
    cells(Path("a"), 10)
    first, second = from_files(Path("a"), (8, 8), 1), from_files(Path("a"), (8, 8), 1)
    assert first.train[0].shape == (14, 8, 8, 1) and len(first.test[1]) == 4 and len(first.validation[1]) == 2
    assert (first.test[0] == second.test[0]).all() and first.classes == ["dark", "light"]
    with pytest.raises(DataUnavailableError):
        from_files(Path("nowhere"), (8, 8), 1)
    cells(Path("b/train"), 3)
    cells(Path("b/test"), 1, ("green",))
    with pytest.raises(ArgumentError, match="classes for test"):
        from_files(Path("b"), (8, 8), 1)


def test_stratified() -> None:
    labels = np.array([0] * 30 + [1] * 10 + [2])
    kept, held = stratified(labels, 0.2)
    assert np.bincount(labels[held]).tolist() == [6, 2] and sorted([*kept, *held]) == list(range(41))


# ---- evaluation and reports


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "There is no file or folder 'nowhere', nor a data set of that name"),
        (["two"], "'two' has classes that the model doesn't know"),
        (["digits.npz", "--part", "validation"], "--part: 'digits.npz' has no validation part"),
        (["digits.npz", "--part", "some"], "--part must be one of test"),
        (["ten", "--part", "train"], ""),
    ],
)
def test_evaluate(triceras: Any, npz: str, arguments: list[str], message: str) -> None:
    layers = keras.layers
    model = keras.Sequential(
        [layers.Input((28, 28, 1)), layers.Flatten(), layers.Dense(10, activation="softmax")]
    )
    model.save("model.keras")
    cells(Path("two"), 1)
    cells(Path("ten/train"), 1, tuple("0123456789"))
    status, output, errors = triceras("evaluate", "model.keras", *arguments)
    if message:
        assert status == 1 and errors.startswith(f"Error: {message}") and errors.count("\n") == 1
    else:
        assert status == 0 and "accuracy" in output


def test_what_evaluate_leaves_out(triceras: Any) -> None:
    layers = keras.layers
    keras.Sequential([layers.Input((8, 8, 3)), layers.Flatten(), layers.Dense(2)]).save("model.keras")
    cells(Path("two"), 2)
    Path("two/dark/broken.png").touch()
    arguments = ["evaluate", "model.keras", "two", "--classes", "dark,light", "--json"]
    status, output, errors = triceras(*arguments)
    assert status == 0 and json.loads(output)["dark"]["support"] == 2
    assert "1 file couldn't be used" in errors and "broken.png is empty" in errors
    status, _, errors = triceras(*arguments, "--out", "two")
    assert status == 1 and "isn't empty. Name another one." in errors


def test_report_of_nothing_right() -> None:
    report = Report(["a", "b"], np.zeros((2, 4, 4, 1), "uint8"), np.array([0, 0]), np.eye(2)[[1, 1]])
    assert "         2\n" in report.text and "2.0\n" not in report.text


def test_examples_of_many_classes() -> None:
    """Of each class one, also where none of its pictures was right."""
    report = Report(
        list("abcdefghijklmn"), np.zeros((14, 4, 4, 1), "uint8"), np.arange(14), np.eye(14)[[0] * 14]
    )
    assert report._examples().tolist() == list(range(12))


def test_report_as_scikit_learn_does() -> None:
    from sklearn.metrics import classification_report

    random = np.random.default_rng(0)
    labels, probabilities = random.integers(0, 3, 50), random.dirichlet(np.ones(3), 50)
    report = Report(["a", "b", "c"], np.zeros((50, 4, 4, 1), "uint8"), labels, probabilities)
    expected = classification_report(
        labels, probabilities.argmax(1), target_names=["a", "b", "c"], output_dict=True
    )
    numbers = report.numbers
    assert {k: numbers[k] for k in expected} == expected
    assert numbers["loss"] == pytest.approx(-np.log(probabilities[np.arange(50), labels]).mean())
    assert report.confusion.sum() == 50 and "What" not in report.text


def test_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(pictures, "save", lambda figure, path: drawn.append(figure))
    pictures.learning_curves({"loss": [1.0]}, "1.png")
    pictures.mistakes(
        np.zeros((1, 8, 8, 1), "uint8"), np.array([1]), np.array([[0.6, 0.4]]), ["a", "b"], "2.png"
    )
    curves, mistakes = drawn
    for figure in drawn:
        figure.draw_without_rendering()
    low, high = curves.axes[0].get_xlim()
    assert [tick for tick in curves.axes[0].get_xticks() if low <= tick <= high] == [1]
    title = mistakes._suptitle.get_window_extent()
    assert title.x0 >= 0 and title.x1 <= mistakes.bbox.width
    names = {pictures._short(f"a class with a long name {i}") for i in range(25)}
    assert len(names) == 25 and max(map(len, names)) == 18


def test_pictures(tmp_path: Path) -> None:
    many = [f"a class with a long name {i}" for i in range(25)]
    labels = np.arange(25)
    gray, colour = np.zeros((25, 8, 8, 1), "uint8"), np.full((25, 8, 8, 3), 255, "uint8")
    answers = np.eye(25)[(labels + labels % 2) % 25]
    pictures.learning_curves({"loss": [1.0], "learning_rate": [0.1]}, tmp_path / "1.png")
    pictures.confusion(np.eye(25, dtype=int), many, tmp_path / "2.png")
    pictures.confusion(np.array([[3, 1], [0, 0]]), ["a", "b"], tmp_path / "3.png")
    pictures.mistakes(gray, labels, answers, many, tmp_path / "4.png")
    pictures.mistakes(colour[:1], labels[:1], answers[:1], many, tmp_path / "5.png")
    pictures.heatmaps(gray, np.random.rand(25, 8, 8), labels, answers, many, tmp_path / "6.png", "Title")
    for path in tmp_path.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 3000
