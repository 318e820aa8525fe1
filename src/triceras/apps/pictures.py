"""Pictures of a training: learning curves and a contact sheet of predictions, on white, legible anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from triceras.core.errors import require

BLUE, ORANGE, GREEN, RED = "#1f5fa8", "#d1660a", "#1a7f37", "#b3261e"
FEW = 16  # epochs up to which each is marked with a dot


def _figure(width: float, height: float) -> Any:
    require("matplotlib", "plot", "Drawing pictures")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def learning_curves(history: dict[str, list[float]], path: str | Path) -> None:
    """Each metric over the epochs, with its validation values, one panel a metric.

    Args:
        history: values of each epoch by name, as in `History.history`.
        path: where the PNG goes.
    """
    from matplotlib.ticker import MaxNLocator

    metrics = [name for name in history if not name.startswith("val_") and name != "learning_rate"]
    epochs = np.arange(1, len(history[metrics[0]]) + 1)
    style = {"marker": "o", "markersize": 4} if len(epochs) <= FEW else {}
    figure = _figure(4.6 * len(metrics), 3.4)
    for axis, name in zip(figure.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True):
        for key, color, label in ((name, BLUE, "training"), (f"val_{name}", ORANGE, "validation")):
            if key in history:
                axis.plot(epochs, history[key], color=color, label=label, **style)
        axis.set(title=name.replace("_", " ").capitalize(), xlabel="Epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
    figure.savefig(path, dpi=130)


def contact_sheet(
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    path: str | Path,
    rows: int = 5,
    columns: int = 10,
) -> None:
    """The most doubtful predictions: mistakes first, the surest ones leading, then what was barely right.

    Args:
        images: (n, height, width), 0 (paper) to 255 (ink).
        labels: (n,) true classes.
        probabilities: (n, classes) as predicted.
        classes: names of the classes.
        path: where the PNG goes.
        rows: rows of the sheet.
        columns: columns of the sheet.
    """
    labels = np.asarray(labels).astype(int)
    predicted, certainty = probabilities.argmax(axis=1), probabilities.max(axis=1)
    right = predicted == labels
    order = np.lexsort((np.where(right, certainty, -certainty), right))[: rows * columns]
    figure = _figure(columns * 0.95, rows * 1.08 + 0.5)
    figure.suptitle(
        f"{int((~right).sum()):,} of {len(labels):,} test images were misread (red: true → read, how sure); "
        "the others were close",
        fontsize=11,
    )
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
    for axis, index in zip(axes, order, strict=False):
        axis.imshow(images[index], cmap="gray_r", vmin=0, vmax=255)
        read = f"{classes[predicted[index]]}  {certainty[index]:.0%}"
        text = read if right[index] else f"{classes[labels[index]]} → {read}"
        axis.set_title(text, fontsize=9, pad=3, color=GREEN if right[index] else RED)
    figure.savefig(path, dpi=130)
