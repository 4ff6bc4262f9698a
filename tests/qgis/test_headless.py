"""Predicting without QGIS gives QGIS's raster."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from tests.points import points_file
from tests.qgis.processes import ROOT
from tests.rasters import colours, read_surface, write_image

ROUNDING = 1e-3
"""Metres: other versions of NumPy and GDAL round otherwise, by some units of a height's last place."""


def headless(image: Path, dem: Path, model: Path, *options: object) -> None:
    from imagetodem_qgis.runtime.child import clean_environment
    from imagetodem_qgis.runtime.interpreter import find_interpreter

    python = str(find_interpreter(None).path)
    if subprocess.run([python, "-c", "import rasterio"], capture_output=True, check=False).returncode:
        pytest.skip(f"needs rasterio in {python}")
    command = [python, "-m", "imagetodem_qgis.headless", "predict", str(image), str(dem)]
    done = subprocess.run(
        [*command, "--model", str(model), *(str(option) for option in options)],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def assert_alike(first: Path, second: Path) -> None:
    one, two = read_surface(first), read_surface(second)
    np.testing.assert_allclose(two.heights, one.heights, rtol=0, atol=ROUNDING)
    assert np.nanstd(one.heights) > 1.0
    assert two.transform == pytest.approx(one.transform)
    assert (two.unit, two.metadata.keys()) == (one.unit, one.metadata.keys())
    differing = {name for name in one.metadata if one.metadata[name] != two.metadata[name]}
    assert differing <= {"IMAGETODEM_ENGINE", "TIFFTAG_SOFTWARE"}
    files = [gdal.Open(str(path)) for path in (first, second)]
    assert len({file.GetRasterBand(1).GetOverviewCount() for file in files}) == 1
    projections = [file.GetSpatialRef() for file in files]
    assert projections[0].IsSame(projections[1])


@pytest.mark.parametrize(
    "kind", ["holes", "mask", "float", "turned", "finer", "coarser", "degrees", "window", "small window"]
)
def test_the_raster_is_that_of_qgis(predict, tiny_model, tmp_path, kind):
    bands = colours(210, 170)
    options, arguments, changes, model = {}, [], {}, "red_and_tile_mean"
    if kind == "holes":
        bands[30:120, 40:150] = 0
        options = {"nodata": 0}
    elif kind == "mask":
        known = np.ones(bands.shape[:2], bool)
        known[30:120, 40:150] = False
        options = {"mask": known}
    elif kind == "float":
        bands = bands.astype(np.float32) * 13.7
        bands[10:60, :90] = np.nan
    elif kind == "turned":
        model, changes = "red_of_next_column", {"sun_azimuth": 20.0}
        options = {"metadata": {"SUN_AZIMUTH": "200"}}
    elif kind in ("finer", "coarser"):
        limits = (60.0, 70.0) if kind == "finer" else (8.0, 12.0)
        changes = {"ground_sampling_distance": dict(zip(("minimum", "maximum"), limits))}
        model, bands[:40, :50] = "red", 0
        options = {"nodata": 0}
    elif kind == "degrees":
        options = {"crs": "EPSG:4326", "transform": (11.0, 0.0004, 0.0, 61.0, 0.0, -0.0003)}
        model = "red"
    elif "window" in kind:
        size = (150, 101) if kind == "window" else (40, 31)
        arguments = ["--window", "20", "30", *map(str, size)]
    image = write_image(tmp_path / "image.tif", bands, **options)
    card = tiny_model(model, **changes)
    extent = {}
    if arguments:
        left, top = 500_000.0 + 30 * 30.0, 5_200_000.0 - 20 * 30.0
        extent["EXTENT"] = f"{left},{left + size[1] * 30.0},{top - size[0] * 30.0},{top} [EPSG:32633]"
    confidence = [tmp_path / "sigma_qgis.tif", tmp_path / "sigma_headless.tif"]
    predict(image, MODEL_FILE=card, CONFIDENCE=str(confidence[0]), **extent)
    dem = tmp_path / "headless.tif"
    headless(image, dem, card.parent, "--confidence", str(confidence[1]), *arguments)
    assert_alike(tmp_path / "dem.tif", dem)
    np.testing.assert_allclose(*(read_surface(path).heights for path in confidence), rtol=0, atol=1e-3)


def reference_of(path: Path, pixel: float, epsg: int, kind: str) -> Path:
    """A DEM around the image with a hole, as its file says: some thousand metres wide, 200 m high."""
    left, top, columns, rows = 499_000.0, 5_200_900.0, round(8_000 / pixel), round(9_000 / pixel)
    x = left + (np.arange(columns) + 0.5) * pixel
    y = top - (np.arange(rows) + 0.5) * pixel
    heights = 200.0 + 60.0 * np.sin(x[None] / 700.0) * np.cos(y[:, None] / 900.0) + 0.01 * (x - left)
    heights = heights.astype(np.float32)
    hole = (slice(rows // 3, rows // 2), slice(columns // 4, columns // 3))
    heights[hole] = -9999.0
    transform = (left, pixel, 0.0, top, 0.0, -pixel)
    plain = write_image(path, heights[..., None], transform=transform, nodata=-9999.0)
    if kind == "feet":
        file = gdal.Open(str(plain), gdal.GA_Update)
        feet = np.where(heights == -9999.0, -9999.0, (heights / 0.3048 - 100.0) / 0.5)
        file.GetRasterBand(1).WriteArray(feet.astype(np.float32))
        file.GetRasterBand(1).SetUnitType("ft")
        file.GetRasterBand(1).SetScale(0.5)
        file.GetRasterBand(1).SetOffset(100.0)
        return plain
    if epsg != 32633:
        moved = path.with_name("moved.tif")
        gdal.Warp(str(moved), str(plain), dstSRS=f"EPSG:{epsg}", resampleAlg="near").FlushCache()
        return moved
    if kind == "part":
        cut = path.with_name("part.tif")
        gdal.Translate(str(cut), str(plain), srcWin=[0, 0, columns // 2, rows]).FlushCache()
        return cut
    return plain


@pytest.mark.parametrize("guided", [False, True])
@pytest.mark.parametrize(
    ("pixel", "epsg", "kind"),
    [
        (300.0, 32633, ""),
        (200.0, 4326, ""),
        (250.0, 32633, "feet"),
        (250.0, 32633, "part"),
        (12.0, 32633, ""),
    ],
)
def test_a_reference_makes_the_raster_of_qgis(predict, tiny_model, tmp_path, guided, pixel, epsg, kind):
    image = write_image(tmp_path / "image.tif", colours(150, 170))
    reference = reference_of(tmp_path / "reference.tif", pixel, epsg, kind)
    planes = {"inputs": ["red", "green", "blue", "coarse_dem"]} if guided else {}
    card = tiny_model("fourth_plane" if guided else "red_and_tile_mean", **planes)
    confidence = [tmp_path / "sigma_qgis.tif", tmp_path / "sigma_headless.tif"]
    predict(image, MODEL_FILE=card, REFERENCE=reference, CONFIDENCE=str(confidence[0]))
    dem = tmp_path / "headless.tif"
    headless(image, dem, card.parent, "--reference", reference, "--confidence", confidence[1])
    one, two = read_surface(tmp_path / "dem.tif"), read_surface(dem)
    assert np.isfinite(one.heights).all()
    assert np.nanmean(one.heights) == pytest.approx(250.0, abs=100.0)
    np.testing.assert_allclose(two.heights, one.heights, rtol=0, atol=ROUNDING)
    assert (two.unit, two.metadata["IMAGETODEM_ANCHORS"]) == (one.unit, one.metadata["IMAGETODEM_ANCHORS"])
    np.testing.assert_allclose(*(read_surface(path).heights for path in confidence), rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("kind", ["table", "layer"])
def test_control_points_make_the_raster_of_qgis(predict, tiny_model, tmp_path, kind):
    image = write_image(tmp_path / "image.tif", colours(150, 170))
    card = tiny_model("red_and_tile_mean")
    random = np.random.default_rng(3)
    x, y = 500_000.0 + random.uniform(100, 5000, 12), 5_200_000.0 - random.uniform(100, 4400, 12)
    table = tmp_path / "points.csv"
    places = [(a, b, 0.01 * a - 4700.0) for a, b in zip(x, y)]
    rows = [";".join(f"{number:.6f}" for number in place) for place in places]
    # Lines without a place or a height are left out.
    table.write_text("\n".join(["X;Y;Height", *rows, "500500;;3", "500500;5199000;none"]), encoding="utf-8")
    layer = points_file(tmp_path / "layer.gpkg", places, 32633)
    predict(image, MODEL_FILE=card, CONTROL_POINTS=str(layer), HEIGHT_FIELD="height")
    dem = tmp_path / "headless.tif"
    given = ["--points", table] if kind == "table" else ["--points", layer, "--height-field", "height"]
    headless(image, dem, card.parent, *given)
    one, two = read_surface(tmp_path / "dem.tif"), read_surface(dem)
    assert np.nanmean(one.heights) > 100.0
    np.testing.assert_allclose(two.heights, one.heights, rtol=0, atol=ROUNDING)
