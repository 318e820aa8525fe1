"""Images: resizing, cropping, colours, patches and filters, all over other ops.

An image has shape (height, width, channels), or (channels, height, width) with "channels_first"; most
functions take one image or a batch of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from triceras.core import config
from triceras.core.dtypes import is_float_dtype, promote, result_type, standardize_dtype
from triceras.core.errors import ArgumentError, ShapeError
from triceras.core.shapes import canonical_axis, same_padding
from triceras.ops import reduction
from triceras.ops.conv import checked_padding, depthwise_conv, spatial_sizes, window_cells
from triceras.ops.creation import arange, cast, saturate_cast
from triceras.ops.elementwise import abs, clip, divide, exp, maximum, mod, round, sinc, subtract
from triceras.ops.indexing import take, where
from triceras.ops.linalg import tensordot
from triceras.ops.op import Kept, Tensor, op
from triceras.ops.shape import concatenate, moveaxis, pad, repeat, stack

public = partial(op, promote, at=("ops.image",))


# -- size ----------------------------------------------------------------------------------------------------


@public()
def resize(
    images: Tensor,
    size: Sequence[int],
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Tensor:
    """Images of another size; integers are rounded.

    Args:
        images: one image or a batch.
        size: height and width of the result.
        interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5".
        antialias: whether to average over what a pixel of a smaller result covers.
        crop_to_aspect_ratio: whether to cut the images to the proportions of `size` first, at the centre.
        pad_to_aspect_ratio: whether to extend the images to the proportions of `size` first, on both sides.
        fill_mode: must be "constant".
        fill_value: value of pixels that extend an image.
        data_format: "channels_last" or "channels_first"; None is `config.image_data_format()`.

    >>> import numpy as np
    >>> resize(np.array([[[0.0], [2.0]]]), (1, 4)).ravel().tolist()
    [0.0, 0.5, 1.5, 2.0]
    """
    height, width, _ = _axes("resize", images, data_format)
    if not isinstance(size, Sequence) or len(size) != 2:
        raise ArgumentError(f"resize() takes a height and a width as `size`. Received: size={size!r}")
    if interpolation != "nearest":
        _kernel("resize", "interpolation", interpolation, _INTERPOLATIONS)
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ArgumentError("resize() can crop or pad to the aspect ratio, not both.")
    if fill_mode != "constant":
        raise ArgumentError(
            f'resize() takes the `fill_mode` "constant" only. Received: fill_mode={fill_mode!r}'
        )
    axes, sizes = (height, width), (images.shape[height], images.shape[width])
    proportional = (int(sizes[1] * size[0] / size[1]), int(sizes[0] * size[1] / size[0]))
    if crop_to_aspect_ratio:
        wanted = [max(min(n, p), 1) for n, p in zip(sizes, proportional, strict=True)]
        cut = [slice(None)] * images.ndim
        for axis, n, m in zip(axes, sizes, wanted, strict=True):
            cut[axis] = slice((n - m) // 2, (n - m) // 2 + m)
        images = images[tuple(cut)]
    elif pad_to_aspect_ratio:
        wanted = [max(n, p) for n, p in zip(sizes, proportional, strict=True)]
        edges = [(0, 0)] * images.ndim
        for axis, n, m in zip(axes, sizes, wanted, strict=True):
            edges[axis] = ((m - n) // 2, (m - n) // 2)  # alike on both sides, as the reference does
        images = pad(images, edges, constant_values=fill_value)
    if interpolation == "nearest":
        for axis, count in zip(axes, size, strict=True):
            nearest = (np.arange(count) + 0.5) * images.shape[axis] / count
            images = take(images, nearest.astype("int32"), axis=axis)
        return images
    x = _real(images)
    for axis, count in zip(axes, size, strict=True):
        x = _resample(x, axis, count, count / x.shape[axis], 0.0, interpolation, antialias)
    return x if is_float_dtype(images.dtype) else saturate_cast(round(x), images.dtype)


@public(passed=("output_shape",))
def scale_and_translate(
    images: Tensor,
    output_shape: Sequence[int],
    scale: Kept,
    translation: Kept,
    spatial_dims: Sequence[int],
    method: str,
    antialias: bool = True,
) -> Tensor:
    """Images scaled and shifted: what stood at place `p` stands at `p * scale + translation`, in pixels.

    Args:
        images: a tensor of any rank.
        output_shape: shape of the result.
        scale: a factor for each of the spatial dimensions.
        translation: a shift for each of the spatial dimensions.
        spatial_dims: the dimensions to resample.
        method: "linear" ("bilinear", "trilinear"), "cubic" ("bicubic", "tricubic"), "lanczos3" or "lanczos5".
        antialias: whether to average over what a pixel of a smaller result covers.

    >>> import numpy as np
    >>> scale_and_translate(np.array([0.0, 2.0]), (4,), [2.0], [0.0], (0,), "linear").tolist()
    [0.0, 0.5, 1.5, 2.0]
    """
    _kernel("scale_and_translate", "method", method, _METHODS)
    x = _real(images)
    for i, axis in enumerate(spatial_dims):
        axis = canonical_axis(axis, x.ndim)
        x = _resample(x, axis, output_shape[axis], scale[i], translation[i], method, antialias)
    return cast(x, images.dtype)


def _resample(
    x: Tensor, axis: int, count: int, scale: Any, shift: Any, method: str, antialias: bool
) -> Tensor:
    """`count` places along an axis, each a weighted mean of what is near it."""
    n = x.shape[axis]
    places = divide(subtract(np.arange(count, dtype="float32") + 0.5, shift), scale) - 0.5
    distance = abs(subtract(places, np.arange(n, dtype="float32")[:, None]))
    if antialias:
        distance = divide(distance, maximum(1 / scale, 1.0))
    weights = _METHODS[method](distance)
    total = reduction.sum(weights, axis=0, keepdims=True)
    weights = weights / where(abs(total) > 1e-4, total, 1.0)
    weights = where((places >= -0.5) & (places <= n - 0.5) & (abs(total) > 1e-4), weights, 0.0)
    return moveaxis(tensordot(x, cast(weights, x.dtype), axes=((axis,), (0,))), -1, axis)


def _linear(distance: Tensor) -> Tensor:
    return maximum(1 - distance, 0.0)


def _cubic(distance: Tensor) -> Tensor:
    """Keys' kernel with the slope -0.5."""
    near = ((1.5 * distance - 2.5) * distance) * distance + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return where(distance <= 1, near, where(distance < 2, far, 0.0))


def _lanczos(radius: int, distance: Tensor) -> Tensor:
    return where(distance < radius, sinc(distance) * sinc(distance / radius), 0.0)


_METHODS = {
    **dict.fromkeys(("linear", "bilinear", "trilinear"), _linear),
    **dict.fromkeys(("cubic", "bicubic", "tricubic"), _cubic),
    "lanczos3": partial(_lanczos, 3),
    "lanczos5": partial(_lanczos, 5),
}
_INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")


def _kernel(name: str, argument: str, value: str, known: Any) -> None:
    if value not in known:
        raise ArgumentError(
            f"{name}() takes one of {tuple(known)} as `{argument}`. Received: {argument}={value!r}"
        )


def _real(images: Tensor) -> Tensor:
    """At least single precision."""
    return cast(images, result_type(images.dtype, "float32"))


@public()
def crop_images(
    images: Tensor,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Images without some rows and columns at their edges.

    Two of top, bottom and target height say which rows, two of left, right and target width which columns.

    >>> import numpy as np
    >>> crop_images(np.ones((5, 5, 3)), 1, 1, target_height=2, target_width=3).shape
    (2, 3, 3)
    """
    name = "crop_images"
    height, width, _ = _axes(name, images, data_format)
    rows, columns = images.shape[height], images.shape[width]
    top, bottom = _edges(
        name,
        {"top_cropping": top_cropping, "bottom_cropping": bottom_cropping, "target_height": target_height},
        rows,
        -1,
    )
    left, right = _edges(
        name,
        {"left_cropping": left_cropping, "right_cropping": right_cropping, "target_width": target_width},
        columns,
        -1,
    )
    cut = [slice(None)] * images.ndim
    cut[height], cut[width] = slice(top, rows - bottom), slice(left, columns - right)
    return images[tuple(cut)]


@public()
def pad_images(
    images: Tensor,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Images with more rows and columns of zeros at their edges.

    Two of top, bottom and target height say how many rows, two of left, right and target width the columns.

    >>> import numpy as np
    >>> pad_images(np.ones((5, 5, 3)), 1, 1, target_height=8, target_width=7).shape
    (8, 7, 3)
    """
    name = "pad_images"
    height, width, _ = _axes(name, images, data_format)
    edges = [(0, 0)] * images.ndim
    edges[height] = _edges(
        name,
        {"top_padding": top_padding, "bottom_padding": bottom_padding, "target_height": target_height},
        images.shape[height],
        1,
    )
    edges[width] = _edges(
        name,
        {"left_padding": left_padding, "right_padding": right_padding, "target_width": target_width},
        images.shape[width],
        1,
    )
    return pad(images, edges)


def _edges(name: str, given: dict[str, int | None], size: int, sign: int) -> tuple[int, int]:
    """How much to remove (sign -1) or add (1) before and after a dimension, from two of three numbers."""
    before, after, target = given.values()
    if sum(value is not None for value in given.values()) != 2:
        raise ArgumentError(f"{name}() takes exactly two of {', '.join(given)}. Received: {given}")
    change = 0 if target is None else (target - size) * sign
    before = change - after if before is None else before
    after = change - before if after is None else after
    if before < 0 or after < 0 or size + sign * (before + after) < 0:
        raise ArgumentError(
            f"{name}(): {', '.join(given)} must all be at least 0. For an image of size {size} they are "
            f"{before}, {after} and {size + sign * (before + after)}."
        )
    return before, after


# -- colours -------------------------------------------------------------------------------------------------


@public()
def rgb_to_grayscale(images: Tensor, data_format: str | None = None) -> Tensor:
    """Luminance of images with three channels, as one channel; images with one channel stay.

    >>> import numpy as np
    >>> triceras.ops.round(rgb_to_grayscale(np.ones((1, 1, 3), "float32")), 3).tolist()
    [[[1.0]]]
    """
    axis = _axes("rgb_to_grayscale", images, data_format)[2]
    if images.shape[axis] == 1:
        return images
    red, green, blue = (_real(c) for c in _colours("rgb_to_grayscale", images, axis))
    return cast(stack([0.2989 * red + 0.587 * green + 0.114 * blue], axis=axis), images.dtype)


@public()
def rgb_to_hsv(images: Tensor, data_format: str | None = None) -> Tensor:
    """Hue, saturation and value (0 to 1) of images with values from 0 to 1.

    >>> import numpy as np
    >>> rgb_to_hsv(np.array([[[0.5, 0.0, 0.0]]])).tolist()
    [[[0.0, 1.0, 0.5]]]
    """
    axis = _axes("rgb_to_hsv", images, data_format)[2]
    red, green, blue = _colours("rgb_to_hsv", images, axis, floating=True)
    value = reduction.max(images, axis=axis)
    spread = value - reduction.min(images, axis=axis)
    safe = where(spread > 0, spread, 1.0)
    saturation = where(value > 0, spread / where(value > 0, value, 1.0), 0.0)
    sixths = where(
        value == red,
        (green - blue) / safe,
        where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    hue = where(spread > 0, mod(sixths / 6, 1.0), 0.0)
    return stack([hue, saturation, value], axis=axis)


@public()
def hsv_to_rgb(images: Tensor, data_format: str | None = None) -> Tensor:
    """Colours of images that hold hue, saturation and value: the inverse of `rgb_to_hsv`.

    >>> import numpy as np
    >>> hsv_to_rgb(np.array([[[0.0, 1.0, 0.5]]])).tolist()
    [[[0.5, 0.0, 0.0]]]
    """
    axis = _axes("hsv_to_rgb", images, data_format)[2]
    hue, saturation, value = _colours("hsv_to_rgb", images, axis, floating=True)
    sixths = 6 * hue
    pure = (abs(sixths - 3) - 1, 2 - abs(sixths - 2), 2 - abs(sixths - 4))
    return stack([(1 - saturation + saturation * clip(c, 0.0, 1.0)) * value for c in pure], axis=axis)


def _colours(name: str, images: Tensor, axis: int, floating: bool = False) -> list[Tensor]:
    if images.shape[axis] != 3:
        raise ShapeError(
            f"{name}() takes images with three channels. Received: images of shape {tuple(images.shape)}"
        )
    if floating and not is_float_dtype(images.dtype):
        raise ArgumentError(
            f"{name}() takes float images. Received: images of dtype {standardize_dtype(images.dtype)}. "
            "Divide by 255."
        )
    return [images[(slice(None),) * axis + (i,)] for i in range(3)]


def _axes(name: str, images: Tensor, data_format: str | None) -> tuple[int, int, int]:
    """The axes of height, width and channels."""
    rank = images.ndim
    if rank not in (3, 4):
        raise ShapeError(
            f"{name}() takes one image, of rank 3, or a batch, of rank 4. Received: shape "
            f"{tuple(images.shape)}"
        )
    last = config.standardize_data_format(data_format) == "channels_last"
    return (rank - 3, rank - 2, rank - 1) if last else (rank - 2, rank - 1, rank - 3)


# -- patches and filters -------------------------------------------------------------------------------------


@public()
def extract_patches(
    images: Tensor,
    size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    dilation_rate: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """Windows of images, or of volumes where `size` has three numbers, as channels.

    Args:
        images: one image or a batch, or the same of volumes (depth, height, width, channels).
        size: size of the windows.
        strides: step between windows; None is `size`.
        dilation_rate: distance between the cells of a window.
        padding: "valid" or "same" (with zeros).
        data_format: "channels_last" or "channels_first"; None is `config.image_data_format()`.

    Returns:
        Windows in the places of pixels; a window's channels stand cell after cell.

    >>> import numpy as np
    >>> extract_patches(np.ones((1, 6, 6, 3)), 2).shape
    (1, 3, 3, 12)
    """
    rank = 3 if isinstance(size, Sequence) and len(size) == 3 else 2
    return _patches("extract_patches", rank, images, size, strides, dilation_rate, padding, data_format)


@public()
def extract_patches_3d(
    volumes: Tensor,
    size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    dilation_rate: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """Windows of volumes (depth, height, width, channels) as channels; arguments as in `extract_patches`.

    >>> import numpy as np
    >>> extract_patches_3d(np.ones((1, 4, 4, 4, 1)), 2).shape
    (1, 2, 2, 2, 8)
    """
    return _patches("extract_patches_3d", 3, volumes, size, strides, dilation_rate, padding, data_format)


def _patches(
    name: str,
    rank: int,
    images: Tensor,
    size: Any,
    strides: Any,
    dilation_rate: Any,
    padding: str,
    data_format: str | None,
) -> Tensor:
    if images.ndim not in (rank + 1, rank + 2):
        raise ShapeError(
            f"{name}() takes tensors of rank {rank + 1} or {rank + 2}. Received: {tuple(images.shape)}"
        )
    single, last = images.ndim == rank + 1, config.standardize_data_format(data_format) == "channels_last"
    x = images[None] if single else images
    x = x if last else moveaxis(x, 1, -1)
    size = spatial_sizes(name, "size", size, rank)
    strides = size if strides is None else spatial_sizes(name, "strides", strides, rank)
    dilation = spatial_sizes(name, "dilation_rate", dilation_rate, rank)
    if checked_padding(name, padding) == "same":
        spans = [(k - 1) * d + 1 for k, d in zip(size, dilation, strict=True)]
        x = pad(x, [(0, 0), *same_padding(x.shape[1:-1], spans, strides), (0, 0)])
    x = concatenate(window_cells(x, 1, size, strides, dilation), axis=-1)
    x = x if last else moveaxis(x, -1, 1)
    return x[0] if single else x


@public(config=("sigma",))
def gaussian_blur(
    images: Tensor,
    kernel_size: Sequence[int] = (3, 3),
    sigma: Kept = (1.0, 1.0),
    data_format: str | None = None,
) -> Tensor:
    """Images smoothed by a Gaussian; beyond their edges lie zeros.

    Args:
        images: one image or a batch.
        kernel_size: width and height of the cells that are averaged.
        sigma: standard deviations in pixels, horizontal and vertical.
        data_format: "channels_last" or "channels_first"; None is `config.image_data_format()`.

    >>> import numpy as np
    >>> image = np.zeros((3, 3, 1)); image[1, 1] = 1
    >>> gaussian_blur(image)[..., 0].round(2).tolist()
    [[0.08, 0.12, 0.08], [0.12, 0.2, 0.12], [0.08, 0.12, 0.08]]
    """
    pairs = isinstance(kernel_size, Sequence) and len(kernel_size) == 2 and tuple(sigma.shape) == (2,)
    if not pairs:
        raise ArgumentError(
            "gaussian_blur() takes two numbers as `kernel_size` and as `sigma`, horizontal and vertical. "
            f"Received: kernel_size={kernel_size!r}, sigma of shape {tuple(sigma.shape)}"
        )
    deviation = cast(sigma, _real(images).dtype)
    across, down = (_bell(n, deviation[i], deviation.dtype) for i, n in enumerate(kernel_size))
    return _filtered("gaussian_blur", images, [across[None, :], down[:, None]], data_format)


def _bell(size: int, sigma: Any, dtype: Any) -> Tensor:
    """A Gaussian on some cells, of sum 1."""
    distance = (arange(size, dtype=dtype) - (size - 1) / 2) / sigma
    weights = exp(-0.5 * distance * distance)
    return weights / reduction.sum(weights)


def _filtered(name: str, images: Tensor, kernels: Sequence[Any], data_format: str | None) -> Tensor:
    """Images after one filter after the other, the same for every channel."""
    _, _, channel = _axes(name, images, data_format)
    x = _real(images)
    x = moveaxis(x, channel, -1)
    x = x if images.ndim == 4 else x[None]
    for kernel in kernels:
        kernel = repeat(cast(kernel, x.dtype)[..., None, None], x.shape[-1], axis=2)
        x = depthwise_conv(x, kernel, padding="same", data_format="channels_last")
    x = moveaxis(x if images.ndim == 4 else x[0], -1, channel)
    return x if is_float_dtype(images.dtype) else saturate_cast(round(x), images.dtype)


@public()
def sobel_edges(images: Tensor, data_format: str | None = None) -> Tensor:
    """Changes of brightness from pixel to pixel, downward and to the right, by Sobel's filters.

    Args:
        images: one image or a batch.
        data_format: "channels_last" or "channels_first"; None is `config.image_data_format()`.

    Returns:
        A tensor with one more axis, of size 2: the change downward, and the change to the right.

    >>> import numpy as np
    >>> image = np.array([[[0.0], [0], [1]]] * 3)
    >>> sobel_edges(image)[1, 1, 0].tolist()
    [0.0, 4.0]
    """
    change, mean = np.array([[-1.0, 0, 1]], "float32"), np.array([[1.0, 2, 1]], "float32")
    downward = _filtered("sobel_edges", _real(images), [change.T, mean], data_format)
    right = _filtered("sobel_edges", _real(images), [change, mean.T], data_format)
    return cast(stack([downward, right], axis=-1), images.dtype)


@public()
def ssim(
    image1: Tensor,
    image2: Tensor,
    max_val: float = 1.0,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    data_format: str | None = None,
) -> Tensor:
    """Structural similarity of images, at most 1, which means that they are alike. Wang et al., 2004,
    https://doi.org/10.1109/TIP.2003.819861

    Args:
        image1: one image or a batch.
        image2: the same.
        max_val: range of the values, such as 1 or 255.
        filter_size: width and height of the windows that are compared; no larger than the images.
        filter_sigma: standard deviation, in pixels, of their Gaussian weights.
        k1: keeps the comparison of means stable where they are small.
        k2: keeps the comparison of variances stable where they are small.
        data_format: "channels_last" or "channels_first"; None is `config.image_data_format()`.

    Returns:
        A number for each image: the mean over windows and channels.

    >>> import numpy as np
    >>> image = np.ones((12, 12, 1))
    >>> float(ssim(image, image))
    1.0
    """
    height, width, channel = _axes("ssim", image1, data_format)
    if tuple(image1.shape) != tuple(image2.shape):
        raise ShapeError(
            f"ssim() compares images of one shape. Received: {tuple(image1.shape)} and {tuple(image2.shape)}"
        )
    if min(image1.shape[height], image1.shape[width]) < filter_size:
        raise ShapeError(
            f"ssim() compares windows of {filter_size}x{filter_size} pixels; these don't fit into images of "
            f"shape {tuple(image1.shape)}. Choose a smaller `filter_size`."
        )
    x, y = (moveaxis(_real(image), channel, -1) for image in (image1, image2))
    x, y = (image if image.ndim == 4 else image[None] for image in (x, y))
    maps = concatenate([x, y, x * x, y * y, x * y], axis=-1)
    weights = _bell(filter_size, filter_sigma, maps.dtype)
    for kernel in (weights[:, None], weights[None]):
        kernel = repeat(kernel[..., None, None], maps.shape[-1], axis=2)
        maps = depthwise_conv(maps, kernel, data_format="channels_last")
    n = x.shape[-1]
    mean_x, mean_y, square_x, square_y, product = (maps[..., i * n : (i + 1) * n] for i in range(5))
    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    likeness = (2 * mean_x * mean_y + c1) * (2 * (product - mean_x * mean_y) + c2)
    limit = (mean_x**2 + mean_y**2 + c1) * (square_x - mean_x**2 + square_y - mean_y**2 + c2)
    found = cast(reduction.mean(likeness / limit, axis=(1, 2, 3)), image1.dtype)
    return found if image1.ndim == 4 else found[0]
