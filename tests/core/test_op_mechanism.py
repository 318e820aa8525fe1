"""One definition: promotion, dispatch, variables, symbolic calls, errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from triceras import ops
from triceras.core import config
from triceras.core.dtypes import promote, promote_float
from triceras.core.errors import EngineError
from triceras.core.spec import KerasTensor, recording
from triceras.engine import selection
from triceras.ops.op import OPS, Kept, OpError, Tensor, Tensors, broadcast_shapes, elementwise, op
from triceras.variable import Variable

ENGINES = [name for name in ("jax", "numpy") if selection.installed(name)]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Any]:
    with selection.running(selection.get(request.param)) as active:
        yield active


@pytest.fixture
def define() -> Iterator[Any]:
    """`op` for ops that vanish after the test."""
    before = set(OPS)
    yield lambda *args, **options: op(*args, at=(), **options)
    for name in set(OPS) - before:
        made = OPS.pop(name)
        config.on_floatx.remove(made.forget)


def name_of(x: Any) -> str:
    return str(x.dtype)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "bfloat16", "float16", "float32"])
def test_python_numbers_are_weak(engine: Any, dtype: str) -> None:
    x = engine.make(np.ones(3), dtype)
    floating = dtype if "float" in dtype else "float32"
    for _ in range(2):  # the second call takes the path that the first one left
        assert name_of(ops.add(x, 1)) == name_of(ops.multiply(1, x)) == dtype
        assert name_of(ops.add(x, 1.5)) == name_of(ops.subtract(1.5, x)) == floating
        assert name_of(ops.maximum(x, True)) == dtype


def test_data_of_any_kind_becomes_tensors(engine: Any) -> None:
    for given in (
        [1.0, 2.0],
        (1.0, 2.0),
        np.array([1.0, 2.0]),
        [np.float32(1), 2.0],
        engine.make([1.0, 2.0], "float32"),
    ):
        result = ops.add(given, [1, 1])
        assert name_of(result) == "float32"
        np.testing.assert_array_equal(engine.to_numpy(result), [2.0, 3.0])


def test_64_bit_results_are_narrow(engine: Any) -> None:
    assert name_of(ops.add(np.array([1]), 1)) == "int32"
    assert name_of(ops.exp(np.array([1.0]))) == "float32"


def test_variables_stand_anywhere(engine: Any) -> None:
    v = Variable(np.array([1.0, 2.0], "float32"))
    for _ in range(2):
        np.testing.assert_array_equal(ops.add(v, v), [2.0, 4.0])
        np.testing.assert_array_equal(ops.add(1, v), [2.0, 3.0])
        np.testing.assert_array_equal(ops.stack([v, [5.0, 6.0], v])[2], [1.0, 2.0])
        np.testing.assert_array_equal(ops.add([v, v], 0)[1], [1.0, 2.0])
    v.assign([3.0, 4.0])
    np.testing.assert_array_equal(ops.add(v, 0), [3.0, 4.0])


def test_results_are_arrays_never_scalars() -> None:
    with selection.running(selection.get("numpy")):
        for result in (ops.add(1, 2), ops.sum([1.0, 2.0]), ops.sqrt(np.float32(4)), ops.logaddexp(0.0, 0.0)):
            assert isinstance(result, np.ndarray)
        assert np.isnan(ops.log(-1.0))  # and no warning


@pytest.mark.skipif("jax" not in ENGINES, reason="needs two engines")
def test_the_first_tensor_decides_the_engine() -> None:
    with selection.running(selection.get("numpy")):
        x = selection.get("jax").make([1.0], "float32")
        assert isinstance(ops.add(np.ones(1, "float32"), 1), np.ndarray)
        for result in (ops.add(x, 1), ops.add(np.ones(1), x), ops.concatenate([np.ones(1), x])):
            assert selection.engine_of(type(result)).name == "jax"


def test_static_arguments_may_stand_before_tensors(engine: Any, define: Any) -> None:
    @define(promote)
    def scaled(x: Tensor, factor: float = 2.0, shift: Tensor | None = None) -> Tensor:
        return x * factor if shift is None else x * factor + shift

    x = np.ones(2, "float32")
    np.testing.assert_array_equal(scaled(x, 3.0), [3.0, 3.0])
    np.testing.assert_array_equal(scaled(x, shift=x), [3.0, 3.0])
    assert scaled(KerasTensor((None, 2)), shift=x).shape == (None, 2)


def test_kept_arguments_stay_out_of_promotion(engine: Any, define: Any) -> None:
    seen = []

    @define(promote_float)
    def pick(x: Tensor, index: Kept, more: Tensors = ()) -> Tensor:
        seen[:] = [name_of(x), name_of(index), *map(name_of, more)]
        return x

    pick(np.ones(2, "int32"), np.zeros(2, "int8"), [np.ones(1, "float16"), 2])
    assert seen == ["float16", "int8", "float16", "float16"]


def test_a_primitive_without_native_says_so(engine: Any, define: Any) -> None:
    @define()
    def unheard_of(x: Tensor) -> Tensor:
        """Nobody has it."""
        ...

    with pytest.raises(EngineError, match=rf"engine '{engine.name}' has no unheard_of"):
        unheard_of(1)


def test_the_default_float_type_is_read_anew(engine: Any) -> None:
    x = engine.make(np.ones(2), "int32")
    before = config.floatx()
    assert name_of(ops.exp(x)) == "float32"
    config.set_floatx("bfloat16")
    try:
        assert name_of(ops.exp(x)) == "bfloat16"
        assert ops.exp(KerasTensor((2,), "int32")).dtype == "bfloat16"
    finally:
        config.set_floatx(before)
    assert name_of(ops.exp(x)) == "float32"


# -- symbolic ------------------------------------------------------------------------------------------------


def test_symbolic_calls_grow_a_graph(engine: Any) -> None:
    x = KerasTensor((None, 3))
    y = ops.add(x, 1)
    node, index = y.history
    assert (y.shape, y.dtype, index) == ((None, 3), "float32", 0)
    assert node.inputs == [x] and node.operation.op is ops.add.op
    np.testing.assert_array_equal(node.operation(np.ones((1, 3), "float32"), 1), np.full((1, 3), 2.0))
    with recording(False):
        assert ops.add(x, 1).history is None


def test_symbolic_results_are_fresh_though_cached(engine: Any) -> None:
    x = KerasTensor((2, 3))
    first, second = ops.sum(x, axis=1), ops.sum(x, axis=1)
    assert first is not second and first.shape == second.shape == (2,)
    assert ops.sum(x, axis=0).shape == (3,)


def test_operators(engine: Any) -> None:
    x = KerasTensor((4,), "int32")
    assert (x / 2).dtype == "float32" and (2 - x).dtype == "int32" and (x > 1).dtype == "bool"
    v = Variable(np.array([1.0, -2.0], "float32"))
    np.testing.assert_array_equal(abs(-v) ** 2 % 3, [1.0, 1.0])


def test_broadcast_shapes() -> None:
    assert broadcast_shapes((None, 1), (4,), ()) == (None, 4)
    assert broadcast_shapes((None,), (None,)) == (None,)
    with pytest.raises(OpError, match="don't broadcast"):
        broadcast_shapes((2,), (3,))


# -- errors --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("second", [np.ones((4, 5), "float32"), KerasTensor((4, 5))])
def test_errors_say_what_was_received(engine: Any, second: Any) -> None:
    first = np.ones((2, 3), "float32")
    for kind in (ValueError, TypeError):
        with pytest.raises(kind, match=r"add\(\) can't be computed|don't broadcast") as caught:
            ops.add(first, second)
        assert "(2, 3)" in str(caught.value) and "(4, 5)" in str(caught.value)


def test_elementwise_specs_need_no_engine() -> None:
    @elementwise(promote, "bool", at=())
    def compared(x1: Tensor, x2: Tensor) -> Tensor:
        raise AssertionError("not evaluated")

    try:
        result = compared(KerasTensor((None, 1)), KerasTensor((5,)))
        assert (result.shape, result.dtype) == ((None, 5), "bool")
    finally:
        config.on_floatx.remove(OPS.pop("compared").forget)


def test_signatures_and_help_are_those_of_the_definition() -> None:
    import inspect

    assert list(inspect.signature(ops.clip).parameters) == ["x", "x_min", "x_max"]
    assert ops.amax is ops.max and ops.true_divide is ops.divide
    assert ops.add.__doc__ and ops.add.__name__ == "add"
