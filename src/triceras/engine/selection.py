"""Which engine runs: the first engine tensor among the arguments decides, else the active engine."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from triceras.core import config
from triceras.core.errors import EngineMissingError, NotFoundError
from triceras.core.registry import export
from triceras.core.scope import Local
from triceras.engine.contract import Engine
from triceras.engine.memory import keep_freed

PREFERENCE = ("jax", "torch", "tensorflow", "numpy")
MODULES = {name: f"triceras.engine.on_{name}" for name in PREFERENCE}
LIBRARIES = {name: name for name in PREFERENCE}

_loaded: dict[str, Engine] = {}
_by_type: dict[type, Engine | None] = {}
_holders: list[type] = []  # our classes that stand for tensors
_lock = threading.RLock()
_default: Engine | None = None
_active: Local[Engine | None] = Local("engine", None)
# the device of the innermost block; None for the engine's default
placement: Local[str | None] = Local("device", None)


def installed(name: str) -> bool:
    """Whether an engine's library can be imported; nothing is imported to find out."""
    return name in MODULES and importlib.util.find_spec(LIBRARIES[name]) is not None


def is_loaded(name: str) -> bool:
    """Whether an engine is in use in this process."""
    return name in _loaded


def get(name: str) -> Engine:
    """The engine of that name, loaded on first use.

    Raises:
        NotFoundError: for an unknown name.
        EngineMissingError: when its library isn't installed; says what to install.
    """
    engine = _loaded.get(name)
    if engine is None:
        if name not in MODULES:
            raise NotFoundError(f"Unknown engine {name!r}. Engines are: {', '.join(MODULES)}.")
        if not installed(name):
            raise EngineMissingError(
                f"The engine {name!r} needs the library `{LIBRARIES[name]}`, which isn't installed. "
                f'Install it with: pip install "triceras[{name}]"'
            )
        with _lock:
            if name not in _loaded:
                if not _loaded:
                    keep_freed()
                engine = _loaded[name] = importlib.import_module(MODULES[name]).ENGINE
                _by_type.clear()
                for kind in _holders:
                    engine.welcome(kind)
        engine = _loaded[name]
    return engine


# TensorFlow's AutoGraph, which may stand behind a layer's first call, runs it as it is
get.autograph_info__ = None


def introduce(kind: type) -> None:
    """Make the functions of all engines' libraries take objects of a class, which has `__triceras_tensor__`."""
    with _lock:
        _holders.append(kind)
        for engine in _loaded.values():
            engine.welcome(kind)


def current() -> Engine:
    """The active engine: of the innermost `with use_engine(...)`, else the process's default."""
    return _active.get() or _default or _choose_default()


def chosen() -> Engine | None:
    """The active engine, or None while nothing needed one."""
    return _active.get() or _default


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
        name: "jax", "torch", "tensorflow" or "numpy".

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


def running(engine: Engine, device: str | None = None) -> Any:
    """A `with` block in which an engine is active, whatever the process's default, perhaps on a certain device.

    Raises:
        NotFoundError: the engine has no such device.
    """
    device = device or placement.get()
    return _active(engine) if device is None else _placed(engine, device_name(engine, device))


@contextmanager
def _placed(engine: Engine, device: str) -> Iterator[Engine]:
    with _active(engine), placement(device), engine.on(device):
        yield engine


def device_name(engine: Engine, device: str) -> str:
    """A device's name in the form of `engine.devices()`; "gpu" is "gpu:0", and "cuda" means "gpu".

    Raises:
        NotFoundError: the engine has no such device.
    """
    kind, _, number = str(device).lower().partition(":")
    name = f"{'gpu' if kind == 'cuda' else kind}:{number or 0}"
    if name not in engine.devices():
        raise NotFoundError(
            f"The engine {engine} has no device {device!r}. Its devices are: {', '.join(engine.devices())}."
        )
    return name


@export("device")
def device(device_name: str) -> Any:
    """A `with` block in which layers keep their weights on a device, and tensors are made there.

    Args:
        device_name: such as "cpu:0" or "gpu:0".

    Raises:
        NotFoundError: the active engine has no such device; it lists those that are there.

    >>> from triceras import layers
    >>> with device("cpu:0"):
    ...     layers.Dense(2).device
    'cpu:0'
    """
    return running(current(), device_name)


@export("config.backend", "backend.backend")
def backend() -> str:
    """The name of the active engine."""
    return current().name


@export("config.set_backend")
def set_backend(backend: str) -> None:
    """Choose the active engine, as `use_engine` does. Models that exist keep theirs."""
    use_engine(backend)
