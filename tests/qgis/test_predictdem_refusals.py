"""What Predict DEM does not take: refused before work starts, in words that name the parameter."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from osgeo import gdal

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from tests.rasters import colours, write_image
from tests.tiny_models import card

Case = Callable[[Path], "dict[str, Any]"]


@pytest.fixture
def refusal(qgis_app, tmp_path, tiny_model, monkeypatch):
    """The reason for which ``checkParameterValues`` refuses parameters, before any worker is started."""
    from qgis.core import QgsApplication, QgsProcessingContext

    from imagetodem_qgis.runtime import client

    def no_worker(*arguments: object, **keywords: object) -> None:
        pytest.fail("a process was started before the parameters were checked")

    monkeypatch.setattr(client, "start_worker", no_worker)

    def check(**parameters: Any) -> str:
        given = {"OUTPUT": tmp_path / "dem.tif", "MODEL_FILE": tiny_model("red"), **parameters}
        if "INPUT" not in given:
            given["INPUT"] = write_image(tmp_path / "image.tif", colours(40, 50))
        given = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
        algorithm = QgsApplication.processingRegistry().createAlgorithmById("imagetodem:predictdem")
        accepted, reason = algorithm.checkParameterValues(given, QgsProcessingContext())
        assert not accepted
        assert not list(tmp_path.glob(".*"))
        return reason

    return check


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


# --- INPUT --------------------------------------------------------------------------------------------------


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


# --- OUTPUT and CONFIDENCE ----------------------------------------------------------------------------------


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


# --- MODEL and MODEL_FILE -----------------------------------------------------------------------------------

KEYS = [
    *card(),
    "architecture.name",
    *(f"stretch.{key}" for key in card()["stretch"]),
    *(f"ground_sampling_distance.{key}" for key in card()["ground_sampling_distance"]),
]


def changed_model(tiny_model: Any, folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    shutil.copytree(tiny_model("red").parent, folder)
    content = json.loads((folder / "model.json").read_text())
    change(content)
    (folder / "model.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("key", KEYS)
def test_a_card_that_lacks_a_key(refusal, tiny_model, tmp_path, key):
    def remove(content: dict[str, Any]) -> None:
        *parents, last = key.split(".")
        for parent in parents:
            content = content[parent]
        del content[last]

    reason = refusal(MODEL_FILE=changed_model(tiny_model, tmp_path / "model", remove))
    assert "MODEL_FILE" in reason
    assert f"'{key}'" in reason


WRONG = {
    "name": 3,
    "architecture": "unet",
    "direction": "sideways",
    "inputs": ["green", "red", "blue"],
    "outputs": ["depth"],
    "stretch": {"method": "percentile", "lower": 98, "upper": 2, "clip": 1.5},
    "target": "metres",
    "sun_azimuth": "south",
    "ground_sampling_distance": {"minimum": 0, "maximum": 10},
    "tile_size": 0,
    "files": {"generator.onnx": "abc"},
    "seed": True,
}


@pytest.mark.parametrize("key", WRONG)
def test_a_card_with_a_wrong_value(refusal, tiny_model, tmp_path, key):
    model = changed_model(tiny_model, tmp_path / "model", lambda content: content.update({key: WRONG[key]}))
    reason = refusal(MODEL_FILE=model)
    assert "MODEL_FILE" in reason
    assert key in reason


def test_a_model_of_the_other_direction(refusal, tiny_model, tmp_path):
    planes = {"inputs": ["relief", "elevation"], "outputs": ["red", "green", "blue"]}
    model = changed_model(
        tiny_model, tmp_path / "model", lambda content: content.update(direction="dem_to_image", **planes)
    )
    reason = refusal(MODEL_FILE=model)
    assert "MODEL_FILE" in reason
    assert "not a DEM from an image" in reason


def test_a_model_that_wants_a_coarse_dem(refusal, tiny_model, tmp_path):
    inputs = ["red", "green", "blue", "coarse_dem"]
    model = changed_model(tiny_model, tmp_path / "model", lambda content: content.update(inputs=inputs))
    reason = refusal(MODEL_FILE=model)
    assert "MODEL_FILE" in reason
    assert "choose one that takes the image alone" in reason


@pytest.mark.parametrize("form", ["", "model.json", "generator.onnx"])
def test_weights_that_are_not_the_cards(refusal, tiny_model, tmp_path, form):
    model = shutil.copytree(tiny_model("red").parent, tmp_path / "model")
    weights = bytearray((model / "generator.onnx").read_bytes())
    weights[len(weights) // 2] ^= 1
    (model / "generator.onnx").write_bytes(weights)
    reason = refusal(MODEL_FILE=model / form)
    assert "MODEL_FILE" in reason
    assert "SHA-256" in reason


def test_weights_that_are_missing(refusal, tiny_model, tmp_path):
    model = shutil.copytree(tiny_model("red").parent, tmp_path / "model")
    (model / "generator.onnx").unlink()
    reason = refusal(MODEL_FILE=model)
    assert "MODEL_FILE" in reason
    assert "generator.onnx is missing" in reason


@pytest.mark.parametrize(
    "name", ["model.onnx", "model.keras", "model.zip", "model.json", "model.h5", "model"]
)
def test_a_text_is_no_model(refusal, tmp_path, name):
    folder = tmp_path / "model_folder"
    folder.mkdir()
    (folder / name).write_text("these are no weights")
    reason = refusal(MODEL_FILE=folder / name)
    assert "MODEL_FILE" in reason


def test_a_folder_or_a_zip_without_a_card_is_no_model(refusal, tmp_path):
    (tmp_path / "empty").mkdir()
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("readme.txt", "nothing here")
    for name in ("empty", "empty.zip", "nowhere", "nowhere.zip"):
        assert "MODEL_FILE" in refusal(MODEL_FILE=tmp_path / name)


def test_an_onnx_file_of_another_card(refusal, tiny_model, tmp_path):
    model = shutil.copytree(tiny_model("red").parent, tmp_path / "model")
    (model / "generator.onnx").rename(model / "other.onnx")
    reason = refusal(MODEL_FILE=model / "other.onnx")
    assert "MODEL_FILE" in reason
    assert "other.onnx" in reason


def test_a_keras_file_without_its_engine(refusal, tmp_path):
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    reason = refusal(MODEL_FILE=tmp_path / "model.keras", ENGINE="onnxruntime")
    assert "ENGINE" in reason
    assert "tensorflow" in reason


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


# --- through Processing, and what only shows while it runs --------------------------------------------------


@pytest.fixture
def failure(predict, tmp_path):
    """The error of a run, which must leave nothing behind and whatever was at OUTPUT as it was."""
    from qgis.core import QgsProcessingException

    def run(image: Path, **parameters: Any) -> str:
        (tmp_path / "dem.tif").write_bytes(b"an earlier file")
        with pytest.raises(QgsProcessingException) as caught:
            predict(image, **parameters)
        assert (tmp_path / "dem.tif").read_bytes() == b"an earlier file"
        assert sorted(path.name for path in tmp_path.iterdir() if "image" not in path.name) == ["dem.tif"]
        return str(caught.value)

    return run


def test_processing_reports_the_refusal(failure, tmp_path):
    message = failure(two_bands(tmp_path))
    assert "INPUT" in message
    assert "2 bands" in message


@pytest.mark.parametrize("options", [{"nodata": 7}, {"mask": np.zeros((30, 30), bool)}])
def test_an_image_without_a_known_pixel(failure, tmp_path, options):
    image = write_image(tmp_path / "image.tif", np.full((30, 30, 3), 7, np.uint8), **options)
    message = failure(image)
    assert "INPUT" in message
    assert "no known pixel" in message


def test_a_model_that_answers_no_numbers(failure, tiny_model, tmp_path):
    image = write_image(tmp_path / "image.tif", colours(100, 100))
    message = failure(image, MODEL_FILE=tiny_model("not_a_number"))
    assert "'tiny'" in message
    assert "no numbers" in message
    assert "Traceback" not in message


def test_a_text_whose_card_vouches_for_it(failure, tmp_path):
    """Only the engine can tell: the digest is right."""
    model = tmp_path / "image_model"
    model.mkdir()
    (model / "generator.onnx").write_bytes(b"these are no weights")
    digest = hashlib.sha256(b"these are no weights").hexdigest()
    (model / "model.json").write_text(json.dumps(card(files={"generator.onnx": digest})))
    message = failure(write_image(tmp_path / "image.tif", colours(40, 40)), MODEL_FILE=model)
    assert str(model / "generator.onnx") in message
    assert "cannot load" in message
    assert "Traceback" not in message


def test_a_model_that_wants_other_planes(failure, tiny_model, tmp_path):
    """The network takes four planes, its card promises three."""
    image = write_image(tmp_path / "image.tif", colours(40, 40))
    message = failure(image, MODEL_FILE=tiny_model("ground_sampling_distance"))
    assert "tiny" in message
    assert "height" in message
    assert "Traceback" not in message


def test_a_model_that_answers_fewer_planes(failure, tiny_model, tmp_path):
    """The card promises a spread that the network does not give."""
    image = write_image(tmp_path / "image.tif", colours(40, 40))
    model = tiny_model("red", outputs=["height", "log_scale"])
    message = failure(image, MODEL_FILE=model, CONFIDENCE=str(tmp_path / "confidence.tif"))
    assert "tiny" in message
    assert "log_scale" in message
    assert "Traceback" not in message
