"""`triceras predict`."""

from __future__ import annotations

from typing import Annotated

import typer

from triceras.apps.commands.using import CLASSES, ENGINE, MODEL, SCALE, SIZE, opened


def predict(
    model: MODEL,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE",
            help='Pictures, folders of pictures, patterns like "*.png", or - for standard input.',
        ),
    ],
    top: Annotated[int, typer.Option(min=1, metavar="K", help="Classes to show, the likeliest first.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    engine: ENGINE = None,
    classes: CLASSES = None,
    scale: SCALE = None,
    image_size: SIZE = None,
) -> None:
    """Let a trained image classifier say what pictures show.

    What can't be read is named, the rest is predicted all the same, and the exit status is 1.
    """
    from triceras.apps.predicting import run

    if not run(opened(model, engine, classes, scale, image_size), images, top, as_json):
        raise typer.Exit(1)
