"""Bringing pixels onto a tile's grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from imagetodem_qgis.pairs.geography import Affine, in_step, is_same_crs, well_known_text
from imagetodem_qgis.pairs.source import FloatArray, SourceError, Tile
from imagetodem_qgis.pairs.stac_planes import Planes

_AVERAGED_FROM = 1.5
"""Pixels of the file along a pixel of the tile from which they are averaged; of fewer, a cubic convolution
interpolates."""
_TOLERANCE = 0.001
"""Pixels by which the warper may take a place wrongly, to be faster."""
_WHOLE = 0.99
"""Share of a pixel's ground from which it counts as known all over."""
_OPTIONS = {
    # One plane's gap is none of another's.
    "average": ["UNIFIED_SRC_NODATA=NO"],
    # At its own width the kernel gives back an even slope as it is; GDAL would widen it for larger pixels.
    "cubic": ["UNIFIED_SRC_NODATA=NO", "XSCALE=1", "YSCALE=1"],
}


def resampled(tile: Tile, planes: Planes) -> FloatArray:
    """Planes on a tile's grid, (planes, size, size) float32; NaN where they are not known all over a pixel.

    They are averaged, or interpolated by a cubic convolution, as the sizes of the pixels ask for; those of a
    grid in step with the tile's are averaged, or taken as they are, without GDAL.

    Raises:
        SourceError: there is no way from one CRS to the other.
    """
    steps = in_step(tile, planes.crs, planes.geotransform)
    if steps is not None:
        return _means(tile, planes, *steps)
    if planes.ratio < _AVERAGED_FROM:
        return onto(tile, planes, "cubic")
    values = onto(tile, planes, "average")
    # The mean of a part of a pixel belongs to a place beside its centre.
    rim = ((0, 0), (1, 1), (1, 1))
    x, a, b, y, d, e = planes.geotransform
    known = np.pad(~np.isnan(planes.values), rim).astype(np.float32)
    shares = onto(tile, replace(planes, values=known, geotransform=(x - a, a, b, y - e, d, e)), "average")
    return np.where(shares > _WHOLE, values, np.float32(np.nan))


def nearest(tile: Tile, planes: Planes) -> FloatArray:
    """The planes' pixel under each centre of a tile's, (planes, size, size); NaN where there is none."""
    if not is_same_crs(planes.crs, tile.crs):
        return onto(tile, planes, "near")
    x, a, _, y, _, e = planes.geotransform
    steps = (np.arange(tile.size) + 0.5) * tile.resolution
    columns = np.floor((tile.origin_x + steps - x) / a).astype(int)
    rows = np.floor((tile.origin_y - steps - y) / e).astype(int)
    answer: FloatArray = np.full((len(planes.values), tile.size, tile.size), np.nan, np.float32)
    # A grid's places follow each other: those with a pixel are one run of rows and one of columns.
    down, across = (
        slice(*np.searchsorted(index, (0, end)))
        for index, end in zip((rows, columns), planes.values.shape[1:])
    )
    answer[:, down, across] = planes.values[:, rows[down]][:, :, columns[across]]
    return answer


def onto(tile: Tile, planes: Planes, method: str) -> FloatArray:
    """Planes on a tile's grid, (planes, size, size) float32, NaN where nothing is known.

    Args:
        tile: whose grid it is.
        planes: that cover it or a part of it.
        method: of GDAL's resampling: ``average``, ``cubic``, ``max`` or ``near``.

    Raises:
        SourceError: there is no way from one CRS to the other.
    """
    count, rows, columns = planes.values.shape
    source = _grid(planes.crs, planes.geotransform, count, rows, columns)
    target = _grid(tile.crs, tile.geotransform, count, tile.size, tile.size)
    for number in range(1, count + 1):
        source.GetRasterBand(number).WriteArray(planes.values[number - 1])
        # What the warper does not reach stays as it is.
        target.GetRasterBand(number).Fill(np.nan)
    # GDAL is twice as fast where it need not look for gaps, be it in the source or in the target.
    gaps = {"srcNodata": "nan", "dstNodata": "nan"} if np.isnan(planes.values).any() else {}
    try:
        done = gdal.Warp(
            target,
            source,
            resampleAlg=method,
            errorThreshold=_TOLERANCE,
            warpOptions=_OPTIONS.get(method, []),
            **gaps,
        )
    except RuntimeError:
        done = None
    if not done:
        raise SourceError(f"tile {tile.id}: its pixels cannot be brought to {tile.crs}")
    values: FloatArray = target.ReadAsArray().reshape(count, tile.size, tile.size)
    return values


def covered(tile: Tile, all_planes: Sequence[Planes]) -> NDArray[np.bool_]:
    """(size, size): where some file has a pixel, be it known or a void."""
    answer = np.zeros((tile.size, tile.size), bool)
    for planes in all_planes:
        whole = replace(planes, values=np.ones_like(planes.values[:1]))
        answer |= ~np.isnan(onto(tile, whole, "near")[0])
    return answer


def _grid(crs: str, geotransform: Affine, count: int, rows: int, columns: int) -> gdal.Dataset:
    grid = gdal.GetDriverByName("MEM").Create("", columns, rows, count, gdal.GDT_Float32)
    grid.SetGeoTransform(geotransform)
    grid.SetProjection(well_known_text(crs))
    return grid


def _means(tile: Tile, planes: Planes, times: int, column: int, row: int) -> FloatArray:
    count, rows, columns = planes.values.shape
    side = tile.size * times
    before = max(0, -row), max(0, -column)
    after = max(0, row + side - rows), max(0, column + side - columns)
    part = planes.values[:, max(0, row) : max(0, row + side), max(0, column) : max(0, column + side)]
    if any(before + after):
        rims = ((0, 0), (before[0], after[0]), (before[1], after[1]))
        part = np.pad(part, rims, constant_values=np.nan)[:, :side, :side]
    if times == 1:
        return part
    sums = sum(part[:, step::times] for step in range(1, times)) + part[:, ::times]
    sums = sum(sums[:, :, step::times] for step in range(1, times)) + sums[:, :, ::times]
    means: FloatArray = sums / np.float32(times * times)
    return means
