"""Control flow: loops and branches are plain Python, which autograd sees through; the rest is `torch.func`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from triceras.core.errors import EngineError
from triceras.engine.contract import StateScope, state

Lists = list[Tensor]
Function = Callable[..., Any]


def switch(index: Tensor, tensors: Lists, operands: Lists, branches: Sequence[Function]) -> Lists:
    try:
        place = int(index)
    except DataDependentOutputException:  # only shapes are asked for, which all branches have in common
        place = 0
    except GuardOnDataDependentSymNode:  # a graph is captured: it computes all branches
        results = [_without_effects(branch, tensors, operands) for branch in branches]
        if None in results:
            raise
        place = index.clamp(0, len(branches) - 1)
        return [_taken(place, values) for values in zip(*results, strict=True)]
    return branches[min(max(place, 0), len(branches) - 1)](tensors, operands)


def _without_effects(branch: Function, tensors: Lists, operands: Lists) -> Lists | None:
    """What a branch returns, or None if it assigns variables."""
    scope = StateScope((), (), state.get() or StateScope((), ()))
    with state(scope):
        result = branch(tensors, operands)
    return None if scope.written else result


def _taken(place: Tensor, values: Sequence[Any]) -> Tensor:
    first, *others = (x if isinstance(x, Tensor) else torch.as_tensor(np.asarray(x)) for x in values)
    for i, value in enumerate(others, 1):
        first = torch.where(place == i, value, first)
    return first


def while_loop(tensors: Lists, operands: Lists, cond: Function, body: Function) -> Lists:
    try:
        while bool(cond(tensors, operands)[0]):
            tensors = body(tensors, operands)
    except DataDependentOutputException:  # only shapes are asked for, which stay the same
        tensors = body(tensors, operands)
    return tensors


def scan(
    carry: Lists,
    xs: Lists,
    operands: Lists,
    step: Function,
    length: int | None,
    reverse: bool,
    unroll: int | bool,
) -> tuple[Lists, Lists]:
    """Slices are made at once, so that their gradients are put together at once."""
    size, count = xs[0].shape[0] if xs else length, len(carry)
    if not size:
        return _scan_nothing(carry, xs, operands, step)
    inputs = list(zip(*(x.unbind() for x in xs), strict=True)) if xs else [()] * size
    rows = []
    for slices in reversed(inputs) if reverse else inputs:
        found = [
            x if isinstance(x, Tensor) else torch.as_tensor(np.asarray(x))
            for x in step([*carry, *slices], operands)
        ]
        carry = found[:count]
        rows.append(found[count:])
    columns = zip(*(reversed(rows) if reverse else rows), strict=True)
    return list(carry), [torch.stack(column) for column in columns]


def _scan_nothing(carry: Lists, xs: Lists, operands: Lists, step: Function) -> tuple[Lists, Lists]:
    """The carry as it is, and empty results of the shapes that a step on zeros has; the step leaves no trace."""
    with torch.no_grad(), state(StateScope((), (), state.get() or StateScope((), ()))):
        found = step([*carry, *(x.new_zeros(x.shape[1:]) for x in xs)], operands)
    return list(carry), [x.new_empty((0, *x.shape)) for x in found[len(carry) :]]


def vectorized_map(elements: Lists, operands: Lists, fn: Function) -> Lists:
    def alone(*tensors: Tensor) -> Lists:
        scope = StateScope((), (), state.get() or StateScope((), ()))
        with state(scope):
            result = fn(list(tensors), operands)
        if scope.written:
            raise EngineError("A function in vectorized_map() can't assign variables: use ops.map() instead.")
        return result

    return torch.func.vmap(alone)(*elements)


class _WithGradient(torch.autograd.Function):
    """A function that makes its own gradients, of its results' gradients."""

    @staticmethod
    def forward(ctx: Any, fn: Function, *tensors: Tensor) -> tuple[Tensor, ...]:
        with torch.enable_grad():  # the gradient function may hold tensors of the forward pass
            outputs, ctx.gradients = fn(tensors)
        ctx.shapes = [(x.shape, x.dtype) for x in tensors]
        return tuple(x.detach() for x in outputs)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Any, ...]:
        found = []
        for gradient, (shape, dtype) in zip(ctx.gradients(upstream), ctx.shapes, strict=True):
            if gradient is not None:
                gradient = gradient.to(dtype).broadcast_to(shape)
            found.append(gradient)
        return None, *found


def custom_gradient(tensors: Lists, fn: Function) -> Lists:
    return list(_WithGradient.apply(fn, *tensors))


def jvp(primals: Lists, tangents: Lists, operands: Lists, fn: Function) -> tuple[Lists, Lists]:
    with warnings.catch_warnings():  # torch warns of what it does itself at its first use
        warnings.simplefilter("ignore", DeprecationWarning)
        import torch._decomp.decompositions_for_jvp
    values, derivatives = torch.func.jvp(
        lambda *tensors: tuple(fn(list(tensors), operands)), tuple(primals), tuple(tangents)
    )
    return list(values), list(derivatives)


NATIVES: dict[str, Callable[..., Any]] = {
    "_custom_gradient": custom_gradient,
    "_jvp": jvp,
    "_scan": scan,
    "_switch": switch,
    "_while": while_loop,
    "_vectorized_map": vectorized_map,
}
