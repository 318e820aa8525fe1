"""The seminar report's Functional snippet (3.2.2), with `layer.MaxPooling` and the dots written out."""

from triceras import Model, layers
from triceras.datasets import mnist

inputs = layers.Input(shape=(28, 28, 1))
layer1 = layers.Conv2D(32, (3,3), activation='relu', padding='same')(inputs)
layer2 = layers.Conv2D(32, (5,5), activation='relu', padding='same')(inputs)
merge = layers.concatenate([layer1, layer2])
x = layers.MaxPooling2D((2,2))(merge)
x = layers.MaxPooling2D((2,2))(x)
x = layers.Flatten()(x)
outputs = layers.Dense(10, activation='softmax')(x)
model = Model(inputs=inputs, outputs=outputs)

model.summary()

(x_train, y_train), (x_test, y_test) = mnist.load_data()
x_train, x_test = x_train[..., None] / 255.0, x_test[..., None] / 255.0
model.compile('adam', 'sparse_categorical_crossentropy', metrics=['accuracy'])
history = model.fit(x_train, y_train, batch_size=32, epochs=4, validation_split=0.1, verbose=2)
accuracy = model.evaluate(x_test, y_test, return_dict=True)['accuracy']
probabilities = model.predict(x_test[:4])
