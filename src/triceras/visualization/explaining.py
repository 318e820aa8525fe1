"""Grad-CAM, saliency and feature maps: on every engine with gradients, for every kind of model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from triceras import activations, ops
from triceras.core import tree
from triceras.core.errors import ArgumentError, EngineError, NotFoundError, ShapeError, shown
from triceras.core.registry import export
from triceras.layers.activation import Softmax
from triceras.layers.base import Layer
from triceras.layers.convolution import Convolution
from triceras.layers.core import Identity
from triceras.layers.regularization import Dropout
from triceras.layers.reshaping import Flatten, Reshape
from triceras.variable import Variable, value_and_grad
from triceras.visualization.watching import Call, names_of, watched

BATCH = 32  # images at a time
_PASSING = (Identity, Dropout, Flatten, Reshape)


@export("visualization.grad_cam")
def grad_cam(
    model: Any,
    images: Any,
    class_index: int | Sequence[int] | None = None,
    layer: str | Layer | None = None,
    output: int | str | None = None,
) -> np.ndarray:
    """Where in the images a network saw what speaks for a class: Grad-CAM (Selvaraju et al., 2017).

    Scores are taken before a softmax or sigmoid at the end, where gradients vanish when the network is sure.

    Args:
        model: with 2D convolutions, also in models inside it.
        images: a batch as the model takes it, such as (n, height, width, channels).
        class_index: the class to explain, or one for each image; the predicted ones if not given. Where a
            single number tells the classes apart, 1 is what a high number means and 0 the other.
        layer: whose maps are weighed, by name, path or itself; the end of the last convolutional stage if not
            given.
        output: which output, by name or position; the first if not given.

    Returns:
        (n, height, width) float32 from 0 to 1, the strongest place of each image; zeros where nothing
        speaks for the class.

    Raises:
        EngineError: the model is on an engine without gradients.
        ArgumentError: the model has no convolution.

    >>> from triceras import Sequential, layers, use_engine
    >>> with use_engine("torch"):
    ...     stack = [layers.Input((8, 8, 1)), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(3)]
    ...     model = Sequential(stack)
    >>> grad_cam(model, np.ones((5, 8, 8, 1)), class_index=2).shape
    (5, 8, 8)
    """
    parts = []
    with _running(model, "grad_cam"):
        for batch, classes in _batches(images, class_index):
            outputs, calls = _called(model, batch)
            target = _target(model, outputs, calls, output, classes)
            source = _source(model, calls, layer, outputs[target.index])
            probe = Variable(np.zeros(source.shape, "float32"), name="probe")

            def score(
                probe: Any = probe, source: Any = source, target: Any = target, batch: Any = batch
            ) -> Any:
                maps = []

                def add_probe(call: Call) -> Any:
                    if call.layer is not source.layer or call.number != source.number:
                        return call.outputs
                    maps.append(call.outputs)
                    return call.outputs + ops.cast(probe.value, call.outputs.dtype)

                with watched(model, add_probe):
                    return target.score(model, batch), maps[0]

            with target.linear():
                (_, maps), (gradients,) = value_and_grad(score, [probe], has_aux=True)()
            maps, gradients = (ops.convert_to_numpy(a).astype("float32") for a in (maps, gradients))
            if _channels_first(calls):
                maps, gradients = np.moveaxis(maps, 1, -1), np.moveaxis(gradients, 1, -1)
            weights = gradients.mean(axis=(1, 2), keepdims=True)
            heat = np.maximum((maps * weights).sum(axis=-1), 0)
            parts.append(_from_0_to_1(_resized(heat, _size(batch, calls))))
    return np.concatenate(parts)


@export("visualization.saliency")
def saliency(
    model: Any,
    images: Any,
    class_index: int | Sequence[int] | None = None,
    output: int | str | None = None,
) -> np.ndarray:
    """How much the score of a class changes with each pixel: saliency maps (Simonyan et al., 2014).

    Args:
        model: any model that takes images.
        images: a batch as the model takes it, such as (n, height, width, channels).
        class_index: the class to explain, or one for each image; the predicted ones if not given.
        output: which output, by name or position; the first if not given.

    Returns:
        (n, height, width) float32 from 0 to 1, the most important pixel of each image; the shape of the
        images if they have no axis of channels.

    Raises:
        EngineError: the model is on an engine without gradients.

    >>> from triceras import Sequential, layers, use_engine
    >>> with use_engine("torch"):
    ...     model = Sequential([layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(3)])
    >>> saliency(model, np.ones((5, 4, 4, 1))).shape
    (5, 4, 4)
    """
    parts = []
    with _running(model, "saliency"):
        for batch, classes in _batches(images, class_index):
            outputs, calls = _called(model, batch)
            target = _target(model, outputs, calls, output, classes)
            pixels = Variable(batch, name="pixels")

            def score(target: Any = target, pixels: Any = pixels) -> Any:
                return target.score(model, pixels.value)

            with target.linear():
                _, (gradients,) = value_and_grad(score, [pixels])()
            changes = np.abs(ops.convert_to_numpy(gradients).astype("float32"))
            if changes.ndim == 4:
                changes = changes.max(axis=1 if _channels_first(calls) else -1)
            parts.append(_from_0_to_1(changes))
    return np.concatenate(parts)


@export("visualization.feature_maps")
def feature_maps(
    model: Any, images: Any, layers: Sequence[str | Layer] | None = None
) -> dict[str, np.ndarray]:
    """What layers inside a model return for images.

    Args:
        model: any model that takes images.
        images: a batch as the model takes it, such as (n, height, width, channels).
        layers: names, paths or layers; all convolutions if not given.

    Returns:
        What each layer returns, by its name (by its path where several have that name; further calls of the
        same layer end in `#2`), in the order in which they run.

    Raises:
        ArgumentError: the model has no convolution.
        NotFoundError: the model has no such layer.

    >>> from triceras import Sequential, layers
    >>> model = Sequential([layers.Input((8, 8, 1)), layers.Conv2D(2, 3, name="first"), layers.Flatten()])
    >>> {name: maps.shape for name, maps in feature_maps(model, np.ones((5, 8, 8, 1))).items()}
    {'first': (5, 6, 6, 2)}
    """
    found: dict[str, list[Any]] = {}
    with _running(model):
        for batch, _ in _batches(images, None):
            _, calls = _called(model, batch)
            if layers is None:
                wanted = [c for c in calls if isinstance(c.layer, Convolution)]
                if not wanted:
                    raise _no_convolution(model)
            else:
                chosen = {id(c) for layer in layers for c in _calls_of(model, calls, layer)}
                wanted = [c for c in calls if id(c) in chosen]
            for name, call in zip(names_of(model, wanted), wanted, strict=True):
                found.setdefault(name, []).append(tree.map_structure(ops.convert_to_numpy, call.outputs))
    return {
        name: tree.map_structure(lambda *arrays: np.concatenate(arrays), *parts)
        for name, parts in found.items()
    }


@dataclass
class _Target:
    """The scores to explain: those of one output, weighed so that their sum is that of the classes.

    Args:
        index: which of the flattened outputs.
        end: the layer that it comes out of, if that squashes scores.
        weights: (n, width) of the output's numbers.
    """

    index: int
    end: Layer | None
    weights: np.ndarray

    def score(self, model: Any, images: Any) -> Any:
        """The sum of the classes' scores; of outputs with more axes, their mean over these."""
        scores = ops.cast(tree.flatten(model(images, training=False))[self.index], "float32")
        if scores.ndim > 2:
            scores = ops.mean(scores, axis=tuple(range(1, scores.ndim - 1)))
        return ops.sum(scores * ops.convert_to_tensor(self.weights))

    @contextmanager
    def linear(self) -> Iterator[None]:
        """A block in which the end returns scores as they are."""
        attributes = {} if self.end is None else self.end.__dict__
        change = (
            {"call": lambda inputs, mask=None: inputs}
            if isinstance(self.end, Softmax)
            else {"activation": activations.linear}
        )
        before = {name: attributes[name] for name in change if name in attributes}
        try:
            attributes.update(change)
            yield
        finally:
            for name in change:
                attributes.pop(name, None)
            attributes.update(before)


def _target(
    model: Any, outputs: list[Any], calls: list[Call], output: int | str | None, classes: Any
) -> _Target:
    index = _output_index(model, len(outputs), output)
    values = ops.convert_to_numpy(outputs[index]).astype("float32")
    if values.ndim < 2:
        raise ShapeError(f"An output of shape {values.shape} tells no classes apart: it needs (n, classes).")
    if values.ndim > 2:
        values = values.mean(axis=tuple(range(1, values.ndim - 1)))
    end = _end(calls, outputs[index])
    if values.shape[1] == 1:
        chosen = (values[:, 0] > (0 if end is None else 0.5)).astype(int) if classes is None else classes
        _check_classes(chosen, 2)
        return _Target(index, end, np.where(chosen == 1, 1, -1).astype("float32")[:, None])
    chosen = values.argmax(axis=1) if classes is None else classes
    _check_classes(chosen, values.shape[1])
    return _Target(index, end, np.eye(values.shape[1], dtype="float32")[chosen])


def _check_classes(chosen: np.ndarray, count: int) -> None:
    if chosen.min() < 0 or chosen.max() >= count:
        raise ArgumentError(
            f"`class_index` must be from 0 to {count - 1}. Received: {shown(chosen.tolist())}"
        )


def _output_index(model: Any, count: int, output: int | str | None) -> int:
    """Which of the flattened outputs is meant."""
    if output is None:
        return 0
    if isinstance(output, str):
        structure = model.output if model.outputs is not None else None
        names = sorted(structure) if isinstance(structure, dict) else list(model.output_names or ())
        if output in names:
            return names.index(output)
        raise NotFoundError(f"Model {model.name!r} has no output {output!r}. Its outputs are: {names}")
    if not 0 <= output < count:
        raise NotFoundError(f"Model {model.name!r} has {count} output(s). Received: output={output!r}")
    return output


def _end(calls: list[Call], tensor: Any) -> Layer | None:
    """The layer that squashes the scores of an output, if its end does that."""
    index = next((i for i, call in enumerate(calls) if call.gives(tensor)), -1)
    while index > 0 and isinstance(calls[index].layer, _PASSING):
        index -= 1
    layer = calls[index].layer if index >= 0 else None
    squashes = isinstance(layer, Softmax) or getattr(layer, "activation", None) in (
        activations.softmax,
        activations.log_softmax,
        activations.sigmoid,
    )
    return layer if squashes else None


def _source(model: Any, calls: list[Call], layer: str | Layer | None, output: Any) -> Call:
    """The call whose maps Grad-CAM weighs."""
    if layer is not None:
        found = _calls_of(model, calls, layer)[-1]
        if len(found.shape) != 4:
            raise ArgumentError(
                f"grad_cam() needs a layer that returns maps (n, rows, columns, channels). Layer "
                f"{found.layer.name!r} returns {found.shape or 'several tensors'}."
            )
        return found
    inside = [c for c in calls if len(c.shape) == 4 and not c.gives(output)]
    convolutions = [c for c in inside if isinstance(c.layer, Convolution)]
    if not convolutions:
        raise _no_convolution(model)
    axes = slice(2, 4) if _channels_first(calls) else slice(1, 3)
    last = next((c for c in reversed(convolutions) if max(c.shape[axes]) > 1), convolutions[-1])
    stage = (
        last  # what follows on the same grid, such as normalization and the sum of branches, belongs to it
    )
    for call in inside[inside.index(last) + 1 :]:
        if call.shape[axes] != last.shape[axes]:
            break
        stage = stage if call.gives(stage.outputs) else call
    return stage


def _calls_of(model: Any, calls: list[Call], layer: str | Layer) -> list[Call]:
    names = names_of(model, calls)
    found = [
        c
        for c, name in zip(calls, names, strict=True)
        if layer in (name, c.layer.name, c.layer.path) or layer is c.layer
    ]
    if not found:
        what = layer if isinstance(layer, str) else getattr(layer, "name", layer)
        raise NotFoundError(f"Model {model.name!r} runs no layer {what!r}. It runs: {', '.join(names)}")
    return found


def _no_convolution(model: Any) -> ArgumentError:
    return ArgumentError(
        f"Model {model.name!r} has no convolution inside, so there are no feature maps to show. Name a layer "
        "that returns some, or use saliency(), which needs none."
    )


def _channels_first(calls: list[Call]) -> bool:
    """Whether the convolutions have their channels before rows and columns."""
    formats = [c.layer.data_format for c in calls if isinstance(c.layer, Convolution)]
    return bool(formats) and formats[-1] == "channels_first"


@contextmanager
def _running(model: Any, needs_gradients: str | None = None) -> Iterator[None]:
    """A block in which the model's engine is active and nothing is assigned."""
    if needs_gradients and not model.engine.differentiates:
        raise EngineError(
            f"{needs_gradients}() needs gradients, and the engine {model.engine} has none. Move the model to "
            'one that has, such as model.to("jax") or model.to("torch").'
        )
    with model._home():
        try:
            yield
        finally:
            model._clear_losses()


def _batches(images: Any, class_index: Any) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """The images a few at a time, each with its class."""
    images = np.asarray(ops.convert_to_numpy(images), "float32")
    if images.ndim < 2 or not len(images):
        raise ShapeError(
            f"`images` must be a batch, such as (n, height, width, channels). Received: {images.shape}"
        )
    classes = None
    if class_index is not None:
        classes = np.asarray(class_index)
        if classes.dtype.kind not in "iu" or classes.shape not in ((), (len(images),)):
            raise ArgumentError(
                f"`class_index` must be a whole number, or one for each of the {len(images)} images. "
                f"Received: {shown(class_index)}"
            )
        classes = np.broadcast_to(classes, len(images))
    for start in range(0, len(images), BATCH):
        part = slice(start, start + BATCH)
        yield images[part], None if classes is None else classes[part]


def _called(model: Any, batch: np.ndarray) -> tuple[list[Any], list[Call]]:
    """The flattened outputs for a batch, and the calls on the way."""
    with watched(model) as calls:
        return tree.flatten(model(batch, training=False)), calls


def _size(batch: np.ndarray, calls: list[Call]) -> tuple[int, int]:
    """Height and width of the images."""
    if batch.ndim != 4:
        return calls[0].shape[1:3]
    return batch.shape[2:4] if _channels_first(calls) else batch.shape[1:3]


def _resized(heat: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    images = ops.convert_to_tensor(heat[..., None])
    return ops.convert_to_numpy(ops.image.resize(images, size, "bilinear", data_format="channels_last"))[
        ..., 0
    ]


def _from_0_to_1(values: np.ndarray) -> np.ndarray:
    """Each image's values as parts of its largest."""
    most = values.max(axis=tuple(range(1, values.ndim)), keepdims=True)
    return np.divide(values, most, out=np.zeros_like(values), where=most > 0)
