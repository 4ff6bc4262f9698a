"""The grid on which two DEMs are compared, and what its pixels measure on the ground."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from osgeo import osr

from imagetodem_qgis.raster.elevation import Elevation, pixel_side
from imagetodem_qgis.raster.errors import RasterError
from imagetodem_qgis.raster.grid import Grid
from imagetodem_qgis.raster.window import covered_window

_COARSER = 1.05
"""Ratio of pixel sides from which the reference counts as the coarser of the two."""
_TRUE_SCALE = 0.02
"""Share by which a projected unit may differ from the ground's and still be taken for it: UTM's and national
grids' do by less than a thousandth, Mercator's by much more."""
_SAMPLED_ROWS = 129
_SEMI_MAJOR, _ECCENTRICITY_SQUARED = 6_378_137.0, 0.006_694_379_990_14
"""Of the WGS 84 ellipsoid, in metres."""


def common_grid(dem: Elevation, reference: Elevation) -> Grid:
    """The pixels of the coarser of two DEMs, as far as both may have heights; the first one's where they are
    alike. North is up.

    Raises:
        RasterError: they do not overlap, or one of them alone has a CRS.
    """
    if bool(dem.grid.crs) != bool(reference.grid.crs):
        without = reference.path if dem.grid.crs else dem.path
        raise RasterError(f"{without} has no coordinate reference system, the other has one: assign it")
    reference_is_coarser = pixel_side(reference.grid) > pixel_side(dem.grid) * _COARSER
    base, other = (reference, dem) if reference_is_coarser else (dem, reference)
    grid = _north_up(base.grid)
    window = _covered(other.grid, grid)
    if window is None:
        raise RasterError(f"{dem.path} and {reference.path} do not overlap: they show different places")
    return window


def _covered(other: Grid, grid: Grid) -> Grid | None:
    if not grid.crs:
        corners = [(0, 0), (other.columns, 0), (0, other.rows), (other.columns, other.rows)]
        places = [grid.to_pixels(*other.to_map(*corner)) for corner in corners]
        columns, rows = [column for column, _ in places], [row for _, row in places]
        left, top = max(0, math.floor(min(columns) + 1e-6)), max(0, math.floor(min(rows) + 1e-6))
        right = min(grid.columns, math.ceil(max(columns) - 1e-6))
        bottom = min(grid.rows, math.ceil(max(rows) - 1e-6))
        window = grid.window().__class__(top, left, max(0, bottom - top), max(0, right - left))
    else:
        window = covered_window(other, grid)
    return None if window.is_empty() else grid.cropped(window)


def _north_up(grid: Grid) -> Grid:
    """The grid itself, or one of as large pixels over the same ground whose rows go south."""
    _, a, b, _, d, e = grid.geotransform
    if a > 0.0 and e < 0.0 and b == d == 0.0:
        return grid
    corners = [(0, 0), (grid.columns, 0), (0, grid.rows), (grid.columns, grid.rows)]
    places = [grid.to_map(*corner) for corner in corners]
    left, right = min(x for x, _ in places), max(x for x, _ in places)
    bottom, top = min(y for _, y in places), max(y for _, y in places)
    wide, high = math.hypot(a, d), math.hypot(b, e)
    columns, rows = math.ceil((right - left) / wide - 1e-6), math.ceil((top - bottom) / high - 1e-6)
    return Grid(columns, rows, (left, wide, 0.0, top, 0.0, -high), grid.crs)


def steps_of(grid: Grid) -> NDArray[np.float64]:
    """Metres of a column's and of a row's step in each row, (rows, 2) float64, both positive.

    In a projected CRS that is true to scale the map's own lengths count, as they do for ``gdaldem``; else the
    ellipsoid's, row by row, since a degree and a unit of Mercator's shrink towards the poles. Without a CRS
    map units are taken for those of the heights.
    """
    _, a, b, _, d, e = grid.geotransform
    own = np.array([math.hypot(a, d), math.hypot(b, e)])
    if grid.crs:
        reference = osr.SpatialReference()
        reference.ImportFromWkt(grid.crs)
        if reference.IsProjected():
            own *= reference.GetLinearUnits()
        true = _ellipsoidal(grid, [grid.rows / 2.0])
        if true is not None and np.abs(own / true[0] - 1.0).max() > _TRUE_SCALE:
            places = np.linspace(0.5, grid.rows - 0.5, min(grid.rows, _SAMPLED_ROWS))
            sampled = _ellipsoidal(grid, list(places))
            if sampled is not None:
                rows = np.arange(grid.rows) + 0.5
                return np.stack([np.interp(rows, places, sampled[:, side]) for side in (0, 1)], axis=1)
    return np.broadcast_to(own, (grid.rows, 2)).copy()


def _ellipsoidal(grid: Grid, rows: list[float]) -> NDArray[np.float64] | None:
    """Metres of both steps in the middle of some rows; ``None`` where the CRS does not lead to the ground."""
    middle = grid.columns / 2.0
    places = [(middle + right, row + down) for row in rows for right, down in ((0, 0), (1, 0), (0, 1))]
    found = grid.to_longitude_latitude([grid.to_map(*place) for place in places])
    if found is None:
        return None
    angles = np.radians(np.array(found)).reshape(-1, 3, 2)
    latitude = angles[:, 0, 1]
    flattened = 1.0 - _ECCENTRICITY_SQUARED * np.sin(latitude) ** 2
    along_parallel = _SEMI_MAJOR / np.sqrt(flattened) * np.cos(latitude)
    along_meridian = _SEMI_MAJOR * (1.0 - _ECCENTRICITY_SQUARED) / flattened**1.5
    turns = (angles[:, 1:] - angles[:, :1] + np.pi) % (2.0 * np.pi) - np.pi
    lengths: NDArray[np.float64] = np.hypot(
        turns[..., 0] * along_parallel[:, None], turns[..., 1] * along_meridian[:, None]
    )
    return lengths
