"""A random permutation of any length as a pure function, without a list of its numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

ROUNDS = 6
MIN_HALF_BITS = 3  # six rounds mix fewer bits badly; numbers outside the range are mapped again


def permute(index: npt.NDArray[np.int64], size: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the images of ``index`` under the permutation of ``range(size)`` that ``seed`` defines.

    A Feistel network over the next power of four, with cycle walking back into the range (Black & Rogaway 2002):
    a bijection for every seed, in memory of the order of ``len(index)``.
    ``index`` must be within ``range(size)``, and ``size`` within ``range(2**60)``.
    """
    assert 0 <= size < 1 << 60, size
    if not len(index):
        return index.astype(np.int64)
    assert index.min() >= 0, index.min()
    assert index.max() < size, (index.max(), size)
    half_bits = max(MIN_HALF_BITS, (max(size - 1, 1).bit_length() + 1) // 2)
    keys = _round_keys(seed)
    value = _feistel(index.astype(np.uint64), half_bits, keys)
    while (outside := value >= size).any():
        value[outside] = _feistel(value[outside], half_bits, keys)
    return value.astype(np.int64)


def mix_seed(*parts: int) -> int:
    """Return one 64-bit seed that depends on every number and its position."""
    state = np.uint64(len(parts))
    for part in parts:
        low, high = part & 0xFFFF_FFFF_FFFF_FFFF, (part >> 64) & 0xFFFF_FFFF_FFFF_FFFF
        state = _scramble(_scramble(np.array([state], np.uint64) + np.uint64(low)) ^ np.uint64(high))[0]
    return int(state)


def _round_keys(seed: int) -> npt.NDArray[np.uint64]:
    start = np.uint64(mix_seed(seed))
    return _scramble(start + np.arange(1, ROUNDS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))


def _feistel(value: npt.NDArray[np.uint64], half_bits: int, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    bits, mask = np.uint64(half_bits), np.uint64((1 << half_bits) - 1)
    left, right = value >> bits, value & mask
    for key in keys:
        left, right = right, left ^ (_scramble(right ^ key) & mask)
    return (left << bits) | right


def _scramble(value: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of SplitMix64: each input bit changes each output bit with a probability of about one half."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
