"""Control flow over flat lists of tensors. Variables that a function assigns are carried along as state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from triceras.core.errors import EngineError
from triceras.engine.contract import StateScope, state

Lists = list[jax.Array]
Function = Callable[..., Any]


class _NewState(Exception):  # noqa: N818 - a signal, not an error
    """A function assigned a variable that isn't carried yet."""


def _with_state(run: Callable[[Callable[[Function], Function], Lists], tuple[Any, Lists]]) -> Any:
    """Run a transformation whose functions may assign variables.

    Args:
        run: `run(wrap, values)` makes `wrap(fn)(values, *args)` return `(result, new values)`, and returns
            the transformation's result and the variables' last values. It is run again when another variable
            turns up.
    """
    carried: dict[int, Any] = {}
    base = state.get() or StateScope((), ())

    def wrap(fn: Function) -> Function:
        def pure(values: Lists, *args: Any) -> tuple[Any, Lists]:
            scope = StateScope(list(carried.values()), values, base)
            with state(scope):
                result = fn(*args)
            if not scope.written.keys() <= carried.keys():
                carried.update(scope.written)
                raise _NewState
            return result, [scope.read(v) for v in carried.values()]

        return pure

    while True:
        try:
            result, values = run(wrap, [v.raw for v in carried.values()])
        except _NewState:
            continue
        for variable, value in zip(carried.values(), values, strict=True):
            variable.raw = value
        return result


def switch(index: jax.Array, tensors: Lists, operands: Lists, branches: Sequence[Function]) -> Lists:
    if not isinstance(index, jax.core.Tracer):
        return branches[min(max(int(index), 0), len(branches) - 1)](tensors, operands)
    return _with_state(
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

    return _with_state(run)


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

    return _with_state(run)


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
