"""Export 3D scene."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsProject,
    QgsRasterLayer,
)
from qgis.PyQt.QtCore import QCoreApplication, QThread
from qgis.utils import iface

from imagetodem_qgis.algorithms.base import ImageToDemAlgorithm
from imagetodem_qgis.algorithms.inputs import Parameters, Refusal, advanced, check_destination, opened_image
from imagetodem_qgis.algorithms.listener import FeedbackListener
from imagetodem_qgis.prediction.request import Cancelled
from imagetodem_qgis.raster.grid import Grid
from imagetodem_qgis.raster.image import RasterError
from imagetodem_qgis.scene.description import SceneRequest
from imagetodem_qgis.scene.export import export_scene
from imagetodem_qgis.scene.overlap import window_over
from imagetodem_qgis.scene.terrain import SceneDem
from imagetodem_qgis.styling.mapview import show_in_map_view


class ExportSceneAlgorithm(ImageToDemAlgorithm):
    """Runs :func:`imagetodem_qgis.scene.export.export_scene` on QGIS's parameters."""

    NAME = "exportscene"
    DISPLAY_NAME = "Export 3D scene"
    TAGS = ("3d", "three.js", "webgl", "html", "view", "terrain", "gltf", "glb", "share", "perspective")
    SHORT_DESCRIPTION = "Writes a DEM and an image as one page that any browser shows in 3D"
    SHORT_HELP = (
        "Writes a DEM, with an image over it if you give one, as a single HTML file that any current "
        "browser shows in three dimensions: turn it, exaggerate its heights, move the sun, read heights "
        "under the pointer, compare it side by side with a second DEM, save a picture or a glTF model. The "
        "file holds all it needs and asks for nothing from the network: send it to whom you like.\n\n"
        "Heights are the DEM's own, to the millimetre. A large surface is drawn with as many triangles as "
        "TRIANGLES says, without cracks, and the page says how far they are from the heights.\n\n"
        "With MAP_VIEW, QGIS's own 3D map view opens too, with the DEM as its terrain."
    )

    DEM = "DEM"
    IMAGE = "IMAGE"
    REFERENCE = "REFERENCE"
    EXAGGERATION = "EXAGGERATION"
    TRIANGLES = "TRIANGLES"
    HEIGHTS = "HEIGHTS"
    MAP_VIEW = "MAP_VIEW"
    OUTPUT = "OUTPUT"
    DRAWN_TRIANGLES = "DRAWN_TRIANGLES"
    LARGEST_ERROR = "LARGEST_ERROR"
    MINIMUM = "MINIMUM"
    MAXIMUM = "MAXIMUM"

    HELP = {
        DEM: "The surface to show: the first band of any raster, with any coordinate system or none.",
        IMAGE: "An image to lay over it, with any coordinate system and resolution. Left empty, the surface "
        "is shown in the colours of its elevation.",
        REFERENCE: "A second DEM of the same place, such as the true one, to be shown beside the first.",
        EXAGGERATION: "How many times larger heights are drawn at first; the page has a slider. Left empty, "
        "low relief is exaggerated until it can be seen.",
        TRIANGLES: "Most triangles for a surface. More are finer and slower to draw; the shading shows all "
        "heights in any case.",
        HEIGHTS: "Most heights for a surface to keep in the page. A DEM with more pixels is averaged.",
        MAP_VIEW: "Open the DEM in a 3D map view of QGIS too, and make it the project's terrain.",
        OUTPUT: "A page of HTML. It holds all it needs.",
    }

    def __init__(self) -> None:
        super().__init__()
        self._terrain: tuple[str, str, float] | None = None

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        for parameter in self._parameters():
            parameter.setHelp(self.tr(self.HELP[parameter.name()]))
            self.addParameter(parameter)
        for name, text in (
            (self.DRAWN_TRIANGLES, "Triangles that draw the DEM"),
            (self.LARGEST_ERROR, "Largest distance of the triangles from the DEM"),
            (self.MINIMUM, "Least height"),
            (self.MAXIMUM, "Largest height"),
        ):
            self.addOutput(QgsProcessingOutputNumber(name, self.tr(text)))

    def _parameters(self) -> list[QgsProcessingParameterDefinition]:
        number, raster = QgsProcessingParameterNumber, QgsProcessingParameterRasterLayer
        exaggeration = number(
            self.EXAGGERATION, self.tr("Exaggeration of heights"), number.Double, None, True, 0.1, 50.0
        )
        triangles = number(
            self.TRIANGLES, self.tr("Most triangles"), number.Integer, 200_000, False, 2000, 4_000_000
        )
        heights = number(
            self.HEIGHTS, self.tr("Most heights"), number.Integer, 4_000_000, False, 10_000, 16_000_000
        )
        return [
            raster(self.DEM, self.tr("DEM")),
            raster(self.IMAGE, self.tr("Image"), None, True),
            raster(self.REFERENCE, self.tr("DEM to compare with"), None, True),
            exaggeration,
            advanced(triangles),
            advanced(heights),
            QgsProcessingParameterBoolean(self.MAP_VIEW, self.tr("Open in a 3D map view of QGIS"), False),
            QgsProcessingParameterFileDestination(self.OUTPUT, self.tr("3D scene"), "HTML files (*.html)"),
        ]

    def check_inputs(self, parameters: dict[str, Any], context: QgsProcessingContext, scratch: Path) -> None:
        self._request(parameters, context, Path())
        check_destination(self, parameters, self.OUTPUT, context, (".html", ".htm"))

    def processAlgorithm(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        output = self.parameterAsFileOutput(parameters, self.OUTPUT, context)
        try:
            result = export_scene(
                self._request(parameters, context, Path(output)), FeedbackListener(feedback)
            )
        except Cancelled:
            return {}
        except (Refusal, RasterError, OSError) as error:
            raise QgsProcessingException(str(error)) from error
        if self.parameterAsBoolean(parameters, self.MAP_VIEW, context):
            layer = self.parameterAsRasterLayer(parameters, self.DEM, context)
            self._terrain = (layer.source(), layer.name(), result.exaggeration)
        return {
            self.OUTPUT: output,
            self.DRAWN_TRIANGLES: result.triangles,
            self.LARGEST_ERROR: result.largest_error,
            self.MINIMUM: result.minimum,
            self.MAXIMUM: result.maximum,
        }

    def postProcessAlgorithm(
        self, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        if self._terrain is None:
            return {}
        # Processing calls this in the main thread, where a project may be changed and a window be opened; a
        # model calls it in its own.
        if QThread.currentThread() != QCoreApplication.instance().thread():
            feedback.pushWarning(
                self.tr("A model opens no 3D map view (MAP_VIEW): run 'Export 3D scene' on its DEM for that.")
            )
            return {}
        source, name, exaggeration = self._terrain
        project = context.project() or QgsProject.instance()
        show_in_map_view(project, QgsRasterLayer(source, name), exaggeration, iface, feedback.pushWarning)
        return {}

    def _request(self, parameters: Parameters, context: QgsProcessingContext, output: Path) -> SceneRequest:
        dem, dem_name = self._dem(parameters, self.DEM, context)
        reference, reference_name = None, ""
        if parameters.get(self.REFERENCE):
            reference, reference_name = self._dem(parameters, self.REFERENCE, context)
            self._check_overlap(self.REFERENCE, reference.grid, dem.grid)
        image = None
        if parameters.get(self.IMAGE):
            image = opened_image(self, parameters, self.IMAGE, "", context)
            self._check_overlap(self.IMAGE, image.grid, dem.grid)
        heights = self.parameterAsInt(parameters, self.HEIGHTS, context)
        try:
            dem.averaged(heights)
        except RasterError as error:
            raise Refusal(self.DEM, str(error)) from error
        crs = (
            QgsCoordinateReferenceSystem.fromWkt(dem.grid.crs)
            if dem.grid.crs
            else QgsCoordinateReferenceSystem()
        )
        exaggeration = self.parameterAsDouble(parameters, self.EXAGGERATION, context)
        return SceneRequest(
            dem=dem,
            dem_name=dem_name,
            reference=reference,
            reference_name=reference_name,
            image=image,
            exaggeration=exaggeration if parameters.get(self.EXAGGERATION) is not None else None,
            triangles=self.parameterAsInt(parameters, self.TRIANGLES, context),
            heights=heights,
            crs_name=crs.userFriendlyIdentifier() if crs.isValid() else "",
            is_geographic=crs.isGeographic(),
            output=output,
        )

    def _dem(self, parameters: Parameters, name: str, context: QgsProcessingContext) -> tuple[SceneDem, str]:
        layer = self.parameterAsRasterLayer(parameters, name, context)
        if layer is None or not layer.isValid():
            raise Refusal(name, f"{parameters.get(name)} cannot be opened as a raster")
        if layer.providerType() != "gdal":
            raise Refusal(
                name, f"{layer.name()} comes from '{layer.providerType()}': export it to a GeoTIFF first"
            )
        try:
            dem = SceneDem(layer.source())
            dem.probe()
        except RasterError as error:
            raise Refusal(name, str(error)) from error
        return dem, layer.name()

    def _check_overlap(self, name: str, grid: Grid, ground: Grid) -> None:
        if window_over(grid, ground).is_empty():
            raise Refusal(name, "it does not overlap the DEM: give a raster of the same place")
