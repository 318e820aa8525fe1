"""TensorFlow: state lives in its variables; steps are graphs of one `tf.function`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from triceras.engine.on_tensorflow import loading  # noqa: F401 - sets TensorFlow up and imports it

# isort: split
import tensorflow as tf
from tensorflow.python.eager import record
from tensorflow.python.ops.gen_resource_variable_ops import read_variable_op

from triceras.core import tree
from triceras.core.dtypes import standardize_dtype
from triceras.core.spec import KerasTensor
from triceras.engine import faces
from triceras.engine.contract import Engine, Guest, StateScope, state
from triceras.engine.on_tensorflow import arrays, module, ops
from triceras.engine.on_tensorflow.saved import HostedGraph
from triceras.engine.on_tensorflow.steps import CompiledLoop, CompiledStep

for _gpu in tf.config.list_physical_devices("GPU"):  # engines share a GPU's memory
    try:
        tf.config.experimental.set_memory_growth(_gpu, True)
    except RuntimeError:  # TensorFlow computes already
        break


class TensorFlowEngine(Engine):
    """Computes with TensorFlow."""

    name = library = "tensorflow"
    natives = ops.NATIVES
    takes_numbers = ops.TAKE_NUMBERS

    def owns(self, kind: type) -> bool:
        return issubclass(kind, (tf.Tensor, tf.Variable, tf.IndexedSlices))

    def make(self, value: Any, dtype: str | None = None) -> tf.Tensor:
        if isinstance(value, (tf.Tensor, tf.Variable, tf.IndexedSlices)):
            value = tf.convert_to_tensor(value)
            return value if dtype is None or value.dtype == dtype else tf.cast(value, dtype)
        array = np.asarray(value, dtype=dtype if type(value) is int else None)  # integers out of range raise
        return tf.constant(array if dtype is None else array.astype(dtype))

    def hold(self, value: np.ndarray, trainable: bool = False) -> tf.Variable:
        with tf.init_scope():
            return tf.Variable(value, trainable=trainable, dtype=value.dtype)

    def read(self, held: tf.Variable) -> tf.Tensor:
        if record.could_possibly_record() or not tf.executing_eagerly():
            return held.value()  # which tells tapes and graphs
        return read_variable_op(held.handle, held.dtype)

    def store(self, held: tf.Variable, value: tf.Tensor) -> tf.Variable:
        held.assign(value)
        return held

    def trained(self, held: tf.Variable, trainable: bool) -> tf.Variable:
        held._trainable = trainable  # tapes watch it, or don't; there is no public way
        return held

    def attribute(self, layer: Any, name: str) -> Any:
        return module.attribute(layer, name)

    def seen_as(self, kind: type) -> type:
        return tf.Variable if hasattr(kind, "__triceras_tensor__") else faces.dressed(kind, tf.Module)

    def stands_for(self, variable: Any) -> tf.Variable:
        return variable.held

    def welcome(self, kind: type) -> None:
        module.teach(kind)

    def host(self, kind: str, *code: Any) -> Guest:
        return HostedGraph(*code) if kind == "graph" else super().host(kind, *code)

    def traced(self, x: Any) -> bool:
        return not hasattr(x, "numpy")

    def deferred(self, fn: Callable[..., Any], tensors: Sequence[Any], spec: Any) -> Any:
        result = tf.numpy_function(fn, list(tensors), tree.map_structure(lambda s: s.dtype, spec))
        tree.map_structure(lambda x, s: x.set_shape(s.shape), result, spec)
        return result

    def to_numpy(self, x: Any) -> np.ndarray:
        return x.numpy() if hasattr(x, "numpy") else np.asarray(x)

    def cast(self, x: Any, dtype: str) -> tf.Tensor:
        return arrays.cast(x, dtype)

    def abstract(self, fn: Callable[..., Any], specs: Sequence[KerasTensor]) -> Any:
        with tf.__internal__.FuncGraph("abstract").as_default():
            result = fn(*(tf.compat.v1.placeholder(s.dtype, s.shape) for s in specs))
        return tree.map_structure(
            lambda x: (
                KerasTensor(x.shape.as_list(), standardize_dtype(x.dtype)) if isinstance(x, tf.Tensor) else x
            ),
            result,
        )

    def value_and_grad(
        self, fn: Callable[..., Any], variables: Sequence[Any], has_aux: bool = False
    ) -> Callable[..., tuple[Any, list[Any]]]:
        def run(*args: Any, **kwargs: Any) -> tuple[Any, list[Any]]:
            values, held = [v.raw for v in variables], [v.held for v in variables]
            scope = StateScope(variables, values, state.get() or StateScope((), ()))
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                # native code inside reads what variables hold, and not their values
                tape.watch([values, held])
                with state(scope):
                    result = fn(*args, **kwargs)
                loss = result[0] if has_aux else result
            grads = zip(values, *tape.gradient(loss, [values, held]), strict=True)
            for variable, value in zip(*scope.collect(), strict=True):
                variable.raw = value
            return result, [_sum(value, *parts) for value, *parts in grads]

        return run

    def devices(self) -> list[str]:
        gpus = tf.config.list_logical_devices("GPU")
        return [
            f"{d.device_type}:{d.name.rpartition(':')[2]}".lower()
            for d in [*gpus, *tf.config.list_logical_devices("CPU")]
        ]

    def on(self, device: str) -> Any:
        return tf.device(device)

    def device_of(self, x: Any) -> str:
        return x.device.lower().rpartition("device:")[2]

    def profile(self, folder: str) -> AbstractContextManager[Any]:
        return tf.profiler.experimental.Profile(folder)

    def compile(self, fn: Callable[..., Any], variables: Sequence[Any], donate: bool = False) -> CompiledStep:
        return CompiledStep(fn, variables, donate)

    def compile_loop(
        self, fn: Callable[..., Any], variables: Sequence[Any], donate: bool = True
    ) -> CompiledLoop:
        return CompiledLoop(fn, variables, donate)


def _sum(like: tf.Tensor, *parts: Any) -> tf.Tensor:
    found = [tf.convert_to_tensor(part) for part in parts if part is not None]
    return tf.add_n(found) if found else tf.zeros_like(like)


ENGINE = TensorFlowEngine()
