from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

osr = pytest.importorskip("osgeo.osr", reason="needs GDAL")

from imagetodem_qgis.core.light import angular_distance  # noqa: E402
from imagetodem_qgis.core.tiling import Window  # noqa: E402
from imagetodem_qgis.raster.grid import Grid  # noqa: E402

_DEGREE = 111_320.0


def crs(code: int) -> str:
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(code)
    return reference.ExportToWkt()


def in_crs(code: int, longitude: float, latitude: float) -> tuple[float, float]:
    source, target = osr.SpatialReference(), osr.SpatialReference()
    source.ImportFromEPSG(4326)
    target.ImportFromEPSG(code)
    for reference in (source, target):
        reference.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    return osr.CoordinateTransformation(source, target).TransformPoint(longitude, latitude)[:2]


def north_up(code: int, longitude: float, latitude: float, pixel: float, size: int = 100) -> Grid:
    """A square grid around a place."""
    x, y = in_crs(code, longitude, latitude)
    half = size / 2 * pixel
    return Grid(size, size, (x - half, pixel, 0.0, y + half, 0.0, -pixel), crs(code))


@st.composite
def geotransforms(draw: st.DrawFn) -> tuple[float, ...]:
    angle = math.radians(draw(st.floats(0, 360)))
    across, down = draw(st.floats(0.01, 1000)), draw(st.floats(0.01, 1000))
    lean = draw(st.floats(-0.5, 0.5))
    flipped = draw(st.sampled_from((1, -1)))
    return (
        draw(st.floats(-1e6, 1e6)),
        across * math.cos(angle),
        flipped * down * math.sin(angle + lean),
        draw(st.floats(-1e6, 1e6)),
        across * math.sin(angle),
        -flipped * down * math.cos(angle + lean),
    )


@given(geotransforms(), st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
def test_to_pixels_takes_to_map_back(geotransform, column, row):
    grid = Grid(10, 10, geotransform, "")
    x, y = grid.to_map(column, row)
    # Coordinates of a million carry a ten-thousandth of the smallest pixel at best.
    assert grid.to_pixels(x, y) == pytest.approx((column, row), abs=1e-3)


@given(geotransforms(), st.integers(0, 500), st.integers(0, 500))
def test_a_cropped_grid_keeps_every_pixels_place(geotransform, column, row):
    grid = Grid(1000, 900, geotransform, "anything")
    part = grid.cropped(Window(row, column, 30, 40))
    assert (part.rows, part.columns, part.crs) == (30, 40, "anything")
    assert part.to_map(3.5, 2.25) == pytest.approx(grid.to_map(column + 3.5, row + 2.25), abs=1e-4)
    assert part.window() == Window(0, 0, 30, 40)


@pytest.mark.parametrize("latitude", [0.0, 40.0, 60.0, -75.0])
def test_a_degree_is_as_wide_as_the_latitude_makes_it(latitude):
    ground = north_up(4326, 11.0, latitude, 0.001).ground()
    assert ground.latitude == pytest.approx(latitude)
    shrink = math.cos(math.radians(latitude))
    assert ground.right == pytest.approx((0.001 * _DEGREE * shrink, 0.0), abs=1e-6)
    assert ground.down == pytest.approx((0.0, -0.001 * _DEGREE), abs=1e-6)


@pytest.mark.parametrize(
    ("code", "longitude", "latitude", "pixel", "metres"),
    [
        pytest.param(32633, 15.0, 60.0, 30.0, 30.0, id="UTM 33 north"),
        pytest.param(32719, -69.0, -33.0, 10.0, 10.0, id="UTM 19 south"),
        pytest.param(3857, 11.0, 0.0, 100.0, 100.0, id="Web Mercator on the equator"),
        pytest.param(3857, 11.0, 60.0, 100.0, 50.0, id="Web Mercator at 60 degrees: half"),
        pytest.param(2263, -74.0, 40.7, 100.0, 30.48, id="feet"),
        pytest.param(3832, 180.0, 10.0, 250.0, 250.0 * math.cos(math.radians(10.0)), id="antimeridian"),
    ],
)
def test_pixels_of_projected_grids_are_measured_on_the_ground(code, longitude, latitude, pixel, metres):
    ground = north_up(code, longitude, latitude, pixel).ground()
    # A sphere stands for the ellipsoid, and the projections have scales of their own.
    assert ground.pixel_size() == pytest.approx((metres, metres), rel=7e-3)
    assert ground.latitude == pytest.approx(latitude, abs=0.02)


def test_the_middle_counts_even_of_a_large_web_mercator_raster():
    # From the equator to 66.5 degrees north; the middle lies at 40.98.
    side = 10_018_754.17
    grid = Grid(4000, 4000, (0.0, side / 4000, 0.0, side, 0.0, -side / 4000), crs(3857))
    latitude = math.degrees(2 * math.atan(math.exp(math.pi / 4)) - math.pi / 2)
    metres = side / 4000 * math.cos(math.radians(latitude))
    assert grid.ground().latitude == pytest.approx(latitude, abs=1e-3)
    assert grid.ground().pixel_size() == pytest.approx((metres, metres), rel=5e-3)


def test_across_the_antimeridian_in_degrees():
    grid = Grid(40, 40, (179.0, 0.05, 0.0, 1.0, 0.0, -0.05), crs(4326))
    assert grid.ground().right == pytest.approx((0.05 * _DEGREE, 0.0), rel=1e-6)


def test_a_rotated_grid_keeps_its_pixel_size_and_tells_its_turn():
    x, y = in_crs(32633, 15.0, 48.0)
    angle = math.radians(30.0)
    right, down = (
        (20.0 * math.cos(angle), 20.0 * math.sin(angle)),
        (20.0 * math.sin(angle), -20.0 * math.cos(angle)),
    )
    grid = Grid(50, 50, (x, right[0], down[0], y, right[1], down[1]), crs(32633))
    ground = grid.ground()
    assert ground.pixel_size() == pytest.approx((20.0, 20.0), rel=4e-3)
    # East by 20 cos 30, north by 20 sin 30.
    assert ground.right == pytest.approx((17.32, 10.0), abs=0.1)


def test_a_single_pixel_and_one_row_have_a_ground():
    for rows, columns in ((1, 1), (1, 500), (500, 1)):
        x, y = in_crs(32633, 15.0, 48.0)
        grid = Grid(columns, rows, (x, 10.0, 0.0, y, 0.0, -10.0), crs(32633))
        assert grid.ground().pixel_size() == pytest.approx((10.0, 10.0), rel=4e-3)


@pytest.mark.parametrize(
    "wkt",
    [
        "",
        'LOCAL_CS["site grid",UNIT["metre",1]]',
        'ENGCRS["site grid",EDATUM["site"],CS[Cartesian,2],'
        'AXIS["x",east],AXIS["y",north],LENGTHUNIT["metre",1]]',
        "no coordinate system at all",
    ],
)
def test_no_way_to_the_ground_is_none(wkt):
    assert Grid(10, 10, (0.0, 1.0, 0.0, 0.0, 0.0, -1.0), wkt).ground() is None


def test_coordinates_that_lie_nowhere_are_none():
    assert Grid(10, 10, (1e12, 1.0, 0.0, 1e12, 0.0, -1.0), crs(32633)).ground() is None


@pytest.mark.parametrize("azimuth", [0.0, 35.0, 145.0, 300.0])
def test_sun_in_a_north_up_image_is_the_suns_own_azimuth(azimuth):
    for grid in (north_up(4326, 10.0, 65.0, 0.01), north_up(32632, 9.0, 47.0, 30.0)):
        assert angular_distance(grid.sun_in_image(azimuth), azimuth) < 0.5
    without_place = Grid(10, 10, (0.0, 1.0, 0.0, 0.0, 0.0, -1.0), "")
    assert angular_distance(without_place.sun_in_image(azimuth), azimuth) < 1e-9


@pytest.mark.parametrize("azimuth", [0.0, 35.0, 145.0, 300.0])
def test_sun_in_a_south_up_image_is_mirrored(azimuth):
    x, y = in_crs(32632, 9.0, 47.0)
    south_up = Grid(100, 100, (x, 30.0, 0.0, y, 0.0, 30.0), crs(32632))
    assert angular_distance(south_up.sun_in_image(azimuth), 180.0 - azimuth) < 0.5
    assert angular_distance(Grid(9, 9, (0, 1, 0, 0, 0, 1), "").sun_in_image(azimuth), 180.0 - azimuth) < 1e-9


@pytest.mark.parametrize("azimuth", [0.0, 35.0, 145.0, 300.0])
def test_sun_in_an_image_turned_a_quarter(azimuth):
    x, y = in_crs(32632, 9.0, 47.0)
    # Columns run north and rows east: the image's top is west, so north (0) appears to the right (90).
    turned = Grid(100, 100, (x, 0.0, 30.0, y, 30.0, 0.0), crs(32632))
    assert angular_distance(turned.sun_in_image(azimuth), azimuth + 90.0) < 0.5
