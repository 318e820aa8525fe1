"""Nested structures (lists, tuples, dicts, named tuples) of anything, over optree. None is a leaf."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optree

from triceras.core.errors import ArgumentError, ArgumentTypeError
from triceras.core.registry import export

_SPACE = "triceras"
_OPTIONS = {"none_is_leaf": True, "namespace": _SPACE}


class _MapToNone:
    def __repr__(self) -> str:
        return "MAP_TO_NONE"


MAP_TO_NONE = _MapToNone()
export("tree.MAP_TO_NONE")(MAP_TO_NONE)


@export("tree.is_nested")
def is_nested(structure: Any) -> bool:
    """Whether a value is a container rather than a leaf.

    >>> is_nested([1, 2]), is_nested(3)
    (True, False)
    """
    return not optree.tree_is_leaf(structure, **_OPTIONS)


@export("tree.flatten")
def flatten(structure: Any) -> list[Any]:
    """All leaves in order; dicts by sorted key.

    >>> flatten({"b": 1, "a": [2, 3]})
    [2, 3, 1]
    """
    return optree.tree_leaves(structure, **_OPTIONS)


def split(structure: Any) -> tuple[list[Any], Any]:
    """The leaves, and what is needed to `join` them again (it can be hashed and compared)."""
    return optree.tree_flatten(structure, **_OPTIONS)


def join(skeleton: Any, leaves: Any) -> Any:
    """The structure with that skeleton around leaves."""
    return optree.tree_unflatten(skeleton, leaves)


@export("tree.flatten_with_path")
def flatten_with_path(structure: Any) -> list[tuple[tuple[Any, ...], Any]]:
    """All leaves with their paths.

    >>> flatten_with_path({"a": [5]})
    [(('a', 0), 5)]
    """
    paths, leaves, _ = optree.tree_flatten_with_path(structure, **_OPTIONS)
    return list(zip(paths, leaves, strict=True))


@export("tree.map_structure")
def map_structure(func: Callable[..., Any], *structures: Any, none_is_leaf: bool = True) -> Any:
    """Apply a function to the matching leaves of one or more structures.

    >>> map_structure(lambda x, y: x + y, [1, 2], [10, 20])
    [11, 22]
    """
    if not callable(func):
        raise ArgumentTypeError(f"map_structure() takes a function first. Received: {func!r}")
    if not structures:
        raise ArgumentError("map_structure() needs at least one structure.")
    if len(structures) > 1:
        for other in structures[1:]:
            assert_same_structure(structures[0], other)
    return optree.tree_map(func, *structures, none_is_leaf=none_is_leaf, namespace=_SPACE)


@export("tree.map_structure_up_to")
def map_structure_up_to(shallow_structure: Any, func: Callable[..., Any], *structures: Any) -> Any:
    """Apply a function at the leaves of the shallow structure; the others may go deeper.

    >>> map_structure_up_to([0, 0], len, [[1, 2], [3]])
    [2, 1]
    """
    definition = optree.tree_structure(shallow_structure, **_OPTIONS)
    try:
        columns = [definition.flatten_up_to(s) for s in structures]
    except ValueError as error:
        raise ArgumentError(f"The structures differ: {error}") from error
    return definition.unflatten([func(*leaves) for leaves in zip(*columns, strict=True)])


@export("tree.assert_same_structure")
def assert_same_structure(a: Any, b: Any, check_types: bool | None = None) -> None:
    """Raise `ArgumentError` unless two structures nest alike; with `check_types=False`, lists may match tuples."""
    if check_types is False:
        a, b = lists_to_tuples(a), lists_to_tuples(b)
    first, second = optree.tree_structure(a, **_OPTIONS), optree.tree_structure(b, **_OPTIONS)
    if first != second:
        raise ArgumentError(f"The two structures differ.\nFirst: {first}\nSecond: {second}")


@export("tree.assert_same_paths")
def assert_same_paths(a: Any, b: Any) -> None:
    """Raise `ArgumentError` unless two structures have leaves at the same paths."""
    first = {path for path, _ in flatten_with_path(a)}
    second = {path for path, _ in flatten_with_path(b)}
    if first != second:
        raise ArgumentError(
            f"The two structures have leaves at different paths. "
            f"Only in the first: {sorted(map(str, first - second))}. "
            f"Only in the second: {sorted(map(str, second - first))}."
        )


@export("tree.pack_sequence_as")
def pack_sequence_as(structure: Any, flat_sequence: Any) -> Any:
    """Nest a flat sequence as another structure is nested.

    >>> pack_sequence_as({"a": 0, "b": [0]}, [1, 2])
    {'a': 1, 'b': [2]}
    """
    if not isinstance(flat_sequence, (list, tuple)):
        raise ArgumentTypeError(f"`flat_sequence` must be a list or tuple. Received: {flat_sequence!r}")
    definition = optree.tree_structure(structure, **_OPTIONS)
    if definition.num_leaves != len(flat_sequence):
        raise ArgumentError(
            f"The structure has {definition.num_leaves} leaves, but `flat_sequence` has {len(flat_sequence)} entries."
        )
    return definition.unflatten(flat_sequence)


@export("tree.lists_to_tuples")
def lists_to_tuples(structure: Any) -> Any:
    """The same structure with tuples for lists.

    >>> lists_to_tuples([1, [2]])
    (1, (2,))
    """
    return traverse(
        lambda s: tuple(lists_to_tuples(e) for e in s) if isinstance(s, list) else None, structure
    )


def _is_shape(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(e is None or isinstance(e, int) for e in value)


@export("tree.map_shape_structure")
def map_shape_structure(func: Callable[[Any], Any], structure: Any) -> Any:
    """Apply a function to every shape (a tuple or list of integers and None) in a structure.

    >>> map_shape_structure(len, {"a": (None, 3), "b": (2,)})
    {'a': 2, 'b': 1}
    """
    return optree.tree_map(func, structure, is_leaf=_is_shape, **_OPTIONS)


@export("tree.traverse")
def traverse(func: Callable[[Any], Any], structure: Any, top_down: bool = True) -> Any:
    """Visit every node; what `func` returns replaces the node, None keeps it, MAP_TO_NONE puts None there."""

    def visit(node: Any) -> Any:
        if top_down:
            new = func(node)
            if new is not None:
                return None if new is MAP_TO_NONE else new
        if is_nested(node):
            children, definition = optree.tree_flatten(node, is_leaf=lambda n: n is not node, **_OPTIONS)
            node = definition.unflatten([visit(child) for child in children])
        if not top_down:
            new = func(node)
            if new is not None:
                return None if new is MAP_TO_NONE else new
        return node

    return visit(structure)
