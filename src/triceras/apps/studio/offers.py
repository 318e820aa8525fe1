"""The recipes as the page offers them, and what the page sends back as options of `triceras train`."""

from __future__ import annotations

from types import NoneType
from typing import Any, Literal, get_args, get_origin

from triceras.apps.recipes import RECIPES
from triceras.apps.recipes.images import ready_made
from triceras.apps.recipes.recipe import HINTS, Recipe
from triceras.apps.studio.guard import RequestError

MAIN = ("data", "epochs", "model", "augment", "multi_task")  # others are shown on demand
KINDS = {int: "int", float: "float", bool: "flag", str: "text"}


def listed() -> list[dict[str, Any]]:
    """Every recipe with its options, as plain data."""
    return [
        {
            "name": recipe.name,
            "summary": recipe.summary,
            "about": recipe.about,
            "options": [offered(recipe, name) for name in recipe.names()],
        }
        for recipe in RECIPES.values()
    ]


def offered(recipe: Recipe, name: str) -> dict[str, Any]:
    """One option: what it is called, which values it takes, which is usual."""
    option = get_args(HINTS[name])[1]
    kind, choices = kind_of(name)
    return {
        "name": name,
        "label": name.replace("_", " ").capitalize().replace("Lr", "Learning rate"),
        "kind": "path" if option.metavar == "PATH" else "choice" if choices else KINDS[kind],
        "choices": list(choices),
        "usual": getattr(recipe.settings, name),
        "help": option.help,
        "main": name in MAIN,
    }


def kind_of(name: str) -> tuple[type, tuple[str, ...]]:
    """The type of an option, and the values that it takes if they are few."""
    kind = get_args(HINTS[name])[0]
    if get_origin(kind) is Literal:
        return str, get_args(kind)
    kind = next((k for k in get_args(kind) if k is not NoneType), kind)
    return kind, ("small", *sorted(ready_made())) if name == "model" else ()


def arguments(recipe: str, options: dict[str, Any]) -> list[str]:
    """Options of the command line; each is one word, so that no value can pass for another option.

    Raises:
        RequestError: there is no such recipe, or a value isn't of the option's type.
        ArgumentError: the recipe can't use a value.

    >>> arguments("mnist-mlp", {"epochs": "3", "augment": False})
    ['--epochs=3', '--no-augment']
    """
    if recipe not in RECIPES:
        raise RequestError(404, f"There is no recipe {recipe!r}.")
    values = {name: converted(RECIPES[recipe], name, value) for name, value in options.items()}
    RECIPES[recipe].told(values)
    words = []
    for name, value in values.items():
        flag = name.replace("_", "-")
        words.append(f"--{'' if value else 'no-'}{flag}" if isinstance(value, bool) else f"--{flag}={value}")
    return words


def converted(recipe: Recipe, name: str, value: Any) -> Any:
    """A value from the page, text or a truth value, in the type of its option."""
    if name not in recipe.names():
        raise RequestError(400, f"{recipe.name} has no option {name!r}.")
    kind, _ = kind_of(name)
    if isinstance(value, bool) or kind is bool:
        if not isinstance(value, bool) or kind is not bool:
            raise RequestError(
                400, f"The option {name!r} takes {'yes or no' if kind is bool else 'a value'}."
            )
        return value
    try:
        return kind(str(value))
    except ValueError:
        what = {int: "a whole number", float: "a number"}[kind]
        raise RequestError(
            400, f"{name.replace('_', ' ').capitalize()} must be {what}. Received: {value!r}"
        ) from None
