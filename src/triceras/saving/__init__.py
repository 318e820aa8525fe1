"""Saving and loading: objects as configs, weights, model files."""

from triceras.core.registry import publish
from triceras.saving import objects

__all__ = ["objects"]

publish(
    {"saving": tuple(f"triceras.saving.{part}" for part in ("objects", "archive", "weights", "editor"))}
)  # on use: HDF5
