"""Images seen through a change of places: affine, perspective and elastic transforms, all by one sampling.

A transform says for each pixel of the result where in the image it is found. Places between pixels are
interpolated; how an image goes on beyond its frame is its `fill_mode`, which is a map of places into the
frame."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any

from triceras.core import config
from triceras.core.dtypes import is_float_dtype, promote, result_type, standardize_dtype
from triceras.core.errors import ArgumentError, ShapeError
from triceras.core.spec import KerasTensor
from triceras.ops.creation import arange, cast, saturate_cast
from triceras.ops.elementwise import abs, clip, floor, logical_and, minimum, mod, round, sign
from triceras.ops.image import gaussian_blur
from triceras.ops.indexing import take, where
from triceras.ops.linalg import solve
from triceras.ops.op import Kept, Tensor, op
from triceras.ops.shape import broadcast_to, concatenate, moveaxis, pad, reshape, stack

public = partial(op, promote, at=("ops.image",))
FILL_MODES = ("constant", "nearest", "wrap", "mirror", "reflect")
INTERPOLATIONS = ("nearest", "bilinear")


@public()
def map_coordinates(
    inputs: Tensor, coordinates: Kept, order: int, fill_mode: str = "constant", fill_value: float = 0
) -> Tensor:
    """Values of a tensor at places between its elements.

    Args:
        inputs: a tensor of any rank.
        coordinates: the places, of shape (rank, ...): an index for each axis, not necessarily whole.
        order: 0 for the value of the nearest element, 1 for linear interpolation.
        fill_mode: what lies beyond the tensor: "constant" (`fill_value`), "nearest" (the last element),
            "wrap" (it starts again), "mirror" (it goes back, without repeating the last element) or
            "reflect" (it goes back, repeating the last element).
        fill_value: for "constant".

    >>> import numpy as np
    >>> map_coordinates(np.array([0.0, 10.0, 20.0]), np.array([[0.5, 1.9]]), order=1).tolist()
    [5.0, 19.0]
    """
    name = "map_coordinates"
    _known(name, "fill_mode", fill_mode, FILL_MODES)
    _known(name, "order", order, (0, 1))
    if coordinates.ndim < 2 or coordinates.shape[0] != inputs.ndim:
        raise ShapeError(
            f"{name}() takes coordinates of shape (rank of the inputs, ...), here ({inputs.ndim}, ...). "
            f"Received: coordinates of shape {tuple(coordinates.shape)}"
        )
    places = [coordinates[i][None] for i in range(inputs.ndim)]
    return sampled(inputs[None, ..., None], places, order == 0, fill_mode, fill_value)[0, ..., 0]


@public()
def affine_transform(
    images: Tensor,
    transform: Kept,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Tensor:
    """Images moved, turned, scaled, sheared, or seen in perspective.

    Args:
        images: one image or a batch.
        transform: eight numbers (a0, a1, a2, b0, b1, b2, c0, c1), or a row of them for each image. The pixel
            at column x and row y of the result is what stood at ((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2)
            / k) with k = c0 x + c1 y + 1.
        interpolation: "nearest" or "bilinear".
        fill_mode: what lies beyond the images, as in `map_coordinates`.
        fill_value: for "constant".
        data_format: "channels_last" or "channels_first"; None is `config.image_data_format()`.

    >>> import numpy as np
    >>> image = np.array([[[1.0], [2.0], [3.0]]])
    >>> affine_transform(image, np.array([1.0, 0, 1, 0, 1, 0, 0, 0]))[0, :, 0].tolist()
    [2.0, 3.0, 0.0]
    """
    name = "affine_transform"
    _known(name, "interpolation", interpolation, INTERPOLATIONS)
    _known(name, "fill_mode", fill_mode, FILL_MODES)
    if transform.ndim not in (1, 2) or transform.shape[-1] != 8:
        raise ShapeError(
            f"{name}() takes a `transform` of shape (8,) or (batch, 8). Received: {tuple(transform.shape)}"
        )
    rows = transform if transform.ndim == 2 else transform[None]
    return _transformed(name, images, rows, interpolation, fill_mode, fill_value, data_format)


@public(spec=lambda made, values, statics: KerasTensor(values[0].shape, values[0].dtype))
def perspective_transform(
    images: Tensor,
    start_points: Kept,
    end_points: Kept,
    interpolation: str = "bilinear",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Tensor:
    """Images seen in the perspective that brings four points to four others.

    Args:
        images: one image or a batch.
        start_points: four points (x, y) of an image, of shape (4, 2), or (batch, 4, 2).
        end_points: where they are in the result, of the same shape.
        interpolation: "nearest" or "bilinear".
        fill_value: what lies beyond the images.
        data_format: "channels_last" or "channels_first"; None is `config.image_data_format()`.

    >>> import numpy as np
    >>> corners = np.array([[0.0, 0], [2, 0], [0, 2], [2, 2]])
    >>> image = np.arange(9.0).reshape(3, 3, 1)
    >>> moved = perspective_transform(image, corners, corners + [1, 0])
    >>> np.allclose(moved[1, :, 0], [0, 3, 4], atol=1e-4)
    True
    """
    name = "perspective_transform"
    _known(name, "interpolation", interpolation, INTERPOLATIONS)
    for argument, points in (("start_points", start_points), ("end_points", end_points)):
        if points.ndim not in (2, 3) or tuple(points.shape[-2:]) != (4, 2):
            raise ShapeError(
                f"{name}() takes `{argument}` of shape (4, 2) or (batch, 4, 2). Received: "
                f"{tuple(points.shape)}"
            )
    if start_points.ndim == 2:
        start_points, end_points = start_points[None], end_points[None]
    transform = homography(start_points, end_points)
    return _transformed(name, images, transform, interpolation, "constant", fill_value, data_format)


def homography(start_points: Tensor, end_points: Tensor) -> Tensor:
    """The transforms (batch, 8) that bring points (batch, 4, 2) to others."""
    dtype = result_type(start_points.dtype, end_points.dtype, "float32")
    start, end = cast(start_points, dtype), cast(end_points, dtype)
    ones = end[..., :1] * 0 + 1
    here = concatenate([end, ones], axis=-1)
    nothing = here * 0
    equations = concatenate(
        [
            concatenate([here, nothing, -start[..., :1] * end], axis=-1),
            concatenate([nothing, here, -start[..., 1:] * end], axis=-1),
        ],
        axis=1,
    )
    return solve(equations, concatenate([start[..., 0], start[..., 1]], axis=1)[..., None])[..., 0]


@public()
def elastic_transform(
    images: Tensor,
    alpha: float = 20.0,
    sigma: float = 5.0,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    seed: Any = None,
    data_format: str | None = None,
) -> Tensor:
    """Images whose pixels are displaced by a smooth random field. Simard et al., 2003,
    https://doi.org/10.1109/ICDAR.2003.1227801

    Args:
        images: one image or a batch.
        alpha: strength of the displacement.
        sigma: in pixels, of the Gaussian that smooths the displacement, and its standard deviation before
            that.
        interpolation: "nearest" or "bilinear".
        fill_mode: what lies beyond the images, as in `map_coordinates`.
        fill_value: for "constant".
        seed: an integer, which gives the same field each time, a `SeedGenerator`, or None for the default
            one.
        data_format: "channels_last" or "channels_first"; None is `config.image_data_format()`.

    >>> import numpy as np
    >>> elastic_transform(np.ones((8, 8, 3)), seed=1).shape
    (8, 8, 3)
    """
    name = "elastic_transform"
    _known(name, "interpolation", interpolation, INTERPOLATIONS)
    _known(name, "fill_mode", fill_mode, FILL_MODES)
    x, restore = as_batch(name, images, data_format)
    size = int(6 * sigma) | 1
    return restore(displaced(x, alpha, sigma, size, seed, interpolation, fill_mode, fill_value))


def displaced(
    x: Tensor,
    alpha: Any,
    sigma: Any,
    kernel_size: int,
    seed: Any,
    interpolation: str,
    fill_mode: str,
    fill_value: float,
) -> Tensor:
    """Batches of channels-last images displaced by a smooth random field; `alpha` and `sigma` may be
    tensors."""
    from triceras import random

    batch, height, width = x.shape[:3]
    noise = random.normal((batch, height, width, 2), seed=seed) * sigma
    field = gaussian_blur(noise, (kernel_size, kernel_size), stack([sigma, sigma]), "channels_last") * alpha
    rows, columns = (arange(n, dtype=field.dtype) for n in (height, width))
    places = [rows[:, None] + field[..., 0], columns + field[..., 1]]
    return sampled(x, places, interpolation == "nearest", fill_mode, fill_value)


# -- the one sampling ----------------------------------------------------------------------------------------


def _transformed(
    name: str,
    images: Tensor,
    transform: Tensor,
    interpolation: str,
    fill_mode: str,
    fill_value: float,
    data_format: str | None,
) -> Tensor:
    x, restore = as_batch(name, images, data_format)
    if transform.shape[0] != x.shape[0]:
        transform = broadcast_to(transform, (x.shape[0], 8))
    transform = real(transform)
    a0, a1, a2, b0, b1, b2, c0, c1 = (reshape(transform[:, i], (-1, 1, 1)) for i in range(8))
    rows, columns = (arange(n, dtype=transform.dtype) for n in x.shape[1:3])
    rows = rows[:, None]
    scale = 1 / (c0 * columns + c1 * rows + 1)
    places = [(b0 * columns + b1 * rows + b2) * scale, (a0 * columns + a1 * rows + a2) * scale]
    return restore(sampled(x, places, interpolation == "nearest", fill_mode, fill_value))


def as_batch(name: str, images: Tensor, data_format: str | None) -> tuple[Tensor, Any]:
    """Images as a channels-last batch, and what brings a result back to their form."""
    if images.ndim not in (3, 4):
        raise ShapeError(
            f"{name}() takes one image, of rank 3, or a batch, of rank 4. Received: shape "
            f"{tuple(images.shape)}"
        )
    last = config.standardize_data_format(data_format) == "channels_last"
    x = images if images.ndim == 4 else images[None]

    def restore(y: Tensor) -> Tensor:
        y = y if last else moveaxis(y, -1, 1)
        return y if images.ndim == 4 else y[0]

    return x if last else moveaxis(x, 1, -1), restore


def sampled(x: Tensor, places: Sequence[Tensor], nearest: bool, fill_mode: str, fill_value: float) -> Tensor:
    """Values of `x` (batch, *sizes, channels) at places (batch, ...), given as an index for each of the
    sizes."""
    sizes, dtype = x.shape[1:-1], standardize_dtype(x.dtype)
    if nearest:
        places = [sign(p) * floor(abs(p) + 0.5) for p in places]  # halves go away from zero
    elif not is_float_dtype(dtype):
        x = real(x)
    places = [_in_frame(real(p), n, fill_mode) for p, n in zip(places, sizes, strict=True)]
    if fill_mode == "wrap" and not nearest:  # between the last and the first element
        x = pad(x, [(0, 0), *[(0, 1)] * len(sizes), (0, 0)], mode="wrap")
    shifted = fill_mode == "constant" and fill_value != 0
    if shifted:
        x = (x if nearest and is_float_dtype(dtype) else real(x)) - fill_value
    found = _samples(x, *places, nearest=nearest) if len(sizes) == 2 else _gathered(x, places, nearest)
    found = found + fill_value if shifted else found
    if standardize_dtype(found.dtype) == dtype:
        return found
    return cast(found, dtype) if is_float_dtype(dtype) else saturate_cast(round(found), dtype)


def _in_frame(place: Tensor, n: int, fill_mode: str) -> Tensor:
    """The index from 0 to n - 1 where the same is found; with "constant" just beyond these, where nothing
    is."""
    if fill_mode == "constant":
        return clip(place, -2.0, n + 1.0)
    if fill_mode == "wrap":
        return mod(place, n)
    if fill_mode == "mirror":
        period = max(2 * n - 2, 1)
        place = mod(place, period)
        place = minimum(place, period - place)
    elif fill_mode == "reflect":
        place = mod(place + 0.5, 2 * n)
        place = minimum(place, 2 * n - place) - 0.5
    return clip(place, 0.0, n - 1.0)


@op(at=())
def _samples(images: Kept, rows: Kept, columns: Kept, nearest: bool) -> Tensor:
    """Values of images (batch, height, width, channels) at places (batch, ...); beyond the frame all is 0."""
    return _gathered(images, [rows, columns], nearest)


def _gathered(x: Tensor, places: Sequence[Tensor], nearest: bool) -> Tensor:
    """Weighted sums of the elements around each place: of the one it is on, or of two along each axis."""
    sizes = x.shape[1:-1]
    nodes, step = [], 1
    for place, n in reversed(list(zip(places, sizes, strict=True))):
        low = floor(place)
        share = place - low
        first = cast(low, "int32")
        around = [(first, None)] if nearest else [(first, 1 - share), (first + 1, share)]
        nodes.append([(clip(i, 0, n - 1) * step, w, logical_and(i >= 0, i < n)) for i, w in around])
        step *= n
    start = reshape(arange(x.shape[0], dtype="int32") * step, (-1, *(1,) * (places[0].ndim - 1)))
    elements = reshape(x, (-1, x.shape[-1]))
    total = None
    for corner in itertools.product(*nodes):
        index, inside, weight = start, True, None
        for i, w, there in corner:
            index, inside = index + i, there if inside is True else logical_and(inside, there)
            weight = w if weight is None else weight * w
        values = take(elements, index, axis=0)
        if nearest:
            return where(inside[..., None], values, cast(0, x.dtype))
        values = values * cast(where(inside, weight, 0.0), x.dtype)[..., None]
        total = values if total is None else total + values
    return total


def _known(name: str, argument: str, value: Any, known: Sequence[Any]) -> None:
    if value not in known:
        raise ArgumentError(
            f"{name}() takes one of {tuple(known)} as `{argument}`. Received: {argument}={value!r}"
        )


def real(x: Tensor) -> Tensor:
    """At least single precision."""
    return cast(x, result_type(x.dtype, "float32"))
