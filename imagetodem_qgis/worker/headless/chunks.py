"""A prediction cut into chunks: rows of tiles that one process predicts and keeps in a store of their own."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Callable

import numpy as np

from imagetodem_qgis.core.observations import Observations, OverlapObservation, numbers_of
from imagetodem_qgis.core.stretch import Stretch
from imagetodem_qgis.core.surface import Levels, PlacedTile
from imagetodem_qgis.core.tiling import TilePlan, Window, blending_weights
from imagetodem_qgis.prediction.answers import Answers
from imagetodem_qgis.prediction.blending import Blending, SurfaceBlock
from imagetodem_qgis.prediction.copies import TileCopies
from imagetodem_qgis.prediction.cost import opening
from imagetodem_qgis.prediction.frame import frame_of
from imagetodem_qgis.prediction.pace import Pace
from imagetodem_qgis.prediction.planes import TilePlanes
from imagetodem_qgis.prediction.store import TileStore
from imagetodem_qgis.prediction.tiles import TileRun, observed_overlaps
from imagetodem_qgis.worker.headless.in_process import InProcessWorker
from imagetodem_qgis.worker.headless.order import Order, request_of
from imagetodem_qgis.worker.headless.telling import Silent


@dataclass(frozen=True)
class Chunk:
    """Rows of tiles.

    Attributes:
        folder: of its store.
        first: index of its first tile.
        end: index behind its last.
    """

    folder: str
    first: int
    end: int


@dataclass(frozen=True)
class ChunkResult:
    """What came of a chunk.

    Attributes:
        tiles: how many it holds.
        areas: known pixels of each of its tiles.
        observations: what their overlaps tell.
        anchors: what known heights tell of them.
    """

    tiles: int
    areas: list[float]
    observations: Observations
    anchors: Observations


def chunks_of(plan: TilePlan, folder: Path, rows_of_tiles: int) -> list[Chunk]:
    """The chunks of a plan, of so many rows of tiles each."""
    across = len(plan.column_starts)
    step = rows_of_tiles * across
    return [
        Chunk(str(folder / f"chunk_{first:08d}"), first, min(first + step, len(plan)))
        for first in range(0, len(plan), step)
    ]


class _Session:
    """What a process needs for an order, made once."""

    def __init__(self, order: Order, stretch: Stretch, threads: int) -> None:
        self.request = request_of(order)
        self.frame = frame_of(self.request, Silent())
        self.card = self.request.model.card
        self.spread = self.request.confidence is not None
        self.threads = threads
        self.worker = InProcessWorker()
        self._is_open = False
        self._copies = TileCopies(self.card, self.spread)
        self._scratch = tempfile.TemporaryDirectory()
        known, folder = self.request.known, Path(self._scratch.name)
        self._anchoring = known.over(self.request, self.frame, folder, lambda: None) if known else None
        self._planes = TilePlanes(self.frame, self.card, stretch, self._anchoring)
        self._answers = Answers(self.frame, self.card, self._copies, self.spread)
        work = self.frame.work
        self.reader = self.request.image.reader(self.frame.shown, work.rows, work.columns)

    def open(self) -> None:
        """Load the model, unless that is done."""
        if not self._is_open:
            self.worker.ask({**opening(self.request), "threads": self.threads})
            self._is_open = True

    def store(self, chunk: Chunk) -> TileStore:
        """The store of a chunk."""
        plan = self.frame.plan
        weights = blending_weights(self.card.tile_size, plan.overlap)
        Path(chunk.folder).mkdir(exist_ok=True)
        return TileStore(plan, weights, Path(chunk.folder), self.spread)

    def run(self, store: TileStore) -> TileRun:
        """A run that fills a store."""
        return TileRun(
            self.frame, self._planes, self._copies, self._answers, self.reader, store, self._anchoring
        )


@lru_cache(maxsize=64)
def _session_of_thread(order: Order, stretch: Stretch, threads: int, thread: int) -> _Session:
    # Rasters that are open may not be read by two threads at once.
    del thread
    return _Session(order, stretch, threads)


def _session(order: Order, stretch: Stretch, threads: int) -> _Session:
    return _session_of_thread(order, stretch, threads, threading.get_ident())


def predict_chunk(order: Order, stretch: Stretch, threads: int, chunk: Chunk) -> ChunkResult:
    """Predict a chunk's tiles, less those that an earlier run kept."""
    session = _session(order, stretch, threads)
    listener = Silent()
    with session.store(chunk) as store:
        run = session.run(store)
        run.take_up(listener)
        indices = range(chunk.first, chunk.end)
        if not all(store.is_done(index) for index in indices):
            session.open()
            pace = Pace(len(indices), order.batch_size, False, threads=threads)
            run.run(session.worker, pace, listener, indices)
        areas = [float(run.areas[index]) for index in indices]
        return ChunkResult(len(store), areas, run.observations, run.anchors)


def observe_border(
    order: Order, stretch: Stretch, threads: int, above: Chunk, below: Chunk, *done: ChunkResult
) -> Observations:
    """What the overlaps of two chunks that lie one below the other tell; ``done`` only keeps the order."""
    session = _session(order, stretch, threads)
    plan, observed = session.frame.plan, Observations(OverlapObservation)
    with session.store(above) as upper, session.store(below) as lower:
        for store in (upper, lower):
            store.find()
        for index in range(below.first, below.first + len(plan.column_starts)):
            if index in lower:
                tile = lower.get(index)
                weights = tile.weights * session.reader.read_valid(tile.window)
                placed = PlacedTile(tile.window, tile.heights, weights)
                observed.add(numbers_of(observed_overlaps(plan, index, placed, upper)))
    return observed


def blend_windows(
    order: Order,
    stretch: Stretch,
    threads: int,
    chunks: Sequence[Chunk],
    levels: Levels,
    windows: Sequence[Window],
) -> list[SurfaceBlock]:
    """The surface over some windows of the plan's grid.

    Args:
        order: of the prediction.
        stretch: of the whole image.
        threads: of the engine.
        chunks: all of the plan.
        levels: of all tiles of the plan.
        windows: to blend.
    """
    session = _session(order, stretch, threads)
    with ChunkedStore(chunks, session.store) as store:
        blending = Blending(session.frame, session.card, store, levels, session.spread)
        return [blending.block(window) for window in windows]


class ChunkedStore:
    """The tiles of all chunks, each read from its own store, which is opened when it is first needed.

    Args:
        chunks: in the order of their tiles.
        opened: opens a chunk's store.
    """

    def __init__(self, chunks: Sequence[Chunk], opened: Callable[[Chunk], TileStore]) -> None:
        self._chunks, self._open = chunks, opened
        self._firsts = np.array([chunk.first for chunk in chunks])
        self._stores: dict[int, TileStore] = {}

    def __enter__(self) -> ChunkedStore:
        return self

    def __exit__(self, *details: object) -> None:
        for store in self._stores.values():
            store.__exit__(None, None, None)

    def __contains__(self, index: int) -> bool:
        return index in self._store(index)

    def get(self, index: int, with_spread: bool = False) -> PlacedTile:
        """See :class:`imagetodem_qgis.prediction.store.TileStore`."""
        return self._store(index).get(index, with_spread)

    def _store(self, index: int) -> TileStore:
        number = int(np.searchsorted(self._firsts, index, side="right")) - 1
        if number not in self._stores:
            self._stores[number] = self._open(self._chunks[number])
            self._stores[number].find()
        return self._stores[number]
