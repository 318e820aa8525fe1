"""Looks at data on the host: labels that no output stands for, and where numbers that aren't finite come from."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from triceras.core import tree
from triceras.core.errors import ArgumentError

NAMES = ("x", "y", "sample_weight")


def check_labels(loss: Any, batch: Any) -> None:
    """Raise `ArgumentError` if integer labels lie outside of the classes that the model's outputs stand for.

    Args:
        loss: the compiled loss, which knows the outputs that take integer labels; or None.
        batch: the data, `(x, y, ...)`; labels on a device are not looked at.
    """
    if loss is None or not loss.built or len(batch) < 2 or batch[1] is None:
        return
    for name, labels, classes, ignored in loss.integer_labels(batch[1]):
        if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iuf" or not classes:
            continue
        wrong = (labels < 0) | (labels >= classes)
        if ignored is not None:
            wrong &= labels != ignored
        if wrong.any():
            index = int(np.argmax(wrong.reshape(len(labels), -1).any(axis=1)))
            raise ArgumentError(
                f"Labels{f' of {name!r}' if name else ''} must be integers from 0 to {classes - 1}, for the model has "
                f"{classes} outputs. Received {np.unique(labels[wrong])[:5].tolist()} (first in sample {index}, "
                f"{int(wrong.sum())} in all). Give the last layer more units, or number the classes from 0."
            )


def warn_of_nonfinite(model: Any, feed: Any, epoch: int, logs: dict[str, Any]) -> None:
    """Say once why the loss is no longer a finite number, if it is not."""
    loss = logs.get("loss")
    if loss is None or np.isfinite(loss):
        return
    cause = next(_causes(model, feed), "Nothing in data or weights shows why; the loss itself may overflow")
    warnings.warn(
        f"The loss is {loss} in epoch {epoch + 1}. {cause}. Repair the data, lower the learning rate, or clip the gradients "
        "(clipnorm=1.0); callbacks.TerminateOnNaN() stops at the first such batch.",
        stacklevel=4,
    )


def _causes(model: Any, feed: Any) -> Iterator[str]:
    for name, part in zip(NAMES, feed.arrays or (), strict=False):
        for path, array in tree.flatten_with_path(part):
            if isinstance(array, np.ndarray) and array.dtype.kind == "f" and not np.isfinite(array).all():
                bad = ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)
                where = name + "".join(f"[{p!r}]" for p in path)
                yield f"{int(bad.sum())} of {len(array)} samples of {where} hold NaN or infinity, the first is number {int(bad.argmax())}"
    broken = [
        v.path
        for v in model.weights
        if v.dtype.startswith(("float", "bfloat")) and not np.isfinite(v.numpy()).all()
    ]
    if broken:
        yield f"The data is finite, but weights are not: {', '.join(broken[:3])}{' ...' if len(broken) > 3 else ''}"
