from __future__ import annotations

import pytest

from imagetodem_qgis.prediction.pace import Pace, Setting


def settled(pace: Pace, seconds: dict[int, float], tiles: int = 10_000) -> tuple[Setting, int]:
    """Let a pace settle on an engine that takes so long for a tile in batches of each size; the setting, and
    how many tiles were given to others."""
    tried = 0
    for _ in range(100):
        setting = pace.next()
        tried += setting.batch if setting != pace.chosen else 0
        pace.heard(setting, setting.batch, seconds[setting.batch] * setting.batch)
    assert pace.next() == pace.chosen
    return pace.chosen, tried


@pytest.mark.parametrize("best", [1, 2, 4, 8, 16])
def test_the_quickest_batch_is_found_on_the_runs_own_tiles(best):
    seconds = {batch: 0.04 if batch == best else 0.06 for batch in (1, 2, 4, 8, 16)}
    chosen, tried = settled(Pace(1000, 0, True), seconds)
    assert chosen.batch == best
    assert tried <= 3 * (1 + 2 + 4 + 8 + 16)


def test_what_is_hardly_quicker_is_not_taken():
    chosen, _ = settled(Pace(1000, 0, True), {1: 0.0400, 2: 0.0399, 4: 0.0401, 8: 0.0395, 16: 0.041})
    assert chosen == Setting(4)


def test_the_first_batch_of_a_setting_tells_nothing():
    pace = Pace(1000, 0, True)
    for _ in range(15):
        setting = pace.next()
        is_first = setting not in pace._heard
        is_slow = is_first if setting.batch == 8 else not is_first
        pace.heard(setting, setting.batch, setting.batch * (9.0 if is_slow else 0.001))
    assert pace.next() == Setting(8)


def test_the_users_batch_is_kept_and_few_tiles_are_not_tried_with():
    assert {Pace(1000, 7, True).next() for _ in range(50)} == {Setting(7)}
    few = Pace(20, 0, True)
    assert [few.next() for _ in range(20)] == [Setting(4)] * 20
    steady = Pace(1000, 0, False, threads=3)
    assert [steady.next() for _ in range(20)] == [Setting(4, 0, 3)] * 20


def test_lanes_have_enough_to_do_and_batches_are_not_tried_on_them():
    pace = Pace(1000, 0, True, lanes=6)
    for _ in range(20):
        assert pace.next() == Setting(6)
        pace.heard(pace.next(), 6, 0.006)
    assert Pace(1000, 3, True, lanes=6).next() == Setting(3)


def tried(pace: Pace, each: dict[tuple[int, int], float]) -> set[tuple[int, int]]:
    """Lanes and threads that a pace tries, of which each setting takes so long for a tile."""
    seen = set()
    for _ in range(60):
        setting = pace.next()
        seen.add(setting[1:])
        pace.heard(setting, setting.batch, setting.batch * each.get(setting[1:], 0.05))
    return seen


def test_other_threads_are_tried_where_the_work_is_long(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    pace = Pace(100_000, 0, True)
    assert tried(pace, {(1, 4): 0.03}) == {(0, 0), (1, 4), (1, 8)}
    assert pace.next()[1:] == (1, 4)


@pytest.mark.parametrize("best", [(0, 0), (1, 8), (4, 1)])
def test_other_ways_to_share_the_cores_out_are_tried_where_the_work_is_long(monkeypatch, best):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    pace = Pace(100_000, 0, True, lanes=8)
    assert tried(pace, {best: 0.03}) == {(0, 0), (1, 8), (4, 1)}
    assert pace.next()[1:] == best


def test_a_last_batch_that_is_not_full_tells_nothing():
    pace = Pace(1000, 0, False)
    for _ in range(3):
        pace.heard(pace.next(), 4, 0.4)
    for _ in range(3):
        pace.heard(Setting(8), 7, 1e-9)
    assert pace.chosen == Setting(4)
