"""What a worker process measures: one engine, the competitors side by side, in turns.

`python -m benchmarks.measure TASK ENGINE ...` prints its result as JSON in the last line.
`python -m benchmarks` starts these processes: the reference can run only one engine in a process.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import subprocess
import sys
import time
import timeit
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.workloads import WORKLOADS, build, data, targets, weights

Action = Callable[[int], Any]  # does something that many times; may return the seconds of all
PREDICTED = 12_800
ENVIRONMENT = dict(os.environ)  # before a library changed it
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
    began = CLOCK()
    took = action(times)
    return (took if isinstance(took, float) else CLOCK() - began) / times


def apart(task: str, *given: str) -> Action:
    """An action in a process of its own, so that what one library does to its process is no gain of the other.

    The process ends with this one, whose pipe it reads.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.measure", "serve", task, *given],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )

    def act(times: int) -> float:
        process.stdin.write(f"{times}\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise RuntimeError((process.stderr.read().strip().splitlines() or ["the process ended"])[-1])
        return float(line)

    return act


def serve(task: str, *given: str) -> None:
    """Be the process behind `apart`: for each line with a number, act so often and print the seconds of all."""
    action = {"fit": fitting, "predict": predicting}[task](*given)
    for line in sys.stdin:
        began = CLOCK()
        action(int(line))
        print(CLOCK() - began, flush=True)


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
        except Exception as error:  # whatever it is, the others go on
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
            gc.collect()
            for name, (action, times) in self.ready.items():
                found[name].append(timed(action, times))
        return found


def race(makes: dict[str, Callable[[], Action]], rounds: int, seconds: float) -> dict[str, Any]:
    """Seconds of one time for each competitor, and the reasons of those that failed."""
    competition = Competition(seconds)
    for who, make in makes.items():
        competition.enter(who, make)
    return {"times": competition.run(rounds), "failed": competition.failed}


def training(engine: str, name: str, rounds: int, seconds: float) -> dict[str, Any]:
    """Seconds a training step through `fit`, and through a hand-written loop."""
    # first, so that it sets the engine's library up for the hand-written loop, too
    library("triceras", engine)
    handwritten = importlib.import_module(f"benchmarks.handwritten_{engine}")
    workload = WORKLOADS[name]
    x, labels = data(name, workload.batch * workload.steps)
    competition = Competition(seconds)
    competition.enter("triceras", partial(fitting, engine, name, "triceras"))
    how = competition.enter_fastest(
        "native",
        {
            formulation: partial(handwritten.loop, name, formulation, x, labels, weights(name))
            for formulation in handwritten.FORMULATIONS[name]
        },
    )
    competition.enter("keras", partial(apart, "fit", engine, name, "keras"))
    times = {who: [t / workload.steps for t in found] for who, found in competition.run(rounds).items()}
    return {"times": times, "failed": competition.failed, "native": how}


def fitting(engine: str, name: str, who: str) -> Action:
    """Epochs of `fit` with a workload."""
    workload = WORKLOADS[name]
    model = build(library(who, engine), name)
    x, labels = data(name, workload.batch * workload.steps)
    y = targets(name, labels)
    return lambda epochs: model.fit(x, y, batch_size=workload.batch, epochs=epochs, verbose=0)


def prediction(engine: str, name: str, rounds: int, seconds: float) -> dict[str, Any]:
    """Seconds to predict 12,800 samples."""
    makes = {
        "triceras": partial(predicting, engine, name, "triceras"),
        "keras": partial(apart, "predict", engine, name, "keras"),
    }
    return race(makes, rounds, seconds)


def predicting(engine: str, name: str, who: str) -> Action:
    """Predictions for 12,800 samples."""
    model = build(library(who, engine), name)
    x, _ = data(name, PREDICTED)
    return lambda times: [model.predict(x, verbose=0) for _ in range(times)]


# ---------------------------------------------------------------- eager calls


def _native_ops(engine: str) -> dict[str, Callable[..., Any]]:
    """The engine's own functions behind a few ops."""
    if engine == "jax":
        import jax
        import jax.numpy as jnp

        functions = jnp.add, jnp.multiply, jnp.matmul, jax.nn.relu, jnp.reshape, jnp.sum, jax.nn.one_hot
    elif engine == "torch":
        import torch

        def one_hot(x: Any, count: int) -> Any:
            return torch.nn.functional.one_hot(x.long(), count).float()

        functions = torch.add, torch.multiply, torch.matmul, torch.relu, torch.reshape, torch.sum, one_hot
    else:
        import tensorflow as tf

        functions = tf.add, tf.multiply, tf.matmul, tf.nn.relu, tf.reshape, tf.reduce_sum, tf.one_hot
    return dict(zip(("add", "multiply", "matmul", "relu", "reshape", "sum", "one_hot"), functions))


def _repeated(function: Callable[..., Any], *arguments: Any) -> Action:
    return lambda times: timeit.timeit(lambda: function(*arguments), number=times)


def _short(rounds: int, seconds: float) -> tuple[int, float]:
    """Many short samples, whose fastest counts: what disturbs such calls only adds to them."""
    return 5 * rounds, seconds / 20


def op_calls(engine: str, rounds: int, seconds: float) -> dict[str, dict[str, Any]]:
    """Seconds of an eager call on (8, 8) tensors, ours, Keras's and the engine's own, by op."""
    ours, theirs = library("triceras", engine), library("keras", engine)
    x = ours.ops.convert_to_tensor(np.ones((8, 8), "float32"))
    numbers = ours.ops.convert_to_tensor(np.arange(8, dtype="int32"))
    arguments = {"relu": (x,), "reshape": (x, (4, 16)), "sum": (x, 1), "one_hot": (numbers, 8)}
    found = {}
    for name, native in _native_ops(engine).items():
        functions = {
            "triceras": getattr(ours.ops, name),
            "native": native,
            "keras": getattr(theirs.ops, name),
        }
        makes = {who: partial(_repeated, f, *arguments.get(name, (x, x))) for who, f in functions.items()}
        found[name] = race(makes, *_short(rounds, seconds))
    return found


def model_calls(engine: str, rounds: int, seconds: float) -> dict[str, dict[str, Any]]:
    """Seconds of an eager `model(x)`, 3 and 20 Dense layers on a batch of 8, and of the same native calls."""

    def stack(who: str, depth: int) -> Action:
        if who == "native":
            return _repeated(*_native_stack(engine, depth))
        k = library(who, engine)
        model = k.Sequential([k.layers.Input(shape=(32,))])
        for _ in range(depth):
            model.add(k.layers.Dense(32, activation="relu"))
        return _repeated(model, k.ops.ones((8, 32)))

    return {
        str(depth): race(
            {who: partial(stack, who, depth) for who in ("triceras", "native", "keras")},
            *_short(rounds, seconds),
        )
        for depth in (3, 20)
    }


def _native_stack(engine: str, depth: int) -> tuple[Callable[[Any], Any], Any]:
    """The same layers as one would write them by hand, and their input."""
    rng = np.random.default_rng(0)
    pairs = [(rng.normal(0, 0.2, (32, 32)).astype("float32"), np.zeros(32, "float32")) for _ in range(depth)]
    x = np.ones((8, 32), "float32")
    if engine == "jax":
        import jax
        import jax.numpy as jnp

        hold = tensor = jnp.array

        def layer(x: Any, w: Any, b: Any) -> Any:
            return jax.nn.relu(x @ w + b)

    elif engine == "torch":
        import torch

        tensor, hold = torch.tensor, partial(torch.tensor, requires_grad=True)

        def layer(x: Any, w: Any, b: Any) -> Any:
            return torch.relu(torch.nn.functional.linear(x, w, b))

    else:
        import tensorflow as tf

        tensor, hold = tf.constant, tf.Variable

        def layer(x: Any, w: Any, b: Any) -> Any:
            return tf.nn.relu(tf.nn.bias_add(tf.matmul(x, w), b))

    held = [(hold(w), hold(b)) for w, b in pairs]

    def forward(x: Any) -> Any:
        for w, b in held:
            x = layer(x, w, b)
        return x

    return forward, tensor(x)


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


def building(engine: str, who: str, kind: str) -> float:
    """Seconds to build a Functional model of 200 layers: all alike, or in blocks whose sizes are all new."""
    k = library(who, engine)
    layers, model, source = k.layers, k.Model, k.Input  # with the imports that their first use may bring
    began = CLOCK()
    if kind == "alike":
        inputs = x = source(shape=(32,))
        for _ in range(200):
            x = layers.Dense(32, activation="relu")(x)
    else:
        inputs = x = source(shape=(32, 32, 3))
        for block in range(40):
            y = layers.Conv2D(8 + block, 3, padding="same")(x)
            y = layers.Activation("relu")(layers.BatchNormalization()(y))
            x = layers.Add()([layers.Conv2D(8 + block, 1)(x), y])
    model(inputs, x)
    return CLOCK() - began


def importing(engine: str, who: str) -> float:
    """Seconds of an import."""
    os.environ["KERAS_BACKEND"] = engine
    began = CLOCK()
    importlib.import_module(who)
    return CLOCK() - began


# ---------------------------------------------------------------- checks


def check(engine: str, name: str) -> dict[str, list[float] | str]:
    """Loss and accuracy of two steps on one batch from equal weights, without dropout: all must agree.

    The first loss to rounding, the second up to what the libraries do in their own way: where Adam's epsilon
    stands, sparse updates of embeddings, probabilities clipped before their logarithm.
    """
    handwritten = importlib.import_module(f"benchmarks.handwritten_{engine}")
    batch = WORKLOADS[name].batch
    x, labels = data(name, batch)
    first = weights(name)
    found: dict[str, list[float] | str] = {}
    for who in ("triceras", "keras"):
        try:
            model = build(library(who, engine), name, dropout=False)
            model.set_weights(list(first.values()))
            fitted = model.fit(x, targets(name, labels), batch_size=batch, epochs=2, shuffle=False, verbose=0)
            log = fitted.history
            found[who] = [value for pair in zip(log["loss"], log["accuracy"]) for value in pair]
        except Exception as error:  # the table says it
            found[who] = f"{type(error).__name__}: {error}"
    for formulation in handwritten.FORMULATIONS[name]:
        train = handwritten.loop(name, formulation, x, labels, first, dropout=False, shuffle=False)
        found[formulation] = [*train(1), *train(1)]
    return found


if __name__ == "__main__":
    task, engine, *given = sys.argv[1:]
    if cores := os.environ.get("BENCHMARK_CORES"):
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    result = globals()[task](engine, *[json.loads(text) if text[0].isdigit() else text for text in given])
    print(json.dumps(result), flush=True)
    os._exit(0)  # no engine has to say goodbye
