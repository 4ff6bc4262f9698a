"""How many tiles the engine is given at once, and on how many threads: found by trying on the run's own
first tiles, whose answers count like all others."""

from __future__ import annotations

import os
from statistics import mean
from typing import NamedTuple

USUAL_BATCH = 4
_BATCHES = (USUAL_BATCH, 1, 2, 8, 16)
_TRIES = 3
"""Of a setting one after the other, the first of which prepares the engine and tells nothing."""
_WORTH_TRYING = 96
"""Tiles from which a better batch is worth the slower ones that are tried."""
_WORTH_THREADS = 60.0
"""Seconds of work from which other numbers of threads are tried: the model is loaded again for each."""
_GAIN = 0.97
"""Share of the usual setting's time below which another is taken: less is the clock's noise."""


class Setting(NamedTuple):
    """How the engine is given its work; 0 for the engine's own choice.

    Attributes:
        batch: tiles sent to it together.
        lanes: of which so many are worked on at once, one by one; 1 for whole batches.
        threads: of the processor in each lane.
    """

    batch: int
    lanes: int = 0
    threads: int = 0


class Pace:
    """Settles on a setting while the first tiles are predicted.

    Args:
        tiles: how many there are.
        batch_size: the user's choice; 0 to find one.
        tries: whether other settings may be tried; an engine may take long to prepare itself for each.
        lanes: of the engine's own choice.
        threads: of the engine to begin with; 0 for its own choice.
    """

    def __init__(self, tiles: int, batch_size: int, tries: bool, lanes: int = 1, threads: int = 0) -> None:
        self._tiles, self._lanes = tiles, lanes
        self._tries_threads = tries and batch_size == 0
        self._heard: dict[Setting, list[float]] = {}
        self._chosen = Setting(batch_size or max(USUAL_BATCH, lanes), 0, threads)
        self._left: list[Setting] = []
        # Lanes take a batch apart: its size does not matter to them.
        if self._tries_threads and lanes == 1 and tiles >= _WORTH_TRYING:
            self._left = [Setting(batch, 0, threads) for batch in _BATCHES for _ in range(_TRIES)]

    def next(self) -> Setting:
        """The setting of the next batch."""
        return self._left.pop(0) if self._left else self._chosen

    def heard(self, setting: Setting, tiles: int, seconds: float) -> None:
        """Take in how long the engine took for a batch."""
        if tiles != setting.batch:
            return
        self._heard.setdefault(setting, []).append(seconds / tiles)
        each = {known: mean(times[1:_TRIES]) for known, times in self._heard.items() if len(times) >= _TRIES}
        if not each:
            return
        best = min(each, key=lambda known: each[known])
        if each[best] < _GAIN * each.get(self._chosen, float("inf")):
            self._chosen = best
        if not self._left and self._tries_threads and self._tiles * each[best] > _WORTH_THREADS:
            self._tries_threads = False
            self._left = [setting for setting in self._others() for _ in range(_TRIES)]

    def _others(self) -> list[Setting]:
        """Other ways to share a processor's cores out."""
        cores = os.cpu_count() or 1
        if self._lanes > 1:
            # Half of what counts as a core may be one that another stands in for.
            ways = [(1, cores), (max(1, cores // 2), 1)]
            return [Setting(max(USUAL_BATCH, lanes), lanes, threads) for lanes, threads in ways]
        counts = {count for count in (cores, cores // 2) if count > 0}
        return [Setting(self._chosen.batch, 1, count) for count in sorted(counts)]

    @property
    def chosen(self) -> Setting:
        """The best setting so far."""
        return self._chosen
