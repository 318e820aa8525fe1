"""Saving and loading: objects as configs, weights, model files."""

from triceras.core.registry import publish
from triceras.saving import archive, objects, weights
from triceras.saving.archive import load_model, save_model
from triceras.saving.weights import load_weights, save_weights

__all__ = ["archive", "load_model", "load_weights", "objects", "save_model", "save_weights", "weights"]

publish({"saving": ("triceras.saving",)})
