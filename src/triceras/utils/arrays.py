"""Labels, vectors and sequences as NumPy arrays."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from triceras.core.errors import ArgumentError, ArgumentTypeError, ShapeError, shown
from triceras.core.registry import export


@export("utils.to_categorical")
def to_categorical(x: ArrayLike, num_classes: int | None = None) -> NDArray[np.float64]:
    """One-hot rows for integer class labels.

    Args:
        x: labels 0, 1, 2 ...; a last axis of length 1 is dropped. An engine's tensor is read as an array.
        num_classes: length of a row; by default the largest label + 1.

    Raises:
        ArgumentError: if a label isn't a whole number from 0 to `num_classes` - 1.

    >>> to_categorical([0, 2, 1])
    array([[1., 0., 0.],
           [0., 0., 1.],
           [0., 1., 0.]])
    """
    given = np.asarray(x)
    if given.dtype.kind not in "biuf" and given.size:
        raise ArgumentTypeError(
            f"to_categorical() takes numbers as labels. Received dtype {given.dtype}: {shown(x)}. "
            "Number names first, for example with `numpy.unique(names, return_inverse=True)`."
        )
    if given.dtype.kind == "f" and not np.all(given == np.floor(given)):  # also catches NaN
        raise ArgumentError(f"to_categorical() takes whole numbers as labels. Received: {shown(x)}")
    if not given.size and num_classes is None:
        raise ArgumentError(
            "to_categorical() can't tell the number of classes from no labels; pass `num_classes`."
        )
    if given.size and (given.min() < 0 or not np.isfinite(given.max())):
        raise ArgumentError(
            f"to_categorical() takes finite labels from 0 up. Received {given.min()} to {given.max()}."
        )

    labels = given.astype(np.int64)
    classes = (
        int(labels.max()) + 1 if num_classes is None else _whole("to_categorical", "num_classes", num_classes)
    )
    if labels.size and labels.max() >= classes:
        raise ArgumentError(
            f"to_categorical() with num_classes={classes} takes labels 0 to {classes - 1}. "
            f"Received a label {labels.max()}; pass a larger `num_classes`, or count the labels from 0."
        )
    shape = labels.shape[:-1] if labels.ndim > 1 and labels.shape[-1] == 1 else labels.shape
    rows = np.zeros((labels.size, classes))
    rows[np.arange(labels.size), labels.ravel()] = 1
    return rows.reshape(*shape, classes)


@export("utils.normalize")
def normalize(x: ArrayLike, axis: int = -1, order: float = 2) -> NDArray[Any]:
    """Divide vectors along `axis` by their norm of the given order; zero vectors stay zero.

    >>> normalize([[3.0, 4.0], [0.0, 0.0]])
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    array = np.asarray(x)
    if array.dtype.kind not in "biufc":
        raise ArgumentTypeError(f"normalize() takes numbers. Received dtype {array.dtype}: {shown(x)}")
    try:
        norm = np.linalg.norm(array, order, axis=axis, keepdims=True)
    except ValueError as error:  # np.exceptions.AxisError is one, too
        raise ArgumentError(
            f"normalize() can't use axis={axis!r}, order={order!r} on shape {array.shape}: {error}."
        ) from error
    return array / np.where(norm == 0, np.ones_like(norm), norm)


@export("preprocessing.sequence.pad_sequences", "utils.pad_sequences")
def pad_sequences(
    sequences: Collection[Collection[Any]],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> NDArray[Any]:
    """Sequences of different lengths as one array `(sequences, maxlen, ...)`.

    Args:
        sequences: lists of numbers, or of equally shaped arrays (then the result has their axes at the end).
        maxlen: length of each row; by default that of the longest sequence.
        padding: "pre" or "post": where `value` fills a short sequence.
        truncating: "pre" or "post": where a long sequence loses what is too much.

    Raises:
        ArgumentError, ArgumentTypeError: if the sequences don't fit together or into `dtype`.

    >>> pad_sequences([[1], [2, 3], [4, 5, 6]], maxlen=2, padding="post")
    array([[1, 0],
           [2, 3],
           [5, 6]], dtype=int32)
    """
    for name, side in (("padding", padding), ("truncating", truncating)):
        if side not in ("pre", "post"):
            raise ArgumentError(f'pad_sequences() takes {name}="pre" or "post". Received: {side!r}')
    try:
        lengths = [len(sequence) for sequence in sequences]
        len(sequences)
    except TypeError as error:
        raise ArgumentError(
            f"pad_sequences() takes a list of sequences, each with a length. Received: {shown(sequences)}"
        ) from error
    maxlen = max(lengths, default=0) if maxlen is None else _whole("pad_sequences", "maxlen", maxlen)
    dtype = np.dtype(dtype)
    if isinstance(value, str) and dtype.kind not in "OUS":
        raise ArgumentError(
            f"pad_sequences() can't fill dtype {dtype} with {value!r}; pass dtype=object for strings."
        )

    sample = next((np.shape(sequence[0]) for sequence in sequences if len(sequence)), ())
    padded = np.full((len(lengths), maxlen, *sample), value, dtype=dtype)
    for index, (sequence, length) in enumerate(zip(sequences, lengths)):
        if not length or not maxlen:
            continue
        kept = sequence[-maxlen:] if truncating == "pre" else sequence[:maxlen]
        try:
            row = np.asarray(kept, dtype=dtype)
        except (ValueError, TypeError, OverflowError) as error:
            raise ArgumentError(
                f"pad_sequences() can't bring sequence {index} to dtype {dtype}: {shown(kept)}."
            ) from error
        if row.shape[1:] != sample:
            raise ShapeError(
                f"pad_sequences() takes items of one shape. Expected {sample}, as in the first sequence; "
                f"received {row.shape[1:]} in sequence {index}."
            )
        padded[index, slice(len(row)) if padding == "post" else slice(maxlen - len(row), None)] = row
    return padded


def _whole(function: str, name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise ArgumentError(f"{function}() takes `{name}` as a whole number from 0 up. Received: {value!r}")
    return int(value)
