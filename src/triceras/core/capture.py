"""Configs: a constructor's arguments are recorded once, and `get_config` follows from them."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

from triceras.core.errors import ArgumentTypeError

_MISSING: Any = object()


@cache
def _form(cls: type) -> tuple[dict[str, Any], tuple[str, ...], tuple[str, ...], bool] | None:
    """Defaults by name, names of arguments by position and of those needed, whether there may be others.

    None for constructors with arguments of a rare kind.
    """
    found = _signature(cls).parameters.values()
    named = [p for p in found if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    others = [p for p in found if p.kind is p.VAR_KEYWORD]
    if len(named) + len(others) < len(found):
        return None
    needed = tuple(p.name for p in named if p.default is p.empty)
    defaults = {p.name: _MISSING if p.default is p.empty else p.default for p in named}
    return defaults, tuple(p.name for p in named if p.kind is p.POSITIONAL_OR_KEYWORD), needed, bool(others)


def _recorded(cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any] | None:
    """A call's arguments with defaults, by name; None if they need a closer look, for they may be wrong."""
    form = _form(cls)
    if form is None or len(args) > len(form[1]):
        return None
    defaults, by_position, needed, others = form
    found = {**defaults, **dict(zip(by_position, args, strict=False)), **kwargs}
    right = others or len(found) == len(defaults)
    right = right and kwargs.keys().isdisjoint(by_position[: len(args)])
    return found if right and not any(found[name] is _MISSING for name in needed) else None


@cache
def _signature(cls: type) -> inspect.Signature:
    if cls.__init__ is object.__init__:  # says that it takes anything, and ignores it
        return inspect.Signature()
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    return inspect.Signature(parameters)


def accepts(cls: type, argument: str) -> bool:
    """Whether a class's constructor takes an argument of that name."""
    parameters = _signature(cls).parameters
    return argument in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _bound(cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The same for any constructor.

    Raises:
        ArgumentTypeError: the constructor can't be called so.
    """
    try:
        bound = _signature(cls).bind(*args, **kwargs)
    except TypeError as error:
        raise ArgumentTypeError(f"{cls.__name__}(): {error}. Its arguments are {_signature(cls)}.") from None
    bound.apply_defaults()
    found: dict[str, Any] = {}
    for parameter in bound.signature.parameters.values():
        value = bound.arguments[parameter.name]
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            found.update(value)
        elif parameter.kind is not inspect.Parameter.VAR_POSITIONAL or value:
            found[parameter.name] = value
    return found


class Configurable:
    """A class whose instances remember the arguments they were made with.

    `get_config` returns every constructor argument with the value given or the default, and `from_config` passes them
    back; a class overrides them only where its config differs.

    >>> class Scale(Configurable):
    ...     def __init__(self, factor=2.0, name=None):
    ...         self.factor = factor
    >>> Scale(3.0).get_config()
    {'factor': 3.0, 'name': None}
    """

    _arguments: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls)
        found = _recorded(cls, args, kwargs)
        object.__setattr__(self, "_arguments", _bound(cls, args, kwargs) if found is None else found)
        return self

    def __reduce__(self) -> Any:
        return (object.__new__, (type(self),), self.__getstate__())

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as `from_config` takes them."""
        return dict(self._arguments)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Make an instance from what `get_config` returned."""
        return cls(**config)
