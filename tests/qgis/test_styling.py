"""Hillshade over colour relief: what the layers, the rendered map and the style files show."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal

pytest.importorskip("qgis.core")

from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsLayerTreeRegistryBridge,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsProcessingAlgorithm,
    QgsProcessingAlgRunnerTask,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingModelAlgorithm,
    QgsProcessingModelChildAlgorithm,
    QgsProcessingModelOutput,
    QgsProcessingOutputLayerDefinition,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingProvider,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
)
from qgis.PyQt.QtCore import QCoreApplication, QEventLoop, QSize
from qgis.PyQt.QtGui import QColor, QImage, QPainter

from imagetodem_qgis.styling import onload, style_on_load, write_confidence_style, write_style
from imagetodem_qgis.styling.colours import ELEVATION, STANDARD_DEVIATION
from imagetodem_qgis.styling.light import light_for
from imagetodem_qgis.styling.renderers import apply_colour_relief, apply_hillshade

pytestmark = pytest.mark.usefixtures("qgis_app")

NODATA = -9999.0
UTM_33N = "EPSG:32633"
MULTIPLY = QPainter.CompositionMode.CompositionMode_Multiply


def write_raster(path: Path, heights: np.ndarray, crs: str, transform: tuple, unit: str = "m") -> Path:
    rows, columns = heights.shape
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), columns, rows, 1, gdal.GDT_Float32)
    if crs:
        dataset.SetProjection(QgsCoordinateReferenceSystem(crs).toWkt())
    dataset.SetGeoTransform(transform)
    dataset.GetRasterBand(1).SetNoDataValue(NODATA)
    dataset.GetRasterBand(1).SetUnitType(unit)
    dataset.GetRasterBand(1).WriteArray(heights)
    return path


def cone(size: int = 200, slope: float = 0.4, cell: float = 30.0) -> np.ndarray:
    """A cone's heights in metres, its top in the middle of a square raster."""
    offsets = (np.arange(size) + 0.5 - size / 2) * cell
    return (3000 - slope * np.hypot(*np.meshgrid(offsets, offsets))).astype(np.float32)


def utm_dem(path: Path, heights: np.ndarray) -> Path:
    return write_raster(path, heights, UTM_33N, (500000, 30, 0, 6700000, 0, -30))


def open_layer(path: Path, style_file: bool = False) -> QgsRasterLayer:
    options = QgsRasterLayer.LayerOptions(loadDefaultStyle=style_file)
    layer = QgsRasterLayer(str(path), path.stem, "gdal", options)
    assert layer.isValid()
    return layer


def render(
    layers: list, extent: QgsRectangle, crs: QgsCoordinateReferenceSystem, size: int = 200
) -> np.ndarray:
    """The map's pixels, (rows, columns, red-green-blue)."""
    settings = QgsMapSettings()
    settings.setLayers(layers)
    settings.setDestinationCrs(crs)
    settings.setExtent(extent)
    settings.setOutputSize(QSize(size, size))
    settings.setBackgroundColor(QColor("white"))
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    assert not job.errors()
    image = job.renderedImage().convertToFormat(QImage.Format.Format_RGBA8888)
    pixels = image.constBits().asstring(image.sizeInBytes())
    return np.frombuffer(pixels, np.uint8).reshape(size, size, 4)[..., :3].astype(float)


def lightness(colour: QColor) -> float:
    """CIE L* of an sRGB colour."""
    channels = np.array([colour.redF(), colour.greenF(), colour.blueF()])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ [0.2126, 0.7152, 0.0722])
    return 116 * luminance ** (1 / 3) - 16 if luminance > 0.008856 else 903.3 * luminance


# --- colours ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("colours", "direction"), [(ELEVATION, 1), (STANDARD_DEVIATION, -1)])
def test_ramps_run_evenly_in_lightness(colours, direction):
    steps = direction * np.diff([lightness(QColor(colour)) for colour in colours])
    assert steps.min() > 3
    assert steps.max() < 18


def test_colours_follow_height(tmp_path):
    heights = np.repeat(np.linspace(100, 700, 7, dtype=np.float32), 20)[None, :].repeat(140, axis=0)
    layer = open_layer(utm_dem(tmp_path / "steps.tif", heights))
    apply_colour_relief(layer, ELEVATION)
    picture = render([layer], layer.extent(), layer.crs(), 140)
    drawn = [picture[70, 10 + 20 * step] for step in range(7)]
    wanted = [QColor(colour).getRgb()[:3] for colour in ELEVATION]
    np.testing.assert_allclose(drawn, wanted, atol=2)


def test_spikes_and_nodata_leave_the_colours_to_the_rest(tmp_path):
    heights = np.random.default_rng(1).uniform(500, 600, (100, 100)).astype(np.float32)
    heights[:30] = NODATA
    heights[50, :20] = 9000
    layer = open_layer(utm_dem(tmp_path / "spikes.tif", heights))
    apply_colour_relief(layer, ELEVATION)
    shader = layer.renderer().shader().rasterShaderFunction()
    low, high = np.percentile(heights[30:], (2, 98))
    assert low - 1 <= shader.minimumValue() <= low
    assert high <= shader.maximumValue() <= high + 1
    assert layer.renderer().classificationMax() < 600
    assert shader.legendSettings().suffix() == " m"


@pytest.mark.parametrize(
    ("lowest", "highest", "low", "high"),
    [
        (1234.567, 2987.6, 1260, 2960),
        (-3.0, 61.8, -1.8, 60.6),
        (0.01234, 0.05432, 0.0131, 0.0535),
        (870037, 910037, 870800, 909300),
    ],
)
def test_the_legend_prints_round_numbers(tmp_path, lowest, highest, low, high):
    heights = np.linspace(lowest, highest, 10000, dtype=np.float64).reshape(100, 100)
    layer = open_layer(utm_dem(tmp_path / "dem.tif", heights))
    apply_colour_relief(layer, ELEVATION)
    ends = layer.renderer().classificationMin(), layer.renderer().classificationMax()
    assert ends == pytest.approx((low, high), rel=1e-9)


@pytest.mark.parametrize(
    ("heights", "low", "high"),
    [
        (np.full((40, 30), 250, np.float32), 249.5, 250.5),
        (np.full((1, 1), -7, np.float32), -7.5, -6.5),
        (np.full((8, 8), NODATA, np.float32), 0.0, 1.0),
        (np.full((8, 8), np.nan, np.float32), 0.0, 1.0),
    ],
)
def test_a_raster_without_relief_has_a_range(tmp_path, heights, low, high):
    layer = open_layer(utm_dem(tmp_path / "flat.tif", heights))
    apply_colour_relief(layer, ELEVATION)
    assert (layer.renderer().classificationMin(), layer.renderer().classificationMax()) == (low, high)


def test_legend_names_the_rasters_own_unit(tmp_path):
    layer = open_layer(write_raster(tmp_path / "p.tif", cone(20), "", (0, 1, 0, 0, 0, -1), unit="pixel"))
    apply_colour_relief(layer, ELEVATION)
    assert layer.renderer().shader().rasterShaderFunction().legendSettings().suffix() == " pixel"


# --- light --------------------------------------------------------------------------------------------------


def light_at(crs: str, x: float, y: float, half: float):
    return light_for(QgsCoordinateReferenceSystem(crs), QgsRectangle(x - half, y - half, x + half, y + half))


def test_projected_metres_need_no_factor():
    light = light_at(UTM_33N, 500000, 5200000, 3000)
    assert (light.z_factor, light.azimuth) == (1.0, 315.0)


def test_no_reference_system_counts_pixels():
    light = light_at("", 50, -50, 50)
    assert (light.z_factor, light.azimuth) == (1.0, 315.0)


def test_feet_and_web_mercator_are_brought_to_metres_on_the_ground():
    assert light_at("EPSG:2263", 990000, 200000, 5000).z_factor == pytest.approx(1 / 0.3048, rel=5e-3)
    northern = light_at("EPSG:3857", 1500000, 8399737.9, 5000)
    assert northern.z_factor == pytest.approx(2.0, rel=5e-3)
    assert northern.azimuth == pytest.approx(315, abs=0.2)


def test_degrees_at_the_equator_and_at_sixty_north():
    equator = light_at("EPSG:4326", 15, 0, 0.05)
    assert equator.z_factor == pytest.approx(1 / 111000, rel=5e-3)
    assert equator.azimuth == pytest.approx(315, abs=0.3)
    northern = light_at("EPSG:4326", 15, 60, 0.05)
    per_x, per_y = 55800.0, 111412.0
    assert northern.z_factor == pytest.approx(np.hypot(np.sqrt(0.5) / per_x, np.sqrt(0.5) / per_y), rel=2e-3)
    assert northern.azimuth == pytest.approx(360 - np.degrees(np.arctan(per_y / per_x)), abs=0.2)


def test_a_body_that_is_not_the_earth_has_its_own_degrees():
    moon = QgsCoordinateReferenceSystem.fromProj("+proj=longlat +R=1737400 +no_defs")
    light = light_for(moon, QgsRectangle(-0.1, -0.1, 0.1, 0.1))
    assert light.z_factor == pytest.approx(360 / (2 * np.pi * 1737400), rel=5e-3)


def test_an_extent_that_cannot_be_measured_falls_back_on_units():
    light = light_at(UTM_33N, 1e12, 1e12, 1e6)
    assert (light.z_factor, light.azimuth) == (1.0, 315.0)


def hilly(east: np.ndarray, north: np.ndarray) -> np.ndarray:
    """Heights in metres of rolling hills with slopes up to about 25 degrees, in UTM metres."""
    waves = np.sin(east / 350) * np.cos(north / 420) + 0.6 * np.sin((east + 1.7 * north) / 610)
    return (900 + 110 * waves).astype(np.float32)


def test_the_same_terrain_looks_the_same_in_degrees_feet_and_metres(tmp_path):
    """At 60 degrees north, where a degree of longitude is half one of latitude."""
    utm = QgsCoordinateReferenceSystem(UTM_33N)
    context = QgsProject.instance().transformContext()
    middle = QgsCoordinateTransform(QgsCoordinateReferenceSystem("EPSG:4326"), utm, context).transform(
        15.0, 60.0
    )
    frame = QgsRectangle(middle.x() - 2500, middle.y() - 2500, middle.x() + 2500, middle.y() + 2500)

    def shade(name: str, crs: str, cell_x: float, cell_y: float) -> np.ndarray:
        system = (
            QgsCoordinateReferenceSystem(crs)
            if "+" not in crs
            else QgsCoordinateReferenceSystem.fromProj(crs)
        )
        box = QgsCoordinateTransform(utm, system, context).transformBoundingBox(frame.buffered(200))
        columns, rows = int(box.width() / cell_x), int(box.height() / cell_y)
        to_utm = QgsCoordinateTransform(system, utm, context)
        heights = np.empty((rows, columns), np.float32)
        for row in range(rows):
            y = box.yMaximum() - (row + 0.5) * cell_y
            points = [to_utm.transform(box.xMinimum() + (c + 0.5) * cell_x, y) for c in range(columns)]
            heights[row] = hilly(np.array([p.x() for p in points]), np.array([p.y() for p in points]))
        path = tmp_path / f"{name}.tif"
        write_raster(path, heights, UTM_33N, (box.xMinimum(), cell_x, 0, box.yMaximum(), 0, -cell_y))
        dataset = gdal.Open(str(path), gdal.GA_Update)
        dataset.SetProjection(system.toWkt())
        del dataset
        layer = open_layer(path)
        apply_hillshade(layer)
        layer.brightnessFilter().setGamma(1.0)
        return render([layer], frame, utm)[..., 0]

    metres = shade("metres", UTM_33N, 25, 25)
    degrees = shade("degrees", "EPSG:4326", 0.00045, 0.000225)
    feet = shade("feet", "+proj=utm +zone=33 +datum=WGS84 +units=us-ft", 82, 82)
    mercator = shade("mercator", "EPSG:3857", 50, 50)
    assert metres.std() > 25
    assert np.abs(degrees - metres).mean() < 5
    assert np.abs(feet - metres).mean() < 3
    assert np.abs(mercator - metres).mean() < 3


def test_slopes_to_the_north_west_are_the_brighter_ones(tmp_path):
    layers = [open_layer(utm_dem(tmp_path / "cone.tif", cone())) for _ in range(2)]
    apply_hillshade(layers[0])
    apply_colour_relief(layers[1], ELEVATION)
    picture = render(layers, layers[0].extent(), layers[0].crs()).mean(axis=2)
    north_west, south_east = picture[60, 60], picture[140, 140]
    assert north_west > south_east + 60
    relief_alone = render(layers[1:], layers[1].extent(), layers[1].crs()).mean(axis=2)
    assert relief_alone[60, 60] == pytest.approx(relief_alone[140, 140], abs=3)


# --- style files --------------------------------------------------------------------------------------------


def test_a_dem_opens_with_the_style_beside_it(tmp_path):
    dem = utm_dem(tmp_path / "dem.tif", cone())
    assert write_style(dem) == tmp_path / "dem.qml"
    layer = open_layer(dem, style_file=True)
    assert layer.renderer().type() == "singlebandpseudocolor"
    low, high = np.percentile(cone(), (2, 98))
    assert layer.renderer().classificationMin() == pytest.approx(low, abs=10)
    assert layer.renderer().classificationMax() == pytest.approx(high, abs=10)
    styled = open_layer(dem)
    apply_colour_relief(styled, ELEVATION)
    np.testing.assert_array_equal(
        render([layer], layer.extent(), layer.crs()), render([styled], styled.extent(), styled.crs())
    )


def test_a_named_style_applies_to_a_layer_that_had_another(tmp_path):
    dem = utm_dem(tmp_path / "dem.tif", cone())
    style = write_confidence_style(dem)
    layer = open_layer(dem)
    apply_hillshade(layer)
    message, loaded = layer.loadNamedStyle(str(style))
    assert loaded, message
    colours = [
        item.color.name() for item in layer.renderer().shader().rasterShaderFunction().colorRampItemList()
    ]
    assert (colours[0], colours[-1]) == (STANDARD_DEVIATION[0], STANDARD_DEVIATION[-1])
    assert layer.blendMode() != MULTIPLY


def test_a_style_file_leaves_nothing_else_and_no_path(tmp_path):
    dem = utm_dem(tmp_path / "dem.tif", cone())
    style = write_style(dem)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dem.qml", "dem.tif"]
    assert str(tmp_path) not in style.read_text(encoding="utf-8")


def test_statistics_that_were_there_stay(tmp_path):
    dem = utm_dem(tmp_path / "dem.tif", cone())
    (tmp_path / "dem.tif.aux.xml").write_text("<PAMDataset></PAMDataset>", encoding="utf-8")
    write_style(dem)
    assert (tmp_path / "dem.tif.aux.xml").exists()


def test_a_style_for_no_raster_is_an_error_with_its_path(tmp_path):
    with pytest.raises(OSError, match=r"absent\.tif"):
        write_style(tmp_path / "absent.tif")


# --- layers that Processing loads ---------------------------------------------------------------------------


class ConeAlgorithm(QgsProcessingAlgorithm):
    """Writes a cone and its uncertainty, as a prediction would, and has both styled."""

    def name(self):
        return "cone"

    def displayName(self):
        return "Cone"

    def createInstance(self):
        return ConeAlgorithm()

    def initAlgorithm(self, configuration=None):
        self.addParameter(QgsProcessingParameterNumber("SLOPE", "Slope", defaultValue=0.4, type=1))
        self.addParameter(QgsProcessingParameterRasterDestination("OUTPUT", "Predicted DEM"))
        self.addParameter(
            QgsProcessingParameterRasterDestination(
                "CONFIDENCE", "Confidence", optional=True, createByDefault=False
            )
        )

    def processAlgorithm(self, parameters, context, feedback):
        slope = self.parameterAsDouble(parameters, "SLOPE", context)
        results = {"OUTPUT": self.parameterAsOutputLayer(parameters, "OUTPUT", context)}
        write_style(utm_dem(Path(results["OUTPUT"]), cone(slope=slope)))
        style_on_load(context, results["OUTPUT"], "dem")
        confidence = self.parameterAsOutputLayer(parameters, "CONFIDENCE", context)
        if confidence:
            results["CONFIDENCE"] = confidence
            write_confidence_style(utm_dem(Path(confidence), cone(slope=0.01)))
            style_on_load(context, confidence, "confidence")
        return results


class ConeProvider(QgsProcessingProvider):
    def id(self):
        return "styletest"

    def name(self):
        return "Style test"

    def loadAlgorithms(self):
        self.addAlgorithm(ConeAlgorithm())


@pytest.fixture
def processing(qgis_app):
    """QGIS's Processing with the algorithm above, and an empty project before and after."""
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


def test_a_style_file_is_written_from_any_thread(tmp_path):
    dem = utm_dem(tmp_path / "dem.tif", cone())
    with ThreadPoolExecutor(max_workers=1) as pool:
        style = pool.submit(write_style, dem).result()
    assert style == tmp_path / "dem.qml"
    assert open_layer(dem, style_file=True).renderer().type() == "singlebandpseudocolor"
