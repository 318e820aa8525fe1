"""Where each part of a model stands in a weights file: by attribute, for automatic names change."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from triceras.core.scope import to_snake_case

PRIVATE = frozenset(
    {"_arguments", "_inbound_nodes", "_stack", "_operations", "_graph", "_loops", "_compile_arguments"}
)


def saveables(root: Any, skipped: Collection[Any] = ()) -> Iterator[tuple[str, Any]]:
    """All layers and optimizers at and below an object, each once, with paths such as `encoder/block_1`."""
    seen = {
        id(item): item for item in skipped
    }  # the objects are kept, so that no other one gets the id of one

    def visit(path: str, item: Any) -> Iterator[tuple[str, Any]]:
        if id(item) in seen:
            return
        seen[id(item)] = item
        yield path, item
        for name, child in _children(item):
            yield from descend(f"{path}/{name}" if path else name, child)

    def descend(path: str, value: Any) -> Iterator[tuple[str, Any]]:
        if _is_saveable(value):
            yield from visit(path, value)
        elif isinstance(value, (list, tuple, dict)) and id(value) not in seen:
            seen[id(value)] = value
            used: dict[str, int] = {}
            for child in value.values() if isinstance(value, dict) else value:
                if _is_saveable(child) or isinstance(child, (list, tuple, dict)):
                    kind = to_snake_case(type(child).__name__) if _is_saveable(child) else "container"
                    count = used[kind] = used.get(kind, -1) + 1
                    yield from descend(f"{path}/{kind}_{count}" if count else f"{path}/{kind}", child)

    yield from visit("", root)


def _is_saveable(value: Any) -> bool:
    return hasattr(value, "save_own_variables") and not isinstance(value, type)


def _children(item: Any) -> Iterator[tuple[str, Any]]:
    """Attributes in the order in which files name them: public ones sorted, then private ones."""
    found = {name: value for name, value in vars(item).items() if name not in PRIVATE}
    layers = getattr(type(item), "layers", None)
    if isinstance(layers, property):
        if getattr(item, "_graph", None) is not None or hasattr(item, "_stack"):
            yield "layers", item.layers
        else:
            found["layers"] = item.layers
    for name in sorted(found, key=lambda n: "~" + n if n.startswith("_") else n):
        yield name, found[name]
