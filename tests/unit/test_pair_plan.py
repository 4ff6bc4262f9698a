"""Areas, tiles and splits: where tiles lie, that all ground is covered once, that splits stay apart."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("osgeo.gdal", reason="needs GDAL's Python")
from osgeo import ogr

from imagetodem_qgis.pairs.areas import (
    AreaError,
    area_of_box,
    area_of_polygon,
    area_of_raster,
    distinct_names,
)
from imagetodem_qgis.pairs.footprints import footprint
from imagetodem_qgis.pairs.geography import boxes, outline, transformation
from imagetodem_qgis.pairs.grids import tiles_of_areas, tiles_of_grid
from imagetodem_qgis.pairs.plan import plan_areas, plan_grid
from imagetodem_qgis.pairs.source import Tile
from imagetodem_qgis.pairs.splits import SPLITS, Shares, split_by_area
from imagetodem_qgis.raster.grid import Grid
from tests.rasters import UTM_33N, write_image

WGS_84 = "EPSG:4326"
SIDE = 30.0 * 64


def box(west: float, south: float, east: float, north: float, crs: str = WGS_84):
    return area_of_box("extent", (west, south, east, north), crs)


def centre(tile: Tile) -> tuple[float, float]:
    """Longitude and latitude."""
    half = tile.resolution * tile.size / 2
    return transformation(tile.crs, WGS_84).TransformPoint(tile.origin_x + half, tile.origin_y - half)[:2]


PLACES = [
    ((11.95, 46.5, 12.05, 46.6), {"EPSG:32632", "EPSG:32633"}),
    ((179.95, -17.1, 180.06, -17.0), {"EPSG:32760", "EPSG:32701"}),
    ((-180.05, 65.0, -179.9, 65.06), {"EPSG:32660", "EPSG:32601"}),
    ((15.0, -0.06, 15.1, 0.05), {"EPSG:32633", "EPSG:32733"}),
    ((20.0, 74.9, 20.3, 75.0), {"EPSG:32634"}),
    ((-70.2, -75.05, -69.9, -74.95), {"EPSG:32719"}),
]


@pytest.mark.parametrize(("corners", "systems"), PLACES)
def test_tiles_are_those_with_their_centre_in_the_area_each_in_its_zone(corners, systems):
    west, south, east, north = corners
    tiles = tiles_of_areas([box(*corners)], 30.0, 64, 4)
    assert {tile.crs for tile in tiles} == systems
    for tile in tiles:
        longitude, latitude = centre(tile)
        zone = int(tile.crs[-2:])
        assert tile.crs[5:8] == ("327" if latitude < 0 else "326")
        assert math.floor((longitude + 180.0) / 6.0) % 60 + 1 == zone
        assert (longitude - west) % 360.0 <= east - west + 1e-6
        assert south - 1e-6 <= latitude <= north + 1e-6
        # The grid's lines are at whole multiples of a tile's side.
        assert tile.origin_x / SIDE == pytest.approx(round(tile.origin_x / SIDE), abs=1e-9)
        assert tile.origin_y / SIDE == pytest.approx(round(tile.origin_y / SIDE), abs=1e-9)
    assert len({tile.id for tile in tiles}) == len(tiles)
    # As many as the ground has room for, but for the border's share.
    ground = (east - west) * math.cos(math.radians((south + north) / 2)) * (north - south) * 111_320.0**2
    border = 2 * math.sqrt(ground) / SIDE + 4
    assert abs(len(tiles) - ground / SIDE**2) <= border


def test_the_same_ground_gives_the_same_tiles():
    small = {tile.id: tile for tile in tiles_of_areas([box(10.0, 46.5, 10.1, 46.6)], 30.0, 64, 4)}
    large = {tile.id: tile for tile in tiles_of_areas([box(9.8, 46.4, 10.3, 46.7)], 30.0, 64, 4)}
    assert small
    assert {name: large[name] for name in small} == small


def test_a_speck_gets_the_tile_that_it_lies_in():
    (tile,) = tiles_of_areas([box(10.0, 46.5, 10.0001, 46.5001)], 30.0, 64, 4)
    x, y, _ = transformation(WGS_84, tile.crs).TransformPoint(10.0, 46.5)
    assert tile.bounds[0] <= x <= tile.bounds[2]
    assert tile.bounds[1] <= y <= tile.bounds[3]


def test_an_extent_in_another_system_is_the_same_ground():
    corners = transformation(WGS_84, "EPSG:3857").TransformPoints([(10.0, 46.5), (10.2, 46.6)])
    mercator = box(corners[0][0], corners[0][1], corners[1][0], corners[1][1], "EPSG:3857")
    of_degrees = tiles_of_areas([box(10.0, 46.5, 10.2, 46.6)], 30.0, 64, 4)
    assert {tile.id for tile in tiles_of_areas([mercator], 30.0, 64, 4)} == {tile.id for tile in of_degrees}


def test_polygons_on_both_sides_of_the_antimeridian_are_one_area():
    halves = "MULTIPOLYGON (((179.9 10, 180 10, 180 10.1, 179.9 10.1, 179.9 10)),"
    halves += "((-180 10, -179.9 10, -179.9 10.1, -180 10.1, -180 10)))"
    area = area_of_polygon("two", bytes(ogr.CreateGeometryFromWkt(halves).ExportToWkb()), WGS_84)
    found = {tile.id for tile in tiles_of_areas([area], 30.0, 64, 4)}
    assert found == {tile.id for tile in tiles_of_areas([box(179.9, 10.0, 180.1, 10.1)], 30.0, 64, 4)}


def test_a_raster_covers_where_it_knows_a_value(tmp_path):
    dem = np.full((200, 400, 1), -9999.0, np.float32)
    dem[:, :200] = 1.0
    path = write_image(tmp_path / "dem.tif", dem, nodata=-9999.0)
    tiles = tiles_of_areas([area_of_raster("raster", str(path))], 30.0, 64, 4)
    assert tiles
    assert {tile.crs for tile in tiles} == {UTM_33N}
    for tile in tiles:
        assert 500_000.0 - SIDE / 2 <= tile.origin_x <= 506_000.0 - SIDE / 2
        assert 5_194_000.0 + SIDE / 2 <= tile.origin_y <= 5_200_000.0 + SIDE / 2


def test_what_cannot_be_an_area_is_refused(tmp_path):
    with pytest.raises(AreaError, match="UTM grids, which end at 84"):
        box(10.0, 83.0, 11.0, 86.0)
    with pytest.raises(AreaError, match="degrees of longitude"):
        box(-170.0, 10.0, 170.0, 11.0)
    with pytest.raises(AreaError, match="no polygon but a point"):
        area_of_polygon("p", bytes(ogr.CreateGeometryFromWkt("POINT (1 2)").ExportToWkb()), WGS_84)
    with pytest.raises(AreaError, match="more than 100,000"):
        tiles_of_areas([box(5.0, 40.0, 25.0, 55.0)], 10.0, 128, 4)
    unplaced = write_image(tmp_path / "unplaced.tif", np.ones((4, 4, 1), np.float32), crs="")
    with pytest.raises(AreaError, match="no coordinate reference system"):
        area_of_raster("raster", str(unplaced))
    nothing = write_image(tmp_path / "nothing.tif", np.zeros((4, 4, 1), np.float32), nodata=0.0)
    with pytest.raises(AreaError, match="all is nodata"):
        area_of_raster("raster", str(nothing))


def test_names_are_made_distinct():
    assert distinct_names(["a", "b", "a", "a"]) == ["a", "b", "a (2)", "a (3)"]


@pytest.mark.parametrize("tile", [
    Tile("t", "a", "", "EPSG:32701", 180_000.0, 8_100_000.0, 30.0, 256),
    Tile("t", "a", "", "EPSG:32660", 815_000.0, 1_900_000.0, 30.0, 256),
    Tile("t", "a", "", "EPSG:32632", 500_000.0, 5_000_000.0, 30.0, 256),
])  # fmt: skip
def test_footprints_keep_to_the_globe_and_lose_no_ground(tile):
    made = footprint(tile)
    west, east, south, north = made.GetEnvelope()
    assert west >= -180.0
    assert east <= 180.0
    places = np.array(outline(tile))
    ring = 0.5 * abs(np.sum(places[:-1, 0] * places[1:, 1] - places[1:, 0] * places[:-1, 1]))
    assert made.GetArea() == pytest.approx(ring, rel=1e-6)
    crosses = places[:, 0].max() > 180.0 or places[:, 0].min() < -180.0
    assert made.GetGeometryCount() == len(boxes(tile)) == (2 if crosses else 1)
    assert sum((e - w) for w, _, e, _ in boxes(tile)) == pytest.approx(np.ptp(places[:, 0]))


def gap(one: Tile, other: Tile) -> float:
    """Metres between two tiles of one grid, by the larger of both axes; negative where they overlap."""
    side = one.resolution * one.size
    return max(abs(one.origin_x - other.origin_x), abs(one.origin_y - other.origin_y)) - side


@settings(max_examples=25)
@given(
    st.floats(0.05, 0.4),
    st.floats(0.05, 0.3),
    st.floats(0.0, 0.3),
    st.floats(0.05, 0.3),
    st.floats(0.0, 4000.0),
    st.integers(0, 99),
)
def test_splits_stay_apart_and_share_no_area(wide, high, test_share, validation_share, buffer, seed):
    shares = Shares(validation_share, test_share, buffer, seed)
    plan = plan_areas([box(10.0, 46.0, 10.0 + wide, 46.0 + high)], 30.0, 64, shares)
    whole = tiles_of_areas([box(10.0, 46.0, 10.0 + wide, 46.0 + high)], 30.0, 64, 4)
    assert len(plan.tiles) + plan.dropped == len(whole)
    splits_of_area: dict[str, set[str]] = {}
    for tile in plan.tiles:
        splits_of_area.setdefault(tile.area, set()).add(tile.split)
    assert all(len(splits) == 1 for splits in splits_of_area.values())
    for one in plan.tiles:
        for other in plan.tiles:
            if one.split != other.split:
                assert gap(one, other) >= buffer - 1e-6
    assert plan.warnings or {tile.split for tile in plan.tiles} >= {"train", "validation"}
    again = plan_areas([box(10.0, 46.0, 10.0 + wide, 46.0 + high)], 30.0, 64, shares)
    assert again.fingerprint == plan.fingerprint


def test_shares_are_about_what_was_wished():
    plan = plan_areas([box(10.0, 46.0, 10.8, 46.6)], 30.0, 64, Shares(0.15, 0.15, 960.0, 1))
    count = {split: sum(tile.split == split for tile in plan.tiles) for split in SPLITS}
    total = len(plan.tiles) + plan.dropped
    assert count["train"] > 0.55 * total
    assert 0.08 * total < count["validation"] < 0.25 * total
    assert 0.08 * total < count["test"] < 0.25 * total


def test_splits_in_two_zones_stay_apart_on_the_ground():
    plan = plan_areas([box(11.8, 46.4, 12.2, 46.7)], 30.0, 64, Shares(0.2, 0.2, 2_000.0, 3))
    tiles = plan.tiles
    assert len({tile.crs for tile in tiles}) == 2
    places = np.array([centre(tile) for tile in tiles])
    metres = places * [111_320.0 * math.cos(math.radians(46.55)), 111_320.0]
    for number, tile in enumerate(tiles):
        others = [n for n, other in enumerate(tiles) if other.split != tile.split]
        assert np.linalg.norm(metres[others] - metres[number], axis=1).min() > SIDE + 2_000.0 * 0.95


def test_three_polygons_are_areas_of_their_own():
    areas = [area_of_box(f"valley {n}", (10.0 + n, 46.0, 10.15 + n, 46.1), WGS_84) for n in range(3)]
    plan = plan_areas(areas, 30.0, 64, Shares(0.15, 0.15, 960.0, 1))
    assert {tile.area for tile in plan.tiles} == {"valley 0", "valley 1", "valley 2"}
    assert {tile.split for tile in plan.tiles} == set(SPLITS)
    assert plan.dropped == 0


def test_what_is_too_small_to_hold_out_is_said():
    plan = plan_areas([box(10.0, 46.0, 10.01, 46.01)], 30.0, 64, Shares(0.15, 0.15, 960.0, 1))
    assert [tile.split for tile in plan.tiles] == ["train"]
    assert "cannot be shared out" in plan.warnings[0]
    assert split_by_area(plan.tiles, Shares(0.15, 0.0, 960.0, 1)) is None


@given(st.integers(64, 900), st.integers(64, 900))
def test_a_grid_is_covered_by_its_tiles(columns, rows):
    grid = Grid(columns, rows, (1000.0, 10.0, 0.0, 9000.0, 0.0, -10.0), UTM_33N)
    covered = np.zeros((rows, columns), bool)
    for tile in tiles_of_grid(grid, 64, 2):
        column, row = round((tile.origin_x - 1000.0) / 10.0), round((9000.0 - tile.origin_y) / 10.0)
        assert 0 <= column <= columns - 64
        assert 0 <= row <= rows - 64
        covered[row : row + 64, column : column + 64] = True
    assert covered.all()


def test_a_small_raster_keeps_most_of_its_tiles():
    grid = Grid(1000, 1000, (1000.0, 10.0, 0.0, 9000.0, 0.0, -10.0), UTM_33N)
    plan = plan_grid(grid, 256, Shares(0.15, 0.15, 1280.0, 1))
    assert plan.dropped <= 6
    assert sum(tile.split == "validation" for tile in plan.tiles) >= 1
    assert sum(tile.split == "train" for tile in plan.tiles) >= 4


def test_a_hole_in_a_polygon_has_no_tiles():
    """Also of a polygon in another CRS, beside a second part."""
    outer, inner, second = ogr.Geometry(ogr.wkbPolygon), (501_000.0, 503_500.0), ogr.Geometry(ogr.wkbPolygon)
    for polygon, (low, high) in (
        (outer, (495_000.0, 512_000.0)),
        (outer, inner),
        (second, (520_000.0, 525_000.0)),
    ):
        ring = ogr.Geometry(ogr.wkbLinearRing)
        for x, y in ((low, low), (low, high), (high, high), (high, low), (low, low)):
            ring.AddPoint_2D(x, y + 4_700_000.0)
        polygon.AddGeometry(ring)
    both = ogr.Geometry(ogr.wkbMultiPolygon)
    for polygon in (outer, second):
        both.AddGeometry(polygon)
    both.Transform(transformation(UTM_33N, "EPSG:3857"))
    tiles = tiles_of_areas([area_of_polygon("a", bytes(both.ExportToWkb()), "EPSG:3857")], 10.0, 64, 4)
    middles = [(tile.origin_x + 320.0, tile.origin_y - 320.0 - 4_700_000.0) for tile in tiles]

    def within(low: float, high: float) -> int:
        return sum(low < x < high and low < y < high for x, y in middles)

    assert within(*inner) == 0
    assert within(495_000.0, 512_000.0) == pytest.approx((17_000.0**2 - 2_500.0**2) / 640.0**2, rel=0.05)
    assert within(520_000.0, 525_000.0) == pytest.approx((5_000.0 / 640.0) ** 2, rel=0.15)
    assert len(tiles) == within(495_000.0, 512_000.0) + within(520_000.0, 525_000.0)
