"""A DEM against points of known height."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.alignment import ShiftAndScale
from imagetodem_qgis.core.metrics import error_figures
from imagetodem_qgis.core.moments import Moments
from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.evaluation.request import (
    ALIGNMENTS,
    NONE,
    SHIFT,
    SHIFT_AND_SCALE,
    ControlPoints,
    PointComparison,
)
from imagetodem_qgis.prediction.request import Cancelled, Listener
from imagetodem_qgis.raster.elevation import Elevation
from imagetodem_qgis.raster.errors import RasterError

FloatArray = NDArray[np.float64]

_ASKED = 512
"""Points after which it is asked whether to go on."""


def alignments(moments: Moments) -> dict[str, ShiftAndScale]:
    """The three alignments that moments lead to, by name."""
    return {NONE: ShiftAndScale(0.0), SHIFT: moments.shift(), SHIFT_AND_SCALE: moments.shift_and_scale()}


def compare_points(
    dem: Elevation,
    points: ControlPoints,
    align: str,
    fits: dict[str, ShiftAndScale] | None,
    listener: Listener,
) -> PointComparison:
    """Compare a DEM with points.

    Args:
        dem: to judge.
        points: to judge it by.
        align: the chosen alignment.
        fits: alignments that the points are to check; their own if there are none.
        listener: asked whether to go on.

    Raises:
        RasterError: no point lies on known pixels.
        Cancelled: the user cancelled.
    """
    sampled = heights_at(dem, points.places, listener)
    known = np.isfinite(sampled) & np.isfinite(points.heights)
    if not known.any():
        raise RasterError(
            f"CONTROL_POINTS: none of the {len(known)} points lies on a known pixel of {dem.path}"
        )
    surface, heights = sampled[known], points.heights[known]
    moments = Moments()
    moments.add(surface, heights)
    fits = fits or alignments(moments)
    figures = {name: error_figures(fits[name].apply(surface) - heights) for name in ALIGNMENTS}
    errors = fits[align].apply(surface) - heights
    return PointComparison(
        len(known), fits, figures, moments.correlation, moments.sigma_reference, heights, errors
    )


def heights_at(dem: Elevation, places: FloatArray, listener: Listener) -> FloatArray:
    """Metres of a DEM at places, interpolated bilinearly between the centres of its pixels.

    Args:
        dem: to look at.
        places: (n, 2) map coordinates in its CRS.
        listener: asked whether to go on.

    Returns:
        (n,) float64, NaN outside and beside unknown pixels.

    Raises:
        RasterError: pixels cannot be read.
        Cancelled: the user cancelled.
    """
    own = dem.on(dem.grid)
    answer = np.full(len(places), np.nan)
    for number, (x, y) in enumerate(places):
        if number % _ASKED == 0:
            if listener.is_cancelled():
                raise Cancelled("cancelled")
            listener.progress(100.0 * number / len(places))
        column, row = dem.grid.to_pixels(float(x), float(y))
        if not (0.0 <= column <= dem.grid.columns and 0.0 <= row <= dem.grid.rows):
            continue
        # Beyond the outermost centres the border's own heights go on.
        column = min(max(column - 0.5, 0.0), dem.grid.columns - 1.0)
        row = min(max(row - 0.5, 0.0), dem.grid.rows - 1.0)
        left, top = min(int(column), max(0, dem.grid.columns - 2)), min(int(row), max(0, dem.grid.rows - 2))
        window = Window(top, left, 2, 2).intersection(dem.grid.window())
        heights = own.read(window).astype(np.float64) * dem.unit
        right, down = column - left, row - top
        across = np.array([1.0 - right, right])[: window.columns]
        along = np.array([1.0 - down, down])[: window.rows]
        weights = along[:, None] * across
        # A neighbour without weight may be unknown.
        counted = np.where(weights > 0.0, heights, 0.0)
        answer[number] = float((weights * counted).sum())
    return answer
