"""Adam's updates in a captured graph, which torch does for all variables in one pass over memory."""

from __future__ import annotations

import functools
import math
import operator
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx

aten = torch.ops.aten
Found = tuple[fx.Node, ...]


def step(
    weights: list[Tensor],
    means: list[Tensor],
    squares: list[Tensor],
    gradients: list[Tensor],
    rate: Tensor | float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> list[Tensor]:
    """New weights, means and squares, in the memory of the old.

    The rate has the corrections of the first steps in it.
    """
    state = [*weights, *means, *squares]
    gradients = [g if g.is_contiguous() else g.contiguous() for g in gradients]
    dense = state if all(map(Tensor.is_contiguous, state)) else [x.contiguous() for x in state]
    n = len(weights)
    torch._fused_adam_(
        dense[:n], gradients, dense[n : 2 * n], dense[2 * n :], [], [_late(dense[0].device)] * n,
        lr=rate, beta1=beta_1, beta2=beta_2, weight_decay=0.0, eps=epsilon, amsgrad=False, maximize=False,
    )  # fmt: skip
    for old, new in zip(state, dense, strict=True):
        if old is not new:
            old.copy_(new)
    return state


@functools.cache
def _late(device: torch.device) -> Tensor:
    """The number of a step so late that torch's own corrections do nothing; they put epsilon elsewhere."""
    return torch.full((), math.inf, device=device)


# what is computed with Python's numbers on the host, where each of these few calls takes a tenth of the time
_ON_NUMBERS = {
    aten.add.Tensor: "{} + {}",
    aten.sub.Tensor: "{} - {}",
    aten.mul.Tensor: "{} * {}",
    aten.div.Tensor: "{} / {}",
    aten.rsub.Scalar: "{1} - {0}",
    aten.pow.Scalar: "{} ** {}",
    aten.pow.Tensor_Scalar: "{} ** {}",
    aten.sqrt.default: "sqrt({})",
    aten._to_copy.default: "{}",
}
_KINDS = {torch.float32: "float", torch.int32: "int"}


def _as_number(node: fx.Node) -> tuple[Callable[..., float], tuple[fx.Node, ...]] | None:
    """A function that gives a scalar of the graph as a Python number, and what it takes; None without one."""
    names: dict[fx.Node, str] = {}
    leaves: list[fx.Node] = []
    lines: list[str] = []

    def visit(node: fx.Node) -> str:
        if node not in names:
            value, text = node.meta["val"], _ON_NUMBERS.get(node.target)
            if value.ndim or value.device.type != "cpu" or value.dtype not in _KINDS:
                raise ValueError
            if text is None or (node.kwargs and node.target is not aten._to_copy.default):
                leaves.append(node)
                text = f"x{len(leaves)}.item()"
            else:
                text = text.format(*[visit(a) if isinstance(a, fx.Node) else repr(a) for a in node.args])
            names[node] = f"v{len(names)}"
            lines.append(f"        {names[node]} = {_KINDS[value.dtype]}({text})")
        return names[node]

    try:
        last = visit(node)
    except ValueError:
        return None
    given = ", ".join(f"x{i + 1}" for i in range(len(leaves)))
    body = "\n".join(lines)
    scope = {"sqrt": math.sqrt, "nan": math.nan, "inf": math.inf}
    exec(  # our own text only
        f"def rate({given}):\n    try:\n{body}\n        return {last}\n"
        "    except (ArithmeticError, TypeError, ValueError):\n        return nan",
        scope,
    )
    return scope["rate"], tuple(leaves)


def join(graph: fx.Graph, updated: Sequence[Any]) -> None:
    """Replace the calls of Adam's rule, as `optimizers.Adam` writes it, by one for all variables."""
    groups: dict[Any, list[tuple[Found, Found]]] = defaultdict(list)
    known = set(updated)
    for node in dict.fromkeys(updated):
        found = _rule(node, known)
        if found is not None:
            new, old, settings = found
            groups[settings].append((new, old))
    for (rate, part_1, part_2, epsilon), members in groups.items():
        news, olds = zip(*members, strict=True)
        operands = [list(column) for column in zip(*olds, strict=True)]
        with graph.inserting_before(graph.output_node()):
            number = _as_number(rate)
            if number is not None:
                rate = graph.call_function(*number)
            call = graph.call_function(step, (*operands, rate, 1 - part_1, 1 - part_2, epsilon))
            for i, node in enumerate(n for column in zip(*news, strict=True) for n in column):
                one = graph.call_function(operator.getitem, (call, i))
                one.meta = node.meta
                node.replace_all_uses_with(one, lambda user: user.op == "output")
    for node in reversed(list(graph.nodes)) if groups else ():
        if node.op == "call_function" and not node.users:
            graph.erase_node(node)


def _rule(node: fx.Node, updated: set[Any]) -> tuple[Found, Found, Any] | None:
    """New values, old values and the gradient, and settings, if a node is the weight of an update by Adam."""
    try:
        weight, change = _operands(node, aten.sub.Tensor)
        above, below = _operands(change, aten.div.Tensor)
        mean, rate = _operands(above, aten.mul.Tensor)
        root, epsilon = _operands(below, aten.add.Tensor)
        (square,) = _operands(root, aten.sqrt.default)
        old_mean, gradient, part_1 = _operands(mean, aten.lerp.Scalar)
        old_square, power, part_2 = _operands(square, aten.lerp.Scalar)
        same, exponent = _operands(power, aten.pow.Tensor_Scalar)
    except ValueError:
        return None
    inside = {change, above, below, root, mean, square, power}
    new, old = (node, mean, square), (weight, old_mean, old_square, gradient)
    rule = {*inside, node}
    alone = all(u in rule or (u.op == "output" and n in new) for n in rule for u in n.users)
    forms = {(n.meta["val"].shape, n.meta["val"].dtype) for n in (*new, *old)}
    scalar = (
        isinstance(rate, fx.Node) and rate.meta["val"].ndim == 0 and rate.meta["val"].dtype == torch.float32
    )
    known = alone and updated.issuperset(new) and same is gradient and exponent == 2 and len(forms) == 1
    if not known or not scalar or node.meta["val"].dtype != torch.float32 or not isinstance(epsilon, float):
        return None
    return new, old, (rate, part_1, part_2, epsilon)


def _operands(node: Any, target: Any) -> tuple[Any, ...]:
    """The operands of a call of a certain operator; raises ValueError for anything else."""
    if not isinstance(node, fx.Node) or node.target is not target or node.kwargs:
        raise ValueError
    return node.args
