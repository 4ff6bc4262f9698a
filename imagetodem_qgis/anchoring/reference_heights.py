"""A reference DEM as the known heights of a prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.anchoring.doubt import ReferenceDoubt
from imagetodem_qgis.anchoring.replacement import OF_DETAIL, OF_RELIEF, Replacement
from imagetodem_qgis.core.card import COARSE_DEM
from imagetodem_qgis.core.cells import cell_grid
from imagetodem_qgis.core.confidence import anchored_doubt_of
from imagetodem_qgis.core.observations import AnchorObservation
from imagetodem_qgis.core.surface import PlacedTile
from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.prediction.blending import Blends, SurfaceBlock
from imagetodem_qgis.prediction.frame import Frame
from imagetodem_qgis.prediction.request import Cancelled, Listener, Request
from imagetodem_qgis.raster.reference_grid import HeightsOnGrid, OpenedReference

FloatArray = NDArray[np.float32]

_LEAST_CELL = 2.0
"""Pixels of a cell at least: between single pixels no scale lies."""
_PLACE = 64.0
"""Pixels that make one independent place; see :mod:`imagetodem_qgis.core.surface`."""


class ReferenceHeights:
    """A reference DEM that a request names; see :class:`imagetodem_qgis.prediction.anchors.KnownHeights`.

    Args:
        reference: the DEM.

    Attributes:
        reference: likewise.
    """

    def __init__(self, reference: OpenedReference) -> None:
        self.reference = reference

    def identity(self) -> Any:
        """Its path, size and date."""
        path = Path(self.reference.path)
        status = path.stat() if path.is_file() else None
        return [self.reference.path, status and [status.st_size, status.st_mtime_ns]]

    def describe(self) -> str:
        """Its file's name."""
        return f"reference {Path(self.reference.path).name}"

    def over(
        self, request: Request, frame: Frame, scratch: Path, go_on: Callable[[], None]
    ) -> ReferenceAnchoring:
        """The reference over a prediction's frame.

        Raises:
            RasterError: it cannot be read, or does not reach the frame.
        """
        heights = self.reference.on(frame.work, scratch, go_on)
        return ReferenceAnchoring(heights, request, frame, scratch, go_on)


class ReferenceAnchoring:
    """See :class:`imagetodem_qgis.prediction.anchors.Anchoring`.

    What is anchored is, for a guided model, the detail that it adds to the reference; for others, its whole
    relief, of which the share that fits the reference is taken.
    """

    def __init__(
        self,
        heights: HeightsOnGrid,
        request: Request,
        frame: Frame,
        scratch: Path,
        go_on: Callable[[], None],
    ) -> None:
        self._heights, self._request, self._frame, self._scratch = heights, request, frame, scratch
        self._go_on = go_on
        self._is_guided = COARSE_DEM in request.model.card.inputs

    @property
    def cell(self) -> float:
        """Side of the reference's cells in pixels."""
        return float(self._heights.cell)

    def coarse(self, window: Window) -> FloatArray:
        """The reference as a guided model is shown it."""
        return self._heights.read_plain(window)

    def known(self, window: Window) -> FloatArray:
        """What the tiles' surface ought to be on average, in metres, NaN in holes."""
        heights = self._heights.read(window)
        return heights - self._heights.read_plain(window) if self._is_guided else heights

    def observe(self, index: int, tile: PlacedTile) -> list[AnchorObservation]:
        """The mean of the reference over a tile."""
        known = self.known(tile.window) / np.float32(self._frame.scale)
        weights = np.where(np.isfinite(known), tile.weights, np.float32(0.0))
        total = float(weights.sum(dtype=np.float64))
        if total <= 0.0:
            return []
        share = weights / np.float32(total)
        known = np.where(weights > 0.0, known, np.float32(0.0))
        height, expected = float((share * tile.heights).sum()), float((share * known).sum())
        apart = known - tile.heights - np.float32(expected - height)
        variance = float((share * apart * apart).sum())
        return [AnchorObservation(index, height, expected, (variance + 1e-4) / max(1.0, total / _PLACE))]

    def anchored(self, blends: Blends, listener: Listener) -> Blends:
        """The surface with its low frequencies replaced by the reference's."""
        work = self._frame.work
        cells = cell_grid(work.rows, work.columns, max(_LEAST_CELL, self._heights.cell))
        agreement = OF_DETAIL if self._is_guided else OF_RELIEF
        replacement = Replacement(cells, self.known, self._scratch, agreement, self._go_on)
        doubt = None
        if self._request.confidence is not None:
            weights = anchored_doubt_of(self._request.model.card)
            doubt = ReferenceDoubt(
                cells, self._heights.read, self._scratch, weights, not self._is_guided, self._go_on
            )
        windows = replacement.windows()
        reader = self._request.image.reader(self._frame.shown, work.rows, work.columns)
        for (of_cells, _), (pixels, block) in zip(windows, blends.over([pixels for _, pixels in windows])):
            if listener.is_cancelled():
                raise Cancelled()
            block.heights[~reader.read_valid(pixels)] = np.nan
            replacement.gather(of_cells, pixels, block.heights)
            if doubt is not None:
                doubt.gather(of_cells, pixels)
        replacement.choose_share()
        replacement.finish()
        if doubt is not None:
            doubt.finish()
        self._tell(replacement, listener)
        return _Replaced(blends, replacement, doubt, self._heights.read_plain if self._is_guided else None)

    def _tell(self, replacement: Replacement, listener: Listener) -> None:
        metres = self._heights.cell * self._frame.gsd
        listener.say(
            f"Anchored to the reference: forms larger than {metres:.4g} m come from it, smaller ones from "
            f"the prediction, of whose relief {100.0 * replacement.share:.0f} % are taken."
        )
        if not self._heights.is_coarse:
            listener.warn(
                "The reference is as fine as the image: the prediction adds nothing to it. Where the "
                "reference is good, use it as it is."
            )
        elif replacement.share < 0.05:
            listener.warn(
                "The predicted relief does not agree with the reference: hardly any of it is added. The "
                "image is probably unlike the model's training images, or its sun stands elsewhere "
                "(SUN_AZIMUTH)."
            )


class _Replaced:
    """Blocks whose low frequencies are the reference's; see :class:`Blends`."""

    def __init__(
        self,
        blends: Blends,
        replacement: Replacement,
        doubt: ReferenceDoubt | None,
        base: Callable[[Window], FloatArray] | None,
    ) -> None:
        self._blends, self._replacement, self._doubt, self._base = blends, replacement, doubt, base

    def over(self, windows: Sequence[Window]) -> Iterator[tuple[Window, SurfaceBlock]]:
        """See :class:`Blends`."""
        for window, block in self._blends.over(windows):
            heights = self._replacement.apply(window, block.heights)
            if self._base is not None:
                heights += self._base(window)
            spread = block.spread
            if self._doubt is not None and spread is not None:
                spread = self._doubt.apply(window, spread)
            yield window, SurfaceBlock(heights, spread)
