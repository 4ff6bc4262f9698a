"""What the STAC source makes of known scenes: where each pixel lies, and what it is worth."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from imagetodem_qgis.core.retry import BackOff
from imagetodem_qgis.pairs.source import (
    AW3D30,
    CLOUD,
    GLO30,
    LEAST_CLOUDY,
    MEDIAN,
    NODATA,
    SEA,
    FetchedPair,
    NoData,
    Query,
    SourceError,
    Tile,
)
from imagetodem_qgis.pairs.stac_catalogue import CATALOGUES, PLANETARY_COMPUTER, services
from imagetodem_qgis.pairs.stac_source import StacSource, check_stac
from tests.services.stac_ground import DAY, OFFSET, SCALE, Ground, centres, shift
from tests.services.stac_server import StacServer
from tests.services.stac_world import World

EARTH_SEARCH, PLANETARY = CATALOGUES
ALPS = Ground(15.0, 47.0)
UTM = "EPSG:32633"
COLLECTIONS = {GLO30: "cop-dem-glo-30", AW3D30: "alos-dem"}


@pytest.fixture
def world(tmp_path: Path, qgis_app: object) -> World:
    return World(tmp_path / "world")


@pytest.fixture
def fetch(world: World) -> Iterator[Callable[..., FetchedPair]]:
    """``fetch(tile, catalogue=, **changes of the query)``; its server is ``fetch.server``."""
    with StacServer(world) as server:

        def run(tile: Tile, catalogue: str = EARTH_SEARCH, **changes: Any) -> FetchedPair:
            run.said = []  # type: ignore[attr-defined]
            source = StacSource(
                query(**changes),
                catalogue,
                server.root(catalogue),
                1,
                run.said.append,  # type: ignore[attr-defined]
                BackOff(attempts=3, first=0.01),
            )
            try:
                return source.fetch(tile, lambda: False)
            finally:
                source.close()

        run.server = server  # type: ignore[attr-defined]
        yield run


def query(**changes: Any) -> Query:
    """All of 2021, scenes with at most 60 % of clouds, the least cloudy one, GLO-30; or else."""
    return Query(
        **{
            "start": date(2021, 1, 1),
            "end": date(2021, 12, 31),
            "months": tuple(range(1, 13)),
            "cloud": 60.0,
            "composite": LEAST_CLOUDY,
            "elevation": GLO30,
            **changes,
        }
    )


def assert_in_place(pair: FetchedPair, ground: Ground, tile: Tile) -> None:
    """The image and the DEM lie within 0.1 pixel of the ground, and tell what is there."""
    places = centres(tile)
    truth = ground.reflectance(*places)
    assert not np.isnan(pair.image).any()
    assert not np.isnan(pair.dem).any()
    assert np.hypot(*shift(pair.image[0], truth[0])) < 0.1
    assert np.hypot(*shift(pair.dem, ground.height(*places))) < 0.1
    # What the averaging over 30 m takes from waves of 650 m and more: up to 1.4 % of their height.
    assert np.abs(pair.image - truth).max() < 0.2 * 0.014
    assert np.abs(pair.dem - ground.height(*places)).max() < 200.0 * 0.007


PLACES = {
    "middle of a zone": (15.0, 47.0, "EPSG:32633", ("EPSG:32633",), 1),
    "zone edge": (11.999, 47.3, "EPSG:32632", ("EPSG:32632",), 1),
    "granule of the zone beside": (12.02, 47.3, "EPSG:32633", ("EPSG:32632",), 1),
    "southern hemisphere": (-70.5, -33.2, "EPSG:32719", ("EPSG:32719",), 1),
    "equator": (32.9, 0.001, "EPSG:32636", ("EPSG:32636",), 1),
    "antimeridian from the west": (179.999, -16.8, "EPSG:32760", ("EPSG:32760",), 1),
    "antimeridian from the east": (-179.998, 66.5, "EPSG:32601", ("EPSG:32601",), 2),
    "75 degrees north": (15.3, 75.0, "EPSG:32633", ("EPSG:32633",), 3),
    "75 degrees south": (163.7, -75.0, "EPSG:32758", ("EPSG:32758",), 3),
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("resolution", [10.0, 30.0])
def test_pairs_lie_where_they_should(
    place: tuple[float, float, str, tuple[str, ...], int],
    resolution: float,
    world: World,
    fetch: Callable[..., FetchedPair],
) -> None:
    longitude, latitude, crs, scenes, narrow = place
    ground = Ground(longitude, latitude)
    for scene in scenes:
        ground.add_to(world, scene)
    ground.add_heights(world, COLLECTIONS[GLO30], narrow=narrow, half_pixel=True)
    tile = ground.tile(crs, 48, resolution)
    assert_in_place(fetch(tile), ground, tile)


@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:32633"])
def test_an_area_across_two_zones(crs: str, world: World, fetch: Callable[..., FetchedPair]) -> None:
    """A pass's granules of two zones, each with half of the ground, make one picture in either zone."""
    ground = Ground(12.0, 47.3)
    for scene_crs, west in (("EPSG:32632", True), ("EPSG:32633", False)):
        lattice = ground.lattice(scene_crs)
        numbers, east = ground.numbers(lattice), ground.metres(*lattice.degrees())[0]
        numbers[:, (east > 200.0) if west else (east < -200.0)] = 0
        classes = np.full(east.shape, 5, np.uint8)
        classes[numbers[0] == 0] = 0
        world.add_scene(
            f"S2A_{scene_crs[5:]}",
            lattice,
            numbers,
            time=f"{DAY}T10:00:{'07' if west else '12'}Z",
            classes=np.minimum(classes[::2, ::2], classes[1::2, 1::2]),
        )
    ground.add_heights(world, COLLECTIONS[GLO30])
    tile = ground.tile(crs)
    pair = fetch(tile)
    assert_in_place(pair, ground, tile)
    assert sorted(pair.provenance.scenes) == ["S2A_32632", "S2A_32633"]


@pytest.mark.parametrize("catalogue", CATALOGUES)
@pytest.mark.parametrize("composite", [LEAST_CLOUDY, MEDIAN])
def test_reflectance_is_the_files_numbers_by_scale_and_offset(
    catalogue: str, composite: str, world: World, fetch: Callable[..., FetchedPair]
) -> None:
    lattice = ALPS.lattice(UTM)
    numbers = np.random.default_rng(1).integers(1, 12_000, (3, 200, 200)).astype(np.uint16)
    world.add_scene("S2A_noise", lattice, numbers, sun=(152.5, 58.25))
    ALPS.add_heights(world, COLLECTIONS[GLO30])
    tile = ALPS.tile(UTM, 128, 10.0)
    pair = fetch(tile, catalogue, composite=composite)
    row, column = round((lattice.top - tile.origin_y) / 10), round((tile.origin_x - lattice.left) / 10)
    part = numbers[:, row : row + 128, column : column + 128]
    np.testing.assert_allclose(pair.image, (part * SCALE + OFFSET).astype(np.float32), rtol=2e-6, atol=1e-7)
    assert pair.image.dtype == pair.dem.dtype == np.float32
    assert pair.provenance.scenes == ("S2A_noise",)
    assert pair.provenance.dates == (DAY,)
    assert (pair.provenance.sun_azimuth, pair.provenance.sun_zenith) == (
        pytest.approx(152.5),
        pytest.approx(31.75),
    )


def test_at_thirty_metres_a_pixel_is_the_mean_of_the_files(
    world: World, fetch: Callable[..., FetchedPair]
) -> None:
    lattice = ALPS.lattice(UTM)
    numbers = np.random.default_rng(2).integers(1, 12_000, (3, 200, 200)).astype(np.uint16)
    world.add_scene("S2A_noise", lattice, numbers)
    ALPS.add_heights(world, COLLECTIONS[GLO30])
    tile = ALPS.tile(UTM, 48, 30.0)
    row, column = round((lattice.top - tile.origin_y) / 10), round((tile.origin_x - lattice.left) / 10)
    part = numbers[:, row : row + 144, column : column + 144].reshape(3, 48, 3, 48, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(fetch(tile).image, part * SCALE + OFFSET, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("catalogue", "baseline", "offset"),
    [
        (EARTH_SEARCH, "05.11", -0.1),
        (EARTH_SEARCH, "05.11", 0.0),  # the item's word counts, not the baseline
        (PLANETARY, "03.01", 0.0),
        (PLANETARY, "04.00", -0.1),
        (PLANETARY, "05.10", -0.1),
    ],
)
def test_the_offset_is_the_items_own(
    catalogue: str, baseline: str, offset: float, world: World, fetch: Callable[..., FetchedPair]
) -> None:
    lattice = ALPS.lattice(UTM)
    world.add_scene("S2A_one", lattice, ALPS.numbers(lattice, offset), baseline=baseline, offset=offset)
    ALPS.add_heights(world, COLLECTIONS[GLO30])
    tile = ALPS.tile(UTM)
    assert_in_place(fetch(tile, catalogue), ALPS, tile)


@pytest.mark.parametrize("elevation", [GLO30, AW3D30])
def test_heights_are_the_files_metres(
    elevation: str, world: World, fetch: Callable[..., FetchedPair]
) -> None:
    """On slopes that are the same everywhere, a cubic convolution and a mean are exact."""
    ALPS.add_to(world, UTM)

    def slope(longitude: np.ndarray, latitude: np.ndarray) -> np.ndarray:
        exact = 1000.0 + 4000.0 * (longitude - 15.0) + 7000.0 * (latitude - 47.0)
        return np.rint(exact).astype(np.int16) if elevation == AW3D30 else exact.astype(np.float32)

    world.add_heights(COLLECTIONS[elevation], 14.95, 46.95, slope, side=0.1)
    tile = ALPS.tile(UTM)
    longitude, latitude = centres(tile)
    pair = fetch(tile, PLANETARY, elevation=elevation)
    truth = 1000.0 + 4000.0 * (longitude - 15.0) + 7000.0 * (latitude - 47.0)
    # AW3D30 is in whole metres.
    np.testing.assert_allclose(pair.dem, truth, rtol=0, atol=0.75 if elevation == AW3D30 else 1e-3)
    assert not pair.sea.any()  # type: ignore[union-attr]


def test_heights_pass_smoothly_from_one_file_to_the_next(
    world: World, fetch: Callable[..., FetchedPair]
) -> None:
    """The tile lies over the corner of four files."""
    ground = Ground(15.1, 47.1)
    ground.add_to(world, UTM)
    ground.add_heights(world, COLLECTIONS[GLO30], half_pixel=True)
    tile = ground.tile(UTM)
    error = fetch(tile).dem - ground.height(*centres(tile))
    assert np.abs(error).max() < 0.5
    assert fetch.server.count("cop-dem-glo-30") >= 4  # type: ignore[attr-defined]


def test_a_void_is_none_and_the_sea_is_zero(world: World, fetch: Callable[..., FetchedPair]) -> None:
    """West of the only file there is no land."""
    water = np.full((100, 100), 6, np.uint8)
    ALPS.add_to(world, UTM, classes=water)

    def height(longitude: np.ndarray, latitude: np.ndarray) -> np.ndarray:
        answer = np.rint(ALPS.height(longitude, latitude)).astype(np.int16)
        answer[(latitude > 47.0) & (longitude > 15.004)] = -9999
        answer[(latitude < 47.0) & (longitude > 15.004)] = 0
        return answer

    world.add_heights(COLLECTIONS[AW3D30], 15.0, 46.95, height, side=0.1)
    tile = ALPS.tile(UTM)
    longitude, latitude = centres(tile)
    pair = fetch(tile, PLANETARY, elevation=AW3D30)
    edge = 0.0008
    west, east = longitude < 15.0 - edge, longitude > 15.004 + edge
    north, south = latitude > 47.0 + edge, latitude < 47.0 - edge
    middle = (longitude > 15.0 + edge) & (longitude < 15.004 - edge)
    assert pair.sea is not None
    assert (pair.dem[west] == 0.0).all()
    assert pair.sea[west].all()
    assert np.isnan(pair.dem[east & north]).all()
    assert not pair.sea[east & north].any()
    assert (pair.dem[east & south] == 0.0).all()
    assert pair.sea[east & south].all()
    assert (pair.dem[middle] > 400.0).all()
    assert not pair.sea[middle].any()


def test_where_no_file_has_heights_is_sea(world: World, fetch: Callable[..., FetchedPair]) -> None:
    ALPS.add_to(world, UTM, classes=np.full((100, 100), 6, np.uint8))
    with pytest.raises(NoData) as caught:
        fetch(ALPS.tile(UTM))
    assert caught.value.reason == SEA


def test_dry_land_without_heights_is_no_sea(world: World, fetch: Callable[..., FetchedPair]) -> None:
    """The public GLO-30 lacks some countries."""
    ALPS.add_to(world, UTM)
    pair = fetch(ALPS.tile(UTM))
    assert np.isnan(pair.dem).all()
    assert not pair.sea.any()  # type: ignore[union-attr]


def test_without_a_scene_there_is_nothing(world: World, fetch: Callable[..., FetchedPair]) -> None:
    ALPS.add_to(world, UTM, cloud=70.0)
    ALPS.add_heights(world, COLLECTIONS[GLO30])
    with pytest.raises(NoData, match="at most 60 %") as caught:
        fetch(ALPS.tile(UTM))
    assert caught.value.reason == CLOUD
    with pytest.raises(NoData) as caught:
        fetch(Ground(15.2, 47.0).tile(UTM), cloud=80.0)
    assert caught.value.reason in (CLOUD, NODATA)


def test_sources_are_named(qgis_app: object) -> None:
    source = StacSource(query(elevation=AW3D30), EARTH_SEARCH, "", 1, print)
    said = source.describe()
    assert "sentinel-2-c1-l2a" in said["sources"][0]
    assert "JAXA" in said["sources"][1]
    assert "Planetary Computer" in said["sources"][1]
    assert len(said["licences"]) == 2
    assert services(EARTH_SEARCH, AW3D30, "http://mirror/v1").images.root == "http://mirror/v1"
    assert services(EARTH_SEARCH, AW3D30, "http://mirror/v1").heights == PLANETARY_COMPUTER
    mirrored = services(PLANETARY, AW3D30, "http://mirror/api/stac/v1/").heights
    assert mirrored.token_address("alos-dem") == "http://mirror/api/sas/v1/token/alos-dem"


@pytest.mark.parametrize(
    ("changes", "catalogue", "named"),
    [
        ({"months": ()}, EARTH_SEARCH, "MONTHS"),
        ({"start": date(2022, 1, 1)}, EARTH_SEARCH, "START"),
        ({"months": (7,), "end": date(2021, 6, 30)}, EARTH_SEARCH, "MONTHS"),
        ({"elevation": "SRTM"}, EARTH_SEARCH, "ELEVATION"),
        ({}, "Landsat Look", "CATALOGUE"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(changes: dict[str, Any], catalogue: str, named: str) -> None:
    with pytest.raises(SourceError, match=named):
        check_stac(query(**changes), catalogue)
