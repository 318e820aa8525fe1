"""Convolutions over sequences, images and volumes, written once for every rank."""

from __future__ import annotations

from typing import Any

from triceras import activations, ops
from triceras.core.errors import ArgumentError, ShapeError
from triceras.core.registry import export
from triceras.core.spec import Shape
from triceras.layers import arguments, weights
from triceras.layers.input_spec import InputSpec
from triceras.layers.spatial import Sizes, Spatial


class Convolution(Spatial):
    """What all convolutions share: windows, bias and activation. Subclasses make kernels and apply them."""

    sized = ("strides", "dilation_rate")
    paddings: tuple[str, ...] = ("valid", "same")

    def __init__(
        self,
        kernel_size: Sizes,
        strides: Sizes,
        padding: str,
        data_format: str | None,
        dilation_rate: Sizes,
        activation: Any,
        use_bias: bool,
        bias_initializer: Any,
        bias_regularizer: Any,
        bias_constraint: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.kernel_size = arguments.counts(self, "kernel_size", kernel_size, self.rank)
        self.strides = arguments.counts(self, "strides", strides, self.rank)
        self.dilation_rate = arguments.counts(self, "dilation_rate", dilation_rate, self.rank)
        self.padding = arguments.choice(self, "padding", padding, self.paddings)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ArgumentError(
                f"{type(self).__name__}(): `strides` and `dilation_rate` can't both be above 1. Received: "
                f"{self.strides} and {self.dilation_rate}"
            )
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        weights.configure(self, "bias", bias_initializer, bias_regularizer, bias_constraint)

    def _channels(self, input_shape: Shape) -> int:
        """The number of the input's channels, which later inputs must have too."""
        channels = input_shape[self.channel_axis]
        if channels is None:
            raise ShapeError(
                f"Layer {self.path!r} ({type(self).__name__}) must know the number of channels, axis "
                f"{self.channel_axis} of its input. Received shape {tuple(input_shape)}."
            )
        self.input_spec = InputSpec(ndim=self.rank + 2, axes={self.channel_axis: channels})
        return channels

    def _add_bias(self, size: int) -> None:
        self.bias = weights.add(self, "bias", (size,)) if self.use_bias else None

    def _settings(self) -> dict[str, Any]:
        return {
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": self.dilation_rate,
        }

    def _finish(self, x: Any) -> Any:
        """Add the bias and apply the activation."""
        if self.bias is not None:
            bias = self.bias.value
            if self.channels_first:
                bias = ops.reshape(bias, (1, -1, *(1,) * self.rank))
            x = ops.add(x, bias)
        return self.activation(x)


# -- plain ---------------------------------------------------------------------------------------------------


class Conv(Convolution):
    """Base of the plain convolutions.

    Args:
        filters: number of output channels.
        kernel_size: size of the windows, one number or one for each axis.
        strides: steps between windows.
        padding: "valid", "same", or for sequences "causal", in any case.
        data_format: layout of the input.
        dilation_rate: distance between the cells of a window.
        groups: parts of the channels that are convolved apart; it divides `filters` and the input's channels.
        activation: name or function; none if not given.
        use_bias: whether to add a bias.
        kernel_initializer: first values of the kernel, of shape `(*kernel_size, channels // groups,
            filters)`.
        bias_initializer: first values of the bias.
        kernel_regularizer: penalty on the kernel.
        bias_regularizer: penalty on the bias.
        activity_regularizer: penalty on the output.
        kernel_constraint: limits of the kernel.
        bias_constraint: limits of the bias.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            bias_initializer, bias_regularizer, bias_constraint,
            activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip
        self.filters = arguments.count(self, "filters", filters)
        self.groups = arguments.count(self, "groups", groups)
        if self.filters % self.groups:
            raise ArgumentError(
                f"{type(self).__name__}(): `groups` must divide `filters`. Received: groups={groups}, "
                f"filters={filters}"
            )
        weights.configure(self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint)

    def build(self, input_shape: Shape) -> None:
        channels = self._channels(input_shape)
        if channels % self.groups:
            raise ShapeError(
                f"Layer {self.path!r} ({type(self).__name__}) has groups={self.groups}, which must divide "
                f"the number of the input's channels. Received {channels} channels in shape "
                f"{tuple(input_shape)}."
            )
        self.kernel = weights.add(self, "kernel", (*self.kernel_size, channels // self.groups, self.filters))
        self._add_bias(self.filters)

    def call(self, inputs: Any) -> Any:
        settings = self._settings()
        if self.padding == "causal":
            around = [(0, 0)] * (self.rank + 2)
            around[self.spatial_axes[0]] = (self.dilation_rate[0] * (self.kernel_size[0] - 1), 0)
            inputs, settings["padding"] = ops.pad(inputs, around), "valid"
        return self._finish(ops.conv(inputs, self.kernel, **settings))


@export("layers.Conv1D", "layers.Convolution1D")
class Conv1D(Conv, rank=1):
    """Convolution of sequences: `(batch, steps, channels)` to `(batch, new_steps, filters)`.

    With `padding="causal"` an output depends on no later input.

    >>> Conv1D(4, 3, padding="causal")(ops.ones((2, 8, 3))).shape
    (2, 8, 4)
    """

    paddings = ("valid", "same", "causal")


@export("layers.Conv2D", "layers.Convolution2D")
class Conv2D(Conv, rank=2):
    """Convolution of images: `(batch, rows, columns, channels)` to `(batch, new_rows, new_columns, filters)`.

    >>> Conv2D(4, 3, padding="same", activation="relu")(ops.ones((2, 8, 8, 3))).shape
    (2, 8, 8, 4)
    """


@export("layers.Conv3D", "layers.Convolution3D")
class Conv3D(Conv, rank=3):
    """Convolution of volumes `(batch, depth, rows, columns, channels)`; `filters` channels are made.

    >>> Conv3D(4, (1, 3, 3))(ops.ones((2, 4, 8, 8, 3))).shape
    (2, 4, 6, 6, 4)
    """


# -- transposed ----------------------------------------------------------------------------------------------


class ConvTranspose(Convolution):
    """Base of the transposed convolutions, which map shapes as the gradients of convolutions do.

    Args:
        filters: number of output channels.
        kernel_size: size of the windows, one number or one for each axis.
        strides: factors by which the input grows.
        padding: "valid" or "same", in any case.
        output_padding: cells added at the end of each axis, fewer than `strides`; follows from the padding if
            not given.
        data_format: layout of the input.
        dilation_rate: distance between the cells of a window.
        activation: name or function; none if not given.
        use_bias: whether to add a bias.
        kernel_initializer: first values of the kernel, of shape `(*kernel_size, filters, channels)`.
        bias_initializer: first values of the bias.
        kernel_regularizer: penalty on the kernel.
        bias_regularizer: penalty on the bias.
        activity_regularizer: penalty on the output.
        kernel_constraint: limits of the kernel.
        bias_constraint: limits of the bias.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        output_padding: Sizes | None = None,
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            bias_initializer, bias_regularizer, bias_constraint,
            activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip
        self.filters = arguments.count(self, "filters", filters)
        self.output_padding = None
        if output_padding is not None:
            self.output_padding = arguments.counts(self, "output_padding", output_padding, self.rank, least=0)
            if any(p >= s for p, s in zip(self.output_padding, self.strides, strict=True)):
                raise ArgumentError(
                    f"{type(self).__name__}(): `output_padding` must be below `strides`, {self.strides}, on "
                    f"each axis. Received: {self.output_padding}"
                )
        weights.configure(self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint)

    def build(self, input_shape: Shape) -> None:
        self.kernel = weights.add(
            self, "kernel", (*self.kernel_size, self.filters, self._channels(input_shape))
        )
        self._add_bias(self.filters)

    def call(self, inputs: Any) -> Any:
        return self._finish(
            ops.conv_transpose(inputs, self.kernel, output_padding=self.output_padding, **self._settings())
        )


@export("layers.Conv1DTranspose", "layers.Convolution1DTranspose")
class Conv1DTranspose(ConvTranspose, rank=1):
    """Transposed convolution of sequences: `(batch, steps, channels)` to `(batch, new_steps, filters)`.

    >>> Conv1DTranspose(4, 3, strides=2, padding="same")(ops.ones((2, 8, 3))).shape
    (2, 16, 4)
    """


@export("layers.Conv2DTranspose", "layers.Convolution2DTranspose")
class Conv2DTranspose(ConvTranspose, rank=2):
    """Transposed convolution of images `(batch, rows, columns, channels)`; `filters` channels are made.

    >>> Conv2DTranspose(4, 3, strides=2, padding="same")(ops.ones((2, 8, 8, 3))).shape
    (2, 16, 16, 4)
    """


@export("layers.Conv3DTranspose", "layers.Convolution3DTranspose")
class Conv3DTranspose(ConvTranspose, rank=3):
    """Transposed convolution of volumes `(batch, depth, rows, columns, channels)`.

    >>> Conv3DTranspose(4, 3)(ops.ones((2, 4, 4, 4, 3))).shape
    (2, 6, 6, 6, 4)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = (1, 1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        output_padding: Sizes | None = None,
        dilation_rate: Sizes = (1, 1, 1),
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:  # the reference's order of `data_format` and `output_padding` is another one here
        super().__init__(
            filters, kernel_size, strides, padding, output_padding, data_format, dilation_rate, activation,
            use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
            activity_regularizer, kernel_constraint, bias_constraint, **kwargs,
        )  # fmt: skip


# -- channel by channel --------------------------------------------------------------------------------------


class DepthwiseConv(Convolution):
    """Base of the convolutions that treat each channel apart.

    Args:
        kernel_size: size of the windows, one number or one for each axis.
        strides: steps between windows.
        padding: "valid" or "same", in any case.
        depth_multiplier: output channels for each input channel.
        data_format: layout of the input.
        dilation_rate: distance between the cells of a window.
        activation: name or function; none if not given.
        use_bias: whether to add a bias.
        depthwise_initializer: first values of the kernel, of shape `(*kernel_size, channels,
            depth_multiplier)`.
        bias_initializer: first values of the bias.
        depthwise_regularizer: penalty on the kernel.
        bias_regularizer: penalty on the bias.
        activity_regularizer: penalty on the output.
        depthwise_constraint: limits of the kernel.
        bias_constraint: limits of the bias.
    """

    def __init__(
        self,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            bias_initializer, bias_regularizer, bias_constraint,
            activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip
        self.depth_multiplier = arguments.count(self, "depth_multiplier", depth_multiplier)
        weights.configure(
            self, "depthwise", depthwise_initializer, depthwise_regularizer, depthwise_constraint
        )

    def build(self, input_shape: Shape) -> None:
        channels = self._channels(input_shape)
        self.kernel = weights.add(
            self, "depthwise", (*self.kernel_size, channels, self.depth_multiplier), "kernel"
        )
        self._add_bias(channels * self.depth_multiplier)

    def call(self, inputs: Any) -> Any:
        return self._finish(ops.depthwise_conv(inputs, self.kernel, **self._settings()))


@export("layers.DepthwiseConv1D")
class DepthwiseConv1D(DepthwiseConv, rank=1):
    """Convolves each channel of `(batch, steps, channels)` apart.

    >>> DepthwiseConv1D(3, depth_multiplier=2)(ops.ones((2, 8, 3))).shape
    (2, 6, 6)
    """


@export("layers.DepthwiseConv2D")
class DepthwiseConv2D(DepthwiseConv, rank=2):
    """Convolves each channel of `(batch, rows, columns, channels)` apart.

    >>> DepthwiseConv2D(3, padding="same")(ops.ones((2, 8, 8, 3))).shape
    (2, 8, 8, 3)
    """


class SeparableConv(Convolution):
    """Base of the convolutions that treat each channel apart and then mix the channels of each cell.

    Chollet, 2017, https://arxiv.org/abs/1610.02357

    Args:
        filters: number of output channels.
        kernel_size: size of the windows, one number or one for each axis.
        strides: steps between windows.
        padding: "valid" or "same", in any case.
        data_format: layout of the input.
        dilation_rate: distance between the cells of a window.
        depth_multiplier: channels between the two stages for each input channel.
        activation: name or function; none if not given.
        use_bias: whether to add a bias.
        depthwise_initializer: first values of the first kernel, of shape `(*kernel_size, channels,
            depth_multiplier)`.
        pointwise_initializer: first values of the second kernel, of shape `(1, ..., channels *
            depth_multiplier, filters)`.
        bias_initializer: first values of the bias.
        depthwise_regularizer: penalty on the first kernel.
        pointwise_regularizer: penalty on the second kernel.
        bias_regularizer: penalty on the bias.
        activity_regularizer: penalty on the output.
        depthwise_constraint: limits of the first kernel.
        pointwise_constraint: limits of the second kernel.
        bias_constraint: limits of the bias.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            bias_initializer, bias_regularizer, bias_constraint,
            activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip
        self.filters = arguments.count(self, "filters", filters)
        self.depth_multiplier = arguments.count(self, "depth_multiplier", depth_multiplier)
        weights.configure(
            self, "depthwise", depthwise_initializer, depthwise_regularizer, depthwise_constraint
        )
        weights.configure(
            self, "pointwise", pointwise_initializer, pointwise_regularizer, pointwise_constraint
        )

    def build(self, input_shape: Shape) -> None:
        channels = self._channels(input_shape)
        depthwise = (*self.kernel_size, channels, self.depth_multiplier)
        self.depthwise_kernel = weights.add(self, "depthwise", depthwise, "depthwise_kernel")
        pointwise = (*(1,) * self.rank, channels * self.depth_multiplier, self.filters)
        self.pointwise_kernel = weights.add(self, "pointwise", pointwise, "pointwise_kernel")
        self._add_bias(self.filters)

    def call(self, inputs: Any) -> Any:
        return self._finish(
            ops.separable_conv(inputs, self.depthwise_kernel, self.pointwise_kernel, **self._settings())
        )


@export("layers.SeparableConv1D", "layers.SeparableConvolution1D")
class SeparableConv1D(SeparableConv, rank=1):
    """Depthwise separable convolution: `(batch, steps, channels)` to `(batch, new_steps, filters)`.

    >>> SeparableConv1D(4, 3)(ops.ones((2, 8, 3))).shape
    (2, 6, 4)
    """


@export("layers.SeparableConv2D", "layers.SeparableConvolution2D")
class SeparableConv2D(SeparableConv, rank=2):
    """Depthwise separable convolution of images `(batch, rows, columns, channels)`.

    >>> SeparableConv2D(4, 3)(ops.ones((2, 8, 8, 3))).shape
    (2, 6, 6, 4)
    """
