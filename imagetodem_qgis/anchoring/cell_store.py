"""Planes of cells on disk between the pass that takes means and the pass that uses them, so that memory does
not grow with the raster."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.raster.errors import RasterError
from imagetodem_qgis.raster.image import read_band

FloatArray = NDArray[np.float32]

_UNKNOWN = -3.0e38
_BLOCK = 256
_SMOOTHINGS = 3


class CellStore:
    """Float32 planes, NaN where unknown.

    Args:
        path: of the file to make.
        rows: of a plane.
        columns: of a plane.
        planes: how many.
    """

    def __init__(self, path: Path, rows: int, columns: int, planes: int) -> None:
        options = ["TILED=YES", f"BLOCKXSIZE={_BLOCK}", f"BLOCKYSIZE={_BLOCK}", "BIGTIFF=IF_SAFER"]
        driver = gdal.GetDriverByName("GTiff")
        self._dataset = driver.Create(str(path), columns, rows, planes, gdal.GDT_Float32, options)
        if self._dataset is None:
            raise RasterError(f"{path} cannot be written: {gdal.GetLastErrorMsg()}")
        self._bands = [self._dataset.GetRasterBand(number + 1) for number in range(planes)]
        for band in self._bands:
            band.SetNoDataValue(_UNKNOWN)
        self._reach = rows + columns

    def put(self, plane: int, window: Window, values: NDArray[np.floating]) -> None:
        """Write a window of a plane.

        Raises:
            RasterError: the disk is full.
        """
        known = np.isfinite(values)
        written = np.where(known, values, _UNKNOWN).astype(np.float32)
        gdal.ErrorReset()
        try:
            failed = self._bands[plane].WriteArray(written, window.column, window.row) != 0
        except RuntimeError:
            failed = True
        if failed:
            raise RasterError(f"a temporary file cannot be written: {gdal.GetLastErrorMsg()}")

    def get(self, plane: int, window: Window) -> FloatArray:
        """A window of a plane."""
        place = (window.column, window.row, window.columns, window.rows)
        values = read_band(self._bands[plane], place).astype(np.float32)
        values[values <= np.float32(0.99 * _UNKNOWN)] = np.nan
        return values

    def fill(self, plane: int) -> None:
        """Fill what is unknown in a plane smoothly from around it."""
        band = self._bands[plane]
        gdal.FillNodata(band, band.GetMaskBand(), self._reach, _SMOOTHINGS)
