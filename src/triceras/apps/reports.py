"""How well a network tells classes apart: precision, recall and F1 of each class, and the pictures to it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import triceras as keras
from triceras.apps import pictures
from triceras.apps.runs import write_json
from triceras.core.errors import EngineError, require

EXAMPLES = 12  # pictures on which Grad-CAM is shown
NAMES_ACROSS = 10  # so many classes are listed in the text's table of confusions


@dataclass
class Report:
    """What a network answered on pictures whose classes are known.

    Attributes:
        classes: their names.
        images: bytes (n, h, w, c).
        labels: numbers of the true classes, (n,).
        probabilities: (n, classes).
        title: of what this is the report.
        facts: further entries of the report for programs.
        network: that answered, for Grad-CAM; without it there is none.
        inputs: makes what the network takes from pictures.

    >>> report = Report(["a", "b"], np.zeros((2, 4, 4, 1), "uint8"), np.array([0, 1]), np.eye(2))
    >>> report.numbers["accuracy"], report.numbers["b"]["support"]
    (1.0, 1)
    """

    classes: Sequence[str]
    images: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    title: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    network: Any = None
    inputs: Callable[[np.ndarray], np.ndarray] = lambda images: images.astype("float32")

    @classmethod
    def of(
        cls, network: Any, images: np.ndarray, labels: Any, classes: Sequence[str], title: str = ""
    ) -> Report:
        """Let a network answer.

        Args:
            network: takes pictures from 0 to 255 and gives probabilities, or a dict of them.
            labels: (n,), or a dict of them for several tasks.
        """
        outputs = network.predict(images, batch_size=128, verbose=0)
        facts: dict[str, Any] = {}
        if isinstance(outputs, Mapping):
            first, *others = labels
            for name in others:
                facts[f"{name} accuracy"] = float((outputs[name].argmax(axis=1) == labels[name]).mean())
            outputs, labels = outputs[first], labels[first]
        return cls(classes, images, labels, np.asarray(outputs), title, facts, network)

    @property
    def predicted(self) -> np.ndarray:
        """Numbers of the classes that were answered, (n,)."""
        return self.probabilities.argmax(axis=1)

    @property
    def numbers(self) -> dict[str, Any]:
        """Accuracy; precision, recall, f1-score and support by class; their averages; loss, further facts."""
        found = self._sklearn(output_dict=True)
        for row in found.values():
            if isinstance(row, dict):
                row["support"] = int(row["support"])
        return {**found, "loss": self.loss, **self.facts}

    @property
    def loss(self) -> float:
        """Mean of minus the logarithm of the true class's probability."""
        true = self.probabilities[np.arange(len(self.labels)), self.labels]
        return float(-np.log(np.maximum(true, 1e-7)).mean())

    @property
    def confusion(self) -> np.ndarray:
        """How many pictures of each true class (row) were taken for each class (column)."""
        counts = np.zeros((len(self.classes),) * 2, int)
        np.add.at(counts, (self.labels, self.predicted), 1)
        return counts

    @property
    def text(self) -> str:
        """All of it to be read."""
        # where nothing is right, scikit-learn counts the support in floats
        parts = [self.title, re.sub(r"(\d+)\.0$", r"  \1", self._sklearn(digits=4), flags=re.MULTILINE)]
        if len(self.classes) <= NAMES_ACROSS:
            parts.append(self._table())
        wrong = int((self.predicted != self.labels).sum())
        parts.append(f"{wrong:,} of {len(self.labels):,} are wrong; loss {self.loss:.4f}.")
        parts += [
            f"{name.capitalize()} {value:.2%}"
            for name, value in self.facts.items()
            if name.endswith("accuracy")
        ]
        return "\n".join(part.rstrip() + "\n" for part in parts if part)

    def _sklearn(self, **options: Any) -> Any:
        require("sklearn", "apps", "The report of a training")
        from sklearn.metrics import classification_report

        return classification_report(
            self.labels,
            self.predicted,
            labels=range(len(self.classes)),
            target_names=list(self.classes),
            zero_division=0,
            **options,
        )

    def _table(self) -> str:
        """The confusions as text."""
        width = max(map(len, self.classes))
        wide = [max(len(name), 5) for name in self.classes]
        lines = ["True class (row), and what it was taken for (column):"]
        lines.append(" " * width + "".join(f"  {name:>{w}}" for name, w in zip(self.classes, wide)))
        for name, row in zip(self.classes, self.confusion):
            lines.append(f"{name:>{width}}" + "".join(f"  {n:>{w}}" for n, w in zip(row, wide)))
        return "\n".join(lines)

    def write(self, folder: Path) -> None:
        """Put report.txt, report.json and the pictures into a folder."""
        (folder / "report.txt").write_text(self.text, encoding="utf-8")
        write_json(folder / "report.json", self.numbers)
        pictures.confusion(self.confusion, self.classes, folder / "confusion.png")
        pictures.mistakes(self.images, self.labels, self.probabilities, self.classes, folder / "mistakes.png")
        if self.network is not None:
            self._look(folder / "gradcam.png")

    def _look(self, path: Path) -> None:
        """Where the network looked, on pictures of all classes, right and wrong ones."""
        rows = self._examples()
        answers = self.predicted[rows].tolist()
        look, title = keras.visualization.grad_cam, "What spoke for the answer (Grad-CAM)"
        if not any(len(getattr(layer, "kernel_size", ())) == 2 for layer in _layers(self.network)):
            look, title = (
                keras.visualization.saliency,
                "The pixels that mattered (saliency; there is no convolution)",
            )
        try:
            maps = look(self.network, self.inputs(self.images[rows]), answers)
        except EngineError:  # without gradients
            return
        pictures.heatmaps(
            self.images[rows], maps, self.labels[rows], self.probabilities[rows], self.classes, path, title
        )

    def _examples(self) -> np.ndarray:
        """Rows of a few pictures: of each class in turn the surest right one and the worst mistake."""
        right = self.predicted == self.labels
        sure = self.probabilities.max(axis=1)
        each = max(1, math.ceil(EXAMPLES / len(self.classes)))
        chosen: list[int] = []
        for label in range(len(self.classes)):
            mine = np.flatnonzero(self.labels == label)
            order = mine[np.argsort(-sure[mine], kind="stable")]
            wrong, good = order[~right[order]], order[right[order]]
            good = good[: each - len(wrong[: each // 2])]
            chosen += [*good, *wrong[: each - len(good)]]
        return np.array(chosen[:EXAMPLES], int)


def _layers(model: Any) -> Iterator[Any]:
    """All layers of a model, those of models inside it too."""
    for layer in model.layers:
        yield from _layers(layer) if isinstance(layer, keras.Model) else (layer,)
