"""Imports TensorFlow with oneDNN's kernels, and without what its libraries write while they are loaded.

`TF_ENABLE_ONEDNN_OPTS=0` leaves the kernels to TensorFlow, `TF_CPP_MIN_LOG_LEVEL=0` shows it all.
"""

from __future__ import annotations

import os

_STDERR = 2

# by itself TensorFlow takes them on some processors only; elsewhere, too, convolutions gain up to a third
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") != "0":
    # some lines come before any setting counts, so that only the stream itself can be closed to them
    kept, nowhere = os.dup(_STDERR), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, _STDERR)
    try:
        import tensorflow  # noqa: F401
    finally:
        os.dup2(kept, _STDERR)
        os.close(kept)
        os.close(nowhere)
