"""Attention: outputs are means of values, weighted by how well their keys agree with a query."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

import numpy as np

from triceras import ops, random, regularizers
from triceras.core.dtypes import standardize_dtype
from triceras.core.errors import ArgumentError, ShapeError, shown
from triceras.core.masks import set_mask
from triceras.core.registry import export
from triceras.core.shapes import canonical_axes
from triceras.core.spec import Shape
from triceras.layers import arguments
from triceras.layers import weights as weight_kinds
from triceras.layers.activation import Softmax
from triceras.layers.base import Layer
from triceras.layers.core import EinsumDense
from triceras.layers.regularization import Dropout

# -- several heads -------------------------------------------------------------------------------------------


class ManyHeads(Layer):
    """Base of the layers that project queries, keys and values for several heads, and their outputs back.

    `call` takes `query` of shape `(batch, target length, features)`, and `value` and `key` (the value if not
    given) of shape `(batch, source length, features)`. Masks are True where something counts: `query_mask`,
    `value_mask` and `key_mask` of shape `(batch, length)`, which also come along with masked inputs, and
    `attention_mask` of shape `(batch, target length, source length)` or one that broadcasts to it, perhaps
    with an axis of heads before the lengths. `use_causal_mask` lets targets see sources up to their own place
    only. With `return_attention_scores` the weights come too, of shape `(batch, heads, target length, source
    length)`.
    """

    supports_masking = True
    part = "{}_dense"  # attributes that hold the projections, as saved files name them
    _axes: tuple[int, ...]  # along which targets and sources lie

    def __init__(
        self,
        dropout: float,
        use_bias: bool,
        sliding_window: int | None,
        flash_attention: bool | None,
        kernel_initializer: Any,
        bias_initializer: Any,
        kernel_regularizer: Any,
        bias_regularizer: Any,
        kernel_constraint: Any,
        bias_constraint: Any,
        use_gate: bool,
        seed: int | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dropout = arguments.number(self, "dropout", dropout, 0, 1)
        if flash_attention and dropout > 0:
            raise ArgumentError(
                f"{type(self).__name__}(): flash attention has no dropout. Received: flash_attention=True, "
                f"dropout={dropout}"
            )
        if sliding_window is not None:
            arguments.count(self, "sliding_window", sliding_window)
        self.sliding_window, self.flash_attention = sliding_window, flash_attention
        self.use_bias, self.use_gate, self.seed = bool(use_bias), bool(use_gate), seed
        weight_kinds.configure(self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        weight_kinds.configure(self, "bias", bias_initializer, bias_regularizer, bias_constraint)

    def _add_parts(
        self,
        shapes: dict[str, Shape],
        heads: tuple[int, int],
        sizes: tuple[int, int],
        output_sizes: Sequence[int | None],
        activity_regularizer: Any,
    ) -> None:
        """Make the sublayers.

        Args:
            shapes: those of "query", "key" and "value".
            heads: how many heads queries have, and how many keys and values.
            sizes: features a head of queries and keys, and of values.
            output_sizes: the output's last axes.
            activity_regularizer: penalty on the outputs of all projections.
        """
        rank = len(shapes["query"])
        if any(len(shape) != rank for shape in shapes.values()) or rank < 3:
            raise ShapeError(
                f"Layer {self.path!r} ({type(self).__name__}) takes a query, a value and a key of the same "
                f"rank, from 3 on. Received shapes {', '.join(f'{k} {v}' for k, v in shapes.items())}."
            )
        if _differ(shapes["key"][:-1], shapes["value"][:-1]):
            raise ShapeError(
                f"Layer {self.path!r} ({type(self).__name__}) takes a key and a value that differ in their "
                f"last axis at most. Received shapes key {shapes['key']}, value {shapes['value']}."
            )
        lead = string.ascii_lowercase[: rank - 1]
        common = {
            f"{kind}_{what}": getattr(self, f"{kind}_{what}")
            for kind in ("kernel", "bias")
            for what in ("initializer", "regularizer", "constraint")
        } | {"activity_regularizer": activity_regularizer, "dtype": self.dtype_policy}

        def add(name: str, shape: Shape, summed: str, made: str, sizes: Sequence[int | None]) -> None:
            layer = EinsumDense(
                f"{lead}{summed},{summed}{made}->{lead}{made}",
                (*shape[1 : rank - 1], *sizes),
                bias_axes=made if self.use_bias else None,
                name=name,
                **common,
            )
            layer.build(shape)
            layer.supports_masking = True  # what becomes of masks is this layer's affair
            where = "_gate_dense" if name == "gate" else self.part.format(name.removeprefix("attention_"))
            setattr(self, where, layer)

        add("query", shapes["query"], "z", "xy", (heads[0], sizes[0]))
        add("key", shapes["key"], "z", "xy", (heads[1], sizes[0]))
        if self.use_gate:
            add("gate", shapes["query"], "z", "xy", (heads[0], sizes[1]))
        add("value", shapes["value"], "z", "xy", (heads[1], sizes[1]))
        self._equations = _equations(rank, self._axes)
        count = len(self._axes)
        self._softmax = Softmax(tuple(range(-count, 0)), dtype=self.dtype_policy)
        if self.dropout > 0:
            self._dropout_layer = Dropout(self.dropout, seed=self.seed, dtype=self.dtype_policy)
        whole = (*shapes["query"][:-1], heads[0], sizes[1])
        made = string.ascii_uppercase[: len(output_sizes)]
        add("attention_output", whole, "xy", made, output_sizes)

    def call(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        if self.flash_attention and return_attention_scores:
            raise ArgumentError(
                f"Layer {self.path!r} ({type(self).__name__}): flash attention never holds the scores, so "
                "return_attention_scores=True needs flash_attention=False."
            )
        key = value if key is None else key
        masks = (query_mask, value_mask, key_mask, attention_mask)
        in_one = self.dropout == 0 and not return_attention_scores and len(query.shape) == 3
        unmasked = self.sliding_window is None and all(mask is None for mask in masks)
        causal_alone = in_one and use_causal_mask and unmasked  # which fused kernels know
        mask = self._joint_mask(query, value, *masks, use_causal_mask and not causal_alone)
        gate = ops.sigmoid(self._gate_dense(query)) if self.use_gate else None
        query, key, value = (
            getattr(self, self.part.format(name))(x)
            for name, x in (("query", query), ("key", key), ("value", value))
        )
        scale, scores = query.shape[-1] ** -0.5, None
        if in_one:
            outputs = ops.dot_product_attention(
                query,
                key,
                value,
                mask=mask,
                scale=scale,
                is_causal=causal_alone,
                flash_attention=self.flash_attention,
            )
        else:
            times = query.shape[-2] // key.shape[-2]
            if times > 1:
                key, value = (ops.repeat(x, times, axis=-2) for x in (key, value))
            compare, combine = self._equations
            scores = ops.einsum(compare, ops.multiply(query, scale), key)
            scores = weights = self._softmax(scores, mask=mask)
            if self.dropout > 0:
                weights = self._dropout_layer(weights, training=training)
            outputs = ops.einsum(combine, weights, value)
        if gate is not None:
            outputs = ops.multiply(outputs, gate)
        outputs = getattr(self, self.part.format("output"))(outputs)
        if query_mask is not None:
            set_mask(outputs, query_mask)
        return (outputs, scores) if return_attention_scores else outputs

    def _joint_mask(
        self,
        query: Any,
        value: Any,
        query_mask: Any,
        value_mask: Any,
        key_mask: Any,
        attention_mask: Any,
        causal: bool,
    ) -> Any:
        """True where a query may look at a value, broadcasting with the scores; None if it may everywhere."""
        rank, axes = len(query.shape), self._axes
        others = [axis for axis in range(rank - 1) if axis not in axes]
        head, count = len(others), len(axes)
        found = []
        for name, mask, at in (
            ("query_mask", query_mask, (head, *range(head + 1 + count, head + 1 + 2 * count))),
            ("value_mask", value_mask, range(head, head + 1 + count)),
            ("key_mask", key_mask, range(head, head + 1 + count)),
        ):
            if mask is not None:
                if len(mask.shape) != rank - 1:
                    raise self._mask_error(name, mask, f"rank {rank - 1}, without the axis of features")
                mask = ops.cast(mask, "bool")
                mask = mask if rank == 3 else ops.transpose(mask, (*others, *axes))
                found.append(ops.expand_dims(mask, tuple(at)))
        if attention_mask is not None:
            given = len(attention_mask.shape)
            missing = head + 1 + 2 * count - given
            if given < 2 * count or missing < 0:
                raise self._mask_error(
                    "attention_mask", attention_mask, "(batch, target length, source length)"
                )
            at = tuple(range(given - 2 * count, given - 2 * count + missing))
            found.append(ops.expand_dims(ops.cast(attention_mask, "bool"), at))
        if causal or self.sliding_window is not None:
            found.append(self._band(query, value, causal))
        joint = None
        for mask in found:
            joint = mask if joint is None else ops.logical_and(joint, mask)
        return joint

    def _band(self, query: Any, value: Any, causal: bool) -> np.ndarray:
        """Which sources are near enough, and not in the future, for each target."""
        if len(self._axes) > 1:
            raise ArgumentError(
                f"Layer {self.path!r} ({type(self).__name__}): use_causal_mask and sliding_window go with "
                f"one attention axis. Received: attention_axes={self._axes}"
            )
        (axis,) = self._axes
        ahead = np.arange(value.shape[axis]) - np.arange(query.shape[axis])[:, None]
        near = np.ones(ahead.shape, bool) if self.sliding_window is None else abs(ahead) < self.sliding_window
        return near & (ahead <= 0) if causal else near

    def _mask_error(self, name: str, mask: Any, wanted: str) -> ShapeError:
        return ShapeError(
            f"Layer {self.path!r} ({type(self).__name__}) takes a `{name}` of {wanted}. Received shape "
            f"{tuple(mask.shape)}."
        )

    def compute_output_shape(
        self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None
    ) -> tuple[int | None, ...]:
        return tuple(query_shape)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        return self._evaluated_spec(*args, **kwargs)

    def get_build_config(self) -> dict[str, Any] | None:
        return None if self._build_shapes is None else {"shapes_dict": self._build_shapes}

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["flash_attention"]  # a matter of the machine
        return config


def _differ(a: Shape, b: Shape) -> bool:
    """Whether two shapes can't be the same."""
    return len(a) != len(b) or any(m != n and None not in (m, n) for m, n in zip(a, b, strict=True))


def _equations(rank: int, axes: Sequence[int]) -> tuple[str, str]:
    """For inputs of a rank, after projection: the einsum of scores, and that of outputs."""
    letters = iter(string.ascii_lowercase)
    query = [next(letters) for _ in range(rank - 1)]
    key = [next(letters) if axis in axes else letter for axis, letter in enumerate(query)]
    others = [letter for axis, letter in enumerate(query) if axis not in axes]
    heads, size = next(letters), next(letters)
    scores = "".join([*others, heads, *(query[axis] for axis in axes), *(key[axis] for axis in axes)])
    first, second = ("".join([*x, heads, size]) for x in (query, key))
    return f"{first},{second}->{scores}", f"{scores},{second}->{first}"


@export("layers.MultiHeadAttention")
class MultiHeadAttention(ManyHeads):
    """Attention in several heads: each compares its own projections of queries and keys.

    Returns `(batch, target length, features)`; how masks are given is told at the base class. With
    inputs of higher rank, targets and sources lie along `attention_axes`.

    Vaswani et al., 2017, https://arxiv.org/abs/1706.03762

    Args:
        num_heads: number of heads.
        key_dim: features a head of queries and keys.
        value_dim: features a head of values; `key_dim` if not given.
        dropout: part of the weights that is dropped while training.
        use_bias: whether the projections have a bias.
        output_shape: last axes of the output; the query's features if not given.
        attention_axes: axes along which to attend; all but the first and the last if not given.
        sliding_window: how far a target may look, itself included, to both sides.
        flash_attention: True asks for a fused kernel, which only some engines and devices have.
        kernel_initializer: first values of the kernels.
        bias_initializer: first values of the biases.
        kernel_regularizer: penalty on the kernels.
        bias_regularizer: penalty on the biases.
        activity_regularizer: penalty on the outputs of all projections.
        kernel_constraint: limits of the kernels.
        bias_constraint: limits of the biases.
        use_gate: whether a projection of the query, through a sigmoid, scales what the heads return.
        seed: makes dropout repeatable.

    >>> layer = MultiHeadAttention(num_heads=2, key_dim=3)
    >>> x = ops.ones((1, 5, 4))
    >>> y, weights = layer(x, x, return_attention_scores=True)
    >>> y.shape, weights.shape
    ((1, 5, 4), (1, 2, 5, 5))
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: int | Sequence[int] | None = None,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            dropout, use_bias, sliding_window, flash_attention, kernel_initializer, bias_initializer,
            kernel_regularizer, bias_regularizer, kernel_constraint, bias_constraint, use_gate, seed,
            **kwargs,
        )  # fmt: skip
        self.num_heads = arguments.count(self, "num_heads", num_heads)
        self.key_dim = arguments.count(self, "key_dim", key_dim)
        self.value_dim = self.key_dim if value_dim is None else arguments.count(self, "value_dim", value_dim)
        if output_shape is not None:
            given = output_shape if isinstance(output_shape, (list, tuple)) else (output_shape,)
            output_shape = tuple(arguments.count(self, "output_shape", size) for size in given)
        self.output_shape = output_shape
        if attention_axes is not None:
            axes = arguments.axes(self, "attention_axes", attention_axes)
            attention_axes = axes if isinstance(attention_axes, (list, tuple)) else tuple(axes)
        self.attention_axes = attention_axes
        self._activity_regularizer = regularizers.get(activity_regularizer)  # the projections', not its own

    def build(self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None) -> None:
        rank = len(query_shape)
        if self.attention_axes is None:
            self.attention_axes = tuple(range(1, rank - 1))
        self.attention_axes = self._axes = canonical_axes(self.attention_axes, rank, "attention_axes")
        self._add_parts(
            {"query": query_shape, "key": key_shape or value_shape, "value": value_shape},
            (self.num_heads, self.num_heads),
            (self.key_dim, self.value_dim),
            self.output_shape or query_shape[-1:],
            self._activity_regularizer,
        )

    def compute_output_shape(
        self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None
    ) -> tuple[int | None, ...]:
        return (*query_shape[:-1], *(self.output_shape or query_shape[-1:]))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "activity_regularizer": regularizers.serialize(self._activity_regularizer)
        }


@export("layers.GroupQueryAttention")
class GroupedQueryAttention(ManyHeads):
    """Attention in several heads of which groups share projections of keys and values, which saves memory.

    Returns `(batch, target length, features)`; how masks are given is told at the base class.

    Ainslie et al., 2023, https://arxiv.org/abs/2305.13245

    Args:
        head_dim: features a head.
        num_query_heads: number of heads of queries, a multiple of the next.
        num_key_value_heads: number of heads of keys and values.
        dropout: part of the weights that is dropped while training.
        use_bias: whether the projections have a bias.
        sliding_window: how far a target may look, itself included, to both sides.
        flash_attention: True asks for a fused kernel, which only some engines and devices have.
        kernel_initializer: first values of the kernels.
        bias_initializer: first values of the biases.
        kernel_regularizer: penalty on the kernels.
        bias_regularizer: penalty on the biases.
        activity_regularizer: penalty on the outputs of the layer and of all projections.
        kernel_constraint: limits of the kernels.
        bias_constraint: limits of the biases.
        use_gate: whether a projection of the query, through a sigmoid, scales what the heads return.
        seed: makes dropout repeatable.

    >>> layer = GroupedQueryAttention(head_dim=3, num_query_heads=4, num_key_value_heads=2)
    >>> layer(ops.ones((1, 5, 6)), ops.ones((1, 7, 6))).shape
    (1, 5, 6)
    """

    part = "_{}_dense"

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            dropout, use_bias, sliding_window, flash_attention, kernel_initializer, bias_initializer,
            kernel_regularizer, bias_regularizer, kernel_constraint, bias_constraint, use_gate, seed,
            activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip
        self.head_dim = arguments.count(self, "head_dim", head_dim)
        self.num_query_heads = arguments.count(self, "num_query_heads", num_query_heads)
        self.num_key_value_heads = arguments.count(self, "num_key_value_heads", num_key_value_heads)
        if num_query_heads % num_key_value_heads:
            raise ArgumentError(
                "GroupQueryAttention(): `num_query_heads` must be a multiple of `num_key_value_heads`. "
                f"Received: {num_query_heads} and {num_key_value_heads}"
            )

    def build(self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None) -> None:
        if len(query_shape) != 3:
            raise ShapeError(
                f"Layer {self.path!r} (GroupQueryAttention) takes inputs of shape (batch, length, features). "
                f"Received a query of shape {tuple(query_shape)}."
            )
        self._axes = (1,)
        self._add_parts(
            {"query": query_shape, "key": key_shape or value_shape, "value": value_shape},
            (self.num_query_heads, self.num_key_value_heads),
            (self.head_dim, self.head_dim),
            query_shape[-1:],
            self.activity_regularizer,
        )


# -- one head, without projections ---------------------------------------------------------------------------


@export("layers.Attention")
class Attention(Layer):
    """Attention as it stands: takes `[query, value]` or `[query, value, key]`.

    The query has shape `(batch, target length, size)`, the value and the key (the value if not given)
    `(batch, source length, size)`. `mask` may be a list of masks of query and value, of shape
    `(batch, length)`; outputs for masked queries are 0. With `return_attention_scores` the weights come too,
    of shape `(batch, target length, source length)`.

    Luong et al., 2015, https://arxiv.org/abs/1508.04025

    Args:
        use_scale: whether scores are multiplied by a learned number.
        score_mode: "dot" for the dot product of query and key, "concat" for a learned number times the sum of
            the hyperbolic tangent of their sum.
        dropout: part of the weights that is dropped while training.
        seed: makes dropout repeatable.

    >>> Attention()([ops.ones((1, 5, 4)), ops.ones((1, 7, 4))]).shape
    (1, 5, 4)
    """

    supports_masking = True

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.use_scale, self.seed = bool(use_scale), seed
        self.score_mode = arguments.choice(self, "score_mode", score_mode, ("dot", "concat"))
        self.dropout = arguments.number(self, "dropout", dropout, 0, 1)
        if dropout > 0:
            self.seed_generator = random.SeedGenerator(seed)

    def build(self, input_shape: Sequence[Shape]) -> None:
        self._check("inputs", input_shape)
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale") if self.use_scale else None
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight(
                shape=(), initializer="ones", name="concat_score_weight"
            )

    def call(
        self,
        inputs: Sequence[Any],
        mask: Sequence[Any] | None = None,
        training: bool = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        self._check("inputs", inputs)
        query, value, key = (*inputs, inputs[1])[:3]
        query_mask, value_mask = (None, None) if mask is None else self._check("mask", mask)[:2]
        scores = self._scores(query, key)
        allowed = None if value_mask is None else ops.expand_dims(ops.cast(value_mask, "bool"), -2)
        if use_causal_mask:
            past = np.tri(scores.shape[-2], scores.shape[-1], dtype=bool)
            allowed = past if allowed is None else ops.logical_and(allowed, past)
        if allowed is not None:
            far = 65504.0 if standardize_dtype(scores.dtype) == "float16" else 1e9
            scores = ops.where(allowed, scores, ops.subtract(scores, far))
        weights = ops.softmax(scores)
        if training and self.dropout > 0:
            weights = random.dropout(weights, self.dropout, seed=self.seed_generator)
        outputs = ops.matmul(weights, value)
        if query_mask is not None:
            outputs = ops.where(
                ops.expand_dims(ops.cast(query_mask, "bool"), -1), outputs, ops.zeros_like(outputs)
            )
        return (outputs, weights) if return_attention_scores else outputs

    def _scores(self, query: Any, key: Any) -> Any:
        if self.score_mode == "dot":
            scores = ops.matmul(query, ops.swapaxes(key, -2, -1))
            return scores if self.scale is None else ops.multiply(scores, self.scale)
        total = ops.add(ops.expand_dims(query, -2), ops.expand_dims(key, -3))
        total = total if self.scale is None else ops.multiply(total, self.scale)
        return ops.multiply(ops.sum(ops.tanh(total), axis=-1), self.concat_score_weight)

    def _check(self, name: str, items: Any) -> Any:
        if not isinstance(items, (list, tuple)) or len(items) not in (2, 3):
            raise ArgumentError(
                f"Layer {self.path!r} ({type(self).__name__}) takes a list [query, value] or [query, value, "
                f"key] as its inputs, and masks as such a list too. Received `{name}`: {shown(items)}"
            )
        return items

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None if mask is None else self._check("mask", mask)[0]

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> tuple[int | None, ...]:
        return (*input_shape[0][:-1], input_shape[1][-1])

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        return self._evaluated_spec(*args, **kwargs)


@export("layers.AdditiveAttention")
class AdditiveAttention(Attention):
    """Attention whose scores are sums of `scale * tanh(query + key)`, with a learned scale for each feature.

    Takes inputs and masks as `Attention` does.

    Bahdanau et al., 2014, https://arxiv.org/abs/1409.0473

    Args:
        use_scale: whether there is a scale.
        dropout: part of the weights that is dropped while training.
        **kwargs: as for `Attention`.

    >>> AdditiveAttention()([ops.ones((1, 5, 4)), ops.ones((1, 7, 4))]).shape
    (1, 5, 4)
    """

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def build(self, input_shape: Sequence[Shape]) -> None:
        self._check("inputs", input_shape)
        size = input_shape[0][-1]
        self.scale = self.add_weight(shape=(size,), name="scale") if self.use_scale else None

    def _scores(self, query: Any, key: Any) -> Any:
        total = ops.tanh(ops.add(ops.expand_dims(query, -2), ops.expand_dims(key, -3)))
        return ops.sum(total if self.scale is None else ops.multiply(total, self.scale), axis=-1)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config() | {"seed": self.seed}
        config.pop("score_mode", None)
        return config
