"""The `triceras` command."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from triceras.apps.commands.demo import demo
from triceras.apps.commands.draw import draw
from triceras.apps.commands.evaluate import evaluate
from triceras.apps.commands.explain import explain
from triceras.apps.commands.predict import predict
from triceras.apps.commands.studio import studio
from triceras.apps.commands.summary import summary
from triceras.apps.commands.train import app as train
from triceras.core.errors import TricerasError
from triceras.version import __version__


class Commands(TyperGroup):
    """In the order in which they are met, not with the group last."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(self.commands, key=lambda name: name not in ("demo", "train"))


app = typer.Typer(
    cls=Commands,
    help="Train, look at and use deep-learning models.",
    epilog="Options of a command: triceras COMMAND --help",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"triceras {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


app.command(short_help="Train a network to read handwritten digits.")(demo)
app.add_typer(train)
app.command()(predict)
app.command(short_help="Test a trained classifier on pictures of known classes.")(evaluate)
app.command(short_help="Show why a trained classifier says what it says.")(explain)
app.command(short_help="Show the layers of a saved model.")(summary)
app.command()(draw)
app.command(short_help="Open a page to draw, train, and look inside networks.")(studio)


def main() -> None:
    """Run the command; mistakes of use and warnings are told in words, not in lines of code."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: _tell(f"Warning: {message}", "yellow")
        try:
            app(prog_name="triceras")
        except (TricerasError, OSError) as error:
            _tell(f"Error: {error}", "red")
            sys.exit(1)


def _tell(text: str, color: str) -> None:
    typer.secho(text, fg=None if os.environ.get("NO_COLOR") else color, err=True)
