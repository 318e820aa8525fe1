"""The update rules, one class each."""

from __future__ import annotations

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

    def __init__(self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False, **common: Any) -> None:
        super().__init__(learning_rate, **common)
        if not isinstance(momentum, (int, float)) or not 0 <= momentum <= 1:
            raise ArgumentError(f"`momentum` must be between 0 and 1. Received: {momentum!r}")
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
