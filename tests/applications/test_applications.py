"""Ready-made networks beside the reference's: structure, weights in files, arguments, training on top."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import triceras
from tests.applications.reference import COMMON, NETWORKS
from tests.extent import EVERYTHING
from triceras import applications, layers, saving
from triceras.applications import imagenet_utils, published
from triceras.core.errors import ArgumentError, DataUnavailableError, FileFormatError
from triceras.initializers import unfilled
from triceras.saving.weights import WeightsMismatchError

HERE = Path(__file__).parent
ALL = [name for name in dir(applications) if name[0].isupper()]
FAMILIES = {getattr(applications, name).__module__: name for name in reversed(ALL)}
SOME = ALL if EVERYTHING else list(FAMILIES.values())
BARE = {"weights": None, "include_top": False}
ENGINES = ["numpy", "torch", "jax", "tensorflow"]


@pytest.fixture(autouse=True)
def torch_engine() -> Iterator[None]:
    pytest.importorskip("torch")
    with triceras.use_engine("torch"):
        triceras.utils.clear_session(free_memory=False)  # automatic names start anew
        yield


def answer(model: Any, x: np.ndarray) -> np.ndarray:
    return triceras.ops.convert_to_numpy(model(x, training=False))


def without_draws(monkeypatch: pytest.MonkeyPatch, keras: Any) -> None:
    """Let the reference start with zeros: its draws take long."""
    random = keras.initializers.VarianceScaling
    monkeypatch.setattr(random, "__call__", lambda self, shape, dtype: np.zeros(shape, dtype))


def close(found: np.ndarray, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())


# -- structure -----------------------------------------------------------------------------------------------


def lines(model: Any) -> Iterator[str]:
    """All that counts of a network: names, classes, configs, connections, shapes, weights."""

    def sources(value: Any) -> list[str]:
        if isinstance(value, dict):
            if value.get("class_name") == "__keras_tensor__":
                return [value["config"]["keras_history"][0]]
            value = list(value.values())
        return [name for v in value for name in sources(v)] if isinstance(value, list) else []

    known = {layer.name: layer for layer in model.layers}
    for data in json.loads(model.to_json())["config"]["layers"]:  # operations are there, too
        layer, config = known.get(data["name"]), json.dumps(data["config"], sort_keys=True)
        weights = [(v.name, tuple(v.shape)) for v in layer.weights] if layer else []
        shape = layer.output.shape if layer else None
        inputs = sources(data["inbound_nodes"])
        yield f"{data['name']} {data['class_name']} {shape} {weights} {inputs} {config}"


def digest(model: Any) -> list[Any]:
    text = "\n".join(lines(model))
    return [len(model.layers), model.count_params(), hashlib.sha256(text.encode()).hexdigest()[:16]]


@pytest.mark.parametrize("name", SOME)
def test_structure(name: str) -> None:
    """As a table says that make_structures.py wrote with the reference."""
    expected = json.loads((HERE / "structures.json").read_text(encoding="utf-8"))[name]
    with unfilled(True):  # zeros need no memory until they are read
        found = digest(getattr(applications, name)(weights=None))
    assert found == expected


def test_every_public_network_is_in_the_table() -> None:
    assert set(ALL) == set(json.loads((HERE / "structures.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("name", "layout", "arguments"),
    [
        ("MobileNetV2", "channels_last", {"input_shape": (33, 50, 3), "alpha": 0.5, "pooling": "max"} | BARE),
        ("EfficientNetB0", "channels_first", {"input_shape": (1, 37, 32), "classes": 7}),
        ("VGG16", "channels_first", {"input_shape": (3, 32, 32), "pooling": "avg"} | BARE),
    ],
)
def test_arguments_as_in_the_reference(
    monkeypatch: pytest.MonkeyPatch, name: str, layout: str, arguments: dict[str, Any]
) -> None:
    keras = pytest.importorskip("keras")
    without_draws(monkeypatch, keras)
    found = []
    for library in (triceras, keras):
        library.utils.clear_session(free_memory=False)
        library.config.set_image_data_format(layout)
        try:
            network = getattr(library.applications, name)
            with unfilled(True):
                found.append(list(lines(network(**{"weights": None, **arguments}))))
        finally:
            library.config.set_image_data_format("channels_last")
    assert found[0] == found[1]


# -- weights in files ----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def files(tmp_path_factory: Any) -> Path:
    """Files that the reference wrote."""
    pytest.importorskip("keras")
    folder = tmp_path_factory.mktemp("reference")
    subprocess.run(
        [sys.executable, "-W", "ignore", str(HERE / "reference.py"), str(folder)],
        env={**os.environ, "KERAS_BACKEND": "torch"}, check=True, timeout=600, capture_output=True,
    )  # fmt: skip
    return folder


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_of_the_reference(files: Path, tmp_path: Path, name: str) -> None:
    data = np.load(files / f"{name}.npz")
    build = getattr(applications, name)
    model = build(weights=files / f"{name}.h5", **NETWORKS[name], **COMMON)
    close(answer(model, data["x"]), data["y"])
    for v in model.weights:
        v.assign(np.zeros(v.shape))
    model.load_weights(files / f"{name}.weights.h5")
    close(answer(model, data["x"]), data["y"])
    model.save_weights(tmp_path / "own.weights.h5")  # and what we write is what it writes
    with h5py.File(tmp_path / "own.weights.h5") as own, h5py.File(files / f"{name}.weights.h5") as other:
        assert arrays(own) == arrays(other)
        path = sorted(arrays(own))[-1]
        np.testing.assert_array_equal(own[path], other[path])


def arrays(file: h5py.File) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    file.visititems(lambda path, item: found.update({path: item.shape} if hasattr(item, "shape") else {}))
    return found


@pytest.mark.parametrize("name", ["MobileNetV2", "EfficientNetB0"])
def test_whole_models(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    keras = pytest.importorskip("keras")
    without_draws(monkeypatch, keras)
    data = np.load(files / f"{name}.npz")
    older = saving.load_model(files / f"whole_{name}.h5")
    close(answer(older, data["x"]), data["y"])
    assert older.optimizer.name.startswith("sgd")
    model = saving.load_model(files / f"{name}.keras")
    close(answer(model, data["x"]), data["y"])
    model.save(tmp_path / "own.keras")
    theirs = keras.saving.load_model(tmp_path / "own.keras")
    for found, wanted in zip(theirs.weights, model.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(found), wanted.numpy())


def test_engines_agree(files: Path) -> None:
    data = np.load(files / "VGG16.npz")
    model = applications.VGG16(weights=files / "VGG16.h5", **NETWORKS["VGG16"])
    for engine in ENGINES:
        pytest.importorskip(engine)
        close(model.to(engine).predict(data["x"], verbose=0), data["y"])


@pytest.mark.parametrize("engine", ["torch", "jax"])
def test_training_on_a_frozen_base(engine: str) -> None:
    pytest.importorskip(engine)
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 255, (16, 32, 32, 3)).astype("float32"), np.arange(16) % 4 == 0
    with triceras.use_engine(engine):
        base = applications.MobileNetV2(
            weights=None, alpha=0.35, include_top=False, pooling="avg", input_shape=(32, 32, 3)
        )
        base.trainable = False
        inputs = layers.Input((32, 32, 3))
        features = base(applications.mobilenet_v2.preprocess_input(inputs), training=False)
        model = triceras.Model(inputs, layers.Dense(2, activation="softmax")(layers.Dropout(0.1)(features)))
        model.compile("adam", "sparse_categorical_crossentropy")
        before = [v.numpy() for v in model.weights]
        model.fit(x, y, batch_size=8, epochs=1, verbose=0)
        changed = [not np.array_equal(v.numpy(), b) for v, b in zip(model.weights, before, strict=True)]
    assert changed == [False] * (len(before) - 2) + [True, True]


# -- arguments -----------------------------------------------------------------------------------------------

REFUSED = {
    "no file": ("ResNet50", {"weights": "nothing.h5"}, "`weights` must be None"),
    "classes of imagenet": ("ResNet50", {"classes": 10}, "classes=1000"),
    "no classes": ("ResNet50", {"weights": None, "classes": 0}, "positive integer"),
    "activation of imagenet": ("VGG16", {"classifier_activation": "relu"}, "softmax"),
    "size of imagenet": ("VGG16", {"input_shape": (64, 64, 3)}, r"\(224, 224, 3\)"),
    "channels of imagenet": ("VGG16", {"include_top": False, "input_shape": (64, 64, 1)}, "3 channels"),
    "two sizes": ("VGG16", {**BARE, "input_shape": (64, 64)}, r"\(rows, columns, channels\)"),
    "small": ("DenseNet121", {**BARE, "input_shape": (31, 32, 3)}, "at least 32"),
    "small inception": ("InceptionV3", {**BARE, "input_shape": (74, 75, 3)}, "at least 75"),
    "unknown size": ("VGG16", {"weights": None, "input_shape": (None, None, 3)}, "include_top=True"),
    "pooling": ("EfficientNetB0", {**BARE, "pooling": "mean"}, "`pooling`"),
    "tensor": ("MobileNetV2", {**BARE, "input_tensor": np.zeros((1, 32, 32, 3))}, "symbolic"),
    "alpha of imagenet": ("MobileNetV2", {"alpha": 0.33}, "0.35, 0.5"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_arguments(case: str) -> None:
    name, arguments, message = REFUSED[case]
    with pytest.raises((ArgumentError, TypeError), match=rf"{name}\(\): .*{message}"):
        getattr(applications, name)(**arguments)


def test_more_channels() -> None:
    with pytest.warns(UserWarning, match="4 channels"):
        model = applications.VGG16(**BARE, input_shape=(32, 32, 4))
    assert model.layers[1].kernel.shape == (3, 3, 4, 64)


def test_on_a_tensor() -> None:
    source = layers.Input((40, 40, 1))
    model = applications.MobileNetV2(**BARE, alpha=0.35, input_tensor=layers.Conv2D(3, 3)(source), name="own")
    assert model.input is source and model.name == "own" and model.output_shape == (None, 2, 2, 1280)


# -- published files -----------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no network."""
    monkeypatch.setenv("TRICERAS_HOME", str(tmp_path))
    monkeypatch.setattr(published.Path, "home", lambda: tmp_path / "nobody")

    def offline(*args: Any, **kwargs: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr("triceras.utils.files.urlopen", offline)
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.mark.filterwarnings("ignore:.*square images:UserWarning")
@pytest.mark.parametrize("name", ["VGG16", "MobileNetV2"])
def test_no_network(home: Path, name: str) -> None:
    with pytest.raises(DataUnavailableError, match=r"(?s)storage.googleapis.*models.*weights=") as error:
        getattr(applications, name)(include_top=False, input_shape=(32, 32, 3))
    assert str(home) in str(error.value)


def test_cached_weights(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = applications.VGG16(**BARE, input_shape=(32, 32, 3))
    model.save_weights(home / "own.weights.h5")
    file = home / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    (home / "own.weights.h5").rename(file)
    monkeypatch.setattr(published, "has_hash", lambda path, wanted, algorithm: wanted.startswith("6d6b"))
    loaded = applications.VGG16(include_top=False, input_shape=(32, 32, 3))
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])
    monkeypatch.undo()
    monkeypatch.setenv("TRICERAS_HOME", str(home.parent))
    monkeypatch.setattr(published, "get_file", lambda *a, **k: (_ for _ in ()).throw(OSError("no network")))
    with pytest.raises(DataUnavailableError, match="damaged"):
        applications.VGG16(include_top=False, input_shape=(32, 32, 3))


def test_wrong_weights(files: Path) -> None:
    with pytest.raises(WeightsMismatchError, match="107 layers with weights, the file 13"):
        applications.ResNet50(weights=files / "VGG16.h5", input_shape=(32, 32, 3))


# -- pixels and classes --------------------------------------------------------------------------------------

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), dtype="uint8")


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_preprocess_input(mode: str, layout: str) -> None:
    keras = pytest.importorskip("keras")
    x = PIXELS.transpose(0, 3, 1, 2) if layout == "channels_first" else PIXELS
    for given in (x, x[0], x.astype("float32"), x.astype("float64")):
        wanted = keras.applications.imagenet_utils.preprocess_input(given.copy(), layout, mode)
        found = imagenet_utils.preprocess_input(given, layout, mode)
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    for engine in ("numpy", "torch", "jax"):
        with triceras.use_engine(engine):
            tensor = triceras.ops.convert_to_tensor(x)
            symbolic = layers.Input(x.shape[1:], dtype="uint8")
            model = triceras.Model(symbolic, imagenet_utils.preprocess_input(symbolic, layout, mode))
            for result in (imagenet_utils.preprocess_input(tensor, layout, mode), model(x)):
                wanted = imagenet_utils.preprocess_input(x, layout, mode)
                np.testing.assert_allclose(triceras.ops.convert_to_numpy(result), wanted, atol=1e-4)


def test_every_module_preprocesses_as_the_reference() -> None:
    keras = pytest.importorskip("keras")
    for name in dir(applications):
        module = getattr(applications, name)
        if name.islower() and name != "imagenet_utils":
            wanted = getattr(keras.applications, name).preprocess_input(PIXELS.astype("float32"))
            np.testing.assert_allclose(module.preprocess_input(PIXELS), wanted, atol=1e-5, err_msg=name)
            assert module.decode_predictions is imagenet_utils.decode_predictions


def test_refused_pixels() -> None:
    with pytest.raises(ArgumentError, match="`mode`"):
        imagenet_utils.preprocess_input(PIXELS, mode="bgr")
    with pytest.raises(ArgumentError, match="3 channels"):
        imagenet_utils.preprocess_input(PIXELS[..., :2])


def test_decode_predictions(home: Path) -> None:
    scores = np.zeros((2, 1000), "float32")
    scores[0, [3, 7]], scores[1, 999] = (0.25, 0.75), 1
    with pytest.raises(DataUnavailableError, match="imagenet_class_index"):
        applications.vgg16.decode_predictions(scores)
    index = {str(i): [f"n{i:08}", f"thing {i}"] for i in range(1000)}
    (home / "imagenet_class_index.json").write_text(json.dumps(index))
    for preds in (scores, triceras.ops.convert_to_tensor(scores)):
        found = applications.vgg16.decode_predictions(preds, top=2)
        assert found[0] == [("n00000007", "thing 7", 0.75), ("n00000003", "thing 3", 0.25)]
        assert found[1][0] == ("n00000999", "thing 999", 1.0) and len(found[1]) == 2
    for wrong in (scores[0], scores[:, :10], [[0.0] * 1000]):
        with pytest.raises(ArgumentError, match=r"\(samples, 1000\)"):
            imagenet_utils.decode_predictions(wrong)


def test_damaged_index(home: Path) -> None:
    (home / "imagenet_class_index.json").write_text("{}")
    with pytest.raises(FileFormatError, match="Delete it"):
        imagenet_utils.decode_predictions(np.zeros((1, 1000)))
