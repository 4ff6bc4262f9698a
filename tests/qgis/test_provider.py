"""The provider, what its algorithms have in common, and the plugin that registers it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("qgis.core")

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingOutputLayerDefinition,
    QgsProcessingParameterRasterDestination,
    QgsProcessingProvider,
    QgsProcessingRegistry,
    QgsSettings,
)
from qgis.PyQt.QtCore import QCoreApplication
from qgis.PyQt.QtWidgets import QMenu

import imagetodem_qgis
from imagetodem_qgis import plugin as plugin_module
from imagetodem_qgis.algorithms.base import ImageToDemAlgorithm
from imagetodem_qgis.icons import icon_file
from imagetodem_qgis.provider import ImageToDemProvider

pytestmark = pytest.mark.usefixtures("qgis_app")

IDS = (
    "predictdem",
    "anchordem",
    "evaluatedem",
    "exportscene",
    "fetchpairs",
    "pairsfromrasters",
    "traingenerator",
    "perlindem",
    "predictimage",
    "setupenvironment",
    "environmentreport",
)
MODELS = ("virtuallandscape", "predictandevaluate", "fetchtrainpredict")
HEAVY = ("tensorflow", "keras", "torch", "onnxruntime", "scipy", "ee")


@pytest.fixture
def registry(qgis_app, monkeypatch):
    """A Processing registry of the plugin's own: QGIS's has the provider already, for all tests."""
    registry = QgsProcessingRegistry()
    monkeypatch.setattr(plugin_module, "QgsApplication", SimpleNamespace(processingRegistry=lambda: registry))
    return registry


@pytest.fixture
def provider(registry):
    provider = ImageToDemProvider()
    assert registry.addProvider(provider)
    return provider


def test_provider_offers_the_algorithms_under_their_ids(provider):
    assert (provider.id(), provider.name()) == ("imagetodem", "Image to DEM")
    assert not provider.icon().isNull()
    assert sorted(algorithm.id() for algorithm in provider.algorithms()) == sorted(
        f"imagetodem:{i}" for i in IDS + MODELS
    )


def test_rasters_are_written_as_geotiff_alone(provider):
    assert provider.supportedOutputRasterLayerExtensions() == ["tif"]
    assert provider.defaultRasterFileExtension() == "tif"


@pytest.mark.parametrize("name", IDS)
def test_an_algorithm_explains_itself(provider, name):
    algorithm = provider.algorithm(name)
    assert algorithm.displayName()
    assert len(algorithm.shortHelpString()) > 100
    assert algorithm.tags()
    assert not algorithm.icon().isNull()
    assert Path(algorithm.svgIconPath()).stem == name
    for parameter in algorithm.parameterDefinitions():
        assert parameter.help(), parameter.name()
        assert parameter.description(), parameter.name()
    assert algorithm.outputDefinitions()
    assert type(algorithm.create()) is type(algorithm)


class TwoRasters(ImageToDemAlgorithm):
    """Declares a required and an optional raster output."""

    NAME = "tworasters"
    DISPLAY_NAME = "Two rasters"
    SHORT_HELP = "Nothing."

    def initAlgorithm(self, configuration=None):
        self.addParameter(QgsProcessingParameterRasterDestination("OUTPUT", "Heights"))
        self.addParameter(
            QgsProcessingParameterRasterDestination("SPREAD", "Spread", optional=True, createByDefault=False)
        )

    def processAlgorithm(self, parameters, context, feedback):
        return {"OUTPUT": self.parameterAsOutputLayer(parameters, "OUTPUT", context)}


class TwoRastersProvider(ImageToDemProvider):
    def id(self):
        return "tworasterstest"

    def loadAlgorithms(self):
        self.addAlgorithm(TwoRasters())


@pytest.fixture
def two_rasters_provider(registry):
    provider = TwoRastersProvider()
    assert registry.addProvider(provider)
    return provider


@pytest.fixture
def two_rasters(two_rasters_provider):
    return two_rasters_provider.algorithm("tworasters").create()


@pytest.mark.parametrize("output", ["dem.tif", "DEM.TIF", "TEMPORARY_OUTPUT"])
def test_geotiff_outputs_are_taken(two_rasters, output):
    context = QgsProcessingContext()
    assert two_rasters.checkParameterValues({"OUTPUT": output}, context) == (True, "")
    assert two_rasters.checkParameterValues({"OUTPUT": output, "SPREAD": output}, context) == (True, "")
    assert two_rasters.checkParameterValues({"OUTPUT": output, "SPREAD": None}, context) == (True, "")


@pytest.mark.parametrize("wrap", [str, QgsProcessingOutputLayerDefinition])
def test_other_formats_are_refused_by_name_before_any_work(two_rasters, wrap):
    context = QgsProcessingContext()
    taken, problem = two_rasters.checkParameterValues({"OUTPUT": wrap("dem.jpg")}, context)
    assert not taken
    assert "Heights (OUTPUT)" in problem
    assert "jpg" in problem
    taken, problem = two_rasters.checkParameterValues(
        {"OUTPUT": "dem.tif", "SPREAD": wrap("sd.asc")}, context
    )
    assert not taken
    assert "Spread (SPREAD)" in problem
    assert "asc" in problem


def test_a_missing_required_output_is_still_refused(two_rasters):
    taken, problem = two_rasters.checkParameterValues({}, QgsProcessingContext())
    assert not taken
    assert "Heights" in problem


def test_an_algorithm_outside_a_provider_checks_its_values_too():
    assert TwoRasters().create().checkParameterValues({"OUTPUT": "dem.tif"}, QgsProcessingContext()) == (
        True,
        "",
    )


def test_an_algorithm_without_an_icon_of_its_own_has_the_plugins():
    assert icon_file("tworasters") == icon_file()
    assert icon_file("predictdem") != icon_file()
    assert not TwoRasters().icon().isNull()


class Interface:
    """The part of QGIS's interface that the plugin asks for."""

    def __init__(self):
        self.menu = QMenu("Raster")
        self.pages = []

    def rasterMenu(self):
        return self.menu

    def registerOptionsWidgetFactory(self, factory):
        self.pages.append(factory)

    def unregisterOptionsWidgetFactory(self, factory):
        self.pages.remove(factory)


def test_without_an_interface_only_the_provider_is_registered(registry):
    plugin = imagetodem_qgis.classFactory(None)
    plugin.initProcessing()
    assert isinstance(registry.providerById("imagetodem"), QgsProcessingProvider)
    plugin.unload()
    assert registry.providerById("imagetodem") is None


def test_the_interface_gets_a_menu_and_an_options_page_and_gives_them_back(registry):
    interface = Interface()
    plugin = imagetodem_qgis.classFactory(interface)
    for _ in range(2):
        plugin.initGui()
        assert len(registry.providerById("imagetodem").algorithms()) == len(IDS + MODELS)
        (entry,) = interface.menu.actions()
        assert entry.text() == "Image to DEM"
        actions = entry.menu().actions()
        names = [name for name, _ in plugin_module.MENU]
        assert [action.objectName() for action in actions] == [f"imagetodem_{name}" for name in names]
        assert set(names) <= set(IDS)
        assert not any(action.icon().isNull() for action in actions)
        assert len(interface.pages) == 1
        plugin.unload()
        assert interface.menu.actions() == []
        assert interface.pages == []
        assert registry.providerById("imagetodem") is None


def test_menu_entries_open_the_algorithms_dialogs(registry, monkeypatch):
    import processing

    opened = []
    monkeypatch.setattr(processing, "execAlgorithmDialog", lambda name, values: opened.append((name, values)))
    interface = Interface()
    plugin = imagetodem_qgis.classFactory(interface)
    plugin.initGui()
    for action in interface.menu.actions()[0].menu().actions():
        action.trigger()
    plugin.unload()
    assert opened == [(f"imagetodem:{name}", {}) for name, _ in plugin_module.MENU]


def test_the_package_imports_nothing_until_qgis_asks(tmp_path):
    root = Path(imagetodem_qgis.__file__).parents[1]
    code = (
        f"import sys; sys.path.append({str(root)!r}); before = set(sys.modules); import imagetodem_qgis;"
        "print(sorted(set(sys.modules) - before))"
    )
    run = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert run.stdout.strip() == "['imagetodem_qgis']"


def test_loading_brings_nothing_heavy_into_qgis(tmp_path):
    root = Path(imagetodem_qgis.__file__).parents[1]
    code = (
        f"import sys; sys.path.append({str(root)!r})\n"
        "from qgis.core import QgsApplication\n"
        "application = QgsApplication([], False)\n"
        "application.initQgis()\n"
        "import imagetodem_qgis\n"
        "plugin = imagetodem_qgis.classFactory(None)\n"
        "plugin.initProcessing()\n"
        "assert QgsApplication.processingRegistry().algorithmById('imagetodem:predictdem')\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
        "plugin.unload()\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert run.stdout.strip() == "[]", run.stderr


@pytest.mark.skipif(shutil.which("lrelease") is None, reason="needs Qt's lrelease")
def test_a_translation_that_is_there_is_used(registry, tmp_path, monkeypatch):
    folder = tmp_path / "resources" / "i18n"
    folder.mkdir(parents=True)
    (folder / "imagetodem_el.ts").write_text(
        '<?xml version="1.0" encoding="utf-8"?><!DOCTYPE TS><TS version="2.1" language="el"><context>'
        "<name>ImageToDem</name><message><source>Predict DEM…</source>"
        "<translation>Πρόβλεψη DEM…</translation></message></context></TS>",
        encoding="utf-8",
    )
    subprocess.run(["lrelease", str(folder / "imagetodem_el.ts")], check=True, capture_output=True)
    monkeypatch.setattr(plugin_module, "PLUGIN_FOLDER", tmp_path)
    settings = QgsSettings()
    settings.setValue("locale/overrideFlag", True)
    settings.setValue("locale/userLocale", "el")
    interface = Interface()
    try:
        plugin = imagetodem_qgis.classFactory(interface)
        plugin.initGui()
        assert interface.menu.actions()[0].menu().actions()[0].text() == "Πρόβλεψη DEM…"
        plugin.unload()
        assert QCoreApplication.translate("ImageToDem", "Predict DEM…") == "Predict DEM…"
    finally:
        settings.remove("locale/overrideFlag")
        settings.remove("locale/userLocale")
