"""Rows of the layers that encode categories and numbers inside of a model; text is in encoding/."""

from __future__ import annotations

from tests.layers.cases import INDICES, row

KEYS = {
    "vocabulary": [5, 2, 7],
    "_reference": False,
    **INDICES,
}  # their integers have 64 bits in the reference
HASH = {"_reference": False, **INDICES}

CASES = [
    row("CategoryEncoding", (2, 3), num_tokens=6, **INDICES),
    row("CategoryEncoding", (2, 3), num_tokens=9, output_mode="count", **INDICES),
    row("CategoryEncoding", (2, 1), num_tokens=9, output_mode="one_hot", **INDICES),
    row("CategoryEncoding", (2, 3), num_tokens=9, output_mode="one_hot", **INDICES),
    row("Discretization", (2, 3), bin_boundaries=[-1.0, 0.0, 0.5]),
    row("Discretization", (2, 3), bin_boundaries=[0.0, 0.5], output_mode="count"),
    row("Hashing", (2, 3), num_bins=7, **HASH),
    row("Hashing", (2, 3), num_bins=7, mask_value=3, salt=(3, 4), output_mode="multi_hot", **HASH),
    row("HashedCrossing", [(2, 1), (2, 1)], num_bins=9, output_mode="one_hot", **HASH),
    row("IntegerLookup", (2, 3), **KEYS),
    row("IntegerLookup", (2, 3), mask_token=3, num_oov_indices=3, output_mode="count", **KEYS),
    row("IntegerLookup", (2, 3), output_mode="tf_idf", idf_weights=[0.5, 1.0, 2.0], **KEYS),
    row("IntegerLookup", (2, 3), invert=True, **KEYS),
]
