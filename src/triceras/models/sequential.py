"""Models that are a stack of layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from triceras.core import tree
from triceras.core.errors import ArgumentError, ArgumentTypeError, ShapeError
from triceras.core.registry import export
from triceras.core.spec import KerasTensor, standardize_shape
from triceras.layers.base import Layer
from triceras.layers.input_layer import InputLayer
from triceras.models.model import Model
from triceras.ops.operation import Operation
from triceras.variable import name_scope


@export("Sequential", "models.Sequential")
class Sequential(Model):
    """A stack of layers, each with one input and one output.

    Without an input shape the weights are made when the model first sees data.

    Args:
        layers: the layers, first to last; an `Input` may come first.
        trainable: whether the weights are trained.
        name: made from the class name if not given.

    >>> from triceras import layers
    >>> model = Sequential([layers.Input(shape=(4,)), layers.Dense(3)])
    >>> model.output_shape
    (None, 3)
    """

    def __init__(
        self, layers: Sequence[Layer] | None = None, trainable: bool = True, name: str | None = None
    ) -> None:
        super().__init__(trainable=trainable, name=name)
        self._stack: list[Layer] = []
        # the sizes of the data that came first bind nothing but the layers' weights
        self._built_by_data = False
        for layer in layers or ():
            self.add(layer, rebuild=False)
        self._rebuild()

    def add(self, layer: Layer, rebuild: bool = True) -> None:
        """Put a layer on top.

        Args:
            layer: a layer, or the symbolic tensor that `Input` gives.
            rebuild: whether to connect it at once.
        """
        if (
            isinstance(layer, KerasTensor)
            and layer.history
            and isinstance(layer.history[0].operation, InputLayer)
        ):
            layer = layer.history[0].operation
        if not isinstance(layer, Layer):
            if not callable(layer) or isinstance(layer, type):
                hint = " Did you forget to call the class?" if isinstance(layer, type) else ""
                raise ArgumentTypeError(f"Sequential.add() takes a layer. Received: {layer!r}.{hint}")
            raise ArgumentTypeError(
                f"Sequential.add() takes a layer; wrap functions in layers.Lambda. Received: {layer!r}"
            )
        if isinstance(layer, InputLayer) and self._stack:
            raise ArgumentError(
                f"The input must come first; the model already has {len(self._stack)} layers."
            )
        if any(old.name == layer.name for old in self._stack):
            raise ArgumentError(
                f"Layers of a model need different names. There already is a layer {layer.name!r}."
            )
        if not self._stack and not isinstance(layer, InputLayer):
            shape = layer._given_input_shape or (
                getattr(layer, "_graph", None) and layer._graph.inputs[0].shape
            )
            if shape is not None:
                self._stack.append(InputLayer(batch_shape=shape, dtype=layer.input_dtype))
        self._stack.append(layer)
        if rebuild:
            self._rebuild()

    def pop(self, rebuild: bool = True) -> Layer:
        """Take the last layer off and return it."""
        if not self.layers:
            raise ArgumentError(f"Model {self.name!r} has no layer to take off.")
        layer = self._stack.pop()
        self._graph = None
        if rebuild:
            self._rebuild()
        return layer

    def _rebuild(self) -> None:
        self._loops = {}
        if len(self._stack) > 1 and isinstance(self._stack[0], InputLayer):
            self._connect_stack(self._stack[0].output)
        else:
            self._graph, self.built = None, False

    def _connect_stack(self, x: KerasTensor) -> None:
        inputs = x
        start = 0
        if self._graph is not None and self._graph.inputs[0] is x:  # only what was added since
            known = len(self._graph.operations) - 1
            x, start = self._graph.outputs[0], known
        with name_scope(self.name):
            for layer in self.layers[start:]:
                try:
                    x = layer(x)
                except NotImplementedError:
                    self._graph, self.built = None, False
                    return
        self._graph = None
        self._connect(inputs, x)

    def _connect(self, inputs: Any, outputs: Any) -> None:
        super()._connect(inputs, outputs)
        self._build_shapes = {"input_shape": inputs.shape}

    @property
    def _operations(self) -> list[Operation]:
        return []

    @_operations.setter
    def _operations(self, value: list[Operation]) -> None:
        pass  # the stack says it all

    def build(self, input_shape: Any = None) -> None:
        """Make the weights for inputs of this shape, the batch included."""
        if self._graph is not None:
            return
        if not self.layers:
            raise ArgumentError(f"Sequential model {self.name!r} can't be built: it has no layers yet.")
        if input_shape is None:
            raise ArgumentError(
                "build() needs the shape of the input, the batch included, such as (None, 28, 28, 1)."
            )
        shape = standardize_shape(input_shape, "input_shape")
        source = InputLayer(batch_shape=shape, dtype=self.layers[0].input_dtype)
        self._connect_stack(source.output)
        if self._graph is not None:
            self._stack.insert(0, source)

    def _build_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._check_has_layers()
        self.build((None, *tree.flatten((args, kwargs))[0].shape[1:]))
        self._built_by_data = True

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if self._graph is not None and not (self._built_by_data and self._differs(inputs)):
            return super().call(inputs, training=training, mask=mask)
        for layer in self.layers:
            inputs = layer(inputs)
        return inputs

    def _differs(self, x: Any) -> bool:
        """Whether an input has the rank that the model was built for, but other sizes."""
        shape, wanted = getattr(x, "shape", ()), self._graph.inputs[0].shape
        pairs = zip(shape[1:], wanted[1:], strict=False)
        return len(shape) == len(wanted) and any(w is not None and s not in (w, None) for s, w in pairs)

    def _check_has_layers(self) -> None:
        if not self.layers:
            raise ArgumentError(f"Sequential model {self.name!r} has no layers: add some before calling it.")

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the input."""
        return [layer for layer in self._stack if not isinstance(layer, InputLayer)]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The output's shape for an input of this shape."""
        if self._graph is not None:
            return super().compute_output_shape(input_shape)
        for layer in self.layers:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The layers and the input's shape."""
        from triceras.saving.objects import serialize_keras_object

        config = {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": serialize_keras_object(self.dtype_policy),
            "layers": [serialize_keras_object(layer) for layer in self._stack],
        }
        if self._graph is not None:
            config["build_input_shape"] = self._graph.inputs[0].shape
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """Make a model from what `get_config` returned."""
        from triceras.saving.objects import deserialize_keras_object

        model = cls(name=config.get("name"))
        model._trainable = config.get("trainable", True)
        for data in config["layers"]:
            model.add(deserialize_keras_object(data, custom_objects=custom_objects), rebuild=False)
        model._rebuild()
        shape = config.get("build_input_shape")
        if model._graph is None and shape and model.layers:
            try:
                model.build(tuple(shape))
            except ShapeError as error:
                raise ShapeError(
                    f"Sequential model {model.name!r} can't be built as its config says: {error}"
                ) from error
        return model
