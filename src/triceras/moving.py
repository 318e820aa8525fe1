"""Moving state from engine to engine: everything that an object of ours holds, wherever it stands."""

from __future__ import annotations

from typing import Any

from triceras.core.capture import Configurable
from triceras.core.spec import KerasTensor, Node
from triceras.engine import selection
from triceras.engine.contract import Engine
from triceras.variable import Variable

_LEFT = (KerasTensor, Node, Engine, type)  # they lead to other models, or hold nothing
_ABSENT = object()


class Move:
    """Brings objects to an engine: their variables, the tensors they keep, and the objects they hold in turn.

    An object whose other attributes depend on the engine gives their new values by a method
    `_settled(engine, device)`.

    Args:
        engine: where to.
        device: on which of its devices; None for its default.
        copy: let variables hold new tensors also where they already are on that engine, so that `swap` brings
            everything back.

    >>> v = Variable([1.0], name="v")
    >>> Move(selection.get("numpy")).visit({"weights": [v]})
    {'weights': [<Variable path=v, shape=(1,), dtype=float32, engine=numpy>]}
    """

    def __init__(self, engine: Engine, device: str | None = None, copy: bool = False) -> None:
        self.engine, self.device, self.copy = engine, device, copy
        self.variables: list[Variable] = []
        self._places: list[Any] = []
        self._changes: list[tuple[Any, Any, Any]] = []
        self._seen: dict[int, Any] = {}

    def visit(self, value: Any) -> Any:
        """The value after the move: itself, or for tensors and tuples of them what takes their place."""
        owner = selection.engine_of(type(value))
        if owner is not None:
            return value if owner is self.engine else self._tensor(owner, value)
        if id(value) in self._seen or isinstance(value, _LEFT):
            return value
        self._seen[id(value)] = value
        if isinstance(value, Variable):
            self.variables.append(value)
            self._places.append(value.place)
            value.move(self.engine, self.device, self.copy)
        elif isinstance(value, (tuple, set)):
            return self._rebuilt(value)
        elif isinstance(value, (dict, list)):
            self._visit_items(value, list(value.items() if isinstance(value, dict) else enumerate(value)))
        elif isinstance(value, Configurable) or type(value).__module__.startswith("triceras."):
            attributes = getattr(value, "__dict__", {})
            settled = value._settled(self.engine, self.device) if hasattr(value, "_settled") else {}
            for name, now in settled.items():
                self._put(attributes, name, now)
            self._visit_items(attributes, [(k, v) for k, v in attributes.items() if k not in settled])
        return value

    def swap(self) -> None:
        """Exchange what there was before the move and what there is now; once more brings the move back."""
        for i, variable in enumerate(self.variables):
            self._places[i], variable.place = variable.place, self._places[i]
        self._changes = [(holder, key, _exchange(holder, key, other)) for holder, key, other in self._changes]

    def _put(self, holder: Any, key: Any, value: Any) -> None:
        self._changes.append((holder, key, _exchange(holder, key, value)))

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

    def _visit_items(self, holder: Any, items: list[tuple[Any, Any]]) -> None:
        for key, item in items:
            moved = self.visit(item)
            if moved is not item:
                self._put(holder, key, moved)


def _exchange(holder: Any, key: Any, value: Any) -> Any:
    """Put a value in a dict or list, and return what was there."""
    before = holder.get(key, _ABSENT) if isinstance(holder, dict) else holder[key]
    if value is _ABSENT:
        holder.pop(key, None)
    else:
        holder[key] = value
    return before
