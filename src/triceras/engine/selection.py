"""Which engine runs: the first engine tensor among the arguments decides, else the active engine."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from typing import Any

from triceras.core import config
from triceras.core.errors import EngineMissingError, NotFoundError
from triceras.core.registry import export
from triceras.core.scope import Local
from triceras.engine.contract import Engine

MODULES = {"jax": "triceras.engine.on_jax", "numpy": "triceras.engine.on_numpy"}
LIBRARIES = {"jax": "jax", "numpy": "numpy"}
PREFERENCE = ("jax", "torch", "tensorflow", "numpy")

_loaded: dict[str, Engine] = {}
_by_type: dict[type, Engine | None] = {}
_lock = threading.RLock()
_default: Engine | None = None
_active: Local[Engine | None] = Local("engine", None)


def installed(name: str) -> bool:
    """Whether an engine's library can be imported; nothing is imported to find out."""
    return name in MODULES and importlib.util.find_spec(LIBRARIES[name]) is not None


def get(name: str) -> Engine:
    """The engine of that name, loaded on first use.

    Raises:
        NotFoundError: for an unknown name.
        EngineMissingError: when its library isn't installed; says what to install.
    """
    engine = _loaded.get(name)
    if engine is None:
        if name not in MODULES:
            later = " It is planned, but not part of this version yet." if name in PREFERENCE else ""
            raise NotFoundError(f"Unknown engine {name!r}.{later} Engines are: {', '.join(MODULES)}.")
        if not installed(name):
            raise EngineMissingError(
                f"The engine {name!r} needs the library `{LIBRARIES[name]}`, which isn't installed. "
                f'Install it with: pip install "triceras[{name}]"'
            )
        with _lock:
            if name not in _loaded:
                _loaded[name] = importlib.import_module(MODULES[name]).ENGINE
                _by_type.clear()
        engine = _loaded[name]
    return engine


def current() -> Engine:
    """The active engine: of the innermost `with use_engine(...)`, else the process's default."""
    return _active.get() or _default or _choose_default()


def _choose_default() -> Engine:
    global _default
    with _lock:
        if _default is None:
            wanted = config.backend_setting()
            _default = get(wanted) if wanted else get(next(n for n in PREFERENCE if installed(n)))
        return _default


def engine_of(kind: type) -> Engine | None:
    """The engine whose tensors have this type, or None for everything else (NumPy arrays included)."""
    try:
        return _by_type[kind]
    except KeyError:
        pass
    for name, library in LIBRARIES.items():
        if (
            library in sys.modules
            and name != "numpy"
            and kind.__module__.partition(".")[0].startswith(library)
        ):
            get(name)
    found = next((e for e in _loaded.values() if e.owns(kind)), None)
    _by_type[kind] = found
    return found


@export("use_engine")
class use_engine:  # noqa: N801 - reads as a statement
    """Choose the active engine, for good (as a statement) or for a block (with `with`).

    Args:
        name: "jax" or "numpy".

    >>> with use_engine("numpy"):
    ...     backend()
    'numpy'
    """

    def __init__(self, name: str) -> None:
        global _default
        self.engine = get(name)
        self._before, self._was_active = _default, _active.get()
        _active.set(self.engine)
        if threading.current_thread() is threading.main_thread():
            _default = self.engine

    def __enter__(self) -> Engine:
        return self.engine

    def __exit__(self, *exc: object) -> None:
        global _default
        _active.set(self._was_active)
        if threading.current_thread() is threading.main_thread():
            _default = self._before


def running(engine: Engine) -> Any:
    """A `with` block in which an engine is active, whatever the process's default."""
    return _active(engine)


@export("config.backend", "backend.backend")
def backend() -> str:
    """The name of the active engine."""
    return current().name


@export("config.set_backend")
def set_backend(backend: str) -> None:
    """Choose the active engine, as `use_engine` does. Models that exist keep theirs."""
    use_engine(backend)
