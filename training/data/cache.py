"""Keeping pairs in memory while there is room."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from training.data.pair import Pair

DEFAULT_BYTES = 1_500_000_000


class PairCache:
    """The pairs that were asked for last, up to a number of bytes; may be used from several threads.

    Args:
        limit: bytes of pixels that are kept.
    """

    def __init__(self, limit: int = DEFAULT_BYTES) -> None:
        self._limit = limit
        self._kept: OrderedDict[str, Pair] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: str, make: Callable[[], Pair]) -> Pair:
        """The pair of a key, made anew where it is not kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        # Made outside the lock: reading takes long, and threads that wait would be of no use.
        pair = make()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = pair
                self._bytes += _size(pair)
            while self._bytes > self._limit and len(self._kept) > 1:
                self._bytes -= _size(self._kept.popitem(last=False)[1])
        return pair


def _size(pair: Pair) -> int:
    return pair.image.nbytes + pair.dem.nbytes + pair.valid.nbytes
