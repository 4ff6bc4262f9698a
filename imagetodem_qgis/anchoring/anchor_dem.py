"""Anchor DEM: a DEM brought to known heights, from a request to a file on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.anchoring.control_points import ControlPoints, interpolated, on_grid
from imagetodem_qgis.anchoring.reference_heights import ReferenceHeights
from imagetodem_qgis.anchoring.replacement import BLOCK, Replacement
from imagetodem_qgis.core.cells import CellGrid, cell_grid
from imagetodem_qgis.core.levelling import level
from imagetodem_qgis.core.spline import ThinPlate
from imagetodem_qgis.core.tiling import Window, blocks
from imagetodem_qgis.prediction.request import Listener, going_on
from imagetodem_qgis.raster.cache import small_block_cache
from imagetodem_qgis.raster.dem import Dem, HeightReader
from imagetodem_qgis.raster.errors import RasterError
from imagetodem_qgis.raster.reference_grid import ReferenceOnGrid
from imagetodem_qgis.raster.writer import SurfaceWriter

FloatArray = NDArray[np.float32]
Step = Callable[[Window, FloatArray], FloatArray]

LOW_FREQUENCIES = "low-frequency replacement"

_MOST_CELLS = 250_000
"""Of those whose means a fit is made from."""
_SPLINE_CELLS = 40_000
_LEAST_CELL = 2.0


@dataclass(frozen=True)
class AnchorRequest:
    """A DEM to anchor.

    Attributes:
        dem: likewise.
        known: a reference DEM, or control points in the DEM's reference system.
        method: ``shift``, ``plane``, ``shift and scale`` or ``low-frequency replacement``.
        output: of the anchored DEM.
        scratch: an existing folder for temporary files.
    """

    dem: Dem
    known: ReferenceHeights | ControlPoints
    method: str
    output: Path
    scratch: Path


@dataclass(frozen=True)
class PointResidual:
    """What became of a control point.

    Attributes:
        place: map coordinates in the DEM's reference system.
        known: its height in metres.
        before: the DEM's less the known height.
        after: the anchored DEM's less the known height; of a surface that passes through all points, what it
            would be there without this point.
    """

    place: tuple[float, float]
    known: float
    before: float
    after: float


@dataclass(frozen=True)
class AnchorResult:
    """What an anchoring came to.

    Attributes:
        residual_rmse: root mean square of what is left: at the points, or between the anchored DEM and the
            reference interpolated to its pixels; metres.
        residuals: at each control point on the DEM.
    """

    residual_rmse: float
    residuals: list[PointResidual]


def anchor_dem(request: AnchorRequest, listener: Listener) -> AnchorResult:
    """Bring a DEM to known heights; ``request.output`` appears when it is whole.

    Raises:
        Cancelled: the user cancelled.
        RasterError: something cannot be read or written, or the two have nothing in common.
        ValueError: the known heights do not decide the method's numbers.
    """
    with small_block_cache():
        grid = request.dem.grid
        reader = request.dem.reader(grid.window(), grid.rows, grid.columns)
        if isinstance(request.known, ReferenceHeights):
            reference = request.known.reference.on(grid, request.scratch, going_on(listener))
            step = _towards_reference(request, reference, reader, listener)
            return AnchorResult(_write(request, reader, step, listener, reference), [])
        residuals, step = _towards_points(request, request.known, reader)
        _write(request, reader, step, listener, None)
        return AnchorResult(float(np.sqrt(np.mean([one.after**2 for one in residuals]))), residuals)


def _towards_reference(
    request: AnchorRequest, reference: ReferenceOnGrid, reader: HeightReader, listener: Listener
) -> Step:
    grid = request.dem.grid
    cell = max(_LEAST_CELL, reference.cell)
    if request.method == LOW_FREQUENCIES:
        cells_of_all = cell_grid(grid.rows, grid.columns, cell)
        replacement = Replacement(cells_of_all, reference.read, request.scratch, go_on=going_on(listener))
        for cells, pixels in replacement.windows():
            going_on(listener)()
            replacement.gather(cells, pixels, reader.read(pixels))
        replacement.finish()
        return replacement.apply
    cell = max(cell, np.sqrt(grid.rows * grid.columns / _MOST_CELLS))
    parts = []
    cells_of_all = cell_grid(grid.rows, grid.columns, cell)
    for cells, pixels in cells_of_all.windows(BLOCK):
        going_on(listener)()
        parts.append(_means(cells_of_all, cells, pixels, reader.read(pixels), reference.read(pixels)))
    samples = np.concatenate(parts)
    if not len(samples):
        raise RasterError("the DEM and the reference have no known pixel in common (REFERENCE)")
    heights, known, columns, rows, weights = samples.T
    return level(request.method, heights, known, columns, rows, weights).apply


def _means(
    grid: CellGrid, cells: Window, pixels: Window, heights: FloatArray, known: FloatArray
) -> NDArray[np.float64]:
    """Mean height, mean known height, mean column, mean row and number of the pixels of each cell that both
    know, (n, 5)."""
    both = np.isfinite(heights) & np.isfinite(known)
    row, column = np.mgrid[: pixels.rows, : pixels.columns]
    planes = (heights, known, column + pixels.column, row + pixels.row)
    count = grid.sums(both, cells).ravel()
    sums = [grid.sums(np.where(both, plane, 0.0), cells).ravel() for plane in planes]
    found = count > 0
    return np.stack([*(plane[found] / count[found] for plane in sums), count[found]], axis=1)


def _towards_points(
    request: AnchorRequest, points: ControlPoints, reader: HeightReader
) -> tuple[list[PointResidual], Step]:
    grid = request.dem.grid
    places = on_grid(points.places, grid)
    heights = np.array([_height_at(reader, grid.window(), row, column) for column, row, _ in places])
    on_known = np.isfinite(heights)
    if not on_known.any():
        raise RasterError("none of the points lies where the DEM is known (CONTROL_POINTS)")
    places, heights = places[on_known], heights[on_known]
    columns, rows, known = places.T
    before = heights - known
    if request.method == LOW_FREQUENCIES:
        spline = ThinPlate(places[:, :2], -before)
        after = -spline.left_out()
        step = _spline_step(spline, grid.rows, grid.columns)
    else:
        levelling = level(request.method, heights, known, columns, rows)
        after = levelling.at(heights, columns, rows) - known
        step = levelling.apply
    residuals = [
        PointResidual(grid.to_map(column + 0.5, row + 0.5), height, one, other)
        for column, row, height, one, other in np.stack([columns, rows, known, before, after], 1).tolist()
    ]
    return residuals, step


def _spline_step(spline: ThinPlate, rows: int, columns: int) -> Step:
    """The spline is taken at the centres of cells, and between them by cubic convolution."""
    cells = cell_grid(rows, columns, max(1.0, np.sqrt(rows * columns / _SPLINE_CELLS)))
    down = (np.arange(cells.down) + 0.5) * rows / cells.down - 0.5
    across = (np.arange(cells.across) + 0.5) * columns / cells.across - 0.5
    centres = np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2)
    nodes = spline(centres).reshape(cells.down, cells.across).astype(np.float32)

    def step(pixels: Window, heights: FloatArray) -> FloatArray:
        around = cells.around(pixels)
        part = nodes[around.within(Window(0, 0, cells.down, cells.across))]
        return heights + cells.smooth(part, around, pixels)

    return step


def _height_at(reader: HeightReader, whole: Window, row: float, column: float) -> float:
    window = Window(int(row), int(column), 2, 2).intersection(whole)
    return interpolated(reader.read(window), row - window.row, column - window.column)


def _write(
    request: AnchorRequest,
    reader: HeightReader,
    step: Step,
    listener: Listener,
    reference: ReferenceOnGrid | None,
) -> float:
    """Write the anchored DEM; returns the root mean square of its difference from the reference."""
    grid = request.dem.grid
    squares = count = 0.0
    windows = list(blocks(grid.rows, grid.columns, BLOCK))
    anchors = f"{request.known.describe()}: {request.method}"
    metadata = {"IMAGETODEM_ANCHORS": anchors, "IMAGETODEM_UNIT": "m"}
    with SurfaceWriter(request.output, grid, "m", "height", metadata) as writer:
        for number, window in enumerate(windows):
            going_on(listener)()
            heights = step(window, reader.read(window))
            writer.write(window, heights)
            if reference is not None:
                difference = heights - reference.read(window)
                difference = difference[np.isfinite(difference)].astype(np.float64)
                squares, count = squares + float(difference @ difference), count + len(difference)
            listener.progress(100.0 * (number + 1) / len(windows))
    return float(np.sqrt(squares / count)) if count else float("nan")
