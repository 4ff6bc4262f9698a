"""Files that stay open between tiles: neighbours read the same ones."""

from __future__ import annotations

import threading
from collections import OrderedDict

from osgeo import gdal


class OpenFiles:
    """GDAL's open files that nobody reads at the moment. It may be used from several threads, a file by
    one at a time.

    Args:
        most: kept; of more, those that were used longest ago are closed.
    """

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._idle: OrderedDict[int, tuple[str, gdal.Dataset]] = OrderedDict()
        self._count = 0

    def take(self, name: str) -> gdal.Dataset | None:
        """An open file by GDAL's name of it; the caller's alone until it is given back."""
        with self._lock:
            for number in reversed(self._idle):
                if self._idle[number][0] == name:
                    return self._idle.pop(number)[1]
        return None

    def give_back(self, name: str, dataset: gdal.Dataset) -> None:
        """Keep a file for the next reader."""
        closed = None
        with self._lock:
            self._count += 1
            self._idle[self._count] = (name, dataset)
            if len(self._idle) > self._most:
                closed = self._idle.popitem(last=False)
        del closed

    def close(self) -> None:
        """Close all of them."""
        with self._lock:
            closed = list(self._idle.values())
            self._idle.clear()
        closed.clear()
