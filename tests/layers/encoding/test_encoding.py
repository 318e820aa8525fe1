"""Text in all its forms, on all engines; what layers refuse."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triceras import layers, ops, use_engine
from triceras.core.errors import ArgumentError, ArgumentTypeError, FileFormatError, ShapeError, StateError
from triceras.engine import selection
from triceras.utils import PyDataset

API = Path(__file__).parents[4] / "shared" / "api" / "keras-3.15.1.json"
ENGINES = [name for name in selection.PREFERENCE if selection.installed(name)]
WORDS = ["a", "b"]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Any]:
    with use_engine(request.param) as active:
        yield active


@pytest.fixture
def numpy_engine() -> Iterator[None]:
    with use_engine("numpy"):
        yield


def as_numpy(x: Any) -> np.ndarray:
    return ops.convert_to_numpy(x)


CALLS = [
    (layers.StringLookup(vocabulary=WORDS), "a", 1),
    (layers.StringLookup(vocabulary=WORDS, output_mode="count"), [["a", "a", "q"]], [[1, 2, 0]]),
    (layers.Hashing(3), [["A"], [b"B"]], [[1], [0]]),
    (layers.HashedCrossing(5), (["A", "B"], [101, 101]), [1, 4]),
    (layers.IntegerLookup(vocabulary=[7, 10**12]), [[10**12, 7, 3]], [[2, 1, 0]]),
    (layers.TextVectorization(vocabulary=WORDS), ["b a", "q"], [[3, 2], [1, 0]]),
    (
        layers.TextVectorization(vocabulary=WORDS, output_mode="multi_hot"),
        [["b a"], ["q"]],
        [[0, 1, 1], [1, 0, 0]],
    ),
]


@pytest.mark.parametrize(("layer", "x", "expected"), CALLS, ids=lambda x: type(x).__name__)
def test_every_engine(engine: Any, layer: Any, x: Any, expected: Any) -> None:
    copy = type(layer).from_config(layer.get_config())
    found = copy(x)
    assert selection.engine_of(type(found)) is engine or isinstance(found, np.ndarray)
    assert as_numpy(found).tolist() == expected


@pytest.mark.parametrize(
    "text",
    [
        ["a", "q"],
        [b"a", b"q"],
        np.array(["a", "q"]),
        np.array([b"a", b"q"]),
        np.array(["a", "q"], object),
        np.array(["a", "q"], np.dtypes.StringDType()),
    ],
    ids=("str", "bytes", "U", "S", "O", "T"),
)
def test_forms_of_text(numpy_engine: None, text: Any) -> None:
    assert layers.StringLookup(vocabulary=WORDS)(text).tolist() == [1, 0]


def test_text_of_tensorflow(engine: Any) -> None:
    tf = pytest.importorskip("tensorflow")
    layer = layers.TextVectorization(vocabulary=WORDS, output_sequence_length=2)
    assert as_numpy(layer(tf.constant([["a q"], ["b"]]))).tolist() == [[2, 1], [3, 0]]
    back = layers.StringLookup(vocabulary=WORDS, invert=True)(np.array([1, 2, 0, 9]))
    assert [x.decode() if isinstance(x, bytes) else x for x in as_numpy(back)] == ["a", "b", "[UNK]", "[UNK]"]


@pytest.mark.parametrize("name", ["tensorflow", "numpy"])
def test_in_a_pipeline(name: str) -> None:
    tf = pytest.importorskip("tensorflow")
    with use_engine(name):
        text = layers.TextVectorization(output_mode="count")
        text.adapt(tf.data.Dataset.from_tensor_slices(["a b", "a"]).batch(1))
        key, cross = layers.StringLookup(vocabulary=WORDS, output_mode="one_hot"), layers.HashedCrossing(7)
        number = layers.IntegerLookup(vocabulary=[5], output_mode="multi_hot")
        source = tf.data.Dataset.from_tensor_slices({"s": [["a"], ["b"], ["q"]], "i": [[5], [7], [5]]}).batch(
            2
        )
        changed = source.map(lambda x: (text(x["s"]), key(x["s"]), cross((x["s"], x["i"])), number(x["i"])))
        for batch, raw in zip(changed, source, strict=True):
            s, i = np.asarray(raw["s"]), np.asarray(raw["i"])
            alone = text(s), key(s), cross((s, i)), number(i)
            for found, expected in zip(batch, alone, strict=True):
                np.testing.assert_array_equal(found.numpy(), as_numpy(expected))
        back = layers.StringLookup(vocabulary=WORDS, invert=True)
        words = tf.data.Dataset.range(3).batch(3).map(back) if name == "tensorflow" else [back(np.arange(3))]
        assert [x if isinstance(x, str) else x.decode() for x in np.asarray(next(iter(words)))] == [
            "[UNK]",
            *WORDS,
        ]


def test_functions_of_yours(numpy_engine: None) -> None:
    layer = layers.TextVectorization(
        vocabulary=WORDS,
        standardize=lambda text: [t.lower() for t in text.ravel()],
        split=lambda text: [t.split("-") for t in text],
    )
    assert layer(np.array([["A-b"], ["q"]])).tolist() == [[2, 3], [1, 0]]
    tf = pytest.importorskip("tensorflow")
    layer = layers.TextVectorization(
        vocabulary=WORDS, standardize=tf.strings.lower, split=lambda text: tf.strings.split(text, sep="-")
    )
    assert layer(np.array([["A-b"], ["q"]])).tolist() == [[2, 3], [1, 0]]


class Texts(PyDataset):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        return np.array(["x", "y", "x"][index : index + 1]), np.zeros(1)


def test_sources_to_adapt_to(numpy_engine: None) -> None:
    for source in (
        Texts(workers=0),
        ["x", "y", "x"],
        (np.array([t]) for t in "xyx"),
        [np.array(["x", "y", "x"])],
    ):
        layer = layers.StringLookup()
        layer.adapt(source)
        assert layer.get_vocabulary() == ["[UNK]", "x", "y"]
    layer.adapt(Texts(workers=0), steps=1)
    assert layer.get_vocabulary() == ["[UNK]", "x"]
    layer.reset_state()
    for batch in (["y"], ["z", "y"]):
        layer.update_state(batch)
    layer.finalize_state()
    assert layer.get_vocabulary(include_special_tokens=False) == ["y", "z"]
    layer.set_vocabulary(["k"])
    assert layer.vocabulary_size() == 2


def test_vocabulary_from_a_file(numpy_engine: None, tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("ü\nb", encoding="latin-1")
    layer = layers.StringLookup(vocabulary=str(path), encoding="latin-1")
    assert layer.get_vocabulary() == ["[UNK]", "ü", "b"] and layer.get_config()["vocabulary"] == str(path)
    with pytest.raises(FileFormatError, match="no text in utf-8"):
        layers.StringLookup(vocabulary=str(path))
    (tmp_path / "numbers.txt").write_bytes(b"3\r\n5\n")
    assert layers.IntegerLookup(vocabulary=tmp_path / "numbers.txt").get_vocabulary() == [-1, 3, 5]


WRONG = [
    ("CategoryEncoding", {}, "needs `num_tokens`"),
    ("CategoryEncoding", {"num_tokens": 4, "output_mode": "int"}, "`output_mode` must be one of"),
    ("CategoryEncoding", {"num_tokens": 4, "sparse": True}, "`sparse=True` needs sparse tensors"),
    ("Discretization", {}, "either `bin_boundaries` or `num_bins`"),
    ("Discretization", {"bin_boundaries": [1.0], "num_bins": 3}, "either `bin_boundaries` or `num_bins`"),
    ("Discretization", {"bin_boundaries": [2.0, 1.0]}, "in rising order"),
    ("Discretization", {"num_bins": -3}, "from 0 on"),
    ("Hashing", {"num_bins": 0}, "positive integer"),
    ("Hashing", {"num_bins": 3, "salt": "x"}, "`salt` must be an integer or two"),
    ("Hashing", {"num_bins": 3, "dtype": "float32"}, "have an integer dtype"),
    ("Hashing", {"num_bins": 1, "mask_value": 0}, "at least 2"),
    ("HashedCrossing", {"num_bins": 3, "output_mode": "count"}, "`output_mode` must be one of"),
    ("StringLookup", {"vocabulary": ["a", "a"]}, "each token once.*'a'"),
    ("StringLookup", {"vocabulary": ["a", "[UNK]"]}, "the special tokens"),
    ("StringLookup", {"vocabulary": ["", "a"], "mask_token": ""}, "the special tokens"),
    ("StringLookup", {"vocabulary": WORDS, "max_tokens": 2}, "more than `max_tokens`"),
    ("StringLookup", {"vocabulary": []}, "is empty"),
    ("StringLookup", {"vocabulary": WORDS, "idf_weights": [1.0, 2.0]}, '`idf_weights` are for `output_mode="tf_idf"`'),
    ("StringLookup", {"vocabulary": WORDS, "output_mode": "tf_idf"}, "needs `idf_weights`"),
    ("StringLookup", {"vocabulary": WORDS, "output_mode": "tf_idf", "idf_weights": [1.0]}, "1 `idf_weights` for 2"),
    ("StringLookup", {"invert": True, "output_mode": "count"}, 'must be "int"'),
    ("StringLookup", {"pad_to_max_tokens": True}, "needs `max_tokens`"),
    ("StringLookup", {"vocabulary": "/no/such.txt"}, "there is no file"),
    ("IntegerLookup", {"vocabulary_dtype": "int32"}, '`vocabulary_dtype` can only be "int64"'),
    ("IntegerLookup", {"salt": 3}, '`salt` is for `oov_method="farmhash"`'),
    ("TextVectorization", {"standardize": "upper"}, "`standardize` must be one of"),
    ("TextVectorization", {"split": "line"}, "`split` must be one of"),
    ("TextVectorization", {"ngrams": "x"}, "`ngrams` must be"),
    ("TextVectorization", {"ragged": True}, "`ragged=True` needs ragged tensors"),
    ("TextVectorization", {"output_mode": "count", "output_sequence_length": 3}, "`output_sequence_length` is for"),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "arguments", "message"), WRONG, ids=str)
def test_wrong_arguments(numpy_engine: None, layer: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((ArgumentError, ArgumentTypeError), match=message):
        getattr(layers, layer)(**arguments)


def test_wrong_calls(numpy_engine: None) -> None:
    for layer in (layers.StringLookup(name="it"), layers.TextVectorization(name="it")):
        with pytest.raises(StateError, match=r"has no vocabulary yet: call adapt\(data\)"):
            layer(["a"])
    with pytest.raises(ArgumentError, match=r"no index for tokens.*\['q', 'z'\]"):
        layers.StringLookup(vocabulary=WORDS, num_oov_indices=0)(["z", "q", "a"])
    with pytest.raises(ShapeError, match=r"'it' .*one text a sample.*\(1, 2\)"):
        layers.TextVectorization(vocabulary=WORDS, name="it")([["a", "b"]])
    for layer, x in (
        (layers.TextVectorization(vocabulary=WORDS), [1]),
        (layers.StringLookup(vocabulary=WORDS), [1]),
        (layers.StringLookup(vocabulary=WORDS, invert=True), ["a"]),
        (layers.IntegerLookup(vocabulary=[1]), ["a"]),
    ):
        with pytest.raises(ArgumentTypeError, match=f"{type(layer).__name__}.*Received"):
            layer(x)
    with pytest.raises(ArgumentTypeError, match="at least two features"):
        layers.HashedCrossing(3)(["a"])
    with pytest.raises(ShapeError, match="of one shape"):
        layers.HashedCrossing(3)((np.array([1]), np.array([[1]])))
    for layer in (layers.StringLookup(vocabulary=WORDS), layers.Discretization([1.0])):
        with pytest.raises(StateError, match=r"adapt\(\)"):
            layer.adapt(["a"])
    with pytest.raises(ArgumentError, match='are for `output_mode="count"`'):
        layers.CategoryEncoding(3)(np.array([1]), count_weights=[1.0])
    weighted = layers.CategoryEncoding(3, output_mode="count")(
        np.array([[0, 2, 2]]), count_weights=[[0.5, 1, 2]]
    )
    assert weighted.tolist() == [[0.5, 0.0, 3.0]]


@pytest.mark.skipif(not API.exists(), reason="needs the table of the reference's names")
@pytest.mark.parametrize("name", ["StringLookup", "TextVectorization"])
def test_signature(name: str) -> None:
    parameters = inspect.signature(getattr(layers, name)).parameters.values()
    bare = inspect.Signature([p.replace(annotation=p.empty) for p in parameters])
    assert str(bare) == json.loads(API.read_text())[f"layers.{name}"]["signature"]
