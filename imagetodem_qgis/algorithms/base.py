"""What all algorithms of the provider share: their names, icons, texts and translation."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, ClassVar

from qgis.core import QgsProcessingAlgorithm, QgsProcessingContext
from qgis.PyQt.QtCore import QCoreApplication
from qgis.PyQt.QtGui import QIcon

from imagetodem_qgis.algorithms.inputs import Refusal
from imagetodem_qgis.icons import icon_file


class ImageToDemAlgorithm(QgsProcessingAlgorithm):
    """An algorithm described by class attributes; texts are written in English and translated when shown.

    Attributes:
        NAME: id within the provider; it never changes.
        DISPLAY_NAME: name in the toolbox.
        GROUP: name of the group in the toolbox; empty for the provider's top level.
        GROUP_ID: id of the group.
        TAGS: further words by which the toolbox's search finds the algorithm.
        SHORT_HELP: HTML of the dialog's help panel.
        SHORT_DESCRIPTION: one line, the tooltip in the toolbox.
    """

    NAME: ClassVar[str]
    DISPLAY_NAME: ClassVar[str]
    GROUP: ClassVar[str] = ""
    GROUP_ID: ClassVar[str] = ""
    TAGS: ClassVar[tuple[str, ...]] = ()
    SHORT_HELP: ClassVar[str]
    SHORT_DESCRIPTION: ClassVar[str] = ""

    def tr(self, text: str) -> str:
        """The text in QGIS's language, where the plugin has a translation."""
        return QCoreApplication.translate("ImageToDem", text)

    def createInstance(self) -> ImageToDemAlgorithm:
        return type(self)()

    def name(self) -> str:
        return self.NAME

    def displayName(self) -> str:
        return self.tr(self.DISPLAY_NAME)

    def group(self) -> str:
        return self.tr(self.GROUP) if self.GROUP else ""

    def groupId(self) -> str:
        return self.GROUP_ID

    def tags(self) -> list[str]:
        return [self.tr(tag) for tag in self.TAGS]

    def shortHelpString(self) -> str:
        return self.tr(self.SHORT_HELP)

    def shortDescription(self) -> str:
        return self.tr(self.SHORT_DESCRIPTION) if self.SHORT_DESCRIPTION else ""

    def checkParameterValues(
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> tuple[bool, str]:
        """Refuse inputs that cannot be used, and outputs in a format that the provider does not write; QGIS
        does the latter in its dialog alone."""
        for output in self.destinationParameterDefinitions():
            supported, problem = output.isSupportedOutputValue(parameters.get(output.name()), context)
            if not supported:
                return False, f"{output.description()} ({output.name()}): {problem}"
        accepted, message = super().checkParameterValues(parameters, context)
        if not accepted:
            return accepted, message
        try:
            with tempfile.TemporaryDirectory() as scratch:
                self.check_inputs(parameters, context, Path(scratch))
        except Refusal as refusal:
            return False, str(refusal)
        return True, ""

    def check_inputs(self, parameters: dict[str, Any], context: QgsProcessingContext, scratch: Path) -> None:
        """Look at what the parameters point to, before any long work; an algorithm without files has nothing
        to look at.

        Args:
            parameters: as QGIS gives them.
            context: likewise.
            scratch: an existing folder, gone afterwards.

        Raises:
            Refusal: something cannot be used.
        """

    def icon(self) -> QIcon:
        return QIcon(self.svgIconPath())

    def svgIconPath(self) -> str:
        return str(icon_file(self.NAME))
