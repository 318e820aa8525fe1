"""Signals and their labelling, beyond what the rows of the tables check."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import triceras
from triceras import layers, ops
from triceras.core.errors import ArgumentError, ArgumentTypeError, ShapeError
from triceras.core.spec import KerasTensor
from triceras.engine import selection

ENGINES = [name for name in selection.MODULES if selection.installed(name)]
TRAINERS = [name for name in ENGINES if selection.get(name).differentiates]
engines = pytest.mark.parametrize("engine", ENGINES)
random = np.random.default_rng(3)


def array(x: Any) -> np.ndarray:
    return ops.convert_to_numpy(x)


@engines
@pytest.mark.parametrize(
    ("length", "stride", "size", "window"), [(8, 4, 8, "hann"), (6, 3, 9, "hamming"), (8, 8, 8, np.ones(8))]
)
def test_a_signal_comes_back(engine: str, length: int, stride: int, size: int, window: Any) -> None:
    signal = random.normal(size=(2, 6 * stride)).astype("float32")
    with triceras.use_engine(engine):
        found = ops.istft(ops.stft(signal, length, stride, size, window), length, stride, size, window=window)
        np.testing.assert_allclose(array(found)[:, stride:], signal[:, stride : found.shape[-1]], atol=1e-5)


@engines
def test_half_precision_and_integers(engine: str) -> None:
    with triceras.use_engine(engine):
        x = ops.convert_to_tensor(random.normal(size=(2, 16)), "bfloat16")
        real, _ = ops.stft(x, 8, 4, None)
        assert (ops.dtype(real), real.shape) == ("bfloat16", (2, 5, 5))
        assert ops.dtype(ops.rfft(np.arange(4))[0]) == "float32"


@engines
def test_unknown_sizes(engine: str) -> None:
    """A signal of unknown length may be shorter, for all that is known, than a frame."""
    with triceras.use_engine(engine):
        real, _ = ops.stft(KerasTensor((None, None)), 2048, 512, 2048)
        assert real.shape == (None, None, 1025)
        assert ops.extract_sequences(KerasTensor((3, None)), 1000, 10).shape == (3, None, 1000)
        loss = ops.ctc_loss(*(KerasTensor(s) for s in ((None, 3), (None, None, 5), (None,), (None,))))
        assert loss.shape == (None,)
        paths, scores = ops.ctc_decode(
            KerasTensor((None, None, 5)), KerasTensor((None,)), "beam_search", 4, 2
        )
        assert (paths.shape, scores.shape) == ((2, None, None), (None, 2))


PAIR = (np.ones((2, 4), "float32"), np.ones((2, 4), "float32"))
LOGITS, LENGTHS = np.ones((2, 4, 3), "float32"), np.array([4, 4])


@pytest.mark.parametrize(
    ("run", "error", "match"),
    [
        (lambda: ops.fft(PAIR[:1]), ArgumentError, "pair of tensors"),
        (lambda: ops.fft((PAIR[0], PAIR[1][:1])), ShapeError, r"\(2, 4\) and \(1, 4\)"),
        (lambda: ops.fft2((PAIR[0][0], PAIR[1][0])), ShapeError, "at least 2 axes"),
        (lambda: ops.rfft(PAIR[0], 0), ArgumentError, "`fft_length` must be at least 1"),
        (lambda: ops.rfft(PAIR[0], 2.5), ArgumentTypeError, "`fft_length` must be an integer"),
        (lambda: ops.extract_sequences(PAIR[0], 2, 0), ArgumentError, "`sequence_stride` must be at least 1"),
        (
            lambda: ops.stft(PAIR[0], 4, 2, 3),
            ArgumentError,
            "`fft_length` must be at least .* 4. Received: 3",
        ),
        (lambda: ops.stft(PAIR[0], 4, 2, 4, "door"), ArgumentError, "'hann', 'hamming'"),
        (lambda: ops.stft(PAIR[0], 4, 2, 4, np.ones(3)), ShapeError, r"shape \(4,\)"),
        (lambda: ops.istft((PAIR[0][0], PAIR[1][0]), 4, 2, 4), ShapeError, "at least 2 axes"),
        (lambda: ops.ctc_loss(LENGTHS, LOGITS, LENGTHS, LENGTHS), ShapeError, r"\(batch, labels\)"),
        (lambda: ops.ctc_loss(LENGTHS[None], LOGITS, LENGTHS, LENGTHS), ShapeError, r"\(batch, labels\)"),
        (lambda: ops.ctc_decode(LOGITS[0], LENGTHS), ShapeError, "time, classes"),
        (lambda: ops.ctc_decode(LOGITS, LENGTHS[:1]), ShapeError, "`sequence_lengths`"),
        (lambda: ops.ctc_decode(LOGITS, LENGTHS, mask_index=3), ArgumentError, "3 classes. Received: 3"),
        (lambda: ops.ctc_decode(LOGITS, LENGTHS, "best"), ArgumentError, "`strategy`"),
        (lambda: ops.ctc_decode(LOGITS, LENGTHS, "beam_search", 2, 3), ArgumentError, "`top_paths`"),
        (lambda: layers.STFTSpectrogram(mode="x"), ArgumentError, "`mode`"),
        (lambda: layers.STFTSpectrogram(frame_length=4, frame_step=5), ArgumentError, "`frame_step`"),
        (lambda: layers.STFTSpectrogram(frame_length=4, fft_length=3), ArgumentError, "`fft_length`"),
        (lambda: layers.STFTSpectrogram(scaling="x"), ArgumentError, "`scaling`"),
        (lambda: layers.STFTSpectrogram()(np.ones((1, 999, 1), "int16")), ArgumentTypeError, "takes floats"),
        (lambda: layers.MelSpectrogram(fft_length=4, sequence_length=5), ArgumentError, "`sequence_length`"),
        (lambda: layers.MelSpectrogram(min_freq=9000), ArgumentError, "`min_freq` < `max_freq`"),
    ],
)
def test_errors(run: Callable[[], Any], error: type, match: str) -> None:
    with triceras.use_engine("numpy"), pytest.raises(error, match=match):
        run()


def brute_force(chances: np.ndarray, blank: int) -> dict[tuple[int, ...], float]:
    """The probability of each sequence of labels, by all alignments one by one."""
    found: dict[tuple[int, ...], float] = {}
    for alignment in itertools.product(range(chances.shape[1]), repeat=len(chances)):
        labels = tuple(name for name, _ in itertools.groupby(alignment) if name != blank)
        chance = np.prod([row[name] for row, name in zip(chances, alignment, strict=True)])
        found[labels] = found.get(labels, 0.0) + chance
    return found


@engines
def test_all_alignments_count(engine: str) -> None:
    logits = random.normal(size=(1, 5, 3)).astype("float32")
    expected = brute_force(np.exp(logits[0]) / np.exp(logits[0]).sum(-1, keepdims=True), 1)
    best = sorted(expected, key=expected.get, reverse=True)[:6]
    with triceras.use_engine(engine):
        paths, scores = ops.ctc_decode(logits, np.array([5]), "beam_search", 60, 6, mask_index=1)
        assert [tuple(p[p >= 0].tolist()) for p in array(paths)[:, 0]] == best
        np.testing.assert_allclose(array(scores)[0], np.log([expected[p] for p in best]), rtol=1e-4)
        target = np.zeros((1, 5), "int32")
        target[0, : len(best[0])] = best[0]
        loss = ops.ctc_loss(target, logits, np.array([len(best[0])]), np.array([5]), mask_index=1)
        np.testing.assert_allclose(array(loss), -np.log(expected[best[0]]), rtol=1e-4)


@pytest.mark.parametrize("engine", TRAINERS)
def test_targets_that_are_too_long_do_not_train(engine: str) -> None:
    with triceras.use_engine(engine):
        logits = triceras.Variable(random.normal(size=(2, 3, 3)).astype("float32"))
        target, counts, moments = np.array([[1, 1], [1, 2]]), np.array([2, 2]), np.array([2, 3])

        def loss() -> Any:
            return ops.sum(ops.minimum(ops.ctc_loss(target, logits.value, counts, moments), 1e3))

        value, (gradient,) = triceras.value_and_grad(loss, [logits])()
        assert 1e3 < float(value) < 1.1e3
        gradient = array(gradient)
        assert np.isfinite(gradient).all() and not gradient[0].any() and gradient[1].any()


@pytest.mark.parametrize("engine", TRAINERS)
def test_fit_learns_to_label(engine: str) -> None:
    """Compiled steps with the loss; what is decoded afterwards are the targets."""
    x = np.eye(4, dtype="float32")[[[1, 0, 2, 0, 3, 0], [3, 0, 1, 0, 0, 0]]]
    y = np.array([[1, 2, 3], [3, 1, 0]])
    with triceras.use_engine(engine):
        triceras.utils.set_random_seed(0)
        model = triceras.Sequential([layers.Input((6, 4)), layers.Dense(5)])
        model.compile(triceras.optimizers.Adam(0.1), loss="ctc")
        history = model.fit(x, y, batch_size=2, epochs=60, verbose=0).history["loss"]
        assert history[-1] < history[0] / 4
        assert "eager" not in str(model.report())
        paths, _ = ops.ctc_decode(model.predict(x, verbose=0), np.array([6, 6]))
        assert array(paths)[0, :, :4].tolist() == [[1, 2, 3, -1], [3, 1, -1, -1]]


def test_mel_weights() -> None:
    weights = array(layers.MelSpectrogram().linear_to_mel_weight_matrix(6, 33))
    assert weights.shape == (33, 6) and not weights[0].any() and weights.max() <= 1
    assert (np.diff(weights.argmax(0)) > 0).all()
