"""Predict DEM of an extent smaller than a tile: the network sees the image around it, the DEM holds none of
that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from imagetodem_qgis.core.tiling import Window, plan_tiles
from tests.points import points_file
from tests.rasters import (
    GROUND_TOLERANCE,
    UTM_33N,
    UTM_TRANSFORM,
    centred,
    colours,
    fitted,
    read_surface,
    relief,
    write_image,
)

TILE = 64
"""Of the tiny models."""


def extent_of(window: Window, transform: tuple[float, ...] = UTM_TRANSFORM) -> str:
    left, wide, _, top, _, high = transform
    west, north = left + wide * window.column, top + high * window.row
    return f"{west},{west + wide * window.columns},{north + high * window.rows},{north} [{UTM_33N}]"


def part(array: np.ndarray, window: Window) -> np.ndarray:
    return array[window.row : window.row + window.rows, window.column : window.column + window.columns]


@pytest.mark.parametrize(
    ("row", "column", "rows", "columns"),
    [
        (60, 40, 20, 30),
        (0, 0, 1, 1),
        (0, 100, 63, 40),
        (180, 150, 20, 50),
        (70, 10, 40, 190),
        (5, 90, 190, 7),
    ],
    ids=["inside", "a pixel", "at the top", "in the corner", "a strip", "an upright strip"],
)
def test_the_network_sees_what_lies_beyond_the_extent(
    predict, tiny_model, tmp_path, row, column, rows, columns
):
    """It answers with the next column's red, which at the extent's border lies beyond it."""
    bands, window = colours(200, 200), Window(row, column, rows, columns)
    image = write_image(tmp_path / "image.tif", bands)
    results = predict(image, MODEL_FILE=tiny_model("red_of_next_column"), EXTENT=extent_of(window))
    surface = read_surface(results["OUTPUT"])
    assert surface.heights.shape == (rows, columns)
    assert surface.transform == (500_000 + 30 * column, 30, 0, 5_200_000 - 30 * row, 0, -30)
    assert abs(surface.heights.mean()) < 1e-3 or results["TILES"] > 1
    pattern = relief(bands)
    following = np.concatenate([pattern[:, 1:], pattern[:, -1:]], axis=1)
    expected = centred(30.0 * part(following, window))
    np.testing.assert_allclose(
        centred(surface.heights), expected, atol=GROUND_TOLERANCE * max(1.0, np.abs(expected).max())
    )
    assert results["MINIMUM"] == surface.heights.min()
    assert results["MAXIMUM"] == surface.heights.max()
    assert results["TILES"] == len(plan_tiles(max(rows, TILE), max(columns, TILE), TILE, TILE // 4))
    assert "the network is shown the image around it" in results["said"]


def test_the_dem_of_an_extent_is_cut_from_that_of_its_surroundings(predict, tiny_model, tmp_path):
    image = write_image(tmp_path / "image.tif", colours(TILE, TILE))
    window = Window(11, 30, 25, 34)
    model = tiny_model("spread", outputs=["height", "log_scale"])
    files = {}
    for name, extent in (("whole", {}), ("extent", {"EXTENT": extent_of(window)})):
        files[name] = tmp_path / f"{name}.tif", tmp_path / f"{name}_sigma.tif"
        output, confidence = files[name]
        said = predict(image, MODEL_FILE=model, OUTPUT=output, CONFIDENCE=confidence, **extent)["said"]
        assert ("around it" in said) == bool(extent)
    whole, cut = (read_surface(files[name][0]).heights for name in ("whole", "extent"))
    np.testing.assert_allclose(cut, centred(part(whole, window)), atol=1e-3)
    whole, cut = (read_surface(files[name][1]).heights for name in ("whole", "extent"))
    np.testing.assert_allclose(cut, part(whole, window), rtol=1e-5)


def test_an_extent_as_large_as_a_tile_is_shown_alone(predict, tmp_path):
    image = write_image(tmp_path / "image.tif", colours(150, 150))
    results = predict(image, EXTENT=extent_of(Window(20, 30, TILE, TILE)))
    assert results["TILES"] == 1
    assert "around it" not in results["said"]


def test_resampled_surroundings_are_cut_to_the_pixel(predict, tiny_model, tmp_path):
    """The model knows 60 m at least, so that its tile is 128 pixels of the image wide."""
    rows, columns = 260, 280
    row, column = np.mgrid[:rows, :columns].astype(float)
    wave = np.sin(column / 18.0 + 0.3) + np.cos(row / 23.0) + 0.01 * row - 0.02 * column
    bands = np.repeat((120 + 20 * wave)[..., None], 3, axis=2).astype(np.float32)
    image = write_image(tmp_path / "image.tif", bands)
    model = tiny_model("red", ground_sampling_distance={"minimum": 60, "maximum": 100})
    window = Window(101, 77, 31, 45)
    results = predict(image, MODEL_FILE=model, EXTENT=extent_of(window), CONFIDENCE=tmp_path / "sigma.tif")
    surface = read_surface(results["OUTPUT"])
    assert results["TILES"] == 1
    assert surface.heights.shape == read_surface(results["CONFIDENCE"]).heights.shape == (31, 45)
    assert surface.transform == (500_000 + 30 * 77, 30, 0, 5_200_000 - 30 * 101, 0, -30)
    matches = {
        (down, right): fitted(surface.heights, part(relief(bands), window.moved(down, right)))
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
    }
    metres, correlation = matches[0, 0]
    assert metres == pytest.approx(60, rel=0.02)
    assert correlation > 0.9995
    assert max(matches, key=lambda moved: matches[moved][1]) == (0, 0)


@pytest.mark.parametrize("inside", [0, 12])
def test_unknown_ground_in_the_extent_stays_unknown_whatever_lies_around_it(predict, tmp_path, inside):
    bands = colours(120, 120)
    window = Window(40, 50, 20, 24)
    bands[40 + inside : 60, 50:74] = 0
    results = predict(write_image(tmp_path / "image.tif", bands, nodata=0), EXTENT=extent_of(window))
    heights = read_surface(results["OUTPUT"]).heights
    assert np.isnan(heights[inside:]).all()
    assert results["TILES"] == min(inside, 1)
    if inside:
        assert abs(heights[:inside].mean()) < 1e-3
        known = (bands != 0).all(axis=-1)
        expected = centred(30.0 * relief(bands, known)[40 : 40 + inside, 50:74])
        np.testing.assert_allclose(heights[:inside], expected, atol=GROUND_TOLERANCE * np.abs(expected).max())
    else:
        assert np.isnan(results["MINIMUM"])


def test_an_image_without_a_place_is_shown_around_the_extent_too(predict, tiny_model, tmp_path):
    bands = colours(100, 100)
    image = write_image(tmp_path / "image.tif", bands, crs="")
    west, north = 500_000 + 30 * 40, 5_200_000 - 30 * 30
    extent = f"{west},{west + 30 * 20},{north - 30 * 10},{north}"
    results = predict(image, MODEL_FILE=tiny_model("red_of_next_column"), EXTENT=extent)
    expected = centred(relief(bands)[30:40, 41:61])
    np.testing.assert_allclose(read_surface(results["OUTPUT"]).heights, expected, atol=1e-3)


def test_points_around_the_extent_tell_its_level(predict, tmp_path):
    bands, window = colours(150, 150), Window(60, 60, 20, 20)
    truth = 1500.0 + 30.0 * centred(relief(bands))
    image = write_image(tmp_path / "image.tif", bands)
    places = [
        (500_000 + 30 * (column + 0.5), 5_200_000 - 30 * (row + 0.5), float(truth[row, column]))
        for row, column in ((65, 65), (50, 50), (88, 75), (70, 90))
    ]
    points = points_file(tmp_path / "points.gpkg", places, 32633)
    results = predict(image, CONTROL_POINTS=points, HEIGHT_FIELD="height", EXTENT=extent_of(window))
    heights = read_surface(results["OUTPUT"]).heights
    expected = part(truth, window)
    assert np.abs(heights - expected).max() < 3 * GROUND_TOLERANCE * truth.std()


@pytest.mark.parametrize("kind", ["red", "guided"])
def test_an_extent_with_a_reference_keeps_its_means(predict, tiny_model, tmp_path, kind):
    """Its cells of 300 m are ten of the image's pixels wide; the surroundings have a hole in it."""
    bands, window = colours(230, 250), Window(100, 120, 40, 50)
    row, column = np.mgrid[:230, :250]
    heights = 1500.0 + 15.0 * centred(relief(bands)) + 4.0 * row - 2.5 * column
    fine = write_image(tmp_path / "fine.tif", heights[..., None].astype(np.float32), nodata=-9999.0)
    reference = tmp_path / "reference.tif"
    gdal.Warp(str(reference), str(fine), xRes=300, yRes=300, resampleAlg="average").FlushCache()
    file = gdal.Open(str(reference), gdal.GA_Update)
    means = file.ReadAsArray()
    file.GetRasterBand(1).WriteArray(np.full((2, 3), -9999.0, np.float32), 11, 15)
    file = None
    model = tiny_model("red")
    if kind == "guided":
        model = tiny_model("fourth_plane", inputs=["red", "green", "blue", "coarse_dem"])
    image = write_image(tmp_path / "image.tif", bands)
    results = predict(image, MODEL_FILE=model, REFERENCE=reference, EXTENT=extent_of(window))
    surface = read_surface(results["OUTPUT"])
    assert surface.heights.shape == (40, 50)
    found = surface.heights.reshape(4, 10, 5, 10).mean(axis=(1, 3))
    np.testing.assert_allclose(found, means[10:14, 12:17], atol=0.02 * heights.std())
    if kind == "red":
        expected = part(heights, window)
        coarse = np.kron(means[10:14, 12:17], np.ones((10, 10)))
        assert np.std(surface.heights - expected) < 0.3 * np.std(coarse - expected)


def test_small_extents_of_a_real_scene_lie_the_right_way_up(predict, shipped_model, shared_data, tmp_path):
    """Windows of Zion's east, which is held out, on a grid: none is chosen by what comes out."""
    scene = shared_data / "scenes" / "zion_l8_rgb.tif"
    dem = gdal.Open(str(shared_data / "scenes" / "zion_l8_dem.tif"))
    transform, correlations = dem.GetGeoTransform(), []
    crs = dem.GetSpatialRef()
    name = f"{crs.GetAuthorityName(None)}:{crs.GetAuthorityCode(None)}"
    for row in (150, 500, 850):
        for column in (750, 1000):
            truth = dem.ReadAsArray(column, row, 100, 100).astype(float)
            extent = extent_of(Window(row, column, 100, 100), transform).replace(UTM_33N, name)
            output = tmp_path / f"{row}_{column}.tif"
            results = predict(scene, MODEL=shipped_model, EXTENT=extent, OUTPUT=Path(output))
            correlations.append(fitted(read_surface(results["OUTPUT"]).heights, truth)[1])
    print(np.round(correlations, 2))
    assert np.mean(correlations) > 0.45
    assert min(correlations) > 0.0
