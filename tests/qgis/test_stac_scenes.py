"""Which scenes the STAC source takes, what it leaves out of them, and how it asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from imagetodem_qgis.core.retry import BackOff
from imagetodem_qgis.pairs.source import CLOUD, GLO30, LEAST_CLOUDY, MEDIAN, FetchedPair, NoData, Query, Tile
from imagetodem_qgis.pairs.stac_catalogue import CATALOGUES
from imagetodem_qgis.pairs.stac_source import StacSource
from tests.services.stac_ground import OFFSET, SCALE, Ground
from tests.services.stac_server import StacServer
from tests.services.stac_world import World

EARTH_SEARCH, PLANETARY = CATALOGUES
GROUND = Ground(15.2, 47.2)
UTM = "EPSG:32633"
PIXELS = 120
LATTICE = GROUND.lattice(UTM, PIXELS)
TILE = GROUND.tile(UTM, 20, 20.0)
CLOUDY, SHADOW, SNOW, WATER = 9, 3, 11, 6

Fetch = Callable[..., FetchedPair]


@pytest.fixture
def world(tmp_path: Path, qgis_app: object) -> World:
    made = World(tmp_path / "world")
    made.add_heights("cop-dem-glo-30", 15.18, 47.18, GROUND.height, side=0.04)
    return made


@pytest.fixture
def server(world: World) -> Iterator[StacServer]:
    with StacServer(world) as running:
        yield running


@pytest.fixture
def fetch(server: StacServer) -> Fetch:
    """``fetch(composite=, catalogue=, said=list, **changes of the query)``."""

    def run(
        composite: str = LEAST_CLOUDY, catalogue: str = EARTH_SEARCH, said: Any = None, **changes: Any
    ) -> FetchedPair:
        said = [] if said is None else said
        return source(server, catalogue, said, composite=composite, **changes).fetch(TILE, lambda: False)

    return run


def source(server: StacServer, catalogue: str, said: list[str], **changes: Any) -> StacSource:
    query = {
        "start": date(2021, 1, 1),
        "end": date(2021, 12, 31),
        "months": tuple(range(1, 13)),
        "cloud": 90.0,
        "composite": LEAST_CLOUDY,
        "elevation": GLO30,
        **changes,
    }
    back_off = BackOff(attempts=3, first=0.01)
    return StacSource(Query(**query), catalogue, server.root(catalogue), 4, said.append, back_off)


def add(
    world: World,
    name: str,
    number: int,
    day: str = "2021-06-15",
    cloud: float = 5.0,
    hidden: Any = None,
    kind: int = CLOUDY,
    **settings: Any,
) -> None:
    """A scene of one number all over; ``hidden`` are the classification's pixels (20 m) of another kind."""
    classes = np.full((PIXELS // 2, PIXELS // 2), 5, np.uint8)
    if hidden is not None:
        classes[hidden] = kind
    numbers = np.full((3, PIXELS, PIXELS), number, np.uint16)
    settings = {"time": f"{day}T10:00:00Z", **settings}
    world.add_scene(name, LATTICE, numbers, cloud=cloud, classes=classes, **settings)


def value(number: float) -> float:
    return float(np.float32(number * SCALE + OFFSET))


def tile_part(pixel: float) -> tuple[slice, slice]:
    """The tile's pixels in a scene's array."""
    row, column = round((LATTICE.top - TILE.origin_y) / pixel), round((TILE.origin_x - LATTICE.left) / pixel)
    side = round(TILE.size * TILE.resolution / pixel)
    return slice(row, row + side), slice(column, column + side)


def test_the_least_cloudy_over_the_tile_counts(world: World, fetch: Fetch) -> None:
    """Not the least cloudy as a whole."""
    add(world, "S2A_bright", 2000, "2021-06-01", cloud=2.0, hidden=tile_part(20.0))
    add(world, "S2A_half", 3000, "2021-06-11", cloud=4.0, hidden=(slice(0, 30), slice(None)))
    add(world, "S2A_clear", 4000, "2021-06-21", cloud=60.0, hidden=(slice(0, 3), slice(None)))
    pair = fetch()
    assert pair.provenance.scenes == ("S2A_clear",)
    assert pair.provenance.dates == ("2021-06-21",)
    assert np.unique(pair.image).tolist() == [pytest.approx(value(4000))]


def test_of_clear_scenes_that_with_fewer_clouds_around_counts(world: World, fetch: Fetch) -> None:
    add(world, "S2A_b", 2000, "2021-06-01", cloud=20.0)
    add(world, "S2A_a", 3000, "2021-07-01", cloud=10.0)
    assert fetch().provenance.scenes == ("S2A_a",)


@pytest.mark.parametrize(
    ("kind", "masked"),
    [
        (1, True),
        (3, True),
        (8, True),
        (9, True),
        (10, True),
        (0, True),
        (2, False),
        (4, False),
        (5, False),
        (6, False),
        (7, False),
        (11, False),
    ],
)
def test_clouds_and_their_shadows_are_none(kind: int, masked: bool, world: World, fetch: Fetch) -> None:
    rows, columns = tile_part(20.0)
    hidden = (slice(rows.start + 4, rows.start + 9), slice(columns.start + 7, columns.start + 11))
    add(world, "S2A_one", 3000, hidden=hidden, kind=kind)
    expected = np.zeros((TILE.size, TILE.size), bool)
    if masked:
        expected[4:9, 7:11] = True
    pair = fetch()
    np.testing.assert_array_equal(np.isnan(pair.image), np.stack([expected] * 3))
    assert not np.isnan(pair.dem).any()


def test_one_cloud_spoils_a_pixel_of_forty_metres(world: World, server: StacServer) -> None:
    rows, columns = tile_part(20.0)
    add(
        world,
        "S2A_one",
        3000,
        hidden=(slice(rows.start + 5, rows.start + 6), slice(columns.start + 2, columns.start + 3)),
    )
    tile = Tile("t", "a", "train", UTM, TILE.origin_x, TILE.origin_y, 40.0, 10)
    image = source(server, EARTH_SEARCH, []).fetch(tile, lambda: False).image
    assert np.argwhere(np.isnan(image[0])).tolist() == [[2, 1]]


def test_a_median_is_of_what_is_clear(world: World, fetch: Fetch) -> None:
    rows, columns = tile_part(20.0)
    upper = (slice(rows.start, rows.start + 10), columns)
    for day, (number, hidden) in enumerate(
        [(2000, None), (2400, None), (3000, upper), (9000, None), (9500, upper)], start=1
    ):
        add(world, f"S2A_{day}", number, f"2021-06-0{day}", hidden=hidden)
    pair = fetch(MEDIAN)
    assert np.unique(pair.image[:, :10]).tolist() == [pytest.approx(value(2400))]
    assert np.unique(pair.image[:, 10:]).tolist() == [pytest.approx(value(3000))]
    assert pair.provenance.scenes == tuple(f"S2A_{day}" for day in range(1, 6))
    add(world, "S2A_6", 3100, "2021-06-06")
    assert np.unique(fetch(MEDIAN).image[:, 10:]).tolist() == [pytest.approx(value(3050))]


def test_the_sun_of_a_median_is_the_scenes_mean(world: World, fetch: Fetch) -> None:
    add(world, "S2A_1", 2000, "2021-06-01", sun=(350.0, 50.0))
    add(world, "S2A_2", 2000, "2021-06-02", sun=(20.0, 60.0))
    provenance = fetch(MEDIAN).provenance
    assert provenance.sun_azimuth == pytest.approx(5.0)
    assert provenance.sun_zenith == pytest.approx(35.0)


def test_clouds_all_over_are_told(world: World, fetch: Fetch) -> None:
    everything = (slice(None), slice(None))
    add(world, "S2A_1", 2000, "2021-06-01", hidden=everything)
    add(world, "S2A_2", 2000, "2021-06-02", hidden=everything, kind=SHADOW)
    with pytest.raises(NoData, match="clouds over all of it") as caught:
        fetch()
    assert caught.value.reason == CLOUD


def test_only_the_months_days_and_clouds_asked_for(world: World, fetch: Fetch) -> None:
    for number, (day, cloud) in enumerate(
        [
            ("2020-07-10", 1.0),
            ("2021-05-31", 1.0),
            ("2021-06-01", 9.0),
            ("2021-08-31", 8.0),
            ("2021-09-01", 1.0),
            ("2021-07-01", 31.0),
        ]
    ):
        add(world, f"S2A_{day}", 1000 + number, day, cloud=cloud)
    scenes = fetch(MEDIAN, months=(6, 7, 8), cloud=30.0).provenance.scenes
    assert scenes == ("S2A_2021-06-01", "S2A_2021-08-31")
    assert fetch(MEDIAN, start=date(2020, 7, 10), months=(7,), cloud=40.0).provenance.dates == (
        "2020-07-10",
        "2021-07-01",
    )


def test_of_two_versions_of_a_granule_the_later_counts(world: World, fetch: Fetch) -> None:
    add(world, "S2A_x_N0214", 2000, baseline="02.14")
    add(world, "S2A_x_N0500", 3000, baseline="05.00")
    pair = fetch(MEDIAN)
    assert pair.provenance.scenes == ("S2A_x_N0500",)
    assert np.unique(pair.image).tolist() == [pytest.approx(value(3000))]


@pytest.mark.parametrize("catalogue", CATALOGUES)
def test_all_pages_are_read(catalogue: str, world: World, server: StacServer, fetch: Fetch) -> None:
    for day in range(1, 8):
        add(world, f"S2A_{day}", 1000 * day, f"2021-06-0{day}")
    server.page = 2
    pair = fetch(MEDIAN, catalogue)
    assert len(pair.provenance.scenes) == 7
    # Four pages of scenes, one of heights.
    assert server.count("/search") == 5


def test_a_scene_without_its_files_is_left_out(world: World, fetch: Fetch) -> None:
    add(world, "S2A_1", 2000, "2021-06-01", cloud=1.0)
    add(world, "S2A_2", 3000, "2021-06-02", cloud=2.0)
    world.remove("sentinel-2-c1-l2a/S2A_1_scl.tif")
    said: list[str] = []
    assert fetch(said=said).provenance.scenes == ("S2A_2",)
    assert any("S2A_1" in line and "left out" in line for line in said)


def test_an_item_that_says_too_little_is_left_out(
    world: World, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(world, "S2A_1", 2000, "2021-06-01", cloud=1.0)
    add(world, "S2A_2", 3000, "2021-06-02", cloud=2.0)
    whole = World.items

    def items(self: World, earth_search: bool, files: str) -> Iterator[dict[str, Any]]:
        for item in whole(self, earth_search, files):
            if item["id"] == "S2A_1":
                del item["assets"]["green"]
            yield item

    monkeypatch.setattr(World, "items", items)
    said: list[str] = []
    assert fetch(said=said).provenance.scenes == ("S2A_2",)
    assert any("S2A_1" in line and "'green'" in line for line in said)


def test_neighbours_share_searches_and_files(world: World, server: StacServer) -> None:
    """Sixteen tiles fetched by four threads: one search for scenes, one for heights, each file opened by as
    many threads as read it at most, never more requests at once than threads."""
    add(world, "S2A_1", 2000)
    tiles = [
        Tile(
            f"t{column}{row}",
            "a",
            "train",
            UTM,
            TILE.origin_x + 100 * column,
            TILE.origin_y - 100 * row,
            10.0,
            10,
        )
        for column in range(4)
        for row in range(4)
    ]
    made = source(server, EARTH_SEARCH, [])
    with ThreadPoolExecutor(4) as threads:
        pairs = list(threads.map(lambda tile: made.fetch(tile, lambda: False), tiles))
    assert all(np.unique(pair.image).tolist() == [pytest.approx(value(2000))] for pair in pairs)
    assert server.count("/search") == 2
    assert sum(asked.method == "HEAD" for asked in server.asked) <= 4 * 5
    assert server.largest <= 4


def test_the_estimate_is_near_the_truth(world: World, server: StacServer) -> None:
    """In requests, of a single tile that shares nothing; the stand-in's files have smaller blocks."""
    add(world, "S2A_1", 2000)
    made = source(server, PLANETARY, [], months=(6,))
    estimate = made.estimate([TILE])
    assert server.asked == []
    made.fetch(TILE, lambda: False)
    assert 0.5 * estimate.requests < len(server.asked) < 1.5 * estimate.requests
    four = source(server, PLANETARY, [], months=(6,), composite=MEDIAN).estimate([TILE])
    assert four.bytes > 4 * estimate.bytes > 0
