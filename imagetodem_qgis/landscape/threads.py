"""Work on several items at once, in threads: NumPy holds Python's lock only between its loops."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Callable, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST = 8
"""Threads: beyond that memory's speed and Python's lock are the limit."""


def in_threads(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Results in the items' order, as many worked on ahead as there are threads.

    Where one raises, or the iterator is closed, no further item is begun and those begun are waited for.
    """
    count = max(1, min(_MOST, os.cpu_count() or 1))
    pool = ThreadPoolExecutor(count)
    begun: deque[Future[Result]] = deque()
    try:
        for item in items:
            begun.append(pool.submit(work, item))
            if len(begun) > count:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
