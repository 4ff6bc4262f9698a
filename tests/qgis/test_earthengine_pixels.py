"""Pairs from the stand-in for Earth Engine: where their pixels lie, and what they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Callable

import numpy as np
import pytest

from tests.services.earthengine import world as collections
from tests.services.earthengine.grids import Grid, transformed
from tests.services.earthengine.server import EarthEngineServer
from tests.services.earthengine.world import World

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from imagetodem_qgis.pairs.earthengine_source import EarthEngineSource
from imagetodem_qgis.pairs.source import (
    AW3D30,
    CLOUD,
    GLO30,
    LEAST_CLOUDY,
    MEDIAN,
    SEA,
    FetchedPair,
    NoData,
    Query,
    Tile,
)

SUMMER = Query(date(2021, 6, 1), date(2021, 8, 31), tuple(range(1, 13)), 60.0, LEAST_CLOUDY, AW3D30)
Fetch = Callable[..., FetchedPair]


@pytest.fixture(scope="module")
def sources(
    earth_engine: EarthEngineServer, earth_engine_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Query], EarthEngineSource]]:
    """Sources by query, each with one worker."""
    key_file = earth_engine.write_key(tmp_path_factory.mktemp("key") / "key.json")
    made: dict[Query, EarthEngineSource] = {}

    def source(query: Query) -> EarthEngineSource:
        if query not in made:
            address = earth_engine.address
            made[query] = EarthEngineSource(query, earth_engine_python, "", key_file, address, 2, print)
        return made[query]

    yield source
    for one in made.values():
        one.close()


@pytest.fixture
def world(earth_engine: EarthEngineServer) -> World:
    earth_engine.forget()
    return earth_engine.world


@pytest.fixture
def fetch(sources: Callable[[Query], EarthEngineSource]) -> Fetch:
    def one(tile: Tile, **changes: object) -> FetchedPair:
        return sources(replace(SUMMER, **changes)).fetch(tile, lambda: False)

    return one


def tile_at(x: float, y: float, crs: str = "EPSG:32633", resolution: float = 30.0, size: int = 32) -> Tile:
    return Tile("one", "area", "train", crs, x, y, resolution, size)


def scene_grid(tile: Tile, margin: float = 500.0) -> Grid:
    """A granule's grid in the tile's CRS that covers it: 10 m, on multiples of them."""
    left, bottom, right, top = tile.bounds
    west, north = 10.0 * np.floor((left - margin) / 10.0), 10.0 * np.ceil((top + margin) / 10.0)
    columns, rows = (int(np.ceil((side + margin) / 10.0)) for side in (right - west, north - bottom))
    return Grid(tile.crs, west, north, 10.0, -10.0, columns, rows)


def add_flat_heights(world: World, tile: Tile, metres: float = 100.0) -> None:
    longitude, latitude = transformed(
        tile.crs, "EPSG:4326", np.array([tile.origin_x]), np.array([tile.origin_y])
    )
    world.add_heights(
        longitude[0] - 0.2, latitude[0] + 0.1, 1800, 900, lambda x, y: np.full(np.shape(x), metres)
    )


def flat(count: float) -> tuple[collections.Function, ...]:
    return tuple(lambda x, y, part=part: np.full(np.shape(x), count + part) for part in (0, 100, 200))


def centres(tile: Tile) -> tuple[np.ndarray, np.ndarray]:
    left, step, _, top, _, down = tile.geotransform
    halves = np.arange(tile.size) + 0.5
    x, y = np.meshgrid(left + step * halves, top + down * halves)
    return x, y


PLACES = {
    "in the middle of a zone": ("EPSG:32633", "EPSG:32633", 503_007.3, 5_000_011.9, (1.0, 1.0)),
    "a scene of the next zone": ("EPSG:32633", "EPSG:32632", 260_003.0, 5_100_004.0, (1.0, 1.0)),
    "south": ("EPSG:32719", "EPSG:32719", 402_013.0, 7_800_021.0, (1.0, 1.0)),
    "at 75 degrees north": ("EPSG:32633", "EPSG:32633", 480_004.0, 8_325_017.0, (3.0, 1.0)),
    "at 70 degrees south": ("EPSG:32733", "EPSG:32733", 520_004.0, 2_230_017.0, (2.0, 1.0)),
    "across the antimeridian, zone 1": ("EPSG:32601", "EPSG:32601", 357_800.0, 7_210_000.0, (1.0, 1.0)),
    "across the antimeridian, zone 60": ("EPSG:32660", "EPSG:32601", 641_000.0, 7_210_000.0, (1.0, 1.0)),
}


def shift_of(surface: np.ndarray, truth: collections.Function, tile: Tile) -> np.ndarray:
    """Pixels by which a surface lies off the truth, by least squares over its value and its two slopes."""
    x, y = centres(tile)
    step = tile.resolution / 10.0
    slope_x = (truth(x + step, y) - truth(x - step, y)) / 0.2
    slope_y = (truth(x, y + step) - truth(x, y - step)) / 0.2
    terms = np.stack([truth(x, y), slope_x, slope_y, np.ones(x.shape)]).reshape(4, -1).T
    height, along_x, along_y, _ = np.linalg.lstsq(terms, surface.astype(np.float64).ravel(), rcond=None)[0]
    return -np.array([along_x, along_y]) / height


@pytest.mark.parametrize(
    ("place", "composite"),
    [*((place, LEAST_CLOUDY) for place in PLACES), ("a scene of the next zone", MEDIAN)],
)
def test_pixels_lie_where_they_belong(world: World, fetch: Fetch, place: str, composite: str) -> None:
    """Hills that are bright on their tops are found where they are, to a tenth of a pixel."""
    crs, of_scene, left, top, seconds = PLACES[place]
    tile = tile_at(left, top, crs, 30.0, 40)
    tops = np.array([(left + 300.0, top - 330.0), (left + 870.0, top - 405.0), (left + 510.0, top - 900.0)])

    def hills(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return sum(np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2.0 * 75.0**2)) for a, b in tops)

    def bright(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 1000.0 + 4000.0 * hills(*transformed(of_scene, crs, x, y))

    x, y = transformed(crs, of_scene, *(np.array([edge]) for edge in (left, top)))
    grid = Grid(of_scene, 10 * np.round(x[0] / 10) - 1000, 10 * np.round(y[0] / 10) + 1000, 10, -10, 400, 400)
    world.add_scene("one", grid, (bright, bright, bright))
    longitude, _ = transformed(crs, "EPSG:4326", *centres(tile))
    assert (np.ptp(longitude) > 350.0) == place.startswith("across")
    add_world_of_heights(
        world, tile, lambda x, y: 3000.0 * hills(*transformed("EPSG:4326", crs, x, y)), seconds
    )
    pair = fetch(tile, composite=composite)
    assert not np.isnan(pair.image).any()
    assert not np.isnan(pair.dem).any()
    for surface in (pair.image[1], pair.dem):
        shift = shift_of(surface, hills, tile)
        assert np.abs(shift).max() < 0.05
    assert pair.dem.max() == pytest.approx(3000.0, rel=0.1)


def add_world_of_heights(
    world: World, tile: Tile, metres: collections.Function, seconds: tuple[float, float]
) -> None:
    """Tiles of a DEM around a tile, on whole degrees as they are in the collection."""
    grid = Grid(
        tile.crs, tile.origin_x, tile.origin_y, tile.resolution, -tile.resolution, tile.size, tile.size
    )
    x, y = grid.centres()
    longitude, latitude = transformed(tile.crs, "EPSG:4326", x, y)
    for west in np.unique(np.floor(longitude)):
        for south in np.unique(np.floor(latitude)):
            columns, rows = (round(3600 / side) for side in seconds)
            world.add_heights(west, south + 1, columns, rows, metres, seconds=seconds)


def test_a_tile_on_the_scenes_own_grid_has_the_scenes_own_values(world: World, fetch: Fetch) -> None:
    tile = tile_at(500_600.0, 4_999_400.0, resolution=10.0)
    numbers = np.random.default_rng(1).integers(1, 16_000, (3, 2000, 2000))

    def count(band: int) -> collections.Function:
        return lambda x, y: numbers[band][(y.astype(int) // 10) % 2000, (x.astype(int) // 10) % 2000]

    world.add_scene("one", scene_grid(tile), (count(0), count(1), count(2)))
    add_flat_heights(world, tile)
    pair = fetch(tile)
    x, y = centres(tile)
    expected = np.stack([count(band)(x, y) for band in range(3)]) * np.float64(1e-4)
    np.testing.assert_array_equal(pair.image, expected.astype(np.float32))
    np.testing.assert_array_equal(pair.dem, np.full((32, 32), 100.0, np.float32))
    assert pair.image.dtype == pair.dem.dtype == np.float32
    assert not pair.sea.any()


def test_a_coarser_tile_has_the_means_of_the_scenes_pixels(world: World, fetch: Fetch) -> None:
    tile = tile_at(500_600.0, 4_999_400.0, resolution=30.0)
    numbers = np.random.default_rng(2).integers(1, 16_000, (2000, 2000))

    def count(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return numbers[(y.astype(int) // 10) % 2000, (x.astype(int) // 10) % 2000]

    world.add_scene("one", scene_grid(tile), (count, count, count))
    add_flat_heights(world, tile)
    x, y = centres(tile)
    nine = [count(x + a, y + b) for a in (-10.0, 0.0, 10.0) for b in (-10.0, 0.0, 10.0)]
    for composite in (LEAST_CLOUDY, MEDIAN):
        pair = fetch(tile, composite=composite)
        np.testing.assert_allclose(pair.image[2], 1e-4 * np.mean(nine, axis=0), rtol=3e-7)


@pytest.mark.parametrize(("elevation", "collection"), [(AW3D30, "JAXA"), (GLO30, "DEM")])
def test_heights_are_interpolated_between_the_pixels_of_the_dem(
    world: World, fetch: Fetch, elevation: str, collection: str
) -> None:
    """A plane comes out exactly, across the border of two tiles of the DEM too."""
    west, north, border = 14.9, 45.2, 15.01
    slope = lambda x, y: np.round((x - west) * 3600 - 0.5) * 2 + np.round((north - y) * 3600 - 0.5) * 3  # noqa: E731
    of = next(name for name in (collections.AW3D30, collections.GLO30) if collection in name)
    columns = round((border - west) * 3600)
    world.add_heights(west, north, columns, 800, slope, collection=of)
    world.add_heights(border, north, 800, 800, slope, collection=of)
    tile = tile_at(500_412.0, 4_999_400.0, size=32)
    world.add_scene("one", scene_grid(tile), flat(2000))
    pair = fetch(tile, elevation=elevation)
    x, y = transformed(tile.crs, "EPSG:4326", *centres(tile))
    assert x.min() < border < x.max()
    expected = ((x - west) * 3600 - 0.5) * 2 + ((north - y) * 3600 - 0.5) * 3
    np.testing.assert_allclose(pair.dem, expected, atol=2e-3)


def test_the_classes_of_heights_decide_which_are_known(world: World, fetch: Fetch) -> None:
    """Six strips: measured, cloud, water, sea, filled from another DEM, and beyond the collection."""
    # Far from the zone's middle, so that meridians cut the tile's columns at a slant.
    tile = tile_at(260_000.0, 4_999_000.0, size=48)
    x, y = transformed(tile.crs, "EPSG:4326", *centres(tile))
    west, north = x.min() - 0.01, y.max() + 0.01
    strip = (x.max() - x.min()) / 6.0
    edges = x.min() + strip * np.arange(1, 6)

    def classes(longitude: np.ndarray, latitude: np.ndarray) -> np.ndarray:
        return np.array([0, 1, 2, 3, 4, 4])[np.searchsorted(edges, longitude)]

    columns = round((edges[4] - west) * 3600)
    bad = lambda x, y: np.where(np.isin(classes(x, y), [0, 3]), 250.0, 9000.0)  # noqa: E731
    world.add_heights(west, north, columns, 800, bad, classes)
    world.add_scene("one", scene_grid(tile), flat(2000))
    pair = fetch(tile)
    of_pixel = np.searchsorted(edges, x)
    # Nothing of a bad height gets into its neighbours.
    assert set(np.unique(pair.dem[np.isfinite(pair.dem)])) == {0.0, 250.0}
    # Two pixels beside an edge are interpolated from both its sides.
    inner = np.abs(x[..., None] - edges).min(axis=-1) > 2 * 30 / 78_000
    for kind, height in enumerate([250.0, np.nan, np.nan, 0.0, np.nan, 0.0]):
        here = inner & (of_pixel == kind)
        assert here.sum() > 100
        np.testing.assert_array_equal(pair.dem[here], np.float32(height))
        np.testing.assert_array_equal(pair.sea[here], kind in (3, 5))


def test_the_median_is_that_of_the_clear_observations(world: World, fetch: Fetch) -> None:
    tile = tile_at(500_600.0, 4_999_400.0)
    middle = tile.origin_x + 480.0
    grid = scene_grid(tile)
    west_is_cloudy = lambda x, y: np.where(x < middle, 0.2, 0.9)  # noqa: E731
    for index, count, score in (
        ("a", 1000, collections.clear_sky),
        ("b", 1600, collections.clear_sky),
        ("c", 9000, west_is_cloudy),
        ("without a score", 400, None),
    ):
        world.add_scene(index, grid, flat(count), score=score)
    add_flat_heights(world, tile)
    pair = fetch(tile, composite=MEDIAN)
    np.testing.assert_allclose(pair.image[0, :, :16], 0.13, rtol=1e-6)
    np.testing.assert_allclose(pair.image[0, :, 16:], 0.16, rtol=1e-6)
    np.testing.assert_allclose(pair.image[1] - pair.image[0], 0.01, atol=1e-7)
    assert set(pair.provenance.scenes) == {"a", "b", "c", "without a score"}


def test_clouds_are_left_out_of_a_single_scene(world: World, fetch: Fetch) -> None:
    tile = tile_at(500_600.0, 4_999_400.0)
    edge = tile.origin_y - 15 * 30.0
    world.add_scene("one", scene_grid(tile), flat(1000), score=lambda x, y: np.where(y > edge, 0.59, 0.61))
    add_flat_heights(world, tile)
    pair = fetch(tile)
    assert np.isnan(pair.image[:, :15]).all()
    assert not np.isnan(pair.image[:, 15:]).any()


def test_the_clearest_pass_is_taken_with_all_its_granules(world: World, fetch: Fetch) -> None:
    """The pass that shows most of the tile, in granules of two zones; not the one that claims fewest
    clouds."""
    tile = tile_at(500_600.0, 4_999_400.0)
    left, bottom, right, top = tile.bounds
    middle = 10.0 * round((left + right) / 20.0)
    west = Grid(tile.crs, left - 300, top + 300, 10, -10, round((middle - left + 300) / 10), 160)
    x, y = transformed(tile.crs, "EPSG:32632", np.array([left]), np.array([top]))
    east = Grid(
        "EPSG:32632", 10 * np.round(x[0] / 10) - 500, 10 * np.round(y[0] / 10) + 500, 10, -10, 250, 250
    )
    half = lambda x, y: np.where(x < middle, 0.1, 0.9)  # noqa: E731
    world.add_scene("cloudy", scene_grid(tile), flat(9000), cloudy=0.0, datatake="first", score=half)
    world.add_scene("west", west, flat(1500), cloudy=30.0, datatake="second", sun=(350.0, 30.0))
    world.add_scene("east", east, flat(1500), cloudy=40.0, datatake="second", sun=(10.0, 32.0))
    add_flat_heights(world, tile)
    pair = fetch(tile)
    np.testing.assert_allclose(pair.image[0], 0.15, rtol=1e-6)
    assert pair.provenance.scenes == ("east", "west")
    assert pair.provenance.dates == ("2021-06-15", "2021-06-15")
    assert np.cos(np.radians(pair.provenance.sun_azimuth)) == pytest.approx(1.0)
    assert pair.provenance.sun_zenith == pytest.approx(31.0)


def test_images_are_of_the_days_the_months_and_the_cloud_cover_that_are_asked_for(
    world: World, fetch: Fetch
) -> None:
    tile = tile_at(500_600.0, 4_999_400.0)
    times = {
        "before": "2021-05-31T23:59:59",
        "first": "2021-06-01T00:00:00",
        "july": "2021-07-15T10:00:00",
        "last": "2021-08-31T23:59:59",
        "after": "2021-09-01T00:00:00",
    }
    for index, time in times.items():
        world.add_scene(index, scene_grid(tile), flat(1000), time=time)
    world.add_scene("cloudy", scene_grid(tile), flat(1000), cloudy=60.5)
    world.add_scene("elsewhere", Grid(tile.crs, 510_000, 5_000_000, 10, -10, 100, 100), flat(1000))
    add_flat_heights(world, tile)
    assert set(fetch(tile, composite=MEDIAN).provenance.scenes) == {"first", "july", "last"}
    of_some = fetch(tile, composite=MEDIAN, months=(1, 6, 8, 12))
    assert set(of_some.provenance.scenes) == {"first", "last"}
    assert set(of_some.provenance.dates) == {"2021-06-01", "2021-08-31"}


def test_a_tile_without_images_or_without_land_is_told_apart(world: World, fetch: Fetch) -> None:
    tile = tile_at(500_600.0, 4_999_400.0)
    world.add_scene("one", scene_grid(tile), flat(1000))
    with pytest.raises(NoData, match="no tile here: open sea") as told:
        fetch(tile)
    assert told.value.reason == SEA
    world.clear()
    add_flat_heights(world, tile)
    with pytest.raises(NoData, match="no image from 2021-06-01 to 2021-08-31 with 60 % cloud") as told:
        fetch(tile)
    assert told.value.reason == CLOUD


def test_sun_angles_that_are_not_known_are_none(world: World, fetch: Fetch) -> None:
    tile = tile_at(500_600.0, 4_999_400.0)
    world.add_scene("one", scene_grid(tile), flat(1000), sun=(None, None))
    add_flat_heights(world, tile)
    provenance = fetch(tile).provenance
    assert (provenance.sun_azimuth, provenance.sun_zenith) == (None, None)


def test_what_is_too_much_at_once_is_fetched_in_quarters(
    earth_engine: EarthEngineServer, world: World, fetch: Fetch
) -> None:
    tile = tile_at(500_600.0, 4_999_400.0, size=100)
    ramp = lambda x, y: 1000 + (x - 500_000) / 10 + (5_000_000 - y) / 10 * 3  # noqa: E731
    world.add_scene("one", scene_grid(tile), (ramp, ramp, ramp))
    add_flat_heights(world, tile)
    whole = fetch(tile)
    earth_engine.fail("status", at="pixels", status=400, message="User memory limit exceeded.")
    in_parts = fetch(tile)
    np.testing.assert_array_equal(in_parts.image, whole.image)
    np.testing.assert_array_equal(in_parts.dem, whole.dem)
    assert [request.status for request in earth_engine.asked("pixels")] == [200, 400, 200, 200, 200, 200]
