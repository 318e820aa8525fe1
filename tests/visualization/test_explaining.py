"""Grad-CAM, saliency and feature maps: against formulas, on every engine, for every kind of model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import triceras as keras
from triceras import visualization
from triceras.core.errors import ArgumentError, EngineError, NotFoundError, ShapeError
from triceras.engine import selection

layers = keras.layers
ENGINES = [name for name in ("jax", "torch", "tensorflow") if selection.installed(name)]
IMAGES = np.random.default_rng(0).random((3, 8, 8, 2), "float32")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Any:
    keras.utils.set_random_seed(1)
    with keras.use_engine(request.param):
        yield request.param


@pytest.fixture
def torch() -> Any:
    pytest.importorskip("torch")
    keras.utils.set_random_seed(1)
    with keras.use_engine("torch"):
        yield


def small(end: list[Any], **options: Any) -> Any:
    """A convolution, the mean of each map, and an end that tells classes apart."""
    first = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv", **options)
    shape = (2, 8, 8) if options.get("data_format") == "channels_first" else (8, 8, 2)
    mean = layers.GlobalAveragePooling2D(data_format=options.get("data_format"))
    return keras.Sequential([layers.Input(shape), first, mean, *end])


def expected(model: Any, classes: Any, sign: Any = 1) -> np.ndarray:
    """Grad-CAM of `small` by its formula: maps weighed by the kernel of the layer behind them."""
    maps = visualization.feature_maps(model, IMAGES)["conv"]
    dense = next(layer for layer in model.layers if isinstance(layer, layers.Dense))
    heat = np.einsum("nhwc,cn->nhw", maps, dense.get_weights()[0][:, classes] * sign)
    heat = np.maximum(heat, 0)
    most = heat.max(axis=(1, 2), keepdims=True)
    return heat / np.where(most > 0, most, 1)


ENDS = {
    "scores": lambda: [layers.Dense(5)],
    "softmax": lambda: [layers.Dense(5, activation="softmax")],
    "a layer of softmax": lambda: [layers.Dense(5), layers.Softmax(), layers.Dropout(0.5)],
    "an activation": lambda: [layers.Dense(5), layers.Activation("softmax"), layers.Reshape((5,))],
    "a model": lambda: [keras.Sequential([layers.Input((4,)), layers.Dense(5, activation="softmax")])],
}


def test_grad_cam_on_engines(engine: str) -> None:
    model = small(ENDS["softmax"]())
    found = visualization.grad_cam(model, IMAGES, class_index=[0, 3, 4])
    np.testing.assert_allclose(found, expected(model, [0, 3, 4]), atol=1e-5)
    found = visualization.saliency(model, IMAGES)
    assert found.shape == (3, 8, 8) and found.min() >= 0 and np.allclose(found.max(axis=(1, 2)), 1)
    assert model.engine == engine and all(
        name in ("conv",) for name in visualization.feature_maps(model, IMAGES)
    )


@pytest.mark.parametrize("end", ENDS)
def test_scores_come_before_a_squashing_end(torch: None, end: str) -> None:
    model = small(ENDS[end]())
    before = model.predict(IMAGES, verbose=0)
    if end == "a model":
        model.layers[-1].layers[-1].kernel.assign(
            np.full((4, 5), 100.0)
        )  # so sure that gradients would vanish
        assert visualization.grad_cam(model, IMAGES).max() == 1
    else:
        predicted = before.argmax(axis=1)
        np.testing.assert_allclose(
            visualization.grad_cam(model, IMAGES), expected(model, predicted), atol=1e-5
        )
        np.testing.assert_array_equal(model.predict(IMAGES, verbose=0), before)


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_one_number_for_two_classes(torch: None, activation: str | None) -> None:
    model = small([layers.Dense(1, activation=activation)])
    for chosen, sign in ((1, 1), (0, -1)):
        found = visualization.grad_cam(model, IMAGES, class_index=chosen)
        np.testing.assert_allclose(found, expected(model, [0, 0, 0], sign), atol=1e-5)
    values = model.predict(IMAGES, verbose=0)[:, 0]
    predicted = (values > (0.5 if activation else 0)).astype(int)
    np.testing.assert_array_equal(
        visualization.grad_cam(model, IMAGES), visualization.grad_cam(model, IMAGES, class_index=predicted)
    )
    with pytest.raises(ArgumentError, match="from 0 to 1"):
        visualization.grad_cam(model, IMAGES, class_index=2)


def test_channels_first(torch: None) -> None:
    last = small([layers.Dense(3)])
    first = small([layers.Dense(3)], data_format="channels_first")
    first.set_weights(last.get_weights())
    turned = IMAGES.transpose(0, 3, 1, 2)
    for explain in (visualization.grad_cam, visualization.saliency):
        np.testing.assert_allclose(explain(first, turned), explain(last, IMAGES), atol=1e-5)


def test_the_end_of_the_last_stage(torch: None) -> None:
    x = inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(3, 3, padding="same", name="early")(x)
    x = layers.MaxPooling2D()(x)
    y = layers.Conv2D(3, 3, padding="same", name="late")(x)
    y = layers.ReLU()(layers.BatchNormalization()(y))
    y = layers.Add(name="sum")([x, y])
    y = layers.GlobalAveragePooling2D(keepdims=True)(y)
    y = layers.Conv2D(3, 1, name="on_one_pixel")(y)
    # weights above 0, so that what is seen always speaks for the classes
    model = keras.Model(inputs, {"kind": layers.Flatten()(y), "even": layers.Dense(1)(layers.Flatten()(x))})
    model.set_weights([np.abs(w) for w in model.get_weights()])
    default = visualization.grad_cam(model, IMAGES, 1, output="kind")
    assert default.any()
    np.testing.assert_array_equal(visualization.grad_cam(model, IMAGES, 1, "sum", "kind"), default)
    assert not np.array_equal(visualization.grad_cam(model, IMAGES, 1, "late", "kind"), default)
    assert not visualization.grad_cam(model, IMAGES, 1, "late", "even").any()  # not on the way to that output
    np.testing.assert_array_equal(
        visualization.saliency(model, IMAGES, output="even"), visualization.saliency(model, IMAGES, output=0)
    )


class Siamese(keras.Model):
    """Not a graph; it calls a layer twice, and its own block makes the maps."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = layers.Conv2D(2, 3, padding="same", name="both")
        self.head = layers.Dense(4)

    def call(self, x: Any) -> Any:
        return self.head(keras.ops.mean(self.conv(self.conv(x)), axis=(1, 2)))


def test_subclassed(torch: None) -> None:
    model = Siamese()
    maps = visualization.feature_maps(model, IMAGES)
    assert list(maps) == ["both", "both#2"] and maps["both"].shape == (3, 8, 8, 2)
    assert visualization.grad_cam(model, IMAGES).shape == (3, 8, 8)
    named = visualization.feature_maps(model, IMAGES, ["both#2", model.head])
    assert list(named) == ["both#2", model.head.name] and named[model.head.name].shape == (3, 4)
    np.testing.assert_array_equal(named["both#2"], maps["both#2"])


def test_models_inside_have_paths(torch: None) -> None:
    def part(name: str) -> Any:
        return keras.Sequential(
            [layers.Input((8, 8, 2)), layers.Conv2D(2, 3, padding="same", name="c")], name=name
        )

    model = keras.Sequential(
        [layers.Input((8, 8, 2)), part("a"), part("b"), layers.Flatten(), layers.Dense(2)]
    )
    assert list(visualization.feature_maps(model, IMAGES)) == ["a/c", "b/c"]
    assert visualization.grad_cam(model, IMAGES, layer="a/c").shape == (3, 8, 8)


def test_many_images_and_maps_of_pixels(torch: None) -> None:
    model = small([layers.Dense(2)])
    many = np.concatenate([IMAGES] * 12)
    np.testing.assert_allclose(
        visualization.grad_cam(model, many),
        np.concatenate([visualization.grad_cam(model, IMAGES)] * 12),
        atol=1e-6,
    )
    assert visualization.feature_maps(model, many)["conv"].shape == (36, 8, 8, 4)
    pixelwise = keras.Sequential([layers.Input((8, 8, 2)), layers.Conv2D(4, 3), layers.Conv2D(3, 1)])
    assert visualization.grad_cam(pixelwise, IMAGES).shape == (3, 8, 8)


def test_half_precision(torch: None) -> None:
    model = small([layers.Dense(2, activation="softmax")], dtype="mixed_bfloat16")
    assert (
        visualization.grad_cam(model, IMAGES).dtype
        == visualization.saliency(model, IMAGES).dtype
        == "float32"
    )


def test_feature_maps_on_numpy() -> None:
    with keras.use_engine("numpy"):
        model = small([layers.Dense(2)])
    assert visualization.feature_maps(model, IMAGES)["conv"].shape == (3, 8, 8, 4)
    for explain in (visualization.grad_cam, visualization.saliency):
        with pytest.raises(EngineError, match=r'numpy has none. Move the model .* model.to\("jax"\)'):
            explain(model, IMAGES)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"layer": "cnov"}, NotFoundError, "runs no layer 'cnov'. It runs: conv"),
        ({"layer": "dense"}, ArgumentError, "needs a layer that returns maps"),
        ({"class_index": 5}, ArgumentError, "must be from 0 to 4. Received"),
        ({"class_index": [1, 2]}, ArgumentError, "one for each of the 3 images"),
        ({"class_index": 0.5}, ArgumentError, "must be a whole number"),
        ({"output": "other"}, NotFoundError, "has no output 'other'. Its outputs are: "),
        ({"output": 3}, NotFoundError, "has 1 output"),
        ({"images": np.ones((0, 8, 8, 2))}, ShapeError, "must be a batch"),
        ({"images": IMAGES[0]}, ShapeError, "expected"),
    ],
)
def test_mistakes(torch: None, options: dict[str, Any], error: type, message: str) -> None:
    keras.utils.clear_session(free_memory=False)
    with pytest.raises(error, match=message):
        visualization.grad_cam(small(ENDS["scores"]()), **({"images": IMAGES} | options))


def test_without_convolutions(torch: None) -> None:
    model = keras.Sequential([layers.Input((8, 8, 2)), layers.Flatten(), layers.Dense(2)])
    for explain in (visualization.grad_cam, visualization.feature_maps):
        with pytest.raises(ArgumentError, match="has no convolution inside"):
            explain(model, IMAGES)
    kernel = model.layers[-1].get_weights()[0].reshape(8, 8, 2, 2)[..., 1]
    wanted = np.abs(kernel).max(axis=-1)
    np.testing.assert_allclose(
        visualization.saliency(model, IMAGES, class_index=1)[0], wanted / wanted.max(), atol=1e-6
    )
