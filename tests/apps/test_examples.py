"""The examples that stand beside the recipes run as they are, on a little data and for one epoch."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import triceras as keras
from triceras.apps.recipes import RECIPES

pytest.importorskip("torch")
pytest.importorskip("sklearn")
Image = pytest.importorskip("PIL.Image")

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FOLDERS = {
    "malaria": ["train/Parasitized", "train/Uninfected", "test/Parasitized", "test/Uninfected"],
    "chest_xray": [f"{part}/{kind}" for part in ("train", "val", "test") for kind in ("NORMAL", "PNEUMONIA")],
    "pictures": ["cats", "dogs"],
}


@pytest.fixture(autouse=True)
def little_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Noise in the place of all data sets, PyTorch, and one epoch."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["example.py"])
    random = np.random.default_rng(0)

    def noise(*shape: int) -> Any:
        def split(n: int) -> tuple[np.ndarray, np.ndarray]:
            return random.integers(0, 256, (n, *shape), "uint8"), np.arange(n, dtype="uint8") % 10

        return lambda: (split(40), split(20))

    for name, shape in {"mnist": (28, 28), "fashion_mnist": (28, 28), "cifar10": (32, 32, 3)}.items():
        monkeypatch.setattr(getattr(keras.datasets, name), "load_data", noise(*shape))
    for place, kinds in FOLDERS.items():
        for kind in kinds:
            folder = tmp_path / place / kind
            folder.mkdir(parents=True)
            for i in range(4):
                Image.fromarray(random.integers(0, 256, (16, 16, 3), "uint8")).save(folder / f"{i}.png")
    keras.config.set_max_epochs(1)
    with keras.use_engine("torch"):
        keras.utils.set_random_seed(0)
        yield
    keras.config.set_max_epochs(None)


@pytest.mark.parametrize("recipe", RECIPES)
def test_examples(recipe: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    path = EXAMPLES / f"{recipe.replace('-', '_')}.py"
    code = path.read_text(encoding="utf-8")
    if recipe == "images":
        base = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3))
        base.save_weights("base.weights.h5")
        monkeypatch.setattr(sys, "argv", ["images.py", "pictures", "base.weights.h5"])
        code = code.replace("(160, 160)", "(32, 32)")
    exec(compile(code, path.name, "exec"), {"__name__": "__main__"})
    assert len(capsys.readouterr().out.splitlines()) >= 2
    assert len(code.splitlines()) <= 80
