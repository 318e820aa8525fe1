"""One network, two answers: which digit it is, and how much ink it took."""

import triceras as keras
from triceras import layers

(x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
x_train, x_test = x_train[..., None] / 255.0, x_test[..., None] / 255.0
ink_train, ink_test = x_train.mean(axis=(1, 2)), x_test.mean(axis=(1, 2))

image = layers.Input(shape=(28, 28, 1), name="image")
x = layers.Conv2D(16, 3, strides=2, activation="relu")(image)
x = layers.Conv2D(32, 3, strides=2, activation="relu")(x)
x = layers.Flatten()(x)
digit = layers.Dense(10, activation="softmax", name="digit")(x)
ink = layers.Dense(1, name="ink")(x)

model = keras.Model(inputs=image, outputs={"digit": digit, "ink": ink})
model.compile(
    optimizer=keras.optimizers.Adam(0.002),
    loss={"digit": "sparse_categorical_crossentropy", "ink": "mse"},
    loss_weights={"digit": 1.0, "ink": 5.0},
    metrics={"digit": ["accuracy"]},
)
model.fit(x_train, {"digit": y_train, "ink": ink_train}, epochs=6)
results = model.evaluate(x_test, {"digit": y_test, "ink": ink_test}, verbose=0, return_dict=True)
for name, value in results.items():
    print(f"{name}: {value:.4f}")
