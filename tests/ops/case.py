"""What a row of the op tables says; every row inherits all the checks in test_ops.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, eq=False)
class Case:
    """One use of an op.

    Args:
        op: name in `triceras.ops`, such as "sum" or "image.resize".
        args: arguments for the tensor parameters, by position (NumPy arrays, numbers, lists).
        statics: the static arguments, by name.
        expect: NumPy function of the same arguments; None means: compare with the reference.
        grad: check gradients by every float argument against finite differences.
        dtypes: "any" also checks result dtypes against the reference over all dtypes (floats, integers, bool), "float"
            over floats only, "" not at all.
        unknown: also infer symbolically with an unknown first size of the first argument.
        tol: relative and absolute tolerance of values.
    """

    op: str
    args: tuple[Any, ...]
    statics: dict[str, Any] = field(default_factory=dict)
    expect: Callable[..., Any] | None = None
    grad: bool = True
    dtypes: str = "any"
    unknown: bool = True
    tol: float = 1e-5

    def __str__(self) -> str:
        return f"{self.op}({', '.join(f'{k}={v!r}' for k, v in self.statics.items())})"
