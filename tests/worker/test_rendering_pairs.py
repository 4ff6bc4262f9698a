from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from imagetodem_qgis.core.light import angular_distance
from training.data.dataset import read_dataset, read_pair
from training.data.pair import SUN_AZIMUTH, Pair
from training.noise import fractal_noise
from training.rendering import Terrain, render_pair
from training.rendering import __main__ as command
from training.rendering import contact_sheet as sheet_module
from training.rendering.comparison import measures, tiles
from training.rendering.contact_sheet import contact_sheet, hillshade
from training.rendering.cover import Ground, cover_ground
from training.rendering.dataset import rendering_number, write_dataset
from training.rendering.farmland import settlements
from training.rendering.landform import read_landform
from training.rendering.light import Sun, incidence
from training.rendering.palette import reflectance
from training.rendering.render import BIOMES, Rendering, draw_biome, render
from training.rendering.sensor import take_picture
from training.request import DataError


def terrain(seed: int = 0, relief: float = 350.0, name: str = "made") -> Terrain:
    heights = 1500.0 + fractal_noise(420, 3.0, np.random.default_rng(seed)) * relief
    known = np.ones(heights.shape, bool)
    return Terrain(
        name, heights.astype(np.float32), known, np.zeros_like(known), (30.0, 30.0), (10.0, 46.0), "CC0"
    )


def renderings(count: int, size: int = 128) -> list[Rendering]:
    ground = terrain()
    return [render(ground, size, np.random.default_rng((9, number))) for number in range(count)]


def luminance(pair: Pair) -> np.ndarray:
    return np.asarray(pair.image, np.float64).mean(-1)


def test_a_pair_is_as_promised_and_the_same_for_the_same_chance() -> None:
    for seed in range(8):
        first, second = (render_pair(terrain(), 96, np.random.default_rng(seed)) for _ in range(2))
        assert first.image.shape == (96, 96, 3)
        assert first.image.dtype == np.uint8
        assert first.dem.shape == first.valid.shape == (96, 96)
        assert first.dem.dtype == np.float32
        assert first.valid.all()
        assert first.split == "train"
        assert 10.0 <= first.gsd <= 60.0
        assert first.image.std() > 3.0
        assert (first.image == second.image).all()
        assert (first.dem == second.dem).all()
        other = render_pair(terrain(), 96, np.random.default_rng(seed + 100))
        assert (first.image != other.image).any()


def test_the_sun_can_be_told_from_the_shading() -> None:
    """Regression of brightness on the two slopes of the ground gives the direction of the light."""
    errors = []
    for rendering in renderings(24):
        pair, sun = rendering.pair, rendering.sun
        assert angular_distance(sun.azimuth, SUN_AZIMUTH) <= 45.0
        assert 20.0 <= sun.zenith <= 65.0
        down, across = np.gradient(pair.dem.astype(np.float64), pair.gsd)
        inside = (slice(4, -4), slice(4, -4))
        design = np.stack([np.ones(down[inside].size), down[inside].ravel(), across[inside].ravel()], axis=1)
        _, along_rows, along_columns = np.linalg.lstsq(design, luminance(pair)[inside].ravel(), rcond=None)[0]
        # Ground that falls towards the light is the bright one.
        azimuth = np.degrees(np.arctan2(-along_columns, along_rows)) % 360.0
        errors.append(angular_distance(float(azimuth), sun.azimuth))
    assert np.median(errors) < 25.0


def test_image_and_dem_lie_on_each_other() -> None:
    """Brightness agrees best with the light on the DEM where neither is shifted."""
    shifts = [(down, across) for down in (-2, -1, 0, 1, 2) for across in (-2, -1, 0, 1, 2)]
    agreement = np.zeros(len(shifts))
    for rendering in renderings(16):
        light = incidence(read_landform(rendering.pair.dem, rendering.pair.gsd), rendering.sun)
        image = luminance(rendering.pair)
        for number, shift in enumerate(shifts):
            moved = np.roll(image, shift, (0, 1))[8:-8, 8:-8]
            agreement[number] += np.corrcoef(moved.ravel(), light[8:-8, 8:-8].ravel())[0, 1]
    assert shifts[int(np.argmax(agreement))] == (0, 0)
    assert agreement.max() / 16 > 0.2


def test_brightness_alone_does_not_tell_the_height() -> None:
    correlations = [np.corrcoef(luminance(r.pair).ravel(), r.pair.dem.ravel())[0, 1] for r in renderings(32)]
    assert min(correlations) < -0.1
    assert max(correlations) > 0.1
    assert abs(np.mean(correlations)) < 0.2


def test_voids_are_not_known_in_the_pair() -> None:
    ground = terrain()
    known = ground.known.copy()
    known[::40] = False
    holed = Terrain("holed", ground.heights, known, ground.level, ground.spacing, ground.centre, "")
    pair = render_pair(holed, 128, np.random.default_rng(2))
    assert 0.0 < (~pair.valid).mean() < 0.5
    assert (np.isnan(pair.dem) == ~pair.valid).all()


def test_water_is_level_dark_or_bright_but_of_one_colour() -> None:
    ground = terrain(relief=120.0)
    level = np.zeros_like(ground.known)
    level[:, 150:270] = True
    heights = np.where(level, np.float32(1450.0), ground.heights).astype(np.float32)
    lake = Terrain("lake", heights, ground.known, level, ground.spacing, ground.centre, "")
    seen = 0
    for seed in range(12):
        pair = render_pair(lake, 128, np.random.default_rng(seed))
        down, across = np.gradient(pair.dem)
        water = (np.abs(down) + np.abs(across) < 1e-3) & (np.abs(pair.dem - np.median(pair.dem)) < 1000)
        if 0.1 < water.mean() < 0.9:
            seen += 1
            assert luminance(pair)[water].std() < luminance(pair)[~water].std() + 4.0
    assert seen >= 3


def test_ground_without_relief_and_a_terrain_that_is_too_small_are_rendered_too() -> None:
    ground = terrain()
    level = np.zeros_like(ground.heights)
    sea = Terrain("sea", level, ground.known, np.ones_like(ground.known), ground.spacing, ground.centre, "")
    pair = render_pair(sea, 64, np.random.default_rng(0))
    assert (pair.dem == 0.0).all()
    assert pair.valid.all()
    corner = (slice(0, 30), slice(0, 40))
    small = Terrain(
        "small", ground.heights[corner], ground.known[corner], level[corner] > 0, (30.0, 30.0), (0.0, 0.0), ""
    )
    pair = render_pair(small, 128, np.random.default_rng(0))
    assert pair.dem.std() > 10.0
    assert pair.gsd * 128 <= 30 * 30.0


def test_the_palette_is_physical_and_every_landscape_can_be_painted() -> None:
    random = np.random.default_rng(0)
    names = {name for biome in BIOMES for name in (*biome.grounds, *biome.water)}
    names |= {name for biome in BIOMES for cover in biome.covers for name in cover.names}
    for name in sorted(names):
        colour = reflectance(name, random)
        assert colour.shape == (3,)
        assert (colour > 0.0).all()
        assert (colour < 1.0).all()
    assert reflectance("snow", random).mean() > 5 * reflectance("conifer", random).mean()
    assert len({biome.name for biome in BIOMES}) == len(BIOMES) == 16


def test_a_landscape_is_drawn_as_often_as_it_is_common() -> None:
    random = np.random.default_rng(0)
    drawn = Counter(draw_biome(random).name for _ in range(20_000))
    total = sum(biome.common for biome in BIOMES)
    for biome in BIOMES:
        expected = 20_000 * biome.common / total
        assert abs(drawn[biome.name] - expected) < 5.0 * np.sqrt(expected), biome.name


def test_a_settlement_covers_no_more_than_it_may() -> None:
    site, grain = fractal_noise(128, 2.6, np.random.default_rng(0)), np.zeros((128, 128), np.float32)
    built = [(settlements(site, grain, 0.3, np.random.default_rng(n)) > 0).mean() for n in range(200)]
    assert max(built) < 0.31
    towns = [(settlements(site, grain, 0.9, np.random.default_rng(n)) > 0).mean() for n in range(200)]
    assert 0.75 < max(towns) < 0.91
    assert np.median(built) < 0.1, "most places are villages"


def painted(name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Red, green and blue of a landscape's cover without light, and the height below it."""
    biome = next(biome for biome in BIOMES if biome.name == name)
    heights = 1500.0 + fractal_noise(128, 3.0, np.random.default_rng((1, seed))) * 350.0
    landform = read_landform(heights.astype(np.float32), 30.0)
    sunny = landform.facing(140.0)
    ground = cover_ground(biome, landform, sunny, np.zeros_like(sunny), np.random.default_rng((2, seed)))
    return np.stack(ground.bands), heights


@pytest.mark.parametrize(
    ("name", "brighter"),
    [
        ("alpine pastures", "high"),
        ("bare uplands", "high"),
        ("mountain forest", "low"),
        ("temperate farmland", "low"),
        ("wooded hills above towns", "low"),
    ],
)
def test_a_landscape_is_bright_where_a_geographer_knows_it_to_be(name: str, brighter: str) -> None:
    """Forest on the hills of one, below bare ground or pastures in another: a network must see both."""
    agreements = []
    for number in range(16):
        bands, heights = painted(name, number)
        agreements.append(np.corrcoef(bands.mean(axis=0).ravel(), heights.ravel())[0, 1])
    assert np.median(agreements) > 0.2 if brighter == "high" else np.median(agreements) < -0.1


def test_wood_is_greener_than_the_towns_below_it() -> None:
    agreements = []
    for number in range(24):
        (red, green, blue), heights = painted("wooded hills above towns", number)
        agreements.append(np.corrcoef((green - (red + blue) / 2.0).ravel(), heights.ravel())[0, 1])
    assert np.median(agreements) > 0.1


def test_gravel_lies_on_the_floor_of_a_valley_along_its_river() -> None:
    """A valley of straight sides whose river runs along its middle column."""
    across = np.abs(np.arange(256) - 128.0)
    heights = (np.arange(256)[::-1, None] * 2.0 + across * 15.0).astype(np.float32)
    landform = read_landform(heights, 30.0)
    seen = 0
    for seed in range(12):
        ground = Ground(landform, np.zeros_like(heights), np.random.default_rng(seed))
        ground.bands = [np.full_like(heights, 0.05) for _ in range(3)]
        ground.lay_gravel_bed()
        bed = np.abs(ground.bands[0] - 0.05) > 0.02
        seen += bool(bed.any())
        # None is higher above the river than 0.06 of the relief.
        assert (across[np.nonzero(bed)[1]] <= 10).all()
    assert seen >= 6


def test_the_camera_keeps_what_is_brighter_brighter() -> None:
    ramp = np.repeat(np.linspace(0.02, 0.4, 96, dtype=np.float32)[None], 96, axis=0)
    for seed in range(20):
        image = take_picture([ramp, ramp, ramp], np.zeros_like(ramp), np.random.default_rng(seed))
        assert image.dtype == np.uint8
        profile = image.astype(float).mean(axis=(0, 2))
        assert np.corrcoef(profile, ramp[0])[0, 1] > 0.85
        assert (np.diff(profile[::12]) >= -0.5).all()


def test_a_dataset_is_that_of_its_seed_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    terrains = [terrain(0, name="first"), terrain(1, name="second")]
    assert list(write_dataset(terrains, tmp_path, 2, 64, seed=4, validation=0.5)) == [1, 2]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.tif")}
    (tmp_path / "dems" / "rendered_000001.tif").unlink()
    assert list(write_dataset(terrains, tmp_path, 5, 64, seed=4, validation=0.5))[-1] == 5
    first = tmp_path / "images" / "rendered_000000.tif"
    assert first.stat().st_mtime_ns == before[first]
    assert not list(tmp_path.rglob("*part*"))
    content = json.loads((tmp_path / "dataset.json").read_text())
    assert content["rendered"] is True
    assert {source["licence"] for source in content["sources"]} == {"CC0"}
    entries = read_dataset(tmp_path).entries
    assert [entry.id for entry in entries] == [f"rendered_{number:06d}" for number in range(5)]
    splits = {entry.area: entry.split for entry in entries}
    assert len(splits) == len({(entry.area, entry.split) for entry in entries})
    assert sorted(splits.values()) == ["train", "validation"]
    for number, entry in enumerate(entries):
        expected = rendering_number(number, terrains, 64, 4).pair
        read = read_pair(entry)
        assert (read.image == expected.image).all()
        assert np.abs(read.dem - expected.dem).max() <= 1 / 128
        assert np.isclose(read.gsd, expected.gsd, atol=1e-4)
        with rasterio.open(entry.image) as image, rasterio.open(entry.dem) as dem:
            assert image.transform == dem.transform
            assert np.isclose(image.res[0], expected.gsd)


def test_a_folder_with_another_dataset_is_refused(tmp_path: Path) -> None:
    list(write_dataset([terrain()], tmp_path, 1, 48, seed=1))
    with pytest.raises(DataError, match="made otherwise"):
        list(write_dataset([terrain()], tmp_path, 1, 48, seed=2))


def test_the_commands_write_a_dataset_and_a_contact_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dems").mkdir()
    grid = {"crs": "EPSG:32632", "transform": rasterio.transform.from_origin(5e5, 5e6, 30.0, 30.0)}
    profile = {"driver": "GTiff", "count": 1, "dtype": "float32", "height": 420, "width": 420}
    with rasterio.open(tmp_path / "dems" / "a.tif", "w", **profile, **grid) as target:
        target.write(terrain().heights, 1)
    places = ["--dems", str(tmp_path / "dems"), "--output"]
    rest = ["--count", "2", "--size", "48", "--apart=-10,-9,-8,-7"]
    monkeypatch.setattr(sys, "argv", ["rendering", *places, str(tmp_path / "set"), *rest])
    command.main()
    assert "2 pairs" in capsys.readouterr().out
    assert len(read_dataset(tmp_path / "set").entries) == 2
    picture = tmp_path / "docs" / "sheet.png"
    monkeypatch.setattr(sys, "argv", ["sheet", *places, str(picture), "--rows", "1", "--columns", "2"])
    sheet_module.main()
    assert Image.open(picture).size == (4 + 2 * (2 * 176 + 4), 4 + 176 + 4)


def test_the_comparison_measures_what_it_says() -> None:
    ground = terrain()
    light = incidence(read_landform(ground.heights, 30.0), Sun(SUN_AZIMUTH, 45.0))
    image = np.repeat(light[..., None], 3, axis=-1)
    valid = np.ones(light.shape, bool)
    valid[300:, :60] = False
    pair = Pair(
        "made", image, np.where(valid, ground.heights, np.nan).astype(np.float32), valid, 30.0, "train"
    )
    whole = Pair("made", image, ground.heights, ground.known, 30.0, "train")
    with np.errstate(invalid="ignore"):
        shading, height, greenness, roughness, slope = measures(whole)
    assert np.isnan(greenness), "grey is no greener here than there"
    assert np.isclose(shading, 1.0)
    assert np.isclose(height, np.corrcoef(light.ravel(), ground.heights.ravel())[0, 1], atol=1e-6)
    assert np.isclose(roughness, np.abs(np.diff(light, axis=1)).mean() / light.std(), rtol=1e-4)
    down, across = np.gradient(ground.heights, 30.0)
    assert np.isclose(slope, np.degrees(np.median(np.arctan(np.hypot(down, across)))), rtol=1e-3)
    greener = image.copy()
    greener[..., 1] -= ground.heights
    assert np.isclose(measures(Pair("made", greener, ground.heights, ground.known, 30.0, "train"))[2], -1.0)
    # 420 pixels hold two tiles a side; the void spoils the one in the south-west.
    found = [tuple(tile.dem[0, :1]) for tile in tiles(pair)]
    assert found == [(ground.heights[0, 0],), (ground.heights[0, 128],), (ground.heights[128, 128],)]


def test_the_contact_sheet_shows_the_pairs_of_a_dataset_beside_their_relief() -> None:
    sheet = contact_sheet([terrain()], 1, 1, seed=7, apart=3)
    pair = rendering_number(0, [terrain()], 176, 7).pair
    assert (sheet[3:179, 3:179] == pair.image).all()
    assert (sheet[3:179, 179:355, 0] == hillshade(pair)).all()
    assert (sheet[:3] == 255).all()
