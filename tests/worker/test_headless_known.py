"""Known heights in a prediction without QGIS: one process and two, files of points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.transform import from_origin

from imagetodem_qgis.raster.errors import RasterError
from imagetodem_qgis.worker.headless.main import main
from imagetodem_qgis.worker.headless.points import read_points
from imagetodem_qgis.worker.headless.reference import RasterioReference
from tests import tiny_models
from tests.worker.test_headless import colours, heights, networks, predicted, scheduler, write  # noqa: F401

UTM = CRS.from_epsg(32633).to_wkt()


def reference(path: Path, pixel: float = 300.0, crs: str = "EPSG:32633", **options: object) -> Path:
    """Hills around the image, 200 m high, with a hole."""
    rows, columns = round(18_000 / pixel), round(16_000 / pixel)
    row, column = np.mgrid[:rows, :columns] * pixel
    values = (200.0 + 50.0 * np.sin(row / 2000.0) * np.cos(column / 1500.0)).astype(np.float32)
    values[rows // 3 : rows // 2, columns // 4 : columns // 3] = -9999.0
    with rasterio.open(
        path, "w", driver="GTiff", width=columns, height=rows, count=1, dtype="float32", crs=crs,
        transform=from_origin(499_000.0, 5_201_000.0, pixel, pixel), nodata=-9999.0, **options,
    ) as dataset:  # fmt: skip
        dataset.write(values, 1)
    return path


@pytest.mark.parametrize("guided", [False, True])
def test_two_processes_make_the_raster_of_one_with_a_reference(
    networks,  # noqa: F811
    tmp_path,
    scheduler,  # noqa: F811
    guided,
):
    planes = {"inputs": ["red", "green", "blue", "coarse_dem"]} if guided else {}
    kind = "fourth_plane" if guided else "red_and_tile_mean"
    model = tiny_models.make_model(tmp_path / "model", networks / f"{kind}.onnx", **planes)
    bands = colours(500, 430)
    bands[:, 60:160, 200:420] = 0
    image = write(tmp_path / "image.tif", bands, nodata=0)
    known = ["--reference", str(reference(tmp_path / "reference.tif"))]
    confidence = [str(tmp_path / "sigma1.tif"), str(tmp_path / "sigma2.tif")]
    one = predicted(image, tmp_path / "one.tif", model, *known, "--confidence", confidence[0])
    two = predicted(
        image, tmp_path / "two.tif", model, *known, "--confidence", confidence[1], "--scheduler", scheduler
    )
    assert np.nanmean(one) == pytest.approx(200.0, abs=30.0)
    np.testing.assert_allclose(two, one, rtol=0, atol=1e-4)
    np.testing.assert_allclose(*(heights(Path(path)) for path in confidence), rtol=0, atol=1e-4)


def test_two_processes_make_the_raster_of_one_with_points(networks, tmp_path, scheduler):  # noqa: F811
    model = tiny_models.make_model(tmp_path / "model", networks / "red_and_tile_mean.onnx")
    image = write(tmp_path / "image.tif", colours(500, 430))
    table = tmp_path / "points.csv"
    random = np.random.default_rng(0)
    places = random.uniform((500_000, 5_186_000), (512_000, 5_199_000), (30, 2))
    table.write_text("\n".join(["x,y,height", *(f"{x:.2f},{y:.2f},250" for x, y in places)]))
    known = ["--points", str(table)]
    one = predicted(image, tmp_path / "one.tif", model, *known)
    two = predicted(image, tmp_path / "two.tif", model, *known, "--scheduler", scheduler)
    assert np.nanmean(one) > 100.0
    np.testing.assert_allclose(two, one, rtol=0, atol=1e-4)


def test_a_reference_selects_the_guided_model(networks, tmp_path, monkeypatch):  # noqa: F811
    from imagetodem_qgis.runtime import models

    own = tmp_path / "own"
    inputs = ["red", "green", "blue", "coarse_dem"]
    tiny_models.make_model(own / "a", networks / "red.onnx", name="of the image")
    tiny_models.make_model(own / "b", networks / "fourth_plane.onnx", inputs=inputs, name="guided")
    monkeypatch.setattr(models, "user_models_folder", lambda: own)
    monkeypatch.setattr(models, "shipped_models_folder", lambda: tmp_path / "none")
    image, known = write(tmp_path / "image.tif", colours(90, 80)), reference(tmp_path / "reference.tif")
    for given, expected in (([], "of the image"), (["--reference", str(known)], "guided")):
        dem = tmp_path / f"{expected}.tif"
        assert main(["predict", str(image), str(dem), *given]) == 0
        with rasterio.open(dem) as dataset:
            assert dataset.tags()["IMAGETODEM_MODEL"] == expected


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--reference", "nowhere.tif"], "nowhere.tif cannot be opened"),
        (["--reference", "{reference}", "--points", "{points}"], "not both"),
        (["--reference", "{image}"], "is an image in colours, not a DEM"),
        (["--model", "{guided}"], "give one (--reference)"),
        (["--points", "{points}", "--height-field", "h"], "has no column 'h', only x, y, height"),
        (["--points", "{points}", "--points-crs", "EPSG:4326"], "none of the points lies on the raster"),
        (["--reference", "{elsewhere}"], "does not overlap the image"),
    ],
)
def test_known_heights_that_cannot_be_used_are_told(networks, tmp_path, capsys, arguments, told):  # noqa: F811
    files = {
        "image": write(tmp_path / "image.tif", colours(80, 90), photometric="rgb"),
        "reference": reference(tmp_path / "reference.tif"),
        "elsewhere": reference(tmp_path / "elsewhere.tif", crs="EPSG:32652"),
        "points": tmp_path / "points.csv",
        "guided": tiny_models.make_model(
            tmp_path / "guided",
            networks / "fourth_plane.onnx",
            inputs=["red", "green", "blue", "coarse_dem"],
        ),
    }
    files["points"].write_text("x,y,height\n10.0,47.0,100\n")
    model = [] if "--model" in arguments else ["--model", str(_plain(networks, tmp_path))]
    command = ["predict", str(files["image"]), str(tmp_path / "dem.tif"), *model]
    assert main([*command, *(argument.format(**files) for argument in arguments)]) == 1
    assert told in capsys.readouterr().err
    assert not (tmp_path / "dem.tif").exists()


def _plain(networks: Path, folder: Path) -> Path:  # noqa: F811
    return tiny_models.make_model(folder / "plain", networks / "red.onnx")


def test_an_image_without_a_place_takes_no_known_heights(networks, tmp_path, capsys):  # noqa: F811
    path = tmp_path / "image.tif"
    bands = colours(80, 90)
    with rasterio.open(path, "w", driver="GTiff", width=90, height=80, count=3, dtype="uint8") as dataset:
        dataset.write(bands)
    known = ["--reference", str(reference(tmp_path / "reference.tif"))]
    model = ["--model", str(_plain(networks, tmp_path))]
    assert main(["predict", str(path), str(tmp_path / "dem.tif"), *model, *known]) == 1
    assert "no coordinate reference system" in capsys.readouterr().err


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_is_read_whatever_separates_it(tmp_path, separator):
    table = tmp_path / "points.txt"
    lines = [["Name", "Y", "X", "Z"], ["a", "2.5", "1", "7"], ["b", "", "1", "7"], ["c", "4", "3", "x"]]
    table.write_text("\n".join(separator.join(line) for line in lines), encoding="utf-8-sig")
    np.testing.assert_array_equal(read_points(table, "z", "", UTM), [[1.0, 2.5, 7.0]])


def test_a_tables_places_are_brought_to_the_images_reference_system(tmp_path):
    table = tmp_path / "points.csv"
    table.write_text("x,y,height\n15.0,47.0,812.5\n")
    (place,) = read_points(table, "", "EPSG:4326", UTM)
    assert place[0] == pytest.approx(500_000.0, abs=1e-3)
    assert place[1] == pytest.approx(5_205_164.1, abs=1.0)
    assert place[2] == 812.5
    with pytest.raises(ValueError, match="cannot be brought"):
        read_points(table, "", "EPSG:0", UTM)


def test_a_table_without_a_point_is_told(tmp_path):
    table = tmp_path / "points.csv"
    table.write_text("x,y,height\n,,\n")
    with pytest.raises(ValueError, match="no point with a height"):
        read_points(table, "", "", UTM)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"dtype": "complex64"}, "complex"),
        ({"crs": None}, "no coordinate reference system"),
    ],
)
def test_what_is_no_dem_is_refused(tmp_path, change, word):
    path = tmp_path / "dem.tif"
    options = {"dtype": "float32", "crs": "EPSG:32633", **change}
    transform = from_origin(0, 0, 1, 1) if options["crs"] is None else from_origin(499_000, 5_201_000, 9, 9)
    with rasterio.open(
        path, "w", driver="GTiff", width=5, height=5, count=1, transform=transform, **options
    ) as dataset:
        dataset.write(np.zeros((1, 5, 5), options["dtype"]))
    with pytest.raises(RasterError, match=word):
        RasterioReference(str(path))


def test_a_container_of_several_rasters_is_no_dem(tmp_path):
    """Opened by its own name it has no band; the rasters in it have names of their own."""
    path = tmp_path / "two.gpkg"
    for name, options in (("a", {}), ("b", {"APPEND_SUBDATASET": "YES"})):
        with rasterio.open(
            path,
            "w",
            driver="GPKG",
            width=5,
            height=5,
            count=1,
            dtype="uint8",
            crs="EPSG:32633",
            transform=from_origin(499_000, 5_201_000, 9, 9),
            RASTER_TABLE=name,
            **options,
        ) as dataset:
            dataset.write(np.ones((1, 5, 5), np.uint8))
    with pytest.raises(RasterError, match="has no band"):
        RasterioReference(str(path))
