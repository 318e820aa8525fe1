"""Making, arranging and indexing tensors, and linear algebra."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import torch

from triceras.core.dtypes import standardize_dtype

_STAND_INS = {"uint16": "int32", "uint32": "int64", "uint64": "int64"}  # torch hardly computes on these


def canonical(dtype: Any) -> str:
    """The dtype that torch uses for a name."""
    name = standardize_dtype(dtype)
    return _STAND_INS.get(name, name)


def torch_dtype(dtype: Any) -> torch.dtype:
    """Torch's dtype for a name."""
    return getattr(torch, canonical(dtype))


def from_numpy(array: np.ndarray, dtype: Any) -> torch.Tensor:
    """A tensor on an array's memory, cast if need be."""
    if array.dtype == ml_dtypes.bfloat16:
        tensor = torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    else:
        own = canonical(array.dtype)
        tensor = torch.from_numpy(array if array.dtype == own else array.astype(own))
    return tensor if dtype is None else tensor.to(torch_dtype(dtype))


def to_numpy(x: torch.Tensor) -> np.ndarray:
    """A tensor's values."""
    x = x.detach().cpu().resolve_conj().resolve_neg()
    if x.dtype == torch.bfloat16:
        return x.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return x.numpy()


NATIVES: dict[str, Callable[..., Any]] = {}
