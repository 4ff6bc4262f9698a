"""What Predict image from DEM refuses, and runs of it that do not come to their end."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from osgeo import gdal

from tests.landscapes import HEIGHT, NODATA, RELIEF, read_colours, terrain, write_dem
from tests.qgis.processes import SECONDS, children, needs_proc, start_qgis, wait_for
from tests.rasters import UTM_33N, UTM_TRANSFORM, write_image

# --- refusals -----------------------------------------------------------------------------------------------


@pytest.fixture
def refused(predict_image, tmp_path):
    from qgis.core import QgsProcessingException

    def run(dem: Path, model: Path, **parameters: Any) -> str:
        with pytest.raises(QgsProcessingException) as caught:
            predict_image(dem, model, **parameters)
        assert not list(tmp_path.glob(".*"))
        return str(caught.value)

    return run


def test_a_dem_of_nodata_alone_is_refused(refused, inverse_model, tmp_path):
    dem = write_dem(tmp_path / "dem.tif", np.full((40, 40), NODATA, np.float32))
    message = refused(dem, inverse_model("second_plane_thrice", HEIGHT))
    assert "INPUT" in message
    assert "nodata" in message


def test_a_colour_image_is_no_dem(refused, inverse_model, tmp_path):
    colours = np.ones((20, 20, 3), np.uint8)
    picture = write_image(
        tmp_path / "a.tif", colours, colours=(gdal.GCI_RedBand, gdal.GCI_GreenBand, gdal.GCI_BlueBand)
    )
    assert "not a DEM" in refused(picture, inverse_model("second_plane_thrice", HEIGHT))


def test_a_model_of_the_other_direction_is_refused(refused, tiny_model, tmp_path):
    dem = write_dem(tmp_path / "dem.tif", terrain(20, 20))
    message = refused(dem, tiny_model("red"))
    assert "MODEL_FILE" in message
    assert "predicts a DEM" in message


def test_an_extent_beside_the_dem_is_refused(refused, inverse_model, tmp_path):
    dem = write_dem(tmp_path / "dem.tif", terrain(20, 20))
    message = refused(dem, inverse_model("second_plane_thrice", HEIGHT), EXTENT=f"0,10,0,10 [{UTM_33N}]")
    assert "EXTENT" in message


def test_an_output_that_is_the_dem_itself_is_refused(refused, inverse_model, tmp_path):
    dem = write_dem(tmp_path / "dem.tif", terrain(20, 20))
    assert "OUTPUT" in refused(dem, inverse_model("second_plane_thrice", HEIGHT), OUTPUT=str(dem))


def test_answers_that_are_no_colours_are_told(refused, inverse_model, tmp_path):
    dem = write_dem(tmp_path / "dem.tif", terrain(20, 20))
    assert "no numbers" in refused(dem, inverse_model("three_not_numbers", RELIEF))
    assert "red, green and blue" in refused(dem, inverse_model("red", RELIEF))


def test_thirty_thousand_pixels_a_side_are_refused_where_the_disk_is_too_small(
    refused, inverse_model, tmp_path, monkeypatch
):
    from imagetodem_qgis.prediction import disk

    path = tmp_path / "large.vrt"
    gdal.GetDriverByName("VRT").Create(str(path), 30_000, 30_000, 1, gdal.GDT_Float32).SetGeoTransform(
        UTM_TRANSFORM
    )
    # 30,000 x 30,000 x 3 bytes, and the tiles; the disk has 1 GB.
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda folder: type("", (), {"free": 1e9})())
    message = refused(path, inverse_model("second_plane_thrice", HEIGHT))
    assert "GB" in message


def test_a_virtual_landscape_brings_nothing_heavy_into_qgis(inverse_model, tmp_path):
    """From noise to the image, in a QGIS of its own."""
    (tmp_path / "settings").mkdir()
    dem, image = str(tmp_path / "dem.tif"), str(tmp_path / "image.tif")
    extent = f"0,3000,0,3000 [{UTM_33N}]"
    model = str(inverse_model("second_plane_thrice", HEIGHT))
    for name, parameters in (
        ("perlindem", {"EXTENT": extent, "EROSION": 0.5, "MASK": "island", "OUTPUT": dem}),
        ("predictimage", {"INPUT": dem, "MODEL_FILE": model, "OUTPUT": image}),
    ):
        qgis = start_qgis(tmp_path / "settings", f"imagetodem:{name}", parameters)
        printed, errors = qgis.communicate(timeout=SECONDS)
        assert qgis.returncode == 0, errors
        modules = json.loads(printed.splitlines()[-1])["modules"]
        heavy = {"tensorflow", "keras", "torch", "onnxruntime", "onnx", "ee", "scipy"}
        assert heavy & {module.split(".")[0] for module in modules} == set()
    found = read_colours(image)
    assert found.shape == (100, 100, 3)
    assert np.nanmin(found) == pytest.approx(127.5, abs=0.6)
    assert np.nanmax(found) > 150.0


# --- interruption -------------------------------------------------------------------------------------------


@needs_proc
def test_cancelling_answers_within_a_second_and_leaves_nothing(qgis_app, inverse_model, tmp_path):
    import processing
    from qgis.core import QgsProcessingFeedback

    output = tmp_path / "image.tif"
    output.write_bytes(b"an earlier file")
    feedback = QgsProcessingFeedback(False)
    cancelled: list[float] = []

    def watch() -> None:
        wait_for(lambda: feedback.progress() > 0, SECONDS)
        cancelled.append(time.monotonic())
        feedback.cancel()

    watcher = threading.Thread(target=watch)
    watcher.start()
    dem = write_dem(tmp_path / "dem.tif", terrain(1500, 1500))
    model = inverse_model("second_plane_and_tile_mean", HEIGHT)
    parameters = {"INPUT": str(dem), "MODEL_FILE": str(model), "OVERLAP": 75, "OUTPUT": str(output)}
    results = processing.run("imagetodem:predictimage", parameters, feedback=feedback)
    ended = time.monotonic()
    watcher.join(SECONDS)
    assert "OUTPUT" not in results
    assert ended - cancelled[0] < 1.0
    # QGIS keeps statistics of the DEM beside it.
    assert {path.name for path in tmp_path.iterdir()} <= {"dem.tif", "dem.tif.aux.xml", "image.tif"}
    assert output.read_bytes() == b"an earlier file"
    assert children(os.getpid()) == []
