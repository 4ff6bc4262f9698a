"""Which pixels of one raster lie over another raster, whatever their coordinate systems."""

from __future__ import annotations

import math

import numpy as np
from osgeo import osr

from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.raster.grid import Grid

_STEPS = 32
"""Places along each side of a raster: a straight border is none in another coordinate system."""

_MARGIN = 2


def window_over(grid: Grid, ground: Grid) -> Window:
    """The pixels of ``grid`` over the extent of ``ground``, and a few more; an empty window where there is
    none.

    Where one of the two has no coordinate system, its coordinates are taken for the other's.
    """
    steps = np.linspace(0.0, 1.0, _STEPS + 1)
    across, down = (places.ravel() for places in np.meshgrid(steps * ground.columns, steps * ground.rows))
    places = [ground.to_map(column, row) for column, row in zip(across.tolist(), down.tolist())]
    if grid.crs and ground.crs:
        places = _transformed(places, ground.crs, grid.crs)
    if not places:
        return Window(0, 0, 0, 0)
    columns, rows = zip(*(grid.to_pixels(x, y) for x, y in places))
    left, top = math.floor(min(columns)), math.floor(min(rows))
    right, bottom = math.ceil(max(columns)), math.ceil(max(rows))
    bare = Window(top, left, bottom - top, right - left).intersection(grid.window())
    if bare.is_empty():
        return bare
    wide = Window(
        bare.row - _MARGIN, bare.column - _MARGIN, bare.rows + 2 * _MARGIN, bare.columns + 2 * _MARGIN
    )
    return wide.intersection(grid.window())


def _transformed(places: list[tuple[float, float]], source: str, target: str) -> list[tuple[float, float]]:
    """The places that have coordinates in the target system; none where the systems have no way to each
    other."""
    systems = osr.SpatialReference(), osr.SpatialReference()
    try:
        for system, text in zip(systems, (source, target)):
            if system.ImportFromWkt(text) != 0:
                return []
            system.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
        if systems[0].IsSame(systems[1]):
            return places
        transformation = osr.CoordinateTransformation(*systems)
        moved = [transformation.TransformPoint(x, y)[:2] for x, y in places]
    except RuntimeError:
        return []
    return [(x, y) for x, y in moved if math.isfinite(x) and math.isfinite(y)]
