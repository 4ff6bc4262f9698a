"""The image that the tiles make together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.colour import blend_colours
from imagetodem_qgis.core.sea import is_sea
from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.landscape.colour_store import ColourStore
from imagetodem_qgis.landscape.margin import MirroredReader
from imagetodem_qgis.landscape.request import ImageFrame


class BlendedImage:
    """Blends the tiles over any window, and lays the sea around the land.

    Args:
        frame: of the image.
        store: holds the tiles.
        offsets: (tiles, 3) to be added to their colours.
        reader: of the DEM, in the plan's pixels.
        sea_colour: red, green and blue from -1 to 1; ``None``: the sea is as the tiles show it.
    """

    def __init__(
        self,
        frame: ImageFrame,
        store: ColourStore,
        offsets: NDArray[np.float64],
        reader: MirroredReader,
        sea_colour: tuple[float, ...] | None,
    ) -> None:
        self._frame, self._store, self._offsets = frame, store, offsets
        self._reader, self._sea_colour = reader, sea_colour

    def read(self, window: Window) -> NDArray[np.float32]:
        """Colours from -1 to 1 of a window of the frame's ``work``, (rows, columns, 3) float32, NaN where the
        height is unknown.

        Raises:
            RasterError: the DEM cannot be read.
        """
        planned = self._frame.margin.planned(window)
        indices = [index for index in self._frame.plan.touching(planned) if index in self._store]
        tiles = [self._store.get(index) for index in indices]
        colours = blend_colours(planned, tiles, self._offsets[indices])
        if self._sea_colour is not None:
            colours[is_sea(self._reader.read(planned))] = self._sea_colour
        return colours
