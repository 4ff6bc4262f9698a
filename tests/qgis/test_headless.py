"""Predicting without QGIS gives QGIS's raster."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from tests.qgis.processes import ROOT
from tests.rasters import colours, read_surface, write_image


def headless(image: Path, dem: Path, model: Path, *options: str) -> None:
    from imagetodem_qgis.runtime.child import clean_environment
    from imagetodem_qgis.runtime.interpreter import find_interpreter

    python = str(find_interpreter(None).path)
    if subprocess.run([python, "-c", "import rasterio"], capture_output=True, check=False).returncode:
        pytest.skip(f"needs rasterio in {python}")
    command = [python, "-m", "imagetodem_qgis.headless", "predict", str(image), str(dem)]
    done = subprocess.run(
        [*command, "--model", str(model), *options],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def assert_alike(first: Path, second: Path) -> None:
    one, two = read_surface(first), read_surface(second)
    # Other versions of NumPy and GDAL round otherwise.
    np.testing.assert_allclose(two.heights, one.heights, rtol=0, atol=1e-3)
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
    "kind", ["holes", "mask", "float", "turned", "finer", "coarser", "degrees", "window"]
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
    elif kind == "window":
        arguments = ["--window", "20", "30", "150", "101"]
    image = write_image(tmp_path / "image.tif", bands, **options)
    card = tiny_model(model, **changes)
    extent = {}
    if kind == "window":
        left, top = 500_000.0 + 30 * 30.0, 5_200_000.0 - 20 * 30.0
        extent["EXTENT"] = f"{left},{left + 101 * 30.0},{top - 150 * 30.0},{top} [EPSG:32633]"
    confidence = [tmp_path / "sigma_qgis.tif", tmp_path / "sigma_headless.tif"]
    predict(image, MODEL_FILE=card, CONFIDENCE=str(confidence[0]), **extent)
    dem = tmp_path / "headless.tif"
    headless(image, dem, card.parent, "--confidence", str(confidence[1]), *arguments)
    assert_alike(tmp_path / "dem.tif", dem)
    np.testing.assert_allclose(*(read_surface(path).heights for path in confidence), rtol=0, atol=1e-3)
