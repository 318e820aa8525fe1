"""Freed memory stays with the process while a model works, and goes back to the system when it is gone.

By default glibc hands the large temporaries of every training step back to the system and asks for them
again in the next one, which costs a page fault for each 4 KiB: a fifth of the time of a convolutional
network's step on PyTorch. Kept, they lie between what models leave behind, and a process that makes one model
after the other grows by holes.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import os
import sys
import weakref
from collections.abc import Callable
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # malloc.h
KEPT = 512 << 20  # bytes that may stay at the heap's end; blocks above half of it still come from the system
ARENAS = 1  # heap for all threads: each of several would keep the most it held, or give it back in every step

_gone = False  # whether something that used memory went since it was last given back


@functools.cache
def _malloc(name: str) -> Callable[..., int] | None:
    """A function of glibc's; None elsewhere, or if the environment variable TRICERAS_MALLOC is "system"."""
    if not sys.platform.startswith("linux") or os.environ.get("TRICERAS_MALLOC") == "system":
        return None
    return getattr(ctypes.CDLL(None), name, None)


def keep_freed() -> None:
    """Raise glibc's thresholds, and let threads share heaps."""
    mallopt = _malloc("mallopt")
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, KEPT // 2)
        mallopt(_TRIM_THRESHOLD, KEPT)
        mallopt(_ARENA_MAX, ARENAS)


def give_back_after(user: Any) -> None:
    """Once an object is gone, give free memory back at the end of that garbage collection, or the next."""
    if _malloc("malloc_trim") is not None:
        if _give_back not in gc.callbacks:
            gc.callbacks.append(_give_back)
        weakref.finalize(user, _note).atexit = False


def _note() -> None:
    global _gone
    _gone = True  # its memory isn't free yet


def _give_back(phase: str, info: dict[str, int]) -> None:
    global _gone
    if _gone and phase == "stop":
        _gone = False
        _malloc("malloc_trim")(0)  # type: ignore[misc]
