"""Copies of models with new weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from triceras.core import tree
from triceras.core.errors import ArgumentError, ArgumentTypeError
from triceras.core.registry import export
from triceras.core.spec import KerasTensor
from triceras.layers.base import Layer
from triceras.layers.input_layer import Input, InputLayer
from triceras.models.functional import Functional, clone_graph
from triceras.models.model import Model
from triceras.models.sequential import Sequential


@export("models.clone_model")
def clone_model(
    model: Model,
    input_tensors: Any = None,
    clone_function: Callable[[Layer], Layer] | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
    **kwargs: Any,
) -> Model:
    """A model of the same structure with new layers and newly initialised weights.

    Args:
        model: a model; subclassed ones need `get_config`.
        input_tensors: symbolic inputs to use instead of new ones.
        clone_function: makes a layer from a layer; `from_config(get_config())` if not given.
        call_function: called as `call_function(layer, *args, **kwargs)` for each layer of a Functional model.
        recursive: also clone models inside with `clone_function`.
        **kwargs: none; there for compatibility.

    >>> from triceras import layers
    >>> a = Sequential([layers.Input(shape=(2,)), layers.Dense(3)])
    >>> clone_model(a).count_params()
    9
    """
    if kwargs:
        raise ArgumentTypeError(f"clone_model() got unknown arguments: {sorted(kwargs)}")

    def clone(layer: Layer) -> Layer:
        if recursive and isinstance(layer, Model):
            return clone_model(
                layer, clone_function=clone_function, call_function=call_function, recursive=True
            )
        return clone_function(layer) if clone_function else type(layer).from_config(layer.get_config())

    if isinstance(model, Sequential):
        if call_function is not None:
            raise ArgumentError(
                "`call_function` is for Functional models; a Sequential model has no calls to replace."
            )
        layers: list[Any] = [
            InputLayer(**layer.get_config()) if isinstance(layer, InputLayer) else clone(layer)
            for layer in model._stack
        ]
        if input_tensors is not None:
            tensors = tree.flatten(input_tensors)
            if len(tensors) != 1:
                raise ArgumentError(
                    f"A Sequential model has one input. Received {len(tensors)} in `input_tensors`."
                )
            source = (
                tensors[0] if isinstance(tensors[0], KerasTensor) else Input(batch_shape=tensors[0].shape)
            )
            layers = [source, *(layer for layer in layers if not isinstance(layer, InputLayer))]
        return Sequential(layers, name=model.name)
    if isinstance(model, Functional) and model._graph is not None and type(model) is Functional:
        return clone_graph(model, clone, call_function, input_tensors)
    if clone_function is not None or input_tensors is not None or call_function is not None:
        raise ArgumentError(
            f"{type(model).__name__} is a subclassed model: it can only be cloned by its config, so `input_tensors`, "
            "`clone_function` and `call_function` can't be used."
        )
    return type(model).from_config(model.get_config())


@export("models.model_from_json")
def model_from_json(json_string: str, custom_objects: dict[str, Any] | None = None) -> Model:
    """A new model of the architecture that `Model.to_json()` described."""
    import json

    from triceras.saving.objects import deserialize_keras_object

    return deserialize_keras_object(json.loads(json_string), custom_objects=custom_objects)
