"""The `triceras` command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

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


@app.command(short_help="Train a network to read handwritten digits.")
def demo(
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Passes over the data.", show_default="5 on MNIST, 20 on digits"
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Images a training step.")] = 32,
    lr: Annotated[
        float | None,
        typer.Option(metavar="RATE", help="Step size of SGD.", show_default="0.01 on MNIST, 0.1 on digits"),
    ] = None,
    data: Annotated[
        str,
        typer.Option(
            metavar="auto|mnist|digits",
            help="MNIST, or the 1,797 smaller digits inside scikit-learn, which need no download; "
            "auto takes MNIST where it can be had.",
        ),
    ] = "auto",
    engine: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Engine to train on.", show_default="the first one installed"),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Decides weights, order of images and dropout.")
    ] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where results go.", show_default="runs/demo-N")
    ] = None,
) -> None:
    """Train a convolutional network to read handwritten digits, and see what it learned.

    Writes the model, the history of its training, learning curves and its most doubtful answers into one
    folder.
    """
    from triceras.apps.demo import run

    try:
        run(epochs, batch_size, lr, data, engine, seed, out)
    except KeyboardInterrupt:
        typer.echo("\nStopped. Results are written only when the training is done.", err=True)
        raise typer.Exit(130) from None


@app.command()
def summary(
    model: Annotated[Path, typer.Argument(metavar="FILE", help="A saved model, such as model.keras.")],
    expand: Annotated[bool, typer.Option("--expand", help="Also show the layers of models inside.")] = False,
) -> None:
    """Show the layers of a saved model with their shapes and sizes."""
    import triceras as keras

    keras.models.load_model(model, compile=False).summary(expand_nested=expand)


def main() -> None:
    """Run the command; mistakes of use are told in words, not as a traceback."""
    try:
        app(prog_name="triceras")
    except (TricerasError, OSError) as error:
        typer.secho(f"Error: {error}", fg="red", err=True)
        sys.exit(1)
