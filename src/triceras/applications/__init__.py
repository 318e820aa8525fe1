"""Ready-made networks for images, with the layer names and weights of the reference's."""

from triceras.core.registry import publish

HOMES = {  # public modules and where they are written
    "convnext": "convnext",
    "densenet": "densenet",
    "efficientnet": "efficientnet",
    "efficientnet_v2": "efficientnet_v2",
    "imagenet_utils": "imagenet_utils",
    "inception_resnet_v2": "inception_resnet_v2",
    "inception_v3": "inception_v3",
    "mobilenet": "mobilenet",
    "mobilenet_v2": "mobilenet_v2",
    "mobilenet_v3": "mobilenet_v3",
    "nasnet": "nasnet",
    "resnet": "resnet",
    "resnet50": "resnet",
    "resnet_v2": "resnet",
    "vgg16": "vgg",
    "vgg19": "vgg",
    "xception": "xception",
}

publish(
    {f"applications.{name}": (f"triceras.applications.{home}",) for name, home in HOMES.items()}
    | {"applications": tuple(dict.fromkeys(f"triceras.applications.{home}" for home in HOMES.values()))}
)
