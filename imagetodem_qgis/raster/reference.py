"""A DEM of any reference system and resolution, read on another raster's grid."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from osgeo import gdal

from imagetodem_qgis.core.grid import PixelGrid
from imagetodem_qgis.core.tiling import Window, blocks
from imagetodem_qgis.raster.errors import RasterError
from imagetodem_qgis.raster.height_band import METRE, height_band
from imagetodem_qgis.raster.image import open_raster, read_band
from imagetodem_qgis.raster.reference_grid import ReferenceOnGrid

_USUAL_NODATA = {gdal.GDT_Int16: -32768.0}
_OTHERWISE = -9999.0
_MARGIN = 8
_BLOCK = 1024
_EDGE_PLACES = 21


class Reference:
    """The first band of a raster of heights.

    Args:
        path: anything that GDAL opens.

    Attributes:
        path: likewise.

    Raises:
        RasterError: it cannot be opened, has no reference system, or does not hold real numbers.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._dataset = open_raster(path)
        self._heights = height_band(self._dataset, path)
        if not self._dataset.GetProjection() or self._dataset.GetGeoTransform(can_return_null=True) is None:
            raise RasterError(f"{path} has no coordinate reference system: assign one first")

    def on(self, grid: PixelGrid, scratch: Path) -> ReferenceOnGrid:
        """The reference on a grid.

        Args:
            grid: with a reference system.
            scratch: an existing folder for temporary files.

        Raises:
            RasterError: they do not overlap, or no height is known there.
        """
        window, cell = self._window_of(grid)
        crop = gdal.Translate(
            "",
            self._dataset,
            format="VRT",
            bandList=[1],
            srcWin=[window.column, window.row, window.columns, window.rows],
            outputType=gdal.GDT_Float32,
            noData=self._nodata(),
        )
        self._check_known(crop)
        metres = self._heights.metres or METRE
        scale, offset = self._heights.scale * metres, self._heights.offset * metres
        return ReferenceOnGrid(crop, grid, cell, scratch, (scale, offset))

    def _nodata(self) -> float:
        band = self._heights.band
        given = band.GetNoDataValue()
        # Many DEMs have such voids without saying so.
        return float(given) if given is not None else _USUAL_NODATA.get(band.DataType, _OTHERWISE)

    def _window_of(self, grid: PixelGrid) -> tuple[Window, float]:
        """The reference's pixels that a grid needs, and the side of one of them in the grid's pixels."""
        target = gdal.GetDriverByName("MEM").Create("", grid.columns, grid.rows, 0)
        target.SetGeoTransform(grid.geotransform)
        target.SetProjection(grid.crs)
        gdal.ErrorReset()
        try:
            transformer = gdal.Transformer(self._dataset, target, [])
        except RuntimeError:
            transformer = None
        if transformer is None or transformer.this is None:
            raise RasterError(f"the reference system of {self.path} does not lead to the image's")
        shares = np.linspace(0.0, 1.0, _EDGE_PLACES)
        places = [
            _transformed(transformer, True, x * grid.columns, y * grid.rows) for x in shares for y in shares
        ]
        found = np.array([place for place in places if place is not None])
        whole = Window(0, 0, self._dataset.RasterYSize, self._dataset.RasterXSize)
        if len(found) == 0:
            raise RasterError(f"{self.path} does not reach the image")
        left, top = (math.floor(value) for value in found.min(axis=0))
        right, bottom = (math.ceil(value) for value in found.max(axis=0))
        reached = Window(top, left, bottom - top, right - left)
        if reached.intersection(whole).is_empty():
            raise RasterError(f"{self.path} does not overlap the image: give one that covers it")
        window = reached.widened(_MARGIN).intersection(whole)
        return window, _side(transformer, *np.median(found, axis=0))

    def _check_known(self, crop: gdal.Dataset) -> None:
        mask = crop.GetRasterBand(1).GetMaskBand()
        rows, columns = crop.RasterYSize, crop.RasterXSize
        for window in blocks(rows, columns, 4 * _BLOCK):
            if read_band(mask, (window.column, window.row, window.columns, window.rows)).any():
                return
        raise RasterError(f"{self.path} knows no height where the image lies: all of it is nodata there")


def _transformed(
    transformer: gdal.Transformer, backwards: bool, column: float, row: float
) -> tuple[float, float] | None:
    try:
        done, place = transformer.TransformPoint(int(backwards), float(column), float(row))
    except RuntimeError:
        return None
    return (place[0], place[1]) if done and np.isfinite(place[:2]).all() else None


def _side(transformer: gdal.Transformer, column: float, row: float) -> float:
    """Side, in pixels of the other grid, of the square that has the area of one of the reference's pixels."""
    corners = [_transformed(transformer, False, column + x, row + y) for x, y in ((0, 0), (1, 0), (0, 1))]
    if any(corner is None for corner in corners):
        raise RasterError("the reference's pixels have no size in the image's reference system")
    (x, y), (right_x, right_y), (down_x, down_y) = corners  # type: ignore[misc]
    return math.sqrt(abs((right_x - x) * (down_y - y) - (right_y - y) * (down_x - x)))
