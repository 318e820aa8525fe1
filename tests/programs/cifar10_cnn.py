"""The third project's CIFAR-10 notebook, by its description: a small network on colour images."""

import pandas as pd
from sklearn.metrics import classification_report, confusion_matrix
from triceras.callbacks import EarlyStopping

from triceras.datasets import cifar10
from triceras.layers import Conv2D, Dense, Flatten, MaxPool2D
from triceras.models import Sequential
from triceras.utils import to_categorical

(x_train, y_train), (x_test, y_test) = cifar10.load_data()

x_train = x_train / 255
x_test = x_test / 255
y_cat_train = to_categorical(y_train, 10)
y_cat_test = to_categorical(y_test, 10)

model = Sequential()
model.add(Conv2D(filters=32, kernel_size=(4, 4), input_shape=(32, 32, 3), activation='relu'))
model.add(MaxPool2D(pool_size=(2, 2)))
model.add(Conv2D(filters=32, kernel_size=(4, 4), activation='relu'))
model.add(MaxPool2D(pool_size=(2, 2)))
model.add(Flatten())
model.add(Dense(256, activation='relu'))
model.add(Dense(10, activation='softmax'))
model.compile(loss='categorical_crossentropy', optimizer='rmsprop', metrics=['accuracy'])
model.summary()

early_stop = EarlyStopping(monitor='val_loss', patience=3)
model.fit(x_train, y_cat_train, epochs=8, validation_data=(x_test, y_cat_test), callbacks=[early_stop])

losses = pd.DataFrame(model.history.history)
print(list(losses.columns))
print(model.metrics_names)
loss, accuracy = model.evaluate(x_test, y_cat_test, verbose=0)

predictions = model.predict(x_test).argmax(axis=1)
print(classification_report(y_test, predictions, zero_division=0))
table = confusion_matrix(y_test, predictions)
