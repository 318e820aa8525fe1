"""The seminar report's subclassed model (3.2.3), with `__init__` spelled and called."""
# ruff: noqa: UP008

import triceras as keras
from triceras.datasets import mnist
from triceras.layers import Dense, Flatten


class MyModel(keras.Model):
    def __init__(self):
        super(MyModel, self).__init__()
        self.flatten = Flatten()
        self.dense1 = Dense(128, activation='relu')
        self.dense2 = Dense(10, activation='softmax')
    def call(self, inputs):
        x = self.flatten(inputs)
        x = self.dense1(x)
        return self.dense2(x)


(x_train, y_train), (x_test, y_test) = mnist.load_data()
x_train, x_test = x_train.astype('float32') / 255, x_test.astype('float32') / 255

model = MyModel()
model.compile(optimizer='rmsprop', loss='sparse_categorical_crossentropy', metrics=['accuracy'])
history = model.fit(x_train, y_train, epochs=4, validation_data=(x_test, y_test))
loss, accuracy = model.evaluate(x_test, y_test)
model.summary()
model.save_weights('my_model.weights.h5')

again = MyModel()
again.build((None, 28, 28))
again.load_weights('my_model.weights.h5')
difference = float(abs(again.predict(x_test) - model.predict(x_test)).max())
