"""What the numbers of a DEM's band mean: their unit, their scale, and which of them are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

METRE, FOOT, SURVEY_FOOT = 1.0, 0.3048, 1200.0 / 3937.0

_UNITS = {
    METRE: ("m", "metre", "metres", "meter", "meters"),
    FOOT: ("ft", "foot", "feet", "international foot", "international feet"),
    SURVEY_FOOT: ("us-ft", "ussft", "us survey foot", "us survey feet", "foot_us", "ftus"),
}
LOWEST, HIGHEST = -15_000.0, 30_000.0
"""Metres between which heights of any planet's ground lie; what lies beyond marks what is unknown."""
USUAL_FILLS = (-9999.0, -32768.0)
"""Values that many DEMs fill voids with, not all of which declare them."""


@dataclass(frozen=True)
class HeightValues:
    """What a band of a DEM holds.

    Attributes:
        unit: of its heights as the file names it, in lower case; empty where it does not.
        scale: what the stored numbers are multiplied by to give heights in that unit.
        offset: what is added then.
        declares_nodata: whether the file names a number that is no height.
    """

    unit: str
    scale: float
    offset: float
    declares_nodata: bool

    @property
    def metres(self) -> float | None:
        """Length of the unit, if it is one of length that is known."""
        return metres_of(self.unit)

    def in_unit(self, stored: NDArray[np.generic]) -> NDArray[np.floating]:
        """Heights in the band's unit of stored numbers: float32, or float64 where that would round."""
        wide = stored.dtype.kind in "iu" and stored.dtype.itemsize >= 4 or stored.dtype == np.float64
        heights: NDArray[Any] = stored.astype(np.float64 if wide else np.float32)
        if (self.scale, self.offset) == (1.0, 0.0):
            return heights
        return np.asarray(heights * self.scale + self.offset, heights.dtype)

    def in_metres(self, stored: NDArray[np.generic], mask: NDArray[np.generic]) -> NDArray[np.float32]:
        """Heights in metres, NaN where unknown: masked, not finite, none that ground has, or a usual fill
        where the file declares none; an unknown unit counts as metres.

        Args:
            stored: (rows, columns), the numbers of the file.
            mask: same shape, 0 where the file says that nothing is known.

        Returns:
            (rows, columns) float32.
        """
        heights = self.in_unit(stored) * (self.metres or METRE)
        with np.errstate(invalid="ignore"):
            known = (mask != 0) & (heights > LOWEST) & (heights < HIGHEST)
        if not self.declares_nodata:
            known &= ~np.isin(stored, USUAL_FILLS)
        return np.where(known, heights, np.nan).astype(np.float32)


def why_not_heights(bands: int, complex_numbers: bool, paletted: bool, red: bool) -> str | None:
    """Why the first band of a raster holds no heights, to go on with after its path; ``None`` where it may.

    Args:
        bands: of the raster.
        complex_numbers: whether the first band holds such.
        paletted: whether its numbers stand for colours.
        red: whether it is the red band of an image.
    """
    if not bands:
        return "has no band: give a DEM"
    if complex_numbers:
        return "holds complex numbers: give a DEM"
    if paletted:
        return "is paletted: its values are numbers of colours, not heights"
    if bands >= 3 and red:
        return "is an image in colours, not a DEM: give a raster of heights"
    return None


def metres_of(unit: str) -> float | None:
    """Length in metres of a unit by its name; ``None`` for what is no known unit of length."""
    name = unit.strip().lower()
    return next((metres for metres, names in _UNITS.items() if name in names), None)
