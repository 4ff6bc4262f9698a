"""Reading a DEM by windows, at its own resolution or resampled, in metres."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.raster.grid import Grid
from imagetodem_qgis.raster.height_band import HeightBand, height_band
from imagetodem_qgis.raster.image import RasterError, open_raster, read_band

FloatArray = NDArray[np.float32]

_UNPLACED = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


class Dem:
    """The first band of a raster, as heights in metres.

    Args:
        path: anything that GDAL opens.

    Raises:
        RasterError: it cannot be opened, or is no DEM.

    Attributes:
        path: of the raster.
        grid: of the raster; one without a geotransform has its rows going down from 0.
        is_placed: whether the raster has a geotransform.
        unit: of the heights as the file names it.
        unit_is_known: whether that is one that can be brought to metres; else heights count as metres.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._dataset = open_raster(path)
        self._heights = height_band(self._dataset, path)
        transform = self._dataset.GetGeoTransform(can_return_null=True)
        self.is_placed = transform is not None
        self.grid = Grid(
            self._dataset.RasterXSize,
            self._dataset.RasterYSize,
            tuple(transform or _UNPLACED),
            self._dataset.GetProjection(),
        )
        self.unit = self._heights.unit
        self.unit_is_known = not self.unit or self._heights.metres is not None

    def probe(self) -> None:
        """Read the corners and the middle, which a missing or truncated file fails to give.

        Raises:
            RasterError: one of them cannot be read.
        """
        reader = self.reader(self.grid.window(), self.grid.rows, self.grid.columns)
        last_row, last_column = self.grid.rows - 1, self.grid.columns - 1
        for row in (0, last_row // 2, last_row):
            for column in (0, last_column // 2, last_column):
                reader.read(Window(row, column, 1, 1))

    def reader(self, window: Window, rows: int, columns: int) -> HeightReader:
        """A reader of a window, resampled to rows × columns pixels: averaged where that is fewer,
        interpolated by cubic splines, whose slope is continuous, where it is more.

        Raises:
            RasterError: it cannot be resampled.
        """
        if (rows, columns) == (window.rows, window.columns):
            mask = self._heights.band.GetMaskBand()
            return HeightReader(self._dataset, mask, self._heights, (window.row, window.column))
        fewer = rows <= window.rows and columns <= window.columns
        options = {
            "format": "VRT",
            "srcWin": [window.column, window.row, window.columns, window.rows],
            "width": columns,
            "height": rows,
        }
        heights = gdal.Translate(
            "", self._dataset, bandList=[1], resampleAlg="average" if fewer else "cubicspline", **options
        )
        mask = gdal.Translate("", self._dataset, bandList=["mask,1"], resampleAlg="nearest", **options)
        if heights is None or mask is None:
            raise RasterError(f"{self.path} cannot be resampled: {gdal.GetLastErrorMsg()}")
        return HeightReader(heights, mask.GetRasterBand(1), self._heights, (0, 0), keep=mask)


class HeightReader:
    """Reads windows of heights; see :meth:`Dem.reader`."""

    def __init__(
        self,
        dataset: gdal.Dataset,
        mask: gdal.Band,
        heights: HeightBand,
        origin: tuple[int, int],
        keep: gdal.Dataset | None = None,
    ) -> None:
        # A band does not keep its data set alive.
        self._datasets = (dataset, keep)
        self._band, self._mask = dataset.GetRasterBand(1), mask
        self._heights, self._origin = heights, origin

    def read(self, window: Window) -> FloatArray:
        """Heights in metres, (rows, columns) float32, NaN where unknown.

        Raises:
            RasterError: the pixels cannot be read.
        """
        place = (
            self._origin[1] + window.column,
            self._origin[0] + window.row,
            window.columns,
            window.rows,
        )
        return self._heights.in_metres(read_band(self._band, place), read_band(self._mask, place))
