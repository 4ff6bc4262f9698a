from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagetodem_qgis.core.tiling import TilePlan, blending_weights, plan_tiles
from imagetodem_qgis.prediction.disk import check_space, full_disks_told
from imagetodem_qgis.prediction.journal import Journal
from imagetodem_qgis.prediction.store import TileStore, record_size
from imagetodem_qgis.prediction.unfinished import discard, unfinished, unfinished_folder


def opened(plan: TilePlan, folder: object, with_spread: bool = False) -> TileStore:
    return TileStore(plan, blending_weights(plan.tile_size, plan.overlap), folder, with_spread)


def replayed(store: TileStore, is_cancelled=lambda: False) -> dict:
    return dict(store.replay(is_cancelled))


@pytest.mark.parametrize(("rows", "columns"), [(100, 130), (20, 130), (100, 1), (3, 5)])
@pytest.mark.parametrize("with_spread", [False, True])
def test_tiles_come_back_as_they_were_put_whatever_the_order_by_the_next_run_too(
    tmp_path, rows, columns, with_spread
):
    plan = plan_tiles(rows, columns, 32, 8)
    weights = blending_weights(32, 8)
    random = np.random.default_rng(0)
    heights, spreads, remarks = {}, {}, {}
    with opened(plan, tmp_path, with_spread) as store:
        for index in random.permutation(len(plan)).tolist():
            window = plan.window(index)
            # Turned tiles are views with other strides; what is stored is what they show.
            heights[index] = random.normal(size=(window.columns, window.rows)).astype(np.float32).T
            spreads[index] = random.random((window.rows, window.columns)).astype(np.float32)
            remarks[index] = {"area": random.random(), "overlaps": [[index, 1, random.normal()]]}
            store.put(index, heights[index], spreads[index] if with_spread else None, remarks[index])

    def check(store: TileStore) -> None:
        assert len(store) == len(plan)
        for index in range(len(plan)):
            tile = store.get(index, with_spread=True)
            assert tile.window == plan.window(index)
            np.testing.assert_array_equal(tile.heights, heights[index])
            np.testing.assert_array_equal(tile.weights, weights[: tile.window.rows, : tile.window.columns])
            if with_spread:
                np.testing.assert_array_equal(tile.spread, spreads[index])
            else:
                assert tile.spread is None
            assert store.get(index).spread is None

    with opened(plan, tmp_path, with_spread) as store:
        assert replayed(store) == remarks
        check(store)
    assert (tmp_path / "tiles.dat").stat().st_size == len(plan) * record_size(plan, with_spread)


def test_tiles_left_out_are_done_and_not_there(tmp_path):
    plan = plan_tiles(100, 100, 32, 8)
    with opened(plan, tmp_path) as store:
        store.leave_out(1)
        for index in (5, 2):
            store.put(index, np.full((32, 32), index, np.float32), None, {})
    with opened(plan, tmp_path) as store:
        assert replayed(store) == {5: {}, 2: {}}
        assert [index for index in range(len(plan)) if index in store] == [2, 5]
        assert [index for index in range(len(plan)) if store.is_done(index)] == [1, 2, 5]
        assert len(store) == 2
        assert (store.get(5).heights == 5.0).all()
        for absent in (0, 1):
            with pytest.raises(KeyError):
                store.get(absent)


@given(st.data())
def test_whatever_a_killed_run_leaves_the_next_takes_up_what_is_whole_and_no_more(tmp_path_factory, data):
    """The files are cut off anywhere, or spoiled in one byte."""
    folder = tmp_path_factory.mktemp("store")
    plan = plan_tiles(40, 40, 16, 4)
    tiles = {index: np.full((16, 16), 1.0 + index, np.float32) for index in range(len(plan))}
    with opened(plan, folder) as store:
        for index, tile in tiles.items():
            store.put(index, tile, None, {"area": index})
    file = folder / data.draw(st.sampled_from(["tiles.dat", "tiles.journal"]))
    content = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[place:]
    else:
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(content)
    if file.name == "tiles.dat":
        whole = place // record_size(plan, False)
    else:
        whole = bytes(content[:place]).count(b"\n")
    with opened(plan, folder) as store:
        assert replayed(store) == {index: {"area": index} for index in range(whole)}
        # It goes on as if nothing had happened.
        for index in range(whole, len(plan)):
            assert not store.is_done(index)
            store.put(index, tiles[index], None, {"area": index})
    with opened(plan, folder) as store:
        assert replayed(store) == {index: {"area": index} for index in tiles}
        for index, tile in tiles.items():
            np.testing.assert_array_equal(store.get(index).heights, tile)


def test_a_replay_that_is_cancelled_forgets_nothing(tmp_path):
    plan = plan_tiles(40, 40, 16, 4)
    with opened(plan, tmp_path) as store:
        for index in range(len(plan)):
            store.put(index, np.zeros((16, 16), np.float32), None, {})
    asked = []
    with opened(plan, tmp_path) as store:
        assert len(replayed(store, lambda: len(asked) > 2 or asked.append(1))) == 3
    with opened(plan, tmp_path) as store:
        assert len(replayed(store)) == len(plan)


def test_a_journal_gives_back_what_was_added(tmp_path):
    entries = [{"a": 1.0 / 3.0}, {"b": [1, "é\n", None]}, {}]
    journal = Journal(tmp_path / "journal")
    for entry in entries:
        journal.add(entry)
    ends = [end for end, _ in journal.entries()]
    assert [entry for _, entry in journal.entries()] == entries
    journal.cut(ends[0])
    journal.add({"c": 2})
    journal.close()
    journal = Journal(tmp_path / "journal")
    assert [entry for _, entry in journal.entries()] == [entries[0], {"c": 2}]
    journal.close()


class Killed(Exception):
    pass


def cut_off(output: Path, run: dict, leave: bytes) -> tuple[bool, bool]:
    """A run that leaves something and does not end; whether it went on, and replaced another."""
    with contextlib.suppress(Killed), unfinished(output, run) as kept:
        (kept.folder / "tiles.dat").open("ab").write(leave)
        (kept.folder / "tiles.journal").write_bytes(leave)
        raise Killed
    return kept.goes_on, kept.replaced


def test_what_an_unfinished_run_keeps_is_for_a_run_with_the_same_parameters(tmp_path):
    output, run = tmp_path / "dem.tif", {"image": "a.tif", "overlap": 0.25}
    folder = unfinished_folder(output)
    assert cut_off(output, run, b"one ") == (False, False)
    assert cut_off(output, dict(run), b"two") == (True, False)
    assert (folder / "tiles.dat").read_bytes() == b"one two"
    (folder / "chunk").mkdir()
    assert cut_off(output, {**run, "overlap": 0.5}, b"three") == (False, True)
    assert (folder / "tiles.dat").read_bytes() == b"three"
    assert not (folder / "chunk").exists()
    with unfinished(output, {**run, "overlap": 0.5}) as kept:
        assert kept.goes_on
    assert not folder.exists()
    # Before the first tile there is nothing to keep.
    assert cut_off(output, run, b"") == (False, False)
    assert not folder.exists()


def test_two_runs_do_not_make_the_same_output(tmp_path):
    output = tmp_path / "dem.tif"
    with unfinished(output, {}):
        second = unfinished(output, {})
        with pytest.raises(OSError, match=r"another run is making .*dem\.tif \(OUTPUT\)"):
            second.__enter__()
        assert unfinished_folder(output).is_dir()


def test_a_folder_of_that_name_that_is_the_users_own_is_left_alone(tmp_path):
    output = tmp_path / "dem.tif"
    folder = unfinished_folder(output)
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(OSError, match="holds something else"), unfinished(output, {}):
        pytest.fail("it was taken")
    assert (folder / "notes.txt").read_text() == "mine"
    (folder / "notes.txt").unlink()
    discard(output)
    assert not folder.exists()


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="a superuser may write anywhere")
def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OSError, match="dem.unfinished"), unfinished(tmp_path / "dem.tif", {}):
        pytest.fail("it was made")


def test_a_full_disk_is_told_before_work_starts(tmp_path):
    check_space(tmp_path, 1000, "The test")
    with pytest.raises(OSError, match=r"The test needs about 1000000000\.0 GB.*are free: make room"):
        check_space(tmp_path, 10**18, "The test")


@pytest.mark.parametrize(("needed", "told"), [(3_400_000, "about 3 MB"), (2_500_000_000, "about 2.5 GB")])
def test_what_is_needed_is_told_in_words(tmp_path, monkeypatch, needed, told):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=1_200_000))
    with pytest.raises(OSError, match=f"The DEM needs {told} in .* 1 MB are free"):
        check_space(tmp_path, needed, "The DEM")


def test_a_disk_that_fills_up_is_told_with_what_to_do(tmp_path, monkeypatch):
    folders = [tmp_path / name for name in ("large", "small")]
    free = dict(zip(folders, (10**9, 0)))
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=free[folder]))
    with pytest.raises(OSError, match="disk of .*small is full: make room"), full_disks_told(*folders):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(FileNotFoundError), full_disks_told(*folders):
        raise FileNotFoundError(errno.ENOENT, "No such file")


def test_a_write_that_ends_early_is_a_full_disk(tmp_path, monkeypatch):
    class Full:
        def __init__(self, file):
            self._file = file

        def __getattr__(self, name):
            return getattr(self._file, name)

        def write(self, content):
            return self._file.write(content[: len(content) // 2])

    plan = plan_tiles(32, 32, 32, 0)
    with TileStore(plan, np.ones((32, 32), np.float32), tmp_path, False) as store:
        monkeypatch.setattr(store, "_file", Full(store._file))
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)) as told:
            store.put(0, np.zeros((32, 32), np.float32), None, {})
        assert told.value.errno == errno.ENOSPC
        assert 0 not in store
