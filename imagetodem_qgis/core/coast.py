"""Where a virtual landscape meets the sea."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

ISLAND = "island"
COASTS = {"coast_north": (-1, 0), "coast_east": (0, 1), "coast_south": (1, 0), "coast_west": (0, -1)}
"""The sides on which the sea may lie: down and across."""


@dataclass(frozen=True)
class Coast:
    """A mask over an extent.

    Attributes:
        kind: :data:`ISLAND`, or one of :data:`COASTS`.
        middle: of the extent, down and across, in the places' unit.
        half: sides of the extent, halved.
    """

    kind: str
    middle: tuple[float, float]
    half: tuple[float, float]

    def apply(self, heights: FloatArray, down: FloatArray, across: FloatArray) -> FloatArray:
        """Lower the heights towards the sea.

        Args:
            heights: (rows, columns) from 0 to 1.
            down: (rows,) places.
            across: (columns,) places.

        Returns:
            (rows, columns) from -1 to 1, the sea being below 0: the whole border of the extent for an island,
            one side for a coast. In the middle, or on the other side, the heights stay.
        """
        y = np.clip((down - self.middle[0]) / self.half[0], -1.0, 1.0)[:, None]
        x = np.clip((across - self.middle[1]) / self.half[1], -1.0, 1.0)[None]
        if self.kind == ISLAND:
            squares = x * x + y * y
        else:
            side = COASTS[self.kind]
            share = 0.5 + 0.5 * (side[0] * y + side[1] * x)
            squares = share * share
        # Where land ends depends on how high it is: bays reach in along valleys, capes out along ridges.
        lowered: FloatArray = heights - np.minimum(1.0, 0.5 * squares * (1.0 + squares))
        return lowered
