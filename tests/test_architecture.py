"""Imports point one way, and only the engine folder knows an engine."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "src" / "triceras"
# From top to bottom; a module may import at its top level only from its own level or below. Imports inside functions
# resolve names that users pass (a layer's "relu", a model's save()) and may point up.
LEVELS = [
    ["apps", "__main__"],
    ["visualization", "wrappers"],
    ["applications"],
    ["models"],
    ["saving"],
    ["training", "preprocessing"],
    ["layers"],
    [
        "losses",
        "metrics",
        "optimizers",
        "initializers",
        "regularizers",
        "constraints",
        "activations",
        "dtype_policies",
    ],
    ["datasets", "utils"],
    ["moving", "variable", "graph", "random", "saving.objects", "saving.operations"],
    ["ops"],
    ["engine"],
    ["core", "version"],
]
LEVEL = {name: depth for depth, names in enumerate(LEVELS) for name in names}


def level(parts: tuple[str, ...] | list[str]) -> int | None:
    """Of a module that has its own, else of its folder."""
    return LEVEL.get(".".join(parts[:2]), LEVEL.get(parts[0]))


ENGINES = {"jax", "jaxlib", "torch", "tensorflow"}
FILES = sorted(ROOT.rglob("*.py"))


def top_level_imports(path: Path) -> list[str]:
    found = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    part = path.relative_to(ROOT).with_suffix("").parts
    if part[0] == "__init__":
        return
    for name in top_level_imports(path):
        parts = name.split(".")
        if parts[0] == "triceras" and len(parts) > 1 and parts[1] in LEVEL:
            assert level(parts[1:]) >= level(part), (
                f"{path.relative_to(ROOT)} imports {name}, which stands above it"
            )


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_the_engine_folder_imports_engines(path: Path) -> None:
    relative = path.relative_to(ROOT)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
        for name in names:
            if name.partition(".")[0] in ENGINES:
                assert relative.parts[0] == "engine", f"{relative}:{node.lineno} imports {name}"


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_loads_nothing_heavy() -> None:
    heavy = "{'jax','torch','tensorflow','numpy','h5py','optree','rich','PIL','matplotlib','pandas','sklearn','typer'}"
    assert run(f"import sys, triceras; print(sorted({heavy} & set(sys.modules)))") == "[]"


def test_numpy_engine_loads_no_other_engine() -> None:
    code = (
        "import sys, triceras as k; k.use_engine('numpy'); import numpy as np\n"
        "m = k.Sequential([k.layers.Input(shape=(3,)), k.layers.Dense(2)]); m.predict(np.ones((4, 3)), verbose=0)\n"
        "print(sorted({'jax', 'torch', 'tensorflow', 'PIL', 'matplotlib'} & set(sys.modules)))"
    )
    assert run(code) == "[]"
