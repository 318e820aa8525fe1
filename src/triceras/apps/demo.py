"""`triceras demo`: the report's convolutional network, trained on handwritten digits and looked at."""

from __future__ import annotations

import csv
import itertools
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import triceras as keras
from triceras.apps import pictures
from triceras.core.errors import ArgumentError, DataUnavailableError, require, shown

if TYPE_CHECKING:
    from rich.console import Console

DIGITS = [str(digit) for digit in range(10)]
USUAL = {"mnist": {"epochs": 5, "learning_rate": 0.01}, "digits": {"epochs": 20, "learning_rate": 0.1}}
TITLES = {"mnist": "MNIST", "digits": "Digits of scikit-learn"}

Split = tuple[np.ndarray, np.ndarray]


def build_model(learning_rate: float) -> Any:
    """The network of the report: two stages of convolution and pooling, then two dense layers.

    Input is (batch, 28, 28, 1) with values from 0 to 1, output the probabilities of the ten digits.
    """
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input(shape=(28, 28, 1)),
            layers.Conv2D(32, (3, 3), padding="same", activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), padding="same", activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ],
        name="digit_reader",
    )
    model.compile(
        optimizer=keras.optimizers.SGD(learning_rate), loss="categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def load_images(data: str, console: Console) -> tuple[str, tuple[Split, Split]]:
    """MNIST where it can be had, else the digits inside scikit-learn; says which."""
    if data != "digits":
        try:
            return "mnist", keras.datasets.mnist.load_data()
        except DataUnavailableError as error:
            if data == "mnist":
                raise
            console.print("MNIST isn't here, so this trains on 1,797 smaller digits instead.", style="yellow")
            console.print(str(error), style="dim", markup=False, soft_wrap=True)
            console.print()
    return "digits", keras.datasets.digits.load_data()


@contextmanager
def results_folder(out: Path | None) -> Iterator[Path]:
    """The folder asked for, else the first free `runs/demo-N`; gone again if nothing was written into it."""
    if out is None:
        numbered = (Path("runs", f"demo-{number}") for number in itertools.count(1))
        out = next(path for path in numbered if not path.exists())
    existed = out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentError(f"--out: the folder {str(out)!r} can't be made: {error.strerror}.") from error
    try:
        yield out
    finally:
        with suppress(OSError):  # it isn't empty
            if not existed:
                out.rmdir()


def run(
    epochs: int | None = None,
    batch_size: int = 32,
    learning_rate: float | None = None,
    data: str = "auto",
    engine: str | None = None,
    seed: int = 0,
    out: Path | None = None,
) -> Path:
    """Train, test and write the results.

    Args:
        epochs: passes over the data; None takes what suits the data.
        batch_size: images a step.
        learning_rate: of SGD; None takes what suits the data.
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
    require("matplotlib", "plot", "The demo's pictures")  # said now, not after the training
    if engine:
        keras.use_engine(engine)
    keras.utils.set_random_seed(seed)
    console = Console(highlight=False)
    with results_folder(out) as folder:
        name, (train, test) = load_images(data, console)
        epochs = USUAL[name]["epochs"] if epochs is None else epochs
        rate = USUAL[name]["learning_rate"] if learning_rate is None else learning_rate
        model = build_model(rate)
        sizes = f"{len(train[0]):,} images to train on, {len(test[0]):,} to test on"
        console.print(f"[bold]{TITLES[name]}[/]: {sizes}")
        console.print(
            f"[bold]Training[/]: {counted(epochs)} of SGD({rate:g}) in batches of {batch_size}, "
            f"on {keras.config.backend()}\n"
        )
        model.summary()
        console.print()
        history, probabilities = train_and_test(model, train, test, epochs, batch_size, console)
        model.save(folder / "model.keras")
        write_history(folder / "history.csv", history)
        pictures.learning_curves(history, folder / "curves.png")
        pictures.contact_sheet(*test, probabilities, DIGITS, folder / "predictions.png")
    show_results(console, folder, epochs)
    return folder


def train_and_test(
    model: Any, train: Split, test: Split, epochs: int, batch_size: int, console: Console
) -> tuple[dict[str, list[float]], np.ndarray]:
    """The history of the training and the probabilities (n, 10) predicted for the test images."""
    (x_train, y_train), (x_test, y_test) = prepared(*train), prepared(*test)
    began = time.perf_counter()
    fitted = model.fit(x_train, y_train, batch_size, epochs, validation_data=(x_test, y_test))
    seconds = time.perf_counter() - began
    probabilities = model.predict(x_test, batch_size=256, verbose=0)
    predicted = probabilities.argmax(axis=1)
    show_confusion(console, test[1], predicted)
    console.print(
        f"[bold green]Test accuracy {(predicted == test[1]).mean():.2%}[/] after {counted(epochs)} "
        f"in {seconds:.0f} s ({seconds / epochs:.1f} s each)\n"
    )
    return fitted.history, probabilities


def prepared(images: np.ndarray, labels: np.ndarray) -> Split:
    """Bytes (n, 28, 28) and digits (n,) as the network takes them."""
    return images[..., None].astype("float32") / 255, keras.utils.to_categorical(labels, 10)


def counted(epochs: int) -> str:
    return f"{epochs} epoch{'s'[: epochs > 1]}"


def write_history(path: Path, history: dict[str, list[float]]) -> None:
    """One line an epoch."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", *history])
        epochs = zip(*history.values(), strict=True)
        writer.writerows([epoch, *values] for epoch, values in enumerate(epochs, 1))


def show_confusion(console: Console, labels: np.ndarray, predicted: np.ndarray) -> None:
    """A table of true digits against predicted ones."""
    from rich import box
    from rich.table import Table

    counts = np.zeros((10, 10), int)
    np.add.at(counts, (labels.astype(int), predicted), 1)
    title = "What each digit (row) was read as (column)"
    table = Table(title=title, title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1))
    for heading in ("", *DIGITS, "right"):
        table.add_column(heading, justify="right", header_style="bold")
    for digit, row in enumerate(counts):
        cells = [f"[red]{n}[/]" if n else "[dim]·[/]" for n in row]
        cells[digit] = f"[green]{row[digit]}[/]"
        table.add_row(f"[bold]{digit}[/]", *cells, f"{row[digit] / max(row.sum(), 1):.1%}")
    console.print()
    console.print(table)


def show_results(console: Console, folder: Path, epochs: int) -> None:
    """What was written, and what can be done with it."""
    command = "triceras" if shutil.which("triceras") else f"{os.path.relpath(sys.executable)} -m triceras"
    text = f"""\
[bold]Written to {folder}/[/]
  model.keras       the trained network
  history.csv       loss and accuracy of each epoch
  curves.png        the same, drawn
  predictions.png   the test images it was most in doubt about

[bold]What next[/]
  {command} summary {folder / "model.keras"}
  {command} demo --epochs {2 * epochs}      train longer; --help shows more
In Python
  import triceras as keras
  model = keras.models.load_model("{(folder / "model.keras").as_posix()}")"""
    console.print(text, soft_wrap=True)
