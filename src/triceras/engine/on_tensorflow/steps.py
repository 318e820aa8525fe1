"""Compiled steps: graphs that read and assign the variables' own TensorFlow variables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from triceras.core import tree
from triceras.engine.captured import CapturedStep
from triceras.engine.contract import StepLoop


class CompiledStep(CapturedStep):
    """A step as a graph. TensorFlow finds the state that it uses by itself."""

    @staticmethod
    def upload(array: np.ndarray) -> tf.Tensor:
        return tf.constant(array)

    def capture(self, leaves: list[Any], structure: Any) -> tuple[Callable[[list[Any]], Any], str]:
        graph = Graph(self.fn, leaves, structure)
        return lambda leaves: graph(graph.tensors(leaves)), ""


class Graph:
    """A function's graph for one signature."""

    def __init__(self, fn: Callable[..., Any], leaves: Sequence[Any], structure: Any) -> None:
        self._places = [i for i, x in enumerate(leaves) if tf.is_tensor(x)]

        def flat(*tensors: tf.Tensor) -> list[tf.Tensor]:
            filled = list(leaves)
            for i, tensor in zip(self._places, tensors, strict=True):
                filled[i] = tensor
            results, self._structure = tree.split(fn(*tree.join(structure, filled)))
            self._returned = [i for i, x in enumerate(results) if tf.is_tensor(x)]
            self._leaves = [None if tf.is_tensor(x) else x for x in results]
            return [results[i] for i in self._returned]

        specs = [tf.TensorSpec(leaves[i].shape, leaves[i].dtype) for i in self._places]
        self.flat = tf.function(flat, autograph=False).get_concrete_function(*specs)

    def tensors(self, leaves: Sequence[Any]) -> list[tf.Tensor]:
        """Those of the arguments that are tensors."""
        return [leaves[i] for i in self._places]

    def __call__(self, tensors: Sequence[tf.Tensor]) -> Any:
        return self.joined(self.flat(*tensors))

    def joined(self, outputs: Sequence[tf.Tensor]) -> Any:
        """The function's result around its tensors."""
        result = list(self._leaves)
        for i, x in zip(self._returned, outputs, strict=True):
            result[i] = x
        return tree.join(self._structure, result)


class CompiledLoop(CapturedStep, StepLoop):
    """Many steps in one dispatch: a loop around the step's graph, which picks its batches from the data."""

    upload = staticmethod(CompiledStep.upload)

    def load(self, arrays: Any) -> Any:
        return tree.map_structure(lambda a: self.upload(a) if isinstance(a, np.ndarray) else a, arrays)

    def __call__(self, data: Any, index: np.ndarray, n: int) -> Any:
        return CapturedStep.__call__(self, data, index, np.int32(n))

    def plain(self, data: Any, index: tf.Tensor, n: Any) -> Any:
        result = None
        for rows in index[: int(n)]:
            batch = tree.map_structure(lambda x, rows=rows: x if x is None else tf.gather(x, rows), data)
            result = self.fn(*batch)
        return result

    def capture(self, leaves: list[Any], structure: Any) -> tuple[Callable[[list[Any]], Any], str]:
        data, index, _ = tree.join(structure, leaves)
        columns, inside = tree.split(data)
        batch = [x if x is None else tf.gather(x, index[0]) for x in columns]
        step = Graph(self.fn, batch, inside)
        places = [i for i, x in enumerate(columns) if x is not None]

        def many(index: tf.Tensor, n: tf.Tensor, *columns: tf.Tensor) -> list[tf.Tensor]:
            def body(i: tf.Tensor, *_: tf.Tensor) -> list[tf.Tensor]:
                rows = index[i]
                return [i + 1, *step.flat(*(tf.gather(x, rows) for x in columns))]

            nothing = [tf.zeros(x.shape, x.dtype) for x in step.flat.structured_outputs]
            return tf.while_loop(lambda i, *_: i < n, body, [tf.constant(0), *nothing])[1:]

        specs = [tf.TensorSpec(x.shape, x.dtype) for x in (index, *(columns[i] for i in places))]
        run = tf.function(many, autograph=False).get_concrete_function(
            specs[0], tf.TensorSpec((), tf.int32), *specs[1:]
        )

        def call(leaves: list[Any]) -> Any:
            data, index, n = tree.join(structure, leaves)
            columns = tree.flatten(data)
            return step.joined(run(index, tf.constant(n), *(columns[i] for i in places)))

        return call, ""


