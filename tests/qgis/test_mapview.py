"""QGIS's own 3D map view: what it is opened with, and what the project and the style keep."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from qgis.core import (
    Qgis,
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsProcessingAlgRunnerTask,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingModelAlgorithm,
    QgsProcessingModelChildAlgorithm,
    QgsProcessingModelChildParameterSource,
    QgsProject,
    QgsRasterLayer,
)
from qgis.PyQt.QtCore import QCoreApplication
from qgis.PyQt.QtWidgets import QAction, QMainWindow

from imagetodem_qgis.styling import mapview
from imagetodem_qgis.styling.mapview import show_in_map_view
from imagetodem_qgis.styling.stylefile import write_confidence_style, write_style
from tests.rasters import write_image

pytestmark = pytest.mark.usefixtures("qgis_app")
needs_elevation = pytest.mark.skipif(
    Qgis.QGIS_VERSION_INT < 32400, reason="projects and raster layers have elevation from QGIS 3.24 on"
)


class Interface:
    """The part of QGIS's interface that opens a 3D map view."""

    def __init__(self, has_action: bool = True) -> None:
        self.window = QMainWindow()
        self.opened = 0
        if has_action:
            action = QAction("New 3D Map View", self.window)
            action.setObjectName("mActionNew3DMapCanvas")
            action.triggered.connect(self._open)

    def mainWindow(self) -> QMainWindow:
        return self.window

    def _open(self) -> None:
        self.opened += 1


class Provider:
    """Stands in for a terrain provider, which a QGIS before 3.24 lacks."""

    def setLayer(self, layer: QgsRasterLayer) -> None:
        self.layer = layer

    def setScale(self, scale: float) -> None:
        self.scale = scale


class Project:
    """A project that records the terrain that it is given."""

    def __init__(self, crs: str = "EPSG:32633") -> None:
        self.own, self.terrain, self.dirty = QgsProject(), None, False
        self.own.setCrs(QgsCoordinateReferenceSystem(crs))
        self.crs, self.mapLayers, self.addMapLayer = self.own.crs, self.own.mapLayers, self.own.addMapLayer

    def elevationProperties(self) -> Project:
        return self

    def setTerrainProvider(self, provider: Provider) -> None:
        self.terrain = provider

    def setDirty(self, dirty: bool) -> None:
        self.dirty = dirty


@pytest.fixture
def dem(tmp_path: Path) -> Path:
    row, column = np.mgrid[:40, :50]
    return write_image(tmp_path / "dem.tif", (3 * row + column).astype(np.float32)[..., None])


@pytest.fixture
def terrain_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapview, "QgsRasterDemTerrainProvider", Provider)


def shown(project: Any, dem: Path, interface: Any, exaggeration: float = 2.0) -> list[str]:
    warnings: list[str] = []
    show_in_map_view(project, QgsRasterLayer(str(dem), "hills"), exaggeration, interface, warnings.append)
    return warnings


def test_the_dem_becomes_the_terrain_before_the_view_opens(dem: Path, terrain_provider: None) -> None:
    project, interface = Project(), Interface()
    warnings = shown(project, dem, interface)
    (layer,) = project.mapLayers().values()
    assert (layer.source(), layer.name()) == (str(dem), "hills")
    assert project.terrain.layer is layer
    assert project.terrain.scale == 2.0
    assert project.dirty
    assert interface.opened == 1
    assert any("3.26" in text for text in warnings) == (Qgis.QGIS_VERSION_INT < 32600)


def test_a_layer_that_the_project_has_is_taken(dem: Path, terrain_provider: None) -> None:
    project = Project()
    own = QgsRasterLayer(str(dem), "my name")
    project.addMapLayer(own)
    shown(project, dem, Interface())
    assert list(project.mapLayers().values()) == [own]
    assert project.terrain.layer is own


def test_degrees_are_not_drawn_and_the_user_is_told_what_to_do(dem: Path, terrain_provider: None) -> None:
    project, interface = Project("EPSG:4326"), Interface()
    (warning,) = shown(project, dem, interface)
    assert "projected" in warning
    assert interface.opened == 0
    assert project.terrain is not None


def test_without_an_interface_or_a_view_nothing_is_opened(dem: Path, terrain_provider: None) -> None:
    project = Project()
    assert shown(project, dem, None) == []
    assert project.terrain is not None
    (warning,) = shown(project, dem, Interface(has_action=False))
    assert "no 3D map view" in warning


def test_the_algorithm_opens_the_view_in_the_main_thread_alone(
    dem: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagetodem_qgis.algorithms import exportscene

    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(exportscene, "show_in_map_view", lambda *given: calls.append(given))
    project = QgsProject()
    for wanted in (False, True):
        algorithm = exportscene.ExportSceneAlgorithm().create()
        context, feedback = QgsProcessingContext(), QgsProcessingFeedback(False)
        context.setProject(project)
        given = {
            "DEM": str(dem),
            "OUTPUT": str(tmp_path / "scene.html"),
            "MAP_VIEW": wanted,
            "EXAGGERATION": 3.0,
        }
        assert algorithm.prepare(given, context, feedback)
        assert algorithm.runPrepared(given, context, feedback)["OUTPUT"] == given["OUTPUT"]
        assert calls == []
        algorithm.postProcess(context, feedback)
    ((given_project, layer, exaggeration, _, _),) = calls
    assert given_project is project
    assert (layer.source(), exaggeration) == (str(dem), 3.0)


def test_a_model_opens_no_window_from_its_thread(
    dem: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some versions of QGIS end a model's steps in the model's thread."""
    from imagetodem_qgis.algorithms import exportscene

    threads: list[int] = []
    monkeypatch.setattr(exportscene, "show_in_map_view", lambda *given: threads.append(threading.get_ident()))
    child = QgsProcessingModelChildAlgorithm("imagetodem:exportscene")
    child.setChildId("scene")
    given = {"DEM": str(dem), "OUTPUT": str(tmp_path / "scene.html"), "MAP_VIEW": True}
    for name, value in given.items():
        child.addParameterSources(name, [QgsProcessingModelChildParameterSource.fromStaticValue(value)])
    model = QgsProcessingModelAlgorithm("Scene", "")
    model.addChildAlgorithm(child)
    context, feedback = QgsProcessingContext(), QgsProcessingFeedback(False)
    task = QgsProcessingAlgRunnerTask(model, {}, context, feedback)
    outcome: list[bool] = []
    task.executed.connect(lambda successful, results: outcome.append(successful))
    QgsApplication.taskManager().addTask(task)
    while not outcome:
        QCoreApplication.processEvents()
    assert (tmp_path / "scene.html").exists(), feedback.textLog()
    warned = "A model opens no 3D map view" in feedback.textLog()
    assert threads == ([] if warned else [threading.get_ident()])


@needs_elevation
def test_a_saved_project_and_a_style_keep_the_terrain(dem: Path, tmp_path: Path) -> None:
    project = QgsProject()
    project.setCrs(QgsCoordinateReferenceSystem("EPSG:32633"))
    shown(project, dem, None, exaggeration=2.5)
    assert project.write(str(tmp_path / "project.qgz"))
    again = QgsProject()
    assert again.read(str(tmp_path / "project.qgz"))
    provider = again.elevationProperties().terrainProvider()
    assert provider.scale() == 2.5
    assert provider.layer().source() == str(dem)
    assert provider.layer().elevationProperties().isEnabled()
    write_style(dem)
    assert QgsRasterLayer(str(dem), "styled").elevationProperties().isEnabled()
    write_confidence_style(dem)
    assert not QgsRasterLayer(str(dem), "spread").elevationProperties().isEnabled()
