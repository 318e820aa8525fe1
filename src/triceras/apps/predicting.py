"""What a classifier says of many pictures, as a table or as JSON."""

from __future__ import annotations

import glob
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from triceras.apps.classifier import Classifier
from triceras.apps.images import ImageError, pictures_below

BATCH = 64


def found(places: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Files of pictures, each with what is wrong with it, or None.

    Args:
        places: files, folders (all pictures below them), patterns, and "-" for standard input.
    """
    for place in places:
        path = Path(place)
        if path.is_dir():
            files = pictures_below(path)
            yield from ((str(p), None) for p in files)
            if not files:
                yield place, f"{place}: there are no pictures in this folder."
        elif glob.has_magic(place) and not path.exists():
            matches = sorted(glob.glob(place, recursive=True))
            yield from ((name, None) for name in matches if not Path(name).is_dir())
            if not matches:
                yield place, f"{place}: no file has such a name."
        else:
            yield place, None


def answers(classifier: Classifier, places: Sequence[str], top: int) -> Iterator[dict[str, Any]]:
    """For each picture, in order, `file` and either `error` or `class`, `probability` and `top`.

    Models with several outputs also have `outputs`, the same for each by its name.
    """
    waiting: list[dict[str, Any]] = []
    images: list[np.ndarray] = []

    def finished() -> list[dict[str, Any]]:
        done = list(waiting)
        if images:
            everything = classifier.all_probabilities(np.stack(images))
            for i, row in enumerate(r for r in done if "error" not in r):
                said = {
                    name: _answer(values[i], classifier.outputs[name], top)
                    for name, values in everything.items()
                }
                row |= said[classifier.main]
                if len(said) > 1:
                    row["outputs"] = said
        waiting.clear()
        images.clear()
        return done

    for name, trouble in found(places):
        row: dict[str, Any] = {"file": name}
        try:
            if trouble:
                raise ImageError(trouble)
            images.append(classifier.prepare(*_source(name)))
        except ImageError as error:
            row["error"] = str(error)
        waiting.append(row)
        if len(images) == BATCH:
            yield from finished()
    yield from finished()


def _source(name: str) -> tuple[str | bytes, str]:
    """Where a picture is, and its name; "-" is standard input."""
    return (sys.stdin.buffer.read(), "standard input") if name == "-" else (name, name)


def _answer(probabilities: np.ndarray, classes: Sequence[str], top: int) -> dict[str, Any]:
    order = np.argsort(-probabilities, kind="stable")[:top]
    best = [{"class": classes[i], "probability": float(probabilities[i])} for i in order]
    return {**best[0], "top": best}


def run(classifier: Classifier, places: Sequence[str], top: int = 3, as_json: bool = False) -> bool:
    """Print the answers.

    Returns:
        Whether all pictures could be read.
    """
    rows = list(answers(classifier, places, top))
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        print_table(classifier, [row for row in rows if "error" not in row], top)
        for row in rows:
            if "error" in row:
                print(f"Error: {row['error']}", file=sys.stderr)
    return not any("error" in row for row in rows)


def print_table(classifier: Classifier, rows: Sequence[dict[str, Any]], top: int) -> None:
    """A line a picture, in columns as wide as what they hold."""
    if not rows:
        return
    others = [name for name in classifier.outputs if name != classifier.main]
    heading = ["picture", "class", "", *others, *(["next"] if top > 1 else [])]
    cells = [heading]
    for row in rows:
        best = row["top"]
        said = [row["outputs"][name] for name in others]
        line = [row["file"], best[0]["class"], f"{best[0]['probability']:.1%}"]
        line += [f"{s['class']} {s['probability']:.1%}" for s in said]
        cells.append(
            [
                *line,
                *([", ".join(f"{b['class']} {b['probability']:.1%}" for b in best[1:])] if top > 1 else []),
            ]
        )
    widths = [max(len(line[i]) for line in cells) for i in range(len(heading))]
    for line in cells:
        parts = [
            c.rjust(w) if i == 2 else c.ljust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(parts).rstrip())
