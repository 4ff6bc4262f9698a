"""Generate Perlin DEM as users call it: places, ranges, blocks, refusals, interruption."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from osgeo import gdal

from tests.rasters import read_surface

UTM = "[EPSG:32633]"
EXTENT = f"500000,503000,5200000,5201500 {UTM}"


@pytest.fixture
def make(qgis_app, tmp_path) -> Callable[..., dict[str, Any]]:
    """Runs the algorithm: ``make(**parameters)`` gives its results and, under ``said``, what it told."""
    import processing
    from qgis.core import QgsProcessingFeedback

    def run(**parameters: Any) -> dict[str, Any]:
        feedback = QgsProcessingFeedback(False)
        given = {"EXTENT": EXTENT, "OUTPUT": str(tmp_path / "dem.tif"), **parameters}
        results = processing.run("imagetodem:perlindem", given, feedback=feedback)
        return {**results, "said": feedback.textLog()}

    return run


def surface(results: dict[str, Any]) -> Any:
    return read_surface(results["OUTPUT"])


def test_extent_and_output_alone_make_a_dem_in_metres(make, tmp_path):
    results = make()
    found = surface(results)
    assert found.heights.shape == (51, 101)
    assert found.transform == (499980.0, 30.0, 0.0, 5201520.0, 0.0, -30.0)
    assert "32633" in found.crs
    assert found.unit == "m"
    assert np.isfinite(found.heights).all()
    assert results["MINIMUM"] == found.heights.min() >= 0.0
    assert results["MAXIMUM"] == found.heights.max() <= 1500.0
    assert results["MAXIMUM"] - results["MINIMUM"] > 500.0
    assert found.metadata["IMAGETODEM_SEED"] == "0"
    assert "Perlin 2002" in found.metadata["IMAGETODEM_NOISE"]
    assert (tmp_path / "dem.qml").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dem.qml", "dem.tif"]


def test_it_writes_what_the_terrain_is(make):
    """Over the borders of the blocks that are written."""
    from imagetodem_qgis.core.noise import Fractal
    from imagetodem_qgis.core.noise_grid import Axis
    from imagetodem_qgis.core.terrain import RIDGED, Terrain

    noise = {"VARIANT": "ridged", "FEATURE_SIZE": 2500, "OCTAVES": 6, "PERSISTENCE": 0.45, "LACUNARITY": 2.2}
    results = make(EXTENT=f"-300,5700,-300,5700 {UTM}", RESOLUTION=10, SEED=7, RELIEF=800, BASE=-50, **noise)
    terrain = Terrain(Fractal(2500.0, 6, 0.45, 2.2, 7), RIDGED, 0.0, -50.0, 800.0)
    expected = terrain.heights(Axis(-570, 600, 10.0), Axis(-30, 600, 10.0))
    assert (surface(results).heights == expected.astype(np.float32)).all()


@pytest.mark.parametrize("erosion", [0.0, 0.5])
def test_neighbouring_extents_fit_together(make, tmp_path, erosion):
    common = {"FEATURE_SIZE": 4000, "EROSION": erosion, "SEED": 3, "WARP": 0.1}
    whole = surface(make(EXTENT=f"0,6000,0,3000 {UTM}", **common)).heights
    parts = [
        surface(
            make(EXTENT=f"{left},{left + 3000},0,3000 {UTM}", OUTPUT=str(tmp_path / f"{left}.tif"), **common)
        ).heights
        for left in (0, 3000)
    ]
    assert (np.concatenate(parts, axis=1) == whole).all()


def test_another_seed_is_another_terrain_and_the_same_is_the_same(make):
    first, second, again = (surface(make(SEED=seed)).heights for seed in (1, 2, 1))
    assert (first == again).all()
    assert np.abs(first - second).max() > 100.0


def test_a_geographic_extent_has_pixels_of_the_resolution_on_the_ground(make):
    results = make(EXTENT="10,10.1,59.95,60.05 [EPSG:4326]", RESOLUTION=100)
    found = surface(results)
    assert found.transform[5] == pytest.approx(-100.0 / 111320.0)
    assert found.transform[1] == pytest.approx(100.0 / 111320.0 / np.cos(np.radians(60.0)))
    left, across, _, top, _, down = found.transform
    rows, columns = found.heights.shape
    for border, covered, pixel in (
        (left, 10.0, across),
        (top, 60.05, -down),
        (left + columns * across, 10.1, across),
        (top + rows * down, 59.95, -down),
    ):
        assert abs(border - covered) < pixel
    assert left <= 10.0 < 10.1 <= left + columns * across
    assert top >= 60.05 > 59.95 >= top + rows * down


def test_feet_are_brought_to_metres(make):
    found = surface(make(EXTENT="10,3000,10,3000 [EPSG:2263]", RESOLUTION=100))
    assert found.transform[1] == pytest.approx(100.0 / 0.3048, rel=1e-5)
    assert found.heights.shape == (10, 10)


def test_without_a_crs_map_units_count_as_metres(make):
    from qgis.core import QgsCoordinateReferenceSystem, QgsRectangle, QgsReferencedRectangle

    extent = QgsReferencedRectangle(QgsRectangle(0, 0, 300, 600), QgsCoordinateReferenceSystem())
    results = make(EXTENT=extent)
    found = surface(results)
    assert found.crs == ""
    assert found.heights.shape == (20, 10)
    assert "no coordinate reference system" in results["said"]


def test_one_pixel(make):
    assert surface(make(EXTENT=f"0,1,0,1 {UTM}")).heights.shape == (1, 1)


def test_an_island_and_coasts_have_a_level_sea(make):
    island = surface(make(MASK="island", BASE=10, RELIEF=900)).heights
    border = np.concatenate([island[0], island[-1], island[:, 0], island[:, -1]])
    assert (border == 10.0).all()
    assert island.max() > 300.0
    assert 0.2 < (island > 10.0).mean() < 0.8
    west = surface(make(MASK="coast_west")).heights
    assert (west[:, 0] == 0.0).all()
    assert (west[:, -1] > 0.0).all()


def test_erosion_cuts_and_is_told_in_the_recipe(make):
    plain, cut = (surface(make(EROSION=strength, RELIEF=2000)) for strength in (0.0, 1.0))
    assert cut.metadata["IMAGETODEM_EROSION"] == "1"
    assert cut.heights.mean() < plain.heights.mean() - 10.0
    assert cut.heights.min() >= 0.0


def test_octaves_that_cannot_be_drawn_are_told(make):
    results = make(FEATURE_SIZE=500, OCTAVES=9)
    assert "4 of 9 octaves" in results["said"]
    assert surface(results).metadata["IMAGETODEM_OCTAVES"] == "4 of 9"


# --- refusals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"EXTENT": f"0,0,0,1000 {UTM}"}, ("EXTENT", "no area")),
        ({"EXTENT": f"0,inf,0,1000 {UTM}"}, ("EXTENT",)),
        ({"EXTENT": "0,1,88,90 [EPSG:4326]"}, ("EXTENT", "89 degrees")),
        ({"EXTENT": f"0,1e9,0,1e9 {UTM}", "RESOLUTION": 1}, ("RESOLUTION", "too many")),
        ({"EXTENT": f"0,900000,0,900000 {UTM}", "RESOLUTION": 1}, ("OUTPUT", "GB")),
        ({"OUTPUT": "/nowhere/at/all/dem.tif"}, ("OUTPUT", "does not exist")),
        ({"OUTPUT": "dem.png"}, ("OUTPUT",)),
    ],
)
def test_what_cannot_be_made_is_refused_by_name(make, parameters, words, tmp_path):
    from qgis.core import QgsProcessingException

    with pytest.raises(QgsProcessingException) as caught:
        make(**parameters)
    for word in words:
        assert word in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["RESOLUTION", "RELIEF", "PERSISTENCE", "LACUNARITY", "EROSION", "OCTAVES"])
def test_values_out_of_range_are_refused(make, name):
    from qgis.core import QgsProcessingException

    with pytest.raises(QgsProcessingException, match=name):
        make(**{name: -1})


# --- interruption -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("erosion", [0.0, 1.0])
def test_cancelling_answers_within_a_second_and_leaves_nothing(qgis_app, tmp_path, erosion):
    import processing
    from qgis.core import QgsProcessingFeedback

    output = tmp_path / "dem.tif"
    output.write_bytes(b"an earlier file")
    feedback = QgsProcessingFeedback(False)
    cancelled: list[float] = []

    def watch() -> None:
        deadline = time.monotonic() + 60.0
        while not list(tmp_path.glob(".dem.*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.3)
        cancelled.append(time.monotonic())
        feedback.cancel()

    watcher = threading.Thread(target=watch)
    watcher.start()
    parameters = {"EXTENT": f"0,600000,0,600000 {UTM}", "EROSION": erosion, "OUTPUT": str(output)}
    results = processing.run("imagetodem:perlindem", parameters, feedback=feedback)
    ended = time.monotonic()
    watcher.join()
    assert "OUTPUT" not in results
    assert ended - cancelled[0] < 1.0
    assert [path.name for path in tmp_path.iterdir()] == ["dem.tif"]
    assert output.read_bytes() == b"an earlier file"


def test_a_large_dem_has_overviews_and_takes_the_memory_of_a_few_blocks(make, tmp_path):
    import resource

    make(EXTENT=f"0,60000,0,60000 {UTM}")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    results = make(EXTENT=f"0,150000,0,150000 {UTM}")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    dataset = gdal.Open(str(Path(results["OUTPUT"])))
    assert (dataset.RasterXSize, dataset.RasterYSize) == (5000, 5000)
    assert dataset.GetRasterBand(1).GetOverviewCount() == 4
    # The raster is of 100 MB; GDAL's cache of 32 was not full with the 16 MB of the first.
    assert grown < 40_000
