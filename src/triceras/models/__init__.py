"""`triceras.models`: Model, Sequential, Functional, cloning, summary."""

from triceras.core.registry import publish
from triceras.models import cloning, functional, model, sequential, summary  # noqa: F401 - they register their names

publish({"models": ("triceras.models", "triceras.saving.archive")})
