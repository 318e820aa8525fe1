"""The layer that runs a cell along time."""

from __future__ import annotations

from typing import Any

from triceras import ops
from triceras.core import tree
from triceras.core.errors import ShapeError
from triceras.core.registry import export
from triceras.core.spec import Shape
from triceras.layers.recurrent.cells import (
    Cell,
    Enclosing,
    StackedRNNCells,
    build_cell,
    cells_within,
    check_cell,
    initial_state,
    output_size,
    patterns,
    run_cell,
)
from triceras.ops.recurrent import recur
from triceras.variable import Variable


class OverTime(Enclosing):
    """A layer on a sequence that may be called with first states, too."""

    supports_masking = True

    def get_build_config(self) -> dict[str, Any] | None:
        shapes = self._build_shapes
        if shapes is None or len(shapes) > 1:
            return shapes and {"shapes_dict": shapes}
        return {"input_shape": shapes["sequences_shape"]}

    def reset_states(self) -> None:
        """The same as `reset_state`."""
        self.reset_state()


@export("layers.RNN")
class RNN(OverTime):
    """Runs a cell along the time axis of `(batch, time, ...)`.

    A cell is a layer with `call(inputs, states)`, which returns an output and the next states, and an
    attribute `state_size`; it may also have `output_size` and `get_initial_state(batch_size)`. In its `call`,
    the layer takes `initial_state`, a list of first states.

    Args:
        cell: a cell, or a list of cells that are stacked.
        return_sequences: return the outputs of all steps rather than the last one.
        return_state: return the last states too: `output, *states`.
        go_backwards: start at the end; the outputs come in that order.
        stateful: start where the last batch ended, sample by sample.
        unroll: let the engine write out all steps, which takes it longer to compile.
        zero_output_for_mask: give 0 at masked places rather than the output before.

    >>> from triceras import Layer
    >>> class Sum(Layer):
    ...     state_size = 3
    ...     def call(self, inputs, states):
    ...         total = inputs + states[0]
    ...         return total, [total]
    >>> RNN(Sum())(ops.ones((1, 5, 3))).tolist()
    [[5.0, 5.0, 5.0]]
    """

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        cell = StackedRNNCells(cell) if isinstance(cell, (list, tuple)) else check_cell(self, cell)
        super().__init__(**kwargs)
        self.cell = cell
        self.return_sequences, self.return_state = bool(return_sequences), bool(return_state)
        self.go_backwards, self.stateful, self.unroll = bool(go_backwards), bool(stateful), bool(unroll)
        self.zero_output_for_mask = bool(zero_output_for_mask)
        self.states: Any = None

    @property
    def state_size(self) -> list[Any]:
        """Sizes of the cell's states."""
        size = self.cell.state_size
        return list(size) if isinstance(size, (list, tuple)) else [size]

    # -- shapes ----------------------------------------------------------------------------------------------

    def build(self, sequences_shape: Shape, initial_state_shape: Any = None) -> None:
        build_cell(self.cell, (sequences_shape[0], *sequences_shape[2:]))
        if not self.stateful:
            return
        if self.states is not None:
            return self.reset_state()
        if sequences_shape[0] is None:
            raise ShapeError(
                f"Layer {self.path!r} ({type(self).__name__}) is stateful, so it must know the batch size: "
                f"give it by Input(batch_shape=...). Received shape {tuple(sequences_shape)}."
            )
        self.states = tree.map_structure(
            lambda x: Variable(x, trainable=False, dtype=self.variable_dtype, name="rnn_state"),
            self.get_initial_state(sequences_shape[0]),
        )

    def compute_output_shape(self, sequences_shape: Shape, initial_state_shape: Any = None) -> Any:
        batch, time = sequences_shape[:2]
        size = output_size(self.cell)
        output = tuple(size) if isinstance(size, (list, tuple)) else (size,)
        states = tree.map_structure(lambda n: (batch, n), self.state_size)
        return self._outputs_shape(batch, time, output, states)

    def _outputs_shape(self, batch: Any, time: Any, output: tuple[Any, ...], states: list[Any]) -> Any:
        shape = (batch, time, *output) if self.return_sequences else (batch, *output)
        return (shape, *states) if self.return_state else shape

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        mask = tree.flatten(previous_mask)[0] if self.return_sequences else None
        return [mask, *(None for _ in tree.flatten(self.state_size))] if self.return_state else mask

    # -- states ----------------------------------------------------------------------------------------------

    def get_initial_state(self, batch_size: Any) -> list[Any]:
        """The states to start with when none are given.

        Args:
            batch_size: number of samples.
        """
        return initial_state(self.cell, batch_size, self.compute_dtype)

    def reset_state(self) -> None:
        """Let a stateful layer start from zero again."""
        for variable in tree.flatten(self.states) if self.states is not None else ():
            variable.assign(ops.zeros_like(variable.value))

    def _first_states(self, given: Any, sequences: Any) -> list[Any]:
        """The states to start with, in the compute dtype and nested as the cell's."""
        batch = ops.shape(sequences)[0]
        if self.stateful:
            expected = tree.flatten(self.states)[0].shape[0]
            if sequences.shape[0] not in (None, expected):
                raise ShapeError(
                    f"Layer {self.path!r} ({type(self).__name__}) is stateful, so every batch must have the "
                    f"size of the first one, {expected}. Received shape {tuple(sequences.shape)}."
                )
        if given is None:
            given = self.states if self.stateful else self.get_initial_state(batch)
        found, sizes = tree.flatten(given), tree.flatten(self.state_size)
        fits = len(found) == len(sizes) and all(
            not isinstance(n, int) or n < 0 or x.shape[-1] == n for x, n in zip(found, sizes, strict=True)
        )
        if not fits:
            raise ShapeError(
                f"Layer {self.path!r} ({type(self).__name__}) starts with {len(sizes)} state(s) of size(s) "
                f"{sizes}. Received `initial_state` with shape(s) {[tuple(x.shape) for x in found]}."
            )
        cast = [ops.cast(x, self.compute_dtype) for x in found]
        nested = self.state_size if any(isinstance(n, (list, tuple)) for n in self.state_size) else found
        return tree.pack_sequence_as(nested, cast)

    # -- running ---------------------------------------------------------------------------------------------

    def call(
        self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False
    ) -> Any:
        states = self._first_states(initial_state, sequences)
        mask = tree.flatten(mask)[0]
        if mask is not None:
            mask = ops.cast(mask, "bool")
            if len(mask.shape) > 2:
                mask = ops.any(ops.reshape(mask, (*ops.shape(mask)[:2], -1)), axis=-1)
        if self.go_backwards:
            sequences, mask = ops.flip(sequences, 1), None if mask is None else ops.flip(mask, 1)
        drawn = {}
        if training:
            batch = ops.shape(sequences)[0]
            drawn = {id(cell): cell.draw(batch) for cell in cells_within(self.cell)}
        with patterns(patterns.get() | drawn):
            last, outputs, states = self.inner_loop(sequences, states, mask, training)
        if self.stateful:
            for variable, value in zip(tree.flatten(self.states), tree.flatten(states), strict=True):
                variable.assign(value)
        output = outputs if self.return_sequences else last
        return (output, *states) if self.return_state else output

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        """The steps themselves.

        Args:
            sequences: the input in the order in which the steps go.
            initial_state: list of first states.
            mask: (batch, time) in the same order, or None.
            training: whether dropout is on.

        Returns:
            The last output, all outputs, and the last states.
        """
        cell, plain = self.cell, isinstance(self.cell, Cell)
        if plain and type(cell).call is Cell.call and cell.dtype_policy.name == self.dtype_policy.name:
            sequences = cell.project(sequences, training)

            def step(x: Any, states: Any) -> Any:
                return cell.advance(x, states, training)
        else:

            def step(x: Any, states: Any) -> Any:
                return run_cell(cell, x, states, training)

        before = None
        if mask is not None and not self.zero_output_for_mask:
            before = initial_state[0] if plain else self._no_output(sequences)
        outputs, states = recur(step, sequences, initial_state, mask, before, self.unroll)
        return outputs[:, -1], outputs, states

    def _no_output(self, sequences: Any) -> Any:
        size = output_size(self.cell)
        shape = tuple(size) if isinstance(size, (list, tuple)) else (size,)
        return ops.zeros((ops.shape(sequences)[0], *shape), dtype=self.compute_dtype)
