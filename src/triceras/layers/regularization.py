"""Noise while training, and penalties: what keeps a model from learning its data by heart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from triceras import ops, random, regularizers
from triceras.core.registry import export
from triceras.layers import arguments
from triceras.layers.base import Layer
from triceras.layers.spatial import Spatial

# The limit of SELU for large negative inputs, -scale * alpha: what dropped units become in alpha dropout.
SELU_LOWEST = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717


class Noise(Layer):
    """Base of the layers that change their input while training only.

    Args:
        seed: makes the layer's random numbers repeatable.
    """

    supports_masking = True

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed

    def _draw_with_seed(self, active: bool) -> None:
        """Make the source of random numbers, unless the layer does nothing."""
        if active:
            self.seed_generator = random.SeedGenerator(self.seed)

    def _noise_shape(self, inputs: Any, noise_shape: Sequence[int | None]) -> tuple[Any, ...]:
        sizes = ops.shape(inputs)
        return tuple(sizes[i] if size is None else size for i, size in enumerate(noise_shape))


@export("layers.Dropout")
class Dropout(Noise):
    """Sets a random part of the input to 0 while training, and scales the rest so that the mean stays.

    Srivastava et al., 2014, https://jmlr.org/papers/v15/srivastava14a.html

    Args:
        rate: part that is dropped, from 0 to 1.
        noise_shape: shape of the random mask, which is broadcast; None entries are the input's sizes.
        seed: makes the layer's random numbers repeatable.

    >>> Dropout(0.5, seed=1)(ops.ones((2, 3)), training=False).tolist()[0]
    [1.0, 1.0, 1.0]
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, **kwargs)
        self.rate = arguments.number(self, "rate", rate, 0, 1)
        self.noise_shape = noise_shape
        self._draw_with_seed(rate > 0)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        shape = None if self.noise_shape is None else self._noise_shape(inputs, self.noise_shape)
        return random.dropout(inputs, self.rate, noise_shape=shape, seed=self.seed_generator)


class SpatialDropout(Noise, Spatial):
    """Base of the layers that drop whole channels. Tompson et al., 2015, https://arxiv.org/abs/1411.4280"""

    def __init__(
        self,
        rate: float,
        data_format: str | None,
        seed: int | None,
        name: str | None,
        dtype: Any,
        **kwargs: Any,
    ) -> None:
        Spatial.__init__(self, data_format, name=name, dtype=dtype, **kwargs)
        self.seed = seed
        self.rate = arguments.number(self, "rate", rate, 0, 1)
        self._draw_with_seed(rate > 0)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        pattern = [1 if axis in self.spatial_axes else None for axis in range(self.rank + 2)]
        return random.dropout(
            inputs, self.rate, noise_shape=self._noise_shape(inputs, pattern), seed=self.seed_generator
        )

    def get_config(self) -> dict[str, Any]:
        config = {k: v for k, v in super().get_config().items() if k != "trainable"}
        return config | {
            "dtype": self.variable_dtype if self.dtype_policy.name == self.variable_dtype else config["dtype"]
        }


@export("layers.SpatialDropout1D")
class SpatialDropout1D(SpatialDropout, rank=1):
    """Drops whole channels of `(batch, steps, channels)` while training.

    Args:
        rate: part that is dropped, from 0 to 1.
        seed: makes the layer's random numbers repeatable.

    >>> SpatialDropout1D(0.5)(ops.ones((2, 3, 4))).shape
    (2, 3, 4)
    """

    def __init__(
        self, rate: float, seed: int | None = None, name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(rate, "channels_last", seed, name, dtype)


@export("layers.SpatialDropout2D")
class SpatialDropout2D(SpatialDropout, rank=2):
    """Drops whole channels of `(batch, rows, columns, channels)` while training.

    Args:
        rate: part that is dropped, from 0 to 1.
        data_format: layout of the input.
        seed: makes the layer's random numbers repeatable.

    >>> SpatialDropout2D(0.5)(ops.ones((2, 3, 3, 4))).shape
    (2, 3, 3, 4)
    """

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(rate, data_format, seed, name, dtype)


@export("layers.SpatialDropout3D")
class SpatialDropout3D(SpatialDropout, rank=3):
    """Drops whole channels of `(batch, depth, rows, columns, channels)` while training.

    Args:
        rate: part that is dropped, from 0 to 1.
        data_format: layout of the input.
        seed: makes the layer's random numbers repeatable.

    >>> SpatialDropout3D(0.5)(ops.ones((2, 3, 3, 3, 4))).shape
    (2, 3, 3, 3, 4)
    """

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(rate, data_format, seed, name, dtype)


@export("layers.GaussianNoise")
class GaussianNoise(Noise):
    """Adds normal noise with mean 0 while training.

    Args:
        stddev: standard deviation of the noise, from 0 on.
        seed: makes the layer's random numbers repeatable.

    >>> GaussianNoise(0.1)(ops.ones((2, 3)), training=True).shape
    (2, 3)
    """

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.stddev = arguments.number(self, "stddev", stddev, 0)
        self._draw_with_seed(stddev > 0)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.stddev == 0:
            return inputs
        noise = random.normal(
            ops.shape(inputs), stddev=self.stddev, dtype=self.compute_dtype, seed=self.seed_generator
        )
        return ops.add(inputs, noise)


@export("layers.GaussianDropout")
class GaussianDropout(Noise):
    """Multiplies the input by normal noise with mean 1 while training.

    Srivastava et al., 2014, https://jmlr.org/papers/v15/srivastava14a.html

    Args:
        rate: the noise has the variance of dropout with this rate: `rate / (1 - rate)`.
        seed: makes the layer's random numbers repeatable.

    >>> GaussianDropout(0.5)(ops.ones((2, 3)), training=True).shape
    (2, 3)
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.rate = arguments.number(self, "rate", rate, 0, 1)
        self._draw_with_seed(rate > 0)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        stddev = math.sqrt(self.rate / (1 - self.rate)) if self.rate < 1 else math.inf
        noise = random.normal(
            ops.shape(inputs), mean=1.0, stddev=stddev, dtype=self.compute_dtype, seed=self.seed_generator
        )
        return ops.multiply(inputs, noise)


@export("layers.AlphaDropout")
class AlphaDropout(Noise):
    """Dropout for networks with SELU activations: mean and variance stay while training.

    Klambauer et al., 2017, https://arxiv.org/abs/1706.02515

    Args:
        rate: part that is dropped, from 0 to 1.
        noise_shape: shape of the random mask, which is broadcast; None entries are the input's sizes.
        seed: makes the layer's random numbers repeatable.

    >>> AlphaDropout(0.5)(ops.ones((2, 3)), training=True).shape
    (2, 3)
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, **kwargs)
        self.rate = arguments.number(self, "rate", rate, 0, 1)
        self.noise_shape = noise_shape
        self._draw_with_seed(rate > 0)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        if self.rate == 1:
            return ops.zeros_like(inputs)
        shape = self._noise_shape(inputs, self.noise_shape or (None,) * len(inputs.shape))
        kept = ops.greater_equal(random.uniform(shape, seed=self.seed_generator), self.rate)
        x = ops.where(kept, inputs, ops.cast(SELU_LOWEST, inputs.dtype))
        scale = ((1 - self.rate) * (1 + self.rate * SELU_LOWEST**2)) ** -0.5
        return ops.add(ops.multiply(x, scale), -scale * SELU_LOWEST * self.rate)


@export("layers.ActivityRegularization")
class ActivityRegularization(Layer):
    """Adds a penalty on its input to the loss: `l1 * sum(|x|) + l2 * sum(x²)`, divided by the batch.

    Args:
        l1: factor of the sum of sizes.
        l2: factor of the sum of squares.

    >>> layer = ActivityRegularization(l1=0.5)
    >>> layer(ops.ones((2, 3))).shape, float(layer.losses[0])
    ((2, 3), 1.5)
    """

    supports_masking = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.l1, self.l2 = arguments.number(self, "l1", l1, 0), arguments.number(self, "l2", l2, 0)
        self.activity_regularizer = regularizers.L1L2(l1=l1, l2=l2)

    def call(self, inputs: Any) -> Any:
        return inputs
