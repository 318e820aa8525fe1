"""Small colour photographs: augmentation inside the network, and a learning rate that falls."""

import math

import triceras as keras
from triceras import layers

EPOCHS = 30

(x_train, y_train), (x_test, y_test) = keras.datasets.cifar10.load_data()

model = keras.Sequential(
    [
        layers.Input(shape=(32, 32, 3)),
        layers.Rescaling(1 / 255),
        layers.RandomFlip("horizontal"),  # these two work only while training
        layers.RandomTranslation(0.125, 0.125),
    ]
)
for filters, rate in ((32, 0.2), (64, 0.3), (128, 0.4)):
    for _ in range(2):
        model.add(layers.Conv2D(filters, (3, 3), padding="same", use_bias=False))
        model.add(layers.BatchNormalization())
        model.add(layers.Activation("relu"))
    model.add(layers.MaxPooling2D((2, 2)))
    model.add(layers.Dropout(rate))
model.add(layers.Flatten())
model.add(layers.Dense(128, activation="relu"))
model.add(layers.Dropout(0.5))
model.add(layers.Dense(10, activation="softmax"))

model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(
    x_train,
    y_train,
    batch_size=64,
    epochs=EPOCHS,
    validation_split=0.1,
    callbacks=[
        keras.callbacks.LearningRateScheduler(lambda e: 0.001 * 0.5 * (1 + math.cos(math.pi * e / EPOCHS)))
    ],
)
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"Test loss {loss:.3f}, accuracy {accuracy:.2%}")
