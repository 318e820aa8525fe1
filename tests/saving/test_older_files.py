"""The older HDF5 format, as the reference writes it: weights by layer, whole models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import triceras
from triceras import saving
from triceras.core.errors import ArgumentError, FileFormatError
from triceras.saving.weights import WeightsMismatchError

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)  # the reference's own
X = np.random.default_rng(0).normal(size=(4, 4)).astype("float32")
Y = np.ones((4, 2), "float32")


def network(lib: Any, units: int = 2, last: str = "last") -> Any:
    """A model inside a model, layers without weights, a recurrent one."""
    layers = lib.layers
    inner = lib.Sequential(
        [lib.Input((4,)), layers.Dense(3), layers.BatchNormalization(), layers.Dense(3)], name="inner"
    )
    x = inputs = lib.Input((4,), name="x")
    x = layers.Reshape((3, 1), name="shape")(layers.Dropout(0.5, name="drop")(inner(x)))
    x = layers.Bidirectional(layers.GRU(2, name="gru"), name="both")(x)
    return lib.Model(inputs, layers.Dense(units, name=last)(x), name="outer")


def answer(model: Any) -> np.ndarray:
    return np.asarray(model(X, training=False))


@pytest.fixture
def theirs(keras: Any) -> Any:
    model = network(keras)
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.1, 1, w.shape) for w in model.get_weights()])
    return model


def written(model: Any, path: Path, **changed: Any) -> Path:
    """Weights as the reference's older format has them."""
    from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

    with h5py.File(path, "w") as file:
        save_weights_to_hdf5_group(file, model)
        for name, value in changed.items():
            file.attrs[name] = value
    return path


@pytest.mark.parametrize("frozen", ["nothing", "inner", "everything"])
def test_weights(theirs: Any, tmp_path: Path, frozen: str) -> None:
    """Trained weights stand before others in such a file, and what was frozen then changes the order."""
    if frozen != "nothing":
        (theirs if frozen == "everything" else theirs.get_layer("inner")).trainable = False
    path = written(theirs, tmp_path / "w.h5")
    model = network(triceras)
    model.load_weights(path)
    np.testing.assert_allclose(answer(model), answer(theirs), rtol=1e-5)
    model.trainable = False
    model.load_weights(path)
    np.testing.assert_allclose(answer(model), answer(theirs), rtol=1e-5)


def test_weights_with_other_names(theirs: Any, tmp_path: Path) -> None:
    """Old files have names such as `dense_W_1:0`: then the order counts."""
    path = written(theirs, tmp_path / "w.hdf5")
    with h5py.File(path, "r+") as file:
        group = file["last"]
        group["W_1:0"], group["b_1:0"] = group["last/kernel"][:], group["last/bias"][:]
        group.attrs["weight_names"] = np.array([b"W_1:0", b"b_1:0"])
        file.attrs["layer_names"] = np.array([n.encode() for n in file.attrs["layer_names"]])
    model = network(triceras, last="renamed")
    model.load_weights(path)
    np.testing.assert_allclose(answer(model), answer(theirs), rtol=1e-5)


def test_long_lists_in_parts(theirs: Any, tmp_path: Path) -> None:
    path = written(theirs, tmp_path / "w.h5")
    with h5py.File(path, "r+") as file:
        names = list(file.attrs["layer_names"])
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:2], names[2:]
    model = network(triceras)
    model.load_weights(path)
    np.testing.assert_allclose(answer(model), answer(theirs), rtol=1e-5)


def test_by_name(theirs: Any, tmp_path: Path) -> None:
    path = written(theirs, tmp_path / "w.h5")
    model = network(triceras, units=5, last="new")
    before = model.get_layer("new").get_weights()
    model.load_weights(path, by_name=True)
    found = model.get_layer("both").get_weights() + model.get_layer("inner").get_weights()
    wanted = theirs.get_layer("both").get_weights() + theirs.get_layer("inner").get_weights()
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(model.get_layer("new").get_weights()[0], before[0])


@pytest.mark.parametrize("by_name", [False, True])
def test_strict(theirs: Any, tmp_path: Path, by_name: bool) -> None:
    path = written(theirs, tmp_path / "w.h5")
    model = network(triceras, units=5)
    before = model.get_weights()
    with pytest.raises(WeightsMismatchError, match=r"last: expected weights .*\(4, 5\).*\(4, 2\)"):
        model.load_weights(path, by_name=by_name)
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    with pytest.warns(UserWarning, match="Left as it was: last"):
        model.load_weights(path, by_name=by_name, skip_mismatch=True)
    np.testing.assert_array_equal(model.get_layer("both").get_weights()[0], theirs.layers[4].get_weights()[0])


def test_another_number_of_layers(theirs: Any, tmp_path: Path) -> None:
    path = written(theirs, tmp_path / "w.h5")
    model = triceras.Sequential([triceras.Input((4,)), triceras.layers.Dense(2, name="only")])
    with pytest.raises(WeightsMismatchError, match=r"(?s)1 layers with weights, the file 3.*only"):
        model.load_weights(path)


def test_whole_model(keras: Any, theirs: Any, tmp_path: Path) -> None:
    theirs.compile(keras.optimizers.Adam(0.01), keras.losses.MeanSquaredError(), metrics=["mae"])
    for _ in range(2):
        theirs.train_on_batch(X, Y)
    path = tmp_path / "m.h5"
    theirs.save(path)
    model = saving.load_model(path)
    np.testing.assert_allclose(answer(model), answer(theirs), rtol=1e-5)
    assert int(model.optimizer.iterations.numpy()) == 2
    for mine, other in zip(model.optimizer.variables, theirs.optimizer.variables, strict=True):
        np.testing.assert_allclose(mine.numpy(), np.asarray(other), rtol=1e-6)
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(theirs.evaluate(X, Y, verbose=0), rel=1e-4)
    assert saving.load_model(path, compile=False).optimizer is None
    fresh = network(triceras)
    fresh.load_weights(path)
    np.testing.assert_allclose(answer(fresh), answer(theirs), rtol=1e-5)


def test_arguments_of_one_format(theirs: Any, tmp_path: Path) -> None:
    model = network(triceras)
    model.save_weights(tmp_path / "new.weights.h5")
    with pytest.raises(ArgumentError, match="`by_name` is only for files whose format is the older one"):
        model.load_weights(tmp_path / "new.weights.h5", by_name=True)
    path = written(theirs, tmp_path / "w.h5")
    with pytest.raises(ArgumentError, match="`objects_to_skip`"):
        saving.load_weights(model, path, objects_to_skip=[model.layers[1]])
    (tmp_path / "new.weights.h5").rename(tmp_path / "new.h5")  # what counts is what is inside
    model.load_weights(tmp_path / "new.h5")


# -- unsafe and damaged files --------------------------------------------------------------------------------


def test_weights_are_no_model(theirs: Any, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="only weights"):
        saving.load_model(written(theirs, tmp_path / "w.h5"))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{", "no valid JSON"),
        ("[]", "no model"),
        ('{"class_name": "os.system", "config": {}}', "unknown class"),
        ('{"class_name": "Dense", "config": {"units": 2}}', "no model but a Dense"),
    ],
)
def test_refused_configs(theirs: Any, tmp_path: Path, config: str, message: str) -> None:
    path = written(theirs, tmp_path / "m.h5", model_config=config)
    with pytest.raises((FileFormatError, ArgumentError), match=message):
        saving.load_model(path)


def test_lambda_is_not_run(keras: Any, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x + 1)])
    model.save(tmp_path / "m.h5")
    with pytest.raises((FileFormatError, ArgumentError), match="never run"):
        saving.load_model(tmp_path / "m.h5", safe_mode=False)


def test_refused_contents(theirs: Any, tmp_path: Path) -> None:
    model = network(triceras)
    path = written(theirs, tmp_path / "w.h5")
    with h5py.File(path, "r+") as file:
        file["last"].attrs["weight_names"] = ["last/kernel", "../inner/other"]
    with pytest.raises(FileFormatError, match="isn't there"):
        model.load_weights(path)
    path = written(theirs, tmp_path / "w.h5", layer_names=np.arange(3))
    with pytest.raises(FileFormatError, match="isn't text"):
        model.load_weights(path)
    path = written(theirs, tmp_path / "w.h5")
    with h5py.File(path, "r+") as file:
        file["link"] = h5py.ExternalLink("other.h5", "/x")
    with pytest.raises(FileFormatError, match="link"):
        model.load_weights(path)
