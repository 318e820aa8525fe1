"""WAV files as numbers."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from math import gcd

import numpy as np
from numpy.typing import NDArray

from triceras.core.errors import FileFormatError, require

INTEGERS, FLOATS, EXTENSIBLE = 1, 3, 0xFFFE


def read_wav(path: str) -> tuple[NDArray[np.float32], int]:
    """The samples of a WAV file, from -1 to 1, of shape (samples, channels), and how many there are in a second.

    Integers of 8, 16, 24 and 32 bits and floats of 32 and 64 are understood.

    Raises:
        FileFormatError: it is no such file.
    """
    with open(path, "rb") as file:
        contents = file.read()
    try:
        chunks = dict(_chunks(contents))
        kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunks[b"fmt "])
        if kind == EXTENSIBLE:
            (kind,) = struct.unpack_from("<H", chunks[b"fmt "], 24)
        samples = _samples(chunks[b"data"], kind, bits)
        if not channels or not rate:
            raise ValueError(f"it has {channels} channels and {rate} samples a second")
        return samples[: len(samples) // channels * channels].reshape(-1, channels), rate
    except (ValueError, KeyError, struct.error) as error:
        raise FileFormatError(f"{path!r} isn't a WAV file that can be read: {_reason(error)}.") from error


def _chunks(contents: bytes) -> Iterator[tuple[bytes, bytes]]:
    if contents[:4] != b"RIFF" or contents[8:12] != b"WAVE":
        raise ValueError("it doesn't begin like one")
    at = 12
    while at + 8 <= len(contents):
        name, size = struct.unpack_from("<4sI", contents, at)
        yield name, contents[at + 8 : at + 8 + size]
        # chunks begin at even places
        at += 8 + size + size % 2


def _samples(data: bytes, kind: int, bits: int) -> NDArray[np.float32]:
    """Numbers of the bytes, which may end in the middle of one."""
    size = bits // 8
    data = data[: len(data) // max(size, 1) * size]
    if kind == FLOATS and bits in (32, 64):
        return np.frombuffer(data, f"<f{size}").astype("float32")
    if kind != INTEGERS or bits not in (8, 16, 24, 32):
        raise ValueError(f"its samples are of kind {kind} with {bits} bits")
    if bits == 8:
        return np.frombuffer(data, "u1").astype("float32") / 128 - 1
    # the bytes are the upper ones of 32 bits
    whole = np.zeros((len(data) // size, 4), "u1")
    whole[:, 4 - size :] = np.frombuffer(data, "u1").reshape(-1, size)
    return (whole.view("<i4")[:, 0] / 2.0**31).astype("float32")


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"it has no part {error.args[0].decode().strip()!r}"
    return "its header is too short" if isinstance(error, struct.error) else str(error)


def resampled(samples: NDArray[np.float32], rate: int, wanted: int) -> NDArray[np.float32]:
    """The same sound with another number of samples in a second, without the frequencies that those can't have."""
    if rate == wanted:
        return samples
    signal = require("scipy.signal", "apps", f"Changing {rate} samples a second to {wanted}")
    factor = gcd(rate, wanted)
    return signal.resample_poly(samples, wanted // factor, rate // factor, axis=0).astype("float32")
