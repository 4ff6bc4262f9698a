"""Filling a folder with pairs: whole, resumed, cancelled, failed, and what it says of itself."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("osgeo.gdal", reason="needs GDAL's Python")

from imagetodem_qgis.pairs.dataset import IncompleteError, make_dataset
from imagetodem_qgis.pairs.examine import Limits
from imagetodem_qgis.pairs.journal import JournalError
from imagetodem_qgis.pairs.plan import Plan
from imagetodem_qgis.pairs.source import FetchCancelled, FetchedPair, NoData, SourceError, Tile
from imagetodem_qgis.runtime.datasets import check_dataset
from tests.pair_sources import PROVENANCE, PlaceSource, Told, job, small_plan


@pytest.fixture(scope="module")
def plan() -> Plan:
    return small_plan()


def content(folder: Path) -> dict[str, bytes]:
    """The rasters of a folder by name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.tif")}


def description(folder: Path) -> dict:
    return json.loads((folder / "dataset.json").read_text(encoding="utf-8"))


def test_a_folder_is_filled_and_described(tmp_path, plan):
    source, told = PlaceSource(), Told()
    made = make_dataset(job(tmp_path, plan), source, told)
    ids = [tile.id for tile in plan.tiles]
    assert made.pairs == len(ids) == len(set(source.asked))
    assert sorted(path.stem for path in (tmp_path / "images").iterdir()) == sorted(ids)
    assert sorted(path.stem for path in (tmp_path / "dems").iterdir()) == sorted(ids)
    check_dataset(tmp_path)
    about = description(tmp_path)
    assert (about["resolution"], about["tile_size"], about["complete"]) == (30.0, 64, True)
    assert about["sources"] == ["waves"]
    assert [pair["id"] for pair in about["pairs"]] == ids
    assert about["pairs"][0]["scenes"] == list(PROVENANCE.scenes)
    assert about["pairs"][0]["sun_azimuth"] == PROVENANCE.sun_azimuth
    assert told.percents[-1] == 100.0
    assert told.percents == sorted(told.percents)
    assert f"{2 * len(ids)} requests" in told.said[1]
    assert "left" in told.texts[0]
    assert not list(tmp_path.rglob("*partial*"))


def test_footprints_carry_what_is_known_of_each_pair(tmp_path, plan):
    made = make_dataset(job(tmp_path, plan), PlaceSource(), Told())
    with sqlite3.connect(made.footprints) as database:
        rows = database.execute(
            "SELECT id, split, area, scenes, dates, sun_azimuth, sun_zenith, crs, gsd FROM footprints"
        ).fetchall()
    expected = [
        (tile.id, tile.split, tile.area, "scene_1 scene_2", "2022-06-01 2022-07-03", 151.25, 32.5,
         tile.crs, 30.0)
        for tile in plan.tiles
    ]  # fmt: skip
    assert rows == expected


def test_tiles_that_are_not_worth_keeping_are_counted(tmp_path, plan):
    names = [tile.id for tile in plan.tiles]

    def change(tile: Tile, pair: FetchedPair) -> FetchedPair:
        if tile.id == names[0]:
            raise NoData("cloud", "no scene")
        if tile.id == names[1]:
            return FetchedPair(pair.image, np.full_like(pair.dem, np.nan))
        if tile.id == names[2]:
            return FetchedPair(pair.image, np.zeros_like(pair.dem))
        return pair

    made = make_dataset(job(tmp_path, plan), PlaceSource(change), Told())
    assert made.left_out == {"cloud": 1, "nodata": 1, "sea": 1}
    assert made.pairs == len(names) - 3
    assert description(tmp_path)["left_out"] == {"sea": 1, "cloud": 1, "nodata": 1, "buffer": plan.dropped}
    assert not (tmp_path / "images" / f"{names[0]}.tif").exists()
    again = PlaceSource(change)
    assert make_dataset(job(tmp_path, plan), again, Told()) == made
    assert again.asked == []


def test_a_cancelled_run_goes_on_where_it_stopped(tmp_path, plan):
    whole = tmp_path / "whole"
    make_dataset(job(whole, plan), PlaceSource(), Told())
    folder = tmp_path / "stopped"
    with pytest.raises(FetchCancelled):
        make_dataset(job(folder, plan), PlaceSource(), Told(cancel_after=5))
    there = {path.stem for path in (folder / "images").glob("*.tif")}
    source, told = PlaceSource(), Told()
    make_dataset(job(folder, plan), source, told)
    asked = set(source.asked)
    assert 5 <= len(there) < len(plan.tiles)
    assert not asked & there
    assert asked | there == {tile.id for tile in plan.tiles}
    assert content(folder) == content(whole)
    assert description(folder) == description(whole)
    assert "tiles are done already" in told.said[0]


def test_broken_files_are_fetched_again(tmp_path, plan):
    make_dataset(job(tmp_path, plan), PlaceSource(), Told())
    before = content(tmp_path)
    names = [tile.id for tile in plan.tiles]
    (tmp_path / "images" / f"{names[0]}.tif").write_bytes(b"II*\0half")
    (tmp_path / "dems" / f"{names[1]}.tif").unlink()
    source, told = PlaceSource(), Told()
    make_dataset(job(tmp_path, plan), source, told)
    assert set(source.asked) == set(names[:2])
    assert content(tmp_path) == before
    assert "2 pairs" in told.warned[0]


def test_a_tile_that_fails_does_not_stop_the_others(tmp_path, plan):
    bad = plan.tiles[3].id

    def change(tile: Tile, pair: FetchedPair) -> FetchedPair:
        if tile.id == bad:
            raise SourceError("the scene's file is damaged")
        return pair

    with pytest.raises(IncompleteError) as caught:
        make_dataset(job(tmp_path, plan), PlaceSource(change), Told())
    message = str(caught.value)
    assert message.startswith("the scene's file is damaged\n1 tile could not be fetched")
    assert str(tmp_path) in message
    about = description(tmp_path)
    assert (about["complete"], about["missing"], len(about["pairs"])) == (False, 1, len(plan.tiles) - 1)
    check_dataset(tmp_path)
    source = PlaceSource()
    make_dataset(job(tmp_path, plan), source, Told())
    assert source.asked == [bad]
    assert description(tmp_path)["complete"] is True


def test_what_every_tile_would_meet_ends_the_run_at_once(tmp_path, plan):
    def change(tile: Tile, pair: FetchedPair) -> FetchedPair:
        raise SourceError("the quota is exhausted", fatal=True)

    source = PlaceSource(change)
    with pytest.raises(IncompleteError, match="the quota is exhausted"):
        make_dataset(job(tmp_path, plan), source, Told())
    assert len(source.asked) <= 6


def test_a_source_that_is_gone_is_given_up(tmp_path, plan):
    def change(tile: Tile, pair: FetchedPair) -> FetchedPair:
        if len(source.asked) <= 4:
            return pair
        raise SourceError("no route to the server")

    source = PlaceSource(change, simultaneous=1)
    with pytest.raises(IncompleteError, match=r"12 tiles in a row could not be fetched; 4 pairs"):
        make_dataset(job(tmp_path, plan), source, Told())
    assert len(source.asked) < len(plan.tiles)


def test_an_error_of_the_program_s_own_is_not_swallowed(tmp_path, plan):
    def change(tile: Tile, pair: FetchedPair) -> FetchedPair:
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError):
        make_dataset(job(tmp_path, plan), PlaceSource(change), Told())


def test_no_more_tiles_at_once_than_the_source_allows(tmp_path, plan):
    def change(tile: Tile, pair: FetchedPair) -> FetchedPair:
        time.sleep(0.002)
        return pair

    source = PlaceSource(change, simultaneous=3)
    make_dataset(job(tmp_path, plan), source, Told())
    assert 2 <= source.most_under_way <= 3


def test_no_more_pairs_in_memory_than_are_under_way(tmp_path, plan):
    alive: list[weakref.ref] = []
    most = 0

    def change(tile: Tile, pair: FetchedPair) -> FetchedPair:
        nonlocal most
        alive[:] = [one for one in alive if one() is not None] + [weakref.ref(pair)]
        most = max(most, len(alive))
        return pair

    make_dataset(job(tmp_path, plan), PlaceSource(change), Told())
    assert len(plan.tiles) > 20
    # Two under way, and in each thread the one before, until the next takes its name.
    assert most <= 4


def test_a_cancel_does_not_wait_for_a_tile_that_hangs(tmp_path, plan):
    hanging = threading.Event()

    def change(tile: Tile, pair: FetchedPair) -> FetchedPair:
        hanging.wait(60.0)
        return pair

    told = Told(cancel_after=0)
    threads = threading.active_count()
    with pytest.raises(FetchCancelled):
        make_dataset(job(tmp_path, plan), PlaceSource(change), told)
    # The run is over while the tiles still hang.
    assert threading.active_count() > threads
    hanging.set()
    for thread in threading.enumerate():
        if thread.daemon and thread is not threading.current_thread():
            thread.join(10.0)
    assert content(tmp_path) == {}


def test_other_parameters_leave_the_folder_as_it_is(tmp_path, plan):
    make_dataset(job(tmp_path, plan), PlaceSource(), Told())
    before = content(tmp_path)
    with pytest.raises(JournalError, match="SOURCE"):
        make_dataset(job(tmp_path, plan, parameters={"SOURCE": "other"}), PlaceSource(), Told())
    assert content(tmp_path) == before


def test_a_disk_that_is_too_small_is_told_before_the_first_tile(tmp_path, plan, monkeypatch):
    import shutil

    class Usage:
        free = 1_000_000

    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage)
    source = PlaceSource()
    with pytest.raises(OSError, match="make room"):
        make_dataset(job(tmp_path, plan), source, Told())
    assert source.asked == []


def test_a_folder_without_a_pair_says_so(tmp_path, plan):
    told = Told()
    made = make_dataset(job(tmp_path, plan, limits=Limits(-1.0, 1.0)), PlaceSource(), told)
    assert made.pairs == 0
    assert "No tile was worth keeping" in told.warned[-1]


def test_a_split_that_lost_all_its_tiles_is_told(tmp_path, plan):
    def change(tile: Tile, pair: FetchedPair) -> FetchedPair:
        if tile.split == "validation":
            raise NoData("cloud", "clouds")
        return pair

    told = Told()
    make_dataset(job(tmp_path, plan), PlaceSource(change), told)
    assert "'validation'" in told.warned[-1]


def test_two_runs_on_one_folder_do_not_meet(tmp_path, plan):
    entered, leave = threading.Event(), threading.Event()

    def change(tile: Tile, pair: FetchedPair) -> FetchedPair:
        entered.set()
        leave.wait(60.0)
        return pair

    first = threading.Thread(target=make_dataset, args=(job(tmp_path, plan), PlaceSource(change), Told()))
    first.start()
    entered.wait(60.0)
    try:
        with pytest.raises(OSError, match="another run"):
            make_dataset(job(tmp_path, plan), PlaceSource(), Told(cancel_after=0))
    finally:
        leave.set()
        first.join(60.0)
    assert len(content(tmp_path)) == 2 * len(plan.tiles)
