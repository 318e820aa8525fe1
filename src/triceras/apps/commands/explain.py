"""`triceras explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from triceras.apps.commands.using import CLASSES, ENGINE, MODEL, SCALE, SIZE, opened


def explain(
    model: MODEL,
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A picture.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where the pictures go.", show_default="IMAGE-explained"),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Layer that Grad-CAM looks at.",
            show_default="the end of the last convolutions",
        ),
    ] = None,
    class_name: Annotated[
        str | None,
        typer.Option("--class", metavar="NAME", help="Class to explain.", show_default="the predicted one"),
    ] = None,
    engine: ENGINE = None,
    classes: CLASSES = None,
    scale: SCALE = None,
    image_size: SIZE = None,
) -> None:
    """Show why a trained image classifier says what it says of a picture.

    Writes gradcam.png (where it saw what speaks for the class), saliency.png (which pixels change the score
    most) and a picture of the feature maps of each convolution.
    """
    from triceras.apps.explaining import run

    run(opened(model, engine, classes, scale, image_size), image, out, layer, class_name)
