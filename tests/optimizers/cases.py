"""One row for each use of an optimizer; every row inherits all the checks in test_optimizers.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """One use of an optimizer.

    Args:
        name: of the row.
        make: makes the optimizer from a module `optimizers`, ours or the reference's.
        constraint: whether the variables are kept within a half.
        bad: steps whose gradients hold an infinity.
        tol: relative and absolute tolerance of values after 30 steps.
    """

    name: str
    make: Callable[[Any], Any]
    constraint: bool = False
    bad: tuple[int, ...] = ()
    tol: float = 5e-6

    def __str__(self) -> str:
        return self.name


def small_map(o: Any) -> Any:
    return o.OptimizerMap(o.SGD(0.1), {"matrix": o.Adam(0.01, use_ema=True), ".*tens.*": o.RMSprop()})


CASES = [
    Case("SGD", lambda o: o.SGD(0.1)),
    Case("SGD momentum", lambda o: o.SGD(0.1, momentum=0.9)),
    Case("SGD Nesterov", lambda o: o.SGD(0.1, momentum=0.9, nesterov=True, name="mine")),
    Case("Adam", lambda o: o.Adam()),
    Case("Adam options", lambda o: o.Adam(0.02, beta_1=0.8, beta_2=0.9, epsilon=1e-3)),
    Case("Adam amsgrad", lambda o: o.Adam(0.1, amsgrad=True)),
    Case("AdamW", lambda o: o.AdamW()),
    Case("AdamW options", lambda o: o.AdamW(0.1, 0.1, amsgrad=True)),
    Case("RMSprop", lambda o: o.RMSprop()),
    Case("RMSprop momentum", lambda o: o.RMSprop(0.01, rho=0.8, momentum=0.5)),
    Case("RMSprop centered", lambda o: o.RMSprop(0.01, momentum=0.5, centered=True)),
    Case("Adagrad", lambda o: o.Adagrad()),
    Case("Adagrad options", lambda o: o.Adagrad(0.1, initial_accumulator_value=0.5, epsilon=0.1)),
    Case("Adadelta", lambda o: o.Adadelta()),
    Case("Adadelta options", lambda o: o.Adadelta(1.0, rho=0.8, epsilon=1e-3)),
    Case("Adamax", lambda o: o.Adamax()),
    Case("Adamax options", lambda o: o.Adamax(0.1, beta_1=0.8, beta_2=0.9, epsilon=0.1)),
    Case("Nadam", lambda o: o.Nadam()),
    Case("Nadam options", lambda o: o.Nadam(0.1, beta_1=0.8, beta_2=0.9, epsilon=0.1)),
    Case("Ftrl", lambda o: o.Ftrl()),
    Case("Ftrl power", lambda o: o.Ftrl(0.1, learning_rate_power=-0.3, initial_accumulator_value=0.5)),
    Case(
        "Ftrl options",
        lambda o: o.Ftrl(
            0.1,
            l1_regularization_strength=0.01,
            l2_regularization_strength=0.1,
            l2_shrinkage_regularization_strength=0.1,
            beta=0.5,
        ),
    ),
    Case("Lion", lambda o: o.Lion()),
    Case("Lion options", lambda o: o.Lion(0.01, beta_1=0.5, beta_2=0.7)),
    Case("Lamb", lambda o: o.Lamb()),
    Case("Lamb options", lambda o: o.Lamb(0.1, beta_1=0.8, beta_2=0.9, epsilon=0.1)),
    Case("Adafactor", lambda o: o.Adafactor()),
    Case("Adafactor relative", lambda o: o.Adafactor(0.5, epsilon_2=0.1, beta_2_decay=-0.5)),
    Case("Adafactor options", lambda o: o.Adafactor(0.1, relative_step=False, clip_threshold=0.5)),
    Case("Muon", lambda o: o.Muon(), tol=2e-5),
    Case(
        "Muon options",
        lambda o: o.Muon(
            0.1, nesterov=False, rms_rate=None, ns_steps=3, adam_lr_ratio=0.5, weight_decay=None
        ),
        tol=2e-5,
    ),
    Case("Muon excluded", lambda o: o.Muon(0.1, exclude_layers=["mat"], adam_weight_decay=None)),
    Case("ScheduleFreeAdamW", lambda o: o.ScheduleFreeAdamW()),
    Case(
        "ScheduleFreeAdamW options",
        lambda o: o.ScheduleFreeAdamW(0.02, 0.8, warmup_steps=7, weight_decay=0.1),
    ),
    # the arguments that all share
    Case("weight decay", lambda o: o.RMSprop(0.1, weight_decay=0.2)),
    Case("clipnorm", lambda o: o.Adam(0.1, clipnorm=1.5)),
    Case("global_clipnorm", lambda o: o.SGD(0.1, momentum=0.5, global_clipnorm=2.0)),
    Case("clipvalue", lambda o: o.SGD(0.1, clipvalue=0.5)),
    Case("average", lambda o: o.Adam(0.1, use_ema=True, ema_momentum=0.8)),
    Case(
        "average overwrites", lambda o: o.SGD(0.1, use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=4)
    ),
    Case(
        "accumulation", lambda o: o.Adam(0.1, gradient_accumulation_steps=3, weight_decay=0.1, clipnorm=0.5)
    ),
    Case(
        "accumulation, average, schedule",
        lambda o: o.AdamW(
            o.schedules.CosineDecay(0.1, 20, warmup_target=0.2, warmup_steps=5),
            gradient_accumulation_steps=2,
            use_ema=True,
            ema_momentum=0.5,
            ema_overwrite_frequency=3,
        ),
    ),
    Case("accumulation, Nadam", lambda o: o.Nadam(0.1, gradient_accumulation_steps=4)),
    Case("loss scale", lambda o: o.SGD(0.1, loss_scale_factor=4.0)),
    Case("schedule", lambda o: o.SGD(o.schedules.ExponentialDecay(0.5, 10, 0.5), momentum=0.5)),
    Case("constraint", lambda o: o.Adam(0.1), constraint=True),
    Case("constraint, average", lambda o: o.SGD(0.2, use_ema=True, ema_momentum=0.5), constraint=True),
    # optimizers of optimizers
    Case("LossScaleOptimizer", lambda o: o.LossScaleOptimizer(o.Adam(0.1))),
    Case(
        "LossScaleOptimizer, infinity",
        lambda o: o.LossScaleOptimizer(o.Adam(0.1, use_ema=True), initial_scale=8.0, dynamic_growth_steps=3),
        bad=(4, 5, 9),
    ),
    Case("MultiOptimizer", lambda o: o.MultiOptimizer(small_map(o))),
    Case("MultiOptimizer, loss scale", lambda o: o.MultiOptimizer(small_map(o), loss_scale_factor=2.0)),
    Case("MultiOptimizer by function", lambda o: o.MultiOptimizer(lambda v: o.SGD(0.1 * len(v.shape)))),
]
