from __future__ import annotations

import csv
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import from_origin

from imagetodem_qgis.core.light import angular_distance
from training.data.bluemarble import read_bluemarble
from training.data.pair import SUN_AZIMUTH, Pair
from training.data.scene_list import SCENES, Scene
from training.data.scenes import read_scene


def hillshade(heights: np.ndarray, gsd: float, azimuth: float) -> np.ndarray:
    """Cosine of the angle between the ground's normal and a sun 35 degrees high."""
    down, across = np.gradient(heights.astype(np.float64), gsd)
    east, north = np.sin(np.radians(azimuth)), np.cos(np.radians(azimuth))
    light = np.sin(np.radians(35.0)) + np.cos(np.radians(35.0)) * (down * north - across * east)
    return light / np.sqrt(1.0 + across**2 + down**2)


def agreement(pair: Pair, azimuth: float) -> float:
    """Correlation of the image's fine brightness with a hillshade of its DEM under a sun at an azimuth."""
    luminance = pair.image.astype(np.float64).mean(-1)
    shade = hillshade(np.where(pair.valid, pair.dem, 0.0), pair.gsd, azimuth)
    # What the ground's colour does from one valley to the next is taken out with a local mean.
    fine = [array - local_mean(array, pair.valid) for array in (luminance, shade)]
    inner = pair.valid & (local_mean(pair.valid.astype(float), pair.valid) > 0.999)
    return float(np.corrcoef(fine[0][inner], fine[1][inner])[0, 1])


def local_mean(array: np.ndarray, valid: np.ndarray, side: int = 15) -> np.ndarray:
    values = np.where(valid, array, 0.0)
    for axis in (0, 1):
        pad = [(0, 0), (0, 0)]
        pad[axis] = (side // 2 + 1, side // 2)
        sums = np.cumsum(np.pad(values, pad), axis=axis)
        ends = np.take(sums, range(side, sums.shape[axis]), axis)
        values = (ends - np.take(sums, range(sums.shape[axis] - side), axis)) / side
    return values


def write_bluemarble(folder: Path, rows: list[tuple[str, str]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Tiles by id: image and DEM in counts. Brightness follows height, so that both can be told apart."""
    tiles = {}
    (folder / "rgb").mkdir(parents=True)
    (folder / "dem").mkdir()
    with open(folder / "index.csv", "w", newline="") as table:
        writer = csv.DictWriter(table, ["id", "lon", "lat", "gsd_m", "split"])
        writer.writeheader()
        for number, (name, split) in enumerate(rows):
            writer.writerow({"id": name, "lon": 0, "lat": 0, "gsd_m": 300 + number, "split": split})
            down, across = np.mgrid[:256, :256]
            dem = (down // 2 + across // 4 + number).astype(np.uint16)
            image = np.stack([dem.astype(np.uint8)] * 3, -1)
            Image.fromarray(image).save(folder / "rgb" / f"{name}.jpg", quality=98)
            Image.fromarray(dem).save(folder / "dem" / f"{name}.png")
            tiles[name] = (image, dem)
    return tiles


def test_bluemarble_tiles_are_read_by_split_and_turned_by_half(tmp_path):
    tiles = write_bluemarble(
        tmp_path, [("8_1_2", "train"), ("8_3_2", "test"), ("8_5_2", "train"), ("8_7_2", "validation")]
    )
    pairs = list(read_bluemarble(tmp_path, "train"))
    assert [(pair.name, pair.split, pair.gsd) for pair in pairs] == [
        ("8_1_2", "train", 300.0),
        ("8_5_2", "train", 302.0),
    ]
    for pair in pairs:
        image, dem = tiles[pair.name]
        np.testing.assert_array_equal(pair.dem, 16.0 * dem[::-1, ::-1])
        np.testing.assert_allclose(pair.image.astype(int), image[::-1, ::-1], atol=3)
        assert pair.valid.all()
        assert pair.dem.dtype == np.float32


def write_scene(folder: Path, name: str, nodata: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    image = random.integers(1, 250, (3, 40, 50)).astype(np.uint8)
    dem = random.uniform(100, 900, (40, 50)).astype(np.float32)
    place = {"crs": "EPSG:32632", "transform": from_origin(500000, 5200000, 20, 20)}
    size = {"driver": "GTiff", "height": 40, "width": 50}
    with rasterio.open(folder / f"{name}_rgb.tif", "w", count=3, dtype="uint8", **size, **place) as file:
        file.write(image)
    dem[3, 4], dem[5, 6], dem[7, 8] = -32768.0, 20000.0, np.nan
    with rasterio.open(
        folder / f"{name}_dem.tif", "w", count=1, dtype="float32", nodata=nodata, **size, **place
    ) as file:
        file.write(dem, 1)
    return np.moveaxis(image, 0, -1), dem


@pytest.mark.parametrize("nodata", [None, -32768.0])
def test_a_scene_is_read_with_its_unknown_pixels_masked(tmp_path, nodata):
    image, dem = write_scene(tmp_path, "valley", nodata)
    pair = read_scene(tmp_path, Scene("valley", "test", SUN_AZIMUTH))
    expected = np.ones((40, 50), bool)
    expected[3, 4] = expected[5, 6] = expected[7, 8] = False
    np.testing.assert_array_equal(pair.valid, expected)
    np.testing.assert_array_equal(pair.dem, np.where(expected, dem, np.nan))
    np.testing.assert_array_equal(pair.image, image)
    assert (pair.name, pair.split) == ("valley", "test")
    assert pair.gsd == pytest.approx(20.0, rel=4e-3)


def test_clouds_are_left_out(tmp_path):
    write_scene(tmp_path, "valley")
    cloud = np.zeros((40, 50), np.uint8)
    cloud[10:20, 30:] = 1
    size = {"driver": "GTiff", "height": 40, "width": 50, "count": 1, "dtype": "uint8"}
    with rasterio.open(tmp_path / "valley_cloud.tif", "w", **size) as file:
        file.write(cloud, 1)
    pair = read_scene(tmp_path, Scene("valley", "test", SUN_AZIMUTH))
    assert not pair.valid[10:20, 30:].any()
    assert pair.valid.sum() == 40 * 50 - 200 - 3


def test_a_scene_under_another_sun_is_turned_all_parts_alike(tmp_path):
    image, dem = write_scene(tmp_path, "valley")
    pair = read_scene(tmp_path, Scene("valley", "test", 315.0))
    np.testing.assert_array_equal(pair.image, image[::-1, ::-1])
    np.testing.assert_array_equal(pair.dem[pair.valid], dem[::-1, ::-1][pair.valid])
    assert not pair.valid[-4, -5]


def test_columns_of_a_scene_are_a_pair_of_their_own(tmp_path):
    image, dem = write_scene(tmp_path, "valley")
    whole = read_scene(tmp_path, Scene("valley", "train", SUN_AZIMUTH))
    width = dem.shape[1]
    west = read_scene(tmp_path, Scene("valley", "train", SUN_AZIMUTH, (0.0, 0.25), "_west"))
    east = read_scene(tmp_path, Scene("valley", "test", SUN_AZIMUTH, (0.5, 1.0), "_east"))
    assert (west.name, east.name, west.gsd) == ("valley_west", "valley_east", whole.gsd)
    np.testing.assert_array_equal(west.image, image[:, : round(width / 4)])
    np.testing.assert_array_equal(east.dem, whole.dem[:, round(width / 2) :])
    np.testing.assert_array_equal(east.valid, whole.valid[:, round(width / 2) :])


def test_splits_of_the_scenes_do_not_overlap():
    names = [scene.name for scene in SCENES]
    assert len(set(names)) == len(names)
    assert {scene.split for scene in SCENES} == {"train", "validation", "test"}
    for file in {scene.file for scene in SCENES}:
        spans = sorted(scene.columns for scene in SCENES if scene.file == file)
        assert spans[0][0] == 0.0
        assert spans[-1][1] == 1.0
        assert all(ends + 0.05 < begins for (_, ends), (begins, _) in zip(spans, spans[1:]))
    assert all(0.0 <= scene.sun_azimuth < 360.0 for scene in SCENES)


def test_the_sun_of_each_real_scene_stands_where_its_shading_says(shared_data):
    azimuths = np.arange(0.0, 360.0, 15.0)
    told = 0
    for scene in SCENES:
        pair = read_scene(shared_data / "scenes", replace(scene, sun_azimuth=SUN_AZIMUTH))
        rows, columns = (slice(max(0, size // 2 - 200), size // 2 + 200) for size in pair.dem.shape)
        middle = (pair.image[rows, columns], pair.dem[rows, columns], pair.valid[rows, columns])
        as_it_lies = replace(pair, image=middle[0], dem=middle[1], valid=middle[2])
        agreements = [agreement(as_it_lies, azimuth) for azimuth in azimuths]
        # Under a high summer sun, or on level ground, cover says more than light.
        if max(agreements) > 0.2:
            told += 1
            brightest = float(azimuths[int(np.argmax(agreements))])
            assert angular_distance(brightest, scene.sun_azimuth) <= 20.0, scene.name
    assert told >= 6


def test_real_bluemarble_tiles_are_lit_from_the_training_azimuth(shared_data):
    pairs = list(itertools.islice(read_bluemarble(shared_data / "bluemarble", "validation"), 0, 60, 2))
    assert len(pairs) == 30
    assert all(pair.image.shape == (256, 256, 3) and 250 < pair.gsd < 650 for pair in pairs)
    rough = [pair for pair in pairs if pair.dem.std() > 100.0]
    assert len(rough) >= 10
    towards = np.array([agreement(pair, SUN_AZIMUTH) for pair in rough])
    away = np.array([agreement(pair, SUN_AZIMUTH + 180.0) for pair in rough])
    assert np.median(towards) > 0.1
    assert (towards > away).mean() > 0.8


@pytest.mark.parametrize("name", ["kanto_l8_20211228", "zion_l8_west", "zion_l8_east", "lsat_para_brazil"])
def test_real_scenes_are_lit_from_the_training_azimuth(shared_data, name):
    scene = next(scene for scene in SCENES if scene.name == name)
    pair = read_scene(shared_data / "scenes", scene)
    assert 5.0 < pair.gsd < 40.0
    assert pair.valid.mean() > 0.2
    assert pair.image.shape[:2] == pair.dem.shape == pair.valid.shape
    assert np.isfinite(pair.dem[pair.valid]).all()
    assert agreement(pair, SUN_AZIMUTH) > agreement(pair, SUN_AZIMUTH + 180.0) + 0.05


def test_real_splits_are_held_apart(shared_data):
    with open(shared_data / "bluemarble" / "index.csv", newline="") as table:
        rows = list(csv.DictReader(table))
    ids = [row["id"] for row in rows]
    assert len(set(ids)) == len(ids)
    by_split = {
        split: sum(row["split"] == split for row in rows) for split in ("train", "validation", "test")
    }
    assert sum(by_split.values()) <= len(rows)
    assert min(by_split.values()) >= 96
