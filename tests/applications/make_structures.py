"""Writes structures.json: what the reference's networks look like, for test_structure.

KERAS_BACKEND=jax python -m tests.applications.make_structures
"""

from __future__ import annotations

import json
from pathlib import Path

import keras

from tests.applications.test_applications import digest


def main() -> None:
    for kind in ("VarianceScaling", "RandomNormal", "TruncatedNormal"):  # a network's numbers don't matter
        initializer = getattr(keras.initializers, kind)
        initializer.__call__ = lambda self, shape, dtype=None: keras.ops.zeros(shape, dtype)
    found = {}
    for name in sorted(n for n in dir(keras.applications) if n[0].isupper()):
        keras.utils.clear_session()
        found[name] = digest(getattr(keras.applications, name)(weights=None))
    text = ",\n".join(f'  "{name}": {json.dumps(row)}' for name, row in found.items())
    (Path(__file__).parent / "structures.json").write_text(f"{{\n{text}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
