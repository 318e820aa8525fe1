"""Activations, losses' helpers, normalizations, attention and what else networks need beside convolution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from triceras.core import config
from triceras.core.dtypes import promote_float, promote_number, result_type, standardize_dtype
from triceras.core.errors import ArgumentError, EngineError, ShapeError
from triceras.core.shapes import canonical_axes, canonical_axis
from triceras.ops import reduction
from triceras.ops.control import stop_gradient
from triceras.ops.creation import cast, saturate_cast
from triceras.ops.elementwise import (
    abs,
    add,
    clip,
    cos,
    divide,
    equal,
    erfc,
    exp,
    expm1,
    log,
    log10,
    logaddexp,
    logical_and,
    maximum,
    minimum,
    multiply,
    power,
    rsqrt,
    sign,
    sin,
    sqrt,
    square,
    subtract,
    tanh,
)  # fmt: skip
from triceras.ops.indexing import sort, where
from triceras.ops.linalg import matmul
from triceras.ops.op import Kept, Tensor, elementwise, op
from triceras.ops.shape import expand_dims, flip, repeat, reshape, split, squeeze, transpose

AT = ("ops", "ops.nn")
public = partial(op, promote_float, at=AT)
activation = partial(elementwise, promote_float, at=AT)


# -- activations ---------------------------------------------------------------------------------------------


@elementwise(promote_number, at=AT)
def relu(x: Tensor) -> Tensor:
    """`max(x, 0)`; its gradient at 0 is 0.

    >>> relu([-1.0, 0.0, 2.0]).tolist()
    [0.0, 0.0, 2.0]
    """
    ...


@activation()
def relu6(x: Tensor) -> Tensor:
    """`min(max(x, 0), 6)`.

    >>> relu6([-1.0, 2.0, 8.0]).tolist()
    [0.0, 2.0, 6.0]
    """
    return minimum(relu(x), 6.0)


@activation()
def sigmoid(x: Tensor) -> Tensor:
    """`1 / (1 + exp(-x))`, without overflow.

    >>> triceras.ops.round(sigmoid([-100.0, 0.0, 100.0]), 6).tolist()
    [0.0, 0.5, 1.0]
    """
    ...


@activation(aliases=("swish",))
def silu(x: Tensor) -> Tensor:
    """`x * sigmoid(x)`, also known as swish.

    >>> silu([0.0]).tolist()
    [0.0]
    """
    return x * sigmoid(x)


@activation()
def softplus(x: Tensor) -> Tensor:
    """`log(1 + exp(x))`, without overflow.

    >>> softplus([100.0]).tolist()
    [100.0]
    """
    return logaddexp(x, 0.0)


@activation()
def softsign(x: Tensor) -> Tensor:
    """`x / (1 + abs(x))`.

    >>> softsign([-1.0, 1.0]).tolist()
    [-0.5, 0.5]
    """
    return x / (1 + abs(x))


@activation()
def log_sigmoid(x: Tensor) -> Tensor:
    """Logarithm of `sigmoid(x)`, without overflow.

    >>> log_sigmoid([-100.0]).tolist()
    [-100.0]
    """
    return -softplus(-x)


@activation()
def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """`x` above 0, else `alpha * (exp(x) - 1)`: an exponential linear unit (Clevert et al., 2015).

    >>> elu([0.0, 3.0]).tolist()
    [0.0, 3.0]
    """
    return where(x > 0, x, multiply(expm1(_below_zero(x)), alpha))


@activation()
def selu(x: Tensor) -> Tensor:
    """`elu` scaled so that activations keep mean 0 and variance 1 (Klambauer et al., 2017).

    >>> round(selu(1.0).item(), 4)
    1.0507
    """
    return multiply(elu(x, alpha=1.6732632423543772), 1.0507009873554805)


@activation()
def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """`x` above 0, else `alpha * (exp(x / alpha) - 1)`: `elu` with a continuous slope (Barron, 2017).

    >>> celu([0.0, 3.0], alpha=2.0).tolist()
    [0.0, 3.0]
    """
    return where(x > 0, x, multiply(expm1(divide(_below_zero(x), alpha)), alpha))


def _below_zero(x: Tensor) -> Tensor:
    """`min(x, 0)` with the slope 1 at 0; keeps the branch of a `where` that isn't taken finite."""
    return where(x > 0, 0.0, x)


@activation()
def gelu(x: Tensor, approximate: bool = True) -> Tensor:
    """`x` times the normal distribution's cumulative probability (Hendrycks and Gimpel, 2016).

    Args:
        approximate: whether to use the approximation by tanh.

    >>> round(gelu(1.0, approximate=False).item(), 4)
    0.8413
    """
    if approximate:
        cumulative = 1 + tanh(multiply(x + multiply(x * x * x, 0.044715), math.sqrt(2 / math.pi)))
    else:
        cumulative = erfc(multiply(x, -math.sqrt(0.5)))
    return multiply(x * cumulative, 0.5)


@public()
def glu(x: Tensor, axis: int = -1) -> Tensor:
    """The first half of `x` along an axis times the sigmoid of the second (Dauphin et al., 2016).

    >>> glu([2.0, 4.0, 0.0, 0.0]).tolist()
    [1.0, 2.0]
    """
    if x.shape[canonical_axis(axis, x.ndim)] % 2:
        raise ShapeError(
            f"glu() halves `x`, so its size along axis {axis} must be even. Received: shape {tuple(x.shape)}"
        )
    values, gates = split(x, 2, axis=axis)
    return values * sigmoid(gates)


@activation()
def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    """`x` from 0 on, else `negative_slope * x`.

    >>> leaky_relu([-1.0, 2.0], negative_slope=0.5).tolist()
    [-0.5, 2.0]
    """
    return where(x >= 0, x, multiply(x, negative_slope))


@activation()
def hard_sigmoid(x: Tensor) -> Tensor:
    """`relu6(x + 3) / 6`, a sigmoid of three straight pieces.

    >>> hard_sigmoid([-3.0, 0.0, 3.0]).tolist()
    [0.0, 0.5, 1.0]
    """
    return relu6(x + 3) / 6


@activation(aliases=("hard_swish",))
def hard_silu(x: Tensor) -> Tensor:
    """`x * hard_sigmoid(x)`, also known as hard swish.

    >>> hard_silu([0.0, 3.0]).tolist()
    [0.0, 3.0]
    """
    return x * hard_sigmoid(x)


@elementwise(promote_number, at=AT)
def hard_tanh(x: Tensor) -> Tensor:
    """`x` kept between -1 and 1.

    >>> hard_tanh([-2.0, 0.5]).tolist()
    [-1.0, 0.5]
    """
    return clip(x, -1, 1)


@activation()
def hard_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """`x` where `abs(x)` is above the threshold, else 0.

    >>> hard_shrink([-1.0, 0.5]).tolist()
    [-1.0, 0.0]
    """
    return where(abs(x) > threshold, x, 0.0)


@activation()
def soft_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """`x` moved towards 0 by the threshold, and 0 within it.

    >>> soft_shrink([-1.0, 0.5]).tolist()
    [-0.5, 0.0]
    """
    return where(abs(x) > threshold, x - multiply(sign(x), threshold), 0.0)


@activation()
def tanh_shrink(x: Tensor) -> Tensor:
    """`x - tanh(x)`.

    >>> tanh_shrink([0.0]).tolist()
    [0.0]
    """
    return x - tanh(x)


@activation()
def threshold(x: Tensor, threshold: float, default_value: float) -> Tensor:
    """`x` where it is above the threshold, else the default value.

    >>> threshold([1.0, 3.0], 2.0, 7.0).tolist()
    [7.0, 3.0]
    """
    return where(x > threshold, x, default_value)


@activation()
def squareplus(x: Tensor, b: float = 4) -> Tensor:
    """`(x + sqrt(x ** 2 + b)) / 2`, a softplus without exponentials (Barron, 2021).

    >>> squareplus([0.0]).tolist()
    [1.0]
    """
    return (x + sqrt(add(square(x), b))) / 2


@activation()
def sparse_plus(x: Tensor) -> Tensor:
    """0 up to -1, `x` from 1 on, and `(x + 1) ** 2 / 4` between.

    >>> sparse_plus([-1.0, 0.0, 1.0]).tolist()
    [0.0, 0.25, 1.0]
    """
    return where(x <= -1, 0.0, where(x < 1, square(x + 1) / 4, x))


@activation()
def sparse_sigmoid(x: Tensor) -> Tensor:
    """0 up to -1, 1 from 1 on, and `(x + 1) / 2` between.

    >>> sparse_sigmoid([-1.0, 0.0, 1.0]).tolist()
    [0.0, 0.5, 1.0]
    """
    return where(x <= -1, 0.0, where(x < 1, (x + 1) / 2, 1.0))


@public()
def softmax(x: Tensor, axis: int | Sequence[int] | None = -1) -> Tensor:
    """Exponentials, scaled to the sum 1 along an axis, several axes or (None) all.

    >>> softmax([0.0, 0.0]).tolist()
    [0.5, 0.5]
    """
    powers = exp(x - reduction.max(x, axis=axis, keepdims=True))
    return powers / reduction.sum(powers, axis=axis, keepdims=True)


@public()
def log_softmax(x: Tensor, axis: int | Sequence[int] | None = -1) -> Tensor:
    """Logarithm of `softmax(x, axis)`, without underflow.

    >>> log_softmax([0.0, -1000.0]).tolist()
    [0.0, -1000.0]
    """
    shifted = x - reduction.max(x, axis=axis, keepdims=True)
    return shifted - log(reduction.sum(exp(shifted), axis=axis, keepdims=True))


@public()
def sparsemax(x: Tensor, axis: int = -1) -> Tensor:
    """The nearest point with elements from 0 on that sum to 1 along an axis (Martins and Astudillo, 2016).

    >>> sparsemax([0.0, 0.5, 3.0]).tolist()
    [0.0, 0.0, 1.0]
    """
    axis = canonical_axis(axis, x.ndim)
    ranks = (
        np.arange(1, x.shape[axis] + 1)
        .reshape((-1,) + (1,) * (x.ndim - 1 - axis))
        .astype(standardize_dtype(x.dtype))
    )
    ordered = flip(sort(x, axis=axis), axis=axis)
    excess = reduction.cumsum(ordered, axis=axis) - 1  # of the k largest over the target sum
    kept = multiply(ranks, ordered) > excess
    count = reduction.sum(cast(kept, x.dtype), axis=axis, keepdims=True)
    total = reduction.sum(where(kept, ordered, 0.0), axis=axis, keepdims=True)
    return cast(relu(x - (total - 1) / count), x.dtype)


# -- labels and cross-entropies ------------------------------------------------------------------------------


@op(at=AT)
def one_hot(x: Kept, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Tensor:
    """Vectors with a 1 at the place that each integer names; all 0 where it is out of range.

    Args:
        num_classes: length of the vectors.
        axis: where their axis stands in the result.
        dtype: None is floatx.
        sparse: must be False: there are no sparse tensors here.

    >>> one_hot([0, 2], 3).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    _refuse_sparse("one_hot", sparse)
    return _one_hot(x, num_classes, canonical_axis(axis, x.ndim + 1), standardize_dtype(dtype))


@op(at=())
def _one_hot(x: Kept, num_classes: int, axis: int, dtype: str) -> Tensor:
    classes = np.arange(num_classes, dtype="int32").reshape((-1,) + (1,) * (x.ndim - axis))
    return cast(equal(expand_dims(x, axis), classes), dtype)


@op(at=AT)
def multi_hot(
    inputs: Kept,
    num_classes: int | None = None,
    axis: int = -1,
    dtype: Any = None,
    sparse: bool = False,
    num_tokens: int | None = None,
) -> Tensor:
    """The largest of the `one_hot` vectors along axis 1 (axis 0 of a vector): which classes occur.

    Args:
        num_classes: length of the vectors.
        axis: where their axis stands in the `one_hot` result.
        dtype: None is floatx.
        sparse: must be False: there are no sparse tensors here.
        num_tokens: former name of `num_classes`.

    >>> multi_hot([[0, 2], [1, 1]], 3).tolist()
    [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    """
    _refuse_sparse("multi_hot", sparse)
    num_classes = num_tokens if num_classes is None else num_classes
    if num_classes is None:
        raise ArgumentError("multi_hot() needs `num_classes`, the length of its vectors.")
    vectors = one_hot(cast(inputs, "int32"), num_classes, axis, dtype)
    return reduction.max(vectors, axis=1 if inputs.ndim > 1 else 0)


def _refuse_sparse(name: str, sparse: bool) -> None:
    if sparse:
        raise ArgumentError(f"{name}() makes dense tensors only: leave out `sparse=True`.")


@public()
def categorical_crossentropy(
    target: Tensor, output: Tensor, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """Cross-entropy of predicted class probabilities with target probabilities, such as one-hot vectors.

    Args:
        target: probabilities of the shape of `output`.
        output: probabilities (scaled to the sum 1, kept `config.epsilon()` away from 0 and 1), or logits.
        from_logits: whether `output` holds logits, the inputs of a softmax.
        axis: the classes' axis, which the result lacks.

    Raises:
        ShapeError: the shapes differ.

    >>> round(categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).item(), 4)
    0.6931
    """
    _check_alike("categorical_crossentropy", target, output)
    return -reduction.sum(target * _log_probabilities(output, from_logits, axis), axis=axis)


@public()
def sparse_categorical_crossentropy(
    target: Kept, output: Tensor, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """Cross-entropy of predicted class probabilities with the numbers of the right classes.

    Args:
        target: class numbers, of the shape of `output` without the classes' axis, or with size 1 there. A
            number out of range gives 0.
        output: probabilities (scaled to the sum 1, kept `config.epsilon()` away from 0 and 1), or logits.
        from_logits: whether `output` holds logits, the inputs of a softmax.
        axis: the classes' axis, which the result lacks.

    Raises:
        ShapeError: the shapes don't fit.

    >>> round(sparse_categorical_crossentropy([1], [[0.5, 0.5]]).item(), 4)
    0.6931
    """
    place = canonical_axis(axis, output.ndim)
    if target.ndim == output.ndim and target.shape[place] == 1:
        target = squeeze(target, place)
    expected = (*output.shape[:place], *output.shape[place + 1 :])
    if tuple(target.shape) != expected:
        raise ShapeError(
            "sparse_categorical_crossentropy() takes a `target` of the shape of `output` without its axis "
            f"{axis}, here {expected}. Received: target of shape {tuple(target.shape)}, output of shape "
            f"{tuple(output.shape)}"
        )
    return -_chosen(_wide(_log_probabilities(output, from_logits, place)), cast(target, "int32"), place)


@op(at=())
def _chosen(x: Kept, numbers: Kept, axis: int) -> Tensor:
    """The elements of `x` at numbers along an axis, and 0 where a number is out of range."""
    return reduction.sum(multiply(one_hot(numbers, x.shape[axis], axis, x.dtype), x), axis=axis)


@public()
def binary_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False) -> Tensor:
    """Cross-entropy of predicted probabilities with target probabilities, elementwise.

    Args:
        target: probabilities of the shape of `output`, such as 0 and 1.
        output: probabilities (kept `config.epsilon()` away from 0 and 1), or logits.
        from_logits: whether `output` holds logits, the inputs of a sigmoid.

    Raises:
        ShapeError: the shapes differ.

    >>> round(binary_crossentropy([1.0], [0.5]).item(), 4)
    0.6931
    """
    _check_alike("binary_crossentropy", target, output)
    if from_logits:
        return target * softplus(-output) + (1 - target) * softplus(output)
    output = _inside_unit(output)
    return -(target * log(output) + (1 - target) * log(1 - output))


def _log_probabilities(output: Tensor, from_logits: bool, axis: int) -> Tensor:
    if from_logits:
        return log_softmax(output, axis)
    return log(_inside_unit(output / reduction.sum(output, axis=axis, keepdims=True)))


def _inside_unit(x: Tensor) -> Tensor:
    """Probabilities whose logarithms, and those of the complements, are finite."""
    epsilon = config.epsilon()
    return clip(x, epsilon, 1 - epsilon)


def _check_alike(name: str, target: Tensor, output: Tensor) -> None:
    if tuple(target.shape) != tuple(output.shape):
        raise ShapeError(
            f"{name}() takes a `target` and an `output` of the same shape. Received: target of shape "
            f"{tuple(target.shape)}, output of shape {tuple(output.shape)}"
        )


# -- normalization -------------------------------------------------------------------------------------------


@public()
def moments(
    x: Tensor, axes: int | Sequence[int] | None, keepdims: bool = False, synchronized: bool = False
) -> tuple[Tensor, Tensor]:
    """Mean and variance over axes; half precision is summed in single precision.

    Args:
        axes: one axis, several, or None for all.
        keepdims: whether the axes stay, with size 1.
        synchronized: must be False: there are no replicas to average over.

    >>> [t.item() for t in moments([1.0, 3.0], axes=0)]
    [2.0, 1.0]
    """
    if synchronized:
        raise EngineError(
            "moments(synchronized=True) needs replicas on several devices; this engine runs none."
        )
    axes = tuple(range(x.ndim)) if axes is None else canonical_axes(axes, x.ndim)
    mean, variance = plain_moments(_wide(x), axes, keepdims)
    return saturate_cast(mean, x.dtype), saturate_cast(variance, x.dtype)


@op(at=())
def plain_moments(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> tuple[Tensor, Tensor]:
    """Mean and variance in two passes, which a large mean doesn't spoil."""
    mean = reduction.mean(x, axis=axes, keepdims=True)
    variance = reduction.mean(square(x - mean), axis=axes, keepdims=keepdims)
    return reshape(mean, variance.shape), variance


def _wide(x: Tensor) -> Tensor:
    """At least single precision."""
    return cast(x, result_type(x.dtype, "float32"))


@public()
def batch_normalization(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    axis: int,
    offset: Tensor | None = None,
    scale: Tensor | None = None,
    epsilon: float = 0.001,
) -> Tensor:
    """`scale * (x - mean) / sqrt(variance + epsilon) + offset`, with vectors along one axis of `x`.

    Args:
        axis: that axis, often the channels'.
        epsilon: keeps the root above 0.

    Raises:
        ShapeError: a vector's length isn't the size of `x` along the axis.

    >>> batch_normalization([[1.0], [3.0]], [2.0], [1.0], axis=-1, epsilon=0.0).tolist()
    [[-1.0], [1.0]]
    """
    axis = canonical_axis(axis, x.ndim)
    for name, vector in (("mean", mean), ("variance", variance), ("offset", offset), ("scale", scale)):
        if vector is not None and tuple(vector.shape) != (x.shape[axis],):
            raise ShapeError(
                f"batch_normalization() takes `{name}` as a vector of the size of `x` along axis {axis}, "
                f"here {x.shape[axis]}. Received: {name} of shape {tuple(vector.shape)}, x of shape "
                f"{tuple(x.shape)}"
            )
    factor = rsqrt(add(variance, epsilon))
    if scale is not None:
        factor = factor * scale
    shift = -mean * factor
    if offset is not None:
        shift = shift + offset
    return x * _along(factor, x, (axis,)) + _along(shift, x, (axis,))


@op(at=())
def batch_norm(
    x: Tensor, gamma: Kept | None, beta: Kept | None, axis: int, epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    """`batch_normalization` by the batch's own mean and variance, which come along, without gradients."""
    mean, variance = plain_moments(x, tuple(a for a in range(x.ndim) if a != axis), keepdims=False)
    y = batch_normalization(x, mean, variance, axis, beta, gamma, epsilon)
    return y, stop_gradient(mean), stop_gradient(variance)


@public()
def layer_normalization(
    x: Tensor,
    gamma: Kept | None = None,
    beta: Kept | None = None,
    axis: int | Sequence[int] = -1,
    epsilon: float | None = None,
    rms_scaling: bool = False,
) -> Tensor:
    """`x` scaled to mean 0 and variance 1 over axes, times `gamma`, plus `beta` (Ba et al., 2016).

    Args:
        gamma: factors of the shape of `x` along the axes.
        beta: offsets of the shape of `x` along the axes.
        axis: one axis or several.
        epsilon: added to the variance; None is `config.epsilon()`.
        rms_scaling: whether to leave out the shifts, that by the mean and `beta`.

    >>> triceras.ops.round(layer_normalization([1.0, 3.0]), 4).tolist()
    [-1.0, 1.0]
    """
    axes, wide = sorted(canonical_axes(axis, x.ndim)), _wide(x)
    epsilon = config.epsilon() if epsilon is None else epsilon
    if rms_scaling:
        y = wide * rsqrt(plain_moments(wide, tuple(axes), keepdims=True)[1] + epsilon)
        return cast(y if gamma is None else multiply(y, _along(gamma, x, axes)), x.dtype)
    sizes = tuple(x.shape[a] for a in axes)
    fits = all(p is None or tuple(p.shape) == sizes for p in (gamma, beta))
    scale, offset = (p if p is None or not fits else cast(p, wide.dtype) for p in (gamma, beta))
    others = [a for a in range(x.ndim) if a not in axes]
    order = [*others, *axes]
    last = order == list(range(x.ndim))
    y = wide if last else transpose(wide, order)
    y = layer_norm(y, *((scale, offset) if fits else (None, None)), rank=len(axes), epsilon=epsilon)
    y = y if last else transpose(y, np.argsort(order).tolist())
    if not fits:  # they broadcast in another way
        y = y if gamma is None else multiply(y, _along(gamma, x, axes))
        y = y if beta is None else add(y, _along(beta, x, axes))
    return cast(y, x.dtype)


@op(at=())
def layer_norm(x: Tensor, gamma: Kept | None, beta: Kept | None, rank: int, epsilon: float) -> Tensor:
    """`x` scaled to mean 0 and variance 1 over its last `rank` axes, times `gamma`, plus `beta`."""
    mean, variance = plain_moments(x, tuple(range(x.ndim - rank, x.ndim)), keepdims=True)
    y = (x - mean) * rsqrt(variance + epsilon)
    y = y if gamma is None else y * gamma
    return y if beta is None else y + beta


@public()
def rms_normalization(
    x: Tensor, scale: Kept | None = None, axis: int | Sequence[int] = -1, epsilon: float | None = None
) -> Tensor:
    """`x` divided by the root of its mean square over axes, times `scale` (Zhang and Sennrich, 2019).

    Args:
        scale: factors of the shape of `x` along the axes, or of one that broadcasts with `x`.
        axis: one axis or several.
        epsilon: added to the mean square; None is `config.epsilon()`.

    >>> triceras.ops.round(rms_normalization([3.0, 3.0]), 4).tolist()
    [1.0, 1.0]
    """
    axes, wide = canonical_axes(axis, x.ndim), _wide(x)
    size = reduction.mean(square(wide), axis=axes, keepdims=True)
    y = wide * rsqrt(size + (config.epsilon() if epsilon is None else epsilon))
    if scale is not None:
        y = multiply(y, _along(scale, x, axes))
    return cast(y, x.dtype)


def _along(parameter: Tensor, x: Tensor, axes: Sequence[int]) -> Tensor:
    """A parameter of the shape of `x` along some axes, made to broadcast; another one is left alone."""
    if tuple(parameter.shape) != tuple(x.shape[a] for a in axes):
        return parameter
    return reshape(parameter, [n if a in axes else 1 for a, n in enumerate(x.shape)])


@public()
def normalize(
    x: Tensor, axis: int | Sequence[int] | None = -1, order: int = 2, epsilon: float | None = None
) -> Tensor:
    """`x` divided by its norm over axes.

    Args:
        axis: one axis, several, or None for all.
        order: 1 (sum of absolute values), 2 (Euclidean) and so on.
        epsilon: least norm to divide by; None is `config.epsilon()`.

    >>> normalize([0.0, 5.0]).tolist()
    [0.0, 1.0]
    """
    if not isinstance(order, int) or order < 1:
        raise ArgumentError(f"normalize() takes an integer from 1 on as `order`. Received: order={order!r}")
    least = config.epsilon() if epsilon is None else epsilon
    wide = _wide(x)
    if order == 2:  # bounded before the root, whose slope at 0 is infinite
        norm = sqrt(maximum(reduction.sum(square(wide), axis=axis, keepdims=True), least**2))
    else:
        norm = power(reduction.sum(power(abs(wide), order), axis=axis, keepdims=True), 1 / order)
        norm = maximum(norm, least)
    return cast(wide / norm, x.dtype)


# -- attention -----------------------------------------------------------------------------------------------


@public(passed=("scale",))
def dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Kept | None = None,
    mask: Kept | None = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Tensor:
    """Scaled dot-product attention (Vaswani et al., 2017).

    Args:
        query: (batch, target length, heads, features).
        key: (batch, source length, key heads, features); heads must be a multiple of key heads, which share.
        value: (batch, source length, key heads, features).
        bias: added to the logits; broadcasts with (batch, heads, target length, source length).
        mask: True where a target may look at a source; broadcasts as `bias` does, or is (batch, target,
            source length).
        scale: factor of the logits; None is `1 / sqrt(features)`.
        is_causal: whether targets look at sources up to their own place only.
        flash_attention: True asks for a fused kernel, which only some engines and devices have.
        attn_logits_soft_cap: keeps logits within plus and minus this number, smoothly.

    Returns:
        (batch, target length, heads, features).

    Raises:
        ShapeError: the ranks or the numbers of heads don't fit.

    >>> import numpy as np
    >>> dot_product_attention(np.ones((1, 2, 1, 4)), np.ones((1, 3, 1, 4)), np.ones((1, 3, 1, 4))).shape
    (1, 2, 1, 4)
    """
    if not query.ndim == key.ndim == value.ndim == 4:
        raise ShapeError(
            "dot_product_attention() takes tensors of shape (batch, length, heads, features). Received: "
            f"query of shape {tuple(query.shape)}, key of shape {tuple(key.shape)}, value of shape "
            f"{tuple(value.shape)}"
        )
    heads, key_heads = query.shape[2], key.shape[2]
    if heads % key_heads:
        raise ShapeError(
            "dot_product_attention() takes a number of query heads that is a multiple of the number of key "
            f"heads. Received: {heads} and {key_heads}"
        )
    if mask is not None:
        mask = cast(expand_dims(mask, 1) if mask.ndim == 3 else mask, "bool")
    if is_causal and (mask is not None or bias is not None):
        past = np.tri(query.shape[1], key.shape[1], dtype="bool")
        mask, is_causal = past if mask is None else logical_and(mask, past), False
    if mask is not None:
        mask = reshape(mask, (*(1,) * (4 - mask.ndim), *mask.shape))
        # a query that may look nowhere is 0 and looks everywhere: it gives the mean, and gets no gradient
        seeing = reduction.any(mask, axis=-1, keepdims=True)
        query = where(transpose(seeing, (0, 2, 1, 3)), query, 0)
        bias = where(mask, 0.0 if bias is None else bias, where(seeing, LOWEST, 0.0))
    options = {"scale": query.shape[-1] ** -0.5 if scale is None else scale, "is_causal": is_causal}
    if attn_logits_soft_cap is not None:
        if flash_attention:
            raise EngineError("dot_product_attention(flash_attention=True) takes no `attn_logits_soft_cap`.")
        return _attention(query, key, value, bias, **options, soft_cap=attn_logits_soft_cap)
    return (flash if flash_attention else attention)(query, key, value, bias, **options)


LOWEST = -0.7 * float(np.finfo("float32").max)  # finite, so that sums with it are


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    scale: float,
    is_causal: bool,
    soft_cap: float | None = None,
) -> Tensor:
    groups = query.shape[2] // key.shape[2]
    if groups > 1:
        key, value = (repeat(x, groups, axis=2) for x in (key, value))
    # heads come first, as products of matrices want them
    logits = matmul(transpose(query * scale, (0, 2, 1, 3)), transpose(key, (0, 2, 3, 1)))
    logits = _wide(logits)
    if soft_cap is not None:
        logits = soft_cap * tanh(logits / soft_cap)
    if bias is not None:
        logits = add(logits, bias)
    if is_causal:
        logits = where(np.tri(*logits.shape[-2:], dtype="bool"), logits, LOWEST)
    outputs = matmul(cast(softmax(logits), value.dtype), transpose(value, (0, 2, 1, 3)))
    return transpose(outputs, (0, 2, 1, 3))


@op(at=())
def attention(
    query: Tensor, key: Tensor, value: Tensor, bias: Kept | None, scale: float, is_causal: bool
) -> Tensor:
    """`dot_product_attention` with mask and bias in one; without `bias` alone `is_causal` may be True."""
    return _attention(query, key, value, bias, scale, is_causal)


@op(at=())
def flash(
    query: Tensor, key: Tensor, value: Tensor, bias: Kept | None, scale: float, is_causal: bool
) -> Tensor:
    """`attention` by a fused kernel, for engines that have one."""
    raise EngineError(
        "dot_product_attention(flash_attention=True): there is no such kernel here. Use None or False."
    )


# -- rearranging images --------------------------------------------------------------------------------------


@op(at=AT)
def space_to_depth(x: Kept, block_size: int, data_format: str | None = "channels_last") -> Tensor:
    """Blocks of pixels become channels: the inverse of `depth_to_space`.

    Args:
        x: (batch, height, width, channels), or (batch, channels, height, width) with "channels_first".
        block_size: side of the blocks; height and width must be multiples of it.

    >>> import numpy as np
    >>> space_to_depth(np.arange(4).reshape(1, 2, 2, 1), 2).tolist()
    [[[[0, 1, 2, 3]]]]
    """
    last = _check_blocks("space_to_depth", x, block_size, data_format)
    height, width, channels = x.shape[1:] if last else (*x.shape[2:], x.shape[1])
    if height % block_size or width % block_size:
        raise ShapeError(
            "space_to_depth() takes a height and a width that are multiples of `block_size`, here "
            f"{block_size}. Received: x of shape {tuple(x.shape)}"
        )
    rows, columns, depth = height // block_size, width // block_size, channels * block_size**2
    if last:
        x = reshape(x, (-1, rows, block_size, columns, block_size, channels))
        return reshape(transpose(x, (0, 1, 3, 2, 4, 5)), (-1, rows, columns, depth))
    x = reshape(x, (-1, channels, rows, block_size, columns, block_size))
    return reshape(transpose(x, (0, 1, 3, 5, 2, 4)), (-1, depth, rows, columns))


@op(at=AT)
def depth_to_space(x: Kept, block_size: int, data_format: str | None = "channels_last") -> Tensor:
    """Channels become blocks of pixels, which enlarges an image by `block_size`.

    Args:
        x: (batch, height, width, channels), or (batch, channels, height, width) with "channels_first".
        block_size: side of the blocks; the number of channels must be a multiple of its square.

    >>> import numpy as np
    >>> depth_to_space(np.arange(4).reshape(1, 1, 1, 4), 2).tolist()
    [[[[0], [1]], [[2], [3]]]]
    """
    last = _check_blocks("depth_to_space", x, block_size, data_format)
    rows, columns, depth = x.shape[1:] if last else (*x.shape[2:], x.shape[1])
    channels, rest = divmod(depth, block_size**2)
    if rest:
        raise ShapeError(
            "depth_to_space() takes a number of channels that is a multiple of the square of `block_size`, "
            f"here {block_size**2}. Received: x of shape {tuple(x.shape)}"
        )
    if last:
        x = reshape(x, (-1, rows, columns, block_size, block_size, channels))
        return reshape(
            transpose(x, (0, 1, 3, 2, 4, 5)), (-1, rows * block_size, columns * block_size, channels)
        )
    x = reshape(x, (-1, channels, block_size, block_size, rows, columns))
    return reshape(transpose(x, (0, 1, 4, 2, 5, 3)), (-1, channels, rows * block_size, columns * block_size))


def _check_blocks(name: str, x: Tensor, block_size: int, data_format: str | None) -> bool:
    """Whether the channels come last, after checks."""
    if not isinstance(block_size, int) or block_size < 2:
        raise ArgumentError(f"{name}() takes an integer from 2 on as `block_size`. Received: {block_size!r}")
    if x.ndim != 4:
        raise ShapeError(
            f"{name}() takes a batch of images, of rank 4. Received: x of shape {tuple(x.shape)}"
        )
    return config.standardize_data_format(data_format) == "channels_last"


# -- others --------------------------------------------------------------------------------------------------


@public()
def psnr(x1: Tensor, x2: Tensor, max_val: float) -> Tensor:
    """Peak signal-to-noise ratio of two images in decibels; higher is more alike.

    Args:
        max_val: the largest value that a pixel can have.

    >>> psnr([1.0], [2.0], 10.0).item()
    20.0
    """
    if tuple(x1.shape) != tuple(x2.shape):
        raise ShapeError(
            f"psnr() takes images of the same shape. Received: {tuple(x1.shape)} and {tuple(x2.shape)}"
        )
    return subtract(20 * math.log10(max_val), 10 * log10(reduction.mean(square(x1 - x2))))


@public()
def polar(abs_: Tensor, angle: Tensor) -> Tensor:
    """Complex numbers of given absolute value and angle in radians.

    >>> complex(polar(2.0, 0.0))
    (2+0j)
    """
    return add(abs_ * cos(angle), multiply(abs_ * sin(angle), 1j))
