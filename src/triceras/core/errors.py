"""Every error that Triceras raises on purpose.

Each says where (layer path or argument), what was expected, what was received and what to do, and each is a subclass of
the built-in type that users already catch.
"""

from __future__ import annotations


class TricerasError(Exception):
    """Base of all errors raised on purpose."""


class ArgumentError(TricerasError, ValueError):
    """An argument has a value that can't be used."""


class ArgumentTypeError(TricerasError, TypeError):
    """An argument has a type that can't be used."""


class ShapeError(ArgumentError):
    """A tensor has a shape that doesn't fit."""


class SymbolicValueError(ArgumentTypeError):
    """The value of a symbolic tensor was asked for; it has only a shape and a dtype."""


class StateError(TricerasError, RuntimeError):
    """Something was used before it was built or compiled, or after it was deleted."""


class NotFoundError(ArgumentError):
    """A name (layer, loss, engine ...) is unknown."""


class EngineError(TricerasError, RuntimeError):
    """An engine can't do what was asked."""


class EngineMissingError(EngineError, ImportError):
    """The library behind an engine isn't installed."""


class OptionalDependencyError(TricerasError, ImportError):
    """A library that only one feature needs isn't installed."""


class FileFormatError(ArgumentError):
    """A file isn't what it should be: truncated, corrupt, of another kind, or unsafe."""


class DataUnavailableError(TricerasError, OSError):
    """A data set is neither on disk nor to be had from the network."""


def require(module: str, extra: str, purpose: str):
    """Import an optional library or say what to install.

    Raises:
        OptionalDependencyError: naming the purpose and the pip command.
    """
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise OptionalDependencyError(
            f"{purpose} needs the library `{module.partition('.')[0]}`, which isn't installed. "
            f'Install it with: pip install "triceras[{extra}]"'
        ) from error


def shown(value: object, limit: int = 200) -> str:
    """A value's repr, cut to one line of readable length, for use in messages."""
    text = " ".join(repr(value).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
