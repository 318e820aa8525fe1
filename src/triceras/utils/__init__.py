"""Helpers around training: labels and sequences as arrays, image files, downloads, the order of samples."""

import importlib
import sys

from triceras.core.registry import PublicModule

FAMILIES = ("arrays", "config", "files", "images", "sampling")
for family in FAMILIES:
    importlib.import_module(f"triceras.utils.{family}")

sys.modules[__name__].__class__ = PublicModule  # modules elsewhere define names of `utils`, too
