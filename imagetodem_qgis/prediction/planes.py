"""What the network is shown of a tile."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.card import COARSE_DEM, LOG_CELL, LOG_GSD, ModelCard
from imagetodem_qgis.core.stretch import Stretch
from imagetodem_qgis.core.tiling import Window, pad_to_tile
from imagetodem_qgis.prediction.anchors import Anchoring
from imagetodem_qgis.prediction.frame import Frame

_REFERENCE_GSD = 100.0
_REFERENCE_CELL = 16.0
_CELLS = (8.0, 64.0)
"""Sides of a coarse DEM's cells in pixels that training shows: others are told as the nearest of these."""


class TilePlanes:
    """Makes the network's input of tiles.

    Args:
        frame: of the prediction.
        card: of the model.
        stretch: of the whole image.
        anchoring: known heights, which a guided model cannot do without.
    """

    def __init__(
        self, frame: Frame, card: ModelCard, stretch: Stretch, anchoring: Anchoring | None = None
    ) -> None:
        self._frame, self._card, self._stretch, self._anchoring = frame, card, stretch, anchoring

    def of(
        self, window: Window, values: NDArray[np.generic], valid: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """The input of one tile, turned towards the model's light.

        Args:
            window: its pixels in the frame's ``work`` grid.
            values: (rows, columns, 3) colours as the image has them.
            valid: (rows, columns), which of them are known.

        Returns:
            (tile_size, tile_size, planes) float32, the planes as the card orders them.
        """
        stretched = self._stretch.apply(values)
        if not valid.all():
            # The middle of the range is what training fills unknown pixels with.
            stretched[~valid] = 0.0
        turned = self._frame.symmetry.apply(pad_to_tile(stretched, self._card.tile_size))
        planes = np.empty(turned.shape[:2] + (len(self._card.inputs),), np.float32)
        planes[..., :3] = turned
        if LOG_GSD in self._card.inputs:
            planes[..., self._card.inputs.index(LOG_GSD)] = np.log(self._frame.gsd / _REFERENCE_GSD)
        if COARSE_DEM in self._card.inputs and self._anchoring is not None:
            coarse = self._anchoring.coarse(window)
            coarse -= coarse.mean(where=valid, dtype=np.float64)
            coarse /= np.float32(self._frame.scale)
            plane = self._frame.symmetry.apply(pad_to_tile(coarse, self._card.tile_size))
            planes[..., self._card.inputs.index(COARSE_DEM)] = plane
            if LOG_CELL in self._card.inputs:
                cell = min(max(self._anchoring.cell, _CELLS[0]), _CELLS[1])
                planes[..., self._card.inputs.index(LOG_CELL)] = np.log(cell / _REFERENCE_CELL)
        return planes
