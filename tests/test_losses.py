"""One row for each use of a loss; every row inherits all the checks below."""

from __future__ import annotations

import inspect
import json
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triceras import losses, ops
from triceras.core import registry
from triceras.core.errors import ArgumentError, ArgumentTypeError, NotFoundError, ShapeError
from triceras.core.masks import set_mask
from triceras.engine import selection
from triceras.losses.base import REDUCTIONS, Loss, LossFunctionWrapper

API = Path(__file__).parents[1].parent / "shared" / "api" / "keras-3.15.1.json"
RNG = np.random.default_rng(7)


def uniform(*shape: int) -> np.ndarray:
    return RNG.random(shape).astype("float32")


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


def simplex(*shape: int) -> np.ndarray:
    raw = uniform(*shape) + 0.1
    return raw / raw.sum(-1, keepdims=True)


def one_hot(*shape: int) -> np.ndarray:
    return np.eye(shape[-1], dtype="float32")[labels(*shape[:-1], classes=shape[-1])]


def labels(*shape: int, classes: int) -> np.ndarray:
    return RNG.integers(0, classes, shape)


def bits(*shape: int) -> np.ndarray:
    return RNG.integers(0, 2, shape).astype("float32")


@dataclass(frozen=True, eq=False)
class Case:
    """One use of a loss.

    Args:
        name: of the class in `losses`.
        pairs: batches of targets and predictions.
        options: constructor arguments.
        function: the name of the function, where there is one with the same options.
        masked: whether the first two axes of the predictions may have a mask and weights.
        tol: relative and absolute tolerance of values.
    """

    name: str
    pairs: tuple[tuple[np.ndarray, np.ndarray], ...]
    options: dict[str, Any] = field(default_factory=dict)
    function: str | None = None
    masked: bool = False
    tol: float = 1e-5

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{k}={v!r}' for k, v in self.options.items())})"

    def make(self, module: Any, **more: Any) -> Any:
        return getattr(module, self.name)(**self.options, **more)


def pairs(
    true: Callable[..., np.ndarray], predicted: Callable[..., np.ndarray], *shapes: tuple[int, ...]
) -> Any:
    return tuple((true(*shape), predicted(*shape)) for shape in shapes)


FLAT, DEEP, ROWS = (4, 3), (2, 5, 3), (4, 1)
numbers = pairs(normal, normal, FLAT, DEEP) + ((normal(4), normal(4, 1)), (normal(4, 1), normal(4)))
answers = pairs(bits, uniform, FLAT, DEEP)
classes = pairs(one_hot, simplex, FLAT, DEEP)
indices = (
    (labels(4, classes=3), simplex(4, 3)),
    (labels(4, 1, classes=3), simplex(4, 3)),
    (labels(2, 5, classes=3), simplex(2, 5, 3)),
)
logits = ((labels(4, classes=3), normal(4, 3)), (labels(2, 5, classes=3), normal(2, 5, 3)))

CASES = [
    Case("MeanSquaredError", numbers, function="mean_squared_error", masked=True),
    Case("MeanAbsoluteError", numbers, function="mean_absolute_error", masked=True),
    Case("MeanAbsolutePercentageError", numbers, function="mean_absolute_percentage_error", tol=1e-4),
    Case("MeanSquaredLogarithmicError", numbers, function="mean_squared_logarithmic_error", masked=True),
    Case("Huber", numbers, function="huber", masked=True),
    Case("Huber", numbers, {"delta": 0.3}, function="huber"),
    Case("LogCosh", numbers, function="log_cosh", masked=True),
    Case("LogCosh", ((100 * normal(4, 3), normal(4, 3)),), function="log_cosh"),
    Case("CosineSimilarity", pairs(normal, normal, FLAT, DEEP), function="cosine_similarity", masked=True),
    Case("CosineSimilarity", pairs(normal, normal, FLAT, DEEP), {"axis": 1}, function="cosine_similarity"),
    Case("CosineSimilarity", ((np.zeros((2, 3), "float32"), normal(2, 3)),), function="cosine_similarity"),
    Case("BinaryCrossentropy", answers, function="binary_crossentropy", masked=True),
    Case(
        "BinaryCrossentropy", pairs(bits, normal, FLAT), {"from_logits": True}, function="binary_crossentropy"
    ),
    Case("BinaryCrossentropy", answers, {"label_smoothing": 0.2, "axis": 0}, function="binary_crossentropy"),
    Case("BinaryFocalCrossentropy", answers, function="binary_focal_crossentropy", masked=True),
    Case(
        "BinaryFocalCrossentropy",
        pairs(bits, normal, FLAT),
        {
            "apply_class_balancing": True,
            "alpha": 0.3,
            "gamma": 1.5,
            "from_logits": True,
            "label_smoothing": 0.1,
        },
        function="binary_focal_crossentropy",
    ),
    Case("CategoricalCrossentropy", classes, function="categorical_crossentropy", masked=True),
    Case(
        "CategoricalCrossentropy",
        pairs(one_hot, normal, FLAT),
        {"from_logits": True, "label_smoothing": 0.3},
        function="categorical_crossentropy",
    ),
    Case(
        "CategoricalCrossentropy",
        tuple((y.T.copy(), p.T.copy()) for y, p in pairs(one_hot, simplex, FLAT)),
        {"axis": 0},
        function="categorical_crossentropy",
    ),
    Case("CategoricalFocalCrossentropy", classes, function="categorical_focal_crossentropy", masked=True),
    Case(
        "CategoricalFocalCrossentropy",
        pairs(one_hot, normal, FLAT),
        {"alpha": 0.4, "gamma": 1.0, "from_logits": True, "label_smoothing": 0.1},
        function="categorical_focal_crossentropy",
    ),
    Case("SparseCategoricalCrossentropy", indices, function="sparse_categorical_crossentropy", masked=True),
    Case(
        "SparseCategoricalCrossentropy",
        logits,
        {"from_logits": True},
        function="sparse_categorical_crossentropy",
    ),
    Case("SparseCategoricalCrossentropy", logits, {"from_logits": True, "ignore_class": 1}, masked=True),
    Case("SparseCategoricalCrossentropy", ((np.array([0, -1, 2, -1]), simplex(4, 3)),), {"ignore_class": -1}),
    Case("CategoricalGeneralizedCrossEntropy", indices[::2], masked=True),
    Case(
        "CategoricalGeneralizedCrossEntropy",
        indices[::2],
        {"q": 0.2},
        "categorical_generalized_cross_entropy",
    ),
    Case("KLDivergence", pairs(simplex, simplex, FLAT, DEEP), function="kl_divergence", masked=True),
    Case("Poisson", pairs(uniform, uniform, FLAT, DEEP), function="poisson", masked=True),
    Case("Hinge", answers + pairs(normal, normal, FLAT), function="hinge", masked=True),
    Case("SquaredHinge", answers + pairs(normal, normal, FLAT), function="squared_hinge", masked=True),
    Case("CategoricalHinge", classes, function="categorical_hinge", masked=True),
    Case("Dice", answers, function="dice"),
    Case("Dice", answers, {"axis": [1]}, function="dice"),
    Case("Tversky", answers, {"alpha": 0.2, "beta": 0.9}, function="tversky"),
    Case("Tversky", answers, {"axis": -1}, function="tversky"),
    Case(
        "Circle",
        ((labels(6, classes=3), normal(6, 4) / 4), (labels(6, 1, classes=3), normal(6, 4) / 4)),
        tol=1e-4,
    ),
    Case(
        "Circle",
        ((labels(6, classes=3), normal(6, 4) / 4),),
        {"gamma": 5.0, "margin": 0.2, "remove_diagonal": False},
    ),
    Case("CTC", ((np.array([[1, 2, 2], [3, 0, 0]]), normal(2, 7, 5)),), function="ctc"),
]
rows = pytest.mark.parametrize("case", CASES, ids=str)
engines = pytest.mark.parametrize("engine", ["numpy", "jax"])


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


@pytest.fixture(autouse=True)
def jax_engine() -> Any:
    pytest.importorskip("jax")
    with selection.running(selection.get("jax")) as active:
        yield active


def masks(case: Case, y_pred: np.ndarray) -> list[np.ndarray | None]:
    if not case.masked or y_pred.ndim != 3:
        return [None]
    return [None, RNG.random(y_pred.shape[:2]) > 0.4]


def weights_for(values: Any) -> list[Any]:
    """No weights, one for all, one for each sample and one for each value."""
    shape = tuple(values.shape)
    found: list[Any] = [None, 0.5]
    if shape:
        found.append(uniform(shape[0], *(1,) * (len(shape) - 1)))
        found.append(uniform(*shape))
    return found


def theirs_masked(y_pred: Any, mask: Any) -> Any:
    from keras.src.backend.common.masking import set_keras_mask

    tensor = ops.array(y_pred)
    set_keras_mask(tensor, ops.array(mask))
    return tensor


def close(got: Any, want: Any, tol: float) -> None:
    np.testing.assert_allclose(ops.convert_to_numpy(got), np.asarray(want), rtol=tol, atol=tol)


def compare(case: Case, keras: Any, reduction: str | None, pair: Any, mask: Any, weight: Any) -> None:
    mine, theirs = case.make(losses, reduction=reduction), case.make(keras.losses, reduction=reduction)
    y_true, y_pred = pair
    if mask is None:
        got, want = mine(y_true, y_pred, weight), theirs(y_true, y_pred, weight)
    else:
        tensor = ops.array(y_pred)
        set_mask(tensor, ops.array(mask))
        got, want = mine(y_true, tensor, weight), theirs(y_true, theirs_masked(y_pred, mask), weight)
    close(got, want, 5 * case.tol)
    assert str(got.dtype) == "float32"


@rows
def test_values_with_weights_and_masks(case: Case, keras: Any) -> None:
    for pair in case.pairs:
        for mask in masks(case, pair[1]):
            for weight in weights_for(case.make(losses, reduction="none")(*pair)):
                compare(case, keras, "sum_over_batch_size", pair, mask, weight)


@rows
@pytest.mark.parametrize("reduction", [r for r in REDUCTIONS if r != "sum_over_batch_size"])
def test_reductions(case: Case, reduction: str | None, keras: Any) -> None:
    pair = case.pairs[-1]
    weights = weights_for(case.make(losses, reduction="none")(*pair))
    for mask, weight in ((masks(case, pair[1])[-1], weights[0]), (None, weights[-1])):
        compare(case, keras, reduction, pair, mask, weight)


@pytest.mark.parametrize("case", [c for c in CASES if c.function], ids=str)
def test_functions(case: Case, keras: Any) -> None:
    ours, theirs = getattr(losses, case.function), getattr(keras.losses, case.function)
    for y_true, y_pred in case.pairs:
        if case.function.endswith("crossentropy") and y_true.ndim == 2 and y_true.shape[-1] == 1:
            continue  # the reference's function alone doesn't squeeze
        close(ours(y_true, y_pred, **case.options), theirs(y_true, y_pred, **case.options), case.tol)


@rows
def test_compiled_and_numpy_equal_eager(case: Case, jax_engine: Any) -> None:
    loss = case.make(losses)
    compiled = jax_engine.compile(lambda y, p, w: loss(y, p, w), [])
    for y_true, y_pred in case.pairs:
        weight = weights_for(case.make(losses, reduction="none")(y_true, y_pred))[-1]
        eager = loss(y_true, y_pred, weight)
        close(compiled(*map(jax_engine.make, (y_true, y_pred, np.float32(weight)))), eager, case.tol)
        with selection.running(selection.get("numpy")):
            got = loss(y_true, y_pred, weight)
            assert isinstance(got, (np.ndarray, np.floating))
        close(got, eager, case.tol)


@rows
@pytest.mark.parametrize("dtype", ["bfloat16", "mixed_float16"])
def test_dtype(case: Case, dtype: str, keras: Any) -> None:
    y_true, y_pred = case.pairs[0]
    got, want = (
        case.make(losses, dtype=dtype)(y_true, y_pred),
        case.make(keras.losses, dtype=dtype)(y_true, y_pred),
    )
    assert str(got.dtype) == str(want.dtype)
    if case.name != "Circle":  # which multiplies roundings by gamma
        np.testing.assert_allclose(np.float32(got), np.float32(want), rtol=0.05, atol=0.02)


@rows
def test_gradients_are_finite(case: Case) -> None:
    jax = pytest.importorskip("jax")
    for y_true, y_pred in case.pairs:
        gradient = jax.grad(lambda p, y=y_true: case.make(losses)(y, p))(ops.array(y_pred))
        assert np.isfinite(np.asarray(gradient)).all()


@rows
def test_config_round_trip(case: Case, keras: Any) -> None:
    mine = case.make(losses, reduction="sum", name="mine")
    config = losses.serialize(mine)
    assert json.loads(json.dumps(config)) == config
    again = losses.deserialize(config)
    assert type(again) is type(mine) and again.get_config() == mine.get_config()
    theirs = getattr(keras.losses, case.name).from_config(config["config"])
    y_true, y_pred = case.pairs[0]
    for other in (again, theirs, losses.deserialize(keras.losses.serialize(theirs))):
        lossy = other is not again and other is not theirs and set(case.options) & set(mine.unsaved)
        if not lossy:
            close(other(y_true, y_pred), mine(y_true, y_pred), 5 * case.tol)


@rows
def test_default_config_is_the_reference_s(case: Case, keras: Any) -> None:
    mine, theirs = getattr(losses, case.name)(), getattr(keras.losses, case.name)()
    assert losses.serialize(mine) == keras.losses.serialize(theirs)


def test_what_the_reference_leaves_out_of_configs_is_saved_where_it_matters() -> None:
    assert "delta" not in losses.Huber().get_config()
    assert losses.Huber.from_config(losses.Huber(delta=3.0).get_config())([[0.0]], [[4.0]]) == 7.5
    assert losses.MeanSquaredError(dtype="bfloat16").get_config()["dtype"] == "bfloat16"


def test_public_names_and_signatures() -> None:
    if not API.exists():
        pytest.skip("the table of public names isn't there")
    table = {k: v for k, v in json.loads(API.read_text()).items() if k.startswith("losses.")}
    for name, entry in table.items():
        found = registry.lookup(name)
        assert found is not None, name
        if "signature" in entry and name != "losses.Loss":
            mine = inspect.signature(found.__init__ if inspect.isclass(found) else found).parameters.values()
            text = ", ".join(
                str(p.replace(annotation=p.empty)).replace(" = ", "=") for p in mine if p.name != "self"
            )
            assert f"({text})" == entry["signature"], name
    assert {f"losses.{n}" for n in registry.names("losses")} <= set(table)


def test_sample_weights_align_with_the_first_axes() -> None:
    y_true, y_pred, weight = normal(5, 5, 3), normal(5, 5, 3), np.arange(5.0)
    got = losses.MeanSquaredError(reduction="none")(y_true, y_pred, weight)
    close(got, np.square(y_true - y_pred).mean(-1) * weight[:, None], 1e-5)


def test_integer_labels_keep_their_value_in_half_precision() -> None:
    y_pred = np.full((1, 1001), 1e-4, "float32")
    y_pred[0, 999] = 0.9
    for loss in (losses.SparseCategoricalCrossentropy(dtype="bfloat16"),
                 LossFunctionWrapper(losses.sparse_categorical_crossentropy, dtype="bfloat16")):  # fmt: skip
        assert float(loss(np.array([999]), y_pred)) < 0.2


def test_a_loss_of_ones_own() -> None:
    class Power(Loss):
        def __init__(self, power: int = 2, name: str = "power"):
            super().__init__(name=name)
            self.power = power

        def call(self, y_true: Any, y_pred: Any) -> Any:
            return ops.sum(ops.power(y_true["a"] - y_pred["a"], self.power), axis=-1)

    loss = Power(4)
    assert loss.get_config() == {"power": 4, "name": "power"}
    assert float(Power.from_config(loss.get_config())({"a": np.ones((2, 2))}, {"a": np.zeros((2, 2))})) == 2.0
    with pytest.raises(NotImplementedError, match="defines no call"):
        Loss()(np.ones(2), np.ones(2))
    assert Loss().name != Loss().name


@pytest.mark.parametrize("short", ["bce", "kld", "mae", "mape", "mse", "msle"])
def test_short_names(short: str) -> None:
    assert losses.get(short) is losses.get(short.upper()) is losses.deserialize(short)
    assert inspect.isfunction(losses.get(short))


def test_get() -> None:
    assert isinstance(losses.get("Hinge"), losses.Hinge)
    assert isinstance(losses.get(losses.Hinge), losses.Hinge)
    assert losses.get("hinge") is losses.hinge
    assert losses.get(None) is None
    assert losses.get(max) is max
    assert losses.get({"class_name": "Huber", "config": {"delta": 2.0}}).fn_kwargs == {"delta": 2.0}
    function = losses.serialize(losses.mean_squared_error)
    assert losses.deserialize(function) is losses.mean_squared_error


@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        (lambda: losses.get("msee"), NotFoundError, "mean_squared|msee"),
        (lambda: losses.get("mean_squared_eror"), NotFoundError, "Did you mean 'mean_squared_error'"),
        (lambda: losses.get(3), ArgumentError, "Received: 3"),
        (lambda: losses.Hinge(reduction="avg"), ArgumentError, "`reduction` must be one of"),
        (
            lambda: losses.categorical_crossentropy(np.zeros(32), np.ones((32, 10))),
            ShapeError,
            "to_categorical",
        ),
        (
            lambda: losses.categorical_crossentropy(np.zeros((32, 1)), np.ones((32, 10))),
            ShapeError,
            "sparse_categorical",
        ),
        (
            lambda: losses.categorical_crossentropy(np.zeros((32, 9)), np.ones((32, 10))),
            ShapeError,
            r"\(32, 9\)",
        ),
        (
            lambda: losses.sparse_categorical_crossentropy(np.zeros((32, 10)), np.ones((32, 10))),
            ShapeError,
            "one-hot",
        ),
        (
            lambda: losses.sparse_categorical_crossentropy(np.zeros(31), np.ones((32, 10))),
            ShapeError,
            r"shape \(32,\)",
        ),
        (
            lambda: losses.categorical_crossentropy(np.ones((2, 2)), np.ones((2, 2)), axis=True),
            ArgumentTypeError,
            "integer",
        ),
        (
            lambda: losses.MeanSquaredError()(np.ones((4, 3)), np.ones((4, 5))),
            ShapeError,
            "mean_squared_error.*same shape",
        ),
        (lambda: losses.binary_crossentropy(np.ones(4), np.ones((4, 3))), ShapeError, "binary_crossentropy"),
        (lambda: losses.CTC()(np.ones((4, 3, 1)), np.ones((4, 3, 2))), ShapeError, r"shape \(4, 3, 1\)"),
        (
            lambda: losses.MeanSquaredError()(np.ones((4, 3)), np.ones((4, 3)), np.ones(3)),
            ShapeError,
            "`sample_weight`",
        ),
        (
            lambda: losses.CategoricalGeneralizedCrossEntropy(q=1.5),
            ArgumentError,
            "`q` must be between 0 and 1",
        ),
        (
            lambda: losses.categorical_generalized_cross_entropy(np.ones((4, 3)), np.ones((4, 3)), 0.5),
            ShapeError,
            "class num",
        ),
    ],
)
def test_errors(run: Callable[[], Any], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        run()


def test_one_class_gives_a_warning() -> None:
    with pytest.warns(SyntaxWarning, match="binary_crossentropy"):
        losses.categorical_crossentropy(np.ones((4, 1)), np.ones((4, 1)))
