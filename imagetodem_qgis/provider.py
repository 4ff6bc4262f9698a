"""The Processing provider ``imagetodem``."""

from __future__ import annotations

from qgis.core import QgsApplication, QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from imagetodem_qgis.algorithms.anchordem import AnchorDemAlgorithm
from imagetodem_qgis.algorithms.environmentreport import EnvironmentReportAlgorithm
from imagetodem_qgis.algorithms.evaluatedem import EvaluateDemAlgorithm
from imagetodem_qgis.algorithms.exportscene import ExportSceneAlgorithm
from imagetodem_qgis.algorithms.fetchpairs import FetchPairsAlgorithm
from imagetodem_qgis.algorithms.pairsfromrasters import PairsFromRastersAlgorithm
from imagetodem_qgis.algorithms.perlindem import PerlinDemAlgorithm
from imagetodem_qgis.algorithms.predictdem import PredictDemAlgorithm
from imagetodem_qgis.algorithms.predictimage import PredictImageAlgorithm
from imagetodem_qgis.algorithms.readymodels import ready_models
from imagetodem_qgis.algorithms.setupenvironment import SetUpEnvironmentAlgorithm
from imagetodem_qgis.algorithms.traingenerator import TrainGeneratorAlgorithm
from imagetodem_qgis.icons import icon_file

ALGORITHMS = (
    PredictDemAlgorithm,
    AnchorDemAlgorithm,
    EvaluateDemAlgorithm,
    ExportSceneAlgorithm,
    FetchPairsAlgorithm,
    PairsFromRastersAlgorithm,
    TrainGeneratorAlgorithm,
    PerlinDemAlgorithm,
    PredictImageAlgorithm,
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

    def load(self) -> bool:
        registry = QgsApplication.processingRegistry()
        if registry.providerById(self.id()) is None:
            registry.providerAdded.connect(self._add_models)
        return super().load()

    def loadAlgorithms(self) -> None:
        for algorithm in ALGORITHMS:
            self.addAlgorithm(algorithm())
        for model in ready_models():
            self.addAlgorithm(model)

    def _add_models(self, provider: str) -> None:
        """Load anew once QGIS knows the provider: a model finds its algorithms by the registry alone."""
        if provider == self.id():
            QgsApplication.processingRegistry().providerAdded.disconnect(self._add_models)
            self.refreshAlgorithms()

    def supportedOutputRasterLayerExtensions(self) -> list[str]:
        """GeoTIFF alone: a DEM carries its unit, recipe and overviews. The rest is refused by name."""
        return ["tif"]

    def defaultRasterFileExtension(self, hasAuthority: bool = False) -> str:
        return "tif"
