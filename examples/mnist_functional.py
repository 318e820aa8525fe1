"""The Functional API: one network, two tasks. Which digit is it, and is it even or odd?"""

import triceras as keras
from triceras import layers

(x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
x_train, x_test = x_train[..., None], x_test[..., None]

# Layers are called like functions, so that a network may branch
image = layers.Input(shape=(28, 28, 1), name="image")
x = layers.Rescaling(1 / 255)(image)
for filters in (32, 64):
    x = layers.Conv2D(filters, (3, 3), padding="same")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    x = layers.MaxPooling2D((2, 2))(x)
x = layers.Flatten()(x)
x = layers.Dense(128, activation="relu")(x)
x = layers.Dropout(0.5)(x)
digit = layers.Dense(10, activation="softmax", name="digit")(x)
parity = layers.Dense(2, activation="softmax", name="parity")(x)

model = keras.Model(inputs=image, outputs={"digit": digit, "parity": parity})
model.compile(
    optimizer="adam",
    loss={"digit": "sparse_categorical_crossentropy", "parity": "sparse_categorical_crossentropy"},
    loss_weights={"digit": 1.0, "parity": 0.5},
    metrics={"digit": ["accuracy"], "parity": ["accuracy"]},
)
model.fit(x_train, {"digit": y_train, "parity": y_train % 2}, batch_size=128, epochs=10, validation_split=0.1)

results = model.evaluate(x_test, {"digit": y_test, "parity": y_test % 2}, verbose=0, return_dict=True)
print(f"digit:  {results['digit_accuracy']:.2%}")
print(f"parity: {results['parity_accuracy']:.2%}")
