"""TensorFlow programs with models inside: steps, a GAN, a loop from scratch, modules, files of TensorFlow."""

import numpy as np
import tensorflow as tf

import triceras as keras
from triceras import layers, ops

rng = np.random.default_rng(0)
x_train = rng.normal(size=(256, 16)).astype("float32")
y_train = (x_train[:, :4].sum(1) > 0).astype("int64")


def classifier(kind=keras.Model):
    inputs = keras.Input(shape=(16,))
    x = layers.Dense(32, activation="relu")(inputs)
    x = layers.BatchNormalization()(x)
    return kind(inputs, layers.Dense(2)(x))


# --- a step of one's own in fit() -----------------------------------------------------------------


class CustomModel(keras.Model):
    def train_step(self, data):
        x, y, *weight = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred, sample_weight=weight[0] if weight else None)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}

    def test_step(self, data):
        x, y = data
        y_pred = self(x, training=False)
        loss = self.compute_loss(y=y, y_pred=y_pred)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}


model = classifier(CustomModel)
model.compile(
    optimizer=keras.optimizers.Adam(0.01),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
history = model.fit(x_train, y_train, epochs=5, verbose=0).history
weighted = model.fit(x_train, y_train, sample_weight=np.ones(256, "float32"), epochs=1, verbose=0).history
score = model.evaluate(x_train, y_train, verbose=0)


class GAN(keras.Model):
    def __init__(self, discriminator, generator, latent):
        super().__init__()
        self.discriminator, self.generator, self.latent = discriminator, generator, latent
        self.d_loss_tracker = keras.metrics.Mean(name="d_loss")
        self.g_loss_tracker = keras.metrics.Mean(name="g_loss")
        self.seed_generator = keras.random.SeedGenerator(1337)

    @property
    def metrics(self):
        return [self.d_loss_tracker, self.g_loss_tracker]

    def compile(self, d_optimizer, g_optimizer, loss_fn):
        super().compile()
        self.d_optimizer, self.g_optimizer, self.loss_fn = d_optimizer, g_optimizer, loss_fn

    def train_step(self, real):
        real = real[0] if isinstance(real, tuple) else real
        n = ops.shape(real)[0]
        noise = keras.random.normal((n, self.latent), seed=self.seed_generator)
        both = tf.concat([self.generator(noise), real], axis=0)
        labels = tf.concat([tf.ones((n, 1)), tf.zeros((n, 1))], axis=0)
        with tf.GradientTape() as tape:
            d_loss = self.loss_fn(labels, self.discriminator(both))
        gradients = tape.gradient(d_loss, self.discriminator.trainable_weights)
        self.d_optimizer.apply_gradients(zip(gradients, self.discriminator.trainable_weights))

        noise = keras.random.normal((n, self.latent), seed=self.seed_generator)
        with tf.GradientTape() as tape:
            g_loss = self.loss_fn(tf.zeros((n, 1)), self.discriminator(self.generator(noise)))
        gradients = tape.gradient(g_loss, self.generator.trainable_weights)
        self.g_optimizer.apply_gradients(zip(gradients, self.generator.trainable_weights))
        self.d_loss_tracker.update_state(d_loss)
        self.g_loss_tracker.update_state(g_loss)
        return {"d_loss": self.d_loss_tracker.result(), "g_loss": self.g_loss_tracker.result()}


gan = GAN(
    keras.Sequential([keras.Input((16,)), layers.Dense(8), layers.LeakyReLU(), layers.Dense(1)]),
    keras.Sequential([keras.Input((4,)), layers.Dense(8), layers.LeakyReLU(), layers.Dense(16)]),
    latent=4,
)
gan.compile(
    keras.optimizers.Adam(3e-3),
    keras.optimizers.Adam(3e-3),
    keras.losses.BinaryCrossentropy(from_logits=True),
)
gan_history = gan.fit(x_train, epochs=2, verbose=0).history

# --- a loop from scratch --------------------------------------------------------------------------

batches = tf.data.Dataset.from_tensor_slices((x_train, y_train)).shuffle(256, seed=1).batch(64)

scratch = classifier()
optimizer = keras.optimizers.Adam(0.01)
loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
train_accuracy = keras.metrics.SparseCategoricalAccuracy()


@tf.function
def train_step(x, y):
    with tf.GradientTape() as tape:
        logits = scratch(x, training=True)
        loss = loss_fn(y, logits)
        loss += sum(scratch.losses)
    gradients = tape.gradient(loss, scratch.trainable_weights)
    optimizer.apply_gradients(zip(gradients, scratch.trainable_weights))
    train_accuracy.update_state(y, logits)
    return loss


@tf.function
def predict(x):
    return scratch(x, training=False)


for _ in range(5):
    for x_batch, y_batch in batches:
        scratch_loss = float(train_step(x_batch, y_batch))
    scratch_accuracy = float(train_accuracy.result())
    train_accuracy.reset_state()
predictions = batches.map(lambda x, y: predict(x)).unbatch().batch(256).get_single_element()

# --- a module of TensorFlow around a model, saved by TensorFlow -----------------------------------


class Net(tf.Module):
    def __init__(self):
        self.body = classifier()
        self.scale = tf.Variable(1.0)

    @tf.function(input_signature=[tf.TensorSpec((None, 16), tf.float32)])
    def __call__(self, x):
        return self.body(x) * self.scale


net = Net()
for _ in range(10):
    for x_batch, y_batch in batches:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y_batch, logits=net(x_batch))
            )
        for variable, gradient in zip(net.trainable_variables, tape.gradient(loss, net.trainable_variables)):
            variable.assign_sub(0.5 * gradient)
net_accuracy = float(tf.reduce_mean(tf.cast(tf.argmax(net(x_train), 1) == y_train, tf.float32)))
tf.saved_model.save(net, "net")
reloaded = tf.saved_model.load("net")
reloaded_difference = float(tf.reduce_max(tf.abs(reloaded(x_train) - net(x_train))))
checkpoint = tf.train.Checkpoint(net=net)
path = checkpoint.save("checkpoint")
before = net(x_train)
for variable in net.trainable_variables:
    variable.assign(tf.zeros_like(variable))
checkpoint.restore(path).assert_consumed()
restored_difference = float(tf.reduce_max(tf.abs(before - net(x_train))))

# --- and a SavedModel within a model --------------------------------------------------------------

inner = layers.TFSMLayer("net", call_endpoint="serving_default")
hybrid = keras.Sequential(
    [keras.Input((16,)), layers.TFSMLayer("net", call_endpoint="__call__"), layers.Dense(2)]
)
hybrid.compile(keras.optimizers.Adam(0.01), loss_fn, metrics=["accuracy"])
hybrid_history = hybrid.fit(x_train, y_train, epochs=5, verbose=0).history
