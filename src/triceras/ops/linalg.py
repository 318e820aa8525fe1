"""Products, decompositions and solutions of linear systems."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from triceras.core.dtypes import COMPLEX, accumulate, promote, promote_float, standardize_dtype
from triceras.core.errors import ArgumentError, ShapeError
from triceras.core.shapes import canonical_axes
from triceras.core.spec import KerasTensor
from triceras.ops import creation, elementwise, indexing, reduction
from triceras.ops import shape as shapes
from triceras.ops.op import Kept, Op, Tensor, Tensors, op

AT = ("ops", "ops.numpy")
public = partial(op, at=AT)
algebra = partial(op, at=("ops.linalg", "ops"))


def _product(kinds: tuple[str, ...]) -> str:
    """The dtype rule of `matmul` and `einsum`: as `promote`, and int8 pairs are summed in int32."""
    return "int32" if set(kinds) == {"int8"} else promote(kinds)


@public(_product)
def matmul(x1: Tensor, x2: Tensor) -> Tensor:
    """The matrix product over the last two axes; axes before them broadcast, and vectors count as matrices.

    >>> matmul([[1, 2], [3, 4]], [[1], [10]]).tolist()
    [[21], [43]]
    """
    ...


def _affine_spec(made: Op, values: list[Any], statics: dict[str, Any]) -> KerasTensor:
    x, kernel, _ = values
    dtype = _product(tuple(standardize_dtype(v.dtype) for v in values))
    return KerasTensor((*x.shape[:-1], kernel.shape[-1]), dtype)


@op(_product, spec=_affine_spec, at=())  # the one that models have most of: probing would take milliseconds
def affine(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """`matmul(x, kernel) + bias`."""
    return elementwise.add(matmul(x, kernel), bias)


@public(promote)
def tensordot(x1: Tensor, x2: Tensor, axes: int | Sequence[Any] = 2) -> Tensor:
    """The sum of products over axes of both tensors.

    Args:
        x1: the first.
        x2: the second.
        axes: how many axes (the last of the first, the first of the second), or a pair of axes or lists of
            axes.

    >>> tensordot([1, 2], [3, 4], 1).item()
    11
    """
    ...


@public(_product)
def einsum(subscripts: str, *operands: Tensors, **kwargs: Any) -> Tensor:
    """Sums of products in the Einstein notation.

    Args:
        subscripts: such as "bij,bjk->bik".
        operands: the tensors.
        kwargs: `optimize`, as NumPy takes it.

    >>> einsum("ij->ji", [[1, 2], [3, 4]]).tolist()
    [[1, 3], [2, 4]]
    """
    ...


@public(promote)
def dot(x1: Tensor, x2: Tensor) -> Tensor:
    """The dot product: over the last axis of the first and the last but one of the second; scalars multiply.

    >>> dot([1, 2], [3, 4]).item()
    11
    """
    if 0 in (len(x1.shape), len(x2.shape)):
        return elementwise.multiply(x1, x2)
    return tensordot(x1, x2, ([-1], [-2 if len(x2.shape) > 1 else -1]))


@public(promote)
def inner(x1: Tensor, x2: Tensor) -> Tensor:
    """The sum of products over the last axes; scalars multiply.

    >>> inner([1, 2], [3, 4]).item()
    11
    """
    if 0 in (len(x1.shape), len(x2.shape)):
        return elementwise.multiply(x1, x2)
    return tensordot(x1, x2, ([-1], [-1]))


@public(promote)
def vdot(x1: Tensor, x2: Tensor) -> Tensor:
    """The dot product of flattened tensors, the first one conjugated.

    >>> vdot([[1, 2]], [[3], [4]]).item()
    11
    """
    x1 = shapes.ravel(x1)
    is_complex = standardize_dtype(x1.dtype) in COMPLEX
    return tensordot(elementwise.conj(x1) if is_complex else x1, shapes.ravel(x2), 1)


@public(promote)
def outer(x1: Tensor, x2: Tensor) -> Tensor:
    """All products of an element of the first flattened tensor with one of the second.

    >>> outer([1, 2], [3, 4]).tolist()
    [[3, 4], [6, 8]]
    """
    return elementwise.multiply(shapes.reshape(x1, (-1, 1)), shapes.reshape(x2, (1, -1)))


@public(promote)
def kron(x1: Tensor, x2: Tensor) -> Tensor:
    """The Kronecker product: each element of the first times the whole second.

    >>> kron([1, 10], [1, 2]).tolist()
    [1, 2, 10, 20]
    """
    rank = max(len(x1.shape), len(x2.shape))
    first, second = ((1,) * (rank - len(x.shape)) + tuple(x.shape) for x in (x1, x2))
    x1 = shapes.reshape(x1, [size for n in first for size in (n, 1)])
    x2 = shapes.reshape(x2, [size for n in second for size in (1, n)])
    return shapes.reshape(elementwise.multiply(x1, x2), [m * n for m, n in zip(first, second, strict=True)])


@public(promote)
def cross(
    x1: Tensor, x2: Tensor, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Tensor:
    """The cross product of vectors of two or three components; of two with two, its third component alone.

    Args:
        x1: the first vectors.
        x2: the second vectors.
        axisa: where the components of the first lie.
        axisb: where those of the second lie.
        axisc: where those of the result go.
        axis: all three at once.

    >>> cross([1, 0, 0], [0, 1, 0]).tolist()
    [0, 0, 1]
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = (shapes.unstack(x, axis=at) for x, at in ((x1, axisa), (x2, axisb)))
    if len(a) not in (2, 3) or len(b) not in (2, 3):
        raise ShapeError(
            f"cross() takes vectors of 2 or 3 components. Received shapes {x1.shape} and {x2.shape}."
        )

    def minor(i: int, j: int) -> Tensor:
        return elementwise.subtract(elementwise.multiply(a[i], b[j]), elementwise.multiply(a[j], b[i]))

    if len(a) == len(b) == 2:
        return minor(0, 1)
    a, b = ([*v, creation.zeros_like(v[0])] if len(v) == 2 else v for v in (a, b))
    return shapes.stack([minor(1, 2), minor(2, 0), minor(0, 1)], axis=axisc)


@public(accumulate)
def trace(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum of a diagonal of the planes that two axes span.

    >>> trace([[1, 2], [3, 4]]).item()
    5
    """
    return reduction.sum(indexing.diagonal(x, offset, axis1, axis2), axis=-1)


@op(promote_float)
def cdist(x: Tensor, y: Tensor) -> Tensor:
    """Euclidean distances between all rows of `x` and all rows of `y`; the axes before them broadcast.

    >>> cdist([[0.0, 0.0]], [[3.0, 4.0]]).tolist()
    [[5.0]]
    """
    if len(x.shape) < 2 or len(y.shape) < 2 or x.shape[-1] != y.shape[-1]:
        raise ShapeError(
            f"cdist() takes rows of equal size. Received shapes {tuple(x.shape)} and {tuple(y.shape)}."
        )
    difference = elementwise.subtract(shapes.expand_dims(x, -2), shapes.expand_dims(y, -3))
    square = reduction.sum(elementwise.square(difference), axis=-1)
    apart = elementwise.greater(square, 0)  # the root has no finite slope at 0
    return indexing.where(apart, elementwise.sqrt(indexing.where(apart, square, 1.0)), 0.0)


# -- norms ---------------------------------------------------------------------------------------------------


@algebra(promote_float)
def norm(
    x: Tensor,
    ord: int | float | str | None = None,
    axis: int | Sequence[int] | None = None,
    keepdims: bool = False,
) -> Tensor:
    """The norm of vectors (along one axis) or matrices (along two).

    Args:
        x: the tensor.
        ord: for vectors any number (2 by default); for matrices "fro" (the default), "nuc", 1, -1, 2, -2, inf
            or -inf.
        axis: one or two axes; None takes the 2-norm of all elements if `ord` isn't given, else the whole
            tensor as a vector or a matrix.
        keepdims: keep the reduced axes with size 1.

    >>> norm([3.0, 4.0]).item()
    5.0
    """
    rank = len(x.shape)
    if axis is None and ord is None:
        return _root_of_squares(x, tuple(range(rank)), keepdims)
    axes = tuple(range(rank)) if axis is None else canonical_axes(axis, rank)
    if len(axes) == 1:
        return _vector_norm(x, 2 if ord is None else ord, axes, keepdims)
    if len(axes) == 2:
        return _matrix_norm(x, "fro" if ord is None else ord, axes, keepdims)
    raise ArgumentError(
        f"norm() takes one axis for vectors or two for matrices. Received: axis={axis} for rank {rank}"
    )


def _root_of_squares(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    return elementwise.sqrt(
        reduction.sum(elementwise.square(elementwise.abs(x)), axis=axes, keepdims=keepdims)
    )


def _vector_norm(x: Tensor, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    if not isinstance(ord, (int, float)):
        raise ArgumentError(f"A vector norm has a number as `ord`. Received: {ord!r}")
    size = elementwise.abs(x)
    if math.isinf(ord):
        return (reduction.max if ord > 0 else reduction.min)(size, axis=axes, keepdims=keepdims)
    if ord == 0:
        return creation.cast(
            reduction.sum(elementwise.not_equal(size, 0), axis=axes, keepdims=keepdims), size.dtype
        )
    if ord == 1:
        return reduction.sum(size, axis=axes, keepdims=keepdims)
    if ord == 2:
        return _root_of_squares(x, axes, keepdims)
    return elementwise.power(
        reduction.sum(elementwise.power(size, ord), axis=axes, keepdims=keepdims), 1 / ord
    )


def _matrix_norm(x: Tensor, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    if ord == "fro":
        return _root_of_squares(x, axes, keepdims)
    rows, columns = axes
    if ord in (1, -1, math.inf, -math.inf):
        summed, searched = (rows, columns) if abs(ord) == 1 else (columns, rows)
        sums = reduction.sum(elementwise.abs(x), axis=summed, keepdims=True)
        result = (reduction.max if ord > 0 else reduction.min)(sums, axis=searched, keepdims=True)
    elif ord in (2, -2, "nuc"):
        found = {2: reduction.max, -2: reduction.min, "nuc": reduction.sum}[ord]
        values = svd(shapes.moveaxis(x, axes, (-2, -1)), compute_uv=False)
        result = creation.cast(found(values, axis=-1), values.dtype)
        for place in sorted(axes):
            result = shapes.expand_dims(result, place)
    else:
        raise ArgumentError(f'A matrix norm is "fro", "nuc", 1, -1, 2, -2, inf or -inf. Received: {ord!r}')
    return result if keepdims else shapes.squeeze(result, axes)


# -- decompositions and systems ------------------------------------------------------------------------------


@public(promote_float)
def slogdet(x: Tensor) -> tuple[Tensor, Tensor]:
    """The sign of the determinant and the logarithm of its size.

    >>> [v.item() for v in slogdet([[1.0, 0.0], [0.0, 1.0]])]
    [1.0, 0.0]
    """
    ...


@op(promote_float)
def logdet(x: Tensor) -> Tensor:
    """The logarithm of the determinant's size.

    >>> logdet([[1.0, 0.0], [0.0, 1.0]]).item()
    0.0
    """
    return slogdet(x)[1]


@algebra(promote_float)
def det(x: Tensor) -> Tensor:
    """The determinant.

    >>> det([[1.0, 0.0], [0.0, 2.0]]).item()
    2.0
    """
    ...


@algebra(promote_float)
def inv(x: Tensor) -> Tensor:
    """The inverse of square matrices.

    >>> inv([[2.0, 0.0], [0.0, 4.0]]).tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    ...


@algebra(promote_float)
def pinv(x: Tensor, rcond: float | None = None) -> Tensor:
    """The pseudo-inverse (Moore-Penrose).

    Args:
        x: matrices of any shape.
        rcond: singular values below this part of the largest count as 0; ten times the larger size times the
            dtype's epsilon by default.

    >>> pinv([[2.0], [0.0]]).tolist()
    [[0.5, 0.0]]
    """
    ...


@algebra(promote_float)
def cholesky(x: Tensor, upper: bool = False) -> Tensor:
    """The triangular factor of positive definite matrices.

    Args:
        x: symmetric (Hermitian) positive definite matrices.
        upper: the upper factor instead of the lower.

    >>> cholesky([[4.0, 0.0], [0.0, 9.0]]).tolist()
    [[2.0, 0.0], [0.0, 3.0]]
    """
    ...


@algebra(promote_float)
def cholesky_inverse(x: Tensor, upper: bool = False) -> Tensor:
    """The inverse of the positive definite matrices whose Cholesky factors are given.

    Args:
        x: triangular factors.
        upper: whether they are upper ones.

    >>> cholesky_inverse([[2.0, 0.0], [0.0, 2.0]]).tolist()
    [[0.25, 0.0], [0.0, 0.25]]
    """
    identity = shapes.broadcast_to(creation.eye(x.shape[-1], dtype=x.dtype), x.shape)
    root = solve_triangular(x, identity, lower=not upper)
    adjoint = elementwise.conj(shapes.swapaxes(root, -1, -2))
    return matmul(root, adjoint) if upper else matmul(adjoint, root)


@algebra(promote_float, spec=indexing.smaller_size)
def qr(x: Tensor, mode: str = "reduced") -> tuple[Tensor, Tensor]:
    """Orthogonal and upper triangular factors.

    Args:
        x: matrices.
        mode: "reduced", or "complete" for a square orthogonal factor.

    >>> [f.shape for f in qr([[1.0], [2.0]])]
    [(2, 1), (1, 1)]
    """
    if mode not in ("reduced", "complete"):
        raise ArgumentError(f'`mode` must be "reduced" or "complete". Received: {mode!r}')
    return _qr(x, mode)


@op(at=())
def _qr(x: Kept, mode: str) -> tuple[Tensor, Tensor]:
    """The factors themselves."""
    ...


@algebra(promote_float, spec=indexing.smaller_size)
def svd(
    x: Tensor, full_matrices: bool = True, compute_uv: bool = True
) -> tuple[Tensor, Tensor, Tensor] | Tensor:
    """The singular value decomposition `u, s, vh`, or the singular values alone.

    Args:
        x: matrices.
        full_matrices: square `u` and `vh`.
        compute_uv: also the vectors.

    >>> svd([[3.0, 0.0], [0.0, 4.0]], compute_uv=False).tolist()
    [4.0, 3.0]
    """
    ...


@algebra(promote_float)
def eig(x: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues and right eigenvectors (as columns) of square matrices, both complex.

    >>> eig([[2.0]])[0].tolist()
    [(2+0j)]
    """
    ...


@algebra(promote_float)
def eigh(x: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues, ascending, and eigenvectors (as columns) of symmetric or Hermitian matrices.

    >>> eigh([[2.0, 0.0], [0.0, 1.0]])[0].tolist()
    [1.0, 2.0]
    """
    ...


@algebra(promote_float, spec=indexing.smaller_size)
def lu_factor(x: Tensor) -> tuple[Tensor, Tensor]:
    """Both factors of the LU decomposition in one matrix, and the rows exchanged at each step.

    >>> lu_factor([[2.0, 0.0], [1.0, 1.0]])[0].tolist()
    [[2.0, 0.0], [0.5, 1.0]]
    """
    ...


@algebra(promote_float)
def solve(a: Tensor, b: Tensor) -> Tensor:
    """The solution `x` of `a @ x = b`, for right sides `b` that are vectors or matrices.

    >>> solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 2.0]).tolist()
    [1.0, 0.5]
    """
    return _for_columns(_solve, a, b)


@algebra(promote_float)
def solve_triangular(a: Tensor, b: Tensor, lower: bool = False) -> Tensor:
    """As `solve`, looking only at the upper (or lower) triangle of `a`.

    >>> solve_triangular([[2.0, 5.0], [0.0, 4.0]], [7.0, 4.0]).tolist()
    [1.0, 1.0]
    """
    return _for_columns(partial(_solve_triangular, lower=bool(lower)), a, b)


def _for_columns(solver: Callable[[Tensor, Tensor], Tensor], a: Tensor, b: Tensor) -> Tensor:
    """Solve for right sides that are vectors as for matrices of one column."""
    rank = len(a.shape)
    if rank < 2 or a.shape[-1] != a.shape[-2]:
        raise ShapeError(
            f"Only square matrices have a unique solution. Received `a` of shape {tuple(a.shape)}."
        )
    vectors = len(b.shape) == rank - 1
    if len(b.shape) < rank - 1 or b.shape[-1 if vectors else -2] != a.shape[-1]:
        raise ShapeError(
            f"`b` of shape {tuple(b.shape)} can't be a right side of `a` of shape {tuple(a.shape)}."
        )
    if vectors:
        return shapes.squeeze(solver(a, shapes.expand_dims(b, -1)), -1)
    return solver(a, b)


@op(at=())
def _solve(a: Kept, b: Kept) -> Tensor:
    """The solution for matrices."""
    ...


@op(at=())
def _solve_triangular(a: Kept, b: Kept, lower: bool) -> Tensor:
    """The solution for matrices."""
    return _solve(indexing.tril(a) if lower else indexing.triu(a), b)


@algebra(promote_float)
def lstsq(a: Tensor, b: Tensor, rcond: float | None = None) -> Tensor:
    """The `x` of least norm among those that bring `a @ x` closest to `b`.

    Args:
        a: a matrix.
        b: a vector or a matrix.
        rcond: singular values below this part of the largest count as 0; the larger size times the dtype's
            epsilon by default.

    >>> lstsq([[1.0], [1.0]], [1.0, 3.0]).shape
    (1,)
    """
    if len(a.shape) != 2 or len(b.shape) not in (1, 2) or a.shape[0] != b.shape[0]:
        raise ShapeError(
            f"lstsq() takes a matrix and as many rows. Received shapes {tuple(a.shape)} and {tuple(b.shape)}."
        )
    return matmul(pinv(a, max(a.shape) * _epsilon(a) if rcond is None else rcond), b)


@algebra(promote_float)
def matrix_rank(x: Tensor, tol: float | None = None) -> Tensor:
    """How many singular values of matrices count as other than 0.

    Args:
        x: matrices.
        tol: what they must exceed; the largest times the larger size times the dtype's epsilon by default.

    >>> matrix_rank([[1.0, 1.0], [1.0, 1.0]]).item()
    1
    """
    if len(x.shape) < 2:
        raise ShapeError(f"matrix_rank() takes matrices. Received shape {tuple(x.shape)}.")
    values = svd(x, compute_uv=False)
    if tol is None:
        tol = elementwise.multiply(
            reduction.max(values, axis=-1, keepdims=True), max(x.shape[-2:]) * _epsilon(values)
        )
    return creation.cast(reduction.sum(elementwise.greater(values, tol), axis=-1), "int32")


def _epsilon(x: Tensor) -> float:
    """The spacing near 1 of the numbers that are computed with (single ones for half precision)."""
    return 2.0**-52 if standardize_dtype(x.dtype) in ("float64", "complex128") else 2.0**-23
