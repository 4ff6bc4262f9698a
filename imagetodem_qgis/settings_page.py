"""The plugin's page in QGIS's options."""

from __future__ import annotations

from qgis.gui import QgsFileWidget, QgsOptionsPageWidget, QgsOptionsWidgetFactory
from qgis.PyQt.QtCore import QCoreApplication, Qt
from qgis.PyQt.QtGui import QIcon
from qgis.PyQt.QtWidgets import (
    QApplication,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from imagetodem_qgis.icons import icon_file
from imagetodem_qgis.runtime.interpreter import InterpreterError, find_interpreter
from imagetodem_qgis.runtime.locations import environment_folder
from imagetodem_qgis.runtime.settings import (
    earth_engine_key_file,
    earth_engine_project,
    python_setting,
    set_earth_engine_key_file,
    set_earth_engine_project,
    set_python_setting,
)
from imagetodem_qgis.worker.earthengine import advice


def _tr(text: str) -> str:
    return QCoreApplication.translate("ImageToDem", text)


class SettingsPageFactory(QgsOptionsWidgetFactory):
    """Makes the page when the options are opened."""

    def __init__(self) -> None:
        super().__init__()
        self.setTitle("Image to DEM")
        self.setIcon(QIcon(str(icon_file())))

    def icon(self) -> QIcon:
        return QIcon(str(icon_file()))

    def createWidget(self, parent: QWidget) -> SettingsPage:
        return SettingsPage(parent)


class SettingsPage(QgsOptionsPageWidget):
    """Names the Python interpreter that computes, and tells whether it can; names what Earth Engine is used
    with."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.interpreter = QgsFileWidget()
        self.interpreter.setStorageMode(QgsFileWidget.StorageMode.GetFile)
        self.interpreter.setDialogTitle(_tr("Python interpreter"))
        self.interpreter.lineEdit().setPlaceholderText(_tr("the environment that the plugin made"))
        self.interpreter.setFilePath(python_setting())
        self.interpreter.fileChanged.connect(self._forget_finding)
        self.check_button = QPushButton(_tr("Check"))
        self.check_button.clicked.connect(self.check)
        self.setup_button = QPushButton(_tr("Set up environment…"))
        self.setup_button.clicked.connect(_open_setup)
        self.finding = QLabel()
        self.finding.setWordWrap(True)
        self.finding.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.project = QLineEdit(earth_engine_project())
        self.project.setPlaceholderText("my-project-123")
        self.key_file = QgsFileWidget()
        self.key_file.setStorageMode(QgsFileWidget.StorageMode.GetFile)
        self.key_file.setDialogTitle(_tr("Key file of a service account"))
        self.key_file.setFilter(_tr("Keys (*.json)"))
        self.key_file.lineEdit().setPlaceholderText(_tr("your own sign-in"))
        self.key_file.setFilePath(earth_engine_key_file())
        self._lay_out()

    def check(self) -> None:
        """Try the interpreter that is entered, and say what it is."""
        QApplication.setOverrideCursor(Qt.CursorShape.WaitCursor)
        try:
            found = find_interpreter(self.interpreter.filePath().strip())
        except InterpreterError as error:
            self.finding.setText(str(error))
        else:
            version = ".".join(map(str, found.version))
            engines = ", ".join(f"{engine} {found.packages[engine]}".strip() for engine in found.engines)
            text = _tr("Python {version} ({source}) can predict with: {engines}.\n{path}")
            self.finding.setText(
                text.format(version=version, source=found.source, engines=engines, path=found.path)
            )
        finally:
            QApplication.restoreOverrideCursor()

    def apply(self) -> None:
        set_python_setting(self.interpreter.filePath().strip())
        set_earth_engine_project(self.project.text().strip())
        set_earth_engine_key_file(self.key_file.filePath().strip())

    def _forget_finding(self) -> None:
        self.finding.clear()

    def _lay_out(self) -> None:
        explanation = QLabel(
            _tr(
                "Predictions run in a Python of their own, never in QGIS's. Leave this empty to use the "
                "environment that 'Set up machine-learning environment' makes in {folder}."
            ).format(folder=environment_folder())
        )
        explanation.setWordWrap(True)
        row = QHBoxLayout()
        row.addWidget(self.interpreter, 1)
        row.addWidget(self.check_button)
        form = QFormLayout()
        form.addRow(_tr("Python interpreter"), row)
        layout = QVBoxLayout(self)
        layout.addWidget(explanation)
        layout.addLayout(form)
        layout.addWidget(self.finding)
        layout.addWidget(self.setup_button, 0, Qt.AlignmentFlag.AlignLeft)
        layout.addWidget(self._earth_engine())
        layout.addStretch(1)

    def _earth_engine(self) -> QGroupBox:
        explanation = QLabel(
            _tr(
                "For 'Fetch Sentinel-2 / AW3D30 pairs' from Earth Engine. A project is registered at "
                '<a href="{register}">{register}</a>. Of the key file only the path is kept.'
            ).format(register=advice.REGISTER)
        )
        explanation.setWordWrap(True)
        explanation.setOpenExternalLinks(True)
        group = QGroupBox(_tr("Earth Engine"))
        form = QFormLayout(group)
        form.addRow(explanation)
        form.addRow(_tr("Project"), self.project)
        form.addRow(_tr("Key file"), self.key_file)
        return group


def _open_setup() -> None:
    # QGIS's own Processing plugin may be loaded after this one.
    import processing

    processing.execAlgorithmDialog("imagetodem:setupenvironment", {})
