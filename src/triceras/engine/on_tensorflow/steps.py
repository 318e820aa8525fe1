"""Compiled steps: graphs that read and assign the variables' own TensorFlow variables."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from triceras.core import tree
from triceras.engine.captured import CapturedStep
from triceras.engine.contract import StepLoop

LONG = 1000  # steps an epoch from which compiling a loop by XLA, in a second or so, pays
SMALL = 500  # ops in a step
SLOW = re.compile("Conv|Pool|Call|While|If|Sort|TopK|Scatter|Segment|Unique|Func")


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

    def gains_by_xla(self) -> bool:
        """Whether starting its ops weighs, as there are few, and XLA is slow at none of them on CPUs."""
        found = self.flat.graph.get_operations()
        return len(found) <= SMALL and not any(SLOW.search(op.type) for op in found)

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
        specs.insert(1, tf.TensorSpec((), tf.int32))

        def compiled(xla: bool) -> Callable[..., list[tf.Tensor]]:
            return tf.function(many, autograph=False, jit_compile=xla).get_concrete_function(*specs)

        long = bool(places) and columns[places[0]].shape[0] >= LONG * index.shape[1]
        xla = long and step.gains_by_xla()
        run = compiled(xla)

        def call(leaves: list[Any]) -> Any:
            nonlocal run, xla
            data, index, n = tree.join(structure, leaves)
            columns = tree.flatten(data)
            given = index, tf.constant(n), *(columns[i] for i in places)
            try:
                outputs = run(*given)
            except tf.errors.OpError as error:
                if not xla:
                    raise
                reason = " ".join(str(error).split())[:200]
                self.journal.note("kernel", f"XLA can't compile the loop: {reason}")
                run, xla = compiled(False), False
                outputs = run(*given)
            return step.joined(outputs)

        return call, ""
