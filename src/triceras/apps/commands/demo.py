"""`triceras demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


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

    This is `triceras train mnist-cnn` with fewer epochs: it writes the network, the history of its training,
    learning curves, a report and its worst mistakes into one folder.
    """
    from triceras.apps.demo import run

    try:
        run(epochs, batch_size, lr, data, engine, seed, out)
    except KeyboardInterrupt:
        typer.echo("\nStopped. Go on with: triceras train mnist-cnn --resume --out FOLDER", err=True)
        raise typer.Exit(130) from None
