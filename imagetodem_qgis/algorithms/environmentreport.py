"""Machine-learning environment report."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from qgis.core import (
    Qgis,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputBoolean,
    QgsProcessingParameterFileDestination,
)

from imagetodem_qgis.algorithms.base import ImageToDemAlgorithm
from imagetodem_qgis.runtime.child import ChildCancelled
from imagetodem_qgis.runtime.locations import PLUGIN_FOLDER, environment_folder
from imagetodem_qgis.runtime.report import make_report
from imagetodem_qgis.runtime.report_page import report_lines, report_page
from imagetodem_qgis.runtime.settings import python_setting
from imagetodem_qgis.runtime.setup_log import setup_log_file


class EnvironmentReportAlgorithm(ImageToDemAlgorithm):
    """Says which interpreter, engines and graphics cards were found, and what to do next."""

    NAME = "environmentreport"
    DISPLAY_NAME = "Machine-learning environment report"
    GROUP = "Environment"
    GROUP_ID = "environment"
    TAGS = ("python", "gpu", "cuda", "directml", "diagnose", "check", "version", "onnxruntime", "tensorflow")
    SHORT_DESCRIPTION = "Says what Predict DEM would run with, and what to do where it cannot."
    SHORT_HELP = (
        "<p>Says which Python interpreter this plugin would use and why, which engines and versions it "
        "holds, which graphics cards they can use, and what to do next. It changes nothing.</p>"
        "<p>Attach its page when you report a problem.</p>"
    )

    REPORT = "REPORT"
    READY = "READY"

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        report = QgsProcessingParameterFileDestination(
            self.REPORT,
            self.tr("Report"),
            fileFilter=self.tr("HTML files (*.html)"),
            optional=True,
            createByDefault=True,
        )
        report.setHelp(self.tr("Page of HTML to write. Its summary is in the log as well."))
        self.addParameter(report)
        self.addOutput(QgsProcessingOutputBoolean(self.READY, self.tr("Whether a DEM can be predicted")))

    def processAlgorithm(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        try:
            report = make_report(python_setting(), feedback.isCanceled)
        except ChildCancelled:
            return {}
        for line in report_lines(report):
            feedback.pushInfo(line)
        results: dict[str, Any] = {self.READY: report.ready}
        file = self.parameterAsFileOutput(parameters, self.REPORT, context)
        if file:
            try:
                Path(file).write_text(report_page(report, _system()), encoding="utf-8")
            except OSError as error:
                raise QgsProcessingException(f"REPORT: {file} cannot be written: {error.strerror}") from error
            results[self.REPORT] = file
        return results


def _system() -> dict[str, str]:
    return {
        "System": platform.platform(),
        "Processor": f"{platform.machine()} {platform.processor()}".strip(),
        "QGIS": Qgis.version() if hasattr(Qgis, "version") else Qgis.QGIS_VERSION,
        "Python in QGIS": platform.python_version(),
        "Plugin": str(PLUGIN_FOLDER),
        "Environment's folder": str(environment_folder()),
        "Log of the last set-up": str(setup_log_file()),
    }
