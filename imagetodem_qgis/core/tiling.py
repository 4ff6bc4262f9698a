"""Cutting a raster into overlapping tiles, and the weights that blend them again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

_LEAST_WEIGHT = 1e-3


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels: the first row and column, and how many of each."""

    row: int
    column: int
    rows: int
    columns: int

    def intersection(self, other: Window) -> Window:
        """The pixels that two windows share; a window without rows or columns where they share none."""
        row, column = max(self.row, other.row), max(self.column, other.column)
        bottom = min(self.row + self.rows, other.row + other.rows)
        right = min(self.column + self.columns, other.column + other.columns)
        return Window(row, column, max(0, bottom - row), max(0, right - column))

    def widened(self, margin: int) -> Window:
        """The window with so many pixels more on each side."""
        return Window(
            self.row - margin, self.column - margin, self.rows + 2 * margin, self.columns + 2 * margin
        )

    def moved(self, rows: int, columns: int) -> Window:
        """The window so many rows further down and columns further right."""
        return Window(self.row + rows, self.column + columns, self.rows, self.columns)

    def grown(self, rows: int, columns: int, whole: Window) -> Window:
        """The window with at least so many rows and columns, or as many as ``whole`` has: as many more on
        either side as there is room for.

        Args:
            rows: wanted.
            columns: wanted.
            whole: a window that holds this one, and that the result lies in.
        """
        row, rows = _grown(self.row, self.rows, rows, whole.row, whole.rows)
        column, columns = _grown(self.column, self.columns, columns, whole.column, whole.columns)
        return Window(row, column, rows, columns)

    def is_empty(self) -> bool:
        """Whether the window holds no pixel."""
        return self.rows == 0 or self.columns == 0

    def within(self, other: Window) -> tuple[slice, slice]:
        """The slices of this window's pixels in an array that holds the pixels of ``other``."""
        row, column = self.row - other.row, self.column - other.column
        return slice(row, row + self.rows), slice(column, column + self.columns)


@dataclass(frozen=True)
class TilePlan:
    """Tiles over a raster, evenly spread, each overlapping its neighbours by at least ``overlap`` pixels.

    Attributes:
        rows: of the raster.
        columns: of the raster.
        tile_size: side of a tile in pixels. A raster smaller than a tile has tiles as small as itself, to be
            padded.
        overlap: least overlap of neighbours in pixels.
        row_starts: first row of each row of tiles.
        column_starts: first column of each column of tiles.
    """

    rows: int
    columns: int
    tile_size: int
    overlap: int
    row_starts: tuple[int, ...]
    column_starts: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.row_starts) * len(self.column_starts)

    def window(self, index: int) -> Window:
        """The pixels of a tile, counted along rows of tiles."""
        row, column = divmod(index, len(self.column_starts))
        return Window(
            self.row_starts[row],
            self.column_starts[column],
            min(self.tile_size, self.rows),
            min(self.tile_size, self.columns),
        )

    def earlier_neighbours(self, index: int) -> list[int]:
        """The tiles beside, above and diagonally above a tile that come before it and may share pixels with
        it."""
        row, column = divmod(index, len(self.column_starts))
        across = len(self.column_starts)
        candidates = ((row, column - 1), (row - 1, column - 1), (row - 1, column), (row - 1, column + 1))
        return [r * across + c for r, c in candidates if r >= 0 and 0 <= c < across]

    def touching(self, window: Window) -> list[int]:
        """The tiles that share a pixel with a window."""
        side_rows, side_columns = min(self.tile_size, self.rows), min(self.tile_size, self.columns)
        rows = _touching(self.row_starts, side_rows, window.row, window.row + window.rows)
        columns = _touching(self.column_starts, side_columns, window.column, window.column + window.columns)
        return [row * len(self.column_starts) + column for row in rows for column in columns]


def plan_tiles(rows: int, columns: int, tile_size: int, overlap: int) -> TilePlan:
    """Spread as few tiles as the overlap allows evenly over a raster.

    Args:
        rows: of the raster, at least 1.
        columns: of the raster, at least 1.
        tile_size: side of a tile in pixels.
        overlap: least overlap in pixels, 0 <= overlap < tile_size.

    Raises:
        ValueError: a size is not positive, or the overlap leaves no progress from tile to tile.
    """
    if rows < 1 or columns < 1 or tile_size < 1:
        raise ValueError(f"a raster of {rows} x {columns} cannot be cut into tiles of {tile_size}")
    if not 0 <= overlap < tile_size:
        raise ValueError(f"an overlap of {overlap} does not fit tiles of {tile_size}")
    return TilePlan(
        rows,
        columns,
        tile_size,
        overlap,
        _starts(rows, tile_size, overlap),
        _starts(columns, tile_size, overlap),
    )


def blending_weights(tile_size: int, overlap: int, margin: int = 0) -> FloatArray:
    """Weights of a tile's pixels when tiles are averaged: 1 inside, falling smoothly towards the border.

    Args:
        tile_size: side of the tile in pixels.
        overlap: of neighbouring tiles in pixels.
        margin: pixels at the border that count for next to nothing; as many again are 1 at the overlap's
            other side, so that the fall is ``overlap - 2 * margin`` wide.

    Returns:
        (tile_size, tile_size) float32, positive, symmetric. The fall is a smoothstep, so that the blended
        surface has no crease where a tile begins.
    """
    distance = np.minimum(np.arange(tile_size), np.arange(tile_size)[::-1]) + 0.5
    ramp = np.clip((distance - margin) / max(1, overlap - 2 * margin), 0.0, 1.0)
    profile = np.maximum(ramp * ramp * (3.0 - 2.0 * ramp), _LEAST_WEIGHT)
    return np.outer(profile, profile).astype(np.float32)


def blocks(rows: int, columns: int, block_size: int) -> Iterator[Window]:
    """Windows of at most block_size² that cover a raster once, row by row."""
    for row in range(0, rows, block_size):
        for column in range(0, columns, block_size):
            yield Window(row, column, min(block_size, rows - row), min(block_size, columns - column))


def pad_to_tile(array: NDArray[np.float32], tile_size: int) -> NDArray[np.float32]:
    """Extend an array (rows, columns, ...) to a tile by mirroring it at its lower and right border.

    The image goes on beyond its border the way it comes from it, which a network takes better than an edge to
    black.
    """
    rows, columns = array.shape[:2]
    if (rows, columns) == (tile_size, tile_size):
        return array
    padding = [(0, tile_size - rows), (0, tile_size - columns)] + [(0, 0)] * (array.ndim - 2)
    return np.pad(array, padding, mode="symmetric")


def _grown(first: int, size: int, wanted: int, least: int, room: int) -> tuple[int, int]:
    wanted = max(size, min(wanted, room))
    before = first - (wanted - size) // 2
    return min(max(before, least), least + room - wanted), wanted


def _starts(size: int, tile_size: int, overlap: int) -> tuple[int, ...]:
    if size <= tile_size:
        return (0,)
    count = -(-(size - overlap) // (tile_size - overlap))
    last = size - tile_size
    return tuple(round(number * last / (count - 1)) for number in range(count))


def _touching(starts: tuple[int, ...], side: int, first: int, end: int) -> list[int]:
    return [number for number, start in enumerate(starts) if start < end and start + side > first]
