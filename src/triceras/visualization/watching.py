"""The calls of the layers inside a model while it runs: seen, and changed on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from triceras.core import tree
from triceras.layers.base import Layer
from triceras.layers.input_layer import InputLayer


@dataclass
class Call:
    """One call of a layer.

    Args:
        layer: whose call it was.
        number: which of its calls, from 0.
        inputs: what went in by position.
        outputs: what came out.
    """

    layer: Layer
    number: int
    inputs: tuple[Any, ...]
    outputs: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """The output's shape; () if there is more than one tensor."""
        return tuple(self.outputs.shape) if hasattr(self.outputs, "shape") else ()

    def gives(self, tensor: Any) -> bool:
        """Whether a tensor came out of it."""
        return any(t is tensor for t in tree.flatten(self.outputs))


@contextmanager
def watched(model: Any, change: Callable[[Call], Any] | None = None) -> Iterator[list[Call]]:
    """A block in which the calls of a model's layers are listed, in the order in which they end.

    Args:
        model: the layer around the layers.
        change: gets each call; what it returns takes the place of what came out.
    """
    seen: list[Call] = []
    layers = [layer for layer in model._flatten_layers() if not isinstance(layer, InputLayer)]

    def watch(layer: Layer) -> Callable[..., Any]:
        call, count = layer.call, 0

        def watching(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            found = Call(layer, count, args, call(*args, **kwargs))
            count += 1
            if change is not None:
                found.outputs = change(found)
            seen.append(found)
            return found.outputs

        return watching

    try:
        for layer in layers:
            layer.__dict__["call"] = watch(layer)
            layer.__dict__.pop("_known", None)
        yield seen
    finally:
        for layer in layers:
            layer.__dict__.pop("call", None)


def names_of(model: Any, calls: Sequence[Call]) -> list[str]:
    """Names: the layer's, or its path where several have that name; further calls of a layer end in `#2`."""
    names = [layer.name for layer in model._flatten_layers()]
    return [
        (call.layer.path if names.count(call.layer.name) > 1 else call.layer.name)
        + (f"#{call.number + 1}" if call.number else "")
        for call in calls
    ]
