"""Trainings that are ready to run: a file a recipe."""

from triceras.apps.recipes import (
    cifar10,
    fashion_mnist,
    images,
    malaria,
    mnist_cnn,
    mnist_functional,
    mnist_mlp,
    pneumonia,
)

RECIPES = {
    module.RECIPE.name: module.RECIPE
    for module in (mnist_mlp, mnist_cnn, mnist_functional, fashion_mnist, cifar10, malaria, pneumonia, images)
}
