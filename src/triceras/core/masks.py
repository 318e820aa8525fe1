"""Masks travel beside tensors: which entries of a padded batch are real."""

from __future__ import annotations

import weakref
from typing import Any

attached: dict[int, tuple[Any, Any]] = {}


def set_mask(x: Any, mask: Any) -> None:
    """Attach a mask to a tensor; it is forgotten with the tensor."""
    key = id(x)
    if mask is None:
        attached.pop(key, None)
        return
    try:
        attached[key] = (weakref.ref(x, lambda _: attached.pop(key, None)), mask)
    except TypeError:  # NumPy scalars and the like can't be referred to weakly
        return


def get_mask(x: Any) -> Any:
    """The mask attached to a tensor, or None."""
    if not attached:
        return None
    found = attached.get(id(x))
    return found[1] if found is not None and found[0]() is x else None
