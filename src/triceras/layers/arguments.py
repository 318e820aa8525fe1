"""Checks of constructor arguments; each returns the final form or says what was expected and received."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

from triceras.core.errors import ArgumentError, ArgumentTypeError, shown

UNAVAILABLE = "isn't available yet. Leave it out; all weights are then trained as they are."


def count(owner: Any, name: str, value: Any, least: int = 1) -> int:
    """An integer from `least` on."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < least:
        kind = "a positive integer" if least == 1 else f"an integer from {least} on"
        raise _error(number, f"{_label(owner)}: `{name}` must be {kind}. Received: {shown(value)}")
    return number


def counts(owner: Any, name: str, value: Any, rank: int, least: int = 1) -> tuple[int, ...]:
    """One integer for each of `rank` axes, given as one for all or one each."""
    items = tuple(value) if isinstance(value, (list, tuple)) else (value,) * rank
    try:
        if len(items) == rank:
            return tuple(count(owner, name, item, least) for item in items)
    except ArgumentError:
        pass
    kind = "positive integers" if least == 1 else f"integers from {least} on"
    raise ArgumentError(
        f"{_label(owner)}: `{name}` must be one integer or {rank} {kind}. Received: {shown(value)}"
    )


def number(
    owner: Any,
    name: str,
    value: Any,
    least: float = -math.inf,
    most: float = math.inf,
    above: float = -math.inf,
) -> Any:
    """A real number within limits; it is returned as it was given."""
    try:
        if not isinstance(value, bool) and least <= value <= most and value > above:
            return value
        failed: Any = value
    except TypeError:
        failed = None
    limits = [f"from {least:g}"] * (least > -math.inf) + [f"above {above:g}"] * (above > -math.inf)
    limits += [f"{'to' if limits else 'up to'} {most:g}"] * (most < math.inf)
    raise _error(
        failed, f"{_label(owner)}: `{name}` must be a number {' '.join(limits)}. Received: {shown(value)}"
    )


def choice(owner: Any, name: str, value: Any, allowed: Sequence[str]) -> str:
    """One of some words, in lower case."""
    found = value.lower() if isinstance(value, str) else value
    if found not in allowed:
        raise ArgumentError(
            f"{_label(owner)}: `{name}` must be one of {tuple(allowed)}. Received: {shown(value)}"
        )
    return found


def axes(owner: Any, name: str, value: Any) -> list[int]:
    """One axis number or several, as a list."""
    try:
        return [operator.index(axis) for axis in (value if isinstance(value, (list, tuple)) else (value,))]
    except TypeError:
        raise ArgumentTypeError(
            f"{_label(owner)}: `{name}` must be an axis number or a list of them. Received: {shown(value)}"
        ) from None


def pairs(owner: Any, name: str, value: Any, rank: int) -> tuple[tuple[int, int], ...]:
    """Cells before and after each axis: from one number, one for each axis, or a pair for each axis."""
    items = tuple(value) if isinstance(value, (list, tuple)) else (value,) * rank
    if len(items) != rank:
        raise ArgumentError(
            f"{_label(owner)}: `{name}` must be one number, {rank} numbers or {rank} pairs. Received: "
            f"{shown(value)}"
        )
    return tuple(counts(owner, name, item, 2, least=0) for item in items)  # type: ignore[misc]


def unavailable(owner: Any, **given: Any) -> None:
    """Refuse arguments that have no effect yet, unless they are None."""
    for name, value in given.items():
        if value is not None:
            raise ArgumentError(f"{_label(owner)}: `{name}` {UNAVAILABLE} Received: {shown(value)}")


def _label(owner: Any) -> str:
    return f"{type(owner).__name__}()"


def _error(value: Any, message: str) -> Exception:
    return (ArgumentTypeError if value is None else ArgumentError)(message)
