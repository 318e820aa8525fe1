"""State in control flow: variables that a function assigns inside a loop or a branch are carried along."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from triceras.engine.contract import StateScope, state

Lists = list[Any]
Function = Callable[..., Any]


class _NewState(Exception):  # noqa: N818 - a signal, not an error
    """A function assigned a variable that isn't carried yet."""


def carried(run: Callable[[Callable[[Function], Function], Lists], tuple[Any, Lists]]) -> Any:
    """Run a transformation whose functions may assign variables, which are threaded through it as tensors.

    Args:
        run: `run(wrap, values)` makes `wrap(fn)(values, *args)` return `(result, new values)`, and returns
            the transformation's result and the variables' last values. It is run again when another variable
            turns up.
    """
    found: dict[int, Any] = {}
    base = state.get() or StateScope((), ())

    def wrap(fn: Function) -> Function:
        def pure(values: Lists, *args: Any) -> tuple[Any, Lists]:
            scope = StateScope(list(found.values()), values, base)
            with state(scope):
                result = fn(*args)
            if not scope.written.keys() <= found.keys():
                found.update(scope.written)
                raise _NewState
            return result, [scope.read(v) for v in found.values()]

        return pure

    while True:
        try:
            result, values = run(wrap, [v.raw for v in found.values()])
        except _NewState:
            continue
        for variable, value in zip(found.values(), values, strict=True):
            variable.raw = value
        return result
