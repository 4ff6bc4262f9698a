"""Where Predict DEM puts its heights: reference systems, pixels of every shape, a part of the image."""

from __future__ import annotations

import math

import numpy as np
import pytest
from osgeo import gdal

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from tests.rasters import (
    GROUND_TOLERANCE,
    UTM_TRANSFORM,
    colours,
    fitted,
    read_surface,
    relief,
    write_image,
)
from tests.tiny_models import RELIEF

FOOT = 1200 / 3937


def metres_of_degrees(latitude: float) -> tuple[float, float]:
    """Length of a degree of longitude and of latitude on the WGS 84 ellipsoid."""
    radius, flattening = 6_378_137.0, 1 / 298.257223563
    squared = flattening * (2 - flattening)
    sine = math.sin(math.radians(latitude))
    across = radius * math.cos(math.radians(latitude)) / math.sqrt(1 - squared * sine**2)
    along = radius * (1 - squared) / (1 - squared * sine**2) ** 1.5
    return math.radians(across), math.radians(along)


@pytest.mark.parametrize(
    ("crs", "transform", "metres"),
    [
        ("EPSG:32633", UTM_TRANSFORM, 30.0),
        ("EPSG:32633", (500_000, 30, 0, 5_200_000, 0, 30), 30.0),
        ("EPSG:32633", (500_000, 0, 30, 5_200_000, 30, 0), 30.0),
        ("EPSG:32633", (500_000, 24, 18, 5_200_000, 18, -24), 30.0),
        ("EPSG:3857", (1_500_000, 60, 0, 8_399_737.9, 0, -60), 30.0),
        ("EPSG:2263", (1_000_000, 100, 0, 200_000, 0, -100), 100 * FOOT),
        ("EPSG:4326", (10, 0.0003, 0, 0, 0, -0.0003), 0.0003 * metres_of_degrees(0)[0]),
    ],
    ids=["utm", "south-up", "rows go east", "rotated", "mercator at 60 north", "feet", "equator"],
)
def test_relief_is_in_metres_on_the_ground(predict, tmp_path, crs, transform, metres):
    bands = colours(60, 70)
    image = write_image(tmp_path / "image.tif", bands, crs=crs, transform=transform)
    surface = read_surface(predict(image)["OUTPUT"])
    found, correlation = fitted(surface.heights, relief(bands))
    assert correlation > 0.99999
    assert found == pytest.approx(metres, rel=GROUND_TOLERANCE)
    assert surface.unit == "m"
    assert surface.transform == pytest.approx(transform, rel=1e-12)
    assert surface.crs == gdal.Open(str(image)).GetProjection() != ""


@pytest.mark.parametrize("latitude", [60.0, -45.0])
def test_oblong_pixels_of_degrees_are_read_as_square_ones(predict, tmp_path, latitude):
    rows, columns, step = 120, 150, 0.001
    wave = np.sin(np.arange(columns) / 10.0)[None] + np.cos(np.arange(rows) / 12.0)[:, None]
    bands = np.repeat((120 + 50 * wave)[..., None], 3, axis=2).astype(np.float32)
    image = write_image(
        tmp_path / "image.tif", bands, crs="EPSG:4326", transform=(10, step, 0, latitude, 0, -step)
    )
    surface = read_surface(predict(image)["OUTPUT"])
    assert surface.heights.shape == (rows, columns)
    assert np.isfinite(surface.heights).all()
    across, along = (step * degree for degree in metres_of_degrees(latitude))
    metres, correlation = fitted(surface.heights, relief(bands))
    assert correlation > 0.995
    assert metres == pytest.approx(math.sqrt(across * along), rel=0.03)


@pytest.mark.parametrize("transform", [UTM_TRANSFORM, None])
def test_without_a_crs_heights_are_in_pixels(predict, tmp_path, transform):
    bands = colours(40, 50)
    results = predict(write_image(tmp_path / "image.tif", bands, crs="", transform=transform))
    surface = read_surface(results["OUTPUT"])
    metres, correlation = fitted(surface.heights, relief(bands))
    assert metres == pytest.approx(1, rel=1e-4)
    assert correlation > 0.99999
    assert surface.unit == "pixel"
    assert surface.crs == ""
    assert "no coordinate reference system" in results["said"]
    if transform is not None:
        assert surface.transform == transform


def test_a_much_finer_image_is_read_at_the_models_sampling_distance(predict, tiny_model, tmp_path):
    rows, columns = 300, 400
    wave = np.sin(np.arange(columns) / 30.0)[None] + np.cos(np.arange(rows) / 40.0)[:, None]
    bands = np.repeat((120 + 50 * wave)[..., None], 3, axis=2).astype(np.float32)
    transform = (500_000, 0.5, 0, 5_200_000, 0, -0.5)
    image = write_image(tmp_path / "image.tif", bands, transform=transform)
    model = tiny_model("red", ground_sampling_distance={"minimum": 4, "maximum": 10})
    results = predict(image, MODEL_FILE=model)
    surface = read_surface(results["OUTPUT"])
    assert surface.heights.shape == (rows, columns)
    assert surface.transform == transform
    metres, correlation = fitted(surface.heights, relief(bands))
    assert metres == pytest.approx(4, rel=0.03)
    assert correlation > 0.995
    assert float(surface.metadata["IMAGETODEM_GROUND_SAMPLING_DISTANCE"].split()[0]) == pytest.approx(
        4, rel=0.02
    )
    assert results["TILES"] == 1
    # One of the model's pixels is eight of the image's: no block may show.
    down, right = np.abs(np.diff(surface.heights, axis=0)), np.abs(np.diff(surface.heights, axis=1))
    assert max(down.max(), right.max()) < 2.5 * RELIEF * 4 * 2 / 60 / 2


def extent_of(top: int, left: int, rows: int, columns: int) -> tuple[float, float, float, float]:
    """West, east, south and north of a window of the UTM grid."""
    west, north = 500_000 + 30 * left, 5_200_000 - 30 * top
    return west, west + 30 * columns, north - 30 * rows, north


def written(extent: tuple[float, float, float, float], crs: str = "EPSG:32633") -> str:
    return ",".join(repr(value) for value in extent) + f" [{crs}]"


def test_an_extent_crops_the_grid_but_not_the_stretch(predict, tmp_path):
    bands = colours(200, 200)
    # The crop's own contrast is another: a stretch of its own would show.
    bands[60:110, 40:120, 0] = 100 + bands[60:110, 40:120, 0] // 8
    image = write_image(tmp_path / "image.tif", bands)
    surface = read_surface(predict(image, EXTENT=written(extent_of(60, 40, 50, 80)))["OUTPUT"])
    assert surface.heights.shape == (50, 80)
    assert surface.transform == (501_200, 30, 0, 5_198_200, 0, -30)
    metres, correlation = fitted(surface.heights, relief(bands)[60:110, 40:120])
    assert correlation > 0.99999
    assert metres == pytest.approx(30, rel=GROUND_TOLERANCE)


def test_pixels_cut_by_the_extent_are_included(predict, tmp_path):
    west, east, south, north = extent_of(60, 40, 50, 80)
    image = write_image(tmp_path / "image.tif", colours(200, 200))
    surface = read_surface(
        predict(image, EXTENT=written((west - 1, east + 1, south - 1, north + 1)))["OUTPUT"]
    )
    assert surface.heights.shape == (52, 82)
    assert surface.transform == (501_170, 30, 0, 5_198_230, 0, -30)


def test_an_extent_partly_outside_is_cut_at_the_image(predict, tmp_path):
    image = write_image(tmp_path / "image.tif", colours(100, 100))
    surface = read_surface(predict(image, EXTENT=written(extent_of(-50, 70, 80, 1000)))["OUTPUT"])
    assert surface.heights.shape == (30, 30)
    assert surface.transform == (502_100, 30, 0, 5_200_000, 0, -30)


def test_an_extent_in_another_crs_is_brought_to_the_images(predict, tmp_path):
    from qgis.core import QgsCoordinateReferenceSystem, QgsCoordinateTransform, QgsProject, QgsRectangle

    bands = colours(200, 200)
    image = write_image(tmp_path / "image.tif", bands)
    west, east, south, north = extent_of(60, 40, 50, 80)
    transform = QgsCoordinateTransform(
        QgsCoordinateReferenceSystem("EPSG:32633"),
        QgsCoordinateReferenceSystem("EPSG:4326"),
        QgsProject.instance(),
    )
    box = transform.transformBoundingBox(QgsRectangle(west, south, east, north))
    geographic = (box.xMinimum(), box.xMaximum(), box.yMinimum(), box.yMaximum())
    surface = read_surface(predict(image, EXTENT=written(geographic, "EPSG:4326"))["OUTPUT"])
    left, top = round((surface.transform[0] - 500_000) / 30), round((5_200_000 - surface.transform[3]) / 30)
    rows, columns = surface.heights.shape
    # Meridians are not quite upright in UTM: the box is a little larger than the window.
    assert 36 <= left <= 40
    assert 56 <= top <= 60
    assert 50 <= rows <= 58
    assert 80 <= columns <= 88
    assert fitted(surface.heights, relief(bands)[top : top + rows, left : left + columns])[1] > 0.99999


def test_an_extent_on_a_south_up_image_takes_the_right_rows(predict, tmp_path):
    bands = colours(120, 120)
    image = write_image(tmp_path / "image.tif", bands, transform=(500_000, 30, 0, 5_200_000, 0, 30))
    extent = (500_300, 501_200, 5_200_600, 5_202_100)
    surface = read_surface(predict(image, EXTENT=written(extent))["OUTPUT"])
    assert surface.transform == (500_300, 30, 0, 5_200_600, 0, 30)
    assert fitted(surface.heights, relief(bands)[20:70, 10:40])[1] > 0.99999


def test_an_extent_of_an_image_that_is_resampled(predict, tiny_model, tmp_path):
    rows, columns = 200, 240
    wave = np.sin(np.arange(columns) / 30.0)[None] + np.cos(np.arange(rows) / 40.0)[:, None]
    bands = np.repeat((120 + 50 * wave)[..., None], 3, axis=2).astype(np.float32)
    image = write_image(tmp_path / "image.tif", bands)
    model = tiny_model("red", ground_sampling_distance={"minimum": 120, "maximum": 500})
    surface = read_surface(
        predict(image, MODEL_FILE=model, EXTENT=written(extent_of(60, 40, 90, 121)))["OUTPUT"]
    )
    assert surface.heights.shape == (90, 121)
    assert surface.transform == (501_200, 30, 0, 5_198_200, 0, -30)
    metres, correlation = fitted(surface.heights, relief(bands)[60:150, 40:161])
    assert metres == pytest.approx(120, rel=0.03)
    assert correlation > 0.995


def test_an_image_smaller_than_a_tile_is_enlarged_for_a_model_that_is_told_the_distance(
    predict, tiny_model, tmp_path
):
    rows, columns = 25, 32
    wave = np.sin(np.arange(columns) / 5.0)[None] + np.cos(np.arange(rows) / 6.0)[:, None]
    bands = np.repeat((120 + 50 * wave)[..., None], 3, axis=2).astype(np.float32)
    image = write_image(tmp_path / "image.tif", bands)
    inputs = ["red", "green", "blue", "log_ground_sampling_distance"]
    # Heights in pixels of 15 m: the tile is twice as wide as the image.
    surface, said = {}, {}
    for name, planes in (("told", inputs), ("not told", inputs[:3])):
        model = tiny_model("red", inputs=planes, version=name)
        results = predict(image, MODEL_FILE=model)
        surface[name], said[name] = read_surface(results["OUTPUT"]), results["said"]
        assert results["TILES"] == 1
    assert "smaller than the model's tiles of 64 pixels" in said["told"]
    assert "smaller than the model's tiles" not in said["not told"]
    for name, expected in (("told", 15.0), ("not told", 30.0)):
        assert surface[name].heights.shape == (rows, columns)
        assert surface[name].transform[1] == 30
        metres, correlation = fitted(surface[name].heights, relief(bands))
        assert correlation > 0.99
        assert metres == pytest.approx(expected, rel=0.04)
        told = float(surface[name].metadata["IMAGETODEM_GROUND_SAMPLING_DISTANCE"].split()[0])
        assert told == pytest.approx(expected, rel=0.01)
