"""Layers where TensorFlow expects modules: parts for checkpoints and SavedModels, and variables for tapes."""

from __future__ import annotations

import inspect
from types import MethodType
from typing import Any

import tensorflow as tf
from tensorflow.python.autograph.core import config as autograph  # no public name for its rules
from tensorflow.python.trackable.base import Trackable
from tensorflow.python.util._pywrap_utils import IsVariable

from triceras.engine import faces

# our code needs no conversion in a `tf.function`, and would be slow to convert
autograph.CONVERSION_RULES = (autograph.DoNotConvert("triceras"), *autograph.CONVERSION_RULES)


def _children(layer: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """What is saved with a layer: variables, sublayers, and TensorFlow's own objects in attributes."""
    variables = faces.weights(layer) | faces.random_states(layer)
    found = {name: v.held for name, v in variables.items()} | faces.children(layer)
    kinds = (Trackable, tf.types.experimental.GenericFunction)
    return found | {n: x for n, x in vars(layer).items() if isinstance(x, kinds) and n not in found}


def _ignored(layer: Any) -> set[str]:
    """Attributes in which a module around the layer finds no variables and modules."""
    inside = {id(child) for child in faces.children(layer).values()}

    def is_part(value: Any) -> bool:
        if isinstance(value, (list, tuple, dict)):
            return any(map(is_part, value.values() if isinstance(value, dict) else value))
        return id(value) in inside or isinstance(value, (tf.Variable, tf.Module))

    return {n for n, x in vars(layer).items() if n != "_own_variables" and not is_part(x)}


VIEWS = {"_TF_MODULE_IGNORED_PROPERTIES": _ignored}
METHODS = {
    "_trackable_children": _children,
    "_lookup_dependency": lambda layer, name, *_: _children(layer).get(name),
}


def attribute(layer: Any, name: str) -> Any:
    """What a layer offers as a `tf.Module`."""
    if name in VIEWS:
        return VIEWS[name](layer)
    found = METHODS.get(name) or inspect.getattr_static(tf.Module, name)
    if isinstance(found, property):
        return found.fget(layer)
    return MethodType(found, layer) if inspect.isfunction(found) else found


def teach(kind: type) -> None:
    """Make TensorFlow's functions and tapes take objects of a class for the tensors they stand for."""

    def tensor(self: Any, dtype: Any = None, name: str | None = None) -> tf.Tensor:
        value = self.value if self.engine == "tensorflow" else self.numpy()
        return tf.convert_to_tensor(value, dtype, name=name)

    def is_resource(self: Any) -> bool:
        if self.engine != "tensorflow":
            raise AttributeError
        return True

    kind.__tf_tensor__ = tensor  # type: ignore[attr-defined]
    kind._should_act_as_resource_variable = property(is_resource)  # type: ignore[attr-defined]
    probe = object.__new__(kind)
    probe.__class__ = tf.Variable
    IsVariable(
        probe
    )  # `GradientTape.watch` asks this, and gives all objects of a type the answer of the first
