"""Layers that bring activations to a common scale. Statistics are computed in float32 at least."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from triceras import initializers, ops
from triceras.core.dtypes import result_type, standardize_dtype
from triceras.core.errors import ArgumentError, ArgumentTypeError, ShapeError, shown
from triceras.core.registry import export
from triceras.core.spec import Shape
from triceras.layers import arguments, weights
from triceras.layers.base import Layer
from triceras.layers.input_spec import InputSpec
from triceras.layers.wrapper import Wrapper
from triceras.ops.nn import batch_norm


class Scaled(Layer):
    """Base of the layers with a learned scale `gamma` and offset `beta`."""

    supports_masking = True

    def __init__(
        self,
        center: bool,
        scale: bool,
        beta_initializer: Any,
        gamma_initializer: Any,
        beta_regularizer: Any,
        gamma_regularizer: Any,
        beta_constraint: Any,
        gamma_constraint: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.center, self.scale = bool(center), bool(scale)
        weights.configure(self, "gamma", gamma_initializer, gamma_regularizer, gamma_constraint)
        weights.configure(self, "beta", beta_initializer, beta_regularizer, beta_constraint)

    def _add_scale_and_offset(self, shape: Sequence[int | None]) -> None:
        """Weights that stay in their own dtype, in which the computation runs."""
        self.gamma = weights.add(self, "gamma", shape, autocast=False) if self.scale else None
        self.beta = weights.add(self, "beta", shape, autocast=False) if self.center else None


def _wide(x: Any) -> Any:
    """The input in a dtype that is accurate enough for sums."""
    return ops.cast(x, result_type(x.dtype, "float32"))


def _value(weight: Any, shape: Sequence[int] | None = None) -> Any:
    """A weight's value, or None; put into a shape that broadcasts if given."""
    if weight is None or shape is None:
        return None if weight is None else weight.value
    return ops.reshape(weight.value, shape)


@export("layers.BatchNormalization")
class BatchNormalization(Scaled):
    """Brings each channel to mean 0 and variance 1 over the batch, then applies a learned scale and offset.

    While training (and while `trainable`) the batch's own statistics count, and moving averages of them are
    kept; otherwise the moving averages count. With a mask, masked steps don't take part in the statistics.

    Ioffe and Szegedy, 2015, https://arxiv.org/abs/1502.03167. With `renorm`: Ioffe, 2017,
    https://arxiv.org/abs/1702.03275

    Args:
        axis: the axis of channels.
        momentum: weight of the old value in the moving averages.
        epsilon: added to the variance.
        center: whether to add the offset `beta`.
        scale: whether to multiply by the scale `gamma`.
        beta_initializer: first values of the offset.
        gamma_initializer: first values of the scale.
        moving_mean_initializer: first values of the moving mean.
        moving_variance_initializer: first values of the moving variance.
        beta_regularizer: penalty on the offset.
        gamma_regularizer: penalty on the scale.
        beta_constraint: limits of the offset.
        gamma_constraint: limits of the scale.
        renorm: whether to correct the batch's statistics towards moving ones while training.
        renorm_clipping: limits of the correction: any of "rmin", "rmax" and "dmax".
        renorm_momentum: weight of the old value in the moving statistics of the correction.
        synchronized: whether all replicas share statistics. A model on one device, or one whose batch is
            spread over devices by the engine, does so anyway.

    >>> layer = BatchNormalization()
    >>> layer(ops.ones((4, 3)), training=True).tolist()[0]
    [0.0, 0.0, 0.0]
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: dict[str, float] | None = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer,
            beta_constraint, gamma_constraint, **kwargs,
        )  # fmt: skip
        try:
            self.axis = operator.index(axis)
        except TypeError:
            raise ArgumentTypeError(
                f"BatchNormalization(): `axis` must be one axis number. Received: {shown(axis)}"
            ) from None
        self.momentum = float(arguments.number(self, "momentum", momentum, 0, 1))
        self.epsilon = float(arguments.number(self, "epsilon", epsilon, 0))
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.renorm, self.synchronized = bool(renorm), bool(synchronized)
        self.renorm_momentum = arguments.number(self, "renorm_momentum", renorm_momentum, 0, 1)
        unknown = set(renorm_clipping or ()) - {"rmin", "rmax", "dmax"}
        if unknown:
            raise ArgumentError(
                'BatchNormalization(): `renorm_clipping` may hold "rmin", "rmax" and "dmax". '
                f"Received: {shown(renorm_clipping)}"
            )
        self.renorm_clipping = dict(renorm_clipping or {}) if renorm else renorm_clipping

    def build(self, input_shape: Shape) -> None:
        if not -len(input_shape) <= self.axis < len(input_shape):
            raise ShapeError(
                f"Layer {self.path!r} (BatchNormalization) has axis={self.axis}. Received shape "
                f"{tuple(input_shape)}."
            )
        shape = (input_shape[self.axis],)
        self._add_scale_and_offset(shape)
        self.moving_mean = self._add_moving("moving_mean", shape, self.moving_mean_initializer)
        self.moving_variance = self._add_moving("moving_variance", shape, self.moving_variance_initializer)
        if self.renorm:
            self.moving_stddev = self._add_moving("moving_stddev", shape, "ones")
            self.renorm_mean = self._add_moving("renorm_mean", shape, "zeros")
            self.renorm_stddev = self._add_moving("renorm_stddev", shape, "ones")
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: shape[0]})

    def _add_moving(self, name: str, shape: Sequence[int | None], initializer: Any) -> Any:
        return self.add_weight(
            shape=shape, initializer=initializer, trainable=False, autocast=False, name=name
        )

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if mask is not None and len(mask.shape) > len(inputs.shape):
            raise ShapeError(
                f"Layer {self.path!r} (BatchNormalization) got a mask of shape {tuple(mask.shape)} for "
                f"inputs of shape {tuple(inputs.shape)}."
            )
        x = _wide(inputs)
        gamma, beta = _value(self.gamma), _value(self.beta)
        if not (training and self.trainable):
            mean, variance = self.moving_mean.value, self.moving_variance.value
            outputs = self._normalize(x, mean, variance, gamma, beta)
        elif mask is None and not (self.renorm or self.synchronized):
            outputs, mean, variance = batch_norm(x, gamma, beta, self.axis % len(x.shape), self.epsilon)
            self._move(self.moving_mean, mean, self.momentum)
            self._move(self.moving_variance, variance, self.momentum)
        else:
            mean, variance = self._statistics(x, mask)
            if self.renorm:
                gamma, beta = self._corrected(mean, variance, gamma, beta)
            else:
                self._move(self.moving_variance, variance, self.momentum)
            self._move(self.moving_mean, mean, self.momentum)
            outputs = self._normalize(x, mean, variance, gamma, beta)
        return ops.cast(outputs, self.compute_dtype)

    def _normalize(self, x: Any, mean: Any, variance: Any, gamma: Any, beta: Any) -> Any:
        return ops.batch_normalization(x, mean, variance, self.axis, beta, gamma, self.epsilon)

    def _statistics(self, x: Any, mask: Any) -> tuple[Any, Any]:
        """Mean and variance of each channel."""
        rank = len(x.shape)
        axes = [axis for axis in range(rank) if axis != self.axis % rank]
        if mask is None:
            return ops.moments(x, axes=axes, synchronized=self.synchronized)
        weight = ops.cast(mask, x.dtype)
        weight = ops.reshape(weight, (*ops.shape(weight), *(1,) * (rank - len(weight.shape))))
        weight = ops.broadcast_to(
            weight, (*ops.shape(x)[: len(mask.shape)], *(1,) * (rank - len(mask.shape)))
        )
        others = [axis for axis in axes if axis < len(mask.shape)]
        total = ops.sum(weight, axis=others, keepdims=True)
        for axis in axes[len(others) :]:
            total = ops.multiply(total, ops.cast(ops.shape(x)[axis], x.dtype))
        total = ops.add(total, 1e-7)
        mean = ops.divide(ops.sum(ops.multiply(x, weight), axis=axes, keepdims=True), total)
        variance = ops.divide(
            ops.sum(ops.multiply(ops.square(ops.subtract(x, mean)), weight), axis=axes, keepdims=True), total
        )
        return ops.squeeze(mean, axis=axes), ops.squeeze(variance, axis=axes)

    def _corrected(self, mean: Any, variance: Any, gamma: Any, beta: Any) -> tuple[Any, Any]:
        """Scale and offset that also bring the batch's statistics to slowly moving ones, within limits."""
        stddev = ops.sqrt(ops.add(variance, self.epsilon))
        limits = self.renorm_clipping
        slow_mean, slow_stddev = self.renorm_mean.value, self.renorm_stddev.value
        ratio = ops.divide(stddev, slow_stddev)
        shift = ops.divide(ops.subtract(mean, slow_mean), slow_stddev)
        if "rmin" in limits:
            ratio = ops.maximum(ratio, limits["rmin"])
        if "rmax" in limits:
            ratio = ops.minimum(ratio, limits["rmax"])
        if "dmax" in limits:
            shift = ops.clip(shift, -limits["dmax"], limits["dmax"])
        ratio, shift = ops.stop_gradient(ratio), ops.stop_gradient(shift)
        self._move(self.renorm_mean, mean, self.renorm_momentum)
        self._move(self.renorm_stddev, stddev, self.renorm_momentum)
        self._move(self.moving_stddev, stddev, self.momentum)
        self.moving_variance.assign(ops.subtract(ops.square(self.moving_stddev.value), self.epsilon))
        gamma = 1.0 if gamma is None else gamma
        offset = ops.multiply(shift, gamma)
        return ops.multiply(ratio, gamma), offset if beta is None else ops.add(offset, beta)

    @staticmethod
    def _move(average: Any, value: Any, momentum: float) -> None:
        value = ops.stop_gradient(value)
        average.assign(ops.add(ops.multiply(average.value, momentum), ops.multiply(value, 1.0 - momentum)))


@export("layers.LayerNormalization")
class LayerNormalization(Scaled):
    """Brings each sample to mean 0 and variance 1 over some axes, then applies a learned scale and offset.

    Ba et al., 2016, https://arxiv.org/abs/1607.06450

    Args:
        axis: axis or axes of the statistics and the weights.
        epsilon: added to the variance.
        center: whether to add the offset `beta`.
        scale: whether to multiply by the scale `gamma`.
        beta_initializer: first values of the offset.
        gamma_initializer: first values of the scale.
        beta_regularizer: penalty on the offset.
        gamma_regularizer: penalty on the scale.
        beta_constraint: limits of the offset.
        gamma_constraint: limits of the scale.
        **kwargs: as for `Layer`. `rms_scaling=True`, of earlier versions, scales by the variance alone; use
            `RMSNormalization` instead.

    >>> LayerNormalization()(ops.array([[1.0, 1.0, 1.0]])).tolist()
    [[0.0, 0.0, 0.0]]
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        self.rms_scaling = bool(kwargs.pop("rms_scaling", False))
        super().__init__(
            center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer,
            beta_constraint, gamma_constraint, **kwargs,
        )  # fmt: skip
        axes = arguments.axes(self, "axis", axis)
        self.axis: Any = axes if isinstance(axis, (list, tuple)) else axes[0]
        self.epsilon = arguments.number(self, "epsilon", epsilon, 0)

    def build(self, input_shape: Shape) -> None:
        self.axis = _axes_within(self, input_shape)
        shape = [input_shape[axis] for axis in self.axis]
        self._add_scale_and_offset(shape)

    def call(self, inputs: Any) -> Any:
        outputs = ops.layer_normalization(
            inputs,
            _value(self.gamma),
            _value(self.beta),
            axis=self.axis,
            epsilon=self.epsilon,
            rms_scaling=self.rms_scaling,
        )
        return ops.cast(outputs, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"rms_scaling": self.rms_scaling}


@export("layers.GroupNormalization")
class GroupNormalization(Scaled):
    """Brings each group of channels of each sample to mean 0 and variance 1, with a learned scale and offset.

    Wu and He, 2018, https://arxiv.org/abs/1803.08494

    Args:
        groups: number of groups, which divides the channels; -1 makes each channel a group.
        axis: the axis of channels.
        epsilon: added to the variance.
        center: whether to add the offset `beta`.
        scale: whether to multiply by the scale `gamma`.
        beta_initializer: first values of the offset.
        gamma_initializer: first values of the scale.
        beta_regularizer: penalty on the offset.
        gamma_regularizer: penalty on the scale.
        beta_constraint: limits of the offset.
        gamma_constraint: limits of the scale.

    >>> GroupNormalization(groups=2)(ops.ones((1, 5, 4))).shape
    (1, 5, 4)
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer,
            beta_constraint, gamma_constraint, **kwargs,
        )  # fmt: skip
        self.groups = -1 if groups == -1 else arguments.count(self, "groups", groups)
        self.axis = arguments.axes(self, "axis", axis)[0]
        self.epsilon = arguments.number(self, "epsilon", epsilon, 0)

    def build(self, input_shape: Shape) -> None:
        _axes_within(self, input_shape)
        channels = input_shape[self.axis]
        if channels is None:
            raise ShapeError(
                f"Layer {self.path!r} (GroupNormalization) must know the size of axis {self.axis} of its "
                f"input. Received shape {tuple(input_shape)}."
            )
        groups = channels if self.groups == -1 else self.groups
        if channels % groups:
            raise ShapeError(
                f"Layer {self.path!r} (GroupNormalization) has groups={groups}, which must divide the "
                f"number of channels. Received {channels} channels in shape {tuple(input_shape)}."
            )
        self.groups = groups
        self._add_scale_and_offset((channels,))
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: channels})

    def call(self, inputs: Any) -> Any:
        x = _wide(inputs)
        rank = len(x.shape)
        axis = self.axis % rank
        sizes = ops.shape(x)
        grouped = ops.reshape(
            x, (*sizes[:axis], self.groups, x.shape[axis] // self.groups, *sizes[axis + 1 :])
        )
        mean, variance = ops.moments(
            grouped, axes=[a for a in range(1, rank + 1) if a != axis], keepdims=True
        )
        outputs = ops.multiply(ops.subtract(grouped, mean), ops.rsqrt(ops.add(variance, self.epsilon)))
        outputs = ops.reshape(outputs, sizes)
        shape = [1] * rank
        shape[axis] = -1
        gamma, beta = _value(self.gamma, shape), _value(self.beta, shape)
        outputs = outputs if gamma is None else ops.multiply(outputs, gamma)
        outputs = outputs if beta is None else ops.add(outputs, beta)
        return ops.cast(outputs, self.compute_dtype)


@export("layers.RMSNormalization")
class RMSNormalization(Layer):
    """Divides each sample by its root mean square over some axes, then applies a learned scale.

    Zhang and Sennrich, 2019, https://arxiv.org/abs/1910.07467

    Args:
        axis: axis or axes of the mean and the weights.
        epsilon: added to the mean square.

    >>> RMSNormalization()(ops.array([[2.0, 2.0]])).shape
    (1, 2)
    """

    def __init__(self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        arguments.axes(self, "axis", axis)
        self.axis: Any = axis
        self.epsilon = arguments.number(self, "epsilon", epsilon, 0)

    def build(self, input_shape: Shape) -> None:
        self.axis = _axes_within(self, input_shape)
        self.scale = self.add_weight(
            shape=[input_shape[axis] for axis in self.axis], initializer="ones", autocast=False, name="scale"
        )

    def call(self, x: Any) -> Any:
        outputs = ops.rms_normalization(
            _wide(x), scale=self.scale.value, axis=self.axis, epsilon=self.epsilon
        )
        return ops.cast(outputs, standardize_dtype(x.dtype))


@export("layers.UnitNormalization")
class UnitNormalization(Layer):
    """Divides each sample by its length along some axes, so that its length is 1.

    Args:
        axis: axis or axes of the length.

    >>> UnitNormalization()(ops.array([[3.0, 4.0]])).shape
    (1, 2)
    """

    supports_masking = True

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        axes = arguments.axes(self, "axis", axis)
        self.axis = axes if isinstance(axis, (list, tuple)) else axes[0]

    def call(self, inputs: Any) -> Any:
        x = _wide(inputs)
        square = ops.sum(ops.square(x), axis=self.axis, keepdims=True)
        return ops.cast(
            ops.multiply(x, ops.rsqrt(ops.maximum(square, 1e-12))), standardize_dtype(inputs.dtype)
        )


@export("layers.SpectralNormalization")
class SpectralNormalization(Wrapper):
    """Divides the kernel (or the embeddings) of a layer by its largest singular value, while training.

    The value is estimated by power iteration from the last estimate. Each training step replaces the weight.

    Miyato et al., 2018, https://arxiv.org/abs/1802.05957

    Args:
        layer: a layer with a `kernel` or `embeddings`.
        power_iterations: how many iterations a step.

    >>> from triceras.layers import Dense
    >>> SpectralNormalization(Dense(3))(ops.ones((2, 5))).shape
    (2, 3)
    """

    def __init__(self, layer: Any, power_iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.power_iterations = arguments.count(self, "power_iterations", power_iterations)

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        self.input_spec = InputSpec(shape=(None, *input_shape[1:]))
        self.kernel = getattr(self.layer, "kernel", None)
        self.kernel = getattr(self.layer, "embeddings", None) if self.kernel is None else self.kernel
        if self.kernel is None:
            raise ArgumentError(
                f"Layer {self.path!r} (SpectralNormalization) wraps layers that have a `kernel` or "
                f"`embeddings`. Received: {shown(self.layer)}"
            )
        self.vector_u = self.add_weight(
            shape=(1, self.kernel.shape[-1]),
            initializer=initializers.TruncatedNormal(stddev=0.02),
            trainable=False,
            name="vector_u",
        )

    def call(self, inputs: Any, training: bool = False) -> Any:
        if training:
            vector, kernel = self.normalized_weights()
            self.vector_u.assign(vector)
            self.kernel.assign(kernel)
        return ops.cast(self.layer(inputs), self.compute_dtype)

    def normalized_weights(self) -> tuple[Any, Any]:
        """The next estimate of the singular vector, and the weight divided by the singular value."""
        kernel = self.kernel.value
        matrix, vector = ops.reshape(kernel, (-1, kernel.shape[-1])), self.vector_u.value
        fixed = ops.stop_gradient(matrix)  # the vectors count as given
        for _ in range(self.power_iterations):
            left = ops.normalize(ops.matmul(vector, ops.transpose(fixed)), axis=None, epsilon=1e-6)
            vector = ops.normalize(ops.matmul(left, fixed), axis=None, epsilon=1e-6)
        largest = ops.matmul(ops.matmul(left, matrix), ops.transpose(vector))
        return vector, ops.reshape(ops.divide(matrix, largest), kernel.shape)

    def compute_output_shape(self, input_shape: Shape) -> Any:
        return self.layer.compute_output_shape(input_shape)


def _axes_within(layer: Any, shape: Shape) -> list[int]:
    """The layer's axes as a list, if the input has them."""
    found = list(layer.axis) if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    if not all(-len(shape) <= axis < len(shape) for axis in found):
        raise ShapeError(
            f"Layer {layer.path!r} ({type(layer).__name__}) has axis={layer.axis}. Received shape "
            f"{tuple(shape)}."
        )
    return found
