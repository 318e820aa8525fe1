"""Layers that hold native code of an engine's library."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

from triceras import ops
from triceras.core import tree
from triceras.core.errors import ArgumentError, EngineError, shown
from triceras.core.registry import export
from triceras.core.spec import KerasTensor
from triceras.layers.base import Layer
from triceras.ops.infer import infer
from triceras.random import SeedGenerator
from triceras.variable import Variable, name_scope


class Native(Layer):
    """What these layers share: the code belongs to one engine, and layers' variables keep its state."""

    runs_on: str

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.engine != self.runs_on:
            raise EngineError(
                f"{type(self).__name__} holds code for the engine {self.runs_on!r} and can't be made on "
                f"{self.engine!r}. Call triceras.use_engine({self.runs_on!r}) before."
            )
        self._hosted: dict[str, Variable] = {}

    def _host(self, kind: str, *code: Any) -> None:
        """Take code in; variables keep its state."""
        with self._home(), nullcontext() if self._building else name_scope(self.name):
            self._guest = self.engine.host(kind, *code)
            for name, (held, trained) in self._guest.state.items():
                array = self.engine.to_numpy(self.engine.read(held))
                variable = Variable(array, trainable=trained, autocast=trained, name=name)
                if self._guest.shares:
                    variable.held = held
                variable.frozen = not self.trainable
                self._hosted[name] = variable
        if not self._guest.shares:
            self._guest.state = {}
        self._own_variables += self._hosted.values()

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        return infer(self.call, args, kwargs)  # native code knows no symbolic tensors

    def save_own_variables(self, store: Any) -> None:
        for name, variable in self._hosted.items():
            store[name] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        if set(store.keys()) != set(self._hosted):
            raise ArgumentError(
                f"Layer {self.path!r} has the weights {sorted(self._hosted)}. "
                f"The file holds {sorted(store.keys())}."
            )
        for name, variable in self._hosted.items():
            variable.assign(store[name])

    def get_config(self) -> dict[str, Any]:
        from triceras.saving.objects import serialize_keras_object

        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": serialize_keras_object(self.dtype_policy),
        }


def _given(cls: type, config: dict[str, Any], key: str, custom_objects: dict[str, Any] | None) -> Any:
    """The object that a config can't hold, from the user's `custom_objects`.

    Raises:
        ArgumentError: it isn't there.
    """
    from triceras.saving.objects import get_registered_object

    names = [str(config[k]) for k in ("name", key) if config.get(k)]
    for name in names:
        found = get_registered_object(name, custom_objects)
        if found is not None:
            return found() if inspect.isclass(found) else found
    raise ArgumentError(
        f"Files hold no code, so the {key} of {cls.__name__} {shown(config.get('name'))} has to come from you. "
        f"Load with custom_objects={{{names[0] if names else key!r}: ...}}, or build the model in code and "
        "load its weights."
    )


@export("layers.TorchModuleWrapper")
class TorchModuleWrapper(Native):
    """Makes a layer of a `torch.nn.Module`, with which it shares its parameters and buffers.

    A layer also wraps modules that are set as its attributes. Files keep the weights by their names in the
    module, but no code: to load a model, give the module as `custom_objects={name of the layer: module}`.

    Args:
        module: a module; a lazy one must have been called once.
        name: made from the class name if not given.
        output_shape: shape of the output with the batch; found out if not given.

    Raises:
        EngineError: another engine than PyTorch is active.

    >>> import torch
    >>> with triceras.use_engine("torch"):
    ...     layer = TorchModuleWrapper(torch.nn.Linear(3, 2))
    ...     layer(torch.ones(1, 3)).shape
    torch.Size([1, 2])
    """

    runs_on = "torch"

    def __init__(self, module: Any, name: str | None = None, output_shape: Any = None, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self._host("module", module)
        self.output_shape = output_shape
        self.built = True

    @property
    def module(self) -> Any:
        """The module."""
        return self._guest.module

    def parameters(self, recurse: bool = True) -> Iterator[Any]:
        """The module's parameters."""
        return self.module.parameters(recurse=recurse)

    def call(self, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """The module's result, in training mode or not; by default, in the mode in which the module is."""
        return self._guest.run(self._hosted, *args, training=training, **kwargs)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        if self.output_shape is None:
            return super().compute_output_spec(*args, **kwargs)
        return tree.map_shape_structure(
            lambda shape: KerasTensor(shape, self.compute_dtype), self.output_shape
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        return super().compute_output_shape(input_shape) if self.output_shape is None else self.output_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "module": type(self.module).__name__,
            "output_shape": self.output_shape,
        }

    @classmethod
    def from_config(
        cls,
        config: dict[str, Any],
        custom_objects: dict[str, Any] | None = None,
        safe_mode: bool | None = None,
    ) -> TorchModuleWrapper:
        """Make a layer from what `get_config` returned, and the module from `custom_objects`."""
        return cls(**config | {"module": _given(cls, config, "module", custom_objects)})


@export("layers.JaxLayer")
class JaxLayer(Native):
    """Makes a layer of a pure function of JAX.

    Args:
        call_fn: a function of some of `params`, `state`, `rng`, `inputs` and `training`, by these names. It
            returns the outputs, and the new state too if it takes one.
        init_fn: a function of some of `rng`, `inputs` and `training` that returns the first parameters, and
            the first state too if `call_fn` takes one.
        params: a tree of arrays, instead of those that `init_fn` makes.
        state: the same for the state.
        seed: for `rng`.
        native_serialization_platforms: accepted for compatibility; it matters to other engines than JAX only.

    Raises:
        EngineError: another engine than JAX is active.
        ArgumentError: the functions take other arguments, or nothing says what the first values are.

    >>> with triceras.use_engine("jax"):
    ...     layer = JaxLayer(lambda params, inputs: inputs * params["scale"], params={"scale": 3.0})
    ...     layer(np.array([2.0])).tolist()
    [6.0]
    """

    runs_on = "jax"

    def __init__(
        self,
        call_fn: Callable[..., Any],
        init_fn: Callable[..., Any] | None = None,
        params: Any = None,
        state: Any = None,
        seed: int | None = None,
        native_serialization_platforms: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.call_fn, self.init_fn = call_fn, init_fn
        self.native_serialization_platforms = native_serialization_platforms
        self._takes = _arguments(
            "call_fn", call_fn, ("params", "state", "rng", "inputs", "training"), "inputs"
        )
        self._first_takes = (
            () if init_fn is None else _arguments("init_fn", init_fn, ("rng", "inputs", "training"))
        )
        self._has = tuple(what for what in ("params", "state") if what in self._takes)
        given = {"params": params, "state": state}
        unknown = [what for what in given if given[what] is not None and what not in self._has]
        missing = [what for what in self._has if given[what] is None]
        if unknown:
            raise ArgumentError(f"`{unknown[0]}` is given, and `call_fn` takes none.")
        if missing and init_fn is None:
            raise ArgumentError(
                f"`call_fn` takes `{missing[0]}`: give its first value, or an `init_fn` that makes it."
            )
        self.seed_generator = SeedGenerator(seed) if "rng" in (*self._takes, *self._first_takes) else None
        self._first_key = None if self.seed_generator is None else self.seed_generator.state.numpy()
        if self.seed_generator is not None:
            self.seed_generator.next()
        self._values = given
        if not missing:
            self._host("function", call_fn, lambda: (params, state))
            self._values, self.built = {}, True

    @property
    def params(self) -> Any:
        """The parameters, as a tree of variables."""
        return self._tree("params")

    @property
    def state(self) -> Any:
        """The state, as a tree of variables."""
        return self._tree("state")

    def _tree(self, what: str) -> Any:
        return self._guest.trees(self._hosted).get(what) if self._hosted else self._values.get(what)

    def build(self, input_shape: Any) -> None:
        if self._hosted or not self._has:
            return

        def first() -> tuple[Any, Any]:
            inputs = tree.map_shape_structure(
                lambda shape: ops.ones([size or 1 for size in shape], self.compute_dtype), input_shape
            )
            given = {"inputs": inputs, "training": True}
            if "rng" in self._first_takes:
                given["rng"] = ops.convert_to_tensor(self._first_key)
            made = self.init_fn(**{name: given[name] for name in self._first_takes})
            values = dict(zip(self._has, made if len(self._has) == 2 else (made,), strict=True))
            return tuple(
                values.get(what) if self._values[what] is None else self._values[what]
                for what in ("params", "state")
            )

        self._host("function", self.call_fn, first)
        self._values = {}

    def call(self, inputs: Any, training: bool = False) -> Any:
        given = {"inputs": inputs, "training": training}
        if "rng" in self._takes:
            given["rng"] = self.seed_generator.next()
        given = {name: given[name] for name in self._takes if name in given}
        return self._guest.run(self._hosted, **given) if self._has else self.call_fn(**given)

    def get_config(self) -> dict[str, Any]:
        from triceras.saving.objects import serialize_keras_object

        functions = {"call_fn": self.call_fn, "init_fn": self.init_fn}
        return (
            super().get_config()
            | {name: serialize_keras_object(function) for name, function in functions.items()}
            | {"native_serialization_platforms": self.native_serialization_platforms}
        )


def _arguments(
    what: str, function: Callable[..., Any], known: tuple[str, ...], *needed: str
) -> tuple[str, ...]:
    """Names of a function's arguments.

    Raises:
        ArgumentError: it takes others than those that are known, or lacks one that is needed.
    """
    parameters = inspect.signature(function).parameters.values()
    plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    names = tuple(p.name for p in parameters if p.kind in plain and (p.name in known or p.default is p.empty))
    wrong = [p.name for p in parameters if p.kind not in plain] + [n for n in names if n not in known]
    if wrong or not set(needed) <= set(names):
        raise ArgumentError(
            f"`{what}` may take {', '.join(known)}, by these names"
            f"{f', and must take {needed[0]}' if needed else ''}. It takes: {inspect.signature(function)}"
        )
    return names


@export("layers.FlaxLayer")
class FlaxLayer(JaxLayer):
    """Makes a layer of a `flax.linen.Module`.

    Parameters are trained; other collections (such as the statistics of batch normalization) are state. Files
    keep the weights, but no code: to load a model, give the module as
    `custom_objects={name of the layer: module}`.

    Args:
        module: its `__call__` takes the inputs, and `training` if training differs from inference.
        method: method to call instead, or its name; a function gets the module as its first argument.
        variables: first values of the collections, as `module.init` returns them.
        **kwargs: `seed` and the arguments of every layer.

    Raises:
        EngineError: another engine than JAX is active.

    >>> import flax  # doctest: +SKIP
    >>> with triceras.use_engine("jax"):  # doctest: +SKIP
    ...     FlaxLayer(flax.linen.Dense(2))(np.ones((1, 3))).shape
    (1, 2)
    """

    def __init__(
        self, module: Any, method: Any = None, variables: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        self.module, self.method = module, method
        body = getattr(type(module), method) if isinstance(method, str) else method or type(module).__call__
        trains = "training" in inspect.signature(body).parameters

        def call_fn(params: Any, state: Any, rng: Any, inputs: Any, training: bool) -> tuple[Any, Any]:
            told = {"training": training} if trains else {}
            rngs = {"params": rng, "dropout": rng}
            variables = {"params": params, **state}
            return module.apply(variables, inputs, rngs=rngs, method=method, mutable=list(state), **told)

        def init_fn(rng: Any, inputs: Any, training: bool) -> tuple[Any, Any]:
            told = {"training": training} if trains else {}
            return _split(module.init({"params": rng, "dropout": rng}, inputs, method=method, **told))

        params, state = (None, None) if variables is None else _split(variables)
        super().__init__(call_fn, init_fn, params=params, state=state, **kwargs)

    def get_config(self) -> dict[str, Any]:
        if self.method is not None and not isinstance(self.method, str):
            raise ArgumentError(
                f"Layer {self.path!r} can't be saved with a function as `method`, for files hold no code. "
                "Make it a method of the module and give its name."
            )
        return Native.get_config(self) | {"module": type(self.module).__name__, "method": self.method}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> FlaxLayer:
        """Make a layer from what `get_config` returned, and the module from `custom_objects`."""
        return cls(**config | {"module": _given(cls, config, "module", custom_objects)})


def _split(variables: Any) -> tuple[Any, Any]:
    """Parameters and the other collections."""
    found = dict(variables)
    return found.pop("params", {}), found


@export("layers.TFSMLayer")
class TFSMLayer(Native):
    """Makes a layer of a SavedModel of TensorFlow.

    Its variables are the layer's weights. It can't be made from a config alone, for a file doesn't decide which
    graphs are loaded: give `custom_objects={name of the layer: path or layer}`.

    Args:
        filepath: folder of the SavedModel.
        call_endpoint: attribute or signature that computes the outputs.
        call_training_endpoint: the same in training; `call_endpoint` if not given.
        trainable: whether the variables are trained.
        name: made from the class name if not given.
        dtype: dtype or dtype policy.

    Raises:
        EngineError: another engine than TensorFlow is active.
        ArgumentError: there is no such folder or endpoint.

    >>> import tempfile, tensorflow as tf
    >>> with triceras.use_engine("tensorflow"), tempfile.TemporaryDirectory() as folder:
    ...     module = tf.Module()
    ...     inputs = tf.TensorSpec((None,), tf.float32)
    ...     module.serve = tf.function(lambda x: 2.0 * x, input_signature=[inputs])
    ...     tf.saved_model.save(module, folder)
    ...     TFSMLayer(folder)(np.array([1.0, 2.0])).numpy().tolist()
    [2.0, 4.0]
    """

    runs_on = "tensorflow"

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        call_endpoint: str = "serve",
        call_training_endpoint: str | None = None,
        trainable: bool = True,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(trainable=trainable, name=name, dtype=dtype)
        self.filepath, self.call_endpoint = os.fspath(filepath), call_endpoint
        self.call_training_endpoint = call_training_endpoint
        self._host("graph", self.filepath, call_endpoint, call_training_endpoint)
        self.built = True

    def call(self, inputs: Any, training: bool = False, **kwargs: Any) -> Any:
        return self._guest.run(self._hosted, inputs, training=training, **kwargs)

    def get_config(self) -> dict[str, Any]:
        own = ("filepath", "call_endpoint", "call_training_endpoint")
        return super().get_config() | {name: getattr(self, name) for name in own}

    @classmethod
    def from_config(
        cls,
        config: dict[str, Any],
        custom_objects: dict[str, Any] | None = None,
        safe_mode: bool | None = None,
    ) -> TFSMLayer:
        """Make a layer from what `get_config` returned; the path or the layer comes from `custom_objects`."""
        found = _given(cls, {k: v for k, v in config.items() if k != "filepath"}, "filepath", custom_objects)
        return found if isinstance(found, cls) else cls(**config | {"filepath": found})


def wrapped(value: Any) -> Any:
    """A module as a layer, for attributes of layers."""
    return TorchModuleWrapper(value)
