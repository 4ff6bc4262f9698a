"""Whether a surface shows where its tiles meet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.tiling import TilePlan


@dataclass(frozen=True)
class Bends:
    """Sums of absolute second differences, and how many there are.

    Attributes:
        at_borders: sum of those that lie across a tile's border.
        border_count: how many.
        elsewhere: sum of the others.
        other_count: how many.
    """

    at_borders: float = 0.0
    border_count: int = 0
    elsewhere: float = 0.0
    other_count: int = 0

    def __add__(self, other: Bends) -> Bends:
        return Bends(
            self.at_borders + other.at_borders,
            self.border_count + other.border_count,
            self.elsewhere + other.elsewhere,
            self.other_count + other.other_count,
        )

    def in_its_own_unit(self) -> Bends:
        """The same with the mean elsewhere as the unit, so that smooth and rough ground count alike."""
        if not self.elsewhere:
            return Bends()
        unit = self.elsewhere / self.other_count
        return Bends(self.at_borders / unit, self.border_count, self.elsewhere / unit, self.other_count)

    def ratio(self) -> float:
        """The mean across borders as a multiple of the mean elsewhere; NaN where there is none."""
        if not self.border_count or not self.elsewhere:
            return float("nan")
        return (self.at_borders / self.border_count) / (self.elsewhere / self.other_count)


def bends(surface: NDArray[np.floating], plan: TilePlan) -> Bends:
    """The second differences of a surface, across the borders of its tiles and elsewhere.

    ``|z[i-1] - 2 z[i] + z[i+1]|`` along columns and along rows; it lies across a border where the border is
    between two of its three pixels.

    Args:
        surface: (rows, columns), NaN where unknown.
        plan: of the tiles that it was made of.
    """
    total = Bends()
    for axis, starts, size in ((0, plan.row_starts, plan.rows), (1, plan.column_starts, plan.columns)):
        if size < 3:
            continue
        second = np.abs(np.diff(surface.astype(np.float64), n=2, axis=axis))
        borders = set(starts) | {start + plan.tile_size for start in starts}
        across = np.zeros(size - 2, bool)
        for border in borders:
            # Of the differences centred on i, those of the pixels before and behind the border.
            for centre in (border - 1, border):
                if 0 < border < size and 0 <= centre - 1 < size - 2:
                    across[centre - 1] = True
        parts = [np.compress(chosen, second, axis=axis) for chosen in (across, ~across)]
        known = [part[np.isfinite(part)] for part in parts]
        total += Bends(float(known[0].sum()), known[0].size, float(known[1].sum()), known[1].size)
    return total
