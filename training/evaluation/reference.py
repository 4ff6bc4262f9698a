"""Reference DEMs made of an area's own heights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.anchoring.reference_heights import ReferenceAnchoring
from imagetodem_qgis.core.cells import cell_grid, mean_preserving
from imagetodem_qgis.core.membrane import bridged
from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.prediction.frame import Frame
from imagetodem_qgis.prediction.request import Request
from training.evaluation.area import Area

FloatArray = NDArray[np.float32]

_LEAST_KNOWN = 0.5
"""Share of a cell that must be known."""


class AreaReference:
    """A reference whose pixels are the means of an area's heights over cells; see
    :class:`imagetodem_qgis.prediction.anchors.KnownHeights`.

    Args:
        area: the ground.
        cell: side of the cells in pixels.
    """

    def __init__(self, area: Area, cell: float) -> None:
        self._area, self._cell = area, cell

    def identity(self) -> list[object]:
        """The area's name and the cell."""
        return [self._area.name, self._cell]

    def describe(self) -> str:
        """The same in words."""
        return f"means of {self._area.name} over {self._cell:g} pixels"

    def over(
        self, request: Request, frame: Frame, scratch: Path, go_on: Callable[[], None]
    ) -> ReferenceAnchoring:
        """See :class:`imagetodem_qgis.prediction.anchors.KnownHeights`."""
        return ReferenceAnchoring(CellHeights(self._area.dem, self._cell), request, frame, scratch, go_on)


class CellHeights:
    """Means over cells as a reference on a grid; see
    :class:`imagetodem_qgis.raster.reference_grid.HeightsOnGrid`.

    Args:
        heights: (rows, columns) float32 metres, NaN where unknown.
        cell: side of the cells in pixels.

    Attributes:
        cell: as it comes out where the cells fill the area evenly.
        is_coarse: always true.
    """

    def __init__(self, heights: FloatArray, cell: float) -> None:
        rows, columns = heights.shape
        cells = cell_grid(rows, columns, cell)
        every, self._whole = Window(0, 0, cells.down, cells.across), Window(0, 0, rows, columns)
        known = np.isfinite(heights)
        count, size = cells.sums(known, every), cells.sums(np.ones(heights.shape), every)
        sums = cells.sums(np.where(known, heights, 0.0), every)
        enough = count >= _LEAST_KNOWN * size
        means = np.where(enough, sums / np.maximum(count, 1.0), np.nan).astype(np.float32)
        filled = bridged(means)
        self._plain = cells.smooth(filled, every, self._whole)
        self._known = cells.smooth(mean_preserving(filled), every, self._whole)
        down, across = (
            (np.arange(side) * number) // side
            for side, number in ((rows, cells.down), (columns, cells.across))
        )
        self._known[~enough[np.ix_(down, across)]] = np.nan
        self.cell = float(np.sqrt(heights.size / means.size))
        self.is_coarse = True

    def read(self, window: Window) -> FloatArray:
        """See :class:`imagetodem_qgis.raster.reference_grid.HeightsOnGrid`."""
        return self._known[window.within(self._whole)].copy()

    def read_plain(self, window: Window) -> FloatArray:
        """See :class:`imagetodem_qgis.raster.reference_grid.HeightsOnGrid`."""
        return self._plain[window.within(self._whole)].copy()
