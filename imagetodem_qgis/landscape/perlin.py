"""A DEM of virtual terrain, block by block."""

from __future__ import annotations

import math
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.erosion import Erosion, eroded
from imagetodem_qgis.core.noise_grid import Axis
from imagetodem_qgis.core.terrain import Terrain
from imagetodem_qgis.core.tiling import Window, blocks
from imagetodem_qgis.landscape.threads import in_threads
from imagetodem_qgis.prediction.disk import check_space
from imagetodem_qgis.prediction.request import Cancelled, Listener
from imagetodem_qgis.raster.cache import small_block_cache
from imagetodem_qgis.raster.grid import Grid
from imagetodem_qgis.raster.writer import SurfaceWriter

FloatArray = NDArray[np.float32]

_BLOCK = 512
_SAMPLED_ROWS = 128
"""Rows of noise that are made between two looks at whether the user cancelled."""
_LEVELS = 7
_CELLS_A_WAVE = 4
"""Cells of the coarsest level that the longest waves must have for water to find their valleys."""
_METRES_PER_DEGREE = 111_320.0
_HAIR = 1e-6
"""Pixels by which an extent may miss a pixel's border and still count as on it."""


class Extent(NamedTuple):
    """A rectangle in map coordinates."""

    left: float
    bottom: float
    right: float
    top: float


@dataclass(frozen=True)
class Layout:
    """Where a virtual DEM's pixels lie.

    Attributes:
        grid: of the DEM.
        row: number of its first row, counted downwards from the map's origin.
        column: number of its first column, counted from the map's origin.
        resolution: side of a pixel in metres.
    """

    grid: Grid
    row: int
    column: int
    resolution: float


@dataclass(frozen=True)
class Request:
    """A virtual DEM to make.

    Attributes:
        layout: of its pixels.
        terrain: its places in metres from the map's origin.
        erosion: strength, 0 for none.
        output: of the DEM.
    """

    layout: Layout
    terrain: Terrain
    erosion: float
    output: Path


class Result(NamedTuple):
    """The least and the largest height in metres."""

    minimum: float
    maximum: float


def layout_of(extent: Extent, crs: str, resolution: float, metres: float | None) -> Layout:
    """The pixels that cover an extent, their borders at multiples of their size, so that DEMs of neighbouring
    extents with the same parameters fit together.

    Args:
        extent: with a positive width and height.
        crs: well-known text, empty for none.
        resolution: side of a pixel in metres.
        metres: of a unit of the map, ``None`` for a geographic CRS, whose pixels are as many degrees as make
            the resolution at the extent's middle.
    """
    if metres is None:
        down = resolution / _METRES_PER_DEGREE
        across = down / math.cos(math.radians((extent.bottom + extent.top) / 2.0))
    else:
        down = across = resolution / metres
    column, row = math.floor(extent.left / across + _HAIR), math.floor(-extent.top / down + _HAIR)
    columns = max(1, math.ceil(extent.right / across - _HAIR) - column)
    rows = max(1, math.ceil(-extent.bottom / down - _HAIR) - row)
    grid = Grid(columns, rows, (column * across, across, 0.0, -row * down, 0.0, -down), crs)
    return Layout(grid, row, column, resolution)


def make_dem(request: Request, listener: Listener) -> Result:
    """Write the DEM, under its name only when it is whole.

    Raises:
        Cancelled: the user cancelled.
        OSError: the disk is too small.
        RasterError: the output cannot be written.
    """
    grid, terrain = request.layout.grid, request.terrain
    check_space(request.output.parent, grid.rows * grid.columns * 4, "The DEM (OUTPUT)")
    drawn = len(terrain.fractal.drawable(request.layout.resolution))
    if drawn < terrain.fractal.octaves:
        listener.say(
            f"{drawn} of {terrain.fractal.octaves} octaves are drawn: the waves of the rest are shorter than "
            "two pixels."
        )
    windows = list(blocks(grid.rows, grid.columns, _BLOCK))
    least, largest = math.inf, -math.inf
    with ExitStack() as stack:
        stack.enter_context(small_block_cache())
        writer = stack.enter_context(
            SurfaceWriter(request.output, grid, "m", "height", _metadata(request, drawn))
        )
        made = stack.enter_context(
            closing(in_threads(lambda window: block_of(request, window, listener), windows))
        )
        for number, (window, heights) in enumerate(zip(windows, made)):
            writer.write(window, heights)
            least, largest = min(least, float(heights.min())), max(largest, float(heights.max()))
            listener.progress(100.0 * (number + 1) / len(windows))
    return Result(least, largest)


def block_of(request: Request, window: Window, listener: Listener) -> FloatArray:
    """Heights of a window of the DEM, (rows, columns) float32 in metres, the same for a pixel in any window.

    Raises:
        Cancelled: the user cancelled.
    """
    layout, terrain = request.layout, request.terrain

    def interrupt() -> None:
        if listener.is_cancelled():
            raise Cancelled()

    def sample(level: int, cells: Window) -> FloatArray:
        spacing = layout.resolution * 2.0**level
        rows, columns = Axis(cells.row, cells.rows, spacing), Axis(cells.column, cells.columns, spacing)
        heights = np.empty((cells.rows, cells.columns), np.float32)
        for start in range(0, cells.rows, _SAMPLED_ROWS):
            interrupt()
            part = rows.part(start, min(_SAMPLED_ROWS, cells.rows - start))
            heights[start : start + part.count] = terrain.heights(part, columns)
        return heights

    place = Window(window.row + layout.row, window.column + layout.column, window.rows, window.columns)
    if request.erosion > 0.0:
        heights = eroded(sample, place, _erosion(request), interrupt)
    else:
        heights = sample(0, place)
    # The sea is level.
    return np.clip(heights, np.float32(terrain.base), np.float32(terrain.base + terrain.relief))


def _erosion(request: Request) -> Erosion:
    levels, cell = 1, 2.0 * request.layout.resolution
    while levels < _LEVELS and cell * _CELLS_A_WAVE <= request.terrain.fractal.wavelength:
        levels, cell = levels + 1, 2.0 * cell
    return Erosion(request.erosion, request.layout.resolution, request.terrain.base, levels)


def _metadata(request: Request, drawn: int) -> dict[str, str]:
    """The recipe, as items of the file."""
    terrain, fractal = request.terrain, request.terrain.fractal
    return {
        "IMAGETODEM_NOISE": f"{terrain.form}, gradient noise (Perlin 2002)",
        "IMAGETODEM_SEED": str(fractal.seed),
        "IMAGETODEM_OCTAVES": f"{drawn} of {fractal.octaves}",
        "IMAGETODEM_PERSISTENCE": f"{fractal.persistence:.6g}",
        "IMAGETODEM_LACUNARITY": f"{fractal.lacunarity:.6g}",
        "IMAGETODEM_FEATURE_SIZE": f"{fractal.wavelength:.6g} m",
        "IMAGETODEM_WARP": f"{terrain.warp:.6g}",
        "IMAGETODEM_RELIEF": f"{terrain.base:.6g} to {terrain.base + terrain.relief:.6g} m",
        "IMAGETODEM_MASK": terrain.coast.kind if terrain.coast is not None else "none",
        "IMAGETODEM_EROSION": f"{request.erosion:.6g}",
    }
