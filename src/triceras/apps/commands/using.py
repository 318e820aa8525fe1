"""What the commands that use a classifier have in common."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triceras.core.errors import ArgumentError

if TYPE_CHECKING:
    from triceras.apps.classifier import Classifier

MODEL = Annotated[Path, typer.Argument(metavar="MODEL", help="A saved model, or the folder of a run.")]
ENGINE = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Engine to run on.", show_default="the first one installed"),
]
CLASSES = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,...",
        help="Names of the classes, in the order of the outputs.",
        show_default="those of the run, else digits or numbers",
    ),
]
SCALE = Annotated[
    str | None,
    typer.Option(
        metavar="0..255|0..1|-1..1",
        help="The range of pixels that the model was trained on.",
        show_default="0..255 if the model scales by itself, else 0..1",
    ),
]
SIZE = Annotated[
    str | None,
    typer.Option(
        metavar="N|HxW",
        help="Pixels of the pictures, for a model that takes any.",
        show_default="the run's, else 224",
    ),
]


def opened(
    model: Path,
    engine: str | None = None,
    classes: str | None = None,
    scale: str | None = None,
    size: str | None = None,
) -> Classifier:
    """The classifier that such options ask for."""
    from triceras.apps.classifier import Classifier

    names = [name.strip() for name in classes.split(",")] if classes else None
    found = re.fullmatch(r"(\d{1,5})(?:[x,](\d{1,5}))?", size) if size else None
    if size and (found is None or "0" in found.groups()):
        raise ArgumentError(
            f"--image-size must be a number of pixels, or HxW such as 96x128. Received: {size!r}"
        )
    sizes = (int(found[1]), int(found[2] or found[1])) if found else None
    return Classifier.open(model, engine=engine, classes=names, scale=scale, image_size=sizes)
