"""Predict DEM inside a saved graphical model, in a batch, and as layers in a project."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from osgeo import gdal

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from tests.rasters import UTM_TRANSFORM, colours, read_surface, relief, write_image

MODEL = Path(__file__).resolve().parents[1] / "models" / "predict_then_slope.model3"


@pytest.fixture
def project(qgis_app):
    from qgis.core import QgsProject

    QgsProject.instance().clear()
    yield QgsProject.instance()
    QgsProject.instance().clear()


def settle() -> None:
    from qgis.PyQt.QtCore import QCoreApplication, QEventLoop

    for _ in range(5):
        QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 50)


def assert_is_styled(project: Any, name: str, dem: np.ndarray) -> None:
    """Its colours span its own heights, and a hillshade of the same file lies over it."""
    (layer,) = (layer for layer in project.mapLayersByName(name))
    (hillshade,) = project.mapLayersByName(f"{name} (hillshade)")
    assert layer.renderer().type() == "singlebandpseudocolor"
    assert hillshade.renderer().type() == "hillshade"
    assert hillshade.source() == layer.source()
    low, high = np.nanpercentile(dem, (2, 98))
    assert layer.renderer().classificationMin() == pytest.approx(low, abs=0.03 * (high - low))
    assert layer.renderer().classificationMax() == pytest.approx(high, abs=0.03 * (high - low))


@pytest.fixture
def load_model(qgis_app):
    from qgis.core import QgsProcessingModelAlgorithm

    def load() -> Any:
        model = QgsProcessingModelAlgorithm()
        assert model.fromFile(str(MODEL))
        assert model.validate() == (True, [])
        return model

    return load


def test_a_saved_model_predicts_and_takes_the_slope(load_model, tiny_model, tmp_path):
    import processing

    image = write_image(tmp_path / "image.tif", colours(150, 170))
    results = processing.run(
        load_model(),
        {
            "image": str(image),
            "model_file": str(tiny_model("red")),
            "dem:DEM": str(tmp_path / "dem.tif"),
            "slope:Slope": str(tmp_path / "slope.tif"),
        },
    )
    dem = read_surface(results["dem:DEM"]).heights
    assert np.ptp(dem) == pytest.approx(30 * np.ptp(relief(colours(150, 170))), rel=0.01)
    by_hand = tmp_path / "by_hand.tif"
    command = ["gdaldem", "slope", results["dem:DEM"], str(by_hand), "-s", "1", "-compute_edges"]
    subprocess.run(command, check=True, capture_output=True)
    slope = gdal.Open(results["slope:Slope"]).ReadAsArray()
    assert slope.shape == (150, 170)
    assert 20 < slope.mean() < 85
    np.testing.assert_array_equal(slope, gdal.Open(str(by_hand)).ReadAsArray())


def test_the_models_dem_is_handed_on_without_a_name(load_model, tiny_model, tmp_path):
    """A step in between is a temporary file, and no layer."""
    import processing

    image = write_image(tmp_path / "image.tif", colours(64, 64))
    results = processing.run(
        load_model(),
        {
            "image": str(image),
            "model_file": str(tiny_model("red")),
            "dem:DEM": "TEMPORARY_OUTPUT",
            "slope:Slope": str(tmp_path / "slope.tif"),
        },
    )
    assert gdal.Open(results["slope:Slope"]).ReadAsArray().shape == (64, 64)
    assert read_surface(results["dem:DEM"]).heights.shape == (64, 64)


def test_the_models_layers_are_styled(load_model, tiny_model, project, tmp_path):
    import processing

    processing.runAndLoadResults(
        load_model(),
        {
            "image": str(write_image(tmp_path / "image.tif", colours(100, 100))),
            "model_file": str(tiny_model("red")),
            "dem:DEM": str(tmp_path / "dem.tif"),
            "slope:Slope": str(tmp_path / "slope.tif"),
        },
    )
    settle()
    sources = {layer.source() for layer in project.mapLayers().values()}
    assert sources == {str(tmp_path / "dem.tif"), str(tmp_path / "slope.tif")}
    (name,) = {
        layer.name()
        for layer in project.mapLayers().values()
        if layer.source().endswith("dem.tif") and layer.renderer().type() != "hillshade"
    }
    assert_is_styled(project, name, read_surface(tmp_path / "dem.tif").heights)


def test_a_step_of_the_model_that_is_refused_is_named(load_model, tmp_path):
    import processing
    from qgis.core import QgsProcessingException, QgsProcessingFeedback

    image = write_image(tmp_path / "image.tif", colours(30, 30)[..., :2])
    feedback = QgsProcessingFeedback(False)
    with pytest.raises(QgsProcessingException, match="Predict DEM"):
        processing.run(
            load_model(),
            {
                "image": str(image),
                "dem:DEM": str(tmp_path / "dem.tif"),
                "slope:Slope": str(tmp_path / "slope.tif"),
            },
            feedback=feedback,
        )
    assert "INPUT" in feedback.textLog()
    assert "2 bands" in feedback.textLog()
    assert not (tmp_path / "dem.tif").exists()


def test_a_batch_of_three_rasters_of_different_kinds(tiny_model, project, tmp_path):
    """As the toolbox runs a batch: one algorithm, each row in a background thread, all layers loaded."""
    from processing.gui.Postprocessing import handleAlgorithmResults
    from qgis.core import (
        QgsApplication,
        QgsProcessingAlgRunnerTask,
        QgsProcessingContext,
        QgsProcessingFeedback,
        QgsProcessingOutputLayerDefinition,
    )

    images = {
        "bytes": write_image(tmp_path / "bytes.tif", colours(80, 90)),
        "degrees": write_image(
            tmp_path / "degrees.tif",
            colours(100, 70, seed=2).astype(np.float32),
            crs="EPSG:4326",
            transform=(10, 0.0003, 0, 1, 0, -0.0003),
        ),
        "words": write_image(
            tmp_path / "words.tif",
            colours(70, 70, seed=3).astype(np.uint16) * 10,
            transform=(*UTM_TRANSFORM[:1], 90.0, 0.0, UTM_TRANSFORM[3], 0.0, -90.0),
        ),
    }
    algorithm = QgsApplication.processingRegistry().createAlgorithmById("imagetodem:predictdem")
    rows = []
    for name, image in images.items():
        context, feedback = QgsProcessingContext(), QgsProcessingFeedback(False)
        context.setProject(project)
        target = QgsProcessingOutputLayerDefinition(str(tmp_path / f"{name}_dem.tif"), project)
        target.destinationName = f"DEM of {name}"
        parameters = {"INPUT": str(image), "MODEL_FILE": str(tiny_model("red")), "OUTPUT": target}
        assert algorithm.checkParameterValues(parameters, context) == (True, "")
        task = QgsProcessingAlgRunnerTask(algorithm, parameters, context, feedback)
        ended: list[tuple[bool, dict[str, Any]]] = []
        task.executed.connect(lambda done, results, ended=ended: ended.append((done, results)))
        QgsApplication.taskManager().addTask(task)
        while not ended:
            settle()
        assert ended[0][0], feedback.textLog()
        rows.append((context, feedback, parameters, name, ended[0][1]))
    for context, feedback, parameters, _, _ in rows:
        assert handleAlgorithmResults(algorithm, context, feedback, parameters=parameters)
    settle()
    assert len(project.mapLayers()) == 6
    ranges = []
    for _, _, _, name, results in rows:
        heights = read_surface(tmp_path / f"{name}_dem.tif").heights
        assert results["MAXIMUM"] == np.nanmax(heights)
        assert_is_styled(project, f"DEM of {name}", heights)
        ranges.append(np.ptp(heights))
    # A pixel of the last image is three times as large as the others'.
    assert ranges[2] > 2 * max(ranges[:2])


def test_a_loaded_confidence_is_styled_too(tiny_model, project, tmp_path):
    import processing

    processing.runAndLoadResults(
        "imagetodem:predictdem",
        {
            "INPUT": str(write_image(tmp_path / "image.tif", colours(80, 90))),
            "MODEL_FILE": str(tiny_model("spread", outputs=["height", "log_scale"])),
            "OUTPUT": str(tmp_path / "dem.tif"),
            "CONFIDENCE": str(tmp_path / "confidence.tif"),
        },
    )
    settle()
    assert_is_styled(project, "DEM", read_surface(tmp_path / "dem.tif").heights)
    (confidence,) = project.mapLayersByName("Confidence")
    assert confidence.renderer().type() == "singlebandpseudocolor"
    assert not project.layerTreeRoot().findLayer(confidence.id()).isVisible()
