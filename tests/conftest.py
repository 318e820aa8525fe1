"""The reference, where it is installed, runs on JAX, and is imported once before warnings count as errors."""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.extent import EVERYTHING
from triceras.engine.captured import patience

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if not EVERYTHING:  # XLA's newer way to join loops takes twice as long to compile a tiny program
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    try:
        import keras  # noqa: F401
    except ImportError:  # its tests say so and are skipped
        pass

# Where thousands of tiny programs are compiled, compiling them well would take longer than anything else.
QUICK = {"layers", "metrics", "models", "ops", "optimizers", "saving"}
QUICK |= {"test_doctests.py", "test_losses.py", "test_random.py"}


@pytest.fixture(autouse=True, scope="module")
def quick_compilation(request: pytest.FixtureRequest) -> Iterator[None]:
    """JAX compiles without most optimizations."""
    if QUICK.isdisjoint(request.path.relative_to(Path(__file__).parent).parts) or not (
        jax := sys.modules.get("jax")
    ):
        yield
        return
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(autouse=True)
def compiled_at_once() -> Iterator[None]:
    """Tests train for a few steps only, and are about compiled ones unless they say otherwise."""
    with patience(False):
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All checks of a table's row stand together: what the first one compiled serves the others."""
    places: dict[object, int] = {}

    def place(item: pytest.Item) -> tuple[int, int]:
        case = getattr(item, "callspec", None) and item.callspec.params.get("case")
        file = places.setdefault(item.path, len(places))
        return file, -1 if case is None else places.setdefault((item.path, id(case)), len(places))

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """What the engines and the tests consist of stays: searching it for garbage again and again takes time."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    gc.unfreeze()
