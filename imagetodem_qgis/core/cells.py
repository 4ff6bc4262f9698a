"""Cells of many pixels over a raster: their means, and smooth surfaces through the means.

The pair of operations splits a surface into low and high frequencies at a scale of the cells' size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.tiling import Window

FloatArray = NDArray[np.float32]

MARGIN = 2
"""Cells beyond a window's own that a smooth surface through them depends on."""

BEYOND = 0.5
"""Share of the slope with which values go on beyond the outermost ones: on DEMs of the validation split it is
nearer to what is there than none or all of it, at cells of 3, 8 and 33 pixels alike."""

LEAST_KNOWN = 0.25
"""Share of a cell's pixels that must be known: a reference's pixel, however it lies to the cells, fills so
much of one."""

REACH = 6
"""Cells on which a node that keeps means depends on each side."""

_KEYS = -0.5
"""The parameter ``a`` of cubic convolution that is exact for parabolas (Keys 1981)."""


@dataclass(frozen=True)
class CellGrid:
    """Cells that divide a raster evenly, as square as that allows.

    Attributes:
        rows: of the raster, in pixels.
        columns: of the raster.
        down: cells in a column of cells.
        across: cells in a row of cells.
    """

    rows: int
    columns: int
    down: int
    across: int

    def windows(self, size: int) -> Iterator[tuple[Window, Window]]:
        """Windows of whole cells that cover the raster once: in cells, and the same in pixels.

        Args:
            size: about how many pixels a window has along each side.
        """
        high = max(1, int(size * self.down / self.rows))
        wide = max(1, int(size * self.across / self.columns))
        for row in range(0, self.down, high):
            for column in range(0, self.across, wide):
                cells = Window(row, column, min(high, self.down - row), min(wide, self.across - column))
                yield cells, self.pixels(cells)

    def pixels(self, cells: Window) -> Window:
        """The pixels of a window of cells."""
        top, bottom = (self._edge(row, self.rows, self.down) for row in (cells.row, cells.row + cells.rows))
        left, right = (
            self._edge(column, self.columns, self.across)
            for column in (cells.column, cells.column + cells.columns)
        )
        return Window(top, left, bottom - top, right - left)

    def around(self, pixels: Window) -> Window:
        """The cells that a smooth surface over a window of pixels depends on."""
        first_row, end_row = self._reach(pixels.row, pixels.rows, self.rows, self.down)
        first_column, end_column = self._reach(pixels.column, pixels.columns, self.columns, self.across)
        return Window(first_row, first_column, end_row - first_row, end_column - first_column)

    def sums(self, values: NDArray[np.floating], cells: Window) -> NDArray[np.float64]:
        """Sums over cells.

        Args:
            values: (rows, columns) of the pixels of ``cells``.
            cells: the window of cells.
        """
        window = self.pixels(cells)
        down = [
            self._edge(cells.row + number, self.rows, self.down) - window.row for number in range(cells.rows)
        ]
        across = [
            self._edge(cells.column + number, self.columns, self.across) - window.column
            for number in range(cells.columns)
        ]
        rows = np.add.reduceat(values, down, axis=0, dtype=np.float64)
        return np.asarray(np.add.reduceat(rows, across, axis=1))

    def smooth(self, means: FloatArray, cells: Window, pixels: Window, linear: bool = False) -> FloatArray:
        """A smooth surface through the means of cells: cubic convolution (Keys 1981).

        Args:
            means: of the window ``cells``, as :meth:`around` gives it for ``pixels``.
            cells: where they lie.
            pixels: where the surface is wanted.
            linear: interpolate linearly instead, which does not overshoot.

        Returns:
            (rows, columns) float32.
        """
        down = _interpolation(pixels.row, pixels.rows, self.down / self.rows, cells.row, cells.rows, linear)
        across = _interpolation(
            pixels.column, pixels.columns, self.across / self.columns, cells.column, cells.columns, linear
        )
        return np.asarray(down @ means @ across.T, np.float32)

    @staticmethod
    def _edge(number: int, pixels: int, cells: int) -> int:
        return (number * pixels) // cells

    @staticmethod
    def _reach(first: int, count: int, pixels: int, cells: int) -> tuple[int, int]:
        start = int(np.floor((first + 0.5) * cells / pixels - 0.5)) - 1
        end = int(np.floor((first + count - 0.5) * cells / pixels - 0.5)) + 1 + MARGIN
        return max(0, start), min(cells, end)


def cell_grid(rows: int, columns: int, cell: float) -> CellGrid:
    """Cells as near as possible to a side of ``cell`` pixels, at least one pixel."""
    down, across = (max(1, min(side, round(side / cell))) for side in (rows, columns))
    return CellGrid(rows, columns, down, across)


def mean_preserving(means: FloatArray) -> FloatArray:
    """Nodes of which cubic convolution makes a surface with the given means over cells.

    Cubic convolution through the means themselves cuts off peaks: the means of what it gives are those of the
    five nodes around with the weights that its kernel's integrals are. Three steps of van Cittert's iteration
    undo that.

    Args:
        means: (rows, columns), all known.
    """
    nodes = means
    for _ in range(3):
        nodes = nodes + (means - _means_of_cubic(nodes))
    return nodes


def departures(means: NDArray[np.floating]) -> NDArray[np.float64]:
    """Differences of cells, all but the outermost, from the means of their 3 × 3 neighbourhoods.

    Args:
        means: (rows, columns), NaN where unknown.

    Returns:
        (rows - 2, columns - 2), NaN where one of the nine is unknown; empty for fewer than three cells.
    """
    rows, columns = means.shape
    around = np.zeros((max(0, rows - 2), max(0, columns - 2)))
    for down in range(3):
        for right in range(3):
            around += means[down : down + around.shape[0], right : right + around.shape[1]]
    return np.asarray(means[1:-1, 1:-1] - around / 9.0)


def _interpolation(
    first: int, count: int, cells_per_pixel: float, first_cell: int, cells: int, linear: bool
) -> FloatArray:
    """The matrix (count, cells) that takes values at the cells' centres to pixels' centres. Beyond the
    outermost centres the values go on at a share of their slope, or with linear interpolation as they are."""
    place = (np.arange(first, first + count) + 0.5) * cells_per_pixel - 0.5 - first_cell
    nearest = np.floor(place).astype(np.int64)
    matrix = np.zeros((count, cells), np.float32)
    lines = np.arange(count)
    for offset in (0, 1) if linear else (-1, 0, 1, 2):
        node = nearest + offset
        distance = np.abs(place - node)
        weight = np.maximum(0.0, 1.0 - distance) if linear else _keys(distance)
        inside = np.clip(node, 0, cells - 1)
        beyond = np.zeros(count) if linear or cells == 1 else BEYOND * np.abs(node - inside)
        inward = np.where(inside == 0, min(1, cells - 1), cells - 2)
        np.add.at(matrix, (lines, inside), (weight * (1.0 + beyond)).astype(np.float32))
        np.add.at(
            matrix, (lines, np.where(beyond > 0, inward, inside)), (-weight * beyond).astype(np.float32)
        )
    return matrix


def _continued(values: FloatArray, axis: int) -> FloatArray:
    """Values with two more on each side along an axis."""
    last = values.shape[axis] - 1

    def beyond(end: int, inner: int, steps: int) -> FloatArray:
        edge = np.take(values, [end], axis)
        rise = edge - np.take(values, [inner], axis)
        return np.asarray(edge + np.float32(BEYOND * steps) * rise)

    before = [beyond(0, min(1, last), steps) for steps in (2, 1)]
    after = [beyond(last, max(0, last - 1), steps) for steps in (1, 2)]
    return np.concatenate([*before, values, *after], axis=axis)


def _keys(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kernel of cubic convolution, Keys 1981, eq. 15."""
    near = ((_KEYS + 2.0) * distance - (_KEYS + 3.0)) * distance**2 + 1.0
    far = ((_KEYS * distance - 5.0 * _KEYS) * distance + 8.0 * _KEYS) * distance - 4.0 * _KEYS
    return np.where(distance < 1.0, near, np.where(distance < 2.0, far, 0.0))


def _kernel_means() -> tuple[float, float, float]:
    """Integrals of the kernel over a cell that lies 0, 1 and 2 cells from the node."""
    near = np.polynomial.Polynomial([1.0, 0.0, -(_KEYS + 3.0), _KEYS + 2.0]).integ()
    far = np.polynomial.Polynomial([-4.0 * _KEYS, 8.0 * _KEYS, -5.0 * _KEYS, _KEYS]).integ()
    return (
        float(2.0 * (near(0.5) - near(0.0))),
        float(near(1.0) - near(0.5) + far(1.5) - far(1.0)),
        float(far(2.0) - far(1.5)),
    )


_MEANS = _kernel_means()


def _means_of_cubic(nodes: FloatArray) -> FloatArray:
    """Means over cells of the surface that cubic convolution makes of nodes."""
    result = nodes
    for axis in (0, 1):
        wide = _continued(result, axis)
        size = result.shape[axis]
        shifted = [np.take(wide, range(start, start + size), axis) for start in range(5)]
        result = (
            _MEANS[0] * shifted[2]
            + _MEANS[1] * (shifted[1] + shifted[3])
            + _MEANS[2] * (shifted[0] + shifted[4])
        )
    return np.asarray(result, np.float32)
