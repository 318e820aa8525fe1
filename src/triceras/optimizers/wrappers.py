"""Optimizers around optimizers: loss scaling for float16, and one optimizer for each group of variables."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Any, NoReturn

from triceras import ops
from triceras.core.capture import Configurable
from triceras.core.errors import ArgumentError, ArgumentTypeError, TricerasError, shown
from triceras.core.registry import export
from triceras.initializers import Constant
from triceras.optimizers.base import Optimizer
from triceras.saving.objects import deserialize_keras_object, serialize_keras_object
from triceras.variable import Variable, assign_where


def _optimizer(value: Any, what: str) -> Optimizer:
    if not isinstance(value, Optimizer):
        raise ArgumentTypeError(
            f"{what} must be an optimizer such as `optimizers.Adam()`. Received: {shown(value)}"
        )
    return value


@export("optimizers.LossScaleOptimizer", "mixed_precision.LossScaleOptimizer")
class LossScaleOptimizer(Optimizer):
    """Multiplies the loss so that small gradients don't vanish in float16, and finds the factor as it goes.

    A step whose gradients aren't finite is left out, and halves the scale.

    Args:
        inner_optimizer: makes the steps. A `loss_scale_factor` that it has gives way.
        initial_scale: the first scale.
        dynamic_growth_steps: finite steps in a row after which the scale doubles.
        name: made from the class name if not given.

    >>> from triceras.optimizers import SGD
    >>> LossScaleOptimizer(SGD(0.1), initial_scale=8.0).scale_loss(2.0)
    16.0
    """

    def __init__(
        self,
        inner_optimizer: Optimizer,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs:
            raise ArgumentError(
                f"LossScaleOptimizer doesn't take {sorted(kwargs)}; give them to its `inner_optimizer`."
            )
        self.inner_optimizer = _optimizer(inner_optimizer, "`inner_optimizer`")
        self.initial_scale, self.dynamic_growth_steps = initial_scale, dynamic_growth_steps
        super().__init__(0.0, name=name)
        inner_optimizer.loss_scale_factor = None

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self.inner_optimizer.build(variables)
        self.step_counter = self.add_variable((), "zeros", "int32", name="step_counter")
        self.dynamic_scale = self.add_variable(
            (), Constant(self.initial_scale), "float32", name="dynamic_scale"
        )

    @property
    def variables(self) -> list[Variable]:
        """The scale's state, then the inner optimizer's."""
        return [*self._variables, *self.inner_optimizer.variables]

    @property
    def iterations(self) -> Any:
        """The number of updates that the inner optimizer has made."""
        return self.inner_optimizer.iterations

    @property
    def learning_rate(self) -> Any:
        """The inner optimizer's learning rate."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self.inner_optimizer.learning_rate = value

    def scale_loss(self, loss: Any) -> Any:
        """The loss times the present scale."""
        return loss * (self.dynamic_scale.value if self.built else self.initial_scale)

    def check_finite(self, grads: Sequence[Any]) -> Any:
        """Whether no gradient holds an infinity or NaN, as a scalar tensor."""
        finite = [ops.all(ops.isfinite(g)) for g in grads if g is not None]
        return ops.all(ops.stack(finite))

    def _step(self, pairs: list[tuple[Any, Variable]]) -> None:
        grads, variables = zip(*pairs, strict=True)
        scale, count = self.dynamic_scale.value, self.step_counter.value + 1
        finite = self.check_finite(grads)
        assign_where(finite, lambda: self.inner_optimizer.apply([g / scale for g in grads], variables))
        grown = ops.equal(count, self.dynamic_growth_steps)
        self.step_counter.assign(ops.where(ops.logical_and(finite, ops.logical_not(grown)), count, 0))
        self.dynamic_scale.assign(ops.where(finite, ops.where(grown, scale * 2, scale), scale / 2))

    @property
    def keeps_average(self) -> bool:
        return self.inner_optimizer.keeps_average

    def show_average(self, shown: bool) -> None:
        self.inner_optimizer.show_average(shown)

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        self.inner_optimizer.finalize_variable_values(var_list)

    def exclude_from_weight_decay(
        self, var_list: Sequence[Variable] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        self.inner_optimizer.exclude_from_weight_decay(var_list, var_names)

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "inner_optimizer": serialize_keras_object(self.inner_optimizer),
            "initial_scale": self.initial_scale,
            "dynamic_growth_steps": self.dynamic_growth_steps,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        inner = deserialize_keras_object(config["inner_optimizer"], custom_objects=custom_objects)
        return cls(**config | {"inner_optimizer": inner})


@export("optimizers.OptimizerMap")
class OptimizerMap(Configurable, MutableMapping):
    """Optimizers by paths of variables, or by regular expressions that match whole paths.

    Args:
        default_optimizer: for variables that no entry matches.
        optimizer_map: the first entries.

    >>> from triceras.optimizers import SGD, Adam
    >>> optimizers = OptimizerMap(SGD(), {"encoder/.*": Adam()})
    >>> type(optimizers["encoder/kernel"]).__name__, type(optimizers["head/kernel"]).__name__
    ('Adam', 'SGD')
    """

    def __init__(
        self, default_optimizer: Optimizer, optimizer_map: dict[str, Optimizer] | None = None
    ) -> None:
        if optimizer_map is not None and not isinstance(optimizer_map, dict):
            raise ArgumentTypeError(
                f"`optimizer_map` must be a dict by path. Received: {shown(optimizer_map)}"
            )
        self.default_optimizer = _optimizer(default_optimizer, "`default_optimizer`")
        self._entries: dict[str, Optimizer] = {}
        for key, optimizer in (optimizer_map or {}).items():
            self[key] = optimizer

    def __getitem__(self, path: str) -> Optimizer:
        """The optimizer for a path: of the entry with this very key, else of the only one that matches."""
        if path in self._entries:
            return self._entries[path]
        matching = [key for key in self._entries if re.fullmatch(key, path)]
        if len(matching) > 1:
            raise ArgumentError(
                f"The variable {path!r} has several optimizers: the keys {matching} match it."
            )
        return self._entries[matching[0]] if matching else self.default_optimizer

    def __setitem__(self, key: str, optimizer: Optimizer) -> None:
        if not isinstance(key, str):
            raise ArgumentError(f"A key of an OptimizerMap must be a string. Received: {key!r}")
        if key in self._entries:
            raise ArgumentError(f"The OptimizerMap has an optimizer for {key!r} already; delete it first.")
        self._entries[key] = _optimizer(optimizer, f"The value for {key!r}")

    def __delitem__(self, key: str) -> None:
        del self._entries[key]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def get_config(self) -> dict[str, Any]:
        return {
            "default_optimizer": serialize_keras_object(self.default_optimizer),
            "optimizer_map": {
                key: serialize_keras_object(optimizer) for key, optimizer in self._entries.items()
            },
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        return cls(
            **{
                key: deserialize_keras_object(value, custom_objects=custom_objects)
                for key, value in config.items()
            }
        )


class NoLearningRateError(TricerasError, AttributeError):
    """The learning rate of several optimizers together was asked for."""


@export("optimizers.MultiOptimizer")
class MultiOptimizer(Optimizer):
    """Several optimizers, each for its own variables. `optimizers` lists them.

    Args:
        optimizer_map: an `OptimizerMap`, or a function that gives the optimizer of a variable.
        loss_scale_factor: the loss is multiplied by it, the gradients divided; it replaces each optimizer's.
        name: made from the class name if not given.

    >>> from triceras.optimizers import SGD, Adam
    >>> both = MultiOptimizer(OptimizerMap(SGD(), {"encoder/.*": Adam()}))
    >>> [type(optimizer).__name__ for optimizer in both.optimizers]
    ['Adam', 'SGD']
    """

    def __init__(
        self,
        optimizer_map: OptimizerMap | Callable[[Variable], Optimizer],
        loss_scale_factor: float | None = None,
        name: str | None = None,
    ) -> None:
        self.optimizers: list[Optimizer] = []
        super().__init__(0.0, loss_scale_factor=loss_scale_factor, name=name)
        self._optimizer_map = optimizer_map
        if isinstance(optimizer_map, OptimizerMap):
            self._list([*(optimizer_map[key] for key in optimizer_map), optimizer_map.default_optimizer])
        elif not callable(optimizer_map):
            raise ArgumentTypeError(
                f"`optimizer_map` must be an OptimizerMap, or a function from a variable to its optimizer. "
                f"Received: {shown(optimizer_map)}"
            )

    def _list(self, optimizers: Sequence[Optimizer]) -> None:
        self.optimizers = list({id(o): o for o in [*self.optimizers, *optimizers]}.values())
        self.loss_scale_factor = self._factor

    @property
    def loss_scale_factor(self) -> float | None:
        """The factor on the loss, which all optimizers share."""
        return self._factor

    @loss_scale_factor.setter
    def loss_scale_factor(self, value: float | None) -> None:
        self._factor = value
        for optimizer in self.optimizers:
            optimizer.loss_scale_factor = value

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        chosen = self._optimizer_map
        self._chosen = [
            chosen[v.path]
            if isinstance(chosen, OptimizerMap)
            else _optimizer(chosen(v), f"The optimizer of {v.path!r}")
            for v in self._trained
        ]
        self._list(self._chosen)
        for optimizer in self.optimizers:
            optimizer.build([v for v in self._trained if self._optimizer_of(v) is optimizer])

    def _optimizer_of(self, variable: Variable) -> Optimizer:
        return self._chosen[self._get_variable_index(variable)]

    @property
    def variables(self) -> list[Variable]:
        """Its own state, then that of each optimizer."""
        return [*self._variables, *(v for optimizer in self.optimizers for v in optimizer.variables)]

    @property
    def learning_rate(self) -> NoReturn:
        """Not to be had: each of `optimizers` has its own."""
        raise NoLearningRateError("A MultiOptimizer has no learning rate; each of its `optimizers` has one.")

    @learning_rate.setter
    def learning_rate(self, value: Any) -> NoReturn:
        raise NoLearningRateError(
            "A MultiOptimizer has no learning rate; set that of each of its `optimizers`."
        )

    def _step(self, pairs: list[tuple[Any, Variable]]) -> None:
        for optimizer in self.optimizers:
            own = [pair for pair in pairs if self._optimizer_of(pair[1]) is optimizer]
            if own:
                optimizer.apply(*zip(*own, strict=True))
        self._iterations.assign_add(1)

    @property
    def keeps_average(self) -> bool:
        return any(optimizer.keeps_average for optimizer in self.optimizers)

    def show_average(self, shown: bool) -> None:
        for optimizer in self.optimizers:
            optimizer.show_average(shown)

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        for optimizer in self.optimizers:
            optimizer.finalize_variable_values(var_list)

    def exclude_from_weight_decay(
        self, var_list: Sequence[Variable] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        for optimizer in self.optimizers:
            optimizer.exclude_from_weight_decay(var_list, var_names)

    def get_config(self) -> dict[str, Any]:
        return {
            "optimizer_map": serialize_keras_object(self._optimizer_map),
            "loss_scale_factor": self.loss_scale_factor,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        chosen = deserialize_keras_object(config["optimizer_map"], custom_objects=custom_objects)
        return cls(**config | {"optimizer_map": chosen})
