"""`triceras.optimizers`: base.py, the rules, the learning-rate schedules."""

from triceras.core.registry import publish
from triceras.optimizers import base, rules, schedules

publish({"optimizers": ("triceras.optimizers",), "optimizers.schedules": ("triceras.optimizers.schedules",)})
