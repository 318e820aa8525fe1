"""The seminar report's demonstration (sections 4.1 to 4.7): a convolutional network for MNIST."""
# ruff: noqa: N816, UP018

# Import the dataset
from triceras.datasets import mnist

# Import some layer types
from triceras.layers import Conv2D, Dense, Dropout, Flatten, MaxPooling2D

# Import the model and load pre-train model method
from triceras.models import Sequential, load_model

# Import Stochastic Gradient Descent optimizer
from triceras.optimizers import SGD

# Import helper function for data preprocessing
from triceras.utils import to_categorical

(train_X, train_y), (test_X, test_y) = mnist.load_data()

train_X = train_X.reshape(-1,28,28,1)
test_X  = test_X.reshape(-1,28,28,1)

train_X = train_X.astype('float32')
test_X  = test_X.astype('float32')
train_X = train_X / 255
test_X  = test_X / 255

train_y = to_categorical(train_y)
test_y  = to_categorical(test_y)

model = Sequential()
model.add(Conv2D(filters=32, kernel_size=(3,3), activation='relu', input_shape=(28,28,1), padding='SAME'))
model.add(MaxPooling2D(pool_size=(2,2)))
model.add(Conv2D(64,(3,3),activation='relu',padding='SAME'))
model.add(MaxPooling2D(pool_size=(2,2)))
model.add(Dropout(0.25))
model.add(Flatten())
model.add(Dense(128, activation='relu'))
model.add(Dropout(0.5))
model.add(Dense(10, activation='softmax'))

model.compile(loss='categorical_crossentropy', optimizer=SGD(0.01), metrics=['accuracy'])

print(model.summary())

batch_size = 32
epochs = 10

history_data = model.fit(train_X,
                         train_y,
                         batch_size=batch_size,
                         epochs=epochs,
                         verbose=1,
                         validation_data=(test_X, test_y))

history_dict = history_data.history

test_loss = history_dict['val_loss']
training_loss = history_dict['loss']
test_accuracy = history_dict['val_accuracy']
training_accuracy = history_dict['accuracy']

loss, accuracy = model.evaluate(test_X, test_y, verbose=0)

print('Test loss ---> ', str(round(loss*100,2)) + str('%'))
print('Test accuracy ---> ', str(round(accuracy*100,2)) + str('%'))

model.save('MNIST_10_epochs.keras')
print('Model saved.')

model = load_model('MNIST_10_epochs.keras')
prediction = model.predict(test_X[:5])
print(prediction.argmax(axis=1))
