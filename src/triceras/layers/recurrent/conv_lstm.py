"""LSTM whose products are convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from triceras import ops
from triceras.core.config import standardize_data_format
from triceras.core.errors import ArgumentError, ShapeError
from triceras.core.registry import export
from triceras.core.spec import KerasTensor, Shape, recording
from triceras.layers import arguments, weights
from triceras.layers.input_spec import InputSpec
from triceras.layers.recurrent.cells import GatedMemory
from triceras.layers.recurrent.layers import CellLayer, common
from triceras.layers.spatial import AXES, Sizes


@export(saved="src.layers.rnn.conv_lstm.ConvLSTMCell")
class ConvLSTMCell(GatedMemory):
    """One step of `ConvLSTM` on images of any rank.

    Args:
        rank: number of spatial axes.
        filters: number of output channels.
        kernel_size: size of both kernels' windows.
        strides: steps between windows on the input.
        padding: "valid" or "same", for the input; the output before is always padded.
        data_format: layout of the input.
        dilation_rate: distance between the cells of a window on the input.
    """

    def __init__(
        self,
        rank: int,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
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
        self.filters = arguments.count(self, "filters", filters)
        super().__init__(
            filters, activation, recurrent_activation, use_bias, kernel_initializer, recurrent_initializer,
            bias_initializer, unit_forget_bias, kernel_regularizer, recurrent_regularizer, bias_regularizer,
            kernel_constraint, recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed,
            **kwargs,
        )  # fmt: skip
        self.rank = rank
        self.kernel_size = arguments.counts(self, "kernel_size", kernel_size, rank)
        self.strides = arguments.counts(self, "strides", strides, rank)
        self.dilation_rate = arguments.counts(self, "dilation_rate", dilation_rate, rank)
        self.padding = arguments.choice(self, "padding", padding, ("valid", "same"))
        self.data_format = standardize_data_format(data_format)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ArgumentError(
                f"ConvLSTM{rank}D(): `strides` and `dilation_rate` can't both be above 1. Received: "
                f"{self.strides} and {self.dilation_rate}"
            )
        self.gate_axis = 1 if self.data_format == "channels_first" else -1

    @property
    def state_size(self) -> list[int]:
        """Unknown: states have the size that the convolution gives the input."""
        return [-1, -1]

    def build(self, input_shape: Shape) -> None:
        channels, width = input_shape[self.gate_axis], 4 * self.filters
        if None in input_shape[1:]:
            raise ShapeError(
                f"Layer {self.path!r} (ConvLSTM{self.rank}D) must know all sizes of its input but batch and "
                f"time. Received shape {tuple(input_shape)} for one step."
            )
        self.kernel = weights.add(self, "kernel", (*self.kernel_size, channels, width))
        shape = (*self.kernel_size, self.filters, width)
        self.recurrent_kernel = weights.add(self, "recurrent", shape, "recurrent_kernel")
        self._add_bias(width)
        self._input_shape = tuple(input_shape[1:])

    def _step_shapes(self, batch_size: Any) -> tuple[Any, Any]:
        state = self.output_shape((None, *self._input_shape))[1:]
        return (batch_size, *self._input_shape), (batch_size, *state)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Shape of one step's output."""
        kernel = KerasTensor((*self.kernel_size, input_shape[self.gate_axis], self.filters))
        with recording(False):
            return self._convolved(KerasTensor(input_shape), kernel).shape

    def _convolved(self, x: Any, kernel: Any) -> Any:
        return ops.conv(x, kernel, self.strides, self.padding, self.data_format, self.dilation_rate)

    def project(self, inputs: Any, training: bool | None = False) -> Any:
        x, shape = self.drop_input(inputs, training), ops.shape(inputs)
        several = len(shape) > self.rank + 2
        if several:
            x = ops.reshape(x, (-1, *shape[2:]))
        x = self._convolved(x, self.kernel.value)
        if self.bias is not None:
            after = self.rank if self.gate_axis == 1 else 0
            x = ops.add(x, ops.reshape(self.bias.value, (-1, *(1,) * after)))
        return ops.reshape(x, (*shape[:2], *ops.shape(x)[1:])) if several else x

    def _recurrent(self, h: Any) -> Any:
        return ops.conv(h, self.recurrent_kernel.value, 1, "same", self.data_format)


class ConvLSTM(CellLayer):
    """Base of the LSTM layers on sequences of images. Shi et al., 2015, https://arxiv.org/abs/1506.04214

    Dropout has one pattern for all gates and steps. The other arguments are those of `RNN`.

    Args:
        filters: number of output channels.
        kernel_size: size of both kernels' windows, one number or one for each axis.
        strides: steps between windows on the input.
        padding: "valid" or "same", for the input; the output before is always padded.
        data_format: layout of the images.
        dilation_rate: distance between the cells of a window on the input.
        activation: of the memory's new content, and of the memory on its way out.
        recurrent_activation: of the gates.
        use_bias: whether to add a bias.
        kernel_initializer: first values of the kernel for the input, of shape `(*kernel_size, channels,
            4 * filters)`: input gate, forget gate, candidate, output gate.
        recurrent_initializer: first values of the kernel for the output before.
        bias_initializer: first values of the bias.
        unit_forget_bias: whether the forget gate's bias starts at 1.
        kernel_regularizer: penalty on the kernel for the input.
        recurrent_regularizer: penalty on the kernel for the output before.
        bias_regularizer: penalty on the bias.
        activity_regularizer: penalty on the output.
        kernel_constraint: limits of the kernel for the input.
        recurrent_constraint: limits of the kernel for the output before.
        bias_constraint: limits of the bias.
        dropout: part of the input that is dropped while training.
        recurrent_dropout: part of the output before that is dropped while training.
        seed: makes dropout repeatable.
    """

    rank: int

    def __init_subclass__(cls, rank: int | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if rank is not None:
            cls.rank = rank

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
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
        **kwargs: Any,
    ) -> None:
        cell = ConvLSTMCell(
            self.rank, filters, kernel_size, strides, padding, data_format, dilation_rate, activation,
            recurrent_activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
            unit_forget_bias, kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint,
            recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed,
            name="conv_lstm_cell", **common(kwargs),
        )  # fmt: skip
        super().__init__(
            cell, return_sequences=return_sequences, return_state=return_state, go_backwards=go_backwards,
            stateful=stateful, activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip
        self.input_spec = InputSpec(ndim=self.rank + 3)

    @property
    def axis_names(self) -> Sequence[str]:
        """Words for the axes of the input, for messages."""
        space = AXES[self.rank] if self.rank > 1 else ("columns",)
        first = self.cell.gate_axis == 1
        return ("batch", "time", *(("channels", *space) if first else (*space, "channels")))

    def compute_output_shape(self, sequences_shape: Shape, initial_state_shape: Any = None) -> Any:
        batch, time, *rest = sequences_shape
        output = self.cell.output_shape((batch, *rest))[1:]
        return self._outputs_shape(batch, time, output, [(batch, *output)] * 2)


@export("layers.ConvLSTM1D")
class ConvLSTM1D(ConvLSTM, rank=1):
    """LSTM with convolutions on sequences of rows: `(batch, time, columns, channels)`.

    >>> ConvLSTM1D(4, 3)(ops.ones((2, 5, 8, 3))).shape
    (2, 6, 4)
    """


@export("layers.ConvLSTM2D")
class ConvLSTM2D(ConvLSTM, rank=2):
    """LSTM with convolutions on sequences of images: `(batch, time, rows, columns, channels)`.

    >>> ConvLSTM2D(4, 3, padding="same", return_sequences=True)(ops.ones((2, 5, 8, 8, 3))).shape
    (2, 5, 8, 8, 4)
    """


@export("layers.ConvLSTM3D")
class ConvLSTM3D(ConvLSTM, rank=3):
    """LSTM with convolutions on sequences of volumes: `(batch, time, depth, rows, columns, channels)`.

    >>> ConvLSTM3D(4, 2)(ops.ones((2, 3, 4, 4, 4, 3))).shape
    (2, 3, 3, 3, 4)
    """
