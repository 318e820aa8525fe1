"""`triceras.optimizers`: the base, the rules, wrappers, learning-rate schedules, and lookup by name."""

from triceras.core.registry import publish
from triceras.optimizers import base, names, rules, schedules, wrappers  # noqa: F401 - they register their names

publish(
    {
        "optimizers": ("triceras.optimizers",),
        "optimizers.schedules": ("triceras.optimizers.schedules",),
        "optimizers.legacy": ("triceras.optimizers.names",),
    }
)
