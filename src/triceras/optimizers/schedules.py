"""Learning rates that follow the number of steps taken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from triceras import ops
from triceras.core import config
from triceras.core.capture import Configurable
from triceras.core.errors import ArgumentError
from triceras.core.registry import export
from triceras.saving import objects


@export("optimizers.schedules.LearningRateSchedule")
class LearningRateSchedule(Configurable):
    """A learning rate as a function of the step. A subclass defines `__call__(step)`.

    >>> class Halved(LearningRateSchedule):
    ...     def __call__(self, step):
    ...         return 0.1 * 0.5**step
    >>> Halved()(2)
    0.025
    """

    def __call__(self, step: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no __call__(step).")


def _positive(what: str, steps: float) -> None:
    if steps <= 0:
        raise ArgumentError(f"`{what}` must be above 0. Received: {steps!r}")


def _float(step: Any) -> Any:
    return ops.cast(step, config.floatx())


def _cosine(fraction: Any, alpha: float, height: Any = 1.0) -> Any:
    """Half a cosine wave from `height` at fraction 0 down to 0 at 1, lifted so that it ends at `alpha`."""
    return (1 - alpha) * 0.5 * height * (1 + ops.cos(math.pi * fraction)) + alpha


class _Decay(LearningRateSchedule):
    """What exponential and inverse-time decay have in common."""

    def __init__(
        self, initial_learning_rate: float, decay_steps: float, decay_rate: float, staircase: bool, name: str
    ) -> None:
        _positive("decay_steps", decay_steps)
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.decay_rate, self.staircase, self.name = decay_rate, staircase, name

    def _periods(self, step: Any) -> Any:
        periods = _float(step) / self.decay_steps
        return ops.floor(periods) if self.staircase else periods


@export("optimizers.schedules.ExponentialDecay")
class ExponentialDecay(_Decay):
    """`initial_learning_rate * decay_rate ** (step / decay_steps)`.

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: steps in which the rate is multiplied by `decay_rate` once.
        decay_rate: the factor.
        staircase: decay at once after each `decay_steps` steps.
        name: kept in the config.

    >>> float(ExponentialDecay(1.0, 10, 0.25)(5))
    0.5
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps, decay_rate, staircase, name)

    def __call__(self, step: Any) -> Any:
        return self.initial_learning_rate * ops.power(self.decay_rate, self._periods(step))


@export("optimizers.schedules.InverseTimeDecay")
class InverseTimeDecay(_Decay):
    """`initial_learning_rate / (1 + decay_rate * step / decay_steps)`.

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: the unit in which steps are counted.
        decay_rate: how fast the rate falls.
        staircase: decay at once after each `decay_steps` steps.
        name: kept in the config.

    >>> float(InverseTimeDecay(1.0, 10, 1.0)(10))
    0.5
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps, decay_rate, staircase, name)

    def __call__(self, step: Any) -> Any:
        return self.initial_learning_rate / (1 + self.decay_rate * self._periods(step))


@export("optimizers.schedules.PiecewiseConstantDecay")
class PiecewiseConstantDecay(LearningRateSchedule):
    """One constant rate up to each boundary, that step included, and one after the last.

    Args:
        boundaries: rising step numbers.
        values: the rates, one more than boundaries.
        name: kept in the config.

    >>> schedule = PiecewiseConstantDecay([10], [1.0, 0.5])
    >>> float(schedule(10)), float(schedule(11))
    (1.0, 0.5)
    """

    def __init__(
        self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant"
    ) -> None:
        if len(boundaries) != len(values) - 1:
            raise ArgumentError(
                f"`values` must have one entry more than `boundaries`. Received: {len(values)} values and "
                f"{len(boundaries)} boundaries."
            )
        self.boundaries, self.values, self.name = boundaries, values, name

    def __call__(self, step: Any) -> Any:
        step = ops.convert_to_tensor(step)
        rate = _float(self.values[0])
        for boundary, value in zip(self.boundaries, self.values[1:], strict=True):
            rate = ops.where(ops.greater(step, boundary), value, rate)
        return rate


@export("optimizers.schedules.PolynomialDecay")
class PolynomialDecay(LearningRateSchedule):
    """From one rate to another in `decay_steps`, along a power of the steps that remain.

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: steps until the end.
        end_learning_rate: the rate from then on.
        power: 1 gives a straight line.
        cycle: start anew, with a longer period, each time the end is reached.
        name: kept in the config.

    >>> float(PolynomialDecay(1.0, 4, end_learning_rate=0.5)(2))
    0.75
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        _positive("decay_steps", decay_steps)
        self.initial_learning_rate, self.end_learning_rate = initial_learning_rate, end_learning_rate
        self.decay_steps = decay_steps
        self.power, self.cycle, self.name = power, cycle, name

    def __call__(self, step: Any) -> Any:
        done = _float(step) / self.decay_steps
        done = done / ops.maximum(ops.ceil(done), 1) if self.cycle else ops.minimum(done, 1)
        fall = self.initial_learning_rate - self.end_learning_rate
        return fall * ops.power(1 - done, self.power) + self.end_learning_rate


@export("optimizers.schedules.CosineDecay")
class CosineDecay(LearningRateSchedule):
    """Down along half a cosine wave, if wanted after a linear warm-up (Loshchilov & Hutter, 2016).

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: steps of the decay, not counting the warm-up.
        alpha: the last rate as a fraction of the highest.
        name: kept in the config.
        warmup_target: the highest rate, reached by the warm-up; without it there is none.
        warmup_steps: steps of the warm-up.

    >>> round(float(CosineDecay(1.0, 10)(5)), 3)
    0.5
    >>> float(CosineDecay(0.0, 10, warmup_target=1.0, warmup_steps=4)(2))
    0.5
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        _positive("decay_steps", decay_steps)
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.alpha, self.name = alpha, name
        self.warmup_target, self.warmup_steps = warmup_target, warmup_steps

    def __call__(self, step: Any) -> Any:
        step = _float(step)
        start, top, warmup = self.initial_learning_rate, self.warmup_target, self.warmup_steps
        if top is None:
            top, warmup = start, 0
        rate = top * _cosine(ops.clip((step - warmup) / self.decay_steps, 0, 1), self.alpha)
        return ops.where(step < warmup, start + (top - start) / warmup * step, rate) if warmup else rate


@export("optimizers.schedules.CosineDecayRestarts")
class CosineDecayRestarts(LearningRateSchedule):
    """Half cosine waves one after the other, each with a new length and height (Loshchilov & Hutter, 2016).

    Args:
        initial_learning_rate: the rate at step 0.
        first_decay_steps: steps of the first wave.
        t_mul: each wave is so many times as long as the one before.
        m_mul: and so many times as high.
        alpha: the lowest rate as a fraction of the first.
        name: kept in the config.

    >>> round(float(CosineDecayRestarts(1.0, 4)(4 + 4)), 3)
    0.5
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        _positive("first_decay_steps", first_decay_steps)
        self.initial_learning_rate, self.first_decay_steps = initial_learning_rate, first_decay_steps
        self.t_mul, self.m_mul, self.alpha, self.name = t_mul, m_mul, alpha, name

    def __call__(self, step: Any) -> Any:
        done = _float(step) / self.first_decay_steps
        if self.t_mul == 1:
            waves = ops.floor(done)
            done = done - waves
        else:  # whole waves so far, of the sum of a geometric series
            waves = ops.floor(ops.log(1 - done * (1 - self.t_mul)) / math.log(self.t_mul))
            length = ops.power(self.t_mul, waves)
            done = (done - (1 - length) / (1 - self.t_mul)) / length
        return self.initial_learning_rate * _cosine(done, self.alpha, ops.power(self.m_mul, waves))


_family = objects.Family("optimizers.schedules", "learning-rate schedule")


@export("optimizers.schedules.serialize")
def serialize(learning_rate_schedule: LearningRateSchedule) -> Any:
    """A schedule as plain data.

    >>> serialize(ExponentialDecay(0.1, 10, 0.5))["class_name"]
    'ExponentialDecay'
    """
    return objects.serialize_keras_object(learning_rate_schedule)


@export("optimizers.schedules.deserialize")
def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The schedule for what `serialize` returned.

    >>> deserialize(serialize(ExponentialDecay(0.1, 10, 0.5))).decay_rate
    0.5
    """
    return _family.deserialize(config, custom_objects)
