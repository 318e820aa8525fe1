"""Anything that can be a node of a graph: ops and layers."""

from __future__ import annotations

from typing import Any

from triceras.core import tree
from triceras.core.capture import Configurable
from triceras.core.errors import ArgumentError, StateError
from triceras.core.registry import export
from triceras.core.scope import to_snake_case, unique_name
from triceras.core.spec import KerasTensor, Node, any_symbolic, recording
from triceras.engine import selection


@export("Operation")
class Operation(Configurable):
    """A named computation on tensors; called on symbolic tensors it becomes a node of a graph.

    Args:
        name: a name without "/"; made from the class name if not given.
    """

    def __init__(self, name: str | None = None) -> None:
        if name is None:
            name = unique_name(to_snake_case(type(self).__name__))
        if not isinstance(name, str) or "/" in name:
            raise ArgumentError(f"`name` must be a string without '/'. Received: {name!r}")
        self.name = name
        self._inbound_nodes: list[Node] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute on tensors, or grow the graph on symbolic tensors."""
        if any_symbolic((args, kwargs)):
            return self.symbolic_call(*args, **kwargs)
        return self.call(*args, **kwargs)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """The computation itself."""
        raise NotImplementedError(f"{type(self).__name__} defines no call().")

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        """The symbolic result, recorded as a node."""
        outputs = self.compute_output_spec(*args, **kwargs)
        return self._record(args, kwargs, outputs)

    def _record(self, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Any) -> Any:
        if recording.get():
            self._inbound_nodes.append(Node(self, *tree.map_structure(constant, (args, kwargs)), outputs))
        return outputs

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Shapes and dtypes of the result as symbolic tensors."""
        from triceras.ops.infer import infer

        return infer(self.call, args, kwargs)

    @property
    def input(self) -> Any:
        """The symbolic tensors of its only call."""
        node = self._single_node("input")
        return node.args[0] if len(node.args) == 1 else list(node.inputs)

    @property
    def output(self) -> Any:
        """The symbolic results of its only call."""
        outputs = self._single_node("output").outputs
        return outputs[0] if len(outputs) == 1 else outputs

    def _single_node(self, what: str) -> Node:
        if len(self._inbound_nodes) != 1:
            state = (
                "has never been called"
                if not self._inbound_nodes
                else f"was called {len(self._inbound_nodes)} times"
            )
            raise StateError(f"`{self.name}.{what}` isn't defined: it {state} on symbolic tensors.")
        return self._inbound_nodes[0]


def constant(x: Any) -> Any:
    """An argument as graphs keep it: an engine's tensor as a NumPy array, for a graph belongs to no engine."""
    engine = selection.engine_of(type(x))
    return x if engine is None else engine.to_numpy(x)


def is_symbolic(x: Any) -> bool:
    """Whether one argument is a symbolic tensor, or a list, tuple or dict that holds one."""
    if isinstance(x, dict):
        x = tuple(x.values())
    return isinstance(x, KerasTensor) or (isinstance(x, (list, tuple)) and any(map(is_symbolic, x)))
