"""The slides' network: one hidden layer on MNIST, part of the training data kept for validation."""

from sklearn.model_selection import train_test_split

from triceras.datasets import mnist
from triceras.layers import Dense, Flatten
from triceras.models import Sequential

# Load MNIST dataset
(x_train, y_train), (x_test, y_test) = mnist.load_data()
x_train, x_val, y_train, y_val = train_test_split(x_train, y_train, test_size=0.1, random_state=42)

# Data preprocessing
x_train = x_train / 255.0
x_test = x_test / 255.0

# Build the model
model = Sequential()
model.add(Flatten(input_shape=(28, 28))) # Flatten the image into a vector
model.add(Dense(128, activation='relu')) # Hidden layer with 128 units and ReLU activation function
model.add(Dense(10, activation='softmax')) # Output layer with 10 units and softmax activation function

# Compile the model
model.compile(optimizer='adam',
              loss='sparse_categorical_crossentropy',
              metrics=['accuracy'])

# Train the model
model.fit(x_train, y_train, epochs=10, batch_size=32, validation_data=(x_val, y_val))

# Evaluate the model on the test set
test_loss, test_acc = model.evaluate(x_test, y_test)
print('Accuracy on the test set:', test_acc)
