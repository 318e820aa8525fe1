"""Trainings that the studio started: each a process of its own, stopped cleanly with the studio."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from triceras.apps.studio.folder import LIVE, RunsFolder
from triceras.apps.studio.guard import RequestError

TRAIN = (sys.executable, "-m", "triceras", "train")
PATIENCE = 20.0  # seconds that a training gets to finish its step and save
POLITE = 5  # niceness, so that drawing stays quick meanwhile
TAIL = 4000  # characters of output that are shown when a training fails


@dataclass
class Job:
    """A running process, and the file that takes its output."""

    process: subprocess.Popen[bytes]
    output: IO[bytes]

    def tail(self) -> str:
        """The end of what it printed."""
        self.output.flush()
        size = self.output.seek(0, os.SEEK_END)
        self.output.seek(max(0, size - TAIL))
        return self.output.read().decode("utf-8", "replace").strip()


class Jobs:
    """Starts and stops trainings.

    Args:
        runs: where their folders are.
        most: how many may run at once; a further one is refused.
        command: what is run, followed by the recipe and its options.
    """

    def __init__(self, runs: RunsFolder, most: int = 1, command: Sequence[str] = TRAIN) -> None:
        self.runs, self.most, self.command = runs, most, tuple(command)
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def start(self, recipe: str, options: Sequence[str]) -> str:
        """Train a recipe into the next free folder `RECIPE-N`; returns its name."""
        with self._lock:
            self._check_room()
            numbered = (f"{recipe}-{n}" for n in itertools.count(1))
            name = next(n for n in numbered if not self.runs.inside(n).exists() and n not in self._jobs)
            self.runs.root.mkdir(parents=True, exist_ok=True)
            self._run(name, [recipe, *options, "--out", str(self.runs.inside(name))])
        return name

    def resume(self, name: str, recipe: str, options: Sequence[str] = ()) -> None:
        """Go on with a run that was stopped.

        Raises:
            RequestError: it runs.
        """
        folder = self.runs.run(name)
        with self._lock:
            if self.is_running(name) or self.runs.status(name)["state"] in LIVE:
                raise RequestError(409, f"{name} is running.")
            self._check_room()
            self._run(name, [recipe, *options, "--resume", "--out", str(folder)])

    def stop(self, name: str) -> None:
        """Ask a training to stop after its step; what it has learned is kept.

        Raises:
            RequestError: this studio didn't start it, or it has ended.
        """
        if not self.is_running(name):
            raise RequestError(
                409, f"{name} isn't running, or was started elsewhere: stop it there with Ctrl+C."
            )
        _interrupt(self._jobs[name].process)

    def is_running(self, name: str) -> bool:
        """Whether the studio's own process of that run is alive."""
        job = self._jobs.get(name)
        return job is not None and job.process.poll() is None

    def running(self) -> list[str]:
        """The names of the studio's own running trainings."""
        return [name for name in list(self._jobs) if self.is_running(name)]

    def about(self, name: str) -> dict[str, Any]:
        """Whether the studio can stop a run, and why its process failed if it did."""
        job = self._jobs.get(name)
        if job is None:
            return {"own": False, "alive": False, "pid": None, "output": None}
        code = job.process.poll()
        failed = code not in (None, 0, 130, -signal.SIGINT, -signal.SIGTERM)
        return {
            "own": True,
            "alive": code is None,
            "pid": job.process.pid,
            "output": job.tail() or f"It ended with {code}." if failed else None,
        }

    def close(self) -> None:
        """Stop all trainings, and wait until they have saved."""
        running = [self._jobs[name].process for name in self.running()]
        for process in running:
            _interrupt(process)
        for process in running:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for job in self._jobs.values():
            job.output.close()
        self._jobs.clear()

    def _check_room(self) -> None:
        running = self.running()
        if len(running) >= self.most:
            raise RequestError(
                409,
                f"{' and '.join(running)} still {'runs' if len(running) == 1 else 'run'}. Stop it or wait.",
            )

    def _run(self, name: str, arguments: Sequence[str]) -> None:
        output = tempfile.TemporaryFile()  # noqa: SIM115, the process ends later than this block
        # a group of its own: Ctrl+C in the terminal reaches it once, through close()
        apart: dict[str, Any] = {"start_new_session": True}
        if os.name == "nt":
            apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        try:
            process = subprocess.Popen(
                [*self.command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "100"},
                **apart,
            )
            if os.name != "nt":
                os.setpriority(os.PRIO_PROCESS, process.pid, POLITE)
        except OSError as error:
            output.close()
            raise RequestError(500, f"The training can't be started: {error}") from None
        if name in self._jobs:
            self._jobs[name].output.close()
        self._jobs[name] = Job(process, output)


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", None) or signal.SIGTERM)


def subfolders(path: Path) -> dict[str, Any]:
    """What a person sees who looks for a folder of pictures: its folders, and how many files they hold.

    Raises:
        RequestError: it is no folder, or can't be read.
    """
    try:
        path = path.expanduser().resolve()
        entries = sorted(
            (e for e in os.scandir(path) if not e.name.startswith(".")), key=lambda e: e.name.lower()
        )
        folders = [e.name for e in entries if e.is_dir()]
        files = sum(1 for e in entries if e.is_file())
    except (OSError, RuntimeError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise RequestError(404, f"The folder {str(path)!r} can't be opened: {why}.") from None
    up = None if path.parent == path else str(path.parent)
    return {"path": str(path), "parent": up, "folders": folders[:500], "files": files}
