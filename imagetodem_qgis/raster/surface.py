"""Reading one band of heights by windows, resampled to another number of pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.raster.image import RasterError, open_raster, read_band


class ResampledSurface:
    """A single-band surface brought to rows × columns pixels over the same extent.

    Args:
        path: of the surface, with nodata set.
        rows: of the answer.
        columns: of the answer.

    Raises:
        RasterError: it cannot be opened.
    """

    def __init__(self, path: Path, rows: int, columns: int) -> None:
        source = open_raster(str(path))
        finer = rows >= source.RasterYSize and columns >= source.RasterXSize
        # Cubic spline keeps the slope continuous from pixel to pixel, which a hillshade shows.
        resampling = "cubicspline" if finer else "bilinear"
        self._nodata = source.GetRasterBand(1).GetNoDataValue()
        self._resampled = gdal.Translate(
            "", source, format="VRT", width=columns, height=rows, resampleAlg=resampling
        )
        if self._resampled is None:
            raise RasterError(f"{path} cannot be resampled: {gdal.GetLastErrorMsg()}")

    def read(self, window: Window) -> NDArray[np.float32]:
        """Heights of a window, (rows, columns) float32, NaN where unknown."""
        place = (window.column, window.row, window.columns, window.rows)
        heights = read_band(self._resampled.GetRasterBand(1), place).astype(np.float32)
        heights[heights == np.float32(self._nodata)] = np.nan
        return heights
