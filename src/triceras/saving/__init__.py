"""Saving and loading: objects as configs, weights, model files."""

from triceras.core.registry import publish
from triceras.saving import objects  # noqa: F401 - defines names of this namespace

publish({"saving": ("triceras.saving",)})
