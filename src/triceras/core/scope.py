"""State that belongs to the running context (a thread, a task), and the process's counters of names."""

from __future__ import annotations

import re
import threading
from collections import Counter
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from triceras.core.registry import export

T = TypeVar("T")


class Local(Generic[T]):
    """A context-local value with a default, set for the length of a `with` block.

    >>> depth = Local("depth", 0)
    >>> with depth(3):
    ...     depth.get()
    3
    >>> depth.get()
    0
    """

    def __init__(self, name: str, default: T) -> None:
        self._var: ContextVar[T] = ContextVar(name, default=default)
        self.get = self._var.get
        self.set = self._var.set

    def __call__(self, value: T) -> _Block[T]:
        return _Block(self._var, value)


class _Block(Generic[T]):
    __slots__ = ("_token", "_value", "_var")

    def __init__(self, var: ContextVar[T], value: T) -> None:
        self._var, self._value = var, value

    def __enter__(self) -> T:
        self._token = self._var.set(self._value)
        return self._value

    def __exit__(self, *exc: object) -> None:
        self._var.reset(self._token)


_names: Counter[str] = Counter()
_lock = threading.Lock()
on_clear: list[Any] = []


def to_snake_case(name: str) -> str:
    """`Conv2DTranspose` -> `conv2d_transpose`, as automatic layer names are made."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def unique_name(prefix: str) -> str:
    """`dense`, `dense_1`, `dense_2` ... for the life of the process or until `clear_session()`."""
    with _lock:
        count = _names[prefix]
        _names[prefix] += 1
    return prefix if count == 0 else f"{prefix}_{count}"


@export("backend.get_uid")
def get_uid(prefix: str = "") -> int:
    """A number that counts up from 1 for each prefix."""
    with _lock:
        _names[prefix] += 1
        return _names[prefix]


@export("utils.clear_session", "backend.clear_session")
def clear_session(free_memory: bool = True) -> None:
    """Start automatic names and default random streams anew.

    Args:
        free_memory: also run the garbage collector.
    """
    with _lock:
        _names.clear()
    for action in on_clear:
        action()
    if free_memory:
        import gc

        gc.collect()
