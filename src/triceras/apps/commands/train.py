"""`triceras train`: a command a recipe, with options made from its settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from typer.core import TyperCommand, TyperGroup

from triceras.apps.recipes import RECIPES
from triceras.apps.recipes.recipe import HINTS, Recipe

OUT = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", rich_help_panel="Results", help="Where results go. [default: runs/RECIPE-N]"
    ),
]
RESUME = Annotated[
    bool,
    typer.Option(
        "--resume", rich_help_panel="Results", help="Go on after the last finished epoch of the run in --out."
    ),
]


class Grouped(TyperCommand):
    """A command whose options stand in groups."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _write_groups(self, ctx, formatter)


class Recipes(TyperGroup):
    """The group: its recipes, and the options that all of them have."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.commands:
            ctx.fail(f"There is no recipe {cmd_name!r}. The recipes are: {', '.join(self.commands)}")
        return super().get_command(ctx, cmd_name)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return ["RECIPE", "[OPTIONS]"]

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Recipes"):
            formatter.write_dl([(name, c.get_short_help_str(90)) for name, c in self.commands.items()])
        some = next(iter(self.commands.values()))
        _write_groups(some, ctx, formatter, defaults=False)


def _write_groups(command: Any, ctx: Any, formatter: Any, defaults: bool = True) -> None:
    """The options, group by group, in columns of one width."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None:
            names, text = record
            if not defaults:
                text = text.partition(" [default")[0]
            groups.setdefault(getattr(parameter, "rich_help_panel", None) or "Help", []).append((names, text))
    width = max(len(names) for rows in groups.values() for names, _ in rows)
    for group, rows in groups.items():
        with formatter.section(group):
            formatter.write_dl([(names.ljust(width), text) for names, text in rows], col_max=width + 2)


app = typer.Typer(
    cls=Recipes,
    name="train",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog="Defaults and further options of a recipe: triceras train RECIPE --help",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


@app.callback()
def train() -> None:
    """Train a network by a recipe, test it, and see what it learned.

    Everything goes into one folder: the networks, the numbers of each epoch, learning curves, a report on
    the test pictures, the worst mistakes, and where the network looked. Ctrl+C stops cleanly, and --resume
    goes on.
    """


def command_of(recipe: Recipe) -> Callable[..., None]:
    """The function behind `triceras train RECIPE`, whose signature is made of the recipe's settings."""

    def command(out: Path | None, resume: bool, **options: Any) -> None:
        from triceras.apps.training import Stopped, run

        given = {name: value for name, value in options.items() if value is not None}
        try:
            run(recipe, given, out, resume)
        except Stopped:
            typer.echo("\nStopped. What was finished is kept; go on with --resume.", err=True)
            raise typer.Exit(130) from None

    parameters = [
        *(_parameter(recipe, name) for name in recipe.names()),
        ("out", OUT, None),
        ("resume", RESUME, False),
    ]
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)
            for name, hint, default in parameters
        ]
    )
    command.__annotations__ = {name: hint for name, hint, _ in parameters}
    command.__doc__ = f"{recipe.summary}\n\n{recipe.about}"
    return command


def _parameter(recipe: Recipe, name: str) -> tuple[str, Any, None]:
    """A setting as an option that is None if not given; its help tells the recipe's usual value."""
    kind, option = get_args(HINTS[name])
    usual = getattr(recipe.settings, name)
    option = copy(option)
    if kind is bool:
        flag, usual = name.replace("_", "-"), "yes" if usual else "no"
        option.default, option.param_decls = ..., (f"--{flag}/--no-{flag}",)
    if usual is not None:
        option.help += f" [default: {usual}]"
    option.show_default = False
    return name, Annotated[kind | None, option], None


for _recipe in RECIPES.values():
    app.command(_recipe.name, cls=Grouped, short_help=_recipe.summary)(command_of(_recipe))
