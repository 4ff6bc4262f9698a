"""A DEM to be compared with another: its grid, its vertical unit, and its heights on any grid."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal, osr

from imagetodem_qgis.core.height_values import HIGHEST, LOWEST, METRE, USUAL_FILLS
from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.raster.errors import RasterError
from imagetodem_qgis.raster.grid import Grid
from imagetodem_qgis.raster.height_band import HeightBand, height_band
from imagetodem_qgis.raster.image import open_raster, read_band

_PIXELS = ("pixel", "pixels")
_FAR_COARSER = 1.05
"""Ratio of pixel sizes from which fine pixels are averaged, not interpolated, on coarse ones."""
_ERROR_THRESHOLD = 0.01
"""Pixels by which the way between two CRS may be approximated."""
_SAME_PLACE = 1e-3
"""Pixels by which two grids may miss each other and still be one."""
_WIDE = (gdal.GDT_Float64, gdal.GDT_Int32, gdal.GDT_UInt32)


class Elevation:
    """The first band of a DEM.

    Args:
        path: anything that GDAL opens.
        unit: metres of its heights' unit; as the file tells if not given.

    Attributes:
        path: as above.
        grid: of its pixels.
        unit: metres of its heights' unit.
        declares_unit: whether the unit was given, or is told by the file.
        metadata: items of the file.

    Raises:
        RasterError: it cannot be opened, or holds no heights that can be compared.
    """

    def __init__(self, path: str, unit: float | None = None) -> None:
        self.path = path
        self._dataset = open_raster(path)
        self._heights = height_band(self._dataset, path)
        transform = self._dataset.GetGeoTransform(can_return_null=True)
        if transform is None:
            raise RasterError(f"{path} is not georeferenced: it does not say where its pixels lie")
        self._grid = Grid(
            self._dataset.RasterXSize,
            self._dataset.RasterYSize,
            tuple(transform),
            self._dataset.GetProjection(),
        )
        self._move: tuple[float, float] = (0.0, 0.0)
        told = _declared_unit(self._dataset, self._heights, path) if unit is None else unit
        self.unit = METRE if told is None else told
        self.declares_unit = told is not None
        self.metadata: dict[str, str] = self._dataset.GetMetadata() or {}

    @property
    def grid(self) -> Grid:
        """Of its pixels, where :meth:`move` has put them."""
        left, a, b, top, d, e = self._grid.geotransform
        moved = (left + self._move[0], a, b, top + self._move[1], d, e)
        return Grid(self._grid.columns, self._grid.rows, moved, self._grid.crs)

    @property
    def is_wide(self) -> bool:
        """Whether its numbers have more digits than float32 holds."""
        return self._dataset.GetRasterBand(1).DataType in _WIDE

    def move(self, x: float, y: float) -> None:
        """Put the pixels elsewhere, by map units."""
        self._move = (x, y)

    def on(self, grid: Grid) -> ElevationOnGrid:
        """The heights on a grid.

        Args:
            grid: wanted, north up.

        Raises:
            RasterError: there is no way from one grid to the other.
        """
        return ElevationOnGrid(self._placed(), self, grid, resampling_towards(self.grid, grid))

    def _placed(self) -> gdal.Dataset:
        """The dataset where :meth:`move` has put it, with the nodata value that it should declare."""
        left, a, b, top, d, e = self.grid.geotransform
        placed = gdal.Translate("", self._dataset, format="VRT", bandList=[1])
        placed.SetGeoTransform((left, a, b, top, d, e))
        band = self._dataset.GetRasterBand(1)
        if band.GetNoDataValue() is None and band.GetMaskFlags() & gdal.GMF_ALL_VALID:
            undeclared = _undeclared_nodata(self._heights, self.unit)
            if undeclared is not None:
                placed.GetRasterBand(1).SetNoDataValue(undeclared)
        return placed


class ElevationOnGrid:
    """Heights of an :class:`Elevation` on another grid, resampled while they are read.

    Attributes:
        resampling: GDAL's name of how.
        unit: metres of the heights' unit.
        dtype: of the heights, float32 or float64.
    """

    def __init__(self, dataset: gdal.Dataset, elevation: Elevation, grid: Grid, resampling: str) -> None:
        self.resampling, self.unit, self._path = resampling, elevation.unit, elevation.path
        self.dtype = np.dtype(np.float64 if elevation.is_wide else np.float32)
        self._source = dataset
        self._heights = elevation._heights
        left, top = grid.to_map(0, 0)
        right, bottom = grid.to_map(grid.columns, grid.rows)
        gdal.ErrorReset()
        try:
            self._warped = gdal.Warp(
                "",
                dataset,
                format="VRT",
                outputBounds=(left, bottom, right, top),
                width=grid.columns,
                height=grid.rows,
                dstSRS=grid.crs or None,
                resampleAlg=resampling,
                outputType=gdal.GDT_Float64 if elevation.is_wide else gdal.GDT_Float32,
                dstNodata=math.nan,
                errorThreshold=_ERROR_THRESHOLD,
                # Heights stay in their own vertical datum: GDAL would shift them where it has a geoid.
                options=["-novshift"],
            )
        except RuntimeError as error:
            raise RasterError(f"{elevation.path} cannot be brought to the grid: {error}") from error
        if self._warped is None:
            raise RasterError(f"{elevation.path} cannot be brought to the grid: {gdal.GetLastErrorMsg()}")

    def read(self, window: Window) -> NDArray[np.floating]:
        """Heights of a window in the DEM's own unit, (rows, columns) float32 or float64, NaN where unknown.

        Raises:
            RasterError: the pixels cannot be read.
        """
        place = (window.column, window.row, window.columns, window.rows)
        try:
            heights = read_band(self._warped.GetRasterBand(1), place)
        except RasterError as error:
            raise RasterError(f"{self._path}: {error}") from error
        heights = self._heights.in_unit(heights)
        with np.errstate(invalid="ignore"):
            known = (heights * self.unit > LOWEST) & (heights * self.unit < HIGHEST)
        return np.where(known, heights, heights.dtype.type(np.nan))


def resampling_towards(source: Grid, target: Grid) -> str:
    """GDAL's name of the way to bring heights from one grid to another: as they are where the pixels are the
    same, averaged where they become coarser, else by cubic convolution."""
    if source.crs == target.crs and _same_pixels(source, target):
        return "near"
    return "average" if pixel_side(target) > pixel_side(source) * _FAR_COARSER else "cubic"


def _same_pixels(source: Grid, target: Grid) -> bool:
    corner = source.to_pixels(*target.to_map(0, 0))
    opposite = source.to_pixels(*target.to_map(target.columns, target.rows))
    sides = (opposite[0] - corner[0] - target.columns, opposite[1] - corner[1] - target.rows)
    off = [*sides, *(place - round(place) for place in corner)]
    return max(map(abs, off)) < _SAME_PLACE


def pixel_side(grid: Grid) -> float:
    """Side of a pixel at the raster's centre in metres, in map units where these lead to no ground."""
    ground = grid.ground()
    if ground is not None:
        return math.sqrt(math.prod(ground.pixel_size()))
    _, a, b, _, d, e = grid.geotransform
    return math.sqrt(abs(a * e - b * d))


def _declared_unit(dataset: gdal.Dataset, heights: HeightBand, path: str) -> float | None:
    """Metres of the unit that the band, else the vertical CRS tells."""
    if heights.unit in _PIXELS:
        raise RasterError(
            f"{path} holds heights in units of a pixel, whose size is not known: assign a CRS to the image "
            "and predict again"
        )
    if heights.metres is not None:
        return heights.metres
    if heights.unit:
        raise RasterError(f"{path} gives its heights in '{heights.unit}': say the unit in metres or feet")
    reference = osr.SpatialReference()
    if dataset.GetProjection() and reference.ImportFromWkt(dataset.GetProjection()) == 0:
        factor = reference.GetAttrValue("VERT_CS|UNIT", 1)
        if factor:
            return float(factor)
    return None


def _undeclared_nodata(heights: HeightBand, unit: float) -> float | None:
    """A value that no height has and that stands in the raster: nodata that the file does not declare."""
    band = heights.band
    columns, rows = min(band.XSize, 1024), min(band.YSize, 1024)
    values = band.ReadAsArray(buf_xsize=columns, buf_ysize=rows)
    values = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if not values.size:
        return None
    scaled = heights.in_unit(values.astype(np.float64))
    beyond = values[(scaled * unit <= LOWEST) | (scaled * unit >= HIGHEST)]
    if beyond.size:
        return float(beyond.flat[0])
    fills = [value for value in USUAL_FILLS if (values == value).any()]
    return fills[0] if fills else None
