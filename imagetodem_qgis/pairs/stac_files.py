"""Files that stay open between tiles: neighbours read the same ones."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import MutableMapping
from typing import Any, Generic, TypeVar

from osgeo import gdal

File = TypeVar("File")


class OpenFiles(Generic[File]):
    """Open files that nobody reads at the moment; they close when they are forgotten. It may be used from
    several threads, a file by one at a time.

    Args:
        most: kept; of more, those that were used longest ago are closed.
    """

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._idle: OrderedDict[int, tuple[str, File]] = OrderedDict()
        self._count = 0
        # Files that are only forgotten, perhaps by the garbage collector, close without a word as well.
        weakref.finalize(self, _close, self._idle)

    def take(self, name: str) -> File | None:
        """An open file by its address; the caller's alone until it is given back."""
        with self._lock:
            for number in reversed(self._idle):
                if self._idle[number][0] == name:
                    return self._idle.pop(number)[1]
        return None

    def give_back(self, name: str, file: File) -> None:
        """Keep a file for the next reader."""
        closed = {}
        with self._lock:
            self._count += 1
            self._idle[self._count] = (name, file)
            if len(self._idle) > self._most:
                closed = dict([self._idle.popitem(last=False)])
        del file
        _close(closed)

    def close(self) -> None:
        """Close all of them."""
        with self._lock:
            closed = dict(self._idle)
            self._idle.clear()
        _close(closed)


def _close(files: MutableMapping[int, tuple[str, Any]]) -> None:
    """Close files that nobody else holds, without a word: where the user asked GDAL for its debugging
    messages it would name them, with their tokens."""
    gdal.PushErrorHandler(lambda kind, number, message: None)
    try:
        files.clear()
    finally:
        gdal.PopErrorHandler()
