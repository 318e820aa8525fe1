"""Cells: what a recurrent layer does at one place in time, with its weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from triceras import activations, ops, random
from triceras.core import tree
from triceras.core.errors import ArgumentError, shown
from triceras.core.registry import export
from triceras.core.scope import Local
from triceras.core.spec import Shape
from triceras.engine import selection
from triceras.initializers import Initializer
from triceras.layers import arguments, weights
from triceras.layers.base import Layer
from triceras.layers.wrapper import Enclosing
from triceras.ops.recurrent import gru_step, lstm_step, project

# Dropout has one pattern for all steps: the running recurrent layer keeps those of its cells here.
patterns: Local[dict[int, tuple[Any, Any]]] = Local("dropout_patterns", {})


class Cell(Layer):
    """Base of the cells with a kernel for the input and one for the output before.

    A step is split in two: `project` is the part that only the input matters for, so that a layer does it
    for all steps at once, and `advance` is the rest.

    Dropout uses one pattern for all gates, and for all steps of a layer's call; a cell that is called by
    itself draws new ones. `implementation`, an argument of earlier versions, is accepted; it changes nothing.

    Args:
        units: size of the output.
        activation: of the candidate for the new state.
        use_bias: whether to add biases.
        kernel_initializer: first values of the kernel for the input.
        recurrent_initializer: first values of the kernel for the output before.
        bias_initializer: first values of the biases.
        kernel_regularizer: penalty on the kernel for the input.
        recurrent_regularizer: penalty on the kernel for the output before.
        bias_regularizer: penalty on the biases.
        kernel_constraint: limits of the kernel for the input.
        recurrent_constraint: limits of the kernel for the output before.
        bias_constraint: limits of the biases.
        dropout: part of the input that is dropped while training, from 0 to 1.
        recurrent_dropout: part of the output before that is dropped while training, from 0 to 1.
        seed: makes dropout repeatable.
    """

    gates: ClassVar[int]
    states: ClassVar[int] = 1

    def __init__(
        self,
        units: int,
        activation: Any,
        use_bias: bool,
        kernel_initializer: Any,
        recurrent_initializer: Any,
        bias_initializer: Any,
        kernel_regularizer: Any,
        recurrent_regularizer: Any,
        bias_regularizer: Any,
        kernel_constraint: Any,
        recurrent_constraint: Any,
        bias_constraint: Any,
        dropout: float,
        recurrent_dropout: float,
        seed: int | None,
        **kwargs: Any,
    ) -> None:
        check_implementation(self, kwargs)
        super().__init__(**kwargs)
        self.units = arguments.count(self, "units", units)
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        weights.configure(self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        weights.configure(
            self, "recurrent", recurrent_initializer, recurrent_regularizer, recurrent_constraint
        )
        weights.configure(self, "bias", bias_initializer, bias_regularizer, bias_constraint)
        self.dropout = arguments.number(self, "dropout", dropout, 0, 1)
        self.recurrent_dropout = arguments.number(self, "recurrent_dropout", recurrent_dropout, 0, 1)
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed)

    @property
    def output_size(self) -> int:
        """Size of the output's last axis."""
        return self.units

    @property
    def state_size(self) -> int | list[int]:
        """Size of the state, or a list for several."""
        return self.units if self.states == 1 else [self.units] * self.states

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Zeros for each state.

        Args:
            batch_size: number of samples.
        """
        shape = self._step_shapes(batch_size)[1]
        return [ops.zeros(shape, dtype=self.compute_dtype) for _ in range(self.states)]

    def build(self, input_shape: Shape) -> None:
        width = self.gates * self.units
        self.kernel = weights.add(self, "kernel", (input_shape[-1], width))
        self.recurrent_kernel = weights.add(self, "recurrent", (self.units, width), "recurrent_kernel")
        self._add_bias(width)

    def _add_bias(self, *shape: int) -> None:
        self.bias = weights.add(self, "bias", shape) if self.use_bias else None

    def _step_shapes(self, batch_size: Any) -> tuple[Any, Any]:
        """Shapes of one step's input and of a state."""
        return (batch_size, self.kernel.shape[0] if self.built else None), (batch_size, self.units)

    def draw(self, batch_size: Any) -> tuple[Any, Any]:
        """New dropout patterns for the input and for the output before, None where nothing is dropped."""
        rates = (self.dropout, self.recurrent_dropout)
        found = [
            random.dropout(ops.ones(shape, dtype=self.compute_dtype), rate, seed=self.seed_generator)
            if rate
            else None
            for shape, rate in zip(self._step_shapes(batch_size), rates, strict=True)
        ]
        return found[0], found[1]

    def drop_input(self, x: Any, training: bool | None) -> Any:
        """The input of one step, or of all, with dropout."""
        return self._dropped(x, 0) if training and self.dropout else x

    def drop_state(self, h: Any, training: bool | None) -> Any:
        """The output before with dropout."""
        return self._dropped(h, 1) if training and self.recurrent_dropout else h

    def _dropped(self, x: Any, which: int) -> Any:
        pattern = (patterns.get().get(id(self)) or self.draw(ops.shape(x)[0]))[which]
        return ops.multiply(x, pattern if len(x.shape) == len(pattern.shape) else ops.expand_dims(pattern, 1))

    def project(self, inputs: Any, training: bool | None = False) -> Any:
        """What comes of the input of one step, or of the inputs of all."""
        return project(self.drop_input(inputs, training), self.kernel.value, self._input_bias())

    def _input_bias(self) -> Any:
        return None if self.bias is None else self.bias.value

    def advance(self, projected: Any, states: Sequence[Any], training: bool | None = False) -> Any:
        """Output and next states, from what `project` gave for a step and the states before."""
        raise NotImplementedError(f"{type(self).__name__} defines no advance(self, projected, states).")

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        """One step: `(output, states)`."""
        output, following = self.advance(self.project(inputs, training), tree.flatten(states), training)
        return output, following if tree.is_nested(states) else following[0]

    def get_config(self) -> dict[str, Any]:
        return {k: v for k, v in super().get_config().items() if k != "implementation"}


def check_implementation(owner: Any, kwargs: dict[str, Any]) -> None:
    """Take an argument of earlier versions out; its values chose between ways to compute the same."""
    given = kwargs.pop("implementation", 2)
    if given not in (1, 2):
        raise ArgumentError(
            f"{type(owner).__name__}(): `implementation` must be 1 or 2. Received: {shown(given)}"
        )


@export("layers.SimpleRNNCell")
class SimpleRNNCell(Cell):
    """One step of the plain recurrent network: `activation(x @ kernel + h @ recurrent_kernel + bias)`.

    >>> cell = SimpleRNNCell(3)
    >>> output, states = cell(ops.ones((2, 4)), cell.get_initial_state(2))
    >>> output.shape, len(states)
    ((2, 3), 1)
    """

    gates = 1

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            units, activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
            kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint,
            recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed, **kwargs,
        )  # fmt: skip

    def advance(self, projected: Any, states: Sequence[Any], training: bool | None = False) -> Any:
        recurrent = ops.matmul(self.drop_state(states[0], training), self.recurrent_kernel.value)
        output = self.activation(ops.add(projected, recurrent))
        return output, [output]


class _OpenForgetGate(Initializer):
    """Another initializer's values, and ones for the forget gate, the second of four.

    Jozefowicz et al., 2015, https://proceedings.mlr.press/v37/jozefowicz15.html
    """

    def __init__(self, initializer: Any) -> None:
        self.initializer = initializer

    def _values(self, shape: tuple[int, ...], dtype: str, path: str | None) -> Any:
        draw = getattr(self.initializer, "values", None)
        made = draw(shape, dtype, path) if draw else self.initializer(shape, dtype=dtype)
        owner = selection.engine_of(type(made))
        array = np.array(owner.to_numpy(made) if owner else made)
        units = shape[0] // 4
        array[units : 2 * units] = 1
        return array


class GatedMemory(Cell):
    """Base of the LSTM cells, whatever their product is.

    Args:
        recurrent_activation: of the gates.
        unit_forget_bias: whether the forget gate's bias starts at 1.
    """

    gates, states = 4, 2
    gate_axis = -1

    def __init__(
        self,
        units: int,
        activation: Any,
        recurrent_activation: Any,
        use_bias: bool,
        kernel_initializer: Any,
        recurrent_initializer: Any,
        bias_initializer: Any,
        unit_forget_bias: bool,
        *settings: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            units, activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
            *settings, **kwargs,
        )  # fmt: skip
        self.recurrent_activation = activations.get(recurrent_activation)
        self.unit_forget_bias = bool(unit_forget_bias)

    def _add_bias(self, *shape: int) -> None:
        self.bias = None
        if self.use_bias:
            start = self.bias_initializer
            self.bias = self.add_weight(
                name="bias",
                shape=shape,
                initializer=_OpenForgetGate(start) if self.unit_forget_bias else start,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def _recurrent(self, h: Any) -> Any:
        """The product of the output before with its kernel."""
        return ops.matmul(h, self.recurrent_kernel.value)

    def advance(self, projected: Any, states: Sequence[Any], training: bool | None = False) -> Any:
        gates = ops.add(projected, self._recurrent(self.drop_state(states[0], training)))
        output, memory = lstm_step(
            gates, states[1], self.activation, self.recurrent_activation, self.gate_axis
        )
        return output, [output, memory]


@export("layers.LSTMCell")
class LSTMCell(GatedMemory):
    """One step of long short-term memory; its states are the output and the memory.

    Hochreiter and Schmidhuber, 1997, https://doi.org/10.1162/neco.1997.9.8.1735

    >>> cell = LSTMCell(3)
    >>> output, states = cell(ops.ones((2, 4)), cell.get_initial_state(2))
    >>> output.shape, len(states)
    ((2, 3), 2)
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            units, activation, recurrent_activation, use_bias, kernel_initializer, recurrent_initializer,
            bias_initializer, unit_forget_bias, kernel_regularizer, recurrent_regularizer, bias_regularizer,
            kernel_constraint, recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed,
            **kwargs,
        )  # fmt: skip


@export("layers.GRUCell")
class GRUCell(Cell):
    """One step of a gated recurrent unit.

    Cho et al., 2014, https://arxiv.org/abs/1406.1078

    Args:
        recurrent_activation: of the gates.
        reset_after: whether the reset gate applies after the recurrent product; there are two rows of biases
            then.

    >>> cell = GRUCell(3)
    >>> output, states = cell(ops.ones((2, 4)), cell.get_initial_state(2))
    >>> output.shape, len(states)
    ((2, 3), 1)
    """

    gates = 3

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            units, activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
            kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint,
            recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed, **kwargs,
        )  # fmt: skip
        self.recurrent_activation = activations.get(recurrent_activation)
        self.reset_after = bool(reset_after)

    def _add_bias(self, *shape: int) -> None:
        super()._add_bias(*(2,) * self.reset_after, *shape)

    def _input_bias(self) -> Any:
        return self.bias.value[0] if self.use_bias and self.reset_after else super()._input_bias()

    def advance(self, projected: Any, states: Sequence[Any], training: bool | None = False) -> Any:
        output = gru_step(
            projected,
            states[0],
            self.drop_state(states[0], training),
            self.recurrent_kernel.value,
            self.bias.value[1] if self.use_bias and self.reset_after else None,
            self.reset_after,
            self.activation,
            self.recurrent_activation,
        )
        return output, [output]


@export("layers.StackedRNNCells")
class StackedRNNCells(Enclosing):
    """Cells one on top of another as one cell: each takes the output of the one below.

    Args:
        cells: the cells, from below.

    >>> cell = StackedRNNCells([LSTMCell(3), GRUCell(5)])
    >>> output, states = cell(ops.ones((2, 4)), cell.get_initial_state(2))
    >>> output.shape, [len(s) for s in states]
    ((2, 5), [2, 1])
    """

    def __init__(self, cells: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(cells, (list, tuple)) or not cells:
            raise ArgumentError(
                f"StackedRNNCells(): `cells` must be a list of cells. Received: {shown(cells)}"
            )
        self.cells = [check_cell(self, cell) for cell in cells]

    @property
    def state_size(self) -> list[Any]:
        """The cells' state sizes."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> Any:
        """Size of the last cell's output."""
        return output_size(self.cells[-1])

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """First states of each cell.

        Args:
            batch_size: number of samples.
        """
        return [initial_state(cell, batch_size, self.compute_dtype) for cell in self.cells]

    def build(self, input_shape: Shape) -> None:
        for cell in self.cells:
            build_cell(cell, input_shape)
            size = output_size(cell)
            input_shape = (input_shape[0], *(size if isinstance(size, (list, tuple)) else (size,)))

    def call(self, inputs: Any, states: Any, training: bool = False, **kwargs: Any) -> Any:
        """One step: `(output, states)`; further arguments go to the cells."""
        following = []
        for cell, own in zip(self.cells, states, strict=True):
            inputs, new = run_cell(cell, inputs, own, training, **kwargs)
            following.append(new)
        return inputs, following


# -- any object that serves as a cell ------------------------------------------------------------------------


def check_cell(owner: Any, cell: Any) -> Any:
    """The cell, if it has what cells need."""
    for needed in ("call", "state_size"):
        if not hasattr(cell, needed):
            raise ArgumentError(
                f"{type(owner).__name__}(): a cell needs a method `call(inputs, states)` and an attribute "
                f"`state_size`, one integer or a list of them. This one has no `{needed}`: {shown(cell)}"
            )
    return cell


def build_cell(cell: Any, input_shape: Shape) -> None:
    """Make a cell's weights."""
    if isinstance(cell, Layer) and not cell.built:
        cell.build(input_shape)


def run_cell(cell: Any, inputs: Any, states: Any, training: bool | None, **kwargs: Any) -> tuple[Any, Any]:
    """One step of a cell: the output, and the next states nested as the ones before."""
    if isinstance(cell, Layer):
        kwargs["training"] = training
    output, following = (cell if callable(cell) else cell.call)(inputs, states, **kwargs)
    return output, tree.pack_sequence_as(states, tree.flatten(following))


def output_size(cell: Any) -> Any:
    """Size of a cell's output: if it doesn't say, that of its first state."""
    size = getattr(cell, "output_size", None)
    return tree.flatten(cell.state_size)[0] if size is None else size


def initial_state(cell: Any, batch_size: Any, dtype: str) -> list[Any]:
    """A cell's first states as a list: what it gives itself, else zeros."""
    own = getattr(cell, "get_initial_state", None)
    if own is not None:
        found = own(batch_size=batch_size)
        return list(found) if tree.is_nested(found) else [found]
    sizes = cell.state_size if isinstance(cell.state_size, (list, tuple)) else [cell.state_size]
    return [ops.zeros((batch_size, *np.atleast_1d(size).tolist()), dtype=dtype) for size in sizes]


def cells_within(cell: Any) -> list[Cell]:
    """The cells of our kind in a cell, itself included."""
    if isinstance(cell, StackedRNNCells):
        return [c for part in cell.cells for c in cells_within(part)]
    return [cell] if isinstance(cell, Cell) else []
