"""Handwritten digits with a convolutional network, saved and loaded again to read some digits."""

import triceras as keras
from triceras import layers

(x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
x_train, x_test = x_train[..., None], x_test[..., None]  # (n, 28, 28, 1): one channel, gray

model = keras.Sequential(
    [
        layers.Input(shape=(28, 28, 1)),
        layers.Rescaling(1 / 255),
        layers.Normalization(mean=0.1307, variance=0.3081**2),  # mean 0, variance 1: it learns faster
        layers.Conv2D(32, (3, 3), padding="same", activation="relu"),  # 32 kernels look for strokes
        layers.MaxPooling2D((2, 2)),  # keeps the strongest answer of each 2x2 square
        layers.Conv2D(64, (3, 3), padding="same", activation="relu"),  # 64 look for parts of digits
        layers.MaxPooling2D((2, 2)),
        layers.Dropout(0.25),  # forgets a quarter at random, so that nothing depends on a single unit
        layers.Flatten(),
        layers.Dense(128, activation="relu"),
        layers.Dropout(0.5),
        layers.Dense(10, activation="softmax"),
    ]
)
model.compile(
    optimizer=keras.optimizers.SGD(0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
)
history = model.fit(x_train, y_train, batch_size=32, epochs=10, validation_split=0.1)
print("Accuracy after each epoch:", [round(a, 3) for a in history.history["val_accuracy"]])

loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"Test accuracy: {accuracy:.2%}")

model.save("digits.keras")
reader = keras.models.load_model("digits.keras")
answers = reader.predict(x_test[:10], verbose=0).argmax(axis=1)
print("read:", answers, "\ntrue:", y_test[:10])
