"""Moving a DEM sideways onto its reference: xDEM finds the way, in the worker."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.evaluation.ground import steps_of
from imagetodem_qgis.evaluation.request import Move, Request
from imagetodem_qgis.prediction.request import Cancelled, Listener
from imagetodem_qgis.raster.elevation import Elevation
from imagetodem_qgis.raster.errors import RasterError
from imagetodem_qgis.raster.grid import Grid
from imagetodem_qgis.raster.polygons import BurntPolygons, transformation_between
from imagetodem_qgis.runtime.client import WorkerClient

_MOST_PIXELS = 2048 * 2048
_WINDOWS_ACROSS = 4
_GAP = 1
"""Unknown pixels between windows that are laid side by side, which keep their slopes apart."""
_FARTHEST = 50.0
"""Pixels of a move that is no longer believed: the method starts from surfaces that nearly fit."""


def coregister(
    request: Request, reference: Elevation, grid: Grid, interpreter: Path, listener: Listener
) -> Move:
    """How far the DEM must be moved to lie on its reference (Nuth & Kääb 2011).

    A raster of more than four million pixels is judged by sixteen evenly spread windows of it.

    Raises:
        RasterError: pixels cannot be read, or no believable move is found.
        WorkerError: xDEM is missing or failed.
        WorkerCancelled: the user cancelled.
        Cancelled: likewise.
    """
    dem, truth = _sample(request, reference, grid, listener)
    across, down = steps_of(grid)[grid.rows // 2]
    with WorkerClient(interpreter, listener.is_cancelled, listener.log) as worker:
        answer = worker.ask(
            {"type": "coregister", "pixel_size": [float(across), float(down)]}, [truth, dem]
        ).header
    columns, rows = answer["east"] / across, -answer["north"] / down
    if not math.hypot(columns, rows) <= _FARTHEST:
        raise RasterError(
            f"COREGISTER: the DEM would have to move by {math.hypot(columns, rows):.0f} pixels, which is no "
            "longer believable: move it by hand first, or leave COREGISTER off"
        )
    return Move(columns, rows, answer["east"], answer["north"])


def in_map_units(move: Move, grid: Grid, crs: str) -> tuple[float, float]:
    """A move on a grid, taken at its middle, in the map units of a CRS."""
    places = [
        grid.to_map(grid.columns / 2.0 + columns, grid.rows / 2.0 + rows)
        for columns, rows in ((0.0, 0.0), (move.columns, move.rows))
    ]
    if grid.crs != crs:
        transformation = transformation_between(grid.crs, crs)
        places = [transformation.TransformPoint(x, y)[:2] for x, y in places]
    (x, y), (moved_x, moved_y) = places
    return moved_x - x, moved_y - y


def _sample(
    request: Request, reference: Elevation, grid: Grid, listener: Listener
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both surfaces where they are compared: all of a small grid, windows side by side of a large one."""
    sources = [request.dem.on(grid), reference.on(grid)]
    mask = BurntPolygons(request.mask, grid) if request.mask else None
    rows = []
    for line in _windows(grid):
        pieces = []
        for window in line:
            if listener.is_cancelled():
                raise Cancelled("cancelled")
            heights = np.stack([source.read(window) * np.float64(source.unit) for source in sources])
            if mask is not None:
                heights[:, mask.read(window) == 0] = np.nan
            heights[:, ~np.isfinite(heights).all(axis=0)] = np.nan
            pieces.append(np.pad(heights, ((0, 0), (0, _GAP), (0, _GAP)), constant_values=np.nan))
        rows.append(np.concatenate(pieces, axis=2))
    dem, truth = np.concatenate(rows, axis=1)
    if not np.isfinite(dem).any():
        raise RasterError("COREGISTER: no pixel is known in both DEMs where they were looked at")
    return dem, truth


def _windows(grid: Grid) -> list[list[Window]]:
    if grid.rows * grid.columns <= _MOST_PIXELS:
        return [[grid.window()]]
    share = math.sqrt(_MOST_PIXELS / (grid.rows * grid.columns)) / _WINDOWS_ACROSS
    high, wide = max(1, int(grid.rows * share)), max(1, int(grid.columns * share))
    return [
        [Window(int(row), int(column), high, wide) for column in np.linspace(0, grid.columns - wide, 4)]
        for row in np.linspace(0, grid.rows - high, 4)
    ]
