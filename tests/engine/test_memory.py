"""Models that are dropped leave nothing behind, nor do predictions: resident memory stays flat.

Each engine is looked at in a process of its own, in which nobody else keeps logs or frames.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from triceras.engine import selection

WIDTH, BATCH = 8192, 64
WEIGHTS, INPUTS = 128 * WIDTH * 4, BATCH * 128 * 4  # bytes of a model and of what it predicts from
ROUNDS, PREDICTIONS = 8, 400
PROGRAM = f"""
import gc, json, sys
import numpy as np
import triceras as keras
from triceras import layers

keras.use_engine(sys.argv[1])
trains = sys.argv[1] != "numpy"
x, y = np.random.default_rng(0).random(({BATCH}, 128), dtype="float32"), np.arange({BATCH}) % 3

def resident():
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096

def network(width):
    hidden = layers.Dense(width, "relu")
    return keras.Sequential([layers.Input((128,)), hidden, layers.Dropout(0.1), layers.Dense(3)])

def one_round():
    model = network({WIDTH})
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    if trains:
        model.fit(x, y, batch_size=32, verbose=0)
    model.predict(x, verbose=0)

def least(action, times=3):
    seen = []
    for _ in range(times):  # threads work in heaps of their own, whose ends come and go
        action()
        seen.append(resident())
    return min(seen)

def growth(action, between):
    for _ in range(4):
        action()
    before = least(action)
    for _ in range(between - 3):
        action()
    return least(action) - before

rounds = growth(one_round, {ROUNDS})
model = network(64)
print(json.dumps([rounds, growth(lambda: model.predict_on_batch(x), {PREDICTIONS})]))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
@pytest.mark.parametrize("name", [name for name in selection.MODULES if selection.installed(name)])
def test_memory_stays_flat(name: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, name], capture_output=True, text=True)
    assert not done.returncode, done.stderr
    rounds, predictions = json.loads(done.stdout)
    assert rounds < ROUNDS * WEIGHTS / 2  # half of what models that stay would take
    assert predictions < PREDICTIONS * INPUTS / 2


def test_memory_goes_back_when_a_model_is_gone() -> None:
    """What training freed stays with the process as long as the model is there."""
    if not sys.platform.startswith("linux"):
        pytest.skip("glibc's")
    program = """
import ctypes, gc
import numpy as np
from triceras.engine import memory

class User:
    pass

def resident():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096 >> 20

if memory._malloc("malloc_trim") is None:
    print(True, True)
else:
    memory.keep_freed()
    user = User()
    memory.give_back_after(user)
    before, blocks = resident(), [np.ones(1 << 18) for _ in range(20)]  # 2 MiB each
    last = np.ones(1 << 18)
    del blocks
    gc.collect()
    kept = resident() - before
    del user
    gc.collect()
    print(kept > 35, resident() - before < 10)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]
