"""Chest X-rays with three times as many pictures of one class as of the other.

    python pneumonia.py FOLDER

FOLDER holds train, val and test, and each of these the folders NORMAL and PNEUMONIA.
"""

import sys

import numpy as np
from sklearn.metrics import classification_report

import triceras as keras
from triceras import layers

folder = sys.argv[1] if len(sys.argv) > 1 else "chest_xray"
SIZE = (128, 128)


def pictures(part, shuffle=False):
    return keras.utils.image_dataset_from_directory(
        f"{folder}/{part}", color_mode="grayscale", image_size=SIZE, batch_size=32, shuffle=shuffle
    )


train, validation, test = pictures("train", shuffle=True), pictures("val"), pictures("test")

# Mean and variance of the pixels are computed in one pass over the training pictures
normalization = layers.Normalization(axis=None)
normalization.adapt(train)

image = layers.Input(shape=(*SIZE, 1))
x = normalization(image)
x = layers.RandomRotation(0.05)(x)
x = layers.RandomTranslation(0.1, 0.1)(x)
x = layers.RandomZoom(0.15)(x)
x = layers.Conv2D(16, (3, 3), padding="same", activation="relu")(x)
x = layers.MaxPooling2D((2, 2))(x)
for filters in (32, 64, 128, 128):
    x = layers.Conv2D(filters, (3, 3), padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(momentum=0.98)(x)
    x = layers.Activation("relu")(x)
    x = layers.MaxPooling2D((2, 2))(x)
x = layers.Dropout(0.3)(x)
x = layers.Flatten()(x)
x = layers.Dense(128, activation="relu")(x)
x = layers.Dropout(0.5)(x)
model = keras.Model(image, layers.Dense(2, activation="softmax")(x))

model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
best = keras.callbacks.ModelCheckpoint("pneumonia.keras", monitor="val_loss", save_best_only=True)

# balance=True draws both classes equally often, so that the network can't win by always saying PNEUMONIA
model.fit(train, epochs=20, validation_data=validation, balance=True, callbacks=[best])

model = keras.models.load_model("pneumonia.keras")
answers = model.predict(test, verbose=0).argmax(axis=1)
truth = np.concatenate([labels for _, labels in test])
print(classification_report(truth, answers, target_names=test.class_names, zero_division=0))
