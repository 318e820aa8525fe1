"""`triceras.ops`: every op, defined once, on every engine."""

import importlib

from triceras.core.registry import lookup, names, publish
from triceras.core.spec import KerasTensor
from triceras.ops import operators

FAMILIES = (
    *("elementwise", "reduction", "shape", "indexing", "creation", "linalg"),
    *("nn", "conv", "image", "warping", "control", "signal", "ctc"),
)
for family in FAMILIES:
    importlib.import_module(f"triceras.ops.{family}")

operators.bind(KerasTensor)
publish({name: ("triceras.ops",) for name in ("ops", "ops.numpy", "ops.nn", "ops.image", "ops.linalg")})
# before submodules of the same name, and fast
globals().update({name: lookup(f"ops.{name}") for name in names("ops")})
