"""The first pass: both DEMs onto one grid, and the moments from which the alignments follow."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.moments import Moments, PlaneFit
from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.evaluation.planes import OUTSIDE, Planes
from imagetodem_qgis.evaluation.request import Request
from imagetodem_qgis.prediction.request import Cancelled, Listener
from imagetodem_qgis.raster.elevation import Elevation
from imagetodem_qgis.raster.errors import RasterError
from imagetodem_qgis.raster.grid import Grid
from imagetodem_qgis.raster.polygons import BurntPolygons

TILE = 256
"""Side in pixels of the tiles that are aligned one by one."""

_BAND_ROWS = 2 * TILE
_PIECE_COLUMNS = 1024
_LEAST_SIGMA = 5.0
"""Metres of a tile's own standard deviation below which ratios to it say nothing."""


@dataclass
class Gathered:
    """What the first pass found.

    Attributes:
        moments: of all compared pixels.
        plane: nearest to the reference.
        squares_left: sum of squared errors after the best shift and scale of each tile.
        ratios: of each tile with enough relief, the RMSE so left by the tile's standard deviation.
    """

    moments: Moments
    plane: PlaneFit
    squares_left: float = 0.0
    ratios: list[float] = field(default_factory=list)

    def add(self, row: int, dem: NDArray[np.float64], reference: NDArray[np.float64]) -> None:
        """Take in whole rows, the first of which is ``row``; NaN in either where it is not compared."""
        for top in range(0, dem.shape[0], TILE):
            for left in range(0, dem.shape[1], TILE):
                part = np.s_[top : top + TILE, left : left + TILE]
                known = np.isfinite(dem[part] - reference[part])
                rows, columns = (place.astype(np.float64) for place in np.nonzero(known))
                truth = reference[part][known]
                self.plane.add(rows + row + top, columns + left, truth)
                self._add_tile(dem[part][known], truth)

    def _add_tile(self, dem: NDArray[np.float64], reference: NDArray[np.float64]) -> None:
        moments = Moments()
        moments.add(dem, reference)
        if not moments.count:
            return
        self.moments.merge(moments)
        left_over = moments.squares_left()
        self.squares_left += left_over
        if moments.sigma_reference >= _LEAST_SIGMA:
            self.ratios.append(math.sqrt(left_over / moments.count) / moments.sigma_reference)


def gather(
    request: Request, reference: Elevation, grid: Grid, planes: Planes, listener: Listener
) -> Gathered:
    """Bring both DEMs onto the grid and keep them.

    Raises:
        RasterError: pixels cannot be read, or none is known in both.
        Cancelled: the user cancelled.
    """
    sources = [request.dem.on(grid), reference.on(grid)]
    zones = BurntPolygons(request.zones, grid) if request.zones else None
    mask = BurntPolygons(request.mask, grid) if request.mask else None
    gathered = Gathered(Moments(), PlaneFit(grid.rows, grid.columns))
    unmasked = 0
    for top in range(0, grid.rows, _BAND_ROWS):
        rows = min(_BAND_ROWS, grid.rows - top)
        band = Window(top, 0, rows, grid.columns)
        heights = [np.empty((rows, grid.columns), source.dtype) for source in sources]
        numbers = np.zeros((rows, grid.columns), np.uint16)
        for left in range(0, grid.columns, _PIECE_COLUMNS):
            if listener.is_cancelled():
                raise Cancelled("cancelled")
            window = Window(top, left, rows, min(_PIECE_COLUMNS, grid.columns - left))
            here = window.within(band)
            for into, source in zip(heights, sources):
                into[here] = source.read(window)
            if zones is not None:
                numbers[here] = zones.read(window)
            if mask is not None:
                numbers[here][mask.read(window) == 0] = OUTSIDE
        planes.write(top, heights[0], heights[1], numbers)
        unmasked += int((np.isfinite(heights[0]) & np.isfinite(heights[1])).sum())
        for start in range(top, top + rows, TILE):
            dem, other = planes.heights(start, min(start + TILE, top + rows))
            dem[numbers[start - top : start - top + TILE] == OUTSIDE] = np.nan
            gathered.add(start, dem, other)
        listener.progress(100.0 * (top + rows) / grid.rows)
    if not gathered.moments.count:
        raise RasterError(_nothing_in_common(request, reference, unmasked))
    return gathered


def _nothing_in_common(request: Request, reference: Elevation, unmasked: int) -> str:
    if unmasked:
        return "MASK: no pixel that is known in both DEMs lies inside the mask's polygons"
    return (
        f"{request.dem.path} and {reference.path} overlap, but no pixel is known in both: where one has "
        "heights, the other is nodata"
    )
