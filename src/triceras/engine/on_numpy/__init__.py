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
    probes = ((2, 3), (24, 48))
    natives = ops.NATIVES

    def owns(self, kind: type) -> bool:
        return False  # arrays are data to every engine; they run here when this engine is active

    def make(self, value: Any, dtype: str | None = None) -> np.ndarray:
        array = np.asarray(value, dtype=dtype)
        return array.astype(canonical(array.dtype), copy=False) if dtype is None and array.dtype.itemsize >= 8 else array

    def hold(self, value: np.ndarray) -> np.ndarray:
        return value

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
        result = fn(*(np.ones(s.shape, s.dtype) for s in specs))
        return tree.map_structure(
            lambda x: KerasTensor(x.shape, standardize_dtype(x.dtype)) if isinstance(x, (np.ndarray, np.generic)) else x,
            result,
        )

    def value_and_grad(self, fn: Callable[..., Any], variables: Sequence[Any], has_aux: bool = False) -> Any:
        raise EngineError(
            "The NumPy engine computes no gradients: it is for inference. Train on another engine, such as "
            'triceras.use_engine("jax") before building the model.'
        )

    def compile(self, fn: Callable[..., Any], variables: Sequence[Any], donate: bool = False) -> Callable[..., Any]:
        return fn

    def compile_loop(self, fn: Callable[..., Any], variables: Sequence[Any], donate: bool = True) -> Any:
        raise EngineError("The NumPy engine has no training loop.")


ENGINE = NumpyEngine()
