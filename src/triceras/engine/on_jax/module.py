"""Functions of JAX programs inside layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from triceras.core.errors import ArgumentError
from triceras.engine.contract import Guest
from triceras.engine.faces import free


class HostedFunction(Guest):
    """A pure function of parameters and state, which are trees of arrays.

    Args:
        call: returns outputs, and the new state if there is a state.
        first: makes the first parameters, trained where they are floats, and the first state; None for what
            the function hasn't.
    """

    shares = False

    def __init__(self, call: Callable[..., Any], first: Callable[[], tuple[Any, Any]]) -> None:
        with jax.ensure_compile_time_eval():  # values, also while JAX traces
            params, state = first()
        self.call, self._trees, self.state = call, {}, {}
        for what, tree in (("params", params), ("state", state)):
            if tree is not None:
                leaves, structure = jax.tree_util.tree_flatten_with_path(tree)
                names = []
                for path, x in leaves:
                    x = jnp.asarray(x)
                    names.append(free(_name(path, what), self.state))
                    self.state[names[-1]] = x, what == "params" and jnp.issubdtype(x.dtype, jnp.inexact)
                self._trees[what] = names, structure

    def trees(self, variables: dict[str, Any]) -> dict[str, Any]:
        """Parameters and state as the function knows them, with variables for arrays."""
        return {
            what: structure.unflatten([variables[n] for n in names])
            for what, (names, structure) in self._trees.items()
        }

    def run(self, variables: dict[str, Any], **given: Any) -> Any:
        values = {name: v.value for name, v in variables.items()}
        result = self.call(**self.trees(values), **given)
        if "state" not in self._trees:
            return result
        result, state = result
        names, structure = self._trees["state"]
        leaves, found = jax.tree.flatten(state)
        if found != structure:
            raise ArgumentError(
                f"`call_fn` must return its state in the form {structure}. It returned {found}."
            )
        for name, value in zip(names, leaves, strict=True):
            variables[name].assign(value)
        return result


def _name(path: Any, first: str) -> str:
    parts = (str(getattr(p, "key", getattr(p, "idx", getattr(p, "name", p)))) for p in path)
    return "_".join((first, *parts)).replace("/", "_")
