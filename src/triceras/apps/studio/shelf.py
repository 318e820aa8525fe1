"""The models of the studio: found in the runs folder, opened when asked for, used by one request each."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from secrets import token_bytes
from typing import Any

import numpy as np

from triceras.apps.classifier import Classifier
from triceras.apps.studio import inside
from triceras.apps.studio.guard import RequestError

GIVEN = "given"  # the id of the model that the command line named
MOST_OPEN = 4  # models in memory
MOST_BYTES = 256 * 2**20  # of recorded layers in memory


@dataclass
class Opened:
    """A model in memory. The lock is held while it computes."""

    key: tuple[Any, ...]
    classifier: Classifier
    lock: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def recorder(self) -> inside.Recorder:
        return inside.Recorder(self.classifier.model)

    def probabilities(self, image: np.ndarray) -> np.ndarray:
        """Of each class, for one prepared image."""
        with self.lock:
            return self.classifier.probabilities(image[None])[0]


@dataclass
class Recording:
    """One image inside one model."""

    opened: Opened
    image: np.ndarray
    steps: list[inside.Step]

    @property
    def size(self) -> int:
        return self.image.nbytes + sum(step.output.nbytes for step in self.steps)


class Kept(OrderedDict):
    """What was used last, up to a total size; safe between threads.

    >>> kept = Kept(2, lambda value: 1)
    >>> kept.put("a", 1), kept.put("b", 2), kept.put("c", 3), list(kept)
    (1, 2, 3, ['b', 'c'])
    """

    def __init__(self, most: int, size: Callable[[Any], int]) -> None:
        super().__init__()
        self._most, self._size, self._lock = most, size, threading.Lock()

    def find(self, key: Any) -> Any:
        """The value, or None."""
        with self._lock:
            if key in self:
                self.move_to_end(key)
            return self.get(key)

    def put(self, key: Any, value: Any) -> Any:
        """Keep a value, let go of the oldest ones; returns the value."""
        with self._lock:
            self[key] = value
            while len(self) > 1 and sum(map(self._size, self.values())) > self._most:
                self.popitem(last=False)
            return value


class Shelf:
    """Opens models and keeps the last few.

    Args:
        runs: finds model files by their ids.
        given: a model file beside those; its id is "given".
    """

    def __init__(self, runs: Any, given: Path | None = None) -> None:
        self.runs, self.given = runs, given
        self._opened = Kept(MOST_OPEN, lambda opened: 1)
        self._recordings = Kept(MOST_BYTES, lambda recording: recording.size)
        self._opening = threading.Lock()
        self._secret = token_bytes(16)  # so that nobody can guess the key of another's picture

    def listed(self) -> list[dict[str, str]]:
        """Id and name of every model: the given one first, then those of the newest runs."""
        given = [{"id": GIVEN, "name": self.given.name}] if self.given else []
        return given + [{"id": name, "name": name} for name in self.runs.with_models()]

    def open(self, model: str) -> Opened:
        """A model ready for use; opened again when its file has changed.

        Raises:
            RequestError: there is none of that name.
        """
        path = self.given if model == GIVEN and self.given else self.runs.model_file(model)
        try:
            about = path.stat()
        except OSError:
            raise RequestError(404, f"The model {model!r} is gone.") from None
        key = (path, about.st_mtime_ns, about.st_size)
        with self._opening:
            opened = self._opened.find(key)
            if opened is None:
                opened = Opened(key, Classifier.open(path))
                blank = np.zeros(opened.classifier.image_size, "uint8")
                opened.probabilities(opened.classifier.prepare(blank))  # the first answer takes longest
                self._opened.put(key, opened)
        return opened

    def record(self, model: str, prepare: Callable[[Classifier], np.ndarray]) -> tuple[str, Recording]:
        """What a model does with a picture, and the key under which it can be found for a while."""
        opened = self.open(model)
        image = prepare(opened.classifier)
        digest = blake2b(image.tobytes(), key=self._secret, digest_size=16)
        digest.update(repr((opened.key, image.shape)).encode())
        key = digest.hexdigest()
        found = self._recordings.find(key)
        if found is None:
            with opened.lock:
                steps = opened.recorder.record(opened.classifier.inputs(image[None]))
            found = self._recordings.put(key, Recording(opened, image, steps))
        return key, found

    def recording(self, key: str) -> Recording:
        """What was recorded under a key.

        Raises:
            RequestError: it has been let go of; the page then sends the picture again.
        """
        found = self._recordings.find(key)
        if found is None:
            raise RequestError(410, "That picture has been let go of.")
        return found
