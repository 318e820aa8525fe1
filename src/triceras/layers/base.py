"""The base of all layers: weights, building, calling, masks, losses, configs."""

from __future__ import annotations

import inspect
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import cache, wraps
from typing import Any

import numpy as np

from triceras import activations, dtype_policies, initializers, regularizers
from triceras.core import tree
from triceras.core.dtypes import is_float_dtype, standardize_dtype
from triceras.core.errors import (
    ArgumentError,
    ArgumentTypeError,
    EngineError,
    ShapeError,
    StateError,
    SymbolicValueError,
    shown,
)
from triceras.core.masks import attached as attached_masks
from triceras.core.masks import get_mask, set_mask
from triceras.core.registry import export, path_of
from triceras.core.scope import Local
from triceras.core.spec import KerasTensor, any_symbolic, recording
from triceras.engine import selection
from triceras.engine.contract import Engine, state
from triceras.layers.input_spec import check_inputs
from triceras.moving import Move
from triceras.ops.infer import infer
from triceras.ops.operation import Operation, is_symbolic
from triceras.random import SeedGenerator
from triceras.variable import Variable, autocast, name_scope, name_stack, stateless, with_values


class Pass:
    """One outermost call and all calls inside it: what they were told about training, and which belong together."""

    __slots__ = ("outermost", "training")

    def __init__(self, training: bool | None, outermost: Pass | None = None) -> None:
        self.training, self.outermost = training, outermost or self


current_pass: Local[Pass | None] = Local("pass", None)

_UNTRACKED = frozenset(
    ("_arguments", "_inbound_nodes", "_losses", "_own_variables", "_build_shapes")
    + ("optimizer", "_pass", "_known")
)
# what is set most often, and never a part of the layer
_PLAIN = frozenset({type(None), bool, int, float, str})
_INPUT_ARGUMENTS = ("input_shape", "input_dim", "batch_input_shape")
_COMMON_ARGUMENTS = frozenset({"name", "trainable", "dtype", "autocast", *_INPUT_ARGUMENTS})


class Known:
    """Calls that need no preparation: a tensor of a kind seen before, in a layer that is settled."""

    __slots__ = ("autocast", "kinds", "trains")

    def __init__(self, layer: Layer) -> None:
        self.autocast, self.kinds = layer._autocast_dtype(), set()
        self.trains = layer.call_info.has_training

    def add(self, x: Any) -> None:
        """Remember a tensor's kind."""
        if len(self.kinds) < 64:
            self.kinds.add((x.__class__, x.dtype, x.shape))

    def covers(self, x: Any) -> bool:
        """Whether such a tensor was prepared before."""
        try:
            return (x.__class__, x.dtype, x.shape) in self.kinds and autocast.get() == self.autocast
        except (AttributeError, TypeError):
            return False


class CallInfo:
    """What a class's `call` takes, found out once."""

    def __init__(self, call: Callable[..., Any]) -> None:
        parameters = list(inspect.signature(call).parameters.values())[1:]
        self.names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        self.all_names = [p.name for p in parameters]
        self.any_keyword = any(p.kind is p.VAR_KEYWORD for p in parameters)
        self.has_training = "training" in self.all_names
        self.has_mask = "mask" in self.all_names
        default = next((p.default for p in parameters if p.name == "training"), None)
        self.training_default = None if default is inspect.Parameter.empty else default
        self.mask_names = [n for n in self.all_names if n.endswith("_mask") and n[:-5] in self.names]

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Arguments by name."""
        return dict(zip(self.names, args, strict=False)) | kwargs


class Seen:
    """Taken by isinstance() for what the engine's library takes it for."""

    @property
    def __class__(self) -> type:
        engine = self.__dict__.get("engine")
        return type(self) if engine is None else engine.seen_as(type(self))

    @__class__.setter
    def __class__(self, kind: type) -> None:
        object.__dict__["__class__"].__set__(self, kind)


@export("Layer", "layers.Layer")
class Layer(Seen, Operation):
    """A computation with weights.

    Subclasses make sublayers and settings in `__init__`, weights in `build(self, input_shape)`, and compute in
    `call(self, inputs)`, which may also take `training` and `mask`.

    Args:
        activity_regularizer: penalty on the outputs.
        trainable: whether the weights are trained.
        dtype: dtype or dtype policy of computation and weights.
        autocast: whether float inputs are cast to the compute dtype.
        name: unique within a model; made from the class name if not given.

    >>> class Scale(Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="factor")
    ...     def call(self, x):
    ...         return x * self.factor
    >>> Scale()(np.ones((2, 3), "float32")).shape
    (2, 3)
    """

    call_info: CallInfo
    supports_masking = False
    runs_on: str | None = None  # the only engine on which the layer can be
    # for calls that aren't told; `train()` and `eval()` of PyTorch programs set it
    training: bool | None = None
    axis_names: tuple[str, ...] = ()  # words for the input's axes, for messages
    omitted_if_none: tuple[str, ...] = ()  # arguments that the config holds only if they were given

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "call" in cls.__dict__ or not hasattr(cls, "call_info"):
            cls.call_info = CallInfo(cls.call)
        if "build" in cls.__dict__:
            cls.build = _building(cls.__dict__["build"])

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name)
        self._given_input_shape = _input_shape_of(kwargs)
        if kwargs:
            raise ArgumentTypeError(
                f"{type(self).__name__}() got unknown arguments {sorted(kwargs)}. It takes: "
                f"{', '.join(k for k in inspect.signature(type(self)).parameters if k != 'kwargs')}, "
                "name, dtype, trainable."
            )
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self._trainable = bool(trainable)
        self.autocast = autocast
        self._dtype_policy = dtype_policies.get(dtype)
        self.built = False
        self._building = False
        self._called = False  # sublayers may be built in the first call, under this layer's name
        self.input_spec: Any = None
        self.engine, self.device = selection.current(), selection.placement.get()
        self._own_variables: list[Variable] = []
        self._losses: list[Any] = []
        self._losses_pass: Pass | None = None  # the pass in which they were added
        self._pass: Pass | None = None  # the latest one
        self._build_shapes: dict[str, Any] | None = None
        self._path: str | None = None

    # -- tracking: everything below follows from the attributes, so there is nothing to keep in step -------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if value.__class__ in _PLAIN:
            self.__dict__.pop("_known", None)
            object.__setattr__(self, name, value)
            return
        if isinstance(value, Variable) and name != "_own_variables":
            if "_own_variables" not in self.__dict__:
                raise StateError(
                    f"In {type(self).__name__}.__init__(), call super().__init__() before setting `self.{name}`."
                )
            old = self.__dict__.get(name)
            if isinstance(old, Variable) and old is not value:
                self._own_variables[:] = [v for v in self._own_variables if v is not old]
            if not any(v is value for v in self._own_variables):
                self._own_variables.append(value)
        engine = self.__dict__.get("engine")
        if engine is not None and isinstance(value, engine.modules) and not isinstance(value, Layer):
            from triceras.layers.native import wrapped

            value = wrapped(value)
        self.__dict__.pop("_known", None)
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        """What the engine's library looks for in a layer; see `Engine.attribute`."""
        engine = self.__dict__.get("engine")
        if engine is not None and not name.startswith("__"):
            try:
                return engine.attribute(self, name)
            except AttributeError:
                pass
        return object.__getattribute__(self, name)  # raises as usual, or what a property raised

    def __delattr__(self, name: str) -> None:
        old = self.__dict__.get(name)
        if isinstance(old, Variable):
            self._own_variables[:] = [v for v in self._own_variables if v is not old]
        object.__delattr__(self, name)

    def _attached(self, kind: type | tuple[type, ...]) -> Iterator[Any]:
        """Objects of a kind held by attributes, lists and dicts included, each once, in order."""
        seen: set[int] = set()

        def search(value: Any) -> Iterator[Any]:
            if isinstance(value, kind):
                if id(value) not in seen:
                    seen.add(id(value))
                    yield value
            elif isinstance(value, (list, tuple, set)):
                for item in value:
                    yield from search(item)
            elif isinstance(value, dict):
                for item in value.values():
                    yield from search(item)

        for _, value in self._tracked():
            yield from search(value)

    def _tracked(self) -> list[tuple[str, Any]]:
        """Attributes that may hold parts of the layer."""
        return [item for item in self.__dict__.items() if item[0] not in _UNTRACKED]

    @property
    def _layers(self) -> list[Layer]:
        return list(self._attached(Layer))

    def _flatten_layers(self, include_self: bool = True, recursive: bool = True) -> list[Layer]:
        """This layer and all below it, each once, parents first."""
        found: dict[int, Layer] = {}

        def visit(layer: Layer) -> None:
            if id(layer) not in found:
                found[id(layer)] = layer
                if recursive or layer is self:
                    for child in layer._layers:
                        visit(child)

        visit(self)
        return list(found.values())[0 if include_self else 1 :]

    def _seed_generators(self) -> list[SeedGenerator]:
        return list(self._attached(SeedGenerator))

    @property
    def variables(self) -> list[Variable]:
        """All variables: weights and random state, of this layer and the ones inside."""
        found: dict[int, Variable] = {}
        for layer in self._flatten_layers():
            own = sorted(layer._own_variables, key=lambda v: not v.trainable)
            for v in (*own, *(g.state for g in layer._seed_generators())):
                found.setdefault(id(v), v)
        return list(found.values())

    @property
    def weights(self) -> list[Variable]:
        """All variables except random state."""
        states = {id(g.state) for layer in self._flatten_layers() for g in layer._seed_generators()}
        return [v for v in self.variables if id(v) not in states]

    @property
    def trainable_variables(self) -> list[Variable]:
        """Variables that training changes; none while a layer's `trainable` is off."""
        frozen = self._frozen()
        return [v for v in self.variables if v.trainable and id(v) not in frozen]

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """All variables that training leaves alone, random state included."""
        trained = {id(v) for v in self.trainable_variables}
        return [v for v in self.variables if id(v) not in trained]

    @property
    def trainable_weights(self) -> list[Variable]:
        """Weights that training changes."""
        return self.trainable_variables

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """Weights that training leaves alone."""
        trained = {id(v) for v in self.trainable_variables}
        return [v for v in self.weights if id(v) not in trained]

    def _frozen(self) -> set[int]:
        found: set[int] = set()
        for layer in self._flatten_layers():
            if not layer._trainable:
                found |= {id(v) for v in layer.variables}
        return found

    @property
    def metrics(self) -> list[Any]:
        """Metrics held by this layer and the ones inside."""
        from triceras.metrics import Metric

        return [m for layer in self._flatten_layers() for m in layer._attached(Metric)]

    @property
    def metrics_variables(self) -> list[Variable]:
        """Variables of all metrics."""
        return [v for m in self.metrics for v in m.variables]

    @property
    def trainable(self) -> bool:
        """Whether the weights are trained; setting it sets it for all layers inside."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self._flatten_layers():
            layer._trainable = bool(value)
            for v in layer._own_variables:
                v.frozen = not value

    @property
    def path(self) -> str:
        """Where the layer stands: names of the enclosing layers and its own, joined by "/"."""
        return self._path or self.name

    # -- engines -----------------------------------------------------------------------------------------------------

    def to(self, target: str | None = None, device: str | None = None) -> Layer:
        """Move to another engine or device, in place: weights, random state, and all that layers inside keep.

        A model takes its optimizer and its metrics along, and goes on training from where it is.

        Args:
            target: an engine ("jax", "torch", "tensorflow", "numpy") or a device ("cpu:0", "gpu:0").
            device: a device of that engine; its default if not given.

        Returns:
            The layer itself.

        Raises:
            NotFoundError: there is no such engine or device.
            EngineMissingError: the engine's library isn't installed.
            EngineError: a layer holds code of another engine's library; nothing is moved then.

        >>> layer = Layer().to("numpy")
        >>> layer.engine
        'numpy'
        """
        if target is None and device is None:
            raise ArgumentError('Say where to: to("torch"), to("gpu:0") or to("torch", device="gpu:0").')
        engine = self.engine
        if target is not None and not isinstance(target, (str, Engine)):
            # a dtype or device in the library's own form
            return engine.attribute(self, "to")(target)
        if isinstance(target, str) and target.partition(":")[0].lower() in ("cpu", "gpu", "cuda"):
            target, device = None, target
        if target is not None:
            engine = selection.get(str(target))
        if device is not None:
            device = selection.device_name(engine, device)
        move = Move(engine, device)
        try:
            move.visit(self)
        except BaseException:
            move.swap()
            raise
        return self

    def _settled(self, engine: Engine, device: str | None) -> dict[str, Any]:
        """Attributes that belong to an engine, as they are after a move; `moving.Move` sets them."""
        if self.runs_on not in (None, engine.name):
            raise EngineError(
                f"Layer {self.path!r} ({type(self).__name__}) can be on the engine {self.runs_on!r} only."
            )
        return {"engine": engine, "device": device, "_losses": [], "_known": None}

    def _home(self) -> Any:
        """A `with` block in which the layer's engine is active, on the layer's device."""
        return selection.running(self.engine, self.device)

    # -- dtypes ------------------------------------------------------------------------------------------------------

    @property
    def dtype_policy(self) -> Any:
        return self._dtype_policy

    @dtype_policy.setter
    def dtype_policy(self, value: Any) -> None:
        self._dtype_policy = dtype_policies.get(value)

    @property
    def compute_dtype(self) -> str:
        """The dtype in which `call` computes."""
        return self._dtype_policy.compute_dtype

    @property
    def variable_dtype(self) -> str:
        """The dtype of the weights."""
        return self._dtype_policy.variable_dtype

    dtype = variable_dtype

    @property
    def input_dtype(self) -> str:
        """The dtype to which float inputs are cast."""
        return self.compute_dtype

    # -- weights -----------------------------------------------------------------------------------------------------

    def add_weight(
        self,
        *args: Any,
        shape: Sequence[int] | None = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Variable:
        """Make a weight of this layer.

        Args:
            shape: sizes; a scalar if not given.
            initializer: name or callable; Glorot uniform for floats and zeros for others if not given.
            dtype: the layer's variable dtype if not given.
            trainable: whether gradients are taken for it.
            autocast: whether mixed precision may read it in the compute dtype.
            regularizer: penalty added to the loss.
            constraint: projection applied after each update.
            aggregation: how replicas combine.
            overwrite_with_gradient: let the optimizer replace the value by the gradient.
            name: without "/".
        """
        if "_own_variables" not in self.__dict__:
            raise StateError(
                f"In {type(self).__name__}.__init__(), call super().__init__() before add_weight()."
            )
        for value in args:  # the order of earlier versions: a shape or a name first
            if isinstance(value, str) or value is None:
                name = name or value
            else:
                shape = value
        dtype = standardize_dtype(dtype or self.variable_dtype)
        shape = () if shape is None else tuple(shape)
        if any(size is None for size in shape):
            raise ShapeError(
                f"Layer {self.path!r}: the weight {name!r} would have shape {shape}. Sizes of weights must be known: "
                "give the input's size on that axis."
            )
        if initializer is None:
            initializer = "glorot_uniform" if is_float_dtype(dtype) else "zeros"
        with self._home():
            variable = Variable(
                initializers.get(initializer),
                shape=shape,
                dtype=dtype,
                trainable=trainable,
                autocast=autocast,
                aggregation=aggregation,
                name=name,
            )
        variable.regularizer = regularizers.get(regularizer)
        if constraint is not None:
            from triceras import constraints

            variable.constraint = constraints.get(constraint)
        variable.overwrite_with_gradient, variable.frozen = overwrite_with_gradient, not self._trainable
        self._own_variables.append(variable)
        return variable

    add_variable = add_weight

    def get_weights(self) -> list[np.ndarray]:
        """The weights' values as NumPy arrays."""
        return [v.numpy() for v in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Assign values in the order of `get_weights()`.

        Raises:
            ArgumentError: another number of arrays, or a shape that doesn't fit; nothing is changed then.
        """
        own = self.weights
        if len(weights) != len(own):
            raise ArgumentError(
                f"Layer {self.path!r} has {len(own)} weights. Received {len(weights)} arrays."
            )
        for variable, value in zip(own, weights, strict=True):
            if tuple(np.shape(value)) != variable.shape:
                raise ShapeError(
                    f"Weight {variable.path!r} has shape {variable.shape}. Received shape {np.shape(value)}."
                )
        for variable, value in zip(own, weights, strict=True):
            variable.assign(value)

    def count_params(self) -> int:
        """How many numbers the weights hold.

        Raises:
            StateError: the layer isn't built.
        """
        if not self.built:
            raise StateError(
                f"Layer {self.path!r} isn't built, so its weights aren't known yet. Call it or its build()."
            )
        return sum(int(np.prod(v.shape)) for v in self.weights)

    # -- losses ------------------------------------------------------------------------------------------------------

    def add_loss(self, loss: Any) -> None:
        """Add one or more scalars to what training minimises; call it inside `call`."""
        here = current_pass.get()
        latest = here.outermost if here is not None else self._pass
        if self._losses_pass is not latest:
            self._losses.clear()
            self._losses_pass = latest
        self._losses += tree.flatten(loss)
        scope = stateless.get()
        if scope is not None and scope.collect_losses:
            for each in tree.flatten(loss):
                scope.add_loss(each)

    @property
    def losses(self) -> list[Any]:
        """Losses added in the latest call, and weight penalties."""
        found = [
            x for layer in self._flatten_layers() if layer._losses_pass is self._pass for x in layer._losses
        ]
        for variable in self.trainable_weights:
            if variable.regularizer is not None:
                found.append(variable.regularization_loss)
        return found

    def _clear_losses(self) -> None:
        for layer in self._flatten_layers():
            layer._losses.clear()

    # -- building ----------------------------------------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs of this shape. Layers that need none don't define it."""
        self._build_shapes = {"input_shape": input_shape}
        self.built = True

    def _build_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = {
            name: value
            for name, value in self.call_info.bind(args, kwargs).items()
            if name not in ("training", "mask") and _holds_tensors(value)
        }
        shapes = {
            name: tree.map_structure(lambda x: tuple(x.shape) if hasattr(x, "shape") else None, v)
            for name, v in given.items()
        }
        build = type(self).build
        if build is Layer.build:
            self._build_shapes = {
                f"{n}_shape" if len(shapes) > 1 else "input_shape": s for n, s in shapes.items()
            }
            self.built = True
            return
        wanted = _parameters(build)[1:]
        named = {p.name for p in wanted}
        by_name = {f"{n}_shape": s for n, s in shapes.items() if f"{n}_shape" in named}
        if by_name and len(by_name) >= sum(
            p.default is p.empty and p.kind is not p.VAR_KEYWORD for p in wanted
        ):
            self.build(**by_name)
        elif not wanted:
            self.build()
        else:
            self.build(next(iter(shapes.values()), None))

    def get_build_config(self) -> dict[str, Any] | None:
        """The shapes with which the layer was built, for saved files."""
        return self._build_shapes

    def build_from_config(self, config: dict[str, Any] | None) -> None:
        """Build with shapes from a saved file."""
        if not config:
            return
        shapes = {k: _shapes_from_config(v) for k, v in config.items()}
        if set(shapes) == {"input_shape"}:
            self.build(shapes["input_shape"])
        elif set(shapes) == {"shapes_dict"}:
            self.build(**shapes["shapes_dict"])
        else:
            self.build(**shapes)

    # -- calling -----------------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute on tensors, or grow the graph on symbolic tensors; builds the layer first if needed."""
        own = self.__dict__
        known = own.get("_known")
        if (
            known is not None
            and len(args) == 1
            and not kwargs
            and not attached_masks
            and known.covers(args[0])
        ):
            outer = current_pass.get()
            if outer is not None:
                own["_pass"] = outer.outermost
                return self.call(args[0], training=outer.training) if known.trains else self.call(args[0])
            if selection.chosen() is self.engine and self.device in (None, selection.placement.get()):
                return self._call_outermost(args)
        if "built" not in own:
            raise StateError(
                f"{type(self).__name__}.__init__() doesn't call super().__init__(); add that call first."
            )
        alone = not (current_pass.get() or state.get())
        library = self._pipeline(args, kwargs) if alone else None
        if library is not None:
            return self._called_back(library, args, kwargs)
        active = selection.chosen()
        if active is not self.engine or self.device not in (None, selection.placement.get()):
            if active is not self.engine and not alone:
                raise EngineError(
                    f"Layer {self.path!r} belongs to the engine {self.engine}, and is called inside a computation on "
                    f"{selection.current()}. Move it there: layer.to({selection.current()!r})."
                )
            with self._home():
                return self._call_here(args, kwargs)
        return self._call_here(args, kwargs)

    def _pipeline(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Engine | None:
        """The other engine of which an argument is a tensor without a value, as `tf.data.Dataset.map` passes it."""
        engines = {selection.engine_of(type(x)): x for x in tree.flatten((args, kwargs))}
        return next((e for e, x in engines.items() if e not in (None, self.engine) and e.traced(x)), None)

    def _called_back(self, library: Engine, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call on tensors without values: the graph that they belong to calls the layer once they have some."""
        leaves, skeleton = tree.split((args, kwargs))
        places = [i for i, x in enumerate(leaves) if selection.engine_of(type(x)) is library]
        tensors = [leaves[i] for i in places]

        def call(values: Any) -> Any:
            filled = dict(enumerate(leaves)) | dict(zip(places, values, strict=True))
            args, kwargs = tree.join(skeleton, list(filled.values()))
            return self(*args, **kwargs)

        with self._home():
            wanted = call([KerasTensor(tuple(x.shape), standardize_dtype(x.dtype)) for x in tensors])
        outputs, form = tree.split(wanted)
        # as they change the layer's random state, calls wait for each other
        lock = threading.Lock()

        def run(*arrays: Any) -> list[np.ndarray]:
            with lock:
                results = tree.flatten(call(arrays))
            found = map(self.engine.to_numpy, results)
            return [x.astype(spec.dtype) for x, spec in zip(found, outputs, strict=True)]

        return tree.join(form, library.deferred(run, tensors, outputs))

    def _call_here(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        info = self.call_info
        given, named = args, tuple(kwargs)
        args, kwargs = self._converted(args, kwargs)
        first = args[0] if args else next(iter(kwargs.values()), None)
        if self._path is None:
            self._path = "/".join((*name_stack.get(), self.name))
        if self.input_spec is not None:
            check_inputs(self.input_spec, first, self)
        if not self.built:
            self._build_for(args, kwargs)
        outer = current_pass.get()
        training = self._resolve_training(args, kwargs, outer)
        if info.has_training and "training" not in info.names[: len(args)]:
            kwargs["training"] = training
        masks = self._fill_masks(args, kwargs) if attached_masks else None
        symbolic = is_symbolic(args) or (bool(named) and any_symbolic(kwargs))
        with self._entered(outer, training):
            outputs = (
                self.compute_output_spec(*args, **kwargs) if symbolic else self._computed(args, kwargs, outer)
            )
            if not (self.built and self._called):
                self.built = self._called = True
            if self.activity_regularizer is not None:
                self._add_activity_loss(outputs)
        if masks is not None or type(self).compute_mask is not Layer.compute_mask:
            self._attach_masks(first, outputs, masks)
        if symbolic and any_symbolic((given, kwargs)):
            self._record(
                args,
                {k: v for k, v in kwargs.items() if k in named or k not in ("training", "mask")},
                outputs,
            )
        elif not symbolic and masks is None and len(args) == 1:
            self._remember(args[0])
        return outputs

    def _call_outermost(self, args: tuple[Any, ...]) -> Any:
        """A call on a tensor of a known kind, from outside of all layers."""
        with current_pass(Pass(None)) as here:
            self.__dict__["_pass"] = here
            return self._computed(args, {}, None)

    def _computed(self, args: tuple[Any, ...], kwargs: dict[str, Any], outer: Pass | None) -> Any:
        """What `call` returns, which must be of this layer's engine."""
        try:
            outputs = self.call(*args, **kwargs)
        except TypeError as error:
            self._explain_mixture(error)
            raise
        if outer is None and (selection.engine_of(type(outputs)) or self.engine) is not self.engine:
            raise self._mixture([str(selection.engine_of(type(outputs)))])
        return outputs

    def _explain_mixture(self, error: TypeError) -> None:
        """Raise an error that says so if the line that failed had tensors of two engines at hand."""
        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        values = frame.tb_frame.f_locals.values() if frame is not None else ()
        engines = {e.name for e in (selection.engine_of(type(v)) for v in values) if e is not None}
        if len(engines) > 1:
            raise self._mixture(sorted(engines - {self.engine.name})) from error

    def _mixture(self, others: list[str]) -> EngineError:
        return EngineError(
            f"Layer {self.path!r} runs on {self.engine} and computes with a tensor of {' and '.join(others)}. Convert "
            "what it takes from outside with ops.convert_to_tensor(x)."
        )

    def _remember(self, x: Any) -> None:
        """Know a call's argument again: the next one like it goes straight to `call`."""
        known = self.__dict__.get("_known")
        if known is None:
            plain = self.activity_regularizer is None and type(self).compute_mask is Layer.compute_mask
            plain = plain and self.training is None
            if (
                not plain
                or self.call_info.training_default is not None
                or selection.engine_of(type(x)) is None
            ):
                return
            known = self.__dict__["_known"] = Known(self)
        known.add(x)

    def _entered(self, outer: Pass | None, training: bool | None) -> AbstractContextManager[Any]:
        """What surrounds `call`: the pass, mixed precision, and names for sublayers built in the first call."""
        blocks: list[AbstractContextManager[Any]] = []
        here = outer
        if outer is None or outer.training is not training:
            here = Pass(training, outer.outermost if outer is not None else None)
            blocks.append(current_pass(here))
        self.__dict__["_pass"] = here.outermost
        wanted = self._autocast_dtype()
        if wanted != autocast.get():
            blocks.append(autocast(wanted))
        if not self._called:
            blocks.append(name_scope(self.name))
        if len(blocks) < 2:
            return blocks[0] if blocks else _NOTHING
        stack = ExitStack()
        for block in blocks:
            stack.enter_context(block)
        return stack

    def _autocast_dtype(self) -> str | None:
        """The dtype in which float variables are read inside `call`, None for their own."""
        policy = self._dtype_policy
        if (
            not self.autocast
            or policy.compute_dtype == policy.variable_dtype
            or not is_float_dtype(policy.compute_dtype)
        ):
            return None
        return policy.compute_dtype

    def _converted(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arrays become tensors, and floats get the compute dtype."""
        if len(args) == 1 and not kwargs and self._is_ready(args[0]):
            return args, {}
        return tree.map_structure(self._convert_one, args), {
            k: v if k in ("training", "mask") else tree.map_structure(self._convert_one, v)
            for k, v in kwargs.items()
        }

    def _is_ready(self, x: Any) -> bool:
        return (type(x) is KerasTensor or selection.engine_of(type(x)) is self.engine) and standardize_dtype(
            x.dtype
        ) == self.compute_dtype

    def _convert_one(self, x: Any) -> Any:
        if (
            x is None
            or isinstance(x, (str, bool, int, float, Variable))
            or self._is_ready(x)
            or not hasattr(x, "dtype")
        ):
            return x
        dtype = standardize_dtype(x.dtype)
        if dtype == "string":
            raise ArgumentTypeError(f"Layer {self.path!r} takes numbers. Received strings: {shown(x, 80)}")
        cast = (
            self.compute_dtype
            if self.autocast and is_float_dtype(dtype) and is_float_dtype(self.compute_dtype)
            else None
        )
        if isinstance(x, KerasTensor):
            if cast is None or dtype == cast:
                return x
            from triceras import ops

            return ops.cast(x, cast)
        engine = selection.current()
        owner = selection.engine_of(type(x))
        if owner is not None and owner is not engine:
            x = owner.to_numpy(x)
        result = engine.make(x, cast)
        mask = get_mask(x)
        if mask is not None and result is not x:
            set_mask(result, mask)
        return result

    def _resolve_training(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], outer: Pass | None
    ) -> bool | None:
        """An explicit argument, else what the enclosing call was told, else the default of `call`."""
        info = self.call_info
        if info.has_training and "training" in info.names[: len(args)]:
            value = args[info.names.index("training")]
        else:
            value = kwargs.get("training")
            if not info.has_training and not info.any_keyword:
                kwargs.pop("training", None)
        if value is None and outer is not None:
            value = outer.training
        if value is None:
            value = self.training
        return info.training_default if value is None else value

    def _fill_masks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Masks of the inputs go into `call`'s mask arguments that weren't given; returns those of the first input."""
        info = self.call_info
        bound = info.bind(args, kwargs)
        first = args[0] if args else None
        masks = tree.map_structure(get_mask, first)
        for name in info.mask_names:
            if bound.get(name) is None:
                kwargs[name] = tree.map_structure(get_mask, bound.get(name[:-5]))
        if info.has_mask:
            if bound.get("mask") is None:
                kwargs["mask"] = masks
            else:
                masks = bound["mask"]
        return masks if any(m is not None for m in tree.flatten(masks)) else None

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The mask of the outputs; by default that of the inputs."""
        return previous_mask

    def _attach_masks(self, inputs: Any, outputs: Any, previous: Any) -> None:
        if not self.supports_masking:
            if previous is not None:
                warnings.warn(
                    f"Layer {self.path!r} ({type(self).__name__}) got an input with a mask and doesn't pass masks on, "
                    "so the layers after it see none. Set `self.supports_masking = True` in it if they should.",
                    stacklevel=3,
                )
            return
        flat = tree.flatten(outputs)
        masks = tree.flatten(self.compute_mask(inputs, previous))
        for x, mask in zip(flat, masks if len(masks) == len(flat) else [None] * len(flat), strict=True):
            if mask is not None and get_mask(x) is None:
                set_mask(x, mask)

    def _add_activity_loss(self, outputs: Any) -> None:
        from triceras import ops

        for x in tree.flatten(outputs):
            if not isinstance(x, KerasTensor):
                loss = self.activity_regularizer(x)
                self.add_loss(loss / ops.cast(ops.shape(x)[0], loss.dtype) if len(x.shape) else loss)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """The computation. `training` and `mask` are passed if `call` takes them."""
        raise NotImplementedError(f"{type(self).__name__} defines no call(self, inputs).")

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        """The symbolic result."""
        return self.compute_output_spec(*args, **kwargs)

    def stateless_call(
        self,
        trainable_variables: Sequence[Any],
        non_trainable_variables: Sequence[Any],
        *args: Any,
        return_losses: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Call with given values of the variables and change none of them.

        Returns:
            `(outputs, non_trainable_variables)` with the new values, and the losses too if asked for.
        """

        def run() -> tuple[Any, Any]:
            outputs = self(*args, **kwargs)
            return outputs, self.losses if return_losses else None

        with self._home():
            (outputs, losses), (_, updated) = with_values(
                run,
                trainable_variables=(self.trainable_variables, trainable_variables),
                non_trainable_variables=(self.non_trainable_variables, non_trainable_variables),
            )
        self._clear_losses()
        return (outputs, updated, losses) if return_losses else (outputs, updated)

    # -- shapes ------------------------------------------------------------------------------------------------------

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Shapes and dtypes of the outputs as symbolic tensors."""
        if type(self).compute_output_shape is not Layer.compute_output_shape:
            shapes = tree.map_structure(lambda x: tuple(x.shape) if hasattr(x, "shape") else None, args)
            shape = self.compute_output_shape(*shapes[: max(1, self._shape_arguments())])
            return tree.map_shape_structure(lambda s: KerasTensor(s, self.compute_dtype), shape)
        return self._evaluated_spec(*args, **kwargs)

    def _evaluated_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Shapes and dtypes of what `call` returns."""
        with recording(False):
            try:
                outputs = self.call(*args, **kwargs)
            except (TypeError, AttributeError, ValueError) as problem:
                # the body needs values or fully known sizes: let the engine evaluate it abstractly
                try:
                    outputs = infer(self.call, args, kwargs)
                except Exception as error:
                    if isinstance(problem, SymbolicValueError):  # it says what to do
                        raise problem from error
                    raise
        inputs = {id(x) for x in tree.flatten((args, kwargs))}
        return tree.map_structure(
            lambda x: KerasTensor(x.shape, x.dtype) if isinstance(x, KerasTensor) and id(x) in inputs else x,
            outputs,
        )

    def _shape_arguments(self) -> int:
        return len(inspect.signature(self.compute_output_shape).parameters)

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """The outputs' shape for inputs of the given shape."""
        specs = tree.map_shape_structure(lambda s: KerasTensor(s, self.compute_dtype), (args, kwargs))
        with recording(False), self._home():
            outputs = self(*specs[0], **{k.removesuffix("_shape"): v for k, v in specs[1].items()})
        return tree.map_structure(lambda x: tuple(x.shape), outputs)

    # -- configs -----------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, with the layer's name, `trainable` and dtype policy."""
        from triceras.saving.objects import serialize_keras_object

        base = {"name": self.name, "trainable": self.trainable, "dtype": self.dtype_policy}
        named = inspect.signature(type(self).__init__).parameters
        own = {
            k: v
            for k, v in self._arguments.items()
            if k not in _COMMON_ARGUMENTS
            or (k in _INPUT_ARGUMENTS and k in named)  # `Embedding(input_dim=...)`
        }
        if path_of(type(self)):  # our own layers keep an argument's final form under its name
            own = {k: self.__dict__.get(k, v) for k, v in own.items()}
        omitted = self.omitted_if_none
        if "activity_regularizer" not in named or type(self) is Layer:
            omitted = (*omitted, "activity_regularizer")
        found = {k: v for k, v in (base | own).items() if v is not None or k not in omitted}
        return {
            k: activations.serialize(v)
            if k.endswith("activation") and callable(v)
            else serialize_keras_object(v)
            for k, v in found.items()
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Make a layer from what `get_config` returned."""
        from triceras.saving.objects import deserialize_keras_object

        config = {
            k: deserialize_keras_object(v) if isinstance(v, dict) and "class_name" in v else v
            for k, v in config.items()
        }
        try:
            return cls(**config)
        except TypeError as error:
            raise ArgumentTypeError(
                f"{cls.__name__}.from_config() can't make a layer from {shown(config)}: {error}"
            ) from error

    def save_own_variables(self, store: Any) -> None:
        """Put the layer's own weights into a store, numbered."""
        for i, v in enumerate(sorted(self._own_variables, key=lambda v: not v.trainable)):
            store[str(i)] = v.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Take the layer's own weights from a store.

        Raises:
            ArgumentError: another number of weights, or a shape that doesn't fit.
        """
        own = sorted(self._own_variables, key=lambda v: not v.trainable)
        if len(store) != len(own):
            expected = (
                ", ".join(f"{v.name} {v.shape}" for v in own) if self.built else "none, for it isn't built"
            )
            raise ArgumentError(f"expected {len(own)} weights ({expected}), the file holds {len(store)}.")
        for i, v in enumerate(own):
            v.assign(store[str(i)])

    def quantize(self, mode: str | None = None, type_check: bool = True, config: Any = None) -> None:
        """Quantize the weights."""
        raise NotImplementedError(f"{type(self).__name__} can't be quantized.")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


@cache
def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(function).parameters.values())


def _building(build: Callable[..., None]) -> Callable[..., None]:
    """Around a class's `build`: record the shapes, name the weights by the layer's path, mark the layer as built."""
    names = [p.name for p in _parameters(build)[1:] if p.kind is p.POSITIONAL_OR_KEYWORD]

    @wraps(build)
    def wrapper(self: Layer, *args: Any, **kwargs: Any) -> None:
        if self._building:  # super().build()
            return build(self, *args, **kwargs)
        self._building = True
        try:
            with self._home(), name_scope(self.name):
                self._path = "/".join(name_stack.get())
                build(self, *args, **kwargs)
        finally:
            self._building = False
        self._build_shapes = {**dict(zip(names, args, strict=False)), **kwargs}
        self.built = True

    return wrapper


def _input_shape_of(kwargs: dict[str, Any]) -> tuple[int | None, ...] | None:
    """The input shape, batch included, that the first layer of a Sequential model may be given."""
    shape, size, whole = (kwargs.pop(name, None) for name in _INPUT_ARGUMENTS)
    if whole is not None:
        return tuple(whole)
    if shape is not None:
        return (None, *shape)
    return None if size is None else (None, size)


_NOTHING: nullcontext[None] = nullcontext()


def _holds_tensors(value: Any) -> bool:
    return any(hasattr(x, "shape") for x in tree.flatten(value))


def _shapes_from_config(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        if all(v is None or isinstance(v, int) for v in value):
            return tuple(value)
        return [_shapes_from_config(v) for v in value]
    if isinstance(value, dict):
        return {k: _shapes_from_config(v) for k, v in value.items()}
    return value
