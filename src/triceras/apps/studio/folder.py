"""The runs folder, read: only what lies in it, whatever a request names."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

from triceras.apps.studio.guard import RequestError

PICTURES = ("curves.png", "confusion.png", "mistakes.png", "gradcam.png", "predictions.png")
MODELS = ("best.keras", "model.keras")
LARGEST = 8 * 2**20  # bytes of a text that is read
LONGEST = 255  # bytes of a name, as file systems have it
LIVE = ("preparing", "running")
STATES = (*LIVE, "finished", "stopped", "failed")
STATUS = {"epoch": int, "epochs": int, "step": int, "steps": int, "logs": dict, "error": str, "pid": int}


class RunsFolder:
    """Finds and reads run folders.

    Args:
        root: holds them; made when the first training starts.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def inside(self, *names: str) -> Path:
        """The path of something in the folder, which may not exist.

        Raises:
            RequestError: the names, or links on the way, lead out of it.
        """
        for name in names:
            odd = not name or name != Path(name).name or name.startswith(".") or "\\" in name or "\0" in name
            if odd or len(name.encode(errors="replace")) > LONGEST:
                raise RequestError(404, f"There is nothing called {name[:LONGEST]!r} among the runs.")
        path = self.root.joinpath(*names)
        if path.resolve() != path:  # a link
            raise RequestError(404, f"{'/'.join(names)!r} leads out of the runs folder.")
        return path

    def run(self, name: str) -> Path:
        """The folder of a run.

        Raises:
            RequestError: there is none.
        """
        path = self.inside(name)
        if not path.is_dir():
            raise RequestError(404, f"There is no run called {name!r}.")
        return path

    def names(self) -> list[str]:
        """All runs, those that changed last first."""
        if not self.root.is_dir():
            return []
        found = [p for p in self.root.iterdir() if _is_run(p)]
        return [p.name for p in sorted(found, key=_changed, reverse=True)]

    def with_models(self) -> list[str]:
        """The ids of the runs' models: the best of each, and model files beside the runs."""
        ids = []
        for name in self.names():
            ids += [f"{name}/{file}" for file in MODELS if (self.root / name / file).is_file()][:1]
        if self.root.is_dir():
            ids += sorted(p.name for p in self.root.glob("*.keras") if p.is_file() and not p.is_symlink())
        return ids

    def model_file(self, model: str) -> Path:
        """The file of a model's id.

        Raises:
            RequestError: there is none.
        """
        names = model.split("/")
        path = self.inside(*names) if len(names) <= 2 else None
        if path is None or path.suffix != ".keras" or not path.is_file():
            raise RequestError(404, f"There is no model called {model!r}.")
        return path

    def picture(self, name: str, file: str) -> Path:
        """A picture of a run.

        Raises:
            RequestError: there is none.
        """
        path = self.inside(name, file)
        if path.suffix != ".png" or not path.is_file():
            raise RequestError(404, f"The run {name!r} has no picture {file!r}.")
        return path

    def summary(self, name: str) -> dict[str, Any]:
        """What the list of runs shows of one."""
        folder = self.run(name)
        settings, history = _json(folder / "settings.json"), read_history(folder / "history.csv")
        report = _json(folder / "report.json")
        status = self.status(name)
        return {
            "name": name,
            "recipe": settings.get("recipe"),
            "state": status["state"],
            "epoch": status.get("epoch") or len(history.get("epoch", [])),
            "epochs": status.get("epochs") or _whole(settings.get("epochs")),
            "accuracy": report.get("accuracy"),
            "best": _best(history),
            "changed": _changed(folder),
            "model": next((f"{name}/{m}" for m in MODELS if (folder / m).is_file()), None),
        }

    def details(self, name: str) -> dict[str, Any]:
        """All that the page shows of a run; the pictures by their names."""
        folder = self.run(name)
        pictures = [p for p in PICTURES if (folder / p).is_file()]
        return {
            **self.summary(name),
            "status": self.status(name),
            "settings": _json(folder / "settings.json"),
            "history": read_history(folder / "history.csv"),
            "report": _json(folder / "report.json"),
            "pictures": pictures,
        }

    def status(self, name: str) -> dict[str, Any]:
        """What a run says of itself; "interrupted" when it says that it runs, but its process is gone."""
        folder = self.run(name)
        found = _json(folder / "status.json")
        status = {key: value for key, value in found.items() if type(value) is STATUS.get(key)}
        state = found.get("state")
        if state not in STATES:
            done = any((folder / model).is_file() for model in MODELS)
            state = "finished" if done else "interrupted"
        elif state in LIVE and not _alive(status.get("pid")):
            state = "interrupted"
        return {**status, "state": state}


def read_history(path: Path) -> dict[str, list[float | None]]:
    """The columns of a history.csv by name; a line that is still being written is left out."""
    columns: dict[str, list[float | None]] = {}
    try:
        rows = list(csv.reader(_text(path).splitlines()))
    except csv.Error:
        return {}
    for row in rows[1:]:
        if len(row) == len(rows[0]):
            for key, cell in zip(rows[0], row, strict=True):
                columns.setdefault(key, []).append(_number(cell))
    return columns


def _number(cell: str) -> float | None:
    """None for what isn't a finite number."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None


def _whole(value: Any) -> int | None:
    """None for what isn't a whole number."""
    return value if type(value) is int else None


def _best(history: dict[str, list[float | None]]) -> dict[str, float | None]:
    """The best accuracy and loss on validation data; of several tasks, the accuracy of the first."""
    named = next((n for n in history if n.startswith("val_") and n.endswith("accuracy")), "")
    kept = {n: [v for v in history.get(n, []) if v is not None] for n in (named, "val_loss")}
    return {"accuracy": max(kept[named], default=None), "loss": min(kept["val_loss"], default=None)}


def _text(path: Path) -> str:
    try:
        if path.is_symlink() or path.stat().st_size > LARGEST:
            return ""
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _json(path: Path) -> dict[str, Any]:
    """A file's object; {} where it is absent, or broken because it was written by hand."""
    try:
        found = json.loads(_text(path) or "{}", parse_constant=lambda name: None)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_run(path: Path) -> bool:
    marks = ("settings.json", "status.json", "history.csv", *MODELS)
    try:
        return (
            not path.is_symlink()
            and not path.name.startswith(".")
            and any((path / m).is_file() for m in marks)
        )
    # a folder that may not be entered
    except OSError:
        return False


def _changed(folder: Path) -> float:
    """When something in a run changed last, in seconds."""
    try:
        return max((p.stat().st_mtime for p in folder.iterdir()), default=folder.stat().st_mtime)
    except OSError:
        return 0.0


def _alive(pid: Any) -> bool:
    if not isinstance(pid, int) or pid <= 0:
        return False
    if os.name == "nt":
        return True  # signal 0 would end the process there
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
