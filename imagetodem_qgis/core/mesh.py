"""A surface of few triangles over a grid of heights, without cracks.

The triangles are those of a right-triangulated irregular network (Evans, Kirkpatrick & Townsend 2001):
squares halved along a diagonal, and each triangle halved again at the middle of its longest side where that
middle's height is far from the mean of the side's ends. A middle's error counts as at least that of all
middles that need it (the saturated errors of Lindstrom & Pascucci 2002), so that one threshold splits both
triangles at a side or none: no edge of one triangle ever meets a lone vertex of another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Callable

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
IndexArray = NDArray[np.int64]

_ROOTS = 16
"""Most root squares along the longer side: the more there are, the less of them lies beyond the grid."""

LEAST_BUDGET = 2000
"""Triangles that are enough for the root squares and their clipping."""


@dataclass(frozen=True)
class Mesh:
    """Triangles over a grid.

    Attributes:
        columns: (n,) of the vertices, whole pixels.
        rows: (n,) likewise.
        heights: (n,) float32 of the vertices.
        triangles: (m, 3) numbers of vertices, counter-clockwise seen from above with row 0 at the top.
        largest_error: between the triangles and the grid, over the pixels that count.
        rms_error: root mean square, likewise.
    """

    columns: IndexArray
    rows: IndexArray
    heights: FloatArray
    triangles: IndexArray
    largest_error: float
    rms_error: float


def simplify(
    heights: FloatArray, counted: BoolArray, budget: int, checkpoint: Callable[[], None] = lambda: None
) -> Mesh:
    """Triangulate a grid with the middles of its pixels as possible vertices, most where it is least even.

    Args:
        heights: (rows, columns) float32, both at least 2, finite everywhere.
        counted: (rows, columns), the pixels to which the triangles shall come near.
        budget: most triangles, at least ``LEAST_BUDGET``.
        checkpoint: called again and again; what it raises ends the work.

    Raises:
        ValueError: the grid is a single row or column of pixels, or the budget is too small.
    """
    rows, columns = heights.shape
    if min(rows, columns) < 2:
        raise ValueError(f"a grid of {rows} x {columns} pixels spans no area")
    if budget < LEAST_BUDGET:
        raise ValueError(f"{budget} triangles are too few: at least {LEAST_BUDGET} are needed")
    side = 1 << (-(-(max(rows, columns) - 1) // _ROOTS) - 1).bit_length()
    down, across = -(-(rows - 1) // side), -(-(columns - 1) // side)
    beyond = ((0, down * side + 1 - rows), (0, across * side + 1 - columns))
    lattice = np.pad(heights, beyond, mode="edge")
    errors = _saturated_errors(lattice, np.pad(counted, beyond), side, checkpoint)
    inside = errors[:rows, :columns]
    wanted = budget
    while True:
        active = errors > _threshold(inside, (wanted - 2 * down * across) // 2)
        triangles = _clipped(_leaves(active, side, checkpoint), lattice.shape[1], rows, columns)
        if len(triangles) <= budget:
            break
        wanted -= len(triangles) - budget + 8
    surface = _surface(lattice, active, side)
    checkpoint()
    error = np.abs(surface[:rows, :columns] - heights)[counted].astype(np.float64)
    used, numbers = np.unique(triangles, return_inverse=True)
    used_rows, used_columns = np.divmod(used, lattice.shape[1])
    return Mesh(
        used_columns,
        used_rows,
        surface.ravel()[used],
        numbers.reshape(-1, 3),
        float(error.max(initial=0.0)),
        float(np.sqrt(np.mean(error**2))) if error.size else 0.0,
    )


def _steps(side: int) -> list[int]:
    """Sides of the squares from the finest that have a middle, 2, to the roots'."""
    return [1 << power for power in range(1, side.bit_length())]


def _side_means(surface: FloatArray, step: int) -> FloatArray:
    """Means of the ends of all horizontal sides of length ``step``."""
    means: FloatArray = (surface[::step, :-1:step] + surface[::step, step::step]) * np.float32(0.5)
    return means


def _diagonal_means(surface: FloatArray, step: int) -> FloatArray:
    """Means of the ends of the diagonal that halves each square of side ``step``.

    Squares alternate: a square's diagonal comes from the middle of the larger square that holds it.
    """
    falling = (surface[:-1:step, :-1:step] + surface[step::step, step::step]) * np.float32(0.5)
    rising = (surface[:-1:step, step::step] + surface[step::step, :-1:step]) * np.float32(0.5)
    row, column = np.indices(falling.shape, sparse=True)
    means: FloatArray = np.where((row + column) % 2 == 0, falling, rising)
    return means


def _saturated_errors(
    lattice: FloatArray, counted: BoolArray, side: int, checkpoint: Callable[[], None]
) -> FloatArray:
    """Each vertex's distance from the mean of its side's ends, or the largest one of those that need it."""
    errors = np.zeros_like(lattice)
    for step in _steps(side):
        half = step // 2
        for surface, count, error in ((lattice, counted, errors), (lattice.T, counted.T, errors.T)):
            own = np.abs(surface[::step, half::step] - _side_means(surface, step))
            own *= count[::step, half::step]
            if half > 1:
                middles = error[half // 2 :: half, half // 2 :: half]
                beside = np.pad(np.maximum(middles[:, ::2], middles[:, 1::2]), ((1, 1), (0, 0)))
                own = np.maximum(own, np.maximum(beside[::2], beside[1::2]))
            error[::step, half::step] = own
            checkpoint()
        own = np.abs(lattice[half::step, half::step] - _diagonal_means(lattice, step))
        own *= counted[half::step, half::step]
        level, upright = errors[::step, half::step], errors[half::step, ::step]
        for sides in (level[:-1], level[1:], upright[:, :-1], upright[:, 1:]):
            own = np.maximum(own, sides)
        errors[half::step, half::step] = own
        checkpoint()
    return errors


def _threshold(errors: FloatArray, splits: int) -> float:
    """The error above which at most ``splits`` vertices lie."""
    if splits < 1:
        return float("inf")
    if splits >= errors.size:
        return 0.0
    place = errors.size - 1 - splits
    return float(np.partition(errors, place, axis=None)[place])


def _leaves(active: BoolArray, side: int, checkpoint: Callable[[], None]) -> IndexArray:
    """The triangles that are not split, (n, 3) places in the flattened lattice."""
    stride = active.shape[1]
    split = active.ravel()
    down, across = (active.shape[0] - 1) // side, (stride - 1) // side
    row, column = (places.ravel() for places in np.indices((down, across)))
    upper_left = (row * stride + column) * side
    upper_right, lower_left = upper_left + side, upper_left + side * stride
    lower_right = lower_left + side
    falling = (row + column) % 2 == 0
    current = np.concatenate(
        [
            np.stack([upper_left, lower_right, upper_right], axis=1)[falling],
            np.stack([lower_right, upper_left, lower_left], axis=1)[falling],
            np.stack([lower_left, upper_right, upper_left], axis=1)[~falling],
            np.stack([upper_right, lower_left, lower_right], axis=1)[~falling],
        ]
    )
    whole = []
    for _ in range(2 * (side.bit_length() - 1)):
        checkpoint()
        middle = (current[:, 0] + current[:, 1]) // 2
        divided = split[middle]
        whole.append(current[~divided])
        (start, end, apex), middle = current[divided].T, middle[divided]
        current = np.concatenate(
            [np.stack([apex, start, middle], axis=1), np.stack([end, apex, middle], axis=1)]
        )
    return np.concatenate([*whole, current])


def _surface(lattice: FloatArray, active: BoolArray, side: int) -> FloatArray:
    """The triangles' heights at all vertices: a vertex that is not used lies on the middle of its side."""
    surface = lattice.copy()
    for step in reversed(_steps(side)):
        half = step // 2
        centres, sides = np.s_[half::step, half::step], np.s_[::step, half::step]
        surface[centres] = np.where(active[centres], lattice[centres], _diagonal_means(surface, step))
        for view, used, exact in ((surface, active, lattice), (surface.T, active.T, lattice.T)):
            view[sides] = np.where(used[sides], exact[sides], _side_means(view, step))
    return surface


def _clipped(triangles: IndexArray, stride: int, rows: int, columns: int) -> IndexArray:
    """What of the triangles lies over the grid, cut along its right and lower border.

    All sides run along rows, columns or diagonals, so that they meet the border at whole pixels.
    """
    row, column = np.divmod(triangles, stride)
    last_row, last_column = rows - 1, columns - 1
    touching = (row.min(axis=1) < last_row) & (column.min(axis=1) < last_column)
    whole = touching & (row.max(axis=1) <= last_row) & (column.max(axis=1) <= last_column)
    crossing = np.stack([column, row], axis=-1)[touching & ~whole]
    pieces = [
        [corner[1] * stride + corner[0] for corner in piece]
        for triangle in crossing.tolist()
        for piece in _fan(_cut(_cut(triangle, 0, last_column), 1, last_row))
    ]
    return np.concatenate([triangles[whole], np.array(pieces, np.int64).reshape(-1, 3)])


def _cut(polygon: list[list[int]], axis: int, limit: int) -> list[list[int]]:
    """The part of a convex polygon whose coordinate along an axis is at most ``limit`` (Sutherland & Hodgman
    1974)."""
    kept = []
    for start, end in zip(polygon, [*polygon[1:], *polygon[:1]]):
        if start[axis] <= limit:
            kept.append(start)
        if (start[axis] < limit < end[axis]) or (end[axis] < limit < start[axis]):
            along = (limit - start[axis]) * (end[1 - axis] - start[1 - axis]) // (end[axis] - start[axis])
            crossing = [limit, limit]
            crossing[1 - axis] = start[1 - axis] + along
            kept.append(crossing)
    return kept


def _fan(polygon: list[list[int]]) -> Iterator[list[list[int]]]:
    """Triangles of a convex polygon, but for those without an area."""
    for second, third in zip(polygon[1:], polygon[2:]):
        first = polygon[0]
        doubled = (second[0] - first[0]) * (third[1] - first[1])
        doubled -= (third[0] - first[0]) * (second[1] - first[1])
        if doubled != 0:
            yield [first, second, third]
