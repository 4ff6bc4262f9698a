"""A source of pairs whose pixels follow from where they lie, and what a run of it tells."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Callable

import numpy as np

from imagetodem_qgis.pairs.areas import area_of_box
from imagetodem_qgis.pairs.dataset import Job
from imagetodem_qgis.pairs.examine import Limits
from imagetodem_qgis.pairs.plan import Plan, plan_areas
from imagetodem_qgis.pairs.source import Estimate, FetchedPair, Provenance, Tile
from imagetodem_qgis.pairs.splits import Shares

SIZE = 64
RESOLUTION = 30.0
SHARES = Shares(0.15, 0.15, 960.0, 1)
PROVENANCE = Provenance(("scene_1", "scene_2"), ("2022-06-01", "2022-07-03"), 151.25, 32.5)


def pair_at(tile: Tile) -> FetchedPair:
    """Values that are other ones at every place."""
    down, across = np.mgrid[: tile.size, : tile.size] + 0.5
    x, y = tile.origin_x + across * tile.resolution, tile.origin_y - down * tile.resolution
    image = np.stack([0.2 + 0.1 * np.sin(x / 300.0 + band) * np.cos(y / 500.0) for band in range(3)])
    dem = 800.0 + 100.0 * np.sin(x / 2000.0) + 50.0 * np.cos(y / 1500.0)
    return FetchedPair(image.astype(np.float32), dem.astype(np.float32), PROVENANCE)


class PlaceSource:
    """A source without a server.

    Args:
        change: makes another pair of the one that the tile would have, or raises.
        simultaneous: tiles at once.

    Attributes:
        asked: ids of the tiles in the order in which they were asked for.
    """

    def __init__(
        self,
        change: Callable[[Tile, FetchedPair], FetchedPair] = lambda tile, pair: pair,
        simultaneous: int = 2,
    ) -> None:
        self.simultaneous = simultaneous
        self.asked: list[str] = []
        self._change = change
        self._lock = threading.Lock()
        self._under_way = 0
        self.most_under_way = 0

    def describe(self) -> Mapping[str, Any]:
        return {"sources": ["waves"], "licences": ["CC0-1.0"], "versions": {"waves": "1"}}

    def estimate(self, tiles: Sequence[Tile]) -> Estimate:
        return Estimate(2 * len(tiles), 1_000_000 * len(tiles))

    def fetch(self, tile: Tile, is_cancelled: Callable[[], bool]) -> FetchedPair:
        with self._lock:
            self.asked.append(tile.id)
            self._under_way += 1
            self.most_under_way = max(self.most_under_way, self._under_way)
        try:
            return self._change(tile, pair_at(tile))
        finally:
            with self._lock:
                self._under_way -= 1

    def close(self) -> None:
        self.asked.append("closed")


class Told:
    """A listener that keeps what it is told; ``cancel_after`` tiles it cancels."""

    def __init__(self, cancel_after: int | None = None) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []
        self.texts: list[str] = []
        self.percents: list[float] = []
        self.say, self.warn, self.text = self.said.append, self.warned.append, self.texts.append
        self._cancel_after = cancel_after

    def progress(self, percent: float) -> None:
        self.percents.append(percent)

    def is_cancelled(self) -> bool:
        return self._cancel_after is not None and len(self.percents) >= self._cancel_after


def small_plan() -> Plan:
    """Some dozens of tiles in UTM zone 32, in three splits."""
    area = area_of_box("extent", (10.0, 46.5, 10.2, 46.62), "EPSG:4326")
    return plan_areas([area], RESOLUTION, SIZE, SHARES)


def job(folder: Path, plan: Plan, **changes: Any) -> Job:
    """The data set of a plan."""
    given = {"limits": Limits(0.1, 0.5), "parameters": {"SOURCE": "waves"}, **changes}
    return Job(folder, plan, RESOLUTION, SIZE, **given)
