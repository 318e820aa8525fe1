"""Image layers beside the reference's: the same transformation gives the same images, masks and boxes."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
import pytest

from triceras import layers, use_engine

random = np.random.default_rng(0)
IMAGES = random.uniform(0, 255, (3, 8, 6, 3)).astype("float32")
FIRST = np.moveaxis(IMAGES, -1, 1).copy()
MASKS = random.integers(0, 9, (3, 8, 6, 1)).astype("int32")
MODES = ("reflect", "wrap", "constant", "nearest")

# layer, arguments, whether masks are compared
FIXED: list[tuple[str, dict[str, Any]]] = [
    *(("RandomRotation", {"factor": (0.12, 0.12), "fill_mode": m, "fill_value": 7.0}) for m in MODES),
    ("RandomRotation", {"factor": (-0.2, -0.2), "interpolation": "nearest"}),
    ("RandomZoom", {"height_factor": (0.3, 0.3)}),
    ("RandomZoom", {"height_factor": (-0.3, -0.3), "width_factor": (0.23, 0.23), "fill_mode": "constant"}),
    ("RandomTranslation", {"height_factor": (0.3, 0.3), "width_factor": (-0.21, -0.21)}),
    ("RandomTranslation", {"height_factor": (0.31, 0.31), "width_factor": (0.2, 0.2), "fill_mode": "wrap"}),
    ("RandomBrightness", {"factor": (0.25, 0.25)}),
    ("RandomBrightness", {"factor": (-0.1, -0.1), "value_range": (0, 200)}),
    ("RandomContrast", {"factor": (0.0, 0.0)}),
    ("RandomColorDegeneration", {"factor": (0.25, 0.25)}),
    ("RandomSaturation", {"factor": (0.3, 0.3)}),
    ("RandomSharpness", {"factor": (0.9, 0.9)}),
    ("RandomPosterization", {"factor": (3, 3)}),
    ("RandomInvert", {"factor": (1.0, 1.0)}),
    ("RandomColorJitter", {"brightness_factor": (0.2, 0.2), "saturation_factor": (0.4, 0.4)}),
    ("Solarization", {"addition_factor": (0.0, 0.0), "threshold_factor": (0.0, 0.0)}),
    ("AutoContrast", {}),
    ("AutoContrast", {"value_range": (-10, 300)}),
    ("Equalization", {}),
    ("Equalization", {"bins": 16, "value_range": (0, 300)}),
    ("ContrastLimitedAdaptiveHistogramEqualization", {"tile_grid_size": (2, 3)}),
    ("ContrastLimitedAdaptiveHistogramEqualization", {"tile_grid_size": (3, 2), "clip_limit": 1.5}),
    ("RandomGaussianBlur", {"factor": (1.0, 1.0), "sigma": (0.9, 0.9), "kernel_size": (5, 3)}),
    ("Resizing", {"height": 5, "width": 9}),
    ("Resizing", {"height": 4, "width": 4, "crop_to_aspect_ratio": True, "antialias": True}),
    ("Resizing", {"height": 4, "width": 4, "pad_to_aspect_ratio": True, "fill_value": 3.0}),
    ("CenterCrop", {"height": 5, "width": 4}),
    ("CenterCrop", {"height": 10, "width": 7}),
]
MOVE_MASKS = ("RandomRotation", "RandomZoom", "RandomTranslation", "Resizing")


@pytest.fixture(scope="session")
def keras() -> Any:
    """The reference, on JAX."""
    pytest.importorskip("jax")
    os.environ.setdefault("KERAS_BACKEND", "jax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = pytest.importorskip("keras")
    if found.config.backend() != "jax":
        pytest.skip("the reference runs on another backend than JAX")
    return found


@pytest.fixture(autouse=True)
def engine() -> Any:
    with use_engine("numpy") as active:
        yield active


def shown(case: Any) -> str:
    return f"{case[0]}({', '.join(f'{k}={v!r}' for k, v in case[1].items())})"


@pytest.mark.parametrize("case", FIXED, ids=shown)
def test_fixed_parameters(keras: Any, case: tuple[str, dict[str, Any]]) -> None:
    name, arguments = case
    ours, theirs = getattr(layers, name)(**arguments), getattr(keras.layers, name)(**arguments)
    data = {"images": IMAGES, "segmentation_masks": MASKS} if name in MOVE_MASKS else {"images": IMAGES}
    found, wanted = ours(data, training=True), theirs(dict(data), training=True)
    for key in data:
        expected = np.asarray(wanted[key])
        assert found[key].shape == expected.shape
        np.testing.assert_allclose(found[key], expected, rtol=1e-4, atol=2e-3, err_msg=key)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "case",
    [
        c
        for c in FIXED
        if c[0] in ("RandomRotation", "RandomZoom", "RandomHue", "RandomContrast", "Resizing", "CenterCrop")
    ],
    ids=shown,
)
def test_channels_first(case: tuple[str, dict[str, Any]], training: bool) -> None:
    name, arguments = case
    last = getattr(layers, name)(**arguments)(IMAGES, training=training)
    first = getattr(layers, name)(**arguments, data_format="channels_first")(FIRST, training=training)
    np.testing.assert_allclose(np.moveaxis(first, 1, -1), last, rtol=1e-5, atol=1e-3)


# transformations that the reference drew, in its own form
DRAWN: list[tuple[str, dict[str, Any], str | None]] = [
    ("RandomContrast", {"factor": 0.7}, None),
    ("RandomHue", {"factor": 0.6}, None),
    ("RandomSharpness", {"factor": 1.0}, None),
    ("RandomShear", {"x_factor": 0.4, "y_factor": (0.1, 0.2)}, "size"),
    ("RandomFlip", {}, "size"),
    ("RandomFlip", {"mode": "vertical"}, "size"),
    ("RandomPerspective", {"factor": (0.5, 0.7), "scale": 0.4, "fill_value": 9.0}, "size"),
    ("RandomPosterization", {"factor": 7}, None),
    ("RandomErasing", {"factor": 0.9}, None),
    ("RandomErasing", {"fill_value": 99.0}, None),
    ("Solarization", {"addition_factor": 0.4, "threshold_factor": 0.9}, None),
    ("MixUp", {"alpha": 1.0}, None),
    ("CutMix", {"factor": 1.0}, None),
    ("RandomGaussianBlur", {"factor": 0.9}, None),
    ("RandomInvert", {"factor": 0.9}, None),
]


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64:UserWarning")  # the reference's own
@pytest.mark.parametrize("case", DRAWN, ids=shown)
def test_drawn_parameters(keras: Any, case: tuple[str, dict[str, Any], str | None]) -> None:
    name, arguments, extra = case
    ours = getattr(layers, name)(**arguments, seed=3)
    theirs = getattr(keras.layers, name)(**arguments, seed=3)
    drawn = theirs.get_random_transformation(IMAGES, training=True)
    images, labels = keras.ops.convert_to_tensor(IMAGES), np.eye(3, dtype="float32")
    expected = np.asarray(theirs.transform_images(images, drawn, training=True))
    wanted = np.asarray(theirs.transform_labels(keras.ops.convert_to_tensor(labels), drawn, training=True))
    drawn = {k: np.asarray(v) for k, v in drawn.items() if k != "input_shape"}
    drawn |= {"size": IMAGES.shape[1:3]} if extra else {}
    found = ours.transform_images(IMAGES, drawn, training=True)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=5e-3)
    mixed = ours.transform_labels(labels, drawn, training=True)
    np.testing.assert_allclose(mixed, wanted, rtol=1e-5, atol=1e-5)
    assert set(ours.get_random_transformation(IMAGES, training=True)) == set(drawn)


BOXES = {
    "boxes": np.array(
        [[[1, 2, 4, 6], [0, 0, 3, 3]], [[2, 1, 5, 7], [4, 4, 6, 8]], [[1, 1, 2, 2], [0, 0, 0, 0]]], "float32"
    ),
    "labels": np.array([[1, 2], [3, 4], [5, -1]], "int32"),
}
BOXED = [
    ("RandomFlip", {"mode": "horizontal", "seed": 1}),
    ("RandomRotation", {"factor": (0.05, 0.05)}),
    ("RandomZoom", {"height_factor": (0.3, 0.3), "width_factor": (-0.2, -0.2)}),
    ("RandomTranslation", {"height_factor": (0.3, 0.3), "width_factor": (-0.21, -0.21)}),
    ("Resizing", {"height": 4, "width": 12}),
    ("CenterCrop", {"height": 4, "width": 5}),
    ("CenterCrop", {"height": 10, "width": 9}),
    ("MaxNumBoundingBoxes", {"max_number": 3}),
    ("MaxNumBoundingBoxes", {"max_number": 1}),
    ("RandomContrast", {"factor": 0.3}),
]


@pytest.mark.parametrize("form", ["xyxy", "rel_xyxy"])
@pytest.mark.parametrize("case", BOXED, ids=shown)
def test_boxes(keras: Any, case: tuple[str, dict[str, Any]], form: str) -> None:
    name, arguments = case
    if name == "RandomRotation" and form != "xyxy":
        pytest.skip("the reference takes the numbers for pixels")
    boxes = _converted(form)
    data = {"images": IMAGES, "bounding_boxes": {"boxes": boxes, "labels": BOXES["labels"]}}
    theirs = getattr(keras.layers, name)(**arguments, bounding_box_format=form)
    ours = getattr(layers, name)(**arguments, bounding_box_format=form)
    if name == "RandomFlip":
        drawn = theirs.get_random_transformation(IMAGES)
        given = {k: keras.ops.convert_to_tensor(v) for k, v in data["bounding_boxes"].items()}
        wanted = theirs.transform_bounding_boxes(given, drawn)
        drawn = {"flips": np.asarray(drawn["flips"]), "size": IMAGES.shape[1:3]}
        found = ours.transform_bounding_boxes(data["bounding_boxes"], drawn)
    else:
        found = ours(data, training=True)["bounding_boxes"]
        copied = {"images": IMAGES, "bounding_boxes": dict(data["bounding_boxes"])}
        wanted = theirs(copied, training=True)["bounding_boxes"]
    np.testing.assert_allclose(found["boxes"], np.asarray(wanted["boxes"]), rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(found["labels"], np.asarray(wanted["labels"]))


def _converted(form: str) -> Any:
    from triceras.utils.bounding_boxes import convert_format

    return convert_format(BOXES["boxes"], "xyxy", form, *IMAGES.shape[1:3])
