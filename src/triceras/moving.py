"""Moving state from engine to engine: everything that an object of ours holds, wherever it stands."""

from __future__ import annotations

from typing import Any

from triceras.core.capture import Configurable
from triceras.core.spec import KerasTensor, Node
from triceras.engine import selection
from triceras.engine.contract import Engine
from triceras.variable import Variable

_LEFT = (KerasTensor, Node, Engine, type)  # they lead to other models, or hold nothing


class Move:
    """Brings objects to an engine: their variables, the tensors they keep, and the objects they hold in turn.

    An object with a method `_settle(engine, device)` is told, before what it holds is moved.

    Args:
        engine: where to.
        device: on which of its devices; None for its default.

    >>> v = Variable([1.0], name="v")
    >>> Move(selection.get("numpy")).visit({"weights": [v]})
    {'weights': [<Variable path=v, shape=(1,), dtype=float32, engine=numpy>]}
    """

    def __init__(self, engine: Engine, device: str | None = None) -> None:
        self.engine, self.device = engine, device
        self._seen: dict[int, Any] = {}

    def visit(self, value: Any) -> Any:
        """The value after the move: itself, or for tensors and tuples of them what takes their place."""
        owner = selection.engine_of(type(value))
        if owner is not None:
            return value if owner is self.engine else self._tensor(owner, value)
        if isinstance(value, Variable):
            value.move(self.engine, self.device)
        elif id(value) not in self._seen and not isinstance(value, _LEFT):
            self._seen[id(value)] = value
            if isinstance(value, (tuple, set)):
                return self._rebuilt(value)
            if isinstance(value, (dict, list)):
                self._replace(value, list(value.items() if isinstance(value, dict) else enumerate(value)))
            elif isinstance(value, Configurable) or type(value).__module__.startswith("triceras."):
                if hasattr(value, "_settle"):
                    value._settle(self.engine, self.device)
                attributes = getattr(value, "__dict__", {})
                self._replace(attributes, list(attributes.items()))
        return value

    def _tensor(self, owner: Engine, value: Any) -> Any:
        try:
            array = owner.to_numpy(value)
        except Exception:  # left over from a trace, without a value
            return value
        with selection.running(self.engine, self.device):
            return self.engine.make(array)

    def _rebuilt(self, values: Any) -> Any:
        items = [self.visit(item) for item in values]
        if all(new is old for new, old in zip(items, values, strict=True)):
            return values
        return type(values)(*items) if hasattr(values, "_fields") else type(values)(items)

    def _replace(self, holder: Any, items: list[tuple[Any, Any]]) -> None:
        for key, item in items:
            moved = self.visit(item)
            if moved is not item:
                holder[key] = moved
