"""Layers where PyTorch expects modules, and modules inside layers.

A layer shows what a `torch.nn.Module` keeps in its dicts as views of its own variables and sublayers; the
methods are PyTorch's own, and work on these views.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from types import MethodType
from typing import Any, NoReturn

import torch
from torch.nn.modules.lazy import LazyModuleMixin

from triceras.core import config
from triceras.core.dtypes import standardize_dtype
from triceras.core.errors import ArgumentTypeError, EngineError, StateError
from triceras.engine import faces
from triceras.engine.contract import Guest, state
from triceras.engine.on_torch.arrays import torch_dtype

Module = torch.nn.Module


class View(dict[str, Any]):
    """What variables keep, by name; writing gives it to the variable."""

    def __init__(self, layer: Any, variables: dict[str, Any]) -> None:
        super().__init__({name: v.held for name, v in variables.items()})
        self._layer, self._variables = layer, variables

    def __setitem__(self, name: str, value: torch.Tensor) -> None:
        if name not in self._variables:
            _refuse(self._layer, name)
        super().__setitem__(name, value)
        hold(self._variables[name], value)

    def __delitem__(self, name: str) -> None:
        _refuse(self._layer, name)


def _refuse(layer: Any, name: str, *args: Any, **kwargs: Any) -> NoReturn:
    raise StateError(
        f"Layer {layer.path!r} gets and loses its parts by the means of Triceras only, and {name!r} isn't one. "
        "Make weights by add_weight(), and set layers as attributes."
    )


def hold(variable: Any, value: torch.Tensor) -> None:
    """Let a variable keep a tensor, whatever its dtype and device are."""
    variable.place = variable.engine, value, standardize_dtype(value.dtype), True


def _weights(layer: Any, parameters: bool) -> dict[str, Any]:
    """A layer's own variables that keep parameters, or the others; a module inside shows its own itself."""
    if not layer.built and type(layer).build.__qualname__ not in ("Layer.build", "Model.build"):
        raise StateError(
            f"Layer {layer.path!r} isn't built, so its parameters aren't known. Call it once on data, or "
            "its build(), before its parameters are asked for (by an optimizer, for example)."
        )
    hosted = {id(v) for v in layer.__dict__.get("_hosted", {}).values()}
    found = faces.weights(layer) if parameters else faces.weights(layer) | faces.random_states(layer)
    return {
        name: v
        for name, v in found.items()
        if id(v) not in hosted and isinstance(v.held, torch.nn.Parameter) is parameters
    }


def _modules(layer: Any) -> View:
    found = View(layer, {})
    found.update(faces.children(layer))
    guest = layer.__dict__.get("_guest")
    if guest is not None:
        found.update(module=guest.module)
    return found


def _apply(layer: Any, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Any:
    """Convert or move all tensors, as `double()` or `cuda()` of a module around the layer asks for."""
    before = torch.empty((), dtype=torch_dtype(layer.variable_dtype))
    after = fn(before)
    if after.dtype == torch.float64 != torch_dtype(config.floatx()):
        raise StateError(
            f"Layer {layer.path!r} computes in float64 only where that is the default: call "
            'triceras.config.set_floatx("float64") first.'
        )
    try:
        Module._apply(layer, fn, recurse)
    except StateError:  # not built, so there is nothing to convert but what it will be made of
        pass
    for variable in layer._own_variables:
        hold(variable, variable.held)
    guest = layer.__dict__.get("_guest")
    if guest is not None:
        guest.find_state()
        for name, variable in layer._hosted.items():
            hold(variable, guest.state[name][0])
    if after.dtype != before.dtype:
        layer.dtype_policy = standardize_dtype(after.dtype)
    if after.device != before.device or layer.device is not None:
        layer.device = layer.engine.device_of(after)
    return layer


def _zero_grad(layer: Any, set_to_none: bool = True) -> None:
    """Forget gradients, those in a running step included."""
    for tensor in (v.raw for v in layer.variables):
        if tensor.is_leaf and tensor.grad is not None:
            if set_to_none:
                tensor.grad = None
            else:
                tensor.grad.detach_().zero_()


def _requires_grad(layer: Any, requires_grad: bool = True) -> Any:
    layer.trainable = requires_grad
    return layer


def _load(layer: Any, state_dict: Any, prefix: str, local_metadata: dict[str, Any], *args: Any) -> None:
    """Values are copied into what variables keep, also where they are to be assigned."""
    Module._load_from_state_dict(
        layer, state_dict, prefix, {**local_metadata, "assign_to_params_buffers": False}, *args
    )


VIEWS: dict[str, Callable[[Any], Any]] = {
    "_parameters": lambda layer: View(layer, _weights(layer, True)),
    "_buffers": lambda layer: View(layer, _weights(layer, False)),
    "_non_persistent_buffers_set": lambda layer: set(faces.random_states(layer)),
    "_modules": _modules,
    "forward": lambda layer: layer.__call__,
}
METHODS = {
    "_apply": _apply,
    "_load_from_state_dict": _load,
    "requires_grad_": _requires_grad,
    "zero_grad": _zero_grad,
    "add_module": _refuse,
    "register_buffer": _refuse,
    "register_module": _refuse,
    "register_parameter": _refuse,
}
KEPT = {name: value for name, value in vars(Module()).items() if name not in VIEWS and name != "training"}


def attribute(layer: Any, name: str) -> Any:
    """What a layer offers as a module."""
    if name in VIEWS:
        return VIEWS[name](layer)
    if name in KEPT:  # hooks: none are registered
        return KEPT[name].copy() if KEPT[name] is not None else None
    found = METHODS.get(name) or getattr(Module, name, None)
    if found is None:
        child = None if name.startswith("_") else faces.children(layer).get(name)
        if child is None:
            raise AttributeError(name)
        return child
    if not inspect.isfunction(found):
        return found
    if "register_" in name and name.endswith("hook"):
        return partial(_register, layer, found)
    return MethodType(found, layer)


def _register(layer: Any, register: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Register a hook. It runs where `call` runs as Python: for a compiled step, while it is captured."""
    if "_forward_hooks" not in layer.__dict__:
        layer.__dict__.update(
            {name: OrderedDict() if value is not None else None for name, value in KEPT.items()}
        )
        layer.__dict__["forward"] = MethodType(type(layer).call, layer)
        layer.__dict__["call"] = partial(Module._call_impl, layer)
    return register(layer, *args, **kwargs)


def teach(kind: type) -> None:
    """Make PyTorch's functions take objects of a class for the tensors they stand for."""

    def value(x: Any) -> Any:
        if isinstance(x, kind):
            if x.engine != "torch":
                raise EngineError(
                    f"A function of PyTorch got variable {x.path!r}, which belongs to the engine {x.engine}. "
                    'Move its model: model.to("torch").'
                )
            return x.value
        if isinstance(x, (list, tuple)) and any(isinstance(item, kind) for item in x):
            return type(x)(map(value, x))
        return x

    def call(cls: type, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return function(*map(value, args), **{k: value(x) for k, x in (kwargs or {}).items()})

    kind.__torch_function__ = classmethod(call)  # type: ignore[attr-defined]


class HostedModule(Guest):
    """A module in a layer. Its buffers become parameters without gradients, which stay the same objects.

    Raises:
        ArgumentTypeError: for anything but a module.
        StateError: the module is lazy, and its parameters aren't made yet.
    """

    def __init__(self, module: Module) -> None:
        if not isinstance(module, Module) or hasattr(module, "_flatten_layers"):
            raise ArgumentTypeError(f"`module` must be a torch.nn.Module. Received: {module!r}")
        for part in module.modules():
            if isinstance(part, LazyModuleMixin) and part.has_uninitialized_params():
                raise StateError(
                    f"The module {type(part).__name__} is lazy, and its parameters aren't made yet. Call the "
                    "module once on a tensor before it goes into a layer."
                )
        self.module = module
        self.find_state()

    def find_state(self) -> None:
        """Look at the module's tensors, of which some may be others than before."""
        for name, buffer in list(self.module.named_buffers()):
            if not isinstance(buffer, torch.nn.Parameter):
                owner, _, leaf = name.rpartition(".")
                kept = torch.nn.Parameter(buffer, requires_grad=False)
                self.module.get_submodule(owner)._buffers[leaf] = kept
        self.state = {name: (x, x.requires_grad) for name, x in self.module.named_parameters()}
        self.state |= {name: (x, False) for name, x in self.module.named_buffers()}

    def _follow(self, values: dict[str, torch.Tensor]) -> None:
        """Give the module the tensors that variables got by a move."""
        for name, value in values.items():
            if value is not self.state[name][0]:
                owner, _, leaf = name.rpartition(".")
                part = self.module.get_submodule(owner)
                (part._parameters if leaf in part._parameters else part._buffers)[leaf] = value
                self.state[name] = value, self.state[name][1]

    def run(self, variables: dict[str, Any], *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """Call the module, in training mode or not; None leaves it in its own."""
        module, before = self.module, self.module.training
        if training is not None and training is not before:
            module.train(training)
        try:
            values = {name: v.value for name, v in variables.items()}
            if state.get() is None and all(values[name] is v.held for name, v in variables.items()):
                self._follow(values)
                return module(*args, **kwargs)
            values = {n: x if variables[n].trainable else x.clone() for n, x in values.items()}
            given = dict(values)
            result = torch.func.functional_call(module, values, args, kwargs)
            for name, x in given.items():
                changed = not variables[name].trainable and (module.training or x._version)
                if changed or values[name] is not x:  # batch normalization changes its buffers without a mark
                    variables[name].assign(values[name])
            return result
        finally:
            if module.training is not before:
                module.train(before)
