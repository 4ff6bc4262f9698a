from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from tests.tiny_dataset import GSD, hills, write_dataset, write_raster
from training.data.cache import PairCache
from training.data.dataset import read_dataset, read_pair
from training.data.pair import Pair
from training.data.sources import RenderedPairs, open_source, shared_out
from training.request import DataError


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_dataset(tmp_path / "data")


def change(folder: Path, **changes) -> None:
    path = folder / "dataset.json"
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def test_pairs_are_those_of_the_files(folder):
    data = read_dataset(folder)
    pairs = data.pairs("train", PairCache())
    assert [pair.name for pair in pairs] == ["p0", "p1", "p2", "p3"]
    dem, image = hills(96, 2)
    np.testing.assert_array_equal(pairs[2].dem, dem)
    np.testing.assert_array_equal(pairs[2].image, np.stack([image] * 3, -1))
    assert pairs[2].valid.all()
    # UTM, whose scale at 8.1 degrees east, off the central meridian, is within a thousandth of one.
    assert pairs[2].gsd == pytest.approx(GSD, rel=2e-3)
    assert {split: len(data.pairs(split, PairCache())) for split in ("validation", "test")} == {
        "validation": 2,
        "test": 1,
    }


def test_what_a_pair_says_comes_before_what_the_set_says(folder):
    pairs = [
        {"id": "p0", "split": "train", "gsd": 12.5, "sun_azimuth": 315},
        {"id": "p1", "split": "train"},
    ]
    change(folder, pairs=pairs, resolution=20, sun_azimuth=135)
    first, second = read_dataset(folder).pairs("train", PairCache())
    assert (first.gsd, second.gsd) == (12.5, 20.0)
    dem, _ = hills(96, 0)
    # Light from the north-west is brought to the south-east by half a turn.
    np.testing.assert_array_equal(first.dem, dem[::-1, ::-1])


def test_voids_and_nodata_are_unknown(folder):
    dem, image = hills(96, 0)
    dem[:10] = -32768
    dem[10, 0] = np.nan
    dem[20, 20] = -9999
    image[50, 50] = 0
    write_raster(folder / "dems" / "p0.tif", dem[None], nodata=-32768)
    write_raster(folder / "images" / "p0.tif", np.stack([image] * 3), nodata=0)
    pair = read_pair(read_dataset(folder).entries[0])
    known = np.ones((96, 96), bool)
    known[:10] = known[10, 0] = known[20, 20] = False
    np.testing.assert_array_equal(np.isfinite(pair.dem), known)
    known[(image == 0)] = False
    np.testing.assert_array_equal(pair.valid, known)


def test_footprints_stand_in_for_the_list_of_pairs(folder):
    change(folder, pairs=None)
    with pytest.raises(DataError, match="lists no pair"):
        read_dataset(folder)
    with sqlite3.connect(folder / "footprints.gpkg") as database:
        database.execute("CREATE TABLE gpkg_contents (table_name TEXT, data_type TEXT)")
        database.execute("INSERT INTO gpkg_contents VALUES ('footprints', 'features')")
        database.execute("CREATE TABLE footprints (id TEXT, split TEXT, parent TEXT, sun_azimuth REAL)")
        rows = [("p0", "train", "north", 140.0), ("p5", "validation", "south", None)]
        database.executemany("INSERT INTO footprints VALUES (?, ?, ?, ?)", rows)
    database.close()
    first, second = read_dataset(folder).entries
    assert (first.id, first.split, first.area, first.sun_azimuth) == ("p0", "train", "north", 140.0)
    assert (second.id, second.split, second.area, second.sun_azimuth) == ("p5", "validation", "south", None)
    (folder / "footprints.gpkg").write_bytes(b"no database at all, but long enough to be taken for one")
    with pytest.raises(DataError, match=r"footprints.gpkg is not a GeoPackage"):
        read_dataset(folder)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ({"split": "train"}, "a pair without an 'id'"),
        ({"id": "../p0", "split": "train"}, "is no file name"),
        (
            {"id": "p0", "split": "training"},
            "'split' of p0 is 'training', not one of train, validation, test",
        ),
        ({"id": "p0", "split": "train", "gsd": "10"}, "'gsd' of p0 is '10', not a number"),
        ({"id": "p0", "split": "train", "gsd": -1}, "'gsd' of p0 is -1.0 m"),
    ],
)
def test_a_wrong_description_is_refused(folder, pair, message):
    change(folder, pairs=[pair])
    with pytest.raises(DataError, match=message):
        read_dataset(folder)


def test_no_coordinate_system_needs_a_resolution(folder):
    dem, image = hills(96, 0)
    write_raster(folder / "images" / "p0.tif", np.stack([image] * 3), crs=None)
    with pytest.raises(DataError, match=r"p0.tif has no coordinate system and dataset.json no 'gsd'"):
        read_pair(read_dataset(folder).entries[0])
    change(folder, resolution=15)
    assert read_pair(read_dataset(folder).entries[0]).gsd == 15.0


def test_a_folder_that_is_no_data_set(tmp_path):
    with pytest.raises(DataError, match="has no dataset.json"):
        open_source(tmp_path, PairCache())


def test_the_cache_reads_once_and_keeps_within_its_limit(folder):
    entries = read_dataset(folder)
    one = 96 * 96 * (3 + 4 + 1)
    cache = PairCache(limit=2 * one)
    pairs = entries.pairs("train", cache)
    first = pairs[0]
    assert pairs[0] is first
    assert pairs[1] is pairs[1]
    assert pairs[0] is first
    assert pairs[2] is not None  # drops the second, which was asked for longest ago
    assert pairs[0] is first
    shutil.rmtree(folder / "images")
    with pytest.raises(DataError):
        pairs[1]
    assert pairs[0] is first


def test_a_rendered_pair_follows_from_seed_and_number():
    calls = []

    def render(random):
        calls.append(random.random())
        return read_back

    dem, image = hills(64, 0)
    read_back = Pair("x", np.stack([image] * 3, -1), dem, np.ones((64, 64), bool), 30.0, "train")
    pairs = RenderedPairs(5, render, 3, PairCache())
    assert len(pairs) == 5
    _ = pairs[4], pairs[4], pairs[1]
    _ = RenderedPairs(5, render, 3, PairCache())[4]
    assert calls[0] == calls[2] != calls[1]
    assert len(calls) == 3


def test_rendered_and_real_pairs_get_their_shares(tmp_path):
    real = open_source(write_dataset(tmp_path / "real"), PairCache()).train
    drawn = open_source(write_dataset(tmp_path / "drawn", content={"rendered": True}), PairCache()).train
    shares = {group.name: group.share for group in shared_out([*real, *real, *drawn], 0.4)}
    assert shares == {"real": pytest.approx(0.3), "drawn": pytest.approx(0.4)}
    assert [group.share for group in shared_out(drawn, 0.4)] == [1.0]
    assert [group.name for group in shared_out([*real, *drawn], 0.0)] == ["real"]


def test_the_real_scenes_are_read(shared_data, tmp_path):
    (tmp_path / "scenes").symlink_to(shared_data / "scenes", target_is_directory=True)
    source = open_source(tmp_path, PairCache())
    (group,) = source.train
    assert sorted(pair.name for pair in group.pairs) == [
        "davosdorf",
        "fuji_tanzawa_s2_20210601",
        "gsl_utah_landsat7",
        "kanto_l8_20211228",
        "lsat_para_brazil",
    ]
    # The chance of a scene grows with its side, not with its area.
    np.testing.assert_allclose(np.square(group.weights), [pair.valid.sum() for pair in group.pairs])
    assert [pair.name for pair in source.validation] == ["zion_l8_west", "zion_l8_east"]
    assert {pair.name for pair in source.test} == {"sertig_valley", "duebendorf", "goslee_l7_nov"}
