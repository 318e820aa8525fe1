"""Pictures of a training: curves, confusions, mistakes, heat maps; on white, legible anywhere."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from triceras.core.errors import require

BLUE, ORANGE, GREEN, RED = "#1f5fa8", "#d1660a", "#1a7f37", "#b3261e"
FEW = 16  # epochs up to which each is marked with a dot
MOST_CELLS = 20  # classes up to which a grid shows numbers


def new_figure(width: float, height: float) -> Any:
    """Inches of white."""
    require("matplotlib", "plot", "Drawing pictures")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def save(figure: Any, path: str | Path) -> None:
    """As PNG; letters that no font has are boxes, of which there is nothing to warn."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure.savefig(path, dpi=130)


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
    figure = new_figure(4.6 * len(metrics), 3.4)
    for axis, name in zip(figure.subplots(1, len(metrics), squeeze=False)[0], metrics):
        for key, color, label in ((name, BLUE, "training"), (f"val_{name}", ORANGE, "validation")):
            if key in history:
                axis.plot(epochs, history[key], color=color, label=label, **style)
        axis.set(title=name.replace("_", " ").capitalize(), xlabel="Epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if len(epochs) == 1:
            axis.set_xlim(0.5, 1.5)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
    save(figure, path)


def confusion(counts: np.ndarray, classes: Sequence[str], path: str | Path) -> None:
    """Which class was taken for which, in a grid.

    Args:
        counts: (true classes, answered classes).
        classes: their names.
        path: where the PNG goes.
    """
    many = len(classes)
    side = min(2.6 + 0.55 * many, 14)
    names = [_short(name, 30) for name in classes]
    longest = max(map(len, names))
    upright = longest * many <= 60
    size = 9 if many <= MOST_CELLS else 6
    words = size / 120 * max(0, longest - 9)
    figure = new_figure(side + 0.4 + words, side + (0 if upright else words))
    axis = figure.subplots()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    if many <= MOST_CELLS:
        for row, column in np.ndindex(counts.shape):
            if count := counts[row, column]:
                color = "white" if share[row, column] > 0.5 else "black" if row == column else RED
                axis.text(column, row, f"{count:,}", ha="center", va="center", color=color, fontsize=9)
    axis.set_xticks(range(many), names, rotation=0 if upright else 90, fontsize=size)
    axis.set_yticks(range(many), names, fontsize=size)
    right = int(np.trace(counts))
    axis.set(xlabel="Answer", ylabel="True class", title=f"{right:,} of {int(counts.sum()):,} right")
    axis.spines[:].set_visible(False)
    axis.set_xticks(np.arange(many + 1) - 0.5, minor=True)
    axis.set_yticks(np.arange(many + 1) - 0.5, minor=True)
    axis.grid(which="minor", color="white", linewidth=1)
    axis.tick_params(which="both", length=0)
    save(figure, path)


def mistakes(
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    path: str | Path,
    rows: int = 4,
    columns: int = 8,
) -> None:
    """The worst mistakes, the surest ones first; after them, what was barely right.

    Args:
        images: bytes (n, h, w, 1 or 3).
        labels: (n,) true classes.
        probabilities: (n, classes) as predicted.
        classes: names of the classes.
        path: where the PNG goes.
        rows: rows of the sheet, at most.
        columns: columns of the sheet, at most.
    """
    answers, certainty = probabilities.argmax(axis=1), probabilities.max(axis=1)
    right = answers == labels
    order = np.lexsort((np.where(right, certainty, -certainty), right))[: rows * columns]
    wrong = int((~right).sum())
    figure, axes = _sheet(len(order), columns, words=max(map(len, map(_short, classes))))
    rest = "; those in green are right, but barely" if wrong < len(order) else ""
    figure.suptitle(f"{wrong:,} of {len(labels):,} are wrong{rest}", fontsize=11)
    for axis, index in zip(axes, order):
        _show(axis, images[index])
        _caption(axis, labels[index], answers[index], certainty[index], classes)
    save(figure, path)


def heatmaps(
    images: np.ndarray,
    maps: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    path: str | Path,
    title: str,
    columns: int = 6,
) -> None:
    """Pictures, and below each where the network looked: what spoke for its answer glows.

    Args:
        images: bytes (n, h, w, 1 or 3).
        maps: (n, h, w) from 0 to 1.
        labels: (n,) true classes.
        probabilities: (n, classes) as predicted.
        classes: names of the classes.
        path: where the PNG goes.
        title: above all of them.
        columns: pictures in a row.
    """
    from matplotlib import colormaps

    answers, certainty = probabilities.argmax(axis=1), probabilities.max(axis=1)
    figure, axes = _sheet(len(images), columns, words=max(map(len, map(_short, classes))), tall=2)
    figure.suptitle(title, fontsize=11)
    for axis, image, heat, *caption in zip(axes, images, maps, labels, answers, certainty):
        colored = np.broadcast_to(image, (*image.shape[:2], 3)) / 255
        share = 0.25 + 0.55 * heat[..., None]
        glowing = (1 - share) * colored + share * colormaps["inferno"](heat)[..., :3]
        margin = np.ones((max(1, len(image) // 24), image.shape[1], 3))
        axis.imshow(np.clip(np.concatenate([colored, margin, glowing]), 0, 1))
        _caption(axis, *caption, classes)
    save(figure, path)


def _sheet(count: int, columns: int, words: int, tall: int = 1) -> tuple[Any, Any]:
    """A figure with a place for each of so many pictures, wide enough for names of so many letters."""
    columns = max(1, min(columns, count))
    rows = -(-max(count, 1) // columns)
    width = max(1.1, 0.085 * words + 0.35)
    figure = new_figure(max(columns * width, 5.2), rows * (tall * width + 0.42) + 0.5)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
    return figure, axes


def _show(axis: Any, image: np.ndarray) -> None:
    gray = image.shape[-1] == 1
    axis.imshow(image[..., 0] if gray else image, cmap="gray" if gray else None, vmin=0, vmax=255)


def _caption(axis: Any, label: int, answer: int, certainty: float, classes: Sequence[str]) -> None:
    right = label == answer
    text = f"{_short(classes[answer])}\n{certainty:.0%}"
    if not right:
        text = f"{_short(classes[answer])}, {certainty:.0%}\ntruly {_short(classes[label])}"
    axis.set_title(text, fontsize=8, pad=3, color=GREEN if right else RED)


def _short(name: str, most: int = 18) -> str:
    """Without its middle if it is long: what tells names apart stands at either end."""
    return name if len(name) <= most else f"{name[: most // 2]}…{name[1 + most // 2 - most :]}"
