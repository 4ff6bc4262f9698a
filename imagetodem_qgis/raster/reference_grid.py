"""A reference DEM resampled to a grid, window by window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from imagetodem_qgis.core.cells import BEYOND, mean_preserving
from imagetodem_qgis.core.grid import PixelGrid
from imagetodem_qgis.core.tiling import Window, blocks
from imagetodem_qgis.core.voids import fill_voids
from imagetodem_qgis.raster.errors import RasterError
from imagetodem_qgis.raster.image import read_band

FloatArray = NDArray[np.float32]

_UNKNOWN = -32768.0
"""Nodata of the copies made here, below all heights."""
_COARSER = 1.5
"""Pixels of the grid from which a pixel is a mean over an area, to be interpolated between."""
_BLOCK = 1024
_MARGIN = 8
"""Pixels around a block on which its nodes depend."""
_RIM = 3
"""Pixels beyond known ones that interpolation there looks at."""
_FILLED_REACH = 200
"""Pixels of the reference from which a hole is filled."""
_DIRECTIONS = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right]
_OPTIONS = ["TILED=YES", "COMPRESS=DEFLATE", "BIGTIFF=IF_SAFER"]


class ReferenceOnGrid:
    """A reference brought to a grid; see :meth:`imagetodem_qgis.raster.reference.Reference.on`.

    A coarse one is interpolated by cubic convolution, a finer one averaged.

    Args:
        crop: the reference's pixels that the grid needs.
        grid: likewise.
        cell: side of one of the reference's pixels in pixels of the grid.
        scratch: an existing folder for temporary files.
        units: what a value is multiplied with, and what is then added, to be a height in metres.

    Attributes:
        cell: likewise.
    """

    def __init__(
        self, crop: gdal.Dataset, grid: PixelGrid, cell: float, scratch: Path, units: tuple[float, float]
    ) -> None:
        self.cell = cell
        self._crop, self._grid, self._scratch, self._units = crop, grid, scratch, units
        self._nodes: tuple[gdal.Dataset, gdal.Dataset] | None = None
        self._filled: gdal.Dataset | None = None

    @property
    def is_coarse(self) -> bool:
        """Whether a pixel of the reference is larger than one of the grid."""
        return self.cell >= _COARSER

    def read(self, window: Window) -> FloatArray:
        """Heights in metres whose means over the reference's pixels are the reference's own: (rows, columns)
        float32, NaN where unknown."""
        if not self.is_coarse:
            return self._read(self._crop, window, "average")
        if self._nodes is None:
            self._nodes = self._node_copies()
        heights = self._read(self._nodes[0], window, "cubic")
        heights[self._read(self._nodes[1], window, "near", plain=True) != 1.0] = np.nan
        return heights

    def read_plain(self, window: Window) -> FloatArray:
        """Heights in metres by cubic convolution through the reference's pixels, known everywhere: through
        holes as a smooth surface from their border.

        Returns:
            (rows, columns) float32.
        """
        if self._filled is None:
            self._filled = self._filled_copy()
        return np.nan_to_num(self._read(self._filled, window, "cubic" if self.is_coarse else "average"))

    def _read(self, source: gdal.Dataset, window: Window, algorithm: str, plain: bool = False) -> FloatArray:
        grid = self._grid.cropped(window)
        target = gdal.GetDriverByName("MEM").Create("", window.columns, window.rows, 1, gdal.GDT_Float32)
        target.SetGeoTransform(grid.geotransform)
        target.SetProjection(grid.crs)
        band = target.GetRasterBand(1)
        band.SetNoDataValue(_UNKNOWN)
        band.Fill(_UNKNOWN)
        gdal.ErrorReset()
        try:
            done = gdal.Warp(target, source, resampleAlg=algorithm, multithread=False)
        except RuntimeError:
            done = None
        if not done:
            raise RasterError(f"the reference cannot be read: {gdal.GetLastErrorMsg()}")
        heights = read_band(band, (0, 0, window.columns, window.rows)).astype(np.float32)
        unknown = heights == np.float32(_UNKNOWN)
        if not plain:
            scale, offset = self._units
            heights *= np.float32(scale)
            heights += np.float32(offset)
        heights[unknown] = np.nan
        return heights

    def _node_copies(self) -> tuple[gdal.Dataset, gdal.Dataset]:
        """Nodes of a surface that keeps the pixels' means, and 1 where these are known.

        The nodes go on a little beyond known pixels: interpolation that found none there would weigh the
        others anew, with a step where that begins.
        """
        rows, columns = self._crop.RasterYSize + 2 * _RIM, self._crop.RasterXSize + 2 * _RIM
        nodes, known_copy = (self._copy(name, rows, columns, _RIM) for name in ("nodes", "known"))
        for window in blocks(rows, columns, _BLOCK):
            wide = window.widened(_MARGIN)
            heights, known = self._padded(
                Window(wide.row - _RIM, wide.column - _RIM, wide.rows, wide.columns)
            )
            if known.any():
                extended, near = _extended(heights, known)
                found = mean_preserving(np.where(near, extended, fill_voids(extended, near)))
                found[~near] = _UNKNOWN
            else:
                found = np.full(known.shape, _UNKNOWN, np.float32)
            inner = window.within(wide)
            for copy, values in ((nodes, found), (known_copy, known.astype(np.float32))):
                part = np.ascontiguousarray(values[inner])
                copy.GetRasterBand(1).WriteArray(part, window.column, window.row)
        for copy in (nodes, known_copy):
            copy.FlushCache()
        return nodes, known_copy

    def _filled_copy(self) -> gdal.Dataset:
        """The pixels, with holes filled."""
        rows, columns = self._crop.RasterYSize, self._crop.RasterXSize
        copy = self._copy("filled", rows, columns)
        band = copy.GetRasterBand(1)
        for window in blocks(rows, columns, _BLOCK):
            heights, known = self._padded(window)
            heights[~known] = _UNKNOWN
            band.WriteArray(heights, window.column, window.row)
        gdal.FillNodata(band, band.GetMaskBand(), _FILLED_REACH, 2)
        copy.FlushCache()
        return copy

    def _copy(self, name: str, rows: int, columns: int, rim: int = 0) -> gdal.Dataset:
        path = self._scratch / f"reference_{name}.tif"
        driver = gdal.GetDriverByName("GTiff")
        copy = driver.Create(str(path), columns, rows, 1, gdal.GDT_Float32, _OPTIONS)
        left, a, b, top, d, e = self._crop.GetGeoTransform()
        copy.SetGeoTransform((left - rim * (a + b), a, b, top - rim * (d + e), d, e))
        copy.SetProjection(self._crop.GetProjection())
        copy.GetRasterBand(1).SetNoDataValue(_UNKNOWN)
        return copy

    def _padded(self, window: Window) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Values of a window that may reach beyond the reference, and which of them are known."""
        part = window.intersection(Window(0, 0, self._crop.RasterYSize, self._crop.RasterXSize))
        heights = np.zeros((window.rows, window.columns), np.float32)
        known = np.zeros(heights.shape, bool)
        if not part.is_empty():
            place = (part.column, part.row, part.columns, part.rows)
            source = self._crop.GetRasterBand(1)
            values = read_band(source, place).astype(np.float32)
            heights[part.within(window)] = np.nan_to_num(values)
            known[part.within(window)] = (read_band(source.GetMaskBand(), place) > 0) & np.isfinite(values)
        return heights, known


def _extended(heights: FloatArray, known: NDArray[np.bool_]) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Heights that go on beyond the known ones, and where they are known then."""
    if known.all():
        return heights, known
    for _ in range(_RIM):
        wide, there = np.pad(heights, 2), np.pad(known, 2)
        total, count = np.zeros(heights.shape, np.float32), np.zeros(heights.shape, np.float32)
        for down, right in _DIRECTIONS:
            near, far = (_shifted(wide, down * n, right * n) for n in (1, 2))
            both = _shifted(there, down, right) & _shifted(there, 2 * down, 2 * right)
            total += np.where(both, near + np.float32(BEYOND) * (near - far), np.float32(0.0))
            count += both
        grown = ~known & (count > 0)
        heights = np.where(grown, total / np.maximum(count, 1.0), heights).astype(np.float32)
        known = known | grown
    return heights, known


def _shifted(wide: NDArray[Any], down: int, right: int) -> NDArray[Any]:
    rows, columns = wide.shape[0] - 4, wide.shape[1] - 4
    return wide[2 + down : 2 + down + rows, 2 + right : 2 + right + columns]
