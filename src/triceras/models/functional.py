"""Models that are graphs between symbolic inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from triceras.core import tree
from triceras.core.errors import FileFormatError
from triceras.core.registry import export
from triceras.core.spec import KerasTensor
from triceras.layers.base import Layer
from triceras.layers.input_layer import InputLayer
from triceras.models.model import Model
from triceras.ops.op import OpCall
from triceras.ops.operation import Operation


@export(saved="src.models.functional.Functional")
class Functional(Model):
    """What `Model(inputs, outputs)` makes. Any part of a graph can be cut out as a model of its own.

    Args:
        inputs: symbolic tensors, nested at will.
        outputs: symbolic tensors that depend on them, nested at will.
        name: made from the class name if not given.

    >>> from triceras import Input
    >>> x = Input(shape=(3,))
    >>> Functional(x, [x + 1.0, x * 2.0]).output_shape
    [(None, 3), (None, 3)]
    """

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(inputs=inputs, outputs=outputs, name=name, **kwargs)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """Make the graph that `get_config` described."""
        return _from_config(cls, config, custom_objects)


def graph_config(model: Model) -> dict[str, Any]:
    """A graph as data: its operations, each with the arguments of its calls, and which tensors go in and come out."""
    from triceras.saving.objects import serialize_keras_object
    from triceras.saving.operations import inputs_of

    graph = model._graph
    inside = {id(node) for node in graph.nodes}
    indices: dict[int, int] = {}
    operations = []
    for operation in graph.operations:
        calls = [n for n in operation._inbound_nodes if id(n) in inside or isinstance(operation, InputLayer)]
        for i, node in enumerate(calls):
            indices[id(node)] = i
        operations.append((operation, calls))

    def history(t: KerasTensor) -> list[Any]:
        node, index = t.history
        return [node.operation.name, indices.get(id(node), 0), index]

    def place(t: KerasTensor) -> list[Any]:
        name, call, index = history(t)
        return [name, call + _ahead(t.history[0].operation), index]

    def argument(value: Any) -> Any:
        if isinstance(value, KerasTensor):
            config = {"shape": value.shape, "dtype": value.dtype, "keras_history": history(value)}
            return {"class_name": "__keras_tensor__", "config": config}
        return value

    layers = []
    for operation, calls in operations:
        data = serialize_keras_object(operation)
        data["name"] = operation.name
        data["inbound_nodes"] = []
        for node in calls:
            if not isinstance(operation, InputLayer):
                args, kwargs = tree.map_structure(argument, (node.args, node.kwargs))
                args = inputs_of(operation, args) if isinstance(operation, OpCall) else list(args)
                data["inbound_nodes"].append(
                    {"args": serialize_keras_object(args), "kwargs": serialize_keras_object(kwargs)}
                )
        layers.append(data)
    return {
        "name": model.name,
        "trainable": model.trainable,
        "layers": layers,
        "input_layers": tree.map_structure(place, graph._inputs_struct),
        "output_layers": tree.map_structure(place, graph._outputs_struct),
    }


def _ahead(operation: Operation) -> int:
    """What the number of a call is ahead by where a graph's inputs and outputs name it: a graph inside is call 0."""
    return int(isinstance(operation, Functional))


def _from_config(cls: type, config: dict[str, Any], custom_objects: dict[str, Any] | None) -> Any:
    from triceras.saving.objects import deserialize_keras_object

    made: dict[str, Operation] = {}
    first: dict[str, int] = {}
    named = _histories([data["inbound_nodes"] for data in config["layers"]])
    nodes: dict[tuple[str, int], list[KerasTensor]] = {}
    waiting = []
    for data in config["layers"]:
        operation = deserialize_keras_object(data, custom_objects=custom_objects)
        made[data["name"]] = operation
        if isinstance(operation, InputLayer):
            nodes[data["name"], 0] = [operation.output]
        calls = len(data["inbound_nodes"])
        # Triceras 0.3 counted the calls of a graph inside from 1
        first[data["name"]] = int(
            _ahead(operation) and [data["name"], calls] in [h[:2] for h in named if isinstance(h, list)]
        )
        waiting += [
            (data["name"], i, node) for i, node in enumerate(data["inbound_nodes"], first[data["name"]])
        ]

    def ready(value: Any) -> bool:
        return all((h[0], h[1]) in nodes for h in _histories(value))

    def revive(value: Any) -> Any:
        if isinstance(value, dict):
            if value.get("class_name") == "__keras_tensor__":
                return tensor(value["config"]["keras_history"])
            if "class_name" in value:
                return deserialize_keras_object(value, custom_objects=custom_objects)
            return {k: revive(v) for k, v in value.items()}
        return [revive(v) for v in value] if isinstance(value, (list, tuple)) else value

    def tensor(place: Any) -> KerasTensor:
        try:
            return nodes[place[0], place[1]][place[2]]
        except (KeyError, IndexError, TypeError):
            raise FileFormatError(
                f"The graph names a tensor {place!r} that none of its layers makes."
            ) from None

    while waiting:
        later = []
        for name, index, node in waiting:
            if not ready(node) or (index > first[name] and (name, index - 1) not in nodes):
                later.append((name, index, node))
                continue
            if not isinstance(node, dict):
                raise FileFormatError(f"The call {index} of layer {name!r} isn't described as Keras 3 does.")
            kwargs = {k: revive(v) for k, v in node["kwargs"].items()}
            nodes[name, index] = tree.flatten(made[name](*(revive(a) for a in node["args"]), **kwargs))
        if len(later) == len(waiting):
            raise FileFormatError(
                f"The graph can't be connected: {sorted({n for n, _, _ in later})} wait for inputs that never come."
            )
        waiting = later

    def places(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: places(v) for k, v in value.items()}
        if len(value) == 3 and isinstance(value[0], str) and isinstance(value[1], int):
            name, call, index = value
            return tensor([name, call + first.get(name, 0) - _ahead(made.get(name)), index])
        return [places(v) for v in value]

    model = cls(
        inputs=places(config["input_layers"]),
        outputs=places(config["output_layers"]),
        name=config.get("name"),
    )
    if not config.get("trainable", True):
        model._trainable = False
    return model


def _histories(value: Any) -> list[Any]:
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            return [value["config"]["keras_history"]]
        return [h for v in value.values() for h in _histories(v)]
    return [h for v in value for h in _histories(v)] if isinstance(value, (list, tuple)) else []


def clone_graph(
    model: Model, clone: Callable[[Layer], Layer], call: Callable[..., Any] | None, inputs: Any = None
) -> Model:
    """The same graph over other layers."""
    copies: dict[int, Any] = {}

    def copy(operation: Operation) -> Callable[..., Any]:
        if isinstance(operation, OpCall):
            return OpCall(operation.op, operation.arguments)
        if id(operation) not in copies:
            made = copies[id(operation)] = clone(operation)
            copies[id(operation)] = made if call is None else (lambda *a, **k: call(made, *a, **k))
        return copies[id(operation)]

    graph = model._graph
    if inputs is None:
        inputs = tree.map_structure(
            lambda t: (
                InputLayer(
                    batch_shape=t.shape,
                    dtype=t.dtype,
                    name=t.history[0].operation.name if t.history else t.name,
                ).output
            ),
            graph._inputs_struct,
        )
    outputs = graph.plan.run(tree.flatten(inputs), copy)
    return Functional(inputs, outputs, name=model.name)
