from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from qgis.core import (
    QgsApplication,
    QgsFeature,
    QgsGeometry,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsRasterLayer,
    QgsVectorLayer,
)

from tests.comparisons import hills, write_dem
from tests.rasters import UTM_TRANSFORM, read_surface, write_image

EAST, NORTH = UTM_TRANSFORM[0], UTM_TRANSFORM[3]
HEIGHTS = ("COUNT", "BIAS", "MEDIAN", "MAE", "RMSE", "NMAD", "LE90")


@pytest.fixture
def pair(qgis_app, tmp_path):
    truth = hills(80, 60)
    surface = truth + np.float32(12.0)
    surface[10:20, 10:30] = np.nan
    return {
        "DEM": write_dem(tmp_path / "dem.tif", surface),
        "REFERENCE": write_dem(tmp_path / "truth.tif", truth),
    }


def run(parameters, **outputs):
    import processing

    return processing.run("imagetodem:evaluatedem", {**parameters, **outputs})


def refusal(parameters) -> str:
    with pytest.raises(QgsProcessingException) as caught:
        run(parameters)
    return str(caught.value)


def layer_of(kind: str, shapes: list[str], fields: dict[str, list[object]] | None = None) -> QgsVectorLayer:
    names = list(fields or {})
    kinds = ["string" if isinstance(values[0], str) else "double" for values in (fields or {}).values()]
    address = "".join(f"&field={name}:{kind}" for name, kind in zip(names, kinds))
    layer = QgsVectorLayer(f"{kind}?crs=EPSG:32633{address}", "layer", "memory")
    features = []
    for number, shape in enumerate(shapes):
        feature = QgsFeature(layer.fields())
        feature.setGeometry(QgsGeometry.fromWkt(shape))
        feature.setAttributes([fields[name][number] for name in names] if fields else [])
        features.append(feature)
    layer.dataProvider().addFeatures(features)
    layer.updateExtents()
    return layer


def rectangle(left: float, top: float, right: float, bottom: float) -> str:
    corners = ((left, top), (right, top), (right, bottom), (left, bottom), (left, top))
    return "Polygon((" + ", ".join(f"{EAST + 30 * x} {NORTH - 30 * y}" for x, y in corners) + "))"


def test_all_outputs_of_a_constant_error(pair, tmp_path):
    outputs = {
        "DIFFERENCE": str(tmp_path / "difference.tif"),
        "REPORT": str(tmp_path / "report.html"),
        "TABLE": str(tmp_path / "classes.gpkg"),
    }
    results = run(pair, ALIGN="none", **outputs)
    assert {name: results.pop(name) for name in outputs} == outputs
    assert results.pop("COUNT") == 80 * 60 - 200
    sigma = results.pop("RMSE_MEAN")
    assert 100.0 < sigma < 140.0
    ratios = {"RMSE_BY_SIGMA": 12.0 / sigma, "RMSE_BY_SIGMA_TILES": 0.0, "RMSE_BY_SIGMA_SHIFT_SCALE": 0.0}
    zeros = ("NMAD", "SLOPE_RMSE", "ASPECT_ERROR", "SHIFT", "RMSE_SHIFT", "RMSE_SHIFT_SCALE", "RMSE_TILES")
    expected = {
        **dict.fromkeys(("BIAS", "MEDIAN", "MAE", "RMSE", "LE90", "RMSE_RAW"), 12.0),
        **dict.fromkeys(zeros, 0.0),
        **ratios,
        "CORRELATION": 1.0,
        "SCALE": 1.0,
    }
    assert 0.9 < results.pop("SSIM") < 1.0
    assert 20.0 < results.pop("RMSE_PLANE") < sigma
    assert results == pytest.approx(expected, abs=2e-3)
    difference = read_surface(outputs["DIFFERENCE"])
    assert np.nanmax(np.abs(difference.heights - 12.0)) < 1e-3
    assert np.isnan(difference.heights[10:20, 10:30]).all()


def test_the_table_holds_the_classes(pair, tmp_path):
    zones = layer_of(
        "Polygon", [rectangle(0, 0, 30, 80), rectangle(30, 0, 60, 80)], {"name": ["west", "east"]}
    )
    table = str(tmp_path / "classes.csv")
    run(pair, ZONES=zones, ZONE_FIELD="name", TABLE=table, DIFFERENCE=None, REPORT=None)
    layer = QgsVectorLayer(f"file://{table}?type=csv&geomType=none", "table", "delimitedtext")
    assert layer.isValid()
    rows = {(row["kind"], row["class"]): row for row in layer.getFeatures()}
    assert {kind for kind, _ in rows} == {"all", "slope", "elevation", "zone"}
    assert int(rows["all", "all"]["count"]) == 80 * 60 - 200
    assert int(rows["zone", "west"]["count"]) == 30 * 80 - 200
    assert float(rows["zone", "east"]["bias"]) == pytest.approx(12.0, abs=1e-3)
    for kind in ("slope", "elevation", "zone"):
        counts = [int(row["count"]) for (of, _), row in rows.items() if of == kind]
        # Beside the void and at the border the reference has its slope: only the border lacks one.
        missing = 2 * 80 + 2 * 58 if kind == "slope" else 0
        assert sum(counts) == 80 * 60 - 200 - missing


def test_control_points_alone_and_beside_a_reference(pair):
    columns, rows = np.meshgrid(np.arange(5, 55, 7), np.arange(25, 75, 9))
    truth = hills(80, 60)
    places = list(zip(columns.ravel(), rows.ravel()))
    heights = [float(truth[row, column]) - 1.5 for column, row in places]
    shapes = [f"Point({EAST + 30 * (c + 0.5)} {NORTH - 30 * (r + 0.5)})" for c, r in places]
    points = layer_of("Point", shapes, {"height": heights})
    only = {"DIFFERENCE": None, "REPORT": None}
    alone = run({"DEM": pair["DEM"]}, CONTROL_POINTS=points, HEIGHT_FIELD="height", **only)
    assert alone["COUNT"] == alone["POINTS"] == len(places)
    assert alone["BIAS"] == pytest.approx(13.5, abs=1e-3)
    assert "SLOPE_RMSE" not in alone
    both = run(pair, CONTROL_POINTS=points, HEIGHT_FIELD="height", ALIGN="shift", **only)
    assert both["RMSE"] == pytest.approx(0.0, abs=1e-3)
    assert both["POINTS_BIAS"] == pytest.approx(1.5, abs=1e-3)


def test_bad_values_are_refused_by_the_parameters_name(pair, tmp_path):
    truth = hills(80, 60)
    elsewhere = write_dem(tmp_path / "e.tif", truth, transform=(EAST + 1e6, 30.0, 0.0, NORTH, 0.0, -30.0))
    nowhere = write_dem(tmp_path / "n.tif", truth, crs="")
    picture = str(write_image(tmp_path / "p.tif", np.zeros((9, 9, 3), np.uint8), colours=(3, 4, 5)))
    dem = {"DEM": pair["DEM"]}
    assert "REFERENCE: give a reference DEM, or points" in refusal(dem)
    assert "REFERENCE: " in (message := refusal({**dem, "REFERENCE": elsewhere}))
    assert "do not overlap" in message
    assert "n.tif has no coordinate reference system" in refusal({**dem, "REFERENCE": nowhere})
    assert "DEM: " in (message := refusal({**pair, "DEM": picture}))
    assert "an image in colours" in message
    points = layer_of("Point", [f"Point({EAST} {NORTH})"])
    assert "HEIGHT_FIELD: " in refusal({**dem, "CONTROL_POINTS": points})
    zones = layer_of("Polygon", [rectangle(0, 0, 9, 9)])
    assert "ZONES: it needs a reference DEM" in refusal({**dem, "CONTROL_POINTS": points, "ZONES": zones})
    assert "COREGISTER" in refusal({**dem, "CONTROL_POINTS": points, "COREGISTER": True})
    assert "MASK: there is no polygon" in refusal({**pair, "MASK": layer_of("Polygon", [])})
    assert "DIFFERENCE" in refusal({**pair, "DIFFERENCE": str(tmp_path / "d.jpg")})
    assert "ALIGN" in refusal({**pair, "ALIGN": "rotate"})
    many = layer_of("Polygon", [rectangle(0, 0, 9, 9)] * 1001)
    assert "ZONES: there are 1001 zones" in refusal({**pair, "ZONES": many})


def test_without_xdem_the_run_says_what_to_do(pair, tmp_path, monkeypatch):
    from imagetodem_qgis.runtime.interpreter import Interpreter

    bare = Interpreter(Path("/somewhere/python"), (3, 12, 1), "a test", ("onnxruntime",), {"numpy": "2"})
    monkeypatch.setattr(
        "imagetodem_qgis.algorithms.evaluation_parameters.find_interpreter", lambda setting: bare
    )
    message = refusal({**pair, "COREGISTER": True})
    assert "COREGISTER: /somewhere/python has no xDEM" in message
    assert "PROFILE=train" in message


@pytest.mark.parametrize("most", [10**9, 130 * 130], ids=["whole", "by windows"])
def test_half_a_pixel_is_found_and_taken_out(most, qgis_app, tmp_path, monkeypatch):
    """A DEM whose georeference is wrong by half a pixel, through the worker and back."""
    from imagetodem_qgis.runtime.interpreter import InterpreterError, find_interpreter

    try:
        interpreter = find_interpreter(os.environ.get("IMAGETODEM_PYTHON"))
    except InterpreterError:
        pytest.skip("needs the machine-learning environment")
    if "xdem" not in interpreter.packages:
        pytest.skip("needs xDEM in the machine-learning environment")
    monkeypatch.setattr("imagetodem_qgis.evaluation.coregistration._MOST_PIXELS", most)
    truth = hills(200, 190, 6)
    wrong = (EAST + 15.0, 30.0, 0.0, NORTH - 15.0, 0.0, -30.0)
    dem = write_dem(tmp_path / "dem.tif", truth, transform=wrong)
    reference = write_dem(tmp_path / "truth.tif", truth)
    only = {"DIFFERENCE": None, "REPORT": None}
    before = run({"DEM": dem, "REFERENCE": reference}, **only)
    after = run({"DEM": dem, "REFERENCE": reference}, COREGISTER=True, **only)
    assert after["EAST"] == pytest.approx(-15.0, abs=1.5)
    assert after["NORTH"] == pytest.approx(15.0, abs=1.5)
    assert after["RMSE"] < 0.2 * before["RMSE"]


def test_cancel_leaves_nothing(pair, tmp_path):
    import processing

    class Impatient(QgsProcessingFeedback):
        def setProgress(self, percent):
            self.cancel()

    feedback = Impatient(False)
    difference = tmp_path / "difference.tif"
    results = processing.run(
        "imagetodem:evaluatedem", {**pair, "DIFFERENCE": str(difference)}, feedback=feedback
    )
    assert "RMSE" not in results
    assert [path.name for path in tmp_path.iterdir() if "difference" in path.name] == []


def test_the_difference_is_styled_around_zero(pair, tmp_path):
    path = tmp_path / "difference.tif"
    run(pair, ALIGN="shift", DIFFERENCE=str(path), REPORT=None)
    layer = QgsRasterLayer(str(path), "difference")
    renderer = layer.renderer()
    assert renderer.classificationMin() == -renderer.classificationMax()
    items = renderer.shader().rasterShaderFunction().colorRampItemList()
    middle = items[len(items) // 2]
    assert middle.value == pytest.approx(0.0, abs=1e-9)
    assert items[0].color.blue() > items[0].color.red()
    assert items[-1].color.red() > items[-1].color.blue()


def test_every_parameter_has_help_and_every_output_is_declared(pair, tmp_path):
    algorithm = QgsApplication.processingRegistry().algorithmById("imagetodem:evaluatedem")
    assert all(parameter.help() for parameter in algorithm.parameterDefinitions())
    assert algorithm.shortHelpString()
    assert not algorithm.icon().isNull()
    assert algorithm.tags()
    assert algorithm.parameterDefinition("ALIGN").options() == ["none", "shift", "shift and scale"]
    declared = {output.name() for output in algorithm.outputDefinitions()}
    results = run(pair, TABLE=str(tmp_path / "t.csv"), DIFFERENCE=str(tmp_path / "d.tif"))
    assert set(results) <= declared
    assert set(HEIGHTS) <= declared


def test_qgis_process_gives_the_figures(qgis_process, pair, tmp_path):
    parameters = {**pair, "ALIGN": "shift and scale", "REPORT": str(tmp_path / "report.html")}
    given = [f"{name}={value}" for name, value in parameters.items()]
    finished = qgis_process("--json", "run", "imagetodem:evaluatedem", "--", *given)
    assert finished.returncode == 0, finished.stderr
    results = json.loads(finished.stdout)["results"]
    assert results["RMSE"] == pytest.approx(0.0, abs=1e-3)
    assert results["SHIFT"] == pytest.approx(-12.0, abs=1e-2)
    assert all(math.isfinite(results[name]) for name in HEIGHTS)
    assert Path(results["REPORT"]).read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
