"""What `compile` was given, matched to a model's outputs: losses, their weights, metrics.

Whatever has one entry for each output (losses, weights, metrics, targets, sample weights) is matched by
`Outputs.match`: by the keys and indices that lead to an output, or by the output's name, never by its place
in a flattened dict.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import numpy as np

from triceras import losses, metrics
from triceras.core import tree
from triceras.core.errors import ArgumentError, ArgumentTypeError, NotFoundError, shown
from triceras.core.scope import to_snake_case
from triceras.losses.base import Loss, LossFunctionWrapper
from triceras.metrics.base import Mean, MeanMetricWrapper, Metric
from triceras.variable import Variable


class Outputs:
    """The outputs of a model, each with the path that leads to it and the name that logs call it by.

    Args:
        y_pred: the outputs, or their specs.
        layers: names of the layers behind the outputs, where they are known.

    >>> outputs = Outputs({"mask": 0, "boxes": [0, 0]})
    >>> outputs.names
    ['boxes', 'boxes', 'mask']
    >>> outputs.match("loss", {"mask": "bce", "boxes": ["mse", None]})
    ['mse', None, 'bce']
    """

    def __init__(self, y_pred: Any, layers: Sequence[str] | None = None) -> None:
        paths = [path for path, _ in tree.flatten_with_path(y_pred)]
        self.count = len(paths)
        self._layers: Sequence[str | None] = (
            layers if layers and len(layers) == self.count else [None] * self.count
        )
        self.names = [_log_name(path, layer) for path, layer in zip(paths, self._layers, strict=True)]
        self._places = tree.pack_sequence_as(y_pred, list(range(self.count)))

    def flatten(self, y_pred: Any) -> list[Any]:
        """The outputs of a call in order.

        Raises:
            ArgumentError: there are more or fewer than there were first.
        """
        found = tree.flatten(y_pred)
        if len(found) != self.count:
            raise ArgumentError(
                f"The model returned {len(found)} outputs, but {self.count} when it was first called."
            )
        return found

    def match(
        self, what: str, given: Any, shared: bool = True, lists: bool = False, complete: bool = False
    ) -> list[Any]:
        """The entry of each output; None where there is none.

        Args:
            what: the argument's name, for error messages.
            given: entries nested as the outputs are, or in a dict by the outputs' names, or a single one.
            shared: whether a single entry may stand for several outputs.
            lists: whether an entry may be a list.
            complete: whether a dict by names must name all outputs.

        Raises:
            ArgumentError: the structure doesn't fit the outputs'.
            NotFoundError: an unknown name.
        """
        found: list[Any] = [None] * self.count

        def visit(given: Any, places: Any) -> None:
            if given is None:
                return
            single = not isinstance(given, (dict, list, tuple))
            if isinstance(places, int) and (single or lists):
                found[places] = given
            elif single:
                if not shared and self.count > 1:
                    raise self._misfit(what, given, places)
                found[:] = [
                    given if place in tree.flatten(places) else entry for place, entry in enumerate(found)
                ]
            elif isinstance(given, dict):
                names = self._names_of(places)
                if names is None:
                    raise self._misfit(what, given, places)
                self._check_names(what, given, names, complete and not isinstance(places, dict))
                for name, place in names.items():
                    visit(given.get(name), place)
            elif isinstance(places, (list, tuple)) and len(given) == len(places):
                for entry, place in zip(given, places, strict=True):
                    visit(entry, place)
            elif self.count == len(given) == 1:
                visit(given[0], places)
            else:
                raise self._misfit(what, given, places)

        visit(given, self._places)
        return found

    def _names_of(self, places: Any) -> dict[str, Any] | None:
        """What the keys of a dict mean there: keys of the outputs, or names of their layers."""
        if isinstance(places, dict):
            return places
        inside = [places] if isinstance(places, int) else list(places)
        if all(isinstance(place, int) and self._layers[place] for place in inside):
            return {self._layers[place]: place for place in inside}  # type: ignore[misc]
        return None

    def _check_names(self, what: str, given: dict[str, Any], names: dict[str, Any], complete: bool) -> None:
        expected = f"Expected keys {list(names)}. Received keys {list(given)}."
        for key in given:
            if key not in names:
                close = difflib.get_close_matches(str(key), names, 1)
                hint = f" Did you mean {close[0]!r}?" if close else ""
                raise NotFoundError(f"`{what}`: the model has no output {key!r}.{hint} {expected}")
        missing = [name for name in names if name not in given]
        if missing and complete:
            raise ArgumentError(
                f"`{what}` lacks the outputs {missing}; give None for one that needs nothing. {expected}"
            )

    def _misfit(self, what: str, given: Any, places: Any) -> ArgumentError:
        outputs = tree.map_structure(lambda place: self._layers[place] or "tensor", places)
        advice = "with one entry for each output" if self.count > 1 else "with a single entry"
        received = tree.map_structure(
            lambda x: f"tensor{tuple(x.shape)}" if hasattr(x, "shape") else x, given
        )
        return ArgumentError(
            f"`{what}` must be nested as the model's outputs {outputs} are, {advice}. Received: "
            f"{shown(received)}"
        )


def _log_name(path: tuple[Any, ...], layer: str | None) -> str | None:
    """The name of an output in logs: its keys, and its layer's name where the last step is an index."""
    parts = [key for key in path if isinstance(key, str)]
    if path and not isinstance(path[-1], str) and layer:
        parts.append(layer)
    return "/".join(parts) or None


def _name_of(function: Any) -> str:
    """The name in logs of a function, or of an object that is called as one."""
    for attribute in ("name", "__name__"):
        name = getattr(function, attribute, None)
        if isinstance(name, str):
            return name.strip("<>")
    return to_snake_case(type(function).__name__)


def _unused(name: str, taken: dict[str, int]) -> str:
    """The name, with `_1`, `_2` ... where it was taken before."""
    count = taken.get(name, 0)
    taken[name] = count + 1
    return f"{name}_{count}" if count else name


def _missing_targets(name: str | None) -> ArgumentError:
    where = f" for the output {name!r}" if name else ""
    return ArgumentError(
        f"There are no targets{where}, but compile() was given a loss or a metric for it. Pass `y`, or "
        "batches of (x, y)."
    )


# -- losses ------------------------------------------------------------------------------------------------


def _loss(identifier: Any) -> Loss | None:
    """A name, function or loss as a `Loss`."""
    if identifier is None or isinstance(identifier, Loss):
        return identifier
    if not isinstance(identifier, str) and not callable(identifier):
        raise ArgumentTypeError(
            "compile(): a `loss` is a name, a function of (y_true, y_pred) or a Loss. Received: "
            f"{shown(identifier)}"
        )
    found = losses.get(identifier)
    if isinstance(found, Loss):
        return found
    return LossFunctionWrapper(found, name=identifier if isinstance(identifier, str) else _name_of(found))


class CompiledLoss:
    """The sum of the losses of a model's outputs, times their weights.

    Args:
        loss: a name, function or `Loss`, or one for each output, nested as the outputs are or in a dict by
            their names.
        loss_weights: a number, or one for each output.
        output_names: names of the layers behind the outputs, where they are known.

    >>> loss = CompiledLoss({"a": "mse", "b": "mae"}, loss_weights={"b": 2.0})
    >>> ones, zeros = np.ones((1, 1)), np.zeros((1, 1))
    >>> float(loss({"a": ones, "b": ones}, {"a": zeros, "b": zeros}))
    3.0
    >>> [metric.name for metric in loss.metrics]
    ['a_loss', 'b_loss']
    """

    built = False

    def __init__(
        self, loss: Any, loss_weights: Any = None, output_names: Sequence[str] | None = None
    ) -> None:
        self._losses = tree.map_structure(_loss, loss)
        for weight in tree.flatten(loss_weights):
            if weight is not None and (
                isinstance(weight, bool) or not isinstance(weight, (int, float, np.number))
            ):
                raise ArgumentTypeError(
                    f"compile(): `loss_weights` are numbers. Received: {shown(loss_weights)}"
                )
        self._weights, self._output_names = loss_weights, output_names
        self.metrics: list[Mean] = []

    @property
    def variables(self) -> list[Variable]:
        """The state of the trackers of single losses."""
        return [v for metric in self.metrics for v in metric.variables]

    def build(self, y: Any, y_pred: Any) -> None:
        """Match losses and weights to outputs.

        Args:
            y: targets, or their specs.
            y_pred: outputs, or their specs.
        """
        self._outputs = Outputs(y_pred, self._output_names)
        found = self._outputs.match("loss", self._losses, complete=True)
        weights = self._outputs.match("loss_weights", self._weights)
        places = [place for place, loss in enumerate(found) if loss is not None]
        taken: dict[str, int] = {}
        trackers = [
            Mean(name=_unused(f"{self._outputs.names[place] or found[place].name}_loss", taken))
            if len(places) > 1
            else None
            for place in places
        ]
        self._parts = [
            (place, found[place], weights[place], t) for place, t in zip(places, trackers, strict=True)
        ]
        self.metrics = [tracker for tracker in trackers if tracker is not None]
        self._classes = {
            place: output.shape[loss.fn_kwargs.get("axis", -1)]
            for place, (loss, output) in enumerate(zip(found, self._outputs.flatten(y_pred), strict=True))
            if loss is not None and loss.keeps_labels
        }
        self._targets(y)
        self.built = True

    def _targets(self, y: Any) -> list[Any]:
        targets = self._outputs.match("y", y, shared=False)
        for place, *_ in self._parts:
            if targets[place] is None:
                raise _missing_targets(self._outputs.names[place])
        return targets

    def check(self, y: Any) -> None:
        """Look at all targets before they are used: class numbers must be those of the outputs' classes.

        Raises:
            ArgumentError: one isn't; a compiled step couldn't tell.
        """
        if not self.built or y is None:
            return
        targets = self._targets(y)
        for place, loss, *_ in self._parts:
            values, classes = targets[place], self._classes.get(place)
            if classes is None or not isinstance(values, np.ndarray):
                continue
            wrong = values[(values < 0) | (values >= classes)]
            wrong = wrong[wrong != loss.fn_kwargs.get("ignore_class")]
            if wrong.size:
                name = self._outputs.names[place]
                where = f" of the output {name!r}" if name else ""
                raise ArgumentError(
                    f"The targets{where} hold the class number {wrong[0]}, but there are {classes} classes, "
                    f"from 0 to {classes - 1} ({wrong.size} wrong labels in all, the first in sample "
                    f"{_first(values, wrong[0])}). Number the classes from 0, enlarge the output, or name a "
                    "number that does not count by SparseCategoricalCrossentropy(ignore_class=...)."
                )

    def __call__(self, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The total loss of a batch as a scalar, None if no output has a loss; also updates the trackers."""
        if not self.built:
            self.build(y, y_pred)
        predictions, targets = self._outputs.flatten(y_pred), self._targets(y)
        sample_weights = self._outputs.match("sample_weight", sample_weight)
        total = None
        for place, loss, weight, tracker in self._parts:
            value = loss(targets[place], predictions[place], sample_weights[place])
            if tracker is not None:
                tracker.update_state(value, sample_weight=predictions[0].shape[0])
            if weight is not None:
                value = value * weight
            total = value if total is None else total + value
        return total


def _first(values: np.ndarray, label: Any) -> int:
    return int(np.argmax((values == label).reshape(len(values), -1).any(axis=1)))


# -- metrics -----------------------------------------------------------------------------------------------

_BY_SHAPES = {
    "accuracy": (metrics.BinaryAccuracy, metrics.SparseCategoricalAccuracy, metrics.CategoricalAccuracy),
    "crossentropy": (
        metrics.BinaryCrossentropy,
        metrics.SparseCategoricalCrossentropy,
        metrics.CategoricalCrossentropy,
    ),
}
_BY_SHAPES |= {"acc": _BY_SHAPES["accuracy"], "ce": _BY_SHAPES["crossentropy"]}


def _metric(identifier: Any) -> Any:
    """A name, function or metric as a `Metric`; names whose meaning depends on shapes stay names."""
    if identifier is None or isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, str):
        if identifier.lower() in _BY_SHAPES:
            return identifier
    elif not callable(identifier):
        raise ArgumentTypeError(
            "compile(): a metric is a name, a function of (y_true, y_pred) or a Metric. Received: "
            f"{shown(identifier)}"
        )
    found = metrics.get(identifier)
    name = identifier if isinstance(identifier, str) else _name_of(found)
    if not isinstance(found, Metric):
        return MeanMetricWrapper(found, name=name)
    found.name = name
    return found


def _by_shapes(name: str, y: Any, y_pred: Any) -> Metric:
    """The metric that a name such as "accuracy" means for targets and predictions of these shapes."""
    true, predicted = tuple(y.shape), tuple(y_pred.shape)
    binary, sparse, categorical = _BY_SHAPES[name.lower()]
    if len(predicted) <= 1 or predicted[-1] == 1:
        return binary(name=name)
    return (sparse if len(true) < len(predicted) or true[-1] == 1 else categorical)(name=name)


class CompiledMetrics:
    """The metrics of a model's outputs, by their names in logs.

    Args:
        metrics: a list of names, functions or `Metric`s, or for several outputs such a list or single one for
            each, nested as the outputs are or in a dict by their names.
        weighted_metrics: the same, for metrics that take sample weights into account.
        output_names: names of the layers behind the outputs, where they are known.

    >>> compiled = CompiledMetrics(["accuracy", "mse"], ["mse"])
    >>> compiled.update_state(np.array([[1.0], [0.0]]), np.array([[0.9], [0.6]]), np.array([1.0, 0.0]))
    >>> {name: round(float(value), 2) for name, value in compiled.result().items()}
    {'accuracy': 0.5, 'mse': 0.19, 'weighted_mse': 0.01}
    """

    built = False

    def __init__(
        self, metrics: Any = None, weighted_metrics: Any = None, output_names: Sequence[str] | None = None
    ) -> None:
        self._given = {
            "metrics": tree.map_structure(_metric, metrics),
            "weighted_metrics": tree.map_structure(_metric, weighted_metrics),
        }
        self._output_names = output_names
        self._parts: list[tuple[int, Metric, bool, str]] = []

    @property
    def metrics(self) -> list[Metric]:
        """All metrics; none before their outputs are known."""
        return [metric for _, metric, *_ in self._parts]

    @property
    def variables(self) -> list[Variable]:
        """The state of all metrics."""
        return [v for metric in self.metrics for v in metric.variables]

    def build(self, y: Any, y_pred: Any) -> None:
        """Match metrics to outputs, and make those that depend on shapes.

        Args:
            y: targets, or their specs.
            y_pred: outputs, or their specs.
        """
        self._outputs = Outputs(y_pred, self._output_names)
        predictions, targets = self._outputs.flatten(y_pred), self._outputs.match("y", y, shared=False)
        several, taken = self._outputs.count > 1, {}
        self._parts = []
        for what, given in self._given.items():
            # one output may have its metrics in any form, for there is nothing to confuse
            entries = self._outputs.match(what, given, shared=False, lists=True) if several else [given]
            for place, entry in enumerate(entries):
                prefix = f"{self._outputs.names[place]}_" if several and self._outputs.names[place] else ""
                for metric in tree.flatten(entry):
                    if metric is None:
                        continue
                    if targets[place] is None:
                        raise _missing_targets(self._outputs.names[place])
                    if isinstance(metric, str):
                        metric = _by_shapes(metric, targets[place], predictions[place])
                    metric.build_state(tuple(targets[place].shape), tuple(predictions[place].shape))
                    weighted = what == "weighted_metrics"
                    name = prefix + metric.name
                    if weighted and name in taken:
                        name = f"{prefix}weighted_{metric.name}"
                    self._parts.append((place, metric, weighted, _unused(name, taken)))
        self.built = True

    def update_state(self, y: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch into account."""
        if not self.built:
            self.build(y, y_pred)
        predictions, targets = self._outputs.flatten(y_pred), self._outputs.match("y", y, shared=False)
        sample_weights = self._outputs.match("sample_weight", sample_weight)
        for place, metric, weighted, _ in self._parts:
            if weighted:
                metric.update_state(targets[place], predictions[place], sample_weight=sample_weights[place])
            else:
                metric.update_state(targets[place], predictions[place])

    def result(self) -> dict[str, Any]:
        """The values so far by name."""
        results: dict[str, Any] = {}
        for _, metric, _, name in self._parts:
            value = metric.result()
            for key, x in (value if isinstance(value, dict) else {name: value}).items():
                results[key] = x.value if isinstance(x, Variable) else x
        return results

    def reset_state(self) -> None:
        """Start anew."""
        for metric in self.metrics:
            metric.reset_state()
