"""Control flow over flat lists of tensors.

Eagerly, and in graphs whose variables are TensorFlow's own, functions may assign what they like. Where values
of variables are threaded through a differentiated function, those that a function assigns are carried along.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from triceras.core.errors import EngineError
from triceras.engine.carried import Function, Lists, carried
from triceras.engine.contract import StateScope, state

Run = Callable[[Callable[[Function], Function], Lists], tuple[Any, Lists]]


def _with_state(run: Run) -> Any:
    if not tf.executing_eagerly() and state.get() is not None:
        return carried(run)
    return run(lambda fn: lambda values, *args: (fn(*args), values), [])[0]


def switch(index: tf.Tensor, tensors: Lists, operands: Lists, branches: Sequence[Function]) -> Lists:
    last = len(branches) - 1
    if tf.executing_eagerly():
        return branches[min(max(int(index), 0), last)](tensors, operands)

    def run(wrap: Callable[[Function], Function], values: Lists) -> tuple[Lists, Lists]:
        calls = [lambda b=b: wrap(b)(values, tensors, operands) for b in branches]
        return tf.switch_case(tf.clip_by_value(index, 0, last), calls)

    return _with_state(run)


def while_loop(tensors: Lists, operands: Lists, cond: Function, body: Function) -> Lists:
    def run(wrap: Callable[[Function], Function], values: Lists) -> tuple[Lists, Lists]:
        return tf.while_loop(
            lambda tensors, values: wrap(cond)(values, tensors, operands)[0][0],
            lambda tensors, values: wrap(body)(values, tensors, operands),
            (tensors, values),
        )

    return _with_state(run)


def scan(
    carry: Lists,
    xs: Lists,
    operands: Lists,
    step: Function,
    length: int | None,
    reverse: bool,
    unroll: int | bool,
) -> tuple[Lists, Lists]:
    size = xs[0].shape[0] if xs else length
    if size and (unroll is True or tf.executing_eagerly()):
        return _unrolled(carry, xs, operands, step, size, reverse)
    count, size = len(carry), tf.shape(xs[0])[0] if size is None else size

    def run(wrap: Callable[[Function], Function], values: Lists) -> tuple[tuple[Lists, Lists], Lists]:
        call = wrap(step)
        slices = [tf.TensorArray(x.dtype, size, element_shape=x.shape[1:]).unstack(x) for x in xs]
        with tf.__internal__.FuncGraph("scanned").as_default():  # to see what will have to be stacked
            first = [tf.compat.v1.placeholder(x.dtype, x.shape[1:]) for x in xs]
            kinds = call(values, [*carry, *first], operands)[0][count:]
        stacks = [tf.TensorArray(k.dtype, size, element_shape=k.shape) for k in kinds]

        def following(i: tf.Tensor, values: Lists, carry: Lists, stacks: Lists) -> Any:
            place = size - 1 - i if reverse else i
            result, values = call(values, [*carry, *(s.read(place) for s in slices)], operands)
            stacks = [s.write(place, x) for s, x in zip(stacks, result[count:], strict=True)]
            return i + 1, values, result[:count], stacks

        _, values, last, stacks = tf.while_loop(
            lambda i, *_: i < size, following, (0, values, list(carry), stacks), maximum_iterations=size
        )
        return (last, [s.stack() for s in stacks]), values

    return _with_state(run)


def _unrolled(
    carry: Lists, xs: Lists, operands: Lists, step: Function, size: int, reverse: bool
) -> tuple[Lists, Lists]:
    slices = [tf.unstack(x, size) for x in xs]
    count, rows = len(carry), []
    for i in reversed(range(size)) if reverse else range(size):
        found = step([*carry, *(s[i] for s in slices)], operands)
        carry = found[:count]
        rows.append(found[count:])
    columns = zip(*(reversed(rows) if reverse else rows), strict=True)
    return list(carry), [tf.stack(column) for column in columns]


def vectorized_map(elements: Lists, operands: Lists, fn: Function) -> Lists:
    scope = StateScope((), (), state.get() or StateScope((), ()))

    @tf.autograph.experimental.do_not_convert
    def alone(tensors: Lists) -> Lists:
        with state(scope):
            return fn(tensors, operands)

    result = tf.vectorized_map(alone, list(elements))
    if scope.written:
        raise EngineError("A function in vectorized_map() can't assign variables: use ops.map() instead.")
    return result


def custom_gradient(tensors: Lists, fn: Function) -> Lists:
    @tf.custom_gradient
    def run(*tensors: tf.Tensor) -> Any:
        outputs, gradients = fn(tensors)

        def backward(*upstream: tf.Tensor, variables: Any = None) -> Any:
            found = [
                None if g is None else tf.cast(tf.broadcast_to(g, tf.shape(x)), x.dtype)
                for x, g in zip(tensors, gradients(upstream), strict=True)
            ]
            return found if variables is None else (found, [None] * len(variables))

        return tuple(outputs), backward

    return list(run(*tensors))


def jvp(primals: Lists, tangents: Lists, operands: Lists, fn: Function) -> tuple[Lists, Lists]:
    primals = [tf.identity(x) for x in primals]
    moving = [
        (x, t) for x, t in zip(primals, tangents, strict=True) if x.dtype.is_floating or x.dtype.is_complex
    ]
    with tf.autodiff.ForwardAccumulator([x for x, _ in moving], [t for _, t in moving]) as accumulator:
        values = fn(primals, operands)
    return values, [
        accumulator.jvp(v, tf.UnconnectedGradients.ZERO) if v.dtype.is_floating or v.dtype.is_complex
        else tf.zeros(tf.shape(v)) for v in values
    ]  # fmt: skip


NATIVES: dict[str, Callable[..., Any]] = {
    "_switch": switch,
    "_while": while_loop,
    "_scan": scan,
    "_vectorized_map": vectorized_map,
    "_custom_gradient": custom_gradient,
    "_jvp": jvp,
}
