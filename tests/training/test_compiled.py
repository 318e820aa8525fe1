"""What compile() was given, matched to outputs: names and values as the reference has them, over a table of
cases.
"""

from __future__ import annotations

import functools
import os
import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from triceras import losses, metrics, ops
from triceras.core.errors import ArgumentError, ArgumentTypeError, NotFoundError
from triceras.core.spec import KerasTensor
from triceras.engine import selection
from triceras.training.compiled import CompiledLoss, CompiledMetrics, Outputs

RNG = np.random.default_rng(3)


def data(*shape: int) -> np.ndarray:
    return RNG.random(shape).astype("float32")


LABELS = RNG.integers(0, 3, 8)
SOFTMAX = data(8, 3) + 0.1
SOFTMAX /= SOFTMAX.sum(-1, keepdims=True)
ONE, TWO = (data(8, 1), data(8, 1)), (data(8, 2), data(8, 2))
WEIGHT = data(8)

# outputs by shape of the structure: targets, predictions, names of the layers
STRUCTURES: dict[str, tuple[Any, Any, list[str] | None]] = {
    "one": (*ONE, ["da"]),
    "one in a list": ([ONE[0]], [ONE[1]], ["da"]),
    "one in a dict": ({"k": ONE[0]}, {"k": ONE[1]}, ["da"]),
    "sparse": (LABELS, SOFTMAX, ["da"]),
    "one-hot": (np.eye(3, dtype="float32")[LABELS], SOFTMAX, ["da"]),
    "list": ([TWO[0], ONE[0]], [TWO[1], ONE[1]], ["db", "da"]),
    "unnamed list": ([TWO[0], ONE[0]], [TWO[1], ONE[1]], None),
    "dict": ({"z": ONE[0], "b": TWO[0]}, {"z": ONE[1], "b": TWO[1]}, ["db", "da"]),
    "nested": (
        {"z": {"q": ONE[0], "c": TWO[0]}, "b": [TWO[0], ONE[0]]},
        {"z": {"q": ONE[1], "c": TWO[1]}, "b": [TWO[1], ONE[1]]},
        ["db", "da", "dc", "dq"],
    ),
}


def absolute(y_true: Any, y_pred: Any) -> Any:
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


class Callable:
    def __call__(self, y_true: Any, y_pred: Any) -> Any:
        return absolute(y_true, y_pred)


@dataclass(frozen=True, eq=False)
class Case:
    """One use of compile().

    Args:
        structure: of `STRUCTURES`.
        names: what the logs are called in the reference.
        loss, loss_weights, metrics, weighted: arguments of compile().
        known: whether the reference computes this case; a few of ours it refuses or gets wrong.
    """

    structure: str
    names: str
    loss: Any = "mse"
    loss_weights: Any = None
    metrics: Any = None
    weighted: Any = None
    known: bool = True

    def __str__(self) -> str:
        given = (self.loss, self.loss_weights, self.metrics, self.weighted)
        text = f"{self.structure}: {', '.join(str(g) for g in given if g is not None)}"
        return re.sub(r" at 0x[0-9a-f]+", "", text)[:120]  # the same in every process


CASES = [
    Case("one", "", metrics=None),
    Case("one", "mse", metrics=["mse"]),
    Case("one", "mae mse", metrics=[["mse", "mae"]]),
    Case("one", "mse", metrics={"da": ["mse"]}),
    Case("one", "absolute", metrics=[absolute]),
    Case("one", "partial callable", metrics=[functools.partial(absolute), Callable()]),
    Case("one", "MSE AUC auc acc accuracy ACC", metrics=["MSE", "AUC", "auc", "acc", "accuracy", "ACC"]),
    Case("one", "mse mse_1", metrics=["mse", "mse"]),
    Case("one", "acc mae mse weighted_mse", metrics=["mse"], weighted=["mse", "mae", "acc"]),
    Case("one", "mse", weighted=["mse"]),
    Case("one", "", loss={"da": "mse"}),
    Case("one", "", loss=["mse"], loss_weights=[0.5]),
    Case("one", "", loss_weights=0.5),
    Case("one in a list", "mae", loss={"da": "mse"}, metrics=["mae"]),
    Case("one in a dict", "mae", loss={"k": "mse"}, metrics={"k": "mae"}),
    Case("sparse", "accuracy", loss="sparse_categorical_crossentropy", metrics=["accuracy"]),
    Case("sparse", "ce", loss="sparse_categorical_crossentropy", metrics=["ce"], known=False),
    Case("one-hot", "accuracy", loss="categorical_crossentropy", metrics=["accuracy"]),
    Case("one-hot", "crossentropy", loss="categorical_crossentropy", metrics=["crossentropy"], known=False),
    Case("list", "da_loss db_loss"),
    Case("list", "da_loss db_loss", loss=absolute),
    Case("list", "da_loss db_loss", loss=["mse", "mae"], loss_weights=[0.1, 2.0]),
    Case("list", "da_loss db_loss", loss={"da": "mse", "db": "mae"}, loss_weights={"da": 0.1, "db": 2.0}),
    Case("list", "", loss=["mse", None]),
    Case("list", "", loss={"da": "mse", "db": None}),
    Case("list", "da_loss db_loss da_mae db_mse", metrics=["mse", "mae"]),
    Case("list", "da_loss db_loss da_mse db_mse db_mae", metrics=[["mse", "mae"], ["mse"]]),
    Case("list", "da_loss db_loss da_mse db_mae db_acc", metrics={"da": "mse", "db": ["mae", "acc"]}),
    Case("list", "da_loss db_loss da_mse", metrics=[None, "mse"]),
    Case("list", "da_loss db_loss da_mse", metrics=[[], ["mse"]]),
    Case("list", "da_loss db_loss da_mae db_mse da_weighted_mae db_weighted_mse",
         metrics=["mse", "mae"], weighted=["mse", "mae"]),
    Case("list", "da_loss db_loss", loss_weights={"da": 3.0}, known=False),
    Case("unnamed list", "mse_loss mae_loss mse mae", loss=["mse", "mae"], metrics=["mse", "mae"]),
    Case("unnamed list", "mse_loss mse_loss_1", known=False),
    Case("dict", "b_loss z_loss"),
    Case("dict", "b_loss z_loss", loss={"z": "mse", "b": "mae"}, loss_weights={"z": 0.1, "b": 2.0}),
    Case("dict", "", loss={"z": "mse"}),
    Case("dict", "b_loss z_loss b_mae b_acc z_mse", metrics={"z": "mse", "b": ["mae", "acc"]}),
    Case("dict", "b_loss z_loss z_mse", metrics={"z": "mse"}),
    Case("nested", "b/db_loss b/da_loss z/c_loss z/q_loss", known=False),
    Case("nested", "b/db_loss b/da_loss z/c_loss z/q_loss z/q_mae",
         loss={"z": {"q": "mse", "c": "mae"}, "b": ["mse", "mae"]}, metrics={"z": {"q": "mae"}}, known=False),
]  # fmt: skip
rows = pytest.mark.parametrize("case", CASES, ids=str)


@pytest.fixture(autouse=True)
def jax_engine() -> Any:
    pytest.importorskip("jax")
    with selection.running(selection.get("jax")) as active:
        yield active


@pytest.fixture(scope="session")
def keras() -> Any:
    """The reference, on JAX."""
    pytest.importorskip("jax")
    os.environ.setdefault("KERAS_BACKEND", "jax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras = pytest.importorskip("keras")
    if keras.config.backend() != "jax":
        pytest.skip("the reference runs on another backend than JAX")
    return keras


def weights_like(y: Any) -> Any:
    return {k: weights_like(v) for k, v in y.items()} if isinstance(y, dict) else (
        [weights_like(v) for v in y] if isinstance(y, list) else WEIGHT)  # fmt: skip


def ours(case: Case, weighted: bool) -> dict[str, float]:
    y, y_pred, names = STRUCTURES[case.structure]
    loss = CompiledLoss(case.loss, case.loss_weights, output_names=names)
    compiled = CompiledMetrics(case.metrics, case.weighted, output_names=names)
    weight = weights_like(y) if weighted else None
    results = {}
    for _ in range(2):
        results["loss"] = loss(y, y_pred, weight)
        compiled.update_state(y, y_pred, weight)
    results |= {m.name: m.result() for m in loss.metrics} | compiled.result()
    return {name: float(value) for name, value in results.items()}


def reference(case: Case, weighted: bool) -> dict[str, float]:
    from keras.src.trainers.compile_utils import CompileLoss, CompileMetrics

    y, y_pred, names = STRUCTURES[case.structure]
    y_pred = {k: ops.array(v) for k, v in y_pred.items()} if isinstance(y_pred, dict) else (
        [ops.array(v) for v in y_pred] if isinstance(y_pred, list) else ops.array(y_pred))  # fmt: skip
    loss = CompileLoss(case.loss, case.loss_weights, output_names=names)
    compiled = CompileMetrics(case.metrics, case.weighted, output_names=names)
    weight = weights_like(y) if weighted else None
    results = {}
    for _ in range(2):
        results["loss"] = loss(y, y_pred, weight)
        compiled.update_state(y, y_pred, weight)
    results |= {m.name: m.result() for m in loss.metrics} | compiled.result()
    return {name: float(value) for name, value in results.items()}


@rows
def test_names_of_logs(case: Case) -> None:
    assert sorted(ours(case, weighted=False)) == sorted([*case.names.split(), "loss"])


@pytest.mark.parametrize("case", [c for c in CASES if c.known], ids=str)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_names_and_values_are_the_reference_s(case: Case, weighted: bool, keras: Any) -> None:
    got, want = ours(case, weighted), reference(case, weighted)
    assert sorted(got) == sorted(want)
    for name, value in want.items():
        assert got[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name


@rows
def test_built_from_specs_and_compiled(case: Case, jax_engine: Any) -> None:
    y, y_pred, names = STRUCTURES[case.structure]

    def spec(x: Any) -> Any:
        if isinstance(x, (dict, list)):
            return {k: spec(v) for k, v in x.items()} if isinstance(x, dict) else [spec(v) for v in x]
        return KerasTensor((None, *x.shape[1:]), "int32" if x.dtype.kind == "i" else str(x.dtype))

    loss = CompiledLoss(case.loss, case.loss_weights, output_names=names)
    compiled = CompiledMetrics(case.metrics, case.weighted, output_names=names)
    assert not loss.built and not compiled.built
    loss.build(spec(y), spec(y_pred))
    compiled.build(spec(y), spec(y_pred))
    assert loss.built and compiled.built

    def step(y: Any, y_pred: Any) -> Any:
        total = loss(y, y_pred)
        compiled.update_state(y, y_pred)
        return {"loss": total} | {m.name: m.result() for m in loss.metrics} | compiled.result()

    run = jax_engine.compile(step, [*loss.variables, *compiled.variables])
    run(y, y_pred)
    got, want = {k: float(v) for k, v in run(y, y_pred).items()}, ours(case, weighted=False)
    assert got == pytest.approx(want, rel=1e-5)
    compiled.reset_state()
    assert all(np.all(v.numpy() == 0) for v in compiled.variables)


def test_targets_and_weights_may_come_by_name() -> None:
    y, y_pred, names = STRUCTURES["list"]
    loss = CompiledLoss(["mse", "mae"], output_names=names)
    want = float(loss(y, y_pred))
    assert float(loss({"da": y[1], "db": y[0]}, y_pred)) == want
    one = float(loss(y, y_pred, {"da": WEIGHT, "db": None}))
    assert one == pytest.approx(float(loss(y, y_pred, [None, WEIGHT])))
    assert float(loss(y, y_pred, WEIGHT)) == pytest.approx(float(loss(y, y_pred, [WEIGHT, WEIGHT])))


def test_losses_follow_their_keys_in_any_order() -> None:
    y, y_pred, _ = STRUCTURES["dict"]
    want = float(np.square(y["z"] - y_pred["z"]).mean() + np.abs(y["b"] - y_pred["b"]).mean())
    for given in ({"z": "mse", "b": "mae"}, {"b": "mae", "z": "mse"}):
        for targets in (y, dict(reversed(y.items()))):
            assert float(CompiledLoss(given)(targets, y_pred)) == pytest.approx(want, rel=1e-5)
    partial = CompiledLoss({"z": "mse"})
    assert float(partial({"z": y["z"]}, y_pred)) == pytest.approx(
        float(np.square(y["z"] - y_pred["z"]).mean()), rel=1e-5
    )


def test_a_dict_of_results_is_logged_by_its_own_names() -> None:
    class Both(metrics.Metric):
        def __init__(self, name: str = "both"):
            super().__init__(name=name)
            self.seen = self.add_weight(name="seen")

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self.seen.assign_add(1.0)

        def result(self) -> Any:
            return {"u": self.seen, "w": 2.0 * self.seen.value}

    compiled = CompiledMetrics([Both()])
    compiled.update_state(*ONE)
    assert {k: float(v) for k, v in compiled.result().items()} == {"u": 1.0, "w": 2.0}


def test_state_that_depends_on_shapes_is_made_when_built() -> None:
    compiled = CompiledMetrics(["r2_score", metrics.F1Score(), metrics.AUC(multi_label=True)])
    spec = KerasTensor((None, 2))
    compiled.build(spec, spec)
    assert [v.name for v in compiled.variables].count("true_positives") == 2


def test_no_output_with_a_loss() -> None:
    y, y_pred, _ = STRUCTURES["list"]
    assert CompiledLoss([None, None])(y, y_pred) is None


LIST, DICT = STRUCTURES["list"], STRUCTURES["dict"]


GIVEN = object()


def lost(structure: Any, y: Any = GIVEN, **arguments: Any) -> None:
    CompiledLoss(**{"loss": "mse", "output_names": structure[2]} | arguments)(
        structure[0] if y is GIVEN else y, structure[1]
    )


def measured(structure: Any, given: Any, y: Any = GIVEN) -> None:
    CompiledMetrics(given, output_names=structure[2]).update_state(
        structure[0] if y is GIVEN else y, structure[1]
    )


@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        (lambda: CompiledLoss("msee"), NotFoundError, "Unknown loss 'msee'"),
        (lambda: CompiledLoss("hing"), NotFoundError, "Did you mean 'hinge'"),
        (lambda: CompiledLoss(3), ArgumentTypeError, "a `loss` is a name.*Received: 3"),
        (lambda: CompiledLoss("mse", loss_weights="2"), ArgumentTypeError, "`loss_weights` are numbers"),
        (
            lambda: lost(LIST, loss=["mse"]),
            ArgumentError,
            r"`loss` must be nested as the model's outputs \['db', 'da'\]",
        ),
        (lambda: lost(LIST, loss=["mse"] * 3), ArgumentError, "one entry for each output"),
        (lambda: lost(LIST, loss=[["mse", "mae"], "mse"]), ArgumentError, "`loss` must be nested"),
        (
            lambda: lost(LIST, loss={"da": "mse", "dbb": "mse"}),
            NotFoundError,
            "no output 'dbb'. Did you mean 'db'",
        ),
        (lambda: lost(LIST, loss={"da": "mse"}), ArgumentError, r"lacks the outputs \['db'\]; give None"),
        (lambda: lost(LIST, loss_weights=[1.0]), ArgumentError, "`loss_weights` must be nested"),
        (lambda: lost(LIST, y=None), ArgumentError, "no targets for the output 'db'"),
        (lambda: lost(LIST, y=ONE[0]), ArgumentError, r"`y` must be nested.*tensor\(8, 1\)"),
        (lambda: lost(STRUCTURES["one"], y=None), ArgumentError, "There are no targets, but"),
        (
            lambda: lost(DICT, loss=["mse", "mae"]),
            ArgumentError,
            "`loss` must be nested as the model's outputs {'z': 'da'",
        ),
        (
            lambda: lost(DICT, loss={"z": "mse", "bb": "mse"}),
            NotFoundError,
            r"Expected keys \['b', 'z'\]|Did you mean 'b'",
        ),
        (lambda: lost(DICT, y=[TWO[0], ONE[0]]), ArgumentError, "`y` must be nested"),
        (lambda: lost(DICT, y={"z": ONE[0]}), ArgumentError, "no targets for the output 'b'"),
        (lambda: lost(DICT, y={"z": ONE[0], "b": TWO[0], "c": 1}), NotFoundError, "no output 'c'"),
        (lambda: lost(STRUCTURES["unnamed list"], loss={"a": "mse"}), ArgumentError, "`loss` must be nested"),
        (lambda: CompiledMetrics(["acuracy"]), NotFoundError, "Unknown metric 'acuracy'"),
        (lambda: CompiledMetrics([3]), ArgumentTypeError, "a metric is a name"),
        (lambda: measured(LIST, ["mse"]), ArgumentError, "`metrics` must be nested"),
        (lambda: measured(LIST, "mse"), ArgumentError, "`metrics` must be nested"),
        (lambda: measured(LIST, {"dc": "mse"}), NotFoundError, "`metrics`: the model has no output 'dc'"),
        (lambda: measured(DICT, ["mse", "mae"]), ArgumentError, "`metrics` must be nested"),
        (
            lambda: measured(DICT, {"z": "mse"}, y={"b": TWO[0]}),
            ArgumentError,
            "no targets for the output 'z'",
        ),
    ],
)
def test_errors(run: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        run()


def test_class_numbers_out_of_range() -> None:
    sparse = losses.SparseCategoricalCrossentropy
    outputs = {"a": KerasTensor((None, 3)), "b": KerasTensor((None, 4))}
    loss = CompiledLoss({"a": sparse(ignore_class=-1), "b": "sparse_categorical_crossentropy"})
    loss.build({k: KerasTensor((None,), "int32") for k in outputs}, outputs)
    loss.check({"a": np.array([0, 2, -1]), "b": np.array([0, 3, 1])})
    with pytest.raises(
        ArgumentError, match="of the output 'b' hold the class number 4, but there are 4 classes"
    ):
        loss.check({"a": np.array([0, 2, -1]), "b": np.array([0, 4, 1])})


def test_another_number_of_outputs_than_before() -> None:
    loss = CompiledLoss("mse")
    loss(LIST[0], LIST[1])
    with pytest.raises(ArgumentError, match="returned 1 outputs, but 2"):
        loss([ONE[0]], [ONE[1]])


def test_outputs_are_found_by_path() -> None:
    outputs = Outputs(STRUCTURES["nested"][1], STRUCTURES["nested"][2])
    assert outputs.names == ["b/db", "b/da", "z/c", "z/q"]
    assert outputs.match("loss", {"z": {"q": 1}, "b": [2, None]}) == [2, None, None, 1]
    assert outputs.match("loss", {"b": 5}) == [5, 5, None, None]
    assert losses.get("mse") is losses.mean_squared_error
