"""Where numbers that aren't finite come from, once a loss is no longer one."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from triceras.core import tree

NAMES = ("x", "y", "sample_weight")


def warn_of_nonfinite(model: Any, feed: Any, epoch: int, logs: dict[str, Any]) -> None:
    """Say once why the loss is no longer a finite number, if it is not."""
    loss = logs.get("loss")
    if loss is None or np.isfinite(loss):
        return
    cause = next(_causes(model, feed), "Nothing in data or weights shows why; the loss itself may overflow")
    warnings.warn(
        f"The loss is {loss} in epoch {epoch + 1}. {cause}. Repair the data, lower the learning rate, or clip the "
        "gradients (clipnorm=1.0); callbacks.TerminateOnNaN() stops at the first such batch.",
        stacklevel=4,
    )


def _causes(model: Any, feed: Any) -> Iterator[str]:
    for name, part in zip(NAMES, feed.arrays or (), strict=False):
        for path, array in tree.flatten_with_path(part):
            if isinstance(array, np.ndarray) and array.dtype.kind == "f" and not np.isfinite(array).all():
                bad = ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)
                where = name + "".join(f"[{p!r}]" for p in path)
                yield (
                    f"{int(bad.sum())} of {len(array)} samples of {where} hold NaN or infinity, "
                    f"the first is number {int(bad.argmax())}"
                )
    broken = [
        v.path
        for v in model.weights
        if v.dtype.startswith(("float", "bfloat")) and not np.isfinite(v.numpy()).all()
    ]
    if broken:
        yield f"The data is finite, but weights are not: {', '.join(broken[:3])}{' ...' if len(broken) > 3 else ''}"
