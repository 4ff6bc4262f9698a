"""The graphical models that come with the plugin, as algorithms of its provider."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import QgsProcessingContext, QgsProcessingFeedback, QgsProcessingModelAlgorithm
from qgis.PyQt.QtCore import QCoreApplication
from qgis.PyQt.QtGui import QIcon

from imagetodem_qgis.icons import icon_file
from imagetodem_qgis.runtime.locations import PLUGIN_FOLDER

MODELS_FOLDER = PLUGIN_FOLDER / "resources" / "models"
"""One ``<id>.model3`` each; QGIS's model designer opens them."""


class ReadyModel(QgsProcessingModelAlgorithm):
    """A model whose id is its file's name; QGIS itself would make its title the id.

    Args:
        path: of the ``.model3`` file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self.is_whole = self.fromFile(str(path)) and all(
            child.algorithm() is not None for child in self.childAlgorithms().values()
        )

    def createInstance(self) -> ReadyModel:
        return ReadyModel(self._path)

    def processAlgorithm(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        # Of a parameter that is not given, a model hands nothing on: its algorithms would take defaults of
        # their own.
        defaults = {
            parameter.name(): parameter.defaultValue()
            for parameter in self.parameterDefinitions()
            if not parameter.isDestination() and parameter.defaultValue() is not None
        }
        return super().processAlgorithm({**defaults, **parameters}, context, feedback)

    def name(self) -> str:
        return self._path.stem

    def displayName(self) -> str:
        return QCoreApplication.translate("ImageToDem", super().displayName())

    def shortDescription(self) -> str:
        return QCoreApplication.translate("ImageToDem", str(self.helpContent().get("ALG_DESC", "")))

    def tags(self) -> list[str]:
        return [*super().tags(), "model", "workflow", "chain"]

    def icon(self) -> QIcon:
        return QIcon(self.svgIconPath())

    def svgIconPath(self) -> str:
        return str(icon_file("readymodels"))


def ready_models() -> list[ReadyModel]:
    """The models all of whose algorithms QGIS knows by now."""
    models = [ReadyModel(path) for path in sorted(MODELS_FOLDER.glob("*.model3"))]
    return [model for model in models if model.is_whole]
