"""Speed of Triceras as ratios: against hand-written JAX and against Keras 3.15.1 on JAX, in pairs within one run.

    make bench                          # the whole table
    python -m benchmarks --only cnn     # one row;  --rounds 9 for quieter medians

The machine may be shared and noisy, so competitors take turns and the medians of the pairs' ratios are what counts.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

BATCH = {"mlp": 32, "cnn": 32, "bn_cnn": 128}
STEPS = {"mlp": 2000, "cnn": 100, "bn_cnn": 20}
TARGETS = {"mlp": (None, 2.2), "cnn": (1.10, 4.0), "bn_cnn": (None, 2.5)}


def build(k: Any, name: str) -> Any:
    """A model of the issue's three, made and compiled with any library of the Keras API."""
    layers = k.layers
    if name == "mlp":  # the slides
        model = k.Sequential(
            [
                layers.Input(shape=(28, 28)),
                layers.Flatten(),
                layers.Dense(128, activation="relu"),
                layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    elif name == "cnn":  # the report
        model = k.Sequential(
            [
                layers.Input(shape=(28, 28, 1)),
                layers.Conv2D(32, (3, 3), activation="relu", padding="same"),
                layers.MaxPooling2D((2, 2)),
                layers.Conv2D(64, (3, 3), activation="relu", padding="same"),
                layers.MaxPooling2D((2, 2)),
                layers.Dropout(0.25),
                layers.Flatten(),
                layers.Dense(128, activation="relu"),
                layers.Dropout(0.5),
                layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile(optimizer=k.optimizers.SGD(0.01), loss="categorical_crossentropy", metrics=["accuracy"])
    else:  # the Functional project
        inputs = x = k.Input(shape=(28, 28, 1))
        for filters in (32, 64):
            x = layers.Conv2D(filters, 3, padding="same")(x)
            x = layers.BatchNormalization()(x)
            x = layers.Activation("relu")(x)
            x = layers.MaxPooling2D()(x)
        x = layers.Flatten()(x)
        x = layers.Dropout(0.5)(layers.Dense(128, activation="relu")(x))
        model = k.Model(inputs, layers.Dense(10, activation="softmax")(x))
        model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def data(name: str, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Random images and labels in the form that the model takes."""
    rng = np.random.default_rng(0)
    x = rng.random((samples, 28, 28) if name == "mlp" else (samples, 28, 28, 1), dtype=np.float32)
    y = rng.integers(0, 10, samples)
    return x, y if name == "mlp" else np.eye(10, dtype="float32")[y]


def timed(action: Callable[[], Any]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def paired(actions: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each action, taken in turns after one round of warming up."""
    for action in actions.values():
        action()
    found: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            found[name].append(timed(action))
    return found


def ratio(a: list[float], b: list[float]) -> float:
    return statistics.median(x / y for x, y in zip(a, b, strict=True))


def training(name: str, rounds: int) -> None:
    import keras
    from benchmarks import handwritten_jax

    import triceras

    batch, steps = BATCH[name], STEPS[name]
    x, y = data(name, batch * steps)
    ours, theirs = build(triceras, name), build(keras, name)
    times = paired(
        {
            "ours": lambda: ours.fit(x, y, batch_size=batch, verbose=0),
            "raw": lambda: handwritten_jax.run(name, "best", steps),
            "naive": lambda: handwritten_jax.run(name, "naive", steps),
            "keras": lambda: theirs.fit(x, y, batch_size=batch, verbose=0),
        },
        rounds,
    )
    per_step = {k: statistics.median(v) / steps * 1e3 for k, v in times.items()}
    most, least = TARGETS[name]
    print(
        f"fit {name:7} batch {batch:3}: {per_step['ours']:8.3f} ms a step | hand-written JAX best {per_step['raw']:8.3f} "
        f"({ratio(times['ours'], times['raw']):.2f} x{f', at most {most}' if most else ''}), naive {per_step['naive']:8.3f} | "
        f"Keras {per_step['keras']:8.3f} ({ratio(times['keras'], times['ours']):.2f} x faster, at least {least})",
        flush=True,
    )


def prediction(rounds: int) -> None:
    import keras

    import triceras

    x, _ = data("cnn", 12_800)
    ours, theirs = build(triceras, "cnn"), build(keras, "cnn")
    times = paired(
        {"ours": lambda: ours.predict(x, verbose=0), "keras": lambda: theirs.predict(x, verbose=0)}, rounds
    )
    print(
        f"predict 12,800 images: {statistics.median(times['ours']):.3f} s | Keras {statistics.median(times['keras']):.3f} s "
        f"({ratio(times['keras'], times['ours']):.2f} x faster, at least 1)",
        flush=True,
    )


FIRST_STEP = """
import sys, time
from benchmarks.__main__ import build, data, BATCH
if sys.argv[1] == "ours":
    import triceras as k
else:
    import keras as k
name = sys.argv[2]
x, y = data(name, BATCH[name] * 4)
model = build(k, name)
k.ops.convert_to_numpy(k.ops.add(1, 1))  # the engine is loaded
class Stop(k.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        print(time.perf_counter() - began); sys.stdout.flush(); import os; os._exit(0)
began = time.perf_counter()
model.fit(x, y, batch_size=BATCH[name], verbose=0, callbacks=[Stop()])
"""


def in_process(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def first_step(name: str, rounds: int) -> None:
    times: dict[str, list[float]] = {"ours": [], "keras": []}
    for _ in range(min(rounds, 5)):
        for who, found in times.items():
            found.append(float(in_process(FIRST_STEP, who, name)))
    print(
        f"first step of {name:7}: {statistics.median(times['ours']):.2f} s | Keras {statistics.median(times['keras']):.2f} s "
        f"({ratio(times['ours'], times['keras']):.2f} x, at most 1)",
        flush=True,
    )


def importing(rounds: int) -> None:
    code = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
    times: dict[str, list[float]] = {"numpy": [], "triceras": []}
    for _ in range(rounds):
        for name, found in times.items():
            found.append(float(in_process(code.format(name))))
    print(
        f"import triceras: {statistics.median(times['triceras']) * 1e3:.0f} ms | numpy "
        f"{statistics.median(times['numpy']) * 1e3:.0f} ms ({ratio(times['triceras'], times['numpy']):.2f} x, at most 3)",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", help="mlp cnn bn_cnn predict first import")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    wanted = options.only or [*BATCH, "predict", "first", "import"]
    for name in wanted:
        if name in BATCH:
            training(name, options.rounds)
        elif name == "predict":
            prediction(options.rounds)
        elif name == "first":
            for model in BATCH:
                first_step(model, options.rounds)
        elif name == "import":
            importing(options.rounds)
        else:
            parser.error(f"unknown row {name!r}")


if __name__ == "__main__":
    main()
