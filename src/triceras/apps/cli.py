"""The `triceras` command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from triceras.core.errors import TricerasError
from triceras.version import __version__

app = typer.Typer(
    name="triceras",
    help="Triceras: train, look at and use deep-learning models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
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
    """Options of the command itself."""


@app.command()
def demo(
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the data. [default: 5 on MNIST, 60 on digits]")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a training step.")] = 32,
    lr: Annotated[float, typer.Option(help="Learning rate of SGD.")] = 0.01,
    data: Annotated[str, typer.Option(help="auto, mnist or digits (1,797 small digits, no download).")] = "auto",
    engine: Annotated[str | None, typer.Option(help="Engine to train on. [default: the first one installed]")] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights, order and dropout.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for the results. [default: runs/demo-N]")] = None,
) -> None:
    """Train a convolutional network to read handwritten digits, and look at what it learned."""
    from triceras.apps.demo import run

    run(epochs=epochs, batch_size=batch_size, learning_rate=lr, data=data, engine=engine, seed=seed, out=out)


@app.command()
def summary(
    model: Annotated[Path, typer.Argument(help="A .keras file.")],
    expand: Annotated[bool, typer.Option(help="Also show the layers of models inside.")] = False,
) -> None:
    """Show the layers of a saved model with their shapes and sizes."""
    import triceras as keras

    keras.models.load_model(model, compile=False).summary(expand_nested=expand)


def main() -> None:
    """Run the command; mistakes of use are told in a line, not as a traceback."""
    try:
        app()
    except TricerasError as error:
        typer.secho(f"Error: {error}", fg="red", err=True)
        sys.exit(1)
