"""Reading the heights of a DEM of any kind in metres."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.raster.grid import Grid
from imagetodem_qgis.raster.image import RasterError, open_raster

_METRES = {"ft": 0.3048, "feet": 0.3048, "foot": 0.3048, "us survey foot": 1200.0 / 3937.0}
_LOWEST, _HIGHEST = -9900.0, 30000.0
"""Metres between which heights of this and other planets lie, and undeclared nodata values do not."""


class Heights:
    """The first band of a DEM.

    Args:
        path: anything that GDAL opens.

    Attributes:
        grid: of its pixels.

    Raises:
        RasterError: it cannot be opened, or its band holds no heights.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._dataset = open_raster(path)
        if not self._dataset.RasterCount:
            raise RasterError(f"{path} has no band")
        self._band = self._dataset.GetRasterBand(1)
        if gdal.DataTypeIsComplex(self._band.DataType):
            raise RasterError(f"{path} holds complex numbers: give a DEM")
        if self._band.GetColorInterpretation() == gdal.GCI_PaletteIndex:
            raise RasterError(f"{path} is paletted: its values are numbers of colours, not heights")
        self._scale = self._band.GetScale() or 1.0
        self._offset = self._band.GetOffset() or 0.0
        self._metres = _METRES.get(self._band.GetUnitType().strip().lower(), 1.0)
        transform = self._dataset.GetGeoTransform(can_return_null=True)
        if transform is None:
            raise RasterError(f"{path} is not georeferenced: it does not say where its pixels lie")
        self.grid = Grid(
            self._dataset.RasterXSize,
            self._dataset.RasterYSize,
            tuple(transform),
            self._dataset.GetProjection(),
        )

    def read(self, window: Window, rows: int, columns: int) -> NDArray[np.float32]:
        """Heights of a window averaged to rows × columns, float32 metres, NaN where unknown.

        Raises:
            RasterError: the pixels cannot be read.
        """
        place = (window.column, window.row, window.columns, window.rows)
        shape = {"buf_xsize": columns, "buf_ysize": rows}
        fewer = (rows, columns) != (window.rows, window.columns)
        algorithm = gdal.GRIORA_Average if fewer else gdal.GRIORA_NearestNeighbour
        gdal.ErrorReset()
        try:
            values = self._band.ReadAsArray(
                *place, **shape, buf_type=gdal.GDT_Float32, resample_alg=algorithm
            )
            known = self._band.GetMaskBand().ReadAsArray(*place, **shape) > 0
            reason = gdal.GetLastErrorMsg()
        except RuntimeError as error:
            values, reason = None, str(error)
        if values is None or gdal.GetLastErrorType() >= gdal.CE_Failure:
            raise RasterError(f"{self._path} cannot be read ({reason}): it may be truncated or damaged")
        heights = ((values * self._scale + self._offset) * self._metres).astype(np.float32)
        known &= np.isfinite(heights) & (heights > _LOWEST) & (heights < _HIGHEST)
        return np.where(known, heights, np.float32(np.nan))
