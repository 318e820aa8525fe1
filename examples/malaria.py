"""Blood cells, with or without the parasite of malaria: photographs in folders, then a single one.

    python malaria.py FOLDER

FOLDER holds train and test, and each of these a folder of pictures for each class, Parasitized and
Uninfected.
"""

import sys

import numpy as np

import triceras as keras
from triceras import layers

folder = sys.argv[1] if len(sys.argv) > 1 else "malaria"
SIZE = (64, 64)

train, validation = keras.utils.image_dataset_from_directory(
    f"{folder}/train", image_size=SIZE, batch_size=32, validation_split=0.15, subset="both", seed=1
)
test = keras.utils.image_dataset_from_directory(f"{folder}/test", image_size=SIZE, shuffle=False)

model = keras.Sequential(
    [
        layers.Input(shape=(*SIZE, 3)),
        layers.Rescaling(1 / 255),
        layers.RandomFlip("horizontal_and_vertical"),  # a cell has no top and no left
        layers.RandomRotation(0.25),
    ]
)
for filters in (32, 64, 128):
    model.add(layers.Conv2D(filters, (3, 3), padding="same", use_bias=False))
    model.add(layers.BatchNormalization(momentum=0.9))
    model.add(layers.Activation("relu"))
    model.add(layers.MaxPooling2D((2, 2)))
model.add(layers.GlobalMaxPooling2D())  # a parasite counts wherever it is
model.add(layers.Dropout(0.3))
model.add(layers.Dense(len(train.class_names), activation="softmax"))

model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(train, epochs=30, validation_data=validation)
loss, accuracy = model.evaluate(test, verbose=0)
print(f"Test accuracy: {accuracy:.2%}")

# One picture: read it in the size that the network takes, and make a batch of it
picture = keras.utils.load_img(test.file_paths[0], target_size=SIZE)
probabilities = model.predict(np.array(picture)[None], verbose=0)[0]
for name, probability in zip(test.class_names, probabilities, strict=True):
    print(f"{name}: {probability:.1%}")
