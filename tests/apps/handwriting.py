"""Digits of MNIST as the strokes of a pen: what somebody would draw who writes like that."""

from __future__ import annotations

import numpy as np

FINE = 4  # pixels on which lines are thinned, for one of the picture
SHORTEST = 4  # of these pixels, below which a side branch is no stroke

# the eight neighbours around a pixel, in order, as (rows, columns)
AROUND = [(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)]


def strokes_of(digit: np.ndarray) -> list[np.ndarray]:
    """The middles of a digit's lines, each (n, 2) of x and y from 0 to 1.

    Args:
        digit: (height, width) uint8, white on black.
    """
    from PIL import Image

    height, width = digit.shape
    fine = Image.fromarray(digit).resize((width * FINE, height * FINE), Image.Resampling.BICUBIC)
    lines = thinned(np.pad(np.asarray(fine) > 110, 1))
    return [(smooth(path)[:, ::-1] - 0.5) / (FINE * np.array([width, height])) for path in paths(lines)]


def placed(strokes: list[np.ndarray], random: np.random.Generator, least: float = 0.25) -> list[np.ndarray]:
    """The same digit somewhere else on the canvas, of another size: `least` of its side, or more."""
    points = np.concatenate(strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    size = random.uniform(least, 0.9)
    scale = size / (high - low).max()
    room = 0.96 - (high - low) * scale
    corner = 0.02 + random.random(2) * room
    return [(s - low) * scale + corner for s in strokes]


def thinned(ink: np.ndarray) -> np.ndarray:
    """Lines of one pixel (Zhang and Suen, 1984)."""
    ink = ink.copy()
    while True:
        before = ink.sum()
        for first, second in (((0, 2, 4), (2, 4, 6)), ((0, 2, 6), (0, 4, 6))):
            ring = np.array([np.roll(ink, (-y, -x), (0, 1)) for y, x in AROUND])
            count = ring.sum(axis=0)
            turns = (~ring & np.roll(ring, -1, axis=0)).sum(axis=0)
            edge = (count >= 2) & (count <= 6) & (turns == 1)
            ink &= ~(edge & ~ring[list(first)].all(axis=0) & ~ring[list(second)].all(axis=0))
        if ink.sum() == before:
            return ink


def paths(lines: np.ndarray) -> list[np.ndarray]:
    """Lines of one pixel as walks along them, (n, 2) rows and columns, from ends and from branches on."""
    left = {(int(y), int(x)) for y, x in np.argwhere(lines)}
    every = set(left)

    def beside(point: tuple[int, int], among: set[tuple[int, int]]) -> list[tuple[int, int]]:
        near = [(point[0] + y, point[1] + x) for y, x in sorted(AROUND, key=lambda s: abs(s[0]) + abs(s[1]))]
        return [p for p in near if p in among]

    found = []
    while left:
        ends = [p for p in left if len(beside(p, left)) == 1 and len(beside(p, every)) == 1]
        branches = [p for p in left if len(beside(p, every)) > len(beside(p, left))]
        start = min(ends or branches or left)
        joint = [p for p in beside(start, every) if p not in left]
        path = [*joint[:1], start]
        left.discard(start)
        while near := beside(path[-1], left):
            heading = np.subtract(path[-1], path[max(-5, -len(path))])
            path.append(max(near, key=lambda p: float(np.dot(np.subtract(p, path[-1]), heading))))
            left.discard(path[-1])
        path += [p for p in beside(path[-1], every) if p not in path[-4:]][:1]  # a ring closes
        if len(path) > SHORTEST or not found:
            found.append(np.array(path, "float64"))
    return found


def smooth(path: np.ndarray) -> np.ndarray:
    """Without the staircase of pixels: every third point of a moving average."""
    if len(path) < 5:
        return path
    around = np.pad(path, ((2, 2), (0, 0)), mode="edge")
    means = np.mean([around[i : i + len(path)] for i in range(5)], axis=0)
    means[[0, -1]] = path[[0, -1]]
    return np.concatenate([means[:-1:3], means[-1:]])
