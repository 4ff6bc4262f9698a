"""Layers that Processing loads: hillshade over colour relief, each in its place in the layer tree."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

pytest.importorskip("qgis.core")

from qgis.core import (
    QgsApplication,
    QgsLayerTreeRegistryBridge,
    QgsProcessingAlgRunnerTask,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingModelAlgorithm,
    QgsProcessingModelChildAlgorithm,
    QgsProcessingModelOutput,
    QgsProcessingOutputLayerDefinition,
    QgsProject,
)
from qgis.PyQt.QtCore import QCoreApplication, QEventLoop

from imagetodem_qgis.styling import onload, style_on_load
from imagetodem_qgis.styling.colours import STANDARD_DEVIATION
from tests.qgis.cone_algorithm import ConeProvider
from tests.qgis.styled_layers import MULTIPLY, cone, open_layer, render, utm_dem

pytestmark = pytest.mark.usefixtures("qgis_app")


@pytest.fixture
def processing(qgis_app):
    """QGIS's Processing with the cone's algorithm, and an empty project before and after."""
    import processing
    from processing.core.Processing import Processing

    Processing.initialize()
    provider = ConeProvider()
    assert QgsApplication.processingRegistry().addProvider(provider)
    QgsProject.instance().clear()
    yield processing
    QgsProject.instance().clear()
    QgsApplication.processingRegistry().removeProvider(provider)


def outline(group) -> list:
    """Names in the layer tree from top to bottom; a group is a pair of its name and its own outline."""
    return [
        child.name() if hasattr(child, "layer") else (child.name(), outline(child))
        for child in group.children()
    ]


def tree() -> list:
    return outline(QgsProject.instance().layerTreeRoot())


def both(name: str) -> tuple:
    return (name, [f"{name} (hillshade)", name])


def settle() -> None:
    for _ in range(5):
        QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 50)


def context_that_loads(source: str) -> QgsProcessingContext:
    project = QgsProject.instance()
    context = QgsProcessingContext()
    context.setProject(project)
    context.addLayerToLoadOnCompletion(source, QgsProcessingContext.LayerDetails("dem", project, "OUTPUT"))
    return context


def assert_shows_both(project: QgsProject, name: str) -> None:
    hillshade, relief = (
        project.mapLayersByName(f"{name} (hillshade)")[0],
        project.mapLayersByName(name)[0],
    )
    assert hillshade.renderer().type() == "hillshade"
    assert hillshade.renderer().zFactor() == 1.0
    assert hillshade.blendMode() == MULTIPLY
    assert relief.renderer().type() == "singlebandpseudocolor"
    assert hillshade.source() == relief.source()
    root = project.layerTreeRoot()
    order = [layer.id() for layer in root.layerOrder() if root.findLayer(layer.id()).isVisible()]
    assert order.index(hillshade.id()) < order.index(relief.id())
    picture = render([hillshade, relief], relief.extent(), relief.crs())
    brightness, saturation = picture.mean(axis=2), np.ptp(picture, axis=2)
    assert brightness[60, 60] > brightness[140, 140] + 50
    assert saturation[20, 20] > 20


def test_a_loaded_dem_shows_hillshade_over_colour_relief(processing, tmp_path):
    result = processing.runAndLoadResults("styletest:cone", {"OUTPUT": str(tmp_path / "dem.tif")})
    settle()
    assert tree() == [both("Predicted DEM")]
    assert_shows_both(QgsProject.instance(), "Predicted DEM")
    relief = QgsProject.instance().mapLayersByName("Predicted DEM")[0]
    assert relief.source() == result["OUTPUT"]
    group = QgsProject.instance().layerTreeRoot().children()[0]
    assert group.isExpanded()
    assert [node.isExpanded() for node in group.children()] == [False, True]


def test_a_loaded_confidence_does_not_hide_the_dem(processing, tmp_path):
    processing.runAndLoadResults(
        "styletest:cone", {"OUTPUT": str(tmp_path / "dem.tif"), "CONFIDENCE": str(tmp_path / "sd.tif")}
    )
    settle()
    assert sorted(tree(), key=str) == sorted([both("Predicted DEM"), "Confidence"], key=str)
    confidence = QgsProject.instance().mapLayersByName("Confidence")[0]
    colours = confidence.renderer().shader().rasterShaderFunction().colorRampItemList()
    assert colours[-1].color.name() == STANDARD_DEVIATION[-1]
    assert not QgsProject.instance().layerTreeRoot().findLayer(confidence.id()).isVisible()
    assert_shows_both(QgsProject.instance(), "Predicted DEM")


def test_later_outputs_stay_out_of_a_selected_earlier_ones_group(processing, tmp_path):
    root = QgsProject.instance().layerTreeRoot()
    bridge = QgsProject.instance().layerTreeRegistryBridge()
    for number in range(3):
        parameters = {
            "OUTPUT": str(tmp_path / f"{number}.tif"),
            "CONFIDENCE": str(tmp_path / f"{number}_sd.tif"),
        }
        processing.runAndLoadResults("styletest:cone", parameters)
        settle()
        earlier = next(child for child in root.children() if not hasattr(child, "layer"))
        bridge.setLayerInsertionPoint(QgsLayerTreeRegistryBridge.InsertionPoint(earlier, 1))
    assert sorted(tree(), key=str) == sorted(3 * [both("Predicted DEM")] + 3 * ["Confidence"], key=str)
    assert len(QgsProject.instance().mapLayers()) == 9
    bridge.setLayerInsertionPoint(QgsLayerTreeRegistryBridge.InsertionPoint(root, 0))


def test_a_batch_from_background_threads_styles_each_with_its_own_range(processing, tmp_path):
    from processing.gui.Postprocessing import handleAlgorithmResults

    algorithm = QgsApplication.processingRegistry().createAlgorithmById("styletest:cone")
    kept = []
    for slope in (0.1, 0.2, 0.3):
        context, feedback = QgsProcessingContext(), QgsProcessingFeedback()
        context.setProject(QgsProject.instance())
        target = QgsProcessingOutputLayerDefinition(str(tmp_path / f"{slope}.tif"), QgsProject.instance())
        target.destinationName = f"Slope {slope}"
        parameters = {"SLOPE": slope, "OUTPUT": target}
        task = QgsProcessingAlgRunnerTask(algorithm, parameters, context, feedback)
        outcome = []
        task.executed.connect(lambda successful, results, outcome=outcome: outcome.append(successful))
        QgsApplication.taskManager().addTask(task)
        while not outcome:
            settle()
        assert outcome == [True]
        kept.append((context, feedback, parameters))
    gc.collect()
    for context, feedback, parameters in kept:
        assert handleAlgorithmResults(algorithm, context, feedback, parameters=parameters)
    settle()
    assert sorted(tree()) == [both(f"Slope {slope}") for slope in (0.1, 0.2, 0.3)]
    for slope in (0.1, 0.2, 0.3):
        renderer = QgsProject.instance().mapLayersByName(f"Slope {slope}")[0].renderer()
        assert renderer.classificationMin() == pytest.approx(np.percentile(cone(slope=slope), 2), abs=10)
    assert not onload._waiting


def test_the_final_output_of_a_model_is_styled(processing, tmp_path):
    model = QgsProcessingModelAlgorithm("Cones", "")
    child = QgsProcessingModelChildAlgorithm("styletest:cone")
    child.setChildId("cone")
    output = QgsProcessingModelOutput("Terrain")
    output.setChildId("cone")
    output.setChildOutputName("OUTPUT")
    child.setModelOutputs({"Terrain": output})
    model.addChildAlgorithm(child)
    model.updateDestinationParameters()
    processing.runAndLoadResults(model, {"cone:Terrain": str(tmp_path / "model.tif")})
    settle()
    (name,) = [name for name, _ in tree()]
    assert tree() == [both(name)]
    assert_shows_both(QgsProject.instance(), name)


def test_a_group_for_results_is_respected(processing, tmp_path):
    from processing.core.ProcessingConfig import ProcessingConfig

    ProcessingConfig.setSettingValue(ProcessingConfig.RESULTS_GROUP_NAME, "Results")
    try:
        processing.runAndLoadResults("styletest:cone", {"OUTPUT": str(tmp_path / "dem.tif")})
        settle()
    finally:
        ProcessingConfig.setSettingValue(ProcessingConfig.RESULTS_GROUP_NAME, "")
    assert tree() == [("Results", [both("Predicted DEM")])]


def test_nothing_is_kept_for_an_output_that_is_not_loaded(processing, tmp_path):
    processing.run("styletest:cone", {"OUTPUT": str(tmp_path / "dem.tif")})
    assert not onload._waiting
    assert tree() == []


@pytest.mark.parametrize("events_between", [False, True])
def test_a_node_that_comes_after_the_post_processor_is_arranged_too(processing, tmp_path, events_between):
    """As QGIS from about 3.30 on does it, where a progress bar may also run the event loop in between."""
    project = QgsProject.instance()
    layer = open_layer(utm_dem(tmp_path / "dem.tif", cone()))
    context = context_that_loads(layer.source())
    style_on_load(context, layer.source(), "dem")
    processor = context.layerToLoadOnCompletionDetails(layer.source()).postProcessor()
    project.addMapLayer(layer, False)
    processor.postProcessLayer(layer, context, QgsProcessingFeedback())
    finished = weakref.ref(processor)
    del processor, context
    gc.collect()
    assert layer.renderer().type() == "singlebandpseudocolor"
    if events_between:
        settle()
    project.layerTreeRoot().insertGroup(0, "Results").insertLayer(0, layer)
    settle()
    assert tree() == [("Results", [both("dem")])]
    gc.collect()
    assert not onload._waiting
    assert finished() is None


def test_a_layer_deleted_before_it_reached_the_tree_is_let_go(processing, tmp_path):
    project = QgsProject.instance()
    layer = open_layer(utm_dem(tmp_path / "dem.tif", cone()))
    context = context_that_loads(layer.source())
    project.addMapLayer(layer, False)
    onload.DemPostProcessor().postProcessLayer(layer, context, QgsProcessingFeedback())
    arrival = weakref.ref(layer.children()[-1])
    assert isinstance(arrival(), onload._Arrival)
    project.removeMapLayer(layer.id())
    settle()
    gc.collect()
    assert arrival() is None
    project.layerTreeRoot().insertGroup(0, "Other")
    settle()
    assert tree() == [("Other", [])]


def test_an_output_is_known_however_its_path_is_written(processing, tmp_path):
    context = context_that_loads(f"{tmp_path}/./dem.tif")
    style_on_load(context, tmp_path / "dem.tif", "dem")
    processor = context.layerToLoadOnCompletionDetails(f"{tmp_path}/./dem.tif").postProcessor()
    assert isinstance(processor, onload.DemPostProcessor)
    onload._waiting.clear()


def test_what_a_failed_run_left_goes_with_the_next_one(processing, tmp_path):
    failed = context_that_loads("a.tif")
    style_on_load(failed, "a.tif", "dem")
    assert len(onload._waiting) == 1
    del failed
    gc.collect()
    context = context_that_loads("b.tif")
    style_on_load(context, "b.tif", "confidence")
    assert [type(processor) for processor in onload._waiting] == [onload.ConfidencePostProcessor]
    onload._waiting.clear()


def test_a_saved_project_shows_both_again(processing, tmp_path):
    processing.runAndLoadResults("styletest:cone", {"OUTPUT": str(tmp_path / "dem.tif")})
    settle()
    assert QgsProject.instance().write(str(tmp_path / "project.qgz"))
    project = QgsProject()
    assert project.read(str(tmp_path / "project.qgz"))
    assert outline(project.layerTreeRoot()) == [both("Predicted DEM")]
    assert_shows_both(project, "Predicted DEM")
    assert project.layerTreeRoot().children()[0].customProperty(onload.RELIEF_GROUP)
