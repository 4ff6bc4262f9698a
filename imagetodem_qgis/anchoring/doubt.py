"""How far an anchored surface is to be trusted: what the known heights say of their own finest forms, and
what is left of the prediction's doubt. ``docs/surface.md`` derives it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.cells import LEAST_KNOWN, CellGrid, departures
from imagetodem_qgis.core.confidence import AnchoredDoubt
from imagetodem_qgis.core.membrane import halved
from imagetodem_qgis.core.tiling import Window, blocks
from imagetodem_qgis.raster.plane_file import PlaneFile

FloatArray = NDArray[np.float32]

_ROUGHNESS, _STEPS = range(2)
_BLOCK = 1024
_STRIP = 256
_FEWEST_CELLS = 3
"""Along a side, for a cell to have neighbours all around it."""
_USUAL_RATIO = 0.3
"""Of the variances of two octaves of relief, one half as long as the other, where few cells tell it."""
_RATIOS = (0.02, 0.75)
_ENOUGH = 16.0
"""Cells from which the ratio is told by the known heights themselves."""
_OUTLIER = 3.0
_PRIOR_POINTS = 4.0
"""Points' worth of trust in the prediction's own deviations."""


class ReferenceDoubt:
    """Standard deviations of a surface with a reference's low frequencies; :meth:`gather` comes first, then
    :meth:`finish`, then :meth:`apply`.

    Args:
        cells: of the reference.
        known: its heights over a window of pixels, NaN where unknown.
        scratch: an existing folder for a temporary file.
        weights: as they were fitted on held-out ground.
        is_whole: whether the prediction shows all of the relief, and so goes on in the reference's holes.
        go_on: called again and again by what takes long; may raise to end it.
    """

    def __init__(
        self,
        cells: CellGrid,
        known: Callable[[Window], FloatArray],
        scratch: Path,
        weights: AnchoredDoubt,
        is_whole: bool,
        go_on: Callable[[], None] = lambda: None,
    ) -> None:
        self._cells, self._known, self._weights, self._is_whole = cells, known, weights, is_whole
        self._go_on = go_on
        self._store = PlaneFile(scratch, cells.down, cells.across, 2)
        self._ratio, self._has_holes = _USUAL_RATIO, False

    def gather(self, cells: Window, pixels: Window) -> None:
        """Take means over a window, in cells and the same in pixels."""
        known = self._known(pixels)
        there = np.isfinite(known)
        count, size = self._cells.sums(there, cells), self._cells.sums(np.ones(known.shape), cells)
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(count >= LEAST_KNOWN * size, 1.0 / count, np.nan)
        means = self._cells.sums(np.where(there, known, 0.0), cells) * share
        self._store.put(_STEPS, cells, means)
        self._has_holes = self._has_holes or not np.isfinite(means).all()

    def finish(self) -> None:
        """Close the first pass."""
        if self._tells_nothing:
            return
        octaves = np.zeros((2, 2))
        for window, wide in self._windows(2):
            means = self._store.get(_STEPS, wide)
            squares = np.full(means.shape, np.nan, np.float32)
            squares[1:-1, 1:-1] = departures(means) ** 2
            inner = window.within(wide)
            self._store.put(_ROUGHNESS, window, _mean_around(squares)[inner])
            for number, octave in enumerate((squares[inner], departures(halved(means)) ** 2)):
                octaves[number] += np.nansum(octave, dtype=np.float64), np.isfinite(octave).sum()
        with np.errstate(invalid="ignore", divide="ignore"):
            own, coarser = octaves[:, 0] / octaves[:, 1]
        if octaves[1, 1] >= _ENOUGH and coarser > 0.0:
            self._ratio = min(max(float(own / coarser), _RATIOS[0]), _RATIOS[1])
        if not self._store.bridge(_ROUGHNESS, self._go_on):
            self._ratio = 0.0
        if self._has_holes:
            self._count_steps()

    def apply(self, pixels: Window, spread: FloatArray) -> FloatArray:
        """One standard deviation of the anchored surface.

        Args:
            pixels: of a window.
            spread: (rows, columns) that of the prediction, in the reference's unit.
        """
        if self._tells_nothing or not self._ratio:
            return spread
        own = spread * spread
        around = self._cells.around(pixels)
        rough = self._cells.smooth(self._store.get(_ROUGHNESS, around), around, pixels, linear=True)
        rough *= np.float32(self._weights.reference * self._ratio)
        inside = np.float32(self._weights.prediction) * own
        if not self._has_holes:
            return np.sqrt(inside + rough)
        steps = self._cells.smooth(self._store.get(_STEPS, around), around, pixels, linear=True)
        # Relief whose octaves have this ratio grows so with the distance.
        far = rough * (np.float32(1.0) + steps) ** np.float32(-math.log2(self._ratio))
        if self._is_whole:
            far = np.minimum(far, own + rough)
        return np.sqrt(inside + far)

    @property
    def _tells_nothing(self) -> bool:
        return min(self._cells.down, self._cells.across) < _FEWEST_CELLS

    def _windows(self, margin: int) -> Iterator[tuple[Window, Window]]:
        whole = Window(0, 0, self._cells.down, self._cells.across)
        for window in blocks(whole.rows, whole.columns, _BLOCK):
            self._go_on()
            yield window, window.widened(margin).intersection(whole)

    def _count_steps(self) -> None:
        """Put, in place of the means, how many cells each is from a known one: along rows and columns."""
        rows, columns = self._cells.down, self._cells.across
        strips = [Window(row, 0, min(_STRIP, rows - row), columns) for row in range(0, rows, _STRIP)]
        above = np.full(columns, np.inf, np.float32)
        for strip in strips:
            self._go_on()
            lines = np.where(np.isfinite(self._store.get(_STEPS, strip)), np.float32(0.0), np.float32(np.inf))
            for line in lines:
                above = np.minimum(line, above + 1.0)
                line[:] = above
            self._store.put(_STEPS, strip, np.minimum(lines, rows + columns))
        place = np.arange(columns, dtype=np.float32)
        below = np.full(columns, np.inf, np.float32)
        for strip in reversed(strips):
            self._go_on()
            lines = self._store.get(_STEPS, strip)
            for line in lines[::-1]:
                below = np.minimum(line, below + 1.0)
                line[:] = below
            right = np.minimum.accumulate(lines - place, axis=1) + place
            left = (np.minimum.accumulate((lines + place)[:, ::-1], axis=1))[:, ::-1] - place
            self._store.put(_STEPS, strip, np.minimum(right, left))


def factor_of_points(residuals: NDArray[np.float64], deviations: NDArray[np.float64]) -> float:
    """What a prediction's standard deviations are multiplied with, given what is left at control points.

    The points' own variance by the one that was foretold, in which a few points' worth of trust remains; one
    of the points went into the surface's level, whose own error comes on top. A wrong point counts as one
    that is three robust deviations off.

    Args:
        residuals: (n,) surface less known height.
        deviations: (n,) one standard deviation of the surface there.
    """
    usable = np.isfinite(residuals) & np.isfinite(deviations) & (deviations > 0.0)
    ratios = np.abs(residuals[usable] / deviations[usable])
    count = len(ratios)
    if count == 0:
        return 1.0
    usual = 1.4826 * float(np.median(ratios))
    squares = float((np.minimum(ratios, _OUTLIER * max(usual, 1e-3)) ** 2).sum())
    variance = (squares + _PRIOR_POINTS) / (count - 1.0 + _PRIOR_POINTS)
    return math.sqrt(variance * (1.0 + 1.0 / count))


def _mean_around(values: FloatArray) -> FloatArray:
    """Means of the known ones in the 3 × 3 neighbourhood, NaN where none is."""
    known = np.isfinite(values)
    total, count = np.pad(np.where(known, values, 0.0), 1), np.pad(known.astype(np.float32), 1)
    rows, columns = values.shape
    sums = np.zeros((2, rows, columns), np.float32)
    for down in range(3):
        for right in range(3):
            part = (slice(down, down + rows), slice(right, right + columns))
            sums += total[part], count[part]
    with np.errstate(invalid="ignore"):
        return np.where(sums[1] > 0.0, sums[0] / sums[1], np.nan).astype(np.float32)
