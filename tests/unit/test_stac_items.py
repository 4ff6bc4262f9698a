"""What is read from a STAC item, whatever it holds; when and where a search looks."""

from __future__ import annotations

import copy
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("osgeo", reason="needs GDAL's Python")

from imagetodem_qgis.pairs.stac_catalogue import EARTH_SEARCH, PLANETARY_COMPUTER, Catalogue
from imagetodem_qgis.pairs.stac_cells import CELL_DEGREES, cell_box, cells, seasons, touch
from imagetodem_qgis.pairs.stac_items import Asset, ItemError, Scene, read_height_tile, read_scene
from imagetodem_qgis.pairs.stac_passes import mean_sun, passes

ITEM: dict[str, Any] = {
    "id": "S2A_T33TWN_20210615T100557_L2A",
    "bbox": [15.0, 46.8, 16.4, 47.8],
    "properties": {
        "datetime": "2021-06-15T10:07:31.123456789Z",
        "platform": "Sentinel-2A",
        "eo:cloud_cover": 12.5,
        "view:sun_azimuth": 150.25,
        "view:sun_elevation": 61.5,
        "s2:processing_baseline": "05.00",
        "proj:epsg": 32633,
    },
    "assets": {
        "red": {
            "href": "https://e/B04.tif",
            "raster:bands": [{"nodata": 0, "scale": 0.0001, "offset": -0.1}],
        },
        "green": {"href": "https://e/B03.tif", "bands": [{"raster:scale": 0.0002, "raster:offset": 0.0}]},
        "blue": {"href": "s3://bucket/a/B02.tif", "raster:scale": 0.0001, "raster:offset": -0.2, "nodata": 7},
        "scl": {"href": "../SCL.tif"},
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The item with another value at a path such as ``properties/datetime``; without it where it is None."""
    item = copy.deepcopy(ITEM)
    *outer, last = path.split("/")
    place: Any = item
    for name in outer:
        place = place[name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return item


def test_a_scene_is_what_its_item_says() -> None:
    scene = read_scene(ITEM, EARTH_SEARCH)
    assert scene.time == datetime(2021, 6, 15, 10, 7, 31, tzinfo=timezone.utc)
    assert (scene.cloud, scene.platform, scene.baseline, scene.crs) == (
        12.5,
        "sentinel-2a",
        5.0,
        "EPSG:32633",
    )
    assert (scene.sun_azimuth, scene.sun_zenith) == (150.25, 28.5)
    assert scene.bands == (
        Asset("https://e/B04.tif", 0.0001, -0.1, 0.0),
        Asset("https://e/B03.tif", 0.0002, 0.0, 0.0),
        Asset("https://bucket.s3.amazonaws.com/a/B02.tif", 0.0001, -0.2, 7.0),
    )
    assert scene.classes.href == "https://earth-search.aws.element84.com/SCL.tif"
    assert scene.boxes == ((15.0, 46.8, 16.4, 47.8),)


def test_planetary_computers_offset_is_the_products_rule() -> None:
    assets = {name: {"href": f"https://e/{name}.tif"} for name in ("B02", "B03", "B04", "SCL")}
    item = {**ITEM, "assets": assets}
    assert read_scene(item, PLANETARY_COMPUTER).bands[0] == Asset("https://e/B04.tif", 0.0001, -0.1, 0.0)
    old = {**item, "properties": {**ITEM["properties"], "s2:processing_baseline": "02.12"}}
    assert read_scene(old, PLANETARY_COMPUTER).bands[2] == Asset("https://e/B02.tif", 0.0001, 0.0, 0.0)
    silent = {**item, "properties": {"datetime": "2021-06-15T10:07:31Z"}}
    with pytest.raises(ItemError, match="s2:processing_baseline"):
        read_scene(silent, PLANETARY_COMPUTER)


def test_the_sun_may_be_told_otherwise_or_not_at_all() -> None:
    item = changed("properties/view:sun_azimuth", None)
    del item["properties"]["view:sun_elevation"]
    assert mean_sun([read_scene(item, EARTH_SEARCH)]) == (None, None)
    item["properties"] |= {"s2:mean_solar_azimuth": -10.0, "s2:mean_solar_zenith": 40.0}
    assert mean_sun([read_scene(item, EARTH_SEARCH)]) == (pytest.approx(350.0), 40.0)


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("id", None, "'id'"),
        ("bbox", None, "'bbox'"),
        ("bbox", [1, 2, 3], "'bbox'"),
        ("bbox", [1, 2, 3, "north"], "'bbox'"),
        ("properties", None, "'properties'"),
        ("properties/datetime", "yesterday", "yesterday"),
        ("properties/datetime", None, "'datetime'"),
        ("assets", [], "'assets'"),
        ("assets/green", None, "'green'"),
        ("assets/scl", {}, "'scl'"),
        ("assets/red", {"href": "file:///etc/passwd", "raster:scale": 1}, "web address"),
        ("assets/red", {"href": "/vsicurl/x", "raster:scale": 1, "type": 3}, None),
    ],
)
def test_what_an_item_lacks_is_named(path: str, value: Any, named: str | None) -> None:
    if named is None:
        # A path is one on the catalogue's own server, never one of this computer's.
        red = read_scene(changed(path, value), EARTH_SEARCH).bands[0]
        assert red.href == "https://earth-search.aws.element84.com/vsicurl/x"
        return
    with pytest.raises(ItemError, match=named):
        read_scene(changed(path, value), EARTH_SEARCH)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
PATHS = [
    *ITEM,
    *(f"properties/{name}" for name in ITEM["properties"]),
    *(f"assets/{name}" for name in ITEM["assets"]),
    "assets/red/raster:bands",
    "assets/green/bands",
]


@given(st.sampled_from(PATHS), JSON.filter(lambda value: value is not None), st.booleans())
def test_any_item_is_read_or_refused(path: str, value: Any, whole: bool) -> None:
    item = changed(path, value) if whole else value
    for read in (read_scene, read_height_tile):
        for catalogue in (EARTH_SEARCH, PLANETARY_COMPUTER):
            try:
                read(item, catalogue)
            except ItemError:
                continue


def test_a_tile_of_heights_is_what_its_item_says() -> None:
    item = {
        "id": "Copernicus_DSM_COG_10_S17_00_W180_00_DEM",
        "bbox": [179.99986, -17.0, -179.00014, -16.0],
        "assets": {"data": {"href": "s3://copernicus-dem-30m/a/a.tif", "raster:bands": [{"nodata": "nan"}]}},
    }
    tile = read_height_tile(item, EARTH_SEARCH)
    assert tile.heights == Asset("https://copernicus-dem-30m.s3.amazonaws.com/a/a.tif", 1.0, 0.0, None)
    assert tile.boxes == ((179.99986, -17.0, 180.0, -16.0), (-180.0, -17.0, -179.00014, -16.0))
    assert touch(tile.boxes, [(-179.9, -16.9, -179.8, -16.8)])
    assert touch(tile.boxes, [(179.9, -16.9, 180.0, -16.8)])
    assert not touch(tile.boxes, [(0.0, -16.9, 1.0, -16.8)])


def scene(
    name: str, seconds: float, cloud: float = 10.0, baseline: float = 5.0, platform: str = "a"
) -> Scene:
    time = datetime(2021, 6, 15, tzinfo=timezone.utc) + timedelta(seconds=seconds)
    asset = Asset("https://e/x.tif")
    return Scene(name, time, platform, cloud, None, None, "", baseline, (), (asset, asset, asset), asset)


def test_granules_of_a_pass_are_together() -> None:
    day = 86_400.0
    found = passes(
        [
            scene("late", 5 * day, cloud=1.0),
            scene("south", 28.0, cloud=40.0),
            scene("north", 0.0, cloud=20.0),
            scene("north again", 0.0, cloud=20.0, baseline=5.1),
            scene("other satellite", 14.0, cloud=90.0, platform="b"),
        ]
    )
    assert [[one.id for one in group] for group in found] == [
        ["late"],
        ["north again", "north", "south"],
        ["other satellite"],
    ]


@given(
    st.dates(date(2015, 1, 1), date(2026, 12, 31)),
    st.integers(0, 1500),
    st.sets(st.integers(1, 12)),
)
def test_seasons_hold_each_day_once(start: date, days: int, months: set[int]) -> None:
    every = [start + timedelta(days=day) for day in range(days + 1)]
    found = seasons(start, every[-1], sorted(months))
    held = [day for season in found for day in every if season.first <= day <= season.last]
    assert held == [day for day in every if day.month in months]
    # As few as can be: between two of them lies a day that is not wanted.
    assert all(b.first - a.last > timedelta(days=1) for a, b in zip(found, found[1:]))


def test_an_interval_holds_its_last_day_to_its_end() -> None:
    (season,) = seasons(date(2021, 6, 1), date(2021, 8, 31), (6, 7, 8))
    assert season.interval() == "2021-06-01T00:00:00Z/2021-08-31T23:59:59.999Z"


BOXES = st.tuples(
    st.floats(-180.0, 179.9), st.floats(-89.0, 88.9), st.floats(0.001, 3.0), st.floats(0.001, 1.0)
).map(lambda box: (box[0], box[1], min(180.0, box[0] + box[2]), box[1] + box[3]))


HAIR = 1e-9
"""Degrees, a tenth of a millimetre: rounding."""


@given(BOXES)
def test_cells_cover_a_box_and_no_more(box: tuple[float, float, float, float]) -> None:
    found = [cell_box(cell) for cell in cells([box])]
    west, south, east, north = box
    assert min(cell[0] for cell in found) <= west + HAIR
    assert max(cell[2] for cell in found) >= east - HAIR
    assert min(cell[1] for cell in found) <= south + HAIR
    assert max(cell[3] for cell in found) >= north - HAIR
    wide, high = ((east - west) / CELL_DEGREES, (north - south) / CELL_DEGREES)
    assert len(found) <= (int(wide) + 2) * (int(high) + 2)
    assert all(cell[0] >= -180.0 and cell[2] <= 180.0 for cell in found)


def test_the_addresses_are_the_catalogues() -> None:
    assert PLANETARY_COMPUTER.token_address("alos-dem") == (
        "https://planetarycomputer.microsoft.com/api/sas/v1/token/alos-dem"
    )
    assert EARTH_SEARCH.token_address("cop-dem-glo-30") == ""
    assert EARTH_SEARCH.search_address == "https://earth-search.aws.element84.com/v1/search"
    moved: Catalogue = PLANETARY_COMPUTER.at("http://127.0.0.1:80/api/stac/v1/")
    assert moved.search_address == "http://127.0.0.1:80/api/stac/v1/search"
    assert moved.token_address("a") == "http://127.0.0.1:80/api/sas/v1/token/a"
