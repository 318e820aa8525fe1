"""What a worker process measures: one engine, the competitors side by side, in turns.

`python -m benchmarks.measure TASK ENGINE ...` prints its result as JSON in the last line; `python -m benchmarks`
starts these processes, because the reference can run only one engine in a process.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import statistics
import sys
import time
import timeit
from collections.abc import Callable
from typing import Any

import numpy as np
from benchmarks.workloads import WORKLOADS, build, data, targets, weights

Action = Callable[[int], Any]  # does something that many times
PREDICTED = 12_800
CLOCK = time.process_time if os.environ.get("BENCHMARK_CLOCK") == "cpu" else time.perf_counter


def library(name: str, engine: str) -> Any:
    """Triceras or Keras, with the engine loaded and active."""
    os.environ["KERAS_BACKEND"] = engine
    k = importlib.import_module(name)
    if name == "triceras":
        k.use_engine(engine)
    k.ops.convert_to_numpy(k.ops.add(k.ops.ones(()), 1))
    return k


def timed(action: Action, times: int) -> float:
    """Seconds for one of so many."""
    gc.collect()
    began = CLOCK()
    action(times)
    return (CLOCK() - began) / times


class Competition:
    """Competitors that take turns after warming up; one that fails stays out, with its reason."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.ready: dict[str, tuple[Action, int]] = {}
        self.failed: dict[str, str] = {}

    def enter(self, name: str, make: Callable[[], Action]) -> float:
        """Prepare a competitor and see how often it goes into one sample; the seconds of one time."""
        try:
            action = make()
            action(1)  # compiles
            once = timed(action, 1)
            times = max(1, round(self.seconds / once))
            once = min(once, timed(action, times))
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            text = " ".join(str(error).split())
            self.failed[name] = f"{type(error).__name__}: {text[:200]}"
            return float("inf")
        self.ready[name] = action, max(1, round(self.seconds / once))
        return once

    def enter_fastest(self, name: str, makes: dict[str, Callable[[], Action]]) -> str:
        """Let only the fastest of several compete under that name; says which."""
        heats = Competition(self.seconds / 2)
        took = {variant: heats.enter(variant, make) for variant, make in makes.items()}
        best = min(took, key=took.__getitem__)
        if best in heats.ready:
            action, times = heats.ready[best]
            self.ready[name] = action, 2 * times
        else:
            self.failed[name] = heats.failed[best]
        return best

    def run(self, rounds: int) -> dict[str, list[float]]:
        """Seconds of one time, by competitor and round."""
        found: dict[str, list[float]] = {name: [] for name in self.ready}
        for _ in range(rounds):
            for name, (action, times) in self.ready.items():
                found[name].append(timed(action, times))
        return found


def training(engine: str, name: str, rounds: int, seconds: float) -> dict[str, Any]:
    """Seconds a training step through `fit`, and through a hand-written loop."""
    handwritten = importlib.import_module(f"benchmarks.handwritten_{engine}")
    workload = WORKLOADS[name]
    x, labels = data(name, workload.batch * workload.steps)
    y = targets(name, labels)
    race = Competition(seconds)

    def fit(who: str) -> Callable[[], Action]:
        def make() -> Action:
            model = build(library(who, engine), name)
            return lambda epochs: model.fit(x, y, batch_size=workload.batch, epochs=epochs, verbose=0)

        return make

    race.enter("triceras", fit("triceras"))
    how = race.enter_fastest(
        "native",
        {
            formulation: lambda f=formulation: handwritten.loop(name, f, x, labels, weights(name))
            for formulation in handwritten.FORMULATIONS[name]
        },
    )
    race.enter("keras", fit("keras"))
    times = {who: [t / workload.steps for t in found] for who, found in race.run(rounds).items()}
    return {"times": times, "failed": race.failed, "native": how}


def prediction(engine: str, name: str, rounds: int, seconds: float) -> dict[str, Any]:
    """Seconds to predict 12,800 samples."""
    x, _ = data(name, PREDICTED)
    race = Competition(seconds)
    for who in ("triceras", "keras"):

        def make(who: str = who) -> Action:
            model = build(library(who, engine), name)
            return lambda times: [model.predict(x, verbose=0) for _ in range(times)]

        race.enter(who, make)
    return {"times": race.run(rounds), "failed": race.failed}


# ---------------------------------------------------------------- eager calls


def _native_ops(engine: str) -> dict[str, Callable[..., Any]]:
    """The engine's own functions behind a few ops."""
    if engine == "jax":
        import jax
        import jax.numpy as jnp

        add, multiply, matmul, relu, reshape, total = (
            jnp.add, jnp.multiply, jnp.matmul, jax.nn.relu, jnp.reshape, jnp.sum,
        )  # fmt: skip
    elif engine == "torch":
        import torch

        add, multiply, matmul, relu, reshape, total = (
            torch.add, torch.multiply, torch.matmul, torch.relu, torch.reshape, torch.sum,
        )  # fmt: skip
    else:
        import tensorflow as tf

        add, multiply, matmul, relu, reshape, total = (
            tf.add, tf.multiply, tf.matmul, tf.nn.relu, tf.reshape, tf.reduce_sum,
        )  # fmt: skip
    return {"add": add, "multiply": multiply, "matmul": matmul, "relu": relu, "reshape": reshape, "sum": total}


def _repeated(function: Callable[..., Any], *arguments: Any) -> Action:
    return lambda times: timeit.timeit(lambda: function(*arguments), number=times)


def op_calls(engine: str, rounds: int, seconds: float) -> dict[str, dict[str, Any]]:
    """Seconds of an eager call on (8, 8) tensors, ours, Keras's and the engine's own, by op."""
    ours, theirs = library("triceras", engine), library("keras", engine)
    x = ours.ops.convert_to_tensor(np.ones((8, 8), "float32"))
    arguments = {"relu": (x,), "reshape": (x, (4, 16)), "sum": (x, 1)}
    found = {}
    for name, native in _native_ops(engine).items():
        race = Competition(seconds / 5)
        given = arguments.get(name, (x, x))
        spaces = {k: k.ops if name != "relu" else k.ops for k in (ours, theirs)}
        race.enter("triceras", lambda: _repeated(getattr(spaces[ours], name), *given))
        race.enter("native", lambda: _repeated(native, *given))
        race.enter("keras", lambda: _repeated(getattr(spaces[theirs], name), *given))
        found[name] = {"times": race.run(3 * rounds), "failed": race.failed}
    return found


def model_calls(engine: str, rounds: int, seconds: float) -> dict[str, dict[str, Any]]:
    """Seconds of an eager `model(x)` with so many Dense layers on a batch of 8, beside the same native calls."""
    found = {}
    for depth in (3, 20):
        race = Competition(seconds / 5)
        models = {}
        for who in ("triceras", "keras"):

            def make(who: str = who, depth: int = depth) -> Action:
                k = library(who, engine)
                stack = [k.layers.Dense(32, activation="relu") for _ in range(depth)]
                model = models[who] = k.Sequential([k.layers.Input(shape=(32,)), *stack])
                return _repeated(model, k.ops.ones((8, 32)))

            race.enter(who, make)
        race.enter("native", lambda: _repeated(*_native_stack(engine, models["keras"].get_weights())))
        found[str(depth)] = {"times": race.run(3 * rounds), "failed": race.failed}
    return found


def _native_stack(engine: str, values: list[np.ndarray]) -> tuple[Callable[[Any], Any], Any]:
    """The same layers as one would write them by hand, and their input."""
    x = np.ones((8, 32), "float32")
    if engine == "jax":
        import jax
        import jax.numpy as jnp

        pairs = [(jnp.array(w), jnp.array(b)) for w, b in zip(values[::2], values[1::2])]
        x = jnp.array(x)

        def layer(x: Any, w: Any, b: Any) -> Any:
            return jax.nn.relu(x @ w + b)

    elif engine == "torch":
        import torch

        pairs = [
            (torch.tensor(w.T, requires_grad=True), torch.tensor(b, requires_grad=True))
            for w, b in zip(values[::2], values[1::2])
        ]
        x = torch.tensor(x)

        def layer(x: Any, w: Any, b: Any) -> Any:
            return torch.relu(torch.nn.functional.linear(x, w, b))

    else:
        import tensorflow as tf

        pairs = [(tf.Variable(w), tf.Variable(b)) for w, b in zip(values[::2], values[1::2])]
        x = tf.constant(x)

        def layer(x: Any, w: Any, b: Any) -> Any:
            return tf.nn.relu(tf.nn.bias_add(tf.matmul(x, w), b))

    def forward(x: Any) -> Any:
        for w, b in pairs:
            x = layer(x, w, b)
        return x

    return forward, x


# ---------------------------------------------------------------- once in a fresh process


def first_step(engine: str, who: str, name: str) -> float:
    """Seconds from a built and compiled model to the end of its first training step."""
    k = library(who, engine)
    workload = WORKLOADS[name]
    x, labels = data(name, workload.batch * 4)
    y = targets(name, labels)
    model = build(k, name)
    found = []

    class Watch(k.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            found.append(CLOCK() - began)

    began = CLOCK()
    model.fit(x, y, batch_size=workload.batch, verbose=0, callbacks=[Watch()])
    return found[0]


def building(engine: str, who: str) -> float:
    """Seconds to build a Functional model of 200 layers."""
    k = library(who, engine)
    began = CLOCK()
    inputs = x = k.Input(shape=(32,))
    for _ in range(200):
        x = k.layers.Dense(32, activation="relu")(x)
    k.Model(inputs, x)
    return CLOCK() - began


def importing(engine: str, who: str) -> float:
    """Seconds of an import."""
    os.environ["KERAS_BACKEND"] = engine
    began = CLOCK()
    importlib.import_module(who)
    return CLOCK() - began


# ---------------------------------------------------------------- checks


def check(engine: str, name: str) -> dict[str, list[float]]:
    """Loss and accuracy of two steps from equal weights without dropout or shuffling: all must agree.

    The first epoch holds one step (equal to rounding), the second another (the same up to the optimizers' small
    differences, such as where Adam's epsilon stands).
    """
    handwritten = importlib.import_module(f"benchmarks.handwritten_{engine}")
    batch = WORKLOADS[name].batch
    x, labels = data(name, batch)
    first = weights(name)
    found = {}
    for who in ("triceras", "keras"):
        try:
            model = build(library(who, engine), name, dropout=False)
            model.set_weights(list(first.values()))
            log = model.fit(x, targets(name, labels), batch_size=batch, epochs=2, shuffle=False, verbose=0).history
            found[who] = [value for pair in zip(log["loss"], log["accuracy"]) for value in pair]
        except Exception as error:  # noqa: BLE001 - said in the table
            found[who] = f"{type(error).__name__}: {error}"
    for formulation in handwritten.FORMULATIONS[name]:
        train = handwritten.loop(name, formulation, x, labels, first, dropout=False, shuffle=False)
        found[formulation] = [*train(1), *train(1)]
    return found


if __name__ == "__main__":
    task, engine, *given = sys.argv[1:]
    if cores := os.environ.get("BENCHMARK_CORES"):
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    result = globals()[task](engine, *[json.loads(text) if text[0] in '"0123456789' else text for text in given])
    print(json.dumps(result), flush=True)
    os._exit(0)  # no engine has to say goodbye
