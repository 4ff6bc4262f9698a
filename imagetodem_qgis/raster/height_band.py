"""The band of a raster that holds heights: what makes it one, its scale, its unit, what it leaves unknown.
All that read a DEM ask here, so that a file means the same heights to every algorithm."""

from __future__ import annotations

from dataclasses import dataclass

from osgeo import gdal

from imagetodem_qgis.core.height_values import HeightValues, why_not_heights
from imagetodem_qgis.raster.errors import RasterError


@dataclass(frozen=True)
class HeightBand(HeightValues):
    """The first band of a DEM; see :class:`imagetodem_qgis.core.height_values.HeightValues`.

    Attributes:
        dataset: that the band is of: a band does not keep it alive, and crashes without it.
        band: of GDAL.
    """

    dataset: gdal.Dataset
    band: gdal.Band


def height_band(dataset: gdal.Dataset, path: str) -> HeightBand:
    """The band of heights of a dataset.

    Raises:
        RasterError: it has no band, or one that holds no heights.
    """
    bands = dataset.RasterCount
    band = dataset.GetRasterBand(1) if bands else None
    colour = band.GetColorInterpretation() if bands else gdal.GCI_Undefined
    complex_numbers = bands > 0 and bool(gdal.DataTypeIsComplex(band.DataType))
    refusal = why_not_heights(
        bands, complex_numbers, colour == gdal.GCI_PaletteIndex, colour == gdal.GCI_RedBand
    )
    if refusal:
        raise RasterError(f"{path} {refusal}")
    return HeightBand(
        unit=str(band.GetUnitType() or "").strip().lower(),
        scale=float(band.GetScale() or 1.0),
        offset=float(band.GetOffset() or 0.0),
        declares_nodata=band.GetNoDataValue() is not None,
        dataset=dataset,
        band=band,
    )
