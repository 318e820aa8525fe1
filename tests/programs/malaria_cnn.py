"""The third project's blood cells, by its description: photographs in folders, parasitized or uninfected."""

import os

import numpy as np
from triceras.callbacks import EarlyStopping
from triceras.preprocessing.image import img_to_array, load_img

from triceras.layers import Activation, Conv2D, Dense, Dropout, Flatten, MaxPooling2D
from triceras.models import Sequential, load_model

data_dir = 'cell_images'
image_shape = (48, 48, 3)


def read_images(folder):
    images, labels = [], []
    for label, kind in enumerate(['Parasitized', 'Uninfected']):
        for name in sorted(os.listdir(os.path.join(folder, kind))):
            path = os.path.join(folder, kind, name)
            images.append(img_to_array(load_img(path, target_size=image_shape)))
            labels.append(label)
    return np.array(images) / 255, np.array(labels)


x_train, y_train = read_images(os.path.join(data_dir, 'train'))
x_test, y_test = read_images(os.path.join(data_dir, 'test'))

model = Sequential()
for filters in (32, 64, 64):
    model.add(Conv2D(filters=filters, kernel_size=(3, 3), activation='relu'))
    model.add(MaxPooling2D(pool_size=(2, 2)))
model.add(Flatten())
model.add(Dense(128))
model.add(Activation('relu'))
model.add(Dropout(0.5))
model.add(Dense(1))
model.add(Activation('sigmoid'))
model.compile(loss='binary_crossentropy', optimizer='adam', metrics=['accuracy'])
model.build((None, *image_shape))
model.summary()

early_stop = EarlyStopping(monitor='val_loss', patience=6, restore_best_weights=True)
results = model.fit(x_train, y_train, epochs=20, batch_size=16, validation_data=(x_test, y_test),
                    callbacks=[early_stop], verbose=2)
model.save('malaria_detector.keras')

model = load_model('malaria_detector.keras')
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
predictions = model.predict(x_test, verbose=0) > 0.5

folder = os.path.join(data_dir, 'test', 'Parasitized')
cell = os.path.join(folder, sorted(os.listdir(folder))[0])
my_image = np.expand_dims(img_to_array(load_img(cell, target_size=image_shape)) / 255, axis=0)
answer = model.predict(my_image, verbose=0)
print('uninfected' if answer[0][0] > 0.5 else 'parasitized')
