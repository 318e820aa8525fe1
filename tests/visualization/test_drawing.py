"""Boxes, masks and galleries, beside the reference's where it is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import triceras as keras
from triceras import visualization
from triceras.core.errors import ArgumentError, ArgumentTypeError, ShapeError

pytest.importorskip("PIL")
pytest.importorskip("matplotlib")
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (2, 40, 50, 3), "uint8")
BOXES = {
    "boxes": np.array([[[5, 6, 30, 25], [1, 2, 9, 9]], [[10, 10, 40, 35], [0, 0, 0, 0]]]),
    "labels": [[0, 1], [1, -1]],
}
MASKS = RANDOM.integers(-1, 3, (2, 40, 50, 1), "int32")
COLORS = [(10, 20, 30), (200, 0, 0), (0, 200, 0)]


@pytest.fixture(autouse=True)
def numpy_engine() -> Any:
    with keras.use_engine("numpy"):
        yield


@pytest.fixture
def reference() -> Any:
    pytest.importorskip("cv2")
    return pytest.importorskip("keras").visualization


def test_boxes(reference: Any) -> None:
    options = {"bounding_box_format": "xyxy", "color": (1, 2, 3), "line_thickness": 1}
    found = visualization.draw_bounding_boxes(IMAGES, BOXES, **options)
    labels = {**BOXES, "labels": np.array(BOXES["labels"])}
    np.testing.assert_array_equal(found, reference.draw_bounding_boxes(IMAGES.copy(), labels, **options))
    floats = visualization.draw_bounding_boxes(IMAGES / 255, BOXES, **options)
    assert np.abs(floats.astype(int) - found).max() <= 1
    first = visualization.draw_bounding_boxes(
        IMAGES.transpose(0, 3, 1, 2), BOXES, data_format="channels_first", **options
    )
    np.testing.assert_array_equal(first.transpose(0, 2, 3, 1), found)
    relative = {**BOXES, "boxes": BOXES["boxes"] / [50, 40, 50, 40]}
    again = visualization.draw_bounding_boxes(
        IMAGES, relative, **(options | {"bounding_box_format": "rel_xyxy"})
    )
    assert (again != found).mean() < 0.02  # but for rounding


@pytest.mark.parametrize("channels", [1, 4])
def test_names_on_boxes(channels: int) -> None:
    images = np.zeros((2, 40, 50, channels))
    plain = visualization.draw_bounding_boxes(images, BOXES, "xyxy")
    named = visualization.draw_bounding_boxes(images, BOXES, "xyxy", {0: "cat"}, font_scale=0.4)
    sure = visualization.draw_bounding_boxes(
        images, BOXES | {"confidences": [[0.5, 0.9], [0.1, 0.1]]}, "xyxy", {0: "cat"}, font_scale=0.4
    )
    assert plain.shape == images.shape and named[0].sum() > plain[0].sum() and sure[0].sum() > named[0].sum()
    np.testing.assert_array_equal(named[1], plain[1])  # its labels have no names


@pytest.mark.parametrize("alpha", [0.3, 0.8])
def test_masks(reference: Any, alpha: float) -> None:
    options = {"num_classes": 3, "color_mapping": COLORS, "alpha": alpha}
    found = visualization.draw_segmentation_masks(IMAGES, MASKS, **options)
    expected = reference.draw_segmentation_masks(IMAGES, MASKS, **options)
    assert found.dtype == np.uint8 and np.abs(found.astype(int) - expected).max() <= 1
    first = visualization.draw_segmentation_masks(
        IMAGES.transpose(0, 3, 1, 2), MASKS.transpose(0, 3, 1, 2), data_format="channels_first", **options
    )
    np.testing.assert_array_equal(first, found)


def test_masks_of_full_color() -> None:
    found = visualization.draw_segmentation_masks(
        IMAGES, MASKS, color_mapping=dict(enumerate(COLORS)), blend=False
    )
    for index, color in enumerate(COLORS):
        assert (found[MASKS[..., 0] == index] == color).all()
    np.testing.assert_array_equal(found[MASKS[..., 0] == -1], IMAGES[MASKS[..., 0] == -1])
    few = visualization.draw_segmentation_masks(IMAGES, MASKS, num_classes=1, ignore_index=0)
    np.testing.assert_array_equal(few, IMAGES)
    assert (
        len(
            np.unique(
                visualization.draw_segmentation_masks(IMAGES, MASKS, alpha=1)[MASKS[..., 0] >= 0], axis=0
            )
        )
        == 3
    )


def test_galleries(tmp_path: Path) -> None:
    gallery = visualization.plot_image_gallery
    names = {0: "cat", 1: "dog"}
    figure = gallery(IMAGES, [0, 1], [0, 0], names, path=tmp_path / "a.png")
    assert [a.get_title() for a in figure.axes] == ["true: cat\npredicted: cat", "true: dog\npredicted: cat"]
    assert (tmp_path / "a.png").stat().st_size > 1000
    assert [a.get_title() for a in gallery(IMAGES, y_pred=[1, 5], label_map=names, show=False).axes] == [
        "dog",
        "5",
    ]
    for options, count in (({}, 7), ({"rows": 2}, 7), ({"cols": 3}, 7), ({"rows": 2, "cols": 2}, 4)):
        assert len(gallery(np.zeros((7, 8, 8, 1)), show=False, **options).axes) == count
    one = gallery(
        IMAGES[0].transpose(2, 0, 1) / 127.5 - 1,
        value_range=(-1, 1),
        show=False,
        data_format="channels_first",
    )
    np.testing.assert_allclose(one.axes[0].images[0].get_array(), IMAGES[0] / 255, atol=1e-6)
    boxes = visualization.plot_bounding_box_gallery(
        IMAGES, "xyxy", BOXES, BOXES, class_mapping=names, legend=True, path=tmp_path / "b.png", cols=1
    )
    assert len(boxes.axes) == 2 and len(boxes.legends) == 1
    masks = visualization.plot_segmentation_mask_gallery(
        IMAGES, 3, y_true=MASKS, y_pred=MASKS, path=tmp_path / "c.png"
    )
    assert len(masks.axes) == 6


@pytest.mark.parametrize(
    ("name", "arguments", "error", "message"),
    [
        ("draw_bounding_boxes", (IMAGES[0], BOXES, "xyxy"), ShapeError, "must be a batch"),
        ("draw_bounding_boxes", (IMAGES, [], "xyxy"), ArgumentTypeError, "must be a dict"),
        ("draw_bounding_boxes", (IMAGES, {"boxes": []}, "xyxy"), ArgumentError, 'needs "boxes" and "labels"'),
        ("draw_bounding_boxes", (np.zeros((1, 2, 2, 5)), BOXES, "xyxy"), ShapeError, "1, 3 or 4 channels"),
        (
            "draw_segmentation_masks",
            (IMAGES, MASKS.astype(float)),
            ArgumentTypeError,
            "must hold whole numbers",
        ),
        ("draw_segmentation_masks", (IMAGES, MASKS[..., 0]), ShapeError, "must be"),
        ("plot_image_gallery", (IMAGES, [0, 1]), ArgumentError, "needs `label_map`"),
        ("plot_image_gallery", (np.zeros((3, 3)),), ShapeError, "must be"),
        ("plot_segmentation_mask_gallery", (IMAGES[0], 2), ShapeError, "must be"),
    ],
)
def test_mistakes(name: str, arguments: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        getattr(visualization, name)(*arguments)
