"""Control flow: eagerly, compiled and in graphs; gradients; variables assigned inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from triceras import ops
from triceras.core import tree
from triceras.core.errors import ArgumentError, ArgumentTypeError, EngineError, ShapeError
from triceras.core.spec import KerasTensor
from triceras.engine import selection
from triceras.variable import Variable

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.5]], "float32")


@dataclass(frozen=True)
class Flow:
    """One use: a function of tensors, and what NumPy says it gives."""

    name: str
    run: Callable[..., Any]
    expect: Callable[..., Any]
    args: tuple[Any, ...] = (X,)

    def __str__(self) -> str:
        return self.name


def _linear(a: Any, b: Any) -> Any:
    return a[0] * b[0], a[1] * b[0] + b[1]


FLOWS = [
    Flow("cond", lambda x: ops.cond(ops.sum(x) > 0, lambda: x * 2, lambda: x + 1), lambda x: x * 2),
    Flow("cond otherwise", lambda x: ops.cond(ops.sum(x) < 0, lambda: x * 2, lambda: x + 1), lambda x: x + 1),
    Flow(
        "cond nested",
        lambda x: ops.cond(True, lambda: {"a": x, "b": (x, None)}, lambda: None),
        lambda x: [x, x, None],
    ),
    Flow(
        "switch",
        lambda x: ops.switch(ops.cast(ops.sum(x), "int32"), [lambda v: v, lambda v: -v, lambda v: v * 3], x),
        lambda x: x * 3,
    ),
    Flow(
        "switch beyond", lambda x: ops.switch(7, [lambda v, w: v, lambda v, w: w], x, x * 2), lambda x: x * 2
    ),
    Flow(
        "while_loop",
        lambda x: ops.while_loop(lambda i, v: i < 3, lambda i, v: (i + 1, v * 2), (0, x)),
        lambda x: [3, x * 8],
    ),
    Flow(
        "while_loop single",
        lambda x: ops.while_loop(lambda v: ops.max(v) < 9, lambda v: v * 2, x),
        lambda x: x * 8,
    ),
    Flow(
        "while_loop limited",
        lambda x: ops.while_loop(lambda v: True, lambda v: v + 1, x, maximum_iterations=4),
        lambda x: x + 4,
    ),
    Flow(
        "while_loop dict",
        lambda x: ops.while_loop(
            lambda d: d["n"] < 2, lambda d: {"n": d["n"] + 1, "x": d["x"] * 2}, {"n": 0, "x": x}
        ),
        lambda x: [2, x * 4],
    ),
    Flow(
        "fori_loop",
        lambda x: ops.fori_loop(1, 4, lambda i, v: v * ops.cast(i, "float32"), x),
        lambda x: x * 6,
    ),
    Flow(
        "fori_loop tensor bounds",
        lambda x: ops.fori_loop(ops.array(0), ops.array(3), lambda i, v: v * 2, x),
        lambda x: x * 8,
    ),
    Flow("scan", lambda x: ops.scan(lambda c, v: (c + v, c * v), ops.ones(3), x), lambda x: _scanned(x)),
    Flow(
        "scan reversed",
        lambda x: ops.scan(lambda c, v: (c + v, c), 0.0, x[0], reverse=True)[1],
        lambda x: np.cumsum(x[0, ::-1])[::-1] - x[0],
    ),
    Flow(
        "scan without xs",
        lambda x: ops.scan(lambda c, _: (c * 2, None), x, length=3, unroll=True),
        lambda x: [x * 8, None],
    ),
    Flow(
        "map",
        lambda x: ops.map(lambda v: {"sum": ops.sum(v), "double": v * 2}, x),
        lambda x: [x * 2, x.sum(1)],
    ),
    Flow("map of several", lambda x: ops.map(lambda p: p[0] * p[1], (x, x[:, 0])), lambda x: x * x[:, :1]),
    Flow(
        "vectorized_map",
        lambda x: ops.vectorized_map(lambda v: ops.outer(v, v), x),
        lambda x: x[:, :, None] * x[:, None],
    ),
    Flow("associative_scan", lambda x: ops.associative_scan(ops.add, x, axis=1), lambda x: np.cumsum(x, 1)),
    Flow(
        "associative_scan reversed",
        lambda x: ops.associative_scan(ops.add, x, reverse=True, axis=-1),
        lambda x: np.cumsum(x[:, ::-1], 1)[:, ::-1],
    ),
    Flow(
        "associative_scan of pairs",
        lambda x: ops.associative_scan(_linear, (x, x), axis=1)[1],
        lambda x: _recurrence(x),
    ),
    Flow("vectorize", lambda x: ops.vectorize(lambda a, b: a * b + 1)(x, x[0]), lambda x: x * x[0] + 1),
    Flow(
        "vectorize with axes",
        lambda x: ops.vectorize(lambda m, v: ops.sum(m * v), signature="(n),(n)->()")(x, x[1]),
        lambda x: (x * x[1]).sum(1),
    ),
    Flow(
        "vectorize with keywords",
        lambda x: ops.vectorize(lambda a, scale: a * scale, excluded={"scale"})(x, scale=3),
        lambda x: x * 3,
    ),
    Flow(
        "custom_gradient",
        lambda x: ops.custom_gradient(lambda v: (v * 2, lambda up: up * 7))(x),
        lambda x: x * 2,
    ),
    Flow("stop_gradient", lambda x: ops.stop_gradient(x) * x, lambda x: x * x),
]


def _scanned(x: np.ndarray) -> list[np.ndarray]:
    return [1 + x.sum(0), np.stack([x[0], (1 + x[0]) * x[1]])]


def _recurrence(x: np.ndarray) -> np.ndarray:
    result = [x[:, 0]]
    for column in x.T[1:]:
        result.append(result[-1] * column + column)
    return np.stack(result, 1)


ENGINES = [name for name in selection.MODULES if selection.installed(name)]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Any]:
    with selection.running(selection.get(request.param)) as active:
        yield active


@pytest.fixture(params=[name for name in ENGINES if selection.get(name).differentiates])
def compiler(request: pytest.FixtureRequest) -> Iterator[Any]:
    """An engine that compiles and differentiates."""
    with selection.running(selection.get(request.param)) as active:
        yield active


flows = pytest.mark.parametrize("flow", FLOWS, ids=str)


def assert_same(got: Any, expected: Any) -> None:
    got, expected = tree.flatten(got), tree.flatten(expected)
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(ops.convert_to_numpy(a), b, rtol=1e-5, atol=1e-6)


def evaluate(outputs: Any, given: dict[int, Any]) -> Any:
    """Run the graph behind symbolic results on values for its inputs."""
    known = dict(given)

    def value(x: Any) -> Any:
        if not isinstance(x, KerasTensor):
            return x
        if id(x) not in known:
            node, _ = x.history
            args, kwargs = tree.map_structure(value, (node.args, node.kwargs))
            results = [r for r in tree.flatten(node.operation(*args, **kwargs)) if r is not None]
            known.update((id(t), r) for t, r in zip(node.outputs, results, strict=True))
        return known[id(x)]

    return tree.map_structure(value, outputs)


@flows
def test_eager(flow: Flow, engine: Any) -> None:
    assert_same(flow.run(*map(engine.make, flow.args)), flow.expect(*flow.args))


eagerly = pytest.mark.filterwarnings("ignore:A step can't be compiled")  # where conditions can't be captured


@flows
@eagerly
def test_compiled(flow: Flow, compiler: Any) -> None:
    result = compiler.compile(lambda *args: [x for x in tree.flatten(flow.run(*args)) if x is not None], [])(
        X
    )
    assert_same(result, [x for x in tree.flatten(flow.expect(X)) if x is not None])


@flows
@pytest.mark.parametrize("unknown", [False, True])
def test_symbolic(flow: Flow, engine: Any, unknown: bool) -> None:
    x = KerasTensor((None, 3) if unknown else X.shape)
    if unknown and flow.name in ("scan", "switch"):
        pytest.skip("needs the first size")
    outputs = flow.run(x)
    expected = flow.expect(X)
    for spec, value in zip(tree.flatten(outputs), tree.flatten(expected), strict=True):
        if isinstance(spec, KerasTensor):
            assert all(n in (None, m) for n, m in zip(spec.shape, np.shape(value), strict=True))
    assert_same(evaluate(outputs, {id(x): engine.make(X)}), expected)


def test_symbolic_tensors_only_in_the_function(engine: Any) -> None:
    x = KerasTensor((2, 3))
    total = ops.sum(x)
    last, each = ops.scan(lambda c, _: (c + total, c), 0.0, length=3)
    assert (last.shape, each.shape) == ((), (3,))
    assert_same(evaluate((last, each), {id(x): engine.make(X)}), (3 * X.sum(), np.arange(3) * X.sum()))


def test_layers_of_branches_share_operands(engine: Any) -> None:
    x, y, flag = KerasTensor((3,)), KerasTensor((3,)), KerasTensor((), "bool")
    out = ops.cond(flag, lambda: x + y, lambda: y * 2)
    for choice, expected in ((True, X[0] + X[1]), (False, X[1] * 2)):
        given = {id(x): engine.make(X[0]), id(y): engine.make(X[1]), id(flag): engine.make(np.array(choice))}
        assert_same(evaluate(out, given), expected)


def test_variables_assigned_inside(engine: Any) -> None:
    count = Variable(0.0)

    def step(i: Any, total: Any) -> Any:
        count.assign_add(1.0)
        return i + 1, total + count.value

    _, total = ops.while_loop(lambda i, total: count.value < 3, step, (0, 0.0))
    assert_same((total, count.value), (6.0, 3.0))
    ops.scan(lambda c, x: (count.assign_add(x).value, None), 0.0, X[0])
    assert_same(count.value, 4.5)
    ops.cond(count.value > 0, lambda: count.assign(1.0).value, lambda: count.value)
    assert_same(count.value, 1.0)


@eagerly
def test_variables_assigned_inside_compiled(compiler: Any) -> None:
    count = Variable(0.0)

    def step(x: Any) -> Any:
        ops.fori_loop(0, 3, lambda i, v: count.assign_add(v).value * 0 + v, ops.sum(x))
        return ops.cond(
            ops.sum(x) > 100, lambda: count.assign_add(10.0).value, lambda: count.assign_sub(1.0).value
        )

    run = compiler.compile(step, [count])
    for i in (1, 2):
        assert_same((run(X), count.value), (i * (3 * X.sum() - 1),) * 2)
    with pytest.raises(EngineError, match="vectorized_map"):
        ops.vectorized_map(lambda x: count.assign(x).value, X[0])


def test_gradients(compiler: Any) -> None:
    scale = Variable(2.0)

    def grad(fn: Callable[[], Any]) -> float:
        return float(compiler.value_and_grad(lambda: ops.sum(fn()), [scale])()[1][0])

    x = compiler.make(X[0])
    assert grad(lambda: ops.fori_loop(0, 3, lambda i, v: v * scale.value, x)) == pytest.approx(
        12 * X[0].sum()
    )
    assert grad(lambda: ops.cond(scale.value > 0, lambda: scale.value * 3, lambda: scale.value)) == 3.0
    assert grad(lambda: ops.stop_gradient(scale.value) * scale.value) == 2.0
    own = ops.custom_gradient(lambda a, b, k=1: (ops.sum(a * b) * k, lambda up: (up * 100, None)))
    assert grad(lambda: own(scale.value, x, k=2)) == 100.0
    result, tangent = ops.jvp(lambda v: v * v, (x,), (x,))
    assert_same((result, tangent), (X[0] ** 2, 2 * X[0] ** 2))
    assert_same(ops.jvp(lambda v: (v * v, v), (x,), (x,), has_aux=True), (X[0] ** 2, 2 * X[0] ** 2, X[0]))


@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        (lambda: ops.cond(True, 1, 2), ArgumentTypeError, "cond"),
        (lambda: ops.cond(X > 0, lambda: 1, lambda: 2), ShapeError, "ops.where"),
        (lambda: ops.switch(0, []), ArgumentError, "at least one"),
        (lambda: ops.scan(lambda c, x: (c, x), 0.0), ArgumentError, "`length`"),
        (lambda: ops.scan(lambda c, x: (c, x), 0.0, X, length=3), ShapeError, "`length`=3"),
        (lambda: ops.scan(lambda c, x: (c, x), 0.0, X, unroll=0), ArgumentError, "`unroll`"),
        (lambda: ops.map(lambda x: x, 1.0), ShapeError, "scalar"),
        (lambda: ops.map(lambda x: x, (X, X[:1])), ShapeError, r"\[1, 2\]"),
        (lambda: ops.associative_scan(ops.add, X, axis=2), ArgumentError, "axis"),
        (lambda: ops.vectorize(ops.add, signature="n->n"), ArgumentError, "signature"),
        (lambda: ops.vectorize(ops.dot, signature="(n),(n)->()")(X, X[:, :2]), ShapeError, "'n'"),
        (lambda: ops.custom_gradient(lambda x: x)(X), ArgumentError, "grad_function"),
    ],
)
def test_errors(run: Callable[[], Any], error: type[Exception], message: str, engine: Any) -> None:
    with pytest.raises(error, match=message):
        run()


def test_numpy_has_no_derivatives() -> None:
    with selection.running(selection.get("numpy")), pytest.raises(EngineError, match="derivatives"):
        ops.jvp(lambda v: v, (X,), (X,))
