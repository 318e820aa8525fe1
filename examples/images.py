"""Pictures of your own with a network that has learned from millions of others, in two phases.

    python images.py FOLDER [WEIGHTS]

FOLDER holds a folder of pictures for each class. WEIGHTS is a file for MobileNetV2 without its top, such as
Keras publishes; without one the weights of ImageNet are downloaded.
"""

import sys

import triceras as keras
from triceras import layers

folder = sys.argv[1] if len(sys.argv) > 1 else "pictures"
weights = sys.argv[2] if len(sys.argv) > 2 else "imagenet"
SIZE = (160, 160)

train, validation = keras.utils.image_dataset_from_directory(
    folder, image_size=SIZE, batch_size=32, validation_split=0.2, subset="both", seed=1
)

base = keras.applications.MobileNetV2(
    include_top=False, weights=weights, input_shape=(*SIZE, 3), pooling="avg"
)
base.trainable = False  # first phase: what it has learned stays as it is

image = layers.Input(shape=(*SIZE, 3))
x = layers.RandomFlip("horizontal")(image)
x = layers.RandomRotation(0.05)(x)
x = keras.applications.mobilenet_v2.preprocess_input(x)  # pixels from -1 to 1, as the network learned them
x = base(x)
x = layers.Dropout(0.3)(x)
answers = layers.Dense(len(train.class_names), activation="softmax")(x)
model = keras.Model(image, answers)

model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(train, epochs=5, validation_data=validation)

base.trainable = True  # second phase: everything learns, in small steps
model.compile(
    optimizer=keras.optimizers.Adam(1e-5), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
)
model.fit(train, epochs=5, validation_data=validation)

loss, accuracy = model.evaluate(validation, verbose=0)
print(f"Validation accuracy: {accuracy:.2%}")
model.save("pictures.keras")
