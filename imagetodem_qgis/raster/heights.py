"""Reading the heights of a DEM of any kind in metres."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.raster.grid import Grid
from imagetodem_qgis.raster.height_band import height_band
from imagetodem_qgis.raster.image import RasterError, open_raster


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
        self._heights = height_band(self._dataset, path)
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
            band = self._heights.band
            values = band.ReadAsArray(*place, **shape, buf_type=gdal.GDT_Float32, resample_alg=algorithm)
            mask = band.GetMaskBand().ReadAsArray(*place, **shape)
            reason = gdal.GetLastErrorMsg()
        except RuntimeError as error:
            values, reason = None, str(error)
        if values is None or gdal.GetLastErrorType() >= gdal.CE_Failure:
            raise RasterError(f"{self._path} cannot be read ({reason}): it may be truncated or damaged")
        return self._heights.in_metres(values, mask)
