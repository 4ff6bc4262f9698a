"""The tiles' answers on disk between the network and the blending: memory does not grow with the raster, and
a run that was cut off finds there what it had done."""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Callable, Protocol

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.surface import PlacedTile
from imagetodem_qgis.core.tiling import TilePlan
from imagetodem_qgis.prediction.journal import JOURNAL_SUFFIX, Journal

FloatArray = NDArray[np.float32]

_DATA_FILE = "tiles.dat"
_JOURNAL_FILE = f"tiles{JOURNAL_SUFFIX}"


class Tiles(Protocol):
    """Kept tiles by their indices."""

    def __contains__(self, index: int) -> bool:
        """Whether a tile is kept."""

    def get(self, index: int, with_spread: bool = False) -> PlacedTile:
        """A tile's answer where it lies."""


class TileStore:
    """Heights, and the spread where wanted, of each predicted tile in one file, with a journal beside it.

    Plain reads and writes rather than a memory map: mapped pages would count as this process's memory.

    Attributes:
        weights: (tile_size, tile_size) blending weights, the same for all tiles.

    Args:
        plan: of the tiles.
        weights: as above.
        folder: of the two files; what an earlier run left there is kept.
        with_spread: whether a spread is kept beside the heights.
    """

    def __init__(self, plan: TilePlan, weights: FloatArray, folder: Path, with_spread: bool) -> None:
        self._plan = plan
        self.weights = weights
        self._pixels = min(plan.tile_size, plan.rows) * min(plan.tile_size, plan.columns)
        self._with_spread = with_spread
        # The place of each tile in the file: -1 for one that is left out, absent for one yet to come.
        self._places: dict[int, int] = {}
        self._kept = 0
        self._journal = Journal(folder / _JOURNAL_FILE)
        # Unbuffered, so that what is written outlives the process, however it ends.
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
        self._file: BinaryIO = open(os.open(folder / _DATA_FILE, flags, 0o666), "r+b", buffering=0)  # noqa: SIM115

    def __enter__(self) -> TileStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._journal.close()

    def __contains__(self, index: int) -> bool:
        return self._places.get(index, -1) >= 0

    def __len__(self) -> int:
        return self._kept

    def is_done(self, index: int) -> bool:
        """Whether a tile is kept, or known to be left out."""
        return index in self._places

    def replay(self, is_cancelled: Callable[[], bool]) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Take up what an earlier run kept: each tile's index and the remarks beside it.

        Ends at the first tile whose pixels are not those that were written; it and those after it are
        predicted again. Iterate to the end before anything else is asked of the store.
        """
        good = 0
        for end, entry in self._journal.entries():
            index, place = entry["tile"], entry["place"]
            if is_cancelled() or (place >= 0 and zlib.crc32(self._record(place)) != entry["checksum"]):
                break
            self._places[index] = place
            self._kept += place >= 0
            good = end
            if place >= 0:
                yield index, entry["remarks"]
        if not is_cancelled():
            self._journal.cut(good)

    def find(self) -> None:
        """Find the tiles that another process keeps here, as :meth:`replay` does, without looking at them."""
        for _, entry in self._journal.entries():
            self._places[entry["tile"]] = entry["place"]
            self._kept += entry["place"] >= 0

    def put(
        self, index: int, heights: FloatArray, spread: FloatArray | None, remarks: Mapping[str, Any]
    ) -> None:
        """Keep a tile's answer, and remarks on it that JSON can hold.

        Raises:
            OSError: the disk is full or gone.
        """
        planes = [heights] if spread is None else [heights, spread]
        record = np.ascontiguousarray(planes, np.float32)
        self._file.seek(self._kept * self._record_size())
        if self._file.write(record.data) != record.nbytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), _DATA_FILE)
        self._journal.add(
            {"tile": index, "place": self._kept, "checksum": zlib.crc32(record.data), "remarks": remarks}
        )
        self._places[index] = self._kept
        self._kept += 1

    def leave_out(self, index: int) -> None:
        """Note that a tile holds no known pixel."""
        self._journal.add({"tile": index, "place": -1})
        self._places[index] = -1

    def get(self, index: int, with_spread: bool = False) -> PlacedTile:
        """A tile's answer where it lies; its weights are those of blending.

        Raises:
            KeyError: it is not kept.
        """
        if index not in self:
            raise KeyError(index)
        window = self._plan.window(index)
        planes = np.frombuffer(self._record(self._places[index], with_spread), np.float32)
        planes = planes.reshape(-1, window.rows, window.columns)
        spread = planes[1] if len(planes) > 1 else None
        return PlacedTile(window, planes[0], self.weights[: window.rows, : window.columns], spread)

    def _record(self, place: int, whole: bool = True) -> bytes:
        self._file.seek(place * self._record_size())
        return self._file.read(self._record_size() if whole else self._pixels * 4)

    def _record_size(self) -> int:
        return record_size(self._plan, self._with_spread)


def record_size(plan: TilePlan, with_spread: bool) -> int:
    """Bytes that a tile takes in the store."""
    pixels = min(plan.tile_size, plan.rows) * min(plan.tile_size, plan.columns)
    return pixels * 4 * (2 if with_spread else 1)
