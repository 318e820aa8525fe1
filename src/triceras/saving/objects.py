"""Objects as plain data: what a config in a saved file stands for, both ways.

Reading is inert. A config can name only classes and functions that stand in the public registry and are meant
to be made from files, that the user registered, or that the user passed as `custom_objects`. Nothing is
imported from text, no code is stored or loaded, and no argument changes that.
"""

from __future__ import annotations

import difflib
import inspect
import types
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from triceras.core import registry
from triceras.core.capture import Configurable
from triceras.core.dtypes import standardize_dtype
from triceras.core.errors import ArgumentError, ArgumentTypeError, NotFoundError, TricerasError, shown
from triceras.core.registry import export
from triceras.core.scope import Local
from triceras.core.spec import KerasTensor
from triceras.engine import selection
from triceras.ops.op import OpCall
from triceras.saving.operations import SavedOperation, config_of, module_and_class

T = TypeVar("T")

ROOTS = ("keras", registry.ROOT)
FUNCTIONS = ("activations", "losses", "metrics", "initializers", "regularizers", "constraints")
CLASSES = (
    "layers",
    "models",
    "",
    *FUNCTIONS,
    "optimizers",
    "optimizers.schedules",
    "dtype_policies",
    "random",
)
HELP = "Pass it as `custom_objects={{{0!r}: ...}}`, or decorate it with `@register_keras_serializable()`."

_registered: dict[str, Any] = {}
_registered_names: dict[Any, str] = {}
_scoped: Local[dict[str, Any]] = Local("custom_objects", {})
_writing: Local[dict[int, tuple[Any, dict[str, Any]]] | None] = Local("shared_objects_written", None)
_reading: Local[dict[tuple[int, str], Any] | None] = Local("shared_objects_read", None)


class UnknownObjectError(NotFoundError, ArgumentTypeError):
    """A config names a class or function that isn't known, or that may not be made from a config."""


# -- objects of the user -------------------------------------------------------------------------------------


@export(
    "saving.CustomObjectScope",
    "saving.custom_object_scope",
    "utils.CustomObjectScope",
    "utils.custom_object_scope",
)
class CustomObjectScope:
    """A block in which configs may name the given classes and functions.

    Args:
        custom_objects: the objects by the names that configs use.

    >>> with CustomObjectScope({"double": lambda x: 2 * x}):
    ...     get_registered_object("double")(4)
    8
    """

    def __init__(self, custom_objects: dict[str, Any]) -> None:
        if not isinstance(custom_objects, dict):
            raise ArgumentTypeError(
                f"`custom_objects` must be a dict of objects by name. Received: {custom_objects!r}"
            )
        self.custom_objects = custom_objects

    def __enter__(self) -> CustomObjectScope:
        self._block = _scoped({**_scoped.get(), **self.custom_objects})
        self._block.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._block.__exit__(*exc)


@export("saving.get_custom_objects", "utils.get_custom_objects")
def get_custom_objects() -> dict[str, Any]:
    """The registered objects by name, as a dict that may be changed.

    >>> isinstance(get_custom_objects(), dict)
    True
    """
    return _registered


@export("saving.register_keras_serializable", "utils.register_keras_serializable")
def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[T], T]:
    """Let configs name a class or function of yours, as `"package>name"`.

    Args:
        package: a prefix that keeps the names of different projects apart.
        name: defaults to the object's own name.

    Raises:
        ArgumentError: the class has no `get_config` method.

    >>> @register_keras_serializable("shop")
    ... def twice(x): return 2 * x
    >>> get_registered_name(twice)
    'shop>twice'
    """

    def register(target: T) -> T:
        if inspect.isclass(target) and not hasattr(target, "get_config"):
            raise ArgumentError(
                f"The class {target.__name__} can't be registered: it has no `get_config` method."
            )
        full = f"{package}>{name or target.__name__}"
        _registered[full] = target
        _registered_names[target] = full
        return target

    return register


@export("saving.get_registered_name", "utils.get_registered_name")
def get_registered_name(obj: Any) -> str:
    """The name under which a class or function is registered, else its own name.

    >>> get_registered_name(len)
    'len'
    """
    return _registered_names.get(obj) or obj.__name__


@export("saving.get_registered_object", "utils.get_registered_object")
def get_registered_object(
    name: str, custom_objects: dict[str, Any] | None = None, module_objects: dict[str, Any] | None = None
) -> Any:
    """The object of that name in the running scope, the registered ones or the dicts, else None.

    >>> get_registered_object("nothing") is None
    True
    """
    for known in (_scoped.get(), _registered, custom_objects, module_objects):
        if known and name in known:
            return known[name]
    return None


# -- writing -------------------------------------------------------------------------------------------------


class ObjectSharing:
    """A block in which an object that occurs twice gets a number, and is read as one object again."""

    def __enter__(self) -> None:
        self._blocks = (_writing({}), _reading({}))
        for block in self._blocks:
            block.__enter__()

    def __exit__(self, *exc: object) -> None:
        for block in self._blocks:
            block.__exit__(*exc)


@export("saving.serialize_keras_object", "utils.serialize_keras_object")
def serialize_keras_object(obj: Any) -> Any:
    """An object as plain data that JSON can hold, for `deserialize_keras_object`.

    Args:
        obj: a number, string, container, array or tensor, a named function, or anything with `get_config`.

    Raises:
        ArgumentTypeError: the object has no such form.
        ArgumentError: for a lambda, whose code is never stored.

    >>> serialize_keras_object({"a": b"x", "b": (1, None)})
    {'a': {'class_name': '__bytes__', 'config': {'value': 'x'}}, 'b': (1, None)}
    """
    if obj is None or isinstance(obj, (str, bool, int, float)):
        return obj
    if isinstance(obj, (list, tuple)):
        items = [serialize_keras_object(item) for item in obj]
        return items if isinstance(obj, list) else tuple(items)
    if isinstance(obj, dict):
        return {key: serialize_keras_object(value) for key, value in obj.items()}
    if isinstance(obj, np.generic):
        return obj.item()
    if isinstance(obj, bytes):
        return _tagged("__bytes__", value=obj.decode("utf-8"))
    if obj is Ellipsis:
        return _tagged("__ellipsis__")
    if isinstance(obj, slice):
        parts = {"start": obj.start, "stop": obj.stop, "step": obj.step}
        return _tagged("__slice__", **serialize_keras_object(parts))
    if isinstance(obj, KerasTensor):
        return _tagged("__keras_tensor__", shape=list(obj.shape), dtype=obj.dtype, keras_history=None)
    if isinstance(obj, np.ndarray):
        return _tagged("__numpy__", value=obj.tolist(), dtype=obj.dtype.name)
    engine = selection.engine_of(type(obj))
    if engine is not None:
        return _tagged("__tensor__", value=engine.to_numpy(obj).tolist(), dtype=standardize_dtype(obj.dtype))
    if isinstance(obj, types.FunctionType):
        return _serialize_function(obj)
    if isinstance(obj, OpCall):
        return _serialize_operation(obj)
    if hasattr(obj, "get_config") and not inspect.isclass(obj):
        return _serialize_instance(obj)
    raise ArgumentTypeError(
        f"{shown(obj, 80)} of type {type(obj).__name__} can't be serialized: it isn't plain data, and "
        "it has no `get_config` method."
    )


def _tagged(tag: str, **config: Any) -> dict[str, Any]:
    return {"class_name": tag, "config": config}


def _serialize_function(function: Any) -> dict[str, Any]:
    path = registry.path_of(function)
    name = path.rpartition(".")[2] if path else get_registered_name(function)
    if name == "<lambda>":
        raise ArgumentError(
            "A lambda can't be serialized, for code is never stored in files. Write it with `def`, and "
            "decorate it with `@register_keras_serializable()` or pass it as `custom_objects` when loading."
        )
    return {"module": "builtins", "class_name": "function", "config": name, "registered_name": "function"}


def _serialize_operation(call: OpCall) -> dict[str, Any]:
    module, name = module_and_class(call)
    config = serialize_keras_object(config_of(call))
    return {"module": module, "class_name": name, "config": config, "registered_name": name}


def _serialize_instance(obj: Any) -> dict[str, Any]:
    cls = type(obj)
    path = None if cls in _registered_names else registry.path_of(cls)
    if path:
        namespace, _, name = path.rpartition(".")
        found = {"module": f"keras.{namespace}" if namespace else "keras", "class_name": name}
    else:
        found = {
            "module": cls.__module__ if cls.__module__ != "__main__" else None,
            "class_name": cls.__name__,
        }
    found["config"] = serialize_keras_object(obj.get_config())
    found["registered_name"] = None if path and not path.startswith("src.") else get_registered_name(cls)
    for part in ("build_config", "compile_config"):
        extra = getattr(obj, f"get_{part}", lambda: None)()
        if extra is not None:
            found[part] = serialize_keras_object(extra)
    shared = _writing.get()
    if shared is not None:  # the object is kept beside its data, so that no other one gets its id
        _, first = shared.setdefault(id(obj), (obj, found))
        if first is not found:
            number = first.setdefault(
                "shared_object_id", sum("shared_object_id" in data for _, data in shared.values())
            )
            found["shared_object_id"] = number
    return found


# -- reading -------------------------------------------------------------------------------------------------


@export("saving.deserialize_keras_object", "utils.deserialize_keras_object")
def deserialize_keras_object(
    config: Any, custom_objects: dict[str, Any] | None = None, safe_mode: bool = True, **kwargs: Any
) -> Any:
    """The object that a config of `serialize_keras_object` stands for.

    Args:
        config: plain data; what is no config of an object comes back as it is.
        custom_objects: classes and functions of yours that the config may name.
        safe_mode: accepted for compatibility; reading is always safe, and False changes nothing.
        **kwargs: `module_objects`, more objects by name.

    Raises:
        UnknownObjectError: the config names something that isn't known or may not be made from a config.
        ArgumentTypeError: the config isn't what its class takes.

    >>> deserialize_keras_object({"class_name": "__slice__", "config": {"start": 1, "stop": None, "step": 2}})
    slice(1, None, 2)
    """
    module_objects = kwargs.pop("module_objects", None) or {}
    kwargs.pop("printable_module_name", None)
    if kwargs:
        raise ArgumentError(f"deserialize_keras_object() got unknown arguments: {sorted(kwargs)}")
    if isinstance(config, str):
        return {**module_objects, **(custom_objects or {})}.get(config, config)
    with CustomObjectScope({**module_objects, **(custom_objects or {})}):
        return _read(config)


def _read(config: Any) -> Any:
    if isinstance(config, (list, tuple)):
        items = [_read(item) for item in config]
        return items if isinstance(config, list) else tuple(items)
    if not isinstance(config, dict):
        return config
    name = config.get("class_name")
    if name == "__tuple__" and "items" in config:  # old HDF5 files have these
        return tuple(_read(config["items"]))
    if "class_name" not in config or "config" not in config:
        return {key: _read(value) for key, value in config.items()}
    if not isinstance(name, str):
        raise ArgumentTypeError(f"`class_name` in a config must be a string. Received: {shown(config)}")
    if name == "function":
        return _function(config["config"])
    inner = config["config"] if config["config"] is not None else {}
    if not isinstance(inner, dict):
        raise ArgumentTypeError(f"`config` of {name!r} must be a dict. Received: {shown(config)}")
    if name.startswith("__") and name.endswith("__"):
        return _plain(name, inner)
    return _instance(config, name, inner)


def _plain(tag: str, config: dict[str, Any]) -> Any:
    """The values that JSON has no form for."""
    if tag == "__lambda__":
        raise ArgumentError(
            "The config holds the code of a lambda, and code from files is never run. Save the model with a "
            "function made with `def` and pass that by `custom_objects`, or build the model in code and load "
            "only its weights."
        )
    try:
        if tag == "__bytes__":
            return config["value"].encode("utf-8")
        if tag == "__ellipsis__":
            return Ellipsis
        if tag == "__slice__":
            return slice(*(_read(config[part]) for part in ("start", "stop", "step")))
        if tag == "__keras_tensor__":
            return KerasTensor(config["shape"], config["dtype"])
        if tag in ("__numpy__", "__tensor__"):
            array = np.array(config["value"], dtype=standardize_dtype(config["dtype"]))
            return array if tag == "__numpy__" else selection.current().make(array, array.dtype.name)
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise ArgumentTypeError(
            f"The config of {tag!r} isn't valid: {error!r}. Received: {shown(config)}"
        ) from error
    raise UnknownObjectError(f"A config of the kind {tag!r} can't be read. Received: {shown(config)}")


def _function(name: Any) -> Any:
    if not isinstance(name, str):
        raise ArgumentTypeError(f"A function's config must be its name. Received: {shown(name)}")
    found = get_registered_object(name) or public_function(name, FUNCTIONS)
    if found is None:
        raise UnknownObjectError(f"The config names an unknown function {name!r}. " + HELP.format(name))
    return found


def public_function(name: str, namespaces: tuple[str, ...]) -> Any:
    """A public function of tensors by its name, such as "relu"; None if there is none."""
    if name in ("get", "serialize", "deserialize"):
        return None
    found = (registry.lookup(f"{namespace}.{name}") for namespace in namespaces)
    return next((f for f in found if isinstance(f, types.FunctionType)), None)


def _instance(config: dict[str, Any], name: str, inner: dict[str, Any]) -> Any:
    shared, key = _reading.get(), (config.get("shared_object_id"), name)
    if shared is None or not isinstance(key[0], int):
        return _made(config, name, inner)
    if key not in shared:
        shared[key] = _made(config, name, inner)
    return shared[key]


def _made(config: dict[str, Any], name: str, inner: dict[str, Any]) -> Any:
    if str(config.get("module")).startswith(("keras.src.ops.", "triceras.ops")):
        return SavedOperation(name, _read(inner))
    cls = _class(config.get("module"), name, config.get("registered_name"))
    if isinstance(cls, types.FunctionType):  # custom objects may hold functions where files name a class
        return cls
    make = getattr(cls, "from_config", None)
    if make is None:
        raise ArgumentTypeError(
            f"The class {name!r} has no `from_config` method, so no config can stand for it."
        )
    try:
        if (
            getattr(make, "__func__", None) is Configurable.from_config.__func__
        ):  # others read their own parts
            inner = {key: _read(value) for key, value in inner.items()}
        made = make(inner)
        for part in ("build", "compile"):
            extra = config.get(f"{part}_config")
            if (
                extra
                and hasattr(made, f"{part}_from_config")
                and not (part == "build" and getattr(made, "built", False))
            ):
                getattr(made, f"{part}_from_config")(extra)
    except (TypeError, KeyError, AttributeError, IndexError) as error:
        if isinstance(error, TricerasError):
            raise
        raise ArgumentTypeError(
            f"{name} can't be made from its config: {error!r}. Received: {shown(inner)}"
        ) from error
    return made


def _class(module: Any, name: str, registered: Any) -> Any:
    """The class that a config names: the user's own, else a public one that configs may construct."""
    for key in (registered, name):
        found = get_registered_object(key) if isinstance(key, str) else None
        if found is not None:
            return found
    found = public_class(name, _namespaces(module))
    if found is None:
        where = f" of module {module!r}" if module else ""
        raise UnknownObjectError(f"The config names an unknown class {name!r}{where}. " + HELP.format(name))
    return found


def _namespaces(module: Any) -> tuple[str, ...]:
    """Public namespaces that a config's module name can mean; internal names mean those above them."""
    if module is None:
        return (*CLASSES, "src.models.functional")
    root, *parts = module.split(".") if isinstance(module, str) else [None]
    if root not in ROOTS:
        return ()
    if parts[:1] != ["src"]:
        return (".".join(parts),)
    if parts[1:2] == ["backend"] and "optimizers" in parts:  # the reference's own for one of its backends
        return ("optimizers",)
    return (".".join(parts), *(".".join(parts[1:end]) for end in range(len(parts), 0, -1)))


def public_class(name: str, namespaces: tuple[str, ...]) -> Any:
    """A public class that configs may construct, by its name; None if there is none."""
    for namespace in namespaces:
        found = registry.lookup(f"{namespace}.{name}" if namespace else name)
        if inspect.isclass(found) and issubclass(found, Configurable):
            return found
    return None


# -- `get`, `serialize` and `deserialize` of a namespace -----------------------------------------------------


class Family:
    """What `initializers`, `regularizers` ... do alike: find an object by name, config, class or itself.

    Args:
        namespace: the public namespace in which names are looked up.
        what: the word for one of its objects in error messages.
        aliases: further names, and the public names they mean.
    """

    def __init__(self, namespace: str, what: str, aliases: dict[str, str] | None = None) -> None:
        self.namespace, self.what, self.aliases = namespace, what, aliases or {}

    def named(self, name: str) -> Any:
        """What a name stands for: a new instance of a class, or a function; None if there is none."""
        public = (self.aliases.get(name, name), (self.namespace,))
        found = get_registered_object(name) or public_class(*public) or public_function(*public)
        return found() if inspect.isclass(found) else found

    def get(self, identifier: Any) -> Any:
        """The object for a name, config, class or callable; None stays None."""
        if identifier is None:
            return None
        if isinstance(identifier, str):
            found = self.named(identifier)
            if found is not None:
                return found
            close = difflib.get_close_matches(identifier, registry.names(self.namespace), 3)
            hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
            raise NotFoundError(f"Unknown {self.what} {identifier!r}.{hint} " + HELP.format(identifier))
        if isinstance(identifier, dict):
            return self.deserialize(identifier)
        if callable(identifier):
            return identifier() if inspect.isclass(identifier) else identifier
        raise ArgumentError(
            f"A {self.what} is given by name, config, class or callable. Received: {shown(identifier)}"
        )

    def deserialize(self, config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
        """The object for what `serialize` returned, or for a name."""
        if isinstance(config, dict) and not {"class_name", "config"} <= set(config):
            raise ArgumentError(
                f"A config of a {self.what} has `class_name` and `config`. Received: {shown(config)}"
            )
        if (
            isinstance(config, dict)
            and "module" not in config
            and public_class(config["class_name"], (self.namespace,))
        ):
            config = {
                **config,
                "module": f"{registry.ROOT}.{self.namespace}",
            }  # an old form, without the module
        with CustomObjectScope(custom_objects or {}):
            return self.get(config) if isinstance(config, str) else _read(config)
