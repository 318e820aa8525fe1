"""PyTorch programs with models inside: steps, a GAN, a loop from scratch, modules around and within models."""

import numpy as np
import torch

import triceras as keras
from triceras import layers

torch.manual_seed(0)
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
        self.zero_grad()
        y_pred = self(x, training=True)
        loss = self.compute_loss(y=y, y_pred=y_pred, sample_weight=weight[0] if weight else None)
        loss.backward()
        weights = self.trainable_weights
        gradients = [w.value.grad for w in weights]
        with torch.no_grad():
            self.optimizer.apply(gradients, weights)
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
        self.built = True

    @property
    def metrics(self):
        return [self.d_loss_tracker, self.g_loss_tracker]

    def compile(self, d_optimizer, g_optimizer, loss_fn):
        super().compile()
        self.d_optimizer, self.g_optimizer, self.loss_fn = d_optimizer, g_optimizer, loss_fn

    def train_step(self, real):
        real = real[0] if isinstance(real, tuple) else real
        n = real.shape[0]
        noise = keras.random.normal((n, self.latent), seed=self.seed_generator)
        both = torch.concatenate([self.generator(noise), real], axis=0)
        labels = torch.concatenate([torch.ones((n, 1)), torch.zeros((n, 1))], axis=0)
        self.zero_grad()
        d_loss = self.loss_fn(labels, self.discriminator(both))
        d_loss.backward()
        gradients = [w.value.grad for w in self.discriminator.trainable_weights]
        with torch.no_grad():
            self.d_optimizer.apply(gradients, self.discriminator.trainable_weights)

        noise = keras.random.normal((n, self.latent), seed=self.seed_generator)
        self.zero_grad()
        g_loss = self.loss_fn(torch.zeros((n, 1)), self.discriminator(self.generator(noise)))
        g_loss.backward()
        gradients = [w.value.grad for w in self.generator.trainable_weights]
        with torch.no_grad():
            self.g_optimizer.apply(gradients, self.generator.trainable_weights)
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

data = torch.utils.data.TensorDataset(torch.from_numpy(x_train), torch.from_numpy(y_train))
loader = torch.utils.data.DataLoader(data, batch_size=64, shuffle=True)

scratch = classifier()
optimizer = keras.optimizers.Adam(0.01)
loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
train_accuracy = keras.metrics.SparseCategoricalAccuracy()
for _ in range(12):
    for inputs, targets in loader:
        logits = scratch(inputs, training=True)
        loss = loss_fn(targets, logits)
        scratch.zero_grad()
        loss.backward()
        gradients = [w.value.grad for w in scratch.trainable_weights]
        with torch.no_grad():
            optimizer.apply(gradients, scratch.trainable_weights)
        train_accuracy.update_state(targets, logits)
    scratch_accuracy = float(train_accuracy.result())
    train_accuracy.reset_state()

# --- a module of PyTorch around a model, trained by PyTorch ----------------------------------------


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.body = classifier()
        self.head = torch.nn.Linear(2, 2)

    def forward(self, x):
        return self.head(self.body(x))


net = Net()
net_before = [p.detach().clone() for p in net.parameters()]
native_optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
schedule = torch.optim.lr_scheduler.StepLR(native_optimizer, 5)
for _ in range(5):
    net.train()
    for inputs, targets in loader:
        native_optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(inputs), targets).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        native_optimizer.step()
    schedule.step()
net.eval()
with torch.no_grad():
    net_accuracy = float((net(data.tensors[0]).argmax(1) == data.tensors[1]).float().mean())
twin = Net()
twin.load_state_dict(net.state_dict())
twin.eval()
with torch.no_grad():
    twin_difference = float((twin(data.tensors[0]) - net(data.tensors[0])).abs().max())

# --- and a module of PyTorch within a model -------------------------------------------------------

inner = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.BatchNorm1d(32), torch.nn.ReLU())
hybrid = keras.Sequential([keras.Input((16,)), layers.TorchModuleWrapper(inner), layers.Dense(2)])
hybrid.compile(keras.optimizers.Adam(0.01), loss_fn, metrics=["accuracy"])
hybrid_history = hybrid.fit(x_train, y_train, epochs=5, verbose=0).history
