"""The heights that Predict DEM gives, against surfaces known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from tests.rasters import (
    GROUND_TOLERANCE,
    UTM_TRANSFORM,
    centred,
    colours,
    read_surface,
    relief,
    sunlit_terrain,
    write_image,
)
from tests.tiny_models import LOG_SCALE

PIXEL = 30.0
_MARGIN = 32


def scale_and_residual(heights: np.ndarray, pattern: np.ndarray) -> tuple[float, float]:
    """The factor that fits a pattern to heights, both up to a constant, and the largest misfit in "
    "units of it."""
    known = np.isfinite(heights)
    heights, pattern = centred(np.where(known, heights, np.nan)), centred(np.where(known, pattern, np.nan))
    factor = float(np.nansum(heights * pattern) / np.nansum(pattern**2))
    return factor, float(np.nanmax(np.abs(heights / factor - pattern)))


def assert_is_relief(
    heights: np.ndarray, pattern: np.ndarray, metres: float, tolerance: float = 1e-4
) -> None:
    factor, residual = scale_and_residual(heights, pattern)
    assert factor == pytest.approx(metres, rel=GROUND_TOLERANCE)
    assert residual < tolerance * np.ptp(pattern)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (40, 57), (64, 64), (65, 64), (150, 201)])
def test_the_mosaic_is_the_models_relief_times_the_pixels_size(predict, tmp_path, rows, columns):
    bands = colours(rows, columns)
    results = predict(write_image(tmp_path / "image.tif", bands))
    surface = read_surface(results["OUTPUT"])
    assert surface.heights.shape == (rows, columns)
    assert np.isfinite(surface.heights).all()
    assert np.mean(surface.heights) == pytest.approx(0, abs=0.02 * 20 * PIXEL)
    if rows > 1:
        assert_is_relief(surface.heights, relief(bands), PIXEL)
    assert results["TILES"] == math.ceil(max(1, (rows - 16) / 48)) * math.ceil(max(1, (columns - 16) / 48))
    assert (results["MINIMUM"], results["MAXIMUM"]) == (surface.heights.min(), surface.heights.max())


def test_each_tiles_own_constant_is_solved_away(predict, tiny_model, tmp_path):
    bands = colours(200, 230)
    bands[..., 1] = np.linspace(1, 250, 230).astype(np.uint8)
    model = tiny_model("red_and_tile_mean")
    heights = read_surface(
        predict(write_image(tmp_path / "image.tif", bands), MODEL_FILE=model)["OUTPUT"]
    ).heights
    assert_is_relief(heights, relief(bands), PIXEL)


@pytest.mark.parametrize("overlap", [5, 75])
def test_any_overlap_gives_the_same_surface(predict, tiny_model, tmp_path, overlap):
    bands = colours(150, 130)
    image = write_image(tmp_path / "image.tif", bands)
    model = tiny_model("red_and_tile_mean")
    results = predict(image, MODEL_FILE=model, OVERLAP=overlap)
    assert results["TILES"] == {5: 3 * 3, 75: 7 * 6}[overlap]
    assert_is_relief(read_surface(results["OUTPUT"]).heights, relief(bands), PIXEL)


def test_a_relative_models_heights_keep_their_zero(predict, tiny_model, tmp_path):
    """A relative model's heights do have a zero; it is 127.5 of 255 in the middle of the network's range."""
    bands = colours(60, 60)
    results = predict(
        write_image(tmp_path / "image.tif", bands), MODEL_FILE=tiny_model("red", target="relative")
    )
    surface = read_surface(results["OUTPUT"])
    np.testing.assert_allclose(surface.heights, 127.5 * relief(bands) + 127.5, atol=0.01)
    assert surface.unit == ""
    assert "not metres" in results["said"]


def test_the_spread_is_one_standard_deviation_in_metres(predict, tiny_model, tmp_path):
    bands = colours(150, 150)
    bands[40:70, 50:90] = 0
    results = predict(
        write_image(tmp_path / "image.tif", bands, nodata=0),
        MODEL_FILE=tiny_model(
            "spread",
            outputs=["height", "log_scale"],
            confidence={"spread": 2.0 * 1.5**2, "copies": 0.0, "overlaps": 1.0, "floor": 0.0},
        ),
        CONFIDENCE=str(tmp_path / "confidence.tif"),
    )
    deviation, dem = read_surface(results["CONFIDENCE"]), read_surface(results["OUTPUT"])
    expected = PIXEL * 1.5 * math.sqrt(2) * math.exp(LOG_SCALE)
    known = np.isfinite(dem.heights)
    assert (np.isfinite(deviation.heights) == known).all()
    np.testing.assert_allclose(deviation.heights[known], expected, rtol=GROUND_TOLERANCE)
    assert deviation.unit == "m"
    assert (tmp_path / "confidence.qml").is_file()
    assert_is_relief(dem.heights, relief(bands, known), PIXEL)
    assert (results["MINIMUM"], results["MAXIMUM"]) == (np.nanmin(dem.heights), np.nanmax(dem.heights))


def test_the_ground_sampling_distance_reaches_the_network(predict, tiny_model, tmp_path):
    bands = colours(64, 64)
    inputs = ["red", "green", "blue", "log_ground_sampling_distance"]
    image = write_image(tmp_path / "image.tif", bands)
    model = tiny_model("ground_sampling_distance", inputs=inputs)
    heights = read_surface(predict(image, MODEL_FILE=model)["OUTPUT"]).heights
    assert_is_relief(heights, relief(bands), PIXEL * math.log(PIXEL / 100.0))


@pytest.mark.parametrize("octant", range(8))
@pytest.mark.parametrize("south_up", [False, True])
def test_the_answer_is_turned_back_from_the_models_light(predict, tiny_model, tmp_path, octant, south_up):
    """The model takes the pixel 22.5 degrees before its sun; with a mirrored tile that is 22.5 "
    "degrees behind it."""
    bands = colours(40, 52)
    in_image = 45.0 * octant + 22.5
    azimuth = (180.0 - in_image) % 360.0 if south_up else in_image
    transform = (500_000.0, 30.0, 0.0, 5_200_000.0, 0.0, 30.0) if south_up else UTM_TRANSFORM
    results = predict(
        write_image(tmp_path / "image.tif", bands, transform=transform),
        MODEL_FILE=tiny_model("red_of_next_column", sun_azimuth=112.5),
        SUN_AZIMUTH=azimuth,
    )
    direction = (in_image + (22.5 if octant % 2 else -22.5)) % 360.0
    down, right = -round(math.cos(math.radians(direction))), round(math.sin(math.radians(direction)))
    heights = read_surface(results["OUTPUT"]).heights
    moved = np.roll(relief(bands), (-down, -right), axis=(0, 1))
    assert_is_relief(heights[1:-1, 1:-1], moved[1:-1, 1:-1], PIXEL)


@pytest.mark.parametrize(
    ("metadata", "crs", "northing", "transform", "azimuth"),
    [
        ({"SUN_AZIMUTH": "315.2"}, "EPSG:32633", 5_200_000.0, (30, 0, 0, -30), 315.2),
        ({}, "EPSG:32633", 5_200_000.0, (30, 0, 0, -30), 145.0),
        ({}, "EPSG:32733", 6_200_000.0, (30, 0, 0, -30), 35.0),
        # Rows go east and columns north: the image's top is west.
        ({}, "EPSG:32633", 5_200_000.0, (0, 30, 30, 0), 145.0),
        ({}, "", 5_200_000.0, (1, 0, 0, -1), 145.0),
    ],
)
def test_the_sun_is_taken_from_metadata_or_hemisphere(
    predict, tiny_model, tmp_path, metadata, crs, northing, transform, azimuth
):
    bands = colours(30, 30)
    a, b, d, e = transform
    image = write_image(
        tmp_path / "image.tif", bands, crs=crs, transform=(500_000.0, a, b, northing, d, e), metadata=metadata
    )
    # An azimuth off the diagonals, towards which no two symmetries bring any of these suns equally near.
    model = tiny_model("red_of_next_column", sun_azimuth=125.0)
    surface = read_surface(predict(image, MODEL_FILE=model)["OUTPUT"])
    assert surface.metadata["IMAGETODEM_SUN_AZIMUTH"].startswith(f"{azimuth:.0f} degrees")
    steps = {(-1, 0): "up", (1, 0): "down", (0, 1): "right", (0, -1): "left"}
    inner = (slice(1, -1), slice(1, -1))
    misfits = {
        name: scale_and_residual(surface.heights[inner], np.roll(relief(bands), (-r, -c), (0, 1))[inner])[1]
        for (r, c), name in steps.items()
    }
    found = min(misfits, key=misfits.get)
    assert misfits[found] < 1e-3
    in_image = (azimuth + 90.0) % 360.0 if a == 0 else azimuth
    assert found == {315.2: "up", 145.0: "down", 35.0: "up", 235.0: "left"}[in_image]


# --- the shipped model --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def terrain() -> np.ndarray:
    return sunlit_terrain(300)


def test_the_shipped_models_answer_does_not_depend_on_the_batch(predict, shipped_model, tmp_path, terrain):
    image = write_image(tmp_path / "image.tif", terrain)
    answers = [
        read_surface(
            predict(image, MODEL=shipped_model, BATCH_SIZE=size, OUTPUT=tmp_path / f"{size}.tif")["OUTPUT"]
        ).heights
        for size in (1, 8)
    ]
    extent = np.ptp(answers[0])
    assert extent > 1
    assert np.abs(answers[1] - answers[0]).max() < 1e-5 * extent


def test_a_constant_image_gives_no_step(predict, shipped_model, tmp_path, terrain):
    extent = np.ptp(
        read_surface(
            predict(write_image(tmp_path / "terrain.tif", terrain), MODEL=shipped_model)["OUTPUT"]
        ).heights
    )
    image = write_image(tmp_path / "image.tif", np.full((500, 300, 3), 90, np.uint8))
    results = predict(image, MODEL=shipped_model)
    heights = read_surface(results["OUTPUT"]).heights
    assert results["TILES"] == 6
    assert np.isfinite(heights).all()
    # At the image's own border the network pads, and no other tile is there to blend with.
    inner = heights[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    for axis in (0, 1):
        assert np.abs(np.diff(inner, axis=axis)).max() < 0.01 * extent


@pytest.mark.parametrize("size", [1, 30, 256, 257])
def test_the_shipped_model_takes_any_size(predict, shipped_model, tmp_path, terrain, size):
    results = predict(write_image(tmp_path / "image.tif", terrain[:size, :size]), MODEL=shipped_model)
    heights = read_surface(results["OUTPUT"]).heights
    assert heights.shape == (size, size)
    assert np.isfinite(heights).all()
    assert results["TILES"] == (4 if size == 257 else 1)
    assert heights.mean() == pytest.approx(0, abs=0.02 * max(1.0, np.ptp(heights)))
    if size > 1:
        assert np.ptp(heights) > 1


def test_the_same_image_gives_the_same_bytes_twice(predict, shipped_model, tmp_path, terrain):
    image = write_image(tmp_path / "image.tif", terrain[:200, :200])
    one, other = (
        read_surface(predict(image, MODEL=shipped_model, OUTPUT=tmp_path / name)["OUTPUT"]).heights
        for name in ("one.tif", "other.tif")
    )
    assert one.tobytes() == other.tobytes()
