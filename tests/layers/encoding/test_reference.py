"""Every argument beside the reference's layer: outputs, vocabularies, configs."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from triceras import layers, use_engine

# the reference warns of its own calls
pytestmark = pytest.mark.filterwarnings("ignore")

WORDS, NUMBERS = ["a", "b", "c", "d"], [12, 36, 1138, 42]
IDF = [0.25, 0.75, 0.6, 0.4]
TEXT = np.array([["a", "c", "d"], ["d", "z", "b"]])
INTEGERS = np.array([[12, 1138, 42], [42, 1000, -36]])
WIDE = np.array([[7, -(10**12), 12345678901234567]])
DOCUMENTS = np.array(
    [
        ["Hello, World! the cat"],
        ["the CAT-sat on\tthe mat"],
        ["  dogs   and cats: hello "],
        ["Ünï Straße İ it's"],
    ]
)
A, B = np.array(["A", "B", "A", "B", "A"]), np.array([101, 101, 101, -102, 102])
MODES = ("int", "one_hot", "multi_hot", "count", "tf_idf")


def _idf(mode: str) -> dict[str, Any]:
    return {"idf_weights": IDF} if mode == "tf_idf" else {}


# a layer, its arguments, and what it is called with
CASES: list[tuple[str, dict[str, Any], Any]] = [
    *(
        ("CategoryEncoding", {"num_tokens": 4, "output_mode": mode}, np.array(x))
        for mode in ("one_hot", "multi_hot", "count")
        for x in ([3, 1], [[1], [0]], [[1, 0, 0], [2, 1, 5]], 2, [[0.0, 1.0]])
    ),
    ("CategoryEncoding", {"num_tokens": 4, "dtype": "int32"}, np.array([[1, 0, 0], [2, 1, 1]])),
    *(
        ("Discretization", {"bin_boundaries": [0.0, 1.0, 2.0], "output_mode": mode}, np.array(x))
        for mode in MODES[:4]
        for x in ([[-1.5, 1.0], [3.4, 0.5]], [0.1, 9.0], [[1.0], [0.0]], 2.0, [[0, 1, 2]], [[np.nan, np.inf, -np.inf]])
    ),
    *(
        ("Hashing", {"num_bins": 1000} | more, x)
        for more in ({}, {"salt": 133}, {"salt": [133, -137]})
        for x in (A, A[:, None], np.array([["", "Bcdefghijklmno" * 9]]), B, WIDE, WIDE.astype("int32"))
    ),
    ("Hashing", {"num_bins": 10, "mask_value": ""}, np.array([["A", ""]])),
    ("Hashing", {"num_bins": 10, "mask_value": 0}, np.array([[1, 0]])),
    *(("Hashing", {"num_bins": 10, "output_mode": mode}, np.array([[1, 2], [0, 0]])) for mode in MODES[1:4]),
    ("Hashing", {"num_bins": 10, "output_mode": "count", "dtype": "int32"}, np.array([1, 1, 0])),
    ("Hashing", {"num_bins": 10}, "abc"),
    ("Hashing", {"num_bins": 10}, [["abc", "d"]]),
    *(
        ("HashedCrossing", {"num_bins": bins, "output_mode": mode}, x)
        for bins, mode in ((5, "int"), (5, "one_hot"), (2003, "int"))
        for x in ((A, B), (A[:, None], B[:, None]), (B, A, B), (B.astype("int32"), B), ("A", 3))
    ),
    *(
        ("StringLookup", {"vocabulary": WORDS, "output_mode": mode} | _idf(mode) | more, x)
        for mode in MODES
        for more, x in (
            ({}, TEXT), ({}, TEXT[0]), ({}, TEXT[0, 0]), ({}, TEXT[:, :1]), ({}, [["a", "q"]]),
            ({"pad_to_max_tokens": True, "max_tokens": 8}, TEXT),
            ({"mask_token": "", "num_oov_indices": 3}, np.array([["a", "", "q", "rr"]])),
            ({"num_oov_indices": 0}, np.array([["a", "b"]])),
            ({"num_oov_indices": 3, "salt": 5}, np.array([["a", "q", "r", "s", "tt", "uu"]])),
        )
    ),
    ("StringLookup", {"vocabulary": ["", "[UNK]", *WORDS], "mask_token": ""}, TEXT),
    ("StringLookup", {"vocabulary": ["[UNK]", *WORDS]}, TEXT),
    *(
        ("IntegerLookup", {"vocabulary": NUMBERS, "output_mode": mode} | _idf(mode) | more, x)
        for mode in MODES
        for more, x in (
            ({}, INTEGERS), ({}, INTEGERS.astype("int32")), ({}, INTEGERS[0]), ({}, INTEGERS[0, 0]),
            ({}, INTEGERS[:, :1]),
            ({"mask_token": 0, "num_oov_indices": 3}, np.array([[12, 0, 7, -8, 9]])),
            ({"num_oov_indices": 3}, WIDE),
            ({"num_oov_indices": 3, "oov_method": "farmhash"}, WIDE),
            ({"num_oov_indices": 3, "oov_method": "farmhash", "salt": 7}, np.array([[1, 2, 3, 4]], "int32")),
        )
    ),
    ("IntegerLookup", {"vocabulary": NUMBERS, "invert": True}, np.array([[1, 3, 0, 9]])),
    ("IntegerLookup", {"vocabulary": NUMBERS, "invert": True, "mask_token": 5}, np.array([[1, 3, 0, 9]], "int32")),
    ("IntegerLookup", {"vocabulary": [0, -1, *NUMBERS], "mask_token": 0}, INTEGERS),
    *(
        ("TextVectorization", {"vocabulary": WORDS} | more, x)
        for x in (np.array([["a b zz"], ["B, d"]]), np.array(["a b zz", "c"]), np.array("c a"), np.array([[""], [" "]]))
        for more in (
            {}, {"output_mode": "count"}, {"output_mode": "tf_idf", "idf_weights": IDF}, {"ngrams": 2},
            {"output_mode": "multi_hot", "max_tokens": 9, "pad_to_max_tokens": True}, {"output_sequence_length": 2},
            {"output_sequence_length": 4}, {"split": "character"}, {"split": None}, {"standardize": None},
        )
    ),
    ("TextVectorization", {"vocabulary": WORDS, "split": None}, TEXT),
    ("TextVectorization", {"vocabulary": WORDS}, [b"a c"]),
    ("TextVectorization", {"vocabulary": ["", "[UNK]", "x"]}, ["x y"]),
]  # fmt: skip

# a layer, its arguments, and data to adapt it to
LEARNED: list[tuple[str, dict[str, Any], Any]] = [
    *(
        ("StringLookup", more, np.array([["b", "a", "c"], ["a", "d", "e"], ["e", "b", "q"], ["", "[UNK]", ""]]))
        for more in (
            {}, {"max_tokens": 4}, {"mask_token": ""}, {"mask_token": "", "output_mode": "count"},
            {"num_oov_indices": 2}, {"output_mode": "tf_idf"},
            {"output_mode": "tf_idf", "max_tokens": 9, "pad_to_max_tokens": True},
        )
    ),
    ("StringLookup", {"output_mode": "tf_idf"}, np.array(["b", "a", "a"])),
    ("IntegerLookup", {}, INTEGERS),
    ("IntegerLookup", {"mask_token": 42, "output_mode": "tf_idf"}, INTEGERS),
    *(
        ("TextVectorization", more, DOCUMENTS)
        for more in (
            {}, {"max_tokens": 6}, {"standardize": None}, {"standardize": "lower"}, {"split": "character"},
            {"standardize": "strip_punctuation"}, {"split": None}, {"ngrams": 2}, {"ngrams": (2, 3)},
            {"output_mode": "multi_hot"}, {"output_mode": "count", "max_tokens": 5}, {"output_mode": "tf_idf"},
            {"output_mode": "tf_idf", "max_tokens": 50, "pad_to_max_tokens": True}, {"output_sequence_length": 3},
        )
    ),
    *(
        ("Discretization", {"num_bins": bins, "epsilon": epsilon}, np.random.RandomState(0).normal(size=(333, 2)))
        for bins, epsilon in ((4, 0.01), (7, 0.03))
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def keras() -> Any:
    """The reference, on JAX; it computes text with TensorFlow."""
    pytest.importorskip("jax")
    pytest.importorskip("tensorflow")
    os.environ.setdefault("KERAS_BACKEND", "jax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras = pytest.importorskip("keras")
    if keras.config.backend() != "jax":
        pytest.skip("the reference runs on another backend than JAX")
    return keras


@pytest.fixture(autouse=True)
def quick_engine() -> Iterator[None]:
    """Other engines are compared with this one elsewhere."""
    with use_engine("numpy"):
        yield


def plain(config: dict[str, Any]) -> Any:
    return json.loads(json.dumps({k: v for k, v in config.items() if k != "name"}, default=str))


def check_same(ours: Any, other: Any, x: Any) -> None:
    found, expected = np.asarray(ours(x)), np.asarray(other(x))
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype or (found.dtype, expected.dtype) == ("float32", "int32")
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("layer", "arguments", "x"), CASES, ids=lambda x: str(x)[:40].replace("\n", ""))
def test_same_outputs(keras: Any, layer: str, arguments: dict[str, Any], x: Any) -> None:
    ours, other = getattr(layers, layer)(**arguments), getattr(keras.layers, layer)(**arguments)
    check_same(ours, other, x)
    assert plain(ours.get_config()) == plain(other.get_config())
    assert plain(type(ours).from_config(other.get_config()).get_config()) == plain(ours.get_config())
    assert plain(type(other).from_config(ours.get_config()).get_config()) == plain(ours.get_config())
    if hasattr(ours, "get_vocabulary"):
        assert ours.get_vocabulary() == other.get_vocabulary()
        assert ours.get_vocabulary(False) == other.get_vocabulary(include_special_tokens=False)
        assert ours.vocabulary_size() == other.vocabulary_size()


@pytest.mark.parametrize(("layer", "arguments", "data"), LEARNED, ids=lambda x: str(x)[:40].replace("\n", ""))
def test_same_adapted(keras: Any, layer: str, arguments: dict[str, Any], data: Any) -> None:
    ours, other = getattr(layers, layer)(**arguments), getattr(keras.layers, layer)(**arguments)
    ours.adapt(data), other.adapt(data)
    if layer == "Discretization":
        np.testing.assert_allclose(ours.bin_boundaries, other.bin_boundaries, rtol=1e-6)
    else:
        assert ours.get_vocabulary() == other.get_vocabulary()
        assert plain(ours.get_config()) == plain(other.get_config())
    check_same(ours, other, data)
    check_same(ours, other, data[:1])
