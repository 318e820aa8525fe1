"""The base of all models."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from triceras.core import tree
from triceras.core.dtypes import standardize_dtype
from triceras.core.errors import ArgumentError, ArgumentTypeError, NotFoundError, StateError
from triceras.core.masks import set_mask
from triceras.core.registry import export
from triceras.core.spec import KerasTensor
from triceras.graph import Function
from triceras.layers.base import Layer
from triceras.layers.input_layer import InputLayer
from triceras.models.matching import match_inputs
from triceras.models.report import Report
from triceras.training.text import FromText
from triceras.training.trainer import Trainer

if TYPE_CHECKING:
    from triceras.models.verify import Verification


@export("Model", "models.Model")
class Model(Trainer, Layer):
    """Layers with training, saving and a summary.

    Made in three ways: `Model(inputs, outputs)` from symbolic tensors, a subclass with `call`, or `Sequential`.

    >>> from triceras import Input
    >>> x = Input(shape=(3,))
    >>> Model(inputs=x, outputs=x * 2.0).count_params()
    0
    """

    supports_masking = True
    _graph: Function | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is Model and (args or "inputs" in kwargs):
            from triceras.models.functional import Functional

            cls = Functional
        return super().__new__(cls, *args, **kwargs)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args or "inputs" in kwargs:
            names = ("inputs", "outputs", "name")
            kwargs = dict(zip(names, args, strict=False)) | kwargs
            inputs, outputs = kwargs.pop("inputs"), kwargs.pop("outputs", None)
            if outputs is None:
                raise ArgumentError("Model(inputs, outputs) needs both symbolic inputs and outputs.")
            super().__init__(**kwargs)
            self._connect(inputs, outputs)
        else:
            super().__init__(**kwargs)

    def _connect(self, inputs: Any, outputs: Any) -> None:
        """Become the graph between these tensors."""
        flat = tree.flatten(inputs)
        fresh = [
            t
            if not isinstance(t, KerasTensor)
            or (t.history and isinstance(t.history[0].operation, InputLayer))
            else _input_at(t)
            for t in flat
        ]
        if any(
            a is not b for a, b in zip(flat, fresh, strict=True)
        ):  # the model starts in the middle of a graph
            part = Function(inputs, outputs)
            outputs = part.plan.run(fresh)
            inputs = tree.pack_sequence_as(inputs, fresh)
        self._graph = Function(inputs, outputs, name=self.name)
        self._operations = self._graph.operations
        names = [o.name for o in self._operations]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ArgumentError(
                f"Layers of a model need different names. Used twice: {twice}. Give them a `name`."
            )
        self.built = True
        self._path = self.name
        self._build_shapes = {"input_shape": None}

    def __deepcopy__(self, memo: dict[int, Any]) -> Model:
        made = memo[id(self)] = object.__new__(type(self))
        # from the inputs on, so that recursion stays flat
        for node in self._graph.nodes if self._graph else ():
            copy.deepcopy(node, memo)
        made.__dict__.update(copy.deepcopy(self.__getstate__(), memo))
        return made

    # -- structure ---------------------------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """The layers of the model, in order."""
        return [x for x in self._attached(Layer)]

    @property
    def inputs(self) -> list[KerasTensor] | None:
        """Symbolic inputs, if the model is a graph."""
        return self._graph.inputs if self._graph else None

    @property
    def outputs(self) -> list[KerasTensor] | None:
        """Symbolic outputs, if the model is a graph."""
        return self._graph.outputs if self._graph else None

    @property
    def input(self) -> Any:
        """Symbolic inputs as they were given."""
        return self._required_graph("input")._inputs_struct

    @property
    def output(self) -> Any:
        """Symbolic outputs as they were given."""
        return self._required_graph("output")._outputs_struct

    @property
    def input_shape(self) -> Any:
        """Shapes of the inputs."""
        return tree.map_structure(lambda t: t.shape, self.input)

    @property
    def output_shape(self) -> Any:
        """Shapes of the outputs."""
        return tree.map_structure(lambda t: t.shape, self.output)

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs."""
        return [t.history[0].operation.name for t in self.inputs or ()]

    @property
    def output_names(self) -> list[str] | None:
        """Names of the layers behind the outputs; None where the model is no graph."""
        return None if self._graph is None else [t.history[0].operation.name for t in self._graph.outputs]

    def _required_graph(self, what: str) -> Function:
        if self._graph is None:
            raise StateError(
                f"`{self.name}.{what}` isn't defined: the model isn't a graph between symbolic inputs and outputs"
                + (
                    " yet. Give the first layer an input shape or call the model on data."
                    if not self.built
                    else "."
                )
            )
        return self._graph

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by name or by index.

        Raises:
            NotFoundError: there is none; it lists those that are there.
        """
        if (name is None) == (index is None):
            raise ArgumentError("get_layer() takes either `name` or `index`.")
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise NotFoundError(f"Model {self.name!r} has {len(layers)} layers. Received index {index}.")
            return layers[index]
        found = next((layer for layer in layers if layer.name == name), None)
        if found is None:
            raise NotFoundError(
                f"Model {self.name!r} has no layer {name!r}. It has: {[layer.name for layer in layers]}"
            )
        return found

    # -- calling -----------------------------------------------------------------------------------------------------

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """The outputs for inputs. Subclasses define their own."""
        if self._graph is None:
            raise NotImplementedError(
                f"{type(self).__name__} defines no call(self, inputs). Define it, or make the model with "
                "Model(inputs=..., outputs=...)."
            )
        if isinstance(inputs, FromText):
            return self._graph.halves[1].plan.run(inputs.tensors)
        values = match_inputs(self, inputs)
        if mask is not None:
            for x, m in zip(values, tree.flatten(mask), strict=False):
                set_mask(x, m)
        return self._graph.plan.run(values)

    def _convert_one(self, x: Any) -> Any:
        text = hasattr(x, "dtype") and standardize_dtype(x.dtype) == "string"
        return x if text and self._reads_text else super()._convert_one(x)

    @property
    def _reads_text(self) -> bool:
        """Whether text may go in; layers that can't take it say so."""
        return self._graph is None or any(t.dtype == "string" for t in self._graph.inputs)

    @property
    def _before_steps(self) -> Callable[[Any], FromText] | None:
        if self._graph is None or self._graph.halves is None:
            return None

        def numbers(x: Any) -> FromText:
            with self._home():
                (x,), _ = self._converted((x,), {})
                found = self._graph.halves[0].plan.run(match_inputs(self, x))
                return FromText(tuple(map(self.engine.to_numpy, found)))

        return numbers

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """The outputs' shapes for inputs of these shapes."""
        if self._graph is not None:
            return self._graph.compute_output_shape(*args, **kwargs)
        return super().compute_output_shape(*args, **kwargs)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Symbolic tensors for the outputs; a user's `compute_output_shape` says them where there is one."""
        own = type(self).compute_output_shape.__module__.startswith("triceras.models.")
        return self._evaluated_spec(*args, **kwargs) if own else super().compute_output_spec(*args, **kwargs)

    def _build_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if type(self).build is Model.build:  # the layers inside are built as the call reaches them
            self._build_shapes = {
                "input_shape": tree.map_structure(lambda x: tuple(x.shape), args[0]) if args else None
            }
        else:
            super()._build_for(args, kwargs)

    def build(self, input_shape: Any = None) -> None:
        """Make the weights for inputs of this shape."""
        if self.built or input_shape is None:
            return
        self(tree.map_shape_structure(lambda s: KerasTensor(s, self.compute_dtype), input_shape))

    # -- configs and files -------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """For a graph its layers and how they connect; for a subclass its constructor's arguments."""
        from triceras.models.functional import Functional, graph_config

        if self._graph is not None and type(self).__init__ in (Functional.__init__, Model.__init__):
            return graph_config(self)
        return super().get_config()

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """Make a model from what `get_config` returned."""
        from triceras.models.functional import Functional

        if {"layers", "input_layers", "output_layers"} <= set(config):
            return (
                Functional.from_config(config, custom_objects)
                if cls is Model
                else _graph_of(cls, config, custom_objects)
            )
        return super().from_config(config)

    def to_json(self, **kwargs: Any) -> str:
        """The architecture as JSON; keyword arguments go to `json.dumps`."""
        from triceras.saving.objects import serialize_keras_object

        return json.dumps(serialize_keras_object(self), **kwargs)

    def save(self, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any) -> None:
        """Save architecture, weights and how the model is trained to a `.keras` file."""
        from triceras.saving import save_model

        save_model(self, filepath, overwrite=overwrite, zipped=zipped, **kwargs)

    def save_weights(
        self, filepath: Any, overwrite: bool = True, max_shard_size: float | None = None
    ) -> None:
        """Save the weights to a `.weights.h5` file."""
        from triceras.saving import save_weights

        save_weights(self, filepath, overwrite=overwrite, max_shard_size=max_shard_size)

    def load_weights(self, filepath: Any, skip_mismatch: bool = False, **kwargs: Any) -> None:
        """Load weights from a file that `save_weights` or `save` wrote."""
        from triceras.saving import load_weights

        load_weights(self, filepath, skip_mismatch=skip_mismatch, **kwargs)

    def summary(
        self,
        line_length: int | None = None,
        positions: list[float] | None = None,
        print_fn: Callable[[str], None] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: list[str] | tuple[str, str] | None = None,
    ) -> None:
        """Print a table of the layers with their output shapes and numbers of parameters.

        Args:
            line_length: width in characters.
            positions: relative or absolute ends of the columns.
            print_fn: called with the whole text instead of printing it.
            expand_nested: also show layers of models inside.
            show_trainable: add a column that says which layers are trained.
            layer_range: names (or patterns) of the first and the last layer to show.
        """
        from triceras.models.summary import print_summary

        print_summary(self, line_length, positions, print_fn, expand_nested, show_trainable, layer_range)

    def report(self) -> Report:
        """What happened to the compiled steps: captures with their causes, fallbacks, slow kernels, waits of the host.

        Returns:
            Its `events`; it prints as a table.

        >>> Model(name="fresh").report()
        Model 'fresh' has run no steps yet.
        """
        return Report(self.name, self._journals)

    def verify(
        self,
        x: Any = None,
        y: Any = None,
        engines: Sequence[str] | None = None,
        rtol: float | None = None,
        atol: float = 1e-5,
    ) -> Verification:
        """Compare what the layers return and the gradients of the weights between engines. The model stays as it is.

        A model that draws random numbers is compared as in inference, for each engine draws its own.

        Args:
            x: a batch of inputs; made up if not given.
            y: its targets, for the gradients of the compiled loss; else they are those of the outputs' mean square.
            engines: all that are installed if not given. The model's own gives the expected values.
            rtol: the largest difference allowed, as a part of the largest number of the same output or gradient;
                1e-4 if not given, more in half precision and on GPUs.
            atol: and beyond that.

        Returns:
            `ok`, and `rows` with the differences; it prints as a table.
        """
        from triceras.models.verify import verify

        return verify(self, x, y, engines, rtol, atol)


def _input_at(t: KerasTensor) -> KerasTensor:
    return InputLayer(batch_shape=t.shape, dtype=t.dtype).output


def _graph_of(cls: type, config: dict[str, Any], custom_objects: dict[str, Any] | None) -> Any:
    from triceras.models.functional import _from_config

    try:
        return _from_config(cls, config, custom_objects)
    except TypeError as error:
        raise ArgumentTypeError(
            f"{cls.__name__} can't be made from a graph: its __init__ must take inputs, outputs and name, or the class "
            f"must define from_config(). {error}"
        ) from error
