"""Objects as configs: round trips, the reference's form, and configs made by attackers."""

from __future__ import annotations

import json

import numpy as np
import pytest

import triceras
from triceras import activations, initializers, regularizers, saving, use_engine
from triceras.core.capture import Configurable
from triceras.core.errors import ArgumentError, ArgumentTypeError, NotFoundError
from triceras.core.spec import KerasTensor
from triceras.dtype_policies import DTypePolicy
from triceras.saving.objects import ObjectSharing, UnknownObjectError

read, write = saving.deserialize_keras_object, saving.serialize_keras_object
FUNCTION = {"module": "builtins", "class_name": "function", "registered_name": "function"}


class Scale(Configurable):
    def __init__(self, factor, inner=None):
        self.factor, self.inner = factor, inner


def double(x):
    return 2 * x


@pytest.fixture(autouse=True)
def clean():
    known = dict(saving.get_custom_objects())
    yield
    saving.get_custom_objects().clear()
    saving.get_custom_objects().update(known)


PLAIN = [None, True, 3, 2.5, "text", [1, [2, None]], {"a": {"b": [1]}}, b"bytes", slice(1, None, 2), Ellipsis]


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_plain_values(value):
    assert read(json.loads(json.dumps(write(value)))) == value


def test_other_values():
    assert write((1, (2,))) == (1, (2,)) == read((1, (2,)))
    assert read({"class_name": "__tuple__", "items": [1, 2]}) == (1, 2)
    assert write(np.float32(2)) == 2.0 and write(np.int64(3)) == 3
    array = read(write(np.arange(3, dtype="int16")))
    assert array.dtype == "int16" and array.tolist() == [0, 1, 2]
    symbolic = read(write(KerasTensor((None, 2), "int8")))
    assert symbolic.shape == (None, 2) and symbolic.dtype == "int8"
    assert read({"class_name": "Zeros"}) == {"class_name": "Zeros"}
    jnp = pytest.importorskip("jax.numpy")
    with use_engine("jax"):
        tensor = read(write(jnp.ones(2, "bfloat16")))
    assert tensor.dtype == "bfloat16" and isinstance(tensor, type(jnp.ones(2)))


def test_form():
    assert write(initializers.Constant(2.0)) == {
        "module": "keras.initializers", "class_name": "Constant", "config": {"value": 2.0},
        "registered_name": None,
    }  # fmt: skip
    assert write(DTypePolicy("float16"))["module"] == "keras"
    assert write(activations.relu) == {**FUNCTION, "config": "relu"}
    assert write(Scale(2, Scale(3))) == {
        "module": __name__,
        "class_name": "Scale",
        "config": {"factor": 2, "inner": {**write(Scale(3))}},
        "registered_name": "Scale",
    }


@pytest.mark.parametrize(
    "module", ["keras.initializers", "triceras.initializers", "keras.src.initializers.constant_initializers"]
)
def test_modules(module):
    assert isinstance(read({"module": module, "class_name": "Zeros", "config": {}}), initializers.Zeros)


def test_custom_objects():
    config = json.loads(json.dumps(write(Scale(2, Scale(3, double)))))
    with pytest.raises(UnknownObjectError, match=r"custom_objects=.'Scale'"):
        read(config)
    found = read(config, custom_objects={"Scale": Scale, "double": double})
    assert found.inner.factor == 3 and found.inner.inner is double
    with saving.custom_object_scope({"Scale": Scale}), saving.CustomObjectScope({"double": double}):
        assert read(config).inner.inner is double
    assert read("double", custom_objects={"double": double}) is double
    assert read({**FUNCTION, "config": "double"}, module_objects={"double": double}) is double


def test_registered_objects():
    saving.register_keras_serializable("shop")(Scale)
    saving.register_keras_serializable("shop", name="twice")(double)
    config = write(Scale(2, double))
    assert config["registered_name"] == "shop>Scale" and config["config"]["inner"]["config"] == "shop>twice"
    assert read(config).inner is double
    assert saving.get_registered_name(Scale) == "shop>Scale" and saving.get_registered_name(len) == "len"
    assert saving.get_registered_object("shop>twice") is double
    assert saving.get_registered_object("nothing") is None
    assert saving.get_registered_object("x", module_objects={"x": 3}) == 3
    with pytest.raises(ArgumentError, match="get_config"):
        saving.register_keras_serializable()(object)


def test_build_and_compile_configs():
    class Built(Scale):
        def get_build_config(self):
            return {"input_shape": (None, 2)}

        def build_from_config(self, config):
            self.shape = config["input_shape"]

        def get_compile_config(self):
            return None

    config = write(Built(2))
    assert config["build_config"] == {"input_shape": (None, 2)} and "compile_config" not in config
    assert read(config, custom_objects={"Built": Built}).shape == (None, 2)


def test_shared_objects():
    inner = Scale(1)
    with ObjectSharing():
        config = write([Scale(2, inner), Scale(3, inner), Scale(4, Scale(1))])
    with ObjectSharing():
        first, second, third = read(json.loads(json.dumps(config)), custom_objects={"Scale": Scale})
    assert first.inner is second.inner and first.inner is not third.inner
    assert "shared_object_id" not in config[2]["config"]["inner"]


@pytest.mark.parametrize(
    "value", [object(), Scale, {1: object()}, np.dtype("int8")], ids=["object", "class", "dict", "dtype"]
)
def test_what_has_no_form(value):
    with pytest.raises(ArgumentTypeError, match="can't be serialized"):
        write(value)


def test_lambdas_are_never_written():
    with pytest.raises(ArgumentError, match="lambda"):
        write(lambda x: x)


ATTACKS = [
    {"module": "os", "class_name": "system", "config": {"command": "id"}},
    {"module": "os", "class_name": "function", "config": "system", "registered_name": "function"},
    {"module": "builtins", "class_name": "eval", "config": {"source": "1"}},
    {**FUNCTION, "config": "eval"},
    {**FUNCTION, "config": "os.system"},
    {**FUNCTION, "config": "get"},
    {**FUNCTION, "config": "deserialize"},
    {**FUNCTION, "config": "get_file"},
    {**FUNCTION, "config": "Zeros"},
    {"module": "builtins", "class_name": "type", "config": "int", "registered_name": "type"},
    {"module": "builtins", "class_name": "module", "config": "keras.utils", "registered_name": "module"},
    {
        "module": "keras.utils",
        "class_name": "get_file",
        "config": {"fname": "x", "origin": "file:///etc/passwd"},
    },
    {"module": "keras.src.utils.file_utils", "class_name": "get_file", "config": {}},
    {"module": "keras.saving", "class_name": "load_model", "config": {"filepath": "x"}},
    {"module": "keras.config", "class_name": "enable_unsafe_deserialization", "config": {}},
    {"module": "keras.saving", "class_name": "CustomObjectScope", "config": {"custom_objects": {}}},
    {"module": "keras", "class_name": "Variable", "config": {"initializer": 1}},
    {"module": "keras.initializers", "class_name": "get", "config": {"identifier": "zeros"}},
    {"module": "keras.initializers", "class_name": "np", "config": {}},
    {"module": "keras.src.saving.objects", "class_name": "registry", "config": {}},
    {"module": "numpy", "class_name": "load", "config": {}, "registered_name": "numpy>load"},
    {"module": ["os"], "class_name": "system", "config": {}},
    {"module": "keras.initializers", "class_name": ["Zeros"], "config": {}},
    {"module": "keras.initializers", "class_name": "Zeros", "config": "x"},
    {"module": "keras.initializers", "class_name": "Zeros", "config": {"x": 1}},
    {"module": "keras.initializers", "class_name": "__init__", "config": {}},
    {"module": "keras.initializers", "class_name": "__class__", "config": {}},
    {"class_name": "__lambda__", "config": {"value": ["4wEAAAAA", None, None]}},
    {"class_name": "__typespec__", "spec_name": "x", "config": {}},
    {"class_name": "__numpy__", "config": {"value": [1], "dtype": "O"}},
    {"class_name": "__numpy__", "config": {"value": "x", "dtype": "float32"}},
    {"class_name": "__numpy__", "config": {}},
    {"class_name": "__tensor__", "config": {"value": [[1], [1, 2]], "dtype": "float32"}},
    {"class_name": "__keras_tensor__", "config": {"shape": "x", "dtype": "float32"}},
    {"class_name": "__bytes__", "config": {"value": 3}},
    {"class_name": "__slice__", "config": {}},
    {"class_name": "function", "config": {"x": 1}},
    {"module": "", "class_name": "", "config": {}},
    {"module": "keras.src", "class_name": "sys", "config": {}},
]


@pytest.mark.parametrize("safe_mode", [True, False, None])
@pytest.mark.parametrize("config", ATTACKS, ids=lambda c: f"{c.get('module')}-{c['class_name']}")
def test_attacks(config, safe_mode):
    for wrapped in (config, [config], {"a": {"b": config}}):
        with pytest.raises((ArgumentError, ArgumentTypeError)):
            read(wrapped, safe_mode=safe_mode)


def test_errors_name_the_class():
    with pytest.raises(ArgumentTypeError, match=r"Constant.*nonsense"):
        read({"module": "keras.initializers", "class_name": "Constant", "config": {"nonsense": 1}})
    with pytest.raises(ArgumentError, match="unknown arguments"):
        read({}, printable="x")


def test_reference_round_trips():
    keras = pytest.importorskip("keras")
    theirs = [
        keras.initializers.RandomNormal(seed=keras.random.SeedGenerator(3)),
        keras.initializers.Constant(np.ones(2)),
        keras.regularizers.L2(0.3),
        keras.constraints.MaxNorm(3),
        keras.dtype_policies.get("mixed_bfloat16"),
        keras.activations.gelu,
        slice(1, None),
        b"abc",
        ...,
    ]
    ours = read(keras.saving.serialize_keras_object(theirs))
    assert ours[0].seed.seed == 3 and ours[1].value.tolist() == [1, 1] and ours[5] is activations.gelu
    back = keras.saving.deserialize_keras_object(write(ours))
    assert (
        isinstance(back[2], keras.regularizers.L2)
        and back[2].l2 == 0.3
        and isinstance(ours[2], regularizers.L2)
    )
    assert back[1].value.tolist() == [1, 1] and back[5] is keras.activations.gelu and back[6:] == theirs[6:]


def graph(library):
    """A model of ops, in the reference or here."""
    ops, x, y = library.ops, library.Input((4,), name="a"), library.Input((4,), name="b")
    z = ops.concatenate([ops.relu(ops.clip(x + y, -1.0, 2.0)), x[:, 1:3]], axis=1)
    outputs = [ops.log_softmax(ops.reshape(z, (-1, 3, 2))) * 2, x[1:, 0], ops.sum(z, axis=1, keepdims=True)]
    return library.Model(
        [x, y], [*outputs, ops.where(x > 0, x, y), ops.absolute(ops.log1p(y * y)), ops.logsumexp(x)]
    )


def test_graphs_of_ops_load_in_the_reference_and_back():
    keras, triceras = pytest.importorskip("keras"), pytest.importorskip("triceras")
    with use_engine("numpy"):
        ours, theirs = graph(triceras), graph(keras)
        data = [
            json.loads(json.dumps(f(m)))
            for f, m in ((write, ours), (keras.saving.serialize_keras_object, theirs))
        ]
        models = [ours, read(data[0]), read(data[1]), keras.saving.deserialize_keras_object(data[0])]
        inputs = [np.random.default_rng(i).normal(size=(5, 4)).astype("float32") for i in range(2)]
        for model in models:
            for found, expected in zip(model(inputs), theirs(inputs), strict=True):
                np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("config", [{"x_min": 0, "x_max": 1, "axis": 2}, {"__class__": 1}])
def test_bad_operations(config):
    with pytest.raises(ArgumentError, match="arguments"):
        read({"module": "keras.src.ops.numpy", "class_name": "Clip", "config": config})
    with pytest.raises(NotFoundError):
        read({"module": "keras.src.ops.core", "class_name": "System", "config": config})


def test_older_form() -> None:
    from triceras.legacy.saving import deserialize_keras_object as read
    from triceras.legacy.saving import serialize_keras_object as write

    @saving.register_keras_serializable("older")
    class Box:
        def __init__(self, size: int = 1) -> None:
            self.size = size

        def get_config(self) -> dict:
            return {"size": self.size}

    @saving.register_keras_serializable("older")
    def double(x: float) -> float:
        return 2 * x

    assert write(Box(3)) == {"class_name": "older>Box", "config": {"size": 3}}
    assert (write(double), write(None)) == ("older>double", None)
    assert read(write(Box(3))).size == 3 and read("older>double") is double is read(double)
    assert read("Box", module_objects={"Box": Box}).size == 1 and read(None) is None
    dense = read(write(triceras.layers.Dense(2)), module_objects={"Dense": triceras.layers.Dense})
    assert dense.units == 2
    for wrong, match in (("nowhere", "Unknown loss"), (5, "a config or a name"), ({"x": 1}, "class_name")):
        with pytest.raises((ValueError, TypeError), match=match):
            read(wrong, printable_module_name="loss")
    with pytest.raises(ArgumentError, match="get_config"):
        write(5)
    assert triceras.utils.legacy.serialize_keras_object is write
