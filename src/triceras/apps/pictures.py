"""Pictures of a training: curves and a contact sheet. Drawn on a plain light ground, so that they are legible anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from triceras.core.errors import require

BLUE, ORANGE, GREEN, RED = "#1f5fa8", "#d1660a", "#1a7f37", "#b3261e"


def _figure(width: float, height: float) -> Any:
    require("matplotlib", "plot", "Drawing pictures")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def learning_curves(history: dict[str, list[float]], path: Path) -> None:
    """Each metric over the epochs, with its validation values, one panel a metric."""
    metrics = [name for name in history if not name.startswith("val_") and name != "learning_rate"]
    figure = _figure(4.6 * len(metrics), 3.4)
    epochs = np.arange(1, len(history[metrics[0]]) + 1)
    for axis, name in zip(np.atleast_1d(figure.subplots(1, len(metrics))), metrics, strict=True):
        marker = "o" if len(epochs) < 16 else None
        axis.plot(epochs, history[name], color=BLUE, marker=marker, markersize=4, label="training")
        if f"val_{name}" in history:
            axis.plot(epochs, history[f"val_{name}"], color=ORANGE, marker=marker, markersize=4, label="validation")
        axis.set(title=name.replace("_", " ").capitalize(), xlabel="Epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(path, dpi=130)


def contact_sheet(
    images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str], path: Path, rows: int = 5, columns: int = 10
) -> None:
    """The most doubtful predictions: mistakes first, then the right ones with the lowest probability.

    Args:
        images: (n, rows, columns) with values from 0 to 1.
        labels: (n,) true classes.
        probabilities: (n, classes) as predicted.
        classes: names of the classes.
        path: where the PNG goes.
        rows: rows of the sheet.
        columns: columns of the sheet.
    """
    predicted = probabilities.argmax(axis=1)
    right = predicted == labels
    certainty = probabilities.max(axis=1)
    order = np.lexsort((np.where(right, certainty, -certainty), right))[: rows * columns]
    figure = _figure(columns * 0.95, rows * 1.25 + 0.4)
    figure.suptitle(f"{int((~right).sum()):,} of {len(labels):,} test images read wrongly; the most doubtful ones", fontsize=11)
    for axis, index in zip(figure.subplots(rows, columns).flat, [*order, *[None] * (rows * columns - len(order))], strict=True):
        axis.axis("off")
        if index is None:
            continue
        axis.imshow(images[index], cmap="gray_r", vmin=0, vmax=1)
        text = f"{classes[predicted[index]]}  {certainty[index]:.0%}"
        if not right[index]:
            text = f"{classes[int(labels[index])]} → {text}"
        axis.set_title(text, fontsize=8, color=GREEN if right[index] else RED)
    figure.savefig(path, dpi=130)
