"""The files that Predict DEM writes, and those that it takes for a model."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from tests.rasters import NODATA, colours, fitted, read_surface, relief, write_image


def beside(folder: Path) -> list[str]:
    """What lies in a folder but the image, to which QGIS adds statistics when it opens it."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("image.tif"))


def test_the_file_is_what_a_gis_expects(predict, tmp_path):
    bands = colours(600, 520)
    results = predict(write_image(tmp_path / "image.tif", bands), SUN_AZIMUTH=135)
    dataset = gdal.Open(results["OUTPUT"])
    band = dataset.GetRasterBand(1)
    assert (dataset.RasterXSize, dataset.RasterYSize, dataset.RasterCount) == (520, 600, 1)
    assert dataset.GetDriver().ShortName == "GTiff"
    assert dataset.GetMetadata("IMAGE_STRUCTURE")["COMPRESSION"] == "DEFLATE"
    assert band.GetBlockSize()[0] == band.GetBlockSize()[1] >= 256
    assert band.GetNoDataValue() == NODATA
    assert band.GetUnitType() == "m"
    assert band.GetOverviewCount() >= 1
    overview, whole = band.GetOverview(0).ReadAsArray(), band.ReadAsArray()
    assert overview.shape == (300, 260)
    np.testing.assert_allclose(overview, whole.reshape(300, 2, 260, 2).mean(axis=(1, 3)), atol=0.01)
    metadata = {key: value for key, value in dataset.GetMetadata().items() if key.startswith("IMAGETODEM_")}
    red = np.percentile(bands[..., 0].astype(float), (2, 98))
    assert metadata["IMAGETODEM_MODEL"] == "tiny"
    assert metadata["IMAGETODEM_MODEL_VERSION"] == "1.2.3"
    assert metadata["IMAGETODEM_TARGET"] == "relief_per_pixel"
    assert metadata["IMAGETODEM_ENGINE"].startswith("onnxruntime on ")
    assert metadata["IMAGETODEM_STRETCH"].startswith(f"{red[0]:.6g} to {red[1]:.6g}; ")
    assert metadata["IMAGETODEM_TILES"] == f"{results['TILES']} of 64 pixels, overlap 16"
    assert metadata["IMAGETODEM_SUN_AZIMUTH"] == "135 degrees (as given)"
    assert metadata["IMAGETODEM_ANCHORS"].startswith("none")
    assert beside(tmp_path) == ["dem.qml", "dem.tif"]


def test_a_file_that_is_replaced_leaves_no_trace(predict, tmp_path):
    image = write_image(tmp_path / "image.tif", colours(60, 60))
    results = predict(image)
    dataset = gdal.Open(results["OUTPUT"])
    dataset.GetRasterBand(1).ComputeStatistics(False)
    dataset = None
    (tmp_path / "dem.tif.ovr").write_bytes(b"of the old file")
    assert (tmp_path / "dem.tif.aux.xml").exists()
    other = write_image(tmp_path / "image.tif", colours(60, 60, seed=5))
    surface = read_surface(predict(other)["OUTPUT"])
    assert fitted(surface.heights, relief(colours(60, 60, seed=5)))[1] > 0.9999
    assert beside(tmp_path) == ["dem.qml", "dem.tif"]


def test_paths_with_blanks_and_accents(predict, tmp_path):
    folder = tmp_path / "Höhe über alles [1]"
    folder.mkdir()
    results = predict(write_image(folder / "Bild 1.tif", colours(40, 40)), OUTPUT=folder / "Gelände 2.tif")
    assert Path(results["OUTPUT"]) == folder / "Gelände 2.tif"
    assert read_surface(results["OUTPUT"]).heights.shape == (40, 40)
    assert (folder / "Gelände 2.qml").is_file()
    assert list(folder.glob(".*")) == []


def test_a_temporary_output_is_a_file_too(predict, tmp_path):
    image = write_image(tmp_path / "image.tif", colours(40, 40))
    results = predict(image, OUTPUT="TEMPORARY_OUTPUT", CONFIDENCE=None)
    assert read_surface(results["OUTPUT"]).heights.shape == (40, 40)
    assert results.get("CONFIDENCE") is None


def test_the_network_gives_the_same_bytes_twice(predict, tmp_path):
    image = write_image(tmp_path / "image.tif", colours(150, 150))
    files = [Path(predict(image, OUTPUT=tmp_path / f"{name}.tif")["OUTPUT"]) for name in ("one", "two")]
    one, two = (gdal.Open(str(file)).ReadAsArray().tobytes() for file in files)
    assert one == two


def test_a_model_is_taken_in_every_form(predict, tiny_model, tmp_path):
    bands = colours(40, 40)
    image = write_image(tmp_path / "image.tif", bands)
    folder = tiny_model("red").parent
    with zipfile.ZipFile(tmp_path / "flat.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    with zipfile.ZipFile(tmp_path / "folder.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"my model/{file.name}")
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    shutil.copy(folder / "generator.onnx", renamed / "mine.onnx")
    content = json.loads((folder / "model.json").read_text())
    content["files"] = {"mine.onnx": content["files"]["generator.onnx"]}
    (renamed / "mine.json").write_text(json.dumps(content))
    forms = [
        folder / "model.json",
        folder / "generator.onnx",
        tmp_path / "flat.zip",
        tmp_path / "folder.zip",
        renamed / "mine.onnx",
        folder,
    ]
    for form in forms:
        heights = read_surface(predict(image, MODEL_FILE=form)["OUTPUT"]).heights
        assert fitted(heights, relief(bands))[1] > 0.99999, form


@pytest.mark.parametrize(
    "fault", ["OUTPUT is not flushed", "CONFIDENCE is not flushed", "OUTPUT is held open"]
)
def test_a_new_confidence_never_lies_beside_an_old_dem(predict, tmp_path, monkeypatch, fault):
    from qgis.core import QgsProcessingException

    from imagetodem_qgis.raster import writer
    from imagetodem_qgis.raster.errors import RasterError

    image = write_image(tmp_path / "image.tif", colours(100, 90))
    files = {"OUTPUT": tmp_path / "dem.tif", "CONFIDENCE": tmp_path / "sigma.tif"}
    for path in files.values():
        path.write_bytes(b"an earlier file")
    at_fault = files[fault.split()[0]]
    complete, put_in_place = writer.RasterWriter.complete, writer.put_in_place

    def fails_to_complete(self: writer.RasterWriter) -> None:
        if self._path == at_fault:
            raise RasterError("no space left")
        complete(self)

    def is_refused(partial: Path, path: Path) -> None:
        if path == at_fault:
            raise PermissionError(f"{path} is held open")
        put_in_place(partial, path)

    if "flushed" in fault:
        monkeypatch.setattr(writer.RasterWriter, "complete", fails_to_complete)
    else:
        monkeypatch.setattr(writer, "put_in_place", is_refused)
    with pytest.raises(QgsProcessingException, match="no space left|held open"):
        predict(image, CONFIDENCE=files["CONFIDENCE"])
    assert {path.read_bytes() for path in files.values()} == {b"an earlier file"}
    assert not list(tmp_path.glob(".*partial*"))
    monkeypatch.undo()
    # What was done is kept: the next run only writes.
    results = predict(image, CONFIDENCE=files["CONFIDENCE"])
    assert "Going on where an earlier run stopped" in results["said"]
    assert all(np.isfinite(read_surface(path).heights).all() for path in files.values())
