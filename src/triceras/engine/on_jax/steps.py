"""Compiled steps: a function that reads and assigns variables becomes a pure one over their values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from triceras.engine.contract import StateScope, state


class Compiled:
    """A jitted pure function over the values of variables, which live on outside as if updated in place.

    Args:
        fn: plain Python that reads and assigns variables.
        variables: its state; what it uses besides is noticed and added, at the price of a second trace.
        donate: whether XLA may overwrite old values. Values that somebody outside may hold are copied first.
    """

    def __init__(self, fn: Callable[..., Any], variables: Sequence[Any], donate: bool) -> None:
        self.fn, self.variables, self.donate = fn, list(variables), donate
        self.traces = 0
        self._jit()

    def _jit(self) -> None:
        self._signatures: set[Any] = set()
        self._unlisted: dict[int, Any] = {}
        self._written: list[int] = []
        self._call = jax.jit(self._pure, donate_argnums=0 if self.donate else ())

    def _prepare(self, args: Sequence[Any]) -> None:
        """Before the first call with arguments of this form: trace, and make all that was used a part of the state."""
        leaves, structure = jax.tree.flatten(args)
        signature = (
            structure,
            *((getattr(x, "shape", ()), str(getattr(x, "dtype", type(x)))) for x in leaves),
        )
        while signature not in self._signatures:
            self._call.trace([v.held for v in self.variables], *args)
            if self._unlisted:
                self.variables += self._unlisted.values()
                self._jit()
            else:
                self._signatures.add(signature)

    def _traced(self, values: list[Any], args: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The function's result and all variables' values after it."""
        self.traces += 1
        scope = StateScope(self.variables, values)
        with state(scope):
            result = self.fn(*args)
        self._unlisted |= scope.unlisted
        self._written = [i for i, v in enumerate(self.variables) if id(v) in scope.written]
        return result, [scope.read(v) for v in self.variables]

    def _pure(self, values: list[Any], *args: Any) -> tuple[Any, list[Any]]:
        raise NotImplementedError

    def __call__(self, *args: Any) -> Any:
        self._prepare(args)
        values = [v.held for v in self.variables]
        if self.donate:
            values = [_copy(x) if v.exposed else x for v, x in zip(self.variables, values, strict=True)]
        result, updated = self._call(values, *args)
        for i, variable in (
            enumerate(self.variables) if self.donate else ((i, self.variables[i]) for i in self._written)
        ):
            variable.held = updated[i]
            variable.exposed = False
        return result


class CompiledStep(Compiled):
    """One call of the function."""

    def _pure(self, values: list[Any], *args: Any) -> tuple[Any, list[Any]]:
        return self._traced(values, args)


class CompiledLoop(Compiled):
    """Many calls in one dispatch: `loop(data, index, n)` runs on the batches `data[index[0]] ... data[index[n - 1]]`.

    One program serves every n up to the rows of `index`, so that it is compiled once.

    Returns:
        What the last call returned.
    """

    def _pure(self, values: list[Any], data: Any, index: Any, n: Any) -> tuple[Any, list[Any]]:
        def step(values: list[Any], data: Any, row: Any) -> tuple[list[Any], Any]:
            batch = jax.tree.map(lambda a: jnp.take(a, row, axis=0, mode="clip"), data)
            result, updated = self._traced(values, batch)
            return updated, jax.tree.map(_strong, result)

        jaxpr, shapes = jax.make_jaxpr(step, return_shape=True)(values, data, index[0])
        tree = jax.tree.structure(shapes)

        def body(i: Any, carry: tuple[list[Any], Any]) -> tuple[list[Any], Any]:
            flat = jax.core.eval_jaxpr(
                jaxpr.jaxpr, jaxpr.consts, *jax.tree.leaves((carry[0], data, index[i]))
            )
            return jax.tree.unflatten(tree, flat)

        nothing = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes[1])
        values, result = lax.fori_loop(0, n, body, (values, nothing))
        return result, values


def _copy(x: Any) -> Any:
    return jax.device_put(x, may_alias=False)  # unlike jnp.copy, this compiles nothing


def _strong(x: Any) -> Any:
    """Without JAX's weak type, which a loop's carry can't change."""
    x = jnp.asarray(x)
    return lax.convert_element_type(x, x.dtype)
