"""Files of the reference's networks with random weights, and what these networks answer.

KERAS_BACKEND=torch python reference.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

NETWORKS = {  # the arguments of each: the smallest images, few classes, logits
    "VGG16": {"include_top": False, "input_shape": (32, 32, 3)},
    "ResNet50": {"input_shape": (32, 32, 3)},
    "ResNet50V2": {"input_shape": (32, 32, 3)},
    "InceptionV3": {"input_shape": (75, 75, 3)},
    "MobileNetV2": {"input_shape": (32, 32, 3)},
    "DenseNet121": {"input_shape": (32, 32, 3)},
    "EfficientNetB0": {"input_shape": (32, 32, 3)},
}
COMMON = {"classes": 5, "classifier_activation": None}


def main(folder: Path) -> None:
    import h5py
    import keras
    import numpy as np
    from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

    keras.initializers.GlorotUniform.__call__ = lambda self, shape, dtype=None: keras.ops.zeros(shape, dtype)
    rng = np.random.default_rng(0)
    for name, arguments in NETWORKS.items():
        model = getattr(keras.applications, name)(weights=None, **arguments, **COMMON)
        for v in model.weights:
            values = rng.random(v.shape, dtype="float32") * 2 - 1
            if len(v.shape) > 1:  # so that numbers neither vanish nor explode
                v.assign(values * np.float32(2 / np.prod(v.shape[:-1])) ** 0.5)
            else:
                v.assign(values * np.float32(0.1) + ("gamma" in v.name or "variance" in v.name))
        x = rng.random((2, *arguments["input_shape"]), dtype="float32")
        np.savez(folder / f"{name}.npz", x=x, y=keras.ops.convert_to_numpy(model(x, training=False)))
        model.save_weights(folder / f"{name}.weights.h5")
        with h5py.File(folder / f"{name}.h5", "w") as file:
            save_weights_to_hdf5_group(file, model)
        if name in ("MobileNetV2", "EfficientNetB0"):
            model.compile("sgd", "mse")
            model.save(folder / f"{name}.keras")
            model.save(folder / f"whole_{name}.h5")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
