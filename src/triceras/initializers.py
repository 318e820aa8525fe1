"""Initial values of variables. NumPy computes them, so that they are the same on every engine."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from triceras.core import dtypes
from triceras.core.capture import Configurable
from triceras.core.errors import ArgumentError, ArgumentTypeError, ShapeError, require
from triceras.core.registry import export, publish
from triceras.core.scope import Local
from triceras.core.spec import standardize_shape
from triceras.engine import selection
from triceras.ops.signal import WINDOWS, named_window
from triceras.random import SeedGenerator, next_key, stream
from triceras.saving import objects

Seed = int | SeedGenerator | None

# The standard deviation of a standard normal distribution that is cut off at 2.
TRUNCATED_STDDEV = 0.87962566103423978


@export("Initializer", "initializers.Initializer")
class Initializer(Configurable):
    """Base of all initializers. Subclass it and write `__call__(self, shape, dtype=None)`.

    >>> class Halves(Initializer):
    ...     def __call__(self, shape, dtype=None):
    ...         return Constant(0.5)(shape, dtype)
    >>> Halves().values((2,)).tolist()
    [0.5, 0.5]
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """A tensor of the active engine with initial values."""
        engine = selection.current()
        return engine.make(self._checked(shape, dtype, None), dtypes.standardize_dtype(dtype))

    def values(self, shape: Sequence[int], dtype: Any = None, path: str | None = None) -> np.ndarray:
        """The initial values as a NumPy array; `path` names the variable that they are for."""
        if type(self).__call__ is not Initializer.__call__:  # a user's own
            made = self(shape, dtype=dtype)
            owner = selection.engine_of(type(made))
            return np.asarray(owner.to_numpy(made) if owner else made)
        return self._checked(shape, dtype, path)

    def _checked(self, shape: Sequence[int], dtype: Any, path: str | None) -> np.ndarray:
        shape, dtype = standardize_shape(shape), dtypes.standardize_dtype(dtype)
        if None in shape:
            raise ShapeError(f"{type(self).__name__} needs a fully known shape. Received: {shape}")
        if dtype == "string":
            raise ArgumentError(f"{type(self).__name__} makes numbers, not dtype 'string'.")
        return np.asarray(self._values(shape, dtype, path), dtype=dtype)

    def _values(self, shape: tuple[int, ...], dtype: str, path: str | None) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no `__call__(self, shape, dtype=None)`.")

    def clone(self) -> Any:
        """A new initializer with the same config."""
        return self.from_config(self.get_config())

    def get_config(self) -> dict[str, Any]:
        return objects.serialize_keras_object(super().get_config())

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**objects.deserialize_keras_object(config))


# -- fixed values --------------------------------------------------------------------------------------------


@export("initializers.Zeros", "initializers.zeros")
class Zeros(Initializer):
    """All 0.

    >>> Zeros().values((2,)).tolist()
    [0.0, 0.0]
    """

    def _values(self, shape: tuple[int, ...], dtype: str, path: str | None) -> Any:
        return np.zeros(shape, dtype)


@export("initializers.Ones", "initializers.ones")
class Ones(Initializer):
    """All 1.

    >>> Ones().values((2,)).tolist()
    [1.0, 1.0]
    """

    def _values(self, shape: tuple[int, ...], dtype: str, path: str | None) -> Any:
        return np.ones(shape, dtype)


@export("initializers.Constant", "initializers.constant")
class Constant(Initializer):
    """One given value.

    Args:
        value: a number, or an array that broadcasts to the shape.

    >>> Constant(3).values((2,)).tolist()
    [3.0, 3.0]
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def _values(self, shape: tuple[int, ...], dtype: str, path: str | None) -> Any:
        owner = selection.engine_of(type(self.value))
        value = np.asarray(owner.to_numpy(self.value) if owner else self.value).astype(dtype)
        try:
            return np.broadcast_to(value, shape).copy()
        except ValueError:
            raise ShapeError(
                f"Constant: a value of shape {value.shape} doesn't broadcast to shape {shape}."
            ) from None


@export("initializers.Identity", "initializers.identity", "initializers.IdentityInitializer")
class Identity(Initializer):
    """A multiple of the identity matrix, for shapes of rank 2.

    Args:
        gain: what stands on the diagonal.

    >>> Identity().values((2, 3)).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def _values(self, shape: tuple[int, ...], dtype: str, path: str | None) -> Any:
        if len(shape) != 2:
            raise ShapeError(f"Identity makes matrices: it needs a shape of rank 2. Received: {shape}")
        return self.gain * np.eye(*shape)


@export("initializers.STFT", "initializers.stft", "initializers.STFTInitializer")
class STFT(Initializer):
    """Kernels of a 1-D convolution that computes one side of a short-time Fourier transform.

    The shape is (frame length, 1, FFT length / 2 + 1).

    Args:
        side: "real" or "imag".
        window: "hann", "hamming", another name in `scipy.signal.windows`, an array of the frame length, or None.
        scaling: "density" (divides a window by its L2 norm), "spectrum" (by its sum) or None.
        periodic: whether a named window is periodic rather than symmetric.

    >>> STFT(window=None, scaling=None).values((4, 1, 3))[1, 0].round(3).tolist()
    [1.0, 0.0, -1.0]
    """

    def __init__(
        self,
        side: str = "real",
        window: Any = "hann",
        scaling: str | None = "density",
        periodic: bool = False,
    ) -> None:
        if side not in ("real", "imag"):
            raise ArgumentError(f"STFT: `side` must be 'real' or 'imag'. Received: {side!r}")
        if scaling not in ("density", "spectrum", None):
            raise ArgumentError(
                f"STFT: `scaling` must be 'density', 'spectrum' or None. Received: {scaling!r}"
            )
        self.side, self.window, self.scaling, self.periodic = side, window, scaling, periodic
        if isinstance(window, str):
            self._window(1)

    def _window(self, length: int) -> np.ndarray:
        if self.window is None:
            return np.ones(length)
        if not isinstance(self.window, str):
            window = np.asarray(self.window, dtype="float64")
            if window.shape != (length,):
                raise ShapeError(
                    f"STFT: `window` must have shape ({length},), the frame length. Received: {window.shape}"
                )
            return window
        if self.window in WINDOWS:
            return named_window(self.window, length, self.periodic)
        try:
            signal = require("scipy.signal", "apps", f"The window {self.window!r} of STFT")
            return signal.get_window(self.window, length, fftbins=self.periodic)
        except ValueError as error:
            raise ArgumentError(f"STFT: `window` {self.window!r} can't be made: {error}") from error

    def _values(self, shape: tuple[int, ...], dtype: str, path: str | None) -> Any:
        if len(shape) != 3 or shape[1] != 1:
            raise ShapeError(
                f"STFT makes kernels of shape (frame length, 1, FFT length / 2 + 1). Received: {shape}"
            )
        length, _, bins = shape
        window = self._window(length)
        if self.window is not None and self.scaling is not None:
            window = window / (np.sqrt((window**2).sum()) if self.scaling == "density" else window.sum())
        angle = np.outer(np.arange(length), np.arange(bins)) * (math.pi / max(bins - 1, 1))
        wave = np.cos(angle) if self.side == "real" else -np.sin(angle)
        return (window[:, None] * wave)[:, None]


# -- random values -------------------------------------------------------------------------------------------


unfilled: Local[bool] = Local("unfilled", False)  # zeros will do, for a file brings the values


class RandomInitializer(Initializer):
    """Base of the initializers that draw random numbers.

    With an integer seed the values are a function of the seed and the shape; a `SeedGenerator` gives new ones
    at each
    call. Without a seed they depend on the global seed and on the variable's path, so that a layer added
    elsewhere in
    a model changes nothing.

    Args:
        seed: an integer, a `SeedGenerator` or None.
    """

    def __init__(self, seed: Seed = None) -> None:
        if isinstance(seed, dict):
            seed = objects.deserialize_keras_object(seed)
        if seed is not None and (
            isinstance(seed, bool) or not isinstance(seed, (int, np.integer, SeedGenerator))
        ):
            raise ArgumentError(
                f"{type(self).__name__}: `seed` must be an integer, a SeedGenerator or None. "
                f"Received: {seed!r}"
            )
        self.seed = seed

    def _values(self, shape: tuple[int, ...], dtype: str, path: str | None) -> Any:
        if dtype not in dtypes.FLOATS:
            raise ArgumentError(
                f"{type(self).__name__} draws floating-point numbers. Received: dtype={dtype!r}"
            )
        if unfilled.get():
            return np.zeros(shape, dtype)
        if self.seed is None:
            key = next_key(re.sub(r"_\d+(?=/|$)", "", path or ""))
        elif isinstance(self.seed, SeedGenerator):
            state = self.seed.state.engine.to_numpy(self.seed.next())
            key = tuple(int(n) for n in state)
        else:
            key = (int(self.seed),)
        return self._draw(stream(*key, shape), shape, "float64" if dtype == "float64" else "float32")

    def _draw(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        raise NotImplementedError


def _uniform(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: str, low: float, high: float
) -> np.ndarray:
    x = np.asarray(rng.random(shape, dtype=dtype))
    x *= np.asarray(high - low, dtype)
    x += np.asarray(low, dtype)
    return x


def _normal(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: str, mean: float, stddev: float, truncated: bool
) -> np.ndarray:
    """Normal numbers; truncated ones are drawn again until they are within two deviations."""
    x = np.asarray(rng.standard_normal(shape, dtype=dtype)).reshape(-1)
    while truncated and (far := np.flatnonzero(np.abs(x) > 2)).size:
        x[far] = rng.standard_normal(far.size, dtype=dtype)
    x *= np.asarray(stddev, dtype)
    x += np.asarray(mean, dtype)
    return x.reshape(shape)


@export("initializers.RandomNormal", "initializers.random_normal")
class RandomNormal(RandomInitializer):
    """A normal distribution.

    Args:
        mean: its mean.
        stddev: its standard deviation.
        seed: see `RandomInitializer`.

    >>> RandomNormal(seed=1).values((2, 3)).shape
    (2, 3)
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Seed = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def _draw(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        return _normal(rng, shape, dtype, self.mean, self.stddev, truncated=False)


@export("initializers.TruncatedNormal", "initializers.truncated_normal")
class TruncatedNormal(RandomInitializer):
    """A normal distribution without values further than two standard deviations from the mean.

    Args:
        mean: the mean.
        stddev: the standard deviation before truncation.
        seed: see `RandomInitializer`.

    >>> bool(abs(TruncatedNormal(seed=1).values((1000,))).max() <= 0.1)
    True
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Seed = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def _draw(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        return _normal(rng, shape, dtype, self.mean, self.stddev, truncated=True)


@export("initializers.RandomUniform", "initializers.random_uniform")
class RandomUniform(RandomInitializer):
    """A uniform distribution on [minval, maxval).

    Args:
        minval: the lower bound.
        maxval: the upper bound.
        seed: see `RandomInitializer`.

    >>> bool(abs(RandomUniform(seed=1).values((1000,))).max() <= 0.05)
    True
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Seed = None) -> None:
        super().__init__(seed)
        self.minval, self.maxval = minval, maxval

    def _draw(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        return _uniform(rng, shape, dtype, self.minval, self.maxval)


def compute_fans(
    shape: tuple[int, ...], input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None
) -> tuple[float, float]:
    """How many inputs and outputs one unit of a kernel has: (fan in, fan out).

    The last two axes are inputs and outputs, and those before them the receptive field, unless both
    `input_axes` and
    `output_axes` are given.

    >>> compute_fans((3, 3, 4, 8))
    (36, 72)
    """
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[a] for a in input_axes), math.prod(shape[a] for a in output_axes)
    if len(shape) < 2:
        return (shape or (1,)) * 2
    field = math.prod(shape[:-2])
    return field * shape[-2], field * shape[-1]


@export("initializers.VarianceScaling", "initializers.variance_scaling")
class VarianceScaling(RandomInitializer):
    """Random values whose variance is `scale / n`, so that signals keep their size through a layer.

    Args:
        scale: a positive number.
        mode: what n is: "fan_in" (inputs of a unit), "fan_out" (its outputs) or "fan_avg" (the mean of both).
        distribution: "truncated_normal", "untruncated_normal" or "uniform".
        seed: see `RandomInitializer`.
        input_axes: axes of the shape that count as inputs; used if `output_axes` is given too.
        output_axes: axes of the shape that count as outputs; used if `input_axes` is given too.

    >>> bool(abs(VarianceScaling(distribution="uniform", seed=1).values((300, 9))).max() <= 0.1)
    True
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Seed = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(seed)
        name = type(self).__name__
        if not scale > 0:
            raise ArgumentError(f"{name}: `scale` must be above 0. Received: {scale!r}")
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ArgumentError(
                f"{name}: `mode` must be 'fan_in', 'fan_out' or 'fan_avg'. Received: {mode!r}"
            )
        if distribution == "normal":  # an old name
            distribution = "truncated_normal"
        if distribution not in ("truncated_normal", "untruncated_normal", "uniform"):
            raise ArgumentError(
                f"{name}: `distribution` must be 'truncated_normal', 'untruncated_normal' or 'uniform'. "
                f"Received: {distribution!r}"
            )
        for argument, axes in (("input_axes", input_axes), ("output_axes", output_axes)):
            if axes is not None and not (
                isinstance(axes, (list, tuple)) and all(isinstance(a, int) for a in axes)
            ):
                raise ArgumentTypeError(
                    f"{name}: `{argument}` must be a list of integers. Received: {axes!r}"
                )
        self.scale, self.mode, self.distribution = scale, mode, distribution
        self.input_axes, self.output_axes = input_axes, output_axes

    def _draw(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        try:
            fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        except IndexError:
            raise ShapeError(
                f"{type(self).__name__}: the shape {shape} doesn't have all of the axes "
                f"input_axes={self.input_axes}, output_axes={self.output_axes}."
            ) from None
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        stddev = math.sqrt(self.scale / max(1, n))
        if self.distribution == "uniform":
            limit = stddev * math.sqrt(3)
            return _uniform(rng, shape, dtype, -limit, limit)
        truncated = self.distribution == "truncated_normal"
        return _normal(rng, shape, dtype, 0, stddev / TRUNCATED_STDDEV if truncated else stddev, truncated)


class _Preset(VarianceScaling):
    """Variance scaling with a fixed rule."""

    rule: tuple[float, str, str]

    def __init__(
        self,
        seed: Seed = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(*self.rule, seed, input_axes, output_axes)


@export("initializers.GlorotUniform", "initializers.glorot_uniform")
class GlorotUniform(_Preset):
    """A uniform distribution of variance 2 / (inputs + outputs), also named Xavier uniform.

    Glorot and Bengio, 2010, https://proceedings.mlr.press/v9/glorot10a.html

    >>> bool(abs(GlorotUniform(seed=1).values((3, 3))).max() <= 1)
    True
    """

    rule = (1.0, "fan_avg", "uniform")


@export("initializers.GlorotNormal", "initializers.glorot_normal")
class GlorotNormal(_Preset):
    """A truncated normal distribution of variance 2 / (inputs + outputs), also named Xavier normal.

    Glorot and Bengio, 2010, https://proceedings.mlr.press/v9/glorot10a.html

    >>> GlorotNormal(seed=1).values((3, 3)).shape
    (3, 3)
    """

    rule = (1.0, "fan_avg", "truncated_normal")


@export("initializers.HeUniform", "initializers.he_uniform")
class HeUniform(_Preset):
    """A uniform distribution of variance 2 / inputs, for layers before a ReLU.

    He et al., 2015, https://arxiv.org/abs/1502.01852

    >>> bool(abs(HeUniform(seed=1).values((6, 3))).max() <= 1)
    True
    """

    rule = (2.0, "fan_in", "uniform")


@export("initializers.HeNormal", "initializers.he_normal")
class HeNormal(_Preset):
    """A truncated normal distribution of variance 2 / inputs, for layers before a ReLU.

    He et al., 2015, https://arxiv.org/abs/1502.01852

    >>> HeNormal(seed=1).values((3, 3)).shape
    (3, 3)
    """

    rule = (2.0, "fan_in", "truncated_normal")


@export("initializers.LecunUniform", "initializers.lecun_uniform")
class LecunUniform(_Preset):
    """A uniform distribution of variance 1 / inputs.

    Klambauer et al., 2017, https://arxiv.org/abs/1706.02515

    >>> bool(abs(LecunUniform(seed=1).values((3, 3))).max() <= 1)
    True
    """

    rule = (1.0, "fan_in", "uniform")


@export("initializers.LecunNormal", "initializers.lecun_normal")
class LecunNormal(_Preset):
    """A truncated normal distribution of variance 1 / inputs, for layers before a SELU.

    Klambauer et al., 2017, https://arxiv.org/abs/1706.02515

    >>> LecunNormal(seed=1).values((3, 3)).shape
    (3, 3)
    """

    rule = (1.0, "fan_in", "truncated_normal")


@export("initializers.Orthogonal", "initializers.orthogonal", "initializers.OrthogonalInitializer")
class Orthogonal(RandomInitializer):
    """A random matrix with orthonormal columns, or rows if there are fewer; all axes but the last are rows.

    Saxe et al., 2014, https://arxiv.org/abs/1312.6120

    Args:
        gain: a factor.
        seed: see `RandomInitializer`.

    >>> x = Orthogonal(seed=1).values((3, 3))
    >>> (x.T @ x).round(3).diagonal().tolist()
    [1.0, 1.0, 1.0]
    """

    def __init__(self, gain: float = 1.0, seed: Seed = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def _draw(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        if len(shape) < 2:
            raise ShapeError(f"Orthogonal needs a shape of rank 2 or more. Received: {shape}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns)), dtype=dtype))
        q *= np.where(np.diag(r) < 0, -1, 1).astype(dtype)  # makes the distribution uniform
        return np.asarray(self.gain, dtype) * (q if rows >= columns else q.T).reshape(shape)


# -- by name and config --------------------------------------------------------------------------------------

_family = objects.Family(
    "initializers",
    "initializer",
    {"zero": "zeros", "one": "ones", "normal": "random_normal", "uniform": "random_uniform"},
)


@export("initializers.get")
def get(identifier: Any) -> Any:
    """The initializer for a name, config, class, array or callable; None stays None.

    >>> get("he_normal")  # doctest: +ELLIPSIS
    <...HeNormal object at ...>
    """
    if isinstance(identifier, np.ndarray) or selection.engine_of(type(identifier)):
        return Constant(identifier)
    return _family.get(identifier)


@export("initializers.serialize")
def serialize(initializer: Any) -> Any:
    """An initializer as plain data.

    >>> serialize(Zeros())["class_name"]
    'Zeros'
    """
    return objects.serialize_keras_object(initializer)


@export("initializers.deserialize")
def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The initializer for what `serialize` returned, or for a name.

    >>> deserialize(serialize(Constant(2.0))).value
    2.0
    """
    return _family.deserialize(config, custom_objects)


publish({"initializers": ("triceras.initializers",)})
