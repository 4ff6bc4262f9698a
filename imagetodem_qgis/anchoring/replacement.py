"""Low frequencies of known heights, high frequencies of a surface.

``z = B·fill(t̄ - αh̄) + αh + v·(t - B·t̄)`` with the surface ``h``, the known heights ``t``, means ``·̄`` over
cells as large as the known heights' pixels, the smooth surface ``B`` that has such means, the share ``α`` of
the surface's detail, and ``v``, 1 where ``t`` is known and 0 in its holes. ``docs/surface.md`` derives it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.cells import LEAST_KNOWN, REACH, CellGrid, departures, mean_preserving
from imagetodem_qgis.core.tiling import Window, blocks
from imagetodem_qgis.raster.errors import RasterError
from imagetodem_qgis.raster.plane_file import PlaneFile

FloatArray = NDArray[np.float32]
Heights = Callable[[Window], FloatArray]

BLOCK = 1024
_TARGET, _SURFACE, _WHOLE_TARGET, _INSIDE = range(4)


class Agreement(NamedTuple):
    """How the share of a surface's detail follows from how far the surface agrees with the known heights.

    Attributes:
        usual: regression of the known heights on the surface before it is seen how the two agree.
        deviation: one standard deviation of it.
        factor: of the share to the regression.
        largest: share.
    """

    usual: float
    deviation: float
    factor: float
    largest: float


OF_RELIEF = Agreement(0.7, 0.5, 1.0, 2.0)
"""For a surface that shows all of the relief: it errs at all scales alike."""
OF_DETAIL = Agreement(0.3, 0.2, 2.5, 1.0)
"""For a surface that supplies what the known heights lack: at the finest scale that these show, there is
little of it but errors. The factor is what tiles of the validation split show; see ``docs/surface.md``."""


class Replacement:
    """Replaces the low frequencies of a surface; :meth:`gather` comes first, then :meth:`apply`.

    Args:
        cells: the scale of the cross-over.
        known: known heights of a window of pixels, in the surface's unit, NaN in holes.
        scratch: an existing folder for a temporary file.
        agreement: what the surface shows; of detail, none of the known heights' own is added to it.
        go_on: called again and again by what takes long; may raise to end it.

    Attributes:
        share: of the surface's detail that is added.
    """

    def __init__(
        self,
        cells: CellGrid,
        known: Heights,
        scratch: Path,
        agreement: Agreement = OF_RELIEF,
        go_on: Callable[[], None] = lambda: None,
    ) -> None:
        self._cells, self._known, self._agreement, self._go_on = cells, known, agreement, go_on
        self._store = PlaneFile(scratch, cells.down, cells.across, 4)
        self.share = 1.0

    def windows(self) -> list[tuple[Window, Window]]:
        """Windows in cells and in pixels that :meth:`gather` must be given all of."""
        return list(self._cells.windows(BLOCK))

    def gather(self, cells: Window, pixels: Window, surface: FloatArray) -> None:
        """Take means over a window.

        Args:
            cells: the window in cells.
            pixels: the same in pixels.
            surface: (rows, columns) of the pixels, NaN where unknown.
        """
        known = self._known(pixels)
        there, both = np.isfinite(known), np.isfinite(known) & np.isfinite(surface)
        size = self._cells.sums(np.ones(known.shape), cells)
        counts = self._cells.sums(both, cells)
        with np.errstate(invalid="ignore", divide="ignore"):
            enough = np.where(counts >= LEAST_KNOWN * size, 1.0 / counts, np.nan)
            whole_counts = self._cells.sums(there, cells)
            whole = np.where(whole_counts >= LEAST_KNOWN * size, 1.0 / whole_counts, np.nan)
        self._store.put(_TARGET, cells, self._cells.sums(np.where(both, known, 0.0), cells) * enough)
        self._store.put(_SURFACE, cells, self._cells.sums(np.where(both, surface, 0.0), cells) * enough)
        self._store.put(_WHOLE_TARGET, cells, self._cells.sums(np.where(there, known, 0.0), cells) * whole)
        self._store.put(_INSIDE, cells, np.where(whole_counts >= size, 1.0, 0.0))

    def choose_share(self) -> float:
        """The share of the surface's detail that fits the known heights best at the finest scale that both
        show: between a cell and its neighbours.

        Returns:
            From the regression of the known heights' differences of a cell from its 3 × 3 neighbourhood's
            mean on the surface's; 0 where the two do not agree. Few cells do not say much: the regression is
            drawn towards the usual one, as a normal prior draws it.
        """
        product = square = of_known = count = 0.0
        for _, wide in self._wide_windows():
            surface, known = (
                departures(self._store.get(plane, wide).astype(np.float64)) for plane in (_SURFACE, _TARGET)
            )
            both = np.isfinite(surface) & np.isfinite(known)
            product += float(surface[both] @ known[both])
            square += float(surface[both] @ surface[both])
            of_known += float(known[both] @ known[both])
            count += float(both.sum())
        noise = (of_known - product**2 / square) / max(1.0, count - 1.0) if square > 0.0 else 1.0
        noise = max(noise, 1e-6 * of_known, 1e-12)
        usual, deviation, factor, largest = self._agreement
        prior = noise / deviation**2
        regression = (product + prior * usual) / (square + prior)
        self.share = min(largest, max(0.0, factor * regression))
        return self.share

    def finish(self) -> None:
        """Close the first pass.

        Raises:
            RasterError: the two have no known cell in common.
        """
        found = False
        for window, wide in self._wide_windows():
            target, surface = self._store.get(_TARGET, window), self._store.get(_SURFACE, window)
            difference = target - np.float32(self.share) * surface
            found = found or bool(np.isfinite(difference).any())
            self._store.put(_SURFACE, window, difference)
            inside = np.nan_to_num(self._store.get(_INSIDE, wide))
            self._store.put(_TARGET, window, _least_around(inside)[window.within(wide)])
        if not found:
            raise RasterError("the known heights and the surface have no pixel in common")
        self._store.bridge(_SURFACE, self._go_on)
        self._store.bridge(_WHOLE_TARGET, self._go_on)

    def apply(self, pixels: Window, surface: FloatArray) -> FloatArray:
        """The surface of a window with its low frequencies replaced, (rows, columns) float32."""
        result = self._smooth(_SURFACE, pixels)
        result += np.float32(self.share) * surface
        if self._agreement is OF_DETAIL:
            return result
        around = self._cells.around(pixels)
        inside = self._cells.smooth(self._store.get(_TARGET, around), around, pixels, linear=True)
        if inside.any():
            # A smoothstep: where the term begins, not even the slope breaks.
            inside *= inside * (np.float32(3.0) - np.float32(2.0) * inside)
            own = self._known(pixels) - self._smooth(_WHOLE_TARGET, pixels)
            result += np.where(inside > 0.0, inside * np.nan_to_num(own), np.float32(0.0))
        return result

    def _smooth(self, plane: int, pixels: Window) -> FloatArray:
        """The smooth surface over a window that has the means of a plane's cells."""
        around = self._cells.around(pixels)
        wide = around.widened(REACH).intersection(Window(0, 0, self._cells.down, self._cells.across))
        nodes = mean_preserving(np.nan_to_num(self._store.get(plane, wide)))
        return self._cells.smooth(nodes[around.within(wide)], around, pixels)

    def _wide_windows(self) -> Iterable[tuple[Window, Window]]:
        whole = Window(0, 0, self._cells.down, self._cells.across)
        for window in blocks(whole.rows, whole.columns, BLOCK):
            self._go_on()
            yield window, window.widened(1).intersection(whole)


def _least_around(values: FloatArray) -> FloatArray:
    """The least of the 3 × 3 neighbourhood, which goes on at the border as it is."""
    for axis in (0, 1):
        wide = np.pad(values, [(1, 1) if number == axis else (0, 0) for number in (0, 1)], mode="edge")
        size = values.shape[axis]
        shifted = [np.take(wide, range(start, start + size), axis) for start in range(3)]
        values = np.minimum(np.minimum(shifted[0], shifted[1]), shifted[2])
    return values
