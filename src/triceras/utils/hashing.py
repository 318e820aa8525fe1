"""Stable hashes of text and integers: FarmHash64 (Pike, 2014) and SipHash-2-4 (Aumasson, Bernstein, 2012).

They are written once, over words of 64 bits. For text on the host a word is a NumPy array of `uint64`; inside
compiled steps, where engines have no such numbers, it is a `Halves`, made of ops on 32-bit integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triceras import ops

Word = Any  # an array of uint64, a Halves or, where it is a constant, a Python integer
Key = tuple[int, int]

K0, K1, K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F
CROSS_KEY, CROSS_FACTOR = 0xDECAFCAFFE, 0xC6A4A7935BD1E995
LONGEST_INTEGER = 11  # characters of one with 32 bits, the sign included


class Halves:
    """Unsigned 64-bit numbers as their low and their high half, in the bits of signed 32-bit integers of tensors.

    >>> x = Halves.of(ops.convert_to_tensor([-1])) * 3
    >>> ops.convert_to_numpy(x.low).tolist(), ops.convert_to_numpy(x.high).tolist()
    ([-3], [-1])
    """

    def __init__(self, low: Any, high: Any) -> None:
        self.low, self.high = low, high

    @classmethod
    def of(cls, x: Any) -> Halves:
        """Of 32-bit integers, negative ones as their two's complement; or of an integer of Python."""
        if isinstance(x, Halves):
            return x
        if isinstance(x, int):
            return cls(_signed(x), _signed(x >> 32))
        return cls(x, ops.right_shift(x, 31))

    def __add__(self, other: Word) -> Halves:
        other = Halves.of(other)
        low = ops.add(self.low, other.low)
        # as unsigned numbers: the sum is less than a part of it
        carry = ops.less(ops.bitwise_xor(low, _SIGN), ops.bitwise_xor(self.low, _SIGN))
        return Halves(low, ops.add(ops.add(self.high, other.high), ops.cast(carry, "int32")))

    def __mul__(self, other: Word) -> Halves:
        other = Halves.of(other)
        a, b, c, d = _lower(self.low), _upper(self.low), _lower(other.low), _upper(other.low)
        first, second = ops.multiply(b, c), ops.multiply(a, d)
        middle = ops.add(ops.add(_upper(ops.multiply(a, c)), _lower(first)), _lower(second))
        high = ops.add(ops.add(ops.multiply(b, d), _upper(middle)), ops.add(_upper(first), _upper(second)))
        crossed = ops.add(ops.multiply(self.low, other.high), ops.multiply(self.high, other.low))
        return Halves(ops.multiply(self.low, other.low), ops.add(high, crossed))

    def __xor__(self, other: Word) -> Halves:
        other = Halves.of(other)
        return Halves(ops.bitwise_xor(self.low, other.low), ops.bitwise_xor(self.high, other.high))

    def __or__(self, other: Word) -> Halves:
        other = Halves.of(other)
        return Halves(ops.bitwise_or(self.low, other.low), ops.bitwise_or(self.high, other.high))

    __radd__, __rmul__, __rxor__ = __add__, __mul__, __xor__

    def __lshift__(self, count: int) -> Halves:
        if count >= 32:
            return Halves(ops.zeros_like(self.low), self.low) << (count - 32)
        if not count:
            return self
        carried = ops.bitwise_or(ops.left_shift(self.high, count), _down(self.low, 32 - count))
        return Halves(ops.left_shift(self.low, count), carried)

    def __rshift__(self, count: int) -> Halves:
        if count >= 32:
            return Halves(self.high, ops.zeros_like(self.high)) >> (count - 32)
        if not count:
            return self
        carried = ops.bitwise_or(_down(self.low, count), ops.left_shift(self.high, 32 - count))
        return Halves(carried, _down(self.high, count))

    def __mod__(self, divisor: int) -> Any:
        """The remainder as a tensor; by long division, in steps of so many bits that nothing overflows."""
        room, rest = 31 - divisor.bit_length(), 0
        for half in (self.high, self.low):
            left = 32
            while left:
                bits = min(room, left)
                left -= bits
                digit = ops.bitwise_and(ops.right_shift(half, left), (1 << bits) - 1)
                rest = ops.mod(ops.add(ops.left_shift(rest, bits), digit), divisor)
        return rest


_SIGN = -(1 << 31)


def _signed(x: int) -> int:
    """The integer that has the lower 32 bits of another one."""
    return ((x & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000


def _down(x: Any, count: int) -> Any:
    """Bits moved down, with zeros coming in."""
    if isinstance(x, int):
        return (x & 0xFFFFFFFF) >> count
    return ops.bitwise_and(ops.right_shift(x, count), (1 << (32 - count)) - 1)


def _lower(x: Any) -> Any:
    return x & 0xFFFF if isinstance(x, int) else ops.bitwise_and(x, 0xFFFF)


def _upper(x: Any) -> Any:
    return _down(x, 16)


def _where(condition: Any, x: Word, y: Word) -> Halves:
    x, y = Halves.of(x), Halves.of(y)
    return Halves(ops.where(condition, x.low, y.low), ops.where(condition, x.high, y.high))


# -- messages: what is hashed --------------------------------------------------------------------------------


class Texts:
    """Texts of one length in bytes."""

    def __init__(self, texts: Sequence[bytes]) -> None:
        self.length = len(texts[0])
        self._bytes = np.frombuffer(b"".join(texts), np.uint8).reshape(len(texts), self.length)

    def middle(self) -> NDArray[np.uint64]:
        """The byte in the middle."""
        return self.word(self.length >> 1, 1)

    def word(self, place: int, size: int = 8) -> NDArray[np.uint64]:
        """The number in `size` bytes from a place on, which may be counted from the end; 0 behind the end."""
        place = place + self.length if place < 0 else place
        found = np.zeros((len(self._bytes), 8), np.uint8)
        part = self._bytes[:, place : place + size]
        found[:, : part.shape[1]] = part
        return found.view("<u8")[:, 0].astype(np.uint64)


class Decimals:
    """The decimal digits of 32-bit integers in a tensor, as text; that is how integers are hashed."""

    def __init__(self, x: Any) -> None:
        negative = ops.less(x, 0)
        # negative numbers reach one further than positive ones
        rest, digits = ops.where(negative, x, ops.negative(x)), []
        for _ in range(LONGEST_INTEGER - 1):
            digits.append(ops.mod(ops.subtract(10, ops.mod(rest, 10)), 10))
            rest = ops.floor_divide(ops.add(rest, digits[-1]), 10)
        size: Any = 1
        for i, digit in enumerate(digits):
            size = ops.where(ops.not_equal(digit, 0), i + 1, size)
        self.length = ops.add(size, ops.cast(negative, "int32"))
        self._backward = [
            ops.where(ops.less(i, size), ops.add(digit, ord("0")), ops.where(ops.equal(i, size), ord("-"), 0))
            for i, digit in enumerate([*digits, 0])
        ]
        behind = ops.subtract(
            ops.expand_dims(self.length, -1), np.arange(1, LONGEST_INTEGER + 1, dtype="int32")
        )
        line = ops.take_along_axis(ops.stack(self._backward, -1), ops.maximum(behind, 0), axis=-1)
        line = ops.where(ops.less(behind, 0), 0, line)
        self._forward = [line[..., i] for i in range(LONGEST_INTEGER)]

    def word(self, place: int, size: int = 8) -> Halves:
        """The number in `size` bytes from a place on, which may be counted from the end; 0 behind the end."""
        source = self._forward if place >= 0 else self._backward
        at = [place + i if place >= 0 else -1 - place - i for i in range(size)]
        found = [source[i] if 0 <= i < LONGEST_INTEGER else 0 for i in at] + [0] * (8 - size)
        return Halves(_packed(found[:4]), _packed(found[4:]))

    def middle(self) -> Halves:
        """The byte in the middle of up to three."""
        return Halves.of(ops.where(ops.equal(self.length, 1), self._forward[0], self._forward[1]))


def _packed(parts: Sequence[Any]) -> Any:
    """Four bytes, the lowest first, as an integer."""
    moved = [ops.left_shift(part, 8 * i) for i, part in enumerate(parts) if not isinstance(part, int)]
    return reduce(ops.bitwise_or, moved) if moved else 0


# -- FarmHash64 ----------------------------------------------------------------------------------------------


def _rotated(x: Word, count: int) -> Word:
    """With its bits turned, to the right."""
    return (x >> count) | (x << (64 - count))


def _mixed(x: Word) -> Word:
    return x ^ (x >> 47)


def _joined(x: Word, y: Word, factor: Word) -> Word:
    a = _mixed((x ^ y) * factor)
    return _mixed((y ^ a) * factor) * factor


def _up_to_3(message: Any) -> Word:
    first, middle, last = message.word(0, 1), message.middle(), message.word(-1, 1)
    return _mixed(((first + (middle << 8)) * K2) ^ (((last << 2) + _length(message)) * K0)) * K2


def _up_to_7(message: Any) -> Word:
    return _joined((message.word(0, 4) << 3) + _length(message), message.word(-4, 4), _factor(message))


def _up_to_16(message: Any) -> Word:
    factor, a, b = _factor(message), message.word(0) + K2, message.word(-8)
    return _joined(_rotated(b, 37) * factor + a, (_rotated(a, 25) + b) * factor, factor)


def _length(message: Any) -> Word:
    return message.length if isinstance(message, Texts) else Halves.of(message.length)


def _factor(message: Any) -> Word:
    if isinstance(message, Texts):
        return K2 + 2 * message.length & (1 << 64) - 1
    return Halves.of(message.length * 2) + K2


def _up_to_32(message: Texts) -> Word:
    factor, a, b = _factor(message), message.word(0) * K1, message.word(8)
    c, d = message.word(-8) * factor, message.word(-16) * K2
    return _joined(_rotated(a + b, 43) + _rotated(c, 30) + d, a + _rotated(b + K2, 18) + c, factor)


def _up_to_64(message: Texts) -> Word:
    factor, a, b = _factor(message), message.word(0) * K2, message.word(8)
    c, d = message.word(-8) * factor, message.word(-16) * K2
    y = _rotated(a + b, 43) + _rotated(c, 30) + d
    z = _joined(y, a + _rotated(b + K2, 18) + c, factor)
    e, f = message.word(16) * factor, message.word(24)
    g, h = (y + message.word(-32)) * factor, (z + message.word(-24)) * factor
    return _joined(_rotated(e + f, 43) + _rotated(g, 30) + h, e + _rotated(f + a, 18) + g, factor)


class _Long:
    """The running state for texts of more than 64 bytes, which are taken in blocks of 64."""

    def __init__(self, message: Texts) -> None:
        self._message, zero = message, message.word(0) * 0
        y = zero + (81 * K1 + 113 & (1 << 64) - 1)
        self.x, self.y, self.z = zero + (81 * K2 & (1 << 64) - 1), y, _mixed(y * K2 + 113) * K2
        self.x += message.word(0)
        self.v = self.w = (zero, zero)

    def _half(self, place: int, a: Word, b: Word) -> tuple[Word, Word]:
        first, second, third, fourth = (self._message.word(place + i) for i in (0, 8, 16, 24))
        a = a + first
        b = _rotated(b + a + fourth, 21)
        total = a + second + third
        return total + fourth, b + _rotated(total, 44) + a

    def take(self, place: int, factor: Word, weight: int) -> None:
        """Go on by the block that begins at a place."""
        word, (v0, v1), (w0, w1) = self._message.word, self.v, self.w
        x = _rotated(self.x + self.y + v0 + word(place + 8), 37) * factor ^ w1 * weight
        y = _rotated(self.y + v1 + word(place + 48), 42) * factor + v0 * weight + word(place + 40)
        z = _rotated(self.z + w0, 33) * factor
        self.v = self._half(place, v1 * factor, x + w0)
        self.w = self._half(place + 32, z + w1, y + word(place + 16))
        self.x, self.y, self.z = z, y, x

    def finish(self) -> Word:
        """The hash, after the last 64 bytes, which may overlap with the block before."""
        length = self._message.length
        for place in range(0, (length - 1) // 64 * 64, 64):
            self.take(place, K1, 1)
        factor = (self.z & 0xFF) * 2 + K1
        (v0, v1), (w0, w1) = self.v, self.w
        w0 = w0 + (length - 1 & 63)
        v0 = v0 + w0
        self.v, self.w = (v0, v1), (w0 + v0, w1)
        self.take(length - 64, factor, 9)
        (v0, v1), (w0, w1) = self.v, self.w
        first = _joined(v0, w0, factor) + _mixed(self.y) * K0 + self.z
        return _joined(first, _joined(v1, w1, factor) + self.x, factor)


def _farm(message: Texts) -> NDArray[np.uint64]:
    length = message.length
    if length > 64:
        return _Long(message).finish()
    if length > 32:
        return _up_to_64(message)
    if length > 16:
        return _up_to_32(message)
    if length > 7:
        return _up_to_16(message)
    if length > 3:
        return _up_to_7(message)
    return _up_to_3(message) if length else message.word(0) + K2


def _farm_of_decimals(message: Decimals) -> Halves:
    long = _where(ops.greater(message.length, 7), _up_to_16(message), _up_to_7(message))
    return _where(ops.greater(message.length, 3), long, _up_to_3(message))


# -- SipHash-2-4 ---------------------------------------------------------------------------------------------


def _round(v: list[Word]) -> list[Word]:
    a, b, c, d = v
    a, c = a + b, c + d
    b, d = _rotated(b, 51) ^ a, _rotated(d, 48) ^ c
    a = _rotated(a, 32)
    c, a = c + b, a + d
    b, d = _rotated(b, 47) ^ c, _rotated(d, 43) ^ a
    return [a, b, _rotated(c, 32), d]


def _begun(key: Key, zero: Word) -> list[Word]:
    names = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
    return [zero ^ (name ^ part % (1 << 64)) for name, part in zip(names, (*key, *key))]


def _taken(v: list[Word], word: Word) -> list[Word]:
    a, b, c, d = _round(_round([*v[:3], v[3] ^ word]))
    return [a ^ word, b, c, d]


def _finished(v: list[Word]) -> Word:
    a, b, c, d = v
    v = [a, b, c ^ 0xFF, d]
    for _ in range(4):
        v = _round(v)
    return reduce(lambda x, y: x ^ y, v)


def _sip(message: Texts, key: Key) -> NDArray[np.uint64]:
    v, length = _begun(key, message.word(0) * 0), message.length
    for place in range(0, length - 7, 8):
        v = _taken(v, message.word(place))
    return _finished(_taken(v, message.word(length // 8 * 8) | ((length & 0xFF) << 56)))


def _sip_of_decimals(message: Decimals, key: Key) -> Halves:
    v, last = _begun(key, Halves.of(ops.zeros_like(message.length))), ops.right_shift(message.length, 3)
    end = Halves.of(message.length) << 56
    for i in range(LONGEST_INTEGER // 8 + 1):
        word = message.word(8 * i)
        after = _taken(v, _where(ops.equal(last, i), word | end, word))
        v = [_where(ops.greater_equal(last, i), a, b) for a, b in zip(after, v)]
    return _finished(v)


# -- the hashes of values ------------------------------------------------------------------------------------


def hash_texts(texts: NDArray[Any], key: Key | None = None) -> NDArray[np.uint64]:
    """64-bit hashes of texts on the host: FarmHash's fingerprint, or SipHash with a key.

    Args:
        texts: an array of `str`, `bytes` or integers, which are hashed as their decimal digits.
        key: two integers.

    >>> hash_texts(np.array(["a", "b"], object)) % 10
    array([9, 2], dtype=uint64)
    """
    flat = [_as_bytes(text) for text in texts.reshape(-1).tolist()]
    places: dict[bytes, int] = {}
    inverse = [places.setdefault(text, len(places)) for text in flat]
    groups: dict[int, list[bytes]] = {}
    for text in places:
        groups.setdefault(len(text), []).append(text)
    hashes = np.zeros(len(places), np.uint64)
    with np.errstate(over="ignore"):
        for group in groups.values():
            message = Texts(group)
            found = _farm(message) if key is None else _sip(message, key)
            hashes[[places[text] for text in group]] = found
    return hashes[inverse].reshape(texts.shape)


def _as_bytes(text: Any) -> bytes:
    return text if isinstance(text, bytes) else str(text).encode("utf-8", "surrogateescape")


def hash_integers(x: Any, key: Key | None = None) -> Halves:
    """The same of 32-bit integers in a tensor, by ops.

    >>> (hash_integers(ops.convert_to_tensor([7, -12])) % 10).tolist()
    [8, 9]
    """
    message = Decimals(x)
    return _farm_of_decimals(message) if key is None else _sip_of_decimals(message, key)


def hash_together(columns: Sequence[Word]) -> Word:
    """One hash of several: of each column in turn, a word that stands for its value."""

    def step(found: Word, column: Word) -> Word:
        found = _mixed(column * CROSS_FACTOR) * CROSS_FACTOR ^ (found ^ CROSS_FACTOR)
        return _mixed(_mixed(found * CROSS_FACTOR) * CROSS_FACTOR)

    with np.errstate(over="ignore"):
        return reduce(step, columns, columns[0] * 0 + CROSS_KEY)
