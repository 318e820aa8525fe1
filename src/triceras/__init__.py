"""Triceras: one model, three engines. `import triceras as keras` gives the API you know; names resolve on first use."""

from triceras.core.registry import publish as _publish
from triceras.version import __version__  # noqa: F401 - public

_publish(
    {
        "": (
            "triceras.version",
            "triceras.core.spec",
            "triceras.variable",
            "triceras.engine.selection",
            "triceras.graph",
            "triceras.layers",
            "triceras.models",
            "triceras.losses",
            "triceras.metrics",
            "triceras.optimizers",
            "triceras.initializers",
            "triceras.regularizers",
            "triceras.dtype_policies",
        ),
        "activations": ("triceras.activations",),
        "applications": ("triceras.applications",),
        "backend": ("triceras.core.config", "triceras.core.dtypes", "triceras.core.scope", "triceras.core.spec",
                    "triceras.engine.selection"),
        "callbacks": ("triceras.training.callbacks",),
        "config": ("triceras.core.config", "triceras.engine.selection", "triceras.dtype_policies"),
        "constraints": ("triceras.constraints",),
        "datasets": ("triceras.datasets",),
        "dtype_policies": ("triceras.dtype_policies",),
        "initializers": ("triceras.initializers",),
        "layers": ("triceras.layers",),
        "losses": ("triceras.losses",),
        "metrics": ("triceras.metrics",),
        "mixed_precision": ("triceras.dtype_policies", "triceras.optimizers"),
        "models": ("triceras.models",),
        "ops": ("triceras.ops",),
        "optimizers": ("triceras.optimizers",),
        "preprocessing": ("triceras.preprocessing",),
        "preprocessing.image": ("triceras.utils", "triceras.preprocessing"),
        "preprocessing.sequence": ("triceras.utils",),
        "random": ("triceras.random",),
        "regularizers": ("triceras.regularizers",),
        "saving": ("triceras.saving",),
        "tree": ("triceras.core.tree",),
        "utils": ("triceras.utils", "triceras.core.config", "triceras.core.dtypes", "triceras.core.scope",
                  "triceras.core.spec", "triceras.training.feed", "triceras.training.progress", "triceras.random",
                  "triceras.saving.objects", "triceras.models.plot", "triceras.graph", "triceras.training.dataset",
                  "triceras.preprocessing"),
        "utils.bounding_boxes": ("triceras.utils.bounding_boxes",),
        "visualization": ("triceras.visualization",),
    }
)  # fmt: skip
