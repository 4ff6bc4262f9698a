"""The plugin's entry points in QGIS: the Processing provider, the menu and the options page."""

from __future__ import annotations

from qgis.core import QgsApplication, QgsSettings
from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import QCoreApplication, QLocale, QTranslator
from qgis.PyQt.QtGui import QIcon
from qgis.PyQt.QtWidgets import QAction, QMenu

from imagetodem_qgis.icons import icon_file
from imagetodem_qgis.provider import ImageToDemProvider
from imagetodem_qgis.runtime.locations import PLUGIN_FOLDER
from imagetodem_qgis.settings_page import SettingsPageFactory

MENU = (
    ("predictdem", "Predict DEM…"),
    ("exportscene", "Export 3D scene…"),
    ("traingenerator", "Train generator…"),
    ("setupenvironment", "Set up machine-learning environment…"),
    ("environmentreport", "Machine-learning environment report…"),
)


class ImageToDemPlugin:
    """Registers what the plugin offers and takes it back; under ``qgis_process`` there is no interface."""

    def __init__(self, iface: QgisInterface | None) -> None:
        self.iface = iface
        self.provider: ImageToDemProvider | None = None
        self.menu: QMenu | None = None
        self.settings_page: SettingsPageFactory | None = None
        self.translator = _installed_translator()

    def initProcessing(self) -> None:
        """Register the provider; QGIS calls this alone where only Processing is wanted."""
        self.provider = ImageToDemProvider()
        QgsApplication.processingRegistry().addProvider(self.provider)

    def initGui(self) -> None:
        self.initProcessing()
        if self.iface is None:
            return
        self.menu = QMenu("Image to DEM")
        self.menu.setIcon(QIcon(str(icon_file())))
        for action in self._actions():
            self.menu.addAction(action)
        self.iface.rasterMenu().addMenu(self.menu)
        self.settings_page = SettingsPageFactory()
        self.iface.registerOptionsWidgetFactory(self.settings_page)

    def unload(self) -> None:
        if self.settings_page is not None:
            self.iface.unregisterOptionsWidgetFactory(self.settings_page)
            self.settings_page = None
        if self.menu is not None:
            self.iface.rasterMenu().removeAction(self.menu.menuAction())
            self.menu.deleteLater()
            self.menu = None
        if self.provider is not None:
            QgsApplication.processingRegistry().removeProvider(self.provider)
            self.provider = None
        if self.translator is not None:
            QCoreApplication.removeTranslator(self.translator)
            self.translator = None

    def _actions(self) -> list[QAction]:
        actions = []
        for name, text in MENU:
            translated = QCoreApplication.translate("ImageToDem", text)
            action = QAction(QIcon(str(icon_file(name))), translated, self.menu)
            action.setObjectName(f"imagetodem_{name}")
            action.triggered.connect(lambda checked=False, name=name: _open_dialog(name))
            actions.append(action)
        return actions


def _open_dialog(name: str) -> None:
    """Open the dialog of one of the provider's algorithms."""
    # QGIS's own Processing plugin may be loaded after this one, and may be off until it is asked for.
    import processing

    processing.execAlgorithmDialog(f"imagetodem:{name}", {})


def _installed_translator() -> QTranslator | None:
    """The translator of QGIS's language, where the plugin has that language."""
    settings = QgsSettings()
    overridden = settings.value("locale/overrideFlag", False, type=bool)
    language = settings.value("locale/userLocale", "", type=str) if overridden else ""
    translator = QTranslator()
    translations = PLUGIN_FOLDER / "resources" / "i18n"
    locale = QLocale(language or QLocale.system().name())
    if not translator.load(locale, "imagetodem", "_", str(translations)):
        return None
    QCoreApplication.installTranslator(translator)
    return translator
