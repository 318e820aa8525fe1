"""Rows for the layers of transformers; see cases.py."""

from __future__ import annotations

from typing import Any

from tests.layers.cases import IMAGE, INDICES, Case, part, row

PAIR = [(2, 5, 8), (2, 6, 8)]
THREE = [(2, 5, 8), (2, 6, 4), (2, 6, 3)]
GRIDS = [(2, 3, 4, 8), (2, 3, 5, 8)]
SAME_GRIDS = [(2, 3, 4, 8), (2, 3, 4, 8)]


def several(layer: str, shape: Any, /, **arguments: Any) -> Case:
    """A row for a layer whose call takes a query, a value and perhaps a key."""
    return row(layer, shape, _apart=True, **arguments)


HEADS = {"num_heads": 2, "key_dim": 3}
GROUPS = {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}
CAUSAL = {"use_causal_mask": True}
CASES = [
    several("MultiHeadAttention", PAIR, **HEADS),
    several("MultiHeadAttention", PAIR, **HEADS, _call=CAUSAL),
    several("MultiHeadAttention", PAIR, **HEADS, dropout=0.1, seed=3, sliding_window=2),
    several("MultiHeadAttention", PAIR, **HEADS, sliding_window=2, _call=CAUSAL),
    several("MultiHeadAttention", THREE, **HEADS, value_dim=5, use_bias=False, use_gate=True, dropout=0.1),
    several(
        "MultiHeadAttention",
        PAIR,
        **HEADS,
        output_shape=7,
        kernel_regularizer="l2",
        activity_regularizer="l2",
    ),
    several("MultiHeadAttention", PAIR, **HEADS, output_shape=[2, 3], bias_constraint="non_neg"),
    several("MultiHeadAttention", SAME_GRIDS, **HEADS, _unknown="batch"),
    several(
        "MultiHeadAttention", GRIDS, **HEADS, attention_axes=2, use_gate=True, _call=CAUSAL, _reference=False
    ),
    several("MultiHeadAttention", GRIDS, **HEADS, attention_axes=[-2], _unknown="batch"),
    several("GroupQueryAttention", PAIR, **GROUPS, _tol=1e-4),
    several("GroupQueryAttention", PAIR, **GROUPS, _tol=1e-4, dropout=0.1, use_gate=True, _call=CAUSAL),
    several(
        "GroupQueryAttention",
        PAIR,
        **GROUPS,
        _tol=1e-4,
        sliding_window=2,
        kernel_regularizer="l2",
        activity_regularizer="l2",
    ),
    row("Attention", PAIR),
    row("Attention", [*PAIR, (2, 6, 8)], use_scale=True, _call=CAUSAL),
    row("Attention", PAIR, score_mode="concat", use_scale=True, dropout=0.3, seed=1),
    row("AdditiveAttention", PAIR),
    row("AdditiveAttention", PAIR, use_scale=False, _call=CAUSAL),
    row("SpectralNormalization", layer=part("Dense", units=3), _training=True),
    row(
        "SpectralNormalization",
        IMAGE,
        layer=part("Conv2D", filters=3, kernel_size=2),
        power_iterations=2,
        _training=True,
        _unknown="batch",
    ),
    row(
        "SpectralNormalization",
        (2, 6),
        layer=part("Embedding", input_dim=9, output_dim=3),
        _unknown="batch",
        _reference=False,  # it makes integers of the vectors
        **INDICES,
    ),
    row("ReversibleEmbedding", (2, 6), input_dim=9, output_dim=3, mask_zero=True, **INDICES),
    row(
        "ReversibleEmbedding",
        (2, 6, 3),
        input_dim=9,
        output_dim=3,
        tie_weights=False,
        _call={"reverse": True},
    ),
    row(
        "ReversibleEmbedding",
        (2, 6, 3),
        input_dim=9,
        output_dim=3,
        reverse_dtype="float32",
        logit_soft_cap=2.0,
        _call={"reverse": True},
    ),
]
