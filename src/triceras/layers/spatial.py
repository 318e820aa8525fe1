"""What the layers over sequences, images and volumes share: axes, sizes for each axis, variants by rank."""

from __future__ import annotations

import inspect
import types
from collections.abc import Sequence
from typing import Any, ClassVar

from triceras.core.config import standardize_data_format
from triceras.layers.base import Layer
from triceras.layers.input_spec import InputSpec

Sizes = int | Sequence[int]

AXES = {1: ("steps",), 2: ("rows", "columns"), 3: ("depth", "rows", "columns")}


class Spatial(Layer):
    """A layer on inputs with a batch axis, `rank` spatial axes and a channel axis.

    A family writes its constructor once, for any rank. A subclass says `class Conv2D(Conv, rank=2)`, and the
    defaults of `sized` arguments are then shown for each axis, as users know them: `strides=(1, 1)`.

    Args:
        data_format: whether channels come last or first; the configured layout if not given.
    """

    rank: ClassVar[int]
    sized: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, rank: int | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if rank is not None:
            cls.rank = rank
            if rank > 1 and "__init__" not in cls.__dict__:
                cls.__init__ = _for_rank(cls.__init__, cls.sized, rank)  # type: ignore[method-assign]

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    @property
    def channels_first(self) -> bool:
        """Whether the channel axis stands before the spatial axes."""
        return self.data_format == "channels_first"

    @property
    def channel_axis(self) -> int:
        """The axis of channels."""
        return 1 if self.channels_first else -1

    @property
    def spatial_axes(self) -> tuple[int, ...]:
        """The axes of space or time."""
        first = 2 if self.channels_first else 1
        return tuple(range(first, first + self.rank))

    @property
    def axis_names(self) -> tuple[str, ...]:
        """Words for the axes of the input, for messages."""
        space = AXES[self.rank]
        return ("batch", "channels", *space) if self.channels_first else ("batch", *space, "channels")


def _for_rank(init: Any, sized: Sequence[str], rank: int) -> Any:
    """The same constructor with the defaults of some arguments repeated for each axis."""
    names = [p.name for p in inspect.signature(init).parameters.values() if p.default is not p.empty]
    defaults = tuple(
        (value,) * rank if name in sized and isinstance(value, int) else value
        for name, value in zip(names, init.__defaults__ or (), strict=True)
    )
    made = types.FunctionType(init.__code__, init.__globals__, init.__name__, defaults, init.__closure__)
    made.__annotations__, made.__qualname__, made.__doc__ = (
        init.__annotations__,
        init.__qualname__,
        init.__doc__,
    )
    return made
