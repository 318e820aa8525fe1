"""A training step of your own, the same on every engine: each image is also shown in negative."""

import triceras as keras
from triceras import layers, ops


class BothWays(keras.Sequential):
    """Learns from each image and from its negative, with a penalty where its answers differ."""

    def train_step(self, data):
        x, y = data

        def forward():
            usual, negative = self(x, training=True), self(1 - x, training=True)
            difference = ops.mean(ops.square(usual - negative))
            losses = [self.compute_loss(x=x, y=y, y_pred=answer) for answer in (usual, negative)]
            return sum(losses) / 2 + 0.5 * difference, usual

        (loss, answer), gradients = keras.value_and_grad(forward, self.trainable_variables, has_aux=True)()
        self.optimizer.apply(gradients, self.trainable_variables)
        return self.compute_metrics(x, y, answer, None) | {"loss": loss}


(x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
x_train, x_test = x_train.astype("float32") / 255, x_test.astype("float32") / 255

model = BothWays(
    [
        layers.Input(shape=(28, 28)),
        layers.Flatten(),
        layers.Dense(128, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ]
)
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x_train, y_train, epochs=10)
print(f"as they are:  {model.evaluate(x_test, y_test, verbose=0)[1]:.1%}")
print(f"in negative:  {model.evaluate(1 - x_test, y_test, verbose=0)[1]:.1%}")
