"""Bringing pixels from one grid to another."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal, osr

from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.raster.grid import Grid
from imagetodem_qgis.raster.image import RasterError

FloatArray = NDArray[np.float32]

_BORDER_POINTS = 21
"""Places along each side of a grid: straight in one CRS is curved in another."""
_WHOLE = 1e-3
"""By how much the weights of a pixel's known neighbours may differ from all."""


def covered_window(grid: Grid, source: Grid, margin: int = 0) -> Window:
    """The pixels of a source that a grid covers, with a margin, as far as the source has them.

    Raises:
        RasterError: the grid cannot be placed in the source's CRS.
    """
    places = [source.to_pixels(x, y) for x, y in _towards(source, _border(grid, source.crs))]
    columns, rows = [column for column, _ in places], [row for _, row in places]
    left, top = math.floor(min(columns)) - margin, math.floor(min(rows)) - margin
    right, bottom = math.ceil(max(columns)) + margin, math.ceil(max(rows)) + margin
    return Window(top, left, bottom - top, right - left).intersection(source.window())


def bounds_in(grid: Grid, crs: str) -> tuple[float, float, float, float]:
    """Least x and y, largest x and y of a grid in another CRS; raises as :func:`covered_window`."""
    places = _border(grid, crs)
    return (
        min(x for x, _ in places),
        min(y for _, y in places),
        max(x for x, _ in places),
        max(y for _, y in places),
    )


def warped(values: FloatArray, valid: NDArray[np.bool_], source: Grid, target: Grid) -> FloatArray:
    """Interpolate bands on another grid by cubic convolution, which GDAL widens where pixels become coarser.

    Args:
        values: (bands, rows, columns) float32.
        valid: (rows, columns).
        source: of the values.
        target: wanted.

    Returns:
        (bands, rows, columns) of the target, NaN where a pixel that counts is unknown.

    Raises:
        RasterError: there is no way from one grid to the other.
    """
    bands = len(values)
    given = _dataset(source, bands + 1)
    for number, band in enumerate(values, 1):
        given.GetRasterBand(number).WriteArray(np.where(valid, band, np.float32(0.0)))
    # What is interpolated of it tells where unknown pixels had a say.
    given.GetRasterBand(bands + 1).WriteArray(valid.astype(np.float32))
    made = _dataset(target, bands + 1)
    gdal.ErrorReset()
    try:
        # No approximation of the way between the grids: it may be an eighth of a pixel off.
        done = gdal.Warp(made, given, resampleAlg="cubic", errorThreshold=0.0)
    except RuntimeError as error:
        raise RasterError(f"the pixels cannot be brought to the grid: {error}") from error
    if not done:
        raise RasterError(f"the pixels cannot be brought to the grid: {gdal.GetLastErrorMsg()}")
    answer: FloatArray = made.ReadAsArray()
    known = np.abs(answer[bands] - 1.0) <= _WHOLE
    return np.where(known, answer[:bands], np.float32(np.nan))


def _dataset(grid: Grid, bands: int) -> gdal.Dataset:
    dataset = gdal.GetDriverByName("MEM").Create("", grid.columns, grid.rows, bands, gdal.GDT_Float32)
    dataset.SetGeoTransform(grid.geotransform)
    dataset.SetProjection(grid.crs)
    return dataset


def _towards(source: Grid, places: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Places with longitudes by whole turns as near to a source's middle as can be, all by as many as the one
    in their midst, which lies near the others also across the antimeridian; those of no longitude as they
    are."""
    reference = osr.SpatialReference()
    reference.SetFromUserInput(source.crs)
    if not reference.IsGeographic():
        return places
    turn = 2.0 * math.pi / reference.GetAngularUnits()
    middle = source.to_map(source.columns / 2.0, source.rows / 2.0)[0]
    own = places[len(places) // 2][0]
    nearest = own + turn * round((middle - own) / turn)
    return [(x + turn * round((nearest - x) / turn), y) for x, y in places]


def _border(grid: Grid, crs: str) -> list[tuple[float, float]]:
    """Places along a grid's border, and some inside, in another CRS."""
    steps = np.linspace(0.0, 1.0, _BORDER_POINTS)
    places = [grid.to_map(grid.columns * across, grid.rows * down) for down in steps for across in steps]
    references = []
    for text in (grid.crs, crs):
        reference = osr.SpatialReference()
        reference.SetFromUserInput(text)
        reference.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
        references.append(reference)
    try:
        transformed = osr.CoordinateTransformation(*references).TransformPoints(places)
    except RuntimeError as error:
        raise RasterError(f"the grid cannot be placed in another CRS: {error}") from error
    if not all(math.isfinite(value) for place in transformed for value in place[:2]):
        raise RasterError("the grid cannot be placed in another CRS")
    return [(place[0], place[1]) for place in transformed]
