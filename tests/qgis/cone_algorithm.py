"""A provider with one algorithm, whose outputs are styled when Processing loads them."""

from __future__ import annotations

from pathlib import Path

from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingProvider,
)

from imagetodem_qgis.styling import style_on_load, write_confidence_style, write_style
from tests.qgis.styled_layers import cone, utm_dem


class ConeAlgorithm(QgsProcessingAlgorithm):
    """Writes a cone and its uncertainty, as a prediction would, and has both styled."""

    def name(self):
        return "cone"

    def displayName(self):
        return "Cone"

    def createInstance(self):
        return ConeAlgorithm()

    def initAlgorithm(self, configuration=None):
        number = QgsProcessingParameterNumber
        self.addParameter(number("SLOPE", "Slope", number.Type.Double, 0.4))
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
