"""Blocks of the surface from the tiles in the store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.card import ModelCard
from imagetodem_qgis.core.confidence import doubt_of
from imagetodem_qgis.core.surface import Levels, blend
from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.prediction.frame import Frame
from imagetodem_qgis.prediction.store import Tiles

FloatArray = NDArray[np.float32]


class SurfaceBlock(NamedTuple):
    """Heights and, if asked for, one standard deviation of them; (rows, columns) float32 in the output's
    unit, NaN where no tile lies."""

    heights: FloatArray
    spread: FloatArray | None


class Blends(Protocol):
    """Gives blocks of the surface."""

    def over(self, windows: Sequence[Window]) -> Iterator[tuple[Window, SurfaceBlock]]:
        """The surface over windows of the frame's ``work`` grid, one after the other."""


class Blending:
    """Blends the tiles, each brought to its level.

    Args:
        frame: of the prediction.
        card: of the model.
        store: of the tiles.
        levels: of all tiles of the plan.
        spread: whether standard deviations are wanted.
    """

    def __init__(self, frame: Frame, card: ModelCard, store: Tiles, levels: Levels, spread: bool) -> None:
        self._frame, self._store, self._levels, self._spread = frame, store, levels, spread
        self._overlaps = doubt_of(card).overlaps if spread else 1.0
        self._base = np.float32(frame.scale if card.target == "relative" else 0.0)

    def over(self, windows: Sequence[Window]) -> Iterator[tuple[Window, SurfaceBlock]]:
        """See :class:`Blends`."""
        for window in windows:
            yield window, self.block(window)

    def block(self, window: Window) -> SurfaceBlock:
        """The surface over a window of the frame's ``work`` grid."""
        indices = [index for index in self._frame.plan.touching(window) if index in self._store]
        tiles = [self._store.get(index, self._spread) for index in indices]
        blended = blend(window, tiles, self._levels.of(indices), self._overlaps)
        heights, spread = blended.heights, blended.spread
        heights *= np.float32(self._frame.scale)
        heights += self._base
        if self._spread and spread is None:
            spread = np.full_like(heights, np.nan)
        if spread is not None:
            spread *= np.float32(self._frame.scale)
        return SurfaceBlock(heights, spread if self._spread else None)
