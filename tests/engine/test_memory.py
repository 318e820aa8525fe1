"""Models that are dropped leave nothing behind, nor do predictions: resident memory stays flat.

Each engine is looked at in a process of its own, in which nobody else keeps logs or frames.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from triceras.engine import selection

GROWS = pytest.mark.xfail(reason="JAX keeps some 5 MiB a round, no live array among them; not explained yet", strict=False)
NAMES = [
    pytest.param(name, marks=[GROWS] if name == "jax" else []) for name in selection.MODULES if selection.installed(name)
]
PROGRAM = """
import gc, sys
import numpy as np
import triceras as keras
from triceras import layers

keras.use_engine(sys.argv[1])
trains = sys.argv[1] != "numpy"
x, y = np.random.default_rng(0).random((64, 128), dtype="float32"), np.arange(64) % 3

def resident():
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096 / 2**20

def network(width):
    return keras.Sequential([layers.Input((128,)), layers.Dense(width, "relu"), layers.Dropout(0.1), layers.Dense(3)])

def one_round():
    model = network(16384)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    if trains:
        model.fit(x, y, batch_size=32, verbose=0)
    model.predict(x, verbose=0)

def growth(action, first, then):
    for _ in range(first):
        action()
    before = resident()
    for _ in range(then):
        action()
    return resident() - before

print(growth(one_round, 10, 20))
model = network(64)
print(growth(lambda: model.predict_on_batch(x), 50, 400))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
@pytest.mark.parametrize("name", NAMES)
def test_memory_stays_flat(name: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, name], capture_output=True, text=True, check=True)
    rounds, predictions = map(float, done.stdout.split())
    assert rounds < 60  # MiB; one model's weights are 8, so that keeping them would make it 160
    assert predictions < 4
