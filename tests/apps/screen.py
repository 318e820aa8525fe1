"""A screen that nobody sees, with a mouse and a keyboard: Xvfb and xdotool."""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
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
            timeout=180,
        )
        return done.stdout.strip()

    def wait_for_window(self, name: str, program: subprocess.Popen[str], seconds: float = 120) -> None:
        """Wait until a program's window has its size and place, and use it from then on."""
        until, places = time.monotonic() + seconds, [""]
        while time.monotonic() < until:
            self.window = self.do("search", "--onlyvisible", "--name", name).split("\n")[-1]
            places.append(self.do("getwindowgeometry", "--shell", self.window) if self.window else "")
            if "HEIGHT" in places[-1] and places[-4:] == places[-1:] * 4:
                self.do("windowfocus", self.window)
                return
            assert program.poll() is None, program.stderr.read()
            time.sleep(0.25)
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

    def close(self) -> None:
        """Click on the window's X: what a window manager then sends to the program."""
        x = ctypes.CDLL("libX11.so.6")
        x.XOpenDisplay.restype = ctypes.c_void_p
        x.XInternAtom.restype = ctypes.c_ulong
        display = ctypes.c_void_p(x.XOpenDisplay(self.environment["DISPLAY"].encode()))
        protocols, delete = (x.XInternAtom(display, n, 0) for n in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW"))
        window, client_message = int(self.window), 33
        event = struct.pack("@iLiPLLi5l", client_message, 0, 1, 0, window, protocols, 32, delete, 0, 0, 0, 0)
        x.XSendEvent(display, ctypes.c_ulong(window), 0, ctypes.c_long(0), event.ljust(192, b"\0"))
        x.XSync(display, 0)
        x.XCloseDisplay(display)

    def photograph(self, path: Path) -> None:
        """Save a picture of the whole screen."""
        subprocess.run(
            ["import", "-window", "root", str(path)], env=self.environment, check=True, timeout=180
        )


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
    command = [sys.executable, "-m", "triceras", "draw", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=place.environment, text=True, bufsize=1, **pipes) as program:
        try:
            place.wait_for_window("triceras draw", program)
            yield program
        finally:
            program.kill()
