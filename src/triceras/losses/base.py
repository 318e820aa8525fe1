"""What all losses share: dtypes, masks, sample weights and the reduction to one number."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

from triceras import dtype_policies, ops
from triceras.core import config, tree
from triceras.core.capture import Configurable, accepts
from triceras.core.dtypes import is_float_dtype, standardize_dtype
from triceras.core.errors import ArgumentError, ShapeError
from triceras.core.masks import get_mask
from triceras.core.registry import export
from triceras.core.scope import to_snake_case, unique_name
from triceras.saving import objects

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


@export("Loss", "losses.Loss")
class Loss(Configurable):
    """Base of all losses. Subclass it and write `call(self, y_true, y_pred)`, with a value for each sample.

    Args:
        name: made from the class name if not given.
        reduction: "sum_over_batch_size" or "mean" (over all values), "sum", "mean_with_sample_weight" (the
            sum divided by the sum of the weights), or "none" and None (all values).
        dtype: dtype or dtype policy of the computation; floatx if not given.

    >>> class Absolute(Loss):
    ...     def call(self, y_true, y_pred):
    ...         return ops.abs(y_true - y_pred)
    >>> float(Absolute()([1.0, 2.0], [1.0, 4.0]))
    1.0
    """

    # arguments that the reference's configs lack: saved only where they aren't the default
    unsaved: tuple[str, ...] = ("dtype",)
    # whether integer targets stay integers: large class numbers have no exact 16-bit float
    keeps_labels = False

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: Any = None
    ) -> None:
        if reduction not in REDUCTIONS:
            raise ArgumentError(
                f"{type(self).__name__}: `reduction` must be one of {REDUCTIONS}. Received: {reduction!r}"
            )
        self.name = name or unique_name(to_snake_case(type(self).__name__))
        self.reduction = reduction
        self._dtype_policy = dtype_policies.get(dtype or config.floatx())

    @property
    def dtype(self) -> str:
        """The dtype of the computation and of the result."""
        return self._dtype_policy.compute_dtype

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The reduced loss.

        Args:
            y_true: targets.
            y_pred: predictions; where a mask is attached, only the entries it keeps count.
            sample_weight: a number, or a weight for each sample or for each value.
        """
        mask = get_mask(y_pred)
        y_true, y_pred = self._tensors(y_true, self.keeps_labels), self._tensors(y_pred)
        values = self.call(y_true, y_pred)
        mask = both(mask, get_mask(values))
        values = ops.convert_to_tensor(values, dtype=self.dtype)
        return reduce_weighted(values, sample_weight, mask, self.reduction, type(self).__name__)

    def _tensors(self, x: Any, keep: bool = False) -> Any:
        """A tensor, or a structure of them, in the dtype of the computation."""
        if isinstance(x, dict) or (
            isinstance(x, (list, tuple)) and any(hasattr(leaf, "shape") for leaf in tree.flatten(x))
        ):
            return tree.map_structure(lambda leaf: self._tensors(leaf, keep), x)
        x = ops.convert_to_tensor(x)
        return x if keep and not is_float_dtype(x.dtype) else ops.cast(x, self.dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """A value for each sample."""
        raise NotImplementedError(f"{type(self).__name__} defines no call(self, y_true, y_pred).")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as `from_config` takes them."""
        return config_of(self, name=self.name, reduction=self.reduction)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


class LossFunctionWrapper(Loss):
    """A loss made of a function of `(y_true, y_pred, **kwargs)` that returns a value for each sample."""

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.fn, self.fn_kwargs = fn, kwargs
        self.keeps_labels = getattr(fn, "keeps_labels", False)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The function's values."""
        if not (tree.is_nested(y_true) or tree.is_nested(y_pred)):
            y_true, y_pred = same_rank(y_true, y_pred)
        return self.fn(y_true, y_pred, **self.fn_kwargs)


def config_of(made: Any, **resolved: Any) -> dict[str, Any]:
    """The constructor's arguments of a loss or metric as plain data.

    Args:
        made: the object; its `unsaved` names what is left out where it is the default.
        resolved: values that stand for what was given.
    """
    parameters = inspect.signature(type(made)).parameters
    found = {**Configurable.get_config(made), **resolved}
    return {
        name: objects.serialize_keras_object(value)
        for name, value in found.items()
        if accepts(type(made), name)
        and (name not in made.unsaved or name not in parameters or value != parameters[name].default)
    }


def both(a: Any, b: Any) -> Any:
    """Two masks as one; None keeps everything."""
    if a is None or b is None:
        return b if a is None else a
    return ops.logical_and(*same_rank(ops.cast(a, "bool"), ops.cast(b, "bool")))


def same_rank(x1: Any, x2: Any) -> tuple[Any, Any]:
    """Two tensors; where their ranks differ by 1, a last axis of size 1 is added to or taken from one."""
    shape1, shape2 = tuple(x1.shape), tuple(x2.shape)
    if len(shape1) == len(shape2) + 1:
        swapped = same_rank(x2, x1)
        return swapped[1], swapped[0]
    if len(shape2) == len(shape1) + 1 and shape2[-1] == 1:
        return (ops.expand_dims(x1, -1), x2) if len(shape1) == 1 else (x1, ops.squeeze(x2, -1))
    return x1, x2


def aligned(weight: Any, values: Any, what: str) -> Any:
    """Weights as a tensor that multiplies values: it may have fewer axes, which are then the first ones.

    Raises:
        ShapeError: the weights don't fit.
    """
    weight = ops.cast(ops.convert_to_tensor(weight), values.dtype)
    given, rank = tuple(weight.shape), len(values.shape)
    if len(given) == rank + 1 and given[-1] == 1:
        weight = ops.squeeze(weight, -1)
    elif 0 < len(given) < rank:
        weight = ops.reshape(weight, (*ops.shape(weight), *(1,) * (rank - len(given))))
    fits = len(weight.shape) <= rank and all(
        w == 1 or w == v or None in (w, v)
        for w, v in zip(reversed(weight.shape), reversed(values.shape), strict=False)
    )
    if not fits:
        raise ShapeError(
            f"{what}: `sample_weight` or the mask has shape {given}, but there are values of shape "
            f"{tuple(values.shape)}. "
            "Give one weight for each sample or one for each value."
        )
    return weight


def apply_mask(sample_weight: Any, mask: Any, values: Any, what: str, rescale: bool = False) -> Any:
    """Weights that leave out what a mask leaves out; None if there is neither.

    Args:
        sample_weight: weights or None.
        mask: true for what counts, or None.
        values: what is weighted.
        what: who asks, for error messages.
        rescale: make up for what is left out, so that a mean over all values is one over those that count.
    """
    weight = None if sample_weight is None else aligned(sample_weight, values, what)
    if mask is None:
        return weight
    kept = aligned(mask, values, what)
    if rescale:
        kept = kept * (math.prod(ops.shape(kept)) / ops.maximum(ops.sum(kept), 1.0))
    return kept if weight is None else kept * weight


def reduce_weighted(
    values: Any, sample_weight: Any, mask: Any, reduction: str | None, what: str = "Loss"
) -> Any:
    """Values times weights, reduced."""
    averaged = reduction in ("sum_over_batch_size", "mean")
    weight = apply_mask(sample_weight, mask, values, what, rescale=averaged)
    if weight is not None:
        values = values * weight
    if reduction in (None, "none") or len(values.shape) == 0:
        return values
    total = ops.sum(values)
    if reduction == "sum":
        return total
    if averaged or weight is None:
        return total / max(math.prod(ops.shape(values)), 1)
    return ops.divide_no_nan(total, ops.sum(weight))


def pair(what: str, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Targets and predictions as float tensors of one dtype and rank.

    Raises:
        ShapeError: they don't broadcast.
    """
    y_pred = ops.convert_to_tensor(y_pred)
    if not is_float_dtype(y_pred.dtype):
        y_pred = ops.cast(y_pred, config.floatx())
    y_true = ops.cast(ops.convert_to_tensor(y_true), standardize_dtype(y_pred.dtype))
    y_true, y_pred = same_rank(y_true, y_pred)
    pairs = zip(reversed(y_true.shape), reversed(y_pred.shape), strict=False)
    if any(a != b and 1 not in (a, b) and None not in (a, b) for a, b in pairs):
        raise ShapeError(
            f"{what}: targets and predictions must have the same shape. Received y_true of shape "
            f"{tuple(y_true.shape)} and y_pred of shape {tuple(y_pred.shape)}."
        )
    return y_true, y_pred
