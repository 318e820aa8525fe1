"""Rows for spectrograms."""

from __future__ import annotations

from tests.layers.cases import FIRST, row

SOUND, FIRST_SOUND = (2, 40, 3), (2, 3, 40)
FRAMES = {"frame_length": 8, "frame_step": 3}
MEL = {"fft_length": 16, "sequence_stride": 5, "num_mel_bins": 4}

CASES = [
    row("STFTSpectrogram", SOUND, **FRAMES),
    row("STFTSpectrogram", SOUND, mode="magnitude", padding="same", fft_length=16, **FRAMES),
    row("STFTSpectrogram", FIRST_SOUND, mode="psd", expand_dims=True, scaling="spectrum", **FRAMES, **FIRST),
    row("STFTSpectrogram", FIRST_SOUND, mode="real", window="hamming", **FRAMES, **FIRST),
    row("STFTSpectrogram", SOUND, mode="imag", expand_dims=True, window=None, **FRAMES),
    row("STFTSpectrogram", SOUND, mode="angle", frame_length=8, periodic=True),
    row("STFTSpectrogram", SOUND, mode="stft", scaling=None, **FRAMES),
    row("MelSpectrogram", (2, 40), **MEL, _tol=1e-4),
    row("MelSpectrogram", (2, 40), **MEL, sequence_length=12, window=None, power_to_db=False, _tol=1e-4),
    row(
        "MelSpectrogram",
        (2, 40),
        **MEL,
        window="hamming",
        mag_exp=1.0,
        top_db=20.0,
        ref_power=3.0,
        max_freq=6000,
        _tol=1e-4,
    ),
]
