"""JAX: state is threaded through pure functions, which XLA compiles."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from triceras.core import tree
from triceras.core.dtypes import standardize_dtype
from triceras.core.errors import EngineError, StateError
from triceras.core.spec import KerasTensor
from triceras.engine.contract import Engine, Guest, StateScope, state
from triceras.engine.on_jax import ops
from triceras.engine.on_jax.arrays import canonical
from triceras.engine.on_jax.module import HostedFunction
from triceras.engine.on_jax.steps import CompiledLoop, CompiledStep

# engines share a GPU's memory; JAX reads this when it first computes
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


class JaxEngine(Engine):
    """Computes with JAX."""

    name = library = "jax"
    natives = takes_numbers = ops.NATIVES

    def owns(self, kind: type) -> bool:
        return issubclass(kind, (jax.Array, jax.core.Tracer))

    def make(self, value: Any, dtype: str | None = None) -> Any:
        if isinstance(value, jax.Array):
            return value if dtype is None or value.dtype == dtype else value.astype(canonical(dtype))
        array = np.asarray(value, dtype=dtype if type(value) is int else None)  # integers out of range raise
        return jnp.asarray(array, dtype=canonical(dtype or array.dtype))

    def hold(self, value: np.ndarray, trainable: bool = False) -> Any:
        with jax.ensure_compile_time_eval():  # and without a program for each new shape, as `jnp.array` makes
            return jax.device_put(np.array(value, dtype=canonical(value.dtype)))

    def store(self, held: Any, value: Any) -> Any:
        if isinstance(value, jax.core.Tracer):
            raise StateError(
                "A variable was assigned inside a function that JAX transforms (by jit, grad, vmap ...), which can "
                "only return values. Use stateless_call() of layers, stateless_apply() of optimizers and "
                "stateless_update_state() of metrics there, or triceras.value_and_grad() outside."
            )
        return value

    def welcome(self, kind: type) -> None:
        """Lists of variables pass into transformed functions, which get the bare arrays."""
        jax.tree_util.register_pytree_node(kind, lambda v: ((v.value,), None), lambda _, values: values[0])
        kind.__jax_array__ = _array  # type: ignore[attr-defined]

    def host(self, kind: str, *code: Any) -> Guest:
        return HostedFunction(*code) if kind == "function" else super().host(kind, *code)

    def to_numpy(self, x: Any) -> np.ndarray:
        return np.asarray(x)

    def traced(self, x: Any) -> bool:
        return isinstance(x, jax.core.Tracer)

    def canonical(self, dtype: str) -> str:
        return canonical(dtype).name

    def cast(self, x: Any, dtype: str) -> Any:
        return jnp.asarray(x).astype(canonical(dtype))

    def abstract(self, fn: Callable[..., Any], specs: Sequence[KerasTensor]) -> Any:
        static: list[Any] = []

        def pure(*tensors: Any) -> list[Any]:
            result = fn(*tensors)
            static[:] = [result]
            return [x for x in tree.flatten(result) if _is_array(x)]

        shapes = iter(
            jax.eval_shape(pure, *(jax.ShapeDtypeStruct(s.shape, canonical(s.dtype)) for s in specs))
        )
        return tree.map_structure(lambda x: _spec(next(shapes)) if _is_array(x) else x, static[0])

    def value_and_grad(
        self, fn: Callable[..., Any], variables: Sequence[Any], has_aux: bool = False
    ) -> Callable[..., tuple[Any, list[Any]]]:
        def run(*args: Any, **kwargs: Any) -> tuple[Any, list[Any]]:
            parent, assigned = state.get(), []

            def pure(values: list[Any]) -> tuple[Any, Any]:
                scope = StateScope(variables, values, parent or StateScope((), ()))
                with state(scope):
                    result = fn(*args, **kwargs)
                assigned[:], updates = scope.collect()
                loss, aux = result if has_aux else (result, None)
                return loss, (aux, updates)

            values = [v.raw for v in variables]
            (loss, (aux, updates)), grads = jax.value_and_grad(pure, has_aux=True)(values)
            for variable, value in zip(assigned, updates, strict=True):
                variable.raw = value
            return ((loss, aux) if has_aux else loss), grads

        return run

    def compile(self, fn: Callable[..., Any], variables: Sequence[Any], donate: bool = False) -> CompiledStep:
        return CompiledStep(fn, variables, donate)

    def compile_loop(
        self, fn: Callable[..., Any], variables: Sequence[Any], donate: bool = True
    ) -> CompiledLoop:
        return CompiledLoop(fn, variables, donate)

    def devices(self) -> list[str]:
        platforms = dict.fromkeys((jax.default_backend(), "cpu"))
        return [_device_name(d) for platform in platforms for d in jax.local_devices(backend=platform)]

    def on(self, device: str) -> Any:
        kind, number = device.split(":")
        return jax.default_device(jax.local_devices(backend=kind)[int(number)])

    def device_of(self, x: Any) -> str:
        return _device_name(min(x.devices(), key=lambda d: d.id))

    def profile(self, folder: str) -> AbstractContextManager[Any]:
        return jax.profiler.trace(folder)

    def synchronize(self, tensors: Any) -> None:
        jax.block_until_ready(tensors)


def _device_name(device: Any) -> str:
    return f"{device.platform}:{jax.local_devices(backend=device.platform).index(device)}"


def _array(variable: Any) -> Any:
    if variable.engine != "jax":
        raise EngineError(
            f"A function of JAX got variable {variable.path!r}, which belongs to the engine {variable.engine}. "
            'Move its model: model.to("jax").'
        )
    return variable.value


def _is_array(x: Any) -> bool:
    return isinstance(x, (jax.Array, np.ndarray, np.generic))


def _spec(x: jax.ShapeDtypeStruct) -> KerasTensor:
    return KerasTensor(x.shape, standardize_dtype(x.dtype))


ENGINE = JaxEngine()
