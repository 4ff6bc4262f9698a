"""The tiles' colours on disk between the network and the blending, so that memory does not grow with the
raster."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.colour import ColourTile
from imagetodem_qgis.core.tiling import TilePlan

BYTES = 7
"""A pixel: three colours in float16, a twentieth of a step of 255 or finer, and whether it is known."""


class ColourStore:
    """Colours of each predicted tile in a file without a name, which is gone when this process ends.

    Args:
        plan: of the tiles.
        weights: (tile_size, tile_size) blending weights, the same for all tiles.
        folder: for the file.
    """

    def __init__(self, plan: TilePlan, weights: NDArray[np.float32], folder: Path) -> None:
        self._plan, self._weights = plan, weights
        self._pixels = min(plan.tile_size, plan.rows) * min(plan.tile_size, plan.columns)
        self._places: dict[int, int] = {}
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it lives as long as the store

    def __enter__(self) -> ColourStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def __contains__(self, index: int) -> bool:
        return index in self._places

    def __len__(self) -> int:
        return len(self._places)

    def put(self, index: int, colours: NDArray[np.float32], known: NDArray[np.bool_]) -> None:
        """Keep a tile's colours (rows, columns, 3) from -1 to 1 or so, and which pixels are known (rows,
        columns)."""
        place = self._places.setdefault(index, len(self._places))
        self._file.seek(place * self._pixels * BYTES)
        self._file.write(colours.astype(np.float16).tobytes())
        self._file.write(known.astype(np.uint8).tobytes())

    def get(self, index: int) -> ColourTile:
        """A tile's colours where it lies."""
        window = self._plan.window(index)
        self._file.seek(self._places[index] * self._pixels * BYTES)
        record = self._file.read(self._pixels * BYTES)
        split = self._pixels * (BYTES - 1)
        colours = np.frombuffer(record[:split], np.float16).reshape(window.rows, window.columns, 3)
        known = np.frombuffer(record[split:], np.uint8).reshape(window.rows, window.columns)
        weights = self._weights[: window.rows, : window.columns]
        return ColourTile(window, colours.astype(np.float32), weights * known)
