"""Training loops as one writes them by hand in plain TensorFlow: variables, `tf.nn`, a tape, `tf.function`.

Formulations: "step", a compiled step a batch, and "loop", many steps inside one compiled function; where XLA
can gain on the CPU (everything without convolutions), each of them also with `jit_compile`. The data is in
memory and a batch is gathered by its rows inside the step, which is faster than `tf.data`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from benchmarks.workloads import BLOCKS, HEADS, WIDTH, WORKLOADS

STEPS_PER_DISPATCH = 32
_CONVOLUTIONAL = ("step", "loop")
_OTHERS = ("step", "step xla", "loop", "loop xla")
FORMULATIONS = {
    "cnn": _CONVOLUTIONAL,
    "mlp": _OTHERS,
    "bncnn": _CONVOLUTIONAL,
    "lstm": _OTHERS,
    "transformer": _OTHERS,
}

Weights = dict[str, tf.Variable]


def _dense(x: tf.Tensor, w: Weights, layer: str) -> tf.Tensor:
    return tf.matmul(x, w[f"{layer}/kernel"]) + w[f"{layer}/bias"]


def _image_logits(x: tf.Tensor, w: Weights, norm: bool, drop: Callable) -> tf.Tensor:
    for number in (1, 2):
        x = tf.nn.conv2d(x, w[f"conv{number}/kernel"], 1, "SAME")
        x = tf.nn.bias_add(x, w[f"conv{number}/bias"])
        if norm:
            path = f"norm{number}"
            x, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
                x=x,
                scale=w[f"{path}/gamma"],
                offset=w[f"{path}/beta"],
                mean=tf.zeros(0),
                variance=tf.zeros(0),
                epsilon=1e-3,
                is_training=True,
            )
            for part, value in (("mean", mean), ("variance", variance)):
                moving = w[f"{path}/{part}"]
                moving.assign_sub(0.01 * (moving - value))
        x = tf.nn.max_pool2d(tf.nn.relu(x), 2, 2, "VALID")
    if not norm:
        x = drop(x, 0.25)
    x = tf.nn.relu(_dense(tf.reshape(x, (-1, 3136)), w, "hidden"))
    return _dense(drop(x, 0.5), w, "head")


def _lstm(x: tf.Tensor, w: Weights, layer: str, all_steps: bool) -> tf.Tensor:
    """A recurrent layer over (steps, batch, features); the inputs' part of the gates is one large product."""
    steps, batch = x.shape[0], tf.shape(x)[1]
    gates = tf.matmul(x, w[f"{layer}/kernel"]) + w[f"{layer}/bias"]
    recurrent = w[f"{layer}/recurrent"].read_value()
    gates = tf.TensorArray(tf.float32, steps).unstack(gates)

    def body(time: tf.Tensor, h: tf.Tensor, c: tf.Tensor, *outputs: tf.TensorArray) -> tuple:
        i, f, g, o = tf.split(gates.read(time) + tf.matmul(h, recurrent), 4, axis=1)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        h = tf.sigmoid(o) * tf.tanh(c)
        return time + 1, h, c, *(array.write(time, h) for array in outputs)

    zeros = tf.zeros((batch, 80))
    outputs = [tf.TensorArray(tf.float32, steps, element_shape=(None, 80))] if all_steps else []
    _, h, _, *outputs = tf.while_loop(
        lambda time, *_: time < steps, body, (0, zeros, zeros, *outputs), maximum_iterations=steps
    )
    return outputs[0].stack() if all_steps else h


def _lstm_logits(x: tf.Tensor, w: Weights) -> tf.Tensor:
    x = tf.transpose(x, (1, 0, 2))
    x = tf.ensure_shape(_lstm(x, w, "lstm1", True), (50, None, 80))
    return _dense(_lstm(x, w, "lstm2", False), w, "head")


def _layer_norm(x: tf.Tensor, w: Weights, layer: str) -> tf.Tensor:
    mean, variance = tf.nn.moments(x, -1, keepdims=True)
    return (x - mean) * (tf.math.rsqrt(variance + 1e-3)) * w[f"{layer}/gamma"] + w[f"{layer}/beta"]


def _encoder_logits(tokens: tf.Tensor, w: Weights, drop: Callable) -> tf.Tensor:
    x = tf.gather(w["embedding"], tokens)
    tokens_shape = tf.shape(tokens)
    batch, length = tokens_shape[0], tokens.shape[1]
    for block in range(BLOCKS):
        flat = tf.reshape(x, (-1, WIDTH))

        def heads(part: str, flat: tf.Tensor = flat, block: int = block) -> tf.Tensor:
            kernel = tf.reshape(w[f"{block}/{part}/kernel"], (WIDTH, WIDTH))
            y = tf.matmul(flat, kernel) + tf.reshape(w[f"{block}/{part}/bias"], (-1,))
            return tf.transpose(tf.reshape(y, (batch, length, HEADS, WIDTH // HEADS)), (0, 2, 1, 3))

        scores = tf.matmul(heads("query") * (WIDTH // HEADS) ** -0.5, heads("key"), transpose_b=True)
        attended = tf.transpose(tf.matmul(tf.nn.softmax(scores), heads("value")), (0, 2, 1, 3))
        kernel = tf.reshape(w[f"{block}/output/kernel"], (WIDTH, WIDTH))
        attended = tf.matmul(tf.reshape(attended, (-1, WIDTH)), kernel) + w[f"{block}/output/bias"]
        x = _layer_norm(flat + drop(attended, 0.1), w, f"{block}/norm1")
        hidden = _dense(tf.nn.relu(_dense(x, w, f"{block}/up")), w, f"{block}/down")
        x = _layer_norm(x + drop(hidden, 0.1), w, f"{block}/norm2")
        x = tf.reshape(x, (batch, length, WIDTH))
    return _dense(tf.reduce_mean(x, 1), w, "head")


def _logits(name: str, x: tf.Tensor, w: Weights, drop: Callable) -> tf.Tensor:
    if name == "mlp":
        return _dense(tf.nn.relu(_dense(tf.reshape(x, (-1, 784)), w, "hidden")), w, "head")
    if name == "lstm":
        return _lstm_logits(x, w)
    if name == "transformer":
        return _encoder_logits(x, w, drop)
    return _image_logits(x, w, name == "bncnn", drop)


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
    xla = formulation.endswith("xla")
    batch, steps = WORKLOADS[name].batch, len(x) // WORKLOADS[name].batch
    inputs, wanted = tf.constant(x), tf.constant(labels)
    w = {
        path: tf.Variable(value, trainable=not path.endswith(("/mean", "/variance")))
        for path, value in values.items()
    }
    trained = [v for v in w.values() if v.trainable]
    slots = [[tf.Variable(tf.zeros_like(v)) for v in trained] for _ in range(0 if name == "cnn" else 2)]
    count, total, right = (tf.Variable(tf.zeros(())) for _ in range(3))
    seed = tf.Variable([0, 0], dtype=tf.int32)

    def drop(x: tf.Tensor, rate: float) -> tf.Tensor:
        if not dropout:
            return x
        seed.assign_add([0, 1])
        return tf.nn.experimental.stateless_dropout(x, rate, seed, rng_alg="philox")

    @tf.function(jit_compile=xla)
    def step(x: tf.Tensor, truth: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            logits = _logits(name, x, w, drop)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(truth, logits)
            loss = tf.reduce_mean(losses)
        grads = [tf.convert_to_tensor(g) for g in tape.gradient(loss, trained)]
        if name == "cnn":
            for v, g in zip(trained, grads):
                v.assign_sub(0.01 * g)
        else:
            count.assign_add(1.0)
            powers = tf.pow(0.9, count), tf.pow(0.999, count)
            for v, first, second, g in zip(trained, *slots, grads):
                tf.raw_ops.ResourceApplyAdam(
                    var=v.handle,
                    m=first.handle,
                    v=second.handle,
                    beta1_power=powers[0],
                    beta2_power=powers[1],
                    lr=0.001,
                    beta1=0.9,
                    beta2=0.999,
                    epsilon=1e-7,
                    grad=g,
                )
        total.assign_add(loss)
        hits = tf.cast(tf.argmax(logits, 1, tf.int32) == truth, tf.float32)
        right.assign_add(tf.reduce_sum(hits))

    @tf.function(input_signature=[tf.TensorSpec((None, batch), tf.int32)])
    def many(order: tf.Tensor) -> None:
        for rows in order:
            step(tf.gather(inputs, rows), tf.gather(wanted, rows))

    @tf.function(input_signature=[tf.TensorSpec((batch,), tf.int32)])
    def one(rows: tf.Tensor) -> None:
        step(tf.gather(inputs, rows), tf.gather(wanted, rows))

    def train(epochs: int) -> tuple[float, float]:
        for _ in range(epochs):
            order = np.random.permutation(len(x)) if shuffle else np.arange(len(x))
            order = tf.constant(order.astype("int32").reshape(steps, batch))
            total.assign(0.0)
            right.assign(0.0)
            if formulation.startswith("step"):
                for rows in tf.unstack(order):
                    one(rows)
            else:
                for start in range(0, steps, STEPS_PER_DISPATCH):
                    many(order[start : start + STEPS_PER_DISPATCH])
            found = float(total) / steps, float(right) / len(x)
        return found

    return train
