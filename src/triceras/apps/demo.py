"""`triceras demo`: the report's convolutional network, trained on handwritten digits and looked at."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Any

import numpy as np

import triceras as keras
from triceras.apps import pictures
from triceras.core.errors import ArgumentError, DataUnavailableError

CLASSES = [str(digit) for digit in range(10)]
EPOCHS = {"mnist": 5, "digits": 60}


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
        ]
    )
    model.compile(
        optimizer=keras.optimizers.SGD(learning_rate), loss="categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def load_digits(data: str, say: Any) -> tuple[str, tuple[np.ndarray, ...]]:
    """MNIST where it can be had, else the digits inside scikit-learn; says which."""
    if data not in ("auto", "mnist", "digits"):
        raise ArgumentError(f"--data must be auto, mnist or digits. Received: {data!r}")
    if data != "digits":
        try:
            train, test = keras.datasets.mnist.load_data()
            return "mnist", (*train, *test)
        except DataUnavailableError as error:
            if data == "mnist":
                raise
            say(f"[yellow]MNIST isn't here and can't be downloaded[/yellow], so this trains on 1,797 smaller digits.\n[dim]{error}[/dim]\n")
    train, test = keras.datasets.digits.load_data()
    return "digits", (*train, *test)


def next_folder(name: str) -> Path:
    """`runs/name-N` for the first free N."""
    number = 1
    while Path("runs", f"{name}-{number}").exists():
        number += 1
    return Path("runs", f"{name}-{number}")


def run(
    epochs: int | None, batch_size: int, learning_rate: float, data: str, engine: str | None, seed: int, out: Path | None
) -> Path:
    """Train, test, write the run folder; returns the folder."""
    from rich.console import Console

    console = Console(highlight=False)
    if engine:
        keras.use_engine(engine)
    keras.utils.set_random_seed(seed)
    name, (x_train, y_train, x_test, y_test) = load_digits(data, console.print)
    epochs = epochs or EPOCHS[name]
    x_train, x_test = (x[..., None].astype("float32") / 255 for x in (x_train, x_test))
    console.print(
        f"[bold]{name}[/bold]: {len(x_train):,} training and {len(x_test):,} test images; "
        f"{epochs} epochs of SGD({learning_rate:g}), batch {batch_size}, on {keras.backend.backend()}.\n"
    )
    model = build_model(learning_rate)
    model.summary()
    folder = out or next_folder("demo")
    folder.mkdir(parents=True, exist_ok=True)

    began = time.perf_counter()
    history = model.fit(
        x_train,
        keras.utils.to_categorical(y_train, 10),
        batch_size=batch_size,
        epochs=epochs,
        validation_data=(x_test, keras.utils.to_categorical(y_test, 10)),
    ).history
    seconds = time.perf_counter() - began

    probabilities = model.predict(x_test, batch_size=256, verbose=0)
    predicted = probabilities.argmax(axis=1)
    accuracy = float((predicted == y_test).mean())
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (y_test.astype(int), predicted), 1)
    show_confusion(console, confusion)
    console.print(
        f"\n[bold green]Test accuracy {accuracy:.2%}[/bold green] after {epochs} epochs "
        f"({seconds:.0f} s, {seconds / epochs:.1f} s an epoch).\n"
    )

    model.save(folder / "model.keras")
    write_history(folder / "history.csv", history)
    pictures.learning_curves(history, folder / "curves.png")
    pictures.contact_sheet(x_test[..., 0], y_test, probabilities, CLASSES, folder / "predictions.png")
    console.print(f"Written to [bold]{folder}[/bold]: model.keras, history.csv, curves.png, predictions.png")
    console.print(
        "\nWhat next:\n"
        f"  look at the pictures in {folder}\n"
        f"  triceras summary {folder / 'model.keras'}\n"
        "  triceras demo --epochs 10 --lr 0.05     train longer or faster\n"
        f"  python -c \"import triceras as keras; model = keras.models.load_model('{folder / 'model.keras'}')\""
    )
    return folder


def write_history(path: Path, history: dict[str, list[float]]) -> None:
    """One line an epoch."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", *history])
        writer.writerows([epoch, *values] for epoch, values in enumerate(zip(*history.values(), strict=True), 1))


def show_confusion(console: Any, confusion: np.ndarray) -> None:
    """A table of true digits against predicted ones."""
    from rich.table import Table

    table = Table(title="True digit (rows) and what was read (columns)", header_style="bold")
    table.add_column("")
    for label in CLASSES:
        table.add_column(label, justify="right")
    table.add_column("right", justify="right")
    for label, row in zip(CLASSES, confusion, strict=True):
        cells = [
            f"[green]{n}[/green]" if str(i) == label else (f"[red]{n}[/red]" if n else "[dim]·[/dim]") for i, n in enumerate(row)
        ]
        table.add_row(f"[bold]{label}[/bold]", *cells, f"{row[int(label)] / max(row.sum(), 1):.1%}")
    console.print(table)
