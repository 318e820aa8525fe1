"""Rows for elementwise functions and reductions."""

from __future__ import annotations

import numpy as np
from case import Case

A = np.array([[0.5, -1.25, 2.0], [1.5, 0.75, -0.5]], "float32")
B = np.array([[1.5, 0.25, -1.0], [0.6, 2.75, 0.9]], "float32")

CASES = [
    Case("add", (A, B)),
    Case("exp", (A,)),
    Case("maximum", (A, B)),
]
