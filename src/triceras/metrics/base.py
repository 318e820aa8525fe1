"""What all metrics share: state in variables, results from it, configs, and metrics that are means."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from triceras import dtype_policies, initializers, ops
from triceras.core import config
from triceras.core.capture import Configurable
from triceras.core.errors import ShapeError
from triceras.core.masks import get_mask
from triceras.core.registry import export, path_of
from triceras.core.scope import to_snake_case, unique_name
from triceras.losses.base import apply_mask, both, config_of
from triceras.variable import Variable, name_scope, with_values


@export("Metric", "metrics.Metric")
class Metric(Configurable):
    """Base of all metrics: a quantity gathered over batches.

    A subclass makes state in `__init__` with `add_weight`, changes it in `update_state`, and computes from it
    in `result`.

    Args:
        dtype: dtype or dtype policy of the state; floatx if not given.
        name: made from the class name if not given.

    >>> class Largest(Metric):
    ...     def __init__(self, **kwargs):
    ...         super().__init__(**kwargs)
    ...         self.value = self.add_weight(name="value")
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         self.value.assign(ops.maximum(self.value, ops.max(y_pred)))
    ...     def result(self):
    ...         return self.value.value
    >>> float(Largest()([0.0], [3.0]))
    3.0
    """

    _direction: str | None = None  # "up" or "down": which way is better, for callbacks with mode="auto"
    # arguments that the reference's configs lack: saved only where they aren't the default
    unsaved: tuple[str, ...] = ()

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self.name = name or unique_name(to_snake_case(type(self).__name__))
        self._dtype_policy = dtype_policies.get(dtype or config.floatx())
        self._own_variables: list[Variable] = []

    @property
    def dtype(self) -> str:
        """The dtype of the state and of the result."""
        return self._dtype_policy.compute_dtype

    # -- state ---------------------------------------------------------------------------------------------

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Any = None,
        dtype: Any = None,
        aggregation: str = "sum",
        name: str | None = None,
    ) -> Variable:
        """Make a variable of this metric.

        Args:
            shape: sizes.
            initializer: name or callable; zeros if not given.
            dtype: the metric's dtype if not given.
            aggregation: how replicas combine.
            name: made automatically if not given.
        """
        with name_scope(self.name.replace("/", "_")):
            made = Variable(
                initializers.get(initializer or "zeros"),
                shape=tuple(shape),
                dtype=dtype or self.dtype,
                trainable=False,
                autocast=False,
                aggregation=aggregation,
                name=name,
            )
        self._own_variables.append(made)
        return made

    def add_weight(
        self, shape: Sequence[int] = (), initializer: Any = None, dtype: Any = None, name: str | None = None
    ) -> Variable:
        """Make a variable of this metric, a scalar unless a shape is given."""
        return self.add_variable(shape=shape, initializer=initializer, dtype=dtype, name=name)

    def build_state(self, y_true_shape: Sequence[int | None], y_pred_shape: Sequence[int | None]) -> None:
        """Make what state depends on the shapes of a batch; does nothing the second time."""

    @property
    def variables(self) -> list[Variable]:
        """The variables of this metric and of the metrics that its attributes hold."""
        found = {id(v): v for v in self._own_variables}
        for value in self.__dict__.values():
            for held in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(held, Variable):
                    found[id(held)] = held
                elif isinstance(held, Metric):
                    found |= {id(v): v for v in held.variables}
        return list(found.values())

    def reset_state(self) -> None:
        """Start anew."""
        for variable in self.variables:
            variable.assign(ops.zeros(variable.shape, dtype=variable.dtype))

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Take a batch into account."""
        raise NotImplementedError(f"{type(self).__name__} defines no update_state().")

    def result(self) -> Any:
        """The value so far: a scalar tensor, or a dict of them."""
        raise NotImplementedError(f"{type(self).__name__} defines no result().")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Take a batch into account and return the value so far."""
        self.update_state(*args, **kwargs)
        return self.result()

    # -- without changing the variables --------------------------------------------------------------------

    def stateless_update_state(self, metric_variables: Sequence[Any], *args: Any, **kwargs: Any) -> list[Any]:
        """The variables' values after a batch, from given ones; the variables stay as they are.

        >>> mean = Mean()
        >>> [float(v) for v in mean.stateless_update_state([4.0, 1.0], [6.0])]
        [10.0, 2.0]
        """
        return self._stateless(metric_variables, lambda: self.update_state(*args, **kwargs))[1]

    def stateless_result(self, metric_variables: Sequence[Any]) -> Any:
        """The result for given values of the variables.

        >>> float(Mean().stateless_result([10.0, 2.0]))
        5.0
        """
        return self._stateless(metric_variables, self.result)[0]

    def stateless_reset_state(self) -> list[Any]:
        """The variables' values at the start.

        >>> [float(v) for v in Mean().stateless_reset_state()]
        [0.0, 0.0]
        """
        return self._stateless([v.value for v in self.variables], self.reset_state)[1]

    def _stateless(self, values: Sequence[Any], run: Callable[[], Any]) -> tuple[Any, list[Any]]:
        result, (updated,) = with_values(run, metric_variables=(self.variables, values))
        return result, updated

    # -- configs -------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as `from_config` takes them."""
        return config_of(self, name=self.name, dtype=self.dtype)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def table_width(what: str, y_true_shape: Sequence[int | None], y_pred_shape: Sequence[int | None]) -> int:
    """The number of columns of targets and predictions; the targets of one column may have a single axis.

    Raises:
        ShapeError: they aren't tables of the same known width.
    """
    shapes = tuple(y_true_shape), tuple(y_pred_shape)
    if len(shapes[0]) == 1 and shapes[1][1:] == (1,):
        return 1
    if any(len(shape) != 2 for shape in shapes) or y_pred_shape[1] is None or shapes[0][1] != shapes[1][1]:
        raise ShapeError(
            f"{what} takes targets and predictions of shape (batch, columns), with a column for each class "
            f"or output. Received y_true of shape {shapes[0]} and y_pred of shape {shapes[1]}. Class numbers "
            "become columns by utils.to_categorical."
        )
    return y_pred_shape[1]


# -- sums and means ----------------------------------------------------------------------------------------


@export("metrics.Sum")
class Sum(Metric):
    """The sum of all values, times their weights.

    >>> float(Sum()([1.0, 2.0], sample_weight=[1.0, 3.0]))
    7.0
    """

    def __init__(self, name: str | None = "sum", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_weight(name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add values.

        Args:
            values: numbers of any shape.
            sample_weight: factors, of the same shape or with fewer axes.
        """
        mask = get_mask(values)
        values = ops.cast(ops.convert_to_tensor(values), self.dtype)
        weight = apply_mask(sample_weight, mask, values, self.name)
        self.total.assign_add(ops.sum(values if weight is None else values * weight))

    def result(self) -> Any:
        """The sum."""
        return self.total.value


@export("metrics.Mean")
class Mean(Metric):
    """The weighted mean of all values, in which each entry of the first axis counts once.

    >>> mean = Mean()
    >>> mean.update_state([1.0, 3.0])
    >>> float(mean([8.0], sample_weight=[2.0]))
    5.0
    """

    def __init__(self, name: str | None = "mean", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_weight(name="total")
        self.count = self.add_weight(name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Take values into account.

        Args:
            values: numbers of any shape.
            sample_weight: weights, of the same shape or with fewer axes.
        """
        mask = get_mask(values)
        values = ops.cast(ops.convert_to_tensor(values), self.dtype)
        weight = apply_mask(sample_weight, mask, values, self.name)
        rows, size = ops.shape(values)[0] if len(values.shape) else 1, math.prod(ops.shape(values))
        if weight is None:
            self.total.assign_add(ops.sum(values) / (size / rows))
            self.count.assign_add(rows)
            return
        # how many values count as one: those of an entry, or all of them under a single weight
        each = size / rows if len(weight.shape) else size
        self.total.assign_add(ops.sum(values * weight) / each)
        self.count.assign_add(ops.sum(weight) * (size / math.prod(ops.shape(weight)) / each))

    def result(self) -> Any:
        """The mean; 0 if there were no values."""
        return ops.divide_no_nan(self.total.value, self.count.value)


@export("metrics.MeanMetricWrapper")
class MeanMetricWrapper(Mean):
    """The mean of a function's values for each sample.

    Args:
        fn: a function of `(y_true, y_pred, **kwargs)`.
        name: made from the class name if not given.
        dtype: dtype or dtype policy; floatx if not given.
        **kwargs: passed to the function.

    >>> from triceras import losses
    >>> float(MeanMetricWrapper(losses.huber, delta=2.0)([[0.0]], [[4.0]]))
    6.0
    """

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self._fn, self._fn_kwargs = fn, kwargs
        if (path_of(fn) or "").startswith("losses."):
            self._direction = "down"

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch into account.

        Args:
            y_true: targets.
            y_pred: predictions; where a mask is attached, only the entries it keeps count.
            sample_weight: weights for samples or for values.
        """
        values = self._fn(y_true, y_pred, **self._fn_kwargs)
        mask = both(get_mask(y_pred), get_mask(values))
        values = ops.cast(ops.convert_to_tensor(values), self.dtype)
        super().update_state(values, sample_weight=apply_mask(sample_weight, mask, values, self.name))
