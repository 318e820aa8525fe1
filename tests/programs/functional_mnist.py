"""The Functional project, by its table: two stages of convolution, batch normalization and pooling."""

import numpy as np
from triceras.callbacks import EarlyStopping, ModelCheckpoint

import triceras as keras
from triceras.datasets import mnist
from triceras.layers import (
    Activation,
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Input,
    MaxPooling2D,
)
from triceras.models import Model
from triceras.utils import to_categorical

(x_train, y_train), (x_test, y_test) = mnist.load_data()
x_train = np.expand_dims(x_train.astype('float32') / 255.0, -1)
x_test = np.expand_dims(x_test.astype('float32') / 255.0, -1)
y_train = to_categorical(y_train, 10)
y_test = to_categorical(y_test, 10)

inputs = Input(shape=(28, 28, 1), name='image')
x = Conv2D(32, (3, 3), padding='same')(inputs)
x = BatchNormalization()(x)
x = Activation('relu')(x)
x = MaxPooling2D((2, 2))(x)
x = Conv2D(64, (3, 3), padding='same')(x)
x = BatchNormalization()(x)
x = Activation('relu')(x)
x = MaxPooling2D((2, 2))(x)
x = Flatten()(x)
x = Dense(128, activation='relu')(x)
x = Dropout(0.5)(x)
outputs = Dense(10, activation='softmax', name='digit')(x)

model = Model(inputs=inputs, outputs=outputs, name='mnist_functional')
model.summary()
model.compile(optimizer='adam', loss='categorical_crossentropy', metrics=['accuracy'])

callbacks = [
    EarlyStopping(monitor='val_loss', patience=5, restore_best_weights=True),
    ModelCheckpoint('best.keras', monitor='val_accuracy', save_best_only=True),
]
history = model.fit(x_train, y_train, batch_size=32, epochs=8, validation_split=0.1,
                    callbacks=callbacks, verbose=2)
test_loss, test_accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f'Test accuracy: {test_accuracy:.4f}')

best = keras.models.load_model('best.keras')
features = Model(inputs=best.input, outputs=best.get_layer('flatten').output).predict(x_test[:3], verbose=0)
