"""Ready-made networks for images, with the layer names and weights of the reference's."""

from triceras.core.registry import publish

HOMES = {  # public modules and where they are written
    "densenet": "densenet",
    "efficientnet": "efficientnet",
    "imagenet_utils": "imagenet_utils",
    "inception_v3": "inception_v3",
    "mobilenet_v2": "mobilenet_v2",
    "resnet": "resnet",
    "resnet50": "resnet",
    "resnet_v2": "resnet",
    "vgg16": "vgg",
    "vgg19": "vgg",
}

publish(
    {f"applications.{name}": (f"triceras.applications.{home}",) for name, home in HOMES.items()}
    | {"applications": tuple(dict.fromkeys(f"triceras.applications.{home}" for home in HOMES.values()))}
)
