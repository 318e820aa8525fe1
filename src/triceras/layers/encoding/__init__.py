"""Text, categories and numbers as integers and vectors: `base.py` has what these layers share."""

import importlib

for family in ("categories", "discretization", "hashing", "lookup", "text"):
    importlib.import_module(f"triceras.layers.encoding.{family}")
