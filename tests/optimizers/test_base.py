"""What all optimizers share, lookup by name, and the optimizers of optimizers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from triceras import ops, optimizers
from triceras.core.errors import ArgumentError, ArgumentTypeError, NotFoundError, ShapeError
from triceras.engine import selection
from triceras.variable import Variable


@pytest.fixture(autouse=True)
def jax_engine() -> Any:
    pytest.importorskip("jax")
    with selection.running(selection.get("jax")) as active:
        yield active


def pair() -> list[Variable]:
    return [Variable([1.0, 2.0], name="kernel"), Variable([3.0], name="bias")]


ONES = [[1.0, 1.0], [1.0]]


# -- arguments -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: optimizers.SGD("fast"), "learning_rate"),
        (lambda: optimizers.SGD(True), "learning_rate"),
        (lambda: optimizers.SGD(speed=1), "speed"),
        (lambda: optimizers.SGD(momentum=2), "momentum"),
        (lambda: optimizers.SGD(nesterov=True), "nesterov"),
        (lambda: optimizers.SGD(clipnorm=1.0, clipvalue=1.0), "at most one"),
        (lambda: optimizers.SGD(global_clipnorm=-1.0), "global_clipnorm"),
        (lambda: optimizers.SGD(use_ema=True, ema_momentum=2), "ema_momentum"),
        (lambda: optimizers.SGD(use_ema=True, ema_overwrite_frequency=0), "ema_overwrite_frequency"),
        (lambda: optimizers.SGD(gradient_accumulation_steps=1), "gradient_accumulation_steps"),
        (lambda: optimizers.AdamW(weight_decay=None), "weight_decay"),
        (lambda: optimizers.Lion(beta_1=0.0), "beta_1"),
        (lambda: optimizers.ScheduleFreeAdamW(beta_1=0.0), "beta_1"),
        (lambda: optimizers.Ftrl(learning_rate_power=1.0), "learning_rate_power"),
        (lambda: optimizers.Ftrl(l1_regularization_strength=-1.0), "l1_regularization_strength"),
        (lambda: optimizers.LossScaleOptimizer("sgd"), "inner_optimizer"),
        (lambda: optimizers.LossScaleOptimizer(optimizers.SGD(), clipnorm=1.0), "clipnorm"),
        (lambda: optimizers.MultiOptimizer(optimizers.SGD()), "OptimizerMap"),
        (lambda: optimizers.OptimizerMap("sgd"), "default_optimizer"),
        (lambda: optimizers.OptimizerMap(optimizers.SGD(), {"a": 3}), "'a'"),
        (lambda: optimizers.OptimizerMap(optimizers.SGD(), [3]), "optimizer_map"),
    ],
)
def test_bad_arguments(make: Any, says: str) -> None:
    with pytest.raises((ArgumentError, ArgumentTypeError), match=says):
        make()


@pytest.mark.parametrize(
    ("grads", "error", "says"),
    [
        ([[1.0, 1.0]], ArgumentError, "1 gradients for 2"),
        ([None, None], ArgumentError, "None of the variables"),
        ([[1.0], [1.0]], ShapeError, r"'kernel' must have its shape \(2,\)"),
    ],
)
def test_bad_gradients(grads: Any, error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        optimizers.SGD().apply(grads, pair())


def test_first_apply_needs_variables() -> None:
    with pytest.raises(ArgumentError, match="needs the variables"):
        optimizers.SGD().apply(ONES)
    with pytest.raises(ArgumentError, match="built optimizer"):
        optimizers.SGD().stateless_apply([], [], [])


def test_variables_must_be_known() -> None:
    optimizer = optimizers.SGD()
    optimizer.build(pair())
    with pytest.raises(ArgumentError, match="other than 'kernel'"):
        optimizer.apply(ONES, pair())


def test_variables_without_gradient_stay() -> None:
    variables = pair()
    optimizer = optimizers.Adam(0.5)
    with pytest.warns(UserWarning, match="bias"):
        optimizer.apply_gradients([(np.ones(2), variables[0]), (None, variables[1])])
    assert variables[1].numpy() == 3.0
    assert variables[0].numpy() == pytest.approx([0.5, 1.5], rel=1e-4)


def test_weight_decay_leaves_out_what_is_excluded() -> None:
    variables = pair()
    optimizer = optimizers.SGD(0.5, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["^bias$"])
    optimizer.apply([np.zeros(2), np.zeros(1)], variables)
    assert [v.numpy().tolist() for v in variables] == [[0.75, 1.5], [3.0]]
    with pytest.raises(ArgumentError, match="before"):
        optimizer.exclude_from_weight_decay(var_list=variables)
    by_variable = optimizers.MultiOptimizer(optimizers.OptimizerMap(optimizers.SGD(0.5, weight_decay=0.5)))
    by_variable.exclude_from_weight_decay(var_list=variables[:1])
    by_variable.apply([np.zeros(2), np.zeros(1)], variables)
    assert [v.numpy().tolist() for v in variables] == [[0.75, 1.5], [2.25]]


def test_average_replaces_weights_after_training() -> None:
    variables = pair()
    optimizer = optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5)
    for _ in range(2):
        optimizer.apply(ONES, variables)
    optimizer.finalize_variable_values(variables)
    assert variables[1].numpy() == pytest.approx([1.5])


def test_overwriting_gradients_are_the_new_values() -> None:
    variables = pair()
    variables[1].overwrite_with_gradient = True
    optimizers.SGD(0.5).apply([[1.0, 1.0], [7.0]], variables)
    assert [v.numpy().tolist() for v in variables] == [[0.5, 1.5], [7.0]]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Nadam", "Lamb", "Adafactor"])
def test_slots_and_steps_keep_the_dtype(name: str, dtype: str) -> None:
    variables = [Variable([1.0, 2.0], dtype=dtype), Variable([3.0], dtype="float32")]
    optimizer = optimizers.get(name)
    optimizer.learning_rate = 0.5
    for _ in range(2):
        optimizer.apply(ONES, variables)
    assert [v.dtype for v in variables] == [dtype, "float32"]
    assert all(np.all(np.isfinite(v.numpy().astype("float32"))) for v in variables)
    assert variables[1].numpy() < 3.0


def test_scalars_are_computed_once_for_all_variables() -> None:
    calls = []

    class Counting(optimizers.Adam):
        def _alpha(self, learning_rate: Any) -> Any:
            calls.append(learning_rate)
            return super()._alpha(learning_rate)

    optimizer, variables = Counting(), [Variable([1.0]) for _ in range(5)]
    for _ in range(3):
        optimizer.apply([[1.0]] * 5, variables)
    assert len(calls) == 3


# -- the learning rate ---------------------------------------------------------------------------------------


def test_learning_rate() -> None:
    optimizer = optimizers.SGD(0.5)
    assert optimizer.learning_rate is optimizer.variables[1]
    optimizer.learning_rate = lambda: 0.25
    assert float(optimizer.learning_rate) == 0.25
    optimizer.learning_rate = optimizers.schedules.ExponentialDecay(1.0, 1, 0.5)
    variables = pair()
    for _ in range(2):
        optimizer.apply(ONES, variables)
    assert variables[1].numpy() == pytest.approx([1.5])
    assert [v.path.split("/")[1] for v in optimizer.variables] == ["iteration"]
    with pytest.raises(TypeError, match="ExponentialDecay"):
        optimizer.learning_rate = 0.1


def test_learning_rate_as_a_function() -> None:
    rate, variables = Variable(0.5, trainable=False), pair()
    optimizer = optimizers.SGD(lambda: rate.value)
    optimizer.apply(ONES, variables)
    rate.assign(0.25)
    optimizer.apply(ONES, variables)
    assert variables[1].numpy() == pytest.approx([2.25])


# -- own optimizers ------------------------------------------------------------------------------------------


class Heavy(optimizers.Optimizer):
    """Written as the reference's documentation shows it."""

    def __init__(self, learning_rate: float = 0.1, pull: float = 0.5, **kwargs: Any) -> None:
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.pull = pull

    def build(self, variables: Any) -> None:
        if self.built:
            return
        super().build(variables)
        self.balls, self.counts = self.add_optimizer_variables(
            variables, ["ball", "count"], ["zeros", "ones"]
        )
        self.steps = self.add_variable((), "zeros", "int32", name="steps")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        ball = self.balls[self._get_variable_index(variable)]
        self.assign(ball, self.pull * ball.value + gradient)
        self.assign_add(self.counts[self._get_variable_index(variable)], ops.ones_like(gradient))
        self.assign_sub(variable, learning_rate * ball.value)


def test_own_optimizer() -> None:
    optimizer, variables = Heavy(0.5, name="heavy"), pair()
    for _ in range(2):
        optimizer.apply(ONES, variables)
    assert variables[1].numpy() == pytest.approx([3.0 - 0.5 - 0.75])
    names = ["kernel_ball", "kernel_count", "bias_ball", "bias_count", "steps"]
    assert [v.path for v in optimizer.variables[2:]] == [f"heavy/{name}" for name in names]
    assert optimizer.variables[5].numpy() == 3.0
    assert Heavy.from_config(optimizer.get_config()).pull == 0.5


def test_rule_must_be_given() -> None:
    with pytest.raises(NotImplementedError, match="update_step"):
        optimizers.Optimizer(0.1).apply(ONES, pair())


# -- state ---------------------------------------------------------------------------------------------------


def test_set_weights_and_stores_check_their_length() -> None:
    optimizer = optimizers.SGD(0.5)
    with pytest.raises(ArgumentError, match="has 2 variables"):
        optimizer.set_weights([1])
    with pytest.warns(UserWarning, match="starts anew"):
        optimizer.load_own_variables({"0": np.int32(3)})
    assert int(optimizer.iterations) == 0


# -- by name -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identifier", "kind"),
    [
        ("sgd", "SGD"),
        ("AdamW", "AdamW"),
        ("adamw", "AdamW"),
        ("RMSPROP", "RMSprop"),
        ("schedulefreeadamw", "ScheduleFreeAdamW"),
        (optimizers.Lion, "Lion"),
        ({"class_name": "sgd", "config": {"learning_rate": 0.5}}, "SGD"),
        (optimizers.Muon(), "Muon"),
    ],
)
def test_get(identifier: Any, kind: str) -> None:
    assert type(optimizers.get(identifier)).__name__ == kind


def test_get_keeps_none_and_knows_custom_objects() -> None:
    assert optimizers.get(None) is None
    config = {"class_name": "Heavy", "config": {"pull": 0.25}}
    assert optimizers.deserialize(config, {"Heavy": Heavy}).pull == 0.25


@pytest.mark.parametrize("identifier", ["adm", 3, "lossscaleoptimizer", {"class_name": "Adam"}])
def test_get_unknown(identifier: Any) -> None:
    with pytest.raises((NotFoundError, ArgumentError, ArgumentTypeError)):
        optimizers.get(identifier)


def test_legacy_names_say_where_to_go() -> None:
    with pytest.raises(ImportError, match="version 3"):
        optimizers.legacy.Adam(0.1)


# -- optimizers of optimizers --------------------------------------------------------------------------------


def test_loss_scale_shows_the_inner_optimizer() -> None:
    optimizer = optimizers.LossScaleOptimizer(optimizers.SGD(0.5, loss_scale_factor=3.0), initial_scale=8.0)
    assert float(optimizer.scale_loss(2.0)) == 16.0
    optimizer.apply([[8.0, 8.0], [np.nan]], variables := pair())
    assert [v.numpy().tolist() for v in variables] == [[1.0, 2.0], [3.0]]
    optimizer.apply([[8.0, 8.0], [4.0]])  # the scale is now 4
    assert [v.numpy().tolist() for v in variables] == [[0.0, 1.0], [2.5]]
    assert float(optimizer.scale_loss(2.0)) == 8.0
    assert int(optimizer.iterations) == int(optimizer.inner_optimizer.iterations) == 1
    assert float(optimizer.learning_rate) == 0.5


def test_optimizer_map() -> None:
    sgd, adam = optimizers.SGD(), optimizers.Adam()
    found = optimizers.OptimizerMap(sgd, {"encoder/.*": adam})
    assert found["encoder/kernel"] is adam
    assert found["my/encoder/kernel"] is sgd
    found["encoder/kernel"] = sgd
    assert found["encoder/kernel"] is sgd
    assert list(found) == ["encoder/.*", "encoder/kernel"]
    found["encoder/b.*"] = sgd
    with pytest.raises(ArgumentError, match="several optimizers"):
        found["encoder/bias"]
    with pytest.raises(ArgumentError, match="already"):
        found["encoder/.*"] = sgd
    with pytest.raises(ArgumentError, match="string"):
        found[3] = sgd
    del found["encoder/b.*"]
    assert found["encoder/bias"] is adam


def test_multi_optimizer_shares_its_loss_scale() -> None:
    inner = optimizers.SGD(0.5, loss_scale_factor=3.0)
    both = optimizers.MultiOptimizer(optimizers.OptimizerMap(inner), loss_scale_factor=2.0)
    assert both.scale_loss(3.0) == 6.0
    both.loss_scale_factor = 4.0
    assert inner.loss_scale_factor == 4.0
    both.apply([[4.0, 8.0], [4.0]], variables := pair())
    assert variables[0].numpy().tolist() == [0.5, 1.0]


def test_multi_optimizer_by_function_gives_optimizers() -> None:
    with pytest.raises(ArgumentTypeError, match="optimizer of 'kernel'"):
        optimizers.MultiOptimizer(lambda v: 3).build(pair())
