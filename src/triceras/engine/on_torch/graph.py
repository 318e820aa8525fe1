"""A captured step as a straight line of calls: what repeats is dropped, updates of many variables are batched
and done in place, and the rest is written out as one Python function without any dispatch of ours.
"""

from __future__ import annotations

import functools
import heapq
import math
import operator
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx

from triceras.engine.on_torch import adam

aten = torch.ops.aten
ALIASES = {aten.detach.default, aten.alias.default, aten.lift_fresh.default, aten.lift_fresh_copy.default}
VIEWS = {
    "view", "_unsafe_view", "reshape", "t", "transpose", "permute", "expand", "select", "slice", "squeeze",
    "unsqueeze", "as_strided", "diagonal", "split", "split_with_sizes", "unbind", "unfold", "view_as_real",
    "view_as_complex", "_reshape_alias", "alias", "detach", "real", "imag", "_conj", "_neg_view", "expand_as",
}  # fmt: skip
# elementwise calls that torch does for many tensors at once; the number of operands that may be tensors
BATCHED = {
    "add": 2, "sub": 2, "mul": 2, "div": 2, "maximum": 2, "minimum": 2, "pow": 2, "lerp": 2,
    "sqrt": 1, "neg": 1, "abs": 1, "reciprocal": 1, "exp": 1, "log": 1, "sign": 1,
}  # fmt: skip
# calls for which the function of torch's Python API does the same, at half the price of the operator
DIRECT = {
    "add", "sub", "mul", "div", "neg", "exp", "log", "sqrt", "rsqrt", "pow", "abs", "sign", "maximum",
    "minimum", "clamp", "relu", "sigmoid", "tanh", "sum", "mean", "amax", "amin", "argmax", "argmin",
    "eq", "ne", "lt", "le", "gt", "ge", "where", "mm", "addmm", "bmm", "baddbmm", "matmul",
    "convolution", "cat", "stack", "unsqueeze", "squeeze", "permute", "transpose", "t", "index_select",
    "gather", "scatter_add", "select", "expand_copy", "native_layer_norm", "native_batch_norm", "log1p",
    "expm1", "reciprocal", "logical_and", "logical_or", "logical_not", "lerp", "addcmul", "addcdiv",
    "rsub", "floor", "ceil", "round", "_softmax", "_softmax_backward_data", "bitwise_and", "bitwise_or",
    "index_add", "ones_like", "zeros_like", "clone",
}  # fmt: skip
METHODS = {
    "view": "view", "_unsafe_view": "view", "expand": "expand", "logical_and_": "logical_and_",
    "new_zeros": "new_zeros",
}  # fmt: skip
# calls that depend on the form of their operands only
FILLED = {
    "ones_like", "zeros_like", "full_like", "new_zeros", "new_ones", "new_full", "full", "zeros", "ones",
    "scalar_tensor",
}  # fmt: skip
MOST_FILLED = 1 << 16  # elements


class Program:
    """A captured step, ready to run.

    Args:
        module: what `make_fx` gave for a function of `(state, tensors)` that returns `[*results, *updated]`.
        written: the places in the state of the updated values.
        donate: whether old values of the state may be overwritten.

    Attributes:
        overwritten: places in the state of the values that a run overwrites.
    """

    def __init__(self, module: fx.GraphModule, written: Sequence[int], donate: bool) -> None:
        self._constants: dict[fx.Node, Any] = {}
        self.overwritten: frozenset[int] = frozenset()
        graph = module.graph
        self._simplify(module)
        count = len(graph.output_node().args[0]) - len(written)
        adam.join(graph, graph.output_node().args[0][count:])
        inputs = [n for n in graph.nodes if n.op == "placeholder"]
        outputs = list(graph.output_node().args[0])
        results, updated = outputs[:count], outputs[count:]
        steps = _batched(
            [n for n in graph.nodes if n.op == "call_function" and n not in self._constants], updated
        )
        held = dict(zip(updated, (inputs[i] for i in written), strict=True))
        in_place = _in_place(steps, held, outputs, donate)
        self.overwritten = frozenset(i for i in written if inputs[i] in in_place.values())
        self._parts = steps, inputs, updated, in_place
        self.run = self._write(results)

    @functools.cached_property
    def quiet(self) -> Callable[..., Any]:
        """`run` without the results, for steps whose numbers nobody sees."""
        return self._write([])

    def _simplify(self, module: fx.GraphModule) -> None:
        """Drop aliases and what is computed twice or for nothing; compute constants now."""
        graph = module.graph
        changed = {_base(n.args[0]) for n in graph.nodes if _mutates(n)}
        seen: dict[Any, fx.Node] = {}
        for node in list(graph.nodes):
            if node.op == "get_attr":
                self._constants[node] = getattr(module, node.target)
            if node.op != "call_function" or _mutates(node) or _is_random(node):
                continue
            if any(_base(n) in changed for n in (node, *node.all_input_nodes)):
                continue
            key = _key(node)
            same = _undone(node) or seen.get(key)
            if same is not None:
                node.replace_all_uses_with(same)
                graph.erase_node(node)
                continue
            if key is not None:
                seen[key] = node
            if all(n in self._constants for n in node.all_input_nodes) or _is_filled(node):
                args, kwargs = fx.node.map_arg(
                    (node.args, node.kwargs),
                    lambda n: self._constants[n] if n in self._constants else _formed(n),
                )
                self._constants[node] = node.target(*args, **kwargs)
        for node in graph.nodes:
            _whole_first(node)
            _to_lerp(graph, node)
            _dims_dropped(node)
        for node in reversed(list(graph.nodes)):
            if node.op in ("call_function", "get_attr") and not node.users and not _mutates(node):
                graph.erase_node(node)
                self._constants.pop(node, None)

    def _write(self, results: list[Any]) -> Callable[..., Any]:
        """The program as one Python function of all inputs, that returns results and updated values."""
        steps, inputs, updated, in_place = self._parts
        steps = _needed(steps, (*results, *updated))
        names: dict[fx.Node, str] = {}
        scope: dict[str, Any] = {}
        bound: dict[Any, str] = {}

        def bind(value: Any) -> str:
            key = id(value)
            if key not in bound:
                bound[key] = f"c{len(bound)}"
                scope[bound[key]] = value
            return bound[key]

        def text(value: Any) -> str:
            if isinstance(value, fx.Node):
                return names[value]
            if isinstance(value, (list, tuple)):
                return "[" + ", ".join(map(text, value)) + "]"
            if (
                value is None
                or type(value) in (bool, int, str)
                or (type(value) is float and math.isfinite(value))
            ):
                return repr(value)
            return bind(value)

        for i, node in enumerate(inputs):
            names[node] = f"p{i}"
        for node, value in self._constants.items():
            if node.op != "placeholder":
                names[node] = bind(value)
        lines = []
        last = _last_uses(steps, (*results, *updated))
        for step in steps:
            for node in step:
                names.setdefault(node, f"v{len(names)}")
            targets = ", ".join(names[n] for n in step)
            lines.append(f"    {targets} = {_call(step, in_place, text, bind)}")
            dead = [names[n] for n in last.get(id(step), ()) if n in names and n not in self._constants]
            if dead:
                lines.append(f"    {' = '.join(dead)} = None")
        # a result must not share memory with what later steps overwrite, nor an update with a constant
        state = {*inputs, *updated, *self._constants}
        out = [f"{text(r)}.clone()" if _base(r) in state else text(r) for r in results]
        taken: set[Any] = set(self._constants)
        for value in updated:
            shared = value not in in_place and (_base(value) in taken or _base(value).op == "placeholder")
            taken.add(_base(value))
            out.append(f"{text(value)}.clone()" if shared else text(value))
        lines.append(f"    return [{', '.join(out)}]")
        header = f"def run({', '.join(names[n] for n in inputs)}):"
        exec(compile("\n".join([header, *lines]), "<captured step>", "exec"), scope)  # our own text only
        self.source = "\n".join([header, *lines])
        return scope["run"]


def _mutates(node: fx.Node) -> bool:
    return node.op == "call_function" and getattr(getattr(node.target, "_schema", None), "is_mutable", False)


def _is_random(node: fx.Node) -> bool:
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())


def _key(node: fx.Node) -> Any:
    """What says that two calls compute the same."""

    def frozen(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return tuple(map(frozen, value))
        return value if isinstance(value, fx.Node) else (type(value), value)

    try:
        key = (node.target, frozen(node.args), tuple((k, frozen(v)) for k, v in sorted(node.kwargs.items())))
        hash(key)
    except TypeError:
        return None
    return key


def _undone(node: fx.Node) -> fx.Node | None:
    """The value that a call gives back unchanged, on its own or together with the call before it."""
    inner = node.args[0] if node.args else None
    if not isinstance(inner, fx.Node):
        return None
    if node.target in ALIASES:
        return inner
    if inner.target is node.target and node.target in (aten.neg.default, aten.t.default):
        return inner.args[0]
    if node.target is aten.permute.default:
        before = inner.args[1] if inner.target is node.target else range(len(node.args[1]))
        if [before[i] for i in node.args[1]] == list(range(len(node.args[1]))):
            return inner.args[0] if inner.target is node.target else inner
    name = _name(node)
    by_one = name in ("mul", "div") and node.args[1:] == (1,) and not node.kwargs
    same = by_one or name in ("view", "_unsafe_view", "expand", "sum")
    return inner if same and _shape(node) == _shape(inner) else None


def _is_filled(node: fx.Node) -> bool:
    """Whether a call makes a small tensor that is always the same."""
    return _name(node) in FILLED and math.prod(_shape(node)[0]) <= MOST_FILLED


def _formed(node: fx.Node) -> torch.Tensor:
    """A tensor of the form of a node's, in hardly any memory."""
    value = node.meta["val"]
    return torch.empty((), dtype=value.dtype, device=value.device).expand(value.shape)


def _needed(steps: list[list[fx.Node]], wanted: Sequence[Any]) -> list[list[fx.Node]]:
    """The steps that lead to some values, and those that act beside them."""
    needed, found = {n for n in wanted if isinstance(n, fx.Node)}, []
    for step in reversed(steps):
        if any(n in needed or _mutates(n) or _is_random(n) for n in step):
            needed.update(a for n in step for a in n.all_input_nodes)
            found.append(step)
    return found[::-1]


def _whole_first(node: fx.Node) -> None:
    """The operand of the result's shape first, where the order doesn't matter: such calls are batched."""
    if (
        node.target in (aten.mul.Tensor, aten.add.Tensor)
        and not node.kwargs
        and isinstance(node.args[1], fx.Node)
    ):
        first, second = node.args
        if _shape(first) != _shape(node) == _shape(second):
            node.args = (second, first)


def _to_lerp(graph: fx.Graph, node: fx.Node) -> None:
    """`mean + (x - mean) * part` is one call."""
    if node.op != "call_function" or node.target is not aten.add.Tensor or node.kwargs or len(node.args) != 2:
        return
    mean, product = node.args
    if (
        not _is_call(product, aten.mul.Tensor)
        or len(product.users) != 1
        or not isinstance(product.args[1], float)
    ):
        return
    difference, part = product.args
    if not _is_call(difference, aten.sub.Tensor) or len(difference.users) != 1 or difference.kwargs:
        return
    x, other = difference.args
    if other is mean and isinstance(x, fx.Node) and part < 0.5 and _shape(x) == _shape(mean) == _shape(node):
        with graph.inserting_before(node):
            call = graph.call_function(aten.lerp.Scalar, (mean, x, part))
        call.meta = node.meta
        node.replace_all_uses_with(call)
        graph.erase_node(node)


def _dims_dropped(node: fx.Node) -> None:
    """A sum that keeps its axes, and a view without them, is a sum that doesn't."""
    inner = node.args[0] if node.args else None
    if (
        node.target is aten.view.default
        and _is_call(inner, aten.sum.dim_IntList)
        and inner.args[2:] == (True,)
    ):
        rest = [n for i, n in enumerate(_shape(inner)[0]) if i not in inner.args[1]]
        if min(inner.args[1]) >= 0 and rest == list(_shape(node)[0]):
            node.target, node.args, node.kwargs = inner.target, inner.args[:2], inner.kwargs


def _is_call(value: Any, target: Any) -> bool:
    return isinstance(value, fx.Node) and value.target is target


def _shape(node: fx.Node) -> Any:
    found = node.meta.get("val")
    return (found.shape, found.dtype) if isinstance(found, torch.Tensor) else object()


def _name(node: fx.Node) -> str:
    return node.target._schema.name.partition("::")[2] if hasattr(node.target, "_schema") else ""


# -- batches of equal calls ----------------------------------------------------------------------------------


def _batched(calls: list[fx.Node], updated: Sequence[Any]) -> list[list[fx.Node]]:
    """All calls in an order in which they can run; equal ones that only feed updates stand together.

    Calls of one height (the longest way to an output) can't depend on one another, so they may be joined.
    """
    finals, height, groups = set(updated), {}, defaultdict(list)
    for node in reversed(calls):
        height[node] = 1 + max((height.get(u, 0) for u in node.users), default=0)
        if all(
            (u in finals and u.op == "call_function") or (u.op == "output" and node in finals)
            for u in node.users
        ):
            finals.add(node)
            kind = _batch_kind(node)
            if kind is not None:
                groups[height[node], kind].append(node)
    steps: dict[fx.Node, list[fx.Node]] = {}
    for members in groups.values():
        if len(members) > 2:
            members.reverse()
            steps.update(dict.fromkeys(members, members))
    order = {n: i for i, n in enumerate(calls)}
    return _sorted([steps.get(n, [n]) for n in calls], order)


def _batch_kind(node: fx.Node) -> Any:
    """What calls must have in common to be done at once."""
    count = BATCHED.get(_name(node))
    if count is None or node.kwargs or not isinstance(node.meta.get("val"), torch.Tensor):
        return None
    scalars = tuple(a for a in node.args if not isinstance(a, fx.Node))
    tensors = [a for a in node.args if isinstance(a, fx.Node)]
    shape = _shape(node)
    if not isinstance(node.args[0], fx.Node) or _shape(tensors[0]) != shape:
        return None  # broadcasting or promoting
    if len(tensors) > count or any(_shape(t)[1] != shape[1] for t in tensors):
        return None
    return _name(node), len(tensors), scalars, shape[1]


def _sorted(steps: list[list[fx.Node]], order: dict[fx.Node, int]) -> list[list[fx.Node]]:
    """Steps by their places in the capture, each after what it needs."""
    unique = list({id(s): s for s in steps}.values())
    of = {n: s for s in unique for n in s}
    needs = {
        id(s): {id(of[a]) for n in s for a in n.all_input_nodes if a in of and of[a] is not s} for s in unique
    }
    waiting = defaultdict(list)
    for s in unique:
        for need in needs[id(s)]:
            waiting[need].append(s)
    ready = [(max(order[n] for n in s), i, s) for i, s in enumerate(unique) if not needs[id(s)]]
    number = {id(s): i for i, s in enumerate(unique)}
    heapq.heapify(ready)
    found = []
    while ready:
        _, _, step = heapq.heappop(ready)
        found.append(step)
        for other in waiting[id(step)]:
            needs[id(other)].discard(id(step))
            if not needs[id(other)]:
                heapq.heappush(ready, (max(order[n] for n in other), number[id(other)], other))
    return found


# -- updates in place ----------------------------------------------------------------------------------------


IN_PLACE = {
    "add", "sub", "mul", "div", "lerp", "pow", "sqrt", "neg", "exp", "reciprocal", "relu", "sigmoid", "tanh",
}  # fmt: skip


def _in_place(
    steps: list[list[fx.Node]], held: dict[fx.Node, fx.Node], kept: Sequence[Any], donate: bool
) -> dict[fx.Node, fx.Node]:
    """Calls that may overwrite their first operand: it has the result's form and nobody uses it later.

    An operand that is state may be overwritten by its own new value only.
    """
    when = {n: i for i, step in enumerate(steps) for n in step}
    used = {_base(operand): i for i, step in enumerate(steps) for n in step for operand in n.all_input_nodes}
    used |= {_base(n): len(steps) for n in kept if isinstance(n, fx.Node)}
    last = {old: new for new, old in held.items()} if donate else {}
    found = {}
    for step in steps:
        if step[0].target is adam.step:
            operands = [n for column in step[0].args[:3] for n in column]
            for new in step[0].users:
                old = operands[new.args[1]]
                if last.get(old) is new and used[old] == when[step[0]] and operands.count(old) == 1:
                    found[new] = old
        chosen = {}
        for new in step:
            old = new.args[0] if new.args else None
            if (
                _name(new) not in IN_PLACE
                or new.kwargs
                or not isinstance(old, fx.Node)
                or _shape(old) != _shape(new)
            ):
                break
            whose = last.get(old) is new if old.op == "placeholder" else old in when
            alone = sum(_base(a) is old for n in step for a in n.all_input_nodes) == 1
            if not whose or not alone or _base(old) is not old or used[old] != when[new]:
                break
            chosen[new] = old
        else:
            found |= chosen
    return found


def _base(value: Any) -> Any:
    """The node whose memory a node may share."""
    while isinstance(value, fx.Node) and value.op == "call_function":
        if _name(value) in VIEWS or (
            value.target is operator.getitem and value.args[0].target is not adam.step
        ):
            value = value.args[0]
        else:
            break
    return value


# -- text ----------------------------------------------------------------------------------------------------


def _call(
    step: list[fx.Node], in_place: dict[fx.Node, fx.Node], text: Callable[..., str], bind: Callable[..., str]
) -> str:
    """One call, or one for a batch."""
    node = step[0]
    if node.target is operator.getitem:
        return f"{text(node.args[0])}[{text(node.args[1])}]"
    if node.target is adam.step:
        over = set(map(in_place.get, node.users))
        state = [[text(n) if n in over else f"{text(n)}.clone()" for n in column] for column in node.args[:3]]
        columns = [f"[{', '.join(column)}]" for column in state]
        return f"{bind(adam.step)}({', '.join([*columns, *map(text, node.args[3:])])})"
    over = "_" if node in in_place else ""
    if len(step) > 1:
        name = _name(node)
        operands = [
            text([n.args[i] for n in step]) if isinstance(a, fx.Node) else text(a)
            for i, a in enumerate(node.args)
        ]
        call = f"{bind(getattr(torch, f'_foreach_{name}{over}'))}({', '.join(operands)})"
        return f"({call}, {operands[0]})[1]" if over else call
    if over:
        return f"{bind(getattr(torch.Tensor, _name(node) + '_'))}({', '.join(map(text, node.args))})"
    arguments = [*map(text, node.args), *(f"{k}={text(v)}" for k, v in node.kwargs.items())]
    return f"{bind(_function(node))}({', '.join(arguments)})"


def _function(node: fx.Node) -> Callable[..., Any]:
    """The cheapest callable for a node."""
    target = node.target
    if isinstance(target, torch._ops.OpOverload):
        name = _name(node)
        if target.namespace == "aten" and name in DIRECT:
            return getattr(torch, name)
        if target.namespace == "aten" and name in METHODS:
            return getattr(torch.Tensor, METHODS[name])
        if name == "_to_copy" and [*node.kwargs] == ["dtype"] and _shape(node)[1] != _shape(node.args[0])[1]:
            return torch.Tensor.to
        return target._op
    return target


def _last_uses(steps: list[list[fx.Node]], kept: Sequence[Any]) -> dict[int, list[fx.Node]]:
    """The values that are used for the last time in each step."""
    seen = {n for n in kept if isinstance(n, fx.Node)}
    found: dict[int, list[fx.Node]] = {}
    for step in reversed(steps):
        operands = {a for n in step for a in n.all_input_nodes} | set(step)
        found[id(step)] = [a for a in operands if a not in seen and a.op == "call_function"]
        seen |= operands
    return found
