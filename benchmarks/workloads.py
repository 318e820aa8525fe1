"""The five workloads: models written once for any library with the Keras API, data, and first weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

VOCABULARY, WIDTH, HEADS, TOKENS, HIDDEN, BLOCKS = 1000, 128, 4, 64, 512, 2
CLASSES = 10


@dataclass(frozen=True)
class Workload:
    """One row of the table; `steps` is the length of an epoch.

    The targets, by engine: a step may take `native` times as long as in the hand-written loop, and has to be
    `keras` times as fast as in Keras.
    """

    batch: int
    steps: int
    one_hot: bool
    native: dict[str, float]
    keras: dict[str, float]


_NATIVE = {"jax": 1.1, "torch": 1.1, "tensorflow": 1.1}
_NATIVE_SMALL = {"jax": 1.1, "torch": 1.3, "tensorflow": 1.3}
WORKLOADS = {
    "cnn": Workload(32, 128, True, _NATIVE, {"jax": 4, "torch": 1.7, "tensorflow": 1.3}),
    "mlp": Workload(32, 1872, False, _NATIVE_SMALL, {"jax": 2.2, "torch": 6, "tensorflow": 6}),
    "bncnn": Workload(128, 32, True, _NATIVE, {"jax": 2.5, "torch": 1.8, "tensorflow": 1.4}),
    "lstm": Workload(64, 64, False, _NATIVE, {"jax": 1.3, "torch": 3, "tensorflow": 1.3}),
    "transformer": Workload(32, 32, False, _NATIVE, {"jax": 1.8, "torch": 1.15, "tensorflow": 1.2}),
}


def build(k: Any, name: str, dropout: bool = True) -> Any:
    """A compiled model; `k` is `triceras` or `keras`. Without dropout, training is deterministic."""
    layers = k.layers
    rate = 1.0 if dropout else 0.0
    if name == "mlp":  # the slides
        model = k.Sequential(
            [
                layers.Input(shape=(28, 28)),
                layers.Flatten(),
                layers.Dense(128, activation="relu"),
                layers.Dense(CLASSES, activation="softmax"),
            ]
        )
    elif name == "cnn":  # the report
        model = k.Sequential(
            [
                layers.Input(shape=(28, 28, 1)),
                layers.Conv2D(32, (3, 3), activation="relu", padding="same"),
                layers.MaxPooling2D((2, 2)),
                layers.Conv2D(64, (3, 3), activation="relu", padding="same"),
                layers.MaxPooling2D((2, 2)),
                layers.Dropout(0.25 * rate),
                layers.Flatten(),
                layers.Dense(128, activation="relu"),
                layers.Dropout(0.5 * rate),
                layers.Dense(CLASSES, activation="softmax"),
            ]
        )
    elif name == "bncnn":  # the Functional project
        inputs = x = k.Input(shape=(28, 28, 1))
        for filters in (32, 64):
            x = layers.Conv2D(filters, 3, padding="same")(x)
            x = layers.BatchNormalization()(x)
            x = layers.Activation("relu")(x)
            x = layers.MaxPooling2D()(x)
        x = layers.Flatten()(x)
        x = layers.Dense(128, activation="relu")(x)
        x = layers.Dropout(0.5 * rate)(x)
        model = k.Model(inputs, layers.Dense(CLASSES, activation="softmax")(x))
    elif name == "lstm":
        model = k.Sequential(
            [
                layers.Input(shape=(50, 32)),
                layers.LSTM(80, return_sequences=True),
                layers.LSTM(80),
                layers.Dense(CLASSES, activation="softmax"),
            ]
        )
    else:
        inputs = k.Input(shape=(TOKENS,), dtype="int32")
        x = layers.Embedding(VOCABULARY, WIDTH)(inputs)
        for _ in range(BLOCKS):
            attended = layers.MultiHeadAttention(HEADS, WIDTH // HEADS)(x, x)
            x = layers.LayerNormalization()(layers.add([x, layers.Dropout(0.1 * rate)(attended)]))
            hidden = layers.Dense(WIDTH)(layers.Dense(HIDDEN, activation="relu")(x))
            x = layers.LayerNormalization()(layers.add([x, layers.Dropout(0.1 * rate)(hidden)]))
        x = layers.GlobalAveragePooling1D()(x)
        model = k.Model(inputs, layers.Dense(CLASSES, activation="softmax")(x))
    loss = "categorical_crossentropy" if WORKLOADS[name].one_hot else "sparse_categorical_crossentropy"
    optimizer = k.optimizers.SGD(0.01) if name == "cnn" else "adam"
    model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])
    return model


def data(name: str, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Random inputs and class numbers."""
    rng = np.random.default_rng(0)
    if name == "transformer":
        x = rng.integers(0, VOCABULARY, (samples, TOKENS), dtype=np.int32)
    else:
        shape = {"mlp": (28, 28), "lstm": (50, 32)}.get(name, (28, 28, 1))
        x = rng.random((samples, *shape), dtype=np.float32)
    return x, rng.integers(0, CLASSES, samples, dtype=np.int32)


def targets(name: str, labels: np.ndarray) -> np.ndarray:
    """The class numbers as the model's loss wants them."""
    return np.eye(CLASSES, dtype="float32")[labels] if WORKLOADS[name].one_hot else labels


def _shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Shapes of all weights, in the order of `model.get_weights()`."""

    def dense(layer: str, *shape: int, bias: tuple[int, ...] | None = None) -> dict[str, tuple[int, ...]]:
        return {f"{layer}/kernel": shape, f"{layer}/bias": bias or shape[-1:]}

    def norm(layer: str, size: int, *more: str) -> dict[str, tuple[int, ...]]:
        return {f"{layer}/{part}": (size,) for part in ("gamma", "beta", *more)}

    if name == "mlp":
        return dense("hidden", 784, 128) | dense("head", 128, CLASSES)
    if name == "lstm":
        first = {"lstm1/kernel": (32, 320), "lstm1/recurrent": (80, 320), "lstm1/bias": (320,)}
        second = {"lstm2/kernel": (80, 320), "lstm2/recurrent": (80, 320), "lstm2/bias": (320,)}
        return first | second | dense("head", 80, CLASSES)
    if name == "transformer":
        found = {"embedding": (VOCABULARY, WIDTH)}
        for block in range(BLOCKS):
            split = (HEADS, WIDTH // HEADS)
            for part in ("query", "key", "value"):
                found |= dense(f"{block}/{part}", WIDTH, *split, bias=split)
            found |= dense(f"{block}/output", *split, WIDTH) | norm(f"{block}/norm1", WIDTH)
            found |= dense(f"{block}/up", WIDTH, HIDDEN) | dense(f"{block}/down", HIDDEN, WIDTH)
            found |= norm(f"{block}/norm2", WIDTH)
        return found | dense("head", WIDTH, CLASSES)
    found = {}
    for number, channels, filters in ((1, 1, 32), (2, 32, 64)):
        found |= dense(f"conv{number}", 3, 3, channels, filters)
        if name == "bncnn":
            found |= norm(f"norm{number}", filters, "mean", "variance")
    return found | dense("hidden", 3136, 128) | dense("head", 128, CLASSES)


def weights(name: str) -> dict[str, np.ndarray]:
    """First values by name, in the order of `model.get_weights()`: Glorot's for matrices, ones for scales."""
    rng = np.random.default_rng(1)
    found = {}
    for path, shape in _shapes(name).items():
        kind = path.rpartition("/")[2]
        if len(shape) == 1 or kind == "bias":
            found[path] = np.full(shape, 1.0 if kind in ("gamma", "variance") else 0.0, "float32")
        else:
            spread = math.sqrt(6 / (math.prod(shape[:-1]) + shape[-1]))
            found[path] = rng.uniform(-spread, spread, shape).astype("float32")
    return found
