"""`triceras.visualization`: what a network looks at, and what the layers inside see."""

from triceras.core.registry import publish
from triceras.visualization import drawing, explaining, galleries  # noqa: F401 - they register their names

publish({"visualization": ("triceras.visualization",)})
