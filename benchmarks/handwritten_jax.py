"""Training loops as one writes them by hand in plain JAX: pure functions, a dictionary of arrays, `jax.jit`.

Formulations: "step", a compiled step a batch with donated state and XLA's own kernels; "loop", many steps a
dispatch over data on the device; and, for networks with convolutions, both of them "tuned", with pooling,
convolution and moments written around XLA's slow cases on the CPU, as our engine has them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.workloads import BLOCKS, HEADS, WIDTH, WORKLOADS

STEPS_PER_DISPATCH = 16
_CONVOLUTIONAL = ("step", "step, tuned", "loop, tuned")
FORMULATIONS = {
    "cnn": _CONVOLUTIONAL,
    "mlp": ("step", "loop"),
    "bncnn": _CONVOLUTIONAL,
    "lstm": ("step", "loop"),
    "transformer": ("step", "loop"),
}

Weights = dict[str, jax.Array]


def _dense(x: jax.Array, w: Weights, layer: str) -> jax.Array:
    return x @ w[f"{layer}/kernel"] + w[f"{layer}/bias"]


def _drop(x: jax.Array, rate: float, key: jax.Array | None) -> jax.Array:
    if key is None:
        return x
    return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)


def _kernels(tuned: bool) -> tuple[Callable, Callable, Callable]:
    """Convolution, pooling and moments."""
    if tuned:
        from triceras.engine.on_jax import kernels

        return (
            lambda x, kernel: kernels.conv_general(x, kernel, (1, 1), "same", (1, 1), 1),
            lambda x: kernels.max_pool_general(x, (2, 2), (2, 2), "valid"),
            lambda x: kernels.moments(x, (0, 1, 2)),
        )
    layout = ("NHWC", "HWIO", "NHWC")
    return (
        lambda x, kernel: lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout),
        lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"),
        lambda x: (x.mean((0, 1, 2)), x.var((0, 1, 2))),
    )


def _image_logits(
    x: jax.Array, w: Weights, norm: bool, tuned: bool, keys: list[jax.Array | None]
) -> tuple[jax.Array, Weights]:
    """The logits, and the new moving statistics."""
    conv, pool, moments = _kernels(tuned)
    moved = {}
    for number in (1, 2):
        x = conv(x, w[f"conv{number}/kernel"]) + w[f"conv{number}/bias"]
        if norm:
            path = f"norm{number}"
            mean, variance = moments(x)
            x = (x - mean) * (lax.rsqrt(variance + 1e-3) * w[f"{path}/gamma"]) + w[f"{path}/beta"]
            for part, value in ((f"{path}/mean", mean), (f"{path}/variance", variance)):
                moved[part] = w[part] + 0.01 * (value - w[part])
        x = pool(jax.nn.relu(x))
    if not norm:
        x = _drop(x, 0.25, keys[0])
    x = jax.nn.relu(_dense(x.reshape(len(x), -1), w, "hidden"))
    return _dense(_drop(x, 0.5, keys[1]), w, "head"), moved


def _lstm(x: jax.Array, w: Weights, layer: str) -> jax.Array:
    """A recurrent layer over (steps, batch, features); the inputs' part of the gates is one large product."""

    def step(state: tuple[jax.Array, jax.Array], gates: jax.Array) -> tuple[tuple, jax.Array]:
        h, c = state
        i, f, g, o = jnp.split(gates + h @ w[f"{layer}/recurrent"], 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zeros = jnp.zeros((x.shape[1], 80))
    return lax.scan(step, (zeros, zeros), _dense(x, w, layer))[1]


def _encoder_logits(tokens: jax.Array, w: Weights, keys: list[jax.Array | None]) -> jax.Array:
    x = w["embedding"][tokens]
    for block in range(BLOCKS):
        at = partial("{}/{}".format, block)
        q, k, v = (
            jnp.einsum("btd,dhe->bhte", x, w[at(f"{part}/kernel")]) + w[at(f"{part}/bias")][:, None]
            for part in ("query", "key", "value")
        )
        scores = jax.nn.softmax(jnp.einsum("bhte,bhse->bhts", q * (WIDTH // HEADS) ** -0.5, k))
        attended = jnp.einsum("bhts,bhse->bthe", scores, v)
        attended = jnp.einsum("bthe,hed->btd", attended, w[at("output/kernel")]) + w[at("output/bias")]
        x = _layer_norm(x + _drop(attended, 0.1, keys[2 * block]), w, at("norm1"))
        hidden = _dense(jax.nn.relu(_dense(x, w, at("up"))), w, at("down"))
        x = _layer_norm(x + _drop(hidden, 0.1, keys[2 * block + 1]), w, at("norm2"))
    return _dense(x.mean(1), w, "head")


def _layer_norm(x: jax.Array, w: Weights, layer: str) -> jax.Array:
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(variance + 1e-3) * w[f"{layer}/gamma"] + w[f"{layer}/beta"]


def _logits(
    name: str, x: jax.Array, w: Weights, tuned: bool, keys: list[jax.Array | None]
) -> tuple[jax.Array, Weights]:
    if name == "mlp":
        return _dense(jax.nn.relu(_dense(x.reshape(len(x), -1), w, "hidden")), w, "head"), {}
    if name == "lstm":
        return _dense(_lstm(_lstm(x.swapaxes(0, 1), w, "lstm1"), w, "lstm2")[-1], w, "head"), {}
    if name == "transformer":
        return _encoder_logits(x, w, keys), {}
    return _image_logits(x, w, name == "bncnn", tuned, keys)


def _step(name: str, tuned: bool, dropout: bool, state: dict, x: jax.Array, labels: jax.Array) -> dict:
    """The state after one batch: SGD(0.01) for the report's network, Adam for the others."""
    key, *keys = jax.random.split(state["key"], 2 * BLOCKS + 1)

    def loss_of(trained: Weights) -> tuple[jax.Array, tuple]:
        logits, moved = _logits(
            name, x, trained | state["moving"], tuned, keys if dropout else [None] * len(keys)
        )
        loss = -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1).mean()
        return loss, (moved, jnp.sum(logits.argmax(-1) == labels))

    (loss, (moved, right)), grads = jax.value_and_grad(loss_of, has_aux=True)(state["trained"])
    count, slots = state["count"] + 1, state["slots"]
    if name == "cnn":
        trained = jax.tree.map(lambda p, g: p - 0.01 * g, state["trained"], grads)
    else:
        first = jax.tree.map(lambda m, g: m + 0.1 * (g - m), slots[0], grads)
        second = jax.tree.map(lambda v, g: v + 0.001 * (g * g - v), slots[1], grads)
        slots, rate = (first, second), 0.001 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        trained = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-7), state["trained"], *slots)
    return {
        "trained": trained, "moving": moved, "slots": slots, "key": key, "count": count,
        "loss": state["loss"] + loss, "right": state["right"] + right,
    }  # fmt: skip


def loop(
    name: str,
    formulation: str,
    x: np.ndarray,
    labels: np.ndarray,
    values: dict[str, np.ndarray],
    dropout: bool = True,
    shuffle: bool = True,
) -> Callable[[int], tuple[float, float]]:
    """A function that trains for some epochs and returns loss and accuracy of the last."""
    batch, steps = WORKLOADS[name].batch, len(x) // WORKLOADS[name].batch
    moving = {path: jnp.array(v) for path, v in values.items() if path.endswith(("/mean", "/variance"))}
    trained = {path: jnp.array(v) for path, v in values.items() if path not in moving}
    state = {
        "trained": trained, "moving": moving,
        "slots": () if name == "cnn" else tuple(jax.tree.map(jnp.zeros_like, trained) for _ in range(2)),
        "key": jax.random.key(0, impl="rbg"), "count": jnp.zeros(()),
        "loss": jnp.zeros(()), "right": jnp.zeros((), "int32"),
    }  # fmt: skip
    step = partial(_step, name, formulation.endswith("tuned"), dropout)
    one = jax.jit(step, donate_argnums=0)
    device = jax.device_put((x, labels))

    @partial(jax.jit, donate_argnums=0)
    def many(state: dict, data: tuple, order: jax.Array) -> dict:
        def body(state: dict, rows: jax.Array) -> tuple[dict, None]:
            return step(state, *(d.at[rows].get(mode="clip") for d in data)), None

        return lax.scan(body, state, order)[0]

    def train(epochs: int) -> tuple[float, float]:
        nonlocal state
        for _ in range(epochs):
            order = np.random.permutation(len(x)) if shuffle else np.arange(len(x))
            order = order.astype("int32").reshape(steps, batch)
            state |= {"loss": jnp.zeros(()), "right": jnp.zeros((), "int32")}
            if formulation.startswith("step"):
                for rows in order:
                    state = one(state, x[rows], labels[rows])
            else:
                for start in range(0, steps, STEPS_PER_DISPATCH):
                    state = many(state, device, order[start : start + STEPS_PER_DISPATCH])
            found = float(state["loss"]) / steps, int(state["right"]) / len(x)
        return found

    return train
