"""Public names. `@export` says where an object stands in the public API; `publish` makes modules show exactly that.

The same table answers what a name in a saved file stands for: the reference writes `module` and `class_name`, and both
are public paths or old internal ones given with `saved=`.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, TypeVar

T = TypeVar("T")

ROOT = "triceras"
_public: dict[str, dict[str, Any]] = {}
_first_path: dict[Any, str] = {}
_homes: dict[str, tuple[str, ...]] = {}
_saved: dict[str, Any] = {}


def export(*paths: str, saved: str | None = None) -> Callable[[T], T]:
    """Give an object its public paths, such as `"layers.Dense"`; the first one is its canonical name.

    What isn't public has the path that saved files give it, such as `"src.models.functional.Functional"`.

    >>> @export("layers.Mine")
    ... class Mine: ...
    >>> lookup("layers.Mine") is Mine
    True
    """

    def record(target: T) -> T:
        for path in paths:
            namespace, _, name = path.rpartition(".")
            _public.setdefault(namespace, {})[name] = target
        if saved is not None:
            _saved[saved] = target
        for path in (*paths, saved):
            if path is not None:
                _first_path.setdefault(target, path)
        return target

    return record


def path_of(target: Any) -> str | None:
    """The canonical public path of an exported object, or None."""
    try:
        return _first_path.get(target)
    except TypeError:
        return None


def lookup(path: str) -> Any:
    """The object at a public path such as `"layers.Dense"`, or None. Loads the namespace if needed."""
    namespace, _, name = path.rpartition(".")
    if namespace.startswith("src."):
        load(namespace.split(".")[1])
        return _saved.get(path)
    found = _public.get(namespace, {}).get(name)
    for home in _homes.get(namespace, ()):
        if found is not None:
            break
        importlib.import_module(home)
        found = _public.get(namespace, {}).get(name)
    return found


def names(namespace: str) -> list[str]:
    """The public names of a namespace, sorted."""
    load(namespace)
    return sorted(_public.get(namespace, ()))


def load(namespace: str) -> None:
    """Import the modules that define a namespace's names."""
    known: tuple[str, ...] = ()
    while known != (known := _homes.get(namespace, ())):  # a package may say only now where its names are
        for home in known:
            importlib.import_module(home)


class PublicModule(ModuleType):
    """A module that shows its public names and nothing else, each resolved on first use."""

    def __getattr__(self, name: str) -> Any:
        namespace = self.__name__[len(ROOT) + 1 :]
        if not name.startswith("_"):
            path = f"{namespace}.{name}" if namespace else name
            found = importlib.import_module(f"{ROOT}.{path}") if path in _homes else lookup(path)
            if found is not None:
                setattr(self, name, found)
                return found
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        namespace = self.__name__[len(ROOT) + 1 :]
        prefix = namespace + "." if namespace else ""
        children = {
            n[len(prefix) :].split(".")[0]
            for n in {*_homes, *_public}
            if n.startswith(prefix) and n != namespace
        }
        return sorted({*names(namespace), *children} - {""})

    @property
    def __all__(self) -> list[str]:
        return dir(self)


def publish(homes: dict[str, Iterable[str]]) -> None:
    """Make public modules of namespaces; `homes` gives the modules that define each namespace's names.

    A namespace that is a real module keeps its contents and gets the public view; others become modules of their own.
    """
    for namespace, modules in homes.items():
        _homes[namespace] = tuple(modules)
        full = f"{ROOT}.{namespace}" if namespace else ROOT
        module = sys.modules.get(full)
        if module is None:
            if full in _homes[namespace]:  # a real module, not imported yet
                continue
            sys.modules[full] = module = PublicModule(full, f"Public names of `{full}`.")
            module.__path__ = []  # type: ignore[attr-defined]
        else:
            module.__class__ = PublicModule
