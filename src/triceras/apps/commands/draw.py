"""`triceras draw`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def draw(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A saved model, or the folder of a run.")],
    engine: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Engine to run on.", show_default="the first one installed"),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Names of the classes, in the order of the outputs.",
            show_default="those of the run, else digits or numbers",
        ),
    ] = None,
) -> None:
    """Draw a digit with the mouse and let a network read it.

    Opens a window. Enter reads what is drawn, and shows the digit, the probabilities and what the network
    saw; C clears; Esc leaves. Each reading is also printed.
    """
    from triceras.apps.classifier import Classifier
    from triceras.apps.draw import check_screen, run

    check_screen()  # before the model is loaded
    names = [name.strip() for name in classes.split(",")] if classes else None
    run(Classifier.open(model, engine=engine, classes=names), f"triceras draw {model.name}", typer.echo)
