"""Bounding boxes beside the reference's functions."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest

from triceras import use_engine
from triceras.core.errors import ArgumentError, ShapeError
from triceras.utils import bounding_boxes as boxed

random = np.random.default_rng(0)


def boxes(*shape: int) -> np.ndarray:
    corners = random.uniform(0, 20, (*shape, 2)).astype("float32")
    return np.concatenate([corners, corners + random.uniform(1, 12, corners.shape)], axis=-1).astype(
        "float32"
    )


SOME, OTHERS, BATCH = boxes(4), boxes(3), boxes(2, 4)


@pytest.fixture(autouse=True)
def engine() -> Any:
    with use_engine("numpy") as active:
        yield active


@pytest.fixture(scope="session")
def theirs() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("keras").utils.bounding_boxes


def same(found: Any, expected: Any, **tolerance: float) -> None:
    np.testing.assert_allclose(
        np.asarray(found), np.asarray(expected), **{"rtol": 1e-4, "atol": 1e-4, **tolerance}
    )


@pytest.mark.parametrize(("source", "target"), list(itertools.product(boxed.FORMATS, boxed.FORMATS)))
def test_formats(theirs: Any, source: str, target: str) -> None:
    given = SOME / 40 if source.startswith("rel") else SOME
    settings = (source, target, 30, 40)
    same(boxed.convert_format(given, *settings), theirs.convert_format(given, *settings))
    there = boxed.convert_format(given, *settings)
    same(boxed.convert_format(there, target, source, 30, 40), given)


def test_moves(theirs: Any) -> None:
    angles = [random.uniform(-9, 9, 2).astype("float32") for _ in range(3)]
    shares = [random.uniform(0.8, 1.2, 2).astype("float32") for _ in range(3)]
    settings = (angles[0], shares[0] - 1, shares[1] - 1, shares[2], angles[1], angles[2], 30, 40)
    for centre in ({}, {"center_x": 0.2, "center_y": 0.9}):
        found, expected = (m.affine_transform(BATCH, *settings, **centre) for m in (boxed, theirs))
        same(found, expected, atol=1e-3)
    same(boxed.crop(SOME, 3, 5, 10, 12), theirs.crop(SOME, 3, 5, 10, 12))
    same(boxed.pad(SOME, 3, 5), theirs.pad(SOME, 3, 5))
    for form, given in (("xyxy", SOME), ("rel_xyxy", SOME / 20)):
        labelled = {"boxes": given, "labels": np.arange(4)}
        found, expected = (m.clip_to_image_size(dict(labelled), 10, 12, form) for m in (boxed, theirs))
        same(found["boxes"], expected["boxes"])
        same(found["labels"], expected["labels"])


def test_overlaps(theirs: Any) -> None:
    for settings in (("xyxy",), ("center_xywh", True), ("rel_xyxy", False, -1, (30, 40, 3))):
        same(boxed.compute_iou(SOME, OTHERS, *settings), theirs.compute_iou(SOME, OTHERS, *settings))
        same(boxed.compute_iou(BATCH, BATCH, *settings), theirs.compute_iou(BATCH, BATCH, *settings))
    filled = boxed.compute_iou(np.array([[-1.0] * 4, SOME[0]]), OTHERS, "xyxy", True, 7)
    assert (filled[0] == 7).all() and (filled[1] != 7).all()
    same(boxed.compute_ciou(SOME, SOME[::-1], "xyxy"), theirs.compute_ciou(SOME, SOME[::-1], "xyxy"))


def test_deltas(theirs: Any) -> None:
    for settings in ({}, {"variance": [0.1, 0.1, 0.2, 0.2]}):
        for form in boxed.ENCODINGS:
            given = (SOME, SOME[::-1], "xyxy", "xywh", form)
            deltas = boxed.encode_box_to_deltas(*given, **settings)
            same(deltas, theirs.encode_box_to_deltas(*given, **settings))
            back = boxed.decode_deltas_to_boxes(SOME, deltas, "xyxy", "xywh", form, **settings)
            same(back, SOME[::-1], atol=1e-3)
    assert set(boxed.decode_deltas_to_boxes({"a": SOME}, {"a": deltas}, "xyxy", "xyxy")) == {"a"}


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: boxed.convert_format(SOME, "xyxy", "corners"), ArgumentError, "must be one of"),
        (lambda: boxed.convert_format(SOME, "xyxy", "rel_xyxy"), ArgumentError, "needs `height` and `width`"),
        (lambda: boxed.convert_format(SOME[:, :3], "xyxy", "xywh"), ShapeError, "shape"),
        (lambda: boxed.crop(SOME, 0, 0, 1, 1, "xywh"), ArgumentError, "convert_format"),
        (lambda: boxed.clip_to_image_size({"boxes": SOME}), ArgumentError, "needs `height`"),
        (
            lambda: boxed.encode_box_to_deltas(SOME, SOME, "xyxy", "xyxy", "xywh"),
            ArgumentError,
            "`encoding_format`",
        ),
        (lambda: boxed.compute_iou(SOME[0], SOME, "xyxy"), ShapeError, "`boxes1`"),
    ],
)
def test_errors(call: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        call()
