"""`triceras.layers`: base.py, then one file per family."""

import importlib

from triceras.core.registry import publish

FAMILIES = (
    "base", "input_spec", "input_layer", "core", "activation", "reshaping", "merging", "regularization",
    "wrapper", "normalization", "convolution", "pooling", "attention", "preprocessing", "encoding", "image",
    "audio", "recurrent", "native", "serialization",
)  # fmt: skip
for family in FAMILIES:
    importlib.import_module(f"triceras.layers.{family}")

publish({"layers": ("triceras.layers",)})
