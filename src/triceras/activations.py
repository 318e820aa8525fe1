"""Activation functions by name. Most are ops."""

from __future__ import annotations

from typing import Any

from triceras import ops
from triceras.core.registry import export, publish
from triceras.ops.op import Tensor
from triceras.saving import objects

SHARED = (
    "celu elu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu log_sigmoid log_softmax "
    "relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus sparse_sigmoid sparsemax "
    "squareplus swish tanh tanh_shrink threshold"
)
for _name in SHARED.split():
    export(f"activations.{_name}")(getattr(ops, _name))


@export("activations.relu")
def relu(
    x: Tensor, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Tensor:
    """The rectified linear unit: x above the threshold, and a line below it.

    Args:
        x: a tensor.
        negative_slope: slope of `x - threshold` below the threshold.
        max_value: the largest result, or None.
        threshold: where x starts to pass.

    >>> relu([-1.0, 2.0], negative_slope=0.5, max_value=1.5).tolist()
    [-0.5, 1.5]
    """
    if threshold == 0 and max_value is None:
        return ops.leaky_relu(x, negative_slope) if negative_slope else ops.relu(x)
    x = ops.convert_to_tensor(x)
    result = ops.where(x > threshold, x, negative_slope * (x - threshold))
    return result if max_value is None else ops.minimum(result, max_value)


@export("activations.gelu")
def gelu(x: Tensor, approximate: bool = False) -> Tensor:
    """The Gaussian error linear unit, x times the probability that a standard normal number is below x.

    Hendrycks and Gimpel, 2016, https://arxiv.org/abs/1606.08415

    Args:
        x: a tensor.
        approximate: whether to use the formula with tanh.

    >>> gelu([0.0]).tolist()
    [0.0]
    """
    return ops.gelu(x, approximate=approximate)


@export("activations.mish")
def mish(x: Tensor) -> Tensor:
    """A smooth ReLU, `x * tanh(softplus(x))`.

    Misra, 2019, https://arxiv.org/abs/1908.08681

    >>> mish([0.0]).tolist()
    [0.0]
    """
    return ops.multiply(x, ops.tanh(ops.softplus(x)))


@export("activations.exponential")
def exponential(x: Tensor) -> Tensor:
    """The exponential function.

    >>> exponential([0.0]).tolist()
    [1.0]
    """
    return ops.exp(x)


@export("activations.linear")
def linear(x: Any) -> Any:
    """The input itself.

    >>> linear(3)
    3
    """
    return x


_family = objects.Family("activations", "activation")


@export("activations.get")
def get(identifier: Any) -> Any:
    """The activation for a name, config, layer or callable; None is `linear`.

    >>> get("swish") is get("silu")
    True
    """
    return linear if identifier is None else _family.get(identifier)


@export("activations.serialize")
def serialize(activation: Any) -> Any:
    """An activation as plain data: its name if it is a public one.

    >>> serialize(relu)
    'relu'
    """
    data = objects.serialize_keras_object(activation)
    if (
        isinstance(data, dict)
        and data["class_name"] == "function"
        and _family.named(data["config"]) is activation
    ):
        return data["config"]
    return data


@export("activations.deserialize")
def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The activation for what `serialize` returned.

    >>> deserialize("relu") is relu
    True
    """
    return _family.deserialize(config, custom_objects)


publish({"activations": ("triceras.activations",)})
