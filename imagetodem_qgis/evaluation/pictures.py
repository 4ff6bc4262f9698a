"""Both surfaces in few pixels for the report, and the raster of differences in all."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.alignment import ShiftAndScale
from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.evaluation.planes import Planes
from imagetodem_qgis.evaluation.request import Pictures
from imagetodem_qgis.prediction.request import Cancelled, Listener
from imagetodem_qgis.raster.grid import Grid
from imagetodem_qgis.raster.whole_file import BLOCK_SIZE
from imagetodem_qgis.raster.writer import SurfaceWriter

FloatArray = NDArray[np.float64]

_LONGEST_SIDE = 640
_PROFILE_POINTS = 800


def draw(planes: Planes, steps: FloatArray, fit: ShiftAndScale, listener: Listener) -> Pictures:
    """Means over squares of pixels, and heights along the diagonal.

    Args:
        planes: both surfaces.
        steps: metres of a column's and of a row's step in each row, (rows, 2).
        fit: the chosen alignment.
        listener: asked whether to go on.

    Raises:
        Cancelled: the user cancelled.
    """
    side = max(1, math.ceil(max(planes.rows, planes.columns) / _LONGEST_SIDE))
    count = min(_PROFILE_POINTS, max(planes.rows, planes.columns))
    rows = np.linspace(0, planes.rows - 1, count).round().astype(int)
    columns = np.linspace(0, planes.columns - 1, count).round().astype(int)
    profile = np.full((2, count), np.nan)
    parts = []
    for start, stop in planes.strips(side):
        if listener.is_cancelled():
            raise Cancelled("cancelled")
        dem, reference = planes.heights(start, stop)
        known = planes.compared(start, dem, reference)
        dem = fit.apply(dem)
        here = (rows >= start) & (rows < stop)
        place = rows[here] - start, columns[here]
        profile[:, here] = np.where(known[place], [dem[place], reference[place]], np.nan)
        # Each surface is shown where it is known, the difference where both are.
        shown = (dem, reference, np.where(known, dem - reference, np.nan))
        parts.append([_means(surface, side) for surface in shown])
    dem, reference, difference = (np.concatenate(surface) for surface in zip(*parts))
    middle = steps[planes.rows // 2]
    walked = np.hypot(columns * middle[0], rows * middle[1])
    return Pictures(dem, reference, difference, (side * middle[0], side * middle[1]), walked, profile)


def _means(heights: FloatArray, side: int) -> FloatArray:
    """Means of the known pixels of squares; those at the right and lower border may be narrower."""
    if side == 1:
        return heights
    known = np.isfinite(heights)
    sums, counts = (
        np.add.reduceat(
            np.add.reduceat(values, np.arange(0, values.shape[0], side), axis=0),
            np.arange(0, values.shape[1], side),
            axis=1,
        )
        for values in (np.where(known, heights, 0.0), known.astype(np.float64))
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        means: FloatArray = sums / counts
    return means


def write_difference(
    planes: Planes, grid: Grid, fit: ShiftAndScale, path: Path, metadata: dict[str, str], listener: Listener
) -> None:
    """Write the aligned DEM less its reference, in metres.

    Raises:
        RasterError: the disk is full or gone.
        Cancelled: the user cancelled.
    """
    with SurfaceWriter(path, grid, "m", "DEM minus reference", metadata) as writer:
        for top in range(0, grid.rows, BLOCK_SIZE):
            rows = min(BLOCK_SIZE, grid.rows - top)
            for start in range(top, top + rows, _rows_at_once(grid)):
                if listener.is_cancelled():
                    raise Cancelled("cancelled")
                stop = min(top + rows, start + _rows_at_once(grid))
                dem, reference = planes.heights(start, stop)
                errors = fit.apply(dem) - reference
                errors[~planes.compared(start, dem, reference)] = np.nan
                writer.write(Window(start, 0, stop - start, grid.columns), errors.astype(np.float32))
            listener.progress(100.0 * (top + rows) / grid.rows)


def _rows_at_once(grid: Grid) -> int:
    return max(1, min(BLOCK_SIZE, 4_000_000 // grid.columns))
