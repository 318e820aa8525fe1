"""What an engine's library takes our layers for, and the names under which it finds what they hold."""

from __future__ import annotations

import re
from typing import Any

from triceras.core.scope import to_snake_case


def dressed(kind: type, base: type) -> type:
    """A class for `__class__` of layers, so that isinstance() takes them for both; calling it makes a `kind`.

    It is kept by `kind` itself, and dies with it.
    """
    name = f"_as_{base.__module__.partition('.')[0]}"
    found = kind.__dict__.get(name)
    if found is None:
        metas = [m for m in dict.fromkeys((type(base), type(kind))) if m is not type] or [type]
        meta = type("Dressed", tuple(metas), {"__call__": lambda cls, *args, **kwargs: kind(*args, **kwargs)})
        looks = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
        found = meta(kind.__name__, (kind, base), looks)
        setattr(kind, name, found)
    return found


def children(layer: Any) -> dict[str, Any]:
    """The layers directly inside a layer, by names that are the same in every process.

    A name is the attribute's, with a number for what a list holds; in the private lists of models it is the
    layer's if it was given one, else the class's.
    """
    found: dict[str, Any] = {}
    seen: set[int] = set()

    def search(name: str, value: Any) -> None:
        if hasattr(value, "_flatten_layers"):
            if id(value) not in seen:
                seen.add(id(value))
                found[free(name or _own_name(value), found)] = value
        elif isinstance(value, (list, tuple, set, dict)):
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                search(name and f"{name}_{key}", item)

    for name, value in layer._tracked():
        search("" if name.startswith("_") else name, value)
    return found


def _own_name(layer: Any) -> str:
    automatic = to_snake_case(type(layer).__name__)
    return automatic if re.fullmatch(rf"{automatic}(_\d+)?", layer.name) else layer.name


def weights(layer: Any) -> dict[str, Any]:
    """The variables of a layer itself, by attribute or by their own names, without random state."""
    names = {id(value): name.lstrip("_") for name, value in layer._tracked()}
    found: dict[str, Any] = {}
    for variable in layer._own_variables:
        found[free(names.get(id(variable), variable.name), found)] = variable
    return found


def random_states(layer: Any) -> dict[str, Any]:
    """The state of a layer's own random generators."""
    found: dict[str, Any] = {}
    for generator in layer._seed_generators():
        found[free("random_state", found)] = generator.state
    return found


def free(name: str, taken: dict[str, Any]) -> str:
    """The name, without dots and with a number if it is taken."""
    name = first = name.replace(".", "_")
    count = 0
    while name in taken:
        count += 1
        name = f"{first}_{count}"
    return name
