"""`triceras evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from triceras.apps.commands.using import CLASSES, ENGINE, MODEL, SCALE, SIZE, opened


def evaluate(
    model: MODEL,
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A folder of class folders (also in train, val, test), a CSV of file,label, an .npz or idx "
            "files with test pictures, or mnist, digits, fashion-mnist, cifar10.",
        ),
    ],
    part: Annotated[
        str | None,
        typer.Option(
            metavar="test|validation|train|all",
            help="Which pictures, where there are several parts.",
            show_default="test, or all where there is no such part",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Also write the report there, with its pictures."),
    ] = None,
    engine: ENGINE = None,
    classes: CLASSES = None,
    scale: SCALE = None,
    image_size: SIZE = None,
) -> None:
    """Test a trained image classifier on pictures whose classes are known.

    Shows accuracy, and precision, recall, F1 and support of each class. Classes are matched by their names.
    """
    from triceras.apps.evaluating import run

    run(opened(model, engine, classes, scale, image_size), data, part, out, as_json)
