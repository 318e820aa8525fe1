"""Making, arranging and indexing: what the rows of the tables can't say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from triceras import ops
from triceras.core.errors import ArgumentError, EngineError, ShapeError, SymbolicValueError
from triceras.core.spec import KerasTensor
from triceras.engine import selection
from triceras.variable import Variable

A = np.arange(6, dtype="float32").reshape(2, 3)
UNKNOWN = KerasTensor((None, 4, 6))


@pytest.fixture(params=[name for name in selection.MODULES if selection.installed(name)], autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[Any]:
    with selection.running(selection.get(request.param)) as active:
        yield active


@pytest.mark.parametrize(
    ("result", "shape"),
    [
        (lambda x: ops.reshape(x, (-1, 24)), (None, 24)),
        (lambda x: ops.reshape(x, (ops.shape(x)[0], 24)), (None, 24)),
        (lambda x: ops.reshape(x, (None, -1)), (None, None)),
        (lambda x: ops.reshape(x, (5, 7, -1)), (5, 7, None)),
        (lambda x: x[0], (4, 6)),
        (lambda x: x[:, -1], (None, 6)),
        (lambda x: x[:10], (None, 4, 6)),
        (lambda x: x[..., None, ::2], (None, 4, 1, 3)),
        (lambda x: x[:, [0, 2]], (None, 2, 6)),
        (lambda x: x[KerasTensor((3,), "int32")], (3, 4, 6)),
        (lambda x: ops.split(x, 7)[0], (None, 4, 6)),
        (lambda x: ops.split(x, [1, 3])[1], (2, 4, 6)),
        (lambda x: ops.concatenate([x, x]), (None, 4, 6)),
        (lambda x: ops.stack([x, KerasTensor((2, 4, 6))]), (2, 2, 4, 6)),
        (lambda x: ops.repeat(x, [1, 2, 0, 1], axis=1), (None, 4, 6)),
        (lambda x: ops.nonzero(x)[0], (None,)),
        (lambda x: ops.unique(x, size=3), (3,)),
        (lambda x: ops.rearrange(x, "b (h w) c -> b c h w", h=2), (None, 6, 2, 2)),
        (lambda x: ops.diagonal(x), (6, None)),
        (lambda x: ops.convert_to_tensor(x, "int32"), (None, 4, 6)),
    ],
)
def test_shapes_with_unknown_sizes(
    result: Callable[[Any], KerasTensor], shape: tuple[int | None, ...]
) -> None:
    assert result(UNKNOWN).shape == shape


@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        (lambda: ops.reshape(A, (4, 2)), ShapeError, r"\(2, 3\) \(6 elements\)"),
        (lambda: ops.reshape(A, (-1, -1)), ShapeError, "one -1"),
        (lambda: ops.squeeze(A, 0), ShapeError, "size 2"),
        (lambda: ops.split(A, 2, axis=1), ShapeError, "2 equal parts"),
        (lambda: ops.unstack(UNKNOWN), ShapeError, "`num`"),
        (lambda: ops.repeat(A, [1, 2], axis=1), ArgumentError, "`repeats`"),
        (lambda: ops.pad(A, ((1, 1), (1, 1), (1, 1))), ArgumentError, "`pad_width`"),
        (lambda: ops.pad(A, 1, mode="edge", constant_values=1), ArgumentError, "constant_values"),
        (lambda: ops.rearrange(A, "a b -> a"), ArgumentError, "both sides"),
        (lambda: ops.rearrange(A, "(a b) c -> a b c"), ArgumentError, "all but one"),
        (lambda: ops.moveaxis(A, 2, 0), ArgumentError, "`source`=2"),
        (lambda: ops.zeros((2, -1)), ArgumentError, "non-negative"),
        (lambda: ops.eye(2.5), ArgumentError, "2.5"),
        (lambda: ops.convert_to_tensor([[1], [2, 3]]), ArgumentError, "inhomogeneous"),
        (lambda: ops.convert_to_tensor("a"), ArgumentError, "'a'"),
        (lambda: ops.convert_to_tensor(2**40), ArgumentError, "int32"),
        (lambda: ops.convert_to_numpy(UNKNOWN), SymbolicValueError, "symbolic"),
        (lambda: ops.get_item(A, (0, 0, 0)), IndexError, "too many"),
        (lambda: ops.get_item(A, "a"), ArgumentError, "integers"),
        (lambda: ops.scatter_update(A, [[0]], A[:1], "median"), ArgumentError, "reduction"),
        (lambda: ops.searchsorted(A, A), ShapeError, "vector"),
        (lambda: ops.solve(A, A), ShapeError, "square"),
        (lambda: ops.cholesky(-np.eye(2)), ArgumentError, "positive definite"),
        (lambda: ops.norm(A, ord="max"), ArgumentError, "fro"),
        (lambda: ops.qr(A, mode="r"), ArgumentError, "reduced"),
    ],
)
def test_errors(run: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        run()


def test_iteration_ends() -> None:
    variable = Variable(A)
    assert [ops.convert_to_numpy(row).tolist() for row in variable] == A.tolist()
    with pytest.raises(IndexError):
        variable[2]


def test_conversions_take_anything(engine: Any) -> None:
    values = [Variable(A), A, A.tolist(), [Variable(row) for row in A], engine.make(A)]
    for value in values:
        tensor = ops.convert_to_tensor(value)
        assert ops.is_tensor(tensor)
        assert ops.dtype(tensor) == "float32"
        np.testing.assert_array_equal(ops.convert_to_numpy(tensor), A)
        np.testing.assert_array_equal(ops.convert_to_numpy(value), A)
        assert ops.convert_to_numpy(ops.cast(value, "int32")).dtype == "int32"
        assert ops.shape(tensor) == (2, 3)
    assert not ops.is_tensor(Variable(A)) and not ops.is_tensor(UNKNOWN)
    assert ops.convert_to_tensor(UNKNOWN) is UNKNOWN


def test_sizes() -> None:
    assert (ops.ndim(A), ops.size(A), ops.size(KerasTensor((2, 3)))) == (2, 6, 6)
    assert ops.size(UNKNOWN).shape == ()
    assert ops.dtype([1.5]) == "float32"


def test_64_bits_become_32(engine: Any) -> None:
    """Results do everywhere; what is asked for, where the engine makes no tensors of 64 bits."""
    kept = {ops.dtype(engine.make(np.zeros(1, dtype))) for dtype in ("int64", "float64")}
    for made in (ops.ones(2, "int64"), ops.cast(A, "float64"), ops.transpose(A.astype("float64"))):
        assert ops.dtype(ops.add(made, made)) in ("int32", "float32")
        assert ops.dtype(made) in kept


def test_data_dependent_sizes_in_compiled_steps() -> None:
    jax = pytest.importorskip("jax")
    with selection.running(selection.get("jax")):
        with pytest.raises(EngineError, match="depends on the data"):
            jax.jit(ops.nonzero)(A)
        with pytest.raises(EngineError, match="size="):
            jax.jit(ops.unique)(A)


@pytest.mark.parametrize("condition", [True, False, 1, 0.0, [1, 0, 1], np.array([True, False, True]), A > 2])
def test_a_choice_takes_any_condition(condition: Any) -> None:
    found = ops.where(condition, ops.convert_to_tensor(A), 7.0)
    assert np.array_equal(ops.convert_to_numpy(found), np.where(condition, A, 7.0))


@pytest.mark.parametrize(("low", "high"), [(1, 4.5), (None, 2), (1, None), (A - 1, 3.0), (2, A)])
def test_limits_may_be_numbers_and_tensors(low: Any, high: Any) -> None:
    found = ops.clip(ops.convert_to_tensor(A), low, high)
    assert np.array_equal(ops.convert_to_numpy(found), np.clip(A, low, high))


def test_zeros_keep_their_signs() -> None:
    for value in (0.0, -0.0, 0.0):
        filled = ops.convert_to_numpy(ops.full((2,), value))
        assert np.array_equal(np.signbit(filled), np.signbit([value, value]))


@pytest.mark.parametrize(
    ("value", "dtype"), [(300, "uint8"), (-1, "uint8"), (2.7, "int32"), (2, "bool"), (3, "float16")]
)
def test_a_filler_is_cast_to_the_dtype(value: Any, dtype: str) -> None:
    wanted = np.asarray(value).astype(dtype)
    zeros = ops.zeros((2,), dtype)
    for filled in (ops.full((2,), value, dtype), ops.full_like(zeros, value)):
        assert np.array_equal(ops.convert_to_numpy(filled), [wanted, wanted])
    assert ops.convert_to_numpy(ops.pad(zeros, 1, constant_values=value))[0] == wanted
