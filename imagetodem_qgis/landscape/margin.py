"""A raster mirrored beyond its borders, so that no tile's own border lies within it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.tiling import TilePlan, Window, plan_tiles
from imagetodem_qgis.raster.dem import HeightReader
from imagetodem_qgis.raster.grid import Grid

_LONGEST_FADE = 32
"""Pixels over which one tile gives way to the next, at most. The average of two tiles is less sharp than
either: over the whole of a wide overlap, tiles' middles would stand out."""


class Margin(NamedTuple):
    """By how many pixels a raster is mirrored beyond each border."""

    rows: int
    columns: int

    def planned(self, window: Window) -> Window:
        """A window of the raster in the pixels of the mirrored one."""
        return Window(window.row + self.rows, window.column + self.columns, window.rows, window.columns)


def tile_margin(overlap: int) -> int:
    """Pixels at a tile's border that are not to be used where there are others: a quarter of the overlap,
    more of a wide one. There the colours tell of the zeros that the convolutions see beyond the tile."""
    return max(overlap // 4, (overlap - _LONGEST_FADE) // 2)


def plan_with_margin(grid: Grid, tile_size: int, overlap: int) -> tuple[TilePlan, Margin]:
    """Tiles over a raster and its mirrored margin; a raster that fits into one tile stays in one."""
    widest = tile_margin(overlap)
    margin = Margin(*(_margin(size, tile_size, widest) for size in (grid.rows, grid.columns)))
    rows, columns = grid.rows + 2 * margin.rows, grid.columns + 2 * margin.columns
    return plan_tiles(rows, columns, tile_size, overlap), margin


def _margin(size: int, tile_size: int, widest: int) -> int:
    return widest if size > tile_size else min(widest, (tile_size - size) // 2)


class MirroredReader:
    """Reads heights in the pixels of a mirrored raster.

    Args:
        reader: of the raster itself.
        grid: of the raster.
        margin: by which it is mirrored.
    """

    def __init__(self, reader: HeightReader, grid: Grid, margin: Margin) -> None:
        self._reader, self._inside, self._margin = reader, grid.window(), margin

    def read(self, window: Window) -> NDArray[np.float32]:
        """Heights in metres, (rows, columns) float32, NaN where unknown.

        Raises:
            RasterError: the pixels cannot be read.
        """
        row, column = window.row - self._margin.rows, window.column - self._margin.columns
        wanted = Window(row, column, window.rows, window.columns)
        known = wanted.intersection(self._inside)
        above, left = known.row - row, known.column - column
        below, right = window.rows - known.rows - above, window.columns - known.columns - left
        return np.pad(self._reader.read(known), ((above, below), (left, right)), mode="symmetric")
