"""Feature spaces beside the reference's: outputs, inputs, files, data sets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import triceras
from triceras import Model, layers, use_engine
from triceras.core.errors import ArgumentError, ArgumentTypeError, StateError
from triceras.models.feature_space import KINDS
from triceras.utils import FeatureSpace

TABLE = {
    "f": np.array([1.0, 2.0, 3.0, 4.0], "float32"),
    "s": np.array(["a", "b", "a", "c"]),
    "i": np.array([1, 2, 1, 3]),
    "ih": np.arange(4),
}
TABLE |= {"fd": TABLE["f"] * 2, "a": TABLE["f"], "b": TABLE["f"], "h": TABLE["s"]}


@pytest.fixture(autouse=True)
def quick_engine() -> Iterator[None]:
    with use_engine("numpy"):
        yield


def made(space: Any, **options: Any) -> Any:
    features = {
        "f": space.float_normalized(),
        "s": "string_categorical",
        "i": space.integer_categorical(num_oov_indices=0),
        "fd": space.float_discretized(num_bins=3),
        "a": "float",
        "b": space.float_rescaled(2.0, 1.0),
        "h": "string_hashed",
        "ih": space.integer_hashed(7),
    }
    return space(features, crosses=[("s", "i"), space.cross(("i", "ih"), 5)], crossing_dim=8, **options)


@pytest.mark.filterwarnings("ignore")
def test_like_the_reference(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    keras = pytest.importorskip("keras")
    rows = tf.data.Dataset.from_tensor_slices(TABLE)
    ours, other = made(FeatureSpace), made(keras.utils.FeatureSpace)
    ours.adapt(rows), other.adapt(rows)
    row = {name: "a" if name in "sh" else column[0].item() for name, column in TABLE.items()}
    for x in (TABLE, {name: column[:2, None] for name, column in TABLE.items()}, row):
        found, expected = np.asarray(ours(x)), np.asarray(other(x))
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    ours.save(tmp_path / "ours.keras"), other.save(tmp_path / "theirs.keras")
    for library in (triceras, keras):
        for name in ("ours", "theirs"):
            copy = library.models.load_model(tmp_path / f"{name}.keras")
            np.testing.assert_allclose(np.asarray(copy(TABLE)), np.asarray(ours(TABLE)), rtol=1e-5, atol=1e-6)
    for batch, expected in zip(rows.batch(2).map(ours), np.split(np.asarray(ours(TABLE)), 2), strict=True):
        np.testing.assert_allclose(batch.numpy(), expected, rtol=1e-6)


def test_inside_of_a_model() -> None:
    pytest.importorskip("jax")
    with use_engine("jax"):
        space = made(FeatureSpace)
        space.adapt([TABLE])
        encoded = space.get_encoded_features()
        assert encoded.shape == (None, 65) and set(space.get_inputs()) == set(TABLE)
        model = Model(space.get_inputs(), layers.Dense(1)(encoded))
        model.compile("sgd", "mse")
        assert np.isfinite(model.fit(TABLE, np.ones((4, 1)), verbose=0).history["loss"]).all()
        assert model.predict(TABLE, verbose=0).shape == (4, 1)


def test_dict_of_features() -> None:
    space = FeatureSpace(
        {
            "i": FeatureSpace.integer_categorical(output_mode="int"),
            "w": FeatureSpace.feature("string", layers.TextVectorization(output_mode="count"), "float"),
        },
        crosses=[FeatureSpace.cross(("i", "i"), 5, output_mode="int")],
        output_mode="dict",
    )
    space.adapt({"i": np.array([3, 5, 3]), "w": np.array(["a b", "a", ""])})
    found = space({"i": np.array([3, 9]), "w": np.array(["b b", "q"])})
    assert found["i"].tolist() == [[1], [0]] and found["w"].tolist() == [[0, 0, 2], [1, 0, 0]]
    assert found["i_X_i"].shape == (2, 1)
    copy = FeatureSpace.from_config(space.get_config())
    assert copy.get_config() == space.get_config()


def test_errors() -> None:
    for arguments, message in (
        ({"features": {}}, "at least one column"),
        ({"features": {"a": "text"}}, "must be one of"),
        ({"features": {"a": "float"}, "output_mode": "list"}, "`output_mode` must be one of"),
        ({"features": {"a": "float"}, "crosses": [("a", "b")]}, r"aren't among the `features`: \['b'\]"),
    ):
        with pytest.raises(ArgumentError, match=message):
            FeatureSpace(**arguments)
    with pytest.raises(StateError, match=r"call adapt\(dataset\)"):
        FeatureSpace({"a": "float_normalized"})({"a": np.ones(3)})
    space = FeatureSpace({"a": "float"})
    assert space({"a": np.ones(3)}).shape == (3, 1)
    with pytest.raises(ArgumentError, match=r"lacks the columns \['a'\]"):
        space({"b": np.ones(3)})
    with pytest.raises(ArgumentTypeError, match="takes a dict of columns"):
        space(np.ones(3))
    mixed = FeatureSpace({"a": FeatureSpace.string_categorical(output_mode="int"), "b": "float"})
    mixed.adapt({"a": ["x"], "b": [1.0]})
    with pytest.raises(ArgumentError, match=r"\['a'\] are indices"):
        mixed.get_encoded_features()
    assert len(KINDS) == 8
