"""Working on several items at once."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest

from imagetodem_qgis.landscape.threads import in_threads


def test_results_come_in_the_items_order():
    def work(item: int) -> int:
        time.sleep(0.002 * (item % 3))
        return item * item

    assert list(in_threads(work, range(40))) == [item * item for item in range(40)]
    assert list(in_threads(work, [])) == []


def test_a_failure_ends_it_and_no_further_item_is_begun():
    begun = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 3:
            raise KeyError(item)
        return item

    results = in_threads(work, range(1000))
    with pytest.raises(KeyError):
        list(results)
    assert len(begun) < 50


def test_closing_it_leaves_no_thread():
    before = threading.active_count()
    with closing(in_threads(lambda item: item, range(1000))) as results:
        assert next(results) == 0
    assert threading.active_count() == before
