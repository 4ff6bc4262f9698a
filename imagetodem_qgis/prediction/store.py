"""The tiles' answers on disk between the network and the blending, so that memory does not grow with the
raster."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.surface import PlacedTile
from imagetodem_qgis.core.tiling import TilePlan

FloatArray = NDArray[np.float32]


class TileStore:
    """Heights, and the spread where wanted, of each predicted tile in a file without a name.

    Attributes:
        weights: (tile_size, tile_size) blending weights, the same for all tiles.

    Plain reads and writes rather than a memory map: mapped pages would count as this process's memory.

    Args:
        plan: of the tiles.
        weights: (tile_size, tile_size) blending weights, the same for all tiles.
        folder: for the file.
        with_spread: whether a spread is kept beside the heights.
    """

    def __init__(self, plan: TilePlan, weights: FloatArray, folder: Path, with_spread: bool) -> None:
        self._plan = plan
        self.weights = weights
        self._pixels = min(plan.tile_size, plan.rows) * min(plan.tile_size, plan.columns)
        self._with_spread = with_spread
        self._places: dict[int, int] = {}
        # The system removes the file when this process ends, however it ends.
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it lives as long as the store

    def __enter__(self) -> TileStore:
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

    def put(self, index: int, heights: FloatArray, spread: FloatArray | None) -> None:
        """Keep a tile's answer."""
        place = self._places.setdefault(index, len(self._places))
        self._file.seek(place * self._record_size())
        self._file.write(np.ascontiguousarray(heights))
        if spread is not None:
            self._file.write(np.ascontiguousarray(spread))

    def get(self, index: int, with_spread: bool = False) -> PlacedTile:
        """A tile's answer where it lies; its weights are those of blending."""
        window = self._plan.window(index)
        shape = (window.rows, window.columns)
        self._file.seek(self._places[index] * self._record_size())
        heights = np.frombuffer(self._file.read(self._pixels * 4), np.float32).reshape(shape)
        spread = None
        if with_spread and self._with_spread:
            spread = np.frombuffer(self._file.read(self._pixels * 4), np.float32).reshape(shape)
        return PlacedTile(window, heights, self.weights[: window.rows, : window.columns], spread)

    def _record_size(self) -> int:
        return self._pixels * 4 * (2 if self._with_spread else 1)


def check_space(folder: Path, needed: int, what: str) -> None:
    """Refuse before work starts where a disk cannot hold what is to come.

    Raises:
        OSError: the folder's disk has less than ``needed`` bytes free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            f"{what} needs about {needed / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} GB are free: "
            "make room, or predict a smaller EXTENT"
        )
