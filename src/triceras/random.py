"""Random numbers: seeds, the state of generators, and sampling on every engine.

The state of a generator is a variable that holds a seed and a counter; each draw takes the pair as its key
and counts up. An engine supplies a few samplers that are functions of a key, and everything else is made from
them.
"""

from __future__ import annotations

import hashlib
import random as python_random
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from triceras import ops
from triceras.core import dtypes
from triceras.core.capture import Configurable
from triceras.core.dtypes import promote_float
from triceras.core.errors import ArgumentError, ShapeError
from triceras.core.registry import export, publish
from triceras.core.scope import on_clear, unique_name
from triceras.core.spec import standardize_shape
from triceras.engine import selection
from triceras.engine.contract import Engine
from triceras.ops.op import Kept, Tensor, op
from triceras.variable import Variable, name_scope

Shape = Sequence[int]

# -- seeds ---------------------------------------------------------------------------------------------------

_lock = threading.Lock()
_seed: int | None = None
_entropy = secrets.randbits(64)
_draws: Counter[str] = Counter()
_defaults: dict[str, SeedGenerator] = {}


def stream(*key: Any) -> np.random.Generator:
    """NumPy's counter-based Philox generator, at a place that is a function of the key alone."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def next_key(name: str) -> tuple[int, str, int]:
    """A new key for that name, made of the global seed and how often the name was drawn since it was set."""
    with _lock:
        _draws[name] += 1
        return (_entropy if _seed is None else _seed, name, _draws[name])


@export("utils.set_random_seed")
def set_random_seed(seed: int) -> None:
    """Seed Python's and NumPy's generators and all of Triceras, so that a program's run can be repeated.

    Args:
        seed: an integer from 0 to 2**32 - 1.

    >>> set_random_seed(7)
    >>> first = uniform((2,))
    >>> set_random_seed(7)
    >>> (uniform((2,)) == first).tolist()
    [True, True]
    """
    global _seed
    seed = _seed_number(seed)
    python_random.seed(seed)
    np.random.seed(seed)
    with _lock:
        _seed = seed
        _draws.clear()
    _defaults.clear()


on_clear.append(_defaults.clear)


@contextmanager
def undisturbed() -> Iterator[Callable[[], bool]]:
    """A `with` block after which the default sources go on as if nothing had been drawn in it.

    Returns:
        A function that says whether a default source was made in the block; it is forgotten.
    """
    with _lock:
        draws, before = Counter(_draws), {name: (g, g.state.numpy()) for name, g in _defaults.items()}
    made: set[str] = set()
    try:
        yield lambda: bool(made)
    finally:
        made |= _defaults.keys() - before.keys()
        for name in made:
            del _defaults[name]
        for source, value in before.values():
            source.state.assign(value)
        with _lock:
            _draws.clear()
            _draws.update(draws)


def _seed_number(seed: Any) -> int:
    if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
        raise ArgumentError(f"`seed` must be an integer from 0 to 2**32 - 1. Received: {seed!r}")
    return int(seed)


@export("random.SeedGenerator")
class SeedGenerator(Configurable):
    """A source of random numbers whose state is a variable, so that compiled steps and checkpoints carry it.

    Args:
        seed: an integer from 0 to 2**32 - 1; without one it follows from the global seed.
        name: made automatically if not given.

    >>> source = SeedGenerator(seed=3)
    >>> source.next().tolist(), source.next().tolist()
    ([3, 0], [3, 1])
    """

    def __init__(self, seed: int | None = None, name: str | None = None) -> None:
        if seed is not None:
            seed = _seed_number(seed)
        self.seed = seed
        self.name = unique_name("seed_generator") if name is None else name
        start = int(stream(*next_key("seed_generator")).integers(2**32)) if seed is None else seed
        with name_scope(self.name):
            self.state = Variable(
                np.array([start, 0], "uint32"), trainable=False, name="seed_generator_state"
            )

    def next(self, ordered: bool = True) -> Any:
        """The key for one draw, a tensor of shape (2,); the state counts up.

        Args:
            ordered: accepted for compatibility; keys always come in order.
        """
        key = self.state.value
        self.state.assign_add(np.array([0, 1], "uint32"))
        return key

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed, "name": self.name}


Seed = int | SeedGenerator | None


def _key(seed: Any, engine: Engine) -> Any:
    """The key that a `seed` argument means, as a tensor of the engine."""
    if seed is None:
        seed = _defaults.get(engine.name)
        if seed is None:
            with selection.running(engine):
                seed = _defaults.setdefault(engine.name, SeedGenerator())
    if isinstance(seed, SeedGenerator):
        seed = seed.next()
    elif isinstance(seed, (int, np.integer)):
        seed = np.array([_seed_number(seed), 0], "uint32")
    if tuple(getattr(seed, "shape", ())) != (2,):
        raise ArgumentError(
            f"`seed` must be an integer, a SeedGenerator, None or a key of shape (2,). Received: {seed!r}"
        )
    owner = selection.engine_of(type(seed))
    return engine.make(owner.to_numpy(seed) if owner not in (None, engine) else seed, "uint32")


# -- what an engine supplies: functions of a key -------------------------------------------------------------


@op(at=())
def random_bits(key: Kept, shape: Shape) -> Tensor:
    """Uniform 32-bit unsigned integers, which may trade some quality for speed."""
    ...


@op(at=())
def random_uniform(key: Kept, shape: Shape, dtype: str) -> Tensor:
    """Uniform numbers in [0, 1)."""
    ...


@op(at=())
def random_normal(key: Kept, shape: Shape, dtype: str) -> Tensor:
    """Standard normal numbers."""
    ...


@op(at=())
def random_integers(key: Kept, minval: Kept, maxval: Kept, shape: Shape, dtype: str) -> Tensor:
    """Uniform integers in [minval, maxval); minval where that is empty."""
    ...


@op(at=())
def random_gamma(key: Kept, alpha: Kept, shape: Shape, dtype: str) -> Tensor:
    """Numbers of the gamma distribution with scale 1."""
    ...


@op(at=())
def random_binomial(key: Kept, counts: Kept, probabilities: Kept, shape: Shape, dtype: str) -> Tensor:
    """Numbers of the binomial distribution, as floats."""
    ...


# -- sampling ------------------------------------------------------------------------------------------------


def _prepare(
    name: str, shape: Any, dtype: Any, seed: Any, integer: bool = False
) -> tuple[Any, tuple[int, ...], str]:
    """Checked arguments of a sampler: the key, the shape, the dtype."""
    shape = standardize_shape((shape,) if isinstance(shape, int) else shape)
    if None in shape:
        raise ShapeError(f"random.{name}() needs a fully known shape. Received: {shape}")
    dtype = dtypes.standardize_dtype(dtype)
    if dtype not in (dtypes.INTEGERS if integer else dtypes.FLOATS):
        kind = "an integer" if integer else "a floating-point"
        raise ArgumentError(f"random.{name}() needs {kind} `dtype`. Received: {dtype!r}")
    return _key(seed, selection.current()), shape, dtype


def _affine(x: Any, scale: Any, shift: Any, dtype: str) -> Any:
    return ops.cast(ops.add(ops.multiply(x, scale), shift), dtype)


@export("random.normal")
def normal(shape: Shape, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Seed = None) -> Tensor:
    """Numbers of a normal distribution.

    Args:
        shape: of the result.
        mean: a number or a tensor that broadcasts to the shape.
        stddev: a number or a tensor that broadcasts to the shape.
        dtype: a float type; floatx by default.
        seed: an integer, which gives the same numbers each time, a `SeedGenerator`, or None for the default
            one.

    >>> normal((2, 3), seed=1).shape
    (2, 3)
    """
    key, shape, dtype = _prepare("normal", shape, dtype, seed)
    return _affine(random_normal(key, shape, dtype), stddev, mean, dtype)


@export("random.uniform")
def uniform(
    shape: Shape, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: Seed = None
) -> Tensor:
    """Uniform numbers in [minval, maxval).

    Args:
        shape: of the result.
        minval: a number or a tensor that broadcasts to the shape.
        maxval: a number or a tensor that broadcasts to the shape.
        dtype: a float type; floatx by default.
        seed: as for `normal`.

    >>> uniform((2, 3), seed=1).shape
    (2, 3)
    """
    key, shape, dtype = _prepare("uniform", shape, dtype, seed)
    return _affine(random_uniform(key, shape, dtype), ops.subtract(maxval, minval), minval, dtype)


@export("random.truncated_normal")
def truncated_normal(
    shape: Shape, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Seed = None
) -> Tensor:
    """Numbers of a normal distribution without those further than two standard deviations from the mean.

    Args:
        shape: of the result.
        mean: a number or a tensor that broadcasts to the shape.
        stddev: before truncation; a number or a tensor that broadcasts to the shape.
        dtype: a float type; floatx by default.
        seed: as for `normal`.

    >>> bool(abs(truncated_normal((100,), seed=1)).max() <= 2)
    True
    """
    key, shape, dtype = _prepare("truncated_normal", shape, dtype, seed)
    edge = 0.9544997361036416  # erf(sqrt(2)), the probability within two deviations
    wide = "float64" if dtype == "float64" else "float32"
    u = ops.multiply(ops.subtract(ops.multiply(random_uniform(key, shape, wide), 2), 1), edge)
    x = ops.clip(ops.multiply(ops.erfinv(u), 2**0.5), -2, 2)
    return _affine(x, stddev, mean, dtype)


@export("random.randint")
def randint(shape: Shape, minval: Any, maxval: Any, dtype: Any = "int32", seed: Seed = None) -> Tensor:
    """Uniform integers in [minval, maxval).

    Args:
        shape: of the result.
        minval: a number or a tensor that broadcasts to the shape.
        maxval: a number or a tensor that broadcasts to the shape.
        dtype: an integer type.
        seed: as for `normal`.

    >>> bool((randint((100,), 3, 5, seed=1) >= 3).all())
    True
    """
    key, shape, dtype = _prepare("randint", shape, dtype, seed, integer=True)
    return random_integers(key, ops.cast(minval, dtype), ops.cast(maxval, dtype), shape, dtype)


@export("random.gamma")
def gamma(shape: Shape, alpha: Any, dtype: Any = None, seed: Seed = None) -> Tensor:
    """Numbers of the gamma distribution with scale 1.

    Args:
        shape: of the result.
        alpha: the positive shape parameter; a number or a tensor that broadcasts to the shape.
        dtype: a float type; floatx by default.
        seed: as for `normal`.

    >>> bool((gamma((100,), 2.0, seed=1) > 0).all())
    True
    """
    key, shape, dtype = _prepare("gamma", shape, dtype, seed)
    return random_gamma(key, ops.cast(alpha, dtype), shape, dtype)


@export("random.beta")
def beta(shape: Shape, alpha: Any, beta: Any, dtype: Any = None, seed: Seed = None) -> Tensor:
    """Numbers of the beta distribution.

    Args:
        shape: of the result.
        alpha: first positive parameter; a number or a tensor that broadcasts to the shape.
        beta: second positive parameter; a number or a tensor that broadcasts to the shape.
        dtype: a float type; floatx by default.
        seed: as for `normal`.

    >>> x = beta((100,), 2.0, 3.0, seed=1)
    >>> bool(((x >= 0) & (x <= 1)).all())
    True
    """
    key, shape, dtype = _prepare("beta", shape, dtype, seed)
    wide = "float64" if dtype == "float64" else "float32"
    keys = random_integers(key, 0, 2**31 - 1, (4, 2), "uint32")

    def log_gamma_number(parameter: Any, first: Any, second: Any) -> Any:
        # gamma(a) = gamma(a + 1) * uniform ** (1 / a), in logarithms because the numbers vanish for small a
        parameter = ops.cast(parameter, wide)
        u = ops.subtract(1, random_uniform(second, shape, wide))
        larger = random_gamma(first, ops.add(parameter, 1), shape, wide)
        return ops.add(ops.log(larger), ops.divide(ops.log(u), parameter))

    difference = ops.subtract(
        log_gamma_number(alpha, keys[0], keys[1]), log_gamma_number(beta, keys[2], keys[3])
    )
    return ops.cast(ops.sigmoid(difference), dtype)


@export("random.binomial")
def binomial(shape: Shape, counts: Any, probabilities: Any, dtype: Any = None, seed: Seed = None) -> Tensor:
    """Numbers of the binomial distribution: how many of `counts` trials succeed, as floats.

    Args:
        shape: of the result.
        counts: numbers of trials; a number or a tensor that broadcasts to the shape.
        probabilities: of success, from 0 to 1; a number or a tensor that broadcasts to the shape.
        dtype: a float type; floatx by default.
        seed: as for `normal`.

    >>> bool((binomial((100,), 5, 0.5, seed=1) <= 5).all())
    True
    """
    key, shape, dtype = _prepare("binomial", shape, dtype, seed)
    wide = "float64" if dtype == "float64" else "float32"
    drawn = random_binomial(key, ops.cast(counts, wide), ops.cast(probabilities, wide), shape, wide)
    return ops.cast(drawn, dtype)


@op(at=("random",))
def categorical(logits: Kept, num_samples: int, dtype: Any = "int32", seed: Seed = None) -> Tensor:
    """Class numbers drawn with the probabilities `softmax(logits)`.

    Args:
        logits: unnormalised log-probabilities of shape (batch, classes).
        num_samples: how many to draw for each row.
        dtype: of the result, of shape (batch, num_samples).
        seed: as for `normal`.

    >>> categorical([[0.0, 100.0]], 3, seed=1).tolist()
    [[1, 1, 1]]
    """
    if len(logits.shape) != 2:
        raise ShapeError(
            "random.categorical(): `logits` must have shape (batch, classes). "
            f"Received: shape={tuple(logits.shape)}"
        )
    batch, classes = logits.shape
    u = random_uniform(_key(seed, _engine_of(logits)), (batch, num_samples, classes), "float32")
    gumbel = ops.negative(ops.log(ops.negative(ops.log(ops.maximum(u, 1e-30)))))
    return ops.cast(
        ops.argmax(ops.add(ops.expand_dims(logits, 1), gumbel), axis=-1), dtypes.standardize_dtype(dtype)
    )


@op(at=("random",))
def shuffle(x: Kept, axis: int = 0, seed: Seed = None) -> Tensor:
    """A tensor with its slices along one axis in random order.

    Args:
        x: the tensor.
        axis: the axis along which slices change places.
        seed: as for `normal`.

    >>> sorted(shuffle([1, 2, 3], seed=1).tolist())
    [1, 2, 3]
    """
    key = _key(seed, _engine_of(x))
    return ops.take(x, ops.argsort(random_uniform(key, (x.shape[axis],), "float32")), axis=axis)


@op(promote_float, at=("random",))
def dropout(
    inputs: Tensor, rate: float, noise_shape: Sequence[int | None] | None = None, seed: Seed = None
) -> Tensor:
    """Zeros at random places, and the rest scaled up so that the expected value stays.

    Args:
        inputs: the tensor.
        rate: the share to drop, from 0 to 1.
        noise_shape: the shape of the random pattern, which broadcasts to that of the inputs; None entries are
            the
            inputs' sizes.
        seed: as for `normal`.

    >>> x = dropout([1.0] * 8, 0.5, seed=1)
    >>> bool(((x == 0) | (x == 2)).all())
    True
    """
    if not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
        raise ArgumentError(f"random.dropout(): `rate` must be a number from 0 to 1. Received: {rate!r}")
    if rate == 0:
        return inputs
    shape = tuple(inputs.shape)
    if noise_shape is not None:
        if len(noise_shape) != len(shape):
            raise ShapeError(
                f"random.dropout(): `noise_shape` needs an entry for each of the {len(shape)} axes of the "
                f"inputs. Received: {tuple(noise_shape)}"
            )
        shape = tuple(size if n is None else n for n, size in zip(noise_shape, shape, strict=True))
    if rate == 1:
        return ops.zeros_like(inputs)
    return _dropped(inputs, _key(seed, _engine_of(inputs)), rate, shape)


@op(at=())
def _dropped(inputs: Kept, key: Kept, rate: float, shape: Shape) -> Tensor:
    """The inputs with a random pattern of a shape set to 0, and the rest scaled up."""
    keep = ops.greater_equal(random_bits(key, shape), np.uint32(rate * 2**32))
    return ops.where(keep, ops.multiply(inputs, 1 / (1 - rate)), 0)


def _engine_of(x: Any) -> Engine:
    return selection.engine_of(type(x)) or selection.current()


publish({"random": ("triceras.random",)})
