"""Graphs of symbolic calls: put in order, cut out between tensors, compiled into a flat plan and run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from triceras.core import tree
from triceras.core.errors import ArgumentError, StateError
from triceras.core.registry import export
from triceras.core.spec import KerasTensor, Node
from triceras.ops.operation import Operation


def order(
    inputs: Sequence[KerasTensor], outputs: Sequence[KerasTensor]
) -> tuple[list[Node], list[Operation]]:
    """The nodes between inputs and outputs and their operations, farthest from the outputs first.

    Raises:
        ArgumentError: an output doesn't lead back to the inputs.
    """
    given = {id(t) for t in inputs}
    discovered: dict[Operation, int] = {}
    post: list[Node] = []
    state: dict[int, str] = {}
    for output in outputs:
        _visit(output, given, discovered, post, state)
    depth_of: dict[int, int] = {}
    operation_depth: dict[Operation, int] = {}
    for node in reversed(post):
        depth = max(depth_of.get(id(node), 0), operation_depth.get(node.operation, 0))
        depth_of[id(node)] = operation_depth[node.operation] = depth
        for tensor in node.inputs:
            if id(tensor) not in given and tensor.history is not None:
                parent = id(tensor.history[0])
                depth_of[parent] = max(depth_of.get(parent, 0), depth + 1)
    place = {id(node): i for i, node in enumerate(post)}
    nodes = sorted(post, key=lambda n: (-depth_of[id(n)], place[id(n)]))
    entries = [t.history[0].operation for t in inputs if t.history is not None and not t.history[0].inputs]
    deepest = max(operation_depth.values(), default=0) + 1
    for operation in entries:
        discovered.setdefault(operation, len(discovered))
        near = [
            operation_depth[n.operation]
            for n in nodes
            if any(t.history and t.history[0].operation is operation for t in n.inputs)
        ]
        operation_depth.setdefault(operation, max(near, default=deepest - 1) + 1)
    operations = sorted(discovered, key=lambda o: (-operation_depth[o], discovered[o]))
    return nodes, operations


def _visit(
    tensor: KerasTensor,
    given: set[int],
    discovered: dict[Operation, int],
    post: list[Node],
    state: dict[int, str],
) -> None:
    """Depth first, without recursion: graphs may be thousands of nodes deep."""
    stack: list[tuple[KerasTensor, bool]] = [(tensor, False)]
    while stack:
        current, done = stack.pop()
        if id(current) in given:
            continue
        if current.history is None or not current.history[0].inputs:
            raise ArgumentError(
                f"The outputs depend on {current!r}, which is not among the `inputs` of the model. "
                "Pass every `Input` that the outputs need."
            )
        node = current.history[0]
        if done:
            if state.get(id(node)) != "done":
                state[id(node)] = "done"
                post.append(node)
        elif id(node) not in state:
            state[id(node)] = "open"
            discovered.setdefault(node.operation, len(discovered))
            stack.append((current, True))
            stack.extend((t, False) for t in reversed(node.inputs))


Picker = Callable[[list[Any]], tuple[tuple[Any, ...], dict[str, Any]]]


class Plan:
    """A graph as a flat list of calls over numbered slots."""

    def __init__(self, inputs: Sequence[KerasTensor], outputs: Any, nodes: Sequence[Node]) -> None:
        slots: dict[int, int] = {id(t): i for i, t in enumerate(inputs)}
        # operation, slot of its only argument or a function that picks several, first slot and number of its results
        self.steps: list[tuple[Operation, int | Picker, int, int]] = []
        for node in nodes:
            arguments = _arguments(node, slots)
            first = len(slots)
            for t in node.outputs:
                slots[id(t)] = len(slots)
            self.steps.append((node.operation, arguments, first, len(node.outputs)))
        self.size = len(slots)
        self.outputs = tree.map_structure(
            lambda t: slots[id(t)] if isinstance(t, KerasTensor) else _Constant(t), outputs
        )
        self.single = self.outputs if isinstance(self.outputs, int) else None

    def run(
        self, values: Sequence[Any], call: Callable[[Operation], Callable[..., Any]] | None = None
    ) -> Any:
        """The outputs for these inputs; `call` may replace operations."""
        slots = [*values, *(None,) * (self.size - len(values))]
        for operation, arguments, first, count in self.steps:
            run = operation if call is None else call(operation)
            if arguments.__class__ is int:
                result = run(slots[arguments])
            else:
                args, kwargs = arguments(slots)
                result = run(*args, **kwargs)
            if count == 1 and not isinstance(result, (list, tuple, dict)):
                slots[first] = result
            else:
                slots[first : first + count] = tree.flatten(result)
        if self.single is not None:
            return slots[self.single]
        return tree.map_structure(lambda s: s.value if isinstance(s, _Constant) else slots[s], self.outputs)


class _Constant:
    def __init__(self, value: Any) -> None:
        self.value = value


def _arguments(node: Node, slots: dict[int, int]) -> int | Picker:
    """The slot of a node's only argument, or a function that picks its arguments out of the slots."""
    args, kwargs = node.args, node.kwargs
    if len(args) == 1 and isinstance(args[0], KerasTensor) and not kwargs:
        return slots[id(args[0])]
    leaves = tree.flatten((args, kwargs))
    places = [(i, slots[id(leaf)]) for i, leaf in enumerate(leaves) if isinstance(leaf, KerasTensor)]

    def pick(values: list[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        filled = list(leaves)
        for i, slot in places:
            filled[i] = values[slot]
        return tree.pack_sequence_as((args, kwargs), filled)

    return pick


@export("Function")
class Function(Operation):
    """The computation between symbolic inputs and outputs, callable on tensors.

    Args:
        inputs: symbolic tensors, nested at will.
        outputs: symbolic tensors that depend on them.
        name: made from the class name if not given.

    >>> from triceras import Input
    >>> x = Input(shape=(2,))
    >>> Function(x, x * 2.0)([[1.0, 2.0]]).tolist()
    [[2.0, 4.0]]
    """

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None) -> None:
        super().__init__(name=name)
        self._inputs_struct, self._outputs_struct = inputs, outputs
        self.inputs, self.outputs = tree.flatten(inputs), tree.flatten(outputs)
        for what, tensors in (("inputs", self.inputs), ("outputs", self.outputs)):
            if not tensors:
                raise ArgumentError(f"A graph needs at least one tensor in `{what}`.")
            for t in tensors:
                if not isinstance(t, KerasTensor):
                    raise ArgumentError(
                        f"`{what}` must hold symbolic tensors, as `Input` makes them. Received: {t!r}"
                    )
        self.nodes, self.operations = order(self.inputs, self.outputs)
        self.plan = Plan(self.inputs, outputs, self.nodes)

    def __reduce__(self) -> Any:
        return Function, (self._inputs_struct, self._outputs_struct, self.name)

    def call(self, inputs: Any) -> Any:
        """The outputs for values of the inputs."""
        values = tree.flatten(inputs) if tree.is_nested(self._inputs_struct) else [inputs]
        if len(values) != len(self.inputs):
            raise StateError(f"{self.name} expects {len(self.inputs)} inputs. Received {len(values)}.")
        return self.plan.run(values)

    @cached_property
    def halves(self) -> tuple[Function, Function] | None:
        """What makes numbers of text that goes in, and what comes after that; None where no text goes in.

        Raises:
            ArgumentError: text goes into a part that has weights.
        """
        if all(t.dtype != "string" for t in self.inputs):
            return None
        first: dict[int, Node] = {}
        for node in reversed(self.nodes):  # all on which a node with text depends
            feeds = {id(t) for found in first.values() for t in found.inputs}
            if any(t.dtype == "string" for t in node.inputs) or any(id(t) in feeds for t in node.outputs):
                first[id(node)] = node
                if getattr(node.operation, "trainable_variables", ()):
                    raise ArgumentError(
                        f"Text goes into {node.operation.name!r}, which has weights to train. Text becomes numbers "
                        "before a step: let it go into layers such as TextVectorization or StringLookup, in the "
                        "outermost model."
                    )
        later = [t for node in self.nodes if id(node) not in first for t in node.inputs]
        made = {id(t) for node in first.values() for t in node.outputs} | {id(t) for t in self.inputs}
        between = {id(t): t for t in (*later, *self.outputs) if id(t) in made}
        numbers = list(between.values())
        return Function(self._inputs_struct, numbers), Function(numbers, self._outputs_struct)

    def compute_output_spec(self, inputs: Any) -> Any:
        from triceras.core.spec import recording

        with recording(False):
            return self.call(inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The outputs' shapes for inputs of these shapes."""
        flat: list[Any] = []
        tree.map_shape_structure(flat.append, input_shape)
        specs = [KerasTensor(s, t.dtype) for s, t in zip(flat, self.inputs, strict=True)]
        outputs = self.compute_output_spec(tree.pack_sequence_as(self._inputs_struct, specs))
        return tree.map_structure(lambda t: t.shape, outputs)


@export("utils.get_source_inputs")
def get_source_inputs(tensor: KerasTensor) -> list[KerasTensor]:
    """The symbolic inputs that a symbolic tensor depends on, each once.

    >>> from triceras import Input
    >>> x = Input(shape=(2,), name="x")
    >>> [t.name for t in get_source_inputs(x * 2.0 + x)]
    ['x']
    """
    found: dict[int, KerasTensor] = {}
    waiting, seen = [tensor], set()
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        if current.history is None or not current.history[0].inputs:
            found.setdefault(id(current), current)
        else:
            waiting += reversed(current.history[0].inputs)
    return list(found.values())
