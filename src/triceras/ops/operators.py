"""Python operators for symbolic tensors and variables, each one the op of that meaning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

BINARY = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "floordiv": "floor_divide",
    "mod": "mod", "pow": "power", "matmul": "matmul", "and": "logical_and", "or": "logical_or", "xor": "logical_xor",
}  # fmt: skip
COMPARISONS = {
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
}  # fmt: skip
UNARY = {"neg": "negative", "abs": "absolute", "invert": "logical_not"}


def bind(cls: type, compare: bool = True) -> None:
    """Give a class the operators. With `compare=False`, `==` and `!=` keep meaning identity."""
    from triceras import ops

    def method(name: str, swapped: bool = False) -> Callable[..., Any]:
        def call(self: Any, *other: Any) -> Any:
            function = getattr(ops, name)
            return function(*other, self) if swapped else function(self, *other)

        call.__name__ = name
        return call

    for symbol, name in BINARY.items():
        setattr(cls, f"__{symbol}__", method(name))
        setattr(cls, f"__r{symbol}__", method(name, swapped=True))
    for symbol, name in COMPARISONS.items():
        if compare or symbol not in ("eq", "ne"):
            setattr(cls, f"__{symbol}__", method(name))
    for symbol, name in UNARY.items():
        setattr(cls, f"__{symbol}__", method(name))
    cls.__getitem__ = method("get_item")
    cls.__hash__ = object.__hash__
