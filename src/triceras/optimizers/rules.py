"""The update rules, one class each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from triceras import ops
from triceras.core.errors import ArgumentError
from triceras.core.registry import export
from triceras.optimizers.base import Optimizer
from triceras.variable import Variable


@export("optimizers.SGD")
class SGD(Optimizer):
    """Gradient descent, with momentum if wanted.

    Args:
        learning_rate: size of a step.
        momentum: how much of the last step goes on, from 0 to 1.
        nesterov: look ahead by the momentum (Nesterov, 1983).
        **common: see `Optimizer`.

    >>> SGD(0.1, momentum=0.9).get_config()["momentum"]
    0.9
    """

    def __init__(
        self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False, **common: Any
    ) -> None:
        super().__init__(learning_rate, **common)
        if not isinstance(momentum, (int, float)) or not 0 <= momentum <= 1:
            raise ArgumentError(f"`momentum` must be between 0 and 1. Received: {momentum!r}")
        if nesterov and not momentum:
            raise ArgumentError("`nesterov` looks ahead by the `momentum`, which must then be above 0.")
        self.momentum, self.nesterov = momentum, nesterov

    def slot_groups(self) -> list[tuple[str, ...]]:
        return [("momentum",)] if self.momentum else []

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        step = -learning_rate * gradient
        if self.momentum:
            slot = self.slot("momentum", variable)
            velocity = self.momentum * slot.value + step
            slot.assign(velocity)
            step = self.momentum * velocity + step if self.nesterov else velocity
        variable.assign(variable.raw + step)


@export("optimizers.Adam")
class Adam(Optimizer):
    """Steps by running means of the gradient and of its square (Kingma & Ba, 2014).

    Args:
        learning_rate: size of a step.
        beta_1: decay of the gradient's mean.
        beta_2: decay of the squared gradient's mean.
        epsilon: added to the denominator.
        amsgrad: divide by the largest mean of squares so far (Reddi et al., 2018).
        **common: see `Optimizer`.

    >>> Adam(0.01).get_config()["beta_2"]
    0.999
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, **common)
        self.beta_1, self.beta_2, self.epsilon, self.amsgrad = beta_1, beta_2, epsilon, amsgrad

    def slot_groups(self) -> list[tuple[str, ...]]:
        return [("momentum", "velocity"), *([("velocity_hat",)] if self.amsgrad else [])]

    def _alpha(self, learning_rate: Any) -> Any:
        """The step size with both means' corrections for starting at 0."""
        count = self.step_count(learning_rate.dtype)
        return learning_rate * ops.sqrt(1 - self.beta_2**count) / (1 - self.beta_1**count)

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        alpha = self.once(self._alpha, learning_rate)
        momentum = self.track("momentum", variable, gradient, self.beta_1)
        velocity = self.track("velocity", variable, ops.square(gradient), self.beta_2)
        if self.amsgrad:
            highest = self.slot("velocity_hat", variable)
            velocity = highest.assign(ops.maximum(highest.value, velocity)).value
        variable.assign_sub(alpha * momentum / (ops.sqrt(velocity) + self.epsilon))


@export("optimizers.AdamW")
class AdamW(Adam):
    """Adam with weight decay apart from the gradient (Loshchilov & Hutter, 2017).

    Args:
        learning_rate: size of a step.
        weight_decay: fraction of each weight taken off per step, times the learning rate.
        beta_1: decay of the gradient's mean.
        beta_2: decay of the squared gradient's mean.
        epsilon: added to the denominator.
        amsgrad: divide by the largest mean of squares so far.
        **common: see `Optimizer`.

    >>> AdamW().weight_decay
    0.004
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **common)
        if weight_decay is None:
            raise ArgumentError("AdamW needs a `weight_decay`; use Adam without one.")


@export("optimizers.RMSprop")
class RMSprop(Optimizer):
    """Gradients divided by the root of their running mean square (Hinton, 2012).

    Args:
        learning_rate: size of a step.
        rho: decay of the means.
        momentum: how much of the last step goes on.
        epsilon: added to the mean square.
        centered: take the square of the mean gradient off the mean square.
        **common: see `Optimizer`.

    >>> RMSprop(0.01).get_config()["rho"]
    0.9
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, **common)
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered

    def slot_groups(self) -> list[tuple[str, ...]]:
        wanted = {"velocity": True, "momentum": self.momentum > 0, "average_gradient": self.centered}
        return [(slot,) for slot, used in wanted.items() if used]

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        variance = self.track("velocity", variable, ops.square(gradient), self.rho)
        if self.centered:
            variance = variance - ops.square(self.track("average_gradient", variable, gradient, self.rho))
        step = learning_rate * gradient * ops.rsqrt(variance + self.epsilon)
        if self.momentum > 0:
            slot = self.slot("momentum", variable)
            step = slot.assign(self.momentum * slot.value + step).value
        variable.assign_sub(step)


@export("optimizers.Adagrad")
class Adagrad(Optimizer):
    """Gradients divided by the root of the sum of all their squares (Duchi et al., 2011).

    Args:
        learning_rate: size of a step.
        initial_accumulator_value: where the sums start.
        epsilon: added to the sums.
        **common: see `Optimizer`.

    >>> Adagrad(0.01).get_config()["initial_accumulator_value"]
    0.1
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, **common)
        self.initial_accumulator_value, self.epsilon = initial_accumulator_value, epsilon

    def slot_groups(self) -> list[tuple[str, ...]]:
        return [("accumulator",)]

    def slot_initial(self, slot: str) -> float:
        return self.initial_accumulator_value if slot == "accumulator" else 0.0

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        total = self.slot("accumulator", variable).assign_add(ops.square(gradient)).value
        variable.assign_sub(learning_rate * gradient * ops.rsqrt(total + self.epsilon))


@export("optimizers.Adadelta")
class Adadelta(Optimizer):
    """Gradients scaled by the running sizes of past steps and gradients (Zeiler, 2012).

    Args:
        learning_rate: a factor on each step; the paper has 1.
        rho: decay of both means.
        epsilon: added to both means.
        **common: see `Optimizer`.

    >>> Adadelta(1.0).get_config()["rho"]
    0.95
    """

    def __init__(
        self, learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-7, **common: Any
    ) -> None:
        super().__init__(learning_rate, **common)
        self.rho, self.epsilon = rho, epsilon

    def slot_groups(self) -> list[tuple[str, ...]]:
        return [("accumulated_grad", "accumulated_delta_var")]

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        size = self.track("accumulated_grad", variable, ops.square(gradient), self.rho)
        past = self.slot("accumulated_delta_var", variable).value
        step = gradient * ops.sqrt((past + self.epsilon) / (size + self.epsilon))
        self.track("accumulated_delta_var", variable, ops.square(step), self.rho)
        variable.assign_sub(learning_rate * step)


@export("optimizers.Adamax")
class Adamax(Optimizer):
    """Adam with the decaying largest gradient in place of the mean square (Kingma & Ba, 2014).

    Args:
        learning_rate: size of a step.
        beta_1: decay of the gradient's mean.
        beta_2: decay of the largest gradient.
        epsilon: added to the denominator.
        **common: see `Optimizer`.

    >>> Adamax(0.01).get_config()["beta_1"]
    0.9
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, **common)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def slot_groups(self) -> list[tuple[str, ...]]:
        return [("momentum", "norm")]

    def _alpha(self, learning_rate: Any) -> Any:
        return learning_rate / (1 - self.beta_1 ** self.step_count(learning_rate.dtype))

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        alpha = self.once(self._alpha, learning_rate)
        momentum = self.track("momentum", variable, gradient, self.beta_1)
        norm = self.slot("norm", variable)
        norm.assign(ops.maximum(self.beta_2 * norm.value, ops.abs(gradient)))
        variable.assign_sub(alpha * momentum / (norm.value + self.epsilon))


@export("optimizers.Nadam")
class Nadam(Optimizer):
    """Adam with Nesterov's look ahead (Dozat, 2015).

    Args:
        learning_rate: size of a step.
        beta_1: decay of the gradient's mean, warmed up over the first steps.
        beta_2: decay of the squared gradient's mean.
        epsilon: added to the denominator.
        **common: see `Optimizer`.

    >>> Nadam(0.01).get_config()["beta_2"]
    0.999
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, **common)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def slot_groups(self) -> list[tuple[str, ...]]:
        return [("momentum", "velocity")]

    def build(self, variables: Sequence[Variable]) -> None:
        if not self.built:
            super().build(variables)
            self._product = self.add_variable(
                (), "ones", variables[0].dtype if variables else None, name="product"
            )

    def _warmed(self, count: Any) -> Any:
        """The decay of the gradient's mean at a step."""
        return self.beta_1 * (1 - 0.5 * 0.96**count)

    def _update(self, pairs: list[tuple[Any, Variable]]) -> None:
        product = self._product
        product.assign(product.value * self._warmed(self.step_count(product.dtype)))
        super()._update(pairs)

    def _factors(self, learning_rate: Any) -> tuple[Any, Any, Any]:
        """The parts of mean and gradient in the step, and the correction of the velocity."""
        dtype = learning_rate.dtype
        count, product = self.step_count(dtype), ops.cast(self._product.value, dtype)
        now, ahead = self._warmed(count), self._warmed(count + 1)
        return (
            learning_rate * ahead / (1 - product * ahead),
            learning_rate * (1 - now) / (1 - product),
            1 / (1 - self.beta_2**count),
        )

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        of_mean, of_gradient, correction = self.once(self._factors, learning_rate)
        momentum = self.track("momentum", variable, gradient, self.beta_1)
        velocity = self.track("velocity", variable, ops.square(gradient), self.beta_2)
        step = of_mean * momentum + of_gradient * gradient
        variable.assign_sub(step / (ops.sqrt(velocity * correction) + self.epsilon))


@export("optimizers.Ftrl")
class Ftrl(Optimizer):
    """Follow the regularized leader, for sparse models (McMahan et al., 2013).

    Args:
        learning_rate: size of a step.
        learning_rate_power: how the rate falls with the sum of squares; at most 0, and 0 keeps it.
        initial_accumulator_value: where the sums of squares start.
        l1_regularization_strength: pulls weights to exactly 0.
        l2_regularization_strength: pulls weights toward 0.
        l2_shrinkage_regularization_strength: adds to the gradient twice so many times the weight.
        beta: added to the root of the sum of squares.
        **common: see `Optimizer`.

    >>> Ftrl(0.01).get_config()["learning_rate_power"]
    -0.5
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, **common)
        if learning_rate_power > 0:
            raise ArgumentError(f"`learning_rate_power` must be at most 0. Received: {learning_rate_power!r}")
        for what, value in (
            ("initial_accumulator_value", initial_accumulator_value),
            ("l1_regularization_strength", l1_regularization_strength),
            ("l2_regularization_strength", l2_regularization_strength),
            ("l2_shrinkage_regularization_strength", l2_shrinkage_regularization_strength),
        ):
            if value < 0:
                raise ArgumentError(f"`{what}` must be at least 0. Received: {value!r}")
        self.learning_rate_power, self.initial_accumulator_value = (
            learning_rate_power,
            initial_accumulator_value,
        )
        self.l1_regularization_strength, self.l2_regularization_strength = (
            l1_regularization_strength,
            l2_regularization_strength,
        )
        self.l2_shrinkage_regularization_strength, self.beta = l2_shrinkage_regularization_strength, beta

    def slot_groups(self) -> list[tuple[str, ...]]:
        return [("accumulator", "linear")]

    def slot_initial(self, slot: str) -> float:
        return self.initial_accumulator_value if slot == "accumulator" else 0.0

    def _slowed(self, total: Any) -> Any:
        return (
            ops.sqrt(total)
            if self.learning_rate_power == -0.5
            else ops.power(total, -self.learning_rate_power)
        )

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        accumulator, linear = self.slot("accumulator", variable), self.slot("linear", variable)
        value, before = variable.raw, self._slowed(accumulator.value)
        after = self._slowed(accumulator.assign_add(ops.square(gradient)).value)
        if self.l2_shrinkage_regularization_strength:
            gradient = gradient + 2 * self.l2_shrinkage_regularization_strength * value
        total = linear.assign_add(gradient - (after - before) / learning_rate * value).value
        l1, l2 = (
            self.l1_regularization_strength,
            self.l2_regularization_strength + self.beta / (2 * learning_rate),
        )
        variable.assign((ops.clip(total, -l1, l1) - total) / (after / learning_rate + 2 * l2))


@export("optimizers.Lion")
class Lion(Optimizer):
    """Steps of one size along the sign of the momentum (Chen et al., 2023).

    Args:
        learning_rate: size of a step; about a tenth of Adam's.
        beta_1: part of the momentum, beside the gradient, in the step.
        beta_2: decay of the momentum.
        **common: see `Optimizer`.

    >>> Lion(1e-4).get_config()["beta_2"]
    0.99
    """

    def __init__(
        self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.99, **common: Any
    ) -> None:
        super().__init__(learning_rate, **common)
        if not 0 < beta_1 <= 1:
            raise ArgumentError(f"`beta_1` must be above 0 and at most 1. Received: {beta_1!r}")
        self.beta_1, self.beta_2 = beta_1, beta_2

    def slot_groups(self) -> list[tuple[str, ...]]:
        return [("momentum",)]

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        mixed = self.slot("momentum", variable).value * self.beta_1 + gradient * (1 - self.beta_1)
        variable.assign_sub(learning_rate * ops.sign(mixed))
        self.track("momentum", variable, gradient, self.beta_2)


@export("optimizers.Lamb")
class Lamb(Optimizer):
    """Adam's step, scaled to the norm of each weight; for large batches (You et al., 2019).

    Args:
        learning_rate: size of a step.
        beta_1: decay of the gradient's mean.
        beta_2: decay of the squared gradient's mean.
        epsilon: added to the denominator.
        **common: see `Optimizer`.

    >>> Lamb(0.01).get_config()["beta_1"]
    0.9
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, **common)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def slot_groups(self) -> list[tuple[str, ...]]:
        return [("momentum", "velocity")]

    def _corrections(self, learning_rate: Any) -> tuple[Any, Any]:
        count = self.step_count(learning_rate.dtype)
        return 1 - self.beta_1**count, 1 - self.beta_2**count

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        first, second = self.once(self._corrections, learning_rate)
        momentum = self.track("momentum", variable, gradient, self.beta_1)
        velocity = self.track("velocity", variable, ops.square(gradient), self.beta_2)
        step = momentum / first / (ops.sqrt(velocity / second) + self.epsilon)
        weight_norm, step_norm = (ops.sqrt(ops.sum(ops.square(x))) for x in (variable.raw, step))
        usable = ops.logical_and(weight_norm > 0, step_norm > 0)
        ratio = ops.where(usable, weight_norm / ops.where(usable, step_norm, 1.0), 1.0)
        variable.assign_sub(ratio * learning_rate * step)


@export("optimizers.ScheduleFreeAdamW")
class ScheduleFreeAdamW(Optimizer):
    """Adam on a running average of the weights, which makes a schedule unnecessary (Defazio et al., 2024).

    Args:
        learning_rate: size of a step.
        beta_1: how far the weights in use lie toward the average, from the point that Adam moves.
        beta_2: decay of the squared gradient's mean.
        epsilon: added to the denominator.
        warmup_steps: steps in which the learning rate rises from 0.
        **common: see `Optimizer`.

    >>> ScheduleFreeAdamW().get_config()["warmup_steps"]
    0
    """

    def __init__(
        self,
        learning_rate: Any = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        warmup_steps: int = 0,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, **common)
        if not 0 < beta_1 <= 1:
            raise ArgumentError(f"`beta_1` must be above 0 and at most 1. Received: {beta_1!r}")
        self.beta_1, self.beta_2, self.epsilon, self.warmup_steps = beta_1, beta_2, epsilon, warmup_steps

    def slot_groups(self) -> list[tuple[str, ...]]:
        return [("momentum", "velocity")]

    def build(self, variables: Sequence[Variable]) -> None:
        if not self.built:
            super().build(variables)
            for point, variable in zip(self._slots["momentum"], self._trained, strict=True):
                point.assign(variable)

    def _factors(self, learning_rate: Any) -> tuple[Any, Any, Any]:
        """The step size, the correction of the velocity, and the part of the new point in the average."""
        count = self.step_count(learning_rate.dtype)
        rate = (
            learning_rate * ops.minimum(count / self.warmup_steps, 1) if self.warmup_steps else learning_rate
        )
        return rate, 1 - self.beta_2**count, 1 / count

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        rate, correction, part = self.once(self._factors, learning_rate)
        velocity = self.track("velocity", variable, ops.square(gradient), self.beta_2)
        point = self.slot("momentum", variable)
        average = (variable.raw - (1 - self.beta_1) * point.value) / self.beta_1
        point.assign_sub(rate * gradient / (ops.sqrt(velocity / correction) + self.epsilon))
        average = (1 - part) * average + part * point.value
        variable.assign((1 - self.beta_1) * point.value + self.beta_1 * average)


@export("optimizers.Adafactor")
class Adafactor(Optimizer):
    """Adam's scaling with the squares of a matrix kept as row and column means only (Shazeer & Stern, 2018).

    Args:
        learning_rate: the largest relative step, or the relative step itself without `relative_step`.
        beta_2_decay: power of the step number that gives the means' decay.
        epsilon_1: added to the squared gradient.
        epsilon_2: least root mean square of a weight that steps are relative to.
        clip_threshold: largest root mean square of the scaled gradient.
        relative_step: let steps fall with the root of their number.
        **common: see `Optimizer`.

    >>> Adafactor().get_config()["relative_step"]
    True
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, **common)
        self.beta_2_decay, self.epsilon_1, self.epsilon_2 = beta_2_decay, epsilon_1, epsilon_2
        self.clip_threshold, self.relative_step = clip_threshold, relative_step

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self._slots |= {"row": [], "column": [], "velocity": []}
        for variable in self._trained:
            path, shape = variable.path.replace("/", "_"), variable.shape
            for slot, kept in (("row", shape[:-1]), ("column", (*shape[:-2], *shape[-1:]))):
                # vectors have no means; files hold an integer in their place
                kept, dtype = (kept, variable.dtype) if len(shape) > 1 else ((), "int32")
                self._slots[slot].append(self.add_variable(kept, "zeros", dtype, name=f"{path}_{slot}"))
            self._slots["velocity"].append(self.add_variable_from_reference(variable, "velocity"))

    def _factors(self, learning_rate: Any) -> tuple[Any, Any]:
        """The decay of the means and the relative step."""
        count = self.step_count(learning_rate.dtype)
        step = ops.minimum(learning_rate, 1 / ops.sqrt(count)) if self.relative_step else learning_rate
        return 1 - ops.power(count, self.beta_2_decay), step

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        keep, step = self.once(self._factors, learning_rate)
        squares = ops.square(gradient) + self.epsilon_1
        velocity = self.slot("velocity", variable)
        if len(variable.shape) > 1:
            row = self.track("row", variable, ops.mean(squares, axis=-1), keep)
            column = self.track("column", variable, ops.mean(squares, axis=-2), keep)
            row = row / ops.mean(row, axis=-1, keepdims=True)
            velocity.assign(ops.expand_dims(row, -1) * ops.expand_dims(column, -2))
        else:
            self.track("velocity", variable, squares, keep)
        scaled = gradient * ops.rsqrt(velocity.value)
        scaled = scaled / ops.maximum(_root_mean_square(scaled) / self.clip_threshold, 1.0)
        variable.assign_sub(step * ops.maximum(_root_mean_square(variable.raw), self.epsilon_2) * scaled)


def _root_mean_square(x: Any) -> Any:
    return ops.sqrt(ops.mean(ops.square(x)))


@export("optimizers.Muon")
class Muon(Adam):
    """Momentum made orthogonal, for weight matrices; AdamW for all else (Jordan et al., 2024).

    Args:
        learning_rate: size of a step.
        adam_beta_1: Adam's decay of the gradient's mean.
        adam_beta_2: Adam's decay of the squared gradient's mean.
        adam_weight_decay: the weight decay of what Adam trains.
        epsilon: added to Adam's denominator.
        weight_decay: the weight decay of the matrices.
        exclude_layers: regular expressions; Adam trains what has one in its path.
        exclude_embeddings: let Adam train the matrices of embeddings.
        muon_a: first coefficient of the polynomial that makes a matrix orthogonal.
        muon_b: second coefficient.
        muon_c: third coefficient.
        adam_lr_ratio: factor on the learning rate where Adam trains.
        momentum: how much of the last momentum goes on.
        ns_steps: how often the polynomial is applied.
        nesterov: look ahead by the momentum.
        rms_rate: the root mean square that each step is scaled to, near Adam's; None leaves it as it is.
        **common: see `Optimizer`.

    >>> Muon().get_config()["ns_steps"]
    5
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        *,
        exclude_layers: Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.775,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **common: Any,
    ) -> None:
        super().__init__(
            learning_rate, adam_beta_1, adam_beta_2, epsilon, weight_decay=weight_decay, **common
        )
        self.adam_weight_decay, self.adam_lr_ratio = adam_weight_decay, adam_lr_ratio
        self.exclude_layers, self.exclude_embeddings = exclude_layers or [], exclude_embeddings
        self.muon_a, self.muon_b, self.muon_c = muon_a, muon_b, muon_c
        self.momentum, self.ns_steps, self.nesterov, self.rms_rate = momentum, ns_steps, nesterov, rms_rate

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"exclude_layers": self.exclude_layers}

    def slot_groups(self) -> list[tuple[str, ...]]:
        return []  # not all variables have both

    def _is_orthogonal(self, variable: Variable) -> bool:
        """Whether a variable is a matrix that isn't left to Adam."""
        embedding = self.exclude_embeddings and "embedding" in variable.path.lower()
        excluded = embedding or any(re.search(pattern, variable.path) for pattern in self.exclude_layers)
        return len(variable.shape) == 2 and not excluded

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self._slots |= {"momentum": [], "velocity": []}
        for variable in self._trained:
            for slot in ("momentum", "velocity"):
                used = slot == "momentum" or not self._is_orthogonal(variable)
                self._slots[slot].append(self.add_variable_from_reference(variable, slot) if used else None)

    def decay_of(self, variable: Variable) -> float | None:
        return self.weight_decay if self._is_orthogonal(variable) else self.adam_weight_decay

    def transpose_last_axis(self, x: Any) -> Any:
        """A matrix with its two sides exchanged."""
        return ops.swapaxes(x, -1, -2)

    def zeropower_via_newtonschulz5(self, x: Any, steps: int) -> Any:
        """A matrix with all singular values brought near 1, by steps of an iteration of fifth degree."""
        tall = x.shape[-2] > x.shape[-1]
        x = self.transpose_last_axis(x) if tall else x
        x = x / (ops.norm(x, axis=(-2, -1), keepdims=True) + 1e-7)
        for _ in range(steps):
            square = ops.matmul(x, self.transpose_last_axis(x))
            x = self.muon_a * x + ops.matmul(
                self.muon_b * square + self.muon_c * ops.matmul(square, square), x
            )
        return self.transpose_last_axis(x) if tall else x

    def lr_adjust(self, x: Any) -> Any:
        """An orthogonal step scaled to the wanted root mean square."""
        return x if self.rms_rate is None else x * (self.rms_rate * max(x.shape) ** 0.5)

    def _adam_rate(self, learning_rate: Any) -> Any:
        return learning_rate * self.adam_lr_ratio

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        if not self._is_orthogonal(variable):
            super().update_step(gradient, variable, self.once(self._adam_rate, learning_rate))
            return
        slot = self.slot("momentum", variable)
        momentum = slot.assign(self.momentum * slot.value + gradient).value
        direction = gradient + self.momentum * momentum if self.nesterov else momentum
        direction = self.zeropower_via_newtonschulz5(direction, self.ns_steps)
        variable.assign_sub(learning_rate * self.lr_adjust(direction))
