"""A run folder: all that a training leaves behind, in files that people and programs can read."""

from __future__ import annotations

import csv
import itertools
import json
import math
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from triceras.core.errors import ArgumentError, FileFormatError

FILES = {
    "model.keras": "the network after the last epoch",
    "best.keras": "the network of the epoch that did best on validation data",
    "history.csv": "the numbers of each epoch",
    "curves.png": "the same, drawn",
    "report.txt": "how well the best network does on test data",
    "report.json": "the same, for programs",
    "confusion.png": "which class was taken for which",
    "mistakes.png": "the worst mistakes",
    "gradcam.png": "where the network looked",
    "settings.json": "what the run was told",
    "status.json": "how far it is",
}
OFTEN = 0.5  # seconds between two notes of how far a run is


class Run:
    """A run folder, for the training that fills it and for those who read it.

    Args:
        folder: where it is.

    >>> Run(Path("runs/mnist-cnn-1")).history
    []
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._status: dict[str, Any] = {}
        self._noted = 0.0

    def __getitem__(self, file: str) -> Path:
        return self.folder / file

    @classmethod
    def new(cls, label: str, out: Path | None) -> Run:
        """Make the folder asked for, else the first free `runs/LABEL-N`."""
        if out is not None:
            cls.check_free(out)
            return cls(_made(out, exist_ok=True))
        for number in itertools.count(1):
            try:
                return cls(_made(Path("runs", f"{label}-{number}"), exist_ok=False))
            except FileExistsError:
                continue
        raise AssertionError

    @staticmethod
    def check_free(out: Path | None) -> None:
        """Raise where a new run can't be put; None stands for one in `runs`.

        Raises:
            ArgumentError: it is a file, a folder that holds something, or none that can be written in.
        """
        if out is not None and out.is_dir() and any(out.iterdir()):
            run = (out / "settings.json").is_file()
            raise ArgumentError(
                f"--out: the folder '{out}' isn't empty. Name another one"
                f"{', or go on with the run in it: triceras train RECIPE --resume' if run else ''}."
            )
        out = out or Path("runs")
        there = next(path for path in (out, *out.absolute().parents) if path.exists())
        if not there.is_dir():
            raise ArgumentError(f"--out: the folder '{out}' can't be made: '{there}' is a file.")
        if not os.access(there, os.W_OK):
            raise ArgumentError(
                f"--out: nothing can be written to '{there}'. Name a folder of your own, such as "
                f"--out {Path.home() / out.name}"
            )

    @classmethod
    def existing(cls, recipe: str, out: Path | None) -> Run:
        """The run asked for, else the latest `runs/RECIPE-N`.

        Raises:
            ArgumentError: there is no run, or one of another recipe.
        """
        if out is None:
            numbered = [p for p in Path("runs").glob(f"{recipe}-*") if p.name[len(recipe) + 1 :].isdigit()]
            out = max(numbered, key=lambda p: int(p.name[len(recipe) + 1 :]), default=None)
            if out is None:
                raise ArgumentError(
                    f"--resume: there is no run of {recipe} in 'runs'. Name its folder with --out."
                )
        run = cls(out)
        if not run["settings.json"].is_file():
            raise ArgumentError(f"--resume: the folder '{out}' holds no run (no settings.json).")
        if run.settings.get("recipe") != recipe:
            raise ArgumentError(
                f"--resume: '{out}' is a run of {run.settings.get('recipe')}, not of {recipe}."
            )
        return run

    # -- settings and status ---------------------------------------------------------------------------------

    @property
    def settings(self) -> dict[str, Any]:
        """What the run was told, with the names of the classes."""
        return _read_json(self["settings.json"])

    @settings.setter
    def settings(self, values: Mapping[str, Any]) -> None:
        write_json(self["settings.json"], values)

    def note(self, often: bool = False, **changes: Any) -> None:
        """Write how far the run is into status.json.

        Args:
            often: whether this comes so often that most of it needn't be written.
            **changes: what is new.
        """
        now = time.monotonic()
        if often and now - self._noted < OFTEN:
            return
        self._noted = now
        self._status |= {**changes, "pid": os.getpid(), "updated": datetime.now(UTC).isoformat()}
        write_json(self["status.json"], self._status)

    @property
    def is_due(self) -> bool:
        """Whether a note that comes often would be written now."""
        return time.monotonic() - self._noted >= OFTEN

    # -- history ---------------------------------------------------------------------------------------------

    @property
    def history(self) -> list[dict[str, float]]:
        """The numbers of each finished epoch; a line that was cut off is left out."""
        try:
            with self["history.csv"].open(newline="", encoding="utf-8") as file:
                rows = [r for r in csv.DictReader(file) if None not in r and None not in r.values()]
            return [{name: float(cell) for name, cell in row.items()} for row in rows]
        except FileNotFoundError:
            return []
        except (ValueError, csv.Error, UnicodeDecodeError) as error:
            raise FileFormatError(f"{self['history.csv']} can't be read: {error}.") from error

    @history.setter
    def history(self, rows: list[dict[str, float]]) -> None:
        path = self["history.csv"]
        temporary = path.with_name(".history.csv.part")
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            if rows:
                writer.writerow(rows[0])
            writer.writerows([int(row["epoch"]), *list(row.values())[1:]] for row in rows)
        os.replace(temporary, path)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Replace a file at once, so that nobody reads half of it."""
    temporary = path.with_name(f".{path.name}.part")
    text = json.dumps(_finite(values), indent=2, ensure_ascii=False)
    temporary.write_text(text + "\n", encoding="utf-8")
    os.replace(temporary, path)


def _finite(value: Any) -> Any:
    """With None for what JSON has no word for."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it holds no object")
    except ValueError as error:
        raise FileFormatError(f"{path} can't be read: {error}.") from error
    return found


def _made(folder: Path, exist_ok: bool) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=exist_ok)
    except FileExistsError:
        raise
    except OSError as error:
        raise ArgumentError(f"--out: the folder '{folder}' can't be made: {error.strerror}.") from error
    return folder
