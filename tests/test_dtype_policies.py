"""Dtype policies: names, defaults, maps, configs."""

from __future__ import annotations

import numpy as np
import pytest

from triceras import config, dtype_policies, mixed_precision, saving, use_engine
from triceras.core.errors import ArgumentError, ArgumentTypeError
from triceras.core.spec import KerasTensor
from triceras.dtype_policies import DTypePolicy, DTypePolicyMap

NAMES = [
    ("float32", "float32", "float32"),
    ("float64", "float64", "float64"),
    ("bfloat16", "bfloat16", "bfloat16"),
    ("mixed_float16", "float16", "float32"),
    ("mixed_bfloat16", "bfloat16", "float32"),
    ("int8", "int8", "int8"),
    ("bool", "bool", "bool"),
]


@pytest.fixture
def default():
    yield
    config.set_dtype_policy(None)


@pytest.mark.parametrize(("name", "compute", "variable"), NAMES)
def test_names(name, compute, variable):
    policy = DTypePolicy(name)
    assert (policy.name, policy.compute_dtype, policy.variable_dtype) == (name, compute, variable)
    assert policy == dtype_policies.get(name) == dtype_policies.deserialize(dtype_policies.serialize(policy))
    assert len({policy, DTypePolicy(name)}) == 1 and policy != name
    assert repr(policy) == f'<DTypePolicy "{name}">'


def test_get():
    policy = DTypePolicy("float16")
    assert dtype_policies.get(policy) is policy
    assert dtype_policies.get(None) == dtype_policies.get(np.float32) == DTypePolicy("float32")
    assert dtype_policies.get(np.dtype("int8")).name == "int8"
    assert dtype_policies.get({"class_name": "DTypePolicy", "config": {"name": "float16"}}) == policy
    jnp = pytest.importorskip("jax.numpy")
    assert dtype_policies.get(jnp.bfloat16).name == "bfloat16"


def test_default(default):
    assert config.dtype_policy().name == DTypePolicy().name == "float32"
    mixed_precision.set_global_policy("mixed_bfloat16")
    assert mixed_precision.global_policy().name == DTypePolicy().name == "mixed_bfloat16"
    config.set_dtype_policy(DTypePolicyMap("float16"))
    assert dtype_policies.get(None).compute_dtype == "float16"


@pytest.mark.parametrize(
    ("x", "autocast", "expected"),
    [
        (np.ones(2), True, "float16"),
        (np.ones(2), False, "float32"),
        (np.ones(2, int), True, "int32"),
        (np.ones(2, bool), True, "bool"),
        (KerasTensor((2,)), True, "float16"),
        (KerasTensor((2,)), False, "float32"),
    ],
)
def test_inputs(x, autocast, expected):
    for engine in ("numpy", "jax"):
        with use_engine(engine):
            assert DTypePolicy("float16").convert_input(x, autocast, "float16").dtype == expected
    assert DTypePolicy("float16").convert_input("text", autocast, "float16") == "text"


def test_map():
    policies = DTypePolicyMap("mixed_bfloat16", {"encoder": "float16"})
    policies["decoder/.*"] = DTypePolicy("float32")
    names = {path: policies[path].name for path in ("encoder", "encoder/x", "decoder/x", "my/decoder/x")}
    assert names == {
        "encoder": "float16", "encoder/x": "mixed_bfloat16", "decoder/x": "float32",
        "my/decoder/x": "mixed_bfloat16",
    }  # fmt: skip
    assert policies.name == "map_mixed_bfloat16" and policies.compute_dtype == "bfloat16"
    assert list(policies) == ["encoder", "decoder/.*"] and len(policies) == 2 and "decoder/x" not in policies
    again = saving.deserialize_keras_object(saving.serialize_keras_object(policies))
    assert again == policies and again["decoder/x"].name == "float32"
    policies["decoder/x.*"] = "float64"
    with pytest.raises(ArgumentError, match="several keys"):
        policies["decoder/x"]
    assert policies.pop("decoder/x.*").name == "float64"
    with pytest.raises(ArgumentError, match="already"):
        policies["encoder"] = "float32"
    with pytest.raises(KeyError):
        policies.pop("encoder/x")


ERRORS = [
    (lambda: DTypePolicy("float33"), ArgumentError, "float33"),
    (lambda: DTypePolicy("int8_from_float32"), ArgumentError, "int8_from_float32"),
    (lambda: DTypePolicy(3), ArgumentTypeError, "string"),
    (lambda: dtype_policies.get(3), ArgumentError, "Received: 3"),
    (
        lambda: dtype_policies.get({"class_name": "Zeros", "config": {}, "module": "keras.initializers"}),
        ArgumentError,
        "dtype",
    ),
    (lambda: config.set_dtype_policy(3), ArgumentError, "Received: 3"),
    (lambda: DTypePolicyMap(policy_map=3), ArgumentTypeError, "policy_map"),
    (lambda: DTypePolicyMap(policy_map={"a": None}), ArgumentError, "None"),
]


@pytest.mark.parametrize(("call", "error", "words"), ERRORS)
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("name", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_configs_load_in_the_reference_and_back(name):
    keras = pytest.importorskip("keras")
    theirs = keras.dtype_policies.serialize(keras.DTypePolicy(name))
    assert theirs == dtype_policies.serialize(DTypePolicy(name))
    assert (
        dtype_policies.get(theirs).name
        == keras.dtype_policies.get(dtype_policies.serialize(DTypePolicy(name))).name
        == name
    )
    theirs = keras.dtype_policies.DTypePolicyMap("float32", {"a": keras.DTypePolicy(name)})
    ours = saving.deserialize_keras_object(keras.saving.serialize_keras_object(theirs))
    back = keras.saving.deserialize_keras_object(saving.serialize_keras_object(ours))
    assert ours["a"].name == back["a"].name == name
