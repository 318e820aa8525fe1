"""`triceras.visualization`: what a network looks at, and what the layers inside see."""

from triceras.core.registry import publish
from triceras.visualization import drawing, explaining, galleries

publish({"visualization": ("triceras.visualization",)})
