"""Connectionist temporal classification: labels at each moment of a sequence become one sequence of labels.

At each moment there is a label or the blank. An alignment becomes a sequence of labels when repetitions, and then
blanks, are left out (Graves et al., 2006, doi:10.1145/1143844.1143891).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from triceras.core.dtypes import promote, standardize_dtype
from triceras.core.errors import ArgumentError, ShapeError
from triceras.core.spec import KerasTensor
from triceras.ops import indexing, reduction
from triceras.ops.control import scan
from triceras.ops.creation import arange, cast, full, full_like
from triceras.ops.elementwise import (
    equal,
    floor_divide,
    greater,
    less,
    logaddexp,
    logical_and,
    logical_not,
    logical_or,
    maximum,
    mod,
    negative,
    not_equal,
)
from triceras.ops.indexing import take_along_axis, where
from triceras.ops.linalg import matmul
from triceras.ops.nn import log_softmax
from triceras.ops.op import Kept, Op, Tensor, op
from triceras.ops.shape import broadcast_to, moveaxis, pad, reshape, stack

Beam = tuple[Tensor, Tensor, Tensor, Tensor]  # paths, counts of their labels, logarithms of probabilities
STRATEGIES = ("greedy", "beam_search")
# the logarithm of nothing: small enough never to count, and finite, so that no difference is NaN
NOTHING = -1e30


def _single(kinds: tuple[str, ...]) -> str:
    """The rule of sums of logarithms: single precision at least."""
    return promote((*kinds, "float32"))


public = partial(op, _single, at=("ops", "ops.nn"))

# -- the loss ------------------------------------------------------------------------------------------------


def _loss_spec(made: Op, values: list[Any], statics: dict[str, Any]) -> KerasTensor:
    """Without the loop."""
    target, output, *lengths = values
    _checked_loss(target, output, lengths, statics["mask_index"])
    return KerasTensor(output.shape[:1], _single((standardize_dtype(output.dtype),)))


@public(spec=_loss_spec)
def ctc_loss(
    target: Kept, output: Tensor, target_length: Kept, output_length: Kept, mask_index: int = 0
) -> Tensor:
    """The negative logarithm of the probability that all alignments of a target have together.

    Where an output is too short for its target the loss is 1e30, and has no gradient.

    Args:
        target: labels, of shape `(batch, labels)`.
        output: logits, of shape `(batch, time, classes)`.
        target_length: how many labels of each target count.
        output_length: how many moments of each output count.
        mask_index: the class that is the blank.

    Returns:
        A loss for each sample.

    >>> logits = [[[0.0, 0.0], [0.0, 0.0]]]
    >>> round(float(ctc_loss([[1]], logits, [1], [2])[0]), 4)
    0.2877
    """
    _checked_loss(target, output, (target_length, output_length), mask_index)
    target, *lengths = (cast(x, "int32") for x in (target, target_length, output_length))
    return _ctc_loss(log_softmax(output), target, *lengths, mask_index)


@op(at=())
def _ctc_loss(
    scores: Kept, target: Kept, target_length: Kept, output_length: Kept, mask_index: int
) -> Tensor:
    """The loss of logarithms of probabilities, which come from `log_softmax`.

    An alignment goes through the states blank, label, blank, label ... blank. At each moment it stays, goes on by
    one, or leaps over the blank between two labels that differ.
    """
    batch, moments, _ = scores.shape
    states = 2 * target.shape[1] + 1
    pairs = stack([full_like(target, mask_index), target], -1)
    names = pad(reshape(pairs, (batch, states - 1)), [(0, 0), (0, 1)], constant_values=mask_index)
    chances = take_along_axis(scores, broadcast_to(names[:, None], (batch, moments, states)), -1)
    leaps = where(not_equal(names[:, 2:], names[:, :-2]), 0.0, NOTHING)
    leaps = cast(pad(leaps, [(0, 0), (2, 0)], constant_values=NOTHING), scores.dtype)
    start = cast(where(equal(arange(states), 0), 0.0, NOTHING), scores.dtype)

    def step(reached: Tensor, moment: tuple[Tensor, Tensor]) -> tuple[Tensor, None]:
        chance, number = moment
        before = pad(reached, [(0, 0), (2, 0)], constant_values=NOTHING)
        ways = stack([reached, before[:, 1:-1], before[:, :-2] + leaps], 0)
        following = reduction.logsumexp(ways, 0) + chance
        return where(less(number, output_length)[:, None], following, reached), None

    reached, _ = scan(step, broadcast_to(start, (batch, states)), (moveaxis(chances, 1, 0), arange(moments)))
    # an alignment ends with the last label, or with the blank behind it; without labels only with the blank
    last = 2 * target_length
    ends = take_along_axis(reached, stack([last, maximum(last - 1, 0)], -1), -1)
    blank, label = ends[:, 0], where(greater(last, 0), ends[:, 1], NOTHING)
    total = reduction.logsumexp(stack([blank, label], 0), 0)
    return negative(where(greater(total, NOTHING / 2), total, NOTHING))


def _checked_loss(target: Any, output: Any, lengths: Any, mask_index: int) -> None:
    _checked("ctc_loss", "output", output, ("target_length", "output_length"), lengths, mask_index)
    if len(target.shape) != 2 or _differ(target.shape[0], output.shape[0]):
        raise ShapeError(
            f"ctc_loss(): `target` must have shape (batch, labels). Received: {tuple(target.shape)} for an "
            f"output of shape {tuple(output.shape)}"
        )


# -- decoding ------------------------------------------------------------------------------------------------


def _decode_spec(made: Op, values: list[Any], statics: dict[str, Any]) -> tuple[KerasTensor, KerasTensor]:
    """Without the loop."""
    inputs, lengths = values
    _checked_decode(inputs, lengths, **{k: v for k, v in statics.items() if k != "merge_repeated"})
    batch, moments, _ = inputs.shape
    paths = statics["top_paths"] if statics["strategy"] == "beam_search" else 1
    dtype = _single((standardize_dtype(inputs.dtype),))
    return KerasTensor((paths, batch, moments), "int32"), KerasTensor((batch, paths), dtype)


@public(spec=_decode_spec)
def ctc_decode(
    inputs: Tensor,
    sequence_lengths: Kept,
    strategy: str = "greedy",
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
    mask_index: int = 0,
) -> tuple[Tensor, Tensor]:
    """The sequences of labels that logits stand for.

    Args:
        inputs: logits, of shape `(batch, time, classes)`.
        sequence_lengths: how many moments of each sample count.
        strategy: "greedy" takes the best class at each moment; "beam_search" goes on, at each moment, with the
            `beam_width` sequences that are most probable by all their alignments together.
        beam_width: how many sequences the beam search keeps.
        top_paths: how many sequences the beam search returns, the best first.
        merge_repeated: whether the greedy strategy leaves out repetitions without a blank between them, as the
            beam search always does.
        mask_index: the class that is the blank.

    Returns:
        The sequences, of shape `(paths, batch, time)`, filled up with -1; and for each, in shape
        `(batch, paths)`, the logarithm of its probability, or by the greedy strategy (one path) minus the sum of
        the logits that it took.

    >>> logits = [[[0.0, 9.0, 0.0], [0.0, 9.0, 0.0], [9.0, 0.0, 0.0], [0.0, 0.0, 9.0]]]
    >>> [ctc_decode(logits, [4], strategy=s)[0].tolist() for s in ("greedy", "beam_search")]
    [[[[1, 2, -1, -1]]], [[[1, 2, -1, -1]]]]
    """
    _checked_decode(inputs, sequence_lengths, strategy, beam_width, top_paths, mask_index)
    lengths = cast(sequence_lengths, "int32")
    if strategy == "greedy":
        return _greedy(inputs, lengths, merge_repeated, mask_index)
    paths, scores = _beam_search(log_softmax(inputs), lengths, beam_width, mask_index)
    return moveaxis(paths[:, :top_paths], 1, 0), scores[:, :top_paths]


def _greedy(inputs: Tensor, lengths: Tensor, merge_repeated: bool, blank: int) -> tuple[Tensor, Tensor]:
    moments = inputs.shape[1]
    inside = less(arange(moments), lengths[:, None])
    labels = where(inside, reduction.argmax(inputs, -1), blank)
    scores = where(inside, reduction.max(inputs, -1), 0.0)
    left_out = equal(labels, blank)
    if merge_repeated:
        repeated = pad(equal(labels[:, 1:], labels[:, :-1]), [(0, 0), (1, 0)])
        left_out = logical_or(left_out, repeated)
    order = indexing.argsort(where(left_out, moments, arange(moments)), -1)
    found = take_along_axis(where(left_out, -1, labels), order, -1)
    return found[None], negative(reduction.sum(scores, -1, keepdims=True))


def _beam_search(scores: Tensor, lengths: Tensor, width: int, blank: int) -> tuple[Tensor, Tensor]:
    """The most probable sequences, the best first, and the logarithms of their probabilities.

    Of each path is known how probable the alignments are that end with a blank, and those that end with its last
    label (Hannun et al., 2014, arXiv:1408.2873).
    """
    batch, moments, classes = scores.shape
    places, names = arange(moments), arange(classes)
    nothing = full((batch, width), NOTHING, scores.dtype)
    alone = broadcast_to(equal(arange(width), 0), (batch, width))
    start = (
        full((batch, width, moments), -1, "int32"),
        full((batch, width), 0, "int32"),
        where(alone, 0.0, nothing),
        nothing,
    )

    def step(beam: Beam, moment: tuple[Tensor, Tensor]) -> tuple[Beam, None]:
        paths, counts, blanks, labels = beam
        chance, number = moment
        totals = logaddexp(blanks, labels)
        last = take_along_axis(paths, maximum(counts - 1, 0)[..., None], -1)
        again, held = equal(last, names), maximum(last[..., 0], 0)
        # a repetition is a further label only behind a blank
        grown = where(again, blanks[..., None], totals[..., None]) + chance[:, None]
        blanks = totals + chance[:, blank : blank + 1]
        labels = labels + take_along_axis(chance, held, -1)
        # where a path grows into one that is there already, the two are one
        shorter = where(equal(places, counts[..., None] - 1), -1, paths)
        same = reduction.all(equal(shorter[:, :, None], paths[:, None]), -1)
        same = logical_and(same, logical_and(greater(counts, 0), greater(totals, NOTHING / 2))[..., None])
        columns = broadcast_to(held[..., None], (batch, width, width))
        joining = where(same, moveaxis(take_along_axis(grown, moveaxis(columns, 1, 2), 2), 1, 2), NOTHING)
        labels = logaddexp(labels, reduction.max(joining, -1))
        joined = matmul(cast(moveaxis(same, 1, 2), "float32"), cast(again, "float32"))
        grown = where(greater(joined, 0.0), NOTHING, grown)
        # in the blank's place stands the path as it was
        choices = where(equal(names, blank), logaddexp(blanks, labels)[..., None], grown)
        best, place = reduction.top_k(reshape(choices, (batch, width * classes)), width)
        origin, name = floor_divide(place, classes), mod(place, classes)
        paths = take_along_axis(paths, broadcast_to(origin[..., None], (batch, width, moments)), 1)
        counts, blanks, labels = (take_along_axis(x, origin, -1) for x in (counts, blanks, labels))
        stays = equal(name, blank)
        free = logical_and(equal(places, counts[..., None]), logical_not(stays)[..., None])
        following = (
            where(free, name[..., None], paths),
            where(stays, counts, counts + 1),
            where(stays, blanks, NOTHING),
            where(stays, labels, best),
        )
        goes_on = less(number, lengths)[:, None]
        conditions = (goes_on[..., None], goes_on, goes_on, goes_on)
        return tuple(
            where(c, new, old) for c, new, old in zip(conditions, following, beam, strict=True)
        ), None

    (paths, _, blanks, labels), _ = scan(step, start, (moveaxis(scores, 1, 0), places))
    totals = logaddexp(blanks, labels)
    return paths, where(greater(totals, NOTHING / 2), totals, -math.inf)


def _checked_decode(
    inputs: Any, lengths: Any, strategy: str, beam_width: int, top_paths: int, mask_index: int
) -> None:
    _checked("ctc_decode", "inputs", inputs, ("sequence_lengths",), (lengths,), mask_index)
    if strategy not in STRATEGIES:
        raise ArgumentError(f"ctc_decode(): `strategy` must be one of {STRATEGIES}. Received: {strategy!r}")
    if strategy == "beam_search" and not 1 <= top_paths <= beam_width:
        raise ArgumentError(
            "ctc_decode(): `top_paths` must be from 1 to `beam_width`. Received: "
            f"top_paths={top_paths!r}, beam_width={beam_width!r}"
        )


# -- arguments -----------------------------------------------------------------------------------------------


def _checked(
    name: str, argument: str, logits: Any, names: Sequence[str], lengths: Sequence[Any], mask_index: int
) -> None:
    """Check logits, and lengths with a name each."""
    shape = tuple(logits.shape)
    if len(shape) != 3:
        raise ShapeError(f"{name}(): `{argument}` must have shape (batch, time, classes). Received: {shape}")
    for each, length in zip(names, lengths, strict=True):
        if len(length.shape) != 1 or _differ(length.shape[0], shape[0]):
            raise ShapeError(
                f"{name}(): `{each}` must have shape (batch,), with one length for each sample. Received: "
                f"{tuple(length.shape)} for `{argument}` of shape {shape}"
            )
    if shape[-1] is not None and not 0 <= mask_index < shape[-1]:
        raise ArgumentError(
            f"{name}(): `mask_index` must be one of {shape[-1]} classes. Received: {mask_index!r}"
        )


def _differ(size: int | None, other: int | None) -> bool:
    return None not in (size, other) and size != other
