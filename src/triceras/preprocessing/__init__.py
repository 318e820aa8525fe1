"""Data sets from folders, files and arrays, and random changes of images in NumPy."""

import importlib
import sys

from triceras.core.registry import PublicModule

FAMILIES = (
    "image_dataset",
    "audio_dataset",
    "text_dataset",
    "splitting",
    "statistics",
    "affine",
    "generator",
)
for family in FAMILIES:
    importlib.import_module(f"triceras.preprocessing.{family}")

sys.modules[__name__].__class__ = PublicModule  # `preprocessing.image` and `.sequence` are elsewhere
