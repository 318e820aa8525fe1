"""Handwritten digits with one hidden layer: the shortest way from pictures to answers."""

import triceras as keras
from triceras import layers

# 60,000 pictures of 28x28 pixels, from 0 (paper) to 255 (ink), and which digit each one is
(x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()

model = keras.Sequential(
    [
        layers.Input(shape=(28, 28)),
        layers.Rescaling(1 / 255),  # pixels from 0 to 1
        layers.Flatten(),  # a picture becomes a row of 784 numbers
        layers.Dense(128, activation="relu"),  # each of 128 units looks at all of them
        layers.Dense(10, activation="softmax"),  # the probabilities of the ten digits
    ]
)
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.summary()

# A tenth of the training pictures is held out, to see how the network does on what it hasn't learned from
model.fit(x_train, y_train, batch_size=32, epochs=5, validation_split=0.1)

loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"Test accuracy: {accuracy:.2%}")
