"""Layers that make one tensor of several, and their functional forms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, ClassVar

from triceras import ops
from triceras.core.errors import ArgumentError, ArgumentTypeError, ShapeError, shown
from triceras.core.registry import export
from triceras.core.spec import Shape
from triceras.layers import arguments
from triceras.layers.base import Layer


def _is_shapes(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and all(isinstance(item, (list, tuple)) for item in value)
        and len(value) > 0
    )


class Merge(Layer):
    """Base of the layers that take a list of tensors."""

    supports_masking = True
    least, most = 1, None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def build(self, input_shape: Sequence[Shape]) -> None:
        if not _is_shapes(input_shape):
            raise ArgumentError(
                f"Layer {self.path!r} ({type(self).__name__}) takes a list of tensors. Received shape "
                f"{shown(input_shape)}."
            )
        if len(input_shape) < self.least or (self.most is not None and len(input_shape) > self.most):
            wanted = f"exactly {self.least}" if self.least == self.most else f"at least {self.least}"
            raise ArgumentError(
                f"Layer {self.path!r} ({type(self).__name__}) takes {wanted} tensors. Received "
                f"{len(input_shape)}."
            )
        batches = {shape[0] for shape in input_shape if shape} - {None, 1}
        if len(batches) > 1:
            raise self._misfit("batches of one size", input_shape)
        self._check_shapes(input_shape)

    def _check_shapes(self, shapes: Sequence[Shape]) -> None:
        """Raise unless the shapes fit together."""

    def _misfit(self, expected: str, shapes: Sequence[Shape]) -> ShapeError:
        received = ", ".join(str(tuple(shape)) for shape in shapes)
        return ShapeError(
            f"Layer {self.path!r} ({type(self).__name__}) expected {expected}. Received shapes {received}."
        )

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        return super().compute_output_shape(list(input_shape))

    def compute_output_spec(self, inputs: Any) -> Any:
        return self._evaluated_spec(inputs)


class Elementwise(Merge):
    """Base of the layers that combine tensors element by element.

    Shapes broadcast; a tensor of lower rank gets axes of size 1 after the batch.
    """

    combine: ClassVar[Callable[[Any, Any], Any]]

    def _check_shapes(self, shapes: Sequence[Shape]) -> None:
        rank = max(map(len, shapes))
        for axis in range(1, rank):
            sizes = {shape[axis - rank] for shape in shapes if len(shape) > rank - axis} - {None, 1}
            if len(sizes) > 1:
                raise self._misfit("shapes that broadcast together", shapes)

    def call(self, inputs: Sequence[Any]) -> Any:
        rank = max(len(x.shape) for x in inputs)
        aligned = [x if len(x.shape) in (0, rank) else self._raised(x, rank) for x in inputs]
        return self.merged(aligned)

    @staticmethod
    def _raised(x: Any, rank: int) -> Any:
        return ops.expand_dims(x, tuple(range(1, 1 + rank - len(x.shape))))

    def merged(self, tensors: Sequence[Any]) -> Any:
        """The result for tensors of one rank."""
        return reduce(type(self).combine, tensors)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """A step counts where any input's step does; without a mask for each input there is none."""
        if mask is None:
            return None
        if not isinstance(mask, (list, tuple)) or len(mask) != len(inputs):
            raise ArgumentError(
                f"Layer {self.path!r} takes a list of {len(inputs)} masks. Received: {shown(mask)}"
            )
        if any(m is None for m in mask):
            return None
        return reduce(ops.logical_or, mask)


@export("layers.Add")
class Add(Elementwise):
    """The sum of several tensors, element by element.

    >>> Add()([ops.ones((2, 3)), ops.ones((2, 3))]).tolist()[0]
    [2.0, 2.0, 2.0]
    """

    combine = staticmethod(ops.add)


@export("layers.Subtract")
class Subtract(Elementwise):
    """The difference of two tensors, element by element.

    >>> Subtract()([ops.ones((2, 3)), ops.ones((2, 3))]).tolist()[0]
    [0.0, 0.0, 0.0]
    """

    least, most = 2, 2
    combine = staticmethod(ops.subtract)


@export("layers.Multiply")
class Multiply(Elementwise):
    """The product of several tensors, element by element.

    >>> Multiply()([ops.ones((2, 3)), ops.zeros((2, 3))]).tolist()[0]
    [0.0, 0.0, 0.0]
    """

    combine = staticmethod(ops.multiply)


@export("layers.Average")
class Average(Elementwise):
    """The mean of several tensors, element by element.

    >>> Average()([ops.ones((2, 3)), ops.zeros((2, 3))]).tolist()[0]
    [0.5, 0.5, 0.5]
    """

    combine = staticmethod(ops.add)

    def merged(self, tensors: Sequence[Any]) -> Any:
        return ops.divide(super().merged(tensors), len(tensors))


@export("layers.Maximum")
class Maximum(Elementwise):
    """The largest of several tensors, element by element.

    >>> Maximum()([ops.ones((2, 3)), ops.zeros((2, 3))]).tolist()[0]
    [1.0, 1.0, 1.0]
    """

    combine = staticmethod(ops.maximum)


@export("layers.Minimum")
class Minimum(Elementwise):
    """The smallest of several tensors, element by element.

    >>> Minimum()([ops.ones((2, 3)), ops.zeros((2, 3))]).tolist()[0]
    [0.0, 0.0, 0.0]
    """

    combine = staticmethod(ops.minimum)


@export("layers.Concatenate")
class Concatenate(Merge):
    """Several tensors side by side along one axis; all other sizes are the same.

    Args:
        axis: the axis.

    >>> Concatenate()([ops.ones((2, 3)), ops.ones((2, 1))]).shape
    (2, 4)
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(axis, (list, tuple)):
            raise ArgumentTypeError(f"Concatenate(): `axis` must be one axis number. Received: {shown(axis)}")
        self.axis = arguments.axes(self, "axis", axis)[0]

    def build(self, input_shape: Sequence[Shape]) -> None:
        if self.axis == 0:  # then the batches may differ
            self._check_shapes(input_shape)
        else:
            super().build(input_shape)

    def _check_shapes(self, shapes: Sequence[Shape]) -> None:
        ranks = {len(shape) for shape in shapes}
        if len(ranks) > 1:
            raise self._misfit("tensors of one rank", shapes)
        rank = ranks.pop()
        if not -rank <= self.axis < rank:
            raise self._misfit(f"tensors that have an axis {self.axis}", shapes)
        for axis in range(rank):
            if axis != self.axis % rank and len({shape[axis] for shape in shapes} - {None}) > 1:
                raise self._misfit(f"sizes that differ on axis {self.axis} only", shapes)

    def call(self, inputs: Sequence[Any]) -> Any:
        return ops.concatenate(inputs, axis=self.axis)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Masks side by side; along the features, a step counts where any input's does."""
        if mask is None or all(m is None for m in mask):
            return None
        rank = len(inputs[0].shape)
        axis = self.axis % rank
        found = []
        for x, m in zip(inputs, mask, strict=True):
            m = (
                ops.ones_like(x[..., 0] if rank > 1 else x, dtype="bool")
                if m is None
                else ops.cast(m, "bool")
            )
            while len(m.shape) < axis + 1:
                m = ops.expand_dims(m, -1)
            found.append(ops.broadcast_to(m, ops.shape(x)[: len(m.shape)]) if len(m.shape) == axis + 1 else m)
        joined = ops.concatenate(found, axis=axis)
        return ops.any(joined, axis=-1) if axis == rank - 1 and rank > 1 else joined


@export("layers.Dot")
class Dot(Merge):
    """Products of two tensors, summed over an axis of each: a batch of dot or matrix products.

    Args:
        axes: the axis of both, or one for each.
        normalize: whether to divide by the lengths of the vectors first, which gives cosines.

    >>> Dot(axes=(2, 1))([ops.ones((2, 3, 4)), ops.ones((2, 4, 5))]).shape
    (2, 3, 5)
    """

    least, most = 2, 2

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        found = arguments.axes(self, "axes", axes)
        if isinstance(axes, (list, tuple)) and len(axes) != 2:
            raise ArgumentError(f"Dot(): `axes` must be one axis number or two. Received: {shown(axes)}")
        if 0 in found:
            raise ArgumentError(f"Dot(): `axes` can't hold 0, the axis of the batch. Received: {shown(axes)}")
        self.axes = axes
        self.normalize = bool(normalize)

    def _places(self, ranks: Sequence[int]) -> list[int]:
        axes = self.axes if isinstance(self.axes, (list, tuple)) else (self.axes, self.axes)
        return [axis + rank if axis < 0 else axis for axis, rank in zip(axes, ranks, strict=True)]

    def _check_shapes(self, shapes: Sequence[Shape]) -> None:
        ranks = [len(shape) for shape in shapes]
        places = self._places(ranks)
        if min(ranks) < 2 or not all(0 < place < rank for place, rank in zip(places, ranks, strict=True)):
            raise self._misfit(f"tensors that have the axes {self.axes} after the batch", shapes)
        first, second = (shape[place] for shape, place in zip(shapes, places, strict=True))
        if None not in (first, second) and first != second:
            raise self._misfit(f"one size on the axes {tuple(places)}, found {first} and {second}", shapes)

    def call(self, inputs: Sequence[Any]) -> Any:
        a, b = inputs
        first, second = self._places((len(a.shape), len(b.shape)))
        if self.normalize:
            a, b = ops.normalize(a, axis=first), ops.normalize(b, axis=second)
        letters = "abcdefghijklmnopqrstuvwxy"
        left = list(letters[: len(a.shape)])
        right = ["a", *letters[len(a.shape) :][: len(b.shape) - 1]]
        left[first] = right[second] = "z"
        result = [x for x in left + right[1:] if x != "z"]
        product = ops.einsum(f"{''.join(left)},{''.join(right)}->{''.join(result)}", a, b)
        return ops.expand_dims(product, 1) if len(result) == 1 else product

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        return None


# -- functional forms ----------------------------------------------------------------------------------------


@export("layers.add")
def add(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """`Add` as a function.

    >>> add([ops.ones((2, 3)), ops.ones((2, 3))]).shape
    (2, 3)
    """
    return Add(**kwargs)(inputs)


@export("layers.subtract")
def subtract(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """`Subtract` as a function.

    >>> subtract([ops.ones((2, 3)), ops.ones((2, 3))]).shape
    (2, 3)
    """
    return Subtract(**kwargs)(inputs)


@export("layers.multiply")
def multiply(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """`Multiply` as a function.

    >>> multiply([ops.ones((2, 3)), ops.ones((2, 3))]).shape
    (2, 3)
    """
    return Multiply(**kwargs)(inputs)


@export("layers.average")
def average(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """`Average` as a function.

    >>> average([ops.ones((2, 3)), ops.ones((2, 3))]).shape
    (2, 3)
    """
    return Average(**kwargs)(inputs)


@export("layers.maximum")
def maximum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """`Maximum` as a function.

    >>> maximum([ops.ones((2, 3)), ops.ones((2, 3))]).shape
    (2, 3)
    """
    return Maximum(**kwargs)(inputs)


@export("layers.minimum")
def minimum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """`Minimum` as a function.

    >>> minimum([ops.ones((2, 3)), ops.ones((2, 3))]).shape
    (2, 3)
    """
    return Minimum(**kwargs)(inputs)


@export("layers.concatenate")
def concatenate(inputs: Sequence[Any], axis: int = -1, **kwargs: Any) -> Any:
    """`Concatenate` as a function.

    >>> concatenate([ops.ones((2, 3)), ops.ones((2, 3))]).shape
    (2, 6)
    """
    return Concatenate(axis=axis, **kwargs)(inputs)


@export("layers.dot")
def dot(inputs: Sequence[Any], axes: int | Sequence[int] = -1, **kwargs: Any) -> Any:
    """`Dot` as a function.

    >>> dot([ops.ones((2, 3)), ops.ones((2, 3))]).shape
    (2, 1)
    """
    return Dot(axes=axes, **kwargs)(inputs)
