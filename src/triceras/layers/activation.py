"""Activation functions as layers. All keep the input's shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from triceras import activations, ops
from triceras.core.dtypes import standardize_dtype
from triceras.core.registry import export
from triceras.core.spec import Shape
from triceras.layers import arguments, weights
from triceras.layers.base import Layer
from triceras.layers.input_spec import InputSpec


class ActivationLayer(Layer):
    """Base of the layers here: masks pass."""

    supports_masking = True


@export("layers.Activation")
class Activation(ActivationLayer):
    """Applies an activation function.

    Args:
        activation: name or function.

    >>> Activation("relu")(ops.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs: Any) -> Any:
        return self.activation(inputs)


@export("layers.ReLU")
class ReLU(ActivationLayer):
    """The rectified linear unit: the input from the threshold to the maximum, and a line below.

    Args:
        max_value: the largest output, or None.
        negative_slope: slope of `x - threshold` below the threshold.
        threshold: where the input starts to pass.

    >>> ReLU(max_value=1.0)(ops.array([0.5, 2.0])).tolist()
    [0.5, 1.0]
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_value = None if max_value is None else arguments.number(self, "max_value", max_value, 0)
        self.negative_slope = arguments.number(self, "negative_slope", negative_slope, 0)
        self.threshold = arguments.number(self, "threshold", threshold, 0)

    def call(self, inputs: Any) -> Any:
        return activations.relu(
            inputs, negative_slope=self.negative_slope, max_value=self.max_value, threshold=self.threshold
        )


@export("layers.LeakyReLU")
class LeakyReLU(ActivationLayer):
    """The input where positive, else the input times a slope.

    Args:
        negative_slope: the slope below 0.

    >>> LeakyReLU(negative_slope=0.5)(ops.array([-1.0, 2.0])).tolist()
    [-0.5, 2.0]
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        negative_slope = kwargs.pop("alpha", negative_slope)  # of earlier versions
        super().__init__(**kwargs)
        self.negative_slope = arguments.number(self, "negative_slope", negative_slope, 0)

    def call(self, inputs: Any) -> Any:
        return ops.leaky_relu(inputs, negative_slope=self.negative_slope)

    def get_config(self) -> dict[str, Any]:
        return {k: v for k, v in super().get_config().items() if k != "alpha"}


@export("layers.PReLU")
class PReLU(ActivationLayer):
    """The input where positive, else the input times a learned slope.

    He et al., 2015, https://arxiv.org/abs/1502.01852

    Args:
        alpha_initializer: first values of the slopes.
        alpha_regularizer: penalty on the slopes.
        alpha_constraint: limits of the slopes.
        shared_axes: axes along which one slope is shared, counted from 1 after the batch.

    >>> PReLU()(ops.array([[1.0, 2.0]])).tolist()
    [[1.0, 2.0]]
    """

    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        weights.configure(self, "alpha", alpha_initializer, alpha_regularizer, alpha_constraint)
        self.shared_axes = None if shared_axes is None else arguments.axes(self, "shared_axes", shared_axes)

    def build(self, input_shape: Shape) -> None:
        shared = self.shared_axes or ()
        shape = [1 if axis in shared else size for axis, size in enumerate(input_shape)]
        self.alpha = weights.add(self, "alpha", shape[1:])
        axes = (
            {axis: size for axis, size in enumerate(input_shape) if axis and axis not in shared}
            if shared
            else None
        )
        self.input_spec = InputSpec(ndim=len(input_shape), axes=axes)

    def call(self, inputs: Any) -> Any:
        return ops.relu(inputs) - self.alpha.value * ops.relu(-inputs)


@export("layers.ELU")
class ELU(ActivationLayer):
    """The input where positive, else `alpha * (exp(input) - 1)`.

    Clevert et al., 2015, https://arxiv.org/abs/1511.07289

    Args:
        alpha: size of the limit for large negative inputs.

    >>> ELU()(ops.array([0.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = arguments.number(self, "alpha", alpha)

    def call(self, inputs: Any) -> Any:
        return ops.elu(inputs, alpha=self.alpha)


@export("layers.Softmax")
class Softmax(ActivationLayer):
    """Probabilities in proportion to the exponentials of the input.

    `call` takes a `mask` of the input's shape; entries where it is False get probability 0.

    Args:
        axis: axis or axes that sum to 1.

    >>> Softmax()(ops.zeros((1, 4))).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        axes = arguments.axes(self, "axis", axis)
        self.axis = axes if isinstance(axis, (list, tuple)) else axes[0]

    def call(self, inputs: Any, mask: Any = None) -> Any:
        axis = tuple(self.axis) if isinstance(self.axis, list) else self.axis
        if mask is None:
            return ops.softmax(inputs, axis=axis)
        mask = ops.cast(mask, "bool")
        dtype = standardize_dtype(inputs.dtype)
        lowest = (
            -65500.0 if dtype == "float16" else -1e38
        )  # finite, so that a row without entries gives no NaN
        result = ops.softmax(ops.where(mask, inputs, ops.cast(lowest, dtype)), axis=axis)
        return ops.where(mask, result, ops.zeros_like(result))
