"""Numbers that look drawn by chance, and are the same for the same seed on every machine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15
_ROW, _COLUMN = 0xD1342543DE82EF95, 0xAF251AF3B0F025B5
"""Odd, so that no two places of a lattice within 2⁶³ steps along an axis meet."""


def key_of(seed: int, *parts: int) -> int:
    """A key of 64 bits for a seed and the number of what it is for, by the finaliser of SplitMix64 (Steele,
    Lea & Flood 2014, *Fast splittable pseudorandom number generators*, §4)."""
    key = seed & _MASK
    for part in (0, *parts):
        key = (key + (part + 1) * _GAMMA) & _MASK
        key = ((key ^ (key >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        key = ((key ^ (key >> 27)) * 0x94D049BB133111EB) & _MASK
        key ^= key >> 31
    return key


def unit_of(key: int) -> float:
    """A number from 0 to below 1, a multiple of 2⁻²⁰."""
    return (key >> 44) / float(1 << 20)


def lattice_hash(key: int, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Hash every place of a lattice.

    Args:
        key: of the lattice, 64 bits.
        rows: (m,) int64.
        columns: (n,) int64.

    Returns:
        (m, n) uint64, by the same finaliser as :func:`key_of`.
    """
    down = rows.astype(np.uint64) * np.uint64(_ROW)
    right = columns.astype(np.uint64) * np.uint64(_COLUMN) + np.uint64(key)
    bits: NDArray[np.uint64] = down[:, None] + right[None]
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits ^= bits >> np.uint64(31)
    return bits
