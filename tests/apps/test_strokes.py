"""Strokes and canvases as MNIST would show them, whatever their size, place and thickness."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.apps.handwriting import placed, strokes_of
from triceras.apps.strokes import (
    BOX,
    SIDE,
    digit_from_canvas,
    digit_from_picture,
    digit_from_strokes,
    draw_strokes,
    is_like_mnist,
)
from triceras.core.errors import ArgumentError, ShapeError

TURNS = np.linspace(0, 1.5 * np.pi, 40)
HOOK = [np.stack([0.5 + 0.3 * np.cos(TURNS), 0.4 + 0.3 * np.sin(TURNS)], axis=1), [(0.2, 0.9), (0.6, 0.9)]]


def centre(digit: np.ndarray) -> np.ndarray:
    y, x = np.indices(digit.shape) + 0.5
    return np.array([np.average(a, weights=digit) for a in (x, y)])


def box(digit: np.ndarray) -> tuple[int, int]:
    rows, columns = (np.flatnonzero((digit > 100).any(axis=axis)) for axis in (1, 0))
    return int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1


def test_lines() -> None:
    canvas = draw_strokes([[(0.25, 0.5), (0.75, 0.5)]], 40, 6)
    assert canvas.dtype == np.uint8 and canvas[20, 20] == 255 and canvas[15, 20] == 0
    assert canvas.sum() / 255 == pytest.approx(20 * 6 + np.pi * 9, rel=0.02)  # a bar with round ends
    dot = draw_strokes([[(0.5, 0.5)]], 40, 10)
    assert dot.sum() / 255 == pytest.approx(np.pi * 25, rel=0.02)
    half = draw_strokes([[(0.0, 0.5), (2.0, 0.5)], [(-3, -3)], []], 40, 6)  # what is outside isn't drawn
    assert half[20].min() == 255 and half[:10].max() == 0
    assert draw_strokes([], 5, 1).max() == 0


@pytest.mark.parametrize("size", [0.08, 0.3, 1.0])
def test_size_and_place_make_no_difference(size: float) -> None:
    expected = digit_from_strokes(HOOK).astype(int)
    moved = [np.asarray(s) * size + 0.7 * (1 - size) for s in HOOK]
    assert np.abs(digit_from_strokes(moved) - expected).max() <= 2
    assert np.allclose(centre(expected), SIDE / 2, atol=0.3) and max(box(expected)) in (BOX - 1, BOX, BOX + 1)


@pytest.mark.parametrize("pixels", [120, 280, 1000])
@pytest.mark.parametrize("width", [0.007, 0.03, 0.06, 0.1])
def test_thickness_makes_little_difference(pixels: int, width: float) -> None:
    canvas = draw_strokes(HOOK, pixels, max(1.0, width * pixels))
    found = digit_from_canvas(canvas)
    assert found.shape == (SIDE, SIDE) and max(box(found)) <= BOX + 1
    assert np.allclose(centre(found), SIDE / 2, atol=0.75)
    expected = digit_from_strokes(HOOK)
    likeness = np.corrcoef(found.ravel(), expected.ravel())[0, 1]
    assert likeness > 0.8 and 0.6 < found.sum() / expected.sum() < 1.7


def test_paper_and_boards() -> None:
    ink = draw_strokes(HOOK, 200, 8).astype(float)
    grain = np.random.default_rng(0).normal(0, 4, ink.shape)
    expected = digit_from_canvas(ink.astype("uint8")).astype(int)
    for picture in (255 - ink, 40 + ink * 0.5, np.clip(230 - ink * 0.6 + grain, 0, 255)):
        found = digit_from_picture(picture.astype("uint8"))
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.9
    assert digit_from_picture(np.full((50, 50), 180, "uint8")).max() == 0


@pytest.mark.parametrize(
    "strokes",
    [[], [[]], [[(0.5, 0.5)]], [[(0.5, 0.5), (0.5, 0.5)]], [[(0, 0), (1, 0)]], [[(0, 0)], [(1, 1)]]],
)
def test_little_to_go_by(strokes: Any) -> None:
    empty = not any(len(s) for s in strokes)
    for digit in (digit_from_strokes(strokes), digit_from_canvas(draw_strokes(strokes, 100, 5))):
        assert digit.shape == (SIDE, SIDE) and digit.dtype == np.uint8 and (digit.max() == 0) == empty


@pytest.mark.parametrize(
    "canvas", [np.full((9, 5), 255), np.eye(30) * 255, np.diag([0] * 99 + [255]), np.zeros((1, 1))]
)
def test_odd_canvases(canvas: np.ndarray) -> None:
    assert digit_from_canvas(canvas.astype("uint8")).shape == (SIDE, SIDE)


@pytest.mark.parametrize("strokes", [[[(1, np.nan)]], [[(1, 2, 3)]], [["ab"]], [[(np.inf, 0)]], 5, [3]])
def test_mistakes(strokes: Any) -> None:
    with pytest.raises(ArgumentError, match="Strokes are lists of points"):
        digit_from_strokes(strokes)


def test_mistaken_canvases() -> None:
    for canvas in (np.zeros((2, 2)), np.zeros((2, 2, 3), "uint8")):
        with pytest.raises(ShapeError, match="A canvas is"):
            digit_from_canvas(canvas)


def test_like_mnist() -> None:
    digit = digit_from_strokes(HOOK)
    assert is_like_mnist(digit) and not is_like_mnist(255 - digit) and not is_like_mnist(np.zeros((30, 28)))


def test_a_digit_becomes_strokes_and_itself_again() -> None:
    digit = digit_from_strokes(HOOK)
    strokes = placed(strokes_of(digit), np.random.default_rng(0))
    assert all(s.min() >= 0 and s.max() <= 1 for s in strokes)
    assert np.corrcoef(digit_from_strokes(strokes).ravel(), digit.ravel())[0, 1] > 0.85
