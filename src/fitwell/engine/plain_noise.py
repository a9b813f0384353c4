"""The noise of `fitwell.engine.noise` in NumPy: the same numbers, bit for bit, drawn without JAX.

A key is two Python integers here, and numbers are drawn into arrays that are already there.
"""

from __future__ import annotations

import math

import numpy as np

Words = tuple[int, int]
"""Two 32-bit words."""

WORD = 2**32 - 1

LEVELS = 2**24
"""Noise takes so many values: what float32 holds exactly."""

# a shift of an array by a Python integer would make a 64-bit array of it
_FIRST, _SECOND = np.uint32(0x7FEB352D), np.uint32(0x846CA68B)
_8, _15, _16 = np.uint32(8), np.uint32(15), np.uint32(16)


def words_of(seed: int) -> Words:
    """Return the key of a whole search."""
    return seed & WORD, 0x9E3779B9


def folded(key: Words, number: int) -> Words:
    """Return the key for item `number` of what `key` stands for."""
    word = int(number) & WORD
    first = _mixed(key[0] ^ _mixed((word + key[1]) & WORD))
    second = _mixed((key[1] + _mixed(first ^ word) + 0x85EBCA6B) & WORD)
    return first, second


def draw_levels(key: Words, positions: np.ndarray, out: np.ndarray, scratch: np.ndarray) -> np.ndarray:
    """Draw whole numbers from [0, `LEVELS`) into `out`; all arrays are uint32 [n], `positions` is 0 to n - 1."""
    np.bitwise_xor(positions, np.uint32(key[0]), out=out)
    _mix(out, scratch)
    out += np.uint32(key[1])
    _mix(out, scratch)
    np.right_shift(out, _8, out=out)
    return out


def levels(key: Words, count: int) -> np.ndarray:
    """Return `count` whole numbers from [0, `LEVELS`), uint32."""
    positions = np.arange(count, dtype=np.uint32)
    return draw_levels(key, positions, np.empty_like(positions), np.empty_like(positions))


def plain_uniform(key: Words, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return numbers from [0, 1), multiples of 2**-24."""
    return (levels(key, math.prod(shape)).astype(dtype) * dtype.type(1 / LEVELS)).reshape(shape)


def _mix(words: np.ndarray, scratch: np.ndarray) -> None:
    np.right_shift(words, _16, out=scratch)
    words ^= scratch
    words *= _FIRST
    np.right_shift(words, _15, out=scratch)
    words ^= scratch
    words *= _SECOND
    np.right_shift(words, _16, out=scratch)
    words ^= scratch


def _mixed(word: int) -> int:
    word = ((word ^ (word >> 16)) * 0x7FEB352D) & WORD
    word = ((word ^ (word >> 15)) * 0x846CA68B) & WORD
    return word ^ (word >> 16)
