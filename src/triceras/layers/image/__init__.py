"""Layers that prepare images and vary them at random: base.py, then a file a family."""

import importlib

for family in ("base", "size", "geometry", "colour", "mixing", "pipeline", "policies"):
    importlib.import_module(f"triceras.layers.image.{family}")
