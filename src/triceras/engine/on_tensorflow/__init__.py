"""TensorFlow: state lives in its variables; steps are graphs of one `tf.function`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from triceras.engine.on_tensorflow import quiet  # noqa: F401, I001 - imports TensorFlow without its messages
import tensorflow as tf

from triceras.core import tree
from triceras.core.dtypes import standardize_dtype
from triceras.core.spec import KerasTensor
from triceras.engine import faces
from triceras.engine.contract import Engine, StateScope, state
from triceras.engine.on_tensorflow import arrays, module, ops
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
        return held.value()

    def store(self, held: tf.Variable, value: tf.Tensor) -> tf.Variable:
        held.assign(value)
        return held

    def trained(self, held: tf.Variable, trainable: bool) -> tf.Variable:
        """Tapes watch a variable that is made for training; that they watch one in vain does no harm."""
        return self.hold(held.numpy(), True) if trainable and not held.trainable else held

    def attribute(self, layer: Any, name: str) -> Any:
        return module.attribute(layer, name)

    def seen_as(self, kind: type) -> type:
        return faces.dressed(kind, tf.Module)

    def stands_for(self, variable: Any) -> tf.Variable:
        return variable.held

    def welcome(self, kind: type) -> None:
        module.teach(kind)

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
            values = [v.raw for v in variables]
            scope = StateScope(variables, values, state.get() or StateScope((), ()))
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(values)
                with state(scope):
                    result = fn(*args, **kwargs)
                loss = result[0] if has_aux else result
            grads = tape.gradient(loss, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            for variable, value in zip(*scope.collect(), strict=True):
                variable.raw = value
            return result, [tf.convert_to_tensor(g) for g in grads]

        return run

    def devices(self) -> list[str]:
        gpus = tf.config.list_logical_devices("GPU")
        return [f"{d.device_type}:{d.name.rpartition(':')[2]}".lower() for d in [*gpus, *tf.config.list_logical_devices("CPU")]]

    def on(self, device: str) -> Any:
        return tf.device(device)

    def device_of(self, x: Any) -> str:
        return x.device.lower().rpartition("device:")[2]

    def compile(self, fn: Callable[..., Any], variables: Sequence[Any], donate: bool = False) -> CompiledStep:
        return CompiledStep(fn, variables, donate)

    def compile_loop(
        self, fn: Callable[..., Any], variables: Sequence[Any], donate: bool = True
    ) -> CompiledLoop:
        return CompiledLoop(fn, variables, donate)


ENGINE = TensorFlowEngine()
