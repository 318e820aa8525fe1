"""Samplers: functions of a key of two 32-bit numbers, which seeds a generator for one draw.

Each is an operator of torch's own library, so that a captured graph holds a draw as one node that is a pure
function of the key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from triceras.engine.on_torch.arrays import torch_dtype

Sizes = tuple[int, ...]

_library = torch.library.Library("triceras", "DEF")
_64_BITS = 2**64 - 1


def _generator(key: Tensor) -> Generator:
    """A generator whose seed is a hash of the key, since on CPUs torch uses 32 bits of a seed only."""
    first, second = key.tolist()
    x = ((first << 32) + second) * 0x9E3779B97F4A7C15 & _64_BITS
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & _64_BITS
    x = (x ^ x >> 27) * 0x94D049BB133111EB & _64_BITS
    return Generator(key.device).manual_seed(x ^ x >> 31)


def _operator(parameters: str) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Make an operator of `draw(x, generator, **parameters)`, which draws numbers of the shape and dtype of `x`.

    The operator takes the key, the shape, the dtype's name and the parameters.
    """

    def define(draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def empty(key: Tensor, shape: Sizes, dtype: torch.dtype, *values: Any) -> Tensor:
            return torch.empty(shape, dtype=dtype, device=key.device)

        def run(key: Tensor, shape: Sizes, dtype: torch.dtype, *values: Any) -> Tensor:
            return draw(empty(key, shape, dtype), _generator(key), *values)

        name = _library.define(
            f"{draw.__name__}(Tensor key, SymInt[] shape, ScalarType dtype{parameters}) -> Tensor"
        )
        _library.impl(name, run, "CPU")
        _library.impl(name, run, "CUDA")
        torch.library.register_fake(f"triceras::{name}", empty, lib=_library)
        call = getattr(torch.ops.triceras, name).default
        return lambda key, *values, shape, dtype: call(key, shape, torch_dtype(dtype), *values)

    return define


@_operator("")
def bits(x: Tensor, generator: Generator) -> Tensor:
    return x.random_(0, 2**32, generator=generator)


@_operator("")
def uniform(x: Tensor, generator: Generator) -> Tensor:
    return x.uniform_(generator=generator)


@_operator("")
def normal(x: Tensor, generator: Generator) -> Tensor:
    return x.normal_(generator=generator)


@_operator(", Tensor low, Tensor high")
def integers(x: Tensor, generator: Generator, low: Tensor, high: Tensor) -> Tensor:
    low, high = low.to(torch.int64), high.to(torch.int64)
    drawn = torch.empty_like(x, dtype=torch.int64).random_(generator=generator)
    return (low + drawn % (high - low).clamp(min=1)).to(x.dtype)


@_operator(", Tensor alpha")
def gamma(x: Tensor, generator: Generator, alpha: Tensor) -> Tensor:
    wide = alpha.to(torch.promote_types(x.dtype, torch.float32))
    return torch._standard_gamma(wide.expand(x.shape), generator=generator).to(x.dtype)


@_operator(", Tensor counts, Tensor probabilities")
def binomial(x: Tensor, generator: Generator, counts: Tensor, probabilities: Tensor) -> Tensor:
    drawn = torch.binomial(counts.expand(x.shape), probabilities.expand(x.shape), generator=generator)
    return drawn.to(x.dtype)


@_operator(", float rate")
def dropout_factors(x: Tensor, generator: Generator, rate: float) -> Tensor:
    """0 at a share of places, else what keeps the expected value 1.

    Made of 16 random bits each: torch's own Bernoulli numbers take ten times as long.
    """
    words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64, device=x.device)
    words = words.random_(-(2**63), None, generator=generator).view(torch.int16)
    torch.ge(words[: x.numel()].view(x.shape), round(rate * 2**16) - 2**15, out=x)
    return x.mul_(1 / (1 - rate))


def dropped(inputs: Tensor, key: Tensor, rate: float, shape: Sizes) -> Tensor:
    return inputs * dropout_factors(key, rate, shape=shape, dtype=inputs.dtype)


NATIVES: dict[str, Callable[..., Any]] = {
    "_dropped": dropped,
    "random_binomial": binomial,
    "random_bits": lambda key, shape: bits(key, shape=shape, dtype="uint32"),
    "random_gamma": gamma,
    "random_integers": integers,
    "random_normal": normal,
    "random_uniform": uniform,
}
