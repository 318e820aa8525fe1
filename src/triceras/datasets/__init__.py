"""Small standard data sets: looked for on disk first, then downloaded, checked and kept."""

import importlib

from triceras.core.registry import publish

SETS = (
    "boston_housing", "california_housing", "cifar10", "cifar100", "digits", "fashion_mnist", "imdb", "mnist",
    "reuters",
)  # fmt: skip
for name in SETS:
    importlib.import_module(f"triceras.datasets.{name}")

publish(
    {
        "datasets": ("triceras.datasets",),
        **{f"datasets.{name}": (f"triceras.datasets.{name}",) for name in SETS},
    }
)
