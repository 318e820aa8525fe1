"""The engine and the reference for tests of files."""

from __future__ import annotations

import os
import warnings
from typing import Any

import pytest

from triceras import saving
from triceras.engine import selection


@pytest.fixture(autouse=True)
def jax_engine() -> Any:
    pytest.importorskip("jax")
    with selection.running(selection.get("jax")) as active:
        yield active


@pytest.fixture(autouse=True)
def registered_objects() -> Any:
    """What a test registers is forgotten after it."""
    known = dict(saving.get_custom_objects())
    yield
    saving.get_custom_objects().clear()
    saving.get_custom_objects().update(known)


@pytest.fixture(scope="session")
def keras() -> Any:
    """The reference, on JAX."""
    pytest.importorskip("jax")
    os.environ.setdefault("KERAS_BACKEND", "jax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras = pytest.importorskip("keras")
    if keras.config.backend() != "jax":
        pytest.skip("the reference runs on another backend than JAX")
    return keras
