"""Running a network on several tiles at once.

A processor does more tiles with one on each core than with all cores on one: nowhere do cores wait for the
slowest of them, and one that another process takes for a moment holds up no tile but its own.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Callable

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.worker.engines import Engine

FloatArray = NDArray[np.float32]


class Lanes:
    """Runs an engine on so many parts of its work at once; who has several gets tile by tile.

    Args:
        engine: that may be asked from several threads at once.
        count: of the lanes, 1 for whole batches one after the other.

    Attributes:
        count: likewise.
    """

    def __init__(self, engine: Engine, count: int) -> None:
        self._engine, self.count = engine, count
        self._pool = ThreadPoolExecutor(count)
        self._free = 0.0

    def begin(self, tiles: FloatArray) -> Callable[[], tuple[FloatArray, float]]:
        """Begin with a batch.

        Args:
            tiles: (n, rows, columns, planes).

        Returns:
            What waits for the answers, (n, rows, columns, answers), and for the seconds that the batch took:
            from its beginning, or from the end of the one before it, to its end. Batches must be waited for
            in the order in which they were begun.
        """
        step = len(tiles) if self.count == 1 else 1
        parts = [tiles[first : first + step] for first in range(0, len(tiles), step)]
        begun = [self._pool.submit(self._run, part) for part in parts]

        def wait() -> tuple[FloatArray, float]:
            return self._answers(begun)

        return wait

    def close(self) -> None:
        """Wait for what is under way, and end."""
        self._pool.shutdown()

    def _run(self, tiles: FloatArray) -> tuple[FloatArray, float, float]:
        start = time.perf_counter()
        return self._engine.predict(tiles), start, time.perf_counter()

    def _answers(self, begun: list[Future[tuple[FloatArray, float, float]]]) -> tuple[FloatArray, float]:
        answers, starts, ends = zip(*(part.result() for part in begun))
        start, self._free = max(self._free, min(starts)), max(ends)
        joined = answers[0] if len(answers) == 1 else np.concatenate(answers)
        return joined, max(0.0, self._free - start)
