"""Helpers around training: labels and sequences as arrays, image files, downloads."""

import sys

from triceras.core.registry import PublicModule
from triceras.utils import arrays, files, images

sys.modules[__name__].__class__ = PublicModule  # modules elsewhere define names of `utils`, too
