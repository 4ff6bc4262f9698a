"""How many tiles the engine is given at once, and on how many threads: found by trying on the run's own
first tiles, whose answers count like all others."""

from __future__ import annotations

import os
from typing import NamedTuple

USUAL_BATCH = 4
_BATCHES = (USUAL_BATCH, 1, 2, 8, 16)
_TRIES = 2
_WORTH_TRYING = 96
"""Tiles from which a better batch is worth the slower ones that are tried."""
_WORTH_THREADS = 60.0
"""Seconds of work from which other numbers of threads are tried: the model is loaded again for each."""
_GAIN = 0.97
"""Share of the usual setting's time below which another is taken: less is the clock's noise."""


class Setting(NamedTuple):
    """Tiles given to the engine at once, and its threads; 0 for the engine's own choice."""

    batch: int
    threads: int = 0


class Pace:
    """Settles on a setting while the first tiles are predicted.

    Args:
        tiles: how many there are.
        batch_size: the user's choice; 0 to find one.
        tries: whether other batches and threads may be tried; an engine may take long to prepare itself
            for each.
        threads: of the engine to begin with; 0 for its own choice.
    """

    def __init__(self, tiles: int, batch_size: int, tries: bool, threads: int = 0) -> None:
        self._tiles, self._tries_threads = tiles, tries and batch_size == 0
        self._seconds: dict[Setting, float] = {}
        self._chosen = Setting(batch_size or USUAL_BATCH, threads)
        self._left: list[Setting] = []
        if self._tries_threads and tiles >= _WORTH_TRYING:
            self._left = [Setting(batch, threads) for batch in _BATCHES for _ in range(_TRIES)]

    def next(self) -> Setting:
        """The setting of the next batch."""
        return self._left.pop(0) if self._left else self._chosen

    def heard(self, setting: Setting, tiles: int, seconds: float) -> None:
        """Take in how long the engine took for a batch."""
        if tiles != setting.batch:
            return
        each = seconds / tiles
        self._seconds[setting] = min(each, self._seconds.get(setting, each))
        best = min(self._seconds, key=lambda known: self._seconds[known])
        if self._seconds[best] < _GAIN * self._seconds.get(self._chosen, float("inf")):
            self._chosen = best
        if not self._left and self._tries_threads and self._tiles * each > _WORTH_THREADS:
            self._tries_threads = False
            cores = os.cpu_count() or 1
            others = {count for count in (cores, cores // 2) if count > 0}
            self._left = [
                Setting(self._chosen.batch, count) for count in sorted(others) for _ in range(_TRIES)
            ]

    @property
    def chosen(self) -> Setting:
        """The best setting so far."""
        return self._chosen
