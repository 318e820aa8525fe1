from __future__ import annotations

import numpy as np
import pytest

from triceras.utils.arrays import normalize, pad_sequences, to_categorical


class Tensor:
    """What an engine's tensor offers at least."""

    def __init__(self, values):
        self.values = np.asarray(values)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype)


@pytest.mark.parametrize(
    ("labels", "classes", "shape"),
    [
        ([0, 2, 1], None, (3, 3)),
        ([0, 1], 5, (2, 5)),
        ([[0], [1]], 3, (2, 3)),
        (np.zeros((2, 3, 1), int), 4, (2, 3, 4)),
        (np.zeros((2, 3), "uint8"), 4, (2, 3, 4)),
        ([0.0, 2.0], None, (2, 3)),
        ([True, False], None, (2, 2)),
        (3, None, (4,)),
        ([1], 3, (1, 3)),
        ([], 4, (0, 4)),
        (Tensor([1, 0]), None, (2, 2)),
    ],
)
def test_to_categorical(labels, classes, shape):
    rows = to_categorical(labels, classes)
    assert rows.shape == shape and rows.dtype == np.float64
    assert np.array_equal(rows.argmax(-1).ravel(), np.asarray(labels).ravel())
    assert np.all(rows.sum(-1) == 1)


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        ([-1, 0], None, "from 0 up"),
        ([3], 3, "labels 0 to 2"),
        ([0.5], None, "whole numbers"),
        ([np.nan], None, "whole numbers"),
        ([np.inf], None, "finite"),
        ([], None, "num_classes"),
    ],
)
def test_to_categorical_refuses(labels, classes, message):
    with pytest.raises(ValueError, match=message):
        to_categorical(labels, classes)


def test_to_categorical_refuses_names():
    with pytest.raises(TypeError, match=r"numpy\.unique"):
        to_categorical(["cat", "dog"])


@pytest.mark.parametrize("order", [1, 2, 3, np.inf])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_normalize(axis, order, dtype):
    x = np.arange(-3, 9).reshape(3, 4).astype(dtype)
    result = normalize(x, axis, order)
    assert result.shape == x.shape and result.dtype == ("float64" if dtype == "int64" else dtype)
    np.testing.assert_allclose(np.linalg.norm(result, order, axis=axis), 1, rtol=1e-6)


def test_normalize_keeps_zero_vectors_and_shapes():
    assert np.array_equal(normalize(np.zeros((2, 3))), np.zeros((2, 3)))
    np.testing.assert_allclose(normalize([3.0, 4.0]), [0.6, 0.8])
    with pytest.raises(ValueError, match="axis=5"):
        normalize(np.zeros((2, 3)), axis=5)
    with pytest.raises(TypeError, match="numbers"):
        normalize(["a"])


@pytest.mark.parametrize(
    ("sequences", "options", "expected"),
    [
        ([[1], [2, 3], [4, 5, 6]], {}, [[0, 0, 1], [0, 2, 3], [4, 5, 6]]),
        ([[1], [2, 3], [4, 5, 6]], {"maxlen": 2}, [[0, 1], [2, 3], [5, 6]]),
        ([[1], [4, 5, 6]], {"maxlen": 2, "padding": "post", "truncating": "post"}, [[1, 0], [4, 5]]),
        ([[1.5]], {"maxlen": 2, "dtype": "float32", "value": -1}, [[-1, 1.5]]),
        ([[[1, 2]], [[3, 4], [5, 6]]], {}, [[[0, 0], [1, 2]], [[3, 4], [5, 6]]]),
        ([[], [1]], {"value": 7}, [[7], [1]]),
        ([["a"], ["b", "c"]], {"dtype": object, "value": "pad"}, [["pad", "a"], ["b", "c"]]),
        ([(1, 2), np.array([3])], {"padding": "post"}, [[1, 2], [3, 0]]),
        ([[1, 2]], {"maxlen": 0}, np.zeros((1, 0))),
        ([], {"maxlen": 3}, np.zeros((0, 3))),
    ],
)
def test_pad_sequences(sequences, options, expected):
    result = pad_sequences(sequences, **options)
    assert result.dtype == options.get("dtype", "int32")
    assert np.array_equal(result, np.asarray(expected, result.dtype))


@pytest.mark.parametrize(
    ("sequences", "options", "message"),
    [
        ([[1]], {"padding": "left"}, "padding"),
        ([[1]], {"truncating": "left"}, "truncating"),
        ([1, 2], {}, "each with a length"),
        (3, {}, "list of sequences"),
        (iter([[1]]), {}, "list of sequences"),
        ([[1]], {"maxlen": -1}, "maxlen"),
        ([[1]], {"value": "x"}, "dtype=object"),
        ([[[1, 2]], [[1]]], {}, "sequence 1"),
        ([["a"]], {}, "sequence 0"),
    ],
)
def test_pad_sequences_refuses(sequences, options, message):
    with pytest.raises(ValueError, match=message):
        pad_sequences(sequences, **options)
