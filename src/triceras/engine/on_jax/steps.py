"""Compiled steps: a function that reads and assigns variables becomes a pure one over their values."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from triceras.engine.contract import StateScope, StepLoop, state
from triceras.engine.journal import Journal, described, noting
from triceras.engine.on_jax.arrays import canonical
from triceras.engine.on_jax.kernels import THREADED, on_cpu, threaded


class Compiled:
    """A jitted pure function over the values of variables, which live on outside as if updated in place.

    Args:
        fn: plain Python that reads and assigns variables.
        variables: its state; what it uses besides is noticed and added, at the price of a second trace.
        donate: whether XLA may overwrite old values. Values that somebody outside may hold are copied first.
    """

    def __init__(self, fn: Callable[..., Any], variables: Sequence[Any], donate: bool) -> None:
        self.fn, self.variables, self.donate = fn, list(variables), donate
        self.journal = Journal()
        self._traces = 0
        self._jit()

    def _jit(self) -> None:
        self._signatures: set[Any] = set()
        self._unlisted: dict[int, Any] = {}
        self._written: list[int] = []
        self._function, self._call = self._pure, None

    def _trace(self, args: Sequence[Any]) -> None:
        """Trace, and choose how to compile; a second jit of the same function finds its trace."""
        donated, values = 0 if self.donate else (), [v.held for v in self.variables]
        call = self._call or jax.jit(self._function, donate_argnums=donated)
        jaxpr = call.trace(values, *args).jaxpr
        if self._call is None and on_cpu() and _convolves(jaxpr) and threaded():
            call = jax.jit(self._function, donate_argnums=donated, compiler_options=THREADED)
        self._call = call

    def _prepare(self, args: Sequence[Any]) -> Callable[[], None] | None:
        """Before the first call with arguments of this form: trace, and make all that was used a part of the state.

        Returns:
            What writes the capture into the journal after the call, which compiles.
        """
        leaves, structure = jax.tree.flatten(args)
        signature = (
            structure,
            *((getattr(x, "shape", ()), getattr(x, "dtype", type(x))) for x in leaves),
        )
        if signature in self._signatures:
            return None
        shown, began, cause = list(map(described, leaves)), time.perf_counter(), ""
        while True:
            self._trace(args)
            if not self._unlisted:
                break
            self.journal.captured(shown, time.perf_counter() - began, cause)
            cause = f"unlisted variables: {', '.join(v.path for v in self._unlisted.values())}"
            self.variables += self._unlisted.values()
            self._jit()
        self._signatures.add(signature)
        return lambda: self.journal.captured(shown, time.perf_counter() - began, cause)

    def _traced(self, values: list[Any], args: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The function's result and all variables' values after it."""
        self._traces += 1
        scope = StateScope(self.variables, values)
        with state(scope), noting(self.journal):
            result = self.fn(*args)
        self._unlisted |= scope.unlisted
        self._written = [i for i, v in enumerate(self.variables) if id(v) in scope.written]
        return result, [scope.read(v) for v in self.variables]

    def _pure(self, values: list[Any], *args: Any) -> tuple[Any, list[Any]]:
        raise NotImplementedError

    def __call__(self, *args: Any) -> Any:
        write_down, traces = self._prepare(args), self._traces
        values = [v.held for v in self.variables]
        if self.donate:
            values = [_copy(x) if v.exposed else x for v, x in zip(self.variables, values, strict=True)]
        result, updated = self._call(values, *args)
        for i, variable in (
            enumerate(self.variables) if self.donate else ((i, self.variables[i]) for i in self._written)
        ):
            variable.held = updated[i]
            variable.exposed = False
        if write_down is not None:
            write_down()
        elif traces != self._traces:
            self.journal.captured([], 0.0, "the state changed its dtype or its device")
        return result


class CompiledStep(Compiled):
    """One call of the function."""

    def _pure(self, values: list[Any], *args: Any) -> tuple[Any, list[Any]]:
        return self._traced(values, args)


class CompiledLoop(Compiled, StepLoop):
    """Many steps in one dispatch. One program serves every n up to the rows of `index`, so it is compiled once.

    On a device with memory of its own the data is there, and a step picks its batch by index. On the CPU, picking on
    the host into buffers that XLA reads in place is faster, and nothing has to be copied first.
    """

    def load(self, arrays: Any) -> Any:
        self._buffers.clear()
        if on_cpu():
            return jax.tree.map(np.asarray, arrays)
        return jax.tree.map(jnp.asarray, arrays)

    def __call__(self, data: Any, index: np.ndarray, n: int) -> Any:
        leaves = jax.tree.leaves(data)
        if leaves and isinstance(leaves[0], np.ndarray):
            data = jax.tree.map(lambda a: self._picked(a, index, n), data)
            return Compiled.__call__(self, data, None, np.int32(n))
        return Compiled.__call__(self, data, index, np.int32(n))

    def _picked(self, array: np.ndarray, index: np.ndarray, n: int) -> np.ndarray:
        """The batches of the first n rows, in one of three buffers in turn: at most two dispatches are at work."""
        shape, dtype = (*index.shape, *array.shape[1:]), canonical(array.dtype)
        ring = self._buffers.setdefault((id(array), shape), [_aligned(shape, dtype) for _ in range(3)])
        ring.append(ring.pop(0))
        rows = index[:n].reshape(-1)
        target = ring[-1][:n].reshape(len(rows), *array.shape[1:])
        if array.dtype == dtype:
            np.take(array, rows, axis=0, out=target, mode="clip")
        else:
            target[...] = array[rows]
        return ring[-1]

    def _jit(self) -> None:
        super()._jit()
        self._buffers: dict[Any, list[np.ndarray]] = {}

    def _pure(self, values: list[Any], data: Any, index: Any, n: Any) -> tuple[Any, list[Any]]:
        def step(values: list[Any], data: Any, index: Any, i: Any) -> tuple[list[Any], Any]:
            if index is None:
                batch = jax.tree.map(lambda a: lax.dynamic_index_in_dim(a, i, keepdims=False), data)
            else:
                batch = jax.tree.map(lambda a: jnp.take(a, index[i], axis=0, mode="clip"), data)
            result, updated = self._traced(values, batch)
            return updated, jax.tree.map(_strong, result)

        first = jnp.int32(0)
        jaxpr, shapes = jax.make_jaxpr(step, return_shape=True)(values, data, index, first)
        tree = jax.tree.structure(shapes)

        def body(i: Any, carry: tuple[list[Any], Any]) -> tuple[list[Any], Any]:
            leaves = jax.tree.leaves((carry[0], data, index, i))
            return jax.tree.unflatten(tree, jax.core.eval_jaxpr(jaxpr.jaxpr, jaxpr.consts, *leaves))

        nothing = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes[1])
        values, result = lax.fori_loop(0, n, body, (values, nothing))
        return result, values


def _convolves(jaxpr: Any) -> bool:
    """Whether a program holds a convolution."""
    names = {equation.primitive.name for equation in jaxpr.eqns}
    inner = jax.tree.leaves([list(e.params.values()) for e in jaxpr.eqns])
    return "conv_general_dilated" in names or any(_convolves(x) for x in inner if hasattr(x, "eqns"))


def _aligned(shape: tuple[int, ...], dtype: Any, to: int = 64) -> np.ndarray:
    """An uninitialised array at an address from which XLA reads in place."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + to, np.uint8)
    start = -memory.ctypes.data % to
    return memory[start : start + size].view(dtype).reshape(shape)


def _copy(x: Any) -> Any:
    return jax.device_put(x, may_alias=False)  # unlike jnp.copy, this compiles nothing


def _strong(x: Any) -> Any:
    """Without JAX's weak type, which a loop's carry can't change."""
    x = jnp.asarray(x)
    return lax.convert_element_type(x, x.dtype)
