"""Control flow over flat lists of tensors. Variables that a function assigns are carried along as state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from triceras.core.errors import EngineError
from triceras.engine.carried import Function, Lists, carried
from triceras.engine.contract import StateScope, state


def switch(index: jax.Array, tensors: Lists, operands: Lists, branches: Sequence[Function]) -> Lists:
    if not isinstance(index, jax.core.Tracer):
        return branches[min(max(int(index), 0), len(branches) - 1)](tensors, operands)
    return carried(
        lambda wrap, values: lax.switch(index, [wrap(b) for b in branches], values, tensors, operands)
    )


def while_loop(tensors: Lists, operands: Lists, cond: Function, body: Function) -> Lists:
    def run(wrap: Callable[[Function], Function], values: Lists) -> tuple[Lists, Lists]:
        def proceeds(carry: Any) -> jax.Array:
            return wrap(cond)(*carry, operands)[0][0]

        def following(carry: Any) -> Any:
            result, values = wrap(body)(*carry, operands)
            return values, result

        values, result = lax.while_loop(proceeds, following, (values, tensors))
        return result, values

    return carried(run)


def scan(
    carry: Lists,
    xs: Lists,
    operands: Lists,
    step: Function,
    length: int | None,
    reverse: bool,
    unroll: int | bool,
) -> tuple[Lists, Lists]:
    def run(wrap: Callable[[Function], Function], values: Lists) -> tuple[tuple[Lists, Lists], Lists]:
        def following(state_and_carry: Any, x: Lists) -> Any:
            values, carry = state_and_carry
            result, values = wrap(step)(values, [*carry, *x], operands)
            return (values, result[: len(carry)]), result[len(carry) :]

        (values, last), stacked = lax.scan(following, (values, carry), xs, length, reverse, unroll)
        return (last, stacked), values

    return carried(run)


def vectorized_map(elements: Lists, operands: Lists, fn: Function) -> Lists:
    def alone(tensors: Lists) -> Lists:
        scope = StateScope((), (), state.get() or StateScope((), ()))
        with state(scope):
            result = fn(tensors, operands)
        if scope.written:
            raise EngineError("A function in vectorized_map() can't assign variables: use ops.map() instead.")
        return result

    return jax.vmap(alone)(elements)


def custom_gradient(tensors: Lists, fn: Function) -> Lists:
    @jax.custom_gradient
    def run(*tensors: jax.Array) -> Any:
        outputs, gradients = fn(tensors)

        def backward(upstream: Sequence[jax.Array]) -> Any:
            return tuple(_cotangent(x, g) for x, g in zip(tensors, gradients(upstream), strict=True))

        return tuple(outputs), backward

    return list(run(*tensors))


def _cotangent(x: jax.Array, gradient: Any) -> Any:
    """A gradient in the form that JAX wants for an argument."""
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        return np.zeros(x.shape, jax.dtypes.float0)
    return jnp.zeros_like(x) if gradient is None else jnp.broadcast_to(gradient, x.shape).astype(x.dtype)


def jvp(primals: Lists, tangents: Lists, operands: Lists, fn: Function) -> tuple[Lists, Lists]:
    values, derivatives = jax.jvp(
        lambda *tensors: fn(list(tensors), operands), tuple(primals), tuple(tangents)
    )
    return values, [jnp.zeros(d.shape) if d.dtype == jax.dtypes.float0 else d for d in derivatives]


NATIVES: dict[str, Callable[..., Any]] = {
    "_switch": switch,
    "_while": while_loop,
    "_scan": scan,
    "_vectorized_map": vectorized_map,
    "_custom_gradient": custom_gradient,
    "_jvp": jvp,
}
