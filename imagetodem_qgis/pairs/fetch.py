"""Fetching tiles by a bounded number of threads."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Callable, Union

from imagetodem_qgis.pairs.examine import Limits, examine
from imagetodem_qgis.pairs.journal import Journal, Kept, LeftOut
from imagetodem_qgis.pairs.source import FetchCancelled, NoData, PairSource, SourceError, Tile
from imagetodem_qgis.pairs.writer import PairWriter

_LOOK_UP_SECONDS = 0.1
_LAST_SECONDS = 0.7
"""What the threads have to come to their end when a run ends before its tiles do."""


@dataclass(frozen=True)
class Failed:
    """A tile that could not be had, and why."""

    error: SourceError


Outcome = Union[Kept, LeftOut, Failed]


class TileFetcher:
    """Fetches, examines, writes and notes tiles, several at once; a context manager that ends its threads.

    Memory does not grow with the tiles: a thread holds one pair, and what is handed out holds none.

    Args:
        source: of the pairs.
        writer: of their files.
        journal: in which a tile is noted as soon as its files are there.
        limits: of what is kept.
    """

    def __init__(self, source: PairSource, writer: PairWriter, journal: Journal, limits: Limits) -> None:
        self._source, self._writer, self._journal, self._limits = source, writer, journal, limits
        self._stop = threading.Event()
        self._lock = threading.Lock()
        # Threads do not run ahead of the one that listens, which may want to give up.
        self._outcomes: queue.Queue[tuple[Tile, Outcome | BaseException]] = queue.Queue(source.simultaneous)
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> TileFetcher:
        return self

    def __exit__(self, *details: object) -> None:
        self._stop.set()
        deadline = time.monotonic() + _LAST_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def fetch(
        self, tiles: Sequence[Tile], is_cancelled: Callable[[], bool]
    ) -> Iterator[tuple[Tile, Outcome]]:
        """What becomes of each tile, in the order in which they come.

        Raises:
            FetchCancelled: the user cancelled; within a second.
            OSError: a file cannot be written.
        """
        waiting = iter(tiles)
        for _ in range(min(self._source.simultaneous, len(tiles))):
            thread = threading.Thread(target=self._work, args=(waiting,), daemon=True)
            thread.start()
            self._threads.append(thread)
        for _ in tiles:
            tile, outcome = self._next(is_cancelled)
            if isinstance(outcome, BaseException):
                raise outcome
            yield tile, outcome

    def _next(self, is_cancelled: Callable[[], bool]) -> tuple[Tile, Outcome | BaseException]:
        while True:
            if is_cancelled():
                raise FetchCancelled("cancelled")
            try:
                return self._outcomes.get(timeout=_LOOK_UP_SECONDS)
            except queue.Empty:
                continue

    def _work(self, waiting: Iterator[Tile]) -> None:
        while not self._stop.is_set():
            with self._lock:
                tile = next(waiting, None)
            if tile is None:
                return
            outcome: Outcome | BaseException
            try:
                outcome = self._one(tile)
            # Whatever goes wrong in a thread must reach the one that waits.
            except BaseException as error:  # noqa: BLE001
                outcome = error
            self._tell(tile, outcome)

    def _tell(self, tile: Tile, outcome: Outcome | BaseException) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                self._outcomes.put((tile, outcome), timeout=_LOOK_UP_SECONDS)
                return

    def _one(self, tile: Tile) -> Outcome:
        try:
            pair = self._source.fetch(tile, self._stop.is_set)
            examine(tile, pair, self._limits)
        except NoData as nothing:
            left_out = LeftOut(nothing.reason)
            self._journal.note(tile.id, left_out)
            return left_out
        except SourceError as error:
            return Failed(error)
        if self._stop.is_set():
            raise FetchCancelled("cancelled")
        kept = Kept(self._writer.write(tile, pair), pair.provenance)
        self._journal.note(tile.id, kept)
        return kept
