"""`triceras.wrappers`: models as estimators of scikit-learn."""

from triceras.core.registry import publish
from triceras.wrappers import sklearn  # noqa: F401 - registers its names

publish({"wrappers": ("triceras.wrappers",)})
