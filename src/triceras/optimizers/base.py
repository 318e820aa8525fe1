"""The base of all optimizers: slots, clipping, decay, averaging, accumulation. A rule is an `update_step`."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from triceras import ops
from triceras.core.capture import Configurable
from triceras.core.errors import ArgumentError, ArgumentTypeError, ShapeError
from triceras.core.registry import export
from triceras.core.scope import to_snake_case, unique_name
from triceras.engine import selection
from triceras.initializers import Constant
from triceras.optimizers.schedules import LearningRateSchedule
from triceras.saving.objects import deserialize_keras_object, serialize_keras_object
from triceras.variable import Variable, assign_where, with_values


@export("Optimizer", "optimizers.Optimizer")
class Optimizer(Configurable):
    """Changes variables along their gradients.

    A subclass names its slots (one variable for each trained one) in `slot_groups`, and gives `update_step`.

    Args:
        learning_rate: a float, a `LearningRateSchedule`, or a function without arguments.
        weight_decay: fraction of each weight taken off per step, times the learning rate.
        clipnorm: largest norm of each gradient.
        clipvalue: largest absolute value in a gradient.
        global_clipnorm: largest norm of all gradients together.
        use_ema: keep a moving average of the weights, which replaces them after training.
        ema_momentum: decay of that average.
        ema_overwrite_frequency: also replace the weights every so many steps.
        loss_scale_factor: the loss is multiplied by it and the gradients divided.
        gradient_accumulation_steps: update once every so many steps, with the mean of the gradients.
        name: made from the class name if not given.

    >>> class SignDescent(Optimizer):
    ...     def update_step(self, gradient, variable, learning_rate):
    ...         variable.assign_sub(learning_rate * ops.sign(gradient))
    >>> weight = Variable([1.0, 1.0])
    >>> SignDescent(0.5).apply([[3.0, -2.0]], [weight])
    >>> weight.numpy().tolist()
    [0.5, 1.5]
    """

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs:
            raise ArgumentError(f"{type(self).__name__}() got unknown arguments: {sorted(kwargs)}")
        if sum(c is not None for c in (clipnorm, clipvalue, global_clipnorm)) > 1:
            raise ArgumentError("Give at most one of `clipnorm`, `clipvalue` and `global_clipnorm`.")
        for what, number in (
            ("clipnorm", clipnorm),
            ("clipvalue", clipvalue),
            ("global_clipnorm", global_clipnorm),
        ):
            if number is not None and number <= 0:
                raise ArgumentError(f"`{what}` must be above 0. Received: {number!r}")
        if use_ema and not 0 <= ema_momentum <= 1:
            raise ArgumentError(f"`ema_momentum` must be between 0 and 1. Received: {ema_momentum!r}")
        for what, count, least in (
            ("ema_overwrite_frequency", ema_overwrite_frequency if use_ema else None, 1),
            ("gradient_accumulation_steps", gradient_accumulation_steps, 2),
        ):
            if count is not None and (not isinstance(count, int) or count < least):
                raise ArgumentError(
                    f"`{what}` must be an integer of at least {least}, or None. Received: {count!r}"
                )
        self.name = name or unique_name(to_snake_case(type(self).__name__))
        self.weight_decay, self.clipnorm, self.clipvalue = weight_decay, clipnorm, clipvalue
        self.global_clipnorm, self.loss_scale_factor = global_clipnorm, loss_scale_factor
        self.use_ema, self.ema_momentum = use_ema, ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.built = False
        self._average_shown = False
        self._variables: list[Variable] = []
        self._slots: dict[str, list[Variable]] = {}
        self._trained: list[Variable] = []
        self._places: dict[int, int] = {}
        self._undecayed: tuple[set[str], list[str]] = (set(), [])
        self._shared: dict[Any, Any] | None = None
        self._iterations = self._scalar(0, "iteration", "int32")
        self._rate: Any = None
        if callable(learning_rate):
            self._rate = learning_rate
        elif isinstance(learning_rate, (int, float, np.number)) and not isinstance(learning_rate, bool):
            self._rate = self._scalar(float(learning_rate), "learning_rate", "float32")
        else:
            raise ArgumentTypeError(
                "`learning_rate` must be a float, a LearningRateSchedule or a function. "
                f"Received: {learning_rate!r}"
            )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Show the common arguments in the signature of a rule that takes them as `**common`."""
        super().__init_subclass__(**kwargs)
        own = list(inspect.signature(cls.__init__).parameters.values())[1:]
        if any(p.name == "common" for p in own):
            rest = list(inspect.signature(Optimizer.__init__).parameters.values())[2:-1]
            named = {p.name for p in own}
            common = [p.replace(kind=p.KEYWORD_ONLY) for p in rest if p.name not in named]
            at = next(i for i, p in enumerate(own) if p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD))
            cls.__signature__ = inspect.Signature([*own[:at], *common, *own[at:-1]])

    # -- state -----------------------------------------------------------------------------------------------

    def _scalar(self, value: float, name: str, dtype: str) -> Variable:
        variable = Variable(
            np.asarray(value, dtype), trainable=False, name=name, aggregation="only_first_replica"
        )
        variable.path = f"{self.name}/{name}"
        self._variables.append(variable)
        return variable

    @property
    def variables(self) -> list[Variable]:
        """All state: the step counter, the learning rate, the slots."""
        return list(self._variables)

    @property
    def iterations(self) -> Any:
        """The number of updates made: of steps taken, or of full accumulations of gradients."""
        every = self.gradient_accumulation_steps
        return self._iterations.value // every if every else self._iterations

    def slot_groups(self) -> list[tuple[str, ...]]:
        """Names of the slots; those of one group stand together for each variable in saved files."""
        return []

    def slot_initial(self, slot: str) -> float:
        """The first value of a slot."""
        return 0.0

    def build(self, variables: Sequence[Variable]) -> None:
        """Make the slots for these variables."""
        if self.built:
            return
        self._unbuilt = len(self.variables)
        self._trained = list(variables)
        self._places = {id(v): i for i, v in enumerate(self._trained)}
        if self._trained:
            for variable in self._variables:
                variable.move(self._trained[0].engine)
        if self.use_ema:
            self._add_slots(("average",))
            for average, variable in zip(self._slots["average"], self._trained, strict=True):
                average.assign(variable)
        if self.gradient_accumulation_steps:
            self._add_slots(("gradient_accumulator",))
        for group in self.slot_groups():
            self._add_slots(group)
        self.built = True

    def _add_slots(self, group: tuple[str, ...]) -> None:
        made = self.add_optimizer_variables(self._trained, group, [self.slot_initial(slot) for slot in group])
        self._slots.update(zip(group, made, strict=True))

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Any = "zeros",
        dtype: Any = None,
        aggregation: str = "none",
        layout: Any = None,
        name: str | None = None,
    ) -> Variable:
        """Make a variable of the optimizer."""
        with selection.running(self._iterations.engine):
            variable = Variable(
                initializer,
                shape=shape,
                dtype=dtype,
                trainable=False,
                aggregation=aggregation,
                layout=layout,
                name=name,
            )
        variable.path = f"{self.name}/{variable.name}"
        self._variables.append(variable)
        return variable

    def add_variable_from_reference(
        self, reference_variable: Variable, name: str | None = None, initializer: Any = "zeros"
    ) -> Variable:
        """Make a variable of the shape and dtype of another, filled with a number or by an initializer."""
        if isinstance(initializer, (int, float)):
            initializer = Constant(initializer)
        full = f"{reference_variable.path.replace('/', '_')}_{name or 'slot'}"
        return self.add_variable(reference_variable.shape, initializer, reference_variable.dtype, name=full)

    def add_optimizer_variables(
        self, trainable_variables: Sequence[Variable], name: Any, initializer: Any = "zeros"
    ) -> Any:
        """Make one slot (or several, for a list of names) for each variable."""
        names = [name] if isinstance(name, str) else list(name)
        kinds = initializer if isinstance(initializer, (list, tuple)) else [initializer] * len(names)
        made = [
            [self.add_variable_from_reference(variable, *kind) for kind in zip(names, kinds, strict=True)]
            for variable in trainable_variables
        ]
        by_name = [list(column) for column in zip(*made, strict=True)] or [[] for _ in names]
        return by_name[0] if isinstance(name, str) else by_name

    def _get_variable_index(self, variable: Variable) -> int:
        """The place of a variable among those that the optimizer was built for."""
        index = self._places.get(id(variable))
        if index is None:
            raise ArgumentError(
                f"The optimizer {self.name!r} was built for variables other than {variable.path!r}. "
                "Compile the model again after changing what is trained, or make a new optimizer."
            )
        return index

    def slot(self, name: str, variable: Variable) -> Variable:
        """A slot of a variable."""
        return self._slots[name][self._get_variable_index(variable)]

    def track(self, name: str, variable: Variable, value: Any, keep: float) -> Any:
        """Move a slot, a running mean, toward a value; the part `keep` stays."""
        slot = self.slot(name, variable)
        mean = slot.value
        return slot.assign(mean + (value - mean) * (1 - keep)).value

    # -- the learning rate -----------------------------------------------------------------------------------

    @property
    def learning_rate(self) -> Any:
        """The learning rate: a variable, or the value that a schedule has now."""
        if isinstance(self._rate, Variable):
            return self._rate
        return self._rate(self._iterations) if isinstance(self._rate, LearningRateSchedule) else self._rate()

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if isinstance(value, LearningRateSchedule):
            self._variables = [v for v in self._variables if v is not self._rate]
            self._rate = value
        elif isinstance(self._rate, Variable):
            self._rate.assign(value() if callable(value) else value)
        else:
            raise ArgumentTypeError(
                f"The learning rate of {self.name!r} follows {type(self._rate).__name__} and can't be set. "
                "Make the optimizer with a float to change it during training."
            )

    # -- steps -----------------------------------------------------------------------------------------------

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Change one variable and its slots."""
        raise NotImplementedError(f"{type(self).__name__} defines no update_step().")

    def once(self, compute: Callable[..., Any], *args: Any) -> Any:
        """`compute(*args)`, computed once in a step for all variables with the same (identical) arguments."""
        if self._shared is None:  # outside a step
            return compute(*args)
        key = (compute, *map(id, args))
        if key not in self._shared:
            self._shared[key] = compute(*args), args  # with the arguments, to keep their ids taken
        return self._shared[key][0]

    def step_count(self, dtype: str) -> Any:
        """The number of this update, from 1, as a float."""
        return ops.cast(self.iterations + 1, dtype)

    def assign(self, variable: Variable, value: Any) -> None:
        """Store a value in a variable."""
        variable.assign(value)

    def assign_add(self, variable: Variable, value: Any) -> None:
        """Add to a variable."""
        variable.assign_add(value)

    def assign_sub(self, variable: Variable, value: Any) -> None:
        """Subtract from a variable."""
        variable.assign_sub(value)

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> Any:
        """One step, given pairs of gradients and variables."""
        grads, variables = zip(*grads_and_vars, strict=True)
        self.apply(list(grads), list(variables))
        return self._iterations

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Variable] | None = None) -> None:
        """One step.

        Args:
            grads: gradients, in the order of the variables; None leaves a variable alone.
            trainable_variables: those with which the optimizer was built if not given.
        """
        grads = list(grads)
        if grads:
            self._step(self._pairs(grads, trainable_variables))

    def _pairs(
        self, grads: list[Any], trainable_variables: Sequence[Variable] | None
    ) -> list[tuple[Any, Variable]]:
        """Gradients with their variables, without those that have no gradient; builds the optimizer."""
        if trainable_variables is None:
            if not self.built:
                raise ArgumentError(
                    "The first apply() needs the variables: apply(grads, trainable_variables)."
                )
            trainable_variables = self._trained
        variables = list(trainable_variables)
        if len(grads) != len(variables):
            raise ArgumentError(f"apply() got {len(grads)} gradients for {len(variables)} variables.")
        self.build(variables)
        pairs = []
        for gradient, variable in zip(grads, variables, strict=True):
            self._get_variable_index(variable)
            if gradient is not None:
                gradient = variable.engine.make(gradient, variable.dtype)
                if tuple(gradient.shape) != variable.shape:
                    raise ShapeError(
                        f"The gradient for {variable.path!r} must have its shape {variable.shape}. "
                        f"Received: {tuple(gradient.shape)}"
                    )
                pairs.append((gradient, variable))
        if not pairs:
            raise ArgumentError(
                "None of the variables has a gradient: the loss doesn't depend on any of them."
            )
        if len(pairs) < len(grads):
            missing = [v.path for g, v in zip(grads, variables, strict=True) if g is None]
            warnings.warn(f"The loss doesn't depend on {missing}; they are left as they are.", stacklevel=3)
        return pairs

    def _step(self, pairs: list[tuple[Any, Variable]]) -> None:
        for gradient, variable in pairs:
            if variable.overwrite_with_gradient:
                variable.assign(gradient)
        pairs = [p for p in pairs if not p[1].overwrite_with_gradient]
        if self.loss_scale_factor is not None:
            pairs = [(g / self.loss_scale_factor, v) for g, v in pairs]
        if self.gradient_accumulation_steps:
            self._accumulate(pairs)
        else:
            self._update(pairs)
        if self.use_ema:
            self._average()
        for _, variable in pairs:
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable))
        self._iterations.assign_add(1)

    def _update(self, pairs: list[tuple[Any, Variable]]) -> None:
        now = self.learning_rate
        rates = {dtype: ops.cast(now, dtype) for dtype in {v.dtype for _, v in pairs}}
        grads = self._clipped([g for g, _ in pairs])
        self._shared = {}
        for gradient, (_, variable) in zip(grads, pairs, strict=True):
            rate, decay = rates[variable.dtype], self.decay_of(variable)
            if decay is not None and self._decays(variable):
                variable.assign_sub(variable.raw * (decay * rate))
            self.update_step(gradient, variable, rate)
        self._shared = None

    def _accumulate(self, pairs: list[tuple[Any, Variable]]) -> None:
        steps = self.gradient_accumulation_steps
        due = ops.equal((self._iterations.value + 1) % steps, 0)
        sums = [(g + self.slot("gradient_accumulator", v).value, v) for g, v in pairs]
        assign_where(due, lambda: self._update([(g / steps, v) for g, v in sums]))
        for total, variable in sums:
            self.slot("gradient_accumulator", variable).assign(ops.where(due, ops.zeros_like(total), total))

    def _average(self) -> None:
        updates = self.iterations
        keep = ops.where(ops.equal(updates, 0), 0.0, self.ema_momentum)
        for average, variable in zip(self._slots["average"], self._trained, strict=True):
            part = ops.cast(keep, variable.dtype)
            average.assign(part * average.value + (1 - part) * variable.raw)
        if self.ema_overwrite_frequency:
            due = ops.equal((updates + 1) % self.ema_overwrite_frequency, 0)
            assign_where(due, self._overwrite_with_average)

    def _overwrite_with_average(self) -> None:
        for average, variable in zip(self._slots["average"], self._trained, strict=True):
            variable.assign(average.value)

    @property
    def keeps_average(self) -> bool:
        """Whether there is, or will be, a moving average of weights."""
        return self.use_ema

    def show_average(self, shown: bool) -> None:
        """Exchange the weights and their moving average, if there is one, unless they are where they should be."""
        if not (self.use_ema and self.built) or shown == self._average_shown:
            return
        for average, variable in zip(self._slots["average"], self._trained, strict=True):
            weight = variable.numpy().copy()
            variable.assign(average.value)
            average.assign(weight)
        self._average_shown = shown

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        """After training: replace the weights by their moving average, if there is one."""
        if not (self.use_ema and self.built):
            return
        self.show_average(False)
        self._overwrite_with_average()

    def _clipped(self, grads: list[Any]) -> list[Any]:
        if self.clipnorm is not None:
            return [_clip_norm(g, self.clipnorm, ops.sqrt(ops.sum(ops.square(g)))) for g in grads]
        if self.global_clipnorm is not None:
            total = ops.sqrt(sum(ops.sum(ops.square(g)) for g in grads))
            return [_clip_norm(g, self.global_clipnorm, ops.cast(total, g.dtype)) for g in grads]
        if self.clipvalue is not None:
            return [ops.clip(g, -self.clipvalue, self.clipvalue) for g in grads]
        return grads

    def exclude_from_weight_decay(
        self, var_list: Sequence[Variable] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Never decay these variables, or those in whose name one of these regular expressions is found."""
        if self.built:
            raise ArgumentError("exclude_from_weight_decay() must be called before the optimizer is built.")
        paths, patterns = self._undecayed
        paths.update(v.path for v in var_list or ())
        patterns.extend(var_names or ())

    def _decays(self, variable: Variable) -> bool:
        paths, patterns = self._undecayed
        return variable.path not in paths and not any(re.search(p, variable.name) for p in patterns)

    def decay_of(self, variable: Variable) -> float | None:
        """The weight decay of a variable, or None."""
        return self.weight_decay

    def scale_loss(self, loss: Any) -> Any:
        """The loss times the scale factor."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def stateless_apply(
        self, optimizer_variables: Sequence[Any], grads: Sequence[Any], trainable_variables: Sequence[Any]
    ) -> tuple[list[Any], list[Any]]:
        """One step on given values, changing no variable.

        Returns:
            `(trainable values, optimizer values)` after the step.
        """
        if not self.built:
            raise ArgumentError(
                "stateless_apply() needs a built optimizer: call build(trainable_variables) first."
            )
        trained, own = self._trained, self.variables
        _, (trained, own) = with_values(
            lambda: self.apply(grads, trained),
            trainable_variables=(trained, trainable_variables),
            optimizer_variables=(own, optimizer_variables),
        )
        return trained, own

    # -- files -----------------------------------------------------------------------------------------------

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Assign values in the order of `variables`."""
        if len(weights) != len(self.variables):
            raise ArgumentError(
                f"The optimizer {self.name!r} has {len(self.variables)} variables. Received: {len(weights)}."
            )
        for variable, value in zip(self.variables, weights, strict=True):
            variable.assign(value)

    def save_own_variables(self, store: Any) -> None:
        """Put the state into a store, numbered."""
        for i, variable in enumerate(self.variables):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Take the state from a store; says so and goes on if it is of another optimizer or model."""
        unbuilt = self.built and len(store.keys()) == self._unbuilt < len(self.variables)
        if unbuilt and int(np.asarray(store["0"])) == 0:
            return  # of an optimizer that had made no step, so there is nothing to go on with
        if len(store.keys()) != len(self.variables):
            warnings.warn(
                f"The file holds {len(store.keys())} variables for the optimizer {self.name!r}, which has "
                f"{len(self.variables)}; its state starts anew.",
                stacklevel=2,
            )
            return
        self.set_weights([np.asarray(store[str(i)]) for i in range(len(self.variables))])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, with the present learning rate."""
        if isinstance(self._rate, Variable):
            rate: Any = float(self._rate.numpy())
        else:
            rate = serialize_keras_object(self._rate)
        base = {
            "name": self.name,
            "learning_rate": rate,
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "global_clipnorm": self.global_clipnorm,
            "clipvalue": self.clipvalue,
            "use_ema": self.use_ema,
            "ema_momentum": self.ema_momentum,
            "ema_overwrite_frequency": self.ema_overwrite_frequency,
            "loss_scale_factor": self.loss_scale_factor,
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
        }
        return base | {k: v for k, v in self._arguments.items() if k not in base}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """Make an optimizer from what `get_config` returned."""
        config = dict(config)
        if isinstance(config.get("learning_rate"), dict):
            config["learning_rate"] = deserialize_keras_object(
                config["learning_rate"], custom_objects=custom_objects
            )
        return cls(**config)


def _clip_norm(g: Any, limit: float, norm: Any) -> Any:
    return g * (limit / ops.maximum(norm, limit))
