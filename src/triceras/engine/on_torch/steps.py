"""Compiled steps: captured once for each signature as a graph of forward, backward and updates."""

from __future__ import annotations

import itertools
import linecache
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch._dynamo.config  # fake tensors would import it in the middle of the first step
from torch.fx.experimental.proxy_tensor import make_fx

from triceras.core import tree
from triceras.engine.captured import CapturedStep
from triceras.engine.contract import StateScope, StepLoop, state
from triceras.engine.journal import Journal
from triceras.engine.on_torch.arrays import from_numpy
from triceras.engine.on_torch.graph import Program


class CompiledStep(CapturedStep):
    """A step as a graph. State that isn't listed is noticed and added, at the price of a second capture."""

    price = 0.017  # on slow cores; forward, backward and the update of a weight are some forty calls

    @staticmethod
    def upload(array: np.ndarray) -> torch.Tensor:
        if not array.flags.writeable or any(s < 0 for s in array.strides):
            array = array.copy()
        return from_numpy(array, None, data=True)

    def plain(self, *args: Any) -> Any:
        with torch.set_grad_enabled(self.donate):  # a step that doesn't train needs no gradients
            return self.fn(*args)

    def capture(self, leaves: list[Any], structure: Any) -> tuple[Capture, str]:
        cause, scope = "", StateScope
        while True:
            known = len(self.variables)
            try:
                capture = Capture(self, leaves, structure, scope)
            except RuntimeError as error:
                if scope is GradScope or "does not require grad" not in str(error):
                    raise
                scope = GradScope
                continue
            if len(self.variables) == known:
                return capture, cause
            cause = f"state not listed: {', '.join(v.path for v in self.variables[known:])}"


class GradScope(StateScope):
    """For steps that call `backward()` themselves: parameters gather gradients, also after an assignment."""

    def __init__(self, variables: Sequence[Any], values: Sequence[torch.Tensor]) -> None:
        super().__init__(variables, values)
        self._before: dict[int, torch.Tensor] = {}
        for variable, value in zip(variables, values, strict=True):
            if _gathers(variable):
                leaf = self._values[id(variable)] = value.detach().requires_grad_()
                leaf.grad = self._before[id(variable)] = torch.zeros_like(leaf)

    def write(self, variable: Any, value: torch.Tensor) -> None:
        if _gathers(variable):
            gathered, value = self.read(variable).grad, value.detach().requires_grad_()
            value.grad = gathered
        super().write(variable, value)

    def check(self, variables: Sequence[Any]) -> None:
        """Raise if gradients would have to live on after the step."""
        for variable in filter(_gathers, variables):
            grad, before = self.read(variable).grad, self._before[id(variable)]
            if grad is not None and (before._version if grad is before else id(variable) not in self.written):
                raise RuntimeError(
                    f"the gradient of {variable.path!r} comes from another step or stays for one; begin with the "
                    "model's zero_grad(), and end with apply() of one of our optimizers"
                )


def _gathers(variable: Any) -> bool:
    return isinstance(variable.held, torch.nn.Parameter) and variable.held.requires_grad


class Capture:
    """A step for one signature, captured with a scope of some kind."""

    def __init__(
        self, step: CompiledStep, leaves: list[Any], structure: Any, scope_kind: type[StateScope] = StateScope
    ) -> None:
        self._variables = variables = list(step.variables)
        places = [i for i, x in enumerate(leaves) if isinstance(x, torch.Tensor)]
        out: dict[str, Any] = {}

        def pure(values: list[torch.Tensor], tensors: list[torch.Tensor]) -> list[torch.Tensor]:
            filled = list(leaves)
            for i, tensor in zip(places, tensors, strict=True):
                filled[i] = tensor
            scope = scope_kind(variables, values)
            with state(scope), torch.set_grad_enabled(scope_kind is GradScope):
                result = step.fn(*tree.join(structure, filled))
            if isinstance(scope, GradScope):
                scope.check(variables)
            out["unlisted"] = list(scope.unlisted.values())
            out["written"] = [i for i, v in enumerate(variables) if id(v) in scope.written]
            out["leaves"], out["structure"] = tree.split(result)
            returned = [x for x in out["leaves"] if isinstance(x, torch.Tensor)]
            return [x.detach() for x in (*returned, *(scope.read(variables[i]) for i in out["written"]))]

        values, tensors = self._values(frozenset()), [leaves[i].detach() for i in places]
        with torch.no_grad(), _no_texts_kept():
            module = make_fx(pure, tracing_mode="fake", _allow_non_fake_inputs=True)(values, tensors)
        if out["unlisted"]:
            step.variables += out["unlisted"]
            return
        self._places, self._written, self._structure = places, out["written"], out["structure"]
        self._leaves = [None if isinstance(x, torch.Tensor) else x for x in out["leaves"]]
        self._returned = [i for i, x in enumerate(out["leaves"]) if isinstance(x, torch.Tensor)]
        with torch.no_grad():
            self._program = Program(module, self._written, step.donate)

    def _values(self, overwritten: frozenset[int]) -> list[torch.Tensor]:
        """The state's tensors; what will be overwritten and may be held outside is copied."""
        values = []
        for i, variable in enumerate(self._variables):
            held = variable.held
            if isinstance(held, torch.nn.Parameter):
                held = held.detach()
            elif i in overwritten and variable.exposed:
                held = held.clone()
            values.append(held)
        return values

    def __call__(self, leaves: list[Any]) -> Any:
        return self.through([leaves])

    def through(self, batches: Iterable[list[Any]]) -> Any:
        """What the last of some steps returns; between them the state goes from hand to hand."""
        program, places, written = self._program, self._places, self._written
        values, count = self._values(program.overwritten), len(self._returned)
        found: list[Any] = []
        batches = iter(batches)
        leaves = next(batches)
        try:
            with torch.no_grad():
                while leaves is not None:
                    following = next(batches, None)
                    seen = following is None
                    out = (program.run if seen else program.quiet)(*values, *(leaves[i] for i in places))
                    for i, value in zip(written, out[count:] if seen else out, strict=True):
                        values[i] = value
                    found, leaves = out, following
        finally:
            self._keep(values)
        result = list(self._leaves)
        for i, value in zip(self._returned, found, strict=False):
            result[i] = value
        return tree.join(self._structure, result)

    def _keep(self, values: list[torch.Tensor]) -> None:
        """Give the variables their new values."""
        for i in self._written:
            variable = self._variables[i]
            if not isinstance(variable.held, torch.nn.Parameter):
                variable.held, variable.exposed = values[i], False
            elif i not in self._program.overwritten:
                variable.held.data = values[i]


class CompiledLoop(StepLoop):
    """Many steps over data in memory: batches are picked by one call each."""

    def load(self, arrays: Any) -> Any:
        return tree.map_structure(lambda a: self._step.upload(a) if isinstance(a, np.ndarray) else a, arrays)

    def __call__(self, data: Any, index: np.ndarray, n: int) -> Any:
        columns, structure = tree.split(data)
        batches = (
            [a if a is None else torch.index_select(a, 0, rows) for a in columns]
            for rows in from_numpy(index[:n], None).unbind()
        )
        first = next(batches)
        return self._step.found(first, structure).through(itertools.chain([first], batches))

    @property
    def journal(self) -> Journal:
        return self._step.journal


@contextmanager
def _no_texts_kept() -> Iterator[None]:
    """Forget the texts of graphs made here, which torch keeps forever for tracebacks; we run our own."""
    texts = torch.fx.graph_module._loader.eval_cache
    known = set(texts)
    try:
        yield
    finally:
        for name in texts.keys() - known:
            texts.pop(name, None)
            linecache.cache.pop(name, None)
