"""The studio's server: who may ask, what it answers, the arithmetic that it shows, trainings, runs."""

from __future__ import annotations

import json
import re
import shutil
import socket
import struct
import sys
import textwrap
import time
import zlib
from base64 import b64decode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import triceras as keras
from triceras.apps import studio as command
from triceras.core.errors import ArgumentError

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
anyio = pytest.importorskip("anyio")
pytest.importorskip("torch")
Image = pytest.importorskip("PIL.Image")
try:
    from starlette.testclient import TestClient
except RuntimeError:
    pytest.skip("needs httpx2", allow_module_level=True)

from triceras.apps.studio import guard, inside, jobs, offers, server  # noqa: E402
from triceras.apps.studio.folder import RunsFolder, read_history  # noqa: E402
from triceras.apps.studio.guard import RequestError, known_host  # noqa: E402

layers = keras.layers
TOKEN = "a token"
STROKES = [[[0.3, 0.2], [0.7, 0.2], [0.4, 0.8]]]


@pytest.fixture(autouse=True, scope="module")
def on_torch() -> Iterator[None]:
    with keras.use_engine("torch"):
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with a model that reads digits, one with a model of colour pictures, one by hand."""
    root = tmp_path_factory.mktemp("runs")
    keras.utils.set_random_seed(0)
    stack = [
        layers.Input((28, 28, 1)),
        layers.Rescaling(1 / 255),
        layers.Conv2D(4, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    ]
    written(root / "mnist-cnn-1", stack, [str(d) for d in range(10)], accuracy=0.9)
    stack = [
        layers.Input((24, 20, 3)),
        layers.Conv2D(2, 3),
        layers.GlobalAveragePooling2D(),
        layers.Dense(1, "sigmoid"),
    ]
    written(root / "cells-1", stack, ["Parasitized", "Uninfected"])
    (root / "by-hand").mkdir()
    (root / "by-hand" / "settings.json").write_text("{broken")
    (root / "by-hand" / "history.csv").write_text("epoch,loss,val_loss\n1,0.5,nan\n2,inf,0.25\n3,0.")
    (root / "secret.txt").write_text("secret")
    return root


def written(folder: Path, stack: list[Any], classes: list[str], accuracy: float | None = None) -> None:
    folder.mkdir()
    model = keras.Sequential(stack)
    model.save(folder / "best.keras")
    size = model.input_shape[1:3]
    settings = {"recipe": folder.name[:-2], "classes": classes, "image_size": list(size), "epochs": 2}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "history.csv").write_text(
        "epoch,accuracy,loss,val_accuracy,val_loss\n1,.5,1,.6,.9\n2,.7,.8,.8,.7\n"
    )
    (folder / "status.json").write_text(json.dumps({"state": "finished", "epoch": 2, "epochs": 2, "pid": 1}))
    if accuracy is not None:
        each = {"precision": 0.9, "recall": 0.8, "f1-score": 0.85, "support": 10}
        (folder / "report.json").write_text(
            json.dumps({"accuracy": accuracy, **dict.fromkeys(classes, each)})
        )
        Image.new("RGB", (4, 4)).save(folder / "curves.png")


@pytest.fixture(scope="module")
def client(runs: Path) -> Iterator[TestClient]:
    """A browser at the page, with its token."""
    app = server.Studio(runs, token=TOKEN).app()
    with TestClient(app, "http://127.0.0.1:8760", False, headers={"x-triceras-token": TOKEN}) as client:
        yield client


def png(array: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


# -- who may ask ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"x-triceras-token": ""}, 403),
        ({"x-triceras-token": "another"}, 403),
        ({"x-triceras-token": "ä token"}, 403),
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example:8760"}, 421),
        ({"host": "[::1"}, 400),
        ({"host": "localhost:1", "origin": "http://localhost:1"}, 200),
        ({"origin": "http://127.0.0.1:8760"}, 200),
        ({"origin": "http://127.0.0.1:8761"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
    ],
)
def test_who_may_ask(client: TestClient, headers: dict[str, str], status: int) -> None:
    encoded = {name: value.encode() for name, value in headers.items()}
    for answer in (
        client.get("/api/models", headers=encoded),
        client.post("/api/runs/x/stop", headers=encoded),
    ):
        assert answer.status_code == status if status != 200 else answer.status_code in (200, 409)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert status == 200 or answer.json()["error"]


@pytest.mark.parametrize(
    ("header", "served", "known"),
    [
        ("localhost", "127.0.0.1", True),
        ("[::1]:8760", "127.0.0.1", True),
        ("192.168.1.5:8760", "127.0.0.1", False),
        ("192.168.1.5:8760", "0.0.0.0", True),
        ("evil.example:8760", "0.0.0.0", False),
        (f"{socket.gethostname()}:8760", "0.0.0.0", True),
        ("", "127.0.0.1", False),
    ],
)
def test_known_hosts(header: str, served: str, known: bool) -> None:
    assert known_host(header, served) is known


def test_page_and_its_parts(client: TestClient) -> None:
    page = client.get("/")
    assert f'content="{TOKEN}"' in page.text and page.headers["content-type"].startswith("text/html")
    found = {"/page/icon.svg", *re.findall(r'"(/page/[^"]+)"', page.text)}
    for path in found | {f"/page/{p.name}" for p in server.PAGE.iterdir()}:
        answer = client.get(path)
        assert answer.status_code == 200
        beyond = set(re.findall(r"https?://[\w./]+", answer.text)) - {"http://www.w3.org/2000/svg"}
        assert not beyond, f"{path} needs {beyond}"
        assert " style=" not in answer.text and 'onclick="' not in answer.text  # the policy forbids both
    for path in ("/page/../server.py", "/page/%2e%2e/server.py", "/nothing"):
        assert client.get(path).status_code == 404


def test_other_machines_need_the_token_for_the_page(runs: Path) -> None:
    client = TestClient(server.Studio(runs, token=TOKEN).app("0.0.0.0"), "http://192.168.1.5:8760")
    assert client.get("/").status_code == 403 and TOKEN not in client.get("/").text
    assert TOKEN in client.get("/", params={"token": TOKEN}).text
    assert client.get("/", params={"token": "ä"}).status_code == 403


# -- pictures ------------------------------------------------------------------------------------------------


def test_models(client: TestClient) -> None:
    assert {m["id"] for m in client.get("/api/models").json()["models"]} == {
        "mnist-cnn-1/best.keras",
        "cells-1/best.keras",
    }
    facts = client.get("/api/model", params={"model": "cells-1/best.keras"}).json()
    assert facts["classes"] == ["Parasitized", "Uninfected"] and facts["size"] == [24, 20]
    assert (facts["channels"], facts["digits"]) == (3, False)


@pytest.mark.parametrize(
    "model",
    ["", "mnist-cnn-1", "mnist-cnn-1/model.keras", "../best.keras", "mnist-cnn-1/../cells-1/best.keras",
     "/etc/passwd", "given", "mnist-cnn-1/settings.json", "mnist-cnn-1\\best.keras", "a\0b", "a" * 999],
)  # fmt: skip
def test_no_such_model(client: TestClient, model: str) -> None:
    answer = client.get("/api/model", params={"model": model})
    assert answer.status_code == 404 and re.search("There is no|nothing called", answer.json()["error"])


def test_strokes(client: TestClient) -> None:
    answer = client.post(
        "/api/predict", params={"model": "mnist-cnn-1/best.keras", "centre": "1"}, json={"strokes": STROKES}
    )
    found = answer.json()
    assert sum(found["probabilities"]) == pytest.approx(1, abs=1e-5) and len(found["classes"]) == 10
    small = [[[0.1 + 0.1 * x, 0.1 * y] for x, y in stroke] for stroke in STROKES]
    assert (seen(found) == seen(predicted(client, small))).mean() > 0.98  # size and place don't matter
    raw = predicted(client, small, centre="0")
    assert seen(raw)[14:].max() == 0 and seen(raw).max() > 100


def predicted(client: TestClient, strokes: Any, centre: str = "1") -> dict[str, Any]:
    query = {"model": "mnist-cnn-1/best.keras", "centre": centre}
    return client.post("/api/predict", params=query, json={"strokes": strokes}).json()


def seen(answer: dict[str, Any]) -> np.ndarray:
    found = answer["seen"]
    pixels = np.frombuffer(b64decode(found["data"]), "uint8")
    return pixels.reshape(found["height"], found["width"], found["channels"])


@pytest.mark.parametrize("model", ["mnist-cnn-1/best.keras", "cells-1/best.keras"])
def test_uploads(client: TestClient, model: str) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (40, 30, 3), "uint8")
    answer = client.post("/api/predict", params={"model": model}, content=png(picture)).json()
    assert len(answer["probabilities"]) == len(answer["classes"])
    assert seen(answer).shape == ((28, 28, 1) if "mnist" in model else (24, 20, 3))


def bomb() -> bytes:
    """The head of a PNG of 50,000 x 50,000 pixels."""
    head = b"IHDR" + struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + head
        + struct.pack(">I", zlib.crc32(head))
        + png(np.zeros((2, 2), "uint8"))[33:]
    )


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        (b"", 422, "empty"),
        (b"no picture", 422, "no picture"),
        (png(np.random.default_rng(0).integers(0, 255, (9, 9, 3), "uint8"))[:120], 422, "broken"),
        (bomb(), 422, "too large"),
        (b"x" * (server.MOST_UPLOAD + 1), 413, "24 MiB"),
    ],
    ids=["empty", "text", "cut off", "bomb", "long"],
)
def test_uploads_that_are_refused(client: TestClient, content: bytes, status: int, message: str) -> None:
    for sent in (content, iter([content[:9], content[9:]])):  # of known and of unknown length
        answer = client.post("/api/predict", params={"model": "cells-1/best.keras"}, content=sent)
        assert answer.status_code == status and message in answer.json()["error"]


@pytest.mark.parametrize("slow", [True, False])
def test_bodies_that_do_not_arrive(runs: Path, monkeypatch: pytest.MonkeyPatch, slow: bool) -> None:
    """Those that trickle are refused; a browser that goes away leaves no traceback."""
    monkeypatch.setattr(guard, "SLOWEST", 0.05)
    headers = {"host": "127.0.0.1", "x-triceras-token": TOKEN, "content-length": "9"}
    scope = {
        "type": "http", "method": "POST", "path": "/api/predict", "query_string": b"model=x",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await anyio.sleep(60 if slow else 0)
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    anyio.run(server.Studio(runs, token=TOKEN).app(), scope, receive, send)
    assert sent[0]["status"] == (408 if slow else 400)
    assert ("longer than" if slow else "broke off") in json.loads(sent[1]["body"])["error"]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", 400),
        ("[]", 400),
        ('{"strokes": 3}', 400),
        ('{"strokes": []}', 400),
        ('{"strokes": [[]]}', 400),
        ('{"strokes": [[[1]]]}', 400),
        ('{"strokes": [[["a", "b"]]]}', 400),
        ('{"strokes": [{"a": 1}]}', 400),
        ('{"strokes": [[[NaN, 0.5]]]}', 400),
        ('{"strokes": [[[1e999, 0.5]]]}', 400),
        ('{"strokes": [[' + "[0.5,0.5]," * 9000 + "[0,0]]]}", 413),
        ("[" * 100_000, 400),
        (" " * (server.MOST_JSON + 1), 413),
    ],
)
def test_drawings_that_are_refused(client: TestClient, text: str, status: int) -> None:
    query = {"model": "mnist-cnn-1/best.keras"}
    answer = client.post(
        "/api/predict", params=query, content=text, headers={"content-type": "application/json"}
    )
    assert answer.status_code == status and answer.json()["error"]


def test_users_do_not_mix(client: TestClient) -> None:
    """Many at once, each with a picture of their own: everybody gets the answer that they get alone."""
    random = np.random.default_rng(0)
    drawings = [random.random((2, 6, 2)).tolist() for _ in range(12)]
    alone = [predicted(client, drawing) for drawing in drawings]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda i: predicted(client, drawings[i % 12]), range(48)))
    for i, answer in enumerate(together):
        assert answer == alone[i % 12]


def test_simplified_strokes() -> None:
    t = np.linspace(0, 2 * np.pi, 400)
    circle = np.stack([np.cos(t), np.sin(t)], axis=1)
    few = server.simplified(circle, 0.01)
    assert 20 < len(few) < 40 and np.abs(np.hypot(*few.T) - 1).max() < 1e-9
    assert len(server.simplified(np.full((50, 2), 0.3), 0.01)) == 2
    assert len(server.simplified(circle[:1], 0.01)) == 1


# -- inside --------------------------------------------------------------------------------------------------


def model_of_everything() -> Any:
    """Two paths of all layers whose arithmetic is shown, one of them a model of its own."""
    x = inputs = layers.Input((13, 12, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(x)
    x = layers.Conv2D(8, (3, 5), padding="same", activation="relu", name="same")(x)
    x = layers.Conv2D(8, 3, strides=2, padding="same", groups=2, name="strided")(x)
    x = layers.Conv2D(
        6, 2, dilation_rate=2, padding="valid", use_bias=False, activation="tanh", name="dilated"
    )(x)
    x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depthwise")(x)
    x = layers.BatchNormalization()(x)
    y = layers.Input(x.shape[1:])
    part = keras.Model(y, layers.MaxPooling2D(2, strides=1, padding="same", name="most")(y))
    x = layers.Concatenate()([part(x), layers.AveragePooling2D(2, strides=1, padding="same", name="mean")(x)])
    x = layers.Add()([x, x])
    x = layers.MaxPooling2D(3, strides=2, padding="valid", name="inside")(x)
    x = layers.Concatenate()(
        [layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x), layers.Flatten()(x)]
    )
    x = layers.Dense(7, activation="relu")(x)
    return keras.Model(inputs, layers.Softmax()(layers.Dense(4)(layers.Dense(5, activation="softmax")(x))))


ACTIVATIONS = {None: lambda x: x, "relu": lambda x: max(x, 0), "tanh": np.tanh}


def test_arithmetic() -> None:
    """What is shown of any value gives that value, on each kind of layer."""
    keras.utils.set_random_seed(1)
    random = np.random.default_rng(0)
    model = model_of_everything()
    for weight in model.weights:
        weight.assign(
            random.uniform(0.1, 1, weight.shape)
            * random.choice([-1, 1] if "var" not in weight.path else [1], weight.shape)
        )
    steps = inside.Recorder(model).record(random.integers(0, 255, (1, 13, 12, 3)).astype("float32"))
    assert {"most", "mean", "same"} < {s.layer.name for s in steps} and not any(
        isinstance(s.layer, keras.Model) for s in steps
    )
    assert all("call" not in s.layer.__dict__ for s in steps)
    kinds = set()
    for step in steps:
        assert json.dumps(inside.overview([step]), allow_nan=False)
        for _ in range(12):
            place = [int(random.integers(n)) for n in step.output.shape]
            row, column, channel = place if len(place) == 3 else (0, 0, *place)
            shown = inside.unit(step, channel, row, column)
            assert json.dumps(shown, allow_nan=False)
            assert shown["value"] == pytest.approx(float(step.output[tuple(place)]), abs=1e-6)
            kinds.add(shown["kind"])
            check(shown)
    assert kinds == {"plain", "pointwise", "convolution", "pooling", "global", "dense", "softmax"}


def check(shown: dict[str, Any]) -> None:
    close = pytest.approx(shown["value"], rel=1e-4, abs=1e-4)
    if shown["kind"] == "convolution":
        for term in shown["terms"]:
            assert (np.array(term["values"]) * term["kernel"]).sum() == pytest.approx(term["sum"], abs=1e-4)
            assert not np.any(np.array(term["values"])[~np.array(shown["inside"])])
        total = sum(t["sum"] for t in shown["terms"]) + shown["rest"]["sum"] + shown["bias"]
        assert ACTIVATIONS[shown["activation"]](total) == close
    if shown["kind"] == "pooling":
        values = np.array(shown["terms"][0]["values"])
        inside_values = values[np.array(shown["inside"])]
        assert (
            values.reshape(-1)[shown["winner"]] if shown["winner"] is not None else inside_values.mean()
        ) == close
    if shown["kind"] == "dense":
        total = sum(t["value"] * t["weight"] for t in shown["terms"]) + shown["rest"]["sum"] + shown["bias"]
        assert total == pytest.approx(shown["before"], abs=1e-4)
        if "softmax" not in shown:
            assert ACTIVATIONS[shown["activation"]](total) == close
    for table in (shown, shown.get("softmax", {})):
        if "classes" in table:
            assert sum(c["power"] for c in table["classes"]) == pytest.approx(table["total"], rel=1e-5)
            assert any(c["probability"] == close for c in table["classes"])


def test_channels_first() -> None:
    """Maps are shown with their channels last, whatever the layer's order."""
    inputs = layers.Input((2, 6, 5))
    x = layers.Conv2D(3, 3, padding="same", data_format="channels_first")(inputs)
    model = keras.Model(inputs, layers.MaxPooling2D(2, data_format="channels_first")(x))
    steps = inside.Recorder(model).record(np.random.default_rng(0).random((1, 2, 6, 5), "float32"))
    assert [s.output.shape for s in steps] == [(6, 5, 3), (3, 2, 3)]
    for step in steps:
        check(inside.unit(step, 2, 1, 0))


def test_look_inside(client: TestClient) -> None:
    query = {"model": "mnist-cnn-1/best.keras", "centre": "1"}
    found = client.post("/api/inside", params=query, json={"strokes": STROKES}).json()
    assert [s["kind"] for s in found["layers"]] == ["Rescaling", "Conv2D", "MaxPooling2D", "Flatten", "Dense"]
    conv = found["layers"][1]
    assert conv["maps"]["height"] == 26 and len(b64decode(conv["maps"]["data"])) == 26 * 26 * 4
    unit = {"key": found["key"], "layer": 1, "channel": 2, "row": 5, "column": 25}
    assert client.post("/api/inside/unit", json=unit).json()["kind"] == "convolution"
    for changes, status in [
        ({"row": 26}, 404),
        ({"layer": 9}, 404),
        ({"key": "x"}, 410),
        ({"row": "1"}, 400),
        ({"row": True}, 400),
    ]:
        assert client.post("/api/inside/unit", json=unit | changes).status_code == status
    for method in ("grad-cam", "saliency"):
        heat = client.post("/api/inside/why", json={"key": found["key"], "class": 3, "method": method}).json()
        assert (heat["height"], heat["width"]) == (28, 28)
    for changes, status in [({"class": 10}, 422), ({"method": "x"}, 400), ({"key": "x"}, 410)]:
        asked = {"key": found["key"], "class": 3, "method": "saliency"} | changes
        assert client.post("/api/inside/why", json=asked).status_code == status


# -- the runs folder -----------------------------------------------------------------------------------------


def test_runs(client: TestClient) -> None:
    runs = {run["name"]: run for run in client.get("/api/runs").json()["runs"]}
    assert set(runs) == {"mnist-cnn-1", "cells-1", "by-hand"}
    run = client.get("/api/runs/mnist-cnn-1").json()
    assert (
        run["accuracy"] == 0.9
        and run["best"] == {"accuracy": 0.8, "loss": 0.7}
        and run["pictures"] == ["curves.png"]
    )
    assert run["report"]["3"]["recall"] == 0.8 and run["history"]["val_accuracy"] == [0.6, 0.8]
    assert client.get("/api/runs/mnist-cnn-1/curves.png").content.startswith(b"\x89PNG")
    broken = client.get("/api/runs/by-hand").json()
    assert broken["settings"] == {} and broken["history"] == {
        "epoch": [1, 2],
        "loss": [0.5, None],
        "val_loss": [None, 0.25],
    }


@pytest.mark.parametrize(
    "path",
    ["nothing", "..", "%2e%2e", "%2e%2e%2f", ".hidden", "mnist-cnn-1/%2e%2e%2fsecret.txt", "link",
     "mnist-cnn-1/best.keras", "mnist-cnn-1/link.png", "cells-1%5cbest.keras", "a%00b", "ä" * 200],
)  # fmt: skip
def test_nothing_outside_the_runs_folder(client: TestClient, runs: Path, tmp_path: Path, path: str) -> None:
    (tmp_path / "status.json").write_text("{}")
    (tmp_path / "link.png").write_bytes(b"secret")
    links = {runs / "link": tmp_path, runs / "mnist-cnn-1" / "link.png": tmp_path / "link.png"}
    for link, target in links.items():
        link.symlink_to(target)
    try:
        assert client.get(f"/api/runs/{path}").status_code == 404
        assert "link" not in RunsFolder(runs).names()
    finally:
        for link in links:
            link.unlink()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("status.json", '{"state": {"a": 1}, "epoch": "x", "epochs": [], "error": {}, "pid": "1"}'),
        ("status.json", '{"state": "[object Object]"}'),
        ("status.json", "[" * 100_000),
        ("settings.json", '{"recipe": ["x"], "epochs": "many"}'),
        ("history.csv", "epoch,loss\n1,\0\n"),
        ("history.csv", 'epoch,loss\n1,"' + "1" * 200_000),
        ("report.json", '{"accuracy": NaN, "a": null}'),
    ],
)
def test_one_broken_run_does_not_hide_the_others(
    client: TestClient, runs: Path, file: str, text: str
) -> None:
    try:
        (runs / "broken").mkdir()
        (runs / "broken" / "history.csv").write_text("epoch,loss\n1,0.5\n")
        (runs / "broken" / file).write_text(text)
        found = {run["name"]: run for run in client.get("/api/runs").json()["runs"]}
        assert {"mnist-cnn-1", "broken"} <= set(found)
        assert found["broken"]["state"] == "interrupted" and found["broken"]["epochs"] is None
        assert client.get("/api/runs/broken").json()["status"] == {"state": "interrupted"}
        assert client.post("/api/runs/broken/resume").status_code == 409
    finally:
        shutil.rmtree(runs / "broken")


def test_a_run_that_goes_away(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunsFolder, "names", lambda self: ["gone", "mnist-cnn-1"])
    assert [run["name"] for run in client.get("/api/runs").json()["runs"]] == ["mnist-cnn-1"]


def test_a_model_is_warm_even_after_a_broken_one(runs: Path, tmp_path: Path) -> None:
    shutil.copy(runs / "cells-1" / "best.keras", tmp_path / "b.keras")
    (tmp_path / "a.keras").write_bytes(b"nothing")
    studio = server.Studio(tmp_path)
    studio.warm()
    assert [opened.key[0].name for opened in studio.shelf._opened.values()] == ["b.keras"]


def test_a_run_whose_process_is_gone(tmp_path: Path) -> None:
    (tmp_path / "a-1").mkdir()
    (tmp_path / "a-1" / "status.json").write_text('{"state": "running", "pid": 999999999}')
    assert RunsFolder(tmp_path).status("a-1")["state"] == "interrupted"
    assert read_history(tmp_path / "nothing.csv") == {} and RunsFolder(tmp_path / "none").names() == []


# -- trainings -----------------------------------------------------------------------------------------------

FAKE = """
    import json, os, signal, sys, time
    out = sys.argv[sys.argv.index("--out") + 1]
    if "--epochs=99" in sys.argv:
        sys.exit("No such pictures.")
    os.makedirs(out, exist_ok=True)
    def note(state):
        with open(out + "/status.part", "w") as file:
            json.dump({"state": state, "pid": os.getpid()}, file)
        os.replace(out + "/status.part", out + "/status.json")
    def stop(*_):
        note("stopped")
        sys.exit(130)
    signal.signal(signal.SIGTERM, stop)
    with open(out + "/settings.json", "w") as file:
        json.dump({"recipe": sys.argv[1], "arguments": sys.argv[2:]}, file)
    note("running")
    time.sleep(60)
"""


@pytest.fixture
def trainer(tmp_path: Path) -> Iterator[tuple[TestClient, server.Studio]]:
    """A studio whose trainings do nothing."""
    script = tmp_path / "fake.py"
    script.write_text(textwrap.dedent(FAKE))
    studio = server.Studio(tmp_path / "runs", token=TOKEN)
    studio.jobs = jobs.Jobs(studio.runs, command=[sys.executable, str(script)])
    with TestClient(studio.app(), "http://127.0.0.1:8760", headers={"x-triceras-token": TOKEN}) as client:
        yield client, studio


def state(client: TestClient, name: str, wanted: str) -> dict[str, Any]:
    """The run, once it has come to a state."""
    end = time.monotonic() + 30
    while (run := client.get(f"/api/runs/{name}").json())["state"] != wanted:
        assert time.monotonic() < end, run
        time.sleep(0.05)
    return run


def test_start_stop_resume(trainer: tuple[TestClient, server.Studio]) -> None:
    client, studio = trainer
    asked = {"recipe": "mnist-mlp", "options": {"epochs": "3", "augment": True}}
    assert client.get("/api/runs").json() == {"runs": []}
    assert client.post("/api/runs", json=asked).json() == {"name": "mnist-mlp-1"}
    run = state(client, "mnist-mlp-1", "running")
    assert run["job"]["own"] and run["settings"]["arguments"][:2] == ["--epochs=3", "--augment"]
    refused = client.post("/api/runs", json=asked)
    assert refused.status_code == 409 and "mnist-mlp-1 still runs" in refused.json()["error"]
    assert client.post("/api/runs/mnist-mlp-1/resume").status_code == 409
    assert client.post("/api/runs/mnist-mlp-1/stop").status_code == 202
    state(client, "mnist-mlp-1", "stopped")
    while studio.jobs.running():
        time.sleep(0.05)
    assert client.post("/api/runs/mnist-mlp-1/stop").status_code == 409
    assert client.post("/api/runs/mnist-mlp-1/resume").status_code == 202
    assert client.get("/api/runs/mnist-mlp-1").json()["state"] in ("preparing", "running")  # not "stopped"
    run = state(client, "mnist-mlp-1", "running")
    assert "--resume" in run["settings"]["arguments"]
    studio.jobs.close()  # as when the studio ends
    assert studio.runs.status("mnist-mlp-1")["state"] == "stopped"


def test_failing_training(trainer: tuple[TestClient, server.Studio]) -> None:
    client, _ = trainer
    client.post("/api/runs", json={"recipe": "mnist-mlp", "options": {"epochs": "99"}})
    assert state(client, "mnist-mlp-1", "failed")["job"]["output"] == "No such pictures."
    assert client.post("/api/runs/mnist-mlp-1/resume").status_code == 404


@pytest.mark.parametrize(
    ("recipe", "options", "status", "message"),
    [
        ("nothing", {}, 404, "no recipe"),
        ("../x", {}, 404, "no recipe"),
        ("mnist-mlp", {"out": "/tmp"}, 400, "no option 'out'"),
        ("mnist-mlp", {"model": "vgg16"}, 400, "no option 'model'"),
        ("mnist-mlp", {"epochs": "many"}, 400, "Epochs must be a whole number"),
        ("mnist-mlp", {"lr": "fast"}, 400, "must be a number"),
        ("mnist-mlp", {"epochs": "0"}, 422, "1 or more"),
        ("mnist-mlp", {"epochs": True}, 400, "takes a value"),
        ("mnist-mlp", {"augment": "yes"}, 400, "takes yes or no"),
        ("mnist-mlp", {"balance": "much"}, 422, "must be one of"),
        ("mnist-mlp", {"optimizer": "magic"}, 422, "magic"),
        ("mnist-mlp", [], 400, "`options`"),
    ],
)
def test_trainings_that_are_refused(
    client: TestClient, recipe: str, options: Any, status: int, message: str
) -> None:
    answer = client.post("/api/runs", json={"recipe": recipe, "options": options})
    assert answer.status_code == status and message in answer.json()["error"]


def test_values_cannot_pass_for_options() -> None:
    assert offers.arguments("images", {"data": "--out=/tmp/x"}) == ["--data=--out=/tmp/x"]


def test_recipes(client: TestClient) -> None:
    recipes = {recipe["name"]: recipe for recipe in client.get("/api/recipes").json()["recipes"]}
    assert {"mnist-cnn", "images", "pneumonia"} <= set(recipes)
    options = {option["name"]: option for option in recipes["images"]["options"]}
    assert (
        options["data"]["kind"] == "path"
        and options["epochs"]["kind"] == "int"
        and options["lr"]["kind"] == "float"
    )
    assert options["augment"]["kind"] == "flag" and "sampler" in options["balance"]["choices"]
    assert options["model"]["choices"][0] == "small" and "ResNet50" in options["model"]["choices"]


def test_browsing_folders(client: TestClient, runs: Path) -> None:
    found = client.post("/api/folders", json={"path": str(runs)}).json()
    assert found["folders"] == ["by-hand", "cells-1", "mnist-cnn-1"] and found["files"] == 1
    assert found["parent"] == str(runs.parent)
    assert client.post("/api/folders", json={"path": str(runs / "nothing")}).status_code == 404
    assert client.post("/api/folders", json={"path": "a\0b"}).status_code == 404


# -- the command ---------------------------------------------------------------------------------------------


def test_mistakes_of_use(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ArgumentError, match=f"127.0.0.1:{port}.*--port"):
            command.serve("127.0.0.1", port, False, tmp_path)
    with pytest.raises(ArgumentError, match="--model"):
        command.serve("127.0.0.1", 0, False, tmp_path, tmp_path / "nothing.keras")
    (tmp_path / "file").write_text("")
    with pytest.raises(ArgumentError, match="--runs"):
        command.serve("127.0.0.1", 0, False, tmp_path / "file")


def test_no_room_for_names_outside(tmp_path: Path) -> None:
    with pytest.raises(RequestError):
        RunsFolder(tmp_path).inside("..")
