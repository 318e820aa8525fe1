"""The drawing window: a classifier reads what is drawn with the mouse.

`Pad` is all of it except the window: it takes events and gives pictures, so it also runs without a screen.
`run` connects it to a window of OpenCV.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np

from triceras.apps.classifier import Classifier
from triceras.apps.strokes import add_line, digit_from_strokes, draw_strokes
from triceras.core.errors import OptionalDependencyError, StateError, require

SIDE, PANEL, MARGIN, LINE = 420, 300, 16, 56  # pixels: the canvas, what is beside it, between, and below
PEN = 24.0  # pixels
BARS = 10
ENTER, ESCAPE, CLEAR = (10, 13), 27, (ord("c"), ord("C"))
INK, DIM, GROUND, EDGE, BLUE, RAIL = "#f2f2f2", "#a9b1bc", "#14171c", "#5b6470", "#4f9cf5", "#2a3038"
HELP = "Draw with the mouse    Enter: read it    C: clear    Esc: leave"


class Pad:
    """What is drawn, what was read, and the picture of both.

    Args:
        classifier: reads what is drawn.
        told: gets each reading in words.

    Attributes:
        strokes: what is drawn, lists of points (x, y) from 0 to 1.
        probabilities: of the classes, as last read; None before that.
        seen: what the network saw then, (height, width) or (height, width, 3) uint8.
    """

    def __init__(self, classifier: Classifier, told: Callable[[str], None] = lambda text: None) -> None:
        self.classifier, self.told = classifier, told
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.strokes: list[list[tuple[float, float]]] = []
        self.probabilities: np.ndarray | None = None
        self.seen: np.ndarray | None = None
        self.note = ""
        self.drawing = False
        self._away = True  # whether the mouse is beside the canvas
        self._canvas = np.zeros((SIDE, SIDE))
        self.changed = True

    def mouse(self, event: str, x: int, y: int) -> None:
        """What the mouse does.

        Args:
            event: "press", "move" or "release".
            x: pixels of the picture, to the right.
            y: pixels of the picture, down.
        """
        point = ((x - MARGIN + 0.5) / SIDE, (y - MARGIN + 0.5) / SIDE)
        inside = 0 <= point[0] <= 1 and 0 <= point[1] <= 1
        if event == "press" and inside:
            self.drawing = self._away = True
        if self.drawing and inside and not (self._away and event == "release"):
            # a stroke begins, or goes on where the mouse comes in again
            if self._away:
                self.strokes.append([])
            if not self.strokes[-1] or self.strokes[-1][-1] != point:
                self._extend(point)
        self._away = not inside
        if event == "release":
            self.drawing = False

    def _extend(self, point: tuple[float, float]) -> None:
        stroke = self.strokes[-1]
        stroke.append(point)
        ends = np.array([stroke[-2:][0], point]) * SIDE - 0.5
        add_line(self._canvas, *ends, PEN)
        self.probabilities = self.seen = None
        self.note = ""
        self.changed = True

    def key(self, code: int) -> bool:
        """What a key does; False for the one that leaves."""
        if code in CLEAR:
            self.clear()
        elif code in ENTER:
            self.read()
        return code != ESCAPE

    def read(self) -> None:
        """Let the network read what is drawn."""
        self.changed = True
        if not self.strokes:
            self.note = "Draw something first."
            return
        prepared = self._prepared()
        self.probabilities = self.classifier.probabilities(prepared[None])[0]
        self.seen = self.classifier.shown(prepared)
        best = int(self.probabilities.argmax())
        self.note = ""
        self.told(f"{self.classifier.classes[best]}  {self.probabilities[best]:.1%}")

    def _prepared(self) -> np.ndarray:
        if self.classifier.reads_digits:
            return self.classifier.prepare(digit_from_strokes(self.strokes))
        return self.classifier.prepare(draw_strokes(self.strokes, SIDE, PEN))

    # -- the picture ----------------------------------------------------------------------------------------

    def frame(self) -> np.ndarray:
        """The picture of the window, (height, width, 3) uint8, RGB."""
        from PIL import Image, ImageDraw

        width, height = SIDE + PANEL + 3 * MARGIN, SIDE + MARGIN + LINE
        image = Image.new("RGB", (width, height), GROUND)
        image.paste(Image.fromarray(np.round(self._canvas * 255).astype("uint8")), (MARGIN, MARGIN))
        pen = ImageDraw.Draw(image)
        pen.rectangle((MARGIN - 1, MARGIN - 1, MARGIN + SIDE, MARGIN + SIDE), outline=EDGE)
        if not self.strokes:
            middle = (MARGIN + SIDE / 2, MARGIN + SIDE / 2)
            what = "a digit" if self.classifier.reads_digits else "here"
            pen.text(middle, f"Draw {what}", fill=EDGE, font=_font(26), anchor="mm")
        self._panel(image, pen, SIDE + 2 * MARGIN)
        pen.text((MARGIN, SIDE + MARGIN + LINE / 2), HELP, fill=DIM, font=_font(15), anchor="lm")
        if self.note:
            pen.text((width - MARGIN, SIDE + MARGIN + LINE / 2), self.note, INK, _font(15), anchor="rm")
        self.changed = False
        return np.asarray(image)

    def _panel(self, image: Any, pen: Any, left: int) -> None:
        """The answer, what the network saw, and the probabilities as bars."""
        from PIL import Image

        classes, probabilities, seen = self.classifier.classes, self.probabilities, self.seen
        view, right = 112, left + PANEL
        corner = (right - view, MARGIN + 18)
        pen.text((left, MARGIN), "Read as", DIM, _font(13))
        pen.text((corner[0], MARGIN), "The network saw", DIM, _font(13))
        if probabilities is None or seen is None:
            pen.rectangle((*corner, right - 1, corner[1] + view - 1), outline=RAIL)
            pen.text((left, corner[1] + view / 2), "press Enter", EDGE, _font(18), anchor="lm")
        else:
            best = int(probabilities.argmax())
            name, room = classes[best], PANEL - view - 12
            size = next((s for s in (84, 60, 44, 32, 24) if _font(s).getlength(name) <= room), 17)
            pen.text((left, corner[1] + 44), _cut(name, size, room), INK, _font(size), anchor="lm")
            pen.text((left, corner[1] + view - 4), f"{probabilities[best]:.1%}", BLUE, _font(20), anchor="ls")
            small = Image.fromarray(seen[..., 0] if seen.shape[-1] == 1 else seen[..., :3])
            image.paste(small.resize((view, view), Image.Resampling.NEAREST), corner)
            pen.rectangle((corner[0] - 1, corner[1] - 1, right, corner[1] + view), outline=EDGE)
        if probabilities is None:
            shown = list(range(min(len(classes), BARS)))
        elif len(classes) <= BARS:
            shown = list(range(len(classes)))
        else:
            shown = np.argsort(-probabilities)[:BARS].tolist()
        names = {i: _cut(classes[i], 15, 110) for i in shown}
        start = left + max(_font(15).getlength(n) for n in names.values()) + 10
        top, step = MARGIN + 150, (SIDE - 150) / BARS
        for row, i in enumerate(shown):
            y, end = top + step * (row + 0.5), right - 56
            chosen = probabilities is not None and i == probabilities.argmax()
            color = INK if chosen else DIM
            pen.text((left, y), names[i], color, _font(15), anchor="lm")
            pen.rectangle((start, y - 6, end, y + 6), fill=RAIL)
            if probabilities is not None:
                share = float(probabilities[i])
                if share * (end - start) >= 1:
                    pen.rectangle(
                        (start, y - 6, start + share * (end - start), y + 6), BLUE if chosen else EDGE
                    )
                pen.text((right, y), f"{share:.1%}", color, _font(14), anchor="rm")


def _font(size: int, cache: dict[int, Any] = {}) -> Any:  # noqa: B006 - fonts are made once
    from PIL import ImageFont

    if size not in cache:
        cache[size] = ImageFont.load_default(size)
    return cache[size]


def _cut(text: str, size: int, room: float) -> str:
    """A text that fits."""
    if _font(size).getlength(text) <= room:
        return text
    while text and _font(size).getlength(text + "...") > room:
        text = text[:-1]
    return text + "..."


def run(classifier: Classifier, title: str, told: Callable[[str], None] = print) -> None:
    """Open the window and stay until it is left.

    Args:
        classifier: reads what is drawn.
        title: of the window.
        told: gets each reading in words.

    Raises:
        OptionalDependencyError: OpenCV isn't there, or has no windows.
        StateError: there is no screen.
    """
    check_screen()
    cv2 = _opencv()
    pad = Pad(classifier, told)
    nothing = np.zeros((1, *classifier.image_size, classifier.channels), "float32")
    classifier.probabilities(nothing)  # steps are compiled now, not at the first Enter
    kinds = {cv2.EVENT_LBUTTONDOWN: "press", cv2.EVENT_MOUSEMOVE: "move", cv2.EVENT_LBUTTONUP: "release"}

    def mouse(event: int, x: int, y: int, flags: int, _: Any) -> None:
        if event == cv2.EVENT_MOUSEMOVE and not flags & cv2.EVENT_FLAG_LBUTTON:
            event = cv2.EVENT_LBUTTONUP  # let go outside the window
        if event in kinds:
            pad.mouse(kinds[event], x, y)

    try:
        cv2.namedWindow(title, cv2.WINDOW_AUTOSIZE | cv2.WINDOW_GUI_NORMAL)
    except cv2.error as error:
        raise OptionalDependencyError(
            "This OpenCV can't open windows; the package opencv-python-headless has none. Replace it: pip "
            "uninstall opencv-python-headless, then pip install opencv-python."
        ) from error
    cv2.imshow(title, pad.frame()[..., ::-1])
    cv2.setMouseCallback(title, mouse)
    try:
        while (code := cv2.waitKey(10)) == -1 or pad.key(code & 0xFF):
            if not _is_open(cv2, title):
                break
            if pad.changed:
                cv2.imshow(title, pad.frame()[..., ::-1])
    finally:
        cv2.destroyAllWindows()


def _is_open(cv2: Any, title: str) -> bool:
    """Whether the window is still there; asked for one that was closed, some versions raise an error."""
    try:
        return cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) >= 1
    except cv2.error:
        return False


def _opencv() -> Any:
    os.environ.setdefault(
        "QT_LOGGING_RULES", "*.warning=false"
    )  # it misses a folder of fonts, and needs none
    try:
        return require("cv2", "vision", "The drawing window")
    except OptionalDependencyError as error:
        cause = error.__cause__
        if isinstance(cause, ModuleNotFoundError) and cause.name == "cv2":
            raise
        raise OptionalDependencyError(
            f"The drawing window needs OpenCV, which is installed but can't be loaded: {cause}. On "
            "Debian and Ubuntu, what it lacks may be in the packages libgl1 and libglib2.0-0."
        ) from error


def check_screen() -> None:
    """Raise where no window can be shown; OpenCV would end the process.

    Raises:
        StateError: there is no screen, or it doesn't answer.
    """
    if not sys.platform.startswith("linux") or os.environ.get("QT_QPA_PLATFORM") == "offscreen":
        return
    display = os.environ.get("DISPLAY", "")
    if not display:
        raise StateError(
            "There is no screen to open a window on (the variable DISPLAY isn't set). Run this on a desktop, "
            "or over ssh -X; or draw in a browser: triceras studio"
        )
    host, _, number = display.rpartition(":")
    number = number.partition(".")[0]
    if not number.isdigit():
        raise StateError(f"The variable DISPLAY names no screen: {display!r}. It is usually :0.")
    local = host in ("", "unix")
    kind = socket.AF_UNIX if local else socket.AF_INET
    places = (
        [f"/tmp/.X11-unix/X{number}", f"\0/tmp/.X11-unix/X{number}"]
        if local
        else [(host, 6000 + int(number))]
    )
    for place in places:
        with closing(socket.socket(kind, socket.SOCK_STREAM)) as connection:
            connection.settimeout(5)
            try:
                connection.connect(place)
                return
            except OSError as error:
                reason = error
    raise StateError(f"The screen {display!r} (from the variable DISPLAY) doesn't answer: {reason}.")
