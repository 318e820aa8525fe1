"""A file of an image classifier, made ready for use on pictures."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import triceras as keras
from triceras.apps.images import ImageError, read_image
from triceras.apps.strokes import digit_from_picture, is_like_mnist
from triceras.core.errors import ArgumentError, FileFormatError, shown

__all__ = ["SCALES", "Classifier", "ImageError"]

SCALES = {"0..255": (1.0, 0.0), "0..1": (1 / 255, 0.0), "-1..1": (1 / 127.5, -1.0)}  # factor, offset
DIGITS = [str(digit) for digit in range(10)]
SIZE = (224, 224)  # for models that take any
_SCALING_OPS = {"divide", "true_divide", "multiply", "subtract"}
_PASSING = {
    "Flatten",
    "Reshape",
    "Dropout",
    "Identity",
    "Activation",
    "flatten",
    "reshape",
    "squeeze",
    "cast",
    "identity",
}


class Classifier:
    """An image classifier with the names of its classes, and what it expects of a picture.

    Args:
        model: takes one picture and gives numbers for classes, in one output or several.
        classes: names in the order of the outputs, for a single number those of 0 and 1; numbers if not
            given. A dict gives those of several outputs by the outputs' names.
        image_size: (height, width) for a model that takes any.
        scale: the range of pixels that the model was trained on, "0..255", "0..1" or "-1..1"; if not given,
            0..255 where the model scales by itself, else 0..1.

    Attributes:
        classes: their names, of the main output.
        image_size: (height, width) of prepared pictures.
        channels: their channels.
        outputs: the names of all outputs with their classes, the main one first.

    >>> layers = keras.layers
    >>> with keras.use_engine("numpy"):
    ...     model = keras.Sequential([layers.Input((28, 28)), layers.Flatten(), layers.Dense(10)])
    >>> classifier = Classifier(model)
    >>> image = classifier.prepare(np.zeros((28, 28)))
    >>> image.shape, classifier.probabilities(image[None]).shape
    ((28, 28, 1), (1, 10))
    """

    def __init__(
        self,
        model: Any,
        classes: Sequence[str] | None = None,
        image_size: tuple[int, int] | None = None,
        scale: str | None = None,
    ) -> None:
        if scale is not None and scale not in SCALES:
            raise ArgumentError(f"`scale` must be one of {', '.join(SCALES)}. Received: {shown(scale)}")
        self.model = model
        self._lock = threading.Lock()
        self._shape, self.image_size, self.channels, self.data_format = _input_of(model, image_size)
        fixed = None not in self._shape[1:]
        if fixed and image_size is not None and tuple(image_size) != self.image_size:
            raise ArgumentError(
                f"The model takes pictures of {self.image_size[0]} x {self.image_size[1]} pixels only. "
                f"Received `image_size`: {image_size[0]} x {image_size[1]}"
            )
        self.scale = scale or ("0..255" if _scales_itself(model) else "0..1")
        self._kinds = self._output_kinds()
        self.outputs = self._named(classes)
        self.main = next(iter(self.outputs))
        self.classes = self.outputs[self.main]

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        engine: str | None = None,
        classes: Sequence[str] | None = None,
        image_size: tuple[int, int] | None = None,
        scale: str | None = None,
    ) -> Classifier:
        """Load a model file. What isn't given is looked up in `settings.json` beside it, where there is one.

        Args:
            path: a `.keras` file, or a run folder with `best.keras` or `model.keras`.
            engine: where it runs; the active one if not given.
            classes: names of the classes.
            image_size: (height, width), for a model that takes any.
            scale: the range of pixels that the model was trained on.

        Raises:
            FileFormatError: the model or the settings can't be read.
            ArgumentError: the model is no image classifier.
        """
        path = Path(path)
        if path.is_dir():
            found = [path / name for name in ("best.keras", "model.keras") if (path / name).is_file()]
            if not found:
                raise ArgumentError(f"The folder '{path}' holds no best.keras or model.keras.")
            path = found[0]
        settings = _settings(path.parent / "settings.json")
        if engine is None:
            model = keras.models.load_model(path, compile=False)
        else:
            with keras.use_engine(engine):
                model = keras.models.load_model(path, compile=False)
        size = image_size or settings.get("image_size")
        return cls(
            model,
            classes or settings.get("classes"),
            (size[0], size[1]) if size else None,
            scale or settings.get("scale"),
        )

    @property
    def all_outputs(self) -> list[str]:
        """Names of the outputs in the model's own order."""
        return list(self._kinds)

    @property
    def reads_digits(self) -> bool:
        """Whether the classes are the ten digits of MNIST, which are white on black."""
        return self.classes == DIGITS and self.channels == 1 and self.image_size == (28, 28)

    def prepare(self, image: Any, name: str | None = None) -> np.ndarray:
        """A picture as the model takes it; a digit on paper first becomes what MNIST would show.

        Args:
            image: a path, the bytes of a file, a Pillow image, or an array with values from 0 to 255.
            name: what messages call it.

        Returns:
            (height, width, channels), float32, in the range of `scale`.

        Raises:
            ImageError: it can't be read.
        """
        from PIL import Image

        picture = read_image(image, name)
        picture = picture.convert({1: "L", 3: "RGB", 4: "RGBA"}[self.channels])
        height, width = self.image_size
        if self.reads_digits and not is_like_mnist(np.asarray(picture)):
            picture = Image.fromarray(digit_from_picture(np.asarray(picture)))
        if picture.size != (width, height):
            picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        factor, offset = SCALES[self.scale]
        pixels = np.asarray(picture, "float32").reshape(height, width, self.channels)
        return pixels * np.float32(factor) + np.float32(offset)

    def shown(self, prepared: np.ndarray) -> np.ndarray:
        """A prepared picture as bytes (h, w, c) again: what the model saw."""
        factor, offset = SCALES[self.scale]
        return np.clip(np.round((prepared - offset) / factor), 0, 255).astype("uint8")

    def inputs(self, images: np.ndarray) -> np.ndarray:
        """Prepared pictures (n, h, w, c) in the shape of the model's input."""
        if self.data_format == "channels_first":
            images = images.transpose(0, 3, 1, 2)
        return images if images.ndim == len(self._shape) else images.reshape(len(images), *self._shape[1:])

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Probabilities (n, classes) of the main output for prepared pictures (n, h, w, c)."""
        return self.all_probabilities(images)[self.main]

    def all_probabilities(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Probabilities (n, classes) of every output, by its name."""
        found = dict(zip(self._kinds, self._predicted(images), strict=True))
        return {name: _probabilities(found[name], self._kinds[name][0]) for name in self.outputs}

    def _predicted(self, images: np.ndarray) -> list[np.ndarray]:
        with self._lock:  # of the threads of a server, one at a time
            result = self.model.predict(self.inputs(images), verbose=0)
        return [np.asarray(r, "float64") for r in keras.tree.flatten(result)]

    def _output_kinds(self) -> dict[str, tuple[str, int]]:
        """For each output's name, in the model's order: what its numbers are, and how many."""
        if self.model.outputs is not None:
            tensors = self.model.outputs
            kinds = [(_kind(t), _width(t.shape)) for t in tensors]
            structure = self.model.output
            names = sorted(structure) if isinstance(structure, dict) else self.model.output_names
        else:
            random = np.random.default_rng(0).random((8, *self.image_size, self.channels), "float32")
            factor, offset = SCALES[self.scale]
            arrays = self._predicted(random * 255 * factor + offset)
            kinds = [(_seen_kind(a), _width(a.shape)) for a in arrays]
            names = [f"output_{i}" for i in range(len(arrays))]
        return dict(zip(_distinct(names), kinds, strict=True))

    def _named(self, classes: Any) -> dict[str, list[str]]:
        """The outputs with their classes; the one that fits the names that were given comes first."""
        sizes = {name: max(width, 2) for name, (_, width) in self._kinds.items()}
        per_output = dict(classes) if isinstance(classes, dict) else {}
        main = next((n for n, size in sizes.items() if size == max(sizes.values())), None)
        if classes is not None and not per_output:
            main = next((n for n, size in sizes.items() if size == len(classes)), None)
            if main is None:
                raise ArgumentError(
                    f"The model tells {' or '.join(map(str, sizes.values()))} classes apart. Received the "
                    f"names of {len(classes)}: {shown(list(classes))}"
                )
            per_output[main] = list(classes)
        elif per_output:
            main = next((n for n in per_output if n in sizes), main)
        named = {}
        for name in (main, *(n for n in sizes if n != main)):
            named[name] = [str(c) for c in per_output.get(name) or range(sizes[name])]
            if len(named[name]) != sizes[name]:
                raise ArgumentError(
                    f"The output {name!r} of the model tells {sizes[name]} classes apart. Received the names "
                    f"of {len(named[name])}: {shown(named[name])}"
                )
        return named


def _settings(path: Path) -> dict[str, Any]:
    """What a run folder's settings.json says of pictures and classes; nothing where there is none."""
    if not path.is_file():
        return {}
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(settings, dict):
            raise ValueError("it holds no settings")
        classes, size = settings.get("classes"), settings.get("image_size")
        names = classes.values() if isinstance(classes, dict) else [classes or []]
        if not all(isinstance(n, list) and all(isinstance(c, (str, int)) for c in n) for n in names):
            raise ValueError("`classes` must be a list of names")
        if size is not None and not (
            isinstance(size, list) and len(size) == 2 and all(isinstance(n, int) and n > 0 for n in size)
        ):
            raise ValueError("`image_size` must be [height, width]")
    except (OSError, ValueError) as error:
        raise FileFormatError(f"{path} can't be used: {error}. Mend or remove it.") from error
    return settings


def _input_of(
    model: Any, image_size: tuple[int, int] | None
) -> tuple[tuple[int | None, ...], tuple[int, int], int, str]:
    """The input's shape; height and width, channels and data format of the pictures in it."""
    if model.inputs is not None:
        shapes = [t.shape for t in model.inputs]
    else:
        shape = (model.get_build_config() or {}).get("input_shape")
        shapes = [tuple(shape)] if shape and not any(isinstance(n, (list, tuple)) for n in shape) else []
    if len(shapes) != 1:
        raise ArgumentError(
            f"Model {model.name!r} has {len(shapes) or 'unknown'} inputs; an image classifier has "
            "one, for the picture."
        )
    shape = shapes[0]
    sizes, channels, data_format = shape[1:3], 1, "channels_last"
    if len(shape) == 4 and shape[3] in (1, 3, 4):
        channels = shape[3]
    elif len(shape) == 4 and shape[1] in (1, 3, 4):
        sizes, channels, data_format = shape[2:4], shape[1], "channels_first"
    elif len(shape) == 2 and shape[1]:
        channels = next((c for c in (1, 3) if math.isqrt(shape[1] // c) ** 2 * c == shape[1]), 0)
        sizes = (math.isqrt(shape[1] // channels),) * 2 if channels else ()
    elif len(shape) != 3:
        sizes = ()
    if len(sizes) != 2:
        raise ArgumentError(
            f"Model {model.name!r} is no image classifier: its input has the shape {shape}, and pictures are "
            "(batch, height, width, channels) with 1, 3 or 4 channels."
        )
    given = image_size or SIZE
    return shape, (sizes[0] or given[0], sizes[1] or given[1]), channels, data_format


def _steps(model: Any) -> Iterator[Any]:
    """The operations of a graph from the input on, those of models inside in their place."""
    seen: set[int] = set()
    stack = [(t, False) for t in reversed(model.outputs)]
    while stack:
        tensor, done = stack.pop()
        if tensor.history is None or (not done and id(tensor.history[0]) in seen):
            continue
        node = tensor.history[0]
        if done:
            inside = isinstance(node.operation, keras.Model) and node.operation.outputs is not None
            yield from _steps(node.operation) if inside else [node.operation]
        else:
            seen.add(id(node))
            stack.append((tensor, True))
            stack.extend((t, False) for t in reversed(node.inputs))


def _scales_itself(model: Any) -> bool:
    """Whether pixels are scaled before the first weights."""
    layers = keras.layers
    steps = _steps(model) if model.outputs is not None else iter(model._flatten_layers(include_self=False))
    for step in steps:
        if isinstance(step, (layers.Rescaling, layers.Normalization)) or _op(step) in _SCALING_OPS:
            return True
        if getattr(step, "weights", None) and not isinstance(step, keras.Model):
            return False
    return False


def _op(step: Any) -> str | None:
    """The name of the op that a step of a graph is, or None for a layer."""
    return None if isinstance(step, keras.layers.Layer) else step.op.name


def _kind(tensor: Any) -> str:
    """What the numbers of an output are: "softmax", "log_softmax", "sigmoid", else "logits"."""
    while tensor.history is not None:
        node, index = tensor.history
        step = node.operation
        if isinstance(step, keras.Model) and step.outputs is not None:
            tensor = step.outputs[index]
            continue
        activation = getattr(getattr(step, "activation", None), "__name__", None)
        name = _op(step) or (activation if activation not in (None, "linear") else type(step).__name__)
        name = {"Softmax": "softmax", "hard_sigmoid": "sigmoid"}.get(name, name)
        if name in ("softmax", "log_softmax", "sigmoid"):
            return name
        if name not in _PASSING or not node.inputs:
            return "logits"
        tensor = node.inputs[0]
    return "logits"


def _seen_kind(values: np.ndarray) -> str:
    """The same, from values alone, for models that are no graphs."""
    inside = values.min() >= 0 and values.max() <= 1
    if inside and values.shape[-1] > 1 and np.allclose(values.sum(axis=-1), 1, atol=1e-3):
        return "softmax"
    return "sigmoid" if inside else "logits"


def _width(shape: Sequence[int | None]) -> int:
    if len(shape) != 2 or not shape[1]:
        raise ArgumentError(
            f"The model is no image classifier: an output has the shape {tuple(shape)}, and classes need "
            "(batch, classes)."
        )
    return shape[1]


def _probabilities(values: np.ndarray, kind: str) -> np.ndarray:
    """An output's numbers as probabilities (n, classes); of one number, those of "not" and "yes"."""
    if kind == "log_softmax":
        values = np.exp(values)
    if values.shape[1] == 1:
        yes = values if kind == "sigmoid" else 0.5 * (1 + np.tanh(values / 2))
        return np.concatenate([1 - yes, yes], axis=1)
    if kind != "logits":
        return values
    values = np.exp(values - values.max(axis=1, keepdims=True))
    return values / values.sum(axis=1, keepdims=True)


def _distinct(names: Sequence[str]) -> list[str]:
    return [n if n not in names[:i] else f"{n}_{i}" for i, n in enumerate(names)]
