"""Files made by attackers and broken files: each is refused with an error that says why, and nothing runs."""

from __future__ import annotations

import io
import json
import struct
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import triceras
from triceras import saving
from triceras.core.errors import FileFormatError, TricerasError

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"


@pytest.fixture(autouse=True)
def numpy_engine() -> Any:
    with triceras.use_engine("numpy"):
        yield


def model() -> Any:
    layers = triceras.layers
    return triceras.Sequential(
        [triceras.Input((4,)), layers.Dense(3, name="dense"), layers.Dense(2, name="last")]
    )


@pytest.fixture
def parts(tmp_path: Path) -> dict[str, bytes]:
    """The members of a good file."""
    model().save(tmp_path / "good.keras")
    with zipfile.ZipFile(tmp_path / "good.keras") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(path: Path, parts: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path


def refused(
    path: Path, match: str | None = None, error: type[Exception] = TricerasError, **kwargs: Any
) -> None:
    with pytest.raises(error, match=match) as found:
        saving.load_model(path, **kwargs)
    assert len(str(found.value)) < 1500  # one screen


# -- configs -------------------------------------------------------------------------------------------------

BYTECODE = {"class_name": "__lambda__", "config": {"value": ["4wEAAAAAAAAA", None, None]}}
TENSOR = {
    "class_name": "__keras_tensor__",
    "config": {"shape": [None, 4], "dtype": "float32", "keras_history": ["x", 0, 0]},
}


def layer(
    name: str, module: Any = "keras.layers", registered: Any = None, /, **config: Any
) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": config, "registered_name": registered}


def function(name: str) -> dict[str, Any]:
    return {"module": "builtins", "class_name": "function", "config": name, "registered_name": "function"}


LAYERS = {
    "lambda bytecode": layer("Lambda", function=BYTECODE, arguments={}),
    "lambda old form": layer(
        "Lambda", function=["4wEAAAA=", None, None], function_type="lambda", arguments={}
    ),
    "os.system": layer("system", "os", command="touch hacked"),
    "registered os.system": layer("system", "os", "os>system", command="touch hacked"),
    "builtins.eval": layer("eval", "builtins", source="1"),
    "builtins.exec as a function": layer("Dense", units=2, activation=function("exec")),
    "subprocess": layer("Popen", "subprocess", args=["touch", "hacked"]),
    "a module of the framework": layer("Path", "keras.src.saving.archive"),
    "dotted class": layer("os.system", "keras.layers", command="id"),
    "get_file": layer("get_file", "keras.utils", fname="x", origin="http://127.0.0.1:9/x"),
    "get_file as an activation": layer("Dense", units=2, activation=function("get_file")),
    "registered get_file": layer("get_file", "keras.utils", "get_file", origin="http://127.0.0.1:9/x"),
    "enable_unsafe_deserialization": layer("enable_unsafe_deserialization", "keras.config"),
    "load_model as a layer": layer("load_model", "keras.saving", filepath="/etc/passwd"),
    "load_model as an activation": layer("Dense", units=2, activation=function("load_model")),
    "an op as a layer": layer("System", "keras.src.ops.core", name="x"),
    "save_img": layer("save_img", "keras.utils", path="hacked", x=[[0]]),
    "nested lambda": layer("TimeDistributed", layer=layer("Lambda", function=BYTECODE)),
    "lambda in an initializer": layer("Dense", units=2, kernel_initializer=BYTECODE),
    "lambda in an unknown class": layer("Custom", None, "my>Custom", inner=BYTECODE),
    "vocabulary from a file": layer("StringLookup", vocabulary="/etc/passwd"),
    "external graph": layer("TFSMLayer", filepath="/tmp/graph", call_endpoint="serve"),
    "torch module": layer(
        "TorchModuleWrapper", module={"class_name": "__bytes__", "config": {"value": "gASVJA=="}}
    ),
    "negative units": layer("Dense", units=-3),
    "text for units": layer("Dense", units="many"),
    "huge units": layer("Dense", units=10**12),
    "unknown arguments": layer("Dense", units=3, nonsense=1),
    "no class": {"module": "keras.layers", "class_name": None, "config": {}},
    "a number": 3,
    "class of a list": {"module": "keras.layers", "class_name": ["Dense"], "config": {}},
}


@pytest.mark.parametrize("safe_mode", [True, False, None])
@pytest.mark.parametrize("name", LAYERS)
def test_configs(
    tmp_path: Path, parts: dict[str, bytes], name: str, safe_mode: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    config = json.loads(parts[CONFIG])
    config["config"]["layers"][1] = LAYERS[name]
    before = sorted(p.name for p in tmp_path.iterdir())
    refused(
        packed(tmp_path / "bad.keras", parts | {CONFIG: json.dumps(config).encode()}), safe_mode=safe_mode
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == [*sorted(["bad.keras", *before])]


@pytest.mark.parametrize("safe_mode", [True, False, None])
def test_lambda_of_a_custom_layer(tmp_path: Path, parts: dict[str, bytes], safe_mode: Any) -> None:
    class Custom(triceras.layers.Layer):
        def __init__(self, inner: Any = None, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.inner = inner

    config = json.loads(parts[CONFIG])
    config["config"]["layers"][1] = LAYERS["lambda in an unknown class"]
    path = packed(tmp_path / "bad.keras", parts | {CONFIG: json.dumps(config).encode()})
    refused(path, "code", safe_mode=safe_mode, custom_objects={"my>Custom": Custom})


def graph(*nodes: dict[str, Any], outputs: Any = None) -> dict[str, Any]:
    source = {
        **layer("InputLayer", batch_shape=[None, 4], dtype="float32", name="x"),
        "name": "x",
        "inbound_nodes": [],
    }
    config = {
        "name": "g", "trainable": True, "layers": [source, *nodes], "input_layers": ["x", 0, 0],
        "output_layers": outputs or [nodes[-1]["name"], 0, 0],
    }  # fmt: skip
    return {
        "module": "keras.src.models.functional", "class_name": "Functional", "registered_name": "Functional",
        "config": config,
    }  # fmt: skip


def node(data: dict[str, Any], *args: Any, name: str = "n", **kwargs: Any) -> dict[str, Any]:
    return {**data, "name": name, "inbound_nodes": [{"args": list(args), "kwargs": kwargs}]}


def op(name: str, home: str = "numpy", /, **config: Any) -> dict[str, Any]:
    return layer(name, f"keras.src.ops.{home}", name, **config)


GRAPHS = {
    "unknown op": graph(node(op("System", command="id"), TENSOR)),
    "op outside ops": graph(node(op("GetFile", "core"), TENSOR)),
    "op without tensors": graph(node(op("Zeros", shape=[10**12]))),
    "full of constants": graph(node(op("Full", shape=[10**12], fill_value=1))),
    "waits for itself": graph(
        node(op("Relu", "nn"), {**TENSOR, "config": {**TENSOR["config"], "keras_history": ["n", 0, 0]}})
    ),
    "output from nowhere": graph(node(op("Relu", "nn"), TENSOR), outputs=["other", 0, 0]),
    "output of no call": graph(node(op("Relu", "nn"), TENSOR), outputs=["n", 7, 0]),
    "op with a lambda": graph(node(op("VectorizedMap", "core", function=BYTECODE), TENSOR)),
    "map with eval": graph(node(op("Map", "core"), function("eval"), TENSOR)),
    "call by old form": graph({**op("Relu", "nn"), "name": "n", "inbound_nodes": [[["x", 0, 0, {}]]]}),
    "no layers": {
        **graph(node(op("Relu", "nn"), TENSOR)),
        "config": {"name": "g", "input_layers": [], "output_layers": []},
    },
}


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs(tmp_path: Path, parts: dict[str, bytes], name: str) -> None:
    refused(packed(tmp_path / "bad.keras", parts | {CONFIG: json.dumps(GRAPHS[name]).encode()}))


TEXTS = {
    "deep list": b"[" * 100_000,
    "deep dict": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "deep configs": b'{"class_name":"X","config":{"a":' * 200 + b"1" + b"}}" * 200,
    "not JSON": b"\xff\xfe\x00",
    "empty": b"",
    "a list": b"[]",
    "a layer": json.dumps(layer("Dense", units=2)).encode(),
    "an optimizer": json.dumps(layer("Adam", "keras.optimizers")).encode(),
    "huge number": b'{"class_name": "Dense", "module": "keras.layers", "config": {"units": 1'
    + b"0" * 400
    + b"}}",
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts(tmp_path: Path, parts: dict[str, bytes], name: str) -> None:
    refused(packed(tmp_path / "bad.keras", parts | {CONFIG: TEXTS[name]}))


def test_compile_configs(tmp_path: Path, parts: dict[str, bytes]) -> None:
    config = json.loads(parts[CONFIG])
    for setup in (
        {"optimizer": "sgd", "loss": BYTECODE},
        {"optimizer": function("exec")},
        {"optimizer": {"class_name": "x"}},
    ):
        path = packed(
            tmp_path / "bad.keras", parts | {CONFIG: json.dumps(config | {"compile_config": setup}).encode()}
        )
        refused(path)
        saving.load_model(path, compile=False)


# -- archives ------------------------------------------------------------------------------------------------


def bomb(parts: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(METADATA, parts[METADATA])
        archive.writestr(CONFIG, parts[CONFIG])
        archive.writestr(WEIGHTS, bytes(64 << 20))
    return target.getvalue()


def lying(parts: dict[str, bytes]) -> bytes:
    """A member that declares fewer bytes than it unpacks to."""
    data = bytearray(bomb(parts))
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = data.rindex(signature)
        data[at + offset : at + offset + 4] = struct.pack("<I", 1000)
    return bytes(data)


def members(**more: bytes) -> Callable[[dict[str, bytes]], bytes]:
    def make(parts: dict[str, bytes]) -> bytes:
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as archive:
            for name, data in (*parts.items(), *more.items()):
                archive.writestr(name, data)
        return target.getvalue()

    return make


def twice(parts: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr(CONFIG, b"{}")
    return target.getvalue()


def lzma(parts: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_LZMA) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return target.getvalue()


ARCHIVES = {
    "bomb": (bomb, "unpack"),
    "bomb with a false size": (lying, None),
    "traversal": (members(**{"../x": b"1"}), "part of a model"),
    "traversal in assets": (members(**{"assets/../../x": b"1"}), "unsafe"),
    "absolute": (members(**{"/etc/x": b"1"}), "part of a model"),
    "backslashes": (members(**{"assets\\..\\x": b"1"}), None),
    "program": (members(**{"setup.py": b"1"}), "part of a model"),
    "duplicate": (twice, "repeated"),
    "lzma": (lzma, "packed"),
    "no config": (lambda parts: members()({WEIGHTS: parts[WEIGHTS]}), "has no config"),
    "no weights": (lambda parts: members()({CONFIG: parts[CONFIG]}), "has no model.weights"),
    "empty": (lambda parts: b"", "no .keras file"),
    "text": (lambda parts: b"hello\n" * 100, "no .keras file"),
    "empty zip": (lambda parts: members()({}), "has no"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives(tmp_path: Path, parts: dict[str, bytes], name: str) -> None:
    make, match = ARCHIVES[name]
    path = tmp_path / "bad.keras"
    path.write_bytes(make(parts))
    refused(path, match, FileFormatError)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.keras", "good.keras"]


def test_other_paths(tmp_path: Path, parts: dict[str, bytes]) -> None:
    good = tmp_path / "good.keras"
    with pytest.raises(FileNotFoundError, match=r"Did you mean good\.keras"):
        saving.load_model(tmp_path / "god.keras")
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        saving.load_model(tmp_path)
    (tmp_path / "m.h5").write_bytes(good.read_bytes())
    refused(tmp_path / "m.h5", "no HDF5 file", FileFormatError)
    (tmp_path / "renamed.zip").write_bytes(good.read_bytes())
    assert saving.load_model(tmp_path / "renamed.zip").count_params() == 23
    with pytest.raises(TricerasError, match="end in"):
        model().load_weights(good.rename(tmp_path / "weights.zip"))


@pytest.mark.parametrize("tenth", range(10))
def test_truncated(tmp_path: Path, parts: dict[str, bytes], tenth: int) -> None:
    whole = (tmp_path / "good.keras").read_bytes()
    path = tmp_path / "bad.keras"
    path.write_bytes(whole[: len(whole) * tenth // 10])
    refused(path, None, FileFormatError)
    path = tmp_path / "bad.weights.h5"
    path.write_bytes(parts[WEIGHTS][: len(parts[WEIGHTS]) * tenth // 10])
    with pytest.raises(FileFormatError, match="truncated"):
        model().load_weights(path)


@pytest.mark.parametrize("what", [CONFIG, WEIGHTS, "archive"])
def test_flipped_bits(tmp_path: Path, parts: dict[str, bytes], what: str) -> None:
    """A damaged file loads or is refused; nothing else happens."""
    random = np.random.default_rng(0)
    whole, path = (tmp_path / "good.keras").read_bytes(), tmp_path / "bad.keras"
    ends = time.monotonic() + 4
    for _ in range(200):
        data = bytearray(whole if what == "archive" else parts[what])
        for place in random.integers(0, len(data), random.integers(1, 4)):
            data[place] ^= 1 << random.integers(0, 8)
        if what == "archive":
            path.write_bytes(bytes(data))
        else:
            packed(path, parts | {what: bytes(data)})
        try:
            saving.load_model(path)
        except TricerasError:
            pass
        if time.monotonic() > ends:
            break


# -- weights -------------------------------------------------------------------------------------------------


def without(file: h5py.File) -> Any:
    del file["layers/dense/vars/0"]
    return file["layers/dense/vars"]


def external_link(file: h5py.File, folder: Path) -> None:
    without(file)["0"] = h5py.ExternalLink(str(folder / "other.h5"), "/secret")


def soft_link(file: h5py.File, folder: Path) -> None:
    without(file)["0"] = h5py.SoftLink("/layers/last/vars/0")


def external_storage(file: h5py.File, folder: Path) -> None:
    (folder / "secret").write_bytes(bytes(48))
    without(file).create_dataset("0", (4, 3), "float32", external=[(str(folder / "secret"), 0, 48)])


def virtual(file: h5py.File, folder: Path) -> None:
    layout = h5py.VirtualLayout((4, 3), "float32")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "secret", (4, 3))
    without(file).create_virtual_dataset("0", layout)


def declared(file: h5py.File, folder: Path) -> None:
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
    space = h5py.h5s.create_simple((1 << 20, 1 << 20))
    h5py.h5d.create(without(file).id, b"0", h5py.h5t.IEEE_F32LE, space, plist)


def declared_chunks(file: h5py.File, folder: Path) -> None:
    without(file).create_dataset("0", (1 << 20, 1 << 20), "float32", chunks=(64, 64))


def gzip_bomb(file: h5py.File, folder: Path) -> None:
    without(file).create_dataset("0", data=np.zeros((1 << 13, 1 << 13), "float32"), compression="gzip")


def objects(file: h5py.File, folder: Path) -> None:
    without(file).create_dataset("0", data=[b"x"], dtype=h5py.string_dtype())


def references(file: h5py.File, folder: Path) -> None:
    without(file).create_dataset("0", data=file["layers"].ref, dtype=h5py.ref_dtype)


def cycle(file: h5py.File, folder: Path) -> None:
    file["layers/dense/again"] = file["layers"]


def deep(file: h5py.File, folder: Path) -> None:
    group = file["layers"]
    for _ in range(200):
        group = group.create_group("a")


def other_shape(file: h5py.File, folder: Path) -> None:
    without(file).create_dataset("0", data=np.zeros((4, 4), "float32"))


def other_filter(file: h5py.File, folder: Path) -> None:
    without(file).create_dataset("0", data=np.zeros((4, 3), "float32"), compression="lzf")


def named_type(file: h5py.File, folder: Path) -> None:
    without(file)["0"] = np.dtype("float32")


HDF5 = [
    external_link, soft_link, external_storage, virtual, declared, declared_chunks, gzip_bomb, objects,
    references, cycle, deep, other_shape, other_filter, named_type,
]  # fmt: skip


@pytest.mark.parametrize("change", HDF5, ids=lambda f: f.__name__)
def test_weights(tmp_path: Path, parts: dict[str, bytes], change: Any) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = np.zeros((4, 3), "float32")
    path = tmp_path / "bad.weights.h5"
    path.write_bytes(parts[WEIGHTS])
    with h5py.File(path, "r+") as file:
        change(file, tmp_path)
    fresh = model()
    before = fresh.get_weights()
    with pytest.raises(TricerasError):
        fresh.load_weights(path)
    for now, then in zip(fresh.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    refused(packed(tmp_path / "bad.keras", parts | {WEIGHTS: path.read_bytes()}))


def test_damaged_chunk(tmp_path: Path, parts: dict[str, bytes]) -> None:
    path = tmp_path / "bad.weights.h5"
    path.write_bytes(parts[WEIGHTS])
    values = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    with h5py.File(path, "r+") as file:
        without(file).create_dataset("0", data=values, compression="gzip")
        offset = file["layers/dense/vars/0"].id.get_chunk_info(0).byte_offset
    model().load_weights(path)
    data = bytearray(path.read_bytes())
    data[offset : offset + 8] = zlib.compress(b"")[:8]
    path.write_bytes(bytes(data))
    with pytest.raises(FileFormatError, match="damaged"):
        model().load_weights(path)


INDEXES = {
    "traversal": {"weight_map": {"/layers/dense/vars": "../x.weights.h5"}},
    "absolute": {"weight_map": {"/layers/dense/vars": ["/etc/x.weights.h5"]}},
    "other file": {"weight_map": {"/layers/dense/vars": ["passwd"]}},
    "number": {"weight_map": {"/layers/dense/vars": 3}},
    "no map": {"metadata": {}},
    "list": [],
}


@pytest.mark.parametrize("name", INDEXES)
def test_indexes_of_shards(tmp_path: Path, name: str) -> None:
    path = tmp_path / "m.weights.json"
    path.write_text(json.dumps(INDEXES[name]))
    with pytest.raises(FileFormatError):
        model().load_weights(path)


def test_missing_shard(tmp_path: Path) -> None:
    path = tmp_path / "m.weights.json"
    source = model()
    source.save_weights(path, max_shard_size=5e-8)
    model().load_weights(path)
    next(tmp_path.glob("*.h5")).unlink()
    with pytest.raises(FileNotFoundError):
        model().load_weights(path)
