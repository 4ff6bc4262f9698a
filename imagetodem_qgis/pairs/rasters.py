"""A user's own image and DEM as a source of pairs."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Callable

import numpy as np
from osgeo import gdal

from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.pairs.geography import WGS_84, reference, transformation, utm_crs, utm_zone
from imagetodem_qgis.pairs.grids import is_metric
from imagetodem_qgis.pairs.source import (
    NODATA,
    Estimate,
    FetchCancelled,
    FetchedPair,
    NoData,
    Provenance,
    SourceError,
    Tile,
)
from imagetodem_qgis.raster.grid import Grid
from imagetodem_qgis.raster.heights import Heights
from imagetodem_qgis.raster.image import Image, RasterError, open_raster
from imagetodem_qgis.raster.window import bounds_in, covered_window, warped

_TRUE_METRES = 0.005
"""By how much a CRS's metres may differ from the ground's for its own grid to be kept."""
_MARGIN = 4
"""Pixels around a tile that the interpolation may look at."""
_MOST_THREADS = 4
_STORED = {"Byte": "uint8", "UInt16": "uint16", "Int16": "int16"}


def common_grid(image: Grid, dem: Grid, resolution: float | None) -> Grid:
    """The grid on which an image and a DEM are paired, over the ground that both cover.

    It is the image's own where its metres are the ground's, so that an image at its own resolution keeps its
    pixels as they are; else one in the UTM zone of the image's centre.

    Args:
        image: of the image, with a CRS.
        dem: of the DEM, with a CRS.
        resolution: side of a pixel in metres; ``None``: the image's own, to three digits where it must be
            worked out.

    Raises:
        RasterError: one of them has no CRS that leads to the ground, or they share no ground.
    """
    ground = image.ground()
    if ground is None or not dem.crs:
        raise RasterError("a raster has no coordinate reference system that leads to the ground")
    left, wide, skew_x, top, skew_y, high = image.geotransform
    across, down = ground.pixel_size()
    true = is_metric(image.crs) and all(
        abs(own / real - 1.0) < _TRUE_METRES for own, real in ((wide, across), (-high, down))
    )
    if true and skew_x == skew_y == 0.0 and math.isclose(wide, -high, rel_tol=1e-9):
        crs, step, origin = image.crs, resolution or wide, (left, top)
    else:
        crs, step, origin = _utm(image), resolution or float(f"{math.sqrt(across * down):.3g}"), (0.0, 0.0)
    # Only the DEM's part around the image: a zone's coordinates do not lead around the globe.
    around = covered_window(image, dem, _MARGIN)
    if around.is_empty():
        raise RasterError("the image and the DEM show no common ground")
    first, second = bounds_in(image, crs), bounds_in(dem.cropped(around), crs)
    west, south = (max(a, b) for a, b in zip(first[:2], second[:2]))
    east, north = (min(a, b) for a, b in zip(first[2:], second[2:]))
    # A hair, so that a border that lies on a pixel's does not fall to the wrong side by rounding.
    hair = 1e-6
    column, row = math.ceil((west - origin[0]) / step - hair), math.ceil((origin[1] - north) / step - hair)
    columns = math.floor((east - origin[0]) / step + hair) - column
    rows = math.floor((origin[1] - south) / step + hair) - row
    if columns < 1 or rows < 1:
        raise RasterError("the image and the DEM show no common ground")
    transform = (origin[0] + column * step, step, 0.0, origin[1] - row * step, 0.0, -step)
    return Grid(columns, rows, transform, reference(crs).ExportToWkt())


def _utm(grid: Grid) -> str:
    x, y = grid.to_map(grid.columns / 2.0, grid.rows / 2.0)
    longitude, latitude, *_ = transformation(grid.crs, WGS_84).TransformPoint(x, y)
    return utm_crs(utm_zone(longitude), latitude < 0.0)


class RasterSource:
    """Cuts pairs from an image and a DEM.

    Args:
        image: anything that GDAL opens.
        bands: numbers of the red, green and blue band.
        dem: anything that GDAL opens.

    Attributes:
        simultaneous: tiles that are cut at once.

    Raises:
        RasterError: one of them cannot be opened.
    """

    def __init__(self, image: str, bands: Sequence[int], dem: str) -> None:
        self._image_path, self._bands, self._dem_path = image, tuple(bands), dem
        self._of_thread = threading.local()
        self.simultaneous = max(1, min(_MOST_THREADS, os.cpu_count() or 1))
        azimuth = self._opened()[0].sun_azimuth()
        self._provenance = Provenance((Path(image).stem,), (), azimuth, None)

    def describe(self) -> Mapping[str, Any]:
        """See :class:`~imagetodem_qgis.pairs.source.PairSource`."""
        return {
            "sources": [f"image: {Path(self._image_path).name}", f"DEM: {Path(self._dem_path).name}"],
            "licences": ["that of the image and the DEM"],
            "stretch": "none: the image's own values",
        }

    def estimate(self, tiles: Sequence[Tile]) -> Estimate:
        """Nothing is asked of a server."""
        return Estimate(0, 0)

    def fetch(self, tile: Tile, is_cancelled: Callable[[], bool]) -> FetchedPair:
        """See :class:`~imagetodem_qgis.pairs.source.PairSource`."""
        if is_cancelled():
            raise FetchCancelled("cancelled")
        image, dem = self._opened()
        target = Grid(tile.size, tile.size, tile.geotransform, tile.crs)
        try:
            return FetchedPair(_colours(image, target), _heights(dem, target), self._provenance)
        except RasterError as error:
            raise SourceError(f"{tile.id}: {error}") from error

    def close(self) -> None:
        """The rasters are closed with the threads that opened them."""
        self._of_thread = threading.local()

    def _opened(self) -> tuple[Image, Heights]:
        """This thread's own: GDAL's datasets must not be shared."""
        if not hasattr(self._of_thread, "rasters"):
            self._of_thread.rasters = (Image(self._image_path, self._bands), Heights(self._dem_path))
        rasters: tuple[Image, Heights] = self._of_thread.rasters
        return rasters


def _colours(image: Image, target: Grid) -> np.ndarray:
    window, rows, columns = _reading(image.grid, target)
    values, valid = image.reader(window, rows, columns).read(Window(0, 0, rows, columns))
    bands = np.moveaxis(values.astype(np.float32), -1, 0)
    return warped(bands, valid, _shrunken(image.grid.cropped(window), rows, columns), target)


def _heights(dem: Heights, target: Grid) -> np.ndarray:
    window, rows, columns = _reading(dem.grid, target)
    heights = dem.read(window, rows, columns)
    grid = _shrunken(dem.grid.cropped(window), rows, columns)
    return warped(heights[None], np.isfinite(heights), grid, target)[0]


def _reading(source: Grid, target: Grid) -> tuple[Window, int, int]:
    """The window of a source to read for a target, and to how many rows and columns to average it.

    A source that is much finer is read at about the target's resolution, so that memory does not grow with
    the ratio of the two.

    Raises:
        NoData: they share no ground.
    """
    once = covered_window(target, source)
    if once.is_empty():
        raise NoData(NODATA, "the tile lies outside a raster")
    ratio = math.sqrt(once.rows * once.columns / (target.rows * target.columns))
    factor = max(1, math.floor(ratio))
    window = covered_window(target, source, _MARGIN * factor)
    return window, math.ceil(window.rows / factor), math.ceil(window.columns / factor)


def _shrunken(grid: Grid, rows: int, columns: int) -> Grid:
    left, a, b, top, d, e = grid.geotransform
    wide, high = grid.columns / columns, grid.rows / rows
    return Grid(columns, rows, (left, a * wide, b * high, top, d * wide, e * high), grid.crs)


def stored_type(image: str, bands: Sequence[int]) -> str:
    """The type that the images of a source's pairs are stored in: the raster's own where it is one of whole
    numbers that float32 holds exactly, else float32."""
    dataset = open_raster(image)
    kinds = {gdal.GetDataTypeName(dataset.GetRasterBand(band).DataType) for band in bands}
    return _STORED.get(kinds.pop(), "float32") if len(kinds) == 1 else "float32"
