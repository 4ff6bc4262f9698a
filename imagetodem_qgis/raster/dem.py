"""Reading a DEM by windows, at its own resolution or resampled, in metres."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.raster.grid import Grid
from imagetodem_qgis.raster.image import RasterError, open_raster, read_band

FloatArray = NDArray[np.float32]

_UNPLACED = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
_METRES = {
    **dict.fromkeys(("", "m", "metre", "metres", "meter", "meters"), 1.0),
    **dict.fromkeys(("ft", "foot", "feet", "international foot"), 0.3048),
    **dict.fromkeys(("us-ft", "ussft", "us survey foot", "ftus"), 1200.0 / 3937.0),
}
"""Of the units that heights come in."""


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
        if self._dataset.RasterCount == 0:
            raise RasterError(f"{path} has no band: give a DEM")
        band = self._dataset.GetRasterBand(1)
        colour = band.GetColorInterpretation()
        if colour in (gdal.GCI_PaletteIndex, gdal.GCI_RedBand) or gdal.DataTypeIsComplex(band.DataType):
            raise RasterError(f"{path} is an image, not a DEM: give a raster of heights")
        transform = self._dataset.GetGeoTransform(can_return_null=True)
        self.is_placed = transform is not None
        self.grid = Grid(
            self._dataset.RasterXSize,
            self._dataset.RasterYSize,
            tuple(transform or _UNPLACED),
            self._dataset.GetProjection(),
        )
        self.unit = band.GetUnitType()
        self.unit_is_known = self.unit.lower() in _METRES
        self._metres = _METRES.get(self.unit.lower(), 1.0)

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
            mask = self._dataset.GetRasterBand(1).GetMaskBand()
            return HeightReader(self._dataset, mask, self._metres, (window.row, window.column))
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
        return HeightReader(heights, mask.GetRasterBand(1), self._metres, (0, 0), keep=mask)


class HeightReader:
    """Reads windows of heights; see :meth:`Dem.reader`."""

    def __init__(
        self,
        dataset: gdal.Dataset,
        mask: gdal.Band,
        metres: float,
        origin: tuple[int, int],
        keep: gdal.Dataset | None = None,
    ) -> None:
        # A band does not keep its data set alive.
        self._datasets = (dataset, keep)
        self._band, self._mask = dataset.GetRasterBand(1), mask
        self._metres, self._origin = metres, origin

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
        heights = read_band(self._band, place).astype(np.float32) * np.float32(self._metres)
        heights[(read_band(self._mask, place) == 0) | ~np.isfinite(heights)] = np.nan
        return heights
