"""A set of settings for users' programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableMapping
from typing import Any

from triceras.core.errors import ArgumentError, NotFoundError
from triceras.core.registry import export


class UnknownSettingError(NotFoundError, AttributeError):
    """A setting was read that isn't there."""


@export("utils.Config")
class Config(MutableMapping):
    """Settings by name, read and written as attributes or as items, which can be frozen.

    Args:
        **kwargs: the first settings.

    Raises:
        ArgumentError: a frozen configuration is changed.
        UnknownSettingError: an attribute is read that isn't there.

    >>> config = Config(rate=0.1, network=Config(layers=2))
    >>> config.rate = 0.2
    >>> config.to_json()
    '{"rate": 0.2, "network": {"layers": 2}}'
    """

    def __init__(self, **kwargs: Any) -> None:
        self.__dict__.update(_settings=dict(kwargs), _frozen=False)

    def _changeable(self) -> dict[str, Any]:
        if self._frozen:
            raise ArgumentError(
                "The Config is frozen and can't be changed. Call unfreeze() first, or copy it."
            )
        return self._settings

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_settings" not in self.__dict__:  # asked for by copy and pickle
            raise AttributeError(name)
        if name not in self._settings:
            raise UnknownSettingError(
                f"Unknown attribute: {name!r}. The Config has {sorted(self._settings)}."
            )
        return self._settings[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self._changeable()[name] = value

    def __delattr__(self, name: str) -> None:
        getattr(self, name)
        del self._changeable()[name]

    def __getitem__(self, name: str) -> Any:
        return self._settings[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._changeable()[name] = value

    def __delitem__(self, name: str) -> None:
        del self._changeable()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._settings)

    def __len__(self) -> int:
        return len(self._settings)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._settings]

    def __repr__(self) -> str:
        return f"<Config {self._settings!r}>"

    def get(self, keyname: str, value: Any = None) -> Any:
        """A setting, or `value` if it isn't there."""
        return self._settings.get(keyname, value)

    def as_dict(self) -> dict[str, Any]:
        """The settings as a new dict."""
        return dict(self._settings)

    def to_json(self) -> str:
        """The settings as JSON text, those of configurations inside too."""
        return json.dumps(self._settings, default=_plain)

    def freeze(self) -> None:
        """Refuse all changes from now on."""
        self.__dict__["_frozen"] = True

    def unfreeze(self) -> None:
        """Take changes again."""
        self.__dict__["_frozen"] = False


def _plain(value: Any) -> Any:
    if isinstance(value, Config):
        return value.as_dict()
    raise ArgumentError(f"A Config with {value!r} can't be written as JSON.")
