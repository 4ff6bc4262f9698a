"""Anchor DEM to known heights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from osgeo import gdal

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from tests.qgis.test_predictdem_anchored import coarser, place_of, points_file, rmse, write_dem
from tests.rasters import colours, read_surface, relief, write_image

ROWS, COLUMNS = 200, 240


@pytest.fixture
def truth() -> np.ndarray:
    row, column = np.mgrid[:ROWS, :COLUMNS]
    return 900.0 + 2.0 * row + column + 6.0 * relief(colours(ROWS, COLUMNS))


@pytest.fixture
def anchor(qgis_app, tmp_path):
    """Runs the algorithm: ``anchor(dem, **parameters)`` gives its results and, as ``said``, what it told."""
    import processing
    from qgis.core import QgsProcessingFeedback

    def run(dem: Path, **parameters: Any) -> dict[str, Any]:
        given = {"DEM": dem, "OUTPUT": tmp_path / "anchored.tif", **parameters}
        given = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
        feedback = QgsProcessingFeedback(False)
        return {
            **processing.run("imagetodem:anchordem", given, feedback=feedback),
            "said": feedback.textLog(),
        }

    return run


def tilt() -> np.ndarray:
    row, column = np.mgrid[:ROWS, :COLUMNS]
    return 0.4 * row - 0.7 * column


WRONG = {
    "shift": lambda truth: truth - 300.0,
    "plane": lambda truth: truth - 300.0 + tilt(),
    "shift and scale": lambda truth: (truth - 850.0) / 3.0,
}


def points_on(truth: np.ndarray, path: Path, count: int = 20, wrong: int = 0) -> Path:
    random = np.random.default_rng(4)
    places = []
    for number in range(count):
        row, column = int(random.integers(0, ROWS)), int(random.integers(0, COLUMNS))
        height = float(truth[row, column]) + (500.0 if number < wrong else 0.0)
        places.append((*place_of(row, column), height))
    return points_file(path, places, 32633)


@pytest.mark.parametrize("method", WRONG)
def test_what_is_wrong_is_put_right_by_a_reference(anchor, tmp_path, truth, method):
    reference = coarser(tmp_path / "r.tif", write_dem(tmp_path / "t.tif", truth), 150.0, "EPSG:3857")
    results = anchor(write_dem(tmp_path / "d.tif", WRONG[method](truth)), REFERENCE=reference, METHOD=method)
    surface = read_surface(results["OUTPUT"])
    assert rmse(surface.heights, truth) < 0.5
    # What is left is what the reference does not show of the forms.
    assert 0.0 < results["RESIDUAL_RMSE"] < 0.2 * truth.std()
    assert surface.unit == "m"
    assert surface.metadata["IMAGETODEM_ANCHORS"] == f"reference r.tif: {method}"
    assert (tmp_path / "anchored.qml").is_file()


@pytest.mark.parametrize("method", WRONG)
def test_what_is_wrong_is_put_right_by_points_in_spite_of_wrong_ones(anchor, tmp_path, truth, method):
    points = points_on(truth, tmp_path / "points.gpkg", 25, wrong=2)
    dem = write_dem(tmp_path / "d.tif", WRONG[method](truth))
    results = anchor(dem, CONTROL_POINTS=points, HEIGHT_FIELD="height", METHOD=method)
    assert rmse(read_surface(results["OUTPUT"]).heights, truth) < 0.5
    assert results["RESIDUAL_RMSE"] == pytest.approx(500.0 * np.sqrt(2.0 / 25.0), rel=0.01)
    assert results["said"].count("Point at") == 25


def test_residuals_are_written_for_each_point(anchor, tmp_path, truth):
    from qgis.core import QgsVectorLayer

    points = points_on(truth, tmp_path / "points.gpkg", 12, wrong=1)
    results = anchor(
        write_dem(tmp_path / "d.tif", truth - 300.0),
        CONTROL_POINTS=points,
        HEIGHT_FIELD="height",
        METHOD="shift",
        RESIDUALS=tmp_path / "residuals.gpkg",
    )
    layer = QgsVectorLayer(results["RESIDUALS"], "residuals", "ogr")
    features = list(layer.getFeatures())
    assert len(features) == 12
    assert layer.crs().authid() == "EPSG:32633"
    before, after = ([feature[name] for feature in features] for name in ("before", "after"))
    np.testing.assert_allclose(sorted(before), [-800.0] + [-300.0] * 11, atol=0.01)
    np.testing.assert_allclose(sorted(after), [-500.0] + [0.0] * 11, atol=0.5)
    place = features[0].geometry().asPoint()
    surface = read_surface(results["OUTPUT"])
    column = int((place.x() - 500_000.0) / 30.0)
    row = int((5_200_000.0 - place.y()) / 30.0)
    assert surface.heights[row, column] - features[0]["known"] == pytest.approx(after[0], abs=0.01)


def test_low_frequencies_come_from_the_reference_and_forms_from_the_dem(anchor, tmp_path, truth):
    """The DEM's forms are right, its large shape is not."""
    row, column = np.mgrid[:ROWS, :COLUMNS]
    bowl = 0.01 * (row - 90.0) ** 2 + 0.006 * (column - 130.0) ** 2 - 400.0
    reference = coarser(tmp_path / "r.tif", write_dem(tmp_path / "t.tif", truth), 300.0)
    results = anchor(write_dem(tmp_path / "d.tif", truth + bowl), REFERENCE=reference)
    alone = gdal.Translate("", str(reference), format="MEM", width=COLUMNS, height=ROWS, resampleAlg="cubic")
    surface = read_surface(results["OUTPUT"]).heights
    assert rmse(surface, truth) < 0.3 * rmse(alone.ReadAsArray(), truth)


def test_a_dem_is_bent_smoothly_through_its_points(anchor, tmp_path, truth):
    row, column = np.mgrid[:ROWS, :COLUMNS]
    bowl = 0.004 * (row - 90.0) ** 2 + 0.003 * (column - 130.0) ** 2 - 400.0
    points = points_on(truth, tmp_path / "points.gpkg", 60)
    dem = write_dem(tmp_path / "d.tif", truth + bowl)
    results = anchor(dem, CONTROL_POINTS=points, HEIGHT_FIELD="height")
    surface = read_surface(results["OUTPUT"]).heights
    inner = (slice(20, -20), slice(20, -20))
    assert rmse(surface, truth, inner) < 1.5
    assert rmse(truth + bowl, truth, inner) > 300.0
    # What is told is how well the points foretell each other, not 0.
    assert 0.01 < results["RESIDUAL_RMSE"] < 10.0


def test_unknown_pixels_stay_unknown(anchor, tmp_path, truth):
    dem = truth - 300.0
    dem[30:60, 40:90] = -9999.0
    reference = coarser(tmp_path / "r.tif", write_dem(tmp_path / "t.tif", truth), 300.0)
    for method in ("shift", "low-frequency replacement"):
        results = anchor(write_dem(tmp_path / "d.tif", dem), REFERENCE=reference, METHOD=method)
        surface = read_surface(results["OUTPUT"]).heights
        assert (np.isnan(surface) == (dem == -9999.0)).all()
        assert rmse(surface, truth) < 0.1 * truth.std()


def test_feet_become_metres(anchor, tmp_path, truth):
    dem = write_dem(tmp_path / "d.tif", (truth - 300.0) / 0.3048)
    file = gdal.Open(str(dem), gdal.GA_Update)
    file.GetRasterBand(1).SetUnitType("ft")
    file = None
    reference = coarser(tmp_path / "r.tif", write_dem(tmp_path / "t.tif", truth), 150.0)
    results = anchor(dem, REFERENCE=reference, METHOD="shift")
    assert rmse(read_surface(results["OUTPUT"]).heights, truth) < 0.5


@pytest.fixture
def refused(qgis_app, tmp_path, truth):
    from qgis.core import QgsApplication, QgsProcessingContext

    dem = write_dem(tmp_path / "d.tif", truth)

    def check(**parameters: object) -> str:
        given = {"DEM": dem, "OUTPUT": tmp_path / "out.tif", **parameters}
        given = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
        algorithm = QgsApplication.processingRegistry().createAlgorithmById("imagetodem:anchordem")
        accepted, reason = algorithm.checkParameterValues(given, QgsProcessingContext())
        assert not accepted
        return str(reason)

    return check


def test_what_cannot_be_done_is_refused_before_any_work(refused, tmp_path, truth):
    two = points_on(truth, tmp_path / "two.gpkg", 2)
    reference = write_dem(tmp_path / "r.tif", truth)
    elsewhere = write_dem(tmp_path / "far.tif", truth, (900_000.0, 30.0, 0.0, 5_200_000.0, 0.0, -30.0))
    unplaced = write_image(tmp_path / "none.tif", truth[..., None].astype(np.float32), crs="")
    points = {"CONTROL_POINTS": two, "HEIGHT_FIELD": "height"}
    cases = [
        ({}, "REFERENCE", "give a reference DEM"),
        ({"DEM": tmp_path / "nowhere.tif", "REFERENCE": reference}, "DEM", ""),
        ({"DEM": unplaced, "REFERENCE": reference}, "REFERENCE", "coordinate reference system"),
        ({"REFERENCE": elsewhere}, "REFERENCE", "overlap"),
        ({"REFERENCE": reference, **points}, "CONTROL_POINTS", "not both"),
        ({**points, "METHOD": "plane"}, "METHOD", "3 points"),
        ({**points, "METHOD": "magic"}, "METHOD", ""),
        ({"REFERENCE": reference, "RESIDUALS": tmp_path / "r.gpkg"}, "RESIDUALS", "control points only"),
        ({"REFERENCE": reference, "OUTPUT": tmp_path / "out.asc"}, "OUTPUT", ""),
        ({"REFERENCE": reference, "OUTPUT": tmp_path / "missing" / "out.tif"}, "OUTPUT", "does not exist"),
        ({"REFERENCE": reference, "OUTPUT": tmp_path / "d.tif"}, "OUTPUT", ""),
        ({"REFERENCE": reference, "OUTPUT": reference}, "OUTPUT", ""),
    ]
    for parameters, name, word in cases:
        reason = refused(**parameters)
        assert name in reason, parameters
        assert word in reason, parameters


def test_points_on_a_line_do_not_decide_a_plane(anchor, tmp_path, truth):
    from qgis.core import QgsProcessingException

    places = [(*place_of(row, row), float(truth[row, row])) for row in (10, 50, 90, 130)]
    points = points_file(tmp_path / "line.gpkg", places, 32633)
    with pytest.raises(QgsProcessingException, match="on one line"):
        anchor(
            write_dem(tmp_path / "d.tif", truth), CONTROL_POINTS=points, HEIGHT_FIELD="height", METHOD="plane"
        )
    assert not list(tmp_path.glob("*anchored*"))


def test_a_cancelled_run_leaves_no_output(qgis_app, tmp_path, truth):
    import processing
    from qgis.core import QgsProcessingFeedback

    feedback = QgsProcessingFeedback(False)
    feedback.cancel()
    reference = write_dem(tmp_path / "r.tif", truth)
    results = processing.run(
        "imagetodem:anchordem",
        {
            "DEM": str(write_dem(tmp_path / "d.tif", truth)),
            "REFERENCE": str(reference),
            "OUTPUT": str(tmp_path / "anchored.tif"),
        },
        feedback=feedback,
    )
    assert "RESIDUAL_RMSE" not in results
    assert not list(tmp_path.glob("*anchored*"))
