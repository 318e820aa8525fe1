"""`triceras demo`: the report's network, on MNIST or, where that isn't to be had, on smaller digits."""

from __future__ import annotations

from pathlib import Path

import triceras as keras
from triceras.apps import training
from triceras.apps.recipes import RECIPES
from triceras.core.errors import ArgumentError, DataUnavailableError, shown

USUAL = {"mnist": {"epochs": 5}, "digits": {"data": "digits", "epochs": 20, "lr": 0.1}}


def run(
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    data: str = "auto",
    engine: str | None = None,
    seed: int = 0,
    out: Path | None = None,
) -> Path:
    """Train, test and write the results.

    Args:
        epochs: passes over the data; None takes what suits the data, as for the next two.
        batch_size: images a step.
        learning_rate: of SGD.
        data: "auto", "mnist" or "digits".
        engine: name of the engine to train on; None leaves it.
        seed: of weights, order and dropout.
        out: folder for the results; None takes the next free one.

    Returns:
        The folder.
    """
    from rich.console import Console

    if data not in ("auto", "mnist", "digits"):
        raise ArgumentError(f"--data must be auto, mnist or digits. Received: {shown(data)}")
    training.check(out)
    if engine:
        keras.use_engine(engine)
    if data == "auto":
        try:
            keras.datasets.mnist.load_data()
            data = "mnist"
        except DataUnavailableError as error:
            console = Console(highlight=False, soft_wrap=True)
            console.print("MNIST isn't here, so this trains on 1,797 smaller digits instead.", style="yellow")
            console.print(f"{error}\n", style="dim", markup=False)
            data = "digits"
    given = {"epochs": epochs, "batch_size": batch_size, "lr": learning_rate, "engine": engine, "seed": seed}
    chosen = {name: value for name, value in given.items() if value is not None}
    return training.run(RECIPES["mnist-cnn"], USUAL[data] | chosen, out, label="demo")
