"""A screen that nobody sees, with a mouse and a keyboard: Xvfb and xdotool."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

MISSING = [name for name in ("Xvfb", "xdotool") if shutil.which(name) is None]


class Screen:
    """What a person does with one window.

    Args:
        display: the screen's name, such as ":99".
    """

    def __init__(self, display: str) -> None:
        self.environment = os.environ | {"DISPLAY": display}
        self.window = ""

    def do(self, *words: object) -> str:
        """One or several commands of xdotool; returns what it prints."""
        done = subprocess.run(
            ["xdotool", *map(str, words)],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.stdout.strip()

    def wait_for_window(self, name: str, seconds: float = 120) -> None:
        """Wait for a window, and use it from then on."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = self.do("search", "--onlyvisible", "--name", name)
            if found:
                self.window = found.split()[-1]
                self.do("windowmove", "--sync", self.window, 0, 0)
                self.do("windowfocus", self.window)
                return
            time.sleep(0.1)
        raise AssertionError(f"no window {name!r} within {seconds} s")

    def draw(self, strokes: list[np.ndarray], pause: float = 0.01) -> None:
        """Move the pressed mouse along strokes, (n, 2) pixels of the window."""
        for points in strokes:
            words: list[object] = []
            for i, (x, y) in enumerate(np.round(points).astype(int).tolist()):
                words += ["mousemove", "--window", self.window, x, y, "sleep", pause]
                words += ["mousedown", 1, "sleep", pause] if i == 0 else []
            self.do(*words, "mouseup", 1, "sleep", pause)

    def press(self, key: str) -> None:
        """Press a key by its name for X, such as "Return"."""
        self.do("key", "--window", self.window, key)

    def photograph(self, path: Path) -> None:
        """Save a picture of the whole screen."""
        subprocess.run(["import", "-window", "root", str(path)], env=self.environment, check=True, timeout=60)


@contextmanager
def screen(width: int = 900, height: int = 700) -> Iterator[Screen]:
    """A block in which there is such a screen."""
    reading, writing = os.pipe()
    size = f"{width}x{height}x24"
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", size, "-nolisten", "tcp"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    try:
        with os.fdopen(reading) as numbers:
            yield Screen(":" + numbers.readline().strip())
    finally:
        server.terminate()
        server.wait(timeout=20)


@contextmanager
def window(place: Screen, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A block in which `triceras draw` runs on a screen."""
    program = subprocess.Popen(
        [sys.executable, "-m", "triceras", "draw", *map(str, arguments)],
        env=place.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    try:
        place.wait_for_window("triceras draw")
        yield program
    finally:
        program.kill()
        program.wait(timeout=20)
