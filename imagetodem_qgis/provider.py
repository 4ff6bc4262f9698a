"""The Processing provider ``imagetodem``."""

from __future__ import annotations

from qgis.core import QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from imagetodem_qgis.algorithms.environmentreport import EnvironmentReportAlgorithm
from imagetodem_qgis.algorithms.predictdem import PredictDemAlgorithm
from imagetodem_qgis.algorithms.setupenvironment import SetUpEnvironmentAlgorithm
from imagetodem_qgis.algorithms.traingenerator import TrainGeneratorAlgorithm
from imagetodem_qgis.icons import icon_file

ALGORITHMS = (
    PredictDemAlgorithm,
    TrainGeneratorAlgorithm,
    SetUpEnvironmentAlgorithm,
    EnvironmentReportAlgorithm,
)


class ImageToDemProvider(QgsProcessingProvider):
    """The plugin's algorithms in the toolbox, the modeler and ``qgis_process``."""

    def id(self) -> str:
        return "imagetodem"

    def name(self) -> str:
        return "Image to DEM"

    def icon(self) -> QIcon:
        return QIcon(self.svgIconPath())

    def svgIconPath(self) -> str:
        return str(icon_file())

    def loadAlgorithms(self) -> None:
        for algorithm in ALGORITHMS:
            self.addAlgorithm(algorithm())

    def supportedOutputRasterLayerExtensions(self) -> list[str]:
        """GeoTIFF alone: a DEM carries its unit, recipe and overviews. The rest is refused by name."""
        return ["tif"]

    def defaultRasterFileExtension(self, hasAuthority: bool = False) -> str:
        return "tif"
