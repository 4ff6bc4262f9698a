"""The band of a raster that holds heights: what makes it one, its scale, its unit, what it leaves unknown.
All that read a DEM ask here, so that a file means the same heights to every algorithm."""

from __future__ import annotations

from dataclasses import dataclass

from osgeo import gdal

from imagetodem_qgis.core.height_values import HeightValues
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
    return HeightBand(
        unit=str(band.GetUnitType() or "").strip().lower(),
        scale=float(band.GetScale() or 1.0),
        offset=float(band.GetOffset() or 0.0),
        declares_nodata=band.GetNoDataValue() is not None,
        dataset=dataset,
        band=band,
    )
