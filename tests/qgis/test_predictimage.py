"""Predict image from DEM, against images known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from osgeo import gdal

from tests.landscapes import (
    HEIGHT,
    NODATA,
    PALETTE,
    PIXEL,
    RELIEF,
    as_byte,
    read_colours,
    relief,
    terrain,
    write_dem,
)
from tests.rasters import UTM_33N, UTM_TRANSFORM, write_image

# --- values -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (40, 57), (64, 64), (65, 64), (150, 201)])
def test_the_image_is_the_models_answer_at_any_size(predict_image, inverse_model, tmp_path, rows, columns):
    heights = terrain(rows, columns)
    dem = write_dem(tmp_path / "dem.tif", heights)
    results = predict_image(dem, inverse_model("second_plane_thrice", HEIGHT))
    expected = as_byte(heights / 1000.0)[..., None]
    assert np.abs(read_colours(results["OUTPUT"]) - expected).max() <= 0.6
    # Where more than one tile is needed, the raster is mirrored by a quarter of the overlap on each side.
    down, across = (size if size <= 64 else size + 8 for size in (rows, columns))
    assert results["TILES"] == math.ceil(max(1, (down - 16) / 48)) * math.ceil(max(1, (across - 16) / 48))
    image = gdal.Open(results["OUTPUT"])
    assert image.GetGeoTransform() == UTM_TRANSFORM
    assert "32633" in image.GetProjection()
    assert image.GetMetadataItem("IMAGETODEM_MODEL") == "tiny"


def test_relief_is_relative_to_the_tile_and_in_pixels(predict_image, inverse_model, tmp_path):
    heights = terrain(50, 52, metres=40.0)
    results = predict_image(
        write_dem(tmp_path / "dem.tif", heights), inverse_model("first_plane_thrice", RELIEF)
    )
    # The grid's true scale on the ground is taken on a sphere: within a percent of the ellipsoid's metres.
    expected = as_byte(relief(heights))[..., None]
    assert np.abs(read_colours(results["OUTPUT"]) - expected).max() <= 1.5


def test_each_tiles_own_colour_is_solved_away(predict_image, inverse_model, tmp_path):
    """The model adds to red what it takes from green, the mean of each tile, and leaves blue alone."""
    heights = terrain(200, 230, metres=600.0) + np.linspace(0, 500, 230, dtype=np.float32)
    dem = write_dem(tmp_path / "dem.tif", heights - 700.0)
    found = (
        read_colours(predict_image(dem, inverse_model("second_plane_and_tile_mean", HEIGHT))["OUTPUT"])
        / 127.5
    )
    plain = (heights - 700.0) / 1000.0 + 1.0
    for band, sign in ((0, 1), (1, -1), (2, 0)):
        off = found[..., band] - plain
        if sign == 0:
            assert np.abs(off).max() < 0.01
            continue
        # Blended without the solve, neighbouring tiles' means, some 0.2 apart, would show as steps within the
        # 16 pixels of an overlap; what the solve leaves of them is spread over the whole image.
        assert np.abs(off[:, 16:] - off[:, :-16]).max() < 0.05
        assert np.abs(off[16:] - off[:-16]).max() < 0.05


def seam(image: np.ndarray, borders: list[int], axis: int) -> float:
    """Mean absolute second difference across the places where tiles begin or end, over that elsewhere."""
    second = np.abs(np.diff(image, 2, axis=axis)).mean(axis=(1 - axis, 2))
    at_border = np.zeros(len(second), bool)
    for border in borders:
        at_border[max(0, border - 2) : border + 1] = True
    return float(second[at_border].mean() / second[~at_border].mean())


@pytest.mark.parametrize("overlap", [10, 25])
def test_no_border_of_a_tile_shows(predict_image, inverse_model, tmp_path, overlap):
    from imagetodem_qgis.core.tiling import plan_tiles

    heights = terrain(520, 500) - 500.0
    heights += np.random.default_rng(1).normal(0, 8.0, heights.shape).astype(np.float32)
    dem = write_dem(tmp_path / "dem.tif", heights)
    model = inverse_model("second_plane_and_tile_mean", HEIGHT)
    found = read_colours(predict_image(dem, model, OVERLAP=overlap)["OUTPUT"])
    pixels = round(64 * overlap / 100)
    margin = pixels // 4
    plan = plan_tiles(520 + 2 * margin, 500 + 2 * margin, 64, pixels)
    for axis, starts in ((0, plan.row_starts), (1, plan.column_starts)):
        borders = [start - margin for start in [*starts[1:], *(start + 64 for start in starts[:-1])]]
        assert seam(found, borders, axis) < 1.05


@pytest.mark.parametrize(("rows", "columns"), [(40, 52), (64, 200), (230, 210)])
def test_what_a_network_draws_at_a_tiles_border_is_left_out(
    predict_image, inverse_model, tmp_path, rows, columns
):
    """The model takes means of 9 x 9 pixels, dark within four pixels of each tile's border."""
    heights = terrain(rows, columns, metres=300.0)
    dem = write_dem(tmp_path / "dem.tif", heights)
    model = inverse_model("second_plane_dark_at_its_border_thrice", HEIGHT)
    found = read_colours(predict_image(dem, model)["OUTPUT"])
    mirrored = np.pad(heights, 4, mode="symmetric")
    means = np.lib.stride_tricks.sliding_window_view(mirrored, (9, 9)).mean(axis=(2, 3))
    off = np.abs(found - as_byte(means / 1000.0)[..., None]).max(axis=2)
    # A raster as wide as a tile leaves no room to mirror.
    inside = tuple(slice(4, -4) if size == 64 else slice(None) for size in (rows, columns))
    assert off[inside].max() <= 1.0


def test_level_ground_has_one_colour(predict_image, inverse_model, tmp_path):
    dem = write_dem(tmp_path / "dem.tif", np.full((150, 170), 600.0, np.float32))
    found = read_colours(
        predict_image(dem, inverse_model("second_plane_dark_at_its_border_thrice", HEIGHT))["OUTPUT"]
    )
    assert np.abs(found - as_byte(np.array(0.6))).max() <= 0.6


@pytest.mark.parametrize("octant", range(8))
@pytest.mark.parametrize("south_up", [False, True])
def test_the_answer_is_turned_back_from_the_models_light(
    predict_image, inverse_model, tmp_path, octant, south_up
):
    heights = terrain(40, 52, metres=40.0)
    in_image = 45.0 * octant + 22.5
    azimuth = (180.0 - in_image) % 360.0 if south_up else in_image
    transform = (500_000.0, 30.0, 0.0, 5_200_000.0, 0.0, 30.0) if south_up else UTM_TRANSFORM
    results = predict_image(
        write_dem(tmp_path / "dem.tif", heights, transform=transform),
        inverse_model("first_plane_of_next_column_thrice", RELIEF, sun_azimuth=112.5),
        SUN_AZIMUTH=azimuth,
    )
    # The model takes the pixel 22.5 degrees before its sun; with a mirrored tile that is 22.5 degrees behind.
    direction = (in_image + (22.5 if octant % 2 else -22.5)) % 360.0
    down, right = -round(math.cos(math.radians(direction))), round(math.sin(math.radians(direction)))
    moved = as_byte(np.roll(relief(heights), (-down, -right), axis=(0, 1)))[..., None]
    assert np.abs(read_colours(results["OUTPUT"]) - moved)[1:-1, 1:-1].max() <= 1.5


def test_the_network_is_told_where_the_sea_is(predict_image, inverse_model, tmp_path):
    heights = terrain(90, 100)
    heights[:, :30] = 0.0
    heights[40:, 60:] -= 900.0
    results = predict_image(
        write_dem(tmp_path / "dem.tif", heights), inverse_model("second_plane_thrice", ["relief", "sea"])
    )
    expected = np.where(np.arange(100) < 30, 255.0, 127.5) * np.ones((90, 1))
    assert np.abs(read_colours(results["OUTPUT"]) - expected[..., None]).max() <= 0.6


@pytest.mark.parametrize("gap", [False, True])
def test_the_sea_has_the_colour_that_the_card_tells(predict_image, inverse_model, tmp_path, gap):
    heights = terrain(150, 160)
    heights[:, :90] = 0.0
    if gap:
        heights[20:30, 40:130] = NODATA
    model = inverse_model("second_plane_and_tile_mean", HEIGHT, sea_colour=[-0.5, 0.0, 0.25])
    results = predict_image(write_dem(tmp_path / "dem.tif", heights), model)
    found = read_colours(results["OUTPUT"])
    sea = (heights == 0.0) & (heights != NODATA)
    assert np.abs(found[sea] - as_byte(np.array([-0.5, 0.0, 0.25]))).max() <= 0.6
    assert (np.isnan(found).all(axis=-1) == (heights == NODATA)).all()
    # The land keeps its form: the sea, which has no part in the solve, takes nothing of its blue.
    land = heights > 0.0
    assert np.abs(found[land][:, 2] - as_byte(heights[land] / 1000.0)).max() <= 1.0
    # Tiles without land are not predicted: those of the first column of three or four.
    assert results["TILES"] < math.ceil((158 - 16) / 48) * math.ceil((168 - 16) / 48)


def test_a_dem_of_sea_alone_is_an_image_of_it(predict_image, inverse_model, tmp_path):
    dem = write_dem(tmp_path / "dem.tif", np.zeros((70, 80), np.float32))
    results = predict_image(dem, inverse_model("second_plane_thrice", HEIGHT, sea_colour=[-0.5, 0.0, 0.25]))
    assert results["TILES"] == 0
    found = read_colours(results["OUTPUT"])
    assert np.abs(found - as_byte(np.array([-0.5, 0.0, 0.25]))).max() <= 0.6


def test_a_seed_chooses_the_palette(predict_image, inverse_model, tmp_path):
    palettes = [[0.5, 0.0, -0.5], [-0.25, 0.25, 0.75]]
    model = inverse_model("planes_three_to_five", [*HEIGHT, *PALETTE], palettes=palettes)
    dem = write_dem(tmp_path / "dem.tif", terrain(90, 100))
    for seed, palette in enumerate(palettes):
        results = predict_image(dem, model, SEED=seed)
        found = read_colours(results["OUTPUT"])
        assert np.abs(found - as_byte(np.array(palette))).max() <= 0.6
        assert gdal.Open(results["OUTPUT"]).GetMetadataItem("IMAGETODEM_SEED") == str(seed)
    assert (
        len({tuple(read_colours(predict_image(dem, model, SEED=seed)["OUTPUT"])[0, 0]) for seed in (2, 3, 4)})
        == 3
    )


def test_a_model_without_a_palette_says_that_the_seed_changes_nothing(predict_image, inverse_model, tmp_path):
    dem = write_dem(tmp_path / "dem.tif", terrain(20, 20))
    assert "SEED" in predict_image(dem, inverse_model("second_plane_thrice", HEIGHT), SEED=1)["said"]


def test_the_ground_sampling_distance_reaches_the_network(predict_image, inverse_model, tmp_path):
    inputs = ["relief", "log_ground_sampling_distance"]
    results = predict_image(
        write_dem(tmp_path / "dem.tif", terrain(20, 20)), inverse_model("second_plane_thrice", inputs)
    )
    found = read_colours(results["OUTPUT"])
    assert np.abs(found - as_byte(np.array(math.log(PIXEL / 100.0)))).max() <= 2.0


# --- input --------------------------------------------------------------------------------------------------


def test_nodata_stays_nodata_and_does_not_spread(predict_image, inverse_model, tmp_path):
    heights = terrain(150, 200)
    holes = np.zeros(heights.shape, bool)
    holes[20:50, 30:170] = holes[100, 100] = holes[140:, :9] = True
    with_holes = np.where(holes, NODATA, heights)
    with_holes[100, 100] = np.nan
    results = predict_image(
        write_dem(tmp_path / "dem.tif", with_holes), inverse_model("second_plane_thrice", HEIGHT)
    )
    found = read_colours(results["OUTPUT"])
    assert (np.isnan(found).all(axis=-1) == holes).all()
    assert np.nanmax(np.abs(found - as_byte(heights / 1000.0)[..., None])) <= 0.6


@pytest.mark.parametrize("kind", [np.int16, np.uint16, np.float64, np.int32])
def test_any_type_of_heights(predict_image, inverse_model, tmp_path, kind):
    heights = terrain(30, 30).astype(kind)
    path = write_image(tmp_path / "dem.tif", heights[..., None])
    found = read_colours(predict_image(path, inverse_model("second_plane_thrice", HEIGHT))["OUTPUT"])
    assert np.abs(found - as_byte(heights / 1000.0)[..., None]).max() <= 0.6


def test_feet_are_brought_to_metres_and_unknown_units_are_told(predict_image, inverse_model, tmp_path):
    heights = terrain(30, 30)
    model = inverse_model("second_plane_thrice", HEIGHT)
    in_feet = write_dem(tmp_path / "dem.tif", (heights / 0.3048).astype(np.float32), unit="ft")
    assert (
        np.abs(
            read_colours(predict_image(in_feet, model)["OUTPUT"]) - as_byte(heights / 1e3)[..., None]
        ).max()
        < 0.6
    )
    in_ells = write_dem(tmp_path / "ells.tif", heights, unit="ell")
    assert "'ell'" in predict_image(in_ells, model)["said"]


def test_a_dem_far_finer_than_the_models_is_read_at_the_models_and_brought_back(
    predict_image, inverse_model, tmp_path
):
    heights = terrain(240, 320)
    heights[:30, :40] = NODATA
    model = inverse_model(
        "second_plane_thrice", HEIGHT, ground_sampling_distance={"minimum": 120, "maximum": 500}
    )
    results = predict_image(write_dem(tmp_path / "dem.tif", heights), model)
    found = read_colours(results["OUTPUT"])
    assert "brought back" in results["said"]
    assert results["TILES"] == 2
    assert (np.isnan(found).all(axis=-1) == (heights == NODATA)).all()
    inside = np.s_[40:-8, 50:-8]
    assert np.abs(found[inside] - as_byte(heights[inside] / 1000.0)[..., None]).max() < 6.0


@pytest.mark.parametrize(("crs", "transform"), [("", UTM_TRANSFORM), ("", None)])
def test_without_a_crs_it_says_what_a_pixel_counts_as(predict_image, inverse_model, tmp_path, crs, transform):
    heights = terrain(30, 30, metres=40.0)
    dem = write_dem(tmp_path / "dem.tif", heights, crs=crs, transform=transform)
    results = predict_image(dem, inverse_model("first_plane_thrice", RELIEF))
    pixel = PIXEL if transform is not None else math.sqrt(1.0 * 1000.0)
    expected = as_byte(relief(heights, pixel))[..., None]
    assert np.abs(read_colours(results["OUTPUT"]) - expected).max() <= 0.6
    assert "counts as" in results["said"]


def test_a_geographic_dem_keeps_its_grid(predict_image, inverse_model, tmp_path):
    heights = terrain(60, 80)
    transform = (10.0, 0.0005, 0.0, 60.0, 0.0, -0.00025)
    dem = write_dem(tmp_path / "dem.tif", heights, crs="EPSG:4326", transform=transform)
    found = gdal.Open(predict_image(dem, inverse_model("second_plane_thrice", HEIGHT))["OUTPUT"])
    assert found.GetGeoTransform() == transform
    assert np.abs(read_colours(found.GetDescription()) - as_byte(heights / 1000.0)[..., None]).max() <= 0.6


def test_an_extent_is_predicted_alone(predict_image, inverse_model, tmp_path):
    heights = terrain(100, 100)
    dem = write_dem(tmp_path / "dem.tif", heights)
    extent = f"500300,501500,5197900,5199100 [{UTM_33N}]"
    results = predict_image(dem, inverse_model("second_plane_thrice", HEIGHT), EXTENT=extent)
    expected = as_byte(heights[30:70, 10:50] / 1000.0)[..., None]
    assert np.abs(read_colours(results["OUTPUT"]) - expected).max() <= 0.6
