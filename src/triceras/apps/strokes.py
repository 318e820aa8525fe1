"""From strokes or a picture of a digit to what MNIST would show: 28x28 pixels, white on black.

MNIST's digits were scaled into 20x20 with their proportions, and their centre of mass put into the middle
(LeCun et al., 1998). Here the lines also get the thickness usual there, so that it doesn't matter how large,
how thick and how far from the middle somebody writes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from triceras.core.errors import ArgumentError, ShapeError, shown

SIDE, BOX = 28, 20  # pixels of a picture, and of the box into which a digit is scaled
LINE = 2.4  # pixels, the thickness of lines in that box
USUAL = (1.8, 3.8)  # thicknesses that are left as they are
FINE = 4  # pixels of the copy on which thickness is measured and changed, for one of the box
FAINT = 24  # of 255: a canvas without anything brighter is empty

Strokes = Sequence[Sequence[Sequence[float]]]


def draw_strokes(strokes: Strokes, size: int, width: float) -> np.ndarray:
    """A black canvas with white lines.

    Args:
        strokes: each a list of points (x, y) from 0 to 1, to the right and down; one point alone makes a dot.
        size: pixels of a side.
        width: pixels of a line.

    Returns:
        (size, size) uint8.

    >>> draw_strokes([[(0.5, 0.3), (0.5, 0.7)]], 5, 1.0)[:, 2].tolist()
    [0, 255, 255, 255, 0]
    """
    canvas = np.zeros((size, size))
    for points in checked(strokes):
        points = points * size - 0.5  # to the middles of pixels
        for start, end in zip(points, points[1:] if len(points) > 1 else points, strict=False):
            add_line(canvas, start, end, width)
    return np.round(canvas * 255).astype("uint8")


def add_line(canvas: np.ndarray, start: np.ndarray, end: np.ndarray, width: float) -> None:
    """Draw a line with round ends between two points (x, y), in pixels, on a canvas of values from 0 to 1."""
    reach = width / 2 + 1
    low = np.floor(np.minimum(start, end) - reach).astype(int).clip(0)
    high = np.ceil(np.maximum(start, end) + reach).astype(int) + 1
    part = canvas[low[1] : max(high[1], 0), low[0] : max(high[0], 0)]
    y, x = np.ogrid[low[1] : low[1] + part.shape[0], low[0] : low[0] + part.shape[1]]
    (dx, dy), length = end - start, float(np.sum((end - start) ** 2))
    along = ((x - start[0]) * dx + (y - start[1]) * dy) / length if length else 0.0
    along = np.clip(along, 0, 1)
    distance = np.hypot(x - start[0] - along * dx, y - start[1] - along * dy)
    np.maximum(part, np.clip(width / 2 + 0.5 - distance, 0, 1), out=part)


def checked(strokes: Strokes) -> list[np.ndarray]:
    """Strokes as arrays (n, 2), those without points left out.

    Raises:
        ArgumentError: they are no lists of pairs of finite numbers.
    """
    try:
        arrays = [np.asarray(points, "float64").reshape(-1, 2) for points in strokes if len(points)]
    except (TypeError, ValueError):
        arrays = [np.array([[np.nan, 0]])]
    if not all(np.isfinite(a).all() for a in arrays):
        raise ArgumentError(f"Strokes are lists of points (x, y), finite numbers. Received: {shown(strokes)}")
    return arrays


def digit_from_strokes(strokes: Strokes) -> np.ndarray:
    """What MNIST would show of a digit written like this, (28, 28) uint8; black where there are no strokes.

    Args:
        strokes: each a list of points (x, y), in any unit that is the same in both directions.

    >>> digit = digit_from_strokes([[(3, 3), (3, 9)]])
    >>> digit.shape, int(digit[14, 14]), int(digit[14, 4])
    ((28, 28), 255, 0)
    """
    arrays = checked(strokes)
    if not arrays:
        return np.zeros((SIDE, SIDE), "uint8")
    points = np.concatenate(arrays)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = (BOX - LINE) / max((high - low).max(), 1e-9)
    if scale > 1e8:  # dots on one place
        scale = 0.0
    middle = np.array([SIDE / 2, SIDE / 2])
    offset = middle - (low + high) / 2 * scale
    for _ in range(2):  # around its box, then around its centre of mass
        digit = draw_strokes([(a * scale + offset) / SIDE for a in arrays], SIDE, LINE)
        offset = offset + middle - _centre_of_mass(digit)
    return digit


def digit_from_canvas(canvas: np.ndarray) -> np.ndarray:
    """What MNIST would show of the white digit on a black canvas, (28, 28) uint8; black for an empty canvas.

    Args:
        canvas: (height, width) uint8.

    >>> canvas = draw_strokes([[(0.1, 0.1), (0.1, 0.3)]], 280, 3)
    >>> int(digit_from_canvas(canvas)[14, 14]) > 200
    True
    """
    canvas = np.asarray(canvas)
    if canvas.ndim != 2 or canvas.dtype != np.uint8:
        raise ShapeError(f"A canvas is (height, width) of uint8. Received {canvas.shape} of {canvas.dtype}.")
    if not canvas.size or canvas.max() <= FAINT:
        return np.zeros((SIDE, SIDE), "uint8")
    ink = _cut_out(canvas.astype("float64") / canvas.max(), BOX * FINE)
    ink = np.pad(ink, 4 * FINE)
    distance = _signed_distance(ink > 0.5)
    thickness = _thickness(distance) / FINE
    if not USUAL[0] <= thickness <= USUAL[1]:
        # the line in the middle grows as its thickness shrinks, so that both fill the box together
        growth = (BOX - LINE) / max(BOX - thickness, LINE)
        change = (LINE / growth - thickness) / 2 * FINE
        ink = np.clip(0.5 + change - distance, 0, 1)
    return _placed(_cut_out(ink, BOX))


def digit_from_picture(picture: np.ndarray) -> np.ndarray:
    """What MNIST would show of a digit on plain paper or a plain board, (28, 28) uint8.

    Args:
        picture: (height, width) uint8, gray; what its edge shows is taken for the ground.

    >>> paper = 255 - draw_strokes([[(0.4, 0.1), (0.4, 0.9)]], 64, 5)
    >>> int(digit_from_picture(paper)[14, 14]) > 200
    True
    """
    contrast = np.abs(picture.astype("float64") - _ground(picture))
    if contrast.max() <= FAINT:
        return np.zeros((SIDE, SIDE), "uint8")
    most = max(np.quantile(contrast, 0.995), contrast.max() / 2)
    clean = np.clip((contrast / most - 0.25) / 0.75, 0, 1)  # without the grain of paper
    return digit_from_canvas(np.round(clean * 255).astype("uint8"))


def is_like_mnist(picture: np.ndarray) -> bool:
    """Whether a gray picture can be one of MNIST's as it is: of that size, and black at the edge."""
    return picture.shape == (SIDE, SIDE) and _ground(picture) < 128


def _ground(picture: np.ndarray) -> float:
    """The brightness of what is written on."""
    return float(np.median(np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])))


def _cut_out(ink: np.ndarray, side: int) -> np.ndarray:
    """What is inside the box around the ink, scaled to a longer side; values from 0 to 1, as before."""
    from PIL import Image

    rows, columns = (np.flatnonzero((ink > 1 / 3).any(axis=axis)) for axis in (1, 0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = side / max(ink.shape)
    if side > BOX and scale < 0.5:  # by the largest of each block, so that thin lines aren't lost
        block = int(1 / scale)
        height, width = (-(-n // block) * block for n in ink.shape)
        ink = np.pad(ink, ((0, height - ink.shape[0]), (0, width - ink.shape[1])))
        ink = ink.reshape(height // block, block, width // block, block).max(axis=(1, 3))
        scale = side / max(ink.shape)
    size = [max(1, round(n * scale)) for n in (ink.shape[1], ink.shape[0])]
    fine = Image.fromarray(ink.astype("float32")).resize(size, Image.Resampling.HAMMING)
    return np.asarray(fine, "float64").clip(0, 1)


def _placed(ink: np.ndarray) -> np.ndarray:
    """The digit on its 28x28 pixels, its centre of mass in the middle as far as it fits."""
    digit = np.zeros((SIDE, SIDE), "uint8")
    middle = np.full(2, SIDE / 2)
    x, y = np.round(middle - _centre_of_mass(ink)).astype(int).clip(0, SIDE - np.array(ink.shape[::-1]))
    digit[y : y + ink.shape[0], x : x + ink.shape[1]] = np.round(ink * 255)
    return digit


def _centre_of_mass(ink: np.ndarray) -> np.ndarray:
    """(x, y) in pixels from the corner."""
    weights = [ink.sum(axis=axis, dtype="float64") for axis in (0, 1)]
    return np.array([np.average(np.arange(len(w)) + 0.5, weights=w) for w in weights])


def _signed_distance(inside: np.ndarray) -> np.ndarray:
    """How many pixels each pixel is from the edge of the ink; negative inside."""
    return np.where(inside, 0.5 - _distance_to(~inside), _distance_to(inside) - 0.5)


def _distance_to(goal: np.ndarray) -> np.ndarray:
    """The distance of each pixel to the nearest pixel of the goal, one axis after the other."""
    squares = np.where(goal, 0.0, 1e9)
    for axis in (0, 1):
        steps = np.subtract.outer(np.arange(goal.shape[axis]), np.arange(goal.shape[axis])) ** 2
        squares = np.moveaxis((np.moveaxis(squares, axis, -1)[..., None, :] + steps).min(axis=-1), -1, axis)
    return np.sqrt(squares)


def _thickness(distance: np.ndarray) -> float:
    """The usual thickness of lines: twice the depth along their middles."""
    depth = -distance
    around = np.lib.stride_tricks.sliding_window_view(np.pad(depth, 1, constant_values=-1), (3, 3))
    middles = (depth > 0) & (depth >= around.max(axis=(2, 3)))
    return float(2 * np.median(depth[middles]))
