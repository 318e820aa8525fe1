"""Control flow: functions of tensors as arguments.

Below the public functions stand a few ops over flat lists of tensors, whose functions take and return such
lists; an engine that has its own control flow supplies natives for these. Nesting is undone and restored
here, once. In a graph, symbolic tensors that a function merely refers to become further operands of the node.
"""

from __future__ import annotations

import builtins
import functools
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

from triceras.core import tree
from triceras.core.errors import ArgumentError, ArgumentTypeError, EngineError, ShapeError, SymbolicValueError
from triceras.core.registry import export
from triceras.core.shapes import canonical_axis
from triceras.core.spec import KerasTensor, any_symbolic, recording, tape
from triceras.ops import creation, elementwise, indexing
from triceras.ops import shape as shapes
from triceras.ops.op import Kept, Tensor, Tensors, broadcast_shapes, op

Lists = list[Tensor]

# -- functions over flat lists -------------------------------------------------------------------------------


class Flat:
    """A function over a flat list of tensors, made of one over nested arguments; knows its result's nesting.

    Args:
        fn: the function.
        args: arguments nested as `fn` takes them; None stands for an absent tensor.
    """

    __hash__ = None  # type: ignore[assignment] - what is found out about a function must not outlive it

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.fn, self.args, self.result = fn, _skeleton(args), None

    def __repr__(self) -> str:
        return getattr(self.fn, "__name__", repr(self.fn))

    def __call__(self, tensors: Sequence[Tensor], operands: Sequence[Tensor] = ()) -> Lists:
        result = self.fn(*_nested(self.args, tensors))
        self.result = _skeleton(result)
        return [_tensor(x) for x in _leaves(result)]


class Subgraph:
    """What a function does with symbolic tensors, to be repeated on tensors.

    Args:
        fn: the function.
        specs: symbolic arguments.
        start: where, among the operands of a flat op, those begin that this function refers to.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, fn: Flat, specs: Sequence[KerasTensor], start: int) -> None:
        self.specs, self.start, self.nodes = list(specs), start, []
        with recording(True), tape(self.nodes):
            self.outputs = fn(self.specs)
        made = {id(t) for t in self.specs} | {id(t) for node in self.nodes for t in node.outputs}
        used = [t for node in self.nodes for t in node.inputs] + [
            t for t in self.outputs if isinstance(t, KerasTensor)
        ]
        self.captured = list({id(t): t for t in used if id(t) not in made}.values())

    def __call__(self, tensors: Sequence[Tensor], operands: Sequence[Tensor]) -> Lists:
        own = operands[self.start : self.start + len(self.captured)]
        known = {id(t): x for t, x in zip((*self.specs, *self.captured), (*tensors, *own), strict=True)}

        def value(t: Any) -> Any:
            return known[id(t)] if isinstance(t, KerasTensor) else t

        for node in self.nodes:
            args, kwargs = tree.map_structure(value, (node.args, node.kwargs))
            results = [x for x in tree.flatten(node.operation(*args, **kwargs)) if x is not None]
            known |= {id(t): x for t, x in zip(node.outputs, results, strict=True)}
        return [value(t) for t in self.outputs]


def _run(
    flat_op: Callable[..., Any],
    lists: Sequence[Any],
    functions: dict[str, Flat | list[Flat]],
    specs: Lists,
    **statics: Any,
) -> Any:
    """Call a flat op with a user's functions.

    Args:
        flat_op: takes lists of tensors, the operands, functions and static arguments.
        lists: the lists of tensors (or single tensors).
        functions: the op's function arguments by name.
        specs: tensors, or symbolic ones, of the kinds that the functions get.
        statics: the op's other arguments.
    """

    def call(symbolic: bool) -> Any:
        operands: Lists = []

        def prepared(fn: Flat) -> Callable[..., Lists]:
            graph = _subgraph(fn, specs, len(operands)) if symbolic else None
            if graph is None or not graph.captured:
                return fn
            operands.extend(graph.captured)
            return graph

        fns = {
            n: [prepared(f) for f in fn] if isinstance(fn, list) else prepared(fn)
            for n, fn in functions.items()
        }
        return flat_op(*lists, operands, **fns, **statics)

    if any_symbolic(lists):
        return call(symbolic=True)
    try:
        return call(symbolic=False)
    except SymbolicValueError:  # only a function refers to symbolic tensors
        return call(symbolic=True)


def _subgraph(fn: Flat, inputs: Lists, start: int) -> Subgraph | None:
    try:
        return Subgraph(fn, [_spec(x) for x in inputs], start)
    except (
        Exception
    ):  # a function with engine code in it can't be traced like this; inference runs it on the engine
        return None


def _tensor(x: Any) -> Any:
    """A tensor of anything; tensors of any engine stay, traced ones included."""
    if hasattr(x, "__triceras_tensor__"):
        x = x.__triceras_tensor__()
    return x if creation.is_tensor(x) else creation.convert_to_tensor(x)


def _spec(x: Any) -> KerasTensor:
    x = _tensor(x)
    return KerasTensor(x.shape, x.dtype)


def _leaves(structure: Any) -> Lists:
    return [x for x in tree.flatten(structure) if x is not None]


def _skeleton(structure: Any) -> Any:
    """The nesting alone: tensors are replaced by 0, None stays."""
    return tree.map_structure(lambda x: None if x is None else 0, structure)


def _nested(skeleton: Any, tensors: Sequence[Tensor]) -> Any:
    following = iter(tensors)
    return tree.map_structure(lambda x: None if x is None else next(following), skeleton)


def _callable(what: str, *functions: Any) -> None:
    for fn in functions:
        if not callable(fn):
            raise ArgumentTypeError(f"{what}() takes a function here. Received: {fn!r}")


def _slices(tensors: Lists, what: str) -> Lists:
    """Symbolic tensors of the shape of one slice of each."""
    specs = [_spec(x) for x in tensors]
    if any(not spec.shape for spec in specs):
        raise ShapeError(f"{what}() works along the first axis of each tensor. Received a scalar.")
    sizes = {spec.shape[0] for spec in specs} - {None}
    if len(sizes) > 1:
        raise ShapeError(f"{what}() takes tensors whose first sizes agree. Received sizes {sorted(sizes)}.")
    return [KerasTensor(spec.shape[1:], spec.dtype) for spec in specs]


# -- branches ------------------------------------------------------------------------------------------------


@op(at=())
def _switch(
    index: Kept, tensors: Tensors, operands: Tensors, branches: Sequence[Callable[..., Lists]]
) -> Lists:
    """The result of one of several functions."""
    return branches[min(max(int(index), 0), len(branches) - 1)](tensors, operands)


def _choose(what: str, index: Any, branches: Sequence[Callable[..., Any]], args: tuple[Any, ...]) -> Any:
    if len(index.shape):
        raise ShapeError(
            f"{what}() decides by a scalar. Received shape {tuple(index.shape)}; "
            "ops.where() chooses elementwise."
        )
    inputs = _leaves(args)
    flat = [Flat(branch, args) for branch in branches]
    results = _run(_switch, [index, inputs], {"branches": flat}, inputs)
    return _nested(next(f.result for f in flat if f.result is not None), results)


@export("ops.cond")
def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """What `true_fn()` returns where `pred` holds, else what `false_fn()` returns.

    Args:
        pred: a bool scalar.
        true_fn: a function without arguments.
        false_fn: another, whose result has the same nesting, shapes and dtypes.

    >>> cond(creation.array(True), lambda: creation.array(1), lambda: creation.array(2)).item()
    1
    """
    _callable("cond", true_fn, false_fn)
    if isinstance(pred, bool):
        return (true_fn if pred else false_fn)()
    return _choose("cond", creation.cast(creation.cast(pred, "bool"), "int32"), (false_fn, true_fn), ())


@export("ops.switch")
def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """What one of several functions returns for the operands; indices outside are clipped.

    >>> switch(1, [lambda x: x, lambda x: x * 10], creation.array(2)).item()
    20
    """
    if not branches:
        raise ArgumentError("switch() takes at least one branch.")
    _callable("switch", *branches)
    return _choose("switch", creation.cast(index, "int32"), tuple(branches), operands)


# -- loops ---------------------------------------------------------------------------------------------------


@op(at=())
def _while(
    tensors: Tensors, operands: Tensors, cond: Callable[..., Lists], body: Callable[..., Lists]
) -> Lists:
    """The last result of a function applied as long as a condition holds."""
    while bool(cond(tensors, operands)[0]):
        tensors = body(tensors, operands)
    return tensors


@export("ops.while_loop")
def while_loop(
    cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Any, maximum_iterations: int | None = None
) -> Any:
    """Apply a function again and again as long as a condition holds.

    Args:
        cond: takes the loop's variables, returns a bool scalar.
        body: takes the variables, returns their next values, of the same shapes and dtypes.
        loop_vars: a tuple or list of (nested) tensors, or a single one.
        maximum_iterations: stop after so many.

    >>> while_loop(lambda i: i < 10, lambda i: i + 3, 0).item()
    12
    """
    _callable("while_loop", cond, body)
    single = not isinstance(loop_vars, (list, tuple))
    start = (loop_vars,) if single else tuple(loop_vars)
    count = creation.convert_to_tensor(0)

    def proceeds(count: Any, *values: Any) -> Any:
        more = creation.cast(cond(*values), "bool")
        if maximum_iterations is None:
            return more
        return elementwise.logical_and(more, elementwise.less(count, maximum_iterations))

    def following(count: Any, *values: Any) -> Any:
        result = body(*values)
        return (elementwise.add(count, 1), *(result if isinstance(result, (list, tuple)) else (result,)))

    args = (count, *start)
    inputs = _leaves(args)
    functions = {"cond": Flat(proceeds, args), "body": Flat(following, args)}
    results = _nested(_skeleton(args), _run(_while, [inputs], functions, inputs))[1:]
    return results[0] if single else results


@export("ops.fori_loop")
def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any, Any], Any], init_val: Any) -> Any:
    """`value = body_fun(i, value)` for each integer `i` from `lower` up to but without `upper`.

    With plain integers as bounds gradients pass backwards through the loop on every engine that has
    gradients.

    >>> fori_loop(0, 4, lambda i, total: total + i, 0).item()
    6
    """
    _callable("fori_loop", body_fun)
    if isinstance(lower, int) and isinstance(upper, int):
        indices = creation.arange(lower, max(lower, upper), dtype="int32")
        return scan(lambda value, i: (body_fun(i, value), None), init_val, indices)[0]
    lower, upper = creation.cast(lower, "int32"), creation.cast(upper, "int32")
    loop = while_loop(
        lambda i, end, _value: elementwise.less(i, end),
        lambda i, end, value: (elementwise.add(i, 1), end, body_fun(i, value)),
        (lower, upper, init_val),
    )
    return loop[2]


@op(at=())
def _scan(
    carry: Tensors,
    xs: Tensors,
    operands: Tensors,
    step: Callable[..., Lists],
    length: int | None,
    reverse: bool,
    unroll: int | bool,
) -> tuple[Lists, Lists]:
    """A loop over slices with a carried state, whose results are stacked."""
    count = len(carry)
    rows = []
    size = xs[0].shape[0] if xs else length
    for i in reversed(range(size)) if reverse else range(size):
        found = step([*carry, *(indexing.get_item(x, i) for x in xs)], operands)
        carry = found[:count]
        rows.append(found[count:])
    if not rows:
        raise EngineError("This engine can't scan over nothing: it can't know the shapes of the results.")
    columns = zip(*(reversed(rows) if reverse else rows), strict=True)
    return list(carry), [shapes.stack(list(column)) for column in columns]


@export("ops.scan")
def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> tuple[Any, Any]:
    """Go along the first axis with a carried state and stack what is found at each place.

    Args:
        f: `f(carry, x)` returns the next carry, of the same shapes and dtypes, and a result.
        init: the first carry.
        xs: (nested) tensors, of which `f` gets one slice each; None for none.
        length: the number of steps, needed without `xs`.
        reverse: go from the end to the start.
        unroll: how many steps an engine that compiles loops may write out at once; True for all.

    Returns:
        The last carry and the stacked results.

    >>> total, sums = scan(lambda c, x: (c + x, c + x), 0, creation.array([1, 2, 3]))
    >>> total.item(), sums.tolist()
    (6, [1, 3, 6])
    """
    _callable("scan", f)
    if not isinstance(unroll, (bool, int)) or (unroll is not True and unroll is not False and unroll < 1):
        raise ArgumentError(f"`unroll` must be a positive integer or a bool. Received: {unroll!r}")
    carry, inputs = _leaves(init), _leaves(xs)
    slices = _slices(inputs, "scan")
    if not inputs and length is None:
        raise ArgumentError("scan() needs `xs` or `length`.")
    size = _spec(inputs[0]).shape[0] if inputs else operator.index(length)
    if length is not None and size not in (None, length):
        raise ShapeError(f"`length`={length} differs from the first size of `xs`, {size}.")
    flat = Flat(f, (init, xs))
    settings = {"length": size, "reverse": bool(reverse), "unroll": unroll}
    last, stacked = _run(_scan, [carry, inputs], {"step": flat}, [*carry, *slices], **settings)
    return _nested(_skeleton(init), last), _nested(flat.result[1], stacked)


@export("ops.map")
def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """Apply a function to each slice along the first axis, one after another, and stack the results.

    >>> map(lambda x: x * x, creation.array([1, 2, 3])).tolist()
    [1, 4, 9]
    """
    _callable("map", f)
    return scan(lambda _carry, x: (None, f(x)), None, xs)[1]


@op(at=())
def _vectorized_map(elements: Tensors, operands: Tensors, fn: Callable[..., Lists]) -> Lists:
    """A function of slices, applied to all at once."""
    return _scan([], elements, operands, fn, None, False, 1)[1]


@export("ops.vectorized_map")
def vectorized_map(function: Callable[[Any], Any], elements: Any) -> Any:
    """Apply a function to each slice along the first axis, all at once where the engine can.

    >>> vectorized_map(lambda x: x * x, creation.array([1, 2, 3])).tolist()
    [1, 4, 9]
    """
    _callable("vectorized_map", function)
    inputs = _leaves(elements)
    flat = Flat(function, (elements,))
    results = _run(_vectorized_map, [inputs], {"fn": flat}, _slices(inputs, "vectorized_map"))
    return _nested(flat.result, results)


@op(at=())
def _associative_scan(
    elements: Tensors, operands: Tensors, fn: Callable[..., Lists], reverse: bool, axis: int
) -> Lists:
    """Running results of an associative function, in steps whose number is the logarithm of the size."""
    axes = [canonical_axis(axis, len(x.shape)) for x in elements]
    if reverse:
        elements = [shapes.flip(x, at) for x, at in zip(elements, axes, strict=True)]
    found = _running(lambda a, b: fn([*a, *b], operands), list(elements), axes)
    return [shapes.flip(x, at) for x, at in zip(found, axes, strict=True)] if reverse else found


def _running(fn: Callable[[Lists, Lists], Lists], elements: Lists, axes: list[int]) -> Lists:
    size = elements[0].shape[axes[0]]
    if size < 2:
        return elements

    def part(tensors: Lists, start: int, stop: int | None, step: int = 1) -> Lists:
        return [_part(x, at, start, stop, step) for x, at in zip(tensors, axes, strict=True)]

    odd = _running(
        fn, fn(part(elements, 0, size - 1, 2), part(elements, 1, None, 2)), axes
    )  # up to places 1, 3, 5 ...
    later = (size - 1) // 2  # places 2, 4, 6 ...
    even = part(elements, 0, 1)
    if later:
        rest = fn(part(odd, 0, later), part(elements, 2, None, 2))
        even = [shapes.concatenate([a, b], at) for a, b, at in zip(even, rest, axes, strict=True)]
    return [_interleaved(a, b, at) for a, b, at in zip(even, odd, axes, strict=True)]


def _part(x: Tensor, axis: int, start: int, stop: int | None, step: int = 1) -> Tensor:
    return indexing.get_item(x, (builtins.slice(None),) * axis + (builtins.slice(start, stop, step),))


def _interleaved(even: Tensor, odd: Tensor, axis: int) -> Tensor:
    """The slices of two tensors in turn; the first may have one more."""
    pairs = odd.shape[axis]
    both = shapes.stack([_part(even, axis, 0, pairs), odd], axis=axis + 1)
    merged = shapes.reshape(both, (*odd.shape[:axis], 2 * pairs, *odd.shape[axis + 1 :]))
    return shapes.concatenate([merged, _part(even, axis, pairs, None)], axis)


@export("ops.associative_scan")
def associative_scan(f: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """Running results `e0, f(e0, e1), f(f(e0, e1), e2) ...` of an associative function, computed in parallel.

    Args:
        f: takes two (nested) tensors that hold many elements along the axis, returns as many results.
        elems: (nested) tensors.
        reverse: go from the end to the start.
        axis: the axis to go along.

    >>> associative_scan(lambda a, b: a + b, creation.array([1, 2, 3])).tolist()
    [1, 3, 6]
    """
    _callable("associative_scan", f)
    inputs = _leaves(elems)
    specs = [_spec(x) for x in inputs]
    places = [canonical_axis(axis, len(s.shape)) for s in specs]
    if not specs or len({s.shape[p] for s, p in zip(specs, places, strict=True)} - {None}) > 1:
        raise ShapeError(
            f"associative_scan() takes tensors of one size along the axis. "
            f"Received: {[s.shape for s in specs]}"
        )
    halves = [
        KerasTensor((*s.shape[:p], None, *s.shape[p + 1 :]), s.dtype)
        for s, p in zip(specs, places, strict=True)
    ]
    flat = Flat(f, (elems, elems))
    results = _run(
        _associative_scan, [inputs], {"fn": flat}, [*halves, *halves], reverse=bool(reverse), axis=axis
    )
    return _nested(_skeleton(elems), results)


# -- gradients -----------------------------------------------------------------------------------------------


@op()
def stop_gradient(variable: Kept) -> Tensor:
    """The same values, which count as constants when gradients are taken.

    >>> stop_gradient(creation.array(2.0)).item()
    2.0
    """
    ...


class WithGradient:
    """A function with its own gradient, over a flat list of the tensors among its arguments."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.fn, self.args, self.kwargs, self.result = fn, args, kwargs, None
        self.leaves = tree.flatten(args)
        self.places = [i for i, x in enumerate(self.leaves) if hasattr(x, "shape")]

    def __call__(self, tensors: Sequence[Tensor]) -> tuple[Lists, Callable[[Any], Lists]]:
        """The flat result, and a function from its flat upstream gradients to gradients for the tensors."""
        leaves = list(self.leaves)
        for place, tensor in zip(self.places, tensors, strict=True):
            leaves[place] = tensor
        found = self.fn(*tree.pack_sequence_as(self.args, leaves), **self.kwargs)
        if not isinstance(found, (tuple, list)) or len(found) != 2 or not callable(found[1]):
            raise ArgumentError(
                f"A function with a custom gradient returns (output, grad_function). Received: {found!r}"
            )
        output, gradient = found
        self.result = _skeleton(output)

        def gradients(upstream: Sequence[Tensor]) -> Lists:
            grads = gradient(_nested(self.result, upstream))
            grads = tree.flatten(grads if isinstance(grads, (tuple, list)) else (grads,))
            if len(grads) != len(self.leaves):
                raise ArgumentError(
                    f"A custom gradient returns one gradient for each of {len(self.leaves)} arguments. "
                    f"Received: {len(grads)}"
                )
            return [grads[place] for place in self.places]

        return [_tensor(x) for x in _leaves(output)], gradients


@op(at=())
def _custom_gradient(tensors: Tensors, fn: WithGradient) -> Lists:
    """The function's result; its own gradient is used by engines that differentiate."""
    return fn(tensors)[0]


@export("ops.custom_gradient")
def custom_gradient(f: Callable[..., tuple[Any, Callable[..., Any]]]) -> Callable[..., Any]:
    """A function that is differentiated by a rule of one's own.

    Args:
        f: returns its output and a function from the output's upstream gradient to the gradients of the
            positional arguments (None for zero).

    >>> @custom_gradient
    ... def double(x):
    ...     return x * 2, lambda upstream: upstream * 2
    >>> double(creation.array(3.0)).item()
    6.0
    """
    _callable("custom_gradient", f)

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        flat = WithGradient(f, args, kwargs)
        results = _custom_gradient([flat.leaves[place] for place in flat.places], flat)
        return _nested(flat.result, results)

    return call


@op(at=())
def _jvp(
    primals: Tensors, tangents: Tensors, operands: Tensors, fn: Callable[..., Lists]
) -> tuple[Lists, Lists]:
    """A function's results and their directional derivatives."""
    raise EngineError("This engine computes no derivatives; use another one, such as JAX.")


@export("ops.jvp", "ops.linalg.jvp")
def jvp(
    fun: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False
) -> tuple[Any, ...]:
    """A function's result and its derivative in a direction (forward mode).

    Args:
        fun: the function.
        primals: its arguments.
        tangents: the direction, of the same nesting, shapes and dtypes.
        has_aux: whether `fun` returns `(result, auxiliary)`.

    Returns:
        `(result, derivative)`, or `(result, derivative, auxiliary)`.

    Raises:
        EngineError: the engine has no derivatives.
    """
    _callable("jvp", fun)
    inputs, directions = _leaves(tuple(primals)), _leaves(tuple(tangents))
    if len(inputs) != len(directions):
        raise ArgumentError(
            f"jvp() takes a tangent for each primal. Received {len(directions)} for {len(inputs)}."
        )
    flat = Flat(fun, tuple(primals))
    values, derivatives = _run(_jvp, [inputs, directions], {"fn": flat}, inputs)
    result, derivative = _nested(flat.result, values), _nested(flat.result, derivatives)
    return (result[0], derivative[0], result[1]) if has_aux else (result, derivative)


# -- vectorizing ---------------------------------------------------------------------------------------------


@export("ops.vectorize", "ops.numpy.vectorize")
def vectorize(
    pyfunc: Callable[..., Any], *, excluded: Any = None, signature: str | None = None
) -> Callable[..., Any]:
    """A function of scalars (or of small tensors) as one of tensors of any shape, which broadcast.

    Args:
        pyfunc: the function.
        excluded: positions and names of arguments that are passed as they are.
        signature: the axes that `pyfunc` itself works on, such as "(m,n),(n)->(m)"; scalars by default.

    >>> vectorize(lambda x, y: x * y)(creation.array([1, 2]), 3).tolist()
    [3, 6]
    """
    _callable("vectorize", pyfunc)
    passed = set(excluded or ())
    cores = None if signature is None else _core_axes(signature)

    @functools.wraps(pyfunc)
    def call(*args: Any, **kwargs: Any) -> Any:
        given: dict[Any, Any] = dict(enumerate(args)) | kwargs
        varied = [name for name in given if name not in passed]
        axes = [()] * len(varied) if cores is None else cores
        if len(axes) != len(varied):
            raise ArgumentError(
                f"The signature {signature!r} has {len(axes)} arguments. Received: {len(varied)}"
            )

        def apply(*values: Tensor) -> Any:
            full = given | dict(zip(varied, values, strict=True))
            return pyfunc(*(full[i] for i in range(len(args))), **{name: full[name] for name in kwargs})

        tensors = [_tensor(given[name]) for name in varied]
        flat = Flat(apply, tuple(tensors))
        loops = _loop_shapes(tensors, axes)
        specs = [
            KerasTensor(tuple(x.shape)[len(own) :], x.dtype) for x, own in zip(tensors, loops, strict=True)
        ]
        results = _run(_vectorize, [tensors], {"fn": flat}, specs, cores=axes)
        return _nested(flat.result, results)

    return call


@op(at=())
def _vectorize(
    tensors: Tensors, operands: Tensors, fn: Callable[..., Lists], cores: Sequence[tuple[str, ...]]
) -> Lists:
    """A function of the last axes of tensors, applied along all others, which broadcast."""
    loops = _loop_shapes(tensors, cores)
    loop = broadcast_shapes(*loops)
    if not loop:
        return fn(tensors, operands)
    rows = []
    for x, own in zip(tensors, loops, strict=True):
        core = tuple(x.shape)[len(own) :]
        rows.append(shapes.reshape(shapes.broadcast_to(x, (*loop, *core)), (-1, *core)))
    return [shapes.reshape(x, (*loop, *tuple(x.shape)[1:])) for x in _vectorized_map(rows, operands, fn)]


def _core_axes(signature: str) -> list[tuple[str, ...]]:
    """The names of the axes of each argument in a signature."""
    group = r"\([\w,\s]*\)"
    if not re.fullmatch(rf"\s*{group}(\s*,\s*{group})*\s*->\s*{group}(\s*,\s*{group})*\s*", signature):
        raise ArgumentError(f"`signature` looks like '(m,n),(n)->(m)'. Received: {signature!r}")
    inputs = signature.split("->")[0]
    return [
        tuple(filter(None, (n.strip() for n in found.split(","))))
        for found in re.findall(r"\(([^)]*)\)", inputs)
    ]


def _loop_shapes(tensors: Sequence[Tensor], cores: Sequence[tuple[str, ...]]) -> list[tuple[int | None, ...]]:
    """The axes in front of those that the function itself works on."""
    sizes: dict[str, int | None] = {}
    result = []
    for x, core in zip(tensors, cores, strict=True):
        shape = tuple(x.shape)
        if len(shape) < len(core):
            raise ShapeError(
                f"vectorize() expected the axes ({', '.join(core)}). Received a tensor of shape {shape}."
            )
        split = len(shape) - len(core)
        for name, size in zip(core, shape[split:], strict=True):
            if sizes.setdefault(name, size) != size:
                raise ShapeError(
                    f"vectorize() found the sizes {sizes[name]} and {size} for the axis {name!r}."
                )
        result.append(shape[:split])
    return result
