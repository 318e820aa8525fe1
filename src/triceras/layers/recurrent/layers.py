"""SimpleRNN, LSTM and GRU."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

from triceras import ops
from triceras.core.errors import ArgumentError
from triceras.core.registry import export
from triceras.layers import arguments
from triceras.layers.input_spec import InputSpec
from triceras.layers.recurrent.base import RNN
from triceras.layers.recurrent.cells import GRUCell, LSTMCell, SimpleRNNCell, check_implementation
from triceras.ops.recurrent import _gru, _lstm, _masked_gru, _masked_lstm

_OWN = ("name", "trainable", "dtype")
_UNSAVED = ("use_cudnn", "implementation")


class CellLayer(RNN):
    """Base of the layers that make their cell themselves; the cell's settings are the layer's attributes."""

    axis_names = ("batch", "time", "features")

    def __init__(self, cell: Any, **kwargs: Any) -> None:
        check_implementation(self, kwargs)
        super().__init__(cell, **kwargs)
        self.input_spec = InputSpec(ndim=3)

    def __getattr__(self, name: str) -> Any:
        cell = self.__dict__.get("cell")
        if cell is not None and name in inspect.signature(type(cell)).parameters:
            return getattr(cell, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config |= {"unroll": self.unroll, "zero_output_for_mask": self.zero_output_for_mask}
        config |= {k: v for k, v in self.cell.get_config().items() if k in config and k not in _OWN}
        return {k: v for k, v in config.items() if k not in _UNSAVED}


def common(kwargs: dict[str, Any]) -> dict[str, Any]:
    """What a layer and its cell have in common."""
    return {"dtype": kwargs.get("dtype"), "trainable": kwargs.get("trainable", True)}


class Fused(CellLayer):
    """Base of the layers that engines may run as a whole, with the usual activations and if not unrolled.

    Args:
        use_cudnn: whether that may be done; True insists, and "auto" does it where it can.
    """

    run: ClassVar[tuple[Any, Any]]  # ops without and with a mask

    def __init__(self, cell: Any, use_cudnn: bool | str, **kwargs: Any) -> None:
        super().__init__(cell, **kwargs)
        self.use_cudnn = arguments.choice(self, "use_cudnn", use_cudnn, ("auto", True, False))
        if use_cudnn is True and not self._fusible(training=True):
            raise ArgumentError(
                f"{type(self).__name__}(): use_cudnn=True needs the activations tanh and sigmoid, "
                'recurrent_dropout=0, unroll=False and reset_after=True. Use "auto" for anything else.'
            )

    def _fusible(self, training: bool | None) -> bool:
        cell = self.cell
        return (
            self.use_cudnn is not False
            and (cell.activation, cell.recurrent_activation) == (ops.tanh, ops.sigmoid)
            and not (training and cell.recurrent_dropout)
            and not self.unroll
            and getattr(cell, "reset_after", True)
        )

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        if not self._fusible(training):
            return super().inner_loop(sequences, initial_state, mask, training)
        cell, (plain, masked) = self.cell, self.run
        weights = (cell.kernel.value, cell.recurrent_kernel.value, cell.bias.value if cell.use_bias else None)
        given = (cell.drop_input(sequences, training), *initial_state, *weights)
        outputs, *states = plain(*given) if mask is None else masked(*given, mask)
        if mask is None or not self.zero_output_for_mask:
            return states[0], outputs, states
        outputs = ops.where(ops.expand_dims(mask, -1), outputs, 0)
        return outputs[:, -1], outputs, states


@export("layers.SimpleRNN")
class SimpleRNN(CellLayer):
    """The plain recurrent network: each output is `activation(x @ kernel + h @ recurrent_kernel + bias)`.

    The other arguments are those of `RNN`.

    Args:
        units: size of the output.
        activation: name or function.
        use_bias: whether to add a bias.
        kernel_initializer: first values of the kernel for the input.
        recurrent_initializer: first values of the kernel for the output before.
        bias_initializer: first values of the bias.
        kernel_regularizer: penalty on the kernel for the input.
        recurrent_regularizer: penalty on the kernel for the output before.
        bias_regularizer: penalty on the bias.
        activity_regularizer: penalty on the output.
        kernel_constraint: limits of the kernel for the input.
        recurrent_constraint: limits of the kernel for the output before.
        bias_constraint: limits of the bias.
        dropout: part of the input that is dropped while training, with one pattern for all steps.
        recurrent_dropout: part of the output before that is dropped while training, likewise.
        seed: makes dropout repeatable.

    >>> SimpleRNN(4, return_sequences=True)(ops.ones((2, 5, 3))).shape
    (2, 5, 4)
    """

    omitted_if_none = ("seed",)

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
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        cell = SimpleRNNCell(
            units, activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
            kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint,
            recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed,
            name="simple_rnn_cell", **common(kwargs),
        )  # fmt: skip
        super().__init__(
            cell, return_sequences=return_sequences, return_state=return_state, go_backwards=go_backwards,
            stateful=stateful, unroll=unroll, activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip


@export("layers.LSTM")
class LSTM(Fused):
    """Long short-term memory. Hochreiter and Schmidhuber, 1997, https://doi.org/10.1162/neco.1997.9.8.1735

    With the usual activations, and if not unrolled, the engine runs the layer as a whole, which is fastest;
    gradients can then be taken backwards only (`ops.jvp` needs `use_cudnn=False`). The other arguments are
    those of `RNN`.

    Args:
        units: size of the output.
        activation: of the memory's new content, and of the memory on its way out.
        recurrent_activation: of the gates.
        use_bias: whether to add a bias.
        kernel_initializer: first values of the kernel for the input, of shape `(features, 4 * units)`: input
            gate, forget gate, candidate, output gate.
        recurrent_initializer: first values of the kernel for the output before, of shape
            `(units, 4 * units)`.
        bias_initializer: first values of the bias.
        unit_forget_bias: whether the forget gate's bias starts at 1.
        kernel_regularizer: penalty on the kernel for the input.
        recurrent_regularizer: penalty on the kernel for the output before.
        bias_regularizer: penalty on the bias.
        activity_regularizer: penalty on the output.
        kernel_constraint: limits of the kernel for the input.
        recurrent_constraint: limits of the kernel for the output before.
        bias_constraint: limits of the bias.
        dropout: part of the input that is dropped while training, with one pattern for all steps.
        recurrent_dropout: part of the output before that is dropped while training, likewise.
        seed: makes dropout repeatable.
        use_cudnn: False for a loop of plain steps; "auto" for the fast way if possible; True insists on it.

    >>> LSTM(4)(ops.ones((2, 5, 3))).shape
    (2, 4)
    >>> output, h, c = LSTM(4, return_sequences=True, return_state=True)(ops.ones((2, 5, 3)))
    >>> output.shape, c.shape
    ((2, 5, 4), (2, 4))
    """

    run = (_lstm, _masked_lstm)

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
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        use_cudnn: bool | str = "auto",
        **kwargs: Any,
    ) -> None:
        cell = LSTMCell(
            units, activation, recurrent_activation, use_bias, kernel_initializer, recurrent_initializer,
            bias_initializer, unit_forget_bias, kernel_regularizer, recurrent_regularizer, bias_regularizer,
            kernel_constraint, recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed,
            name="lstm_cell", **common(kwargs),
        )  # fmt: skip
        super().__init__(
            cell, use_cudnn, return_sequences=return_sequences, return_state=return_state,
            go_backwards=go_backwards, stateful=stateful, unroll=unroll,
            activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip


@export("layers.GRU")
class GRU(Fused):
    """Gated recurrent unit. Cho et al., 2014, https://arxiv.org/abs/1406.1078

    With the usual activations, `reset_after` and if not unrolled, the engine runs the layer as a whole, as
    for `LSTM`. The other arguments are those of `RNN`.

    Args:
        units: size of the output.
        activation: of the candidate for the new state.
        recurrent_activation: of the gates.
        use_bias: whether to add biases.
        kernel_initializer: first values of the kernel for the input, of shape `(features, 3 * units)`:
            update gate, reset gate, candidate.
        recurrent_initializer: first values of the kernel for the output before, of shape
            `(units, 3 * units)`.
        bias_initializer: first values of the biases.
        kernel_regularizer: penalty on the kernel for the input.
        recurrent_regularizer: penalty on the kernel for the output before.
        bias_regularizer: penalty on the biases.
        activity_regularizer: penalty on the output.
        kernel_constraint: limits of the kernel for the input.
        recurrent_constraint: limits of the kernel for the output before.
        bias_constraint: limits of the biases.
        dropout: part of the input that is dropped while training, with one pattern for all steps.
        recurrent_dropout: part of the output before that is dropped while training, likewise.
        seed: makes dropout repeatable.
        reset_after: whether the reset gate applies after the recurrent product; there are two rows of biases
            then.
        use_cudnn: False for a loop of plain steps; "auto" for the fast way if possible; True insists on it.

    >>> GRU(4)(ops.ones((2, 5, 3))).shape
    (2, 4)
    """

    run = (_gru, _masked_gru)

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
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: bool | str = "auto",
        **kwargs: Any,
    ) -> None:
        cell = GRUCell(
            units, activation, recurrent_activation, use_bias, kernel_initializer, recurrent_initializer,
            bias_initializer, kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint,
            recurrent_constraint, bias_constraint, dropout, recurrent_dropout, reset_after, seed,
            name="gru_cell", **common(kwargs),
        )  # fmt: skip
        super().__init__(
            cell, use_cudnn, return_sequences=return_sequences, return_state=return_state,
            go_backwards=go_backwards, stateful=stateful, unroll=unroll,
            activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip
