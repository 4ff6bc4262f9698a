"""Hydraulic erosion of a landscape of any size: running water cuts valleys, slopes creep, hollows fill.

Water runs from each cell to its lower neighbours in proportion to their slopes (Freeman 1991, *Calculating
catchment area with divergent flow based on a regular grid*), gathering the area drained, A. It lowers the
ground by the stream power law dz/dt = -K·√A·S (Howard 1994; Whipple & Tucker 1999), here as one implicit step
towards the lowest neighbour, z ← (z + F·z_lowest) / (1 + F) with F = K·√A / d (after Braun & Willett 2013,
eq. 10), which no strength makes unstable.

How far water has come is known only from afar, and that would bind a pixel to the whole landscape. Here it is
bound to a neighbourhood: the landscape is eroded at several resolutions, coarse to fine, a few steps each.
Every level hands the next its change of the ground and the area drained. So a block and a margin tell all,
and a pixel comes out the same whatever block it is in: all is done cell by cell in float32 with operations
that IEEE 754 rounds alike on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.tiling import Window

FloatArray = NDArray[np.float32]
Sample = Callable[[int, Window], FloatArray]
"""Takes a level and a window of its cells, 2**level pixels long, counted from the same corner as the pixels;
answers with the heights at their middles in metres, (rows, columns) float32. It is asked for windows beyond
any extent."""

_STEPS = 16
"""At each level."""
_REACH = 2 * _STEPS
"""Cells from which a step takes two, the neighbours' neighbours, whose slopes share out their water."""
_STRENGTH = np.float32(0.05)
_CREEP = np.float32(0.02)
"""Share of the difference from the neighbours' mean that creeps away at each step (Culling 1960)."""
_FILL = np.float32(0.5)
"""Share of a hollow's depth below its lowest neighbour that sediment fills at each step."""
_DIAGONAL = np.float32(0.70710678)
_NEIGHBOURS = tuple(
    (down, right, np.float32(1.0) if 0 in (down, right) else _DIAGONAL)
    for down in (-1, 0, 1)
    for right in (-1, 0, 1)
    if (down, right) != (0, 0)
)
"""Steps to the eight neighbours, and one over the distance in cells."""


@dataclass(frozen=True)
class Erosion:
    """How a landscape is eroded.

    Attributes:
        strength: 0 for none, 1 for an old landscape.
        spacing: side of a pixel in metres.
        sea: height in metres below which nothing is eroded.
        levels: resolutions, each half as fine as the one before.
    """

    strength: float
    spacing: float
    sea: float = -np.inf
    levels: int = 7


class _Eroded(NamedTuple):
    """A window's heights, their change and the area drained in m², (rows, columns) float32."""

    heights: FloatArray
    change: FloatArray
    drained: FloatArray


def eroded(
    sample: Sample, window: Window, erosion: Erosion, interrupt: Callable[[], None] = lambda: None
) -> FloatArray:
    """Heights of a window after erosion, (rows, columns) float32 in metres.

    Args:
        sample: the landscape before.
        window: of pixels, anywhere.
        erosion: how.
        interrupt: called between steps; what it raises ends the work.
    """
    return _eroded(sample, window, 0, erosion, interrupt).heights


def _eroded(
    sample: Sample, window: Window, level: int, erosion: Erosion, interrupt: Callable[[], None]
) -> _Eroded:
    wide = _grown(window, _REACH)
    before = sample(level, wide)
    spacing = np.float32(erosion.spacing * 2.0**level)
    heights, drained = before, np.zeros(before.shape, np.float32)
    if level + 1 < erosion.levels:
        coarse = _halved(wide)
        above = _eroded(sample, coarse, level + 1, erosion, interrupt)
        heights = before + _doubled(above.change, coarse, wide)
        # A coarse cell's water enters by two fine ones.
        drained = np.float32(0.5) * _doubled(above.drained, coarse, wide)
    strength = np.float32(erosion.strength) * _STRENGTH
    for _ in range(_STEPS):
        interrupt()
        heights, drained = _step(heights, drained, spacing, strength, np.float32(erosion.sea))
    inside = window.within(wide)
    return _Eroded(heights[inside], (heights - before)[inside], drained[inside])


def _step(
    heights: FloatArray, drained: FloatArray, spacing: np.float32, strength: np.float32, sea: np.float32
) -> tuple[FloatArray, FloatArray]:
    padded = np.pad(heights, 1, mode="edge")
    falls = np.zeros_like(heights)
    lowest = np.full_like(heights, np.inf)
    mean = np.zeros_like(heights)
    for down, right, nearness in _NEIGHBOURS:
        neighbour = _neighbour(padded, down, right)
        np.minimum(lowest, neighbour, out=lowest)
        if nearness == 1.0:
            mean += neighbour
        falls += np.maximum(heights - neighbour, np.float32(0.0)) * nearness
    # Where nothing falls away the water stays.
    shares = np.pad(np.divide(drained, falls, out=np.zeros_like(falls), where=falls > 0), 1)
    gathered = np.full_like(heights, spacing * spacing)
    for down, right, nearness in _NEIGHBOURS:
        rise = np.maximum(_neighbour(padded, down, right) - heights, np.float32(0.0))
        rise *= nearness
        rise *= _neighbour(shares, down, right)
        gathered += rise
    # What a cell gathers by itself makes no channel: crests stay.
    power = strength * (np.sqrt(gathered) - spacing) / spacing
    # A valley is cut no lower than the sea.
    lowest_ground = np.maximum(lowest, sea)
    cut = np.where(lowest_ground < heights, (heights + power * lowest_ground) / (1 + power), heights)
    cut += np.where(lowest > heights, _FILL * (lowest - heights), np.float32(0.0))
    cut += _CREEP * (np.float32(0.25) * mean - heights)
    return np.where(heights > sea, cut, heights), gathered


def _neighbour(padded: FloatArray, down: int, right: int) -> FloatArray:
    rows, columns = padded.shape
    return padded[1 + down : rows - 1 + down, 1 + right : columns - 1 + right]


def _grown(window: Window, cells: int) -> Window:
    return Window(
        window.row - cells, window.column - cells, window.rows + 2 * cells, window.columns + 2 * cells
    )


def _halved(window: Window) -> Window:
    """The coarse cells from which a window's are interpolated."""
    row, column = (window.row - 1) // 2, (window.column - 1) // 2
    bottom, right = (window.row + window.rows) // 2, (window.column + window.columns) // 2
    return Window(row, column, bottom - row + 1, right - column + 1)


def _doubled(coarse: FloatArray, place: Window, window: Window) -> FloatArray:
    """Interpolate coarse cells at the middles of a window's: three quarters of the nearer and a quarter of
    the next, along both axes, which repeated from level to level tends to a quadratic spline (Chaikin
    1974)."""
    for axis, first, start, count in (
        (0, place.row, window.row, window.rows),
        (1, place.column, window.column, window.columns),
    ):
        fine = np.arange(start, start + count)
        own = fine // 2
        beside = own + np.where(fine % 2, 1, -1)
        coarse = np.float32(0.75) * coarse.take(own - first, axis) + np.float32(0.25) * coarse.take(
            beside - first, axis
        )
    return coarse
