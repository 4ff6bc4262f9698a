"""What a prediction asks of known heights, whatever they are; :mod:`imagetodem_qgis.anchoring` has them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.observations import AnchorObservation
from imagetodem_qgis.core.surface import PlacedTile
from imagetodem_qgis.core.tiling import Window

if TYPE_CHECKING:
    from imagetodem_qgis.prediction.blending import Blends
    from imagetodem_qgis.prediction.frame import Frame
    from imagetodem_qgis.prediction.request import Listener, Request


class Anchoring(Protocol):
    """Known heights over the frame of a prediction."""

    @property
    def cell(self) -> float:
        """Side of the coarse DEM's cells in pixels."""

    def coarse(self, window: Window) -> NDArray[np.float32]:
        """A coarse DEM for a guided model: (rows, columns) in metres, known everywhere."""

    def observe(self, index: int, tile: PlacedTile) -> list[AnchorObservation]:
        """What the known heights tell of a tile's level."""

    def anchored(self, blends: Blends, listener: Listener) -> Blends:
        """Blocks of the surface in metres above the known heights' zero, from those of the solved tiles."""


class KnownHeights(Protocol):
    """Known heights that a request names."""

    def identity(self) -> Any:
        """What tells them from others, as JSON can hold it."""

    def describe(self) -> str:
        """What they are, in words."""

    def over(self, request: Request, frame: Frame, scratch: Path, go_on: Callable[[], None]) -> Anchoring:
        """The known heights over a prediction's frame.

        Args:
            request: of the prediction.
            frame: of it.
            scratch: an existing folder for temporary files.
            go_on: called again and again by what takes long; may raise to end it.

        Raises:
            RasterError: they cannot be read, or do not reach the frame.
        """
