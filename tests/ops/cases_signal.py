"""Rows for Fourier transforms, frames, and connectionist temporal classification."""

from __future__ import annotations

import numpy as np

from tests.ops.case import Case

random = np.random.default_rng(11)


def normal(*shape: int) -> np.ndarray:
    return random.normal(size=shape).astype("float32")


SIGNAL, PARTS = normal(2, 20), (normal(2, 3, 8), normal(2, 3, 8))
FRAMED = {"sequence_length": 5, "sequence_stride": 3, "fft_length": 8}
BINS = (normal(2, 6, 5), normal(2, 6, 5))
WINDOW = np.array([1, 2, 4, 3, 1], "float32")

TRANSFORMS = [
    *(Case(name, (PARTS,), dtypes="float") for name in ("fft", "fft2", "ifft2")),
    Case("fft", ((PARTS[0][0, 0], PARTS[1][0, 0]),), unknown=False),
    *(Case("rfft", (SIGNAL,), {} if n is None else {"fft_length": n}) for n in (None, 5, 21)),
    *(Case("irfft", (PARTS,), {} if n is None else {"fft_length": n}) for n in (None, 5, 30)),
]
FRAMES = [
    *(
        Case("extract_sequences", (SIGNAL,), {"sequence_length": length, "sequence_stride": stride})
        for length, stride in ((4, 2), (20, 1), (3, 5), (21, 1))
    ),
    Case("extract_sequences", (np.arange(9),), {"sequence_length": 3, "sequence_stride": 2}),
    *(
        Case("stft", (SIGNAL,), FRAMED | {"window": window, "center": center}, dtypes="float")
        for window, center in (("hann", True), (WINDOW, False), (None, True))
    ),
    Case(
        "stft",
        (normal(9),),
        {"sequence_length": 4, "sequence_stride": 2, "fft_length": 15, "window": "hamming"},
    ),
    *(
        Case("istft", (BINS,), FRAMED | {"window": window, "center": center}, dtypes="float", tol=2e-5)
        for window, center in (("hann", True), (WINDOW, False), (None, True))
    ),
    Case("istft", (BINS,), FRAMED | {"length": 9, "window": "hamming"}),
]

LOGITS, LABELS = 2 * normal(3, 8, 5), np.array([[1, 1, 2, 3], [2, 4, 0, 0], [3, 3, 3, 0]], "int32")
COUNTS, MOMENTS = np.array([4, 2, 3], "int32"), np.array([8, 5, 7], "int32")

LABELLING = [
    Case("ctc_loss", (LABELS, LOGITS, COUNTS, MOMENTS), tol=2e-5),
    Case("ctc_loss", (LABELS % 4, LOGITS, COUNTS - 2, MOMENTS), {"mask_index": 4}, tol=2e-5),
    Case("ctc_loss", (LABELS, 0 * LOGITS, COUNTS, MOMENTS), tol=2e-5),
    Case("ctc_decode", (LOGITS, MOMENTS), grad=False),
    Case("ctc_decode", (LOGITS, MOMENTS), {"merge_repeated": False, "mask_index": 4}, grad=False),
    Case(
        "ctc_decode",
        (LOGITS, MOMENTS),
        {"strategy": "beam_search", "beam_width": 4, "top_paths": 3, "mask_index": 2},
        grad=False,
        dtypes="",
        tol=2e-5,
    ),
]

CASES = TRANSFORMS + FRAMES + LABELLING
