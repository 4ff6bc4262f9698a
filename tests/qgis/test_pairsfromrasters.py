"""Make pairs from rasters as users run it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's Python")
from osgeo import gdal

from imagetodem_qgis.runtime.datasets import check_dataset
from tests.conftest import QgisProcess
from tests.qgis.fetching import rasters
from tests.rasters import UTM_TRANSFORM, colours, write_image

SIZE = 500
Make = Callable[..., "dict[str, Any]"]


def dem_of(rows: int, columns: int) -> np.ndarray:
    """Hills in metres, (rows, columns, 1)."""
    down, across = np.mgrid[:rows, :columns].astype(np.float32)
    return (700.0 + 100.0 * np.sin(across / 20.0) + 80.0 * np.cos(down / 17.0))[..., None]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return write_image(
        tmp_path / "image.tif", colours(SIZE, SIZE), metadata={"MEAN_SOLAR_AZIMUTH_ANGLE": "148.5"}
    )


@pytest.fixture
def dem(tmp_path: Path) -> Path:
    return write_image(tmp_path / "dem.tif", dem_of(SIZE, SIZE), nodata=-9999.0)


@pytest.fixture
def make(qgis_app: object, image: Path, dem: Path, tmp_path: Path) -> Make:
    """Runs the algorithm: its results and, under ``said``, what it told."""
    import processing
    from qgis.core import QgsProcessingFeedback

    def run(**parameters: Any) -> dict[str, Any]:
        feedback = QgsProcessingFeedback(False)
        given = {"IMAGE": image, "DEM": dem, "TILE_SIZE": 64, "OUTPUT": tmp_path / "data", **parameters}
        given = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
        return {**processing.run("imagetodem:pairsfromrasters", given, feedback=feedback),
                "said": feedback.textLog()}  # fmt: skip

    return run


@pytest.fixture
def refusal(qgis_app: object, image: Path, dem: Path, tmp_path: Path) -> Callable[..., str]:
    """What the algorithm says of parameters that it refuses."""
    from qgis.core import QgsApplication, QgsProcessingContext

    def ask(**parameters: Any) -> str:
        algorithm = QgsApplication.processingRegistry().createAlgorithmById("imagetodem:pairsfromrasters")
        given = {"IMAGE": image, "DEM": dem, "TILE_SIZE": 64, "OUTPUT": tmp_path / "data", **parameters}
        given = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
        accepted, message = algorithm.checkParameterValues(given, QgsProcessingContext())
        assert accepted == (message == "")
        return message

    return ask


def test_pairs_are_cut_from_the_rasters(make: Make) -> None:
    made = make()
    folder = Path(made["OUTPUT"])
    check_dataset(folder)
    about = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    assert made["PAIRS"] == len(about["pairs"]) >= 40
    assert {pair["split"] for pair in about["pairs"]} == {"train", "validation", "test"}
    assert {pair["sun_azimuth"] for pair in about["pairs"]} == {148.5}
    for pair in about["pairs"]:
        stored = gdal.Open(str(folder / "images" / f"{pair['id']}.tif"))
        left, step, _, top, _, _ = stored.GetGeoTransform()
        column, row = round((left - UTM_TRANSFORM[0]) / 30.0), round((UTM_TRANSFORM[3] - top) / 30.0)
        window = (slice(row, row + 64), slice(column, column + 64))
        expected = np.moveaxis(colours(SIZE, SIZE)[window], -1, 0)
        np.testing.assert_array_equal(stored.ReadAsArray(), expected)
        assert stored.ReadAsArray().dtype == np.uint8
        heights = gdal.Open(str(folder / "dems" / f"{pair['id']}.tif")).ReadAsArray()
        np.testing.assert_array_equal(heights, dem_of(SIZE, SIZE)[window][..., 0])


def test_a_resolution_of_its_own(make: Make) -> None:
    made = make(RESOLUTION=60.0)
    folder = Path(made["OUTPUT"])
    about = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    assert about["resolution"] == 60.0
    transform = gdal.Open(str(next((folder / "images").iterdir()))).GetGeoTransform()
    assert (transform[1], transform[5]) == (60.0, -60.0)
    # 500 pixels of 30 m are 250 of 60 m: four tiles a side, less those of the buffer.
    assert 8 <= made["PAIRS"] <= 16


def test_a_gap_leaves_its_tiles_out(make: Make, tmp_path: Path) -> None:
    holed = dem_of(SIZE, SIZE)
    holed[:256, :256] = -9999.0
    made = make(DEM=write_image(tmp_path / "holed.tif", holed, nodata=-9999.0))
    left_out = json.loads((Path(made["OUTPUT"]) / "dataset.json").read_text(encoding="utf-8"))["left_out"]
    assert left_out["nodata"] >= 9
    assert f"{left_out['nodata']} tiles left out: too much nodata." in made["said"]
    assert left_out["cloud"] == left_out["sea"] == 0


def test_the_same_again_writes_nothing_anew(make: Make, tmp_path: Path) -> None:
    made = make()
    folder = Path(made["OUTPUT"])
    before = rasters(folder)
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*.tif")}
    (folder / "dems" / "r000_c000.tif").unlink()
    again = make()
    assert again["PAIRS"] == made["PAIRS"]
    assert rasters(folder) == before
    changed = {path.stem for path, time in times.items() if path.stat().st_mtime_ns != time}
    assert changed == {"r000_c000"}


def test_rasters_without_a_place_are_refused(refusal: Callable[..., str], tmp_path: Path) -> None:
    assert refusal() == ""
    unplaced = write_image(tmp_path / "unplaced.tif", colours(80, 80), crs="")
    message = refusal(IMAGE=unplaced)
    assert message.startswith("IMAGE: ")
    assert "gdal:assignprojection" in message
    flat = write_image(tmp_path / "flat.tif", dem_of(80, 80), crs="")
    assert refusal(DEM=flat).startswith("DEM: ")
    far = (700_000.0, 30.0, 0.0, 4_000_000.0, 0.0, -30.0)
    elsewhere = write_image(tmp_path / "far.tif", dem_of(80, 80), transform=far)
    assert "no common ground" in refusal(DEM=elsewhere)


def test_tiles_larger_than_the_rasters_are_refused(refusal: Callable[..., str]) -> None:
    message = refusal(TILE_SIZE=256, RESOLUTION=100.0)
    assert message.startswith("TILE_SIZE: the image and the DEM share 150 x 150 pixels of 100 m")
    assert refusal(TILE_SIZE=32) != ""
    assert refusal(RESOLUTION=0.0) != ""


def test_rasters_that_are_no_image_and_no_dem(refusal: Callable[..., str], dem: Path, tmp_path: Path) -> None:
    assert refusal(IMAGE=dem).startswith("IMAGE: ")
    assert "red, green and blue are needed" in refusal(IMAGE=dem)
    assert refusal(IMAGE=tmp_path / "nowhere.tif") != ""
    assert refusal(BANDS=[1, 2]).startswith("BANDS: ")
    torn = tmp_path / "torn.tif"
    torn.write_bytes(dem.read_bytes()[:200])
    assert refusal(DEM=torn) != ""


def test_a_folder_of_other_pairs_is_refused(make: Make, refusal: Callable[..., str], image: Path) -> None:
    make()
    assert refusal() == ""
    assert "RESOLUTION = 30.0, not 60.0" in refusal(RESOLUTION=60.0)
    assert "IMAGE" in refusal(BANDS=[3, 2, 1])


def test_another_raster_of_the_same_name_is_refused(
    make: Make, refusal: Callable[..., str], dem: Path
) -> None:
    """Else one data set would hold pairs of two."""
    make()
    assert refusal() == ""
    write_image(dem, dem_of(SIZE, SIZE) + 7.0, nodata=-9999.0)
    message = refusal()
    assert "files = " in message
    assert "another folder" in message


def test_it_runs_in_qgis_process(qgis_process: QgisProcess, image: Path, dem: Path, tmp_path: Path) -> None:
    done = qgis_process(
        "run", "--json", "imagetodem:pairsfromrasters", "--", f"IMAGE={image}", f"DEM={dem}", "TILE_SIZE=128",
        f"OUTPUT={tmp_path / 'data'}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)["results"]
    assert results["PAIRS"] >= 9
    assert results["FOOTPRINTS"] == str(tmp_path / "data" / "footprints.gpkg")
    assert Path(results["FOOTPRINTS"]).is_file()


def test_a_real_scene_gives_its_own_pixels(make: Make, shared_data: Path) -> None:
    scene, heights = (shared_data / "scenes" / f"zion_l8_{part}.tif" for part in ("rgb", "dem"))
    made = make(IMAGE=scene, DEM=heights, TILE_SIZE=256)
    folder = Path(made["OUTPUT"])
    assert made["PAIRS"] >= 15
    source = gdal.Open(str(scene))
    left, step, _, top, _, _ = source.GetGeoTransform()
    for path in (folder / "images").iterdir():
        stored = gdal.Open(str(path))
        x, y = stored.GetGeoTransform()[0], stored.GetGeoTransform()[3]
        place = round((x - left) / step), round((top - y) / step)
        np.testing.assert_array_equal(stored.ReadAsArray(), source.ReadAsArray(*place, 256, 256))
