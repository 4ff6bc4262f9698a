"""What Predict DEM does not take: refused before work starts, in words that name the parameter."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from tests.rasters import colours, write_image


def test_what_the_others_change_is_accepted(qgis_app, tmp_path, tiny_model):
    from qgis.core import QgsApplication, QgsProcessingContext

    image = write_image(tmp_path / "image.tif", colours(40, 50))
    parameters = {
        "INPUT": str(image),
        "OUTPUT": str(tmp_path / "dem.tif"),
        "MODEL_FILE": str(tiny_model("red")),
    }
    algorithm = QgsApplication.processingRegistry().createAlgorithmById("imagetodem:predictdem")
    assert algorithm.checkParameterValues(parameters, QgsProcessingContext()) == (True, "")
    assert sorted(path.name for path in tmp_path.glob("dem*")) == []


def two_bands(folder: Path) -> Path:
    return write_image(folder / "image.tif", colours(20, 20)[..., :2])


def one_band(folder: Path) -> Path:
    return write_image(folder / "image.tif", colours(20, 20)[..., :1])


def palette(folder: Path) -> Path:
    path = folder / "image.tif"
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), 20, 20, 1, gdal.GDT_Byte)
    table = gdal.ColorTable()
    table.SetColorEntry(1, (255, 0, 0))
    dataset.GetRasterBand(1).SetColorTable(table)
    return path


def complex_numbers(folder: Path) -> Path:
    return write_image(folder / "image.tif", colours(20, 20).astype(np.complex64))


def missing(folder: Path) -> Path:
    return folder / "nowhere.tif"


def a_text(folder: Path) -> Path:
    (folder / "image.tif").write_text("not a raster")
    return folder / "image.tif"


def truncated(folder: Path, options: tuple[str, ...]) -> Path:
    path = write_image(folder / "image.tif", colours(300, 300), options=options)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def truncated_strips(folder: Path) -> Path:
    return truncated(folder, ())


def truncated_tiles(folder: Path) -> Path:
    return truncated(folder, ("TILED=YES", "BLOCKXSIZE=64", "BLOCKYSIZE=64", "COMPRESS=DEFLATE"))


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (two_bands, "2 bands"),
        (one_band, "1 band;"),
        (palette, "paletted"),
        (complex_numbers, "complex"),
        (missing, ""),
        (a_text, ""),
        (truncated_strips, "truncated"),
        (truncated_tiles, "truncated"),
    ],
)
def test_an_image_that_cannot_be_used(refusal, tmp_path, make, word):
    reason = refusal(INPUT=make(tmp_path))
    assert "INPUT" in reason
    assert word in reason


@pytest.mark.parametrize("bands", [[1, 2], [1], [1, 2, 3, 1], [1, 2, 9], [0, 1, 2], "1;2", "1;2;9"])
def test_bands_that_make_no_image(refusal, bands):
    assert "BANDS" in refusal(BANDS=bands)


@pytest.mark.parametrize(
    "extent",
    [
        "0,1000,0,1000 [EPSG:32633]",
        "501500,502000,5199000,5200000 [EPSG:32633]",
        "-70,-69,10,11 [EPSG:4326]",
        "far away",
    ],
)
def test_an_extent_outside(refusal, extent):
    assert "EXTENT" in refusal(EXTENT=extent)


@pytest.mark.parametrize("name", ["OUTPUT", "CONFIDENCE"])
@pytest.mark.parametrize("place", ["missing/dem.tif", "folder.tif", "dem.png", "dem", "file.txt/dem.tif"])
def test_an_output_that_cannot_be_written(refusal, tiny_model, tmp_path, name, place):
    (tmp_path / "folder.tif").mkdir()
    (tmp_path / "file.txt").touch()
    model = tiny_model("spread", outputs=["height", "log_scale"])
    assert name in refusal(MODEL_FILE=model, **{name: tmp_path / place})
    assert list((tmp_path / "folder.tif").iterdir()) == []


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="nothing is read-only to root")
@pytest.mark.parametrize("place", ["locked/dem.tif", "locked.tif"])
def test_an_output_that_is_read_only(refusal, tmp_path, place):
    (tmp_path / "locked").mkdir(mode=0o500)
    (tmp_path / "locked.tif").touch(mode=0o400)
    reason = refusal(OUTPUT=tmp_path / place)
    assert "OUTPUT" in reason
    assert "cannot be written" in reason


@pytest.mark.parametrize("name", ["OUTPUT", "CONFIDENCE"])
def test_the_image_is_not_overwritten(refusal, tiny_model, tmp_path, name):
    image = write_image(tmp_path / "image.tif", colours(20, 20))
    before = image.read_bytes()
    (tmp_path / "other.tif").symlink_to(image)
    model = tiny_model("spread", outputs=["height", "log_scale"])
    for path in (image, tmp_path / "." / "image.tif", tmp_path / "other.tif"):
        reason = refusal(INPUT=image, MODEL_FILE=model, **{name: path})
        assert name in reason
        assert "image itself" in reason
    assert image.read_bytes() == before


def test_the_dem_and_its_confidence_are_two_files(refusal, tiny_model, tmp_path):
    model = tiny_model("spread", outputs=["height", "log_scale"])
    reason = refusal(MODEL_FILE=model, OUTPUT=tmp_path / "same.tif", CONFIDENCE=tmp_path / "same.tif")
    assert "CONFIDENCE" in reason


def test_a_confidence_whose_weights_in_the_card_are_none(refusal, tmp_path, tiny_model):
    model = tiny_model("red", confidence={"spread": "much"})
    reason = refusal(CONFIDENCE=tmp_path / "confidence.tif", MODEL_FILE=model)
    assert reason.count("CONFIDENCE") == 1
    assert "'confidence'" in reason
    assert "much" in reason


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MODEL", "no such model"),
        ("ENGINE", "abacus"),
        ("DEVICE", "toaster"),
        ("OVERLAP", 0),
        ("OVERLAP", 90),
        ("BATCH_SIZE", 0),
        ("SUN_AZIMUTH", 400),
        ("SUN_AZIMUTH", -1),
    ],
)
def test_a_value_out_of_range(refusal, name, value):
    parameters = {name: value}
    if name == "MODEL":
        parameters["MODEL_FILE"] = ""
    assert name in refusal(**parameters)
