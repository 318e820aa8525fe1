"""Configs: a constructor's arguments are recorded once, and `get_config` follows from them."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

from triceras.core.errors import ArgumentTypeError


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
        try:
            bound = _signature(cls).bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentTypeError(
                f"{cls.__name__}(): {error}. Its arguments are {_signature(cls)}."
            ) from None
        bound.apply_defaults()
        found: dict[str, Any] = {}
        for parameter in bound.signature.parameters.values():
            value = bound.arguments[parameter.name]
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                found.update(value)
            elif parameter.kind is not inspect.Parameter.VAR_POSITIONAL or value:
                found[parameter.name] = value
        object.__setattr__(self, "_arguments", found)
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
