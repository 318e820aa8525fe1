"""The `triceras` command."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

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

app = typer.Typer(
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
app.command()(evaluate)
app.command()(summary)
app.command()(predict)
app.command()(explain)
app.command()(draw)
app.command()(studio)


def main() -> None:
    """Run the command; mistakes of use are told in words, not as a traceback."""
    try:
        app(prog_name="triceras")
    except (TricerasError, OSError) as error:
        typer.secho(f"Error: {error}", fg="red", err=True)
        sys.exit(1)
