"""Training loops as one writes them by hand in plain JAX: what `fit` is measured against.

Two formulations of each model: "naive", with XLA's own pooling and a compiled step for every batch, which
comes from the host; and "best", with our engine's kernels and many steps a dispatch over data on the device.

    python benchmarks/handwritten_jax.py            # the table
    python benchmarks/handwritten_jax.py cnn mlp    # some of the models
"""

from __future__ import annotations

import functools
import itertools
import statistics
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from triceras.engine.on_jax import kernels

# The report's network, the slides' network, and the convolutional one with batch normalization.
BATCH = {"cnn": 32, "mlp": 32, "bn_cnn": 128}
STEPS_PER_DISPATCH = 16
SAMPLES = 12_800


def _data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, SAMPLES)
    return rng.random((SAMPLES, 28, 28, 1), dtype="float32"), np.eye(10, dtype="float32")[labels]


# ---------------------------------------------------------------- models


def _dense_init(rng: np.random.Generator, *shape: int) -> dict[str, jax.Array]:
    """A kernel with Glorot's uniform distribution, and a bias."""
    area = int(np.prod(shape[:-2]))
    limit = np.sqrt(6 / (area * (shape[-2] + shape[-1])))
    return {"w": jnp.asarray(rng.uniform(-limit, limit, shape), "float32"), "b": jnp.zeros(shape[-1])}


def _init(model: str) -> tuple[dict, dict]:
    """Trainable parameters, and the moving statistics of the batch normalizations."""
    rng = np.random.default_rng(1)
    if model == "mlp":
        return {"hidden": _dense_init(rng, 784, 128), "out": _dense_init(rng, 128, 10)}, {}
    params = {
        "conv1": _dense_init(rng, 3, 3, 1, 32),
        "conv2": _dense_init(rng, 3, 3, 32, 64),
        "hidden": _dense_init(rng, 7 * 7 * 64, 128),
        "out": _dense_init(rng, 128, 10),
    }
    if model == "cnn":
        return params, {}
    moving = {}
    for norm, channels in (("norm1", 32), ("norm2", 64)):
        params[norm] = {"scale": jnp.ones(channels), "shift": jnp.zeros(channels)}
        moving[norm] = {"mean": jnp.zeros(channels), "variance": jnp.ones(channels)}
    return params, moving


def _naive_pool(x: jax.Array) -> jax.Array:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def _naive_conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _best_pool(x: jax.Array) -> jax.Array:
    return kernels.max_pool_general(x, (2, 2), (2, 2), "valid")


def _best_conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return kernels.conv_general(x, kernel, (1, 1), "same", (1, 1), 1)


def _naive_moments(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return x.mean((0, 1, 2)), x.var((0, 1, 2))


def _best_moments(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return kernels.moments(x, (0, 1, 2))


KERNELS = {
    "naive": (_naive_conv, _naive_pool, _naive_moments),
    "best": (_best_conv, _best_pool, _best_moments),
}


def _dropout(x: jax.Array, key: jax.Array, rate: float) -> jax.Array:
    return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)


def _naive_moments(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return x.mean((0, 1, 2)), x.var((0, 1, 2))


def _best_moments(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return kernels.moments(x, (0, 1, 2))


def _normalize(x: jax.Array, moments: Callable, params: dict, moving: dict) -> tuple[jax.Array, dict]:
    mean, variance = moments(x)
    moving = {
        "mean": 0.99 * moving["mean"] + 0.01 * mean,
        "variance": 0.99 * moving["variance"] + 0.01 * variance,
    }
    return (x - mean) * (lax.rsqrt(variance + 1e-3) * params["scale"]) + params["shift"], moving


def _logits(
    model: str, formulation: str, params: dict, moving: dict, x: jax.Array, key: jax.Array
) -> tuple[jax.Array, dict]:
    keys = jax.random.split(key)
    new_moving = {}
    if model != "mlp":
        conv, pool, moments = KERNELS[formulation]
        for stage in ("1", "2"):
            x = conv(x, params["conv" + stage]["w"]) + params["conv" + stage]["b"]
            if model == "bn_cnn":
                norm = "norm" + stage
                x, new_moving[norm] = _normalize(x, moments, params[norm], moving[norm])
            x = pool(jax.nn.relu(x))
        if model == "cnn":
            x = _dropout(x, keys[0], 0.25)
    x = x.reshape(x.shape[0], -1)
    x = jax.nn.relu(x @ params["hidden"]["w"] + params["hidden"]["b"])
    if model != "mlp":
        x = _dropout(x, keys[1], 0.5)
    return x @ params["out"]["w"] + params["out"]["b"], new_moving


# ---------------------------------------------------------------- training


def _step(model: str, formulation: str, state: dict, x: jax.Array, y: jax.Array) -> dict:
    """The state after one batch: SGD(0.01) for the report's network, Adam for the others."""
    key, next_key = jax.random.split(state["key"])

    def loss_of(params: dict) -> tuple[jax.Array, tuple]:
        logits, moving = _logits(model, formulation, params, state["moving"], x, key)
        accuracy = jnp.mean(logits.argmax(-1) == y.argmax(-1))
        return -jnp.mean(jnp.sum(y * jax.nn.log_softmax(logits), -1)), (moving, accuracy)

    (loss, (moving, accuracy)), grads = jax.value_and_grad(loss_of, has_aux=True)(state["params"])
    count = state["count"] + 1
    if model == "cnn":
        slots, params = state["slots"], jax.tree.map(lambda p, g: p - 0.01 * g, state["params"], grads)
    else:
        first = jax.tree.map(lambda m, g: m + 0.1 * (g - m), state["slots"][0], grads)
        second = jax.tree.map(lambda v, g: v + 0.001 * (g * g - v), state["slots"][1], grads)
        slots, rate = (first, second), 0.001 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        params = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-7), state["params"], *slots)
    totals = state["totals"] + jnp.stack([loss, accuracy])
    return {
        "params": params, "moving": moving, "slots": slots, "key": next_key, "count": count, "totals": totals
    }  # fmt: skip


@functools.cache
def _trainer(model: str, formulation: str) -> Callable[[int], None]:
    """A function that trains so many steps and waits for the last; its first call compiles."""
    params, moving = _init(model)
    slots = () if model == "cnn" else tuple(jax.tree.map(jnp.zeros_like, params) for _ in range(2))
    key = jax.random.key(0, impl="threefry2x32" if formulation == "naive" else "rbg")
    state = {
        "params": params, "moving": moving, "slots": slots, "key": key,
        "count": jnp.zeros(()), "totals": jnp.zeros(2),
    }  # fmt: skip
    x, y = _data()
    step = functools.partial(_step, model, formulation)
    order = np.random.default_rng(2).permutation(SAMPLES).astype("int32").reshape(-1, BATCH[model])
    batches = itertools.cycle(order)

    if formulation == "naive":
        compiled = jax.jit(step, donate_argnums=0)

        def train(steps: int) -> None:
            nonlocal state
            for rows in itertools.islice(batches, steps):
                state = compiled(state, x[rows], y[rows])
            jax.block_until_ready(state)

    else:
        device_x, device_y = jax.device_put(x), jax.device_put(y)

        @functools.partial(jax.jit, donate_argnums=0)
        def many(state: dict, x: jax.Array, y: jax.Array, rows: jax.Array, steps: int) -> dict:
            def body(i: int, state: dict) -> dict:
                return step(state, *(jnp.take(data, rows[i], axis=0, mode="clip") for data in (x, y)))

            return lax.fori_loop(0, steps, body, state)

        def train(steps: int) -> None:
            nonlocal state
            for start in range(0, steps, STEPS_PER_DISPATCH):
                rows = np.stack(list(itertools.islice(batches, STEPS_PER_DISPATCH)))
                state = many(state, device_x, device_y, rows, min(STEPS_PER_DISPATCH, steps - start))
            jax.block_until_ready(state)

    return train


def run(model: str, formulation: str, steps: int) -> float:
    """Seconds per training step, without compilation, which the first call for a model does beforehand."""
    train = _trainer(model, formulation)
    train(1)
    start = time.perf_counter()
    train(steps)
    return (time.perf_counter() - start) / steps


def main(models: list[str]) -> None:
    columns = ("naive ms", "best ms", "naive/best", "first naive s", "first best s")
    print(f"{'model':8}", *(f"{column:>13}" for column in columns))
    for model in models or list(BATCH):
        first = {}
        for formulation in KERNELS:
            start = time.perf_counter()
            run(model, formulation, 1)
            first[formulation] = time.perf_counter() - start
        steps = 256 if model == "mlp" else 16
        pairs = [[run(model, formulation, steps) for formulation in KERNELS] for _ in range(7)]
        naive, best = (1000 * statistics.median(times) for times in zip(*pairs))
        ratio = statistics.median(slow / fast for slow, fast in pairs)
        values = (naive, best, ratio, first["naive"], first["best"])
        print(f"{model:8}", *(f"{value:13.3f}" for value in values))


if __name__ == "__main__":
    main(sys.argv[1:])
