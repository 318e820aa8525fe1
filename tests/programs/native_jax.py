"""JAX programs with models inside: steps and loops without side effects, functions of JAX within a model."""

import jax
import jax.numpy as jnp
import numpy as np

import triceras as keras
from triceras import layers

rng = np.random.default_rng(0)
x_train = rng.normal(size=(256, 16)).astype("float32")
y_train = (x_train[:, :4].sum(1) > 0).astype("int32")


def classifier(kind=keras.Model):
    inputs = keras.Input(shape=(16,))
    x = layers.Dense(32, activation="relu")(inputs)
    x = layers.BatchNormalization()(x)
    return kind(inputs, layers.Dense(2)(x))


# --- a step of one's own in fit() -----------------------------------------------------------------


class CustomModel(keras.Model):
    def loss_and_updates(
        self, trainable_variables, non_trainable_variables, x, y, sample_weight, training=False
    ):
        y_pred, non_trainable_variables = self.stateless_call(
            trainable_variables, non_trainable_variables, x, training=training
        )
        loss = self.compute_loss(x, y, y_pred, sample_weight)
        return loss, (y_pred, non_trainable_variables)

    def updated_metrics(self, metrics_variables, loss, y, y_pred):
        new, logs = [], {}
        for metric in self.metrics:
            own = metrics_variables[len(new) : len(new) + len(metric.variables)]
            if metric.name == "loss":
                own = metric.stateless_update_state(own, loss)
            else:
                own = metric.stateless_update_state(own, y, y_pred)
            logs[metric.name] = metric.stateless_result(own)
            new += own
        return logs, new

    def train_step(self, state, data):
        trainable_variables, non_trainable_variables, optimizer_variables, metrics_variables = state
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        grad_fn = jax.value_and_grad(self.loss_and_updates, has_aux=True)
        (loss, (y_pred, non_trainable_variables)), grads = grad_fn(
            trainable_variables, non_trainable_variables, x, y, sample_weight, training=True
        )
        trainable_variables, optimizer_variables = self.optimizer.stateless_apply(
            optimizer_variables, grads, trainable_variables
        )
        logs, metrics_variables = self.updated_metrics(metrics_variables, loss, y, y_pred)
        return logs, (trainable_variables, non_trainable_variables, optimizer_variables, metrics_variables)

    def test_step(self, state, data):
        trainable_variables, non_trainable_variables, metrics_variables = state
        x, y = data
        loss, (y_pred, non_trainable_variables) = self.loss_and_updates(
            trainable_variables, non_trainable_variables, x, y, None
        )
        logs, metrics_variables = self.updated_metrics(metrics_variables, loss, y, y_pred)
        return logs, (trainable_variables, non_trainable_variables, metrics_variables)


model = classifier(CustomModel)
model.compile(
    optimizer=keras.optimizers.Adam(0.01),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
history = model.fit(x_train, y_train, epochs=5, verbose=0).history
weighted = model.fit(x_train, y_train, sample_weight=np.ones(256, "float32"), epochs=1, verbose=0).history
score = model.evaluate(x_train, y_train, verbose=0)

# --- a loop from scratch --------------------------------------------------------------------------

scratch = classifier()
optimizer = keras.optimizers.Adam(0.01)
optimizer.build(scratch.trainable_variables)
loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
train_accuracy = keras.metrics.SparseCategoricalAccuracy()


def compute_loss_and_updates(trainable_variables, non_trainable_variables, x, y):
    y_pred, non_trainable_variables = scratch.stateless_call(
        trainable_variables, non_trainable_variables, x, training=True
    )
    return loss_fn(y, y_pred), (y_pred, non_trainable_variables)


grad_fn = jax.value_and_grad(compute_loss_and_updates, has_aux=True)


@jax.jit
def train_step(state, data):
    trainable_variables, non_trainable_variables, optimizer_variables, metric_variables = state
    x, y = data
    (loss, (y_pred, non_trainable_variables)), grads = grad_fn(
        trainable_variables, non_trainable_variables, x, y
    )
    trainable_variables, optimizer_variables = optimizer.stateless_apply(
        optimizer_variables, grads, trainable_variables
    )
    metric_variables = train_accuracy.stateless_update_state(metric_variables, y, y_pred)
    return loss, (trainable_variables, non_trainable_variables, optimizer_variables, metric_variables)


@jax.jit
def eval_step(state, x):
    return scratch.stateless_call(state[0], state[1], x, training=False)[0]


state = (
    scratch.trainable_variables,
    scratch.non_trainable_variables,
    optimizer.variables,
    train_accuracy.variables,
)
for _ in range(5):
    state = (*state[:3], train_accuracy.stateless_reset_state())
    for start in range(0, 256, 64):
        rows = slice(start, start + 64)
        loss, state = train_step(state, (x_train[rows], y_train[rows]))
    scratch_accuracy = float(train_accuracy.stateless_result(state[3]))
logits = eval_step(state, x_train)
for variables, values in (
    (scratch.trainable_variables, state[0]),
    (scratch.non_trainable_variables, state[1]),
):
    for variable, value in zip(variables, values):
        variable.assign(value)
attached_difference = float(np.abs(scratch.predict(x_train, verbose=0) - logits).max())

# --- transformations of JAX -----------------------------------------------------------------------

weights, fixed = scratch.trainable_variables, scratch.non_trainable_variables


def loss_of_one(weights, x, y):
    return loss_fn(y[None], scratch.stateless_call(weights, fixed, x[None])[0])


gradients_of_each = jax.jit(jax.vmap(jax.grad(loss_of_one), (None, 0, 0)))(weights, x_train[:8], y_train[:8])
saliency = jax.jit(jax.grad(lambda x: jnp.sum(scratch(x)[:, 1])))(x_train[:8])
norm = float(jnp.sqrt(sum(jnp.vdot(w, w) for w in jax.tree.leaves(weights))))

# --- and a function of JAX within a model ---------------------------------------------------------


def first_values(rng, inputs):
    return {"w": 0.1 * jax.random.normal(rng, (inputs.shape[-1], 32)), "b": jnp.zeros(32)}


def dense(params, inputs):
    return jax.nn.gelu(inputs @ params["w"] + params["b"])


hybrid = keras.Sequential([keras.Input((16,)), layers.JaxLayer(dense, first_values, seed=1), layers.Dense(2)])
hybrid.compile(keras.optimizers.Adam(0.01), loss_fn, metrics=["accuracy"])
hybrid_history = hybrid.fit(x_train, y_train, epochs=5, verbose=0).history
