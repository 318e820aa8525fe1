"""The checks that every row of cases.py inherits."""

from __future__ import annotations

import inspect
import json
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.metrics.cases import ANSWERS, CASES, CLASSES, NUMBERS, RNG, Case
from triceras import losses, metrics, ops
from triceras.core import registry
from triceras.core.errors import ArgumentError, NotFoundError, ShapeError
from triceras.core.masks import set_mask
from triceras.engine import selection
from triceras.metrics.base import Mean, MeanMetricWrapper, Metric

API = Path(__file__).parents[2].parent / "shared" / "api" / "keras-3.15.1.json"

rows = pytest.mark.parametrize("case", CASES, ids=str)
pytestmark = pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64")  # the reference's own


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


def weights(case: Case) -> list[list[Any]]:
    """No weights, and one for each sample, for all batches."""
    found: list[list[Any]] = [[None] * len(case.batches)] if case.unweighted else []
    if case.weights:
        integers = "IoU" in case.name and case.options.get("dtype") is None
        sizes = [len(batch[0]) for batch in case.batches]
        shapes = [
            batch[0].shape if "IoU" in case.name else (n,)
            for batch, n in zip(case.batches, sizes, strict=True)
        ]
        if case.masked:
            shapes = [(n, 1) for n in sizes]
        found.append([RNG.integers(0, 4, s) if integers else RNG.random(s).astype("float32") for s in shapes])
    return found


def feed(metric: Any, case: Case, weight: list[Any], masks: list[Any] | None = None) -> Any:
    for i, batch in enumerate(case.batches):
        if masks is not None:
            tensor = ops.array(batch[-1])
            attach = set_mask if isinstance(metric, Metric) else theirs_masked()
            attach(tensor, ops.array(masks[i]))
            batch = (*batch[:-1], tensor)
        if weight[i] is None:
            metric.update_state(*batch)
        else:
            metric.update_state(*batch, sample_weight=weight[i])
    return metric.result()


def theirs_masked() -> Any:
    from keras.src.backend.common.masking import set_keras_mask

    return set_keras_mask


def close(got: Any, want: Any, tol: float) -> None:
    got, want = ops.convert_to_numpy(got), np.asarray(want)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=tol, atol=tol)


@rows
def test_values(case: Case, keras: Any) -> None:
    for weight in weights(case):
        mine = case.make(metrics)
        got = feed(mine, case, weight)
        close(got, feed(case.make(keras.metrics), case, weight), case.tol)
        assert str(got.dtype) == "float32"
        mine.reset_state()
        assert all(np.all(v.numpy() == 0) for v in mine.variables)


@pytest.mark.parametrize("case", [c for c in CASES if c.masked], ids=str)
def test_masks(case: Case, keras: Any) -> None:
    masks = [RNG.random(batch[-1].shape[:2]) > 0.4 for batch in case.batches]
    every_value = [RNG.random(mask.shape).astype("float32") for mask in masks]
    for weight in ([None] * len(masks), every_value):
        close(
            feed(case.make(metrics), case, weight, masks),
            feed(case.make(keras.metrics), case, weight, masks),
            case.tol,
        )


@rows
def test_compiled_stateless_and_numpy_equal_eager(case: Case, jax_engine: Any) -> None:
    weight = weights(case)[-1]
    want = feed(case.make(metrics), case, weight)

    compiled = case.make(metrics)
    compiled.build_state(*(case.batches[0][i].shape for i in (0, -1)))
    update = jax_engine.compile(lambda *a: compiled.update_state(*a), compiled.variables)
    result = jax_engine.compile(compiled.result, compiled.variables)
    stateless, values = case.make(metrics), None
    stateless.build_state(*(case.batches[0][i].shape for i in (0, -1)))
    values = stateless.stateless_reset_state()
    for batch, w in zip(case.batches, weight, strict=True):
        arguments = [jax_engine.make(x) for x in (*batch, w) if x is not None]
        update(*arguments)
        values = stateless.stateless_update_state(values, *arguments)
    close(result(), want, case.tol)
    close(stateless.stateless_result(values), want, case.tol)
    assert all(np.all(v.numpy() == 0) for v in stateless.variables)

    with selection.running(selection.get("numpy")):
        got = feed(case.make(metrics), case, weight)
        assert isinstance(got, (np.ndarray, np.floating))
    close(got, want, case.tol)


@rows
def test_state_has_the_reference_s_names_and_shapes(case: Case, keras: Any) -> None:
    mine, theirs = case.make(metrics, name="mine"), case.make(keras.metrics, name="mine")
    for metric in (mine, theirs):
        feed(metric, case, [None] * len(case.batches))
    described = [[(v.path, tuple(v.shape), str(v.dtype)) for v in m.variables] for m in (mine, theirs)]
    assert described[0] == described[1]
    assert mine._direction == getattr(theirs, "_direction", None)


@rows
def test_config_round_trip(case: Case, keras: Any) -> None:
    mine, theirs = case.make(metrics, name="mine"), case.make(keras.metrics, name="mine")
    config = metrics.serialize(mine)
    assert json.loads(json.dumps(config)) == config
    again = metrics.deserialize(config)
    assert type(again) is type(mine) and again.get_config() == mine.get_config()
    weight = weights(case)[-1]
    want = feed(mine, case, weight)
    others = [again, keras.metrics.deserialize(config)]
    if not set(case.options) & set(mine.unsaved):
        others.append(
            metrics.deserialize(
                json.loads(json.dumps(keras.metrics.serialize(theirs), default=np.ndarray.tolist))
            )
        )
        extra = {k for k in mine.unsaved if k in config["config"]}
        ours, reference = config["config"], keras.metrics.serialize(theirs)["config"]
        assert set(ours) - extra == set(reference)
        for key in reference:
            assert ours[key] == reference[key] or key == "label_weights"  # a tensor there
    for other in others:
        close(feed(other, case, weight), want, case.tol)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "mixed_bfloat16"])
def test_dtype(dtype: str, keras: Any) -> None:
    mine, theirs = metrics.MeanSquaredError(dtype=dtype), keras.metrics.MeanSquaredError(dtype=dtype)
    for metric in (mine, theirs):
        metric.update_state(*NUMBERS[0])
    assert [str(v.dtype) for v in mine.variables] == [str(v.dtype) for v in theirs.variables]
    assert mine.result().dtype == theirs.result().dtype
    assert mine.get_config()["dtype"] == theirs.get_config()["dtype"]


def test_public_names_and_signatures() -> None:
    if not API.exists():
        pytest.skip("the table of public names isn't there")
    table = {k: v for k, v in json.loads(API.read_text()).items() if k.startswith("metrics.")}
    for name, entry in table.items():
        found = registry.lookup(name)
        assert found is not None, name
        if "signature" in entry:
            mine = inspect.signature(found.__init__ if inspect.isclass(found) else found).parameters.values()
            text = ", ".join(
                str(p.replace(annotation=p.empty)).replace(" = ", "=") for p in mine if p.name != "self"
            )
            assert f"({text})" == entry["signature"], name
        for method in entry.get("methods", ()):
            assert callable(getattr(found, method)), f"{name}.{method}"
    assert {f"metrics.{n}" for n in registry.names("metrics")} <= set(table)


@pytest.mark.parametrize(
    ("name", "pair", "options"),
    [
        ("binary_accuracy", ANSWERS[0], {"threshold": 0.3}),
        ("categorical_accuracy", CLASSES[0], {}),
        ("sparse_categorical_accuracy", (CLASSES[0][0].argmax(-1)[:, None], CLASSES[0][1]), {}),
        ("top_k_categorical_accuracy", CLASSES[0], {"k": 2}),
        ("sparse_top_k_categorical_accuracy", (CLASSES[0][0].argmax(-1), CLASSES[0][1]), {"k": 2}),
        ("pearson_correlation", NUMBERS[0], {}),
        ("concordance_correlation", NUMBERS[0], {"axis": 0}),
    ],
)
def test_functions(name: str, pair: Any, options: dict[str, Any], keras: Any) -> None:
    close(getattr(metrics, name)(*pair, **options), getattr(keras.metrics, name)(*pair, **options), 1e-4)


@pytest.mark.parametrize(
    "name", ["mse", "MSE", "mean_squared_error", "MeanSquaredError", "auc", "f1_score", "accuracy"]
)
def test_names(name: str, keras: Any) -> None:
    assert type(metrics.get(name)).__name__ == type(keras.metrics.get(name)).__name__


def test_get() -> None:
    assert metrics.get(None) is None
    assert isinstance(metrics.get(metrics.AUC), metrics.AUC)
    assert metrics.get(max) is max
    assert metrics.get({"class_name": "AUC", "config": {"num_thresholds": 3}}).num_thresholds == 3
    with pytest.raises(NotFoundError, match="Unknown metric 'acuracy'"):
        metrics.get("acuracy")
    with pytest.raises(ArgumentError, match="Received: 3"):
        metrics.get(3)


def test_a_mean_of_a_function_keeps_its_arguments() -> None:
    metric = MeanMetricWrapper(losses.huber, name="mine", delta=2.0)
    config = metric.get_config()
    assert config["delta"] == 2.0 and config["fn"]["config"] == "huber"
    assert metric._direction == "down"
    again = metrics.deserialize(metrics.serialize(metric))
    assert float(again([[0.0]], [[4.0]])) == 6.0


def test_a_metric_of_ones_own() -> None:
    class Range(Metric):
        def __init__(self, factor: float = 1.0, name: str = "range"):
            super().__init__(name=name)
            self.factor, self.parts = factor, [Mean(name="low"), Mean(name="high")]
            self.seen = self.add_weight(name="seen", initializer="zeros")

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self.parts[0].update_state(ops.min(y_pred))
            self.parts[1].update_state(ops.max(y_pred))
            self.seen.assign_add(1.0)

        def result(self) -> Any:
            return {"low": self.parts[0].result(), "high": self.factor * self.parts[1].result()}

    metric = Range(2.0)
    metric.update_state(None, np.arange(3.0))
    assert {k: float(v) for k, v in metric.result().items()} == {"low": 0.0, "high": 4.0}
    assert [v.path for v in metric.variables] == [
        "range/seen",
        "low/total",
        "low/count",
        "high/total",
        "high/count",
    ]
    assert metric.get_config() == {"factor": 2.0, "name": "range"}
    metric.reset_state()
    assert all(float(v) == 0 for v in metric.variables)
    with pytest.raises(ArgumentError, match="must hold 5 values"):
        metric.stateless_result([1.0])
    with pytest.raises(NotImplementedError, match="defines no update_state"):
        Metric()(1.0)


def test_means_of_batches_are_means_of_the_data() -> None:
    y_true, y_pred, weight = RNG.random((101, 3)), RNG.random((101, 3)), RNG.random(101)
    metric = metrics.MeanAbsoluteError()
    for part in np.array_split(np.arange(101), 7):
        metric.update_state(y_true[part], y_pred[part], sample_weight=weight[part])
    want = np.average(np.abs(y_true - y_pred).mean(-1), weights=weight)
    assert float(metric.result()) == pytest.approx(want, rel=1e-5)


def test_masks_count_in_the_root_as_in_the_mean() -> None:
    tensor = ops.array([[[1.0], [5.0]]])
    set_mask(tensor, ops.array([[True, False]]))
    assert float(metrics.RootMeanSquaredError()(np.zeros((1, 2, 1)), tensor)) == 1.0


@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        (lambda: metrics.Precision(thresholds=2.0), ArgumentError, "`thresholds` must be between 0 and 1"),
        (lambda: metrics.Precision(class_id=7)(*ANSWERS[0]), ArgumentError, "`class_id` must be from 0 to 3"),
        (
            lambda: metrics.Recall(name="r")(np.ones((4, 3)), np.ones((4, 2))),
            ShapeError,
            "r: targets and predictions",
        ),
        (lambda: metrics.AUC(num_thresholds=1), ArgumentError, "`num_thresholds`"),
        (lambda: metrics.AUC(curve="x"), ArgumentError, "`curve`"),
        (lambda: metrics.AUC(summation_method="x"), ArgumentError, "`summation_method`"),
        (lambda: metrics.AUC(multi_label=True)(np.ones(3), np.ones(3)), ShapeError, r"\(batch, labels\)"),
        (lambda: metrics.AUC(label_weights=[1.0])(*ANSWERS[0]), ShapeError, "for 1 labels"),
        (lambda: metrics.PrecisionAtRecall(1.5), ArgumentError, "PrecisionAtRecall: `recall`"),
        (lambda: metrics.RecallAtPrecision(0.5, num_thresholds=0), ArgumentError, "`num_thresholds`"),
        (lambda: metrics.FBetaScore(beta=-1.0), ArgumentError, "`beta`"),
        (lambda: metrics.F1Score(average="x"), ArgumentError, "F1Score: `average`"),
        (lambda: metrics.F1Score(threshold=2.0), ArgumentError, "`threshold`"),
        (lambda: metrics.F1Score()(np.ones(3), np.ones((3, 2))), ShapeError, "to_categorical"),
        (lambda: metrics.R2Score("x"), ArgumentError, "`class_aggregation`"),
        (lambda: metrics.R2Score(num_regressors=-1), ArgumentError, "`num_regressors`"),
        (lambda: metrics.R2Score()(np.ones(3), np.ones(3)), ShapeError, r"\(batch, columns\)"),
        (lambda: metrics.IoU(2, [2]), ArgumentError, "`target_class_ids` must be from 0 to 1"),
        (lambda: metrics.IoU(2, [1])(np.ones(3), np.ones(4)), ShapeError, "same number of entries"),
        (
            lambda: metrics.SparseCategoricalAccuracy()(np.ones((4, 3)), np.ones((4, 3))),
            ShapeError,
            "categorical_accuracy",
        ),
        (
            lambda: metrics.CategoricalAccuracy()(np.ones(4), np.ones((4, 3))),
            ShapeError,
            "sparse_categorical_accuracy",
        ),
        (lambda: metrics.Mean()(np.ones((4, 3)), np.ones(3)), ShapeError, "mean: `sample_weight`"),
    ],
)
def test_errors(run: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        run()
