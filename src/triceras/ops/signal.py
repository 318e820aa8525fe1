"""Signals over time: Fourier transforms, short-time ones among them, and frames.

Complex numbers are pairs (real, imaginary) of tensors. Half precision is computed in single precision.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from triceras.core.dtypes import promote_float, result_type
from triceras.core.errors import ArgumentError, ArgumentTypeError, ShapeError, shown
from triceras.core.spec import KerasTensor
from triceras.ops.creation import cast, convert_to_tensor, ones
from triceras.ops.elementwise import _complex, divide, greater, imag, multiply, real, square
from triceras.ops.indexing import take, where
from triceras.ops.op import Kept, Op, Tensor, Tensors, op
from triceras.ops.reduction import segment_sum
from triceras.ops.shape import broadcast_to, moveaxis, pad, reshape

Pair = tuple[Tensor, Tensor]
WINDOWS = {"hann": np.hanning, "hamming": np.hamming}

# -- Fourier transforms --------------------------------------------------------------------------------------


@op(at=())
def _fft(x: Kept) -> Tensor:
    """Of complex numbers, along the last axis."""
    ...


@op(at=())
def _fft2(x: Kept) -> Tensor:
    """Of complex numbers, along the last two axes."""
    ...


@op(at=())
def _ifft2(x: Kept) -> Tensor:
    """The inverse of `_fft2`."""
    ...


@op(at=())
def _rfft(x: Kept, n: int) -> Tensor:
    """The first half of the transform of `n` real numbers: those of `x`, cut or filled up with zeros."""
    ...


@op(at=())
def _irfft(x: Kept, n: int) -> Tensor:
    """The `n` real numbers of which this is the first half of the transform."""
    ...


@op(promote_float)
def fft(x: Tensors) -> Pair:
    """The Fourier transform of complex numbers, which are the last axis.

    Args:
        x: the numbers, a pair (real, imaginary).

    Returns:
        Such a pair.

    >>> [part.tolist() for part in fft(([3.0, 1.0], [0.0, 2.0]))]
    [[4.0, 2.0], [2.0, -2.0]]
    """
    return _transformed("fft", x, _fft, 1)


@op(promote_float)
def fft2(x: Tensors) -> Pair:
    """The Fourier transform of complex numbers in a plane, which is the last two axes.

    Args:
        x: the numbers, a pair (real, imaginary).

    Returns:
        Such a pair.

    >>> [part.tolist() for part in fft2(([[1.0, 2.0]], [[0.0, 0.0]]))]
    [[[3.0, -1.0]], [[0.0, 0.0]]]
    """
    return _transformed("fft2", x, _fft2, 2)


@op(promote_float)
def ifft2(x: Tensors) -> Pair:
    """The inverse of `fft2`.

    Args:
        x: the numbers, a pair (real, imaginary).

    Returns:
        Such a pair.

    >>> [part.tolist() for part in ifft2(([[3.0, -1.0]], [[0.0, 0.0]]))]
    [[[1.0, 2.0]], [[0.0, 0.0]]]
    """
    return _transformed("ifft2", x, _ifft2, 2)


@op(promote_float)
def rfft(x: Tensor, fft_length: int | None = None) -> Pair:
    """The Fourier transform of real numbers along the last axis: its first `fft_length // 2 + 1` places,
    of which the others are conjugates.

    Args:
        x: the tensor.
        fft_length: to which the axis is cut, or filled up with zeros; its size if not given.

    Returns:
        The pair of real and imaginary parts.

    >>> [part.tolist() for part in rfft([1.0, 2.0, 1.0, 2.0])]
    [[6.0, 0.0, -2.0], [0.0, 0.0, 0.0]]
    """
    _ranked("rfft", x, 1)
    length = x.shape[-1] if fft_length is None else _count("rfft", "fft_length", fft_length)
    found = _rfft(_wide(x), length)
    return cast(real(found), x.dtype), cast(imag(found), x.dtype)


@op(promote_float)
def irfft(x: Tensors, fft_length: int | None = None) -> Tensor:
    """The inverse of `rfft`.

    Args:
        x: the pair of real and imaginary parts, of the first `fft_length // 2 + 1` places.
        fft_length: how many real numbers result; if not given, the even number that fits the axis. Give it
            where it is odd.

    >>> [round(x, 3) for x in irfft(rfft([1.0, 2.0, 4.0]), 3).tolist()]
    [1.0, 2.0, 4.0]
    """
    length = None if fft_length is None else _count("irfft", "fft_length", fft_length)
    parts = _pair("irfft", x, 1)
    return cast(_irfft(parts, length or 2 * (parts.shape[-1] - 1)), x[0].dtype)


def _transformed(name: str, x: Tensors, transform: Callable[[Tensor], Tensor], rank: int) -> Pair:
    found = transform(_pair(name, x, rank))
    return cast(real(found), x[0].dtype), cast(imag(found), x[0].dtype)


def _pair(name: str, x: Tensors, rank: int) -> Tensor:
    """The complex numbers of a pair (real, imaginary)."""
    _checked_pair(name, x, rank)
    return _complex(*map(_wide, x))


def _checked_pair(name: str, x: Tensors, rank: int) -> None:
    """Check that two tensors are the parts of complex numbers.

    Raises:
        ArgumentError: it is no pair.
        ShapeError: the two differ in shape, or have fewer than `rank` axes.
    """
    if not isinstance(x, (tuple, list)) or len(x) != 2:
        raise ArgumentError(
            f"{name}() takes a pair of tensors, the real and the imaginary parts. Received: {shown(x)}"
        )
    first, second = x
    if tuple(first.shape) != tuple(second.shape):
        raise ShapeError(
            f"{name}(): real and imaginary parts must have the same shape. Received: {tuple(first.shape)} and "
            f"{tuple(second.shape)}"
        )
    _ranked(name, first, rank)


def _wide(x: Tensor) -> Tensor:
    return cast(x, result_type(x.dtype, "float32"))


# -- frames --------------------------------------------------------------------------------------------------


def _sequences_spec(made: Op, values: list[Any], statics: dict[str, Any]) -> KerasTensor:
    (x,) = values
    count = None if x.shape and x.shape[-1] is None else len(_places(x, **statics))
    return KerasTensor((*x.shape[:-1], count, statics["sequence_length"]), x.dtype)


@op(spec=_sequences_spec)
def extract_sequences(x: Kept, sequence_length: int, sequence_stride: int) -> Tensor:
    """Frames of the last axis, which may overlap: that axis becomes (frames, `sequence_length`).

    Args:
        x: the tensor.
        sequence_length: size of a frame.
        sequence_stride: steps from one frame's beginning to the next one's.

    >>> extract_sequences([1, 2, 3, 4, 5, 6], 3, 2).tolist()
    [[1, 2, 3], [3, 4, 5]]
    """
    return take(x, _places(x, sequence_length, sequence_stride), axis=-1)


def _places(x: Tensor, sequence_length: int, sequence_stride: int) -> np.ndarray:
    """For each frame the indices of what is in it."""
    _ranked("extract_sequences", x, 1)
    length = _count("extract_sequences", "sequence_length", sequence_length)
    stride = _count("extract_sequences", "sequence_stride", sequence_stride)
    return _frames(max(1 + (x.shape[-1] - length) // stride, 0), length, stride)


def _frames(count: int, length: int, stride: int) -> np.ndarray:
    return np.arange(count, dtype="int32")[:, None] * stride + np.arange(length, dtype="int32")


def _added(frames: Tensor, stride: int) -> Tensor:
    """The signal to which overlapping frames, (..., frames, length), add up."""
    *outer, count, length = frames.shape
    rows = moveaxis(reshape(frames, (*outer, count * length)), -1, 0)
    size = (count - 1) * stride + length
    return moveaxis(segment_sum(rows, _frames(count, length, stride).ravel(), num_segments=size), 0, -1)


# -- short-time Fourier transforms ---------------------------------------------------------------------------


def named_window(name: str, length: int, periodic: bool = True) -> np.ndarray:
    """The values of "hann" or "hamming", for one period or symmetric.

    >>> named_window("hann", 4).tolist(), named_window("hann", 3, periodic=False).tolist()
    ([0.0, 0.5, 1.0, 0.5], [0.0, 1.0, 0.0])
    """
    return WINDOWS[name](length + 1)[:length] if periodic and length > 1 else WINDOWS[name](length)


@op(promote_float)
def stft(
    x: Tensor,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int | None,
    window: Any = "hann",
    center: bool = True,
) -> Pair:
    """The Fourier transforms of frames of a signal, which is the last axis.

    Args:
        x: the signals.
        sequence_length: size of the window.
        sequence_stride: steps from one frame's beginning to the next one's.
        fft_length: size of a frame, in whose middle the window lies; None is the smallest power of 2 from
            `sequence_length` on.
        window: "hann", "hamming", a tensor of shape `(sequence_length,)`, or None for ones.
        center: whether the middle of frame `t` lies at `t * sequence_stride`; the signal goes on mirrored
            beyond its ends. Else the frame begins there.

    Returns:
        The pair of real and imaginary parts, of shape (..., frames, `fft_length // 2 + 1`).

    >>> real, imaginary = stft([0.0, 1.0, 2.0, 3.0, 4.0], 3, 2, 3)
    >>> [[round(x, 3) for x in row] for row in real.tolist()]
    [[0.75, -0.375], [3.75, -1.875], [5.25, -2.625]]
    """
    _ranked("stft", x, 1)
    signal = _wide(x)
    values = _window("stft", window, sequence_length, fft_length, signal.dtype)
    size, stride = values.shape[0], _count("stft", "sequence_stride", sequence_stride)
    if center:
        signal = pad(signal, [(0, 0)] * (len(x.shape) - 1) + [(size // 2, size // 2)], mode="reflect")
    parts = rfft(multiply(extract_sequences(signal, size, stride), values), size)
    return tuple(cast(part, x.dtype) for part in parts)


@op(promote_float)
def istft(
    x: Tensors,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int | None,
    length: int | None = None,
    window: Any = "hann",
    center: bool = True,
) -> Tensor:
    """The signal whose `stft` this is, which was computed with the same arguments.

    Frames times the window add up, and are divided by what the window's squares add up to (Griffin and Lim,
    1984, doi:10.1109/TASSP.1984.1164317).

    Args:
        x: the pair of real and imaginary parts, of shape (..., frames, `fft_length // 2 + 1`).
        sequence_length: size of the window.
        sequence_stride: steps from one frame's beginning to the next one's.
        fft_length: size of a frame; None is the smallest power of 2 from `sequence_length` on.
        length: to which the signal is cut.
        window: "hann", "hamming", a tensor of shape `(sequence_length,)`, or None for ones; then, as in the
            reference, the signal becomes `fft_length / sequence_stride` times as large.
        center: whether the frames were centred, so that what lies beyond the signal's ends is cut off.

    >>> signal = istft(stft([0.0, 1.0, 2.0, 3.0, 4.0], 4, 1, 4), 4, 1, 4)
    >>> [round(x, 3) for x in signal.tolist()]
    [0.0, 1.0, 2.0, 3.0, 4.0]
    """
    _checked_pair("istft", x, 2)
    parts = [_wide(part) for part in x]
    values = _window("istft", window, sequence_length, fft_length, parts[0].dtype)
    size, stride = values.shape[0], _count("istft", "sequence_stride", sequence_stride)
    frames = multiply(irfft(parts, size), values)
    weights = _added(broadcast_to(square(values), tuple(frames.shape)[-2:]), stride)
    signal = divide(_added(frames, stride), where(greater(weights, 1e-10), weights, 1.0))
    if window is None:
        signal = multiply(signal, size / stride)
    start = size // 2 if center else 0
    stop = signal.shape[-1] - start if length is None else start + _count("istft", "length", length)
    return cast(signal[..., start:stop], x[0].dtype)


def _window(name: str, window: Any, length: int, fft_length: int | None, dtype: Any) -> Tensor:
    """A window in the middle of a frame of zeros."""
    length = _count(name, "sequence_length", length)
    size = 1 << (length - 1).bit_length() if fft_length is None else _count(name, "fft_length", fft_length)
    if size < length:
        raise ArgumentError(
            f"{name}(): `fft_length` must be at least `sequence_length`, {length}. Received: {fft_length}"
        )
    if window is None:
        return ones((size,), dtype)
    if isinstance(window, str):
        if window not in WINDOWS:
            raise ArgumentError(
                f"{name}(): `window` must be one of {tuple(WINDOWS)}, a tensor or None. Received: {window!r}"
            )
        window = named_window(window, length)
    values = convert_to_tensor(window, dtype)
    if tuple(values.shape) != (length,):
        raise ShapeError(
            f"{name}(): `window` must have shape ({length},), as `sequence_length` says. Received: "
            f"{tuple(values.shape)}"
        )
    before = (size - length) // 2
    return pad(values, [(before, size - length - before)])


# -- arguments -----------------------------------------------------------------------------------------------


def _ranked(name: str, x: Tensor, rank: int) -> None:
    if len(x.shape) < rank:
        raise ShapeError(
            f"{name}() takes tensors of at least {rank} axes. Received a tensor of shape {tuple(x.shape)}."
        )


def _count(name: str, argument: str, value: Any) -> int:
    try:
        found = operator.index(value)
    except TypeError:
        raise ArgumentTypeError(f"{name}(): `{argument}` must be an integer. Received: {value!r}") from None
    if found < 1:
        raise ArgumentError(f"{name}(): `{argument}` must be at least 1. Received: {value!r}")
    return found
