"""NumPy: plain calls, inference only. The smallest complete engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes  # noqa: F401 - makes np.dtype("bfloat16") known
import numpy as np

from triceras.core import tree
from triceras.core.dtypes import standardize_dtype
from triceras.core.errors import EngineError
from triceras.core.spec import KerasTensor
from triceras.engine.contract import Engine
from triceras.engine.on_numpy import ops
from triceras.engine.on_numpy.arrays import canonical


class NumpyEngine(Engine):
    """Computes with NumPy."""

    name = library = "numpy"
    differentiates = False
    probes = (((2, 24), (3, 36)), (24, 48))  # small batches, as ops really run; images with room for windows
    natives = ops.NATIVES

    def owns(self, kind: type) -> bool:
        return False  # arrays are data to every engine; they run here when this engine is active

    def make(self, value: Any, dtype: str | None = None) -> np.ndarray:
        array = np.asarray(value, dtype=dtype)
        return (
            array.astype(canonical(array.dtype), copy=False)
            if dtype is None and array.dtype.itemsize >= 8
            else array
        )

    def hold(self, value: np.ndarray, trainable: bool = False) -> np.ndarray:
        return np.array(value)

    def to_numpy(self, x: Any) -> np.ndarray:
        return np.asarray(x)

    def cast(self, x: Any, dtype: str) -> np.ndarray:
        return np.asarray(x).astype(dtype, copy=False)

    def adapted(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """Arrays also where NumPy returns scalars; infinities and NaN are results, not warnings."""

        def quiet(*values: Any, **statics: Any) -> Any:
            with np.errstate(all="ignore"):
                result = run(*values, **statics)
            return np.asarray(result) if isinstance(result, np.generic) else result

        return quiet

    def abstract(self, fn: Callable[..., Any], specs: Sequence[KerasTensor]) -> Any:
        result = fn(*map(_example, specs))
        return tree.map_structure(
            lambda x: (
                KerasTensor(x.shape, standardize_dtype(x.dtype))
                if isinstance(x, (np.ndarray, np.generic))
                else x
            ),
            result,
        )

    def value_and_grad(self, fn: Callable[..., Any], variables: Sequence[Any], has_aux: bool = False) -> Any:
        raise EngineError(
            "The NumPy engine computes no gradients: it is for inference. To train, install an engine that does "
            '(pip install "triceras[jax]") and choose it before building the model: triceras.use_engine("jax").'
        )

    def compile(
        self, fn: Callable[..., Any], variables: Sequence[Any], donate: bool = False
    ) -> Callable[..., Any]:
        return fn


def _example(spec: KerasTensor) -> np.ndarray:
    """Values on which an op can be tried: an identity where a square matrix may have to be inverted, else ones."""
    if len(spec.shape) > 1 and spec.shape[-1] == spec.shape[-2]:
        return np.broadcast_to(np.eye(spec.shape[-1]), spec.shape).astype(spec.dtype)
    return np.ones(spec.shape, spec.dtype)


ENGINE = NumpyEngine()
