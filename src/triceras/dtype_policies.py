"""Dtype policies: in which dtype a layer computes, and in which it keeps its weights."""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping
from typing import Any

import numpy as np

from triceras.core import config, dtypes
from triceras.core.capture import Configurable
from triceras.core.errors import ArgumentError, ArgumentTypeError, shown
from triceras.core.registry import export, publish
from triceras.core.spec import KerasTensor
from triceras.engine import selection
from triceras.saving import objects

MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}


@export("DTypePolicy", "dtype_policies.DTypePolicy", "mixed_precision.DTypePolicy", "mixed_precision.Policy")
class DTypePolicy(Configurable):
    """The dtypes of a layer.

    Args:
        name: a dtype for everything, or "mixed_float16" or "mixed_bfloat16" to compute in the 16-bit type and
            keep
            weights in float32; None is the default policy's name.

    >>> policy = DTypePolicy("mixed_bfloat16")
    >>> policy.compute_dtype, policy.variable_dtype
    ('bfloat16', 'float32')
    """

    quantization_mode = None

    def __init__(self, name: str | None = None) -> None:
        if name is None:
            name = dtype_policy().name
        if not isinstance(name, str):
            raise ArgumentTypeError(
                f"DTypePolicy: `name` must be a string such as 'mixed_bfloat16'. Received: {name!r}"
            )
        if name not in MIXED and name not in dtypes.ALL:
            raise ArgumentError(
                f"Unknown dtype policy {name!r}. Policies are 'mixed_float16', 'mixed_bfloat16' and the "
                "dtypes, such as 'float32'."
            )
        self.name = name
        self.compute_dtype = MIXED.get(name, name)
        self.variable_dtype = "float32" if name in MIXED else name

    def convert_input(self, x: Any, autocast: bool, dtype: Any) -> Any:
        """A layer's input as it computes on it: arrays become tensors; with `autocast`, floats are cast."""
        owner = selection.engine_of(type(x))
        if owner is None and not isinstance(x, (np.ndarray, KerasTensor)):
            return x
        kind = dtypes.standardize_dtype(x.dtype)
        wanted = (
            dtypes.standardize_dtype(dtype)
            if autocast and dtypes.is_float_dtype(kind)
            else dtypes.promote((kind,))
        )
        if isinstance(x, KerasTensor):
            from triceras import ops

            return x if kind == wanted else ops.cast(x, wanted)
        return (owner or selection.current()).make(x, wanted)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.get_config() == other.get_config()

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self.name}">'


@export("FloatDTypePolicy", "dtype_policies.FloatDTypePolicy")
class FloatDTypePolicy(DTypePolicy):
    """An older name of `DTypePolicy`.

    >>> FloatDTypePolicy("float16").compute_dtype
    'float16'
    """


@export("dtype_policies.DTypePolicyMap")
class DTypePolicyMap(DTypePolicy, MutableMapping):
    """Dtype policies by layer path, for models whose layers differ.

    A path has the policy under exactly that key, else under the key that matches all of it as a regular
    expression,
    else the default.

    Args:
        default_policy: a policy or its name; None is the default policy at the time of reading.
        policy_map: policies, or names, by path or pattern.

    Raises:
        ArgumentError: while reading, when several patterns match.

    >>> policies = DTypePolicyMap("float32", {"encoder/.*": "mixed_bfloat16"})
    >>> policies["encoder/dense"].name, policies["decoder/dense"].name
    ('mixed_bfloat16', 'float32')
    """

    def __init__(self, default_policy: Any = None, policy_map: dict[str, Any] | None = None) -> None:
        if policy_map is not None and not isinstance(policy_map, dict):
            raise ArgumentTypeError(f"DTypePolicyMap: `policy_map` must be a dict. Received: {policy_map!r}")
        self._default = default_policy if default_policy is None else get(default_policy)
        self._policies: dict[str, DTypePolicy] = {}
        for key, policy in (policy_map or {}).items():
            self[key] = policy

    @property
    def default_policy(self) -> DTypePolicy:
        """The policy of paths that no key matches."""
        return self._default or dtype_policy()

    @property
    def name(self) -> str:
        return "map_" + self.default_policy.name

    @property
    def compute_dtype(self) -> str:
        return self.default_policy.compute_dtype

    @property
    def variable_dtype(self) -> str:
        return self.default_policy.variable_dtype

    def __getitem__(self, key: str) -> DTypePolicy:
        if key in self._policies:
            return self._policies[key]
        matching = [pattern for pattern in self._policies if re.fullmatch(pattern, key)]
        if len(matching) > 1:
            raise ArgumentError(f"The path {key!r} matches several keys of a DTypePolicyMap: {matching}.")
        return self._policies[matching[0]] if matching else self.default_policy

    def __setitem__(self, key: str, policy: Any) -> None:
        if key in self._policies:
            raise ArgumentError(
                f"DTypePolicyMap has a policy for {key!r} already: {self._policies[key]}. Delete it first."
            )
        if policy is None:
            raise ArgumentError(f"DTypePolicyMap: the policy for {key!r} can't be None.")
        self._policies[key] = get(policy)

    def __delitem__(self, key: str) -> None:
        del self._policies[key]

    def pop(self, key: str) -> DTypePolicy:
        """Take out and return the policy under exactly that key."""
        return self._policies.pop(key)

    def __contains__(self, key: object) -> bool:
        return key in self._policies

    def __len__(self) -> int:
        return len(self._policies)

    def __iter__(self) -> Iterator[str]:
        return iter(self._policies)

    def get_config(self) -> dict[str, Any]:
        return {
            "default_policy": self._default and self._default.name,
            "policy_map": objects.serialize_keras_object(self._policies),
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> DTypePolicyMap:
        return cls(**objects.deserialize_keras_object(config, custom_objects))

    def __repr__(self) -> str:
        names = {key: policy.name for key, policy in self._policies.items()}
        return f"<DTypePolicyMap default_policy={self.default_policy.name!r}, policies={names}>"


_default: DTypePolicy | None = None


@export("config.dtype_policy", "mixed_precision.dtype_policy", "mixed_precision.global_policy")
def dtype_policy() -> DTypePolicy:
    """The policy of layers that are given none; floatx unless `set_dtype_policy` was called.

    >>> dtype_policy()
    <DTypePolicy "float32">
    """
    return DTypePolicy(config.floatx()) if _default is None else _default


@export("config.set_dtype_policy", "mixed_precision.set_dtype_policy", "mixed_precision.set_global_policy")
def set_dtype_policy(policy: Any) -> None:
    """Set the policy of layers that are given none.

    Args:
        policy: a policy, or its name such as "mixed_bfloat16"; None goes back to floatx.
    """
    global _default
    _default = None if policy is None else get(policy)


@export("dtype_policies.get")
def get(identifier: Any) -> DTypePolicy:
    """The policy for a name, dtype, config or policy; None is the default policy.

    >>> get("float16")
    <DTypePolicy "float16">
    """
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict):
        found = deserialize(identifier)
        if isinstance(found, DTypePolicy):
            return found
    elif isinstance(identifier, str):
        return DTypePolicy(identifier)
    elif (
        isinstance(identifier, type) or hasattr(identifier, "name") or hasattr(identifier, "itemsize")
    ):  # engines' dtypes
        return DTypePolicy(dtypes.standardize_dtype(identifier))
    raise ArgumentError(
        f"A dtype policy is given by name, dtype, config or policy. Received: {shown(identifier)}"
    )


@export("dtype_policies.serialize")
def serialize(dtype_policy: DTypePolicy) -> dict[str, Any]:
    """A policy as plain data.

    >>> serialize(DTypePolicy("float16"))["config"]
    {'name': 'float16'}
    """
    return objects.serialize_keras_object(dtype_policy)


@export("dtype_policies.deserialize")
def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The policy for what `serialize` returned.

    >>> deserialize(serialize(DTypePolicy("float16")))
    <DTypePolicy "float16">
    """
    return objects.deserialize_keras_object(config, custom_objects)


publish({"dtype_policies": ("triceras.dtype_policies",)})
