"""The reference, where it is installed, runs on JAX, and is imported once before warnings count as errors."""

from __future__ import annotations

import os
import warnings

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    try:
        import keras  # noqa: F401
    except ImportError:  # its tests say so and are skipped
        pass
