"""`triceras summary`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def summary(
    model: Annotated[Path, typer.Argument(metavar="FILE", help="A saved model, such as model.keras.")],
    expand: Annotated[bool, typer.Option("--expand", help="Also show the layers of models inside.")] = False,
) -> None:
    """Show the layers of a saved model with their shapes and sizes."""
    import triceras as keras

    keras.models.load_model(model, compile=False).summary(expand_nested=expand)
