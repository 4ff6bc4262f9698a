"""Exact quantiles of more numbers than memory holds, by group, in three passes over them.

A radix selection (Knuth 1998, The Art of Computer Programming 3, section 5.2.5): read as unsigned integers,
the bits of float32 numbers sort as the numbers do. The first pass counts the highest 11 bits and so finds in
which of 2048 bins each wanted number lies, the second and third resolve the other bits of what lies there.
Memory is 16
KB at most for each neighbour of a quantile of a group.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LEVELS = (11, 11, 10)
"""Bits that each pass resolves, the highest first."""
PASSES = len(_LEVELS)

_SIGN = np.uint32(0x80000000)


class Quantiles:
    """Quantiles of groups of float32 numbers, interpolated between neighbours as ``numpy.percentile`` does.

    Give all numbers by :meth:`add` and call :meth:`end_pass`, :data:`PASSES` times; then ask
    :meth:`values`.

    Args:
        groups: how many.
        shares: of the numbers below the wanted ones, each from 0 to 1.

    Attributes:
        counts: (groups,) int64, how many numbers each group has, after the first pass.
    """

    def __init__(self, groups: int, shares: tuple[float, ...]) -> None:
        self.counts = np.zeros(groups, np.int64)
        self._shares = np.asarray(shares, np.float64)
        self._pass = 0
        # The two neighbours of each share's place are looked for side by side: (groups, 2 · shares).
        lanes = (groups, 2 * len(shares))
        self._prefixes: NDArray[np.uint32] = np.zeros(lanes, np.uint32)
        self._ranks = np.zeros(lanes, np.int64)
        self._histograms = self._empty()

    def add(self, numbers: NDArray[np.float32], groups: NDArray[np.integer] | None = None) -> None:
        """Count finite numbers.

        Args:
            numbers: (n,) float32.
            groups: (n,), the index of each number's group; all belong to the first if not given.
        """
        if self._pass == PASSES:
            raise ValueError("all passes are over")
        keys = _keys(numbers)
        bits = _LEVELS[self._pass]
        below = sum(_LEVELS[self._pass + 1 :])
        bins = (keys >> np.uint32(below)) & np.uint32(2**bits - 1)
        if self._pass == 0:
            self._histograms[0] += _counted(bins, groups, len(self.counts), bits)
            return
        prefixes = keys >> np.uint32(below + bits)
        for lane, histogram in self._histograms.items():
            wanted = self._prefixes[:, lane]
            chosen = prefixes == (wanted[0] if groups is None else wanted[groups])
            histogram += _counted(
                bins[chosen], None if groups is None else groups[chosen], len(self.counts), bits
            )

    def end_pass(self) -> None:
        """Resolve the next bits of the wanted numbers."""
        bits = _LEVELS[self._pass]
        if self._pass == 0:
            self.counts = self._histograms[0].sum(axis=1)
            places = self._shares * np.maximum(self.counts - 1, 0)[:, None]
            self._ranks = np.concatenate([np.floor(places), np.ceil(places)], axis=1).astype(np.int64)
        # A lane without a histogram of its own looks in the same bins as an earlier one.
        of_lane = dict(zip(range(self._prefixes.shape[1]), self._sharing()))
        bins = np.empty_like(self._prefixes)
        for lane, shared in of_lane.items():
            cumulative = self._histograms[shared].cumsum(axis=1)
            found = (cumulative <= self._ranks[:, lane, None]).sum(axis=1)
            found = np.minimum(found, 2**bits - 1)
            before = np.where(found > 0, np.take_along_axis(cumulative, found[:, None] - 1, axis=1)[:, 0], 0)
            bins[:, lane] = found
            self._ranks[:, lane] -= before
        self._prefixes = ((self._prefixes << np.uint32(bits)) | bins).astype(np.uint32)
        self._pass += 1
        if self._pass < PASSES:
            self._histograms = self._empty()

    def values(self) -> NDArray[np.float64]:
        """The quantiles, (groups, shares) float64, NaN for a group without numbers."""
        if self._pass < PASSES:
            raise ValueError("not all passes are over")
        numbers = _numbers(self._prefixes).astype(np.float64)
        low, high = np.split(numbers, 2, axis=1)
        places = self._shares * np.maximum(self.counts - 1, 0)[:, None]
        answer = low + (high - low) * (places - np.floor(places))
        return np.where(self.counts[:, None] > 0, answer, np.nan)

    def _sharing(self) -> list[int]:
        """For each lane, the first one that looks in the same bins."""
        columns = [column.tobytes() for column in self._prefixes.T]
        return [columns.index(column) for column in columns]

    def _empty(self) -> dict[int, NDArray[np.int64]]:
        shape = (len(self.counts), 2 ** _LEVELS[self._pass])
        return {lane: np.zeros(shape, np.int64) for lane in dict.fromkeys(self._sharing())}


def _keys(numbers: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Integers that sort as the numbers do: of negative ones all bits are turned, of others the sign."""
    # Adding 0 makes one zero of the two.
    bits = (np.asarray(numbers, np.float32) + np.float32(0.0)).view(np.uint32)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _numbers(keys: NDArray[np.uint32]) -> NDArray[np.float32]:
    return np.where(keys & _SIGN, keys & ~_SIGN, ~keys).view(np.float32)


def _counted(
    bins: NDArray[np.uint32], groups: NDArray[np.integer] | None, count: int, bits: int
) -> NDArray[np.int64]:
    places = bins if groups is None else (groups.astype(np.int64) << bits) | bins
    histogram = np.bincount(places, minlength=count << bits)
    return histogram.reshape(count, 1 << bits)
