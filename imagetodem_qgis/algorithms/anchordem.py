"""Anchor DEM to known heights."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsFeatureSink,
    QgsField,
    QgsFields,
    QgsGeometry,
    QgsPointXY,
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingUtils,
    QgsWkbTypes,
)
from qgis.PyQt.QtCore import QVariant

from imagetodem_qgis.algorithms.base import ImageToDemAlgorithm
from imagetodem_qgis.algorithms.inputs import Parameters, Refusal, check_destination
from imagetodem_qgis.algorithms.known_heights import (
    CONTROL_POINTS,
    HELP,
    REFERENCE,
    known_height_parameters,
    known_heights,
)
from imagetodem_qgis.algorithms.listener import FeedbackListener
from imagetodem_qgis.anchoring.anchor_dem import (
    LOW_FREQUENCIES,
    AnchorRequest,
    AnchorResult,
    PointResidual,
    anchor_dem,
)
from imagetodem_qgis.anchoring.control_points import ControlPoints, on_grid
from imagetodem_qgis.core.levelling import LEAST_PLACES, PLANE, SHIFT, SHIFT_AND_SCALE
from imagetodem_qgis.prediction.request import Cancelled
from imagetodem_qgis.raster.dem import Dem
from imagetodem_qgis.raster.errors import RasterError
from imagetodem_qgis.styling.onload import style_on_load
from imagetodem_qgis.styling.stylefile import write_style

_METHODS = (SHIFT, PLANE, SHIFT_AND_SCALE, LOW_FREQUENCIES)
_TOLD_POINTS = 100


class AnchorDemAlgorithm(ImageToDemAlgorithm):
    """Runs :func:`imagetodem_qgis.anchoring.anchor_dem.anchor_dem` on QGIS's parameters."""

    NAME = "anchordem"
    DISPLAY_NAME = "Anchor DEM to known heights"
    TAGS = (
        "elevation",
        "height",
        "dem",
        "datum",
        "shift",
        "level",
        "control points",
        "gcp",
        "reference",
        "tilt",
    )
    SHORT_DESCRIPTION = "Brings a DEM to the heights of a reference DEM or of control points"
    SHORT_HELP = (
        "Brings an existing DEM, such as a predicted one whose heights are relative, to known heights: those "
        "of a reference DEM of any reference system and resolution, or those of control points.\n\n"
        "'shift' adds one number. 'plane' also takes a tilt away. 'shift and scale' also stretches the "
        "heights, as the heights of a model without a unit need it. 'low-frequency replacement' takes all "
        "forms that the reference shows from the reference and keeps the DEM's finer ones; with points it "
        "bends the DEM smoothly through all of them.\n\n"
        "The first three do not mind a few wrong heights. What is left at each point is told in the log."
    )

    DEM = "DEM"
    METHOD = "METHOD"
    OUTPUT = "OUTPUT"
    RESIDUALS = "RESIDUALS"
    RESIDUAL_RMSE = "RESIDUAL_RMSE"

    HELP = {
        **HELP,
        DEM: "The DEM to anchor: the first band of any raster with a reference system, in metres, or in feet "
        "where its file says so.",
        METHOD: "What is changed; see above.",
        OUTPUT: "A Float32 GeoTIFF in metres.",
        RESIDUALS: "The control points on the DEM with their known height, and the DEM's difference from it "
        "before and after. For the low-frequency replacement, which goes through all points, the difference "
        "after is what it would be without the point.",
    }

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        for parameter in self._parameters():
            parameter.setHelp(self.tr(self.HELP[parameter.name()]))
            self.addParameter(parameter)
        residual = QgsProcessingOutputNumber(self.RESIDUAL_RMSE, self.tr("Root mean square of what is left"))
        self.addOutput(residual)

    def _parameters(self) -> list[QgsProcessingParameterDefinition]:
        point = QgsProcessing.TypeVectorPoint
        return [
            QgsProcessingParameterRasterLayer(self.DEM, self.tr("DEM")),
            *known_height_parameters(self.tr),
            QgsProcessingParameterEnum(
                self.METHOD, self.tr("Method"), _METHODS, False, LOW_FREQUENCIES, False, True
            ),
            QgsProcessingParameterRasterDestination(self.OUTPUT, self.tr("Anchored DEM")),
            QgsProcessingParameterFeatureSink(self.RESIDUALS, self.tr("Residuals"), point, None, True, False),
        ]

    def check_inputs(self, parameters: Parameters, context: QgsProcessingContext, scratch: Path) -> None:
        request = self._request(parameters, context, Path(), scratch)
        least = LEAST_PLACES.get(request.method, 1)
        if isinstance(request.known, ControlPoints):
            count = len(on_grid(request.known.places, request.dem.grid))
            if count < least:
                raise Refusal(
                    self.METHOD, f"'{request.method}' takes {least} points on the DEM or more, not {count}"
                )
        elif parameters.get(self.RESIDUALS):
            raise Refusal(self.RESIDUALS, "there are residuals at control points only: leave it empty")
        check_destination(self, parameters, self.OUTPUT, context)

    def processAlgorithm(
        self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        output = Path(self.parameterAsOutputLayer(parameters, self.OUTPUT, context))
        with tempfile.TemporaryDirectory(dir=QgsProcessingUtils.tempFolder()) as scratch:
            try:
                request = self._request(parameters, context, output, Path(scratch))
                result = anchor_dem(request, FeedbackListener(feedback))
                write_style(output)
            except Cancelled:
                return {}
            except ValueError as error:
                # Both a raster that cannot be used and points that do not decide the method are one.
                raise QgsProcessingException(str(error)) from error
            except OSError as error:
                raise QgsProcessingException(str(error)) from error
        style_on_load(context, str(output), "dem")
        _tell(result, feedback)
        written: dict[str, Any] = {self.OUTPUT: str(output), self.RESIDUAL_RMSE: result.residual_rmse}
        if parameters.get(self.RESIDUALS):
            written[self.RESIDUALS] = self._write(result.residuals, request.dem, parameters, context)
        return written

    def _request(
        self, parameters: Parameters, context: QgsProcessingContext, output: Path, scratch: Path
    ) -> AnchorRequest:
        layer = self.parameterAsRasterLayer(parameters, self.DEM, context)
        if layer is not None and layer.isValid() and layer.providerType() != "gdal":
            raise Refusal(
                self.DEM, f"{layer.name()} comes from '{layer.providerType()}': export it to a GeoTIFF first"
            )
        try:
            dem = Dem(layer.source() if layer is not None else str(parameters.get(self.DEM)))
            dem.probe()
        except RasterError as error:
            raise Refusal(self.DEM, str(error)) from error
        known = known_heights(self, parameters, context, dem.grid, scratch)
        if known is None:
            raise Refusal(REFERENCE, f"give a reference DEM, or control points ({CONTROL_POINTS})")
        method = self.parameterAsEnumString(parameters, self.METHOD, context)
        return AnchorRequest(dem, known, method, output, scratch)

    def _write(
        self, residuals: list[PointResidual], dem: Dem, parameters: Parameters, context: QgsProcessingContext
    ) -> str:
        fields = QgsFields()
        for name in ("known", "before", "after"):
            fields.append(QgsField(name, QVariant.Double))
        crs = QgsCoordinateReferenceSystem.fromWkt(dem.grid.crs)
        sink, name = self.parameterAsSink(parameters, self.RESIDUALS, context, fields, QgsWkbTypes.Point, crs)
        for residual in residuals:
            feature = QgsFeature(fields)
            feature.setGeometry(QgsGeometry.fromPointXY(QgsPointXY(*residual.place)))
            feature.setAttributes([residual.known, residual.before, residual.after])
            if not sink.addFeature(feature, QgsFeatureSink.Flag.FastInsert):
                raise QgsProcessingException(f"{self.RESIDUALS}: {sink.lastError()}")
        return str(name)


def _tell(result: AnchorResult, feedback: QgsProcessingFeedback) -> None:
    for residual in result.residuals[:_TOLD_POINTS]:
        x, y = residual.place
        feedback.pushInfo(
            f"Point at {x:.6g}, {y:.6g}: known {residual.known:.2f} m, off by {residual.before:+.2f} m "
            f"before and {residual.after:+.2f} m after."
        )
    if len(result.residuals) > _TOLD_POINTS:
        feedback.pushInfo(f"… and {len(result.residuals) - _TOLD_POINTS} more.")
    feedback.pushInfo(f"Root mean square of what is left: {result.residual_rmse:.3f} m.")
