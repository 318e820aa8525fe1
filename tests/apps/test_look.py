"""predict, explain and summary on good and bad files; the drawing window without and with a screen."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import triceras as keras
from tests.apps.handwriting import placed, strokes_of
from tests.apps.screen import MISSING, screen, window
from triceras.apps import cli, draw
from triceras.apps.classifier import Classifier
from triceras.apps.strokes import digit_from_strokes
from triceras.core.errors import OptionalDependencyError, StateError

Image = pytest.importorskip("PIL.Image")
layers = keras.layers
ZIGZAG = [np.array([(0.2, 0.2), (0.7, 0.2), (0.3, 0.8)]), np.array([(0.25, 0.55), (0.6, 0.5)])]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    with keras.use_engine("numpy"):
        yield tmp_path


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


def reds(path: Path) -> Path:
    """A model that tells how red a picture is, in a run folder."""
    model = keras.Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(2, 1, name="first"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, name="scores"),
        ],
        name="reds",
    )
    model.get_layer("first").set_weights([np.array([[[[1, 0], [0, 1], [0, 0]]]]), np.zeros(2)])
    model.get_layer("scores").set_weights([np.array([[4.0, 0, 0], [0, 4.0, 0]]), np.array([0, 0, 1.0])])
    path.mkdir()
    model.save(path / "model.keras")
    (path / "settings.json").write_text('{"classes": ["red", "green", "dark"]}')
    return path


def picture(path: str, color: tuple[int, int, int]) -> str:
    Path(path).parent.mkdir(exist_ok=True)
    Image.new("RGB", (20, 10), color).save(path)
    return path


def test_predict(triceras: Any, folder: Path) -> None:
    model = str(reds(folder / "run"))
    red, green = picture("pictures/red.png", (255, 0, 0)), picture("pictures/green.jpg", (0, 255, 0))
    status, output, errors = triceras("predict", model, red, "pictures", "pictures/g*", "--top", "2")
    assert status == 0 and not errors
    lines = [line.split() for line in output.splitlines()]
    assert lines[0] == ["picture", "class", "next"]
    assert [line[:2] for line in lines[1:]] == [
        [red, "red"], [green, "green"], [red, "red"], [green, "green"]
    ]  # fmt: skip
    assert lines[1][2:] == ["93.6%", "dark", "4.7%"]  # of the scores 4, 0 and 1
    status, output, _ = triceras("predict", model + "/model.keras", red, "--json", "--classes", "a,b,c")
    [answer] = json.loads(output)
    assert (
        answer["file"] == red
        and answer["class"] == "a"
        and [b["class"] for b in answer["top"]] == ["a", "c", "b"]
    )
    assert answer["probability"] == pytest.approx(np.exp(4) / (np.exp(4) + np.e + 1), abs=1e-4)


def test_predict_goes_on(triceras: Any, folder: Path) -> None:
    model = str(reds(folder / "run"))
    good = picture("good.png", (0, 0, 0))
    Path("empty.png").touch()
    Path("text.png").write_text("text")
    Path("bare").mkdir()
    bad = ["empty.png", "text.png", "missing.png", "bare", "*.tif"]
    status, output, errors = triceras("predict", model, *bad, good)
    assert status == 1 and len(output.splitlines()) == 2 and "good.png" in output and "dark" in output
    assert [line.split()[1].rstrip(":") for line in errors.splitlines()] == bad
    status, output, errors = triceras("predict", model, good, *bad, "--json")
    answers = json.loads(output)
    assert status == 1 and not errors and [a["file"] for a in answers] == [good, *bad]
    assert "error" not in answers[0] and all("error" in a and "class" not in a for a in answers[1:])


def test_predict_other_places(triceras: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with hidden files, standard input, and a pipe."""
    model = str(reds(folder / "run"))
    red = picture("pictures/red.png", (255, 0, 0))
    for hidden in ("pictures/._red.png", "pictures/.trash/red.png"):
        Path(hidden).parent.mkdir(exist_ok=True)
        Path(hidden).touch()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path(red).read_bytes())))
    places = ["pictures", "-"]
    if hasattr(os, "mkfifo"):
        os.mkfifo("pipe")
        threading.Thread(target=lambda: Path("pipe").write_bytes(Path(red).read_bytes()), daemon=True).start()
        places.append("pipe")
    status, output, errors = triceras("predict", model, *places, "--json")
    assert (status, errors) == (0, "")
    assert [(a["file"], a["class"]) for a in json.loads(output)] == [(p, "red") for p in (red, *places[1:])]


def test_predict_several_answers(triceras: Any, folder: Path) -> None:
    x = keras.Input((8, 8, 3))
    y = layers.GlobalAveragePooling2D()(x)
    keras.Model(x, {"kind": layers.Dense(4)(y), "big": layers.Dense(1)(y)}).save("two.keras")
    place = picture("red.png", (255, 0, 0))
    status, output, _ = triceras("predict", "two.keras", place)
    assert status == 0 and output.splitlines()[0].split() == ["picture", "class", "big", "next"]
    [answer] = json.loads(triceras("predict", "two.keras", place, "--json")[1])
    assert set(answer["outputs"]) == {"kind", "big"} and answer["outputs"]["kind"]["class"] == answer["class"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "nothing.keras", "a.png"], "There is no file 'nothing.keras'."),
        (["predict", "text", "a.png"], "text is no .keras file"),
        (["predict", "bare", "a.png"], "The folder 'bare' holds no best.keras"),
        (["predict", "run", "red.png", "--classes", "a,b"], "The model tells 3 classes apart."),
        (["predict", "run", "red.png", "--scale", "x"], "`scale` must be one of"),
        (
            ["predict", "run", "red.png", "--image-size", "9"],
            "The model takes pictures of 8 x 8 pixels only.",
        ),
        (["predict", "run", "red.png", "--image-size", "0x3"], "--image-size must be a number of pixels"),
        (["explain", "run", "text"], "text is no picture"),
        (["explain", "run", "red.png"], "saliency() needs gradients, and the engine numpy has none."),
        (
            ["explain", "run", "red.png", "--engine", "torch", "--class", "blue"],
            "--class: there is no class 'blue'",
        ),
        (
            ["explain", "run", "red.png", "--engine", "torch", "--layer", "x"],
            "Model 'reds' runs no layer 'x'.",
        ),
        (
            ["explain", "run", "red.png", "--engine", "torch", "--out", "text"],
            "--out: the folder 'text' can't be",
        ),
        (["summary", "text"], "text is no .keras file"),
        (["summary", "bare"], ""),
        (["summary", "empty.keras"], "empty.keras"),
    ],
)
def test_mistakes_are_one_line(triceras: Any, folder: Path, arguments: list[str], message: str) -> None:
    if "torch" in arguments:
        pytest.importorskip("torch")
        pytest.importorskip("matplotlib")
    reds(folder / "run")
    picture("red.png", (255, 0, 0))
    Path("text").write_text("text")
    Path("empty.keras").touch()
    Path("bare").mkdir()
    status, _, errors = triceras(*arguments)
    assert status == 1 and errors.startswith("Error: " + message) and errors.count("\n") == 1, errors
    assert not Path("red-explained").exists()


@pytest.mark.parametrize("kind", ["convolutions", "none"])
def test_explain(triceras: Any, folder: Path, kind: str) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("matplotlib")
    place = picture("red.png", (255, 0, 0))
    model = "run"
    if kind == "none":
        model = "flat.keras"
        keras.Sequential([layers.Input((192,)), layers.Dense(3)]).save(model)
    else:
        reds(folder / "run")
    options = ["--class", "red", "--out", "out/here"] if kind == "convolutions" else []
    status, output, errors = triceras("explain", model, place, "--engine", "torch", *options)
    assert status == 0, errors
    where = Path("out/here" if options else "red-explained")
    expected = ["gradcam.png", "maps-01-first.png", "saliency.png"] if options else ["saliency.png"]
    assert sorted(p.name for p in where.iterdir()) == expected
    for path in where.iterdir():
        with Image.open(path) as image:
            assert image.size[0] > 200
    assert ("has no convolution" in output) == (kind == "none") and f"Written to {where}/" in output


# -- the window, without one -----------------------------------------------------------------------


@pytest.fixture
def pad(folder: Path) -> draw.Pad:
    model = keras.Sequential([layers.Input((28, 28, 1)), layers.Flatten(), layers.Dense(10, name="scores")])
    pad = draw.Pad(Classifier(model), said.append)
    said.clear()
    return pad


said: list[str] = []


def mouse_draws(pad: draw.Pad, strokes: list[np.ndarray]) -> None:
    for stroke in strokes:
        points = np.round(stroke * draw.SIDE + draw.MARGIN).astype(int).tolist()
        pad.mouse("press", *points[0])
        for point in points[1:]:
            pad.mouse("move", *point)
        pad.mouse("release", *points[-1])


def test_drawing_is_read(pad: draw.Pad) -> None:
    empty = pad.frame()
    assert not pad.changed and empty.shape[2] == 3 and empty.dtype == np.uint8
    mouse_draws(pad, ZIGZAG)
    assert [len(s) for s in pad.strokes] == [3, 2] and pad.changed and pad.probabilities is None
    drawn = pad.frame()
    x, y = np.round(ZIGZAG[0][1] * draw.SIDE + draw.MARGIN).astype(int)
    assert drawn[y, x].tolist() == [255] * 3 and empty[y, x].tolist() == [0] * 3
    assert pad.key(13) and pad.changed and not np.array_equal(pad.frame(), drawn)
    digit = digit_from_strokes(pad.strokes)
    np.testing.assert_array_equal(pad.seen[..., 0], digit)
    expected = pad.classifier.probabilities(digit[None, ..., None] / np.float32(255))[0]
    np.testing.assert_allclose(pad.probabilities, expected, atol=1e-6)
    assert said == [f"{expected.argmax()}  {expected.max():.1%}"]
    mouse_draws(pad, ZIGZAG[:1])  # more ink makes the answer old
    assert pad.probabilities is None and len(pad.strokes) == 3
    pad.mouse("press", 100, 100)
    assert pad.key(13) and pad.probabilities is not None
    pad.mouse("move", 140, 100)  # also of the same stroke
    assert pad.probabilities is None
    assert pad.key(ord("c")) and not pad.strokes
    np.testing.assert_array_equal(pad.frame(), empty)


def test_keys_and_the_edge(pad: draw.Pad) -> None:
    assert pad.key(13) and pad.note and not said  # nothing to read
    assert pad.key(255) and not pad.key(27)
    pad.mouse("move", 100, 100)
    pad.mouse("press", 5, 5)  # beside the canvas
    assert not pad.strokes
    pad.mouse("press", 100, 100)
    pad.mouse("move", 100, 100)
    pad.mouse("move", 120, 100)
    pad.mouse("move", draw.SIDE + 100, 100)  # out of it, and in again
    pad.mouse("move", 140, 100)
    pad.mouse("move", 160, 100)
    assert [len(s) for s in pad.strokes] == [2, 2]
    pad.mouse("move", draw.SIDE + 100, 100)  # out of it, and in again without the button
    pad.mouse("release", 140, 100)
    pad.mouse("move", 180, 100)
    assert [len(s) for s in pad.strokes] == [2, 2]
    pad.mouse("press", 50, 50)
    pad.mouse("release", 50, 50)
    assert [len(s) for s in pad.strokes] == [2, 2, 1]


def test_other_classifiers(folder: Path) -> None:
    names = [f"a rather long name of a class, number {i}" for i in range(30)]
    model = keras.Sequential([layers.Input((16, 16, 3)), layers.Flatten(), layers.Dense(30)])
    pad = draw.Pad(Classifier(model, names))
    pad.frame()
    mouse_draws(pad, ZIGZAG)
    pad.key(10)
    assert pad.seen.shape == (16, 16, 3) and pad.frame().shape == draw.Pad(pad.classifier).frame().shape


@pytest.mark.parametrize(
    ("display", "message"),
    [
        (None, "There is no screen to open a window on"),
        ("nonsense", "names no screen"),
        (":7654", "doesn't answer"),
        ("localhost:7654", "doesn't answer"),
    ],
)
def test_without_a_screen(monkeypatch: pytest.MonkeyPatch, display: str | None, message: str) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    monkeypatch.setenv("DISPLAY", display or "")
    with pytest.raises(StateError, match=message):
        draw.check_screen()


def test_without_opencv(pad: draw.Pad, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoWindows:
        """What opencv-python-headless has."""

        error = type("error", (Exception,), {})
        EVENT_LBUTTONDOWN = EVENT_MOUSEMOVE = EVENT_LBUTTONUP = WINDOW_AUTOSIZE = WINDOW_GUI_NORMAL = 0

        def namedWindow(self, *_: Any) -> None:  # noqa: N802 - its name there
            raise self.error("The function is not implemented")

    monkeypatch.setattr(draw, "check_screen", lambda: None)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(OptionalDependencyError, match="The drawing window needs"):
        draw.run(pad.classifier, "x")
    monkeypatch.setitem(sys.modules, "cv2", NoWindows())
    with pytest.raises(OptionalDependencyError, match="This OpenCV can't open windows"):
        draw.run(pad.classifier, "x")


# -- the window, on a screen that nobody sees ------------------------------------------------------


@pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}")
def test_the_real_window(pad: draw.Pad, folder: Path) -> None:
    pytest.importorskip("cv2")
    shapes = {"3": ZIGZAG[:1], "7": [np.array([(0.8, 0.1), (0.2, 0.9)]), np.array([(0.2, 0.1), (0.8, 0.9)])]}
    kernel = np.zeros((784, 10))
    for name, strokes in shapes.items():  # a model that knows these two
        ink = digit_from_strokes(strokes).ravel() / 255
        kernel[:, int(name)] = ink / np.linalg.norm(ink)
    pad.classifier.model.set_weights([kernel, np.zeros(10)])
    pad.classifier.model.save("digits.keras")
    with screen() as place:
        with window(place, "digits.keras", "--engine", "numpy") as program:
            for name, size in (("7", 0.5), ("3", 0.9), ("7", 0.3)):
                steps = np.linspace(0, 1, 15)[:, None]
                for stroke in shapes[name]:
                    sides = [a + (b - a) * steps for a, b in pairwise(stroke)]
                    points = np.concatenate(sides) * size + 0.95 * (1 - size)
                    place.draw([points * draw.SIDE + draw.MARGIN])
                place.press("Return")
                assert program.stdout.readline().split()[0] == name
                place.press("c")
            place.press("Escape")
            assert program.wait(timeout=180) == 0 and not program.stderr.read()
        with window(place, "digits.keras", "--engine", "numpy") as program:
            place.close()
            assert program.wait(timeout=180) == 0 and not program.stderr.read()


# -- real digits -----------------------------------------------------------------------------------


def test_written_digits_are_read(folder: Path) -> None:
    """A quick reader of digits reads them as well when they are written, anywhere and of any size."""
    file = Path(os.environ.get("TRICERAS_DATA", Path(__file__).parents[3] / "shared" / "data")) / "mnist.npz"
    if not file.exists():
        pytest.skip(f"needs {file}")
    with np.load(file) as data:
        x, y = data["x_train"][:8000], data["y_train"][:8000]
        x_test, y_test = data["x_test"][:60], data["y_test"][:60]
    random = np.random.default_rng(0)
    first = random.normal(0, 0.05, (784, 700)).astype("float32")
    features = np.maximum(x.reshape(-1, 784) / np.float32(255) @ first, 0)
    second = np.linalg.solve(
        features.T @ features + 30 * np.eye(700, dtype="float32"), features.T @ np.eye(10)[y]
    )
    model = keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Flatten(),
            layers.Dense(700, "relu", use_bias=False),
            layers.Dense(10, use_bias=False),
        ]
    )
    model.set_weights([first, second])
    pad = draw.Pad(Classifier(model), said.append)
    right = 0
    for image, label in zip(x_test, y_test, strict=True):
        pad.clear()
        mouse_draws(pad, placed(strokes_of(image), random))
        pad.key(13)
        right += said[-1].startswith(str(label))
    pictures = np.stack([pad.classifier.prepare(image) for image in x_test])
    as_pictures = int((pad.classifier.probabilities(pictures).argmax(axis=1) == y_test).sum())
    assert as_pictures >= 54 and right >= as_pictures - 4
