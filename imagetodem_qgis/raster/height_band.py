"""The band of a raster that holds heights: what makes it one, its scale, its unit, what it leaves unknown.
All that read a DEM ask here, so that a file means the same heights to every algorithm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from imagetodem_qgis.raster.errors import RasterError

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
class HeightBand:
    """The first band of a DEM.

    Attributes:
        dataset: that the band is of: a band does not keep it alive, and crashes without it.
        band: of GDAL.
        unit: of its heights as the file names it, in lower case; empty where it does not.
        scale: what the stored numbers are multiplied by to give heights in that unit.
        offset: what is added then.
    """

    dataset: gdal.Dataset
    band: gdal.Band
    unit: str
    scale: float
    offset: float

    @property
    def metres(self) -> float | None:
        """Length of the unit, if it is one of length that is known."""
        return metres_of(self.unit)

    def in_unit(self, stored: NDArray[np.generic]) -> NDArray[np.floating]:
        """Heights in the band's unit of stored numbers: float32, or float64 where that would round."""
        wide = stored.dtype.kind in "iu" and stored.dtype.itemsize >= 4 or stored.dtype == np.float64
        heights = stored.astype(np.float64 if wide else np.float32)
        if (self.scale, self.offset) == (1.0, 0.0):
            return heights
        return (heights * self.scale + self.offset).astype(heights.dtype)

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
        if self.band.GetNoDataValue() is None:
            known &= ~np.isin(stored, USUAL_FILLS)
        return np.where(known, heights, np.nan).astype(np.float32)


def height_band(dataset: gdal.Dataset, path: str) -> HeightBand:
    """The band of heights of a dataset.

    Raises:
        RasterError: it has no band, or one that holds no heights.
    """
    if not dataset.RasterCount:
        raise RasterError(f"{path} has no band: give a DEM")
    band = dataset.GetRasterBand(1)
    colour = band.GetColorInterpretation()
    if gdal.DataTypeIsComplex(band.DataType):
        raise RasterError(f"{path} holds complex numbers: give a DEM")
    if colour == gdal.GCI_PaletteIndex:
        raise RasterError(f"{path} is paletted: its values are numbers of colours, not heights")
    if dataset.RasterCount >= 3 and colour == gdal.GCI_RedBand:
        raise RasterError(f"{path} is an image in colours, not a DEM: give a raster of heights")
    unit = str(band.GetUnitType() or "").strip().lower()
    return HeightBand(dataset, band, unit, float(band.GetScale() or 1.0), float(band.GetOffset() or 0.0))


def metres_of(unit: str) -> float | None:
    """Length in metres of a unit by its name; ``None`` for what is no known unit of length."""
    name = unit.strip().lower()
    return next((metres for metres, names in _UNITS.items() if name in names), None)
