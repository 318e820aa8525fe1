"""The seminar report's Sequential snippet (3.2.1) and its first layer (3.1), and training."""

import triceras as keras
from triceras import layers
from triceras.datasets import mnist
from triceras.layers import Dense, Flatten
from triceras.models import Sequential

layer = layers.Dense(32, activation='relu')

model = Sequential([
    Flatten(input_shape=(28, 28)),
    Dense(128, activation='relu'),
    Dense(128, activation='softmax')
])

(x_train, y_train), (x_test, y_test) = mnist.load_data()
model.compile(optimizer=keras.optimizers.Adam(0.002),
              loss='sparse_categorical_crossentropy',
              metrics=['accuracy'])
history = model.fit(x_train / 255.0, y_train, epochs=4)
score = model.evaluate(x_test / 255.0, y_test, verbose=2)
features = layer(model.layers[0](x_test[:3]))
print(features.shape)
