"""Layers around recurrent ones, and layers applied at each place in time."""

from __future__ import annotations

from typing import Any

from triceras import ops
from triceras.core import tree
from triceras.core.errors import ArgumentError, ShapeError, StateError, shown
from triceras.core.registry import export
from triceras.core.spec import Shape
from triceras.layers.base import Layer
from triceras.layers.recurrent.base import OverTime
from triceras.layers.wrapper import Wrapper
from triceras.saving.objects import CustomObjectScope, serialize_keras_object

MERGES: dict[str | None, Any] = {
    "concat": lambda a, b: ops.concatenate([a, b], axis=-1),
    "sum": ops.add,
    "mul": ops.multiply,
    "ave": lambda a, b: ops.multiply(ops.add(a, b), 0.5),
    None: lambda a, b: (a, b),
}
_SHARED = ("return_sequences", "return_state", "stateful")


@export("layers.Bidirectional")
class Bidirectional(OverTime):
    """Runs a copy of a recurrent layer forwards and another one backwards, and merges their outputs.

    Schuster and Paliwal, 1997, https://doi.org/10.1109/78.650093

    Args:
        layer: a layer with `go_backwards`, `return_sequences`, `return_state` and `stateful`, such as `LSTM`.
        merge_mode: "concat", "sum", "mul", "ave", or None for both outputs.
        weights: values for the weights, in the order of `get_weights()`.
        backward_layer: the layer that runs backwards, if it is not a copy of the other.

    >>> from triceras.layers import LSTM
    >>> Bidirectional(LSTM(4))(ops.ones((2, 5, 3))).shape
    (2, 8)
    """

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        weights: Any = None,
        backward_layer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, given in (("layer", layer), ("backward_layer", backward_layer)):
            missing = [a for a in ("go_backwards", *_SHARED) if not hasattr(given, a)]
            if (given is not None or name == "layer") and (not isinstance(given, Layer) or missing):
                raise ArgumentError(
                    f"Bidirectional(): `{name}` must be a recurrent layer, such as LSTM, with go_backwards, "
                    f"{', '.join(_SHARED)}. Received: {shown(given)}"
                )
        if merge_mode not in MERGES:
            raise ArgumentError(
                f"Bidirectional(): `merge_mode` must be one of {tuple(MERGES)}. Received: {shown(merge_mode)}"
            )
        self.merge_mode = merge_mode
        self.forward_layer = _copy(layer, "forward")
        if backward_layer is None:
            backward_layer = _copy(layer, "backward", go_backwards=True)
        self.backward_layer = backward_layer
        self._check_pair()
        for one in (self.forward_layer, self.backward_layer):
            if hasattr(one, "zero_output_for_mask"):  # the two outputs at a masked place must not mix
                one.zero_output_for_mask = one.return_sequences
        self._first_weights = weights
        self.input_spec = layer.input_spec

    def _check_pair(self) -> None:
        forward, backward = self.forward_layer, self.backward_layer
        if forward.go_backwards == backward.go_backwards:
            raise ArgumentError(
                f"Bidirectional(): one of the two layers must have go_backwards=True. Both have "
                f"{forward.go_backwards}."
            )
        for name in _SHARED:
            if getattr(forward, name) != getattr(backward, name):
                raise ArgumentError(
                    f"Bidirectional(): both layers must have the same `{name}`. Received "
                    f"{getattr(forward, name)} in `layer` and {getattr(backward, name)} in `backward_layer`."
                )

    def __getattr__(self, name: str) -> Any:
        if name in _SHARED and "forward_layer" in self.__dict__:
            return getattr(self.forward_layer, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def states(self) -> tuple[Any, ...] | None:
        """The states of both layers, if they are stateful and built."""
        both = [self.forward_layer.states, self.backward_layer.states]
        return None if None in both else (*both[0], *both[1])

    def reset_state(self) -> None:
        """Let both layers start from zero again.

        Raises:
            StateError: they are not stateful.
        """
        if not self.stateful:
            raise StateError(f"Layer {self.path!r} (Bidirectional) isn't stateful, so it has no states.")
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    def build(self, sequences_shape: Shape, initial_state_shape: Any = None) -> None:
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer.build(sequences_shape)
        if self._first_weights is not None:
            self.set_weights(self._first_weights)

    def compute_output_shape(self, sequences_shape: Shape, initial_state_shape: Any = None) -> Any:
        shape = self.forward_layer.compute_output_shape(sequences_shape)
        output, states = (shape[0], tuple(shape[1:])) if self.return_state else (shape, ())
        if self.merge_mode is None:
            merged = (output, output)
        else:
            size = output[-1]
            merged = ((*output[:-1], 2 * size if self.merge_mode == "concat" and size else size),)
        found = (*merged, *states, *states)
        return found if len(found) > 1 else found[0]

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        mask = tree.flatten(previous_mask)[0] if self.return_sequences else None
        outputs = (mask, mask) if self.merge_mode is None else (mask,)
        sizes = tree.flatten(self.forward_layer.state_size) * 2 if self.return_state else []
        found = (*outputs, *(None for _ in sizes))
        return found if len(found) > 1 else found[0]

    def call(
        self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool | None = None
    ) -> Any:
        given = list(initial_state) if initial_state is not None else []
        half = len(given) // 2
        outputs, states = [], []
        for layer, own in ((self.forward_layer, given[:half]), (self.backward_layer, given[half:])):
            found = layer(sequences, initial_state=own or None, training=training, **self._masks(layer, mask))
            output, *last = found if self.return_state else (found,)
            outputs.append(output)
            states += last
        if self.return_sequences:
            outputs[1] = ops.flip(outputs[1], 1)
        merged = MERGES[self.merge_mode](*outputs)
        found = (*(merged if self.merge_mode is None else (merged,)), *states)
        return found if len(found) > 1 else found[0]

    def _masks(self, layer: Layer, mask: Any) -> dict[str, Any]:
        return {"mask": mask} if layer.call_info.has_mask else {}

    def get_config(self) -> dict[str, Any]:
        config = {k: v for k, v in super().get_config().items() if k != "weights"}
        pair = {"layer": self.forward_layer, "backward_layer": self.backward_layer}
        return config | serialize_keras_object(pair)


def _copy(layer: Any, direction: str, **changes: Any) -> Any:
    """A new layer with the same settings; cells of one's own need not be registered for that."""
    changes["name"] = f"{direction}_{layer.name.removeprefix(f'{direction}_')}"
    if hasattr(layer, "use_cudnn"):
        changes["use_cudnn"] = layer.use_cudnn
    known = {type(part).__name__: type(part) for part in layer._flatten_layers()}
    with CustomObjectScope(known):
        return type(layer).from_config(layer.get_config() | changes)


@export("layers.TimeDistributed")
class TimeDistributed(Wrapper):
    """Applies a layer at each place in time of `(batch, time, ...)`, as if the places were further samples.

    Args:
        layer: the layer.

    >>> from triceras.layers import Dense
    >>> TimeDistributed(Dense(4))(ops.ones((2, 5, 3))).shape
    (2, 5, 4)
    """

    supports_masking = True

    def _one_place(self, shape: Shape) -> Shape:
        if len(shape) < 3:
            raise ShapeError(
                f"Layer {self.path!r} (TimeDistributed) takes inputs of shape (batch, time, ...). "
                f"Received shape {tuple(shape)}."
            )
        return (shape[0], *shape[2:])

    def build(self, input_shape: Shape) -> None:
        super().build(self._one_place(input_shape))

    def compute_output_shape(self, input_shape: Shape) -> Any:
        shape = self.layer.compute_output_shape(self._one_place(input_shape))
        return tree.map_shape_structure(lambda s: (s[0], input_shape[1], *s[1:]), shape)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        sizes = tuple(ops.shape(inputs))
        kwargs = {"training": training} if self.layer.call_info.has_training else {}
        if mask is not None and self.layer.call_info.has_mask:
            kwargs["mask"] = ops.reshape(mask, (-1, *tuple(ops.shape(mask))[2:]))
        outputs = self.layer(ops.reshape(inputs, (-1, *sizes[2:])), **kwargs)
        return tree.map_structure(lambda x: ops.reshape(x, (*sizes[:2], *tuple(ops.shape(x))[1:])), outputs)
