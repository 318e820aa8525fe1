"""What single layers promise beyond the table."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from triceras import Model, Sequential, layers, ops
from triceras.engine import selection
from triceras.layers.base import get_mask
from triceras.saving.objects import register_keras_serializable
from triceras.variable import value_and_grad


@pytest.fixture(params=["jax", "numpy"], autouse=True)
def engine(request: pytest.FixtureRequest) -> Any:
    if not selection.installed(request.param):
        pytest.skip(f"needs {request.param}")
    with selection.running(selection.get(request.param)) as active:
        yield active


@register_keras_serializable("tests")
def scaled(x: Any, by: float = 2.0, training: bool | None = None) -> Any:
    return x * (by if training else 1.0)


# -- Lambda --------------------------------------------------------------------------------------------------


def test_lambda_calls_python() -> None:
    x = np.ones((2, 3), "float32")
    assert np.asarray(layers.Lambda(lambda x: x + 1.0)(x)).tolist() == [[2.0] * 3] * 2
    layer = layers.Lambda(scaled, arguments={"by": 5.0})
    assert np.asarray(layer(x, training=True)).max() == 5.0
    assert np.asarray(layer(x)).max() == 1.0
    assert layers.Lambda(lambda x: x, output_shape=(7,)).compute_output_shape((None, 3)) == (None, 7)
    assert layers.Lambda(lambda x: ops.sum(x, -1)).compute_output_shape((None, 3)) == (None,)


def test_lambda_is_saved_by_name_only() -> None:
    layer = layers.Lambda(scaled, arguments={"by": 3.0}, name="it")
    config = json.loads(json.dumps(layer.get_config()))
    assert config["function"]["config"] == "tests>scaled"
    copy = layers.Lambda.from_config(config)
    assert copy.function is scaled and copy.arguments == {"by": 3.0}
    assert layers.Lambda.from_config(layers.Lambda(ops.square).get_config()).function is ops.square
    with pytest.raises(ValueError, match="register_keras_serializable"):
        layers.Lambda(lambda x: x).get_config()
    config["function"] = {
        "class_name": "__lambda__",
        "config": {"code": "4wE=", "defaults": None, "closure": None},
    }
    with pytest.raises(ValueError, match="never run"):
        layers.Lambda.from_config(config)


# -- batch normalization -------------------------------------------------------------------------------------


def test_batch_normalization_ignores_masked_steps() -> None:
    random = np.random.default_rng(0)
    x, mask = random.normal(size=(3, 5, 2)).astype("float32"), np.arange(5) < np.array([[5], [2], [3]])
    layer = layers.BatchNormalization(momentum=0.0)
    layer(x, training=True, mask=mask)
    np.testing.assert_allclose(layer.moving_mean.numpy(), x[mask].mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), x[mask].var(0), rtol=1e-5)


def test_batch_normalization_is_accurate_in_half_precision() -> None:
    x = (np.random.default_rng(0).normal(size=(4096, 2)) + 30).astype("float16")
    layer = layers.BatchNormalization(momentum=0.0, dtype="float16")
    y = np.asarray(layer(x, training=True)).astype("float32")
    assert abs(y.mean(0)).max() < 1e-2 and abs(y.std(0) - 1).max() < 1e-2
    np.testing.assert_allclose(layer.moving_variance.numpy(), x.astype("float32").var(0), rtol=2e-2)


def test_frozen_batch_normalization_infers() -> None:
    layer = layers.BatchNormalization(trainable=False)
    x = np.random.default_rng(0).normal(size=(8, 2)).astype("float32")
    np.testing.assert_allclose(np.asarray(layer(x, training=True)), x / np.sqrt(1.001), rtol=1e-5)
    assert layer.moving_mean.numpy().tolist() == [0.0, 0.0]
    assert layer.trainable_weights == [] and len(layer.non_trainable_weights) == 4


def test_moving_statistics_in_a_compiled_step(engine: Any) -> None:
    if not engine.differentiates:
        pytest.skip("trains on engines with gradients")
    layer = layers.BatchNormalization(momentum=0.5)
    x = ops.convert_to_tensor(np.random.default_rng(0).normal(2.0, size=(64, 3)).astype("float32"))
    layer.build((None, 3))
    forward = lambda x: ops.sum(ops.square(layer(x, training=True)))  # noqa: E731
    step = engine.compile(
        lambda x: value_and_grad(lambda: forward(x), layer.trainable_variables)()[0], layer.variables
    )
    step(x)
    step(x)
    np.testing.assert_allclose(layer.moving_mean.numpy(), 0.75 * np.asarray(x).mean(0), rtol=1e-5)


# -- noise ---------------------------------------------------------------------------------------------------


def test_dropout_keeps_the_mean_and_repeats_by_seed() -> None:
    x = np.ones((200, 100), "float32")
    first, second = (np.asarray(layers.Dropout(0.25, seed=4)(x, training=True)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert {*np.unique(first).round(4)} == {0.0, np.float32(4 / 3).round(4)}
    assert abs(first.mean() - 1) < 0.02
    assert not np.asarray(layers.Dropout(1.0)(x, training=True)).any()


def test_spatial_dropout_drops_whole_channels() -> None:
    y = np.asarray(layers.SpatialDropout2D(0.5, seed=1)(np.ones((4, 3, 3, 50), "float32"), training=True))
    assert (y == y[:, :1, :1]).all() and 0.3 < (y == 0).mean() < 0.7


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    x = np.random.default_rng(0).normal(size=(500, 100)).astype("float32")
    y = np.asarray(layers.AlphaDropout(0.3, seed=1)(x, training=True))
    assert abs(y.mean()) < 0.02 and abs(y.std() - 1) < 0.02


# -- masks, merging, pooling ---------------------------------------------------------------------------------


def test_masks_travel() -> None:
    steps = np.array([[1, 2, 0], [3, 0, 0]])
    x = layers.Embedding(5, 4, mask_zero=True)(steps)
    np.testing.assert_array_equal(np.asarray(get_mask(x)), steps != 0)
    x = layers.Dropout(0.5)(layers.Activation("relu")(layers.Dense(3)(x)))
    np.testing.assert_array_equal(np.asarray(get_mask(x)), steps != 0)
    pooled = layers.GlobalAveragePooling1D()(x)
    np.testing.assert_allclose(np.asarray(pooled)[1], np.asarray(x)[1, 0], rtol=1e-6)
    assert get_mask(pooled) is None


def test_softmax_masks() -> None:
    y = np.asarray(layers.Softmax()(np.zeros((1, 4), "float32"), mask=np.array([[True, True, False, False]])))
    assert y.tolist() == [[0.5, 0.5, 0.0, 0.0]]


def test_functional_forms() -> None:
    x, y = np.full((2, 3), 4.0, "float32"), np.full((2, 3), 2.0, "float32")
    expected = {"add": 6, "subtract": 2, "multiply": 8, "average": 3, "maximum": 4, "minimum": 2}
    for name, value in expected.items():
        assert np.asarray(getattr(layers, name)([x, y])).tolist() == [[value] * 3] * 2, name
    assert layers.concatenate([x, y], axis=0).shape == (4, 3)
    assert np.asarray(layers.dot([x, y], axes=1)).tolist() == [[24.0]] * 2


def test_first_layer_may_give_the_input_shape() -> None:
    model = Sequential([layers.Flatten(input_shape=(28, 28)), layers.Dense(3)])
    assert model.input_shape == (None, 28, 28) and model.output_shape == (None, 3)
    assert Sequential([layers.Embedding(9, 4, input_length=5)]).output_shape == (None, 5, 4)


def test_shared_layers_in_a_model() -> None:
    a, b = layers.Input((6, 6, 1)), layers.Input((6, 6, 1))
    conv = layers.Conv2D(3, 3, padding="SAME")
    x = layers.Add()([layers.MinPooling2D()(conv(a)), layers.MaxPooling2D()(conv(b))])
    model = Model([a, b], layers.GlobalMinPooling2D()(x))
    assert model([np.ones((2, 6, 6, 1), "float32")] * 2).shape == (2, 3)
    assert len(model.weights) == 2


# -- normalization of data -----------------------------------------------------------------------------------


class Batches:
    """Reads like a `PyDataset`."""

    def __init__(self, arrays: list[np.ndarray]) -> None:
        self.arrays = arrays

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, index: int) -> Any:
        return self.arrays[index], np.zeros(len(self.arrays[index]))


DATA = np.random.default_rng(0).normal(5.0, 3.0, (10, 4)).astype("float32")


@pytest.mark.parametrize(
    "source",
    [lambda: DATA, lambda: ops.convert_to_tensor(DATA), lambda: DATA.tolist(), lambda: [DATA[:3], DATA[3:]],
     lambda: (b for b in (DATA[:3], DATA[3:3], DATA[3:])), lambda: Batches([DATA[:7], DATA[7:]])],
    ids=["array", "tensor", "lists", "list of arrays", "generator", "dataset"],
)  # fmt: skip
def test_adapt(source: Any) -> None:
    layer = layers.Normalization()
    layer.adapt(source())
    np.testing.assert_allclose(np.asarray(layer.mean)[0], DATA.mean(0), rtol=1e-5)
    np.testing.assert_allclose(np.asarray(layer.variance)[0], DATA.var(0), rtol=1e-4)
    np.testing.assert_allclose(
        np.asarray(layer(DATA)), (DATA - DATA.mean(0)) / DATA.std(0), rtol=1e-3, atol=1e-5
    )
    back = layers.Normalization(invert=True)
    back.build((None, 4))
    back.set_weights(layer.get_weights())
    np.testing.assert_allclose(np.asarray(back(layer(DATA))), DATA, rtol=1e-4)
    layer.adapt(DATA * 2)  # anew
    np.testing.assert_allclose(np.asarray(layer.mean)[0], DATA.mean(0) * 2, rtol=1e-5)


@pytest.mark.parametrize(
    ("data", "words"),
    [(np.array([[np.nan]]), "NaN"), ([], "no data"), (np.ones((0, 3)), "no data"), (3, "takes an array"),
     (np.array([["a"]]), "numbers"), ([np.ones((2, 3)), np.ones((2, 4))], "differ")],
)  # fmt: skip
def test_adapt_refuses(data: Any, words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        layers.Normalization().adapt(data)


def test_adapt_when_given() -> None:
    with pytest.raises(RuntimeError, match="no effect"):
        layers.Normalization(mean=1.0, variance=1.0).adapt(DATA)
