"""Reading the heights of a scene: a DEM as it is, or averaged where it has more pixels than a page should
hold."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal, gdal_array

from imagetodem_qgis.core.height_values import METRE, metres_of
from imagetodem_qgis.core.tiling import Window, blocks
from imagetodem_qgis.prediction.request import Cancelled
from imagetodem_qgis.raster.cache import small_block_cache
from imagetodem_qgis.raster.grid import Grid
from imagetodem_qgis.raster.height_band import height_band
from imagetodem_qgis.raster.image import RasterError, open_raster, read_band

LONGEST_SIDE = 4096
"""Pixels that a texture may have along a side on any device that knows WebGL 2 in practice."""

_BLOCK = 1024
_STRIPE = 2_000_000
"""Pixels read at once."""

_OUTLANDISH = 1e6
"""Heights that cannot be: beyond them a void that is not marked as one."""

_UNPLACED = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)

Heights = NDArray[np.float64]


@dataclass(frozen=True)
class Terrain:
    """Heights to be shown.

    Attributes:
        heights: (rows, columns) in ``unit``, NaN where unknown, row 0 in the north of the raster.
        grid: of these pixels.
        unit: of the heights, empty where the file does not say.
        averaged: pixels of the DEM along the side of a pixel here.
    """

    heights: Heights
    grid: Grid
    unit: str
    averaged: int

    def cell(self) -> tuple[float, float]:
        """Metres of a column's and a row's step; steps of the map's own where there is no way to the
        ground."""
        ground = self.grid.ground()
        if ground is not None:
            return ground.pixel_size()
        if self.unit == "pixel":
            return float(self.averaged), float(self.averaged)
        _, a, b, _, d, e = self.grid.geotransform
        return math.hypot(a, d), math.hypot(b, e)

    def metres(self) -> float:
        """Length of the heights' unit in that of :meth:`cell`."""
        return metres_of(self.unit) or METRE


class SceneDem:
    """The first band of a raster, as heights.

    Args:
        path: anything that GDAL opens.

    Raises:
        RasterError: it cannot be opened, spans no area, or holds colours rather than heights.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._dataset = open_raster(path)
        self._heights = height_band(self._dataset, path)
        self._band = self._heights.band
        columns, rows = self._dataset.RasterXSize, self._dataset.RasterYSize
        if min(columns, rows) < 2:
            raise RasterError(f"{path} has {columns} × {rows} pixels; a surface needs 2 × 2 at least")
        transform = self._dataset.GetGeoTransform(can_return_null=True) or _UNPLACED
        self.grid = Grid(columns, rows, tuple(transform), self._dataset.GetProjection())
        self.unit = self._heights.unit
        self.note = str(self._band.GetDescription() or "")

    def probe(self) -> None:
        """Read the corners and the middle, which a missing or truncated file fails to give.

        Raises:
            RasterError: one of them cannot be read.
        """
        for row in (0, self.grid.rows // 2, self.grid.rows - 1):
            for column in (0, self.grid.columns // 2, self.grid.columns - 1):
                read_band(self._band, (column, row, 1, 1))

    def averaged(self, limit: int) -> int:
        """How many pixels along a side are to be averaged so that at most ``limit`` heights are left.

        Raises:
            RasterError: the raster is too narrow a strip for that.
        """
        rows, columns = self.grid.rows, self.grid.columns
        factor = max(
            math.ceil(math.sqrt(rows * columns / limit)), math.ceil(max(rows, columns) / LONGEST_SIDE)
        )
        if factor >= min(rows, columns):
            raise RasterError(
                f"{self.path} is a strip of {columns} × {rows} pixels: clip it to a part of its length"
            )
        return factor

    def read(
        self, limit: int, progress: Callable[[float], None], is_cancelled: Callable[[], bool]
    ) -> Terrain:
        """Read all heights, averaging where they are more than ``limit``; memory is bounded by ``limit``.

        Args:
            limit: most heights.
            progress: is told the share that is read, 0 to 1.
            is_cancelled: whether the user wants to stop.

        Raises:
            Cancelled: the user cancelled.
            RasterError: pixels cannot be read, or none is known.
        """
        factor = self.averaged(limit)
        rows, columns = -(-self.grid.rows // factor), -(-self.grid.columns // factor)
        heights = np.full((rows, columns), np.nan)
        windows = self._windows(rows, columns, factor)
        with small_block_cache():
            for number, window in enumerate(windows):
                if is_cancelled():
                    raise Cancelled()
                heights[window.within(Window(0, 0, rows, columns))] = self._mean(window, factor)
                progress((number + 1) / len(windows))
        if not np.isfinite(heights).any():
            raise RasterError(f"{self.path} holds no height: all of it is nodata")
        left, a, b, top, d, e = self.grid.geotransform
        grid = Grid(columns, rows, (left, a * factor, b * factor, top, d * factor, e * factor), self.grid.crs)
        return _upright(Terrain(heights, grid, self.unit, factor))

    def on_grid_of(self, terrain: Terrain, is_cancelled: Callable[[], bool]) -> Heights:
        """The heights brought to another surface's pixels by bilinear interpolation, NaN where unknown.

        Raises:
            Cancelled: the user cancelled.
            RasterError: they cannot be brought there.
        """
        target = memory_raster(terrain.grid, np.full(terrain.heights.shape, np.nan)[None])
        target.GetRasterBand(1).SetNoDataValue(float("nan"))
        warp(self._dataset, target, "bilinear", is_cancelled, self.grid.crs or terrain.grid.crs)
        return self._cleaned(target.ReadAsArray())

    def _windows(self, rows: int, columns: int, factor: int) -> list[Window]:
        """Parts to be read one after the other, along the way in which the file holds its pixels."""
        if self._band.GetBlockSize()[0] < self.grid.columns:
            return list(blocks(rows, columns, max(1, _BLOCK // factor)))
        step = max(1, _STRIPE // (self.grid.columns * factor))
        return [Window(row, 0, min(step, rows - row), columns) for row in range(0, rows, step)]

    def _mean(self, window: Window, factor: int) -> Heights:
        row, column = window.row * factor, window.column * factor
        rows = min(window.rows * factor, self.grid.rows - row)
        columns = min(window.columns * factor, self.grid.columns - column)
        place = (column, row, columns, rows)
        values = read_band(self._band, place)
        known = np.isfinite(values)
        if self._band.GetMaskFlags() != gdal.GMF_ALL_VALID:
            known &= read_band(self._band.GetMaskBand(), place) != 0
        if not known.any():
            return np.full((window.rows, window.columns), np.nan)
        if factor == 1:
            return self._cleaned(np.where(known, values, np.nan))
        squares = (window.rows, factor, window.columns, factor)
        if known.all() and values.size == math.prod(squares):
            return self._cleaned(values.reshape(squares).mean(axis=(1, 3), dtype=np.float64))
        beyond = ((0, squares[0] * factor - rows), (0, squares[2] * factor - columns))
        counts = np.pad(known, beyond).reshape(squares).sum(axis=(1, 3))
        sums = np.pad(np.where(known, values, 0), beyond).reshape(squares).sum(axis=(1, 3), dtype=np.float64)
        return self._cleaned(np.where(counts > 0, sums / np.maximum(counts, 1), np.nan))

    def _cleaned(self, values: NDArray[np.floating]) -> Heights:
        heights = self._heights.in_unit(values.astype(np.float64))
        heights[~(np.abs(heights) < _OUTLANDISH)] = np.nan
        return heights


def memory_raster(grid: Grid, bands: NDArray[np.generic]) -> gdal.Dataset:
    """A raster in memory with a grid's place; bands (bands, rows, columns)."""
    count, rows, columns = bands.shape
    kind = gdal_array.NumericTypeCodeToGDALTypeCode(bands.dtype)
    dataset = gdal.GetDriverByName("MEM").Create("", columns, rows, count, kind)
    dataset.SetGeoTransform(grid.geotransform)
    dataset.SetProjection(grid.crs)
    for number, band in enumerate(bands, start=1):
        dataset.GetRasterBand(number).WriteArray(band)
    return dataset


def warp(
    source: gdal.Dataset, target: gdal.Dataset, method: str, is_cancelled: Callable[[], bool], crs: str
) -> None:
    """Fill a raster from another one, whatever the two coordinate systems.

    Args:
        source: to read from.
        target: to write to.
        method: of resampling, as GDAL names it.
        is_cancelled: whether the user wants to stop.
        crs: of the source, empty if neither has one.

    Raises:
        Cancelled: the user cancelled.
        RasterError: the one cannot be brought to the other.
    """

    def go_on(share: float, message: str, data: object) -> int:
        return 0 if is_cancelled() else 1

    systems = {"srcSRS": crs, "dstSRS": target.GetProjection() or crs} if crs else {}
    gdal.ErrorReset()
    try:
        done = gdal.Warp(target, source, resampleAlg=method, multithread=False, callback=go_on, **systems)
        reason = gdal.GetLastErrorMsg()
    except RuntimeError as error:
        done, reason = None, str(error)
    if is_cancelled():
        raise Cancelled()
    if not done:
        raise RasterError(f"{source.GetDescription()} cannot be brought to the DEM's grid: {reason}")


def _upright(terrain: Terrain) -> Terrain:
    """The same surface with its rows going down from the map's top, as those of nearly all rasters do."""
    left, a, b, top, d, e = terrain.grid.geotransform
    if a * e - b * d < 0.0:
        return terrain
    x, y = terrain.grid.to_map(0, terrain.grid.rows)
    grid = Grid(terrain.grid.columns, terrain.grid.rows, (x, a, -b, y, d, -e), terrain.grid.crs)
    return Terrain(np.ascontiguousarray(terrain.heights[::-1]), grid, terrain.unit, terrain.averaged)
