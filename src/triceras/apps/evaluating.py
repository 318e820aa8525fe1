"""How well a trained classifier does on pictures whose classes are known."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from triceras.apps.classifier import SCALES, Classifier
from triceras.apps.recipes.sources import NAMED, argument, find_parts, read_all, read_arrays, resized, told_of
from triceras.apps.reports import Report
from triceras.apps.runs import Run
from triceras.core.errors import ArgumentError, DataUnavailableError, shown
from triceras.datasets.idx import idx_files

BATCH = 512  # pictures at a time
PARTS = ("test", "validation", "train", "all")


def run(classifier: Classifier, data: str, part: str | None, out: Path | None, as_json: bool) -> Report:
    """Evaluate, and print the report.

    Args:
        data: a folder of class folders, a CSV of file,label, an `.npz`, idx files, or the name of a data set.
        part: "test", "validation", "train" or "all"; the test part if there is one, else all.
        out: an empty or new folder for the report's files.
        as_json: print JSON instead of text.
    """
    if part is not None and part not in PARTS:
        raise ArgumentError(f"--part must be one of {', '.join(PARTS)}. Received: {shown(part)}")
    if out is not None:
        Run.check_free(out)
    images, labels, notes = _pictures(classifier, data, part)
    factor, offset = SCALES[classifier.scale]

    def inputs(pictures: np.ndarray) -> np.ndarray:
        return classifier.inputs(pictures * np.float32(factor) + np.float32(offset))

    probabilities = np.concatenate(
        [
            classifier.probabilities(images[low : low + BATCH] * np.float32(factor) + np.float32(offset))
            for low in range(0, len(images), BATCH)
        ]
    )
    report = Report(
        classifier.classes, images, labels, probabilities, network=classifier.model, inputs=inputs
    )
    for note in notes:
        print(note, file=sys.stderr)
    print(json.dumps(report.numbers, indent=2) if as_json else report.text)
    if out is not None:
        report.write(Run.new("evaluation", out).folder)
    return report


def _pictures(
    classifier: Classifier, data: str, part: str | None
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Pictures as bytes in the classifier's size, numbers of their classes, and what the user should know."""
    path = Path(data).expanduser()
    if not path.exists() and data not in NAMED:
        raise DataUnavailableError(
            f"There is no file or folder '{data}', nor a data set of that name ({', '.join(NAMED)})."
        )
    if not path.exists() or path.suffix == ".npz" or (path.is_dir() and idx_files(path)):
        with argument("DATA"):
            train, test = read_arrays(path) if path.exists() else NAMED[data][0].load_data()
        if part == "validation":
            raise ArgumentError(f"--part: '{data}' has no validation part, only train and test.")
        chosen = {"train": [train], "all": [train, test]}.get(part or "test", [test])
        images, labels = (np.concatenate([split[i] for split in chosen]) for i in (0, 1))
        return *_fitted(classifier, images, labels.reshape(-1).astype(int), data), []
    with argument("DATA"):
        parts = find_parts(path)
    names = list(parts) if part == "all" or (part is None and "test" not in parts) else [part or "test"]
    if missing := set(names) - set(parts):
        raise ArgumentError(f"--part: '{data}' has no {'/'.join(missing)} part, only: {', '.join(parts)}.")
    paths = [p for name in names for p in parts[name].paths]
    words = [label for name in names for label in parts[name].labels]
    numbers = _numbers(classifier, sorted(set(words)), data)
    images, rows, problems = read_all(paths, classifier.image_size, classifier.channels)
    notes = [told_of(problems)] if problems else []
    if not len(rows):
        raise DataUnavailableError(f"No picture in '{data}' could be read. {' '.join(problems[:1])}")
    return images, np.array([numbers[words[i]] for i in rows]), notes


def _fitted(
    classifier: Classifier, images: np.ndarray, labels: np.ndarray, data: str
) -> tuple[np.ndarray, np.ndarray]:
    images = images[..., None] if images.ndim == 3 else images
    if images.shape[-1] != classifier.channels:
        raise ArgumentError(
            f"The model takes pictures with {classifier.channels} channels; those of '{data}' have "
            f"{images.shape[-1]}."
        )
    if labels.max() >= len(classifier.classes):
        raise ArgumentError(
            f"The model tells {len(classifier.classes)} classes apart; '{data}' has labels to {labels.max()}."
        )
    return resized(images, classifier.image_size), labels


def _numbers(classifier: Classifier, names: Sequence[str], data: str) -> dict[str, int]:
    """The model's number of each class of the data: by name, or by order where the model knows no names."""
    known = {name: i for i, name in enumerate(classifier.classes)}
    lower = {name.lower(): i for name, i in known.items()}
    unnamed = classifier.classes == [str(i) for i in range(len(known))]
    if unnamed and len(names) == len(known) and not set(names) <= set(known):
        return {name: i for i, name in enumerate(names)}
    if strange := [name for name in names if name not in known and name.lower() not in lower]:
        raise ArgumentError(
            f"'{data}' has classes that the model doesn't know: {shown(strange)}. "
            f"It knows: {', '.join(classifier.classes)}. Name those of its outputs with --classes."
        )
    return {name: known.get(name, lower.get(name.lower(), -1)) for name in names}
