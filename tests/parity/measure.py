"""What every row of the test tables gives on each engine: values and gradients, to be compared between engines."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests import test_losses
from tests.layers import test_layers
from tests.metrics import cases as metric_cases
from tests.ops import test_ops
from tests.optimizers import test_optimizers
from triceras import losses, metrics, ops
from triceras.core.dtypes import FLOATS, standardize_dtype
from triceras.engine import selection
from triceras.variable import Variable

Arrays = list[np.ndarray]
WRITING = bool(os.environ.get("TRICERAS_WRITE_PARITY"))
# The first engine is the one that the others are compared with. JAX takes part only when the page is written: it
# compiles each of these tiny programs, which takes minutes, and other tests compare it with NumPy or the reference.
NAMES = ("jax", "torch", "tensorflow") if WRITING else ("torch", "tensorflow")
ENGINES = [name for name in NAMES if selection.installed(name)]
FIRST, *OTHERS = ENGINES or [""]


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Args:
        name: how it is shown.
        run: gives values and gradients, on the active engine.
    """

    name: str
    run: Callable[[], tuple[Arrays, Arrays]]


def difference(a: Arrays, b: Arrays) -> float:
    """The largest difference, in parts of the row's largest value where that is above 1; infinite if forms differ.

    Of the whole row, because what cancels to 0 (the gradient of a key's bias) keeps the rounding of its terms.
    """
    if [x.shape for x in a] != [x.shape for x in b]:
        return np.inf
    worst, scale = 0.0, 1.0
    for x, y in zip(a, b, strict=True):
        kind = "complex128" if "c" in (x.dtype.kind, y.dtype.kind) else "float64"
        x, y = x.astype(kind), y.astype(kind)
        if not np.array_equal(np.isnan(x), np.isnan(y)):
            return np.inf
        with np.errstate(invalid="ignore"):
            gap = np.where((x == y) | np.isnan(x), 0, abs(x - y))
        scale = max(scale, abs(y[np.isfinite(y)]).max(initial=0))
        worst = max(worst, float(gap.max(initial=0)))
    return worst / scale


def on(engine: str, row: Row) -> tuple[Arrays, Arrays]:
    """A row's values and gradients on an engine."""
    with selection.running(selection.get(engine)), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return row.run()


def _floats(tensors: list[Any]) -> list[Any]:
    return [x for x in tensors if hasattr(x, "dtype") and standardize_dtype(x.dtype) in FLOATS]


def _array(x: Any) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(x))


def _measured(compute: Callable[[], list[Any]], variables: list[Variable]) -> tuple[Arrays, Arrays]:
    """What `compute` gives, and gradients of a fixed weighted sum of it."""
    weights = np.random.default_rng(5)
    kept: list[Any] = []

    def loss() -> Any:
        kept[:] = compute()
        total = ops.sum(variables[0] * 0.0)
        for x in _floats(kept):
            total = total + ops.sum(x * ops.cast(weights.normal(size=tuple(x.shape)), x.dtype))
        return total, [x for x in kept if hasattr(x, "dtype")]

    if not variables:
        return [_array(x) for x in compute() if hasattr(x, "dtype")], []
    (_, outputs), grads = selection.current().value_and_grad(loss, variables, has_aux=True)()
    return [_array(x) for x in outputs], [_array(g) for g in grads]


# -- families ------------------------------------------------------------------------------------------------


def of_ops() -> Iterator[Row]:
    for case in test_ops.CASES:

        def run(case: Any = case) -> tuple[Arrays, Arrays]:
            variables: list[Variable] = []

            def variable(x: np.ndarray) -> Variable:
                variables.append(Variable(x))
                return variables[-1]

            args = test_ops.replace(case.args, variable, lambda x: case.grad and test_ops.is_data(x, "f"))
            fn = test_ops.function(case)
            return _measured(lambda: test_ops.leaves(test_ops.call(fn, case, args)), variables)

        yield Row(f"ops.{case}", run)


def of_layers() -> Iterator[Row]:
    for case in test_layers.CASES:

        def run(case: Any = case) -> tuple[Arrays, Arrays]:
            layer = test_layers.built(case)
            inputs = test_layers.listed(test_layers.data(case))
            given = [Variable(x) if x.dtype.kind == "f" else x for x in inputs]
            variables = [*layer.trainable_variables, *(v for v in given if isinstance(v, Variable))]

            def compute() -> list[Any]:
                tensors = [v.value if isinstance(v, Variable) else v for v in given]
                result = layer(
                    *test_layers.args(case, tensors), **test_layers.flags(layer, case, case.training)
                )
                return test_ops.leaves(result)

            return _measured(compute, variables)

        yield Row(f"layers.{case}", run)


def of_losses() -> Iterator[Row]:
    for case in test_losses.CASES:

        def run(case: Any = case) -> tuple[Arrays, Arrays]:
            predicted = [Variable(y) for _, y in case.pairs]
            loss = case.make(losses)
            return _measured(
                lambda: [loss(true, v.value) for (true, _), v in zip(case.pairs, predicted, strict=True)],
                predicted,
            )

        yield Row(f"losses.{case}", run)


def of_metrics() -> Iterator[Row]:
    for case in metric_cases.CASES:

        def run(case: Any = case) -> tuple[Arrays, Arrays]:
            metric = case.make(metrics)
            for batch in case.batches:
                metric.update_state(*batch)
            result = metric.result()
            found = list(result.values()) if isinstance(result, dict) else [result]
            return [_array(x) for x in found], []

        yield Row(f"metrics.{case}", run)


def of_optimizers() -> Iterator[Row]:
    for case in test_optimizers.CASES:

        def run(case: Any = case) -> tuple[Arrays, Arrays]:
            optimizer, variables = test_optimizers.ours(case)
            for grads in test_optimizers.gradients(case, 8):
                optimizer.apply(grads, variables)
            return [v.numpy() for v in (*variables, *optimizer.variables)], []

        yield Row(f"optimizers.{case}", run)


# family: its rows, and the largest differences of values and of gradients that are allowed
FAMILIES: dict[str, tuple[Callable[[], Iterator[Row]], float, float]] = {
    "ops": (of_ops, 2e-5, 1e-4),
    "layers": (of_layers, 1e-5, 2e-4),
    "losses": (of_losses, 1e-5, 1e-4),
    "metrics": (of_metrics, 1e-5, 0.0),
    "optimizers": (of_optimizers, 1e-5, 0.0),
}
