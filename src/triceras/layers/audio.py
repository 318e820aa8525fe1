"""Spectrograms of sounds."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from triceras import initializers, ops
from triceras.core.config import epsilon
from triceras.core.dtypes import is_float_dtype, result_type
from triceras.core.errors import ArgumentError, ArgumentTypeError
from triceras.core.registry import export
from triceras.core.spec import Shape
from triceras.layers import arguments
from triceras.layers.base import Layer
from triceras.layers.spatial import Spatial

MODES = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")


@export("layers.STFTSpectrogram")
class STFTSpectrogram(Spatial, rank=1):
    """Spectrograms by a convolution whose kernels start as those of a short-time Fourier transform, and can be
    trained (Cheuk et al., 2020, doi:10.1109/ACCESS.2020.3019084).

    Args:
        mode: "real", "imag" or "stft" (both, one after the other) parts of the transform, its "angle", its
            "magnitude", the logarithm of that ("log"), or the power spectral density of real signals ("psd").
        frame_length: samples in a frame.
        frame_step: samples from one frame's beginning to the next one's; half a frame if not given.
        fft_length: size of the transform, of which there are `fft_length // 2 + 1` frequencies; the smallest
            power of 2 from `frame_length` on if not given.
        window: "hann", "hamming", another name in `scipy.signal.windows`, an array of the frame length, or None.
        periodic: whether a named window is periodic rather than symmetric.
        scaling: "density" (divides a window by its L2 norm), "spectrum" (by its sum) or None.
        padding: "valid" or "same".
        expand_dims: whether frequencies and channels are axes of their own, as image layers want them, instead of
            one, in which the frequencies of a channel follow each other.
        data_format: whether channels come last or first; the configured layout if not given.

    >>> sound = np.ones((2, 1000, 1), "float32")
    >>> STFTSpectrogram(frame_length=64)(sound).shape, STFTSpectrogram(expand_dims=True)(sound).shape
    ((2, 30, 33), (2, 6, 129, 1))
    """

    def __init__(
        self,
        mode: str = "log",
        frame_length: int = 256,
        frame_step: int | None = None,
        fft_length: int | None = None,
        window: Any = "hann",
        periodic: bool = False,
        scaling: str | None = "density",
        padding: str = "valid",
        expand_dims: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.mode = arguments.choice(self, "mode", mode, MODES)
        self.frame_length = arguments.count(self, "frame_length", frame_length)
        self._step = max(self.frame_length // 2, 1)
        if frame_step is not None:
            self._step = arguments.count(self, "frame_step", frame_step)
        if self._step > self.frame_length:
            raise ArgumentError(
                f"STFTSpectrogram(): `frame_step` must be at most `frame_length`, {frame_length}. Received: "
                f"{frame_step!r}"
            )
        self._size = 1 << (self.frame_length - 1).bit_length()
        if fft_length is not None:
            self._size = arguments.count(self, "fft_length", fft_length, least=self.frame_length)
            if self._size & (self._size - 1):
                warnings.warn(
                    f"STFTSpectrogram(): `fft_length` is best a power of 2. Received: {fft_length}",
                    stacklevel=2,
                )
        self.window, self.periodic, self.scaling = window, bool(periodic), scaling
        self.padding = arguments.choice(self, "padding", padding, ("valid", "same"))
        self.expand_dims = bool(expand_dims)
        self._sides = {"real": ("real",), "imag": ("imag",)}.get(self.mode, ("real", "imag"))
        self._initializers = {
            side: initializers.STFT(side, window, scaling, periodic) for side in self._sides
        }

    def build(self, input_shape: Shape) -> None:
        shape = (self.frame_length, 1, self._size // 2 + 1)
        for side, initializer in self._initializers.items():
            name = f"{side}_kernel"
            setattr(self, name, self.add_weight(name=name, shape=shape, initializer=initializer))

    def call(self, inputs: Any) -> Any:
        if not is_float_dtype(inputs.dtype):
            raise ArgumentTypeError(
                f"Layer {self.path!r} (STFTSpectrogram) takes floats. Received: {inputs.dtype}. Convert the samples "
                "first, such as by Rescaling."
            )
        x = ops.moveaxis(inputs, 1, -1) if self.channels_first else inputs
        found = self._spectrogram(self._transformed(x))
        if self.expand_dims:
            return ops.moveaxis(found, 2, 1) if self.channels_first else ops.swapaxes(found, 2, 3)
        batch, frames, channels, frequencies = ops.shape(found)
        found = ops.reshape(found, (batch, frames, channels * frequencies))
        return ops.swapaxes(found, 1, 2) if self.channels_first else found

    def _transformed(self, x: Any) -> Any:
        """The parts of the transform, one after the other, of shape (batch, frames, channels, frequencies)."""
        kernels = [getattr(self, f"{side}_kernel").value for side in self._sides]
        kernel = ops.cast(ops.concatenate(kernels, axis=-1), x.dtype)
        return ops.conv(
            ops.expand_dims(x, -1),
            ops.expand_dims(kernel, 1),
            strides=(self._step, 1),
            padding=self.padding,
            data_format="channels_last",
        )

    def _spectrogram(self, parts: Any) -> Any:
        """What the mode makes of the parts."""
        if self.mode in ("real", "imag", "stft"):
            return parts
        real, imaginary = ops.split(parts, 2, axis=-1)
        if self.mode == "angle":
            return ops.arctan2(imaginary, real)
        power = ops.square(real) + ops.square(imaginary)
        if self.mode == "psd":
            # all frequencies but the first and the last stand for negative ones, too
            counts = np.full(power.shape[-1], 2.0)
            counts[0] = counts[-1] = 1.0
            return power * ops.convert_to_tensor(counts, power.dtype)
        magnitude = ops.sqrt(ops.maximum(power, epsilon()))
        return magnitude if self.mode == "magnitude" else ops.log(ops.maximum(magnitude, epsilon()))


def _mel(hertz: Any) -> Any:
    """The place of a frequency on the mel scale, in the units of the Hidden Markov Model Toolkit."""
    return 2595.0 * np.log10(1.0 + np.asarray(hertz, "float64") / 700.0)


@export("layers.MelSpectrogram")
class MelSpectrogram(Layer):
    """Spectrograms on the mel scale, on which equal steps sound equally far apart (Stevens, Volkmann and Newman,
    1937, doi:10.1121/1.1915893).

    It takes sounds of shape `(samples,)` or `(batch, samples)` and gives `(..., mel bins, frames)`. The middle of
    frame `t` lies at sample `t * sequence_stride`.

    Args:
        fft_length: size of the Fourier transform of a frame.
        sequence_stride: samples from one frame to the next.
        sequence_length: size of the window; `fft_length` if not given.
        window: "hann", "hamming", an array of shape `(sequence_length,)`, or None for none.
        sampling_rate: samples in a second.
        num_mel_bins: how many bins there are.
        min_freq: lowest frequency, in hertz.
        max_freq: highest frequency; half the sampling rate if not given.
        power_to_db: whether to give decibels.
        top_db: how many decibels below the loudest place of the whole input values are cut off.
        mag_exp: exponent of magnitudes; 2 gives power.
        min_power: smallest value of which decibels are taken.
        ref_power: value that is 0 decibels.

    >>> MelSpectrogram(fft_length=256, sequence_stride=128, num_mel_bins=20)(np.ones((2, 1024), "float32")).shape
    (2, 20, 9)
    """

    def __init__(
        self,
        fft_length: int = 2048,
        sequence_stride: int = 512,
        sequence_length: int | None = None,
        window: Any = "hann",
        sampling_rate: int = 16000,
        num_mel_bins: int = 128,
        min_freq: float = 20.0,
        max_freq: float | None = None,
        power_to_db: bool = True,
        top_db: float = 80.0,
        mag_exp: float = 2.0,
        min_power: float = 1e-10,
        ref_power: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.fft_length = arguments.count(self, "fft_length", fft_length)
        self.sequence_stride = arguments.count(self, "sequence_stride", sequence_stride)
        self.sequence_length = arguments.count(self, "sequence_length", sequence_length or fft_length)
        if self.sequence_length > self.fft_length:
            raise ArgumentError(
                f"MelSpectrogram(): `sequence_length` must be at most `fft_length`, {fft_length}. Received: "
                f"{sequence_length!r}"
            )
        self.window = window
        self.sampling_rate = arguments.number(self, "sampling_rate", sampling_rate, above=0)
        self.num_mel_bins = arguments.count(self, "num_mel_bins", num_mel_bins)
        self.min_freq, self.max_freq = min_freq, max_freq or int(sampling_rate / 2)
        if not 0 <= self.min_freq < self.max_freq:
            raise ArgumentError(
                "MelSpectrogram(): frequencies must be 0 <= `min_freq` < `max_freq`. Received: "
                f"min_freq={min_freq!r}, max_freq={self.max_freq!r}"
            )
        self.power_to_db = bool(power_to_db)
        self.top_db, self.mag_exp, self.min_power, self.ref_power = top_db, mag_exp, min_power, ref_power

    def call(self, inputs: Any) -> Any:
        dtype = result_type(self.compute_dtype, "float32")
        real, imaginary = ops.stft(
            ops.cast(inputs, dtype), self.sequence_length, self.sequence_stride, self.fft_length, self.window
        )
        spectrum = ops.power(ops.square(real) + ops.square(imaginary), self.mag_exp / 2)
        weights = self.linear_to_mel_weight_matrix(
            self.num_mel_bins,
            self.fft_length // 2 + 1,
            self.sampling_rate,
            self.min_freq,
            self.max_freq,
            dtype,
        )
        found = ops.matmul(spectrum, weights)
        if self.power_to_db:
            # of powers, for a compiler may compute the same logarithm twice and get different last digits
            lowest = self._decibels(ops.max(found)) - self.top_db
            found = ops.maximum(self._decibels(found), lowest)
        return ops.cast(ops.swapaxes(found, -1, -2), self.compute_dtype)

    def _decibels(self, power: Any) -> Any:
        reference = max(abs(self.ref_power), self.min_power)
        return 10.0 * (ops.log10(ops.maximum(power, self.min_power)) - float(np.log10(reference)))

    def linear_to_mel_weight_matrix(
        self,
        num_mel_bins: int = 20,
        num_spectrogram_bins: int = 129,
        sampling_rate: float = 8000,
        lower_edge_hertz: float = 125.0,
        upper_edge_hertz: float = 3800.0,
        dtype: str = "float32",
    ) -> Any:
        """A matrix that makes mel bins of the frequencies of a Fourier transform: triangles of height 1, linear
        and evenly spaced on the mel scale.

        Args:
            num_mel_bins: how many triangles there are.
            num_spectrogram_bins: how many frequencies, from 0 to half the sampling rate; the first has no
                weight.
            sampling_rate: samples in a second.
            lower_edge_hertz: where the first triangle begins.
            upper_edge_hertz: where the last triangle ends.
            dtype: of the result.

        Returns:
            Of shape (`num_spectrogram_bins`, `num_mel_bins`).
        """
        places = _mel(np.linspace(0.0, sampling_rate / 2, num_spectrogram_bins))[:, None]
        edges = np.linspace(_mel(lower_edge_hertz), _mel(upper_edge_hertz), num_mel_bins + 2)
        low, middle, high = edges[:-2], edges[1:-1], edges[2:]
        rising, falling = (places - low) / (middle - low), (high - places) / (high - middle)
        weights = np.maximum(np.minimum(rising, falling), 0.0)
        weights[0] = 0.0
        return ops.convert_to_tensor(weights, dtype)
