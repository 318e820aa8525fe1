"""Ten kinds of clothes. The best epoch is kept by a callback, and the report tells the classes apart."""

from sklearn.metrics import classification_report

import triceras as keras
from triceras import layers

NAMES = [
    "T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"
]  # fmt: skip

(x_train, y_train), (x_test, y_test) = keras.datasets.fashion_mnist.load_data()
x_train, x_test = x_train[..., None], x_test[..., None]


def block(x, filters):
    x = layers.Conv2D(filters, (3, 3), padding="same")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    x = layers.MaxPooling2D((2, 2))(x)
    return layers.Dropout(0.25)(x)


image = layers.Input(shape=(28, 28, 1))
x = layers.Rescaling(1 / 255)(image)
x = block(block(x, 32), 64)
x = layers.Flatten()(x)
x = layers.Dense(128, activation="relu")(x)
x = layers.Dropout(0.5)(x)
model = keras.Model(image, layers.Dense(10, activation="softmax")(x))

model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
best = keras.callbacks.ModelCheckpoint("clothes.keras", monitor="val_accuracy", save_best_only=True)
model.fit(x_train, y_train, batch_size=128, epochs=10, validation_split=0.1, callbacks=[best])

model = keras.models.load_model("clothes.keras")
answers = model.predict(x_test, batch_size=128, verbose=0).argmax(axis=1)
print(classification_report(y_test, answers, labels=range(10), target_names=NAMES, zero_division=0))
