"""Single images moved, turned, stretched, and changed in brightness, as arrays of NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from triceras.core.errors import ArgumentError, require
from triceras.core.registry import export
from triceras.utils.images import array_to_img, img_to_array

FILL_MODES = ("constant", "nearest", "reflect", "wrap")


@export("preprocessing.image.apply_affine_transform")
def apply_affine_transform(
    x: ArrayLike,
    theta: float = 0,
    tx: float = 0,
    ty: float = 0,
    shear: float = 0,
    zx: float = 1,
    zy: float = 1,
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    order: int = 1,
) -> NDArray[Any]:
    """An image turned about its centre, shifted, sheared and stretched, in one resampling.

    Args:
        x: one image of rank 3.
        theta: angle in degrees, about the centre of a square image.
        tx: shift in pixels: what stood at `p + tx` comes to `p`, along the later axis of rows and columns.
        ty: shift along the other axis.
        shear: angle in degrees.
        zx: how much is shown in the direction of `tx` where 1 was; below 1 enlarges.
        zy: the same for the other direction.
        row_axis: axis of rows; `col_axis` and `channel_axis` are those of columns and channels.
        fill_mode: what is beyond the edges: "constant", "nearest", "reflect" or "wrap".
        cval: value there for "constant".
        order: 0 for the nearest pixel, 1 for linear interpolation, 2 to 5 for splines, which need SciPy.

    >>> apply_affine_transform(np.arange(3.0).reshape(1, 1, 3), tx=1).ravel()
    array([1., 2., 2.])
    """
    x = np.asarray(x)
    if fill_mode not in FILL_MODES:
        raise ArgumentError(f"`fill_mode` must be one of {FILL_MODES}. Received: {fill_mode!r}")
    if (theta, tx, ty, shear, zx, zy) == (0, 0, 0, 0, 1, 1):
        return x
    turn, lean = np.deg2rad(theta), np.deg2rad(shear)
    matrix = (
        np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
        @ np.array([[1, 0, tx], [0, 1, ty], [0, 0, 1]])
        @ np.array([[1, -np.sin(lean), 0], [0, np.cos(lean), 0], [0, 0, 1]])
        @ np.diag([zx, zy, 1.0])
    )
    image = np.moveaxis(x, (row_axis, col_axis, channel_axis), (0, 1, 2))
    centre = np.array([image.shape[0], image.shape[1]]) / 2 - 0.5
    offset = matrix[:2, 2] + centre - matrix[:2, :2] @ centre
    if col_axis > row_axis:  # x and y are columns and rows; the centre stays, as in the reference
        matrix, offset = matrix[[1, 0]][:, [1, 0, 2]], offset[::-1]
    if order > 1:
        found = _splines(image, matrix[:2, :2], offset, fill_mode, cval, order)
    else:
        found = _sampled(image, matrix[:2, :2], offset, fill_mode, cval, order)
    return np.moveaxis(found, (0, 1, 2), (row_axis, col_axis, channel_axis))


def _splines(x: Any, matrix: Any, offset: Any, mode: str, cval: float, order: int) -> NDArray[Any]:
    transform = require("scipy.ndimage", "vision", f"`interpolation_order={order}`").affine_transform
    channels = [
        transform(x[..., c], matrix, offset, order=order, mode=mode, cval=cval) for c in range(x.shape[2])
    ]
    return np.stack(channels, axis=-1)


def _sampled(
    x: NDArray[Any], matrix: NDArray[Any], offset: NDArray[Any], mode: str, cval: float, order: int
) -> NDArray[Any]:
    """The image at `matrix @ place + offset` of each place."""
    rows, columns, _ = x.shape
    places = np.arange(rows)[:, None], np.arange(columns)[None, :]
    at = [matrix[i, 0] * places[0] + matrix[i, 1] * places[1] + offset[i] for i in (0, 1)]
    outside = np.zeros((rows, columns), bool)
    if mode == "constant":
        for where, size in zip(at, x.shape, strict=False):
            outside |= (where < 0) | (where > size - 1)
    else:
        at = [_inside(where, size, mode) for where, size in zip(at, x.shape, strict=False)]
    if order == 0:
        r, c = (_index(np.floor(where + 0.5), size) for where, size in zip(at, x.shape, strict=False))
        found = x[r, c]
    else:
        (r0, c0) = lows = [np.floor(where) for where in at]
        fr, fc = ((where - low)[..., None].astype(_float(x)) for where, low in zip(at, lows, strict=True))
        r0, r1 = _index(r0, rows), _index(r0 + 1, rows)
        c0, c1 = _index(c0, columns), _index(c0 + 1, columns)
        above, below = ((1 - fc) * x[r, c0] + fc * x[r, c1] for r in (r0, r1))
        found = (1 - fr) * above + fr * below
    if outside.any():
        found = np.where(outside[..., None], cval, found)
    return (np.rint(found) if x.dtype.kind in "iu" else found).astype(x.dtype)


def _float(x: NDArray[Any]) -> Any:
    return x.dtype if x.dtype.kind == "f" else np.float64


def _index(where: NDArray[Any], size: int) -> NDArray[np.intp]:
    return np.clip(where, 0, size - 1).astype(np.intp)


def _inside(where: NDArray[Any], size: int, mode: str) -> NDArray[Any]:
    """Places beyond the edges brought back, as the mode says."""
    if mode == "nearest" or size == 1:
        return np.clip(where, 0, size - 1)
    if mode == "wrap":  # the last pixel is the first one again
        return np.where((where < 0) | (where > size - 1), np.mod(where, size - 1), where)
    folded = np.mod(where + 0.5, 2 * size)  # mirrored at the outer edge of the last pixel
    return np.clip(np.minimum(folded, 2 * size - folded) - 0.5, 0, size - 1)


@export("preprocessing.image.apply_channel_shift")
def apply_channel_shift(x: ArrayLike, intensity: float, channel_axis: int = 0) -> NDArray[Any]:
    """The image with `intensity` added to all values, which stay in the range that they had.

    >>> apply_channel_shift(np.array([[[1.0, 5.0]]]), 2.0).ravel().tolist()
    [3.0, 5.0]
    """
    x = np.asarray(x)
    return np.clip(x + intensity, x.min(), x.max())


@export("preprocessing.image.apply_brightness_shift")
def apply_brightness_shift(x: ArrayLike, brightness: float, scale: bool = True) -> NDArray[Any]:
    """The image brighter by a factor.

    Args:
        x: one image of rank 3, channels last.
        brightness: 1 changes nothing, 0 gives black.
        scale: whether to stretch values to 0...255 first.
    """
    enhance = require("PIL.ImageEnhance", "vision", "Changing brightness").Brightness
    x = np.asarray(x)
    low, high = x.min(), x.max()
    stretched = bool((low < 0) or (high > 255))
    image = array_to_img(x, "channels_last", scale=scale or stretched)
    found = img_to_array(enhance(image).enhance(brightness), "channels_last")
    if not scale and stretched:
        found = found / 255 * (high - low) + low
    return found


def _pair(name: str, value: Any) -> tuple[float, float]:
    if not isinstance(value, (tuple, list, np.ndarray)) or len(value) != 2:
        raise ArgumentError(f"`{name}` must be two numbers. Received: {value!r}")
    return value[0], value[1]


@export("preprocessing.image.random_rotation")
def random_rotation(
    x: ArrayLike,
    rg: float,
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    interpolation_order: int = 1,
) -> NDArray[Any]:
    """The image turned by up to `rg` degrees either way, drawn from NumPy's global generator."""
    theta = np.random.uniform(-rg, rg)
    return apply_affine_transform(
        x, theta=theta, row_axis=row_axis, col_axis=col_axis, channel_axis=channel_axis, fill_mode=fill_mode,
        cval=cval, order=interpolation_order,
    )  # fmt: skip


@export("preprocessing.image.random_shift")
def random_shift(
    x: ArrayLike,
    wrg: float,
    hrg: float,
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    interpolation_order: int = 1,
) -> NDArray[Any]:
    """The image shifted by up to a fraction of its width, `wrg`, and of its height, `hrg`."""
    x = np.asarray(x)
    tx = np.random.uniform(-hrg, hrg) * x.shape[row_axis]
    ty = np.random.uniform(-wrg, wrg) * x.shape[col_axis]
    return apply_affine_transform(
        x, tx=tx, ty=ty, row_axis=row_axis, col_axis=col_axis, channel_axis=channel_axis, fill_mode=fill_mode,
        cval=cval, order=interpolation_order,
    )  # fmt: skip


@export("preprocessing.image.random_shear")
def random_shear(
    x: ArrayLike,
    intensity: float,
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    interpolation_order: int = 1,
) -> NDArray[Any]:
    """The image sheared by up to `intensity` degrees either way."""
    shear = np.random.uniform(-intensity, intensity)
    return apply_affine_transform(
        x, shear=shear, row_axis=row_axis, col_axis=col_axis, channel_axis=channel_axis, fill_mode=fill_mode,
        cval=cval, order=interpolation_order,
    )  # fmt: skip


@export("preprocessing.image.random_zoom")
def random_zoom(
    x: ArrayLike,
    zoom_range: Sequence[float],
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    interpolation_order: int = 1,
) -> NDArray[Any]:
    """The image stretched along rows and columns by factors between two numbers; below 1 enlarges."""
    low, high = _pair("zoom_range", zoom_range)
    zx, zy = (1, 1) if low == high == 1 else np.random.uniform(low, high, 2)
    return apply_affine_transform(
        x, zx=zx, zy=zy, row_axis=row_axis, col_axis=col_axis, channel_axis=channel_axis, fill_mode=fill_mode,
        cval=cval, order=interpolation_order,
    )  # fmt: skip


@export("preprocessing.image.random_channel_shift")
def random_channel_shift(x: ArrayLike, intensity_range: float, channel_axis: int = 0) -> NDArray[Any]:
    """The image with up to `intensity_range` added to or taken from all values."""
    return apply_channel_shift(x, np.random.uniform(-intensity_range, intensity_range), channel_axis)


@export("preprocessing.image.random_brightness")
def random_brightness(x: ArrayLike, brightness_range: Sequence[float], scale: bool = True) -> NDArray[Any]:
    """The image brighter by a factor between two numbers."""
    low, high = _pair("brightness_range", brightness_range)
    return apply_brightness_shift(x, np.random.uniform(low, high), scale)
